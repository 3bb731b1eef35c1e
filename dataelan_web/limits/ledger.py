"""`flask ledger`: do limits agree with the ledger, and what is to be done where they, or a line of it, are wrong."""

from __future__ import annotations

import uuid

import click
from flask.cli import AppGroup
from sqlalchemy import select

from .. import audit, quota
from ..executions.bookkeeping import mend_books
from ..extensions import db
from ..models import Attempt, Unit
from . import amounts

ledger = AppGroup("ledger", help="What was spent, and what limits make of it.")


@ledger.command("verify")
def verify() -> None:
    """Recompute every window of every limit from the ledger; exit 1 when one does not agree."""
    found = quota.drift(db.session, openings=quota.wrong_openings(db.session, quota.first_windows(db.session)))
    for one in found:
        click.echo(str(one), err=True)
    if found:
        raise SystemExit(1)
    click.echo("Every limit agrees with the ledger.")


@ledger.command("mend")
def mend() -> None:
    """Set the windows that do not agree to what the ledger says. Each is noted in the audit log, as it was before."""
    found = mend_books()
    for one in found:
        click.echo(str(one))
    click.echo(f"{len(found)} windows were mended." if found else "Every limit agrees with the ledger.")


@ledger.command("correct")
@click.argument("run", type=click.UUID)
@click.option("--more", metavar="USD", help="What it cost beside what was charged.")
@click.option("--less", metavar="USD", help="What was charged too much.")
@click.option("--note", required=True, help="Why: it stands on the line.")
@click.option("--call", "number", type=int, help="Which of its calls, where there were several.")
def correct(run: uuid.UUID, more: str | None, less: str | None, note: str, number: int | None) -> None:
    """Add a line to the ledger for a RUN (its id) that was charged too little or too much, by a provider's invoice. It
    counts in the limits that the call was held against."""
    if (more is None) == (less is None):
        raise click.UsageError("Say --more or --less.")
    call = _call(run, number)
    try:
        amount = amounts.read(more or less or "", Unit.USD)
        line = quota.correct(db.session, call.id, amount if more else -amount, note, None)
    except ValueError as problem:
        raise click.ClickException(str(problem)) from problem
    audit.record("ledger.corrected", line, run=str(run), call=call.number, nano_usd=line.amount, note=note)
    db.session.commit()
    click.echo(f"Call {call.number} of {run} cost {quota.usd(call.cost or 0)} now.")


def _call(run: uuid.UUID, number: int | None) -> Attempt:
    made = db.session.scalars(select(Attempt).where(Attempt.execution_id == run).order_by(Attempt.number)).all()
    found = [call for call in made if number in (None, call.number)]
    if len(found) == 1:
        return found[0]
    told = ", ".join(f"{call.number} ({call.provider_name} / {call.model_name})" for call in made)
    raise click.ClickException(
        f"Say which with --call: {told}." if told else "There is no such run, or it called nobody."
    )
