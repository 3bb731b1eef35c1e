"""The platform's rules: written by the operator on the command line, tried by everyone after their own."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import select

from dataelan_web.executions.candidates import rules_for
from dataelan_web.extensions import db
from dataelan_web.hub.rules import drafts
from dataelan_web.models import Model, ModelType, RoutingRule
from dataelan_web.models.audit import AuditEvent

from . import people


@pytest.fixture
def model(context: None) -> Model:
    """Everyone's."""
    return people.simulated_model()


@pytest.fixture
def name(context: None) -> Iterator[str]:
    """A name of the test's own. Everyone sees these rules, so none is left behind."""
    name = f"House {uuid.uuid4().hex[:6]}"
    yield name
    db.session.rollback()
    for row in db.session.scalars(select(RoutingRule).where(RoutingRule.name.startswith(name))):
        db.session.delete(row)
    db.session.commit()


def run(app: Flask, *args: str, input: str | None = None) -> Result:
    db.session.rollback()
    result = app.test_cli_runner().invoke(args=["rules", *args], input=input)
    db.session.rollback()
    db.session.expire_all()
    return result


def the_rule(name: str) -> RoutingRule | None:
    return db.session.scalars(select(RoutingRule).where(RoutingRule.name == name)).first()


def test_the_operator_adds_a_rule_that_everyone_tries_after_their_own(
    app: Flask, acme: people.Cast, model: Model, name: str
) -> None:
    drafts.save(drafts.Draft("Ours", (drafts.Entry(model.id),)), acme.organization, None)
    done = run(app, "add", name, "--model", "simulated/simulated-instant=3", "--condition", "max_cost=0.05",
               "--condition", "expression=prompt.tokens < 1000", "--priority", "7")  # fmt: skip
    assert done.exit_code == 0, done.output
    row = the_rule(name)
    assert row is not None
    assert (row.organization_id, row.project_id, row.priority, row.models[0].weight) == (None, None, 7, 3)
    assert row.conditions == {"max_cost": 0.05, "expression": "prompt.tokens < 1000"}
    tried = [rule.name for rule in rules_for(db.session, acme.project, "auto", ModelType.TEXT)]
    assert tried.index("Ours") < tried.index(name)
    page = people.browser(app, acme.mia).get(f"{acme.home}/hub/rules").get_data(as_text=True)
    assert "The operator’s" in page
    assert f"{name}</span>" in page
    assert "go to simulated-instant" in page
    events = select(AuditEvent.organization_id).where(AuditEvent.subject_name == name)
    assert db.session.scalars(events).all() == [None]


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ((), "Add at least one model."),
        (("--model", "simulated/no-such"), "there is no model “no-such” of simulated"),
        (("--model", "nobody/x"), "there is no provider “nobody”"),
        (("--model", "simulated/simulated-instant", "--condition", "expression=prompt.tokens >"), "expression"),
        (
            ("--model", "simulated/simulated-instant", "--condition", "expression=prompt.streams && !prompt.streams"),
            "Its expression: “prompt.streams” and “!prompt.streams” contradict each other.",
        ),
        (("--model", "simulated/simulated-instant", "--condition", "max_cost=-1"), "max_cost"),
        (("--model", "simulated/simulated-instant", "--condition", "colour=red"), "is not a condition"),
        (("--model", "simulated/simulated-instant", "--condition", "nonsense"), "write name=value"),
        (("--model", "simulated/simulated-instant", "--strategy", "luck"), "strategy"),
        (("--model", "simulated/simulated-instant", "--priority", "-1"), "priority"),
        (("--model", "simulated/simulated-instant", "--type", "VIDEO"), "Its type is text"),
        (("--fallback", "simulated/simulated-instant"), "Every model is kept as a fallback"),
    ],
)
def test_what_a_form_would_refuse_is_refused_with_a_word_and_nothing_is_saved(
    app: Flask, model: Model, name: str, more: tuple[str, ...], word: str
) -> None:
    done = run(app, "add", name, *more)
    assert done.exit_code == 1
    assert word in done.output
    assert the_rule(name) is None


def test_only_what_is_everyones_can_be_named_and_a_name_only_once(
    app: Flask, acme: people.Cast, model: Model, name: str
) -> None:
    key = people.own_provider(acme, "https://models.example.com/v1")
    people.own_model(acme, key, "ours")
    assert "there is no provider" in run(app, "add", name, "--model", f"{key.provider.slug}/ours").output
    good = ("--model", "simulated/simulated-instant")
    assert run(app, "add", name, *good).exit_code == 0
    assert "The platform has a rule" in run(app, "add", name.upper(), *good).output


def test_rules_are_listed_exported_changed_and_brought_in_again(app: Flask, model: Model, name: str) -> None:
    run(app, "add", name, "--model", "simulated/simulated-instant", "--strategy", "ordered", "--goes-on-unheard")
    said = "Text prompts go to simulated-instant. If one falls silent, the next is asked: both may charge."
    assert f"100  {name}: {said}" in run(app, "list").output
    text = run(app, "list", "--yaml").output
    assert f"kept: Rule “{name}”" in run(app, "import", "-", input=text).output
    models = [{"model": "simulated/simulated-instant", "tags": ["eu"]}, {"model": "simulated/gone"}]
    changed = {"name": name, "enabled": False, "conditions": {"tags": ["eu"]}, "models": models}
    done = run(app, "import", "-", input=json.dumps({"dataelan": 1, "rules": [changed]}))
    assert done.exit_code == 1, "something was left out"
    assert f"changed: Rule “{name}”" in done.output
    assert f"left: simulated/gone in Rule “{name}”" in done.output
    row = the_rule(name)
    assert row is not None
    assert (row.is_enabled, row.conditions) == (False, {"tags": ["eu"]})
    assert f"{name} (off)" in run(app, "list").output
    assert run(app, "remove", name).output == f"“{name}” was deleted.\n"
    assert "There is no platform rule" in run(app, "remove", name).output


def test_a_file_that_holds_something_else_says_what_was_left(app: Flask, model: Model, name: str) -> None:
    rules = [{"name": name, "models": [{"model": "simulated/simulated-instant"}]}, {"name": f"{name} 2", "models": []}]
    mixed = {"dataelan": 1, "settings": {"key_strategy": "BYOK"}, "rules": rules}
    done = run(app, "import", "-", input=json.dumps(mixed))
    assert f"made: Rule “{name}”" in done.output
    assert f"left: Rule “{name} 2” (Add at least one model.)" in done.output
    assert "left: Settings (only rules can be the platform's" in done.output
    for text in ("{", "rules: []", "dataelan: 1\nrules: [{name: x, colour: red}]"):
        bad = run(app, "import", "-", input=text)
        assert bad.exit_code == 1
        assert bad.output.startswith("Error: ")
