"""Which parameters a model refuses, as its page says it and the operator may correct it."""

from __future__ import annotations

from collections.abc import Iterable

import click
from flask.cli import AppGroup
from sqlalchemy import select

from ... import audit
from ...extensions import db
from ...models import Model, Provider
from ...router import names
from ...router.parameters import OF_TASK, REFUSABLE
from ...router.types import Task

models = AppGroup("models", help="Everyone's models. Those of organizations are changed on their own pages.")


def refused_by(model: Model) -> list[str]:
    """Of what its task could be sent with."""
    refused = names.refused(model.name) if model.refuses is None else model.refuses
    return [name for name in OF_TASK.get(Task(model.task), ()) if name in refused]


def in_words(model: Model) -> list[str]:
    return [REFUSABLE[name] for name in refused_by(model)]


@models.command("refuses")
@click.argument("model", metavar="PROVIDER/NAME")
@click.argument("parameters", nargs=-1, type=click.Choice([*REFUSABLE]))
def refuses(model: str, parameters: tuple[str, ...]) -> None:
    """Say which PARAMETERS this model answers 400 to; none: it takes them all. What its provider refuses later is
    learnt again."""
    slug, _, name = model.partition("/")
    row = db.session.scalars(
        select(Model)
        .join(Model.provider)
        .where(Provider.slug == slug, Model.name == name, Model.organization_id.is_(None))
    ).first()
    if row is None:
        raise click.ClickException(f"No model of everyone's is called {model}.")
    set_refused(row, parameters)
    click.echo(
        f"{model} takes no {' and no '.join(in_words(row))}." if in_words(row) else f"{model} takes all of them."
    )


def set_refused(model: Model, parameters: Iterable[str]) -> None:
    """Commits."""
    model.refuses = sorted(parameters)
    audit.record("model.changed", model, model.organization_id, refuses=model.refuses)
    db.session.commit()
