"""Run one execution: claim → plan → call → stream → record. The worker and the gateway both come through here."""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import time
import uuid
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import joinedload

from .. import logs
from ..extensions import db, kept_as
from ..jobs.queue import stir, store
from ..models import Changed, Execution, Project, State, journal, new_id
from ..models.executions import claim
from ..models.records import RunRecord
from ..router.actions import actions
from ..router.candidates import Question
from ..router.health import Pair
from ..router.plan import Plan, plan
from ..router.room import Room, Share
from ..router.rules import Rule
from ..router.run import Job, run
from ..router.types import OUR_OWN, Asset, Event, Failure, Fate, Kind, Progress, Prompt, Reasoning, Task, Text, ToolCall
from ..router.wire import Clients, Deadlines
from ..storage import Unavailable
from . import assets, jobs, live, vectors
from .abandoned import close_attempts
from .answer import Answer
from .calls import calls_in
from .candidates import AUTO, step_of
from .facts import facts_for
from .health import health
from .hub_view import HubView
from .jobs import left_behind
from .keeper import keeper
from .outcomes import summary
from .prompts import from_json, with_files
from .record import Record
from .refused import end_of
from .waiting import release_quietly

log = logging.getLogger(__name__)

PAUSES = (0.1, 1.0, 3.0, 5.0, 5.0, 5.0, 5.0, 5.0)
"""Seconds between tries to write an end while the database is away, as long as a lease; then the sweeper does it."""

BROKE = "Dataelan itself failed while running this. The operator's log has details."

LARGE = 1024 * 1024
"""Characters of an answer for which the database gets a connection of its own, that nobody uses after."""

NO_PLAN, USUAL = Plan(()), Deadlines()

LONGEST_JOB = 3600.0
"""Seconds that a provider may work on one job, such as a film."""

DRAW = random.Random()
"""One for all: to make another takes 2,500 random bytes from the system."""

OWNER = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"


def execute_queued(execution_id: uuid.UUID) -> None:
    """What a worker does with an id. Not there to be claimed: somebody else has it, or it is over."""
    logs.note(execution_id=execution_id)
    fence = _claimed(execution_id)
    if fence is None:
        return
    writer, execution = live.Writer(store(), execution_id), load(execution_id)
    try:
        if "task" in execution.request:  # not a chat: whoever watches sees no words, and waits to see it begin
            writer.progress(None, "")
        for _ in told(execution, fence, writer):
            pass
    except Failure:
        pass  # recorded with the execution; the page shows it from there


def told(
    execution: RunRecord, fence: int, writer: live.Writer, prompt: Prompt | None = None, share: Share | None = None
) -> Generator[Event, None, None]:
    """Run it, and write down what comes for whoever watches, and for the sweeper should this process die. The memory
    that it takes is given back at its end, unless the `share` is of a caller who holds the whole answer. `prompt`: as
    its body has it, where it need not be read from there."""
    with keeper().going():
        mine = share or memory().share()
        try:
            with closing(execute(execution, fence, prompt, mine)) as events:
                for event in events:
                    if isinstance(event, Text):
                        writer.add(live.TEXT, event.delta)
                    elif isinstance(event, Reasoning):
                        writer.add(live.REASONING, event.delta)
                    elif isinstance(event, Progress):
                        writer.progress(event.share, event.note)
                    yield event
        finally:
            if share is None:
                mine.give_back()
            if not execution.is_open:  # else another worker goes on with it, or the sweeper will
                writer.end()
                if execution.session_id:  # only the next of a conversation waits
                    release_quietly(execution.id)
                if execution.batch_id:
                    stir()


def _claimed(execution_id: uuid.UUID) -> int | None:
    """The fence. A lost connection is tried again, else the prompt would wait for a sweeper."""
    owner = f"{OWNER}/{new_id()}"
    for pause in (*PAUSES[:3], None):
        try:
            fence = claim(db.session, execution_id, owner)
            db.session.commit()
            return fence
        except SQLAlchemyError:
            with contextlib.suppress(SQLAlchemyError):
                db.session.rollback()
            if pause is None:
                raise
            time.sleep(pause)
    return None


def load(execution_id: uuid.UUID) -> RunRecord:
    """One execution with all that running it needs, in one query."""
    project = joinedload(Execution.project).joinedload(Project.organization)
    row = db.session.get_one(Execution, execution_id, options=[joinedload(Execution.body), project])
    return RunRecord.of(row)


