"""A plain run in two messages: what it writes is what the long way writes, and whatever is not plain goes that way."""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask, has_app_context
from sqlalchemy import create_engine, event, func, select, text, update
from sqlalchemy.exc import OperationalError

from dataelan_web import pool, quota, together
from dataelan_web.executions import at_once, indexing, remembered
from dataelan_web.extensions import db
from dataelan_web.gateway import tokens
from dataelan_web.hub.keys.keeping import reseal, seal
from dataelan_web.jobs import queue
from dataelan_web.models import (
    APIKey,
    Attempt,
    Budget,
    BudgetPeriod,
    Execution,
    ExecutionBody,
    GatewayToken,
    Hold,
    Increase,
    LedgerEntry,
    Model,
    Organization,
    Outcome,
    Payer,
    Price,
    Project,
    Provider,
    Reservation,
    RoutingRule,
    RoutingRuleModel,
    Scope,
    SearchDocument,
    State,
    Strategy,
    Unit,
    User,
    Window,
    now,
)

from . import people
from .upstream import Upstream, upstream

USD = 1_000_000_000
OWN = {"id", "created_at", "started_at", "ended_at", "finished_at", "first_token_at", "execution_id", "attempt_id"} | {
    "reservation_id", "lease_until", "expires_at",
}  # fmt: skip
"""Columns in which no two runs are alike."""
COST = 13_000
"""Nano-USD of the answer below."""
ANSWER = {
    "id": "chatcmpl-1",
    "model": "mine-2026",
    "choices": [{"message": {"content": "Hi\u0000 there"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 8, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2}},
}


class Program:
    """Asks one model of an organization's own, which costs $1 a million tokens, by one token."""

    def __init__(self, app: Flask, cast: people.Cast, vendor: Upstream):
        self.app, self.cast, self.vendor = app, cast, vendor
        self.key = people.own_provider(cast, vendor.url)
        self.model = people.own_model(cast, self.key, "mine", input=USD, output=USD, context_window=100_000)
        token, self.secret = GatewayToken.issue(cast.project, cast.olivia.id, "A program")
        token.last_used_at = now()
        db.session.add(token)
        db.session.commit()
        self.token_id = token.id

    def ask(self, words: str = "Hello", **more: Any) -> Any:
        if has_app_context():
            db.session.rollback()  # its transaction is this test's own, which it would go on in
        asked = {"model": "mine", "messages": [{"role": "user", "content": words}], "max_tokens": 600, **more}
        headers = {"Authorization": f"Bearer {self.secret}", "x-dataelan-tags": "one,two"}
        return self.app.test_client().post("/v1/chat/completions", json=asked, headers=headers)

    def run(self, words: str = "Hello", **more: Any) -> Execution:
        """The one that an answer is of."""
        answer = self.ask(words, **more)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        assert answer.get_data()
        return run_of(answer)

    def warm(self) -> None:
        """Its window has begun, and it and the key are remembered."""
        for _ in range(2):
            self.run()


def run_of(answer: Any) -> Execution:
    db.session.rollback()
    id = uuid.UUID(answer.headers["x-dataelan-execution-id"])
    return db.session.get_one(Execution, id, populate_existing=True)


@pytest.fixture
def vendor() -> Iterator[Upstream]:
    with upstream() as vendor:
        vendor.answers(ANSWER)
        yield vendor


@pytest.fixture
def program(app: Flask, acme: people.Cast, vendor: Upstream) -> Program:
    return Program(app, acme, vendor)


def limit(cast: people.Cast, amount: int = 100 * USD, unit: Unit = Unit.USD, window: Window = Window.MONTH) -> Budget:
    made = quota.set_limit(
        db.session, cast.organization.id, Scope.ORGANIZATION, cast.organization.id, window, amount, unit
    )
    db.session.commit()
    return made


def held_of(cast: people.Cast) -> int:
    """Calls of its project for which something is still held."""
    runs = select(Execution.id).where(Execution.project_id == cast.project.id)
    held = select(func.count()).where(Reservation.execution_id.in_(runs), Reservation.state == "held")
    return db.session.scalar(held) or 0


def books(cast: people.Cast) -> list[quota.Drift]:
    """What of its limits does not agree with its ledger."""
    mine = db.session.scalars(select(Budget.id).where(Budget.organization_id == cast.organization.id)).all()
    return quota.drift(db.session, of=mine)


@contextmanager
def the_long_way(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(at_once, "begin", lambda *_: None)
        yield


@contextmanager
def statements() -> Iterator[list[str]]:
    """Those by SQLAlchemy: each is of the long way."""
    seen: list[str] = []

    def note(*details: Any) -> None:
        seen.append(details[2])

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def written(run: Execution) -> dict[str, list[dict[str, Any]]]:
    """Table → its rows about this run, without what is its own."""
    indexing.index()
    mine = select(Attempt.id).where(Attempt.execution_id == run.id).scalar_subquery()
    reserved = select(Reservation.id).where(Reservation.execution_id == run.id).scalar_subquery()
    about = {
        "executions": Execution.id == run.id,
        "execution_bodies": ExecutionBody.id == run.id,
        "attempts": Attempt.execution_id == run.id,
        "reservations": Reservation.execution_id == run.id,
        "holds": Hold.reservation_id == reserved,
        "ledger_entries": LedgerEntry.attempt_id == mine,
        "search_documents": SearchDocument.id == run.id,
    }
    found = {}
    for name, condition in about.items():
        table = db.metadata.tables[name]
        rows = db.session.execute(select(*table.c).where(condition)).mappings()
        found[name] = [{key: said(value) for key, value in row.items() if key not in OWN} for row in rows]
    return found


def said(value: Any) -> Any:
    """A receipt without the seconds that its call took."""
    if isinstance(value, dict):
        return {name: said(one) for name, one in value.items() if name != "seconds"}
    return [said(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("with_limit", [True, False])
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_written_is_what_the_long_way_writes(
    program: Program, acme: people.Cast, monkeypatch: pytest.MonkeyPatch, with_limit: bool, stream: bool
) -> None:
    if with_limit:
        limit(acme)
    program.warm()
    if stream:
        pieces = {**ANSWER, "choices": [{"delta": {"content": "Hi\u0000 there"}, "finish_reason": "stop"}]}
        program.vendor.streams(pieces, "[DONE]")
    with the_long_way(monkeypatch):
        long = program.run("Hello, half a pair: \ud83d", stream=stream)
    with statements() as seen:
        answer = program.ask("Hello, half a pair: \ud83d", stream=stream)
        assert answer.get_data()
    assert seen == []
    short = run_of(answer)
    assert written(short) == written(long)
    assert (short.state, short.cost, short.tags) == (State.COMPLETED, COST, ["one", "two"])
    assert bool(written(short)["holds"]) is with_limit
    assert short.created_at <= short.finished_at  # type: ignore[operator]
    assert books(acme) == []


def test_what_is_left_is_told(program: Program, acme: people.Cast) -> None:
    limit(acme, USD // 100)
    program.warm()
    spent = 2 * COST
    for stream in (False, True):
        with statements() as seen:
            answer = program.ask(stream=stream)
            answer.get_data()
        assert seen == []
        left, spent = float(answer.headers["x-dataelan-limit-left-usd"]), spent + COST
        after = (USD // 100 - spent) / USD
        assert left == pytest.approx(after) if not stream else left < after, "of a stream, with what is held for it"


def test_a_limit_holds_from_when_it_is_made_and_however_it_is_changed(program: Program, acme: people.Cast) -> None:
    program.warm()
    made = limit(acme, 2_000_000)
    refused = program.ask(max_tokens=4000)
    assert refused.status_code in (200, 402)
    assert run_of(refused).body.notice or refused.status_code == 402, "lowered, or refused"
    made.limit = 10
    db.session.commit()
    refused = program.ask()
    assert refused.status_code == 402
    run = run_of(refused)
    assert (run.state, run.refused_by, run.attempts) == (State.FAILED, made.id, [])
    made.limit = 100 * USD
    db.session.commit()
    assert program.run().state is State.COMPLETED


def test_what_a_limit_has_not_left_is_refused_or_lowered_the_long_way(program: Program, acme: people.Cast) -> None:
    made = limit(acme, 100 * USD)
    program.warm()
    db.session.execute(update(BudgetPeriod).where(BudgetPeriod.budget_id == made.id).values(spent=made.limit - 1))
    db.session.commit()
    refused = program.ask()
    assert refused.status_code == 402
    assert (run_of(refused).refused_by, run_of(refused).attempts) == (made.id, [])
    assert held_of(acme) == 0
    period = update(BudgetPeriod).where(BudgetPeriod.budget_id == made.id)
    db.session.execute(period.values(spent=made.limit - 400_000))
    db.session.commit()
    lowered = program.run()
    assert "The answer is limited to" in lowered.body.notice


def grant(cast: people.Cast, more: int, seconds: float | None = None, **of: Any) -> None:
    """So much more of a limit, for good or for so long."""
    until = None if seconds is None else now() + timedelta(seconds=seconds)
    said = {"asked": more, "granted": more, "expires_at": until, "answer": "approved", "reason": "", "answer_note": ""}
    db.session.add(Increase(organization_id=cast.organization.id, **said, **of))
    db.session.commit()


def test_what_more_was_granted_of_a_limit_holds_at_once(program: Program, acme: people.Cast) -> None:
    made = limit(acme, 10 * USD)
    program.warm()
    db.session.execute(update(Budget).where(Budget.id == made.id).values(limit=1))
    db.session.commit()
    assert program.ask().status_code == 402
    grant(acme, USD, budget_id=made.id)
    assert program.run().state is State.COMPLETED


def test_what_more_was_granted_of_a_rate_is_remembered_for_as_long_as_it_lasts(
    program: Program, acme: people.Cast
) -> None:
    rate = quota.set_rate(
        db.session,
        acme.organization.id,
        Scope.PROJECT,
        acme.project.id,
        requests_per_minute=2,
        tokens_per_minute=None,
        parallel=None,
    )
    assert rate
    grant(acme, 7, 60, rate_id=rate.id, pace="requests")
    grant(acme, 8, 4, rate_id=rate.id, pace="requests")
    until = time.monotonic() + 4
    program.warm()
    with statements() as seen:
        assert program.ask().status_code == 200
    assert seen == []
    while time.monotonic() < until:
        time.sleep(0.05)
    with statements() as seen:
        assert program.ask().status_code == 200
        assert any("quota_limits" in one for one in seen), "it is read anew when the first ends"
        seen.clear()
        assert program.ask().status_code == 200
        assert seen == []
    assert 429 in [program.ask().status_code for _ in range(12)], "and what is left of it is kept to"


def test_limits_are_remembered_no_longer_for_having_waited(acme: people.Cast, program: Program) -> None:
    """What they are until is counted from when they are read: not from when the transaction began, nor from when what
    they count was held, which may wait for others' holds."""
    made, memory = limit(acme), remembered.Limits()
    subjects = quota.Subjects(acme.organization.id, acme.project.id, None, None, None, None, None, Payer.NOBODY)
    assert program.ask().status_code == 200, "its window has begun"
    grant(acme, 1, 3, budget_id=made.id)
    until = time.monotonic() + 3
    db.session.rollback()
    db.session.execute(select(func.now()))
    time.sleep(0.5)
    counted = quota.applicable(db.session, subjects)
    time.sleep(0.5)
    memory.keep(subjects, 1, counted)
    assert memory.find(subjects, 1)
    time.sleep(max(until - time.monotonic(), 0))
    assert memory.find(subjects, 1) is None


def test_what_one_organization_is_granted_of_a_rate_of_all_holds_for_others_at_once(
    program: Program, acme: people.Cast, rival: people.Cast
) -> None:
    slow = {"requests_per_minute": None, "tokens_per_minute": 300, "parallel": None}
    rate = quota.set_rate(db.session, None, Scope.MODEL, program.model.id, **slow)
    db.session.commit()
    assert rate
    id = rate.id

    def output() -> int:
        """How long an answer is asked for, at the beginning of a minute."""
        queue.store().delete(f"rate:1:{id.hex}:minute")
        program.run()
        return int(program.vendor.requests[-1]["body"]["max_tokens"])

    assert output() == output() < 300
    grant(rival, 1_000, rate_id=id, pace="tokens")
    assert output() == 600


def test_limits_are_remembered_until_they_change(
    program: Program, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(acme, window=Window.TOTAL)
    program.warm()
    here = time.monotonic
    monkeypatch.setattr(remembered.time, "monotonic", lambda: here() + 3600)
    with statements() as seen:
        program.ask()
        assert seen, "the use of its key is noted"
        seen.clear()
        program.ask()
        assert seen == []


def test_nothing_is_held_against_a_window_that_is_over_however_long_it_is_remembered(
    program: Program, acme: people.Cast
) -> None:
    made = limit(acme, window=Window.DAY)
    program.warm()
    back = timedelta(days=1)  # as where the machine slept over midnight, which no clock of a process counts
    gone = {"starts_at": BudgetPeriod.starts_at - back, "ends_at": func.now()}
    db.session.execute(update(BudgetPeriod).where(BudgetPeriod.budget_id == made.id).values(gone))
    db.session.commit()
    assert program.run().state is State.COMPLETED
    spent = select(BudgetPeriod.spent).where(BudgetPeriod.budget_id == made.id).order_by(BudgetPeriod.starts_at)
    assert db.session.scalars(spent).all() == [2 * COST, COST]
    assert books(acme) == []


CHANGES: dict[str, Callable[[Program], Any]] = {
    "its key is switched off": lambda program: (
        update(APIKey).where(APIKey.id == program.key.id).values(is_enabled=False)
    ),
    "its key was deleted": lambda program: update(APIKey).where(APIKey.id == program.key.id).values(archived_at=now()),
    "its model is switched off": lambda program: (
        update(Model).where(Model.id == program.model.id).values(is_enabled=False)
    ),
    "its project is in the trash": lambda program: (
        update(Project).where(Project.id == program.cast.project.id).values(deleted_at=now())
    ),
    "its token is revoked": lambda program: (
        update(GatewayToken).where(GatewayToken.id == program.token_id).values(revoked_at=now())
    ),
    "its organization is suspended": lambda program: (
        update(Organization).where(Organization.id == program.cast.organization.id).values(suspended_at=now())
    ),
    "who made its token is switched off": lambda program: (
        update(User).where(User.id == program.cast.olivia.id).values(disabled_at=now())
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_holds_from_the_next_call(program: Program, change: Callable[[Program], Any]) -> None:
    program.warm()
    asked = len(program.vendor.requests)
    db.session.execute(change(program))
    db.session.commit()
    assert program.ask().status_code not in (200, 500)
    assert len(program.vendor.requests) == asked, "nobody was asked"


# -- who is presumed to call -----------------------------------------------------------------------


@contextmanager
def messages(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    seen, say = list[str](), pool.say

    def noted(message: str, values: dict[str, Any]) -> Any:
        seen.append(message.split("(")[0])
        return say(message, values)

    with monkeypatch.context() as patch:
        patch.setattr(pool, "say", noted)
        yield seen


def runs(program: Program) -> int:
    db.session.rollback()
    return db.session.scalars(select(func.count(Execution.id)).where(Execution.token_id == program.token_id)).one()


@pytest.mark.parametrize("stream", [False, True])
def test_a_plain_call_is_two_messages(program: Program, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    program.warm()
    with messages(monkeypatch) as seen, statements() as others:
        program.ask(stream=stream).get_data()
    assert (seen, others) == (["CALL say_runs_begin", "CALL say_runs_end"], [])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("is_plain", [False, True])
def test_what_changed_meanwhile_is_asked_anew_and_runs_once(
    program: Program, monkeypatch: pytest.MonkeyPatch, stream: bool, is_plain: bool
) -> None:
    program.warm()
    made, asked = runs(program), len(program.vendor.requests)
    db.session.execute(update(Model).where(Model.id == program.model.id).values(display_name="Another"))
    db.session.execute(update(Project).where(Project.id == program.cast.project.id).values(name="Another"))
    db.session.commit()
    with nullcontext() if is_plain else the_long_way(monkeypatch):
        answer = program.ask(stream=stream)
    assert answer.status_code == 200
    assert answer.get_data()
    assert (runs(program), len(program.vendor.requests)) == (made + 1, asked + 1)
    assert run_of(answer).state is State.COMPLETED


@pytest.mark.parametrize(
    "asked",
    [{}, {"stream": True}, {"messages": "no list"}, {"model": "no-such"}, {"max_tokens": 10**9}],
    ids=lambda asked: ", ".join(asked) or "plain",
)
@pytest.mark.parametrize("change", ["its token is revoked", "its project is in the trash"])
@pytest.mark.parametrize("is_plain", [False, True])
def test_who_may_not_call_any_more_learns_nothing_and_leaves_nothing(
    program: Program, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], is_plain: bool, change: str
) -> None:
    program.warm()
    made, answered = runs(program), len(program.vendor.requests)
    db.session.execute(CHANGES[change](program))
    db.session.commit()
    with nullcontext() if is_plain else the_long_way(monkeypatch):
        answer = program.ask(**asked)
    assert (answer.status_code, answer.json["error"]["code"]) == (401, "invalid_token")
    assert (runs(program), len(program.vendor.requests)) == (made, answered)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["mine", "either"])
@pytest.mark.parametrize("is_there", [False, True])
def test_who_called_is_asked_where_the_message_that_would_have_said_is_lost(
    program: Program, acme: people.Cast, monkeypatch: pytest.MonkeyPatch, is_there: bool, model: str, stream: bool
) -> None:
    """A second model was asked for whoever had called, though the database had never been heard."""
    either(program, acme)
    for _ in range(2):
        assert program.ask(model=model).get_data()
    made, asked = runs(program), len(program.vendor.requests)
    if not is_there:
        db.session.execute(CHANGES["its token is revoked"](program))
        db.session.commit()
    with lost_once(monkeypatch):
        answer = program.ask(model=model, stream=stream)
        assert answer.get_data()
    expected = (200 if model == "either" else 503) if is_there else 401
    assert answer.status_code == expected
    assert len(program.vendor.requests) - asked == (expected == 200)
    assert runs(program) - made == is_there


def either(program: Program, cast: people.Cast) -> None:
    """A rule of two models."""
    other = people.own_model(cast, program.key, "other", input=USD, output=USD, context_window=100_000)
    models = [RoutingRuleModel(model_id=one.id, position=place) for place, one in enumerate((program.model, other))]
    here = cast.organization.id
    db.session.add(RoutingRule(organization_id=here, name="either", strategy=Strategy.ORDERED, models=models))
    db.session.commit()


@contextmanager
def lost_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The first message has its connection cut by the server before it comes there."""
    taken, cut = pool.Lines._taken, list[bool]()

    def then_cut(lines: pool.Lines) -> Any:
        line = taken(lines)
        if not cut:
            cut.append(True)
            with db.engine.connect() as other:
                other.exec_driver_sql("SELECT pg_terminate_backend(%s, 5000)", (line.info.backend_pid,))
        return line

    with monkeypatch.context() as patch:
        patch.setattr(pool.Lines, "_taken", then_cut)
        yield
    assert cut


def test_the_long_way_asks_who_calls_on_the_connection_that_it_has(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a second one each, those who come at once would take all that there are, and wait for each other."""
    program.warm()
    with the_long_way(monkeypatch), messages(monkeypatch) as seen:
        program.run()
        assert not [message for message in seen if message.startswith("SELECT")]
        with program.app.app_context():
            pool.lines().close()
        started = time.monotonic()
        answers = side_by_side(*[program.ask] * 24)
    assert {answer.status_code for answer in answers} == {200}
    assert time.monotonic() - started < pool.TIMEOUT / 2


@pytest.mark.parametrize("change", ["its token is revoked", "its project is in the trash"])
def test_who_goes_on_calling_is_in_no_message_of_others(
    program: Program, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    program.warm()
    db.session.execute(CHANGES[change](program))
    db.session.commit()
    assert program.ask().status_code == 401
    with messages(monkeypatch) as seen:
        assert program.ask().status_code == 401
    assert len(seen) == 1
    assert seen[0].startswith("SELECT")


def test_of_a_large_body_or_a_form_nobody_is_presumed(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program.warm()
    with messages(monkeypatch) as seen:
        program.ask("Hello " * 12_000)
    assert len(seen) == 3


class Slowly(io.BytesIO):
    """A body that comes once something else has happened."""

    def __init__(self, body: bytes, first: Callable[[], Any]):
        super().__init__(body)
        self._first = first

    def readinto(self, buffer: Any, /) -> int:
        if not self.tell():
            self._first()
        return super().readinto(buffer)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages/count_tokens"])
def test_who_sends_slowly_is_asked_for_again(program: Program, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Its token was good as it began. Who had begun many would have had as many calls left, whenever it was revoked."""
    program.warm()
    monkeypatch.setattr(tokens, "SLOW", 0.0)
    engine, asked = create_engine(db.engine.url), len(program.vendor.requests)
    words = {"role": "user", "content": "Hello " * 12_000}
    body = json.dumps({"model": "mine", "messages": [words], "max_tokens": 9}).encode()
    revoked = update(GatewayToken).where(GatewayToken.id == program.token_id).values(revoked_at=func.now())

    def revoke() -> None:
        with engine.begin() as other:
            other.execute(revoked)

    db.session.rollback()
    answer = program.app.test_client().post(
        path,
        input_stream=Slowly(body, revoke),
        content_length=len(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {program.secret}"},
    )
    engine.dispose()
    assert (answer.status_code, len(program.vendor.requests)) == (401, asked)


def test_another_secret_of_a_key_is_used_at_once(program: Program, acme: people.Cast) -> None:
    program.warm()
    other = people.own_provider(acme, program.vendor.url, secret="sk-test-another-7890")
    row = db.session.get_one(APIKey, program.key.id)
    before = program.vendor.requests[-1]["headers"]["Authorization"]
    provider = db.session.get_one(APIKey, other.id).provider
    db.session.execute(update(Model).where(Model.id == program.model.id).values(provider_id=provider.id))
    db.session.commit()
    program.run()
    assert before != program.vendor.requests[-1]["headers"]["Authorization"]
    version = text("SELECT sum(version) FROM hub_versions WHERE hub = :hub")
    counted = db.session.scalar(version, {"hub": acme.organization.id})
    row.ciphertext = row.ciphertext[::-1]
    db.session.flush()
    assert db.session.scalar(version, {"hub": acme.organization.id}) > counted, "what processes remember is old then"
    db.session.rollback()


@pytest.fixture
def shared(acme: people.Cast, vendor: Upstream) -> Iterator[tuple[str, APIKey]]:
    """A model that everyone has, by name, with a key of the platform's."""
    name = f"shared-{uuid.uuid4().hex[:6]}"
    provider = Provider(slug=name, name="Shared", kind="openai", base_url=vendor.url, is_trusted=True)
    db.session.add(provider)
    db.session.flush()
    key = seal(provider, None, None, "The operator’s", "sk-test-shared-1234")
    prices = [Price(source="test", input=1, output=1)]
    db.session.add(Model(provider_id=provider.id, name=name, display_name=name, prices=prices))
    db.session.commit()
    yield name, key
    db.session.rollback()
    provider.is_enabled = False  # else what chooses a model by itself would choose this one
    db.session.commit()


def test_a_key_that_organizations_share_is_remembered_for_each(
    app: Flask, acme: people.Cast, rival: people.Cast, vendor: Upstream, shared: tuple[str, APIKey]
) -> None:
    """Each counts the changes of its own hub, and so knows the key by another number."""
    name, key = shared
    programs = [Program(app, cast, vendor) for cast in (acme, rival)]
    people.own_model(acme, programs[0].key, "another")
    for program in programs * 2:
        assert program.ask(model=name).status_code == 200
    with statements() as seen:
        for program in programs * 2:
            assert program.ask(model=name).status_code == 200
    assert seen == []
    reseal(key, "sk-test-shared-5678")
    db.session.commit()
    for program in programs:
        program.ask(model=name)
        assert vendor.requests[-1]["headers"]["Authorization"] == "Bearer sk-test-shared-5678"


def test_a_rate_is_kept_to_and_given_back(program: Program, acme: people.Cast) -> None:
    quota.set_rate(
        db.session,
        acme.organization.id,
        Scope.PROJECT,
        acme.project.id,
        requests_per_minute=4,
        tokens_per_minute=None,
        parallel=1,
    )
    db.session.commit()
    program.warm()
    with statements() as seen:
        assert [program.ask().status_code for _ in range(2)] == [200, 200], "one after the other"
    assert seen == []
    assert program.ask().status_code == 429


def test_an_end_that_another_has_written_is_not_written_again(
    program: Program, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a sweeper's, which took the process for dead."""
    limit(acme)
    program.warm()
    begin = at_once.begin

    def begun(execution: Execution, *more: Any) -> Any:
        found = begin(execution, *more)
        with db.engine.begin() as beside:
            beside.execute(update(Execution).where(Execution.id == execution.id).values(fence=2))
        return found

    monkeypatch.setattr(at_once, "begin", begun)
    answer = program.ask()
    run = run_of(answer)
    assert (run.state, run.fence, run.attempts[0].outcome) == (State.RUNNING, 2, Outcome.SENT)
    assert written(run)["ledger_entries"] == []
    assert [row["state"] for row in written(run)["reservations"]] == ["held"]


@pytest.mark.parametrize("is_committed", [False, True])
def test_a_line_that_is_cut_as_it_begins_sends_nothing(
    program: Program, acme: people.Cast, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    limit(acme)
    program.warm()
    asked, say = len(program.vendor.requests), pool.say

    def cut(message: str, values: dict[str, Any]) -> Any:
        if "runs_begin" not in message:
            return say(message, values)
        if is_committed:
            say(message, values)
        raise OperationalError("", None, Exception("cut"), connection_invalidated=True)

    monkeypatch.setattr(pool, "say", cut)
    answer = program.ask()
    assert answer.status_code == 503
    assert len(program.vendor.requests) == asked
    run = run_of(answer)
    assert run.state is State.FAILED
    assert [one.outcome for one in run.attempts] == ([Outcome.FAILED] if is_committed else [])
    assert [row["state"] for row in written(run)["reservations"]] == (["voided"] if is_committed else [])
    assert books(acme) == []


def test_a_line_that_is_cut_as_it_ends_is_written_again(
    program: Program, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(acme)
    program.warm()
    say, cuts = pool.say, [True]

    def cut(message: str, values: dict[str, Any]) -> Any:
        if "runs_end" in message and cuts:
            cuts.clear()
            raise OperationalError("", None, Exception("cut"), connection_invalidated=True)
        return say(message, values)

    monkeypatch.setattr(pool, "say", cut)
    run = program.run()
    assert (run.state, run.cost) == (State.COMPLETED, COST)
    assert len(written(run)["ledger_entries"]) == 1
    assert books(acme) == []


def test_an_answer_with_something_to_find_in_it_goes_the_long_way(program: Program) -> None:
    program.warm()
    table = "| a | b |\n|---|---|\n| 1 | 2 |\n"
    program.vendor.answers({**ANSWER, "choices": [{"message": {"content": table}, "finish_reason": "stop"}]})
    run = program.run()
    assert run.state is State.COMPLETED
    assert [action.kind for action in run.actions] == ["table"]


def test_what_is_remembered_is_bounded(context: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST", 3)
    memory = remembered.Memory[int]()
    for number in range(5):
        memory.put(number, 1, number)
    assert [memory.find(number, 1) for number in range(5)] == [None, None, None, 3, 4]
    assert memory.find(4, 2) is None, "of another version"


def test_what_is_due_is_asked_for_by_one_and_what_ended_by_all(context: None, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = remembered.Memory[int]()
    memory.put(9, 1, 9, due=0)
    assert [memory.find(9, 1) for _ in range(3)] == [None, 9, 9], "others go on"
    monkeypatch.setattr(remembered, "MEANWHILE", 0)
    memory.put(9, 1, 9, due=0)
    assert [memory.find(9, 1) for _ in range(2)] == [None, None], "who asked learnt nothing: another does"
    memory.put(9, 1, 9, until=time.monotonic())
    assert [memory.find(9, 1) for _ in range(2)] == [None, None]


# -- several in one message ------------------------------------------------------------------------


@pytest.fixture
def thick(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Calls that come at once go in one message. How many began in each."""
    began, say = list[int](), pool.say

    def counted(message: str, values: dict[str, Any]) -> Any:
        if "runs_begin" in message:
            began.append(values["attempts"].count(",") + 1)
        return say(message, values)

    sends = together.Together._send

    def later(*asked: Any) -> None:
        time.sleep(0.2)  # so that all who come at once have come
        sends(*asked)

    monkeypatch.setattr(together, "UNDER_WAY", 1)
    monkeypatch.setattr(together.Together, "_send", later)
    monkeypatch.setattr(pool, "say", counted)
    return began


def side_by_side(*asks: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(len(asks)) as threads:
        return [one.result() for one in [threads.submit(ask) for ask in asks]]


def test_what_is_written_together_is_what_each_alone_writes(
    program: Program, acme: people.Cast, monkeypatch: pytest.MonkeyPatch, thick: list[int]
) -> None:
    limit(acme)
    limit(acme, 10**6, Unit.TOKENS)
    program.warm()
    with the_long_way(monkeypatch):
        long = program.run()
    thick.clear()
    answers = side_by_side(*[program.ask] * 6)
    assert (max(thick), sum(thick)) == (6, 6)
    for answer in answers:
        assert answer.status_code == 200
        assert written(run_of(answer)) == written(long)
    lefts = sorted(float(answer.headers["x-dataelan-limit-left-usd"]) for answer in answers)
    assert lefts == pytest.approx([(100 * USD - 9 * COST) / USD] * 6), "after all of them"
    assert books(acme) == []


def test_of_those_that_come_together_as_many_are_let_through_as_a_limit_allows(
    program: Program, acme: people.Cast, thick: list[int]
) -> None:
    made = limit(acme, 100 * USD)
    program.warm()
    db.session.execute(
        update(BudgetPeriod).where(BudgetPeriod.budget_id == made.id).values(spent=made.limit - 3 * COST)
    )
    db.session.commit()
    thick.clear()
    answers = side_by_side(*[partial(program.ask, max_tokens=1)] * 6)
    assert max(thick) == 6
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {200, 402}
    period = db.session.scalars(select(BudgetPeriod).where(BudgetPeriod.budget_id == made.id)).one()
    assert period.reserved == 0
    assert statuses.count(200) * COST == period.spent - (made.limit - 3 * COST)


def test_whom_a_limit_refuses_is_in_nobodys_message(program: Program, acme: people.Cast, thick: list[int]) -> None:
    made = limit(acme, 100 * USD)
    program.warm()
    period = update(BudgetPeriod).where(BudgetPeriod.budget_id == made.id)
    db.session.execute(period.values(spent=made.limit - 1))
    db.session.commit()
    thick.clear()
    assert [program.ask().status_code for _ in range(3)] == [402] * 3
    assert thick == [1], "the first tried"
    db.session.execute(period.values(spent=made.limit - 400_000))
    db.session.commit()
    assert [program.ask().status_code for _ in range(2)] == [200] * 2, "lowered"
    assert thick == [1]
    db.session.execute(period.values(spent=0))
    db.session.commit()
    assert [program.ask().status_code for _ in range(2)] == [200] * 2
    assert thick == [1, 1], "and what fits again is remembered"


def test_who_may_not_call_any_more_is_in_nobodys_message(program: Program, acme: people.Cast, thick: list[int]) -> None:
    program.warm()
    gone = Program(program.app, acme, program.vendor)
    gone.warm()
    thick.clear()
    db.session.execute(CHANGES["its token is revoked"](gone))
    db.session.commit()
    answers = side_by_side(program.ask, program.ask, gone.ask, program.ask)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 401]
    assert runs(gone) == 2


def test_nobody_waits_for_somebody_elses_limit(
    app: Flask, program: Program, acme: people.Cast, rival: people.Cast, vendor: Upstream, thick: list[int]
) -> None:
    other = Program(app, rival, vendor)
    mine = limit(acme)
    limit(rival)
    program.warm()
    other.warm()
    locked = select(BudgetPeriod.id).where(BudgetPeriod.budget_id == mine.id).with_for_update()
    thick.clear()
    with ThreadPoolExecutor(2) as threads, db.engine.connect() as beside:
        beside.execute(locked)
        blocked, free = threads.submit(program.ask), threads.submit(other.ask)
        assert free.result(timeout=5).status_code == 200
        assert max(thick) == 2, "they were in one message"
        assert not blocked.done()
        beside.rollback()
        assert blocked.result().status_code == 200
    assert books(acme) == books(rival) == []


# -- one message -----------------------------------------------------------------------------------


def test_a_message_that_fails_leaves_its_connection_as_it_was(context: None) -> None:
    for _ in range(3):
        with pytest.raises(Exception, match="division by zero"):
            pool.say("BEGIN; SELECT 1 / %(zero)s; COMMIT; SELECT 2", {"zero": 0})
        assert pool.say("SELECT %(one)s", {"one": 1}) == (1,)
        assert db.session.scalar(text("SELECT 3")) == 3
        db.session.rollback()
    assert pool.say("SELECT 1 WHERE false", {}) is None
