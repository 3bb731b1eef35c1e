"""Is it up, and is all it needs there?"""

from __future__ import annotations

import re
from dataclasses import replace

from flask import Flask

from dataelan_web import create_app
from dataelan_web.config import Settings

from .conftest import free_port


def settings_of(app: Flask) -> Settings:
    settings: Settings = app.extensions["dataelan_settings"]
    return settings


def test_all_is_ready(app: Flask, worker: object) -> None:
    answer = app.test_client().get("/readyz")
    assert answer.status_code == 200
    assert answer.json == {"status": "ready", "database": "ok", "queue": "ok", "worker": "ok"}


def test_no_database(app: Flask, worker: object) -> None:
    nowhere = f"postgresql+psycopg2://nobody@127.0.0.1:{free_port()}/nothing"
    broken = create_app(replace(settings_of(app), database_url=nowhere)).test_client()
    answer = broken.get("/readyz")
    assert answer.status_code == 503
    assert answer.json == {"status": "not ready", "database": "does not answer", "queue": "ok", "worker": "ok"}
    assert broken.get("/healthz").json == {"status": "up"}


def test_a_database_without_tables_is_not_ready(app: Flask, worker: object) -> None:
    settings = settings_of(app)
    empty = settings.database_url.rsplit("/", 1)[0] + "/template1"
    broken = create_app(replace(settings, database_url=empty)).test_client()
    assert broken.get("/readyz").json["database"] == "does not answer"


def test_no_valkey(app: Flask) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    broken = create_app(replace(settings_of(app), redis_url=nowhere)).test_client()
    answer = broken.get("/readyz")
    assert answer.status_code == 503
    assert answer.json == {
        "status": "not ready",
        "database": "ok",
        "queue": "does not answer",
        "worker": "does not answer",
    }
    assert broken.get("/healthz").status_code == 200


def test_no_worker(app: Flask) -> None:
    other = re.sub(r"\d+$", "9", settings_of(app).redis_url)  # another database of the same Valkey
    answer = create_app(replace(settings_of(app), redis_url=other)).test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json == {"status": "not ready", "database": "ok", "queue": "ok", "worker": "does not answer"}


def test_health_asks_for_no_name_and_tells_no_secret(app: Flask, worker: object) -> None:
    text = app.test_client().get("/readyz").get_data(as_text=True)
    settings = settings_of(app)
    assert settings.database_url not in text
    assert settings.redis_url not in text
