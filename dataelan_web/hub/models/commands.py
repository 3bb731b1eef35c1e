"""`flask models`: what the operator says of everyone's models."""

from __future__ import annotations

import click
from flask.cli import AppGroup
from sqlalchemy import select

from ... import audit
from ...extensions import db
from ...formats import exact_money
from ...models import Model, Provider
from ...router.parameters import REFUSABLE
from . import parameters, prices
from .forms import nano_of
from .purpose import CAPABILITIES, abilities_of, ability_words

models = AppGroup("models", help="Everyone's models. Those of organizations are changed on their own pages.")


@models.command("refuses")
@click.argument("model", metavar="PROVIDER/NAME")
@click.argument("refused", nargs=-1, metavar="[PARAMETERS]...", type=click.Choice([*REFUSABLE]))
def refuses(model: str, refused: tuple[str, ...]) -> None:
    """Say which PARAMETERS this model answers 400 to; none: it takes them all. What its provider refuses later is
    learnt again."""
    row = _everyones(model)
    parameters.set_refused(row, refused)
    words = parameters.in_words(row)
    click.echo(f"{model} takes no {' and no '.join(words)}." if words else f"{model} takes all of them.")


@models.command("can")
@click.argument("model", metavar="PROVIDER/NAME")
@click.argument("abilities", nargs=-1, type=click.Choice([*CAPABILITIES]))
def can(model: str, abilities: tuple[str, ...]) -> None:
    """Say which of the ABILITIES this model has, and that it has no other; none: nobody says, and its name may tell.
    A provider whose list says it goes before this at the next refresh."""
    row = _everyones(model)
    row.capabilities = sorted(abilities)
    audit.record("model.changed", row, None, capabilities=row.capabilities)
    db.session.commit()
    known = abilities_of(row.name, row.capabilities)
    click.echo(f"{model} can: {', '.join(map(ability_words, known)) or 'nobody says'}.")


@models.command("price")
@click.argument("model", metavar="PROVIDER/NAME")
@click.argument("amounts", nargs=-1, metavar="CLASS=USD...")
@click.option("--free", is_flag=True, help="It costs nothing.")
def price(model: str, amounts: tuple[str, ...], *, free: bool) -> None:
    """Say what this model costs everyone from now on, where the price catalogue does not know, or is wrong.

    Each CLASS with its price in USD, per million tokens (input, output, cache_read ...) or for one of what it counts
    (per_image, per_second, per_character, per_request).

    \b
    flask models price openai/some-model input=1.25 output=10 cache_read=0.125
    """
    if free == bool(amounts):
        raise click.UsageError("Say what it costs, such as input=1.25 output=10, or --free.")
    said = dict(map(_amount, amounts))
    prices.set_everyones(_everyones(model), said)
    told = ", ".join(f"{prices.BY_NAME[name].label} {exact_money(nano)}" for name, nano in said.items())
    click.echo(f"{model} costs from now on: {told or 'nothing'}.")


def _amount(said: str) -> tuple[str, int]:
    name, _, usd = said.partition("=")
    if name not in prices.BY_NAME:
        raise click.UsageError(f"There is no class “{name}”. There are: {', '.join(prices.BY_NAME)}.")
    try:
        return name, nano_of(usd, prices.BY_NAME[name].unit)
    except ValueError as wrong:
        raise click.UsageError(f"{name}: {wrong}") from wrong


def _everyones(model: str) -> Model:
    slug, _, name = model.partition("/")
    called = (Provider.slug == slug, Model.name == name, Model.organization_id.is_(None))
    row = db.session.scalars(select(Model).join(Model.provider).where(*called)).first()
    if row is None:
        raise click.ClickException(f"No model of everyone's is called {model}.")
    return row
