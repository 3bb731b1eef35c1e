"""Routing rules in the browser's form: written, refused, ordered, deleted, and never another organization's."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from html import unescape
from threading import Barrier, Thread
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.datastructures import MultiDict

from dataelan_web.executions.candidates import rules_for
from dataelan_web.extensions import db
from dataelan_web.hub.rules import drafts
from dataelan_web.hub.rules.beside import INPUTS
from dataelan_web.hub.rules.drafts import Draft, Entry, Refused
from dataelan_web.hub.rules.forms import READ, RuleForm
from dataelan_web.models import (
    APIKey,
    Execution,
    Model,
    ModelType,
    Organization,
    Origin,
    Project,
    RoutingRule,
    RoutingRuleModel,
    State,
    Strategy,
    new_id,
    now,
)
from dataelan_web.models.audit import AuditEvent
from dataelan_web.router.conditions import CONDITIONS, read

from . import people

CHEAP, DEAR = 100_000_000, 90_000_000_000
"""Nano-USD per million tokens: $0.0001 and $0.09 per thousand."""


@pytest.fixture
def key(acme: people.Cast) -> APIKey:
    return people.own_provider(acme, "http://127.0.0.1:9/v1")


@pytest.fixture
def cheap(acme: people.Cast, key: APIKey) -> Model:
    return people.own_model(acme, key, "cheap", input=CHEAP, output=CHEAP, context_window=32_000)


@pytest.fixture
def dear(acme: people.Cast, key: APIKey) -> Model:
    return people.own_model(acme, key, "dear", input=DEAR, output=DEAR, context_window=200_000, capabilities=["vision"])


def fields(*models: Model, **changes: Any) -> MultiDict[str, str]:
    """The form as a browser sends it. A list is sent as several fields of one name."""
    said: dict[str, Any] = {"name": "My rule", "project_id": "", "model_type": "TEXT", "strategy": "weighted"}
    said |= {"priority": "", "is_enabled": "yes", "model": [str(model.id) for model in models]}
    said |= {f"weight-{model.id}": "1" for model in models}
    said |= {name.replace("__", "-"): value for name, value in changes.items()}
    pairs = [(k, v) for k, value in said.items() for v in (value if isinstance(value, list) else [value])]
    return MultiDict((k, str(v)) for k, v in pairs if v is not None)


def sent(form: RuleForm) -> Iterator[tuple[str, str]]:
    """(name, value) of every field, as a browser sends them."""
    yield from ((name, getattr(form, name)) for name in ("name", "project_id", "model_type", "strategy", "priority"))
    yield from ((name, "yes") for name in ("is_enabled", "goes_on_unheard") if getattr(form, name))
    for model in form.models:
        id = model.id
        yield from (("model", str(id)), (f"weight-{id}", model.weight), (f"tags-{id}", model.tags))
        yield from ((f"when-{id}", tag) for tag in model.when)
    for row in form.conditions:
        yield "condition", row.name
        yield from ((f"condition-{row.name}", value) for value in row.values)


def post(app: Flask, cast: people.Cast, path: str, form: MultiDict[str, str] | None = None, who: str = "olivia") -> Any:
    client = people.browser(app, getattr(cast, who))
    data = MultiDict(form or {})
    data["csrf_token"] = client.csrf()
    return client.post(f"{cast.home}/hub/rules{path}", data=data, headers={"HX-Request": "true"})


def text_of(answer: Any) -> str:
    """Its words, without the tags."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.get_data(as_text=True))))


def rules_of(cast: people.Cast) -> list[RoutingRule]:
    db.session.rollback()
    db.session.expire_all()
    query = select(RoutingRule).filter_by(organization_id=cast.organization.id, deleted_at=None)
    return list(db.session.scalars(query.order_by(RoutingRule.priority, RoutingRule.id)))


def saved(cast: people.Cast, *models: Model, name: str = "My rule", **values: Any) -> RoutingRule:
    draft = Draft(name, tuple(Entry(model.id) for model in models), **values)
    return drafts.save(draft, cast.organization, cast.olivia.id)


# -- saving ----------------------------------------------------------------------------------------


