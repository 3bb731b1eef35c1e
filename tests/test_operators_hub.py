"""The platform's keys and rules on the pages of superusers: the hub's own, for what belongs to no organization."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from dataelan_web.executions.candidates import rules_for, usable_models
from dataelan_web.extensions import db
from dataelan_web.hub.keys.keeping import seal, secret_of
from dataelan_web.hub.rules import drafts
from dataelan_web.hub.rules.drafts import Draft, Entry
from dataelan_web.hub.rules.platform import listed
from dataelan_web.hub.rules.reach import Filter
from dataelan_web.hub.rules.rehearsal import Rehearsal, rehearse
from dataelan_web.models import APIKey, AuditEvent, Model, ModelType, Provider, RoutingRule, new_id, now

from . import people
from .test_keys import CANARY, OTHER, fresh, limit_of, lists, refuses
from .test_rehearsal import made, pairs
from .test_rules import fields, text_of
from .upstream import Upstream, upstream

PASSWORD = "correct horse battery"
MONEY = 1_000_000_000
HUB = "/admin/hub"


@pytest.fixture
def sue(app: Flask, context: None) -> people.Browser:
    """A superuser’s browser."""
    made = people.user("sue")
    made.is_superuser = True
    made.set_password(PASSWORD)
    db.session.commit()
    return people.browser(app, made)  # type: ignore[return-value]


@pytest.fixture
def vendor() -> Iterator[Upstream]:
    with upstream() as vendor:
        lists(vendor, "small", "large")
        yield vendor


@pytest.fixture
def everyones(context: None, vendor: Upstream) -> Iterator[Provider]:
    """A provider everyone has, at the vendor's address."""
    provider = Provider(id=new_id(), slug=f"vendor-{new_id().hex[-6:]}", name="Vendor", kind="openai")
    provider.base_url, provider.is_trusted = vendor.url, True
    db.session.add(provider)
    db.session.commit()
    yield provider
    db.session.rollback()
    db.session.delete(provider)
    db.session.commit()


@pytest.fixture
def name(context: None) -> Iterator[str]:
    """A name of the test's own. Everyone tries these rules, so none is left behind."""
    name = f"House {uuid.uuid4().hex[:6]}"
    yield name
    db.session.rollback()
    for row in db.session.scalars(select(RoutingRule).where(RoutingRule.organization_id.is_(None))):
        if row.name.startswith(name):
            db.session.delete(row)
    db.session.commit()


@pytest.fixture
def fast(context: None) -> Model:
    return people.simulated_model("simulated-fast")


def shown(client: Any, path: str) -> str:
    answer = client.get(path if path.startswith("/") else f"{HUB}/{path}")
    assert answer.status_code == 200, path
    page: str = answer.get_data(as_text=True)
    assert "CANARY" not in page
    assert "dk2." not in page
    return page


def log_of(subject: uuid.UUID) -> list[str]:
    """What the operator's log says of it, each by Sue in a browser."""
    events = db.session.scalars(select(AuditEvent).where(AuditEvent.subject_id == subject).order_by(AuditEvent.id))
    lines = list(events)
    assert {(line.organization_id, line.actor_name, line.source.value) for line in lines} == {(None, "Sue", "browser")}
    assert "CANARY" not in str([line.detail for line in lines])
    return [line.action for line in lines]


def the_keys(provider: Provider) -> list[APIKey]:
    db.session.rollback()
    mine = select(APIKey).where(APIKey.provider_id == provider.id).order_by(APIKey.id)
    return list(db.session.scalars(mine.execution_options(populate_existing=True)))


def the_rules(name: str) -> list[RoutingRule]:
    db.session.rollback()
    mine = (RoutingRule.name.startswith(name), RoutingRule.organization_id.is_(None))
    query = select(RoutingRule).where(*mine).order_by(RoutingRule.priority, RoutingRule.id)
    return list(db.session.scalars(query.execution_options(populate_existing=True)))


# -- keys ------------------------------------------------------------------------------------------


