"""Providers and keys in the browser: connected, limited, replaced, moved and deleted, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect
from sqlalchemy import select

from dataelan_web.extensions import db
from dataelan_web.hub.keys.keeping import seal
from dataelan_web.models import APIKey, Provider, now
from tests import people

from .test_pages import assert_fine, look  # noqa: F401 (a fixture)

Look = Callable[..., Page]
SECRET = "sk-CANARY-4f5a6b7c8d9e"


def own(cast: people.Cast) -> Provider:
    db.session.rollback()
    return db.session.scalars(select(Provider).where(Provider.organization_id == cast.organization.id)).one()


def keys_of(cast: people.Cast) -> list[APIKey]:
    db.session.rollback()
    query = select(APIKey).where(APIKey.organization_id == cast.organization.id).order_by(APIKey.id)
    return list(db.session.scalars(query.execution_options(populate_existing=True)))


def test_a_provider_is_connected_by_keyboard_alone(look: Look, acme: people.Cast, simulated: str) -> None:  # noqa: F811
    page = look(acme.olivia)
    page.goto(f"{acme.home}/hub/providers")
    page.get_by_role("link", name="Connect a provider").press("Enter")
    page.get_by_label("Name", exact=True).fill("Our server")
    page.get_by_label("Address").fill("nowhere")
    page.get_by_label("Address").press("Enter")
    expect(page.locator("#base_url-error")).to_contain_text("Enter an address such as")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Our server")
    page.get_by_role("radio", name="OpenAI-compatible").press("ArrowDown")
    expect(page.get_by_role("radio", name="Anthropic Messages")).to_be_checked()
    page.get_by_role("radio", name="Anthropic Messages").press("ArrowUp")
    assert_fine(page, "connecting, refused")
    page.get_by_label("Address").fill(simulated)
    page.get_by_label("Address").press("Enter")
    page.wait_for_url("**/hub/providers/*-*")
    expect(page.get_by_role("heading", name="Our server", level=1)).to_be_visible()
    expect(page.locator("#provider")).to_contain_text("This provider asks for none")
    assert own(acme).base_url == simulated


def test_a_pattern_is_filled_in(look: Look, acme: people.Cast) -> None:  # noqa: F811
    page = look(acme.olivia)
    page.goto(f"{acme.home}/hub/providers")
    page.get_by_role("link", name="Azure OpenAI").click()
    expect(page.get_by_label("Address")).to_have_value("https://{resource}.openai.azure.com/openai/v1")
    page.get_by_role("group", name="Wire format").get_by_text("other formats").click()
    assert_fine(page, "a pattern")


def test_a_key_is_added_limited_replaced_and_deleted(look: Look, acme: people.Cast, simulated: str) -> None:  # noqa: F811
    first = people.own_provider(acme, simulated, secret=SECRET)
    first.provider.name, first.last_used_at = "Our server", now()
    people.own_model(acme, first, "simulated-fast", input=0, output=0)
    page = look(acme.olivia)
    page.goto(f"{acme.home}/hub/providers/{first.provider_id}")
    keys = page.get_by_role("list", name="Keys for Our server").get_by_role("listitem")
    page.get_by_text("Add another key").click()
    page.get_by_label("Key", exact=True).fill("sk-wrong-000000000000")
    page.get_by_role("button", name="Check and add").click()
    expect(page.locator("#key-error")).to_contain_text("Our server did not accept it")
    assert_fine(page, "a refused key")

    page.get_by_label("Label").fill("Nightly")
    page.get_by_label("Key", exact=True).fill(f"{SECRET}-2")
    page.locator("#provider").get_by_text("Limits", exact=True).click()
    page.get_by_label("Daily limit in USD").fill("2.50")
    page.get_by_label("Only for these models").fill("simulated-fsat")
    page.get_by_role("button", name="Check and add").click()
    expect(page.locator("#allowed_models-error")).to_contain_text("Did you mean simulated-fast?")
    page.get_by_label("Only for these models").fill("simulated-fast")
    page.get_by_label("Key", exact=True).fill(f"{SECRET}-2")
    page.get_by_role("button", name="Check and add").click()
    expect(keys).to_have_count(2)
    expect(keys.nth(1)).to_contain_text("$0 of $2.50 today")
    assert_fine(page, "two keys")
    page.get_by_role("button", name="They cost nothing").press("Enter")
    page.locator("#confirm-ok").click()
    expect(page.get_by_role("button", name="They cost nothing")).to_have_count(0)
    expect(keys).to_have_count(2)

    keys.nth(1).get_by_label("More for Nightly").press("Enter")
    page.get_by_role("button", name="Make default").click()
    expect(keys.first).to_contain_text("Nightly")
    page.get_by_role("button", name="Ask the default first").press("Enter")
    expect(keys.first).to_contain_text("asked first")
    assert_fine(page, "a key that is asked first")
    keys.first.get_by_label("More for Nightly").click()
    assert_fine(page, "a key's menu")
    page.get_by_role("button", name="Switch off").click()
    expect(keys.first).to_contain_text("Switched off")

    keys.first.get_by_label("More for Nightly").click()
    page.get_by_role("link", name="Edit or replace").click()
    expect(page.get_by_label("Daily limit in USD")).to_have_value("2.5")
    assert_fine(page, "one key")
    page.get_by_label("New key").fill(f"{SECRET}-zz99")
    page.get_by_role("button", name="Check and replace").click()
    expect(keys.first).to_contain_text("zz99")
    assert [key.last_four for key in keys_of(acme)][1] == "zz99"

    keys.first.get_by_label("More for Nightly").click()
    page.get_by_role("button", name="Delete", exact=True).first.click()
    page.locator("#confirm-ok").click()
    expect(keys).to_have_count(1)
    expect(page.locator(".toast-card").last).to_contain_text("“Nightly” was deleted.")
    assert "CANARY" not in page.content()


def test_a_provider_moves_and_goes(look: Look, acme: people.Cast, simulated: str) -> None:  # noqa: F811
    key = people.own_provider(acme, "http://127.0.0.1:9/v1", secret=SECRET)
    seal(key.provider, acme.organization, acme.olivia.id, "A key with quite a long label, as people write them", SECRET)
    db.session.commit()
    page = look(acme.olivia)
    page.goto(f"{acme.home}/hub/providers/{key.provider_id}")
    expect(page.locator("#provider")).to_contain_text("at any other they are unreadable")
    page.get_by_label("Address").fill(simulated)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#base_url-error")).to_contain_text("will never be sent elsewhere")
    assert_fine(page, "an address that costs the keys")
    page.get_by_label("I will enter the keys again").check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".key-problem").first).to_contain_text("Enter it again")
    assert_fine(page, "keys to enter again")
    page.get_by_role("button", name="Delete Own").click()
    expect(page.locator("#confirm-text")).to_contain_text("and 2 keys")
    page.locator("#confirm-ok").click()
    page.wait_for_url("**/hub/providers")
    expect(page.get_by_role("heading", name="Own", exact=True)).to_have_count(0)
    assert keys_of(acme) == []


def test_settings_and_a_projects_wish(look: Look, acme: people.Cast) -> None:  # noqa: F811
    page = look(acme.olivia)
    page.goto(f"{acme.home}/hub/settings")
    page.get_by_role("radio", name="Only yours").check()
    page.get_by_role("radio", name="Count each as a fixed amount").check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#unknown_price_ceiling-error")).to_be_visible()
    assert_fine(page, "settings, refused")
    page.get_by_label("Count such a call as").fill("0.50")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".toast-card").last).to_contain_text("Settings saved.")
    expect(page.get_by_role("radio", name="Only yours")).to_be_checked()
    page.goto(f"{acme.home}/projects/{acme.project.id}")
    page.get_by_label("May use the platform’s keys").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("May use the platform’s keys")).not_to_be_checked()
    db.session.refresh(acme.project)
    assert not acme.project.allows_platform_keys


def test_who_may_only_look_reaches_what_there_is_to_see(look: Look, acme: people.Cast) -> None:  # noqa: F811
    key = people.own_provider(acme, "http://127.0.0.1:9/v1", secret=SECRET)
    key.last_error, key.last_error_kind, key.last_error_at = "It was revoked", "credential", now()
    db.session.commit()
    page = look(acme.victor)
    page.goto(f"{acme.home}/hub/providers")
    assert_fine(page, "providers, looked at")
    page.get_by_role("link", name="Own", exact=True).click()
    expect(page.locator("#provider")).to_contain_text("It was revoked")
    assert_fine(page, "a provider, looked at")
