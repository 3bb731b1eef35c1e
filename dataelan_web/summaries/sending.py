"""Each week and each month is sent once, in the morning after it in the organization's own time zone.

Whichever worker is first claims the period by an UPDATE of the organization's row, and tells of it in the same
transaction: both or neither. Who gets it: owners and admins, and programs, where the organization chose so; and whoever
chose it by mail. Each is told what they may see. A period in which nothing ran, or that nobody wants, is not told of.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select, union, update

from .. import currencies, sums_seen
from ..extensions import db
from ..models import Collaborator, Membership, Organization, Project, Summaries, User, now
from ..notify import tell
from ..notify.audience import administrators
from ..sums_seen import SumsSeen
from . import content, periods
from .content import KINDS, Summary
from .periods import Kind, Period
from .plain import plain

if TYPE_CHECKING:
    from flask import Flask

log = logging.getLogger(__name__)

EVERY = 300.0
"""Seconds between two looks."""
MORNING = timedelta(hours=6)
"""After midnight: who reads it finds it in the morning, and all that ran before midnight has ended and is counted."""
WORTH_TELLING = timedelta(hours=48)
"""For so long afterwards, if no worker was there in the morning."""
CHOSEN = {Kind.WEEK: (Summaries.WEEKLY, Summaries.BOTH), Kind.MONTH: (Summaries.MONTHLY, Summaries.BOTH)}
TOLD: dict[Kind, Any] = {Kind.WEEK: Organization.week_told, Kind.MONTH: Organization.month_told}


def summarize_forever(app: Flask, stopping: threading.Event) -> None:
    """Until the worker is asked to stop."""
    while not stopping.wait(EVERY):
        try:
            with app.app_context():
                send_due()
        except Exception:
            log.exception("summaries will be looked for again")


def send_due(at: datetime | None = None) -> int:
    """All that is due. Returns how many periods were told of. Commits each."""
    at, sent = at or now(), 0
    for kind in Kind:
        for id, zone in db.session.execute(_wanting(kind)).all():
            period = periods.latest(kind, at, ZoneInfo(zone))
            if MORNING <= at - period.span.end < MORNING + WORTH_TELLING:
                sent += _send_once(id, period, at)
    db.session.rollback()
    return sent


def _wanting(kind: Kind) -> Any:
    """(id, time zone) of organizations in which somebody wants it."""
    belong = union(
        select(Membership.organization_id).join(User).where(_by_mail(kind)),
        select(Project.organization_id).join(Collaborator, Collaborator.project_id == Project.id)
        .join(User, User.id == Collaborator.user_id).where(_by_mail(kind)),
    )  # fmt: skip
    wants = or_(Organization.summaries.in_(CHOSEN[kind]), Organization.id.in_(belong))
    return (
        select(Organization.id, Organization.time_zone)
        .where(wants, Organization.deleted_at.is_(None))
        .order_by(Organization.id)
    )


def _by_mail(kind: Kind) -> Any:
    return User.mail_choices.contains({KINDS[kind]: True})


def _send_once(id: uuid.UUID, period: Period, at: datetime) -> bool:
    told = TOLD[period.kind]
    try:
        claimed = db.session.scalar(
            update(Organization)
            .where(Organization.id == id, Organization.deleted_at.is_(None), or_(told.is_(None), told < period.first))
            .values({told.key: period.first})
            .returning(Organization.id)
            .execution_options(synchronize_session=False)
        )
        if claimed:
            _tell_all(db.session.get_one(Organization, id, populate_existing=True), period, at)
        db.session.commit()
    except Exception:  # one that cannot be told of must not keep the others waiting
        log.exception("the summary of %s of organization %s could not be sent", period.address, id)
        db.session.rollback()
        return False
    return claimed is not None


def _tell_all(organization: Organization, period: Period, at: datetime) -> None:
    """First the organization's own, of which its programs hear in dollars; then each other person's."""
    people = administrators(db.session, organization.id)
    wanting = set(db.session.scalars(_who_wants(organization.id, period.kind)))
    is_chosen = organization.summaries in CHOSEN[period.kind]
    all_of_it = SumsSeen(True, (), uuid.UUID(int=0))
    with currencies.shown_as(currencies.DOLLARS):
        everything = content.summary(organization, period, all_of_it, at)
    if everything.is_empty:
        return
    if is_chosen:
        _tell(organization, period, everything, [], to_programs=True)
    shown = currencies.of(organization)
    with currencies.shown_as(shown):
        if not shown.is_dollars:
            everything = content.summary(organization, period, all_of_it, at)
        _tell(organization, period, everything, people if is_chosen else people & wanting, to_programs=False)
        for user_id in sorted(wanting - people):
            if seen := sums_seen.sums_seen_by(organization.id, user_id):
                theirs = content.summary(organization, period, seen, at)
                _tell(organization, period, theirs, [] if theirs.is_empty else [user_id], to_programs=False)


def _who_wants(organization_id: uuid.UUID, kind: Kind) -> Any:
    members = select(User.id).join(Membership).where(Membership.organization_id == organization_id, _by_mail(kind))
    guests = (
        select(User.id)
        .join(Collaborator, Collaborator.user_id == User.id)
        .join(Project, Project.id == Collaborator.project_id)
        .where(Project.organization_id == organization_id, _by_mail(kind))
    )
    return union(members, guests)


def _tell(
    organization: Organization, period: Period, said: Summary, user_ids: Sequence[uuid.UUID] | set[uuid.UUID], *,
    to_programs: bool,
) -> None:  # fmt: skip
    kind = KINDS[period.kind]
    tell(
        db.session,
        organization.id,
        user_ids,
        f"{kind}:{organization.id}:{period.address}",
        kind,
        f"{organization.name[:100]}, {period.short}: {said.headline}",
        said.outlook or said.savings,
        said.path,
        data=data(said),
        mailed={"summary": asdict(said), "text": plain(said)},
        to_programs=to_programs,
    )


def data(said: Summary) -> dict[str, Any]:
    """What programs are told. Money in nano-USD."""
    return {
        "starts_on": said.starts_on,
        "ends_on": said.ends_on,
        "spend": said.spend,
        "spend_before": said.spend_before,
        "runs": said.runs,
        "failed": said.failed,
        "tokens": said.tokens,
        "outlook": said.outlook,
        "top": {
            table.columns[0].lower(): [{"name": row.name, "said": row.cells[0]} for row in table.rows]
            for table in said.tables
        },
        "limits": [{"name": limit.name, "standing": limit.standing} for limit in said.met],
    }
