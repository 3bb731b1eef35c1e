"""The gateway as programs meet it: through OpenAI's own client, against a real server."""

from __future__ import annotations

import contextvars
import gzip
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from flask import Flask
from openai import OpenAI
from werkzeug.test import EnvironBuilder

from dataelan_web import quota
from dataelan_web.bootstrap import Offer, set_up
from dataelan_web.executions.health import health
from dataelan_web.extensions import db
from dataelan_web.models import (
    NANO,
    Execution,
    GatewayToken,
    Outcome,
    RoutingRule,
    RoutingRuleModel,
    Scope,
    State,
    Window,
    new_id,
    now,
)
from dataelan_web.router.health import Observation
from dataelan_web.router.types import Kind

from . import people
from .conftest import wait_until
from .upstream import RECORDINGS, Reply, Upstream, recorded, upstream

ASK = [{"role": "user", "content": "What is a token?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a place.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
def token(acme: people.Cast) -> str:
    return acme.token()


@pytest.fixture
def client(server: str, token: str) -> Iterator[OpenAI]:
    """OpenAI's client, pointed at us. It does not try again: what we answer is what is tested."""
    with openai_client(server, token) as client:
        yield client


@pytest.fixture
def raw(server: str, token: str) -> Iterator[httpx2.Client]:
    """For requests that OpenAI's client would not send."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=f"{server}/v1", headers=headers, trust_env=False, verify=False, timeout=30) as client:
        yield client


@pytest.fixture
def provider() -> Iterator[Upstream]:
    with upstream() as provider:
        yield provider


def openai_client(server: str, token: str) -> OpenAI:
    http = openai.DefaultHttpxClient(trust_env=False, verify=False)  # plain http: no certificates to read
    return OpenAI(base_url=f"{server}/v1", api_key=token, max_retries=0, timeout=30, http_client=http)


def ask(client: OpenAI, model: str = "simulated-instant", text: str = "What is a token?", **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **more)


def execution(id: str) -> Execution:
    db.session.rollback()
    return db.session.get_one(Execution, uuid.UUID(id.removeprefix("chatcmpl-")), populate_existing=True)


def executions(cast: people.Cast) -> int:
    db.session.rollback()
    return db.session.query(Execution).filter_by(organization_id=cast.organization.id).count()


def rule(cast: people.Cast, name: str, *models: Any) -> RoutingRule:
    row = RoutingRule(id=new_id(), organization_id=cast.organization.id, name=name, strategy="ordered")
    row.models = [RoutingRuleModel(model=model, position=place) for place, model in enumerate(models)]
    db.session.add(row)
    db.session.commit()
    return row


# -- answers ---------------------------------------------------------------------------------------


def test_a_chat_completion_is_answered_whole_with_the_contracts_headers(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="simulated-instant", messages=ASK)
    answer = raw.parse()
    assert "token" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.object == "chat.completion"
    assert answer.model == "simulated-instant"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert raw.headers["x-dataelan-model"] == "simulated-instant"
    assert raw.headers["x-dataelan-provider"] == "Simulated"
    assert raw.headers["x-dataelan-cost-usd"] == "0"
    assert 0 < float(raw.headers["x-dataelan-overhead-ms"]) < 5000
    assert execution(raw.headers["x-dataelan-execution-id"]).state is State.COMPLETED


def test_a_stream_brings_the_same_text_and_ends_with_usage_and_our_facts(client: OpenAI) -> None:
    whole = ask(client)
    raw = client.chat.completions.with_raw_response.create(
        model="simulated-instant", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(raw.parse())
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    last = chunks[-1]
    assert last.choices == []
    assert last.usage == whole.usage
    assert last.dataelan["cost_usd"] == "0"
    assert last.dataelan["model"] == "simulated-instant"
    assert last.dataelan["provider"] == "Simulated"
    assert last.dataelan["execution_id"] == raw.headers["x-dataelan-execution-id"]
    assert raw.headers["x-dataelan-model"] == "simulated-instant"
    assert raw.headers["x-dataelan-provider"] == "Simulated"
    assert float(raw.headers["x-dataelan-overhead-ms"]) > 0
    assert {chunk.id for chunk in chunks} == {f"chatcmpl-{uuid.UUID(last.dataelan['execution_id']).hex}"}


def test_every_chunk_has_a_choice_when_no_usage_was_asked_for(client: OpenAI) -> None:
    """Programs read `chunk.choices[0]` without looking: OpenAI sends no other chunks either."""
    chunks = list(ask(client, stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].dataelan["cost_usd"] == "0"


def test_the_first_chunk_comes_before_the_last_is_made(client: OpenAI) -> None:
    started = time.monotonic()
    moments = [time.monotonic() - started for _ in ask(client, "simulated-second", stream=True)]
    assert moments[0] < 0.5
    assert moments[-1] >= 0.9


def test_reasoning_is_passed_on_beside_the_text(client: OpenAI) -> None:
    text = "!simulate reasoning=5\nWhy?"
    whole = ask(client, text=text)
    assert "Simulated reasoning" in whole.choices[0].message.reasoning_content
    assert whole.usage.completion_tokens_details.reasoning_tokens == 5
    deltas = [chunk.choices[0].delta for chunk in ask(client, text=text, stream=True)]
    thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert thought == whole.choices[0].message.reasoning_content


def test_a_model_calls_a_tool_and_reads_its_result(client: OpenAI) -> None:
    question = {"role": "user", "content": "What is the weather in Rome?"}
    first = client.chat.completions.create(model="simulated-instant", messages=[question], tools=[WEATHER])
    assert first.choices[0].finish_reason == "tool_calls"
    assert first.choices[0].message.content is None
    call = first.choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather"
    assert call.id
    assert "city" in json.loads(call.function.arguments)
    result = {"role": "tool", "tool_call_id": call.id, "content": "18 degrees and sunny"}
    said = first.choices[0].message.model_dump(exclude_none=True)
    second = client.chat.completions.create(
        model="simulated-instant", messages=[question, said, result], tools=[WEATHER]
    )
    assert "18 degrees and sunny" in second.choices[0].message.content


def test_a_streamed_tool_call_joins_to_the_whole_one(client: OpenAI) -> None:
    text = "What is the weather in Rome?"
    whole = ask(client, text=text, tools=[WEATHER]).choices[0].message.tool_calls[0]
    chunks = list(ask(client, text=text, tools=[WEATHER], stream=True))
    pieces = [piece for chunk in chunks for piece in chunk.choices[0].delta.tool_calls or ()]
    assert pieces[0].id
    assert pieces[0].type == "function"
    assert pieces[0].function.name == "get_weather"
    assert "".join(piece.function.arguments for piece in pieces) == whole.function.arguments
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_a_tool_can_be_demanded_or_forbidden(client: OpenAI) -> None:
    named = {"type": "function", "function": {"name": "get_weather"}}
    for choice in ("required", named):
        demanded = ask(client, tools=[WEATHER], tool_choice=choice).choices[0]
        assert demanded.message.tool_calls[0].function.name == "get_weather"
    forbidden = ask(client, text="The weather in Rome?", tools=[WEATHER], tool_choice="none").choices[0]
    assert forbidden.message.tool_calls is None


def test_an_answer_satisfies_the_json_schema(client: OpenAI) -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]}
    format = {"type": "json_schema", "json_schema": {"name": "number", "schema": schema}}
    answer = json.loads(ask(client, response_format=format).choices[0].message.content)
    assert isinstance(answer["answer"], int)
    assert isinstance(json.loads(ask(client, response_format={"type": "json_object"}).choices[0].message.content), dict)


def test_max_tokens_ends_an_answer_with_the_reason_length(client: OpenAI) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        answer = ask(client, **{name: 3})
        assert answer.choices[0].finish_reason == "length"
        assert answer.usage.completion_tokens == 3


def test_usage_is_estimated_where_a_provider_reports_none(client: OpenAI) -> None:
    text = "!simulate fail=no_usage tokens=40\nHow much was that?"
    whole = ask(client, text=text)
    *_, last = ask(client, text=text, stream=True, stream_options={"include_usage": True})
    assert whole.usage.prompt_tokens > 0
    assert whole.usage.completion_tokens > 0
    assert last.usage == whole.usage
    assert execution(whole.id).attempts[0].usage_is_estimated


def test_an_empty_answer_is_empty_text_and_not_null(client: OpenAI) -> None:
    assert ask(client, text="!simulate fail=empty\nHi").choices[0].message.content == ""


def test_a_refusal_stays_apart_from_the_content(client: OpenAI, provider: Upstream, acme: people.Cast) -> None:
    people.own_model(acme, people.own_provider(acme, provider.url), "shy")
    said = "I cannot help with that."
    provider.answers({"choices": [{"message": {"content": None, "refusal": said}, "finish_reason": "stop"}]})
    whole = ask(client, "shy")
    assert whole.choices[0].message.refusal == said
    assert whole.choices[0].message.content is None
    assert execution(whole.id).body.text == said  # a person reads it like any answer
    provider.streams({"choices": [{"delta": {"refusal": said}}]}, {"choices": [{"delta": {}, "finish_reason": "stop"}]})
    deltas = [chunk.choices[0].delta for chunk in ask(client, "shy", stream=True)]
    assert "".join(delta.refusal or "" for delta in deltas) == said
    assert not any(delta.content for delta in deltas)


def test_text_that_no_database_can_hold_is_answered_all_the_same(raw: httpx2.Client) -> None:
    body = b'{"model": "simulated-instant", "messages": [{"role": "user", "content": "a\\u0000b \\ud800 c"}]}'
    answer = raw.post("/chat/completions", content=body)
    assert answer.status_code == 200, answer.text
    assert execution(answer.headers["x-dataelan-execution-id"]).state is State.COMPLETED


# -- names -----------------------------------------------------------------------------------------


def test_the_models_list_names_models_rules_and_auto(client: OpenAI, acme: people.Cast, rival: people.Cast) -> None:
    rule(acme, "thrifty", people.simulated_model())
    rule(rival, "not yours", people.simulated_model())
    people.own_model(rival, people.own_provider(rival, "http://127.0.0.1:9/v1"), "their-model")
    names = [model.id for model in client.models.list()]
    assert {"auto", "thrifty", "simulated-instant", "simulated-fast"} <= set(names)
    assert not {"not yours", "their-model"} & set(names)
    assert len(names) == len(set(names))


def test_auto_a_rules_name_and_provider_slash_model_choose_the_model(client: OpenAI, acme: people.Cast) -> None:
    rule(acme, "thrifty", people.simulated_model("simulated-fast"))
    for name, model in {
        "thrifty": "simulated-fast",
        "auto": "simulated-fast",  # the organization's only rule
        "simulated/simulated-instant": "simulated-instant",
    }.items():
        raw = client.chat.completions.with_raw_response.create(model=name, messages=ASK, max_tokens=3)
        assert raw.headers["x-dataelan-model"] == model
        assert raw.parse().model == model


def test_auto_without_a_rule_takes_the_cheapest_of_ones_own_before_the_simulated_provider(
    client: OpenAI, acme: people.Cast, simulated: str
) -> None:
    key = people.own_provider(acme, simulated)
    people.own_model(acme, key, "simulated-fast", input=2 * NANO, output=2 * NANO)
    people.own_model(acme, key, "simulated-instant", input=NANO, output=NANO)
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=ASK)
    assert raw.headers["x-dataelan-model"] == "simulated-instant"
    assert raw.headers["x-dataelan-provider"] == "Own"


def test_a_rule_falls_back_and_says_which_model_answered(client: OpenAI, acme: people.Cast, simulated: str) -> None:
    failing = people.own_model(acme, people.own_provider(acme, simulated), "simulated-fail-context_too_long")
    rule(acme, "safe", failing, people.simulated_model())
    for stream in (False, True):
        raw = client.chat.completions.with_raw_response.create(model="safe", messages=ASK, stream=stream)
        assert raw.headers["x-dataelan-model"] == "simulated-instant"


def test_another_organizations_model_and_rule_are_not_found(client: OpenAI, rival: people.Cast) -> None:
    key = people.own_provider(rival, "http://127.0.0.1:9/v1")
    people.own_model(rival, key, "their-model")
    rule(rival, "their-rule", people.simulated_model())
    for name in ("their-model", "their-rule", "nobody-has-this"):
        with pytest.raises(openai.NotFoundError) as error:
            ask(client, name)
        assert name in error.value.message
        assert error.value.code == "model_not_found"
        assert "Did you mean" not in error.value.message


@pytest.mark.parametrize("wrong", ["simulated-instnat", "Simulated-Instant-2", "openai/simulated-instant", "instant"])
def test_who_names_a_model_that_is_not_there_is_told_what_it_may_have_meant(
    client: OpenAI, acme: people.Cast, wrong: str
) -> None:
    with pytest.raises(openai.NotFoundError) as error:
        ask(client, wrong)
    told = error.value.message
    assert wrong in told
    assert "Did you mean simulated-instant" in told
    assert told.endswith("GET /v1/models lists them.")


def test_no_name_is_told_that_a_token_may_not_ask_for(server: str, acme: people.Cast) -> None:
    token, secret = GatewayToken.issue(acme.project, acme.olivia.id, "test")
    token.allows = ["simulated-fast", "simulated-fsat"]
    db.session.add(token)
    db.session.commit()
    with openai_client(server, secret) as client, pytest.raises(openai.NotFoundError) as error:
        ask(client, "simulated-fsat")
    assert "Did you mean simulated-fast? GET" in error.value.message


# -- money -----------------------------------------------------------------------------------------


def test_what_was_answered_is_paid_and_told(client: OpenAI, acme: people.Cast, simulated: str) -> None:
    key = people.own_provider(acme, simulated)
    people.own_model(acme, key, "simulated-instant", input=1_000 * NANO, output=2_000 * NANO)
    raw = client.chat.completions.with_raw_response.create(
        model="simulated-instant", messages=[{"role": "user", "content": "!simulate tokens=10\nHello"}]
    )
    assert raw.headers["x-dataelan-provider"] == "Own"
    usage = raw.parse().usage
    cost = execution(raw.headers["x-dataelan-execution-id"]).cost
    assert cost == (usage.prompt_tokens * 1_000 + usage.completion_tokens * 2_000) * NANO // 1_000_000
    assert float(raw.headers["x-dataelan-cost-usd"]) == pytest.approx(cost / NANO)
    *_, last = ask(client, text="!simulate tokens=10\nHello", stream=True)
    assert last.dataelan["cost_usd"] == raw.headers["x-dataelan-cost-usd"]


def test_a_spent_budget_is_402_and_nothing_is_sent(client: OpenAI, acme: people.Cast, provider: Upstream) -> None:
    key = people.own_provider(acme, provider.url)
    people.own_model(acme, key, "dear", input=NANO, output=NANO)
    quota.set_limit(db.session, acme.organization.id, Scope.ORGANIZATION, acme.organization.id, Window.TOTAL, 0)
    db.session.commit()
    for stream in (False, True):
        with pytest.raises(openai.APIStatusError) as error:
            ask(client, "dear", stream=stream)
        assert error.value.status_code == 402
        assert error.value.code == "over_limit"
    assert provider.requests == []


def test_a_priceless_number_of_tokens_is_refused_before_it_reaches_a_column(
    client: OpenAI, acme: people.Cast, provider: Upstream
) -> None:
    people.own_model(acme, people.own_provider(acme, provider.url), "dear", input=75 * NANO, output=75 * NANO)
    quota.set_limit(db.session, acme.organization.id, Scope.ORGANIZATION, acme.organization.id, Window.TOTAL, NANO)
    db.session.commit()
    with pytest.raises(openai.BadRequestError, match="max_tokens"):
        ask(client, "dear", max_tokens=10**18)


# -- refusals --------------------------------------------------------------------------------------


def test_a_missing_wrong_expired_or_revoked_token_is_401_at_once(server: str, acme: people.Cast) -> None:
    secret = acme.token()
    with openai_client(server, secret) as client, openai_client(server, "dlan_wrong") as wrong:
        assert ask(client)
        row = db.session.query(GatewayToken).filter_by(token_hash=GatewayToken.digest(secret)).one()
        row.expires_at = now()
        db.session.commit()
        for refused in (wrong, client):
            with pytest.raises(openai.AuthenticationError):
                ask(refused)
        row.expires_at, row.revoked_at = None, now()
        db.session.commit()
        with pytest.raises(openai.AuthenticationError):
            ask(client)
        with pytest.raises(openai.AuthenticationError):
            client.models.list()


def test_a_token_is_taken_from_a_header_of_one_of_the_apis_only(server: str, acme: people.Cast) -> None:
    secret = acme.token()
    body = {"model": "simulated-instant", "messages": ASK}
    headers: list[dict[str, str]] = [
        {},
        {"api-key": secret},
        {"Cookie": f"token={secret}"},
        {"Authorization": f"Basic {secret}"},
        {"Authorization": secret},
    ]
    for one in headers:
        url = f"{server}/v1/chat/completions?api_key={secret}&token={secret}&key={secret}"
        answer = httpx2.post(url, json=body | {"api_key": secret}, headers=one, trust_env=False)
        assert answer.status_code == 401, one
        assert answer.json()["error"]["type"] == "authentication_error"
        assert secret not in answer.text
    assert executions(acme) == 0


def test_a_token_opens_no_page_and_a_cookie_no_gateway(app: Flask, acme: people.Cast) -> None:
    with_token = app.test_client().get(f"{acme.home}/", headers={"Authorization": f"Bearer {acme.token()}"})
    assert with_token.location.startswith("/login")
    assert people.browser(app, acme.olivia).get("/v1/models").status_code == 401


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messages", []),
        ("messages", "hello"),
        ("messages.0.role", [{"role": "robot", "content": "hi"}]),
        ("messages.0.content", [{"role": "user", "content": 5}]),
        ("model", ""),
        ("n", 2),
        ("temperature", 3),
        ("temperature", "warm"),
        ("top_p", -1),
        ("max_tokens", 0),
        ("stream", "yes"),
        ("tools.0.function.name", [{"type": "function", "function": {}}]),
        ("tool_choice", "maybe"),
        ("response_format.type", {"type": "xml"}),
    ],
)
def test_a_wrong_field_is_400_and_named(raw: httpx2.Client, field: str, value: object) -> None:
    answer = raw.post(
        "/chat/completions", json={"model": "auto", "messages": ASK} | {field.split(".", maxsplit=1)[0]: value}
    )
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == field
    assert error["message"].startswith(field)
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("header", ["x-dataelan-rule", "x-dataelan-tags", "Idempotency-Key"])
def test_a_header_in_letters_that_our_server_does_not_read_is_400_and_not_passed_over(
    raw: httpx2.Client, header: str
) -> None:
    asked = {"model": "simulated-instant", "messages": ASK}
    answer = raw.post("/chat/completions", json=asked, headers={header: "Günstig".encode()})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, header)


def test_openais_client_raises_bad_request_for_two_answers_at_once(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="n: Input should be 1") as error:
        ask(client, n=2)
    assert error.value.param == "n"


def test_a_content_part_we_cannot_send_is_400(client: OpenAI) -> None:
    sound = {"type": "video_url", "video_url": {"url": "https://example.org/film.mp4"}}
    with pytest.raises(openai.BadRequestError, match="video_url"):
        client.chat.completions.create(model="auto", messages=[{"role": "user", "content": [sound]}])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"model": "auto", "messages": [{"role": "user", "content": "hi"}], "seed": NaN}',
        b'{"model": "auto", "messages": [], "x": 1e999}',
        b"[" * 100_000,
        b'{"model": "auto", "messages": [{"role": "user", "content": "hi"}], "tools": '
        + b"[" * 500
        + b"]" * 500
        + b"}",
    ],
)
def test_what_is_not_json_is_400(raw: httpx2.Client, acme: people.Cast, body: bytes) -> None:
    answer = raw.post("/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"
    assert executions(acme) == 0


def test_a_packed_body_is_400_and_says_why(raw: httpx2.Client, acme: people.Cast) -> None:
    packed = gzip.compress(json.dumps({"model": "auto", "messages": ASK}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = raw.post("/chat/completions", content=packed, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported_encoding"
    assert "(gzip)" in answer.json()["error"]["message"]
    assert executions(acme) == 0


def test_a_body_of_25_mb_is_413_in_json(raw: httpx2.Client) -> None:
    answer = raw.post("/chat/completions", json={"model": "auto", "messages": ASK, "x": "x" * 25 * 1024 * 1024})
    assert answer.status_code == 413
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_an_unknown_address_and_method_are_json_too(raw: httpx2.Client) -> None:
    assert raw.get("/nothing").json()["error"]["type"] == "not_found_error"
    refused = raw.get("/chat/completions")
    assert refused.status_code == 405
    assert refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("failure", "exception", "status"),
    [
        ("bad_request", openai.BadRequestError, 400),
        ("context_too_long", openai.BadRequestError, 400),
        ("content_policy", openai.BadRequestError, 400),
        ("billing", openai.APIStatusError, 402),
        ("quota", openai.APIStatusError, 402),
        ("unauthorized", openai.InternalServerError, 502),
        ("not_found", openai.NotFoundError, 404),
    ],
)
def test_a_providers_failure_is_the_clients_own_exception(
    client: OpenAI, acme: people.Cast, failure: str, exception: type[openai.APIStatusError], status: int
) -> None:
    for stream in (False, True):
        with pytest.raises(exception) as error:
            ask(client, text=f"!simulate fail={failure}\nHi", stream=stream)
        assert error.value.status_code == status
        assert "sk-wrong" not in str(error.value)
        failed = execution(error.value.response.headers["x-dataelan-execution-id"])
        assert failed.state is State.FAILED
        assert failed.cost == 0


def test_a_rate_limit_says_when_to_come_back(client: OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as error:
        ask(client, text="!simulate fail=rate_limit retry_after=30\nHi", stream=True)
    assert error.value.response.headers["Retry-After"] == "30"


def test_a_failure_after_waiting_for_a_model_to_rest_has_its_own_status(
    client: OpenAI, acme: people.Cast, simulated: str
) -> None:
    key = people.own_provider(acme, simulated)
    model, call = people.own_model(acme, key, "simulated-instant"), new_id()
    health().end((model.id, key.id), call, Observation(Kind.RATE_LIMIT, retry_after=2))
    health().settle()
    began = time.monotonic()
    with pytest.raises(openai.APIStatusError) as error:
        ask(client, f"{model.provider.slug}/{model.name}", "!simulate fail=billing\nHi", stream=True)
    assert error.value.status_code == 402
    assert time.monotonic() - began > 1


def test_a_failure_after_the_first_token_is_an_error_in_the_stream(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="simulated-instant",
        messages=[{"role": "user", "content": "!simulate fail=cut after=3\nHi"}],
        stream=True,
    )
    assert raw.status_code == 200
    text = ""
    with pytest.raises(openai.APIError, match="cut the connection"):
        for chunk in raw.parse():
            text += chunk.choices[0].delta.content or ""
    assert text
    broken = execution(raw.headers["x-dataelan-execution-id"])
    assert broken.state is State.INTERRUPTED
    assert broken.body.text == text


@pytest.mark.parametrize("stream", [False, True])
def test_what_may_have_been_paid_is_asked_of_no_other_model_and_not_sent_anew_by_a_client(
    client: OpenAI, raw: httpx2.Client, acme: people.Cast, provider: Upstream, stream: bool
) -> None:
    """OpenAI's own client, which else sends a 5xx twice more."""
    provider.reply = Reply(b"<html>Bad gateway</html>", 502, "text/html")
    lost = people.own_model(acme, people.own_provider(acme, provider.url), "lost")
    made = rule(acme, "lost, else another", lost, people.simulated_model())
    with pytest.raises(openai.APIStatusError) as error:
        ask(client.with_options(max_retries=2), made.name, stream=stream)
    assert (error.value.status_code, error.value.code) == (504, "interrupted")
    assert "may have been charged" in error.value.message
    run = execution(error.value.response.headers["x-dataelan-execution-id"])
    assert (run.state, len(run.attempts), executions(acme)) == (State.INTERRUPTED, 1, 1)
    assert (run.attempts[0].outcome, run.attempts[0].usage_is_estimated) == (Outcome.INTERRUPTED, True)
    body = {"model": made.name, "messages": ASK, "stream": stream}
    keyed = {"Idempotency-Key": uuid.uuid4().hex}
    again = [raw.post("/chat/completions", json=body, headers=keyed) for _ in range(2)]
    assert [(one.status_code, one.headers.get("x-should-retry")) for one in again] == [(504, "false")] * 2
    assert len(provider.requests) == 2  # under one key, one more
    made.goes_on_unheard = True
    db.session.commit()
    both = client.chat.completions.with_raw_response.create(model=made.name, messages=ASK, stream=stream)
    assert both.headers["x-dataelan-model"] == "simulated-instant"
    assert len(provider.requests) == 3


def test_what_a_program_sends_its_model_is_not_fitted_to_it(
    client: OpenAI, acme: people.Cast, provider: Upstream
) -> None:
    """An answer of this API could not say that a temperature was left out; its provider can."""
    provider.answers({"choices": [{"message": {"content": "here"}, "finish_reason": "stop"}]})
    people.own_model(acme, people.own_provider(acme, provider.url), "o3-of-ours")
    ask(client, "o3-of-ours", temperature=0.2)
    assert provider.requests[0]["body"]["temperature"] == 0.2


# -- what a request cannot do ----------------------------------------------------------------------


def test_fields_that_would_steer_a_request_elsewhere_go_nowhere(
    raw: httpx2.Client, acme: people.Cast, provider: Upstream
) -> None:
    """CVEs of others: a body's `api_base` sent the stored key to whoever asked."""
    provider.answers({"choices": [{"message": {"content": "here"}, "finish_reason": "stop"}]})
    people.own_model(acme, people.own_provider(acme, provider.url, secret="sk-CANARY-0123456789"), "mine")
    with upstream() as attacker:
        override = {
            "api_base": attacker.url,
            "base_url": attacker.url,
            "api_key": "sk-other",
            "extra_headers": {"X-Evil": "1"},
            "extra_body": {"evil": 1},
            "proxy": attacker.url,
            "organization": "org-evil",
            "api_version": "evil",
            "user_config": {"model_list": [{"litellm_params": {"api_base": attacker.url}}]},
        }
        answer = raw.post(
            "/chat/completions",
            json={"model": "mine", "messages": ASK} | override,
            headers={"x-base-url": attacker.url, "x-api-base": attacker.url, "OpenAI-Organization": "org-evil"},
        )
        assert answer.status_code == 200, answer.text
        assert attacker.requests == []
    (sent,) = provider.requests
    assert set(sent["body"]) == {"model", "messages"}
    assert sent["headers"]["Authorization"] == "Bearer sk-CANARY-0123456789"
    assert not {name.lower() for name in sent["headers"]} & {
        "x-evil",
        "x-base-url",
        "x-api-base",
        "openai-organization",
    }


def test_a_redirect_is_not_followed_and_takes_no_key_along(
    client: OpenAI, acme: people.Cast, provider: Upstream
) -> None:
    people.own_model(acme, people.own_provider(acme, provider.url), "mine")
    provider.answers({}, status=307)
    with pytest.raises(openai.BadRequestError, match="redirects elsewhere"):
        ask(client, "mine")
    assert len(provider.requests) == 1


def test_a_provider_that_quotes_the_key_is_not_quoted(client: OpenAI, acme: people.Cast, provider: Upstream) -> None:
    people.own_model(acme, people.own_provider(acme, provider.url, secret="sk-CANARY-0123456789"), "mine")
    provider.answers({"error": {"message": "Incorrect API key provided: sk-CANARY-0123456789."}}, status=401)
    with pytest.raises(openai.InternalServerError) as error:
        ask(client, "mine")
    assert "CANARY" not in str(error.value.body)


# -- once only -------------------------------------------------------------------------------------


def test_the_same_request_under_the_same_key_is_run_once_and_replayed(client: OpenAI, acme: people.Cast) -> None:
    for options in ({}, {"tools": [WEATHER]}, {"stream": True, "stream_options": {"include_usage": True}}):
        key = {"Idempotency-Key": uuid.uuid4().hex}
        before = executions(acme)
        create = client.chat.completions.with_raw_response.create
        messages = [{"role": "user", "content": "!simulate reasoning=3\nThe weather, once."}]
        answers = []
        for _ in range(2):
            raw = create(model="simulated-instant", messages=messages, temperature=0.7, extra_headers=key, **options)
            answers.append((raw.headers, said(raw)))
        (first, said_first), (second, said_again) = answers
        assert "x-dataelan-replayed" not in first
        assert second["x-dataelan-replayed"] == "true"
        assert second["x-dataelan-execution-id"] == first["x-dataelan-execution-id"]
        assert said_again == said_first
        assert executions(acme) == before + 1


def said(raw: Any) -> Any:
    """What an answer says, whether it came whole or in pieces of any size."""
    answer = raw.parse()
    if not isinstance(answer, openai.Stream):
        return answer
    chunks = list(answer)
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    text = "".join(delta.content or "" for delta in deltas)
    thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    return chunks[0].id, text, thought, chunks[-2].choices[0].finish_reason, chunks[-1].usage


def test_another_request_under_the_same_key_is_422(client: OpenAI) -> None:
    key = {"Idempotency-Key": "x" * 500}
    ask(client, text="One", extra_headers=key)
    with pytest.raises(openai.UnprocessableEntityError):
        ask(client, text="Two", extra_headers=key)
    with pytest.raises(openai.UnprocessableEntityError):
        ask(client, "auto", text="One", extra_headers=key)
    assert ask(client, text="Two", extra_headers={"Idempotency-Key": "x" * 499})


def test_two_at_once_under_one_key_are_one_call_and_one_409(client: OpenAI, acme: people.Cast) -> None:
    """Ten, in one process: whoever comes second must not run what the first is running."""
    outcomes: list[str] = []

    def send() -> None:
        try:
            ask(client, text="!simulate total_ms=2000 tokens=5\nOnce", extra_headers={"Idempotency-Key": "together"})
            outcomes.append("answered")
        except openai.ConflictError:
            outcomes.append("409")

    threads = [threading.Thread(target=send) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["409"] * 9 + ["answered"]
    assert executions(acme) == 1
    assert ask(client, text="!simulate total_ms=2000 tokens=5\nOnce", extra_headers={"Idempotency-Key": "together"})


def test_a_failure_is_replayed_as_the_failure_it_was(client: OpenAI, acme: people.Cast) -> None:
    for _ in range(2):
        with pytest.raises(openai.APIStatusError) as error:
            ask(client, text="!simulate fail=billing\nHi", extra_headers={"Idempotency-Key": "unpaid"})
        assert error.value.status_code == 402
    assert error.value.response.headers["x-dataelan-replayed"] == "true"
    assert executions(acme) == 1


def test_keys_of_two_tokens_do_not_meet(server: str, acme: people.Cast) -> None:
    answers = []
    for _ in range(2):
        with openai_client(server, acme.token()) as client:
            answers.append(ask(client, extra_headers={"Idempotency-Key": "mine"}).id)
    assert answers[0] != answers[1]


# -- a reader goes away ----------------------------------------------------------------------------


def test_a_client_that_goes_away_in_mid_stream_ends_the_call_and_pays_for_what_came(
    client: OpenAI, acme: people.Cast, simulated: str
) -> None:
    key = people.own_provider(acme, simulated)
    people.own_model(acme, key, "simulated-fast", input=NANO, output=NANO)
    since = httpx2.get(f"{simulated.removesuffix('/v1')}/_requests", trust_env=False).json()["next"]
    stream = ask(client, "simulated-fast", "!simulate tokens=2000 rate=50\nA long story", stream=True)
    id = next(stream).id
    stream.close()
    wait_until(lambda: not execution(id).is_open, 5)
    cancelled = execution(id)
    assert cancelled.state is State.CANCELLED
    assert cancelled.cost
    assert [attempt.outcome for attempt in cancelled.attempts] == [Outcome.CANCELLED]
    assert cancelled.attempts[0].usage_is_estimated
    calls = httpx2.get(f"{simulated.removesuffix('/v1')}/_requests?since={since}", trust_env=False).json()["requests"]
    assert [call["aborted"] for call in calls] == [True]


def test_a_reader_that_is_gone_before_the_first_byte_ends_the_call_too(
    app: Flask, simulated: str, acme: people.Cast
) -> None:
    """The server may find out before it asks for any of the stream."""
    sent: dict[str, str] = {}
    environ = EnvironBuilder(
        path="/v1/chat/completions",
        method="POST",
        json={"model": "simulated-fast", "messages": ASK, "stream": True},
        headers={"Authorization": f"Bearer {acme.token()}"},
    ).get_environ()
    server = contextvars.Context()  # without the test's own application context
    body = server.run(app, environ, lambda status, headers, *_: sent.update(headers))
    assert execution(sent["x-dataelan-execution-id"]).state is State.RUNNING
    server.run(body.close)  # type: ignore[attr-defined]
    assert execution(sent["x-dataelan-execution-id"]).state is State.CANCELLED


def test_a_cancelled_execution_ends_the_stream_of_whoever_reads_it(
    app: Flask, client: OpenAI, acme: people.Cast
) -> None:
    stream = ask(client, "simulated-fast", "!simulate tokens=2000 rate=50\nA long story", stream=True)
    id = next(stream).id
    stop = people.browser(app, acme.mia).submit(f"{acme.home}/executions/{execution(id).id}/cancellation")
    assert stop.status_code < 400
    with pytest.raises(openai.APIError, match="Stopped"):
        list(stream)
    assert execution(id).state is State.CANCELLED


# -- other wire formats, by recorded traffic -------------------------------------------------------


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no recorded traffic at {RECORDINGS}")
@pytest.mark.parametrize(("kind", "api"), [("anthropic", "anthropic-messages"), ("google", "gemini-generate")])
def test_recorded_streams_of_other_formats_come_out_in_openais(
    client: OpenAI, acme: people.Cast, provider: Upstream, kind: str, api: str
) -> None:
    people.own_model(acme, people.own_provider(acme, provider.url, kind), "theirs")
    tried = 0
    for provider.reply, expected in recorded(api):
        stream = ask(client, "theirs", stream=True, stream_options={"include_usage": True}, tools=[WEATHER])
        *chunks, last = stream
        right = wanted(expected)
        assert {name: translated(chunks, last.usage)[name] for name in right} == right, expected["id"]
        tried += 1
    assert tried >= 20


def translated(chunks: list[Any], usage: Any) -> dict[str, Any]:
    calls: dict[int, list[str]] = {}
    ids = set()
    for chunk in chunks:
        for piece in chunk.choices[0].delta.tool_calls or ():
            call = calls.setdefault(piece.index, ["", ""])
            call[0] += piece.function.name or ""
            call[1] += piece.function.arguments
            ids |= {piece.id} - {None}
    assert len(ids) == len(calls)  # every call has an id of its own, also where the provider gives none
    return {
        "text": "".join(chunk.choices[0].delta.content or "" for chunk in chunks),
        "finish": chunks[-1].choices[0].finish_reason,
        "calls": [(name, json.loads(arguments)) for name, arguments in calls.values()],
        "input": usage.prompt_tokens,
        "output": usage.completion_tokens,
        "cached": usage.prompt_tokens_details.cached_tokens,
        "reasoning": usage.completion_tokens_details.reasoning_tokens,
    }


def wanted(expected: dict[str, Any]) -> dict[str, Any]:
    """What must come out; without the counters a provider did not report, which we estimate."""
    usage = expected.get("usage") or dict.fromkeys(("input_total", "output_total", "cached_tokens", "reasoning_tokens"))
    right = {
        "text": expected["text"] or "",
        "finish": expected["finish_norm"] or "stop",
        "calls": [(call["name"], call["arguments"]) for call in expected["tool_calls"]],
        "input": usage["input_total"],
        "output": usage["output_total"],
        "cached": usage["cached_tokens"] or 0,
        "reasoning": usage["reasoning_tokens"] or 0,
    }
    return {name: value for name, value in right.items() if value is not None}


def test_a_request_in_openais_form_is_sent_in_the_providers_own(
    client: OpenAI, acme: people.Cast, provider: Upstream
) -> None:
    provider.answers({"type": "message", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"})
    people.own_model(acme, people.own_provider(acme, provider.url, "anthropic"), "claude")
    conversation: list[Any] = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]
    answer = client.chat.completions.create(
        model="claude", messages=conversation, tools=[WEATHER], max_tokens=50, stop="END"
    )
    assert answer.choices[0].message.content == "Hi"
    (request,) = provider.requests
    assert request["path"] == "/v1/messages"
    assert request["headers"]["x-api-key"] == "sk-test-1234567890"
    body = request["body"]
    assert body["system"] == "Be brief."
    assert body["max_tokens"] == 50
    assert body["stop_sequences"] == ["END"]
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"][0]["input"] == {"city": "Rome"}
    assert body["messages"][2]["content"][0] == {"type": "tool_result", "tool_use_id": "c1", "content": "sunny"}


def test_a_gemini_tool_call_without_an_id_gets_one_that_can_be_answered(
    client: OpenAI, acme: people.Cast, provider: Upstream
) -> None:
    people.own_model(acme, people.own_provider(acme, provider.url, "google"), "gemini")
    call = {"functionCall": {"name": "get_weather", "args": {"city": "Rome"}}}
    finished = {"candidates": [{"content": {"parts": [call, call]}, "finishReason": "STOP"}]}
    provider.answers(finished)
    whole = ask(client, "gemini", tools=[WEATHER]).choices[0]
    assert whole.finish_reason == "tool_calls"
    ids = [call.id for call in whole.message.tool_calls]
    assert all(ids)
    assert len(set(ids)) == 2
    results = [{"role": "tool", "tool_call_id": id, "content": "sunny"} for id in ids]
    client.chat.completions.create(
        model="gemini", messages=[*ASK, whole.message.model_dump(exclude_none=True), *results], tools=[WEATHER]
    )
    parts = provider.requests[-1]["body"]["contents"][-1]["parts"]
    assert [part["functionResponse"]["name"] for part in parts] == ["get_weather"] * 2


# -- a real model ----------------------------------------------------------------------------------


@pytest.mark.skipif(
    "DATAELAN_TEST_MODEL_SERVER" not in os.environ,
    reason="DATAELAN_TEST_MODEL_SERVER is not set (the base URL of an OpenAI-compatible server with a small model)",
)
def test_a_real_model_answers_through_the_gateway(server: str, acme: people.Cast) -> None:
    url = os.environ["DATAELAN_TEST_MODEL_SERVER"]
    model = httpx2.get(f"{url}/models", trust_env=False).json()["data"][0]["id"]
    made = set_up(
        f"{uuid.uuid4().hex}@example.com", "long enough a word", "Real", "Real", None, [Offer("openai", url, "", model)]
    )
    with openai_client(server, made["token"]) as client:
        raw = client.chat.completions.with_raw_response.create(model="auto", messages=ASK, max_tokens=8)
        assert raw.headers["x-dataelan-model"] == model
        assert raw.headers["x-dataelan-cost-usd"] == "0"
        assert raw.parse().usage.completion_tokens > 0
        chunks = list(ask(client, model, max_tokens=8, stream=True, stream_options={"include_usage": True}))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert chunks[-1].usage.completion_tokens > 0
