"""The simulated provider, asked over real HTTP: it is what every other test believes in."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2 as httpx
import pytest

from dataelan_web.local.simulated import answers, failures, samples, script, server

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
    },
}


def ask(client, prompt="Explain how rainbows form", model="simulated-instant", headers=None, **more):
    messages = more.pop("messages", [{"role": "user", "content": prompt}])
    return client.post("/v1/chat/completions", json={"model": model, "messages": messages, **more}, headers=headers)


def text(client, prompt, **more):
    return ask(client, prompt, **more).json()["choices"][0]["message"]["content"]


def events(answer):
    lines = [line for line in answer.text.split("\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line[6:]) for line in lines[:-1]]


def joined(chunks, name="content"):
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return "".join(delta.get(name) or "" for delta in deltas)


def calls(client, marker):
    entries = client.get("/_requests").json()["requests"]
    return [entry for entry in entries if entry["client_request_id"] == marker]


# -- what it says --------------------------------------------------------------------------------


def test_the_list_of_models_is_whole_though_the_empty_body_comes_first():
    messages, sent = [{"type": "http.request", "body": b"", "more_body": False}], []

    async def receive():
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)
        await asyncio.sleep(0)  # the server goes on with others, and what was received is seen

    scope = {"type": "http", "method": "GET", "path": "/v1/models", "headers": []}
    with ThreadPoolExecutor(1) as pool:  # a browser of other tests may have a loop in this thread
        pool.submit(asyncio.run, server.app(scope, receive, send)).result()
    assert "simulated-fast" in sent[-1]["body"].decode()
    assert not sent[-1]["more_body"]


def test_every_answer_is_labelled_as_simulated(client):
    answer = ask(client)
    assert answer.headers["x-simulated"] == "true"
    assert answer.json()["system_fingerprint"] == "simulated"
    assert "Simulated answer" in answer.json()["choices"][0]["message"]["content"].splitlines()[0]


def test_the_listed_models_all_say_simulated(client):
    models = client.get("/v1/models").json()["data"]
    makers = {name for models in script.MAKERS.values() for name in models}
    assert {model["id"] for model in models} == {*script.MODELS, *makers}
    assert all(model["id"].startswith("simulated-") for model in models)


def test_the_same_prompt_gets_the_same_answer_and_another_prompt_another(client):
    assert text(client, "Plan a garden") == text(client, "Plan a garden")
    assert len({text(client, f"Plan garden number {number}") for number in range(10)}) == 10


def test_the_answer_quotes_the_prompt(client):
    assert "> Where do otters sleep?" in text(client, "Where do otters sleep?")


@pytest.mark.parametrize("prompt", ["Write a Python function that merges lists", "fix this code", "класс code привет"])
def test_a_prompt_about_code_gets_python_that_parses(client, prompt):
    [code] = re.findall(r"```python\n(.*?)```", text(client, prompt), re.DOTALL)
    ast.parse(code)


def test_templates_hold_for_any_prompt(client):
    for prompt in ("", "{0.__class__} {{7*7}}", "%s", "```", "\x00", "x" * 5000, "🌈" * 50):
        assert "Simulated" in text(client, prompt)


def test_half_a_surrogate_pair_in_the_prompt_is_answered(client):
    whole = json.dumps(body("simulated-instant", "\ud800 half a pair", stream=False))
    assert client.post("/v1/chat/completions", content=whole.encode()).status_code == 200


def test_pieces_join_to_the_text_again():
    for sample in ("", "  a\n\n b!  ", "naïve 🌈 co-op", "supercalifragilistic"):
        assert "".join(answers.pieces(sample)) == sample


def test_an_image_is_noticed(client):
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    assert "1 image" in text(client, "", messages=[{"role": "user", "content": parts}])


# -- the wire ------------------------------------------------------------------------------------


def test_a_stream_says_the_same_as_the_whole_answer(client):
    chunks = events(ask(client, stream=True))
    assert joined(chunks) == text(client, "Explain how rainbows form")
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert not any("usage" in chunk for chunk in chunks)


def test_usage_is_streamed_when_asked_for(client):
    *chunks, last = events(ask(client, stream=True, stream_options={"include_usage": True}))
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"] == ask(client).json()["usage"]
    assert last["usage"]["completion_tokens"] == len(chunks) - 2  # less the opening and the finish


def test_usage_counts_a_token_for_four_bytes_and_for_each_piece(client):
    usage = ask(client, "!simulate tokens=50 cached=2\n12345678901").json()["usage"]
    assert usage["prompt_tokens"] == 10
    assert usage["completion_tokens"] == 50
    assert usage["total_tokens"] == 60
    assert usage["prompt_tokens_details"]["cached_tokens"] == 2


def test_a_long_history_is_reported_as_cached(client):
    history = [{"role": "user", "content": "a" * 8000}, {"role": "assistant", "content": "b"}]
    usage = ask(client, messages=[*history, {"role": "user", "content": "and?"}]).json()["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 1920


def test_max_tokens_and_stop_are_kept(client):
    cut = ask(client, max_tokens=5).json()
    assert cut["choices"][0]["finish_reason"] == "length"
    assert cut["usage"]["completion_tokens"] == 5
    assert "asked" not in text(client, "x", stop="asked")


def test_the_thoughtful_model_reasons_before_it_answers(client):
    prompt = "!simulate first_token_ms=0 rate=0\nhello"
    body = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = events(ask(client, prompt, "simulated-thoughtful", **body))
    assert joined(chunks, "reasoning_content").startswith("(Simulated reasoning.)")
    kinds = [next(iter(choice["delta"]), "") for chunk in chunks[1:] for choice in chunk["choices"]]
    assert kinds == sorted(kinds, key=["reasoning_content", "content", ""].index)
    assert chunks[-1]["usage"]["completion_tokens_details"]["reasoning_tokens"] == 60


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_when_the_prompt_asks_for_it(client, stream):
    answer = ask(client, "What is the weather in New York for 3 days?", tools=[TOOL], stream=stream)
    if stream:
        chunks = events(answer)
        pieces = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
        name, arguments = pieces[0]["function"]["name"], "".join(piece["function"]["arguments"] for piece in pieces)
        assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    else:
        [call] = answer.json()["choices"][0]["message"]["tool_calls"]
        name, arguments = call["function"]["name"], call["function"]["arguments"]
    assert (name, json.loads(arguments)) == ("get_weather", {"city": "New York", "days": 3})


@pytest.mark.parametrize(("choice", "called"), [("auto", False), ("none", False), ("required", True)])
def test_tool_choice_is_obeyed(client, choice, called):
    message = ask(client, "hello", tools=[TOOL], tool_choice=choice).json()["choices"][0]["message"]
    assert ("tool_calls" in message) is called


def test_after_a_tool_result_the_answer_quotes_it(client):
    history = [{"role": "user", "content": "weather?"}, {"role": "tool", "tool_call_id": "x", "content": "12 degrees"}]
    assert "> 12 degrees" in text(client, "", messages=history, tools=[TOOL])


def test_a_schema_gets_an_object_that_fits(client):
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": ["a", "b"]}, "at": {"type": "string", "format": "date"}},
        "required": ["kind", "at"],
    }
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert json.loads(text(client, "x", response_format=shape)) == {"kind": "a", "at": "2026-01-15"}
    assert json.loads(text(client, "x", response_format={"type": "json_object"}))["simulated"] is True


def test_a_recursive_schema_comes_to_an_end():
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "all": {"type": "array", "items": {}}}}
    json.dumps(samples.sample({"$ref": "#/$defs/node", "$defs": {"node": node}}, "x"))
    json.dumps(samples.sample({"$ref": "#"}, "x"))
    wide = {"type": "array", "minItems": 20, "items": {"$ref": "#"}}
    many = {"type": "object", "properties": {str(number): {"$ref": "#"} for number in range(50)}}
    assert len(json.dumps([samples.sample(wide, "x"), samples.sample(many, "x")])) < 200_000


# -- pace ----------------------------------------------------------------------------------------


def test_simulated_second_takes_a_second_and_starts_at_once(client):
    started = time.monotonic()
    with client.stream("POST", "/v1/chat/completions", json=body("simulated-second", "hi")) as answer:
        arrivals = [time.monotonic() - started for _ in answer.iter_raw()]
    assert arrivals[0] < 0.6
    assert 0.99 < arrivals[-1] < 3
    assert len(arrivals) > 5


def test_the_prompt_sets_the_pace(client):
    started = time.monotonic()
    ask(client, "!simulate tokens=20 first_token_ms=200 rate=100")
    assert time.monotonic() - started > 0.38


def body(model, prompt, stream=True):
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": prompt}]}


def test_many_streams_at_once_do_not_wait_for_each_other(client):
    started = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: ask(client, "x", "simulated-second", stream=True), range(20)))
    assert all(events(answer) for answer in answers)
    assert time.monotonic() - started < 5


# -- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", failures.REFUSALS)
def test_a_refusal_has_its_status_and_the_openai_form(client, kind):
    refusal = failures.REFUSALS[kind]
    for answer in (
        ask(client, f"!simulate fail={kind}", temperature=0.2),
        ask(client, model=f"simulated-fail-{kind.replace('_', '-')}", temperature=0.2),
    ):
        assert answer.status_code == refusal.status
        assert answer.json()["error"]["code"] == refusal.code
        assert answer.headers.get("retry-after") == ("1" if kind == "rate_limit" else None)


def test_a_temperature_is_refused_to_who_sends_one(client):
    assert ask(client, "!simulate fail=temperature").status_code == 200


def test_retry_after_can_be_chosen(client):
    assert ask(client, "!simulate fail=rate_limit retry_after=7").headers["retry-after"] == "7"


def test_a_wrong_key_is_refused_as_openai_does(client):
    for answer in (
        ask(client, headers={"authorization": "Bearer sk-wrong-one"}),
        client.get("/v1/models", headers={"authorization": "Bearer sk-wrong-one"}),
    ):
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"
    assert ask(client, headers={"authorization": "Bearer anything"}).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_answer_ends_without_its_end(client, stream):
    received = b""
    request = client.build_request("POST", "/v1/chat/completions", json=body("simulated-fail-cut", "hi", stream))
    answer = client.send(request, stream=True)
    with pytest.raises(httpx.RemoteProtocolError):
        for chunk in answer.iter_raw():
            received += chunk
    answer.close()
    assert answer.status_code == 200
    assert received
    assert b"[DONE]" not in received


@pytest.mark.parametrize("kind", ["stall", "silent"])
def test_a_stalled_answer_keeps_the_caller_waiting(client, kind):
    with pytest.raises(httpx.ReadTimeout):
        client.post("/v1/chat/completions", json=body(f"simulated-fail-{kind}", "hi"), timeout=0.5)


def test_a_slow_loris_sends_byte_by_byte(client):
    sent = b""
    request = body("simulated-instant", "!simulate fail=slow_loris rate=50")
    with client.stream("POST", "/v1/chat/completions", json=request) as answer:
        for chunk in answer.iter_raw():
            sent += chunk
            if len(sent) >= 6:
                break
    assert len(sent) < 40
    assert b"data: {".startswith(sent[:7])


@pytest.mark.parametrize(
    ("kind", "sign"),
    [
        ("garbage", b"oops"),
        ("invalid_utf8", b"\xff\xfe"),
        ("error_in_stream", b'{"error"'),
        ("huge_line", b"x" * failures.HUGE),
        ("html", b"<!doctype html>"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_spoiled_answer_comes_with_status_200(client, kind, sign, stream):
    answer = ask(client, f"!simulate fail={kind} after=2", stream=stream)
    assert answer.status_code == 200
    assert sign in answer.content


def test_what_is_left_out_is_left_out(client):
    assert "[DONE]" not in ask(client, "!simulate fail=no_done", stream=True).text
    assert "usage" not in ask(client, "!simulate fail=no_usage").json()
    assert ask(client, "!simulate fail=negative_usage").json()["usage"]["completion_tokens"] < 0
    assert text(client, "!simulate fail=empty") == ""
    assert ask(client, "!simulate fail=empty_body").content == b""
    assert ask(client, "!simulate fail=content_filter").json()["choices"][0]["finish_reason"] == "content_filter"


def test_a_failure_can_pass_after_some_times(client):
    prompt = "!simulate fail=overloaded fail_times=2 key=passing"
    assert [ask(client, prompt).status_code for _ in range(4)] == [529, 529, 200, 200]
    assert ask(client, prompt.replace("passing", "another")).status_code == 529


def test_a_mistaken_directive_is_told(client):
    for directive in ("fail=nonsense", "pace=3", "tokens=-1", "tokens=many", "rate=nan", "tokens=99999999"):
        answer = ask(client, f"!simulate {directive}")
        assert answer.status_code == 400
        assert "must be" in answer.text or "does not know" in answer.text


def test_only_the_last_user_message_directs(client):
    history = [{"role": "user", "content": "!simulate fail=500"}, {"role": "user", "content": "hi"}]
    assert ask(client, messages=history).status_code == 200
    assert "!simulate" not in text(client, "!simulate tokens=400\nhi")


# -- requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"model":"simulated-fast","messages":[]}']
)
def test_a_malformed_request_is_refused(client, body):
    answer = client.post("/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_unknown_models_and_paths_are_not_found(client):
    assert ask(client, model="gpt-unknown").json()["error"]["code"] == "model_not_found"
    assert ask(client, model="simulated-fail-nonsense").status_code == 400
    assert client.get("/v2").status_code == 404


def test_a_large_body_is_accepted_and_a_larger_one_refused(client):
    assert ask(client, "a" * (19 * 1024 * 1024)).json()["usage"]["prompt_tokens"] == 19 * 1024 * 256
    assert ask(client, "a" * (21 * 1024 * 1024)).status_code == 413


def test_the_log_shows_calls_and_who_hung_up(client):
    before = client.get("/_requests").json()["next"]
    ask(client, headers={"x-client-request-id": "stayed"})
    with client.stream(
        "POST", "/v1/chat/completions", json=body("simulated-second", "x"), headers={"x-client-request-id": "left"}
    ) as answer:
        next(answer.iter_raw())
    until = time.monotonic() + 10
    while calls(client, "left")[0]["running"] and time.monotonic() < until:
        time.sleep(0.02)
    assert calls(client, "left")[0]["aborted"] is True
    assert calls(client, "stayed")[0]["aborted"] is False
    recent = client.get(f"/_requests?since={before}").json()["requests"]
    assert [entry["client_request_id"] for entry in recent] == ["stayed", "left"]
    assert set(recent[0]) == {
        "number", "id", "model", "client_request_id", "stream", "failure", "running", "aborted", "at"
    }  # fmt: skip
