"""Runs of the demo: their bodies, calls and lines of the ledger, made in PostgreSQL, a hundred thousand at a time.

What is drawn for run i comes from a digest of the seed and i, so it does not depend on how many there are at a time.
People work by day and on weekdays, a little more each month; each provider has a bad afternoon now and then.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from .executions.prompts import to_json
from .extensions import db
from .models import APIKey, Model, Organization, Price, Provider
from .rollups.rebuilding import rebuild
from .router.types import Prompt, user

AT_ONCE = 100_000
ASKED, ANSWERED = "Draft a short answer to this customer.", "Thank you for writing. Here is what we can do."
HOURS = [1] * 6 + [2, 4, 9, 12, 13, 12, 9, 11, 13, 12, 10, 7, 5, 4, 3, 3, 2, 1]
"""How much of the work falls into each hour of the day."""


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
    days: int
    seed: int


_DRAWN = """
CREATE TEMPORARY TABLE demo_runs ON COMMIT DROP AS
WITH dice AS (
    SELECT i, md5(:seed || '/' || i) AS m FROM generate_series(:first, :last) AS i
), drawn AS (
    SELECT i, m,
        ('x' || substr(m, 1, 6))::bit(24)::int / 16777216.0::float8 AS u1, ('x' || substr(m, 7, 6))::bit(24)::int / 16777216.0::float8 AS u2,
        ('x' || substr(m, 13, 6))::bit(24)::int / 16777216.0::float8 AS u3, ('x' || substr(m, 19, 6))::bit(24)::int / 16777216.0::float8 AS u4,
        ('x' || substr(m, 25, 6))::bit(24)::int / 16777216.0::float8 AS u5, ('x' || substr(m, 31, 2))::bit(8)::int / 256.0::float8 AS u6
    FROM dice
), timed AS (
    SELECT *, floor(:days * power(u1, 0.8))::int AS day,
        (CAST(:hours AS int[]))[1 + floor(u2 * array_length(CAST(:hours AS int[]), 1))::int] AS hour
    FROM drawn
), dated AS (
    SELECT *, date_trunc('day', now()) - make_interval(days => :days) + make_interval(days => day + 1, hours => hour)
        + make_interval(secs => u3 * 3600) AS asked
    FROM timed
), worked AS (
    SELECT *, CASE WHEN extract(isodow FROM asked) > 5 AND u6 < 0.8 AND asked > now() - make_interval(days => :days - 3)
        THEN asked - interval '2 days' ELSE asked END AS at
    FROM dated
), chosen AS (
    SELECT *, (CAST(:offers AS int[]))[1 + floor(u4 * array_length(CAST(:offers AS int[]), 1))::int] AS offer
    FROM worked WHERE at < now() - interval '1 minute'
), offered AS (
    SELECT c.*, o.provider_id, o.model_id, o.api_key_id, o.model_type, o.provider, o.model,
        CASE WHEN c.at < o.changed THEN o.price_before ELSE o.price_after END AS price_id,
        CASE WHEN c.at < o.changed THEN o.input_before ELSE o.input_after END AS input_price,
        CASE WHEN c.at < o.changed THEN o.output_before ELSE o.output_after END AS output_price,
        o.first_seconds, o.tokens_a_second,
        (day * 7 + o.place) % 19 = 0 AND hour BETWEEN 13 AND 16 AS is_bad
    FROM chosen c JOIN json_to_recordset(CAST(:offered AS json)) AS o (
        place int, provider_id uuid, model_id uuid, api_key_id uuid, model_type text, provider text, model text,
        price_before uuid, price_after uuid, input_before bigint, input_after bigint, output_before bigint,
        output_after bigint, changed timestamptz, first_seconds float8, tokens_a_second float8
    ) ON o.place = c.offer
), used AS (
    SELECT *, (80 * exp(3.4 * u5))::int AS input, (30 * exp(3.1 * u3))::int AS output,
        CASE WHEN u2 * 997 - floor(u2 * 997) < 0.35 THEN (60 * exp(3.0 * u5))::int ELSE 0 END AS cached,
        first_seconds * exp(1.1 * (u6 + u1 - 1)) * CASE WHEN is_bad THEN 3.5 ELSE 1 END AS waited,
        u5 * 8191 - floor(u5 * 8191) AS luck
    FROM offered
)
SELECT *, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(:unique || m), 1, 3) || '8'
        || substr(md5(:unique || m), 4, 15))::uuid AS id,
    md5(:unique || 'attempt' || m)::uuid AS attempt_id, md5(:unique || 'line' || m)::uuid AS line_id,
    (CAST(:projects AS uuid[]))[1 + floor(power(u6, 1.6) * :projects_count)::int] AS project_id,
    CASE WHEN u3 < 0.3 THEN NULL ELSE (CAST(:people AS uuid[]))[1 + floor(power(u2, 1.3) * :people_count)::int] END AS user_id,
    CASE WHEN luck < CASE WHEN is_bad THEN 0.22 ELSE 0.012 END THEN 'failed' WHEN luck > 0.992 THEN 'cancelled'
        ELSE 'completed' END AS state,
    at + make_interval(secs => waited) AS first_at,
    at + make_interval(secs => waited + output / (tokens_a_second * (0.7 + 0.6 * u6))) AS ended_at,
    ceil((input::numeric * input_price + cached::numeric * input_price / 10 + output::numeric * output_price) / 1000000)::bigint
        AS price
