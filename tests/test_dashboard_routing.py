"""The page of routing: which rule chose what, how often the first choice served, and what that saved."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select

from dataelan_web.dashboards import routing
from dataelan_web.extensions import db
from dataelan_web.models import Execution, Model, RoutingRule, RoutingRuleModel, State, new_id

from . import people
from .test_dashboards import page, rows
from .test_rollups import called, count_all, paid

MILLION = 1_000_000


def ruled(cast: people.Cast, name: str, *models: Model) -> RoutingRule:
    rule = RoutingRule(id=new_id(), organization_id=cast.organization.id, name=name)
    rule.models = [RoutingRuleModel(model_id=model.id, position=n) for n, model in enumerate(models)]
    db.session.add(rule)
    db.session.commit()
    return rule


def answered(cast: people.Cast, cost: int, model: Model, **values: object) -> Execution:
    return paid(cast, cost, model, model_id=model.id, provider_id=model.provider_id, **values)


@pytest.fixture
def routed(app: Flask, acme: people.Cast) -> RoutingRule:
    """By a rule: two that the cheap one answered, one that went on to the dear one, one that failed. One by name."""
    key = people.own_provider(acme, "http://x/v1")
    cheap = people.own_model(acme, key, "cheap", input=1 * MILLION, output=2 * MILLION)
    dear = people.own_model(acme, key, "dear", input=10 * MILLION, output=20 * MILLION)
    rule = ruled(acme, "Support first", cheap, dear)
    used = {"rule_id": rule.id, "tokens_input": 30, "tokens_output": 10}
    for _ in range(2):
        answered(acme, 50, cheap, **used)
    went_on = answered(acme, 500, dear, **used)
    went_on.attempts_made = 2
    (call,) = went_on.attempts
    call.number = 2
    db.session.flush()
    called(went_on, 0, cheap, 1)
    failed = {"state": State.FAILED, "tokens_input": None, "tokens_output": None}
    answered(acme, 0, cheap, **used | failed)
    answered(acme, 500, dear, requested="dear")
    db.session.commit()
    count_all()
    return rule


def test_shares_first_choices_and_savings_are_told_by_rule(
    app: Flask, acme: people.Cast, rival: people.Cast, routed: RoutingRule
) -> None:
    client = people.browser(app, acme.olivia)
    # Three completed, of 30 in and 10 out: 500 each at the dear one, and 600 were paid.
    assert rows(client, acme, "/routing/rules.csv")[1:] == [
        ["Support first", "4", "0.8", "0.5", "0.0000009"],
        ["By name, no rule", "1", "0.2", "1.0", ""],
    ]
    models = {(row[0], row[1]): row[2:] for row in rows(client, acme, "/routing/rule-models.csv")[1:]}
    assert models["cheap", "Support first"] == ["3", "0.75", "0.666667"]
    assert models["dear", "Support first"] == ["1", "0.25", "0.0"]
    text = page(client, acme, "/routing")
    assert f"rule={routed.id}" in text
    assert "rules saved $0.0000009" in text
    assert rows(people.browser(app, rival.olivia), rival, "/routing/rules.csv")[1:] == []


def test_a_summary_tells_what_rules_saved_to_who_sees_everything(
    app: Flask, acme: people.Cast, routed: RoutingRule
) -> None:
    asked = db.session.scalars(select(Execution.created_at).where(Execution.rule_id == routed.id)).first()
    at = f"{acme.home}/summaries/{asked:%G-W%V}"
    words = "Routing rules saved about $0.0000009, against the dearest model that each allows."
    assert words in people.browser(app, acme.olivia).get(at).text
    assert "Routing rules" not in people.browser(app, acme.gina).get(at).text


def test_a_filter_by_model_counts_what_it_answered(app: Flask, acme: people.Cast, routed: RoutingRule) -> None:
    dear = routed.models[1].model_id
    found = rows(people.browser(app, acme.olivia), acme, f"/routing/rules.csv?model={dear}")[1:]
    assert {(row[0], row[1]) for row in found} == {("By name, no rule", "1"), ("Support first", "1")}


def test_a_guest_is_not_told_what_rules_allow(app: Flask, acme: people.Cast, routed: RoutingRule) -> None:
    client = people.browser(app, acme.gina)
    assert rows(client, acme, "/routing/rules.csv")[0] == ["Rule", "Runs", "Share", "First choice served"]
    assert "dearest" not in page(client, acme, "/routing")


def test_too_many_runs_are_not_read_and_the_page_says_so(
    app: Flask, acme: people.Cast, routed: RoutingRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = people.browser(app, acme.olivia)
    monkeypatch.setattr(routing, "LOOKED_AT", 4)
    assert "Of 5 runs only the models are shown" in page(client, acme, "/routing")
    assert rows(client, acme, "/routing/models.csv")[1:], "what the sums know is shown"
    assert "Support first" in page(client, acme, f"/routing?model={routed.models[0].model_id}")
    monkeypatch.setattr(routing, "READ", 4)
    assert "only the models are shown" in page(client, acme, "/routing?outcome=failed"), "all five would be read"
