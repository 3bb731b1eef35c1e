"""The hub's set-up out as YAML and in again, and LiteLLM's in: nothing secret, nothing half-saved, nobody else's."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
import yaml
from flask import Flask
from sqlalchemy import func, select

from dataelan_web.extensions import db
from dataelan_web.hub.models import prices
from dataelan_web.hub.transfer import document, importing, portable
from dataelan_web.hub.transfer.document import Document
from dataelan_web.models import (
    NANO,
    APIKey,
    Execution,
    KeyStrategy,
    Model,
    ModelType,
    Organization,
    Provider,
    RoutingRule,
    RoutingRuleModel,
    User,
    new_id,
)
from dataelan_web.router.types import Task

from . import people
from .test_litellm import CONFIG


@pytest.fixture
def furnished(acme: people.Cast) -> people.Cast:
    """With a provider, a model, a price and a rule of its own."""
    key = people.own_provider(acme, "https://models.example.com/v1", secret="sk-CANARY-1234567890")
    model = people.own_model(acme, key, "vendor/deep-model", task=Task.CHAT.value, capabilities=["tools"])
    prices.set_price(model, acme.organization, acme.olivia.id, {"input": 2_500_000_000, "output": 10_000_000_000})
    rule = RoutingRule(id=new_id(), organization_id=acme.organization.id, name="Everyday", priority=10)
    rule.conditions, rule.project_id = {"max_cost": 0.05}, acme.project.id
    rule.models = [RoutingRuleModel(model_id=model.id, weight=7, tags=["gold"])]
    db.session.add(rule)
    db.session.commit()
    return acme


def exported(cast: people.Cast) -> Document:
    return portable.export(db.session.get_one(Organization, cast.organization.id))


def brought_in(wanted: Document, cast: people.Cast, who: str = "olivia", **options: bool) -> importing.Report:
    organization, person = (
        db.session.get_one(Organization, cast.organization.id),
        db.session.get_one(User, cast.people[who].id),
    )
    return importing.bring_in(wanted, organization, person, **options)


def test_an_export_tells_everything_but_secrets(furnished: people.Cast) -> None:
    text = document.write(exported(furnished))
    told = yaml.safe_load(text)
    (provider,), (rule,), (price,) = told["providers"], told["rules"], told["prices"]
    ref = f"{provider['slug']}/vendor/deep-model"
    assert provider["address"] == "https://models.example.com/v1"
    assert rule["models"] == [{"model": ref, "weight": 7, "tags": ["gold"]}]
    assert (rule["project"], rule["conditions"]) == ("Acme project", {"max_cost": 0.05})
    assert (price["model"], price["input"]) == (ref, "2.5")
    assert told["keys"][0]["label"] == "Test key"
    assert "CANARY" not in text
    assert "7890" not in text


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Pacific/Kiritimati"])
def test_a_key_is_told_with_its_last_day_as_its_page_tells_it(furnished: people.Cast, zone: str) -> None:
    furnished.organization.time_zone = zone
    key = db.session.scalars(select(APIKey).where(APIKey.organization_id == furnished.organization.id)).one()
    key.expires_at = datetime(2030, 6, 2, tzinfo=ZoneInfo(zone))  # the first moment after that day
    db.session.commit()
    assert [one.expires_on for one in exported(furnished).keys] == ["2030-06-01"]


def test_what_was_exported_comes_in_elsewhere_and_a_second_time_changes_nothing(
    furnished: people.Cast, rival: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "check_address", lambda address, may_be_private: False)
    key = db.session.scalars(select(APIKey).where(APIKey.organization_id == furnished.organization.id)).one()
    painter = people.own_model(furnished, key, "painter", task=Task.IMAGE.value, model_type=ModelType.IMAGE)
    large = {"when": ["1024x1792", "hd"], "per_image": 80_000_000}
    usual = {"per_image": 40_000_000}
    prices.set_price(painter, furnished.organization, furnished.olivia.id, usual, variants=[large])
    wanted = exported(furnished)
    wanted.rules[0].project = "Rival project"
    first = brought_in(wanted, rival)
    assert [line.subject for line in first.of("left")] == [f"Key “Test key” of {wanted.providers[0].slug}"]
    assert not first.of("changed")
    again = brought_in(wanted, rival)
    assert {line.what for line in again.lines} == {"kept", "left"}
    theirs = exported(rival)
    assert (theirs.providers, theirs.models, theirs.prices) == (wanted.providers, wanted.models, wanted.prices)
    assert theirs.rules == wanted.rules
    assert db.session.scalar(select(func.count(APIKey.id)).where(APIKey.organization_id == rival.organization.id)) == 0


def test_prices_that_are_still_to_come_are_exported_and_come_in_once(
    furnished: people.Cast, rival: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "check_address", lambda address, may_be_private: False)
    model = db.session.scalars(select(Model).where(Model.organization_id == furnished.organization.id)).one()
    new_year, midsummer, easter = (datetime(2999, month, 1, tzinfo=UTC) for month in (1, 6, 4))
    for begin, output in ((midsummer, 30), (new_year, 20), (easter, 99)):
        made = prices.set_price(model, furnished.organization, furnished.olivia.id, {"output": output * NANO}, begin)
        if begin is easter:
            prices.end_price(made, model)  # called off
    text = document.write(exported(furnished))
    told = [(price.get("starts_at"), price.get("output")) for price in yaml.safe_load(text)["prices"]]
    assert told == [
        (None, "10"),
        ("2999-01-01T00:00:00Z", "20"),
        ("2999-06-01T00:00:00Z", "30"),
    ]
    wanted = document.read(text)
    wanted.rules, wanted.keys = [], []
    assert {line.what for line in brought_in(wanted, rival).lines} == {"made", "kept"}
    assert {line.what for line in brought_in(wanted, rival).lines} == {"kept"}
    assert exported(rival).prices == wanted.prices
    wanted.prices[2].output = Decimal(7)
    assert [line.what for line in brought_in(wanted, rival).lines].count("changed") == 1
    assert exported(rival).prices == wanted.prices


def test_of_prices_whose_time_has_come_meanwhile_the_latest_counts_however_often_they_come_in(
    furnished: people.Cast,
) -> None:
    (price,) = exported(furnished).prices
    text = f"""