def execute(
    execution: RunRecord, fence: int, prompt: Prompt | None = None, share: Share | None = None
) -> Generator[Event, None, None]:
    """Run a claimed execution to its end, yielding what comes. Whatever happens, its final state is recorded.

    Raises Failure after recording it. When the reader goes away the call is stopped and recorded as cancelled. Raises
    SQLAlchemyError where not even the execution's own row could be written, and Changed where its caller is not who was
    presumed: then there is none, and no call was made.
    """
    answer = Answer()
    record = Record(execution, fence, answer)
    chosen = NO_PLAN
    failure: Failure | None = Failure(Kind.ABORTED, "Stopped: the reader went away.")
    is_let_in = True
    try:
        prompt = with_files(prompt or from_json(execution.request), assets.read)
        chosen, job = choose(execution, prompt), _job(execution, record, prompt)
        record.trace.decided(chosen)
        if job or chosen.waits:  # else its row, if its caller runs it itself, is committed with its first call's
            record.plan_is_made()
        with keeper().hold(execution.id, fence) as stop:
            if execution.cancel_requested_at:  # while no worker had the job that is to be ended
                stop.request()
            deadlines = _deadlines(prompt, record)
            with closing(run(chosen, prompt, _http(), record, record.secret, stop, deadlines, job, share)) as events:
                for event in events:
                    answer.add(event)
                    if isinstance(event, Asset):
                        answer.assets.append(assets.keep(execution, event))
                    yield event
        failure = None
    except Failure as problem:
        failure = problem
        raise
    except Unavailable as problem:
        failure = Failure(Kind.TRANSIENT, str(problem), sent=record.last is not None)
        raise failure from None
    except Changed:
        is_let_in, failure = False, None
        raise
    except Exception:
        log.exception("execution %s broke", execution.id)
        record.roll_back()
        failure = Failure(Kind.TRANSIENT, BROKE, code=OUR_OWN, sent=record.last is not None)
        raise failure from None
    finally:
        if is_let_in:  # else there was none
            try:
                _finish(execution, fence, chosen, record, answer, failure)
            finally:
                record.trace.end(execution, failure)
            logs.tell(log, "run ended", state=execution.state, calls=len(record.attempts), nano_usd=execution.cost)


def choose(execution: RunRecord, prompt: Prompt, draw: random.Random | None = None) -> Plan:
    """The plan for a prompt as things stand now; also for trying out what would be chosen."""
    requested, model_type, draw = execution.requested, execution.model_type, draw or DRAW
    hub = HubView(db.session, execution.project, execution.hub_version)
    rules = hub.rules_for(requested, model_type)
    if rules or requested != AUTO:
        chosen = plan(question_of(execution, prompt, rules), rules, draw, requested)
        if chosen.steps or requested != AUTO:
            return chosen
    # Most organizations have thousands of models, so those are read only where no rule decides.
    rules.append(hub.last_rule(model_type, prompt.task))
    return plan(question_of(execution, prompt, rules), rules, draw, requested)


def question_of(execution: RunRecord, prompt: Prompt, rules: Sequence[Rule]) -> Question:
    """What these rules may ask of a prompt, as things stand now."""
    facts = facts_for(db.session, execution, rules)
    known = health()
    pairs = rules[0].pairs if len(rules) == 1 else frozenset[Pair]().union(*[rule.pairs for rule in rules])
    return Question.of(prompt, execution.model_type.value, facts, vitals=known.read(pairs), now=known.now())


def _job(execution: RunRecord, record: Record, prompt: Prompt) -> Job | None:
    """What a worker before us left at a provider, to go on with."""
    attempt = left_behind(db.session, execution) if record.fence > 1 else None  # at the first claim nobody was before
    if attempt is None or attempt.job is None:
        return None
    number, again = attempt.number - execution.attempts_made, jobs.from_json(attempt.job)
    step = step_of(db.session, execution.project, attempt)
    record.take_over(attempt, step, number, prompt)
    return Job(step, number, again)


def _deadlines(prompt: Prompt, record: Record) -> Deadlines:
    """A film takes minutes, counted from its first call whichever worker made it."""
    if prompt.task is not Task.VIDEO:
        return USUAL
    return Deadlines(total=max(30.0, LONGEST_JOB - record.seconds))


def memory() -> Room:
    """What the answers of this process may take."""
    return _http().room


