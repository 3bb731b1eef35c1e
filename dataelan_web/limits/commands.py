"""`flask limits`: the operator's limits, on the platform, or on one organization, provider, model or key of it."""

from __future__ import annotations

import uuid

import click
from flask.cli import AppGroup

from ..models import Unit, Window
from . import amounts, platform, words
from .changes import Speeds
from .forms import MOST_A_MINUTE, MOST_PARALLEL, MOST_PERCENT, MOST_TOKENS, percents
from .platform import NoSuchThing

limits = AppGroup(
    "limits",
    help="The operator's limits, which are under Administration, Limits too. Those of organizations are set on their"
    " own pages.",
)

ON = f"{platform.FORMS}; a key by its label or its last four letters, as `flask keys list` shows them."
ALERTS = (
    "Percent at which people are told, such as 50,80,100; empty for none. Left out: as they are, or 50, 80 and 100."
)
NOTHING = "Say how fast: --requests-per-minute, --tokens-per-minute or --parallel."


@limits.command("set")
@click.argument("amount")
@click.option("--on", default="platform", show_default=True, help=ON)
@click.option("--unit", type=click.Choice([unit.value for unit in Unit]), default="usd", show_default=True)
@click.option("--window", type=click.Choice([w.value for w in Window]), default="month", show_default=True)
@click.option("--hard/--soft", "is_hard", default=True, show_default=True, help="Hard: refuses. Soft: only counts.")
@click.option("--alerts", help=ALERTS)
def set_(amount: str, on: str, unit: str, window: str, is_hard: bool, alerts: str | None) -> None:
    """Make or change a budget. AMOUNT is in USD (2.50), tokens or requests.

    \b
    flask limits set 500
    flask limits set 50 --on organization:acme-bb6d0f --window week --alerts 80,100
    flask limits set 2000000 --on key:openai/Main --unit tokens --window day --soft
    """
    try:
        number = amounts.read(amount, Unit(unit))
        at = None if alerts is None else percents(alerts, 100 if is_hard else MOST_PERCENT)
        made = platform.set_limit(on, Unit(unit), Window(window), number, is_hard=is_hard, alerts=at)
    except (ValueError, NoSuchThing) as problem:
        raise click.ClickException(str(problem)) from problem
    soft = "" if is_hard else ", soft"
    told = f"told at {words.percents(made.alerts)}" if made.alerts else "told never"
    click.echo(f"{made.id}  {words.size(number, Unit(unit), Window(window))} on {on}{soft}, {told}")


@limits.command("rate")
@click.option("--on", default="platform", show_default=True, help=ON)
@click.option("--requests-per-minute", type=click.IntRange(1, MOST_A_MINUTE))
@click.option("--tokens-per-minute", type=click.IntRange(1, MOST_TOKENS))
@click.option("--parallel", type=click.IntRange(1, MOST_PARALLEL), help="Prompts at the same time.")
def rate(on: str, requests_per_minute: int | None, tokens_per_minute: int | None, parallel: int | None) -> None:
    """Make or change how fast may be asked; what is left out is not limited.

    \b
    flask limits rate --requests-per-minute 600 --parallel 40
    flask limits rate --on key:openai/Main --tokens-per-minute 200000
    """
    speeds = Speeds(requests_per_minute, tokens_per_minute, parallel)
    if not any(vars(speeds).values()):
        raise click.UsageError(NOTHING)
    try:
        made = platform.set_rate(on, speeds)
    except NoSuchThing as problem:
        raise click.ClickException(str(problem)) from problem
    click.echo(f"{made.id}  {words.rate_of(made)} on {on}")


@limits.command("list")
def list_() -> None:
    """The operator's limits, how far each budget is used in its window, and the rates."""
    for line in platform.all_limits():
        click.echo(line)


@limits.command("delete")
@click.argument("id", type=click.UUID)
def delete(id: uuid.UUID) -> None:
    """Delete a budget or a rate: its id is in the list."""
    try:
        click.echo(f"{platform.delete(id)} is not limited by this any more.")
    except NoSuchThing as problem:
        raise click.ClickException(str(problem)) from problem
