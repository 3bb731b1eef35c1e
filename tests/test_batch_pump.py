"""How batches move on, round by round: what stops them, what they wait for, and whom they let go first."""

from __future__ import annotations

import csv
import io
import uuid
from datetime import timedelta
from itertools import count
from threading import Thread
from typing import Any

import pytest
import rq
from flask import Flask, g
from flask_login import login_user
from sqlalchemy import func, select, update

from dataelan_web import modes, quota
from dataelan_web.batches import controls, drafting, estimate, export, pump, results
from dataelan_web.executions import purge
from dataelan_web.executions.execute import execute_queued
from dataelan_web.executions.keeper import cancel
from dataelan_web.executions.sweep import requeue
from dataelan_web.extensions import db
from dataelan_web.jobs import queue
from dataelan_web.models import (
    IN_TRASH,
    NANO,
    Batch,
    BatchCell,
    BatchRow,
    BatchScore,
    BatchState,
    CellState,
    Collaborator,
    Execution,
    ExecutionBody,
    Membership,
    Mode,
    Notice,
    Origin,
    Scope,
    State,
    now,
)
from dataelan_web.models.batches import end_turn, take_turn
from dataelan_web.prompts.refusals import Refused
from dataelan_web.router import run as running

from . import people, used
from .conftest import wait_until
from .test_batches import FAST, SECOND, cells, drafted, fresh, get, post, states

SHEET = "text\none\ntwo\nthree\n"
FAILING = "simulated/simulated-fail-{}"
QUIET = "heard-by-nobody"


