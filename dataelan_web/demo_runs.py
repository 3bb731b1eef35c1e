"""Runs of the demo: their bodies, calls and lines of the ledger, made in PostgreSQL, a hundred thousand at a time, in the
order of time (so that every index grows at its end). When they were asked is laid out here (demo_rhythm); what they
were like is in demo_runs.sql, one statement a step.

What is drawn for run i comes from a hash of i and the seed, so it depends neither on how many are made at a time nor on
who makes them.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

from flask import current_app
from sqlalchemy import Connection, text

from . import demo_rhythm
from .demo_rhythm import Stretch
from .executions.prompts import to_json
from .extensions import db
from .models import APIKey, Model, Organization, Price, Provider
from .rollups.rebuilding import rebuild
from .router.types import Prompt, user

AT_ONCE = 100_000
FOUND = 2_000
"""How many of the newest can be searched for; they say the same few things over and over."""
TOPICS = (
    ("Draft a short answer to this customer: where is my order?", "It left us this morning, and should be with you"),
    ("What does clause 7 of this contract oblige us to?", "To give notice 90 days before the term ends, in writing"),
    ("Find products like a waterproof jacket for cycling.", "Three fit: the Rainline, the Commuter and the Alpine"),
    ("Turn these commits into release notes.", "Faster start, clearer errors, and exports that can be resumed"),
    ("Which of these filings mention a change of auditor?", "Two: the annual report of March, and the letter of June"),
    ("Write a welcome message for a new colleague.", "Welcome! On your first day Ana will show you around"),
)
STEPS = tuple(text(step) for step in (Path(__file__).parent / "demo_runs.sql").read_text().split(";\n"))


@dataclass(frozen=True)
class Offer:
    provider: Provider
    model: Model
    key: APIKey
    prices: Sequence[Price]
    """Before and after they changed."""
    first_seconds: float
    tokens_a_second: float
    share: int


@dataclass(frozen=True)
class Plan:
    organization_id: uuid.UUID
    projects: list[uuid.UUID]
    people: list[uuid.UUID]
    offers: list[Offer]
    rules: list[uuid.UUID]
    """Which one chose each of the offers first."""
    days: int
    seed: int


def write(plan: Plan, count: int, at: datetime) -> int:
    """How many there are; they are not summed up yet. Commits."""
    values = _values(plan)
    parts = _parts(demo_rhythm.stretches(plan.days, count, at, plan.seed))
    engine = db.engine

    def make(part: list[tuple[int, Stretch]]) -> int:
        with engine.begin() as connection:
            _in_a_hurry(connection)
            return _make(connection, part, values)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        written = sum(pool.map(make, parts))
    with engine.begin() as connection:
        connection.execute(
            text("""SELECT count(search_index(id)) FROM (SELECT id FROM executions WHERE organization_id = :organization
                ORDER BY created_at DESC LIMIT :most) AS newest"""),
            {"organization": plan.organization_id, "most": FOUND},
        )
    return written


def sum_up(organizations: list[uuid.UUID]) -> None:
    """The sums of what was written, by as many at a time as there are processors."""
    with db.engine.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))  # of ten million it takes half a minute
        connection.execute(text("ANALYZE executions, attempts, ledger_entries"))
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # threads have none of their own

    def work(id: uuid.UUID) -> None:
        with app.app_context():
            rebuild(db.session.get_one(Organization, id))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(work, organizations))


def _parts(stretches: list[Stretch]) -> list[list[tuple[int, Stretch]]]:
    """Stretches of about AT_ONCE runs, each with the number of its first run."""
    parts: dict[int, list[tuple[int, Stretch]]] = {}
    for first, one in zip(accumulate((one.runs for one in stretches), initial=0), stretches, strict=False):
        parts.setdefault(first // AT_ONCE, []).append((first, one))
    return list(parts.values())


def _in_a_hurry(connection: Connection) -> None:
    """Where the database's owner is its master, as the one that comes with Dataelan is, triggers and the checks of
    foreign keys rest: all that is written here was made here, and the sums are made at the end. Elsewhere it takes
    several times as long."""
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SET LOCAL synchronous_commit = off"))
    if connection.scalar(text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")):
        connection.execute(text("SET LOCAL session_replication_role = replica"))


def _make(connection: Connection, part: list[tuple[int, Stretch]], values: dict[str, Any]) -> int:
    of = values | {
        "numbers": [first for first, _ in part],
        "starts": [one.starts_at for _, one in part],
        "seconds": [one.seconds for _, one in part],
        "counts": [one.runs for _, one in part],
        "days": [one.day for _, one in part],
        "hours": [one.hour for _, one in part],
    }
    for step in STEPS:
        connection.execute(step, of)
    return sum(one.runs for _, one in part)


def _values(plan: Plan) -> dict[str, Any]:
    topics = [
        {"project": str(id), "place": place, "request": to_json(Prompt(messages=(user(asked),))), "answer": f"{said}."}
        for place, (id, (asked, said)) in enumerate(zip(plan.projects, TOPICS, strict=True))
    ]
    return {
        "organization": plan.organization_id,
        "unique": str(plan.organization_id),
        "seed": plan.seed * 100,
        "shares": [place for place, offer in enumerate(plan.offers) for _ in range(offer.share)],
        "offers": json.dumps([_told(place, offer) for place, offer in enumerate(plan.offers)]),
        "rules": plan.rules,
        "topics": json.dumps(topics),
        "projects": plan.projects,
        "people": plan.people,
    }


def _told(place: int, offer: Offer) -> dict[str, object]:
    before, after = offer.prices
    return {
        "place": place,
        "provider_id": str(offer.provider.id),
        "model_id": str(offer.model.id),
        "api_key_id": str(offer.key.id),
        "model_type": offer.model.model_type.value,
        "provider": offer.provider.name,
        "model": offer.model.display_name,
        "price_before": str(before.id),
        "price_after": str(after.id),
        "input_before": before.input,
        "input_after": after.input,
        "output_before": before.output,
        "output_after": after.output,
        "changed": after.effective_at.isoformat(),
        "first_seconds": offer.first_seconds,
        "tokens_a_second": offer.tokens_a_second,
    }
