# ruff: noqa: F811  (fixtures are arguments)
"""What a program asks for beside its question: how likely tokens are, what is blocked, who asks, at which price."""

from __future__ import annotations

import json
import time
from itertools import chain
from typing import Any

import pytest

from dataelan_web.extensions import db
from dataelan_web.gateway.hints import LONGEST_HINT
from dataelan_web.router.providers import adapter
from dataelan_web.router.providers.logprobs import of_gemini, of_openai
from dataelan_web.router.room import Room
from dataelan_web.router.stop import Stop
from dataelan_web.router.types import Prompt, Task, Text, user

from . import people
from .test_gateway_carried import GENERATE, RESPONSES, model_of, program, provider, sent  # noqa: F401
from .test_gateway_formats import Program
from .upstream import Upstream

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
HI = [{"role": "user", "content": "Hi"}]
SAID: dict[str, dict[str, Any]] = {
    CHAT: {"model": "theirs", "messages": HI},
    RESPONSES: {"model": "theirs", "input": "Hi"},
    MESSAGES: {"model": "theirs", "messages": HI, "max_tokens": 5},
    GENERATE: {"contents": [{"parts": [{"text": "Hi"}]}]},
}
DANGER = "HARM_CATEGORY_DANGEROUS_CONTENT"


def documents(text: str) -> list[Any]:
    lines = (line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: "))
    return [json.loads(line) for line in lines if line != "[DONE]"]


# -- how likely each token was -----------------------------------------------------------------------


def token(text: str, likely: float, *others: dict[str, Any]) -> dict[str, Any]:
    told = {"token": text, "logprob": likely, "bytes": list(text.encode())}
    return told | ({"top_logprobs": list(others)} if others else {})


TOKENS = [token("It", -0.1, token("It", -0.1), token("Oh", -2.5)), token(" is", -0.2, token(" is", -0.2))]


def as_gemini(one: dict[str, Any]) -> dict[str, Any]:
    return {"token": one["token"], "logProbability": one["logprob"]}


IN_GEMINI = {
    "chosenCandidates": [as_gemini(one) for one in TOKENS],
    "topCandidates": [{"candidates": [as_gemini(other) for other in one["top_logprobs"]]} for one in TOKENS],
}
ASKED = {
    CHAT: {"logprobs": True, "top_logprobs": 2},
    RESPONSES: {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
    GENERATE: {"generationConfig": {"responseLogprobs": True, "logprobs": 2}},
}


def answers_likely(provider: Upstream, kind: str, *, streams: bool) -> None:
    if kind == "google":
        candidate = {"content": {"parts": [{"text": "It is"}]}, "finishReason": "STOP", "logprobsResult": IN_GEMINI}
        (provider.streams if streams else provider.answers)({"candidates": [candidate]})
    elif kind == "openai-responses":
        part = {"type": "output_text", "text": "It is", "logprobs": TOKENS}
        whole = {"status": "completed", "output": [{"type": "message", "content": [part]}]}
        pieces = [
            {"type": "response.output_text.delta", "output_index": 0, "delta": one["token"], "logprobs": [one]}
            for one in TOKENS
        ]
        if streams:
            provider.streams(*pieces, {"type": "response.completed", "response": whole})
        else:
            provider.answers(whole)
    elif streams:
        made = [{"delta": {"content": one["token"]}, "logprobs": {"content": [one]}} for one in TOKENS]
        provider.streams(*({"choices": [one]} for one in (*made, {"delta": {}, "finish_reason": "stop"})))
    else:
        choice = {"message": {"content": "It is"}, "logprobs": {"content": TOKENS}, "finish_reason": "stop"}
        provider.answers({"choices": [choice]})


def told_likely(api: str, text: str, *, streams: bool) -> Any:
    if api == CHAT:
        choices = [one["choices"][0] for one in (documents(text) if streams else [json.loads(text)])]
        return [token for one in choices if one.get("logprobs") for token in one["logprobs"]["content"]]
    if api == RESPONSES:
        events = documents(text)
        whole = events[-1]["response"] if streams else json.loads(text)
        likely = whole["output"][0]["content"][0]["logprobs"]
        pieces = [one["logprobs"] for one in events if one["type"] == "response.output_text.delta"]
        assert not streams or [*chain(*pieces)] == likely
        return likely
    found = [
        one["candidates"][0].get("logprobsResult") for one in (json.loads(text) if streams else [json.loads(text)])
    ]
    steps = [one for one in found if one]
    return {name: [*chain(*(one[name] for one in steps))] for name in IN_GEMINI}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("kind", ["openai", "openai-responses", "google"])
@pytest.mark.parametrize("api", ASKED)
def test_how_likely_tokens_were_is_asked_and_told_where_both_sides_have_it(
    program: Program, acme: people.Cast, provider: Upstream, api: str, kind: str, *, streams: bool
) -> None:
    model_of(acme, provider, kind)
    answers_likely(provider, kind, streams=streams)
    path = api.replace("generateContent", "streamGenerateContent") if streams else api
    stream = {"stream": streams} if api != GENERATE else {}
    answer = program.post(path, {**SAID[api], **ASKED[api], **stream})
    assert answer.status_code == 200, answer.text
    body = sent(provider)
    if kind == "google":
        asked = body["generationConfig"]
        assert (asked["responseLogprobs"], asked["logprobs"]) == (True, 2)
    elif kind == "openai":
        assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
    else:
        assert (body["include"], body["top_logprobs"]) == (["message.output_text.logprobs"], 2)
    assert told_likely(api, answer.text, streams=streams) == (IN_GEMINI if api == GENERATE else TOKENS)


def test_half_a_letters_probability_is_told_without_a_text() -> None:
    half = {"token": "\\xf0", "logprob": -1.0, "bytes": [240], "top_logprobs": []}
    choice = {"index": 0, "delta": {"content": ""}, "logprobs": {"content": [half]}}
    body = f"data: {json.dumps({'choices': [choice]})}\n\ndata: [DONE]\n\n"
    first, *_ = adapter("openai", "http://x/v1").decoder()(body.encode(), True)
    assert first == Text("", (half,))


def test_what_no_number_is_and_what_is_missing_is_told_as_openai_would() -> None:
    told = [{"token": "é", "logprob": float("-inf"), "bytes": "x", "top_logprobs": 3}, {"logprob": None}, "no"]
    unlikely = {"logprob": -9999.0, "top_logprobs": []}
    assert list(of_openai(told)) == [
        {"token": "é", "bytes": [195, 169], **unlikely},
        {"token": "", "bytes": [], **unlikely},
    ]
    assert of_gemini({"chosenCandidates": [{"token": "a", "logProbability": -1}], "topCandidates": 5}) == (
        {"token": "a", "logprob": -1, "bytes": [97], "top_logprobs": []},
    )
    room = Room()
    share = room.share()
    share.became(Text("é", of_openai(told)))
    share.came(10_000, time.monotonic() + 1, Stop())
    assert room.taken == 0
    share.became(Text("", of_openai(told * 1000)))
    share.came(10_000, time.monotonic() + 1, Stop())
    assert room.taken > 600 * 1000, "they are held until they have gone"


def test_an_answer_with_probabilities_is_neither_stored_nor_told_again_without_them(
    program: Program, acme: people.Cast, provider: Upstream
) -> None:
    acme.project.cache_seconds = 60
    db.session.commit()
    model_of(acme, provider, "openai")
    answers_likely(provider, "openai", streams=False)
    for _ in range(2):
        answer = program.post(CHAT, {**SAID[CHAT], **ASKED[CHAT]}, **{"Idempotency-Key": "one"})
    assert (answer.status_code, answer.json["error"]["code"]) == (409, "idempotency_not_kept")
    assert program.post(CHAT, {**SAID[CHAT], **ASKED[CHAT]}).headers["x-dataelan-cache"] == "miss"
    assert len(provider.requests) == 2


# -- what only some formats have ---------------------------------------------------------------------


def test_a_bias_goes_to_openais_chat_and_is_400_where_there_is_no_such_thing(
    program: Program, acme: people.Cast, provider: Upstream
) -> None:
    model_of(acme, provider, "openai")
    asked = {**SAID[CHAT], "logit_bias": {"50256": -100}}
    program.post(CHAT, asked)
    assert sent(provider)["logit_bias"] == {"50256": -100}
    people.own_model(acme, people.own_provider(acme, provider.url, "anthropic"), "claude")
    error = program.post(CHAT, {**asked, "model": "claude"}).json["error"]
    assert error["param"] == "logit_bias"
    assert len(provider.requests) == 1
    assert program.post(CHAT, {**asked, "logit_bias": {"1": 101}}).json["error"]["param"] == "logit_bias"


def test_what_gemini_is_to_block_comes_to_it_and_to_no_other(
    program: Program, acme: people.Cast, provider: Upstream
) -> None:
    model_of(acme, provider, "google")
    people.own_model(acme, people.own_provider(acme, provider.url, "openai"), "gpt")
    for threshold, is_for_all in (("BLOCK_LOW_AND_ABOVE", False), ("OFF", True)):
        settings = [{"category": DANGER, "threshold": threshold}]
        program.post(GENERATE, {**SAID[GENERATE], "safetySettings": settings})
        assert sent(provider)["safetySettings"] == settings
        answer = program.post("/v1beta/models/gpt:generateContent", {**SAID[GENERATE], "safetySettings": settings})
        assert ("safetySettings" in answer.text) is not is_for_all
        assert (sent(provider).get("model") == "gpt") is is_for_all
    assert "safetySettings" not in sent(provider)


@pytest.mark.parametrize(("field", "value"), [("moderation", "low"), ("output_compression", 50)])
def test_what_openai_knows_of_pictures_comes_to_it_and_to_no_other(field: str, value: Any) -> None:
    prompt = Prompt((user("A house"),), Task.IMAGE, options={field: value})
    ours = adapter("openai", "https://api.openai.com/v1", Task.IMAGE)
    assert field in ours.options
    assert ours.call(prompt, "gpt-image-2", "key").body[field] == value
    for kind, url in (("openai", "https://api.x.ai/v1"), ("google", "https://g.example/v1beta"), ("fal", "https://f")):
        assert field not in adapter(kind, url, Task.IMAGE).options


# -- hints -------------------------------------------------------------------------------------------

OPENAI, AZURE = "https://api.openai.com/v1", "https://acme.openai.azure.com/openai/v1"
HINTS = {"user_id": "ada", "prompt_cache_key": "k", "prompt_cache_retention": "24h", "service_tier": "standard"}
KEPT = {"prompt_cache_key": "k", "prompt_cache_retention": "24h"}
HEARD: dict[tuple[str, str], dict[str, Any]] = {
    ("openai", OPENAI): {**KEPT, "safety_identifier": "ada", "service_tier": "default"},
    ("openai-responses", OPENAI): {**KEPT, "safety_identifier": "ada", "service_tier": "default"},
    ("openai", AZURE): {},
    ("openai-responses", AZURE): {},
    ("anthropic", "https://api.anthropic.com/v1"): {"metadata": {"user_id": "ada"}, "service_tier": "standard_only"},
    ("openai", "https://api.mistral.ai/v1"): {},
    ("google", "https://generativelanguage.googleapis.com/v1beta"): {},
    ("ollama", "http://127.0.0.1:11434"): {},
}


@pytest.mark.parametrize(("kind", "url"), HEARD)
def test_a_hint_goes_to_who_has_a_word_for_it_and_others_are_asked_without(kind: str, url: str) -> None:
    asked = adapter(kind, url)
    plain = Prompt((user("Hi"),))
    hinted = Prompt((user("Hi"),), options=HINTS).as_heard_by(asked.options)
    assert hinted.options.keys() <= asked.options, "so nothing is refused"
    bodies = [asked.call(prompt, "m", "key").body or {} for prompt in (plain, hinted)]
    assert {name: value for name, value in bodies[1].items() if name not in bodies[0]} == HEARD[kind, url]


def test_who_asks_is_the_same_person_in_each_api(program: Program, acme: people.Cast, provider: Upstream) -> None:
    model_of(acme, provider, "anthropic")
    for path, said in (
        (CHAT, {"user": "ada"}),
        (CHAT, {"user": "old", "safety_identifier": "ada"}),
        (RESPONSES, {"safety_identifier": "ada"}),
        (MESSAGES, {"metadata": {"user_id": "ada"}}),
    ):
        program.post(path, {**SAID[path], **said})
        assert sent(provider)["metadata"] == {"user_id": "ada"}
    long = "a" * (LONGEST_HINT + 1)
    assert program.post(CHAT, {**SAID[CHAT], "user": long}).json["error"]["param"] == "user"


def test_an_id_that_is_too_long_for_openai_is_told_by_its_hash() -> None:
    bodies = [
        adapter("openai", OPENAI).call(Prompt((user("Hi"),), options={"user_id": id * 200}), "m", "").body
        for id in ("a", "a", "b")
    ]
    ids = [str(body["safety_identifier"]) for body in bodies if body]
    assert [len(id) for id in ids] == [64, 64, 64]
    assert ids[0] == ids[1] != ids[2]


def test_stored_answers_are_the_same_for_whoever_asks(program: Program, acme: people.Cast, provider: Upstream) -> None:
    acme.project.cache_seconds = 60
    db.session.commit()
    model_of(acme, provider, "openai")
    provider.answers({"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]})
    caches = [
        program.post(CHAT, {**SAID[CHAT], "user": name}).headers["x-dataelan-cache"] for name in ("ada", "grace", "ada")
    ]
    assert caches == ["miss", "hit", "hit"]


@pytest.mark.parametrize(
    ("path", "field", "taken", "refused"),
    [
        (CHAT, "service_tier", ["auto", "default", None], ["flex", "priority", "scale", "fast"]),
        (RESPONSES, "service_tier", ["auto", "default", None], ["flex", "priority"]),
        (MESSAGES, "service_tier", ["auto", "standard_only"], ["priority"]),
        (MESSAGES, "speed", ["standard", None], ["fast"]),
        (GENERATE, "serviceTier", ["standard", "unspecified", None], ["flex", "priority"]),
    ],
)
def test_what_costs_other_than_the_price_that_is_known_is_400_and_named(
    program: Program, acme: people.Cast, provider: Upstream, path: str, field: str, taken: list[Any], refused: list[str]
) -> None:
    model_of(acme, provider, "anthropic")
    for value in refused:
        answer = program.post(path, {**SAID[path], field: value})
        assert (answer.status_code, field in answer.text) == (400, True), value
    assert provider.requests == []
    for value in taken:
        program.post(path, {**SAID[path], field: value})
        is_said = value in ("default", "standard_only") or (value, field) == ("standard", "serviceTier")
        assert sent(provider).get("service_tier") == ("standard_only" if is_said else None), value


def test_a_request_is_named_where_each_client_looks_for_it(program: Program) -> None:
    """Anthropic's: a header of its own, and a field of errors."""
    named = {"X-Request-ID": "mine-7"}
    answer = program.post(MESSAGES, {**SAID[MESSAGES], "model": "none"}, **named)
    assert (answer.headers["Request-Id"], answer.json["request_id"]) == ("mine-7", "mine-7")
    broken = program.http.post("/v1/messages/none", headers=named)
    assert (broken.status_code, broken.json["request_id"]) == (404, "mine-7")
    other = program.post(CHAT, {**SAID[CHAT], "model": "none"}, **named)
    assert (other.headers["X-Request-ID"], other.headers.get("Request-Id")) == ("mine-7", None)
    assert "request_id" not in other.json


@pytest.mark.parametrize(("told", "status"), [(400, 400), (401, 502), (402, 402), (403, 502), (404, 404)])
def test_a_providers_refusal_has_the_status_that_it_had_but_for_our_own_key(
    program: Program, acme: people.Cast, provider: Upstream, told: int, status: int
) -> None:
    model_of(acme, provider, "openai")
    provider.answers({"error": {"message": "No", "type": "invalid_request_error"}}, told)
    assert program.post(CHAT, SAID[CHAT]).status_code == status
