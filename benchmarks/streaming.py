"""A long answer watched in a real browser: how often the page changes, whether it holds still, and what it costs."""

from __future__ import annotations

import os
import shutil
import time
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from .first_token import signed_up
from .report import line
from .stack import Stack, running

TOKENS, RATE = 4000, 100
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--renderer-process-limit=1"]
WATCH = """
window.watched = { updates: 0, text: '', shifts: [] };
// A source without a node is the caret, which goes ahead of the text; what stands below the text must make room for it.
const kind = (node, live) => !node ? 'caret' : live.compareDocumentPosition(node) === 4 ? 'below' : 'above';
new MutationObserver((changes) => {
  const live = [...document.querySelectorAll('.live-words')].at(-1);
  if (!live || !changes.some(({ target }) => live.contains(target))) return;
  watched.updates += 1;
  watched.text = live.textContent;
}).observe(document, { childList: true, subtree: true, characterData: true });
new PerformanceObserver((list) => {
  const live = [...document.querySelectorAll('.live-words')].at(-1);
  for (const { value, sources } of list.getEntries()) {
    const kinds = live ? sources.map(({ node }) => kind(node, live)) : ['over'];
    watched.shifts.push({ value, kind: ['over', 'above', 'below', 'caret'].find((one) => kinds.includes(one)) });
  }
}).observe({ type: 'layout-shift' });
"""
SHIFTS = (
    ("above", "of the text and what is above it", "bar: 0"),
    ("over", "when the answer is over", "bar: 0"),
    ("below", "of what makes room below it", ""),
    ("caret", "of the caret alone", ""),
)
OVER = ".run[data-state=completed]"


def measure() -> None:
    tokens = int(os.environ.get("TOKENS", TOKENS))
    with running() as stack, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=ARGUMENTS)
        try:
            watch(browser, page_of(stack, browser), tokens)
        finally:
            browser.close()


def program() -> str:
    """Where a Chromium is."""
    if found := next(filter(None, map(shutil.which, PROGRAMS)), None):
        return found
    raise SystemExit(f"no Chromium: none of {', '.join(PROGRAMS)} is installed")


def watch(browser: Browser, page: Page, tokens: int) -> None:
    system, cdp = browser.new_browser_cdp_session(), page.context.new_cdp_session(page)
    cdp.send("Performance.enable")
    cdp.send("Network.enable")
    wire = wire_of(cdp)
    ask(page, f"!simulate tokens={tokens} rate={RATE} first_token_ms=1500\nA long story")
    page.wait_for_selector(".run .live-text", state="attached")
    page.wait_for_timeout(700)  # the page has settled; the first word comes after that
    page.evaluate("Object.assign(watched, { updates: 0, shifts: [] })")
    busy, cpu, started = task_seconds(cdp), renderer_seconds(system), time.perf_counter()
    page.wait_for_timeout((tokens / RATE - 1) * 1000)  # to shortly before the end
    updates = page.evaluate("watched.updates")
    wall, words = time.perf_counter() - started, (wire["bytes"], len(page.evaluate("watched.text").encode()))
    busy, cpu = task_seconds(cdp) - busy, renderer_seconds(system) - cpu
    expect(page.locator(OVER)).to_have_count(1, timeout=120_000)
    page.wait_for_timeout(500)
    report(page.evaluate("watched.shifts"), updates / wall, busy / wall, cpu / wall)
    line(
        "bytes of the stream for one of the text",
        f"{words[0] / words[1]:.2f}",
        f"{words[0]} for {words[1]}; bar: below 4",
    )
    whole, text = wire["bytes"], len(page.evaluate("watched.text").encode())
    line("… with the finished card at its end", f"{whole / text:.2f}", f"{whole} for {text}; bar: below 4")
    line("… unpacked", f"{wire['unpacked'] / text:.2f}", f"{wire['unpacked']} for {text}")


def report(shifts: list[dict[str, Any]], updates: float, busy: float, cpu: float) -> None:
    line("updates of the text a second", f"{updates:.1f}", "bar: at most 60")
    for kind, what, bar in SHIFTS:
        values = [one["value"] for one in shifts if one["kind"] == kind]
        line(f"layout shift: {what}", f"{sum(values):.4f}", f"{len(values)} times; {bar}")
    line("the page's tasks, of one core", f"{busy:.1%}", "bar: below 25 %")
    line("the renderer's processor time, of one core", f"{cpu:.1%}", "bar: below 25 %")


def page_of(stack: Stack, browser: Browser) -> Page:
    """A newcomer's first session, as their browser shows it."""
    client = signed_up(stack)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": one.name, "value": one.value or "", "url": stack.url} for one in client.cookies.jar])
    context.add_init_script(WATCH)
    page = context.new_page()
    page.goto(str(client.base_url).rstrip("/"))
    return page


def ask(page: Page, text: str) -> None:
    page.locator("#composer select[name=model]").select_option("simulated/simulated-fast")
    page.locator("#text").fill(text)
    page.get_by_role("button", name="Run", exact=True).click()


def wire_of(cdp: Any) -> dict[str, int]:
    """Counts what the event stream brings, headers and all, as it came over the wire."""
    counted, streams = {"bytes": 0, "unpacked": 0}, set()

    def answered(event: dict[str, Any]) -> None:
        if event["response"]["mimeType"] == "text/event-stream":
            streams.add(event["requestId"])
            counted["bytes"] += int(event["response"]["encodedDataLength"])

    def came(event: dict[str, Any]) -> None:
        if event["requestId"] in streams:
            counted["bytes"] += int(event["encodedDataLength"])
            counted["unpacked"] += int(event["dataLength"])

    cdp.on("Network.responseReceived", answered)
    cdp.on("Network.dataReceived", came)
    return counted


def task_seconds(cdp: Any) -> float:
    metrics = cdp.send("Performance.getMetrics")["metrics"]
    return next(float(one["value"]) for one in metrics if one["name"] == "TaskDuration")


def renderer_seconds(system: Any) -> float:
    processes = system.send("SystemInfo.getProcessInfo")["processInfo"]
    return sum(float(one["cpuTime"]) for one in processes if one["type"] == "renderer")
