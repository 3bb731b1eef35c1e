"""Models in a real browser: finding one, its price book, one typed in, and what ends."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from dataelan_web.extensions import db
from dataelan_web.models import (
    NANO,
    APIKey,
    Execution,
    Model,
    ModelType,
    Origin,
    Price,
    PromptSession,
    RoutingRule,
    RoutingRuleModel,
    State,
    now,
)
from tests import people
from tests.test_archive import use

from . import steps
from .test_pages import assert_fine, look  # noqa: F401  (a fixture)

Opener = Callable[..., Page]


@pytest.fixture
def key(acme: people.Cast) -> APIKey:
    return people.own_provider(acme, "http://127.0.0.1:9/v1")


@pytest.fixture
def ending(acme: people.Cast, key: APIKey) -> Model:
    """A model in use that ends, with a history of prices, and another that can take its place."""
    able = {"capabilities": ["tools", "vision", "reasoning", "json_schema"], "context_window": 200_000}
    model = people.own_model(acme, key, "chat-with-a-rather-long-name-2026-11-23", input=3 * NANO, output=15 * NANO,
                             shutdown_on=(now().date() + timedelta(days=20)).isoformat(), **able)  # fmt: skip
    people.own_model(acme, key, "chat-2", input=2 * NANO, output=10 * NANO, **able)
    tier = {"above": 200_000, "input": 6 * NANO, "cache_read": None, "cache_write": None, "output": 30 * NANO}
    model.prices.append(Price(source="test", input=3 * NANO, output=15 * NANO, cache_read=NANO, tiers=[tier]))
    rule = RoutingRule(organization_id=acme.organization.id, name="Support answers")
    rule.models = [RoutingRuleModel(model_id=model.id, weight=3)]
    run = Execution(organization_id=acme.organization.id, project_id=acme.project.id, origin=Origin.GATEWAY)
    run.model_id, run.state, run.cost, run.finished_at = model.id, State.COMPLETED, 2_310_000, now()
    acme.session.settings = {"model": f"{key.provider.slug}/{model.name}"}
    db.session.add_all([rule, run])
    db.session.commit()
    return model


@pytest.mark.sweep
def test_the_pages_of_models_in_every_light(
    look: Callable[..., Page],  # noqa: F811
    acme: people.Cast,
    key: APIKey,
    ending: Model,
) -> None:
    people.own_model(acme, key, "off-1", is_enabled=False, listed_at=now() - timedelta(days=2))
    people.own_model(acme, key, "say-1", model_type=ModelType.VOICE, task="speech", input=0, output=0)
    key.provider.models_listed_at = now()
    db.session.commit()
    page = look(acme.olivia)
    hub = f"{acme.home}/hub"
    for path in ("models?usable=yes&sort=price", "models?q=nothing-like-it", "models/new", "shutdowns"):
        page.goto(f"{hub}/{path}")
        assert_fine(page, path)
    page.goto(f"{hub}/models/{ending.id}")
    page.get_by_text("Set a price of your own").click()
    page.get_by_text("Other classes").click()
    page.get_by_label("Input per 1M tokens", exact=True).fill("-1")
    page.get_by_role("button", name="Set price").click()
    expect(page.get_by_text("A price cannot be negative.")).to_be_visible()
    assert_fine(page, "a model, with a refused price")


def test_filters_change_the_list_and_the_address_and_the_address_brings_them_back(
    open_page: Opener, acme: people.Cast, key: APIKey
) -> None:
    people.own_model(acme, key, "river-1", input=3 * NANO, output=15 * NANO)
    people.own_model(acme, key, "river-2", input=0, output=0, capabilities=["tools"])
    page = open_page(acme.mia)
    page.goto(f"{acme.home}/hub/models")
    page.get_by_label("Search models").fill("river")
    expect(page.get_by_role("status").filter(has_text="2 models")).to_be_visible()
    page.get_by_text("More filters").click()
    page.get_by_label("Price", exact=True).select_option("free")
    expect(page.get_by_role("status").filter(has_text="1 model")).to_be_visible()
    expect(page.locator("#results")).to_contain_text("river-2")
    assert "q=river" in page.url
    assert "price=free" in page.url
    page.reload()
    expect(page.get_by_label("Price", exact=True)).to_have_value("free")
    expect(page.get_by_label("Search models")).to_have_value("river")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Clear filters").click()
    expect(page.get_by_label("Search models")).to_have_value("")


def test_a_price_of_ones_own_is_set_shown_and_ended(
    open_page: Opener, acme: people.Cast, key: APIKey, ending: Model
) -> None:
    page = open_page(acme.olivia)
    page.goto(f"{acme.home}/hub/models?q=chat-with")
    page.get_by_role("link", name="chat-with").click()
    page.get_by_text("Set a price of your own").click()
    expect(page.get_by_label("Input per 1M tokens", exact=True)).to_have_value("3")
    page.get_by_label("Input per 1M tokens", exact=True).fill("2.125")
    page.get_by_role("button", name="Set price").click()
    expect(page.get_by_text("Your price counts from now on.")).to_be_visible()
    expect(page.locator(".price-list")).to_contain_text("$2.125")
    book = page.get_by_role("table", name="Versions of the price")
    expect(book).to_contain_text("Olivia")
    expect(book).to_contain_text("Overridden")
    page.get_by_role("button", name="End your own price").click()
    page.get_by_role("button", name="End it").click()
    expect(page.locator(".price-list")).to_contain_text("$3.00")
    expect(book).to_contain_text("Ended")


def test_a_model_is_typed_in_with_the_fields_of_its_kind_and_tried(
    open_page: Opener, acme: people.Cast, key: APIKey
) -> None:
    page = open_page(acme.adam)
    page.goto(f"{acme.home}/hub/models/new?provider={key.provider.slug}")
    page.get_by_text("Priced", exact=True).click()
    expect(page.get_by_label("Cached input per 1M tokens")).to_be_visible()
    page.get_by_label("What it makes").select_option("VOICE/speech")
    expect(page.get_by_label("Cached input per 1M tokens")).to_be_hidden()
    page.get_by_label("Text per character").fill("0.000015")
    page.get_by_label("Name at the provider").fill("say 1")
    page.get_by_role("button", name="Add model").click()
    expect(page.get_by_text("A model’s name has no spaces.")).to_be_visible()
    expect(page.get_by_label("Text per character")).to_have_value("0.000015")
    page.get_by_label("Name at the provider").fill("say-1")
    page.get_by_role("button", name="Add model").click()
    expect(page.get_by_role("heading", name="say-1", level=1)).to_be_visible()
    expect(page.locator(".price-list")).to_contain_text("$0.000015")


def test_try_it_opens_a_session_with_the_model_chosen(open_page: Opener, acme: people.Cast, ending: Model) -> None:
    page = open_page(acme.mia)
    page.goto(f"{acme.home}/hub/models/{ending.id}")
    page.get_by_role("button", name="Try it").click()
    page.wait_for_url("**/sessions/*")
    expect(page.locator("#composer select[name=model]")).to_have_value(f"{ending.provider.slug}/{ending.name}")
    session = db.session.get_one(PromptSession, uuid.UUID(page.url.split("/")[-1]))
    assert session.project_id == acme.project.id


def test_what_ends_is_replaced_in_its_rule_with_the_keyboard(
    open_page: Opener, acme: people.Cast, ending: Model
) -> None:
    page = open_page(acme.olivia)
    page.goto(f"{acme.home}/hub/providers")
    page.get_by_role("link", name="What needs it").press("Enter")
    expect(page.get_by_text("in 20 days")).to_be_visible()
    expect(page.get_by_text("33 % cheaper, the same context.")).to_be_visible()
    page.get_by_role("button", name="Replace in “Support answers”").press("Enter")
    page.get_by_role("button", name="Replace", exact=True).press("Enter")
    expect(page.get_by_text("“Support answers” now uses chat-2.")).to_be_visible()
    expect(page.get_by_role("button", name="Replace in")).to_have_count(0)
    expect(page.get_by_text("Acme session", exact=True).last).to_be_visible()
    assert steps.in_view(page.get_by_role("heading", name=ending.display_name))


def test_a_model_that_was_used_goes_into_the_archive_and_comes_back(
    look: Callable[..., Page],  # noqa: F811
    acme: people.Cast,
    key: APIKey,
) -> None:
    painter = people.own_model(acme, key, "painter-1", model_type=ModelType.IMAGE, task="image")
    painter.prices = [Price(source="test", input=0, output=0, per_image=40_000_000)]
    db.session.commit()
    use(acme, painter, key)
    page = look(acme.olivia)
    page.goto(f"{acme.home}/hub/models/{painter.id}")
    page.get_by_text("Set a price of your own").click()
    page.get_by_label("Other prices, by size, quality or resolution").fill("1024x1792 hd 0.08")
    page.get_by_role("button", name="Set price").click()
    expect(page.get_by_role("table", name="Other prices")).to_contain_text("1024x1792 hd")
    page.get_by_role("button", name="Delete painter-1").click()
    expect(page.get_by_text("You can restore it from the archive.")).to_be_visible()
    page.get_by_role("button", name="Delete model").click()
    expect(page.get_by_text("“painter-1” is in the archive now.")).to_be_visible()
    page.get_by_role("link", name="archive").click()
    expect(page.get_by_role("heading", name="Archive", level=1)).to_be_visible()
    assert_fine(page, "the archive")
    page.get_by_role("button", name="Restore painter-1").click()
    expect(page.get_by_role("heading", name="painter-1", level=1)).to_be_visible()
    expect(page.get_by_role("table", name="Other prices")).to_contain_text("$0.08")
