"""The OpenAPI document and the page for programs say what the gateway has."""

from __future__ import annotations

import json
import re

from flask import Flask
from jsonschema import Draft202012Validator

from dataelan_web.gateway.calls import CALLS, LEARN, STEER

from . import people


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
