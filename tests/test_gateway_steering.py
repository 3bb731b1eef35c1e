"""What a program says of its calls beside the body, and what it learns: rules, tags, stored answers, receipts, and what
becomes of a call whose program goes away."""

from __future__ import annotations

import contextvars
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import EnvironBuilder

from dataelan_web.executions.retention import keep_to_retention
from dataelan_web.executions.vectors import packed, unpacked
from dataelan_web.extensions import db
from dataelan_web.models import Execution, RoutingRule, RoutingRuleModel, State, new_id, now
from dataelan_web.router.types import Embedding

from . import people
from .conftest import wait_until
from .test_gateway_formats import Program
from .upstream import Upstream, upstream

CHAT = "/v1/chat/completions"
ASKED = {"model": "simulated-instant", "messages": [{"role": "user", "content": "What is a token?"}]}


@pytest.fixture
def program(app: Flask, simulated: str, acme: people.Cast) -> Program:
    return Program(app, acme.token())


def run_of(answer: Any) -> Execution:
    db.session.rollback()
    id = uuid.UUID(answer.headers["x-dataelan-execution-id"])
    return db.session.get_one(Execution, id, populate_existing=True)


def stores_answers(cast: people.Cast, seconds: int = 600) -> None:
    cast.project.cache_seconds = seconds
    db.session.commit()


def test_a_call_is_steered_by_headers_and_they_are_kept_with_its_run(
    program: Program, acme: people.Cast, simulated: str
) -> None:
    model = people.own_model(acme, people.own_provider(acme, simulated), "simulated-instant", input=0, output=0)
    tagged = {"expression": 'request.tags.contains(",eu,") && request.session == "chat-42"'}
    row = RoutingRule(id=new_id(), organization_id=acme.organization.id, name="in the EU", conditions=tagged)
    row.models = [RoutingRuleModel(model=model, position=0)]
    db.session.add(row)
    db.session.commit()
    said = {"x-dataelan-tags": "eu, nightly", "x-dataelan-session": "chat-42"}
    answer = program.post(CHAT, {**ASKED, "model": "auto"}, **said)
    assert answer.headers["x-dataelan-provider"] == "Own"
    assert run_of(answer).labels == {"tags": ["eu", "nightly"], "session": "chat-42"}
    by_name = program.post(CHAT, ASKED, **said, **{"x-dataelan-rule": "in the EU"})
    assert by_name.headers["x-dataelan-provider"] == "Own"
    unknown = program.post(CHAT, ASKED, **{"x-dataelan-rule": "none"})
    assert unknown.status_code == 404
    for header, value in (
        ("x-dataelan-tags", "x" * 65),
        ("x-dataelan-cache", "maybe"),
        ("x-dataelan-session", "x" * 201),
    ):
        refused = program.post(CHAT, ASKED, **{header: value})
        assert (refused.status_code, refused.json["error"]["param"]) == (400, header)
    assert run_of(program.post(CHAT, ASKED)).labels is None


def test_a_stored_answer_is_told_again_at_no_cost_and_says_so(
    app: Flask, program: Program, acme: people.Cast, simulated: str
) -> None:
    people.own_model(acme, people.own_provider(acme, simulated), "simulated-instant", input=10**12, output=10**12)
    asked = ASKED
    assert "x-dataelan-cache" not in program.post(CHAT, asked).headers
    stores_answers(acme)
    first, second = program.post(CHAT, asked), program.post(CHAT, asked)
    assert (first.headers["x-dataelan-cache"], second.headers["x-dataelan-cache"]) == ("miss", "hit")
    assert float(first.headers["x-dataelan-cost-usd"]) > 0
    assert second.headers["x-dataelan-cost-usd"] == "0"
    assert second.headers["x-dataelan-provider"] == "Own"
    assert second.json["choices"] == first.json["choices"]
    assert second.json["usage"] == first.json["usage"]
    hit = run_of(second)
    assert (hit.state, hit.cost, hit.attempts_made) == (State.COMPLETED, 0, 0)
    assert hit.labels == {"cached_from": first.headers["x-dataelan-execution-id"]}
    page = people.browser(app, acme.mia).get(f"{acme.home}/executions/{hit.id}").get_data(as_text=True)
    assert "From the cache" in page
    other = {**asked, "messages": [{"role": "user", "content": "Something else"}]}
    program.post(CHAT, other)
    key = {"Idempotency-Key": "the-same"}
    assert program.post(CHAT, asked, **key).headers["x-dataelan-cache"] == "hit"
    assert program.post(CHAT, other, **key).status_code == 422, "it was another request"
    streamed = program.post(CHAT, {**asked, "stream": True})
    assert streamed.headers["x-dataelan-cache"] == "hit"
    assert '"cost_usd":"0"' in streamed.text
    for how, header in (("off", None), ("refresh", "miss")):
        anew = program.post(CHAT, asked, **{"x-dataelan-cache": how})
        assert anew.headers.get("x-dataelan-cache") == header
        assert run_of(anew).attempts_made == 1


