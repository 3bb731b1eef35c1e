"""What must hold for a job that a provider works on when its worker dies, falls behind, or cannot go on: it is paid
for once, never by nobody, and whoever watches goes on watching."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select, text, update

from dataelan_web.executions import keeper, live
from dataelan_web.executions.answer import Answer
from dataelan_web.executions.candidates import step_of
from dataelan_web.executions.execute import choose, execute, execute_queued
from dataelan_web.executions.record import Record
from dataelan_web.executions.submit import record
from dataelan_web.executions.sweep import close_dead
from dataelan_web.extensions import db
from dataelan_web.hub.archive.shelving import remove_model
from dataelan_web.jobs.queue import store
from dataelan_web.models import APIKey, Execution, Model, ModelType, Outcome, Price, Scope, State, Window
from dataelan_web.models.executions import claim, close
from dataelan_web.models.records import RunRecord
from dataelan_web.quota import set_limit
from dataelan_web.router.providers import replicate
from dataelan_web.router.types import Again, Call, Message, Progress, Prompt, Task

from . import people
from .conftest import wait_until
from .test_executions import budget_of, held, ledger
from .test_measures import recording
from .test_media import asked, attempt_of, film, fresh

USD = 1_000_000_000
A_FILM = 4 * USD // 10
"""Four seconds at ten cents."""
Studio = tuple[Model, uuid.UUID]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicate.ReplicateFilms, "poll", 0.1)


@pytest.fixture
def studio(acme: people.Cast, simulated: str) -> Studio:
    """A priced maker of films with a key of Acme's own, and the id of a limit on what Acme spends."""
    key = people.own_provider(acme, simulated.removesuffix("/v1") + "/replicate/v1", kind="replicate")
    model = people.own_model(acme, key, "simulated/film", model_type=ModelType.VIDEO, task="video")
    db.session.add(Price(model_id=model.id, source="test", input=0, output=0, per_second=USD // 10))
    return model, limited(acme)


def limited(cast: people.Cast, usd: int = 5) -> uuid.UUID:
    budget = set_limit(
        db.session, cast.organization.id, Scope.ORGANIZATION, cast.organization.id, Window.TOTAL, usd * USD
    )
    db.session.commit()
    return budget.id


def requested(model: Model) -> str:
    return f"{model.provider.slug}/{model.name}"


@pytest.fixture
def begun(acme: people.Cast, studio: Studio) -> Iterator[Execution]:
    """A film that its provider works on; the worker that asked for it fell asleep, and wakes when all is over."""
    execution = record(asked(acme, film("A wave", 60), requested(studio[0])), claimed_by="test")
    events = execute(RunRecord.of(execution), execution.fence)
    for _ in range(2):
        assert isinstance(next(events), Progress)
    assert attempt_of(execution).job
    yield execution
    ended = fresh(execution).state
    events.close()  # type: ignore[attr-defined]
    assert fresh(execution).state is ended or ended is State.RUNNING


def dead(execution: Execution) -> Execution:
    """… and its lease has run out, seen by a sweeper in the same transaction: the worker of this test run has one too.
    That one hears of what is in the queue again ten seconds after it was made, and must not take it."""
    assert fresh(execution).state is State.RUNNING
    second, hour = text("interval '1 second'"), text("interval '1 hour'")
    values = {"lease_until": func.now() - second, "created_at": func.now() + hour}
    db.session.execute(update(Execution).where(Execution.id == execution.id).values(values))
    assert close_dead() >= 1
    return fresh(execution)


def was_paid_for_once(execution: Execution, budget: uuid.UUID, amount: int) -> None:
    row = fresh(execution)
    assert [attempt.cost for attempt in row.attempts] == [amount]
    assert row.attempts[0].outcome is not Outcome.SENT
    assert (row.cost, ledger(row.id), budget_of(budget), held(row.id)) == (amount, [amount], amount, 0)


# -- a job that nobody can go on with ----------------------------------------------------------------


def test_a_job_whose_key_cannot_be_read_any_more_is_not_free(begun: Execution, studio: Studio) -> None:
    model, budget = studio
    assert dead(begun).state is State.QUEUED
    db.session.scalars(select(APIKey).where(APIKey.provider_id == model.provider_id)).one().ciphertext = "nonsense"
    db.session.commit()
    execute_queued(begun.id)
    assert "cannot be read" in fresh(begun).body.error
    was_paid_for_once(begun, budget, A_FILM)


def test_a_job_of_a_model_that_was_deleted_is_not_free(begun: Execution, studio: Studio) -> None:
    model, budget = studio
    dead(begun)
    remove_model(db.session.get_one(Model, model.id))
    execute_queued(begun.id)
    assert (fresh(begun).state, fresh(begun).attempts_made) == (State.INTERRUPTED, 1)
    was_paid_for_once(begun, budget, A_FILM)


def test_a_job_whose_picture_to_work_from_was_deleted_is_not_free(begun: Execution, studio: Studio) -> None:
    _, budget = studio
    dead(begun)
    row = fresh(begun)
    part = {"type": "image", "asset": str(uuid.uuid4())}
    row.body.request = {**row.body.request, "messages": [{"role": "user", "parts": [part]}]}
    db.session.commit()
    execute_queued(begun.id)
    assert "deleted" in fresh(begun).body.error
    was_paid_for_once(begun, budget, A_FILM)


def test_a_job_that_is_cancelled_while_no_worker_has_it_is_ended_and_not_free(begun: Execution, studio: Studio) -> None:
    _, budget = studio
    dead(begun)
    keeper.cancel(begun.id)
    execute_queued(begun.id)
    assert fresh(begun).state is State.CANCELLED
    assert attempt_of(begun).outcome is Outcome.CANCELLED
    was_paid_for_once(begun, budget, A_FILM)


def test_a_job_whose_worker_died_with_the_wish_to_stop_it_is_ended_by_another(begun: Execution, studio: Studio) -> None:
    _, budget = studio
    keeper.cancel(begun.id)
    assert dead(begun).state is State.QUEUED
    execute_queued(begun.id)
    assert fresh(begun).state is State.CANCELLED
    was_paid_for_once(begun, budget, A_FILM)


def test_a_film_whose_worker_died_before_the_job_was_known_is_not_free(acme: people.Cast, studio: Studio) -> None:
    model, budget = studio
    execution, _ = sent(acme, film("A wave", 60), requested(model))
    assert dead(execution).state is State.INTERRUPTED
    was_paid_for_once(execution, budget, A_FILM)


def test_a_recording_whose_worker_died_is_not_free(acme: people.Cast, simulated: str) -> None:
    """Its length is not known then: the file is in storage."""
    model = people.own_model(
        acme, people.own_provider(acme, simulated), "ear", model_type=ModelType.VOICE, task="transcription"
    )
    db.session.add(Price(model_id=model.id, source="test", input=0, output=0, per_second=1_000))
    budget = limited(acme)
    prompt = Prompt((Message("user", (recording(3),)),), task=Task.TRANSCRIPTION)
    execution, amount = sent(acme, prompt, requested(model))
    request = fresh(execution).body.request
    request["messages"][0]["parts"][0]["data"] = ""
    db.session.merge(fresh(execution).body).request = dict(request)
    db.session.commit()
    dead(execution)
    was_paid_for_once(execution, budget, amount)


def sent(cast: people.Cast, prompt: Prompt, wanted: str) -> tuple[Execution, int]:
    """A call that was announced and may have been sent, and what is held for it."""
    execution = record(asked(cast, prompt, wanted), claimed_by="test")
    (step,) = choose(RunRecord.of(execution), prompt).steps
    book = Record(RunRecord.of(execution), execution.fence, Answer())
    book.begin(step, 1, prompt)
    assert book._allowance.held
    return execution, book._allowance.held


def test_a_job_is_paid_at_the_price_it_was_begun_at(begun: Execution, studio: Studio) -> None:
    attempt = attempt_of(begun)
    later = Price(model_id=studio[0].id, source="test", input=0, output=0, per_second=7 * USD)
    db.session.add(later)
    db.session.commit()
    assert later.id != attempt.price_id
    candidate = step_of(db.session, fresh(begun).project, attempt).candidate
    assert candidate.rates
    assert (candidate.price_id, candidate.rates.per_second) == (attempt.price_id, USD // 10)


# -- two workers and one job -------------------------------------------------------------------------


def test_the_end_of_a_worker_that_fell_behind_does_not_end_the_watching(
    acme: people.Cast, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, budget = studio
    execution = record(asked(acme, film("A wave", 2), requested(model)))
    row = fresh(execution)

    def falls_behind(self: Record, *arguments: object) -> None:
        """Between two questions another worker takes the execution, and this one hears of it."""
        monkeypatch.undo()
        kept(self, *arguments)  # type: ignore[arg-type]
        row = fresh(execution)
        row.state, row.fence = State.QUEUED, row.fence + 1
        db.session.commit()
        keeper.keeper()._held[row.id].stop.lose()

    kept = Record.waiting
    monkeypatch.setattr(Record, "waiting", falls_behind)
    execute_queued(row.id)
    assert not live.written(store(), row.id).ended
    monkeypatch.setattr(replicate.ReplicateFilms, "poll", 0.1)
    execute_queued(row.id)
    wait_until(lambda: live.written(store(), row.id).ended)
    assert fresh(execution).state is State.COMPLETED
    was_paid_for_once(execution, budget, A_FILM)


def test_a_worker_that_fell_behind_does_not_write_the_job_anew(acme: people.Cast, studio: Studio) -> None:
    prompt = film("A wave", 2)
    execution = record(asked(acme, prompt, requested(studio[0])), claimed_by="test")
    (step,) = choose(RunRecord.of(execution), prompt).steps
    book = Record(RunRecord.of(execution), execution.fence, Answer())
    book.begin(step, 1, prompt)
    book.waiting(step, 1, Again(Call("http://provider/first", method="GET")))
    dead(execution)
    fence = claim(db.session, execution.id, "another")
    assert fence
    db.session.commit()
    book.waiting(step, 1, Again(Call("http://provider/second", method="GET")))
    assert attempt_of(execution).job == {"url": "http://provider/first", "method": "GET", "delay": 0.0}
    assert held(execution.id) == 1
    close(db.session, execution.id, fence, State.CANCELLED)
    db.session.commit()
