"""Pictures, sound and film through the whole house: submitted, run by a worker, stored, counted, charged."""

from __future__ import annotations

import signal
import time
import uuid
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from dataelan_web.executions import assets
from dataelan_web.executions.execute import execute_queued
from dataelan_web.executions.submit import Request, record, submit
from dataelan_web.executions.sweep import sweep
from dataelan_web.extensions import db
from dataelan_web.models import (
    Asset,
    Attempt,
    Execution,
    ModelType,
    Origin,
    Price,
    Project,
    Provider,
    Scope,
    State,
    Window,
    new_id,
)
from dataelan_web.models.executions import LEASE
from dataelan_web.quota import set_limit
from dataelan_web.router.providers import replicate
from dataelan_web.router.types import FilePart, Message, Prompt, Task, user
from dataelan_web.storage import storage

from . import people
from .conftest import process, wait_until
from .test_measures import recording

TYPES = {
    Task.IMAGE: ModelType.IMAGE,
    Task.SPEECH: ModelType.VOICE,
    Task.TRANSCRIPTION: ModelType.VOICE,
    Task.VIDEO: ModelType.VIDEO,
}


def asked(cast: people.Cast, prompt: Prompt, requested: str = "auto", **values: Any) -> Request:
    return Request(
        project=cast.project,
        prompt=prompt,
        origin=Origin.PLAYGROUND,
        requested=requested,
        user_id=cast.mia.id,
        model_type=TYPES[prompt.task],
        **values,
    )


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicate.ReplicateFilms, "poll", 0.1)


def run(cast: people.Cast, prompt: Prompt, requested: str = "auto") -> Execution:
    """Claimed and run here and now, as a worker would."""
    execution = record(asked(cast, prompt, requested))
    execute_queued(execution.id)
    return fresh(execution)


def fresh(execution: Execution) -> Execution:
    db.session.rollback()
    return db.session.get_one(Execution, execution.id, populate_existing=True)


def bytes_of(asset: Asset) -> bytes:
    return storage().get(asset.storage_key)


