"""Where a program that a limit refuses is sent, in the form of each API."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from flask import Flask

from dataelan_web.extensions import db
from dataelan_web.models import Execution, Scope, Unit

from . import people, used
from .test_limits import page
from .test_operators_limits import everybodys, ops  # noqa: F401  (a fixture)

HELP = "type.googleapis.com/google.rpc.Help"
SAID = {"messages": [{"role": "user", "content": "Hi"}], "model": "simulated/simulated-instant"}
CALLS = {
    "openai": ("/v1/chat/completions", SAID),
    "responses": ("/v1/responses", {"model": SAID["model"], "input": "Hi"}),
    "anthropic": ("/v1/messages", {**SAID, "max_tokens": 9}),
    "gemini": (
        "/v1beta/models/simulated/simulated-instant:generateContent",
        {"contents": [{"parts": [{"text": "Hi"}]}]},
    ),
}


def way_on(api: str, error: dict[str, Any]) -> str:
    if api != "gemini":
        found: str = error["url"]
        return found
    (link,) = next(one["links"] for one in error["details"] if one["@type"] == HELP)
    return str(link["url"])


@pytest.mark.parametrize("api", CALLS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_refused_program_is_told_where_its_people_can_ask_for_more(
    api: str,
    stream: bool,
    app: Flask,
    acme: people.Cast,
    ops: people.Cast,  # noqa: F811
) -> None:
    everybodys(0, unit=Unit.REQUESTS)
    path, body = CALLS[api]
    if stream:
        path, body = path.replace(":generateContent", ":streamGenerateContent"), {**body, "stream": True}
        body = {name: value for name, value in body.items() if api != "gemini" or name != "stream"}
    answer = people.browser(app).post(path, json=body, headers={"x-api-key": acme.secret})
    assert answer.status_code == 402, answer.get_data(as_text=True)
    error = answer.json["error"]  # type: ignore[index]
    base = app.extensions["dataelan_settings"].public_url
    url = f"{base}{acme.home}/executions/{answer.headers['x-dataelan-execution-id']}"
    assert way_on(api, error) == url
    assert error["message"].endswith(f" Ask for more: {url}")
    run = db.session.get_one(Execution, uuid.UUID(answer.headers["x-dataelan-execution-id"]))
    assert url not in run.body.error, "the run's own page needs no way to itself"
    there = page(app, acme.olivia, url.removeprefix(base))
    assert f"/limits/{run.refused_by}/increases/new?run={run.id}" in there


def test_a_program_that_is_too_fast_is_told_where_its_people_can_ask_for_more(
    app: Flask, acme: people.Cast, simulated: str
) -> None:
    rate = used.rate(acme.organization.id, Scope.PROJECT, acme.project.id, requests_per_minute=1)
    path, body = CALLS["openai"]
    call = {"json": body, "headers": {"x-api-key": acme.secret}}
    people.browser(app).post(path, **call)
    answer = people.browser(app).post(path, **call)
    assert answer.status_code == 429
    base, id = app.extensions["dataelan_settings"].public_url, answer.headers["x-dataelan-execution-id"]
    error, url = answer.json["error"], f"{base}{acme.home}/executions/{id}"  # type: ignore[index]
    assert error["url"] == url
    assert error["message"].endswith(f" Ask for more: {url}")
    there = page(app, acme.mia, url.removeprefix(base))
    assert f"/limits/rates/{rate.id}/requests/increases/new?run={id}" in there


def test_what_no_limit_of_ours_refused_leads_nowhere(app: Flask, acme: people.Cast, simulated: str) -> None:
    with people.failing_model("rate_limit") as model:
        body = {**SAID, "model": f"simulated/{model.name}"}
        answer = people.browser(app).post(CALLS["openai"][0], json=body, headers={"x-api-key": acme.secret})
    assert answer.status_code == 429
    assert "url" not in answer.json["error"]  # type: ignore[index]
