"""`flask limits`: the operator's limits, on the platform, or on one organization, provider or model of it."""

from __future__ import annotations

import uuid

import click
from flask.cli import AppGroup

from ..models import Unit, Window
from . import amounts, platform, words
from .platform import NoSuchThing

limits = AppGroup("limits", help="The operator's limits. Those of organizations are set on their own pages.")

ON = "platform, organization:SLUG, provider:SLUG or model:PROVIDER/NAME."


@limits.command("set")
@click.argument("amount")
@click.option("--on", default="platform", show_default=True, help=ON)
@click.option("--unit", type=click.Choice([unit.value for unit in Unit]), default="usd", show_default=True)
@click.option("--window", type=click.Choice([w.value for w in Window]), default="month", show_default=True)
@click.option("--hard/--soft", "is_hard", default=True, show_default=True, help="Hard: refuses. Soft: only counts.")
def set_(amount: str, on: str, unit: str, window: str, is_hard: bool) -> None:
    """Make or change a limit. AMOUNT is in USD (2.50), tokens or requests."""
    try:
        number = amounts.read(amount, Unit(unit))
        made = platform.set_limit(on, Unit(unit), Window(window), number, is_hard=is_hard)
    except (ValueError, NoSuchThing) as problem:
        raise click.ClickException(str(problem)) from problem
    click.echo(f"{made.id}  {words.size(number, Unit(unit), Window(window))} on {on}{'' if is_hard else ', soft'}")


@limits.command("list")
def list_() -> None:
    """The operator's limits, and how far each is used in its window."""
    for line in platform.all_limits():
        click.echo(line)


@limits.command("delete")
@click.argument("id", type=click.UUID)
def delete(id: uuid.UUID) -> None:
    """Delete one of them: its id is in the list."""
    try:
        click.echo(f"{platform.delete(id)} is not limited by this any more.")
    except NoSuchThing as problem:
        raise click.ClickException(str(problem)) from problem