def test_a_stored_answer_is_of_one_project_and_gone_with_its_run(
    app: Flask, program: Program, acme: people.Cast, rival: people.Cast
) -> None:
    stores_answers(acme)
    stores_answers(rival)
    first = program.post(CHAT, ASKED)
    assert Program(app, rival.token()).post(CHAT, ASKED).headers["x-dataelan-cache"] == "miss"
    other = {**ASKED, "temperature": 0.5}
    assert program.post(CHAT, other).headers["x-dataelan-cache"] == "miss"
    run_of(first).body.text = ""  # as retention leaves it
    db.session.commit()
    assert program.post(CHAT, ASKED).headers["x-dataelan-cache"] == "miss"


def test_a_stored_answer_is_told_for_as_long_as_its_project_says_now(program: Program, acme: people.Cast) -> None:
    stores_answers(acme, 7 * 24 * 3600)
    first = program.post(CHAT, ASKED)
    run_of(first).finished_at = now() - timedelta(hours=1)
    db.session.commit()
    assert program.post(CHAT, ASKED).headers["x-dataelan-cache"] == "hit"
    stores_answers(acme, 600)
    assert program.post(CHAT, ASKED).headers["x-dataelan-cache"] == "miss"
    assert program.post(CHAT, ASKED).headers["x-dataelan-cache"] == "hit"


VECTORS = [[0.1, -0.25, 1e-09, 0.30000000000000004], [1.0, 0.0, -1.0, 0.5]]
EMBEDDINGS, EMBEDDED = "/v1/embeddings", {"model": "vectors", "input": ["one", "two"]}


@pytest.fixture
def vectors(acme: people.Cast) -> Iterator[Upstream]:
    with upstream() as provider:
        people.own_model(acme, people.own_provider(acme, provider.url, "openai"), "vectors", input=10**9, output=0,
                         task="embedding")  # fmt: skip
        told = [{"index": index, "embedding": vector} for index, vector in enumerate(VECTORS)]
        provider.answers({"data": told, "model": "vectors-1", "usage": {"prompt_tokens": 2, "total_tokens": 2}})
        yield provider


def test_vectors_are_told_again_under_their_key(program: Program, vectors: Upstream) -> None:
    key = {"Idempotency-Key": "1"}
    first, again = (program.post(EMBEDDINGS, EMBEDDED, **key) for _ in range(2))
    assert [one["embedding"] for one in first.json["data"]] == VECTORS
    assert again.json == first.json
    assert again.headers["x-dataelan-replayed"] == "true"
    assert len(vectors.requests) == 1
    assert program.post(EMBEDDINGS, {**EMBEDDED, "input": "other"}, **key).status_code == 422
    assert run_of(program.post(EMBEDDINGS, EMBEDDED)).body.vectors is None, "nobody could ask for them again"
    run_of(first).body.vectors = None  # as retention leaves it
    db.session.commit()
    assert program.post(EMBEDDINGS, EMBEDDED, **key).json["error"]["code"] == "idempotency_not_kept"


@pytest.mark.parametrize("words", ["Say something", "!simulate fail=bad_request"])
def test_what_its_organization_keeps_no_longer_is_not_told_again_under_its_key(
    program: Program, acme: people.Cast, words: str
) -> None:
    """Nor is it taken for another request: nobody knows any more what was asked."""
    key, asked = {"Idempotency-Key": "1"}, {**ASKED, "messages": [{"role": "user", "content": words}]}
    first = program.post(CHAT, asked, **key)
    run_of(first).created_at = now() - timedelta(days=40)
    acme.organization.words_kept_days = 30
    db.session.commit()
    assert keep_to_retention()
    again = program.post(CHAT, asked, **key)
    assert (again.status_code, again.json["error"]["code"]) == (409, "idempotency_not_kept")