FROM used
"""
_RUNS = """
INSERT INTO executions (id, created_at, organization_id, project_id, user_id, origin, model_type, requested, state, fence,
    started_at, first_token_at, finished_at, provider_id, model_id, api_key_id, payer, finish, error_kind, attempts_made,
    tokens_input, tokens_cache_read, tokens_output, measures, cost)
SELECT id, at, :organization, project_id, user_id, CASE WHEN user_id IS NULL THEN 'gateway' ELSE 'playground' END,
    model_type, 'auto', state, 1, at, CASE WHEN state <> 'failed' THEN first_at END, ended_at, provider_id, model_id,
    api_key_id, 'organization', CASE state WHEN 'completed' THEN 'stop' END,
    CASE WHEN state = 'failed' THEN CASE WHEN is_bad THEN 'transient' WHEN u6 < 0.5 THEN 'rate_limit' ELSE 'content_policy' END
    END, 1, CASE WHEN state <> 'failed' THEN input END, CASE WHEN state <> 'failed' THEN cached END,
    CASE WHEN state <> 'failed' THEN output END, '{}', CASE WHEN state = 'failed' THEN 0 ELSE price END
FROM demo_runs
"""
_BODIES = """
INSERT INTO execution_bodies (id, created_at, request, text, reasoning, tool_calls, segments, receipt, error, notice)
SELECT id, at, CAST(:request AS jsonb), CASE WHEN state = 'failed' THEN '' ELSE :answered END, '', '[]', '[]', '{}',
    CASE WHEN state = 'failed' THEN 'The provider answered with an error.' ELSE '' END, ''
FROM demo_runs
"""
_ATTEMPTS = """
INSERT INTO attempts (id, created_at, execution_id, number, provider_id, model_id, api_key_id, price_id, model_name,
    provider_name, payer, outcome, started_at, first_token_at, ended_at, error_kind, error, response_id, response_model,
    tokens_input, tokens_cache_read, tokens_output, measures, usage_is_estimated, cost)
SELECT attempt_id, at, id, 1, provider_id, model_id, api_key_id, price_id, model, provider, 'organization', state, at,
    CASE WHEN state <> 'failed' THEN first_at END, ended_at, CASE WHEN state = 'failed' THEN 'transient' END, '', '', model,
    CASE WHEN state <> 'failed' THEN input END, CASE WHEN state <> 'failed' THEN cached END,
    CASE WHEN state <> 'failed' THEN output END, '{}', false, CASE WHEN state = 'failed' THEN 0 ELSE price END
FROM demo_runs
"""
_LINES = """
INSERT INTO ledger_entries (id, created_at, organization_id, attempt_id, price_id, kind, payer, amount, tokens, note)
SELECT line_id, ended_at, :organization, attempt_id, price_id, 'charge', 'organization', price, input + cached + output, ''
FROM demo_runs WHERE state <> 'failed'
"""


def write(plan: Plan, count: int) -> int:
    """How many there are; a few fewer than asked for, where the last hours of today have not come yet. Commits."""
    unique, written = str(plan.organization_id), 0
    values = {
        "seed": str(plan.seed), "unique": unique, "organization": plan.organization_id, "days": plan.days,
        "hours": [hour for hour, weight in enumerate(HOURS) for _ in range(weight)],
        "offers": [place for place, offer in enumerate(plan.offers) for _ in range(offer.share)],
        "offered": json.dumps([_told(place, offer) for place, offer in enumerate(plan.offers)]),
        "projects": [str(id) for id in plan.projects], "projects_count": len(plan.projects),
        "people": [str(id) for id in plan.people], "people_count": len(plan.people),
        "request": json.dumps(to_json(Prompt(messages=(user(ASKED),)))), "answered": ANSWERED,
    }  # fmt: skip
    for first in range(0, count, AT_ONCE):
        of = values | {"first": first, "last": min(first + AT_ONCE, count) - 1}
        db.session.execute(text("SET LOCAL statement_timeout = 0"))  # it is no page that waits
        for statement in (_DRAWN, _RUNS, _BODIES, _ATTEMPTS, _LINES):
            db.session.execute(text(statement), of)
        written += db.session.scalar(text("SELECT count(*) FROM demo_runs")) or 0
        db.session.commit()
    rebuild(db.session.get_one(Organization, plan.organization_id))
    return written


def _told(place: int, offer: Offer) -> dict[str, object]:
    before, after = offer.prices
    return {
        "place": place, "provider_id": str(offer.provider.id), "model_id": str(offer.model.id),
        "api_key_id": str(offer.key.id), "model_type": offer.model.model_type.value, "provider": offer.provider.name,
        "model": offer.model.display_name, "price_before": str(before.id), "price_after": str(after.id),
        "input_before": before.input, "input_after": after.input, "output_before": before.output,
        "output_after": after.output, "changed": after.effective_at.isoformat(),
        "first_seconds": offer.first_seconds, "tokens_a_second": offer.tokens_a_second,
    }  # fmt: skip