def test_a_rule_is_saved_as_it_was_written(app: Flask, acme: people.Cast, cheap: Model, dear: Model) -> None:
    form = fields(
        cheap,
        dear,
        name="Cheap first",
        priority="30",
        goes_on_unheard="yes",
        condition=["max_cost", "min_context_window", "min_success_rate", "capabilities", "tags", "expression"],
        condition__max_cost="$100",
        condition__min_context_window="16,000",
        condition__min_success_rate="99.5 %",
        condition__capabilities=["vision"],
        condition__tags="eu",
        condition__expression="prompt.tokens > 10",
        **{f"weight-{cheap.id}": "7", f"weight-{dear.id}": "3"},
        **{f"tags-{dear.id}": "eu, eu ,approved", f"when-{cheap.id}": ["fallback"]},
    )
    answer = post(app, acme, "", form)
    assert answer.status_code == 204, text_of(answer)
    (rule,) = rules_of(acme)
    assert (rule.name, rule.priority, rule.is_enabled, rule.goes_on_unheard) == ("Cheap first", 30, True, True)
    assert rule.conditions == {
        "max_cost": 0.1,
        "min_context_window": 16_000,
        "min_success_rate": 0.995,
        "capabilities": ["vision"],
        "tags": ["eu"],
        "expression": "prompt.tokens > 10",
    }
    entries = [(entry.model_id, entry.weight, entry.tags) for entry in rule.models]
    assert entries == [(cheap.id, 7, ["fallback"]), (dear.id, 3, ["eu", "approved"])]
    event = db.session.scalars(select(AuditEvent).where(AuditEvent.subject_id == rule.id)).one()
    assert (event.action, event.subject_name, event.actor_id) == ("rule.created", "Cheap first", acme.olivia.id)


def test_a_saved_rule_comes_back_into_the_form_and_out_of_it_unchanged(
    app: Flask, acme: people.Cast, cheap: Model, dear: Model
) -> None:
    conditions = {
        "max_cost": 0.000123,
        "min_context_window": 128_000,
        "max_latency_ms": 800,
        "min_success_rate": 0.95,
        "min_win_rate": 0.4,
        "capabilities": ["tools", "vision"],
        "providers": ["own"],
        "tags": ["a", "b c"],
        "expression": 'prompt.text.contains("5")',
    }
    entries = (Entry(dear.id, 0, ("fallback", "x")), Entry(cheap.id, 12, ()))
    draft = Draft(
        "All", entries, conditions, ModelType.CODE, Strategy.ORDERED, 70, acme.project.id, False, goes_on_unheard=True
    )
    again, problems = RuleForm.read(MultiDict(list(sent(RuleForm.of(draft))))).draft()
    assert problems == {}
    assert again == draft


@pytest.mark.parametrize(
    ("typed", "stored", "said"),
    [
        ("2.5", 0.0025, "2.50"),
        ("$0.000001", 1e-9, "0.000001"),
        ("999999.999999", 999.999999999, "999999.999999"),
        ("1000", 1, "1000"),
        ("0", 0, "0"),
    ],
)
def test_a_price_is_typed_and_read_per_million_and_stored_per_thousand(
    acme: people.Cast, typed: str, stored: float, said: str
) -> None:
    draft, problems = RuleForm.read(fields(condition="max_cost", condition__max_cost=typed)).draft()
    assert problems == {}
    assert draft.conditions == {"max_cost": stored}
    (row,) = RuleForm.of(draft).conditions
    assert Decimal(row.value) == Decimal(typed.removeprefix("$")), "as exactly as it was typed"
    assert f"at most ${said} per 1M tokens" in read(draft.conditions).all[0].words


def test_the_prices_beside_models_say_what_they_are_for(app: Flask, acme: people.Cast, cheap: Model) -> None:
    said = text_of(post(app, acme, "/draft", fields(cheap)))
    assert re.search(r"\$0\.1\d* in \$0\.1\d* out per 1M", said), said


def test_changing_a_rule_keeps_its_models_rows_and_is_noted(
    app: Flask, acme: people.Cast, cheap: Model, dear: Model
) -> None:
    rule = saved(acme, cheap, dear)
    rows = {entry.model_id: entry.id for entry in rule.models}
    form = fields(dear, cheap, name="Renamed", priority="10", **{f"weight-{dear.id}": "5"})
    assert post(app, acme, f"/{rule.id}", form).status_code == 204
    (rule,) = rules_of(acme)
    assert [(entry.model_id, entry.weight) for entry in rule.models] == [(dear.id, 5), (cheap.id, 1)]
    assert {entry.model_id: entry.id for entry in rule.models} == rows
    event = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "rule.changed")).all()[-1]
    assert event.subject_id == rule.id
    assert event.detail["name"] == "Renamed"
    assert event.detail["models"] == [
        f"{one.provider.slug}/{one.name} × {weight}" for one, weight in ((dear, 5), (cheap, 1))
    ]
    assert event.detail["before"].keys() == {"name", "models"}


