"""An organization's own settings: the time zone in which its days begin, and how long it keeps what was asked."""

from __future__ import annotations

from .. import audit
from ..executions.retention import too_old
from ..extensions import db
from ..models import Organization, Summaries

NAMES = ("time_zone", "words_kept_days", "runs_kept_days", "summaries")


def change(
    organization: Organization, time_zone: str, words_days: int | None, runs_days: int | None, summaries: Summaries
) -> None:
    """A new time zone lets all sums be counted anew. What is older than is kept goes within the hour. Commits."""
    values = dict(zip(NAMES, (time_zone, words_days, runs_days, summaries), strict=True))
    changed = {name: value for name, value in values.items() if getattr(organization, name) != value}
    for name, value in changed.items():
        setattr(organization, name, value)
    if changed:
        audit.record("organization.settings_changed", organization, organization.id, **changed)
    db.session.commit()


def lost(organization: Organization, words_days: int | None, runs_days: int | None) -> str:
    """What these settings would delete at once that is kept now, in words; empty: nothing."""
    now_ = too_old(organization, organization.words_kept_days, organization.runs_kept_days)
    then = too_old(organization, words_days, runs_days)
    words, runs = (max(after - before, 0) for before, after in zip(now_, then, strict=True))
    said = [
        *([f"what was said in {words:,} {'run' if words == 1 else 'runs'}"] if words else []),
        *([f"{runs:,} {'run' if runs == 1 else 'runs'}"] if runs else []),
    ]
    return " and ".join(said)
