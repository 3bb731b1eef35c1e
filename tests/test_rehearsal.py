"""A draft tried against runs that were made: exact sums, the same answer every time, and nothing sent or kept."""

from __future__ import annotations

import random
import time
import uuid
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, func, insert, select

from dataelan_web.accounts.sign_up import create_project
from dataelan_web.executions.execute import choose
from dataelan_web.executions.prompts import from_json, to_json
from dataelan_web.extensions import db
from dataelan_web.hub.rules import drafts
from dataelan_web.hub.rules.drafts import Draft, Entry
from dataelan_web.hub.rules.reach import Filter
from dataelan_web.hub.rules.rehearsal import Rehearsal, rehearse
from dataelan_web.models import (
    APIKey,
    Execution,
    ExecutionBody,
    Model,
    ModelType,
    Origin,
    Price,
    RoutingRule,
    State,
    Strategy,
    new_id,
    now,
)
from dataelan_web.models.records import RunRecord
from dataelan_web.router.types import Prompt, user

from . import people
from .test_rules import fields, post, text_of

CHEAP, DEAR = 100_000_000, 90_000_000_000
"""Nano-USD per million tokens."""
IN, OUT = 1_000, 500
"""Tokens of every run."""


@pytest.fixture
def key(acme: people.Cast) -> APIKey:
    return people.own_provider(acme, "http://127.0.0.1:9/v1")


@pytest.fixture
def cheap(acme: people.Cast, key: APIKey) -> Model:
    return people.own_model(acme, key, "cheap", input=CHEAP, output=CHEAP, context_window=32_000)


@pytest.fixture
def dear(acme: people.Cast, key: APIKey) -> Model:
    return people.own_model(acme, key, "dear", input=DEAR, output=DEAR, context_window=200_000)


def made(cast: people.Cast, count: int = 1, text: str = "Hello", **values: Any) -> list[uuid.UUID]:
    """Runs that are over, one minute apart. All of them in two statements: some tests want hundreds."""
    rows: list[dict[str, Any]] = []
    for number in range(count):
        at = now() - timedelta(minutes=number)
        said: dict[str, Any] = {
            "id": new_id(),
            "organization_id": cast.organization.id,
            "project_id": cast.project.id,
            "user_id": cast.mia.id,
            "origin": Origin.PLAYGROUND,
            "requested": "auto",
            "state": State.COMPLETED,
            "created_at": at,
            "started_at": at,
            "finished_at": at + timedelta(seconds=2),
            "tokens_input": IN,
            "tokens_output": OUT,
            **values,
        }
        rows.append(said)
    ids, asked = [row["id"] for row in rows], to_json(Prompt(messages=(user(text),)))
    db.session.execute(insert(Execution), rows)
    db.session.execute(insert(ExecutionBody), [{"id": id, "request": asked} for id in ids])
    db.session.commit()
    return ids


def models_of(cast: people.Cast, key: APIKey, rows: list[dict[str, Any]]) -> None:
    """Many models at once, each with its `name`, what `input` and `output` cost, and its `context_window`."""
    ids = [new_id() for _ in rows]
    whose = {"provider_id": key.provider_id, "organization_id": cast.organization.id, "model_type": ModelType.TEXT}
    names = [
        {"name": row["name"], "display_name": row["name"], "context_window": row["context_window"]} for row in rows
    ]
    costs = [{"input": row["input"], "output": row["output"], "source": "test"} for row in rows]
    db.session.execute(insert(Model), [{"id": id, **whose, **said} for id, said in zip(ids, names, strict=True)])
    db.session.execute(insert(Price), [{"model_id": id, **cost} for id, cost in zip(ids, costs, strict=True)])
    db.session.commit()


def draft_of(*models: Model, **values: Any) -> Draft:
    return Draft("Tried", tuple(Entry(model.id) for model in models), **values)


def tried(cast: people.Cast, draft: Draft, row: RoutingRule | None = None, wanted: int = 200) -> Rehearsal:
    return rehearse(draft, row, cast.organization, wanted)


def pairs(said: Rehearsal) -> list[tuple[str | None, str | None, int]]:
    return [(s.before and s.before.model, s.after and s.after.model, s.sums.count) for s in said.switches]  # type: ignore[misc]