NONSENSE: tuple[tuple[dict[str, Any], str], ...] = (
    ({"name": "  "}, "Give it a name."),
    ({"name": "AUTO"}, "“auto” is what asks for all rules."),
    ({"name": "a\nb"}, "A name is one line of ordinary characters."),
    ({"name": "x" * 300}, "At most 200 characters."),
    ({"model": None}, "Add at least one model."),
    ({"priority": "-1"}, "A priority is a whole number from 0"),
    ({"priority": "soon"}, "A priority is a whole number from 0"),
    ({"priority": "9" * 400}, "A priority is a whole number from 0"),
    ({"strategy": "best"}, "Choose one of these."),
    ({"model_type": "SMELL"}, "Choose one of these."),
    ({"condition": "max_cost", "condition__max_cost": "cheap"}, "Enter an amount in USD per 1M tokens"),
    ({"condition": "max_cost", "condition__max_cost": "-1"}, "A price cannot be negative."),
    ({"condition": "max_cost", "condition__max_cost": "NaN"}, "Enter an amount in USD per 1M tokens"),
    ({"condition": "max_cost", "condition__max_cost": "1e999999"}, "is the most that makes sense"),
    ({"condition": "max_cost", "condition__max_cost": "1e-999"}, "At most 6 decimals."),
    ({"condition": "max_cost", "condition__max_cost": ""}, "Fill this in, or remove the condition."),
    ({"condition": "min_context_window", "condition__min_context_window": "128k"}, "is a whole number from 1"),
    ({"condition": "max_latency_ms", "condition__max_latency_ms": "0"}, "A wait in milliseconds is a whole number"),
    ({"condition": "min_success_rate", "condition__min_success_rate": "101"}, "a percentage from 0 to 100"),
    ({"condition": "capabilities"}, "Fill this in, or remove the condition."),
    (
        {"condition": "phase_of_moon", "condition__phase_of_moon": "full"},
        "is not a condition this version can test",
    ),
    (
        {"condition": "expression", "condition__expression": "prompt.tokens >"},
        "after “prompt.tokens >” a value is missing",
    ),
    ({"condition": "expression", "condition__expression": "prompt.smell > 1"}, "There is no “prompt.smell”"),
    ({"condition": "expression", "condition__expression": "prompt.tokens"}, "It must be true or false"),
    ({"condition": "expression", "condition__expression": "prompt.token > 5"}, "Did you mean “prompt.tokens”?"),
    ({"condition": "expression", "condition__expression": "prompt.tokens > 9 and true"}, "Did you mean “&&”?"),
    (
        {"condition": "expression", "condition__expression": "prompt.tokens > 10 && prompt.tokens < 5"},
        "“prompt.tokens > 10” and “prompt.tokens < 5” contradict each other.",
    ),
    (
        {"condition": "expression", "condition__expression": "prompt.streams || prompt.tokens"},
        "“||” joins yes or no, and “prompt.tokens” is a number.",
    ),
    (
        {"condition": "expression", "condition__expression": 'session.type == "IMAGE"'},
        "is never true: this rule is for text prompts",
    ),
    (
        {"condition": "expression", "condition__expression": "prompt.tokens > 40000"},
        "no model that passes the rule's other conditions has room for more than 32,000 tokens",
    ),
    ({"condition": "min_success_rate", "condition__min_success_rate": "101"}, "from 0 to 100"),
)
"""What is changed in the form → what is said of it."""


def test_what_makes_no_sense_is_refused_with_a_clear_word_and_nothing_is_saved(
    app: Flask, acme: people.Cast, cheap: Model, subtests: pytest.Subtests
) -> None:
    for changes, complaint in NONSENSE:
        with subtests.test(str(changes)[:200]):
            answer = post(app, acme, "", fields(cheap, **changes))
            assert answer.status_code == 422
            assert complaint in text_of(answer)
            assert rules_of(acme) == []


@pytest.mark.parametrize(
    ("weight", "kept"),
    [("", 1), ("0", 0), ("1,000", 1_000), ("-1", None), ("1.5", None), ("9" * 5_000, None), ("٣", None)],
)
def test_a_weight_that_is_missing_is_1_and_one_that_makes_no_sense_is_refused(
    app: Flask, acme: people.Cast, cheap: Model, dear: Model, weight: str, kept: int | None
) -> None:
    answer = post(app, acme, "", fields(cheap, dear, **{f"weight-{cheap.id}": weight}))
    if kept is None:
        assert answer.status_code == 422
        assert "A weight is a whole number from 0 to 1,000,000." in text_of(answer)
        assert rules_of(acme) == []
    else:
        assert [entry.weight for entry in rules_of(acme)[0].models] == [kept, 1]


def test_conditions_that_shut_out_every_model_are_refused_with_the_reason(
    app: Flask, acme: people.Cast, cheap: Model, dear: Model
) -> None:
    form = fields(dear, cheap, condition="max_cost", condition__max_cost="0.01")
    answer = post(app, acme, "", form)
    assert answer.status_code == 422
    assert (
        "These conditions shut out every model of the rule: dear is out because $90 per 1M tokens is over"
        in text_of(answer)
    )
    assert rules_of(acme) == []