def test_stored_vectors_are_told_again_at_no_cost(program: Program, acme: people.Cast, vectors: Upstream) -> None:
    stores_answers(acme)
    key = {"Idempotency-Key": "1"}
    first = program.post(EMBEDDINGS, EMBEDDED)
    hit, again = program.post(EMBEDDINGS, EMBEDDED, **key), program.post(EMBEDDINGS, EMBEDDED, **key)
    assert (first.headers["x-dataelan-cache"], hit.headers["x-dataelan-cache"]) == ("miss", "hit")
    assert float(first.headers["x-dataelan-cost-usd"]) > 0
    assert hit.headers["x-dataelan-cost-usd"] == "0"
    assert hit.json == first.json
    assert again.json["data"] == first.json["data"], "a hit is told again under its key too"
    assert len(vectors.requests) == 1
    run_of(first).body.vectors = None
    db.session.commit()
    assert program.post(EMBEDDINGS, EMBEDDED).headers["x-dataelan-cache"] == "miss"


def test_vectors_are_kept_as_exact_as_they_came_and_not_too_many_of_them() -> None:
    came = [Embedding(1, tuple(VECTORS[1])), Embedding(0, tuple(VECTORS[0]))]
    kept = packed(came)
    assert kept is not None
    assert list(unpacked(kept)) == came[::-1]
    assert packed([]) is None
    assert packed([Embedding(0, (0.5,)), Embedding(1, (0.5, 0.5))]) is None
    assert packed([Embedding(index, (0.5,) * 3072) for index in range(200)]) is None


def test_a_stored_picture_is_told_again_under_the_key_of_who_got_it_from_the_cache(
    program: Program, acme: people.Cast
) -> None:
    stores_answers(acme)
    asked, key = {"model": "simulated-image", "prompt": "A red house"}, {"Idempotency-Key": "1"}
    first = program.post("/v1/images/generations", asked)
    hit, again = (program.post("/v1/images/generations", asked, **key) for _ in range(2))
    assert (hit.headers["x-dataelan-cache"], again.headers["x-dataelan-replayed"]) == ("hit", "true")
    assert first.json["data"] == hit.json["data"] == again.json["data"]
    run_of(first).deleted_at = now()
    db.session.commit()
    assert program.post("/v1/images/generations", asked, **key).json["error"]["code"] == "idempotency_not_kept"


def test_a_program_reads_the_receipt_of_its_projects_calls_and_of_no_others(
    app: Flask, program: Program, rival: people.Cast
) -> None:
    answer = program.post(CHAT, ASKED, **{"x-dataelan-session": "chat-1"})
    signed = {"Authorization": f"Bearer {program.token}"}
    for id in (answer.headers["x-dataelan-execution-id"], answer.json["id"]):
        told = program.http.get(f"/v1/executions/{id}", headers=signed).json
        assert told["state"] == "completed"
        assert told["model"] == "simulated-instant"
        assert told["cost_usd"] == "0"
        assert told["session"] == "chat-1"
        assert told["usage"]["tokens_output"] == answer.json["usage"]["completion_tokens"]
        assert [attempt["outcome"] for attempt in told["attempts"]] == ["completed"]
        assert told["receipt"]["rules"]
        assert "What is a token" not in str(told)
    db.session.rollback()  # the client of a test shares its session, which was inside Acme
    theirs = {"Authorization": f"Bearer {rival.token()}"}
    foreign = app.test_client().get(f"/v1/executions/{id}", headers=theirs)
    unknown = program.http.get(f"/v1/executions/{uuid.uuid4()}", headers=signed)
    assert (foreign.status_code, foreign.json) == (unknown.status_code, unknown.json)
    assert unknown.status_code == 404


def test_an_answer_whose_program_goes_away_is_read_to_its_end_where_that_is_wished(
    app: Flask, program: Program, acme: people.Cast
) -> None:
    acme.project.reads_on = True
    db.session.commit()
    sent: dict[str, str] = {}
    text = "!simulate tokens=40 rate=100\nHi"
    environ = EnvironBuilder(
        path=CHAT,
        method="POST",
        json={"model": "simulated-fast", "messages": [{"role": "user", "content": text}], "stream": True},
        headers={"Authorization": f"Bearer {program.token}"},
    ).get_environ()
    server = contextvars.Context()  # without the test's own application context
    body = server.run(app, environ, lambda status, headers, *_: sent.update(headers))
    server.run(body.close)  # type: ignore[attr-defined]
    id = uuid.UUID(sent["x-dataelan-execution-id"])

    def run() -> Execution:
        db.session.rollback()
        return db.session.get_one(Execution, id, populate_existing=True)

    wait_until(lambda: not run().is_open and "went away" in run().body.notice, 10)
    assert run().state is State.COMPLETED
    assert run().tokens_output == 40
    assert not run().attempts[0].usage_is_estimated