def test_costs_are_the_tokens_that_were_used_at_each_models_rates_to_the_nano(
    acme: people.Cast, cheap: Model, dear: Model
) -> None:
    made(acme, 7)
    said = tried(acme, draft_of(dear))
    assert pairs(said) == [("cheap", "dear", 7)]
    before, after = 7 * (IN + OUT) * CHEAP // 1_000_000, 7 * (IN + OUT) * DEAR // 1_000_000
    assert (said.all.cost_before, said.all.cost_after) == (before, after)
    assert said.switches[0].sums.cost_difference == after - before
    assert (said.looked_at, said.changed, said.decided, said.lost) == (7, 7, 7, 0)


def test_a_price_that_is_not_known_is_counted_apart_and_is_not_nothing(
    acme: people.Cast, key: APIKey, cheap: Model
) -> None:
    unpriced = people.own_model(acme, key, "unpriced")
    made(acme, 3)
    said = tried(acme, draft_of(unpriced))
    assert pairs(said) == [("cheap", "unpriced", 3)]
    assert said.all.unpriced == 3
    assert said.all.cost_difference is None
    made(acme, 2, tokens_input=None, tokens_output=None)
    assert tried(acme, draft_of(cheap)).all.unpriced == 2, "nothing is known to have been used"


def test_a_draft_comes_in_its_place_among_the_rules(acme: people.Cast, cheap: Model, dear: Model) -> None:
    made(acme, 4)
    drafts.save(Draft("First", (Entry(cheap.id),), priority=20), acme.organization, None)
    assert tried(acme, draft_of(dear, priority=10)).changed == 4
    assert tried(acme, draft_of(dear, priority=30)).changed == 0
    assert tried(acme, draft_of(dear)).changed == 0, "without a priority it comes after all others"
    assert tried(acme, draft_of(dear, priority=10, is_enabled=False)).changed == 0
    assert tried(acme, draft_of(dear, priority=900, project_id=acme.project.id)).changed == 4


def test_a_changed_rule_is_compared_with_itself_as_it_stands(acme: people.Cast, cheap: Model, dear: Model) -> None:
    made(acme, 5)
    row = drafts.save(Draft("Mine", (Entry(cheap.id),)), acme.organization, None)
    assert pairs(tried(acme, draft_of(dear), row)) == [("cheap", "dear", 5)]
    assert tried(acme, Draft.of(row), row).changed == 0
    narrow = draft_of(dear, conditions={"expression": "prompt.characters > 100"})
    assert pairs(tried(acme, narrow, row)) == [], "what it no longer decides the built-in rule gives to the cheapest"


def test_a_rule_asked_for_by_its_name_is_tried_alone(acme: people.Cast, cheap: Model, dear: Model) -> None:
    row = drafts.save(Draft("Mine", (Entry(cheap.id),)), acme.organization, None)
    made(acme, 2, requested="Mine")
    made(acme, 3, requested="own/cheap")
    renamed = draft_of(dear)
    assert pairs(tried(acme, Draft("Mine", (Entry(dear.id),)), row)) == [("cheap", "dear", 2)]
    said = tried(acme, renamed, row)
    assert (said.looked_at, said.lost) == (2, 2), "programs that ask for the old name would be refused"
    assert "No model or rule named “Mine”" in said.switches[0].problem


def test_a_new_rule_takes_the_runs_that_asked_for_a_model_of_its_name_and_tells_of_the_others(
    acme: people.Cast, cheap: Model, dear: Model
) -> None:
    made(acme, 4, requested="dear")
    made(acme, 3, requested="own/dear")
    made(acme, 5, requested="another rule")
    made(acme, 2)
    draft = Draft("dear", (Entry(cheap.id),))
    said = tried(acme, draft)
    assert pairs(said) == [("dear", "cheap", 4)], "auto has taken the cheapest before"
    reach = said.reach
    assert (reach.auto, reach.named, reach.other_names, reach.scanned, said.looked_at) == (2, 4, 8, 14, 6)
    assert said.decided == 6


