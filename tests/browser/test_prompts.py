"""Prompts in the browser: from the first word to a program that asks for what two people agreed on."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable

import httpx2
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import select

from dataelan_web.extensions import db
from dataelan_web.models import Proposal, Template, TemplateCase, TemplateDraft, TemplateLabel
from dataelan_web.prompts.content import Content, Turn
from dataelan_web.prompts.variables import Kind, Variable
from tests import people
from tests.conftest import wait_until

from . import steps
from .test_pages import assert_fine, look  # noqa: F401  (a fixture)

Look = Callable[..., Page]
Opener = Callable[..., Page]
FAST = "simulated/simulated-instant"


def type_into(field: Locator, text: str) -> None:
    """As a person does: at the end of what is there."""
    field.click()
    field.page.keyboard.press("Control+End")
    field.press_sequentially(text)


def kept(page: Page, *words: str) -> None:
    """Until what was typed last is kept: the draft of whoever typed it holds these words."""
    id = page.url.partition("?")[0].rsplit("/", 1)[1]

    def is_kept() -> bool:
        db.session.rollback()
        draft = db.session.scalars(select(TemplateDraft).where(TemplateDraft.template_id == uuid.UUID(id))).first()
        return draft is not None and all(word in json.dumps([draft.content, draft.values]) for word in words)

    wait_until(is_kept)


def test_a_prompt_from_its_first_word_to_a_program_that_asks_for_it(
    look: Look,  # noqa: F811
    acme: people.Cast,
    server: str,
) -> None:
    mia = look(acme.mia)
    mia.goto(f"{acme.home}/projects/{acme.project.id}")
    mia.get_by_role("link", name="Prompts", exact=True).click()
    assert_fine(mia, "no prompts yet")
    mia.get_by_role("button", name="New prompt").first.click()
    mia.get_by_label("Name").fill("Greet a guest")
    mia.get_by_role("button", name="Create prompt").click()

    # Variables appear as they are typed, what is none is told, and nothing is lost by a reload.
    message = mia.locator("#message-0")
    type_into(message, "Greet {{guest}} in {{7*7}} words")
    expect(mia.locator("#value-guest")).to_be_visible()
    expect(mia.locator("#odd-0")).to_contain_text("{{7*7}} is no variable")
    expect(mia.locator("#still")).to_contain_text("guest")
    type_into(message, " and {{mood}}")
    expect(mia.locator("#value-mood")).to_be_visible()
    mia.locator("#value-guest").fill("Ada")
    type_into(message, ".")
    expect(mia.locator("#value-guest")).to_have_value("Ada")
    expect(message).to_have_value("Greet {{guest}} in {{7*7}} words and {{mood}}.")
    mia.locator("#reasoning_effort").select_option("low")
    mia.locator("#model").select_option(FAST)
    expect(mia.locator("#reasoning_effort")).to_be_visible()  # what was chosen stays in view
    expect(mia.locator("#editor [data-takes]")).to_have_text("This model takes no setting for thinking.")
    mia.locator("#reasoning_effort").select_option("")
    mia.locator("#model").select_option("auto")
    mia.locator("#model").select_option(FAST)
    expect(mia.locator("#reasoning_effort")).to_be_hidden()
    message.fill("Greet {{guest}} in a {{mood}} mood.")
    kept(mia, "in a {{mood}} mood.", FAST, "Ada")
    expect(mia.locator("#odd-0")).to_be_empty()
    mia.reload()
    expect(message).to_have_value("Greet {{guest}} in a {{mood}} mood.")
    expect(mia.locator("#value-guest")).to_have_value("Ada")
    expect(mia.locator("#model")).to_have_value(FAST)

    # Without a value it is not run; with it, by keyboard alone.
    mia.get_by_role("button", name="Run", exact=True).click()
    expect(mia.locator("#said-variable-mood")).to_contain_text("“mood” is missing")
    expect(mia.locator("#not-run")).to_contain_text("cannot be asked yet")
    mia.locator("#variables .variable", has_text="mood").locator("summary").click()
    mia.locator("#kind-mood").select_option("choice")
    mia.locator("#options-mood").fill("merry\nsolemn")
    mia.locator("#default-mood").fill("merry")
    kept(mia, '"default": "merry"', '["merry", "solemn"]')
    mia.reload()
    expect(mia.locator("#value-mood option")).to_have_text(["merry (default)", "merry", "solemn"])
    message.focus()
    mia.keyboard.press("Control+Enter")
    run = steps.finished(steps.card(mia))
    expect(run).to_contain_text("Draft")
    assert steps.in_view(mia.locator("#tries-title")), "the answer was brought into sight"
    assert steps.stored(run).template_run.values == {"guest": "Ada", "mood": "merry"}  # type: ignore[union-attr]
    expect(mia.locator("#announcer")).to_have_text("Answer ready")

    # Published, with the difference in view; then changed, and compared without being saved.
    mia.get_by_role("button", name="Publish…").click()
    mia.get_by_label("What changed, and why?").fill("First words")
    mia.get_by_role("button", name="Publish version 1").click()
    expect(mia.get_by_role("heading", name="Version 1")).to_be_visible()
    mia.get_by_role("link", name="Edit", exact=True).click()
    expect(mia.locator("#draft-state")).to_contain_text("As it is published")
    type_into(message, "\nEnd with a question.")
    expect(mia.locator("#draft-state")).to_contain_text("Changed since v1")
    mia.get_by_role("button", name="Compare with").click()
    expect(mia.locator(".try").first.locator(".run")).to_have_count(2)
    for place in (0, 1):
        steps.finished(mia.locator(".try").first.locator(".run").nth(place))
    expect(mia.locator(".try").first).to_contain_text("v1")
    assert_fine(mia, "the editor")
    mia.set_viewport_size({"width": 1440, "height": 900})
    mia.get_by_role("link", name="What changed").click()
    expect(mia.locator(".diff ins")).to_have_text(["End with a question."])
    assert_fine(mia, "differences")

    # A case, and a proposal that another person looks at with the answers of both.
    mia.get_by_role("link", name="Cases", exact=True).click()
    mia.get_by_role("link", name="Add a case").click()
    mia.get_by_label("Name").fill("A shy guest")
    mia.get_by_label("guest", exact=True).fill("Bea")
    assert_fine(mia, "a case")
    mia.get_by_role("button", name="Save case").click()
    mia.get_by_role("link", name="Edit", exact=True).click()
    mia.get_by_role("button", name="Publish…").click()
    expect(mia.get_by_label("What changed, and why?")).to_be_visible()
    assert_fine(mia, "before it is published")
    mia.get_by_label("What changed, and why?").fill("Guests should be asked something")
    mia.get_by_label("Then let this label").fill("production")
    mia.get_by_role("button", name="Publish version 2").click()
    expect(mia.get_by_role("alert").first).to_contain_text("“production” is protected")
    mia.get_by_role("button", name="Propose it").click()
    expect(mia.get_by_role("heading", name="Guests should be asked something")).to_be_visible()
    expect(mia.get_by_role("button", name="Approve")).to_have_count(0)

    adam = look(acme.adam)
    adam.goto(mia.url)
    adam.get_by_role("button", name="Ask for 2 missing answers").click()
    expect(adam.locator(".answers-act")).to_contain_text("All answers are there")
    expect(adam.locator(".case-answer .prompt-text")).to_have_count(2)
    adam.locator("#comment").fill("Good. Which question?")
    adam.get_by_role("button", name="Comment").click()
    expect(adam.locator(".comments")).to_contain_text("Which question?")
    assert_fine(adam, "a proposal")
    adam.set_viewport_size({"width": 1440, "height": 900})
    adam.get_by_role("button", name="Approve and publish v2").click()
    expect(adam.locator(".proposal-head")).to_contain_text("Approved by Adam")
    adam.get_by_role("link", name="Versions", exact=True).click()
    expect(adam.get_by_role("row", name="v2")).to_contain_text("production")
    assert_fine(adam, "versions")

    template = db.session.query(Template).filter_by(project_id=acme.project.id).one()
    answer = httpx2.post(
        f"{server}/v1/chat/completions",
        json={"model": f"prompt:{template.slug}@production", "prompt": {"variables": {"guest": "Cleo"}}},
        headers={"Authorization": f"Bearer {acme.token()}"},
        trust_env=False,
    )
    assert answer.status_code == 200
    assert answer.headers["x-dataelan-prompt"] == "greet-a-guest@2"
    adam.get_by_role("link", name="Runs", exact=True).click()
    expect(adam.get_by_role("row", name="a program")).to_contain_text("Cleo")
    assert_fine(adam, "runs")
    adam.set_viewport_size({"width": 1440, "height": 900})

    # Back, moved away from, deleted and brought back.
    adam.get_by_role("link", name="Versions", exact=True).click()
    adam.get_by_role("row", name="v1").get_by_label("More for version 1").click()
    adam.get_by_role("link", name="Publish it again").click()
    adam.get_by_role("button", name="Publish version 3").click()
    expect(adam.get_by_role("heading", name="Version 3")).to_be_visible()
    adam.get_by_role("button", name="Label it…").click()
    expect(adam.get_by_role("heading", name="Version 3")).to_be_visible()  # the browser asks for a name first
    adam.locator("#label-name").fill("production")
    adam.get_by_role("button", name="Label it…").click()
    expect(adam.locator("#content h2").first).to_have_text("“production”: version 2 → version 3")
    adam.get_by_role("button", name="Move production to v3").click()
    expect(adam.locator(".label-rows")).to_contain_text("version 3")
    adam.get_by_role("link", name="Edit", exact=True).click()
    adam.get_by_label("More", exact=True).click()
    adam.wait_for_load_state("networkidle")  # what it asks for by itself is no complaint then
    adam.get_by_role("button", name="Delete", exact=True).click()
    adam.get_by_role("button", name="Delete prompt").click()
    adam.get_by_role("button", name="Undo").click()
    expect(adam.get_by_role("heading", name="Greet a guest")).to_be_visible()
    adam.get_by_role("link", name="Prompts", exact=True).click()
    assert_fine(adam, "prompts")


def test_messages_are_moved_and_removed_with_what_is_in_them(open_page: Opener, acme: people.Cast) -> None:
    page = open_page(acme.mia)
    page.goto(f"{acme.home}/prompts/{people.template(acme, 'One').id}")
    page.get_by_role("button", name="Message", exact=True).click()
    page.locator("#message-1").fill("Two")
    page.get_by_role("button", name="Message", exact=True).click()
    page.locator("#message-2").fill("Three")
    page.locator("#message-0").fill("First")
    page.get_by_role("button", name="Move message 3 up").click()
    expect(page.locator("#message-1")).to_have_value("Three")
    page.get_by_role("button", name="Remove message 1").click()
    expect(page.locator("#message-0")).to_have_value("Three")
    expect(page.locator("#message-1")).to_have_value("Two")
    expect(page.locator("[name=message_text]")).to_have_count(2)
    type_into(page.locator("#message-1"), " {{more}}")
    kept(page, "Two {{more}}")
    page.reload()
    expect(page.locator("#message-1")).to_have_value("Two {{more}}")
    expect(page.locator("#value-more")).to_be_visible()


def test_nothing_that_a_prompt_holds_runs_in_a_page_even_without_the_policy(
    look: Look,  # noqa: F811
    acme: people.Cast,
) -> None:
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'><svg/onload=alert(3)>{{constructor}}"
    variables = (Variable("constructor", Kind.CHOICE, evil, evil, options=(evil,)),)
    template = people.template(acme, f"One {evil}", f"Two {evil}", name=evil[:200], variables=variables, schema=evil)
    template.description = evil
    draft = Content(system=evil, messages=(Turn("user", evil),), variables=variables)
    proposal = Proposal(template_id=template.id, number=1, author_id=acme.mia.id, message=evil, base=2, publishes=True)
    proposal.content, proposal.digest = draft.to_json(), draft.digest
    case = TemplateCase(template_id=template.id, name=evil[:200], values={"constructor": evil}, expected=evil)
    db.session.add_all([proposal, case, TemplateLabel(template_id=template.id, name="production", number=1)])
    db.session.commit()
    page = look(acme.adam, strict=False)
    prompt = f"{acme.home}/prompts/{template.id}"
    for path in (
        "",
        "/versions/2",
        "/versions",
        "/differences?before=1&after=p1",
        "/publication?source=1",
        "/labels?name=production&to=2",
        "/cases?source=2&source=p1",
        "/proposals/1",
    ):
        page.goto(prompt + path)
        page.evaluate("() => document.querySelectorAll('details').forEach(part => { part.open = true })")
        expect(page.locator("h1")).to_contain_text("<img src=x")
    page.goto(f"{acme.home}/projects/{acme.project.id}/prompts")
    expect(page.locator("#found")).to_contain_text("<img src=x")
    assert page.watch.dialogs == []  # type: ignore[attr-defined]
    assert page.watch.elsewhere == []  # type: ignore[attr-defined]