def test_a_model_twice_is_refused(app: Flask, acme: people.Cast, cheap: Model) -> None:
    answer = post(app, acme, "", fields(cheap, model=[str(cheap.id), str(cheap.id)]))
    assert answer.status_code == 422
    assert "It is in the rule twice." in text_of(answer)
    assert rules_of(acme) == []


def test_a_model_of_another_type_is_refused(app: Flask, acme: people.Cast, key: APIKey, cheap: Model) -> None:
    painter = people.own_model(acme, key, "painter", model_type=ModelType.IMAGE, task="image")
    answer = post(app, acme, "", fields(cheap, painter))
    assert answer.status_code == 422
    assert "Its type is image, and this rule is for text prompts." in text_of(answer)


def test_only_fallbacks_are_no_rule(app: Flask, acme: people.Cast, cheap: Model) -> None:
    answer = post(app, acme, "", fields(cheap, **{f"when-{cheap.id}": ["fallback"]}))
    assert "Every model is kept as a fallback." in text_of(answer)


def test_a_model_that_was_deleted_meanwhile_is_named_as_such(
    app: Flask, acme: people.Cast, cheap: Model, dear: Model
) -> None:
    form = fields(cheap, dear)
    db.session.delete(dear)
    db.session.commit()
    answer = post(app, acme, "", form)
    assert answer.status_code == 422
    assert "It was deleted meanwhile, or is not yours to use. Remove it." in text_of(answer)
    assert rules_of(acme) == []


def test_a_name_is_unique_within_its_scope_and_free_in_another(app: Flask, acme: people.Cast, cheap: Model) -> None:
    rule = saved(acme, cheap, name="Default")
    answer = post(app, acme, "", fields(cheap, name="dEFAULT"))
    assert answer.status_code == 422
    assert "The organization has a rule “dEFAULT” already." in text_of(answer)
    assert post(app, acme, "", fields(cheap, name="Default", project_id=acme.project.id)).status_code == 204
    assert post(app, acme, f"/{rule.id}", fields(cheap, name="Default")).status_code == 204, "its own name is its own"


def test_a_new_rule_without_a_priority_comes_after_all_others_of_its_scope(
    app: Flask, acme: people.Cast, cheap: Model
) -> None:
    saved(acme, cheap, name="First", priority=35)
    saved(acme, cheap, name="Second")
    saved(acme, cheap, name="Of the project", project_id=acme.project.id)
    assert [(rule.name, rule.priority) for rule in rules_of(acme)] == [
        ("Of the project", 10),
        ("First", 35),
        ("Second", 45),
    ]


def test_saving_raises_everything_that_is_wrong_at_once_for_an_importer(acme: people.Cast, cheap: Model) -> None:
    draft = Draft("", (Entry(cheap.id, -4), Entry(new_id())), {"max_cost": "x", "nonsense": 1}, priority=-1)
    with pytest.raises(Refused) as refused:
        drafts.save(draft, acme.organization, None)
    assert set(refused.value.problems) >= {
        "name",
        "priority",
        f"model-{cheap.id}",
        "condition-max_cost",
        "condition-nonsense",
    }


def test_several_rules_are_saved_together_or_not_at_all(acme: people.Cast, cheap: Model) -> None:
    drafts.put(Draft("One", (Entry(cheap.id),)), acme.organization, None)
    with pytest.raises(Refused):
        drafts.put(Draft("Two", ()), acme.organization, None)
    db.session.rollback()
    assert rules_of(acme) == []


# -- whose it is -----------------------------------------------------------------------------------


def test_a_foreign_model_is_answered_like_one_that_does_not_exist(
    app: Flask, acme: people.Cast, rival: people.Cast, cheap: Model
) -> None:
    theirs = people.own_model(rival, people.own_provider(rival, "http://127.0.0.1:9/v1"), "their-secret")
    unknown = str(new_id())
    for path in ("", "/draft", "/preview", "/rehearsal"):
        answers = []
        for id in (str(theirs.id), unknown):
            answer = post(app, acme, path, fields(cheap, model=[str(cheap.id), id]))
            answers.append((answer.status_code, text_of(answer).replace(id, "…")))
        assert answers[0] == answers[1], path
        assert "their-secret" not in answers[0][1]
    assert rules_of(acme) == []


def test_a_foreign_project_is_answered_like_one_that_does_not_exist(
    app: Flask, acme: people.Cast, rival: people.Cast, cheap: Model
) -> None:
    for id in (rival.project.id, new_id()):
        answer = post(app, acme, "", fields(cheap, project_id=id))
        assert answer.status_code == 422
        assert "This project is not there." in text_of(answer)
    assert rules_of(acme) == []
    assert rules_of(rival) == []