def test_what_a_model_makes_is_where_its_session_was_moved_to_meanwhile(
    app: Flask, acme: people.Cast, simulated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Project(id=new_id(), organization=acme.organization, name="Target", created_by=acme.mia.id)
    acme.session.model_type = ModelType.IMAGE
    db.session.add(target)
    db.session.commit()
    prompt = Prompt(messages=(user("A cat"),), task=Task.IMAGE)
    run = record(asked(acme, prompt, "simulated-image", session=acme.session))
    keep, mia, there = assets.keep, people.browser(app, acme.mia), {"project_id": str(target.id)}

    def slow(*of: Any) -> Any:
        assert mia.submit(f"{acme.session_url}/project", there).status_code == 204
        return keep(*of)

    monkeypatch.setattr(assets, "keep", slow)
    execute_queued(run.id)
    db.session.rollback()
    (made,) = db.session.scalars(select(Asset).where(Asset.execution_id == run.id)).all()
    assert made.project_id == target.id
    assert people.browser(app, acme.gina).get(f"{acme.home}/assets/{made.id}").status_code == 404, "no guest there"
    assert db.session.get_one(Execution, run.id, populate_existing=True).project_id == acme.project.id, "paid here"


def test_pictures_are_made_stored_and_counted(acme: people.Cast, simulated: str) -> None:
    execution = run(acme, Prompt((user("A red fox"),), task=Task.IMAGE, media={"count": 2, "size": "256x256"}))
    assert execution.state is State.COMPLETED, execution.body.error
    assert [asset.media_type for asset in execution.assets] == ["image/png", "image/png"]
    assert all(bytes_of(asset).startswith(b"\x89PNG") for asset in execution.assets)
    assert [asset.name for asset in execution.assets] == ["image-1.png", "image-2.png"]
    assert execution.measures["images"] == 2
    assert execution.cost == 0


def test_words_are_spoken(acme: people.Cast, simulated: str) -> None:
    execution = run(acme, Prompt((user("Hello there"),), task=Task.SPEECH))
    assert execution.state is State.COMPLETED, execution.body.error
    (sound,) = execution.assets
    assert sound.media_type == "audio/wav"
    assert bytes_of(sound).startswith(b"RIFF")
    assert execution.measures["characters"] == len("Hello there")


def test_a_recording_is_transcribed_from_storage(acme: people.Cast, simulated: str) -> None:
    from base64 import b64decode

    tone = recording(1.5)
    stored = storage().put(acme.organization.id, b64decode(tone.data))
    asset = Asset(
        id=new_id(), organization_id=acme.organization.id, project_id=acme.project.id, name="tone.wav",
        media_type="audio/wav", size=stored.size, sha256=stored.sha256, storage_key=stored.key,
    )  # fmt: skip
    db.session.add(asset)
    db.session.commit()
    part = FilePart("audio/wav", name="tone.wav", asset=str(asset.id))
    execution = run(acme, Prompt((Message("user", (part,)),), task=Task.TRANSCRIPTION))
    assert execution.state is State.COMPLETED, execution.body.error
    assert "1.5" in execution.body.text
    assert Decimal(execution.measures["seconds"]) == 2  # as the provider says: whole seconds
    assert "data" not in str(execution.body.request["messages"][0]["parts"][0]["data"])


def test_a_file_that_is_gone_fails_the_run_in_words(acme: people.Cast, simulated: str) -> None:
    part = FilePart("audio/wav", name="tone.wav", asset=str(uuid.uuid4()))
    execution = run(acme, Prompt((Message("user", (part,)),), task=Task.TRANSCRIPTION))
    assert execution.state is State.FAILED
    assert "deleted" in execution.body.error


def test_a_film_is_a_job_with_progress_until_it_is_fetched(acme: people.Cast, simulated: str) -> None:
    execution = run(acme, film("A wave", 1))
    assert execution.state is State.COMPLETED, execution.body.error
    (clip,) = execution.assets
    assert clip.size > 100
    assert execution.measures["seconds"] == "4"
    attempt = db.session.scalars(select(Attempt).where(Attempt.execution_id == execution.id)).one()
    assert attempt.job is None


@pytest.mark.kills
def test_a_film_goes_on_in_another_worker_after_the_first_was_killed(
    app: Flask, environment: dict[str, str], acme: people.Cast, simulated: str
) -> None:
    with process(["-m", "dataelan_web.jobs.worker"], environment) as first:
        execution = submit(asked(acme, film("A long wave", 6)))
        wait_until(lambda: job_of(execution) is not None, 15)
        first.send_signal(signal.SIGKILL)
        first.wait()
    begun = attempt_of(execution)
    assert begun.job is not None
    assert "key" not in str(begun.job).lower()
    hold_no_lease(execution)
    sweep()
    assert fresh(execution).state is State.QUEUED
    execute_queued(execution.id)
    done = fresh(execution)
    assert done.state is State.COMPLETED, done.body.error
    assert len(done.assets) == 1
    assert done.attempts_made == 1
    assert [attempt.id for attempt in done.attempts] == [begun.id]


def test_stopping_a_film_stops_it_at_the_provider_too(app: Flask, acme: people.Cast, worker: object) -> None:
    execution = submit(asked(acme, film("A wave that is not wanted", 30)))
    wait_until(lambda: job_of(execution) is not None, 15)
    client = people.browser(app, acme.mia)
    assert client.submit(f"{acme.home}/executions/{execution.id}/cancellation").status_code == 200
    wait_until(lambda: fresh(execution).state is State.CANCELLED, 10)
    assert not fresh(execution).assets


def test_a_picture_without_a_price_is_refused_under_a_budget_unless_the_organization_wishes_otherwise(
    acme: people.Cast, simulated: str
) -> None:
    from dataelan_web.models import UnknownPrice

    key = people.own_provider(acme, simulated)
    people.own_model(acme, key, "simulated-image", model_type=ModelType.IMAGE, task="image")
    set_limit(db.session, acme.organization.id, Scope.ORGANIZATION, acme.organization.id, Window.DAY, 10**9)
    db.session.commit()
    wanted = db.session.get_one(Provider, key.provider_id).slug + "/simulated-image"
    prompt = Prompt((user("A fox"),), task=Task.IMAGE)
    refused = run(acme, prompt, wanted)
    assert (refused.state, refused.error_kind) == (State.FAILED, "billing")
    assert "price" in refused.body.error
    acme.organization.unknown_price, acme.organization.unknown_price_ceiling = UnknownPrice.CEILING, 50_000_000
    db.session.merge(acme.organization)
    db.session.commit()
    counted = run(acme, prompt, wanted)
    assert counted.state is State.COMPLETED, counted.body.error
    assert counted.cost == 50_000_000
    assert "counted as $0.05" in counted.body.notice


def test_pictures_are_charged_each_and_held_before_they_are_made(acme: people.Cast, simulated: str) -> None:
    key = people.own_provider(acme, simulated)
    model = people.own_model(acme, key, "simulated-image", model_type=ModelType.IMAGE, task="image")
    db.session.add(Price(model_id=model.id, source="test", input=0, output=0, per_image=40_000_000))
    set_limit(db.session, acme.organization.id, Scope.ORGANIZATION, acme.organization.id, Window.DAY, 100_000_000)
    db.session.commit()
    wanted = db.session.get_one(Provider, key.provider_id).slug + "/simulated-image"
    assert run(acme, Prompt((user("Two"),), task=Task.IMAGE, media={"count": 2}), wanted).cost == 80_000_000
    third = run(acme, Prompt((user("One more"),), task=Task.IMAGE), wanted)
    assert (third.state, third.error_kind) == (State.FAILED, "billing")


@pytest.mark.parametrize("task", [Task.IMAGE, Task.SPEECH, Task.VIDEO])
def test_a_failure_of_a_media_model_is_told_in_words(task: Task, acme: people.Cast, simulated: str) -> None:
    kind = "job_failed" if task is Task.VIDEO else "invalid_request"
    execution = run(acme, Prompt((user(f"!simulate fail={kind} seconds=1\nA wave"),), task=task))
    assert execution.state is State.FAILED
    assert execution.body.error
    assert not execution.assets


# -- steps -------------------------------------------------------------------------------------------


def film(words: str, seconds: int) -> Prompt:
    return Prompt((user(f"!simulate seconds={seconds}\n{words}"),), task=Task.VIDEO, media={"seconds": 4})


def attempt_of(execution: Execution) -> Attempt:
    db.session.rollback()
    return db.session.scalars(select(Attempt).where(Attempt.execution_id == execution.id)).one()


def job_of(execution: Execution) -> dict[str, Any] | None:
    db.session.rollback()
    return db.session.scalars(select(Attempt.job).where(Attempt.execution_id == execution.id)).first()


def hold_no_lease(execution: Execution) -> None:
    """As if half a minute had passed since its worker died."""
    row = fresh(execution)
    assert row.state is State.RUNNING
    row.lease_until = row.lease_until - 2 * LEASE if row.lease_until else None
    db.session.commit()
    time.sleep(0.1)