@pytest.fixture(autouse=True)
def quiet(app: Flask, context: None, simulated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits in the queue; runs are made by hand, so that nothing of them is asked of a worker."""
    monkeypatch.setitem(app.extensions, "dataelan_queue", rq.Queue(QUIET, connection=queue.store()))
    monkeypatch.setattr(running, "FIRST_PAUSE", 0.01)
    empty()


def empty() -> None:
    queue.store().delete(rq.Queue(QUIET, connection=queue.store()).key)


def begun(app: Flask, cast: people.Cast, sheet: str = SHEET, text: str = "Say {{text}}", **setup: Any) -> Batch:
    """Started, and held as if a worker were at it: whoever else runs leaves it alone."""
    batch = drafted(app, cast, sheet, text)
    hold(batch)
    form = {"name": "Rows", "map-text": "text", "model": FAST, **setup}
    assert post(app, cast, f"/batches/{batch.id}/setup", **form).status_code == 200
    answer = post(app, cast, f"/batches/{batch.id}/start")
    assert answer.status_code == 204, answer.get_data(as_text=True)
    return fresh(batch.id)


def hold(batch: Batch) -> None:
    db.session.execute(update(Batch).where(Batch.id == batch.id).values(turn_until=now() + timedelta(hours=1)))
    db.session.commit()


def move(batch: Batch, rounds: int = 1, places: int = 50) -> Batch:
    """Rounds of a worker, and between them all that was asked is answered."""
    for _ in range(rounds):
        empty()
        pump._move(batch.id, places)
        for id in in_queue(batch):
            execute_queued(id)
        wait_until(lambda: not in_queue(batch))
    pump._move(batch.id, 0)
    return fresh(batch.id)


def in_queue(batch: Batch) -> list[uuid.UUID]:
    db.session.rollback()
    open_ = Execution.state.in_((State.QUEUED, State.RUNNING))
    return list(db.session.scalars(select(Execution.id).where(Execution.batch_id == batch.id, open_)))


def runs_of(batch: Batch) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).where(Execution.batch_id == batch.id)) or 0


def priced(cast: people.Cast, simulated: str, name: str = "simulated-instant", **price: Any) -> str:
    """A model of the organization's own that answers at once. A dollar for a million tokens."""
    key = people.own_provider(cast, simulated)
    key.provider.slug = f"own-{uuid.uuid4().hex[:6]}"
    model = people.own_model(cast, key, name, **(price or {"input": NANO, "output": NANO}))
    return f"{key.provider.slug}/{model.name}"


# -- few at a time, people first -------------------------------------------------------------------


def test_only_a_few_runs_are_in_flight_and_the_next_follow(app: Flask, acme: people.Cast) -> None:
    batch = begun(app, acme, "text\n" + "x\n" * 7, at_once="3")
    pump._move(batch.id, 50)
    pump._move(batch.id, 50)
    assert states(batch).count("running") == runs_of(batch) == 3
    assert [cell.position for cell in cells(batch) if cell.state is CellState.RUNNING] == [1, 2, 3]
    assert move(batch, 3).state is BatchState.DONE
    assert states(batch) == ["done"] * 7
    assert runs_of(batch) == 7


def test_nothing_is_added_while_a_prompt_of_a_person_waits(app: Flask, acme: people.Cast) -> None:
    batch = begun(app, acme)
    rq.Queue(QUIET, connection=queue.store()).push_job_id("somebodys-prompt")
    pump._move(batch.id, 50)
    assert runs_of(batch) == 0
    empty()
    pump._move(batch.id, 1)
    assert runs_of(batch) == 1, "no more than the places that batches have"
    move(batch, 3)


@pytest.mark.parametrize("closed", [Mode.READ_ONLY, Mode.MAINTENANCE])
def test_nothing_is_added_while_dataelan_is_closed_and_what_runs_goes_on(
    app: Flask, acme: people.Cast, closed: Mode
) -> None:
    batch = begun(app, acme, at_once="1")
    pump._move(batch.id, 50)
    modes.remember(closed)
    move(batch, 2)
    assert (states(batch), runs_of(batch)) == (["done", "waiting", "waiting"], 1)
    modes.remember(Mode.OPEN)
    move(batch, 2)
    assert states(batch) == ["done"] * 3


def test_a_batch_is_one_workers_at_a_time_and_another_follows_one_that_died(app: Flask, acme: people.Cast) -> None:
    batch = drafted(app, acme)
    assert take_turn(db.session, batch.id)
    assert not take_turn(db.session, batch.id)
    hold(batch)
    db.session.execute(update(Batch).where(Batch.id == batch.id).values(state=BatchState.RUNNING))
    assert batch.id in db.session.scalars(pump._DUE).all()
    acme.organization.suspended_at = now()
    assert batch.id not in db.session.scalars(pump._DUE).all(), "should it have begun at the moment of the suspension"
    acme.organization.suspended_at = None
    db.session.execute(update(Batch).where(Batch.id == batch.id).values(turn_until=now() - timedelta(seconds=1)))
    assert take_turn(db.session, batch.id)
    end_turn(db.session, batch.id)
    db.session.commit()


def test_a_run_that_was_recorded_but_not_noted_is_not_asked_twice(app: Flask, acme: people.Cast) -> None:
    """The worker died between its two commits."""
    batch = begun(app, acme)
    pump._move(batch.id, 1)
    first = cells(batch)[0]
    run, first.state, first.execution_id, first.tries = first.execution_id, CellState.WAITING, None, 0
    db.session.commit()
    empty()
    pump._move(batch.id, 1)
    assert (cells(batch)[0].execution_id, runs_of(batch)) == (run, 1)
    assert run is not None
    pump._send(first.id, db.session.get_one(Execution, run))  # by one that was only slow, and comes after all
    assert db.session.get_one(Execution, run, populate_existing=True).state is State.QUEUED
    db.session.execute(update(Execution).where(Execution.id == run).values(created_at=now() - timedelta(minutes=1)))
    db.session.commit()
    requeue()
    lost = db.session.get_one(Execution, run, populate_existing=True)
    assert lost.enqueued_at or lost.state is not State.QUEUED, "a lost message is sent again by the sweeper"
    move(batch, 3)


# -- what stops it ---------------------------------------------------------------------------------


def test_a_limit_pauses_it_says_which_and_it_goes_on_by_a_click(app: Flask, acme: people.Cast, simulated: str) -> None:
    model = priced(acme, simulated)
    budget = used.limit(acme, Scope.PROJECT, acme.project.id, 1_000)
    batch = begun(app, acme, model=model)
    batch = move(batch)
    assert (batch.state, batch.refused_by) == (BatchState.PAUSED, budget.id)
    assert set(states(batch)) == {"waiting"}, "what was refused never began"
    assert {cell.tries for cell in cells(batch)} == {0}
    page = get(app, acme, f"/batches/{batch.id}")
    assert "Ask for more" in page
    assert "stopped this" in page
    notices = select(Notice).where(Notice.kind == "batch.paused", Notice.user_id == acme.mia.id)
    assert len(db.session.scalars(notices).all()) == 1, "told once, however many were refused"
    used.limit(acme, Scope.PROJECT, acme.project.id, NANO)
    assert post(app, acme, f"/batches/{batch.id}/resume", "adam").status_code == 204
    batch = move(batch, 2)
    assert batch.state is BatchState.DONE
    assert batch.started_by == acme.adam.id, "whose runs they are from then on"
    spent = results.spent(batch)
    assert spent.answers == sum(cell.cost or 0 for cell in cells(batch)) > 0


def test_ten_failures_in_a_row_pause_it(app: Flask, acme: people.Cast) -> None:
    with people.failing_model("unauthorized"):
        batch = begun(app, acme, "text\n" + "x\n" * 30, model=FAILING.format("unauthorized"))
        batch = move(batch, 2)
        assert batch.state is BatchState.PAUSED
        assert "10 runs in a row failed" in batch.why
        assert states(batch).count("failed") < 30
        assert "Retry failed" in get(app, acme, f"/batches/{batch.id}")


def test_a_provider_that_is_asked_too_fast_is_asked_again_later(app: Flask, acme: people.Cast) -> None:
    with people.failing_model("rate_limit"):
        at_once = "!simulate retry_after=0\nSay {{text}}"
        batch = begun(app, acme, "text\nx\n", at_once, model=FAILING.format("rate_limit"))
        batch = move(batch)
        assert states(batch) == ["waiting"]
        assert batch.rests_until
        assert batch.rests_until > now()
        assert runs_of(batch) == 1
        for _ in range(3):
            db.session.execute(update(Batch).where(Batch.id == batch.id).values(rests_until=None))
            db.session.commit()
            batch = move(batch)
        assert (states(batch), runs_of(batch)) == (["failed"], 4)
        assert batch.state is BatchState.DONE
        post(app, acme, f"/batches/{batch.id}/retry", which="failed")
        assert states(move(batch)) == ["waiting"], "as often again, when a person wants it"


def test_a_row_that_no_waiting_helps_fails_and_its_run_offers_to_ask_for_more(app: Flask, acme: people.Cast) -> None:
    rate = used.rate(acme.organization.id, Scope.PROJECT, acme.project.id, tokens_per_minute=60)
    batch = move(begun(app, acme, f"text\n{'Hello ' * 20}\n", "{{text}}"))
    assert states(batch) == ["failed"], "it would be too much in any minute"
    run = db.session.scalars(select(Execution).where(Execution.batch_id == batch.id)).one()
    assert "limit of 60 tokens per minute is less than this prompt may use" in run.body.error
    assert f"/limits/rates/{rate.id}/tokens/increases/new?run={run.id}" in get(app, acme, f"/executions/{run.id}")


def test_what_failed_is_asked_again_and_only_that(app: Flask, acme: people.Cast) -> None:
    sheet = "text\nfine\n!simulate fail=unauthorized\nfine too\n"
    batch = move(begun(app, acme, sheet, "{{text}}"), 2)
    assert states(batch) == ["done", "failed", "done"]
    mended = "!simulate tokens=5"
    row = db.session.scalars(select(BatchRow).where(BatchRow.batch_id == batch.id, BatchRow.position == 2)).one()
    row.values = [mended]
    db.session.commit()
    assert post(app, acme, f"/batches/{batch.id}/retry", which="failed").status_code == 204
    assert fresh(batch.id).state is BatchState.RUNNING
    assert move(batch, 2).state is BatchState.DONE
    assert states(batch) == ["done"] * 3
    assert runs_of(batch) == 4
    assert post(app, acme, f"/batches/{batch.id}/retry", which="failed").status_code == 422


def test_what_is_asked_again_as_the_batch_ends_is_asked(
    app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = move(begun(app, acme, "text\n!simulate fail=unauthorized\n", "{{text}}"))
    db.session.execute(update(Batch).where(Batch.id == batch.id).values(state=BatchState.RUNNING))
    db.session.commit()
    mia, retry = people.browser(app, acme.mia), f"{acme.home}/batches/{batch.id}/retry"
    click = Thread(target=mia.submit, args=(retry, {"which": "failed"}))
    is_all_scored, looks = pump.scoring.is_all_scored, count(1)

    def between(of: Batch) -> bool:
        """The last look, and the end."""
        is_scored = is_all_scored(of)
        if next(looks) == 2:
            click.start()
            click.join(0.2)
        return is_scored

    monkeypatch.setattr(pump.scoring, "is_all_scored", between)
    pump._move(batch.id, 0)
    click.join()
    assert (fresh(batch.id).state, states(batch)) == (BatchState.RUNNING, ["waiting"])


def test_what_a_batch_asks_is_not_changed_while_it_begins(app: Flask, acme: people.Cast) -> None:
    batch = drafted(app, acme)
    hold(batch)
    assert batch.state is BatchState.DRAFT
    with app.test_request_context():
        login_user(acme.mia)
        g.organization = acme.organization
        seen = db.session.get_one(Batch, batch.id)
        setup = {"name": "Rows", "map-text": "text", "model": [FAST, SECOND]}
        assert post(app, acme, f"/batches/{batch.id}/setup", **setup).status_code == 200
        controls.start(seen)
    with pytest.raises(Refused):
        drafting.change(batch, "Rows", {}, "", "", [FAST], 1)
    assert len(cells(batch)) == 6, "both models: what was on the page that began it is older"


def test_it_pauses_goes_on_and_is_cancelled(app: Flask, acme: people.Cast) -> None:
    batch = begun(app, acme, at_once="1")
    pump._move(batch.id, 50)
    assert post(app, acme, f"/batches/{batch.id}/pause").status_code == 204
    assert post(app, acme, f"/batches/{batch.id}/pause").status_code == 422, "it is paused already"
    batch = move(batch)
    assert (batch.state, states(batch)) == (BatchState.PAUSED, ["done", "waiting", "waiting"])
    assert post(app, acme, f"/batches/{batch.id}/resume").status_code == 204
    pump._move(batch.id, 50)
    assert post(app, acme, f"/batches/{batch.id}/cancel").status_code == 204
    batch = move(batch)
    assert (batch.state, states(batch)) == (BatchState.CANCELLED, ["done", "cancelled", "cancelled"])
    assert "Ask the other 2" in get(app, acme, f"/batches/{batch.id}")
    assert post(app, acme, f"/batches/{batch.id}/retry", which="stopped").status_code == 204
    assert move(batch, 3).state is BatchState.DONE
    assert states(batch) == ["done"] * 3


def test_what_was_cancelled_as_it_was_asked_can_be_asked_later(
    app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = begun(app, acme, "text\nx\n")
    send = pump._send

    def cancelled_before(cell_id: uuid.UUID, execution: Execution) -> None:
        post(app, acme, f"/batches/{batch.id}/cancel")
        send(cell_id, execution)

    monkeypatch.setattr(pump, "_send", cancelled_before)
    pump._move(batch.id, 50)
    monkeypatch.undo()
    assert states(batch) == ["cancelled"]
    post(app, acme, f"/batches/{batch.id}/retry", which="stopped")
    assert states(move(batch, 2)) == ["done"]


def test_a_run_that_a_person_stops_is_stopped_and_the_others_go_on(app: Flask, acme: people.Cast) -> None:
    batch = begun(app, acme)
    pump._move(batch.id, 1)
    run = cells(batch)[0].execution_id
    assert run
    cancel(run)
    assert move(batch, 2).state is BatchState.DONE
    assert states(batch) == ["cancelled", "done", "done"]


def test_whoever_left_runs_nothing_any_more(app: Flask, acme: people.Cast) -> None:
    batch = begun(app, acme)
    for is_off in (True, False):
        acme.mia.disabled_at = now() if is_off else None
        db.session.commit()
        batch = move(batch, int(is_off))
        assert (batch.state, runs_of(batch)) == (BatchState.PAUSED, 0), "who is switched off neither"
    post(app, acme, f"/batches/{batch.id}/resume")
    member = select(Membership).where(
        Membership.user_id == acme.mia.id, Membership.organization_id == acme.organization.id
    )
    db.session.delete(db.session.scalars(member).one())
    db.session.commit()
    batch = move(batch)
    assert (batch.state, runs_of(batch)) == (BatchState.PAUSED, 0)
    assert "Somebody else can go on" in batch.why
    db.session.add(Collaborator(project_id=acme.project.id, user_id=acme.mia.id, role="EDITOR"))
    db.session.commit()
    assert post(app, acme, f"/batches/{batch.id}/resume").status_code == 204
    assert move(batch, 2).state is BatchState.DONE


def test_rows_that_cannot_be_asked_are_told_and_cost_nothing(app: Flask, acme: people.Cast) -> None:
    draft = drafted(app, acme, "text,more\n,1\nHello,2\n")
    page = get(app, acme, f"/batches/{draft.id}")
    assert "1 row cannot be asked" in page
    assert "Ask 1 time" in page
    hold(draft)
    assert post(app, acme, f"/batches/{draft.id}/start").status_code == 204
    batch = move(draft)
    assert states(batch) == ["unfit", "done"]
    assert "“text” is missing" in get(app, acme, f"/batches/{batch.id}?show=failed")


def test_without_a_column_for_a_variable_it_does_not_begin(app: Flask, acme: people.Cast) -> None:
    draft = drafted(app, acme, "words\nHello\n")
    answer = post(app, acme, f"/batches/{draft.id}/start")
    assert answer.status_code == 422
    assert "Say which column holds “text”" in answer.get_data(as_text=True)
    assert fresh(draft.id).state is BatchState.DRAFT


# -- what it may cost ------------------------------------------------------------------------------


def test_an_estimate_is_a_range_and_says_what_is_not_known(app: Flask, acme: people.Cast, simulated: str) -> None:
    known, unknown = priced(acme, simulated), priced(acme, simulated, "simulated-fast", input=None, output=None)
    draft = drafted(app, acme)
    form = {"name": "Rows", "map-text": "text", "model": [known, unknown, "no-such-model"]}
    page = post(app, acme, f"/batches/{draft.id}/setup", **form).get_data(as_text=True)
    assert "Unknown price" in page
    assert "which is assumed: too few runs" in page
    post(app, acme, f"/batches/{draft.id}/setup", **(form | {"model": [known]}))
    hold(draft)
    with app.test_request_context(), people_signed_in(acme):
        told = estimate.of(fresh(draft.id))
    assert 0 < told.low < told.high
    assert post(app, acme, f"/batches/{draft.id}/start").status_code == 204
    batch = move(draft, 2)
    assert batch.estimate == {"low": told.low, "high": told.high}
    assert told.low <= results.spent(batch).total <= told.high


class people_signed_in:  # noqa: N801 (reads as a clause)
    """Mia, for what asks `current_user`."""

    def __init__(self, cast: people.Cast):
        self.person = cast.mia

    def __enter__(self) -> None:
        from flask_login import login_user

        login_user(self.person)

    def __exit__(self, *error: object) -> None:
        pass


# -- how good it is --------------------------------------------------------------------------------


def test_people_score_one_after_the_other(app: Flask, acme: people.Cast) -> None:
    batch = move(begun(app, acme), 2)
    answer = post(app, acme, f"/batches/{batch.id}/answers/1/0/score", score="4")
    assert answer.headers["HX-Redirect"].endswith("/answers/2/0"), "the next one follows"
    post(app, acme, f"/batches/{batch.id}/answers/1/0/score", "adam", score="2")
    first = cells(batch)[0]
    assert (first.score, first.passed) == (0.5, False)
    post(app, acme, f"/batches/{batch.id}/answers/1/0/score", "adam", score="0")
    assert (cells(batch)[0].score, cells(batch)[0].passed) == (0.75, True)
    assert post(app, acme, f"/batches/{batch.id}/answers/1/0/score", score="6").status_code == 422
    assert 'id="row-1"' in get(app, acme, f"/batches/{batch.id}?show=passed")
    assert 'id="row-2"' not in get(app, acme, f"/batches/{batch.id}?show=passed")


def test_a_check_that_comes_later_scores_what_is_there_and_takes_its_scores_along(
    app: Flask, acme: people.Cast, simulated: str
) -> None:
    judge = priced(acme, simulated)
    batch = move(begun(app, acme), 2)
    form = {"kind": "judge", "text": "Is it polite?", "judge": judge}
    assert post(app, acme, f"/batches/{batch.id}/checks", "adam", **form).status_code == 204
    batch = move(batch, 2)
    assert batch.state is BatchState.DONE
    scores = db.session.scalars(select(BatchScore).where(BatchScore.batch_id == batch.id)).all()
    assert [score.problem for score in scores] == [""] * 3
    runs = db.session.scalars(select(Execution).where(Execution.origin == Origin.JUDGE, Execution.batch_id == batch.id))
    assert {run.user_id for run in runs} == {acme.adam.id}
    spent = results.spent(batch)
    assert spent.judges > 0 == spent.answers
    judged = get(app, acme, f"/batches/{batch.id}/answers/1/0")
    assert "The judge’s run" in judged
    post(app, acme, f"/batches/{batch.id}/checks/{batch.checks[0].id}/deletion")
    assert [cell.score for cell in cells(batch)] == [None] * 3


def test_judges_that_came_to_no_score_are_asked_anew(app: Flask, acme: people.Cast) -> None:
    batch = move(begun(app, acme), 2)
    with people.failing_model("unauthorized"):
        form = {"kind": "judge", "text": "Is it polite?", "judge": FAILING.format("unauthorized")}
        post(app, acme, f"/batches/{batch.id}/checks", **form)
        assert move(batch, 2).state is BatchState.DONE
        before = runs_of(batch)
        assert post(app, acme, f"/batches/{batch.id}/judges", "adam").status_code == 204
        assert move(batch, 2).state is BatchState.DONE
        assert runs_of(batch) == before + 3, "not those that failed once more"
    last = select(Execution.user_id).where(Execution.batch_id == batch.id).order_by(Execution.id.desc()).limit(3)
    assert set(db.session.scalars(last)) == {acme.adam.id}, "of whoever asked for them"


def test_answers_of_a_batch_that_was_cancelled_are_scored_as_well(app: Flask, acme: people.Cast) -> None:
    batch = move(begun(app, acme, at_once="1"))
    post(app, acme, f"/batches/{batch.id}/cancel")
    assert states(move(batch)) == ["done", "cancelled", "cancelled"]
    post(app, acme, f"/batches/{batch.id}/checks", kind="contains", text="a")
    hold(batch)
    assert batch.id in db.session.scalars(pump._DUE).all()
    batch = move(batch)
    assert (batch.state, states(batch)) == (BatchState.DONE, ["done", "cancelled", "cancelled"])
    assert cells(batch)[0].score is not None
    assert "Ask the other 2" in get(app, acme, f"/batches/{batch.id}")


def test_an_answer_that_is_in_the_trash_is_shown_to_no_judge(app: Flask, acme: people.Cast) -> None:
    batch = move(begun(app, acme), 2)
    first, *others = cells(batch)
    assert post(app, acme, f"/executions/{first.execution_id}/deletion").status_code < 400
    post(app, acme, f"/batches/{batch.id}/checks", kind="judge", judge=FAST, text="")
    assert move(batch, 2).state is BatchState.DONE
    scored = select(BatchScore.cell_id).where(BatchScore.batch_id == batch.id)
    assert set(db.session.scalars(scored)) == {cell.id for cell in others}


def test_a_file_holds_no_formulas(app: Flask, acme: people.Cast) -> None:
    batch = move(begun(app, acme, 'text,note\n"=1+1",-5\n+x,"\t=1"\n'), 2)
    body = get(app, acme, f"/batches/{batch.id}/results.csv").removeprefix("\ufeff")
    table = list(csv.reader(io.StringIO(body)))
    assert [row[:2] for row in table[1:]] == [["'=1+1", "-5"], ["'+x", "'\t=1"]]
    failed = get(app, acme, f"/batches/{batch.id}/failed-rows.csv").removeprefix("\ufeff")
    assert list(csv.reader(io.StringIO(failed))) == [["text", "note"]]
    written = export.results(batch)
    assert next(written)
    assert next(written)
    assert not db.session().in_transaction(), "whoever reads slowly holds no connection"


def test_what_is_corrected_by_an_invoice_is_corrected_in_the_table_too(
    app: Flask, acme: people.Cast, simulated: str
) -> None:
    batch = move(begun(app, acme, model=[priced(acme, simulated)]), 2)
    before = results.spent(batch).answers
    (run, *_) = db.session.scalars(select(Execution).where(Execution.batch_id == batch.id)).all()
    quota.correct(db.session, run.attempts[0].id, 7_000, "By the invoice", None)
    db.session.commit()
    everything, (of_model,) = results.sums(batch)
    assert results.spent(batch).answers == everything.cost == of_model.cost == before + 7_000


def test_a_batch_in_the_trash_hides_its_runs_and_is_purged_with_what_was_said(app: Flask, acme: people.Cast) -> None:
    batch = move(begun(app, acme, at_once="1"))
    run = cells(batch)[0].execution_id
    assert post(app, acme, f"/batches/{batch.id}/deletion").status_code == 204
    assert fresh(batch.id).state is BatchState.PAUSED
    client = people.browser(app, acme.mia)
    assert client.get(f"{acme.home}/batches/{batch.id}").status_code == 410
    assert client.get(f"{acme.home}/executions/{run}").status_code == 410
    assert "Rows" in get(app, acme, "/trash?kind=batch")
    assert post(app, acme, f"/trash/batch/{batch.id}/restoration").status_code < 400
    assert client.get(f"{acme.home}/executions/{run}").status_code == 200
    post(app, acme, f"/batches/{batch.id}/deletion")
    db.session.execute(update(Batch).where(Batch.id == batch.id).values(deleted_at=now() - IN_TRASH))
    db.session.commit()
    purge.purge()
    assert db.session.get(Batch, batch.id, populate_existing=True) is None
    assert db.session.get(ExecutionBody, run, populate_existing=True) is None
    assert db.session.get(Execution, run, populate_existing=True), "the books stay"
    left = select(func.count()).select_from(BatchCell).where(BatchCell.batch_id == batch.id)
    assert db.session.scalar(left) == 0


def test_the_same_rows_again_with_the_newest_version(app: Flask, acme: people.Cast) -> None:
    batch = move(begun(app, acme), 2)
    for text in ("kept", "removed"):
        post(app, acme, f"/batches/{batch.id}/checks", kind="contains", text=text)
    post(app, acme, f"/batches/{batch.id}/checks/{fresh(batch.id).checks[1].id}/deletion")
    answer = post(app, acme, f"/batches/{batch.id}/copies")
    copy = fresh(uuid.UUID(answer.headers["HX-Redirect"].rsplit("/", 1)[1]))
    assert [check.settings["text"] for check in copy.checks] == ["kept"], "as it is scored, and not by what was removed"
    assert (copy.state, copy.rows_count, copy.mapping) == (BatchState.DRAFT, 3, {"text": "text"})


def test_what_is_wrong_with_a_new_batch_is_said_and_what_was_typed_stays(app: Flask, acme: people.Cast) -> None:
    url = f"/projects/{acme.project.id}/batches"
    answer = post(app, acme, url, text="Say {{text}}", pasted="")
    assert answer.status_code == 422
    assert "Choose a CSV, or paste rows" in answer.get_data(as_text=True)
    assert "Say {{text}}" in answer.get_data(as_text=True)
    assert "Write something first" in post(app, acme, url, text="", pasted="a\nb").get_data(as_text=True)
    file = (io.BytesIO(b"PK\x03\x04"), "rows.xlsx")
    assert "“rows.xlsx”: This is a spreadsheet" in post(app, acme, url, text="Hi", file=file).get_data(as_text=True)
    file = (io.BytesIO("text\nGrüße\n".encode()), "rows.csv")
    assert post(app, acme, url, text="Say {{text}}", file=file).status_code == 204


def test_a_run_of_a_batch_and_a_judges_say_what_was_sent_and_where_they_belong(
    app: Flask, acme: people.Cast, simulated: str
) -> None:
    answer = post(app, acme, f"/projects/{acme.project.id}/batches", text="Name {{text}}", pasted="text\nAlpha\n")
    batch = fresh(uuid.UUID(answer.headers["HX-Redirect"].rsplit("/", 1)[1]))
    hold(batch)
    post(app, acme, f"/batches/{batch.id}/setup", **{"name": "Own", "map-text": "text", "model": FAST})
    post(app, acme, f"/batches/{batch.id}/checks", kind="judge", judge=FAST, text="")
    post(app, acme, f"/batches/{batch.id}/start")
    move(batch, 3)
    for run in db.session.scalars(select(Execution).where(Execution.batch_id == batch.id)).all():
        page = get(app, acme, f"/executions/{run.id}")
        assert "Name Alpha" in page, "the judge is told what was asked"
        assert f"/batches/{batch.id}" in page
        assert ("A judge’s run" in page) is (run.origin is Origin.JUDGE)