def _http() -> Clients:
    clients: Clients = kept_as("dataelan_http")
    return clients


def _finish(
    execution: RunRecord, fence: int, chosen: Plan, record: Record, answer: Answer, failure: Failure | None
) -> None:
    """The final state, with the last attempt's cost, in one commit. A lost fence writes nothing.

    A lost connection is tried again: the fence makes a second time harmless, whatever became of the first.
    """
    for pause in (*PAUSES, None):
        try:
            return _write_end(execution, fence, chosen, record, answer, failure)
        except SQLAlchemyError as error:
            log.warning("the end of execution %s could not be written: %s", execution.id, error, exc_info=pause is None)
            record.roll_back()
            if pause is not None:
                time.sleep(pause)
            elif not record.is_there:
                raise


def _write_end(
    execution: RunRecord, fence: int, chosen: Plan, record: Record, answer: Answer, failure: Failure | None
) -> None:
    """Everybody takes the same way: first the execution's row, then its attempts, then the limits, which are the most
    wanted. Two who took them in another order could wait for each other."""
    record.take_back_unsent()
    record.announce()
    if record.is_open:
        record.tell(close_attempts(execution, answer.said))
    state = _state(failure, has_content=not answer.is_empty)
    columns = _columns(execution, chosen, record, failure)
    text = "".join(answer.text)
    said = {
        "text": text.replace("\x00", "�"),
        "reasoning": "".join(answer.reasoning).replace("\x00", "�"),
        "tool_calls": list(answer.tool_calls.values()),
        "segments": [asdict(segment) for segment in answer.segments],
        "receipt": {**chosen.receipt, "attempts": record.attempts},
        "error": failure.message if failure else "",
        "notice": record.notice,
    }
    is_kept = bool(answer.vectors) and state is State.COMPLETED and _is_told_again(execution)
    told_again = vectors.packed(answer.vectors) if is_kept else None
    calls = [ToolCall(index, **call) for index, call in answer.tool_calls.items()]
    found = [{"kind": one.kind, "title": one.title[:200], "payload": one.payload} for one in actions(text, calls)]
    is_plain = record.is_plain and failure is None and not (found or told_again or answer.assets)
    again = partial(_finish, execution, fence, chosen, record, answer, failure)
    if is_plain and len(text) <= LARGE and record.end_at_once(columns, said, again):
        _has_ended(execution, state, columns)
        return
    if max(len(text), len(told_again or b"")) > LARGE:
        db.session.connection().detach()  # libpq keeps room for the largest statement as long as the connection lives
    is_closed, is_call_ours = journal.finish(
        db.session, execution, fence, {"state": state, **columns, **said}, record.unwritten
    )
    if not is_closed:
        db.session.rollback()
        log.warning("execution %s is no longer ours to finish", execution.id)
        return
    if told_again:
        journal.say(db.session, execution, vectors=told_again)
    if refused := end_of(record.attempts):
        journal.put(db.session, execution, **refused)
    journal.act(db.session, execution, found)
    if state is State.COMPLETED:
        db.session.add_all(calls_in(db.session, execution, answer))
    db.session.add_all(assets.rows(execution, answer.assets))
    db.session.flush()
    record.wrote(is_ours=is_call_ours)
    record.commit()
    _has_ended(execution, state, columns)


def _has_ended(execution: RunRecord, state: State, columns: Mapping[str, Any]) -> None:
    """For whoever ran it: by this worker."""
    execution.state, execution.cost = state, columns["cost"]


def _is_told_again(execution: RunRecord) -> bool:
    """To who asks under its key, or word for word the same. Of words and files that is nothing more to keep."""
    return bool(execution.idempotency_key or execution.project.cache_seconds)


def _state(failure: Failure | None, *, has_content: bool) -> State:
    if failure is None:
        return State.COMPLETED
    if failure.kind is Kind.ABORTED:
        return State.CANCELLED
    return State.INTERRUPTED if has_content or failure.fate is Fate.UNKNOWN else State.FAILED


def _columns(execution: RunRecord, chosen: Plan, record: Record, failure: Failure | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "rule_id": chosen.rule.id if chosen.rule else None,
        "error_kind": failure.kind.value if failure else None,
        "finish": record.finish or None,
        "attempts_made": execution.attempts_made + len(record.attempts),
    }
    costs = [attempt["cost"] for attempt in record.attempts if "cost" in attempt]
    return values | summary(record.last, costs)
