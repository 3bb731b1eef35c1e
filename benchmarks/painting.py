"""The dashboard in a real browser: when the largest part of a page stands, and how soon a filter's answer does."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

from .report import line, ms, spread
from .stack import Stack
from .streaming import ARGUMENTS, program

PAGES = {
    "overview": "",
    "spend": "/spend",
    "performance": "/performance",
    "quota": "/quota",
    "routing": "/routing",
    "runs": "/runs",
    "mine": "/mine",
}
RANGES = ("30d", "365d")
LOADS, CHANGES = 5, 30
LOOKS = 400
"""Milliseconds that somebody looks at an answer, at the least, before the next filter."""
WATCH = """
window.watched = { largest: 0, changed: 0, took: [] };
new PerformanceObserver((list) => list.getEntries().forEach(({ startTime }) => { watched.largest = startTime; }))
  .observe({ type: 'largest-contentful-paint', buffered: true });
document.addEventListener('change', () => { watched.changed = performance.now(); }, true);
document.addEventListener('htmx:after:swap', ({ detail }) => {
  if (!watched.changed || !document.getElementById('dashboard')) return;
  const since = watched.changed;
  watched.changed = 0;                                     // what comes later, of the same page, is not the answer
  requestAnimationFrame(() => setTimeout(() => watched.took.push(performance.now() - since)));
});
"""


def measure(stack: Stack, address: str, email: str, password: str) -> None:
    """address: that of an organization's dashboard, of which this person sees all."""
    with chromium() as browser:
        page = signed_in(browser, stack, email, password)
        for name, at in PAGES.items():
            for over in RANGES if name != "quota" else RANGES[:1]:
                largest(page, f"{name}, {over}", f"{stack.url}{address}{at}?range={over}")
        for name, at in PAGES.items():
            filtered(page, name, f"{stack.url}{address}{at}?range=30d")


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def signed_in(browser: Browser, stack: Stack, email: str, password: str) -> Page:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(f"{stack.url}/login")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.keyboard.press("Enter")
    page.wait_for_url("**/o/**")
    page.add_init_script(WATCH)
    return page


def largest(page: Page, name: str, url: str) -> None:
    found = []
    for _ in range(LOADS):
        page.goto(url)
        page.wait_for_load_state("networkidle")
        found.append(page.evaluate("watched.largest"))
    largest_of_all = f"most {max(found):.0f} ms; bar: 1 s"
    line(f"{name}: largest part painted", f"{statistics.median(found):.0f} ms", largest_of_all)


def filtered(page: Page, name: str, url: str) -> None:
    """One filter, to and fro: until the answer is on the page, and the page has been painted with it."""
    took: list[float] = []
    page.goto(url)
    page.wait_for_load_state("networkidle")
    for number in range(CHANGES):
        page.wait_for_timeout(LOOKS)
        filter = page.locator(".dash-filters select").first
        is_range = filter.get_attribute("name") == "range"
        filter.select_option(RANGES[number % 2 - 1] if is_range else None, index=None if is_range else 1 - number % 2)
        page.wait_for_load_state("networkidle")
        while not page.evaluate("watched.took.length"):
            page.wait_for_timeout(20)
        took += page.evaluate("watched.took.splice(0)")
    seconds = [one / 1000 for one in took]
    spread(f"{name}: a filter's answer painted", seconds, f"most {ms(max(seconds))}; bar: 300 ms")
