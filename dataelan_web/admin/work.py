"""What runs, what waits and what failed, of all organizations: never what was said in it. And what can be done.

A failed prompt is not run again from here: that costs its people money, and they decide it on its page. What Dataelan
owes them (a message of the queue, a file, a letter, a webhook's) is tried again here.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import redis
from flask import abort
from sqlalchemy import and_, func, or_, select, update

from .. import audit
from ..dashboards import exporting
from ..executions import keeper
from ..extensions import db
from ..jobs import queue
from ..models import (
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    Execution,
    ExportState,
    Model,
    Organization,
    Project,
    RunExport,
    State,
    User,
    Webhook,
    now,
)
from ..models.exports import UNFINISHED
from ..notify import deliver

LISTED = 50
LOOKED_BACK = timedelta(days=2)
"""How far back what failed is looked for."""
FAILED = (State.FAILED, State.INTERRUPTED)


@dataclass(frozen=True)
class Standing:
    """How many of each there are; None: Valkey does not answer."""

    running: int
    waiting: int
    oldest: float
    """Seconds that the first of those that wait has waited."""
    messages: int | None
    workers: Sequence[queue.Worker] | None
    batches: int
    deliveries: int
    """Mail and webhooks that are due."""


def standing() -> Standing:
    waits = func.extract("epoch", func.now() - func.min(Execution.created_at))
    counted = select(Execution.state, func.count(), waits).where(Execution.state.in_((State.QUEUED, State.RUNNING)))
    states = {row[0]: row for row in db.session.execute(counted.group_by(Execution.state))}
    due = Delivery.state == DeliveryState.WAITING, Delivery.next_at <= func.now()
    messages: int | None = None
    workers: Sequence[queue.Worker] | None = None
    with contextlib.suppress(redis.RedisError):
        messages, workers = queue.waiting(), queue.heard()
    return Standing(
        states[State.RUNNING][1] if State.RUNNING in states else 0,
        states[State.QUEUED][1] if State.QUEUED in states else 0,
        float(states[State.QUEUED][2]) if State.QUEUED in states else 0.0,
        messages,
        workers,
        db.session.scalar(select(func.count()).where(Batch.state == BatchState.RUNNING)) or 0,
        db.session.scalar(select(func.count()).select_from(Delivery).where(*due)) or 0,
    )


def running() -> Sequence[Any]:
    """The longest first."""
    query = _runs().where(Execution.state == State.RUNNING).order_by(Execution.started_at, Execution.id)
    return db.session.execute(query.limit(LISTED)).all()


def waiting() -> Sequence[Any]:
    """The first to come first."""
    query = _runs().where(Execution.state == State.QUEUED).order_by(Execution.id)
    return db.session.execute(query.limit(LISTED)).all()


def failed() -> Sequence[Any]:
    """The latest first. Ids are in the order of time, so that few rows are read."""
    query = _runs().where(Execution.state.in_(FAILED), Execution.id > _first_id_of(now() - LOOKED_BACK))
    return db.session.execute(query.order_by(Execution.id.desc()).limit(LISTED)).all()


def exports() -> Sequence[Any]:
    """That are being written, or failed lately."""
    lately = and_(RunExport.state == ExportState.FAILED, RunExport.ended_at > now() - LOOKED_BACK)
    query = (
        select(RunExport, Organization.name.label("home"), User.name.label("person"))
        .join(Organization, Organization.id == RunExport.organization_id)
        .join(User, User.id == RunExport.user_id)
        .where(or_(RunExport.state.in_(UNFINISHED), lately))
    )
    return db.session.execute(query.order_by(RunExport.id.desc()).limit(LISTED)).all()


def deliveries() -> Sequence[Any]:
    """Mail and messages to webhooks that were given up lately. Never what they say: a letter may hold a secret."""
    query = (
        select(
            *(Delivery.id, Delivery.event, Delivery.address, Delivery.tries, Delivery.error, Delivery.created_at),
            *(Organization.name.label("home"), Webhook.label),
        )
        .outerjoin(Organization, Organization.id == Delivery.organization_id)
        .outerjoin(Webhook, Webhook.id == Delivery.webhook_id)
        .where(Delivery.state == DeliveryState.FAILED, Delivery.id > _first_id_of(now() - LOOKED_BACK))
    )
    return db.session.execute(query.order_by(Delivery.id.desc()).limit(LISTED)).all()


# -- what can be done ------------------------------------------------------------------------------


def cancel_run(id: uuid.UUID) -> bool:
    """False: it had ended. 404 for what is no run. Commits."""
    run = db.session.get(Execution, id) or abort(404)
    if keeper.cancel(id) is None:
        return False
    audit.record("execution.cancelled", run, from_admin=True)
    db.session.commit()
    return True


def wake_run(id: uuid.UUID) -> bool:
    """A message of the queue, anew. False: it waits no more, or Valkey is away. Commits."""
    run = db.session.get(Execution, id) or abort(404)
    if run.state is not State.QUEUED or run.waits_for_id is not None:
        return False
    audit.record("execution.woken", run)
    db.session.commit()
    return queue.execute_later(run.id, run.fence)


def cancel_export(id: uuid.UUID) -> bool:
    """False: it had ended. Commits."""
    export = db.session.get(RunExport, id) or abort(404)
    if not exporting.cancel(export):
        return False
    audit.record("export.cancelled", export, from_admin=True)
    db.session.commit()
    return True


def retry_export(id: uuid.UUID) -> bool:
    """False: it has not failed. Commits."""
    export = db.session.get(RunExport, id) or abort(404)
    values = {"state": ExportState.QUEUED, "ended_at": None, "lease_until": None, "fence": 0, "created_at": now()}
    failed = update(RunExport).where(RunExport.id == export.id, RunExport.state == ExportState.FAILED)
    begun = failed.values(**values).returning(RunExport.id).execution_options(synchronize_session=False)
    if db.session.scalar(begun) is None:
        return False
    audit.record("export.retried", export)
    db.session.commit()
    return queue.export_later(export.id, 0)


def retry_delivery(id: uuid.UUID) -> bool:
    """At once. False: it was refused again, or has not failed. Commits."""
    delivery = db.session.get(Delivery, id) or abort(404)
    if delivery.state is not DeliveryState.FAILED:
        return False
    result = deliver.again(delivery)
    return result is not None and result.is_delivered


def _runs() -> Any:
    return (
        select(
            *(Execution.id, Execution.state, Execution.origin, Execution.requested, Execution.created_at),
            *(Execution.started_at, Execution.finished_at, Execution.lease_owner, Execution.fence),
            *(Execution.error_kind, Execution.waits_for_id, Execution.organization_id),
            *(Organization.name.label("home"), Project.name.label("project"), User.name.label("person")),
            Model.display_name.label("model"),
        )
        .join(Organization, Organization.id == Execution.organization_id)
        .join(Project, Project.id == Execution.project_id)
        .outerjoin(User, User.id == Execution.user_id)
        .outerjoin(Model, Model.id == Execution.model_id)
    )


def _first_id_of(moment: datetime) -> uuid.UUID:
    """Of UUIDs of version 7, which begin with the milliseconds."""
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80)
