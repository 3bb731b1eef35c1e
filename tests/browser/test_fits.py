"""What a page says has its room, on a desk and on phones; what is pressed last comes last."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from dataelan_web.extensions import db
from dataelan_web.models import Comparison, ComparisonRun
from tests import people

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
    assert too_wide(page, "table.models .model-name > strong") == []
    page.goto(f"{acme.home}/hub/providers/{provider}")
    address = page.locator("dd > code").filter(has_text="https://api.openai.com/v1")
    assert address.evaluate("e => e.innerText") == "https://api.openai.com/v1"
    lines = address.evaluate("""e => [...e.childNodes].filter(node => node.data).map(({ data }) => data)""")
    assert "v1" in lines, "it is broken after a slash, where it must be"


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
