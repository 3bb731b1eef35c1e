"""Sending a form twice, in a browser: by a double click, by a line that breaks, and on purpose."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect
from sqlalchemy import func, select

from dataelan_web.extensions import db
from dataelan_web.models import Comment, Execution, GatewayToken, Project
from tests import people

from . import steps  # noqa: F401  (sets how patient `expect` is)
from .test_pages import look  # noqa: F401  (a fixture)

Opener = Callable[..., Page]


def count(what: type, **where: object) -> int:
    db.session.rollback()
    return int(db.session.scalar(select(func.count()).select_from(what).filter_by(**where)) or 0)


@pytest.fixture
def run(acme: people.Cast) -> Execution:
    model = people.simulated_model()
    made = people.ended(acme, "What is a fjord?", "A drowned valley.")
    made.model, made.provider = model, model.provider
    db.session.commit()
    return made


def talk(page: Page, cast: people.Cast, run: Execution) -> None:
    page.goto(f"{cast.home}/executions/{run.id}")
    page.get_by_role("button", name="Comment", exact=False).first.click()
    expect(page.get_by_label("Comment, for everybody")).to_be_visible()


def say(page: Page, words: str) -> None:
    page.get_by_label("Comment, for everybody").fill(words)
    page.keyboard.press("Control+Enter")


def test_the_same_comment_is_written_twice_by_who_writes_it_twice(
    look: Opener,  # noqa: F811
    acme: people.Cast,
    run: Execution,
) -> None:
    page = look(acme.mia)
    talk(page, acme, run)
    for times in (1, 2):
        say(page, "Good")
        expect(page.locator(".comment-text")).to_have_count(times)
    assert count(Comment, execution_id=run.id) == 2


def first_answer_lost(page: Page, where: str) -> list[int]:
    """The first form that is sent there is done, and its answer never comes. Its status, once it was lost."""
    lost: list[int] = []

    def lose(route: Route) -> None:
        if lost or route.request.method != "POST":
            route.continue_()
            return
        lost.append(route.fetch().status)
        route.abort("connectionreset")

    page.route(where, lose)
    return lost


def test_a_comment_whose_answer_was_lost_is_sent_again_and_is_there_once(
    look: Opener,  # noqa: F811
    acme: people.Cast,
    run: Execution,
) -> None:
    page = look(acme.mia, strict=False)  # it complains of what was lost
    talk(page, acme, run)

    lost = first_answer_lost(page, "**/comments")
    say(page, "Good")
    expect(page.get_by_text("Dataelan cannot be reached")).to_be_visible()
    assert lost == [201]
    assert count(Comment, execution_id=run.id) == 1
    page.get_by_label("Comment, for everybody").press("Control+Enter")
    expect(page.locator(".comment-text")).to_have_count(1)
    assert count(Comment, execution_id=run.id) == 1
    say(page, "Good")
    expect(page.locator(".comment-text")).to_have_count(2)


SECRET = re.compile(r"dlan_[\w-]{43}")
TWICE = "form => { form.requestSubmit(); form.requestSubmit(); }"


def test_a_double_click_makes_one_token_and_its_secret_stays_to_be_copied(
    look: Opener,  # noqa: F811
    acme: people.Cast,
) -> None:
    page, sent = look(acme.mia), []
    page.goto(f"{acme.home}/projects/{acme.project.id}/tokens")
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    form = page.locator("form", has=page.get_by_label("What is it for?"))
    form.get_by_label("What is it for?").fill("Nightly")
    form.evaluate(TWICE)
    page.wait_for_load_state("networkidle")
    assert SECRET.search(page.locator("#tokens").inner_text())
    assert len(sent) == 1
    assert count(GatewayToken, project_id=acme.project.id) == 1


def test_a_token_whose_secret_was_lost_on_the_way_is_told_of(look: Opener, acme: people.Cast) -> None:  # noqa: F811
    page = look(acme.mia, strict=False)  # it complains of what was lost
    page.goto(f"{acme.home}/projects/{acme.project.id}/tokens")

    first_answer_lost(page, "**/tokens")
    form = page.locator("form", has=page.get_by_label("What is it for?"))
    form.get_by_label("What is it for?").fill("Nightly")
    form.get_by_role("button").last.click()
    expect(page.get_by_text("Dataelan cannot be reached")).to_be_visible()
    form.get_by_role("button").last.click()
    expect(page.get_by_text("done once")).to_be_visible()
    assert count(GatewayToken, project_id=acme.project.id) == 1
    with page.expect_response("**/tokens") as answer:  # on purpose now: the page knows that its mark is spent
        form.get_by_role("button").last.click()
    assert "dlan_" in answer.value.text()
    assert count(GatewayToken, project_id=acme.project.id) == 2


def test_a_double_click_makes_one_project_where_a_whole_page_follows(look: Opener, acme: people.Cast) -> None:  # noqa: F811
    page = look(acme.mia)
    page.goto(f"{acme.home}/")
    before = count(Project, organization_id=acme.organization.id)
    form = page.locator(f'form[action="{acme.home}/projects"]')
    form.evaluate("form => { form.elements.name.value = 'Twice'; }")
    form.evaluate(TWICE)
    page.wait_for_url("**/projects/*")
    assert count(Project, organization_id=acme.organization.id) == before + 1
    page.go_back()
    form = page.locator(f'form[action="{acme.home}/projects"]')
    assert not form.evaluate("form => form.hasAttribute('data-sending')"), "it can be sent again"
