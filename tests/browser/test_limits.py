"""Limits in the browser: set by an owner, met by a member, more asked for and granted, and the retry goes through."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from playwright.sync_api import Page, expect
from sqlalchemy import select

from dataelan_web import quota
from dataelan_web.accounts.sign_up import create_project
from dataelan_web.extensions import db
from dataelan_web.models import NANO, Answer, Budget, Model, Pace, RateLimit, Scope, State, Unit, Window, now
from tests import people, test_asking_for_speed, used
from tests.test_undone import MAKERS, made

from . import steps
from .test_pages import assert_fine, look  # noqa: F401  (a fixture)

Look = Callable[..., Page]
Opener = Callable[..., Page]


def budgets_of(cast: people.Cast) -> list[Budget]:
    db.session.rollback()
    mine = select(Budget).filter_by(organization_id=cast.organization.id, deleted_at=None).order_by(Budget.id)
    return list(db.session.scalars(mine.execution_options(populate_existing=True)))


def test_a_limit_is_set_met_raised_for_a_while_and_the_retry_goes_through(
    look: Look,  # noqa: F811
    acme: people.Cast,
    simulated: str,
    worker: object,
) -> None:
    key = people.own_provider(acme, simulated)
    model = people.own_model(acme, key, "simulated-instant", input=NANO, output=NANO)

    olivia = look(acme.olivia)
    olivia.goto(f"{acme.home}/limits")
    assert_fine(olivia, "no limits yet")
    olivia.get_by_role("link", name="Set a limit").first.press("Enter")
    olivia.get_by_label("Which one").select_option(label=acme.project.name)
    olivia.get_by_label("Amount in USD").fill("-1")
    expect(olivia.locator("#said-amount")).to_have_text("It cannot be negative.")
    expect(olivia.get_by_label("Amount in USD")).to_be_focused()
    olivia.get_by_label("Amount in USD").fill("0.00001")
    words = olivia.locator(".said-words")
    expect(words).to_contain_text(
        f"Refuse prompts of project {acme.project.name} once they cost $0.00001 in a calendar"
    )
    expect(olivia.locator("#said-amount")).to_have_text("")
    olivia.get_by_label("Tell at").fill("90")
    expect(words).to_contain_text("tell its people at 90")
    olivia.get_by_label("Tell at").press("Enter")
    olivia.wait_for_url("**/limits/*-*")
    expect(olivia.get_by_role("heading", name=f"Project {acme.project.name}", level=1)).to_be_visible()
    (budget,) = budgets_of(acme)
    assert (budget.limit, budget.alerts) == (10_000, [90])

    mia = look(acme.mia)
    mia.goto(acme.session_url)
    run = steps.finished(steps.ask(mia, "Summarize this contract", f"{key.provider.slug}/{model.name}"))
    expect(run).to_contain_text(f"The limit on Project {acme.project.name} stopped this")
    expect(run).to_contain_text("left of $0.00001 a month")
    assert_fine(mia, "a refused run")
    assert steps.stored(run).refused_by == budget.id
    mia.set_viewport_size({"width": 1440, "height": 900})
    run.get_by_role("link", name="Ask for more").press("Enter")
    amount = mia.get_by_label("How much more")
    expect(amount).to_be_focused()
    expect(mia.locator("#amount-hint")).to_contain_text("The refused prompt may use up to $0.00")
    assert float(amount.input_value()) > 0.001, "what the prompt needs is filled in"
    assert_fine(mia, "asking for more")
    mia.get_by_label("What for?").fill("The contracts of the north region")
    mia.get_by_role("button", name="Ask", exact=True).press("Enter")
    mia.wait_for_url(f"**/limits/{budget.id}")
    expect(mia.locator(".asked")).to_contain_text("You asked for")

    olivia.goto(f"{acme.home}/limits")
    asked = olivia.locator(".asked")
    expect(asked).to_contain_text("The contracts of the north region")
    olivia.locator(".answering > summary").press("Enter")
    assert_fine(olivia, "a request, about to be answered")
    olivia.get_by_label("How much more").fill("nothing")
    olivia.get_by_role("button", name="Grant it").press("Enter")
    expect(olivia.locator(".asked .field-error")).to_contain_text("Enter an amount in US dollars")
    olivia.get_by_label("How much more").fill("0.50")
    olivia.get_by_label("How much more").press("Enter")
    expect(asked).to_contain_text("Granted")
    expect(asked).to_be_focused()
    expect(olivia.locator(f"#standing-{budget.id}")).to_contain_text("left of $0.50001 ($0.50 of it for a while)")
    expect(olivia.locator(".toast-card").last).to_contain_text("$0.50 more is granted.")

    mia.goto(acme.session_url)
    expect(mia.locator(".run")).to_contain_text("Since then $0.50 more was granted: retry it.")
    mia.get_by_role("button", name="Retry").click()
    expect(mia.get_by_role("group", name="Branch 2 of 2")).to_be_visible()
    again = steps.finished(steps.card(mia))
    assert steps.stored(again).state is State.COMPLETED
    mia.goto(f"{acme.home}/limits/{budget.id}")
    expect(mia.locator(".shares")).to_contain_text("Own / simulated-instant")


def test_limits_of_every_kind_are_read_changed_and_deleted(
    look: Look,  # noqa: F811
    acme: people.Cast,
) -> None:
    acme.organization.time_zone = "Europe/Berlin"
    long = create_project(acme.organization, acme.olivia, "Contract summaries of the northern region, 2026 and 2027")
    db.session.commit()
    whole = used.limit(acme, Scope.ORGANIZATION, acme.organization.id, 500 * NANO)
    used.period(whole, 312 * NANO)
    used.held(acme, whole, 7 * NANO, acme.mia)
    used.held(acme, whole, 12_000_000)
    soft = used.limit(acme, Scope.ORGANIZATION, acme.organization.id, 40 * NANO, window=Window.DAY, is_hard=False)
    used.period(soft, 46 * NANO)
    weekly = used.limit(acme, Scope.PROJECT, long.id, 2_000_000, unit=Unit.TOKENS, window=Window.WEEK)
    used.period(weekly, 2_000_000)
    for weeks in (1, 2):
        used.period(weekly, 900_000 * weeks, at=now() - timedelta(weeks=weeks))
    used.limit(acme, Scope.MEMBER, acme.mia.id, 500, unit=Unit.REQUESTS, window=Window.TOTAL)
    quota.set_limit(db.session, None, Scope.ORGANIZATION, acme.organization.id, Window.MONTH, 1_000 * NANO)
    answered = used.asked(acme, weekly, acme.mia, 100_000, "For Friday,\nat the latest")
    answered.answer, answered.answered_by, answered.answered_at = Answer.DECLINED, acme.olivia.id, now()
    answered.answer_note = "Next week."
    used.charge(acme, 9 * NANO, acme.mia, "a-model-with-a-rather-long-name-2026-11-23", tokens=2_000_000)
    db.session.commit()

    page = look(acme.olivia)
    page.goto(f"{acme.home}/limits")
    page.locator(".standing-held > summary").press("Enter")
    expect(page.locator(".holders")).to_contain_text("A run through the gateway")
    assert_fine(page, "limits of every kind")
    page.goto(f"{acme.home}/")
    assert_fine(page, "home with a limit")
    page.goto(f"{acme.home}/limits/{weekly.id}")
    expect(page.locator(".past li")).to_have_count(2)
    assert_fine(page, "a limit's page")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_role("link", name="Edit").click()
    expect(page.get_by_label("Tokens")).to_be_focused()
    expect(page.get_by_label("Tokens")).to_have_value("2,000,000")
    page.get_by_label("Tokens").fill("1000")
    expect(page.locator("#said")).to_contain_text("is used already this week: prompts are refused")
    assert_fine(page, "a limit below what is used")
    page.get_by_role("radio", name="Only tell").check()
    expect(page.locator(".said-words")).to_contain_text("Refuse nothing")
    page.get_by_role("button", name="Save limit").click()
    expect(page.locator(".toast-card").last).to_contain_text("The limit was changed.")
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("#confirm-text")).to_contain_text("Prompts that it would refuse are sent")
    page.locator("#confirm-ok").click()
    page.wait_for_url("**/limits")
    assert len(budgets_of(acme)) == 3

    page.get_by_role("link", name="Limit the speed").click()
    page.get_by_label("A limit on").select_option(label="A member")
    page.get_by_label("Which one").select_option(f"member:{acme.mia.id}")
    page.get_by_label("Requests a minute").fill("40")
    expect(page.locator(".said-words")).to_have_text(
        "Refuse prompts of Mia beyond 40 requests a minute; a moment later they may be sent again."
    )
    assert_fine(page, "a speed")
    page.get_by_label("Requests a minute").press("Enter")
    page.wait_for_url("**/limits")
    expect(page.locator(".speeds")).to_contain_text("40 requests a minute")
    mine = select(RateLimit).where(RateLimit.organization_id == acme.organization.id)
    (rate,) = db.session.scalars(mine)
    assert rate.requests_per_minute == 40

    mia = look(acme.mia)
    run = test_asking_for_speed.stopped(acme, rate, Pace.REQUESTS, words="The member's limit is reached.")
    mia.goto(acme.session_url)
    expect(mia.locator(".refused")).to_contain_text("Now 40 requests a minute.")
    assert_fine(mia, "a run that was too fast")
    mia.get_by_role("link", name="Ask for more").press("Enter")
    expect(mia.get_by_label("How much more")).to_have_value("10")
    expect(mia.locator("#amount-hint")).to_contain_text("In requests a minute, on top of 40.")
    mia.get_by_label("How much more").fill("20")
    mia.get_by_label("What for?").fill("The nightly import")
    assert_fine(mia, "asking to go faster")
    mia.get_by_role("button", name="Ask", exact=True).press("Enter")
    mia.wait_for_url("**/limits#rate-*")
    expect(mia.locator(".asked")).to_contain_text("You asked for 20 requests a minute more")

    page.goto(f"{acme.home}/limits")
    page.locator(".answering > summary").press("Enter")
    page.get_by_role("button", name="Grant it").press("Enter")
    expect(page.locator(".asked")).to_contain_text("Granted 20 requests a minute until")
    expect(page.locator(f"#rate-{rate.id}")).to_contain_text("40 requests a minute + 20 requests a minute until")
    assert_fine(page, "a speed that was raised for a while")
    page.goto(f"{acme.home}/limits/rates/{rate.id}")
    expect(page.locator(".story")).to_contain_text("The nightly import")
    assert_fine(page, "what was asked of a speed")
    mia.goto(f"{acme.home}/executions/{run.id}")
    expect(mia.locator(".refused")).to_contain_text("Since then 20 requests a minute more was granted: retry it.")


def test_what_is_counted_is_chosen_by_kind_and_found_among_many(open_page: Opener, acme: people.Cast) -> None:
    key = people.own_provider(acme, "http://127.0.0.1:9/v1")
    names = [f"model-{number:02}" for number in range(55)]
    home, provider = acme.organization.id, key.provider_id
    db.session.add_all(Model(organization_id=home, provider_id=provider, name=n, display_name=n) for n in names)
    db.session.commit()
    page = open_page(acme.olivia)
    page.goto(f"{acme.home}/limits/new")
    page.get_by_label("Amount in USD").fill("20")
    page.get_by_label("A limit on").select_option(label="A model")
    expect(page.get_by_label("Which one").locator("option")).to_have_count(51)
    expect(page.get_by_label("Amount in USD")).to_have_value("20")
    page.get_by_label("Search what to count").fill("model-54")
    expect(page.get_by_label("Which one").locator("option")).to_have_count(2)
    page.get_by_label("Which one").select_option(label="model-54 · Own")
    expect(page.locator(".said-words")).to_contain_text("Refuse prompts to model-54 once they cost $20.00")
    page.get_by_text("Tokens", exact=True).click()
    expect(page.locator(".said-words")).to_contain_text("once they have used 20 tokens")
    page.get_by_label("A limit on").select_option(label="The whole organization")
    expect(page.locator(".said-words")).to_contain_text(f"prompts of {acme.organization.name}")
    expect(page.get_by_label("Which one")).to_have_count(0)
    page.get_by_role("button", name="Save limit").click()
    page.wait_for_url("**/limits/*-*")
    (budget,) = budgets_of(acme)
    assert (budget.scope, budget.unit, budget.limit) == (Scope.ORGANIZATION, Unit.TOKENS, 20)
    page.goto(f"{acme.home}/limits/new?subject=organization:{acme.organization.id}")
    page.get_by_text("Tokens", exact=True).click()
    page.locator("#amount").fill("30")  # at once: what is typed while the form is drawn anew is not lost
    expect(page.locator("#said")).to_contain_text("There is one already")
    expect(page.locator(".said-words")).to_contain_text("30 tokens")
    expect(page.locator("#amount")).to_have_value("30")
    page.get_by_role("link", name="Change that one.").click()
    page.wait_for_url(f"**/limits/{budget.id}/edit")


def test_what_a_limit_lacks_is_gone_to_on_a_phone(open_page: Opener, acme: people.Cast) -> None:
    page = open_page(acme.olivia, viewport={"width": 390, "height": 500})
    page.goto(f"{acme.home}/limits/new")
    page.get_by_role("button", name="Save limit").click()
    expect(page.get_by_label("Which one")).to_be_focused()
    page.get_by_label("Which one").select_option(index=1)
    page.get_by_role("button", name="Save limit").click()
    expect(page.get_by_label("Amount in USD")).to_be_focused()
    expect(page.get_by_label("Amount in USD")).to_be_in_viewport()
    page.goto(f"{acme.home}/limits/rates/new?subject=organization:{acme.organization.id}")
    page.get_by_role("button", name="Save limit").click()
    expect(page.locator("#said .said-list, [aria-invalid=true]").first).to_be_in_viewport()


def test_a_limit_is_set_without_javascript(open_page: Opener, acme: people.Cast) -> None:
    page = open_page(acme.olivia, java_script_enabled=False)
    page.goto(f"{acme.home}/limits/new")
    page.get_by_label("A limit on").select_option(label="A member")
    page.get_by_role("button", name="Choose").click()
    page.get_by_label("Which one").select_option(f"member:{acme.mia.id}")
    page.get_by_label("Amount in USD").fill("5")
    page.get_by_role("button", name="Save limit").click()
    (budget,) = budgets_of(acme)
    assert (budget.scope, budget.subject_id, budget.limit) == (Scope.MEMBER, acme.mia.id, 5 * NANO)
    assert page.url.endswith(f"/limits/{budget.id}")


def test_a_deleted_limit_is_undone_and_all_kinds_lie_in_the_trash(
    look: Look,  # noqa: F811
    acme: people.Cast,
) -> None:
    budget = used.limit(acme, Scope.PROJECT, acme.project.id)
    page = look(acme.olivia)
    page.goto(f"{acme.home}/limits/{budget.id}")
    page.get_by_role("button", name="Delete").click()
    page.locator("#confirm-ok").click()
    page.wait_for_url("**/limits")
    expect(page.locator(".toast-card").last).to_contain_text("is in the trash: it counts nothing")
    page.get_by_role("button", name="Undo").click()
    page.wait_for_url(f"**/limits/{budget.id}")
    assert [one.id for one in budgets_of(acme)] == [budget.id]
    for maker in MAKERS:
        made(maker, acme)[0].discard(acme.mia.id)
    db.session.commit()
    page.goto(f"{acme.home}/trash")
    expect(page.locator("#trash tbody tr")).to_have_count(len(MAKERS))
    assert_fine(page, "the trash with all that is not in a project")
    page.get_by_role("link", name="Limits", exact=True).last.click()
    expect(page.locator("#trash tbody tr")).to_have_count(1)
    page.get_by_role("button", name=f"Restore Project {acme.project.name}").click()
    expect(page.locator(".toast-card").last).to_contain_text("is back")
    expect(page.locator("#trash tbody tr")).to_have_count(0)
