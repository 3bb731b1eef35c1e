"""An organization's own settings: its name, the time zone in which its days begin, the currency in which amounts are
shown, what new sessions ask and who may get prompts, and how long it keeps what was asked."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from .. import access, audit, currencies
from ..executions.retention import too_old, too_old_lines
from ..extensions import db
from ..models import Organization, Provider, RoutingRule, now
from .abilities import CHOOSES_PROVIDERS


def change(organization: Organization, **values: Any) -> None:
    """A new time zone lets all sums be counted anew. What is older than is kept goes within the hour. A rate is of the
    day on which it was said. Commits."""
    changed = {name: value for name, value in values.items() if getattr(organization, name) != value}
    before = {name: _said(getattr(organization, name)) for name in changed}
    if changed.keys() & {"currency", "currency_rate"}:
        today = now().astimezone(ZoneInfo(organization.time_zone)).date()
        organization.currency_set_on = today if values["currency"] else None
    for name, value in changed.items():
        setattr(organization, name, value)
    if changed:
        said = {name: _said(value) for name, value in changed.items()}
        audit.record("organization.settings_changed", organization, organization.id, before=before, **said)
    db.session.commit()


def lost(organization: Organization, words_days: int | None, runs_days: int | None, audit_days: int | None) -> str:
    """What these settings would delete at once that is kept now, in words; empty: nothing."""
    now_ = too_old(organization, organization.words_kept_days, organization.runs_kept_days)
    then = too_old(organization, words_days, runs_days)
    words, runs = (max(after - before, 0) for before, after in zip(now_, then, strict=True))
    lines = max(too_old_lines(organization, audit_days) - too_old_lines(organization, organization.audit_kept_days), 0)
    said = [
        *([f"what was said in {words:,} {'run' if words == 1 else 'runs'}"] if words else []),
        *([f"{runs:,} {'run' if runs == 1 else 'runs'}"] if runs else []),
        *([f"{lines:,} {'line' if lines == 1 else 'lines'} of the audit log"] if lines else []),
    ]
    return " and ".join(said)


def rules(organization: Organization) -> list[tuple[str, str]]:
    """Rules that new sessions could ask: the organization's, for all of its projects."""
    here = RoutingRule.organization_id == organization.id, RoutingRule.project_id.is_(None)
    in_use = RoutingRule.is_enabled, RoutingRule.deleted_at.is_(None)
    query = select(RoutingRule.id, RoutingRule.name).where(*here, *in_use).order_by(RoutingRule.priority)
    rows = db.session.execute(query)
    return [(str(id), name) for id, name in rows]


def providers(organization: Organization) -> list[tuple[str, str]]:
    """Those that prompts could go to, and those that are chosen but there no more: what a form did not show would be
    taken out with the next change of anything, and with the last one all are allowed. None where this kind of
    organization does not choose."""
    if not CHOOSES_PROVIDERS.of(organization.kind):
        return []
    query = access.scoped(Provider).where(~Provider.needs_address).order_by(func.lower(Provider.name))
    offered = {str(one.id): one.name for one in db.session.scalars(query)}
    gone = [id for id in organization.allowed_providers if id not in offered]
    names = select(Provider.id, Provider.name).where(Provider.id.in_([uuid.UUID(id) for id in gone]))
    known = {str(id): name for id, name in db.session.execute(names)} if gone else {}
    return [*offered.items(), *((id, f"{known.get(id, 'A provider')} (deleted)") for id in gone)]


def _said(value: Any) -> Any:
    if isinstance(value, Decimal):
        return currencies.plain(value)
    return str(value) if isinstance(value, uuid.UUID) else value
