"""What a page says has its room, on a desk and on phones; what is pressed last comes last."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from playwright.sync_api import Page, expect

from dataelan_web.extensions import db
from dataelan_web.models import (
    NANO,
    Annotation,
    Budget,
    Comparison,
    ComparisonRun,
    Happening,
    ModelType,
    Scope,
    TemplateVersion,
    Window,
    now,
)
from dataelan_web.prompts.content import Content, Turn
from tests import people
from tests.test_rollups import count_all

from . import steps
from .conftest import Opener

DESK: Any = {"width": 1280, "height": 800}
PHONES: Any = ({"width": 390, "height": 844}, {"width": 360, "height": 780})


def too_wide(page: Page, selector: str) -> list[str]:
    """The texts of these that are wider than their boxes."""
    assert page.locator(selector).count()
    found: list[str] = page.locator(selector).evaluate_all(
        "all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)"
    )
    return found


def test_a_dashboard_without_a_past_says_so_inside_its_tiles(open_page: Opener, acme: people.Cast) -> None:
    page = open_page(acme.olivia, viewport=DESK)
    page.goto(f"{acme.home}/dashboard")
    expect(page.locator(".stat-note").first).to_have_text("No earlier data")
    assert too_wide(page, ".stat-note") == []


def test_a_new_token_stands_beside_the_way_to_try_it(open_page: Opener, acme: people.Cast) -> None:
    page = open_page(acme.olivia)
    page.goto(f"{acme.home}/projects/{acme.project.id}/tokens")
    page.get_by_label("What is it for?").fill("Billing")
    last = page.get_by_label("Models and rules it may ask for")
    last.focus()
    page.keyboard.press("Tab")
    create = page.get_by_role("button", name="Create token")
    expect(create).to_be_focused()
    above, below = last.bounding_box(), create.bounding_box()
    assert above
    assert below
    assert above["y"] < below["y"]
    create.click()
    page.locator("#secret").wait_for()
    page.get_by_role("link", name="a form to try them").click()
    page.wait_for_url("**/api")
    page.locator("[data-try] [name=token]").fill(acme.secret)
    page.get_by_role("button", name="Send").click()
    answer = page.locator("[data-try-answer]")
    expect(answer).to_contain_text("Status")
    expect(page.locator("[data-try-state]")).to_contain_text(" ms")  # it is all there
    page.locator("[data-try] [name=body]").fill("{")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("This is no JSON")).to_be_visible()
    expect(answer).to_be_hidden()  # it was another body's


def test_on_a_phone_nothing_under_an_answer_lies_over_another(open_page: Opener, acme: people.Cast) -> None:
    page = open_page(acme.mia, viewport=PHONES[0], has_touch=True, is_mobile=True)
    page.goto(acme.session_url)
    run = steps.finished(steps.ask(page, "Hello", "simulated/simulated-fast"))
    for phone in PHONES:
        page.set_viewport_size(phone)
        last, first = run.locator(".receipt .turn").bounding_box(), run.locator(".run-acts > *").first.bounding_box()
        assert last
        assert first
        assert last["x"] + last["width"] <= first["x"], phone
        expect(run.get_by_text("Why this model?")).to_be_visible()
        model_fact, speed = run.locator(".fact-model").bounding_box(), run.locator(".fact-speed").bounding_box()
        assert model_fact
        assert speed
        assert speed["x"] - model_fact["x"] - model_fact["width"] < 32, phone


def sticks_out(page: Page, selector: str) -> list[str]:
    """What of these reaches past the sides of the page's content."""
    assert page.locator(selector).count()
    found: list[str] = page.locator("main").evaluate(
        """(main, selector) => {
          const box = e => e.getBoundingClientRect(), style = getComputedStyle(main);
          const padding = side => parseFloat(style['padding' + side]);
          const left = box(main).left + padding('Left') - 1, right = box(main).right - padding('Right') + 1;
          const isOut = e => e.checkVisibility() && (box(e).left < left || box(e).right > right);
          return [...main.querySelectorAll(selector)].filter(isOut).map(e => e.outerHTML);
        }""",
        selector,
    )
    return found


def test_on_a_phone_days_of_the_audit_log_and_acts_on_a_comparison_stay_in_the_page(
    open_page: Opener, acme: people.Cast
) -> None:
    one, other = (people.ended(acme, "Compare tea", answer) for answer in ("One", "Other"))
    compared = Comparison(session=acme.session, user_id=acme.mia.id, submission=str(one.id), repeats=1, is_blind=False)
    compared.runs = [
        ComparisonRun(id=run.id, place=place, turn=0, requested="auto") for place, run in enumerate((one, other))
    ]
    db.session.add(compared)
    db.session.commit()
    page = open_page(acme.olivia, viewport=PHONES[0], has_touch=True, is_mobile=True)
    for phone in PHONES:
        page.set_viewport_size(phone)
        page.goto(f"{acme.home}/audit")
        assert sticks_out(page, ".audit-dates *") == []
        page.goto(f"{acme.home}/comparisons/{compared.id}")
        page.get_by_label("More for this comparison").click()
        assert sticks_out(page, ".page-actions *") == []


