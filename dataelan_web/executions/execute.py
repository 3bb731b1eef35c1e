"""Run one execution: claim → plan → call → stream → record. The worker and the gateway both come through here."""

from __future__ import annotations

import logging
import random
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from flask import current_app
from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import joinedload

from ..extensions import db
from ..jobs.queue import store
from ..models import Action, Execution, ExecutionBody, Project, State
from ..models.executions import claim, close
from ..router.actions import actions
from ..router.candidates import Question
from ..router.plan import Plan, plan
from ..router.run import run
from ..router.types import Event, Failure, Kind, Prompt, Reasoning, Text, ToolCall
from ..router.wire import Clients
from . import live
from .answer import Answer
from .candidates import rules_for
from .keeper import keeper
from .prompts import from_json
from .record import Record, summary

log = logging.getLogger(__name__)

PAUSES = (0.1, 1.0, 3.0)
"""Seconds between tries to write an end while the database is away; after the last, the sweeper does it."""

OWNER = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"


def execute_queued(execution_id: uuid.UUID) -> None:
    """What a worker does with an id. Not there to be claimed: somebody else has it, or it is over."""
    fence = claim(db.session, execution_id, OWNER)
    db.session.commit()
    if fence is None:
        return
    writer = live.Writer(store(), execution_id)
    try:
        for event in execute(load(execution_id), fence):
            if isinstance(event, Text):
                writer.text(event.delta)
            elif isinstance(event, Reasoning):
                writer.reasoning(event.delta)
    except Failure:
        pass  # recorded with the execution; the page shows it from there
    finally:
        writer.end()


def load(execution_id: uuid.UUID) -> Execution:
    """One execution with all that running it needs, in one query."""
    project = joinedload(Execution.project).joinedload(Project.organization)
    return db.session.get_one(Execution, execution_id, options=[joinedload(Execution.body), project])


def execute(execution: Execution, fence: int) -> Iterator[Event]:
    """Run a claimed execution to its end, yielding what comes. Whatever happens, its final state is recorded.

    Raises Failure after recording it. When the reader goes away the call is stopped and recorded as cancelled.
    """
    answer = Answer()
    record = Record(execution, fence, answer)
    chosen = Plan(())
    failure: Failure | None = Failure(Kind.ABORTED, "Stopped: the reader went away.")
    try:
        prompt = from_json(execution.body.request)
        chosen = _plan(execution, prompt)
        if execution in db.session:
            # From here on plain values: a rollback would empty them, and a reader may leave in another session.
            db.session.expunge(execution)
        with keeper().hold(execution.id, fence) as stop:
            with closing(run(chosen, prompt, _http(), record, record.secret, stop)) as events:
                for event in events:
                    answer.add(event)
                    yield event
        failure = None
    except Failure as problem:
        failure = problem
        raise
    except Exception:
        log.exception("execution %s broke", execution.id)
        record.roll_back()
        failure = Failure(Kind.TRANSIENT, "Dataelan itself failed while running this. The operator's log has details.")
        raise failure from None
    finally:
        _finish(execution, fence, chosen, record, answer, failure)


def _plan(execution: Execution, prompt: Prompt) -> Plan:
    rules = rules_for(db.session, execution.project, execution.requested, execution.model_type)
    question = Question.of(prompt, execution.model_type.value)
    return plan(question, rules, random.Random(), execution.requested)


def _http() -> Clients:
    clients: Clients = current_app.extensions["dataelan_http"]
    return clients


def _finish(
    execution: Execution, fence: int, chosen: Plan, record: Record, answer: Answer, failure: Failure | None
) -> None:
    """The final state, with the last attempt's cost, in one commit. A lost fence writes nothing.

    A lost connection is tried again: the fence makes a second time harmless, whatever became of the first.
    """
    for pause in PAUSES:
        try:
            return _write_end(execution, fence, chosen, record, answer, failure)
        except SQLAlchemyError:
            log.exception("the end of execution %s could not be written; trying again", execution.id)
            record.roll_back()
            time.sleep(pause)
    _write_end(execution, fence, chosen, record, answer, failure)


def _write_end(
    execution: Execution, fence: int, chosen: Plan, record: Record, answer: Answer, failure: Failure | None
) -> None:
    record.catch_up()
    state = _state(failure, bool(answer.said))
    if not close(db.session, execution.id, fence, state, **_columns(execution, chosen, record, failure)):
        db.session.rollback()
        log.warning("execution %s is no longer ours to finish", execution.id)
        return
    text = "".join(answer.text)
    db.session.execute(
        update(ExecutionBody)
        .where(ExecutionBody.id == execution.id)
        .execution_options(synchronize_session=False)
        .values(
            text=text.replace("\x00", "�"),
            reasoning="".join(answer.reasoning).replace("\x00", "�"),
            tool_calls=list(answer.tool_calls.values()),
            receipt={**chosen.receipt, "attempts": record.attempts},
            error=failure.message if failure else "",
            notice=record.notice,
        )
    )
    calls = [ToolCall(index, **call) for index, call in answer.tool_calls.items()]
    for position, action in enumerate(actions(text, calls)):
        db.session.add(
            Action(
                execution_id=execution.id,
                position=position,
                kind=action.kind,
                title=action.title[:200],
                payload=action.payload,
            )
        )
    db.session.commit()


def _state(failure: Failure | None, has_text: bool) -> State:
    if failure is None:
        return State.COMPLETED
    if failure.kind is Kind.ABORTED:
        return State.CANCELLED
    return State.INTERRUPTED if has_text else State.FAILED


def _columns(execution: Execution, chosen: Plan, record: Record, failure: Failure | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "rule_id": chosen.rule.id if chosen.rule else None,
        "error_kind": failure.kind.value if failure else None,
        "finish": record.finish or None,
        "attempts_made": execution.attempts_made + len(record.attempts),
    }
    costs = [attempt["cost"] for attempt in record.attempts if "cost" in attempt]
    return values | summary(record.last, costs)
