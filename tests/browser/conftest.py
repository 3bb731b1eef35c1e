"""A real Chromium before the real server: one browser a run, a fresh context (cookies, storage) a test."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, sync_playwright

from dataelan_web.models import User
from tests import people

ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
    # One renderer a context, and none in reserve; painting in the browser's own process. A fifth less work.
    " --renderer-process-limit=1 --in-process-gpu --num-raster-threads=1 --disable-partial-raster"
    # No page lives long enough for its scripts to be worth compiling well. Another fifth.
    " --js-flags=--no-opt,--no-maglev,--no-sparkplug,--single-threaded-gc,--min-semi-space-size=16"
).split()
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first that is there: the same engine without a window's work takes half the time."""
PATIENCE = 60_000
"""Milliseconds: the machine may be busy with other things."""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"no Chromium: none of {', '.join(PROGRAMS)} is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Watch:
    """What a page did that nobody saw: complaints in the console, requests, dialogs."""

    origin: str
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def on(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self._heard(message, page))
        page.on("request", lambda request: self._asked(request.url))
        page.on("dialog", self._dialog)

    def _heard(self, message: Any, page: Page) -> None:
        is_the_page_itself = message.location.get("url", "") == page.url  # an error page is a failed resource too
        is_a_refused_form = "status of 422" in message.text
        if message.type in ("error", "warning") and not is_the_page_itself and not is_a_refused_form:
            self.complaints.append(message.text)

    def _asked(self, url: str) -> None:
        if not url.startswith((f"{self.origin}/", "data:image/svg+xml")):
            self.elsewhere.append(url)

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()


class Seen:
    """What axe has looked at in this run, in whichever of its processes: it looks at one of each new kind, and at a
    whole page where headings follow anew."""

    def __init__(self, path: Path):
        self.path, self.names, self.read = path, set[str](), 0
        path.touch()

    def new(self, names: Iterable[str]) -> set[str]:
        with self.path.open("rb") as file:
            file.seek(self.read)
            for line in file:
                if line.endswith(b"\n"):
                    self.names.add(json.loads(line))
                    self.read += len(line)
        return set(names) - self.names

    def add(self, names: Iterable[str]) -> None:
        with self.path.open("ab", buffering=0) as file:
            file.write("".join(f"{json.dumps(name)}\n" for name in names).encode())


Opener = Callable[..., Page]


@pytest.fixture(scope="session")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    base = tmp_path_factory.getbasetemp()
    return Seen((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "looked-at")


@pytest.fixture
def open_page(app: Flask, chromium: Browser, server: str, seen: Seen) -> Iterator[Opener]:
    """`open_page(person=None, **options)`: a page in a context of its own, signed in as this person.

    `page.watch` (see Watch) is checked for complaints when the test is over.
    """
    opened = []

    def make(person: User | None = None, *, strict: bool = True, **options: Any) -> Page:
        # Nothing moves, unless a test is about that: what moves is painted sixty times a second.
        options = {
            "base_url": server,
            "viewport": {"width": 1440, "height": 900},
            "reduced_motion": "reduce",
            **options,
        }
        context = chromium.new_context(**options)
        context.set_default_timeout(PATIENCE)
        if person is not None:
            name = app.config["SESSION_COOKIE_NAME"]
            cookie = people.browser(app, person).get_cookie(name)
            assert cookie is not None
            context.add_cookies([{"name": name, "value": cookie.value, "url": server}])
        page = context.new_page()
        page.watch, page.seen = Watch(server), seen  # type: ignore[attr-defined]
        page.watch.on(page)  # type: ignore[attr-defined]
        opened.append((context, page, strict))
        return page

    yield make
    complaints = [text for _, page, strict in opened if strict for text in page.watch.complaints]  # type: ignore[attr-defined]
    for context, _, _ in opened:
        context.close()
    assert complaints == []


@pytest.fixture
def page(open_page: Opener) -> Page:
    """A visitor's page."""
    return open_page()