def test_titles_names_and_addresses_use_the_room_there_is(open_page: Opener, acme: people.Cast) -> None:
    acme.session.title = "Give me three questions that a team should ask"
    db.session.commit()
    provider = people.own_provider(acme, "https://api.openai.com/v1").provider_id
    page = open_page(acme.olivia, viewport=DESK)
    page.goto(f"{acme.home}/")
    title = page.locator("table.recent .row-link > span")
    assert title.evaluate("e => e.scrollHeight <= e.clientHeight")
    page.goto(f"{acme.home}/hub/models?q=simulated")
    for width in (1024, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert too_wide(page, "table.models .model-name > strong") == []
        assert page.locator("table.models").evaluate("e => e.scrollWidth <= e.parentElement.clientWidth"), width
    page.goto(f"{acme.home}/hub/providers/{provider}")
    address = page.locator("dd > code").filter(has_text="https://api.openai.com/v1")
    assert address.evaluate("e => e.innerText") == "https://api.openai.com/v1"
    lines = address.evaluate("""e => [...e.childNodes].filter(node => node.data).map(({ data }) => data)""")
    assert "v1" in lines, "it is broken after a slash, where it must be"


def test_what_is_cut_off_says_itself_whole_and_what_kind_a_session_is_of_is_told(
    open_page: Opener, acme: people.Cast
) -> None:
    acme.session.title, acme.session.model_type = "Jahresabschlussunterlagen" * 3, ModelType.VIDEO
    db.session.commit()
    page = open_page(acme.olivia, viewport=DESK)
    page.goto(f"{acme.home}/projects/{acme.project.id}")
    here = page.locator(".side-session")
    expect(here).to_have_accessible_name(f"Video {acme.session.title}")
    here.hover()
    expect(here).to_have_attribute("title", acme.session.title)
    home = page.get_by_role("link", name="Home")
    home.hover()
    assert home.get_attribute("title") is None


def test_on_a_phone_no_name_makes_a_page_wider_than_it_is(open_page: Opener, acme: people.Cast) -> None:
    name = "Jahresabschlussunterlagen" * 3
    acme.organization.name = acme.project.name = acme.session.title = acme.mia.name = name
    draft, prompt = people.batch(acme, name=name), people.template(acme, "Hello", name=name)
    budget = Budget(organization_id=acme.organization.id, scope=Scope.PROJECT, subject_id=acme.project.id, limit=NANO)
    budget.window = Window.MONTH
    db.session.add(budget)
    db.session.commit()
    page = open_page(acme.olivia, viewport=PHONES[1])
    for place in (
        f"projects/{acme.project.id}",
        f"sessions/{acme.session.id}",
        f"batches/{draft.id}",
        f"prompts/{prompt.id}/versions",
        f"limits/{budget.id}",
        "members",
        "settings/ownership",
    ):
        page.goto(f"{acme.home}/{place}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place


def test_what_is_new_in_a_prompt_says_so_beside_its_title(open_page: Opener, acme: people.Cast) -> None:
    template = people.template(acme, "Hello")
    content = Content(messages=(Turn("user", "Hello"),), requested="simulated/simulated-fast", system="Be kind.")
    version = TemplateVersion(template_id=template.id, number=2, message="Kinder", author_id=acme.mia.id)
    version.content, version.digest, template.newest = content.settled.to_json(), content.digest, 2
    db.session.add(version)
    db.session.commit()
    page = open_page(acme.mia, viewport=DESK)
    page.goto(f"{acme.home}/prompts/{template.id}/differences?before=1&after=2")
    title, badge = page.locator(".diff h3").first.bounding_box(), page.locator(".diff h3 .tag").first.bounding_box()
    assert title
    assert badge
    assert badge["width"] < 60
    assert badge["height"] <= title["height"]
    before, after = page.locator(".diff-settings del").bounding_box(), page.locator(".diff-settings ins").bounding_box()
    assert before
    assert after
    assert before["y"] == after["y"]


def test_words_on_a_chart_lie_over_no_others(open_page: Opener, acme: people.Cast) -> None:
    for days in (20, 15, 9, 7, 2, 0):
        at = now() - timedelta(days=days)
        run = people.ended(acme, "Hello", "Yes", created_at=at, finished_at=at)
        note = {"organization_id": acme.organization.id, "user_id": acme.mia.id, "at": run.created_at}
        db.session.add(Annotation(**note, kind=Happening.INCIDENT, text="A provider was slow, and we went elsewhere"))
    db.session.commit()
    count_all()
    page = open_page(acme.mia, viewport=DESK)
    page.goto(f"{acme.home}/dashboard/performance")
    page.locator(".figure .annotation-text").first.wait_for()
    over = page.locator(".figure").evaluate_all(
        """figures => figures.flatMap(figure => {
          const words = [...figure.querySelectorAll('.annotation-text')];
          const boxes = words.map(e => [e.textContent, e.getBoundingClientRect()]);
          return boxes.flatMap(([one, a], at) => boxes.slice(at + 1)
            .filter(([, b]) => a.left < b.right && b.left < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom)
            .map(([other]) => `${one} / ${other}`));
        })"""
    )
    assert over == []


def test_nobody_is_let_in_who_was_not_chosen(open_page: Opener, acme: people.Cast) -> None:
    page = open_page(acme.olivia)
    page.goto(f"{acme.home}/projects/{acme.project.id}/people")
    member = page.get_by_label("Member", exact=True)
    expect(member).to_have_value("")
    page.get_by_role("button", name="Let in").click()
    assert member.evaluate("e => e.matches(':invalid')")
    member.select_option(str(acme.victor.id))
    page.get_by_role("button", name="Let in").click()
    expect(page.locator("#toasts")).to_contain_text("Victor was let in")