def test_who_asks_for_the_old_name_gets_the_model_that_has_it_too(acme: people.Cast, cheap: Model, dear: Model) -> None:
    row = drafts.save(Draft("cheap", (Entry(dear.id),)), acme.organization, None)
    made(acme, 2, requested="cheap")
    assert pairs(tried(acme, Draft("Renamed", (Entry(dear.id),)), row)) == [("dear", "cheap", 2)]


def test_each_name_leads_where_an_execution_would_go(
    acme: people.Cast, key: APIKey, cheap: Model, dear: Model, subtests: pytest.Subtests
) -> None:
    people.own_model(acme, key, "twin", input=CHEAP, output=CHEAP)
    simulated = people.simulated_model()
    people.own_model(acme, key, simulated.name, input=CHEAP, output=CHEAP)
    drafts.save(Draft("Mine", (Entry(dear.id),)), acme.organization, None)
    for name in ("auto", "cheap", "own/cheap", "twin", "Mine", "nobody's", simulated.name):
        with subtests.test(name):
            (id,) = made(acme, 1, requested=name)
            run = db.session.get_one(Execution, id)
            real = choose(RunRecord.of(run), from_json(run.body.request), random.Random(id.int))
            said = tried(acme, Draft(name if name != "auto" else "New", (Entry(dear.id),), priority=0), wanted=1)
            assert said.looked_at == 1
            before = next((switch.before for switch in said.switches), None)
            unchanged = "dear" if said.decided and not said.switches else None
            expected = real.steps[0].candidate.model if real.steps else None
            assert (before.model if before else unchanged) == expected


def test_a_name_is_asked_for_from_sessions_of_every_type(acme: people.Cast, cheap: Model, dear: Model) -> None:
    row = drafts.save(Draft("Mine", (Entry(cheap.id),)), acme.organization, None)
    made(acme, 2, requested="Mine", model_type=ModelType.CODE)
    made(acme, 1, requested="Mine", model_type=ModelType.IMAGE)
    made(acme, 4, model_type=ModelType.IMAGE)
    said = tried(acme, Draft("Mine", (Entry(dear.id),)), row)
    assert (said.looked_at, said.reach.named, said.reach.other_types) == (3, 3, 4)
    assert pairs(said) == [("cheap", "dear", 2)]
    assert said.without == 1, "it can draw nothing"


def test_what_a_rule_would_leave_is_touched_as_well(acme: people.Cast, cheap: Model, dear: Model) -> None:
    """Its scope is made smaller, or its type another: what it decides now is decided by others then."""
    other = create_project(acme.organization, acme.olivia, "Other")
    db.session.add(other)
    db.session.commit()
    row = drafts.save(Draft("Mine", (Entry(dear.id),)), acme.organization, None)
    made(acme, 2)
    made(acme, 3, project_id=other.id)
    said = tried(acme, draft_of(dear, project_id=other.id), row)
    assert (said.looked_at, said.reach.other_projects) == (5, 0)
    assert pairs(said) == [("dear", "cheap", 2)], "the other project's go on as they are"
    only = tried(acme, draft_of(dear, project_id=other.id))
    assert (only.looked_at, only.reach.other_projects) == (3, 2)
    assert pairs(tried(acme, draft_of(dear, model_type=ModelType.IMAGE), row)) == [("dear", "cheap", 5)]


def test_only_some_of_the_runs_can_be_looked_at_and_all_are_counted(
    acme: people.Cast, cheap: Model, dear: Model
) -> None:
    made(acme, 2, requested="Tried", origin=Origin.GATEWAY)
    made(acme, 3, origin=Origin.GATEWAY)
    made(acme, 4)
    for which, found in (
        (Filter(), 9),
        (Filter(asked="auto"), 7),
        (Filter(asked="name"), 2),
        (Filter(origin="gateway"), 5),
        (Filter("auto", "gateway"), 3),
        (Filter("name", "playground"), 0),
        (Filter(origin="batch"), 0),
    ):
        said = rehearse(draft_of(dear), None, acme.organization, 200, which)
        assert (said.looked_at, said.reach.fitting) == (found, found)
        assert (said.reach.auto, said.reach.named, said.reach.scanned) == (7, 2, 9)


