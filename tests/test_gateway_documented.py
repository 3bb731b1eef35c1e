"""The OpenAPI document and the page for programs say what the gateway has."""

from __future__ import annotations

import json
import re
from pathlib import Path

from flask import Flask
from jsonschema import Draft202012Validator

from dataelan_web.gateway.account import HEADERS
from dataelan_web.gateway.calls import CALLS, LEARN, STEER
from dataelan_web.gateway.steering import CACHE, SESSION, TAGS

from . import people

COUNTED = {"model": "simulated-instant", "messages": [{"role": "user", "content": "Hi"}]}


def test_every_call_of_the_gateway_is_documented_and_no_other(app: Flask) -> None:
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("gateway.")]
    routed = {
        (method, re.sub(r"<(?:path:|model_name:)?(\w+)>", r"{\1}", rule.rule))
        for rule in rules
        for method in rule.methods & {"GET", "POST"}
    }
    documented = {(call.method, call.path) for call in CALLS}
    # Gemini's calls are reached by `/v1` too, since some of its clients say so.
    ours = {("GET", "/v1/openapi.json")} | {pair for pair in routed if ":" in pair[1] and pair[1].startswith("/v1/")}
    assert documented == routed - ours
    assert {f"gateway.{call.id}" for call in CALLS} <= {rule.endpoint for rule in rules}


def test_the_openapi_document_is_whole_and_its_schemas_are_such(app: Flask) -> None:
    text = app.test_client().get("/v1/openapi.json").text
    document = json.loads(text)
    schemas = document["components"]["schemas"]
    assert set(re.findall(r"#/components/schemas/([^\"]+)", text)) <= schemas.keys()
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    for path, item in document["paths"].items():
        for operation in item.values():
            named = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))


def test_every_header_of_ours_is_documented() -> None:
    root = Path(__file__).parent.parent
    files = [file.read_text() for file in (root / "dataelan_web" / "gateway").rglob("*.py") if file.name != "calls.py"]
    ours = {*HEADERS.values(), *re.findall(r"x-dataelan-[a-z]+(?:-[a-z]+)*", "".join(files))}
    listed = {name for names, _ in (*STEER, *LEARN) for name in names.split(", ")}
    assert ours == {name for name in listed if name.startswith("x-dataelan-")}
    said = (root / "docs" / "gateway.md").read_text().partition("## Headers")[2].partition("## ")[0]
    for name in ours:
        assert f"`{name}`" in said or f"`{name.removeprefix('x-dataelan')}`" in said, name


def test_what_the_document_says_of_our_headers_is_what_is_taken(app: Flask, simulated: str, acme: people.Cast) -> None:
    document = app.test_client().get("/v1/openapi.json").json
    operation = document["paths"]["/v1/messages/count_tokens"]["post"]
    schemas = {one["name"]: one["schema"] for one in operation["parameters"]}
    long = "x" * 64
    tags = ("", "a", ",".join([long] * 10), "a, b", ",".join("abcdefghijk"), f"{long}x")
    tried = [
        *((TAGS, value) for value in tags),
        *((SESSION, value) for value in ("", long * 3, long * 4, "é")),
        *((CACHE, value) for value in ("on", "no")),
    ]
    taken = []
    for name, value in tried:
        headers = {"Authorization": f"Bearer {acme.token()}", name: value}
        answer = app.test_client().post("/v1/messages/count_tokens", json=COUNTED, headers=headers)
        is_said = Draft202012Validator(schemas[name]).is_valid(value)
        assert answer.status_code == (200 if is_said else 400), (name, value, answer.text)
        taken.append(is_said)
    assert (sum(taken), len(taken)) == (6, 12)


def test_a_stream_is_not_said_to_be_one_text(app: Flask) -> None:
    """Schemathesis holds each message of a stream against its schema."""
    paths = app.test_client().get("/v1/openapi.json").json["paths"]
    told = [one["responses"]["200"]["content"] for item in paths.values() for one in item.values()]
    streams = [content["text/event-stream"] for content in told if "text/event-stream" in content]
    assert len(streams) == 7
    assert all("type" not in stream["schema"] for stream in streams)


def test_examples_are_answered_and_the_page_shows_every_call_and_header(
    app: Flask, simulated: str, acme: people.Cast
) -> None:
    client, token = app.test_client(), acme.token()
    for call in CALLS:
        if call.example:
            is_chat = call.id not in ("create_embeddings", "generate_images", "speak")
            model = {"model": "simulated-instant"} if is_chat else {}  # `auto` finds one that takes its time
            address = call.path.replace("{model}", "simulated-instant")
            body = {**call.example, **model}
            answer = client.post(address, json=body, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 200, (call.id, answer.text)
    page = people.browser(app, acme.victor).get(f"{acme.home}/projects/{acme.project.id}/api").get_data(as_text=True)
    for words in (*(call.path for call in CALLS), *(name for name, _ in (*STEER, *LEARN))):
        assert words in page
    assert token not in page
