"""Short words of what was done: they lie over nothing that one presses next."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests import people

TELL = """(words) => {
  const toast = document.getElementById('unreachable').content.firstElementChild.cloneNode(true);
  toast.querySelector('strong').remove();
  toast.querySelector('p').textContent = words;
  document.getElementById('toasts').append(toast);
}"""
COVERED = """() => {
  const toasts = document.getElementById('toasts'), card = toasts.firstElementChild.getBoundingClientRect();
  const isUnder = (one) => {  // and not behind the bar at the top of a phone's page
    const its = one.getBoundingClientRect();
    const left = Math.max(its.left, card.left), right = Math.min(its.right, card.right);
    const top = Math.max(its.top, card.top), bottom = Math.min(its.bottom, card.bottom);
    const there = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
    return left < right && top < bottom && one.contains(there);
  };
  const inMain = 'main :is(.btn, input, textarea, select, summary)';
  const pressed = `${inMain}, [popovertarget=sidebar], [popovertarget=account-menu]`;
  toasts.hidden = true;
  const found = [...document.querySelectorAll(pressed)]
    .filter((one) => one.checkVisibility() && isUnder(one))
    .map((one) => one.getAttribute('aria-label') || one.textContent.trim() || one.id);
  toasts.hidden = false;
  return found;
}"""


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 700), (390, 780)])
def test_a_toast_covers_nothing_that_is_pressed_next(
    open_page: Callable[..., Page], acme: people.Cast, width: int, height: int
) -> None:
    page = open_page(acme.olivia)
    page.set_viewport_size({"width": width, "height": height})
    project = f"{acme.home}/projects/{acme.project.id}"
    for path in (acme.session_url, project, f"{project}/batches/new", f"{project}/prompts", f"{acme.home}/limits"):
        page.goto(path)
        page.evaluate(TELL, "The session “Harbours of the north” is in the trash.")
        for place in ("0", "document.documentElement.scrollHeight"):
            page.evaluate(f"scrollTo({{ top: {place}, behavior: 'instant' }})")
            assert page.evaluate(COVERED) == [], (path, width)
