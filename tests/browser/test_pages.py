"""Every page, wide and on a phone, light and dark: no fault that axe finds, none in the console, nothing sticks out."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from playwright.sync_api import Page, Route, expect
from playwright.sync_api import TimeoutError as TookTooLong

from dataelan_web.extensions import db
from dataelan_web.models import Action, Execution
from tests import people

from . import steps

pytestmark = pytest.mark.sweep

AXE = f"globalThis.startAxe = () => {{ {(Path(__file__).parent / 'axe.min.js').read_text()} }}"
"""Half a megabyte, which the browser reads once: it lies ready in every page, and starts where it is asked."""
WIDE: Any = {"width": 1440, "height": 900}
PHONE: Any = {"width": 390, "height": 780}
KINDS = """
  const controls = 'a, button, input, select, textarea, summary, [role], [tabindex]';
  const has = e => e.checkVisibility({ visibilityProperty: true })
    && (e.matches(controls) || [...e.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
  const said = ['type', 'role', 'aria-current', 'data-state', 'data-tone', 'data-variant'];
  const named = e => e?.parentElement && [e.localName, e.className, ...said.map(name => e.getAttribute(name))].join();
  const nameless = e => e.matches(controls)
    && !(e.labels?.length || e.ariaLabel || e.title || e.textContent.trim() || e.getAttribute('aria-labelledby'));
  const kind = e => [e, e.parentElement, e.parentElement?.parentElement].map(named).join(' in ') + nameless(e);
  const shown = [...document.querySelectorAll('body *')].filter(has);
"""
"""The kinds of text and controls in view, by what their colours and names come from."""
STICKING_OUT = """() => {
  const ids = [...document.querySelectorAll('body [id]')].map(e => e.id);
  const twice = ids.filter((id, place) => ids.indexOf(id) !== place).map(id => `the id ${id}, which is there twice`);
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return twice;
  return [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > width + 1)
    .slice(0, 5).map(e => e.outerHTML.slice(0, 120)).concat(twice);
}"""
LOOK = f"""() => {{
  {KINDS}
  const headings = shown.map(e => e.tagName).filter(name => /^H[1-6]$/.test(name));
  const outline = headings.map((name, place) => (headings[place - 1] ?? '') + name);
  return {{ kinds: shown.map(kind), outline, out: ({STICKING_OUT})() }};
}}"""
"""What is in view, which heading follows which, and what sticks out: asked for together."""
FAULTS = f"""async ([whole, fresh, inBoth]) => {{
  if (!window.axe) startAxe();
  {KINDS}
  const find = (part, more) => axe.run(part, {{ resultTypes: ['violations'], preload: false, ...more }});
  const first = new Map(shown.map(e => [kind(e), e]).reverse());
  const include = fresh.map(name => first.get(name)).filter(e => e);
  const colours = {{ runOnly: ['color-contrast', 'link-in-text-block'] }};
  const others = {{ rules: Object.fromEntries(colours.runOnly.map(rule => [rule, {{ enabled: false }}])) }};
  const findIn = async more => {{  // what the page took away meanwhile is there no more to be looked at
    const there = include.filter(e => e.isConnected);
    return there.length ? [await find({{ include: there }}, more)] : [];
  }};
  const results = whole ? [await find(document, others)] : [];
  results.push(...await findIn(whole ? colours : {{}}));
  if (inBoth) {{
    document.documentElement.classList.toggle('dark');
    results.push(...await findIn({{ runOnly: ['color-contrast'] }}));
    document.documentElement.classList.toggle('dark');
  }}
  const told = ({{ html, any }}) => html.slice(0, 160) + ' ' + any.map(check => check.message);
  return results.flatMap(result => result.violations)
    .map(({{ id, nodes }}) => `${{id}}: ${{nodes.slice(0, 3).map(told).join(' | ')}}`);
}}"""
"""Colours are a matter of the kind, and half of what axe costs: in a whole page it looks for all the rest."""

Opener = Callable[..., Page]


@pytest.fixture
def look(open_page: Opener) -> Callable[..., Page]:
    """A page that axe can look at: the policy is lifted for it, and only here."""
    return lambda person=None, **options: open_page(person, bypass_csp=True, script=AXE, **options)


def assert_fine(page: Page, name: str) -> None:
    """Wide and on a phone, whichever it is now first: the other is how it stays. Sizes differ in what is there, themes
    in nothing but colours: those of the other one are looked at where a kind is new. Where nothing is new, neither a
    kind nor the page, one size is enough."""
    seen = page.seen  # type: ignore[attr-defined]
    page.wait_for_load_state()
    faults: list[str] = []
    learned = seen.new([kind_of(page)])
    for place, size in enumerate((PHONE, WIDE) if page.viewport_size == PHONE else (WIDE, PHONE)):
        if page.viewport_size != size:
            page.set_viewport_size(size)
        looked = looked_at(page)
        outline = seen.new(looked["outline"]) if size == WIDE else set()
        fresh = seen.new(looked["kinds"]) - learned
        faults += looked["out"]
        if not (fresh or outline or learned):
            break
        if fresh or outline:
            faults += page.evaluate(FAULTS, [bool(outline), sorted(fresh), size == WIDE or not place])
        learned |= fresh | outline
    assert faults == [], name
    seen.add(learned)
    assert page.watch.complaints == [], name  # type: ignore[attr-defined]
    assert page.watch.elsewhere == [], name  # type: ignore[attr-defined]


def kind_of(page: Page) -> str:
    """Its address, whatever it is a page of."""
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=/o/)[^/]+", "*", urlsplit(page.url).path)


def looked_at(page: Page) -> dict[str, Any]:
    """See LOOK. What sticks out is told once the page has come to rest."""
    looked: dict[str, Any] = page.evaluate(LOOK)
    if looked["out"]:
        with suppress(TookTooLong):
            page.wait_for_function(f"() => !({STICKING_OUT})().length", polling=50, timeout=2000)
        looked = page.evaluate(LOOK)
    return looked | {"out": [f"sticks out: {element}" for element in looked["out"]]}


def test_signing_in_and_up(look: Callable[..., Page]) -> None:
    page = look()
    for path in ("/login", "/signup"):
        page.goto(path)
        assert_fine(page, path)
    page.locator("#signup-form").evaluate("form => { form.noValidate = true; form.requestSubmit() }")
    expect(page.locator(".field-error").first).to_be_visible()
    assert_fine(page, "/signup, refused")


def test_home_project_and_hub(look: Callable[..., Page], acme: people.Cast) -> None:
    key = people.own_provider(acme, "http://127.0.0.1:9/v1")
    key.label, key.last_error = "A key with quite a long label, as people write them", "401: it was revoked"
    people.own_model(acme, key, "a-model-with-a-rather-long-name-2026-11-23", input=150_000_000, output=None)
    page = look(acme.olivia)
    project = f"{acme.home}/projects/{acme.project.id}"
    for path in (f"{acme.home}/", project, f"{project}/tokens", f"{acme.home}/hub/models?q=nothing-like-it"):
        page.goto(path)
        assert_fine(page, path)
    page.goto(f"{acme.home}/hub/models")
    assert_fine(page, "models")
    page.goto(f"{acme.home}/hub/providers")
    assert_fine(page, "providers")
    page.goto(f"{project}/tokens")
    page.get_by_label("What is it for?").fill("Billing")
    page.get_by_role("button", name="Create token").click()
    page.locator("#secret").wait_for()
    assert_fine(page, "a token's secret")
    page.goto(project)
    page.get_by_role("button", name="New session").click()
    assert_fine(page, "a dialog")


def test_a_newcomer_s_session(context: None, look: Callable[..., Page]) -> None:
    page = look()
    page.goto("/signup")
    page.get_by_label("Your name").fill("Nora Newcomer")
    page.get_by_label("E-mail").fill(f"nora-{uuid.uuid4().hex[:8]}@example.com")
    page.get_by_label("Password").fill("correct horse battery staple")
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/o/*/sessions/*")
    assert_fine(page, "first session")


def test_runs_in_every_state(look: Callable[..., Page], acme: people.Cast, worker: object) -> None:
    page = look(acme.mia)
    page.goto(acme.session_url)
    assert_fine(page, "an empty session")
    fast = "simulated/simulated-fast"
    done = steps.finished(steps.ask(page, "!simulate reasoning=20 rate=0\nWrite a Python function", fast))
    add_actions(steps.stored(done))
    steps.finished(steps.ask(page, "!simulate fail=unauthorized\nNo", fast))
    stopped = steps.ask(page, "!simulate tokens=900 rate=20\nA story", fast)
    steps.wait_for_text(page, 10)
    stopped.get_by_role("button", name="Stop").click()
    steps.finished(stopped)
    running = steps.ask(page, "!simulate tokens=900 rate=10 reasoning=5\nAnother story " + "and more " * 100, fast)
    steps.wait_for_text(page, 10)
    page.get_by_label("More settings").check(force=True)
    # What lies under the composer's soft edge at the moment is not what axe should judge.
    page.add_style_tag(content=".composer-dock { position: static !important }")
    for card in (done, stopped):
        card.locator(".receipt > summary").click()
    assert_fine(page, "a session with runs in every state")
    running.get_by_role("button", name="Stop").click()
    steps.finished(running)
    page.goto(f"{acme.home}/executions/{steps.id_of(done)}")
    page.evaluate("() => document.querySelectorAll('details').forEach(row => { row.open = true })")
    assert_fine(page, "one run")


def add_actions(execution: Execution) -> None:
    """One of each kind."""
    payloads = {
        "table": {"header": ["River", "Kilometres"], "rows": [["Rhine", "1,233"], ["Danube", "2,850"]]},
        "json": {"value": {"rivers": [{"name": "Rhine", "km": 1233}]}},
        "checklist": {"items": [{"text": "Pack", "done": True}, {"text": "Leave", "done": False}]},
        "link": {"url": "https://example.com/" + "long/" * 30, "text": "Somewhere"},
        "tool_call": {"id": "1", "name": "look_up", "arguments": {"river": "Rhine"}},
    }
    for position, (kind, payload) in enumerate(payloads.items(), len(execution.actions)):
        execution.actions.append(Action(position=position, kind=kind, title=f"A {kind}", payload=payload))
    db.session.commit()


def test_errors(app: Flask, look: Callable[..., Page], acme: people.Cast, server: str) -> None:
    page = look(acme.gina)
    for path, code in (
        (f"{acme.home}/hub/providers", 403),
        (f"{acme.home}/sessions/{uuid.uuid4()}", 404),
        ("/no", 404),
    ):
        assert page.goto(path).status == code  # type: ignore[union-attr]
        assert_fine(page, f"{code} at {path}")

    mia = people.browser(app, acme.mia)

    def broken(route: Route) -> None:
        with failing(app):
            answer = mia.get("/login")
        route.fulfill(status=answer.status_code, headers=dict(answer.headers), body=answer.get_data())

    page.route("**/broken", broken)
    assert page.goto("/broken").status == 500  # type: ignore[union-attr]
    expect(page.locator("#error-id")).to_be_visible()
    assert_fine(page, "500")


@contextmanager
def failing(app: Flask) -> Any:
    """Signing in breaks on our side."""
    kept = app.view_functions["accounts.login"]
    app.view_functions["accounts.login"] = lambda: 1 / 0
    try:
        yield
    finally:
        app.view_functions["accounts.login"] = kept
