"""The providers that everybody has, with the platform's keys, and how they do; and the settings."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from flask import current_app
from sqlalchemy import func, select

from ..config import Settings
from ..extensions import db
from ..hub.keys.platform import all_keys
from ..hub.providers.overview import Health, health_of
from ..models import ROLLUP_KEYS, ROLLUPS, APIKey, Model, Provider, now
from ..models.rollups import Grain
from ..rollups.cuts import Cut
from ..second_net import is_spread

DAY = timedelta(hours=24)


@dataclass(frozen=True)
class Line:
    """A provider that everyone has: how its calls of the last day went, of all organizations, whoever paid them."""

    provider: Provider
    models: int
    keys: Sequence[tuple[APIKey, Health]]
    calls: int
    failed: int

    @property
    def is_used(self) -> bool:
        return bool(self.keys or self.calls)

    @property
    def may_have_keys(self) -> bool:
        return self.provider.needs_key and not (self.provider.needs_address or self.provider.is_simulated)

    @property
    def failure_rate(self) -> float | None:
        return self.failed / self.calls if self.calls else None


def providers() -> list[Line]:
    """By name."""
    counts = select(Model.provider_id, func.count()).where(Model.organization_id.is_(None), Model.archived_at.is_(None))
    models = {row[0]: row[1] for row in db.session.execute(counts.group_by(Model.provider_id))}
    keys: dict[uuid.UUID, list[tuple[APIKey, Health]]] = {}
    for key in all_keys():
        keys.setdefault(key.provider_id, []).append((key, health_of(key)))
    calls = _calls()
    ours = select(Provider).where(Provider.organization_id.is_(None), Provider.archived_at.is_(None))
    rows = db.session.scalars(ours.order_by(func.lower(Provider.name))).all()
    lines = [Line(one, models.get(one.id, 0), keys.get(one.id, ()), *calls.get(one.id, (0, 0))) for one in rows]
    return lines


def settings() -> list[tuple[str, list[tuple[str, str]]]]:
    """[(group, [(what, value)])]. Of what is secret, only whether it is there."""
    found: Settings = current_app.extensions["dataelan_settings"]
    mail = found.mail
    return [
        (
            "Where it is",
            [
                ("Address", found.public_url),
                ("Names by which it answers", ", ".join(found.trusted_hosts) or "Any"),
                ("Files", _without_a_name(found.storage_url)),
                ("Data directory", str(found.data_dir)),
                ("Cookies over HTTPS only", _yes(found.secure_cookies)),
                ("Proxies before it", str(found.trusted_proxies)),
            ],
        ),
        (
            "Who may what",
            [
                ("Who may sign up", _who_signs_up(found)),
                ("Who signs up confirms their address", _yes(mail is not None)),
                ("Private addresses of providers", _yes(found.private_addresses)),
                ("Hosts that are called", ", ".join(found.reachable_hosts) or "All that may be reached"),
                ("Row-level security", "Yes" if is_spread() else "No: the log of the last flask db upgrade says why"),
            ],
        ),
        (
            "Work",
            [
                ("Prompts a worker runs at once", str(found.worker_concurrency)),
                ("Memory for answers, of each process", f"{found.memory_for_answers // 2**20} MB"),
                ("Encryption keys, the first seals", ", ".join(name for name, _ in found.keys)),
            ],
        ),
        (
            "What it tells",
            [
                ("Mail", f"{mail.sender} by {mail.host}:{mail.port}, {mail.tls}" if mail else "None is sent"),
                ("Metrics", "Yes, to who has the token" if found.metrics_token else "No"),
                ("Traces", _without_a_name(found.traces_url) or "No"),
                ("Log", f"{found.log_level.lower()}, as {found.log_form}"),
            ],
        ),
    ]


def _calls() -> dict[uuid.UUID, tuple[int, int]]:
    """(calls, runs that failed) of the last day, by provider: from the sums of dashboards."""
    query = (
        select(ROLLUP_KEYS.c.provider_id, func.sum(ROLLUPS.c.attempts), func.sum(ROLLUPS.c.failed))
        .join(ROLLUPS, ROLLUPS.c.key_id == ROLLUP_KEYS.c.id)
        .where(ROLLUP_KEYS.c.cut == Cut.KEYS, ROLLUPS.c.grain == Grain.HOUR, ROLLUPS.c.bucket > now() - DAY)
        .group_by(ROLLUP_KEYS.c.provider_id)
    )
    return {row[0]: (int(row[1]), int(row[2])) for row in db.session.execute(query)}


def _who_signs_up(found: Settings) -> str:
    if not found.open_sign_up:
        return "Who is invited"
    domains = ", ".join(found.sign_up_domains)
    return f"Who is invited, or has an address of {domains}" if domains else "Anybody"


def _without_a_name(url: str) -> str:
    """Nor a password, nor what is asked along with it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if url else ""


def _yes(flag: bool) -> str:
    return "Yes" if flag else "No"