def test_a_key_for_everyone_is_added_changed_and_deleted_and_each_is_in_the_operators_log(
    app: Flask, sue: people.Browser, acme: people.Cast, everyones: Provider, vendor: Upstream
) -> None:
    assert f'href="{HUB}/providers/{everyones.id}"' in shown(sue, "/admin/platform")
    page = shown(sue, f"providers/{everyones.id}")
    assert "only organizations with a key of their own can use it" in page
    assert "midnight, UTC time" in page
    day = (datetime.now(UTC) + timedelta(days=30)).date()
    said = {"provider_id": everyones.id, "key": CANARY, "label": "Main", "weight": "2", "daily_quota": "100"}
    answer = sue.submit(f"{HUB}/keys", {**said, "allowed_models": "small", "expires_on": day.isoformat()})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    (main,) = the_keys(everyones)
    assert (main.organization_id, main.label, main.weight, main.allowed_models) == (None, "Main", 2, ["small"])
    assert main.expires_at == datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    assert limit_of(main) == main.daily_quota == 100 * MONEY
    assert (secret_of(main), main.listed_models) == (CANARY, ["small", "large"])
    there = {one.model for one in usable_models(db.session, acme.project)}
    assert ("small" in there, "large" in there) == (True, False)
    text = text_of(sue.get(f"{HUB}/providers/{everyones.id}"))
    for words in ("Main", "••••c2d4", "Weight 2", "$0 of $100.00 today", "1 model only", f"Until {day:%-d %b %Y}"):
        assert words in text, words

    sue.submit(f"{HUB}/keys", {"provider_id": everyones.id, "key": OTHER})
    assert sue.submit(f"{HUB}/keys/{main.id}/settings", {"label": "First", "weight": "1"}).status_code == 204
    sue.submit(f"{HUB}/keys/{main.id}/state", {"is_enabled": "no"})
    sue.submit(f"{HUB}/keys/{main.id}/secret", {"key": f"{CANARY}-zz99"})
    sue.submit(f"{HUB}/keys/{main.id}/test")
    sue.submit(f"{HUB}/keys/{the_keys(everyones)[1].id}/default")
    main, second = the_keys(everyones)
    first_id, second_id = main.id, second.id
    assert (main.label, main.allowed_models, main.daily_quota, main.expires_at) == ("First", [], None, None)
    assert (main.is_enabled, main.is_default, second.is_default, limit_of(main)) == (False, False, True, None)
    assert (secret_of(main), second.label) == (f"{CANARY}-zz99", "Vendor key")
    assert "••••zz99" in shown(sue, f"keys/{main.id}") + shown(sue, "/admin/platform")
    refreshed = sue.submit(f"{HUB}/providers/{everyones.id}/listing")
    assert "2 models are known now." in refreshed.get_data(as_text=True)
    sue.submit(f"{HUB}/keys/{main.id}/deletion")
    assert [key.id for key in the_keys(everyones)] == [second_id]
    assert log_of(first_id) == [f"key.{verb}" for verb in "created changed disabled replaced tested deleted".split()]
    assert log_of(second_id) == ["key.created", "key.made_default", "key.tested"]
    assert log_of(everyones.id) == ["provider.refreshed"]
    assert "Key made default" in shown(sue, "/admin/audit")


def test_a_key_that_its_provider_refuses_is_not_kept_and_not_shown_again(
    sue: people.Browser, everyones: Provider, vendor: Upstream
) -> None:
    refuses(vendor, f"Wrong: {CANARY}")
    for wrong, word in ((CANARY, "did not accept it: Wrong: [key]"), ("sk schlüssel", "plain letters")):
        answer = sue.submit(f"{HUB}/keys", {"provider_id": everyones.id, "key": wrong})
        page = answer.get_data(as_text=True)
        assert (answer.status_code, word in page, wrong in page) == (422, True, False)
    assert the_keys(everyones) == []
    pattern = db.session.scalars(select(Provider).where(Provider.slug == "azure-openai")).one()
    assert sue.submit(f"{HUB}/keys", {"provider_id": pattern.id, "key": CANARY}).status_code == 404
    assert "Each organization connects its own" in shown(sue, f"providers/{pattern.id}")