def test_a_foreign_rule_cannot_be_copied_nor_a_foreign_project_written_for(
    app: Flask, acme: people.Cast, rival: people.Cast
) -> None:
    theirs = people.own_model(rival, people.own_provider(rival, "http://127.0.0.1:9/v1"), "theirs")
    rule = saved(rival, theirs, name="Their rule")
    olivia = people.browser(app, acme.olivia)
    for query in (f"from={rule.id}", f"from={new_id()}", f"project={rival.project.id}", "project=x"):
        assert olivia.get(f"{acme.home}/hub/rules/new?{query}").status_code == 404, query


def test_a_platform_rule_is_seen_and_not_to_be_changed(app: Flask, acme: people.Cast, simulated: str) -> None:
    rule = RoutingRule(id=new_id(), name=f"Everyone's {uuid.uuid4().hex[:6]}", conditions={}, is_enabled=True)
    rule.models = [RoutingRuleModel(model_id=people.simulated_model().id)]
    db.session.add(rule)
    db.session.commit()
    try:
        page = people.browser(app, acme.mia).get(f"{acme.home}/hub/rules").get_data(as_text=True)
        assert rule.name in unescape(page)
        for path in ("", "/place", "/enablement", "/deletion"):
            assert post(app, acme, f"/{rule.id}{path}", fields()).status_code == 404
    finally:
        db.session.rollback()
        db.session.delete(rule)
        db.session.commit()


def test_a_member_reads_rules_and_gets_no_button_that_changes_them(app: Flask, acme: people.Cast, cheap: Model) -> None:
    saved(acme, cheap, name="Readable")
    page = people.browser(app, acme.mia).get(f"{acme.home}/hub/rules").get_data(as_text=True)
    assert "Readable" in page
    assert "Text prompts go to cheap." in page
    for button in ("New rule", "/place", "/enablement", "/deletion"):
        assert button not in page


# -- the list --------------------------------------------------------------------------------------


def test_rules_are_listed_in_the_order_in_which_they_are_tried(app: Flask, acme: people.Cast, cheap: Model) -> None:
    saved(acme, cheap, name="Ours late", priority=90)
    saved(acme, cheap, name="Ours early", priority=5)
    saved(acme, cheap, name="The project's", priority=500, project_id=acme.project.id)
    page = text_of(people.browser(app, acme.olivia).get(f"{acme.home}/hub/rules"))
    tried = [rule.name for rule in rules_for(db.session, acme.project, "auto", ModelType.TEXT)]
    assert tried[:3] == ["The project's", "Ours early", "Ours late"]
    places = [page.index(name) for name in (*tried[:3], "When no rule applies")]
    assert places == sorted(places)


def test_a_rule_says_which_of_its_models_ends_is_off_or_was_deleted(
    app: Flask, acme: people.Cast, key: APIKey, cheap: Model, dear: Model
) -> None:
    gone = people.own_model(acme, key, "gone")
    saved(acme, cheap, dear, name="Old")
    saved(acme, gone, name="Emptied")
    cheap.shutdown_on, dear.is_enabled = "2020-01-01", False
    db.session.delete(gone)
    db.session.commit()
    page = text_of(people.browser(app, acme.mia).get(f"{acme.home}/hub/rules"))
    assert "It ended on 1 Jan 2020." in page
    assert "It is switched off, and passed over." in page
    assert "It names no model any more: what it named was deleted." in page


def test_a_rule_tells_how_many_runs_it_decided_lately(app: Flask, acme: people.Cast, cheap: Model) -> None:
    rule = saved(acme, cheap)
    for _ in range(3):
        run = Execution(organization_id=acme.organization.id, project_id=acme.project.id, origin=Origin.GATEWAY)
        run.state, run.rule_id, run.finished_at = State.COMPLETED, rule.id, now()
        db.session.add(run)
    db.session.commit()
    assert "3 runs decided in 30 days" in text_of(people.browser(app, acme.mia).get(f"{acme.home}/hub/rules"))


def test_a_name_with_markup_is_shown_as_it_is(app: Flask, acme: people.Cast, cheap: Model) -> None:
    name = "<img src=x onerror=alert(1)> {{7*7}}"
    rule = saved(acme, cheap, name=name)
    client = people.browser(app, acme.olivia)
    for path in ("", f"/{rule.id}", f"/new?from={rule.id}"):
        page = client.get(f"{acme.home}/hub/rules{path}").get_data(as_text=True)
        assert "<img src=x" not in page
        assert name in unescape(page)


# -- order, switch, deletion -----------------------------------------------------------------------


def test_a_rule_is_put_before_another_and_all_are_numbered_in_tens(app: Flask, acme: people.Cast, cheap: Model) -> None:
    a, b, c = (saved(acme, cheap, name=name, priority=7) for name in "ABC")
    answer = post(app, acme, f"/{c.id}/place", MultiDict({"before": str(a.id)}))
    assert "“C” is number 1 of 3 now." in text_of(answer)
    assert [(rule.name, rule.priority) for rule in rules_of(acme)] == [("C", 10), ("A", 20), ("B", 30)]
    post(app, acme, f"/{a.id}/place", MultiDict({"before": ""}))
    assert [rule.name for rule in rules_of(acme)] == ["C", "B", "A"]
    db.session.delete(db.session.get_one(RoutingRule, b.id))
    db.session.commit()
    post(app, acme, f"/{c.id}/place", MultiDict({"before": str(b.id)}))
    assert [rule.name for rule in rules_of(acme)] == ["A", "C"], "what it was put before is gone: it comes last"


