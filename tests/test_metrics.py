"""What a Prometheus is told: for whom, in which form, and that it says what the books say."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from dataelan_web import create_app
from dataelan_web.config import ConfigError, load
from dataelan_web.extensions import db
from dataelan_web.jobs import queue
from dataelan_web.metrics import ended, families, process, store, text
from dataelan_web.models import Execution, LedgerEntry, Origin, Outcome, Scope, State, now
from dataelan_web.rollups import keeping

from . import people, used
from .conftest import free_port, wait_until
from .test_rollups import paid

TOKEN = "a-token-of-the-operator"


@pytest.fixture(scope="module")
def measured(app: Flask) -> Flask:
    """The same Dataelan, with metrics."""
    return create_app(replace(app.extensions["dataelan_settings"], metrics_token=TOKEN))


def told(app: Flask) -> str:
    answer = app.test_client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == text.MEDIA_TYPE
    return answer.text


def value(said: str, name: str, *labels: str) -> float:
    """Of the one sample with these labels; 0 where there is none."""
    for line in re.findall(rf"^{name}(?:{{.*}})? .*$", said, re.M):
        if all(label in line for label in labels):
            return float(line.rpartition(" ")[2])
    return 0


def test_who_does_not_say_the_token_is_told_nothing(app: Flask, measured: Flask) -> None:
    assert app.test_client().get("/metrics").status_code == 404, "off by default"
    client = measured.test_client()
    for said in ("", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ünïcode"):
        answer = client.get("/metrics", headers={"Authorization": said} if said else {})
        assert answer.status_code == 401, said
        assert "dataelan_" not in answer.text
    environ = {"DATABASE_URL": "postgresql://x@y/z", "REDIS_URL": "redis://x", "SECRET_KEY": "x" * 40}
    keys = {"DATAELAN_KEYS": "k1:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}
    for name, wrong in (
        ("DATAELAN_METRICS_TOKEN", "short"),
        ("DATAELAN_METRICS_TOKEN", "long enough, but in words"),
        ("DATAELAN_TRACES_URL", "collector:4318"),
        ("DATAELAN_TRACES_URL", "http://collector:no"),
        ("DATAELAN_LOG_FORMAT", "xml"),
    ):
        with pytest.raises(ConfigError, match=name):
            load({**environ, **keys, name: wrong})


def test_what_ended_is_counted_with_its_calls_and_what_they_cost(measured: Flask, acme: people.Cast) -> None:
    model, asked = people.simulated_model(), now() - timedelta(minutes=3)
    limit = used.limit(acme, Scope.PROJECT, acme.project.id)
    times = {"created_at": asked, "started_at": asked + timedelta(seconds=0.3)}
    done = {"finished_at": asked + timedelta(seconds=4), "tokens_input": 30, "tokens_output": 10}
    run = paid(acme, 5_000_000, model, model_id=model.id, provider_id=model.provider_id, **times, **done)
    key = people.own_provider(acme, "http://127.0.0.1:9/v1", "anthropic")
    own = {"provider_id": key.provider_id, "error_kind": "overloaded", "tokens_cache_read": 7}
    fell = used.run(acme, acme.mia, State.FAILED, cost=None)
    used.attempt(fell, outcome=Outcome.FAILED, **own)
    runs = [
        run.id,
        fell.id,
        used.run(acme, acme.mia, State.FAILED, refused_by=limit.id, error_kind="billing", cost=0).id,
        used.run(acme, None, State.FAILED, error_kind="rate_limit", cost=0).id,
        people.ended(acme, "Asked elsewhere", "A CANARY", origin=Origin.IMPORT, cost=0).id,
        used.run(acme, None, State.FAILED, repairs_id=run.id, cost=0).id,
    ]
    entries = db.session.scalars(select(LedgerEntry.id).where(LedgerEntry.organization_id == acme.organization.id))
    found = ended.counts(runs, list(entries))
    waits = {key[1:]: count for key, count in found.items() if key[0] == "dataelan_run_wait_seconds"}
    kinds = ("dataelan_run", "dataelan_attempt_")
    others = {key: count for key, count in found.items() if not key[0].startswith(kinds) or key[0].endswith("_total")}
    assert waits == {("gateway", "3"): 1, ("gateway", "sum"): 300_000}, "0.3 s lies in the bucket up to 0.5 s"
    assert found["dataelan_run_duration_seconds", "gateway", "sum"] == 4_000_000
    assert others == {
        ("dataelan_runs_total", "gateway", "TEXT", "completed", ""): 1,
        ("dataelan_runs_total", "playground", "TEXT", "failed", ""): 1,
        ("dataelan_runs_total", "playground", "TEXT", "failed", "billing"): 1,
        ("dataelan_runs_total", "gateway", "TEXT", "failed", "rate_limit"): 1,
        ("dataelan_runs_total", "repair", "TEXT", "failed", ""): 1,
        ("dataelan_runs_unpriced_total",): 1,
        ("dataelan_runs_refused_total", "budget", "project"): 1,
        ("dataelan_runs_refused_total", "rate", ""): 1,
        ("dataelan_attempts_total", "simulated", "completed", ""): 1,
        ("dataelan_attempts_total", "own/anthropic", "failed", "overloaded"): 1,
        ("dataelan_tokens_total", "own/anthropic", "cache_read"): 7,
        ("dataelan_spend_usd_total", "simulated", "organization"): 5_000_000,
    }
    before = told(measured)
    with measured.app_context():
        store.add(found)
    after = told(measured)
    spent = 'provider="simulated"', 'payer="organization"'
    assert value(after, "dataelan_spend_usd_total", *spent) - value(before, "dataelan_spend_usd_total", *spent) == (
        pytest.approx(0.005)
    )
    for secret in (acme.organization.slug, acme.organization.name, str(acme.organization.id), "CANARY", "Own", TOKEN):
        assert secret not in after


def test_the_sums_of_dashboards_tell_of_each_run_and_each_line_once(measured: Flask, acme: people.Cast) -> None:
    heard: list[uuid.UUID] = []

    def ours() -> uuid.UUID:
        """Of a run that was counted here: a worker of other tests may be quicker."""
        run = paid(acme, 70)
        for _ in range(3):
            keeping.fold(tell=lambda runs, entries: heard.extend([*runs, *entries]))
        return run.id

    wait_until(lambda: ours() in heard)
    assert len(heard) == len(set(heard))
    lines = select(LedgerEntry.id).where(LedgerEntry.organization_id == acme.organization.id)
    assert set(db.session.scalars(lines)) & set(heard)


def test_each_process_says_how_it_is_and_is_forgotten_when_it_says_nothing_more(measured: Flask) -> None:
    measured.test_client().get("/healthz")
    measured.test_client().post("/v1/chat/completions")
    measured.test_client().get("/v1beta/models")
    with measured.app_context():
        process.publish("web-here-1")
        queue.store().hset(store.PROCESSES, "worker-gone-2", f"{int(queue.store().time()[0]) - 60} {{}}")
        queue.store().hset(store.PROCESSES, "worker-long-gone-3", "1 {}")
        process.publish("web-here-1")
        assert not queue.store().hexists(store.PROCESSES, "worker-long-gone-3")
    said = told(measured)
    assert value(said, "dataelan_process_resident_memory_bytes", 'process="web-here-1"') > 10_000_000
    assert value(said, "dataelan_process_threads", 'process="web-here-1"') >= 1
    assert "gone" not in said
    assert value(said, "dataelan_http_requests_total", 'door="gateway"', 'method="POST"', 'status="4xx"') >= 1
    assert value(said, "dataelan_http_requests_total", 'door="gateway"', 'method="GET"', 'status="4xx"') >= 1
    assert value(said, "dataelan_http_request_duration_seconds_count", 'door="health"') >= 1
    for name in (
        "dataelan_workers",
        "dataelan_queue_messages",
        "dataelan_rollup_lag_seconds",
        "dataelan_outbox_waiting",
    ):
        assert re.search(rf"^{name} \d", said, re.M), name


def test_what_waits_is_told_and_where_a_server_is_away_the_rest_is(measured: Flask, acme: people.Cast) -> None:
    run = used.run(acme, acme.mia, State.QUEUED, waits_for_id=used.run(acme, acme.mia).id)
    db.session.execute(update(Execution).where(Execution.id == run.id).values(created_at=now() - timedelta(hours=1)))
    db.session.commit()
    said = told(measured)
    assert 'dataelan_up{part="database"} 1' in said
    assert value(said, "dataelan_runs_open", 'state="queued"') >= 1
    assert value(said, "dataelan_run_oldest_waiting_seconds") >= 3599
    run.state = State.CANCELLED
    db.session.commit()
    settings = measured.extensions["dataelan_settings"]
    nobody = create_app(replace(settings, redis_url=f"redis://127.0.0.1:{free_port()}/0"))
    said = told(nobody)
    assert value(said, "dataelan_up", 'part="database"') == 1
    assert 'dataelan_up{part="queue"} 0' in said
    assert "dataelan_workers" not in said, "unknown is not 0"


def test_the_form_is_that_of_prometheus() -> None:
    family = families.Family("d_total", "counter", "About.", ("a", "b"))
    assert text.written([(family, [text.Sample(('x"\\\n', "y"), 3)])]) == (
        '# HELP d_total About.\n# TYPE d_total counter\nd_total{a="x\\"\\\\\\n",b="y"} 3\n'
    )
    waited = families.Family("w", "histogram", "Waited.", ("a",), families.MICRO, (0.5, 1.0))
    found = Counter[store.Key]()
    for seconds in (0.1, 0.5, 0.7, 3.0):
        store.observed(found, waited, ("x",), seconds)
    lines = text.written([(waited, list(text.of_histogram(waited, {key[1:]: n for key, n in found.items()})))])
    assert lines.splitlines()[2:] == [
        'w_bucket{a="x",le="0.5"} 2', 'w_bucket{a="x",le="1"} 3', 'w_bucket{a="x",le="+Inf"} 4', 'w_sum{a="x"} 4.3',
        'w_count{a="x"} 4',
    ]  # fmt: skip
    names = [family.name for family in families.ALL]
    assert len(set(names)) == len(names)
    assert all(family.about.endswith((".", "?")) or "?" in family.about for family in families.ALL)