def test_an_organizations_keys_providers_and_rules_are_not_there_and_the_platforms_in_no_organization(
    app: Flask, sue: people.Browser, acme: people.Cast, everyones: Provider, fast: Model, name: str
) -> None:
    ours = people.own_provider(acme, "http://127.0.0.1:9/v1")
    rule = drafts.save(Draft("Ours", (Entry(fast.id),)), acme.organization, None)
    key = seal(everyones, None, None, "Of house", CANARY)
    of_all = drafts.save(Draft(name, (Entry(fast.id),)), None, None)
    db.session.commit()
    for path in (f"providers/{ours.provider_id}", f"keys/{ours.id}", f"rules/{rule.id}", f"rules/new?from={rule.id}"):
        assert sue.get(f"{HUB}/{path}").status_code == 404, path
    assert sue.get(f"{HUB}/rules/new?project={acme.project.id}").status_code == 404
    for path in (f"keys/{ours.id}/deletion", f"rules/{rule.id}/deletion", f"rules/{rule.id}/place"):
        assert sue.submit(f"{HUB}/{path}").status_code == 404, path
    assert sue.submit(f"{HUB}/keys", {"provider_id": ours.provider_id, "key": OTHER}).status_code == 404
    olivia = people.browser(app, acme.olivia)
    for path in (f"keys/{key.id}", f"rules/{of_all.id}"):
        assert olivia.get(f"{acme.home}/hub/{path}").status_code == 404, path
        assert olivia.get(f"{HUB}/{path}").status_code == 404, path
    seen = olivia.get(f"{acme.home}/hub/providers/{everyones.id}").get_data(as_text=True)
    assert ("the platform’s key is used, and the platform pays" in seen, "Of house" in seen) == (True, False)
    assert everyones.name in olivia.get(f"{acme.home}/hub/settings").get_data(as_text=True)
    key.expires_at = now() - timedelta(minutes=1)
    db.session.commit()
    seen = olivia.get(f"{acme.home}/hub/providers/{everyones.id}").get_data(as_text=True)
    assert "None yet. What runs here needs one." in seen, "it has expired, and is used no more"
    assert everyones.name not in olivia.get(f"{acme.home}/hub/settings").get_data(as_text=True)


def test_who_acts_as_somebody_else_looks_after_nothing_of_everybodys(
    app: Flask, sue: people.Browser, acme: people.Cast, everyones: Provider, vendor: Upstream, fast: Model, name: str
) -> None:
    key, rule = seal(everyones, None, None, "Of house", CANARY), drafts.save(Draft(name, (Entry(fast.id),)), None, None)
    db.session.commit()
    acting = {"reason": "You asked us to look at your batch.", "current": PASSWORD}
    assert sue.submit(f"/admin/people/{acme.adam.id}/acting", acting).status_code == 204
    for path in (f"providers/{everyones.id}", f"keys/{key.id}", "rules", f"rules/{rule.id}"):
        assert sue.get(f"{HUB}/{path}").status_code == 404, path
    for path in ("keys", f"keys/{key.id}/secret", f"keys/{key.id}/deletion", "rules", f"rules/{rule.id}/deletion"):
        assert sue.submit(f"{HUB}/{path}", {"key": OTHER, "provider_id": everyones.id}).status_code == 403, path
    assert secret_of(fresh(key)) == CANARY
    assert len(the_rules(name)) == 1


# -- rules -----------------------------------------------------------------------------------------


def form(*models: Model, **changes: Any) -> dict[str, Any]:
    return dict(fields(*models, **changes).items())


def test_rules_for_everyone_are_written_ordered_switched_off_deleted_and_brought_back(
    app: Flask, sue: people.Browser, acme: people.Cast, fast: Model, name: str
) -> None:
    assert sue.submit(f"{HUB}/rules", form(fast, name="")).status_code == 422
    for part in ("A", "B"):
        assert sue.submit(f"{HUB}/rules", form(fast, name=f"{name} {part}")).status_code == 204
    assert "The platform has a rule" in text_of(sue.submit(f"{HUB}/rules", form(fast, name=f"{name} A")))
    first, second = the_rules(name)
    assert (first.organization_id, first.project_id, first.models[0].model_id) == (None, None, fast.id)
    page = shown(sue, "rules")
    assert page.index(f"{name} A</a>") < page.index(f"{name} B</a>")
    assert "then these from the top" in page
    assert "Which model would answer?" not in page, "that is of a project’s prompts"
    assert "Prompts of" not in shown(sue, f"rules/{first.id}")
    said = text_of(
        sue.submit(f"{HUB}/rules/preview", form(fast, name="X", condition="max_cost", condition__max_cost="1"))
    )
    assert "Text prompts go to simulated-fast" in said

    moved = sue.submit(f"{HUB}/rules/{second.id}/place", {"before": first.id}).get_data(as_text=True)
    assert f"“{name} B” is number" in moved
    sue.submit(f"{HUB}/rules/{first.id}/enablement", {"is_enabled": "no"})
    sue.submit(f"{HUB}/rules/{second.id}", form(fast, name=f"{name} C", priority="7"))
    assert [(row.name, row.is_enabled) for row in the_rules(name)] == [(f"{name} C", True), (f"{name} A", False)]
    tried = [rule.name for rule in rules_for(db.session, acme.project, "auto", ModelType.TEXT)]
    assert (f"{name} C" in tried, f"{name} A" in tried) == (True, False)
    ours = people.browser(app, acme.mia).get(f"{acme.home}/hub/rules").get_data(as_text=True)
    assert (f"{name} C</span>" in ours, f"{name} A" in ours) == (True, False), "of the operator’s, what is in use"
    assert f"{name} A</a>" in shown(sue, "rules")

    gone = sue.submit(f"{HUB}/rules/{first.id}/deletion").get_data(as_text=True)
    assert f"“{name} A” is in the trash." in gone
    assert f'action="/admin/trash/rule/{first.id}/restoration"' in gone, "where it is brought back"
    assert f"{name} A" in sue.get("/admin/trash").get_data(as_text=True)
    assert sue.get(f"{HUB}/rules/{first.id}").status_code == 410
    assert not [rule for rule in listed() if rule.row.id == first.id]
    verbs = "created moved changed".split()
    assert log_of(second.id) == [f"rule.{verb}" for verb in verbs]
    assert log_of(first.id) == ["rule.created", "rule.disabled", "rule.deleted"]