def test_rules_of_another_scope_keep_their_numbers(app: Flask, acme: people.Cast, cheap: Model) -> None:
    a, b = saved(acme, cheap, name="A", priority=7), saved(acme, cheap, name="B", priority=8)
    saved(acme, cheap, name="P", priority=3, project_id=acme.project.id)
    post(app, acme, f"/{b.id}/place", MultiDict({"before": str(a.id)}))
    assert [(rule.name, rule.priority) for rule in rules_of(acme)] == [("P", 3), ("B", 10), ("A", 20)]


def test_people_who_move_rules_at_the_same_time_lose_none_and_every_move_counts(
    app: Flask, acme: people.Cast, cheap: Model
) -> None:
    made = [saved(acme, cheap, name=f"R{number}") for number in range(6)]
    ids, organization = [rule.id for rule in made], acme.organization.id
    start, failures = Barrier(len(ids)), list[BaseException]()

    def move(id: uuid.UUID) -> None:
        try:
            with app.app_context():
                row = db.session.get_one(RoutingRule, id)
                home = db.session.get_one(Organization, organization)
                start.wait(20)
                drafts.place(row, home, None)
        except BaseException as error:
            failures.append(error)

    db.session.commit()
    threads = [Thread(target=move, args=(id,)) for id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    after = rules_of(acme)
    assert {rule.id for rule in after} == set(ids)
    assert [rule.priority for rule in after] == [10, 20, 30, 40, 50, 60]


def test_two_people_cannot_give_one_name_to_two_rules_at_the_same_time(
    app: Flask, acme: people.Cast, cheap: Model
) -> None:
    ids, start, outcomes = (acme.organization.id, cheap.id), Barrier(4), list[str]()

    def make() -> None:
        with app.app_context():
            home = db.session.get_one(Organization, ids[0])
            start.wait(20)
            try:
                drafts.save(Draft("Same", (Entry(ids[1]),)), home, None)
                outcomes.append("saved")
            except Refused:
                outcomes.append("refused")

    db.session.commit()
    threads = [Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["refused", "refused", "refused", "saved"]
    assert len(rules_of(acme)) == 1


def test_a_rule_is_switched_off_and_then_passed_by(app: Flask, acme: people.Cast, cheap: Model) -> None:
    rule = saved(acme, cheap, name="Mine")
    answer = post(app, acme, f"/{rule.id}/enablement", MultiDict({"is_enabled": "no"}))
    assert 'aria-checked="false"' in answer.get_data(as_text=True)
    db.session.expire_all()
    assert "Mine" not in [each.name for each in rules_for(db.session, acme.project, "auto", ModelType.TEXT)]
    actions = db.session.scalars(
        select(AuditEvent.action).where(AuditEvent.subject_id == rule.id).order_by(AuditEvent.created_at)
    )
    assert list(actions) == ["rule.created", "rule.disabled"]


def test_a_default_rule_that_was_given_to_one_project_is_asked_by_no_other(
    acme: people.Cast, cheap: Model, dear: Model
) -> None:
    rule = saved(acme, cheap, dear, name="Dear to me")
    acme.organization.default_rule_id = rule.id
    other = Project(id=new_id(), organization=acme.organization, name="Other", created_by=acme.olivia.id)
    db.session.add(other)
    db.session.commit()
    assert other.first_settings(ModelType.TEXT) == {"model": "Dear to me"}
    drafts.save(replace(Draft.of(rule), project_id=acme.project.id), acme.organization, acme.olivia.id, rule)
    assert acme.project.first_settings(ModelType.TEXT) == {"model": "Dear to me"}
    assert rules_for(db.session, other, "Dear to me", ModelType.TEXT) == [], "it would find none of this name"
    assert other.first_settings(ModelType.TEXT) == {}


def test_a_deleted_rule_decides_nothing_and_comes_back_as_it_was(
    app: Flask, acme: people.Cast, cheap: Model, dear: Model
) -> None:
    rule = saved(acme, cheap, dear, name="Dear to me", conditions={"max_cost": 0.2}, priority=40)
    acme.organization.default_rule_id = rule.id
    db.session.commit()
    before, id = Draft.of(rule), rule.id
    answer = post(app, acme, f"/{id}/deletion")
    assert "“Dear to me” is in the trash." in text_of(answer)
    undo = f"{acme.home}/trash/rule/{id}/restoration"
    assert f'action="{undo}"' in answer.get_data(as_text=True)
    db.session.expire_all()
    assert rules_for(db.session, acme.project, "Dear to me", ModelType.TEXT) == []
    assert rules_for(db.session, acme.project, "auto", ModelType.TEXT) == []
    assert acme.project.organization.default_rule is not None
    assert not acme.project.organization.default_rule.is_for(ModelType.TEXT), "new sessions do not ask it"
    olivia = people.browser(app, acme.olivia)
    assert "Dear to me" not in olivia.get(f"{acme.home}/hub/rules").get_data(as_text=True)
    assert olivia.get(f"{acme.home}/hub/rules/{id}").status_code == 410
    saved(acme, cheap, name="dear to me")  # its name is free
    assert olivia.submit(undo).status_code == 200
    db.session.expire_all()
    assert Draft.of(db.session.get_one(RoutingRule, id)) == replace(before, name="Dear to me (2)")


# -- the form --------------------------------------------------------------------------------------


def test_every_condition_of_the_router_can_be_filled_in() -> None:
    assert set(CONDITIONS) == set(INPUTS) == set(READ)


def test_a_preview_says_the_rule_in_words_and_saves_nothing(
    app: Flask, acme: people.Cast, cheap: Model, dear: Model
) -> None:
    form = fields(cheap, dear, **{f"weight-{cheap.id}": "3"})
    said = text_of(post(app, acme, "/preview", form))
    assert "Text prompts go 75 % to cheap and 25 % to dear." in said
    assert "Nothing stands against it." in said
    assert rules_of(acme) == []


def test_a_preview_tells_of_an_expression_what_is_wrong_while_it_is_typed_and_what_says_nothing(
    app: Flask, acme: people.Cast, cheap: Model
) -> None:
    for typed, words in (
        ("prompt.token > 5", "There is no “prompt.token”. Did you mean “prompt.tokens”? (column 1)"),
        ("time.hour >= 9 && time.hour < 9", "“time.hour >= 9” and “time.hour < 9” contradict each other."),
    ):
        said = text_of(post(app, acme, "/preview", fields(cheap, condition="expression", condition__expression=typed)))
        assert "It cannot be saved like this" in said
        assert said.count(words) >= 2, "in the list, and beside the field"
    always = fields(cheap, condition="expression", condition__expression="prompt.tokens >= 0")
    said = text_of(post(app, acme, "/preview", always))
    assert "It can be saved, but look at Only when: It is always true, and shuts out no prompt." in said


def test_a_rule_that_was_saved_before_contradictions_were_found_says_so_in_the_list(
    app: Flask, acme: people.Cast, cheap: Model
) -> None:
    row = saved(acme, cheap)
    row.conditions = {"expression": "time.hour > 9 && time.hour < 5"}
    db.session.commit()
    page = people.browser(app, acme.mia).get(f"{acme.home}/hub/rules")
    assert "“time.hour > 9” and “time.hour < 5” contradict each other." in text_of(page)


def test_a_preview_tells_what_is_still_to_do_apart_from_what_is_wrong(app: Flask, acme: people.Cast) -> None:
    said = text_of(post(app, acme, "/preview", fields(name="", condition="max_cost", condition__max_cost="")))
    assert (
        "Before it can be saved Give it a name. Add at least one model. Price at most: fill this in, or remove" in said
    )
    assert "It cannot be saved like this" not in said
    said = text_of(post(app, acme, "/preview", fields(condition="max_cost", condition__max_cost="x")))
    assert "It cannot be saved like this Price at most: Enter an amount" in said


def test_a_preview_warns_of_models_without_a_price_under_a_limit_and_without_a_key(
    app: Flask, acme: people.Cast, key: APIKey, cheap: Model
) -> None:
    unpriced = people.own_model(acme, key, "unpriced")
    form = fields(cheap, unpriced, condition="max_cost", condition__max_cost="50")
    said = text_of(post(app, acme, "/preview", form))
    assert "The conditions shut it out: its price is unknown, and this rule limits the price." in said
    key.is_enabled, key.provider.needs_key = False, True
    db.session.commit()
    assert "There is no usable key for Own." in text_of(post(app, acme, "/preview", form))


def test_a_name_that_a_model_has_is_warned_of(app: Flask, acme: people.Cast, cheap: Model) -> None:
    assert "Name: A model has this name too." in text_of(post(app, acme, "/preview", fields(cheap, name="cheap")))


def changed(app: Flask, cast: people.Cast, form: MultiDict[str, str], change: str, **more: str) -> RuleForm:
    """The form as it comes back after a button in it."""
    answer = post(app, cast, "/draft", MultiDict([*form.items(multi=True), ("change", change), *more.items()]))
    assert answer.status_code == 200
    page = answer.get_data(as_text=True)
    return RuleForm.read(MultiDict((name, value) for name, value in _controls(page)))


def _controls(page: str) -> Sequence[tuple[str, str]]:
    found = []
    for tag in re.findall(r"<(?:input|select|option)\b[^>]*>", page):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if attributes.get("type") in ("checkbox", "radio") and " checked" not in tag:
            continue
        if tag.startswith("<input") and "name" in attributes:
            found.append((attributes["name"], unescape(attributes.get("value", ""))))
    return found


def test_every_button_works_without_javascript_as_a_form_that_is_sent(
    app: Flask, acme: people.Cast, cheap: Model, dear: Model
) -> None:
    form = fields(cheap)
    added = changed(app, acme, form, f"add-model:{dear.id}")
    assert [row.id for row in added.models] == [cheap.id, dear.id]
    two = fields(cheap, dear)
    assert [row.id for row in changed(app, acme, two, f"up:{dear.id}").models] == [dear.id, cheap.id]
    assert [row.id for row in changed(app, acme, two, f"up:{cheap.id}").models] == [cheap.id, dear.id]
    assert [row.id for row in changed(app, acme, two, f"down:{cheap.id}").models] == [dear.id, cheap.id]
    assert [row.id for row in changed(app, acme, two, f"remove-model:{cheap.id}").models] == [dear.id]
    conditioned = changed(app, acme, form, "add-condition", new_condition="max_cost")
    assert [row.name for row in conditioned.conditions] == ["max_cost"]
    form.setlist("condition", ["max_cost"])
    assert changed(app, acme, form, "remove-condition:max_cost").conditions == []
    assert rules_of(acme) == []


def test_models_are_found_by_name_or_provider_and_only_those_that_fit(
    app: Flask, acme: people.Cast, key: APIKey, cheap: Model, dear: Model
) -> None:
    people.own_model(acme, key, "painter", model_type=ModelType.IMAGE, task="image")

    def offered(q: str, **changes: Any) -> str:
        page = post(app, acme, "/draft", fields(cheap, q=q, **changes)).get_data(as_text=True)
        return page[page.index('id="offered"') : page.index("</ul>", page.index('id="offered"'))]

    assert "dear" in offered("DEA")
    assert "dear" in offered("own dear"), "words of its provider's name count too"
    assert "No text model of that name can be added." in offered("painter")
    assert "painter" in offered("painter", model_type="IMAGE")
    assert "cheap" not in offered("cheap"), "it is in the rule already"
    assert "dear" not in offered("%")


def test_a_copy_is_a_form_that_is_not_saved_yet(app: Flask, acme: people.Cast, cheap: Model) -> None:
    rule = saved(acme, cheap, name="Original", priority=20)
    page = people.browser(app, acme.olivia).get(f"{acme.home}/hub/rules/new?from={rule.id}").get_data(as_text=True)
    assert 'value="Original (copy)"' in page
    assert str(cheap.id) in page
    assert len(rules_of(acme)) == 1


# -- a dry run -------------------------------------------------------------------------------------


def dry_run(app: Flask, cast: people.Cast, who: str = "mia", **changes: Any) -> Any:
    form = {"project_id": str(cast.project.id), "model_type": "TEXT", "text": "Hello", **changes}
    return post(app, cast, "/dry-run", MultiDict({name: str(value) for name, value in form.items()}), who)


def test_a_dry_run_tells_which_model_would_answer_and_why_not_the_others(
    app: Flask, acme: people.Cast, cheap: Model, dear: Model
) -> None:
    saved(acme, dear, name="Seeing", conditions={"expression": "prompt.images > 0"}, priority=1)
    saved(acme, cheap, dear, name="Ordinary", strategy=Strategy.ORDERED)
    said = text_of(dry_run(app, acme))
    assert "Own / cheap is the first of 2 models of “Ordinary”" in said
    assert "Seeing prompt.images > 0 is not true of this prompt" in said
    said = text_of(dry_run(app, acme, images=1))
    assert "Own / dear" in said
    said = text_of(dry_run(app, acme, max_tokens=100_000))
    assert "do not fit its context window of 32,000" in said
    assert db.session.scalar(select(Execution.id).where(Execution.organization_id == acme.organization.id)) is None


def test_a_dry_run_that_nothing_can_answer_says_so(app: Flask, acme: people.Cast, cheap: Model) -> None:
    saved(acme, cheap)
    said = text_of(dry_run(app, acme, max_tokens=10_000_000))
    assert "No model would answer" in said


def test_a_dry_run_refuses_numbers_that_make_no_sense(app: Flask, acme: people.Cast) -> None:
    for name, value in (("max_tokens", "0"), ("max_tokens", "9" * 400), ("images", "-1"), ("model_type", "SMELL")):
        assert dry_run(app, acme, **{name: value}).status_code == 422, (name, value)
