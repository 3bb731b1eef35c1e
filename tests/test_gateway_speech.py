"""Speech through the gateway: told while it is made, kept whole, and paid for whatever becomes of who listens."""

from __future__ import annotations

import base64
import contextvars
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from flask import Flask
from werkzeug.test import EnvironBuilder

from dataelan_web import quota
from dataelan_web.extensions import db
from dataelan_web.gateway.leaving import PIECE
from dataelan_web.models import NANO, Execution, ModelType, Price, Scope, State, Window
from dataelan_web.storage import storage

from . import people
from .conftest import wait_until
from .test_gateway_formats import Program
from .test_gateway_steering import stores_answers
from .upstream import Reply, Upstream, upstream

SPEECH = "/v1/audio/speech"
FIRST, REST = b"ID3\x04" + bytes(range(100)) * 20, b"more of it" * 300
ASKED = {"model": "voice", "input": "Hello there", "voice": "alloy"}
NANO_A_CHARACTER = 1_000


@pytest.fixture
def provider() -> Iterator[Upstream]:
    with upstream() as provider:
        yield provider


@pytest.fixture
def client(server: str, acme: people.Cast) -> Iterator[httpx2.Client]:
    signed = {"Authorization": f"Bearer {acme.token()}"}
    with httpx2.Client(base_url=server, headers=signed, trust_env=False, verify=False, timeout=20) as client:
        yield client


@pytest.fixture
def program(app: Flask, acme: people.Cast) -> Program:
    return Program(app, acme.token())


@dataclass
class Answer:
    headers: dict[str, str] = field(default_factory=dict)


def speaks(acme: people.Cast, provider: Upstream, kind: str = "openai", **reply: Any) -> Reply:
    key = people.own_provider(acme, provider.url, kind)
    model = people.own_model(acme, key, "voice", model_type=ModelType.VOICE, task="speech")
    model.prices = [Price(source="test", input=0, output=0, per_character=NANO_A_CHARACTER)]
    db.session.commit()
    provider.reply = Reply(**{"body": FIRST, "content_type": "audio/mpeg", "rest": REST, **reply})
    return provider.reply


def environ_of(program: Program, **more: str) -> Any:
    signed = {"Authorization": f"Bearer {program.token}"}
    return EnvironBuilder(path=SPEECH, method="POST", json={**ASKED, **more}, headers=signed).get_environ()


def run_of(answer: Any) -> Execution:
    db.session.rollback()
    id = uuid.UUID(answer.headers["x-dataelan-execution-id"])
    return db.session.get_one(Execution, id, populate_existing=True)


def ended(answer: Any) -> Execution:
    wait_until(lambda: not run_of(answer).is_open, 10)
    return run_of(answer)


def kept(run: Execution) -> bytes:
    return storage().get(run.assets[0].storage_key)


def events(text: str) -> list[Any]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def test_a_sound_is_heard_before_it_is_whole(client: httpx2.Client, acme: people.Cast, provider: Upstream) -> None:
    where = acme.organization.id, Scope.PROJECT, acme.project.id
    budget = quota.set_limit(db.session, *where, Window.TOTAL, NANO)
    db.session.commit()
    reply = speaks(acme, provider)
    with client.stream("POST", SPEECH, json=ASKED) as answer:
        assert answer.headers["content-type"] == "audio/mpeg"
        heard = b""
        for piece in answer.iter_raw():
            heard += piece
            if heard == FIRST:
                assert run_of(answer).is_open
                reply.go_on.set()
    assert heard == FIRST + REST
    run = ended(answer)
    assert (run.state, kept(run)) == (State.COMPLETED, FIRST + REST)
    assert run.cost == len(ASKED["input"]) * NANO_A_CHARACTER
    assert run.first_token_at < run.finished_at
    assert not run.attempts[0].usage_is_estimated
    (limit,) = quota.limits_of(db.session, [budget.id])
    assert limit.left == NANO - run.cost, "and nothing is held"


def test_events_of_a_sound_come_before_it_is_whole(
    client: httpx2.Client, acme: people.Cast, provider: Upstream
) -> None:
    reply = speaks(acme, provider)
    with client.stream("POST", SPEECH, json={**ASKED, "stream_format": "sse"}) as answer:
        told = ""
        for line in answer.iter_lines():
            told += f"{line}\n"
            reply.go_on.set()
    *deltas, done = events(told)
    assert [event["type"] for event in deltas] == ["speech.audio.delta"] * len(deltas)
    assert len(deltas) > 1
    assert b"".join(base64.b64decode(event["audio"]) for event in deltas) == FIRST + REST
    assert done["type"] == "speech.audio.done"
    assert done["dataelan"]["cost_usd"] == f"{run_of(answer).cost / NANO:f}"


