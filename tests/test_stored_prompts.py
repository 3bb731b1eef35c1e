"""Prompts of a project, asked for by programs: by name, label and version, with values and messages of their own."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from dataelan_web.extensions import db
from dataelan_web.models import Execution, Template, TemplateLabel, TemplateRun, now
from dataelan_web.prompts.variables import Kind, Variable

from . import people
from .test_gateway import openai_client

INSTANT = "simulated/simulated-instant"


def complete(app: Flask, cast: people.Cast, body: dict[str, Any], **headers: str) -> TestResponse:
    token = {"Authorization": f"Bearer {cast.token()}"}
    return people.browser(app).post("/v1/chat/completions", json=body, headers={**token, **headers})


def run_of(answer: TestResponse) -> TemplateRun:
    db.session.rollback()
    id = uuid.UUID(answer.headers["x-dataelan-execution-id"])
    return db.session.get_one(TemplateRun, id, populate_existing=True)


def sent(answer: TestResponse) -> list[tuple[str, str]]:
    request = run_of(answer).execution.body.request
    return [(message["role"], message["parts"][0]["text"]) for message in request["messages"]]


def label(template: Template, name: str, number: int) -> None:
    found = db.session.query(TemplateLabel).filter_by(template_id=template.id, name=name).first()
    found = found or TemplateLabel(template_id=template.id, name=name, number=number)
    found.number = number
    db.session.add(found)
    db.session.commit()


def values(**given: Any) -> dict[str, Any]:
    return {"prompt": {"variables": given}}


def test_openais_client_asks_for_a_prompt_by_name_label_or_version(
    app: Flask, server: str, acme: people.Cast, rival: people.Cast
) -> None:
    template = people.template(acme, "One {{a}}", "Two {{a}}", "Three {{a}}")
    label(template, "staging", 2)
    slug = template.slug
    with openai_client(server, acme.token()) as client:

        def version(model: str, **prompt: Any) -> tuple[str, str]:
            extra = {"prompt": {"variables": {"a": "x"}, **prompt}}
            raw = client.chat.completions.with_raw_response.create(model=model, messages=[], extra_body=extra)
            id = uuid.UUID(raw.headers["x-dataelan-execution-id"])
            request = db.session.get_one(Execution, id, populate_existing=True).body.request
            assert request["messages"][0]["parts"][0]["text"].endswith(" x")
            return raw.headers["x-dataelan-prompt"], request["messages"][0]["parts"][0]["text"].split()[0]

        assert version(f"prompt:{slug}") == (f"{slug}@3", "Three"), "the newest, while nothing is production"
        label(template, "production", 1)
        assert version(f"prompt:{slug}") == (f"{slug}@1", "One")
        assert version(f"prompt:{slug}@staging") == (f"{slug}@2", "Two")
        assert version(f"prompt:{slug}@3") == (f"{slug}@3", "Three")
        assert version(f"prompt:{slug}@latest") == (f"{slug}@3", "Three")
        assert version("prompt", id=slug, version="2") == (f"{slug}@2", "Two")
        assert version("prompt", id=slug, version=2) == (f"{slug}@2", "Two")
        assert version("prompt", name=slug, label="staging") == (f"{slug}@2", "Two")
        assert version(f"prompt:{slug}", version="3") == (f"{slug}@3", "Three")
        assert f"prompt:{slug}" in {model.id for model in client.models.list()}
    with openai_client(server, rival.token()) as client:
        assert f"prompt:{slug}" not in {model.id for model in client.models.list()}


def test_the_execution_remembers_the_version_its_values_and_what_was_sent(
    app: Flask, simulated: str, acme: people.Cast
) -> None:
    variables = (
        Variable("n", Kind.NUMBER, default="3"),
        Variable("loud", Kind.YES_NO),
        Variable("data", Kind.JSON),
        Variable("tone", Kind.CHOICE, default="kind", options=("kind", "cool")),
        Variable("more", required=False),
    )
    text = "{{name}} {{n}} {{loud}} {{data}} {{tone}}{{more}}"
    template = people.template(
        acme,
        text,
        system="For {{name}}.",
        variables=variables,
        temperature="0.5",
        max_tokens="77",
        seed="7",
        stop="END",
    )
    given = {"name": "{{n}}", "loud": True, "data": {"ä": [1]}, "unknown": "passed over"}
    messages = [{"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "Go {{on}}"}]
    answer = complete(
        app, acme, {"model": f"prompt:{template.slug}", "messages": messages, "max_tokens": 5} | values(**given)
    )
    assert answer.status_code == 200
    assert sent(answer) == [
        ("system", "For {{n}}."),
        ("user", '{{n}} 3 yes {"ä": [1]} kind'),
        ("assistant", "Yes?"),
        ("user", "Go {{on}}"),
    ]
    run = run_of(answer)
    assert (run.number, run.template_id) == (1, template.id)
    assert run.values == {"name": "{{n}}", "n": "3", "loud": "yes", "data": '{"ä": [1]}', "tone": "kind", "more": ""}
    request = run.execution.body.request
    assert (request["temperature"], request["max_tokens"]) == (0.5, 5), "what the request says goes first"
    assert (request["seed"], request["stop"]) == (7, ["END"])
    assert run.execution.requested == INSTANT
    html = people.browser(app, acme.victor).get(f"{acme.home}/prompts/{template.id}/runs").get_data(as_text=True)
    assert "a program" in html
    assert str(run.id) in html
    page = people.browser(app, acme.victor).get(f"{acme.home}/executions/{run.id}").get_data(as_text=True)
    assert "As it was sent" in page
    assert template.name in page
    editor = people.browser(app, acme.mia).get(f"{acme.home}/prompts/{template.id}?run={run.id}")
    assert ">{{n}}</" in editor.get_data(as_text=True), "its values are there to be tried on what is written now"


def test_a_stream_of_a_prompt(app: Flask, simulated: str, acme: people.Cast) -> None:
    template = people.template(acme, "Hello {{name}}")
    answer = complete(app, acme, {"model": f"prompt:{template.slug}", "stream": True} | values(name="Ada"))
    assert answer.status_code == 200
    assert answer.headers["x-dataelan-prompt"] == f"{template.slug}@1"
    assert answer.get_data(as_text=True).rstrip().endswith("data: [DONE]")


def test_another_model_may_be_asked(app: Flask, simulated: str, acme: people.Cast) -> None:
    people.simulated_model("simulated-fast")
    template = people.template(acme, "Hello")
    answer = complete(app, acme, {"model": "simulated-fast", "prompt": {"id": template.slug}})
    assert run_of(answer).execution.requested == "simulated-fast"
    answer = complete(app, acme, {"prompt": {"id": template.slug}})
    assert run_of(answer).execution.requested == INSTANT


@pytest.mark.parametrize(
    ("given", "name", "words"),
    [
        ({}, "name", "“name” is missing"),
        ({"name": "  "}, "name", "“name” is missing"),
        ({"name": "x", "n": "many"}, "n", "“n” must be a number"),
        ({"name": "x", "n": True}, "n", "“n” must be a number"),
        ({"name": ["x"]}, "name", "“name” must be text"),
        ({"name": {"type": "input_image", "image_url": "x"}}, "name", "“name” must be text"),
        ({"name": "x", "tone": "rude"}, "tone", "“tone” must be one of: kind, cool"),
        ({"name": "x", "data": "{"}, "data", "“data” must be JSON"),
        ({"name": "x" * 1_000_001}, "name", "“name” has 1,000,001 characters"),
    ],
)
def test_a_value_that_is_missing_or_wrong_is_named(
    given: dict[str, Any], name: str, words: str, app: Flask, acme: people.Cast
) -> None:
    variables = (
        Variable("n", Kind.NUMBER, default="3"),
        Variable("tone", Kind.CHOICE, default="kind", options=("kind", "cool")),
        Variable("data", Kind.JSON, default="{}"),
    )
    template = people.template(acme, "{{name}} {{n}} {{tone}} {{data}}", variables=variables)
    answer = complete(app, acme, {"model": f"prompt:{template.slug}"} | values(**given))
    error = answer.json["error"]  # type: ignore[index]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert (error["param"], error["code"]) == (f"prompt.variables.{name}", "invalid_variable")
    assert words in error["message"]
    assert template.slug in error["message"]
    assert db.session.query(Execution).filter_by(organization_id=acme.organization.id).count() == 0


def test_what_there_is_not_is_a_404_and_what_is_wrong_a_400_in_openais_form(
    app: Flask, acme: people.Cast, rival: people.Cast
) -> None:
    template, draft = people.template(acme, "Hello"), people.template(acme)
    deleted, theirs = people.template(acme, "Gone"), people.template(rival, "Theirs")
    deleted.deleted_at = now()
    db.session.commit()
    waiting = people.template(acme, " ", system="Only a system prompt")
    slug = template.slug
    for body, status, code, param in (
        ({"model": "prompt:nothing"}, 404, "prompt_not_found", "prompt.id"),
        ({"model": f"prompt:{deleted.slug}"}, 404, "prompt_not_found", "prompt.id"),
        ({"model": f"prompt:{theirs.slug}"}, 404, "prompt_not_found", "prompt.id"),
        ({"prompt": {"id": theirs.slug}}, 404, "prompt_not_found", "prompt.id"),
        ({"model": f"prompt:{draft.slug}"}, 404, "prompt_not_found", "prompt.id"),
        ({"model": f"prompt:{slug}@production"}, 404, "prompt_version_not_found", "prompt.version"),
        ({"model": f"prompt:{slug}@9"}, 404, "prompt_version_not_found", "prompt.version"),
        ({"model": f"prompt:{slug}@{'9' * 50}"}, 404, "prompt_version_not_found", "prompt.version"),
        ({"model": f"prompt:{slug}@-1"}, 404, "prompt_version_not_found", "prompt.version"),
        ({"model": f"prompt:{slug}\0"}, 404, "prompt_not_found", "prompt.id"),
        ({"model": "prompt:"}, 400, "invalid_value", "prompt.id"),
        ({"prompt": {}}, 400, "invalid_value", "prompt.id"),
        ({"model": f"prompt:{slug}", "prompt": {"id": "other"}}, 400, "invalid_value", "prompt.id"),
        ({"model": f"prompt:{slug}", "prompt": {"variables": []}}, 400, "invalid_value", "prompt.variables"),
        ({"model": f"prompt:{slug}", "temperature": 7}, 400, "invalid_value", "temperature"),
        ({"model": f"prompt:{waiting.slug}"}, 400, "invalid_value", "messages"),
    ):
        answer = complete(app, acme, body)
        error = answer.json["error"]  # type: ignore[index]
        assert (answer.status_code, error["code"], error["param"]) == (status, code, param), body
        assert error["type"] == ("not_found_error" if status == 404 else "invalid_request_error")
    same = [complete(app, acme, {"model": f"prompt:{name}"}).json for name in (theirs.slug, "x" * len(theirs.slug))]
    assert json.dumps(same[0]).replace(theirs.slug, "…") == json.dumps(same[1]).replace("x" * len(theirs.slug), "…")


def test_a_request_that_comes_twice_gets_the_version_it_got_first(
    app: Flask, simulated: str, acme: people.Cast
) -> None:
    template = people.template(acme, "One", "Two")
    label(template, "production", 1)
    body, key = {"model": f"prompt:{template.slug}"}, uuid.uuid4().hex
    token = {"Authorization": f"Bearer {acme.token()}", "Idempotency-Key": key}
    client = people.browser(app)
    first = client.post("/v1/chat/completions", json=body, headers=token)
    label(template, "production", 2)
    again = client.post("/v1/chat/completions", json=body, headers=token)
    assert again.status_code == 200
    assert again.headers["x-dataelan-replayed"] == "true"
    assert again.headers["x-dataelan-execution-id"] == first.headers["x-dataelan-execution-id"]
    assert again.headers["x-dataelan-prompt"] == f"{template.slug}@1"
    other = client.post("/v1/chat/completions", json=body, headers=token | {"Idempotency-Key": uuid.uuid4().hex})
    assert other.headers["x-dataelan-prompt"] == f"{template.slug}@2"


def test_a_system_prompt_waits_for_the_messages_of_the_request(app: Flask, simulated: str, acme: people.Cast) -> None:
    template = people.template(acme, " ", system="You are {{who}}.")
    body = {"model": f"prompt:{template.slug}", "messages": [{"role": "user", "content": "Hello"}]}
    answer = complete(app, acme, body | values(who="kind"))
    assert sent(answer) == [("system", "You are kind."), ("user", "Hello")]


@pytest.mark.parametrize(("topic", "said"), [("cats", ["About cats"]), ("dogs", ["About dogs", "About cats"])])
def test_a_conversation_that_goes_on_with_its_prompt_says_it_once(
    app: Flask, simulated: str, acme: people.Cast, topic: str, said: list[str]
) -> None:
    """As OpenAI's clients send it: prompt and `previous_response_id` with each turn."""
    template = people.template(acme, "About {{topic}}")
    http, headers = people.browser(app), {"Authorization": f"Bearer {acme.token()}"}

    def ask(words: str, topic: str, **more: str) -> TestResponse:
        prompt = {"id": template.slug, "variables": {"topic": topic}}
        return http.post("/v1/responses", json={"prompt": prompt, "input": words, **more}, headers=headers)

    first = ask("One", "cats")
    db.session.rollback()
    second = ask("Two", topic, previous_response_id=first.json["id"])
    assert second.status_code == 200, second.text
    answer = first.json["output"][-1]["content"][0]["text"]
    assert [words for _, words in sent(second)] == [*said, "One", answer, "Two"]