def test_what_was_imported_was_never_routed_here(acme: people.Cast, cheap: Model, dear: Model) -> None:
    made(acme, 3, origin=Origin.IMPORT)
    said = tried(acme, draft_of(dear))
    assert (said.looked_at, said.reach.scanned) == (0, 0)


def test_an_expression_sees_the_tags_and_the_session_that_a_program_sent(
    acme: people.Cast, cheap: Model, dear: Model
) -> None:
    made(acme, 2, origin=Origin.GATEWAY, labels={"tags": ["eu", "ci"], "session": "s-1"})
    made(acme, 3, origin=Origin.GATEWAY)
    for asked in ('request.tags.contains(",eu,")', 'request.session == "s-1"'):
        assert tried(acme, draft_of(dear, conditions={"expression": asked})).changed == 2


def test_runs_that_would_have_no_model_are_counted_with_the_reason(
    acme: people.Cast, cheap: Model, dear: Model
) -> None:
    row = drafts.save(Draft("Mine", (Entry(dear.id),)), acme.organization, None)
    made(acme, 3, text="x" * 4 * 50_000, requested="Mine")
    made(acme, 1, text="x" * 4 * 300_000, requested="Mine")
    said = tried(acme, Draft("Mine", (Entry(cheap.id),)), row)
    assert pairs(said) == [("dear", None, 3)]
    assert (said.lost, said.without) == (3, 1)
    assert "do not fit its context window of 32,000" in said.switches[0].problem


def test_the_same_draft_gives_the_same_answer_every_time_and_draws_like_a_weighted_rule(
    acme: people.Cast, cheap: Model, dear: Model
) -> None:
    made(acme, 200)
    half = Draft("Half", (Entry(cheap.id, 1), Entry(dear.id, 1)))
    first, second = tried(acme, half), tried(acme, half)
    assert pairs(first) == pairs(second)
    assert 60 <= first.changed <= 140


def test_runs_that_a_new_weight_does_not_touch_keep_their_draw(acme: people.Cast, cheap: Model, dear: Model) -> None:
    made(acme, 200)
    row = drafts.save(Draft("R", (Entry(cheap.id, 50), Entry(dear.id, 50))), acme.organization, None)
    said = tried(acme, Draft("R", (Entry(cheap.id, 60), Entry(dear.id, 40))), row)
    assert [pair[:2] for pair in pairs(said)] == [("dear", "cheap")], "none goes the other way"
    assert 5 <= said.changed <= 40


