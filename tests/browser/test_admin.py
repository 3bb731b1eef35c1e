"""A superuser looks after Dataelan, and looks at it as somebody else does."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from dataelan_web.extensions import db
from dataelan_web.hub.rules import drafts
from dataelan_web.hub.rules.drafts import Draft, Entry
from dataelan_web.models import Provider, RoutingRule, State, User, new_id
from tests import people

from .test_pages import assert_fine, look  # noqa: F401  (a fixture)

PASSWORD = "correct horse battery"
SECRET = "sk-CANARY-4f5a6b7c8d9e"


@pytest.fixture
def everyones(context: None, simulated: str) -> Iterator[Provider]:
    """A provider that everyone has, whose name begins the rules of the test. All tests share it, so it goes again."""
    name = f"Vendor {uuid.uuid4().hex[:6]}"
    provider = Provider(id=new_id(), slug=name.lower().replace(" ", "-"), name=name, kind="openai", base_url=simulated)
    provider.is_trusted = True
    db.session.add(provider)
    db.session.commit()
    yield provider
    db.session.rollback()
    for row in db.session.scalars(select(RoutingRule).where(RoutingRule.name.startswith(name))):
        db.session.delete(row)
    db.session.delete(provider)
    db.session.commit()


def superuser() -> User:
    sue = people.user("sue")
    sue.is_superuser = True
    sue.set_password(PASSWORD)
    db.session.commit()
    return sue


def test_a_superuser_looks_around_acts_as_somebody_and_is_in_the_log(
    look: Callable[..., Page],  # noqa: F811
    acme: people.Cast,
) -> None:
    sue = superuser()
    people.ended(acme, "Hello", state=State.FAILED, error_kind="rate_limit")
    page = look(sue)
    page.goto("/admin/queue")
    expect(page.get_by_text("Acme project").first).to_be_visible()
    assert_fine(page, "the queue")
    for path, title in {"organizations": "Organizations", "platform": "Providers", "settings": "Modes"}.items():
        page.goto(f"/admin/{path}")
        expect(page.get_by_role("heading", level=1)).to_contain_text(title)
        assert_fine(page, path)
    page.goto(f"/admin/people?q={acme.adam.email}")
    page.locator("#found a.row-link").click()
    page.get_by_label("Why").fill("You asked where your batch is.")
    page.locator("#acting-current").fill("wrong")
    page.get_by_role("button", name="Act as Adam").click()
    expect(page.get_by_text("This is not your password.")).to_be_visible()
    assert_fine(page, "a person")
    page.locator("#acting-current").fill(PASSWORD)
    page.get_by_role("button", name="Act as Adam").click()
    expect(page.get_by_text("You act as Adam")).to_be_visible()
    page.goto(f"{acme.home}/audit")
    expect(page.get_by_text("Impersonation begun")).to_be_visible()
    assert_fine(page, "the audit log, in another's name")
    page.get_by_label("Kind of change").select_option("member")
    expect(page.get_by_text("No such change")).to_be_visible()
    page.get_by_role("button", name="Be yourself again").click()
    expect(page.get_by_role("heading", name="Adam", exact=True)).to_be_visible()


def test_a_superuser_looks_after_the_platforms_keys_by_keyboard(
    look: Callable[..., Page],  # noqa: F811
    everyones: Provider,
) -> None:
    page = look(superuser())
    page.goto("/admin/platform")
    page.get_by_role("link", name=everyones.name).press("Enter")
    expect(page.get_by_text("only organizations with a key of their own can use it")).to_be_visible()
    expect(page.get_by_role("link", name="Providers and keys").first).to_have_attribute("aria-current", "page")
    page.get_by_label("Key", exact=True).fill("sk-wrong-000000000000")
    page.get_by_label("Key", exact=True).press("Enter")
    expect(page.locator("#key-error")).to_contain_text(f"{everyones.name} did not accept it")
    assert_fine(page, "a key for everyone, refused")
    page.get_by_label("Label").fill("Main")
    page.get_by_label("Key", exact=True).fill(SECRET)
    page.locator("#provider summary", has_text="Limits").press("Enter")
    page.get_by_label("Daily limit in USD").fill("2.50")
    page.get_by_label("Daily limit in USD").press("Enter")
    keys = page.get_by_role("list", name=f"Keys for {everyones.name}").get_by_role("listitem")
    expect(keys).to_contain_text("$0 of $2.50 today")
    assert_fine(page, "the platform’s key")
    page.get_by_label("More for Main").press("Enter")
    page.get_by_role("button", name="Switch off").press("Enter")
    expect(keys).to_contain_text("Switched off")
    page.get_by_label("More for Main").press("Enter")
    page.get_by_role("link", name="Edit or replace").press("Enter")
    expect(page.get_by_label("Daily limit in USD")).to_have_value("2.5")
    assert_fine(page, "one key of the platform’s")
    page.get_by_label("New key").fill(f"{SECRET}-zz99")
    page.get_by_label("New key").press("Enter")
    expect(keys).to_contain_text("zz99")
    page.goto("/admin/platform")
    expect(page.get_by_role("row", name=everyones.name)).to_contain_text("zz99")
    assert_fine(page, "providers of everyone")
    page.get_by_role("link", name=everyones.name).press("Enter")
    page.get_by_label("More for Main").press("Enter")
    page.get_by_role("button", name="Delete", exact=True).first.press("Enter")
    expect(page.locator("#confirm-text")).to_contain_text("Everybody’s prompts that need the platform’s key")
    page.locator("#confirm-ok").press("Enter")
    expect(keys).to_have_count(0)
    assert "CANARY" not in page.content()


def test_a_superuser_writes_rules_for_everyone_by_keyboard(
    look: Callable[..., Page],  # noqa: F811
    everyones: Provider,
    acme: people.Cast,
) -> None:
    fast, name = people.simulated_model("simulated-fast"), everyones.name
    drafts.save(Draft(f"{name} A", (Entry(fast.id),)), None, None)
    people.ended(acme, "Hello", requested="auto")
    page = look(superuser())
    page.goto("/admin/hub/rules")
    page.get_by_role("link", name="New rule").press("Enter")
    page.get_by_label("Name", exact=True).fill(f"{name} B")
    page.get_by_label("Search for models to add").fill("simulated-fast")
    page.locator(f"#add-{fast.id}").press("Enter")
    expect(page.locator(".said-words")).to_have_text("Text prompts go to simulated-fast.")
    expect(page.get_by_label("Prompts of")).to_have_count(0)
    page.get_by_role("button", name="Try it").press("Enter")
    expect(page.locator("#rehearsal")).to_contain_text("Would change model")
    assert_fine(page, "a rule for everyone")
    page.get_by_role("button", name="Save rule").press("Enter")
    ours = page.locator(".rule", has_text=name)
    expect(ours).to_have_count(2)
    assert_fine(page, "rules for everyone")
    up = page.get_by_role("button", name=f"Move {name} B up")
    up.press("Enter")
    expect(ours.first).to_contain_text(f"{name} B")
    expect(page.locator("#rules-said")).to_contain_text(f"“{name} B” is number")
    switch = page.get_by_role("switch", name=f"{name} B is in use")
    switch.press("Enter")
    expect(switch).to_have_attribute("aria-checked", "false")
    page.get_by_label(f"More for {name} B").press("Enter")
    page.get_by_role("button", name="Delete", exact=True).first.press("Enter")
    page.locator("#confirm-ok").press("Enter")
    expect(page.get_by_role("button", name="Undo")).to_be_focused()
    assert_fine(page, "a rule for everyone that was deleted")
    page.get_by_role("button", name="Undo").press("Enter")
    expect(ours).to_have_count(2)
