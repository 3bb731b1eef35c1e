"""Dataelan as it comes, asking the instant provider with a key of an organization, with a limit on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from sqlalchemy import select

from dataelan_web import quota
from dataelan_web.extensions import db
from dataelan_web.models import Organization, Scope, Unit, Window

from ..stack import Stack
from ..stack import running as stack_running
from .products import NotThere, Product, ask, base
from .upstream import INSTANT, SLOW


@contextmanager
def dataelan(upstream: Product, webs: int) -> Iterator[Product]:
    """With so many web processes. Everything is recorded; the models have a price; a limit counts every call."""
    with stack_running(DATAELAN_WEB_WORKERS=str(webs)) as stack:
        yield product(stack, upstream, webs)


def product(stack: Stack, upstream: Product, webs: int = 1) -> Product:
    """Sets up the running one. The token is in its headers."""
    token = stack.bootstrap(*(part for model in (INSTANT, SLOW) for part in offer(base(upstream), model)))["token"]
    app = stack.app()
    limit(app)
    with app.app_context():
        db.engine.dispose()  # its connections would count as processes of PostgreSQL
    name = f"Dataelan, {webs} web process{'es' if webs > 1 else ''}"
    headers = {"authorization": f"Bearer {token}"}
    ours = Product(name, f"{stack.url}/v1/chat/completions", headers, stack.supervisor.pid)
    if not float(ask(ours).headers["x-dataelan-cost-usd"]):
        raise NotThere("its calls cost nothing, so that not all is measured that a call takes")
    return ours


def offer(url: str, model: str) -> tuple[str, ...]:
    return "--provider-kind", "openai", "--provider-url", url, "--provider-key", "sk-bench", "--model", model


def limit(app: Flask) -> None:
    """One that counts every call and refuses none."""
    with app.app_context():
        id = db.session.scalars(select(Organization.id)).one()
        quota.set_limit(db.session, id, Scope.ORGANIZATION, id, Window.MONTH, 10**12, Unit.TOKENS)
        db.session.commit()