def test_without_the_draft_each_run_is_planned_as_an_execution_would_be(
    acme: people.Cast, key: APIKey, cheap: Model, dear: Model
) -> None:
    many = range(60)  # more than one chunk of the built-in rule
    costs = [{"input": CHEAP // 2 + number, "output": CHEAP // 2} for number in many]
    models_of(acme, key, [{"name": f"m{at}", "context_window": 100 + at * 500, **costs[at]} for at in many])
    sizes = (1, 200, 2_000, 20_000, 24_000)
    ids = {made(acme, 1, text="word " * size)[0] for size in sizes}
    said = tried(acme, draft_of(dear, priority=1))
    assert said.changed == len(sizes)
    for switch in said.switches:
        assert switch.before
        for id in switch.samples:
            run = db.session.get_one(Execution, id)
            real = choose(RunRecord.of(run), from_json(run.body.request), random.Random(id.int))
            assert real.steps[0].candidate.model_id == switch.before.model_id
            ids.remove(id)
    assert not ids
    assert len(said.switches) > 2, "they go to different models"


def test_an_expression_sees_the_facts_of_then(acme: people.Cast, cheap: Model, dear: Model) -> None:
    monday = now().replace(hour=3, minute=0) - timedelta(days=now().weekday() + 7)
    made(acme, 2, created_at=monday)
    made(acme, 3, created_at=monday + timedelta(days=2))
    draft = draft_of(dear, conditions={"expression": "time.weekday == 1"})
    assert tried(acme, draft).changed == 2
    assert tried(acme, draft_of(dear, conditions={"expression": 'member.role == "MEMBER"'})).changed == 5
    assert tried(acme, draft_of(dear, conditions={"expression": 'request.origin == "gateway"'})).changed == 0
    named = {"expression": f'project.name == "{acme.project.name}" && budget.used_percent == 0'}
    assert tried(acme, draft_of(dear, conditions=named)).changed == 5


def test_only_runs_of_its_scope_and_type_are_looked_at(acme: people.Cast, cheap: Model, dear: Model) -> None:
    other = create_project(acme.organization, acme.olivia, "Other")
    db.session.add(other)
    db.session.commit()
    made(acme, 2)
    made(acme, 3, project_id=other.id)
    made(acme, 4, model_type=ModelType.IMAGE)
    made(acme, 1, model_type=ModelType.CODE)
    made(acme, 5, state=State.RUNNING)
    assert tried(acme, draft_of(dear)).looked_at == 6
    assert tried(acme, draft_of(dear, project_id=other.id)).looked_at == 3
    assert tried(acme, draft_of(dear), wanted=4).looked_at == 4


def test_another_organizations_runs_are_never_looked_at(
    acme: people.Cast, rival: people.Cast, cheap: Model, dear: Model
) -> None:
    made(rival, 5)
    assert tried(acme, draft_of(dear)).looked_at == 0


def test_waits_are_estimated_from_the_runs_each_model_answered(acme: people.Cast, cheap: Model, dear: Model) -> None:
    for model, seconds in ((cheap, 2), (dear, 6)):
        at = now() - timedelta(hours=1)
        made(acme, 3, model_id=model.id, requested=model.name, created_at=at, started_at=at,
             finished_at=at + timedelta(seconds=seconds))  # fmt: skip
    made(acme, 4)
    said = tried(acme, draft_of(dear))
    assert said.all.timed == 4
    assert said.all.seconds_difference == pytest.approx(4.0)


def test_a_project_that_never_uses_the_platforms_keys_is_planned_without_them(
    acme: people.Cast, cheap: Model, dear: Model
) -> None:
    strict = create_project(acme.organization, acme.olivia, "Strict")
    strict.allows_platform_keys = False
    db.session.add(strict)
    db.session.commit()
    made(acme, 2)
    made(acme, 2, project_id=strict.id)
    assert tried(acme, draft_of(dear)).changed == 4


def test_500_runs_take_less_than_two_seconds_and_the_hub_is_read_once(
    acme: people.Cast, key: APIKey, cheap: Model, dear: Model
) -> None:
    same = {"output": CHEAP, "context_window": 64_000}
    models_of(acme, key, [{"name": f"m{at:03}", "input": CHEAP * (at + 2), **same} for at in range(300)])
    made(acme, 500, text="A prompt of ordinary length. " * 40)
    for number in range(10):
        conditions = {"expression": f"prompt.tokens > {1_000 * (number + 1)}", "max_cost": 0.5}
        drafts.save(Draft(f"R{number}", (Entry(dear.id), Entry(cheap.id)), conditions), acme.organization, None)
    statements: list[str] = []

    def count(*said: Any) -> None:
        statements.append(said[2])

    event.listen(db.engine, "before_cursor_execute", count)
    began = time.thread_time()  # our own: the machine may be busy with other things
    said = tried(acme, Draft("Half", (Entry(cheap.id), Entry(dear.id)), strategy=Strategy.BALANCED), wanted=500)
    took = time.thread_time() - began
    event.remove(db.engine, "before_cursor_execute", count)
    print(f"\n500 runs beside 302 models and 10 rules: {took:.2f} s, {len(statements)} statements")
    assert said.looked_at == 500
    assert not said.is_cut_short
    assert took < 2
    assert len(statements) < 40


def test_many_runs_are_tried_and_no_other_is_read(acme: people.Cast, cheap: Model, dear: Model) -> None:
    text = "A prompt of ordinary length. " * 40
    made(acme, 800, text=text)
    made(acme, 400, text=text, requested="own/dear")
    bodies = 0

    def count(*said: Any) -> None:
        nonlocal bodies
        if "FROM execution_bodies" in said[2]:
            bodies += said[1].rowcount

    event.listen(db.engine, "after_cursor_execute", count)
    said = tried(acme, Draft("Half", (Entry(cheap.id), Entry(dear.id))), wanted=5_000)
    event.remove(db.engine, "after_cursor_execute", count)
    assert (said.reach.scanned, said.reach.auto, said.reach.other_names) == (1_200, 800, 400)
    assert bodies == said.looked_at or said.is_cut_short


def test_a_prompt_that_is_too_large_to_read_is_left_out_and_told(acme: people.Cast, cheap: Model, dear: Model) -> None:
    noise = "".join(map(chr, random.Random(1).choices(range(0x4E00, 0x9FFF), k=200_000)))
    made(acme, 1, text=noise)
    made(acme, 2)
    said = tried(acme, draft_of(dear))
    assert (said.looked_at, said.left_out) == (2, 1)


# -- in the browser --------------------------------------------------------------------------------


def test_a_draft_is_rehearsed_from_its_form_and_nothing_is_saved(
    app: Flask, acme: people.Cast, cheap: Model, dear: Model
) -> None:
    ids = made(acme, 12)
    answer = post(app, acme, "/rehearsal", fields(dear, runs="50"))
    said = text_of(answer)
    assert "Would change model 12 of 12 runs" in said
    assert "Runs that would change model" in said
    assert any(str(id) in answer.get_data(as_text=True) for id in ids), "some runs can be looked at"
    mine = RoutingRule.organization_id == acme.organization.id
    assert db.session.scalar(select(func.count()).select_from(RoutingRule).where(mine)) == 0
    runs = Execution.organization_id == acme.organization.id
    assert db.session.scalar(select(func.count()).select_from(Execution).where(runs)) == 12


def test_a_rehearsal_says_which_runs_were_tried_and_why_the_others_were_not(
    app: Flask, acme: people.Cast, cheap: Model, dear: Model
) -> None:
    made(acme, 60)
    made(acme, 2, requested="My rule", origin=Origin.GATEWAY)
    made(acme, 3, requested="own/dear")
    made(acme, 1, model_type=ModelType.IMAGE)
    said = text_of(post(app, acme, "/rehearsal", fields(dear, runs="50")))
    assert "66 finished runs all there are, since" in said
    assert "62 that it could touch 60 asked for auto , 2 for the rule by its name; the newest 50 were tried" in said
    assert "4 not touched 3 asked for a model or another rule by name, 1 asked for auto and are of another type" in said
    said = text_of(post(app, acme, "/rehearsal", fields(dear, runs="50", asked="name", origin="gateway")))
    assert "Would change model 2 of 2 runs" in said
    assert "2 of them fit the filter" in said
    said = text_of(post(app, acme, "/rehearsal", fields(dear, runs="50", origin="batch")))
    assert "The filter leaves none of them." in said
    said = text_of(post(app, acme, "/rehearsal", fields(dear, runs="50", origin="' OR 1=1", asked="x")))
    assert "of 50 runs" in said


def test_a_rehearsal_of_a_draft_that_is_not_ready_says_what_is_missing(
    app: Flask, acme: people.Cast, cheap: Model
) -> None:
    for form in (fields(), fields(cheap, condition="max_cost", condition__max_cost="x")):
        assert "This draft cannot be tried yet" in text_of(post(app, acme, "/rehearsal", form))
    unnamed = fields(cheap, name="")
    assert "There are no runs to try it on yet" in text_of(post(app, acme, "/rehearsal", unnamed))


def test_an_absurd_number_of_runs_is_not_taken(app: Flask, acme: people.Cast, cheap: Model, dear: Model) -> None:
    made(acme, 60)
    for runs in ("100000000", "-1", "many", ""):
        assert "50 runs" in text_of(post(app, acme, "/rehearsal", fields(dear, runs=runs)))


def test_a_project_is_never_another_organizations(
    app: Flask, acme: people.Cast, rival: people.Cast, cheap: Model
) -> None:
    made(rival, 3)
    answer = post(app, acme, "/rehearsal", fields(cheap, project_id=rival.project.id))
    assert "This draft cannot be tried yet" in text_of(answer)