def test_a_rule_for_everyone_names_what_everyone_has_and_is_of_no_project(
    sue: people.Browser, acme: people.Cast, fast: Model, name: str
) -> None:
    key = people.own_provider(acme, "http://127.0.0.1:9/v1")
    ours = people.own_model(acme, key, f"ours-{name[-6:]}")
    found = sue.submit(f"{HUB}/rules/draft", {**form(), "q": ours.name}).get_data(as_text=True)
    assert f"add-{ours.id}" not in found
    assert f"add-{fast.id}" in sue.submit(f"{HUB}/rules/draft", {**form(), "q": fast.name}).get_data(as_text=True)
    refused = sue.submit(f"{HUB}/rules", form(ours, name=name))
    assert (refused.status_code, "is not yours to use" in text_of(refused)) == (422, True)
    assert sue.submit(f"{HUB}/rules", form(fast, name=name, project_id=acme.project.id)).status_code == 422
    assert the_rules(name) == []


def test_a_draft_for_everyone_is_tried_against_the_runs_of_all_each_after_their_own_rules(
    sue: people.Browser, acme: people.Cast, rival: people.Cast, fast: Model, name: str
) -> None:
    instant = people.simulated_model()
    drafts.save(Draft(name, (Entry(instant.id),), priority=10), acme.organization, None)
    made(acme, requested=name)
    made(rival, 2, requested=name)
    draft = Draft(name, (Entry(fast.id),), priority=0)

    def tried(draft: Draft, row: RoutingRule | None = None) -> Rehearsal:
        return rehearse(draft, row, None, 50, Filter(asked="name"))

    said = tried(draft)
    assert (said.reach.named, said.looked_at, said.decided) == (3, 3, 2), "Acme’s own rule goes before it"
    assert pairs(said) == [(None, "simulated-fast", 2)]
    row = drafts.save(draft, None, None)
    assert pairs(tried(Draft(name, (Entry(instant.id),), priority=0), row)) == [
        ("simulated-fast", "simulated-instant", 2)
    ]
    asked = {**form(instant, name=name, priority="0"), "rule_id": row.id, "asked": "name"}
    answer = sue.submit(f"{HUB}/rules/rehearsal", asked)
    assert "Would change model 2 of 3 runs" in text_of(answer)
    assert "/runs/" not in answer.get_data(as_text=True), "what was asked there is not the operator’s to read"


def test_how_many_runs_a_rule_for_everyone_decided_is_counted_over_all(
    sue: people.Browser, acme: people.Cast, rival: people.Cast, fast: Model, name: str
) -> None:
    row = drafts.save(Draft(name, (Entry(fast.id),)), None, None)
    made(acme, 2, rule_id=row.id)
    made(rival, rule_id=row.id)
    page = sue.get(f"{HUB}/rules")
    shown_rule = page.get_data(as_text=True).partition(f'id="rule-{row.id}"')[2]
    assert 'class="num">3</strong> runs' in shown_rule.partition("</li>\n    <li")[0]
    assert "of the latest 20,000" in text_of(page)
