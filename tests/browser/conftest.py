"""A real Chromium before the real server: one browser a run; a page of a test's own, or one that is as if it were."""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Error, Page, sync_playwright

from dataelan_web.models import User
from tests import people

ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
    # One renderer a context, and none in reserve; painting in the browser's own process. A fifth less work.
    " --renderer-process-limit=1 --in-process-gpu --num-raster-threads=1 --disable-partial-raster"
    # The next page takes the frame of the one before, in the same process. Two fifths.
    # (Of what the driver leaves out itself, and this replaces, what tests can meet stays out.)
    " --disable-features=RenderDocument,IsolateOrigins,site-per-process,SpareRendererForSitePerProcess,"
    "AvoidUnnecessaryBeforeUnloadCheckSync,HttpsUpgrades,NetworkTimeServiceQuerying,OptimizationHints,PaintHolding"
    " --disable-site-isolation-trials"
    # No page lives long enough for its scripts to be worth compiling well. Another fifth.
    " --js-flags=--no-opt,--no-maglev,--no-sparkplug,--single-threaded-gc,--min-semi-space-size=16"
).split()
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first that is there: the same engine without a window's work takes half the time."""
PATIENCE = 60_000
"""Milliseconds: the machine may be busy with other things."""
WIDE: Any = {"width": 1440, "height": 900}
RESTING = "/healthz"
"""Has no scripts, and the headers of any page of ours: without those, the browser begins a new renderer."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """All that is in this folder."""
    item.add_marker(pytest.mark.browser)


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
    given_up: int = 0
    """Requests that nobody waits for any more, and no complaint was heard of."""

    def gave_up(self, request: Any) -> None:
        self.given_up += request.failure == "net::ERR_ABORTED"

    def heard(self, message: Any, page: Page) -> None:
        is_the_page_itself = message.location.get("url", "") == page.url  # an error page is a failed resource too
        is_a_refused_form = "status of 422" in message.text
        if message.type not in ("error", "warning") or is_the_page_itself or is_a_refused_form:
            return
        if "htmx:error: Failed to fetch" in message.text and self.given_up:
            self.given_up -= 1  # a page that is left complains of what it had asked for
            return
        self.complaints.append(message.text)

    def asked(self, url: str) -> None:
        if not url.startswith((f"{self.origin}/", "data:image/svg+xml")):
            self.elsewhere.append(url)

    def dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()


def watch(page: Page) -> None:
    """Whoever watches it at the time."""
    page.on("pageerror", lambda error: page.watch.complaints.append(str(error)))  # type: ignore[attr-defined]
    page.on("console", lambda message: page.watch.heard(message, page))  # type: ignore[attr-defined]
    page.on("requestfailed", lambda request: page.watch.gave_up(request))  # type: ignore[attr-defined]
    page.on("request", lambda request: page.watch.asked(request.url))  # type: ignore[attr-defined]
    page.on("dialog", lambda dialog: page.watch.dialog(dialog))  # type: ignore[attr-defined]


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


class Pages:
    """Pages like any other, and those with a policy lifted: kept from test to test, since a page of a new context costs
    three times what the next one in the same does. What a test left in one is taken out of it."""

    KEPT = frozenset({"bypass_csp", "script"})

    def __init__(self, browser: Browser, server: str, seen: Seen):
        self.browser, self.server, self.seen = browser, server, seen
        self.kept: defaultdict[tuple[Any, ...], list[Page]] = defaultdict(list)

    def take(self, options: dict[str, Any]) -> Page:
        kept = self.kept[tuple(options.items())] if options.keys() <= self.KEPT else []
        page = kept.pop() if kept else self._made(**options)
        page.watch, page.options = Watch(self.server), options  # type: ignore[attr-defined]
        return page

    def _made(self, script: str = "", **options: Any) -> Page:
        # Nothing moves, unless a test is about that: what moves is painted sixty times a second.
        ordinary = {"base_url": self.server, "viewport": WIDE, "reduced_motion": "reduce"}
        context = self.browser.new_context(**{**ordinary, **options})
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        if script:
            page.add_init_script(script)
        page.seen = self.seen  # type: ignore[attr-defined]
        watch(page)
        return page

    def give_back(self, page: Page) -> None:
        options: dict[str, Any] = page.options  # type: ignore[attr-defined]
        if not options.keys() <= self.KEPT:
            page.context.close()
            return
        for other in page.context.pages:
            if other != page:
                other.close()
        page.unroute_all()
        page.context.clear_cookies()
        try:
            page.goto(RESTING)  # of the same origin, whose storage can be emptied, without a script that fills it
        except Error:  # it goes somewhere else by itself, as after a sign-up that is over before its page has come
            page.context.close()
            return
        page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); indexedDB.deleteDatabase('attached') }")
        page.set_viewport_size(WIDE)
        page.emulate_media(media="screen", color_scheme="light")
        self.kept[tuple(options.items())].append(page)


@pytest.fixture(scope="session")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    base = tmp_path_factory.getbasetemp()
    return Seen((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "looked-at")


@pytest.fixture(scope="session")
def pages(chromium: Browser, server: str, seen: Seen) -> Pages:
    return Pages(chromium, server, seen)


@pytest.fixture
def open_page(app: Flask, pages: Pages, server: str) -> Iterator[Opener]:
    """`open_page(person=None, **options)`: a page in a context of its own, signed in as this person. `script` runs
    before those of every page; any option but this one makes a page that is not kept.

    `page.watch` (see Watch) is checked for complaints when the test is over.
    """
    opened = []

    def make(person: User | None = None, *, strict: bool = True, **options: Any) -> Page:
        page = pages.take(options)
        opened.append((page, strict))
        if person is not None:
            name = app.config["SESSION_COOKIE_NAME"]
            cookie = people.browser(app, person).get_cookie(name)
            assert cookie is not None
            page.context.add_cookies([{"name": name, "value": cookie.value, "url": server}])
        return page

    yield make
    complaints = [text for page, strict in opened if strict for text in page.watch.complaints]  # type: ignore[attr-defined]
    for page, _ in opened:
        pages.give_back(page)
    assert complaints == []


@pytest.fixture
def page(open_page: Opener) -> Page:
    """A visitor's page."""
    return open_page()