dataelan: 1
prices:
- {{model: {price.model}, output: 3, starts_at: 2026-03-01 12:00:00}}
- {{model: {price.model}, output: 4, starts_at: 2026-04-01}}
- {{model: {price.model}, output: 1}}
"""
    for what in ("changed", "kept"):
        report = brought_in(document.read(text), furnished)
        assert [line.subject for line in report.of(what)] == [f"Price of {price.model} from 1 April 2026 on"]
        assert len(report.of("left")) == 2
    assert [one.output for one in exported(furnished).prices] == [4]


def test_a_preview_saves_nothing(furnished: people.Cast, rival: people.Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "check_address", lambda address, may_be_private: False)
    report = brought_in(exported(furnished), rival, only_try=True)
    assert report.of("made")
    for table in (Provider, Model, RoutingRule):
        own = select(func.count(table.id)).where(table.organization_id == rival.organization.id)
        assert db.session.scalar(own) == 0


def test_an_entry_that_cannot_be_taken_is_left_out_and_the_others_are_taken(acme: people.Cast) -> None:
    key = people.own_provider(acme, "https://models.example.com/v1")
    people.own_model(acme, key, "real")
    slug = db.session.get_one(Provider, key.provider_id).slug
    text = f"""
dataelan: 1
settings: {{key_strategy: BYOK}}
providers:
- {{slug: odd, name: Odd, kind: telepathy, address: "https://odd.example.com"}}
- {{slug: inner, name: Inner, kind: openai, address: "http://user:pass@127.0.0.1/v1"}}
rules:
- {{name: good, models: [{{model: {slug}/real}}]}}
- {{name: half, models: [{{model: {slug}/real}}, {{model: {slug}/gone}}]}}
- {{name: nobody, models: [{{model: {slug}/unreal}}]}}
- {{name: stranger, models: [{{model: nowhere/real}}]}}
- {{name: contradicts, conditions: {{providers: [Nobody]}}, models: [{{model: {slug}/real}}]}}
- {{name: nonsense, conditions: {{expression: "1 +"}}, models: [{{model: {slug}/real}}]}}
- {{name: impossible, conditions: {{expression: "time.hour > 9 && time.hour < 5"}}, models: [{{model: {slug}/real}}]}}
- {{name: endless, conditions: {{max_cost: "1e999999999"}}, models: [{{model: {slug}/real}}]}}
- {{name: elsewhere, project: Nope, models: [{{model: {slug}/real}}]}}
"""
    report = brought_in(document.read(text), acme)
    assert [line.subject for line in report.of("made")] == ["Rule “good”", "Rule “half”"]
    assert [line.subject for line in report.of("changed")] == ["Settings"]
    why = {line.subject: line.why for line in report.of("left")}
    assert "telepathy" in why["Provider Odd (https://odd.example.com)"]
    assert "no model “gone”" in why[f"{slug}/gone in Rule “half”"]
    assert "no model “unreal”" in why["Rule “nobody”"]
    assert "no provider “nowhere”" in why["Rule “stranger”"]
    assert "shut out every model" in why["Rule “contradicts”"]
    assert "Its expression: The expression ends too soon: after “1 +”" in why["Rule “nonsense”"]
    assert "“time.hour > 9” and “time.hour < 5” contradict each other." in why["Rule “impossible”"]
    assert "max_cost must be" in why["Rule “endless”"]
    assert "no project “Nope”" in why["Rule “elsewhere”"]
    assert db.session.get_one(Organization, acme.organization.id).key_strategy is KeyStrategy.BYOK


def test_an_import_cannot_name_what_is_anothers(acme: people.Cast, furnished: people.Cast, rival: people.Cast) -> None:
    ref = exported(furnished).rules[0].models[0].model
    report = brought_in(document.read(f"dataelan: 1\nrules: [{{name: theft, models: [{{model: {ref}}}]}}]"), rival)
    assert "no provider" in report.of("left")[0].why


def test_a_litellm_file_comes_in_through_the_page_with_a_report(app: Flask, acme: people.Cast) -> None:
    client = people.browser(app, acme.adam)
    form = {"csrf_token": client.csrf(), "format": "litellm", "text": CONFIG}
    preview = client.post(f"{acme.home}/hub/import/preview", data=form)
    page = preview.get_data(as_text=True)
    assert preview.status_code == 200
    assert "Nothing is saved yet" in page
    assert "limits are budgets here" in page
    assert "CANARY" not in page.replace(CONFIG, "").partition("<textarea")[0]
    done = client.post(f"{acme.home}/hub/import", data=form).get_data(as_text=True)
    assert "Rule “gpt-4”" in done
    names = set(db.session.scalars(select(RoutingRule.name).where(RoutingRule.organization_id == acme.organization.id)))
    assert {"claude", "long", "artist"} <= names


def test_a_file_can_be_sent_instead_of_its_text_and_a_bad_one_is_told_with_its_line(
    app: Flask, acme: people.Cast
) -> None:
    client = people.browser(app, acme.olivia)
    for content, word in (
        (b"dataelan: 1\nrules: [{name: 7", "line"),
        (b"\xff\xfe\x00", "no text file"),
        (b"a: 1", "dataelan: 1"),
        (b"dataelan: 1\nrules: !!python/object/apply:os.system ['true']", "in line 2"),
        (b"dataelan: 1\na: &a [x]\nb: [" + b"*a, " * 9999 + b"]", "refers back to itself"),
    ):
        form = {"csrf_token": client.csrf(), "format": "dataelan", "file": (io.BytesIO(content), "hub.yaml")}
        answer = client.post(f"{acme.home}/hub/import", data=form, content_type="multipart/form-data")
        assert answer.status_code == 422
        assert word in answer.get_data(as_text=True)


def test_the_export_is_a_file_to_keep(app: Flask, furnished: people.Cast) -> None:
    answer = people.browser(app, furnished.olivia).get(f"{furnished.home}/hub/export.yaml")
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="dataelan-')
    assert document.read(answer.get_data(as_text=True)) == exported(furnished)
    assert people.browser(app, furnished.mia).get(f"{furnished.home}/hub/export.yaml").status_code == 403


def test_the_history_of_charges_stays_when_a_price_comes_in(furnished: people.Cast) -> None:
    before = exported(furnished)
    before.prices[0].input = before.prices[0].input * 2
    assert [line.what for line in brought_in(before, furnished).lines if "Price" in line.subject] == ["changed"]
    model = db.session.scalars(select(Model).where(Model.organization_id == furnished.organization.id)).one()
    versions = prices.history(model, db.session.get_one(Organization, furnished.organization.id))
    assert [price.input for price in versions] == [5_000_000_000, 2_500_000_000]
    assert db.session.scalar(select(func.count(Execution.id)).where(Execution.model_id == model.id)) == 0