def test_a_sound_that_breaks_off_at_its_provider_is_known_by_its_execution_or_its_events_and_paid(
    client: httpx2.Client, acme: people.Cast, provider: Upstream
) -> None:
    reply = speaks(acme, provider, breaks_off=True)
    reply.go_on.set()
    answer, told = client.post(SPEECH, json=ASKED), client.post(SPEECH, json={**ASKED, "stream_format": "sse"})
    assert answer.content == FIRST
    said = client.get(f"/v1/executions/{answer.headers['x-dataelan-execution-id']}").json()
    assert (said["state"], said["cost_usd"]) == ("interrupted", "0.000011")
    assert [event["type"] for event in events(told.text)] == ["speech.audio.delta", "error"]


@pytest.mark.parametrize("reads_on", [False, True])
def test_who_stops_listening_pays_for_what_was_asked(
    app: Flask, program: Program, acme: people.Cast, provider: Upstream, *, reads_on: bool
) -> None:
    acme.project.reads_on = reads_on
    db.session.commit()
    reply = speaks(acme, provider)
    answer, server = Answer(), contextvars.Context()  # without the test's own application context
    body = server.run(app, environ_of(program), lambda status, headers, *_: answer.headers.update(headers))
    server.run(body.close)  # type: ignore[attr-defined]
    reply.go_on.set()
    run = ended(answer)
    assert run.state is (State.COMPLETED if reads_on else State.CANCELLED)
    assert run.cost == len(ASKED["input"]) * NANO_A_CHARACTER
    assert [kept(run)] == [FIRST + REST] if reads_on else not run.assets


@pytest.mark.parametrize("more", [{}, {"stream_format": "sse"}])
def test_a_large_sound_that_comes_whole_is_handed_on_in_pieces(
    app: Flask, program: Program, acme: people.Cast, provider: Upstream, more: dict[str, str]
) -> None:
    speaks(acme, provider)
    provider.answers({"audio_data": base64.b64encode(FIRST * 500).decode()})
    server = contextvars.Context()
    body = server.run(app, environ_of(program, **more), lambda status, headers, *_: None)
    pieces = server.run(list, body)
    server.run(body.close)  # type: ignore[attr-defined]
    assert max(map(len, pieces)) <= PIECE
    assert len(pieces) > 3
    if not more:
        assert b"".join(pieces) == FIRST * 500


@pytest.mark.parametrize(("wanted", "starts"), [("wav", b"RIFF"), ("pcm", FIRST[:4])])
def test_samples_of_elevenlabs_are_a_file_that_plays_or_the_samples_that_were_asked_for(
    program: Program, acme: people.Cast, provider: Upstream, wanted: str, starts: bytes
) -> None:
    speaks(acme, provider, "elevenlabs", content_type="audio/pcm").go_on.set()
    answer = program.post(SPEECH, {**ASKED, "response_format": wanted})
    assert "/text-to-speech/alloy/stream?" in provider.requests[-1]["path"]
    assert answer.data.startswith(starts)
    assert answer.mimetype == ("audio/wav" if wanted == "wav" else "audio/pcm")
    assert answer.data.removeprefix(answer.data[:44] if wanted == "wav" else b"") == FIRST + REST
    assert kept(run_of(answer)).startswith(b"RIFF")


def test_a_sound_of_before_is_told_whole_with_its_cost(program: Program, acme: people.Cast, provider: Upstream) -> None:
    speaks(acme, provider).go_on.set()
    stores_answers(acme)
    first = program.post(SPEECH, ASKED, **{"Idempotency-Key": "1"})
    assert first.headers["x-dataelan-cache"] == "miss"
    hit, again = program.post(SPEECH, ASKED), program.post(SPEECH, ASKED, **{"Idempotency-Key": "1"})
    assert (hit.headers["x-dataelan-cache"], hit.headers["x-dataelan-cost-usd"]) == ("hit", "0")
    assert again.headers["x-dataelan-replayed"] == "true"
    assert first.data == hit.data == again.data == FIRST + REST
    assert len(provider.requests) == 1
    provider.answers({"error": {"message": "No such voice"}}, 400)
    refused = program.post(SPEECH, {**ASKED, "voice": "nobody"})
    assert (refused.status_code, refused.json["error"]["message"]) == (400, "No such voice")
