"""Prompts as assets, through a browser's requests: drafts, versions, labels, runs, and the trash."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from markupsafe import escape
from sqlalchemy import event, select, text, update
from sqlalchemy.exc import IntegrityError
from werkzeug.test import TestResponse

from dataelan_web.extensions import db
from dataelan_web.models import (
    Approval,
    AuditEvent,
    CallState,
    Execution,
    ExecutionBody,
    LabelMove,
    ModelType,
    Project,
    PromptSession,
    State,
    Template,
    TemplateDraft,
    TemplateLabel,
    TemplateRun,
    TemplateVersion,
    User,
    new_id,
)
from dataelan_web.prompts import pasting
from dataelan_web.prompts.content import Content, Turn
from dataelan_web.prompts.variables import Kind, Variable, fill

from . import acting, people
from .conftest import wait_until
from .test_playground import ask, fresh, run_of

INSTANT = "simulated/simulated-instant"


def url(cast: people.Cast, template: Template, path: str = "") -> str:
    return f"{cast.home}/prompts/{template.id}{path}"


def page(answer: TestResponse) -> str:
    return answer.get_data(as_text=True)


def written(text_: str = "Hello {{name}}", **fields: Any) -> dict[str, Any]:
    """The editor's form."""
    return {"message_role": "user", "message_text": text_, "model": INSTANT, **fields}


def versions_of(template: Template) -> list[TemplateVersion]:
    db.session.rollback()
    db.session.expire_all()
    query = select(TemplateVersion).where(TemplateVersion.template_id == template.id).order_by(TemplateVersion.number)
    return list(db.session.scalars(query))


def labels_of(template: Template) -> dict[str, int]:
    db.session.rollback()
    return {
        label.name: label.number
        for label in db.session.scalars(select(TemplateLabel).where(TemplateLabel.template_id == template.id))
    }


def at_once(app: Flask, person: User, *acts: Callable[[Any], TestResponse]) -> list[int]:
    """Several requests of one person's browsers at the same time. Their statuses, sorted."""
    ready, statuses = threading.Barrier(len(acts)), list[int]()
    clients = [people.browser(app, person) for _ in acts]
    for client in clients:
        client.csrf()

    def run(act: Callable[[Any], TestResponse], client: Any) -> None:
        ready.wait()
        statuses.append(act(client).status_code)

    threads = [threading.Thread(target=run, args=pair) for pair in zip(acts, clients, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(statuses)


# -- made and written ------------------------------------------------------------------------------


def test_a_prompt_is_made_from_nothing_or_from_an_example_and_is_its_authors_alone_until_published(
    app: Flask, acme: people.Cast
) -> None:
    mia, victor = people.browser(app, acme.mia), people.browser(app, acme.victor)
    index = f"{acme.home}/projects/{acme.project.id}/prompts"
    assert "No prompts in this project yet" in page(mia.get(index))
    made = mia.submit(index, {"name": "Summarize it", "example": "summary"})
    address = made.headers["HX-Redirect"]
    assert "{{reader}}" in page(mia.get(address))
    assert "Nothing is published yet" in page(victor.get(address))
    assert "{{reader}}" not in page(victor.get(address))
    assert "{{reader}}" not in page(people.browser(app, acme.adam).get(address)), "a draft is nobody else's"
    listed = page(victor.get(index))
    assert "Summarize it" in listed
    assert "Draft" in listed


CHAT = {
    "model": "gpt-4o",
    "messages": [
        {"role": "developer", "content": "Answer in {{language}}."},
        {"role": "user", "content": [{"type": "text", "text": "Hi {{name}}"}, {"type": "image_url", "image_url": {}}]},
        {"role": "assistant", "content": "Hello"},
        {"role": "tool", "content": "never mind"},
    ],
    "temperature": 0.5,
    "top_p": 0.9,
    "seed": 7,
    "stop": ["END", "\n\n"],
    "reasoning_effort": "low",
    "max_completion_tokens": 99,
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
}
RESPONSES = {
    "model": "gpt-4o",
    "instructions": "Answer in {{language}}.",
    "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi {{name}}"}]}, CHAT["messages"][2]],
    "temperature": 0.5,
    "max_output_tokens": 99,
    "reasoning": {"effort": "low"},
    "text": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
}


@pytest.mark.parametrize("body", [CHAT, RESPONSES], ids=["chat", "responses"])
def test_what_openai_was_sent_is_pasted_as_a_prompt(app: Flask, acme: people.Cast, body: dict[str, Any]) -> None:
    content = pasting.read(json.dumps(body))
    assert (content.system, content.names) == ("Answer in {{language}}.", ("language", "name"))
    assert content.messages == (Turn("user", "Hi {{name}}"), Turn("assistant", "Hello"))
    assert (content.requested, content.temperature, content.max_tokens) == ("gpt-4o", "0.5", "99")
    assert json.loads(content.schema) == {"type": "object"}
    assert (content.problems, content.reasoning_effort) == ({}, "low")
    sampling = ("0.9", "7", "END\n\\n\\n") if body is CHAT else ("", "", "")
    assert (content.top_p, content.seed, content.stop) == sampling
    if body is CHAT:
        asked = content.prompt({"language": "German", "name": "Ada"})
        assert (asked.top_p, asked.seed, asked.stop) == (0.9, 7, ("END", "\n\n"))
    later = ("reasoning_effort", "top_p", "seed", "stop")
    plain, before = replace(content, **dict.fromkeys(later, "")), content.to_json()
    for name in later:
        before.pop(name, None)
    assert (plain.to_json(), Content.of(before).digest) == (before, plain.digest), "as it was before there was one"
    assert replace(content, reasoning_effort="much").problems["reasoning_effort"].startswith("One of none, minimal")
    mia, index = people.browser(app, acme.mia), f"{acme.home}/projects/{acme.project.id}/prompts"
    made = mia.submit(index, {"name": "Pasted", "pasted": json.dumps(body)})
    assert "Answer in {{language}}." in (shown := page(mia.get(made.headers["HX-Redirect"])))
    assert '<option value="low" selected>Low</option>' in shown
    assert '<option value="gpt-4o" selected>gpt-4o<small> not offered here</small></option>' in shown, "and no other"
    people.own_model(acme, people.own_provider(acme, "https://models.example.com/v1"), "gpt-4o")
    shown = page(mia.get(made.headers["HX-Redirect"]))
    assert '<option value="gpt-4o" selected>gpt-4o<small> of any provider</small></option>' in shown


def test_what_of_a_pasted_prompt_does_not_come_along_is_told(app: Flask, acme: people.Cast) -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}, {"id": "2"}]},
        {"role": "tool", "tool_call_id": "1", "content": "Rain"},
    ]
    body = {"model": "gpt-4o", "messages": messages, "top_k": 2, "logit_bias": {}, "stream": True, "seed": None}
    told = ["top_k", "logit_bias", "1 file or picture", "2 tool calls", "1 tool result"]
    assert pasting.left_out(json.dumps(body)) == told
    assert pasting.left_out(json.dumps(CHAT)) == ["1 file or picture", "1 tool result"]
    odd = {"role": "user", "content": 5, "tool_calls": 7}
    assert pasting.left_out(json.dumps({"messages": [odd, {"content": {"text": 1}}]})) == [], "nothing there to leave"
    for whole in (json.dumps(RESPONSES), "Plain {{words}}"):
        assert pasting.left_out(whole) == []
    mia, index = people.browser(app, acme.mia), f"{acme.home}/projects/{acme.project.id}/prompts"
    made = mia.submit(index, {"name": "Pasted", "pasted": json.dumps(body)})
    assert "without top_k, logit_bias, 1 file or picture" in page(mia.get(made.headers["HX-Redirect"]))


UNREADABLE = (
    ('{"messages": [', "none that can be read"),
    ('{"input": "x", "temperature": NaN}', "none that"),
    ("{}", "no `messages`"),
    ("[1]", "no `messages`"),
    ("[" * 9000, ""),
)
"""What is pasted → what is said of it."""


def test_what_cannot_be_pasted_is_said_and_kept(app: Flask, acme: people.Cast, subtests: pytest.Subtests) -> None:
    mia, index = people.browser(app, acme.mia), f"{acme.home}/projects/{acme.project.id}/prompts"
    for pasted, words in UNREADABLE:
        with subtests.test(pasted[:20]):
            answer = mia.submit(index, {"name": "Pasted", "pasted": pasted})
            assert answer.status_code == 422
            assert words in page(answer)
            assert escape(pasted) in answer.get_data(as_text=True)
    assert pasting.read("Only {{words}}").messages == (Turn("user", "Only {{words}}"),)
    odd = pasting.read('{"input": "x", "max_tokens": 1e400, "instructions": ["Be"], "model": {"a": 1}}')
    assert (odd.max_tokens, odd.system, odd.requested) == ("", "", "auto")


def test_names_are_taken_once_and_programs_names_follow_them(app: Flask, acme: people.Cast) -> None:
    mia = people.browser(app, acme.mia)
    index = f"{acme.home}/projects/{acme.project.id}/prompts"
    for name, status in (("Größe & Maß", 204), ("Größe & Maß", 422), ("GROSSE & MASS", 204), ("要約", 204)):
        answer = mia.submit(index, {"name": name})
        assert answer.status_code == status, name
    assert "has a prompt named" in page(mia.submit(index, {"name": "要約"}))
    slugs = select(Template.slug).where(Template.project_id == acme.project.id).order_by(Template.id)
    assert list(db.session.scalars(slugs)) == ["grosse-mass", "grosse-mass-2", "prompt"]
    template = people.template(acme, "x")
    for called, status in (("grosse-mass", 422), ("Über", 422), ("-a", 422), ("My-Own", 204)):
        assert mia.submit(url(acme, template, "/settings"), {"name": "N", "called": called}).status_code == status
    db.session.refresh(template)
    assert template.slug == "my-own"


def test_what_is_typed_is_kept_and_its_variables_are_told(app: Flask, acme: people.Cast) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme)
    form = written("{{city}} {{first name}} {{n}}", variable=["city", "old"], system="Be {{tone}}.")
    form |= {"value:city": "Bonn", "kind:city": "text", "default:city": "Ulm", "value:old": "kept"}
    answer = page(mia.submit(url(acme, template, "/draft"), form))
    assert "{{first name}}</code> is no variable and will be sent as typed" in answer
    assert re.findall(r'name="variable" value="(\w+)"', answer) == ["tone", "city", "n", "old"]
    assert re.findall(r'id="used-(\w+)">not in the text', answer) == ["old"]
    assert "Still without a value: <code>tone</code>, <code>n</code>" in answer
    again = page(mia.get(url(acme, template)))
    assert "Be {{tone}}." in again
    assert re.search(r'id="value-city"[^>]*>Bonn<', again)
    assert re.search(r'id="value-old"[^>]*>kept<', again)
    draft = db.session.scalars(select(TemplateDraft).where(TemplateDraft.template_id == template.id)).one()
    assert draft.user_id == acme.mia.id
    mia.submit(url(acme, template, "/draft/removal"))
    dropped = page(mia.get(url(acme, template)))
    assert "Be {{tone}}." not in dropped
    assert url(acme, template, "/draft/restoration") in dropped
    for who in (acme.adam, acme.mia):
        people.browser(app, who).submit(url(acme, template, "/draft/restoration"))
        assert ("Be {{tone}}." in page(mia.get(url(acme, template)))) is (who is acme.mia)
    mia.submit(url(acme, template, "/draft/removal"))
    mia.submit(url(acme, template, "/draft"), written("Another"))
    mia.submit(url(acme, template, "/draft/restoration"))
    assert "Be {{tone}}." not in page(mia.get(url(acme, template))), "another was begun"


def test_a_draft_after_a_dropped_one_begins_at_what_is_published_by_then(app: Flask, acme: people.Cast) -> None:
    mia, adam, template = people.browser(app, acme.mia), people.browser(app, acme.adam), people.template(acme)
    mia.submit(url(acme, template, "/draft"), written("Mine"))
    mia.submit(url(acme, template, "/draft/removal"))
    adam.submit(url(acme, template, "/draft"), written("Theirs"))
    assert publish(adam, acme, template).status_code == 204
    mia.submit(url(acme, template, "/draft"), written("Theirs, and mine"))
    mias = select(TemplateDraft.base).filter_by(template_id=template.id, user_id=acme.mia.id)
    assert db.session.scalar(mias) == 1, "it was 0 when the dropped one was begun"


def test_while_the_same_variables_are_there_their_fields_are_left_alone(app: Flask, acme: people.Cast) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme)
    answer = page(mia.submit(url(acme, template, "/draft"), written("{{a}}", variable="a", **{"value:a": "x"})))
    assert 'id="value-a"' not in answer
    assert 'id="draft-state"' in answer


def test_the_field_for_what_a_person_says_comes_and_goes(app: Flask, acme: people.Cast) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme)
    waits = {"message_role": ["user", "assistant"], "message_text": ["{{a}}", "Yes?"], "variable": "a"}
    field = 'id="said"'
    assert field in page(mia.submit(url(acme, template, "/draft"), waits))
    assert 'id="variables"' not in page(mia.submit(url(acme, template, "/draft"), waits | {"said": "x"}))
    ends = page(mia.submit(url(acme, template, "/draft"), written("{{a}}", variable="a", said="x")))
    assert 'id="variables"' in ends
    assert field not in ends


def test_messages_come_go_and_change_places(app: Flask, acme: people.Cast) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme)
    form: dict[str, Any] = {"message_role": ["user", "assistant", "OWNER"], "message_text": ["one", "two", "three"]}

    def texts(change: str) -> list[tuple[str, str]]:
        html = page(mia.submit(url(acme, template, "/draft"), form | {"change": change}))
        roles = re.findall(r'<option value="(\w+)" selected>(?:User|Assistant)', html)
        return list(zip(roles, re.findall(r'id="message-\d+"[^>]*>([^<]*)<', html), strict=True))

    assert texts("none") == [("user", "one"), ("assistant", "two"), ("user", "three")]
    assert texts("add")[3:] == [("assistant", "")]
    assert texts("remove:0") == [("assistant", "two"), ("user", "three")]
    assert texts("up:2") == [("user", "one"), ("user", "three"), ("assistant", "two")]
    for nonsense in ("up:0", "remove:9", "remove:-1", "remove:²", "up:x", "remove:99999999999"):
        assert len(texts(nonsense)) == 3


def test_a_default_is_put_in_as_the_same_value_would_be() -> None:
    variables = [Variable("a", Kind.YES_NO, "TRUE"), Variable("b", Kind.NUMBER, " 3 "), Variable("c", default=" x ")]
    assert fill(variables, {}).values == {"a": "yes", "b": "3", "c": " x "}
    assert fill(variables, {one.name: one.default for one in variables}) == fill(variables, {})


WRONG: tuple[tuple[dict[str, str], str], ...] = (
    ({"temperature": "3"}, "A number from 0 to 2"),
    ({"temperature": "NaN"}, "A number from 0 to 2"),
    ({"schema": '{"$schema": {}}'}, "must name its $schema by text"),
    ({"top_p": "1.1"}, "A number from 0 to 1,"),
    ({"seed": "-1"}, "A whole number from 0 to 2,147,483,647"),
    ({"stop": "a\nb\nc\nd\ne"}, "These are 5 stop sequences; the most is 4."),
    ({"max_tokens": "-1"}, "A number from 1 to 1,000,000"),
    ({"max_tokens": "9" * 400}, "A number from 1 to 1,000,000"),
    ({"schema": "{"}, "This is not JSON"),
    ({"tools": "{}"}, "Write a list of tools"),
    ({"variable": "name", "kind:name": "choice"}, "Write what one can choose from"),
    ({"variable": "name", "kind:name": "number", "default:name": "x"}, "The default must be a number"),
)
"""Fields of the editor → what is said of them."""


def test_what_is_wrong_is_said_at_its_place_kept_all_the_same_and_neither_run_nor_published(
    app: Flask, acme: people.Cast, subtests: pytest.Subtests
) -> None:
    mia, change = people.browser(app, acme.mia), {"source": "draft", "seen": "0", "message": "First"}
    for fields, words in WRONG:
        with subtests.test(f"{words}: {list(fields.values())[-1][:20]}"):
            template, form = people.template(acme), written(**{"value:name": "Ada", **fields})
            answer = mia.submit(url(acme, template, "/draft"), form)
            assert answer.status_code == 200
            assert words in page(answer)
            refused = mia.submit(url(acme, template, "/runs"), form)
            assert refused.status_code == 422
            assert words in page(refused)
            for path in ("/versions", "/proposals"):
                answer = mia.submit(url(acme, template, path), change)
                assert answer.status_code == 422
                assert words in page(answer)
            assert versions_of(template) == []


def test_what_is_too_large_is_not_kept_and_that_is_said(app: Flask, acme: people.Cast) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme)
    for text_ in ("x" * 400_001, "\n" * 10_001, " ".join(f"{{{{v{n}}}}}" for n in range(61))):
        for path in ("/draft", "/runs"):
            answer = mia.submit(url(acme, template, path), written(text_))
            assert answer.status_code == 422
            assert "It is not kept." in page(answer)
            assert "the most is" in page(answer)
    assert db.session.query(TemplateDraft).filter_by(template_id=template.id).count() == 0


def test_hostile_names_and_texts_are_inert_wherever_they_are_shown(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    evil = '"><script>alert(1)</script>{{7*7}}'
    mia = people.browser(app, acme.mia)
    template = people.template(acme, f"One {evil}", f"Two {evil}", name=evil)
    form = written(f"{evil} {{{{a}}}}", variable=["a", evil])
    form |= {"value:a": evil, "description:a": evil, "default:a": evil}
    mia.submit(url(acme, template, "/draft"), form)
    id = run_of(page(mia.submit(url(acme, template, "/runs"), form)))
    wait_until(lambda: not fresh(id).is_open)
    mia.submit(url(acme, template, "/cases"), {"name": evil, "variable": "a", "value:a": evil, "expected": evil})
    mia.submit(url(acme, template, "/proposals"), {"source": "draft", "message": evil})
    mia.submit(url(acme, template, "/proposals/1/comments"), {"text": evil})
    for path in (
        "",
        "/versions",
        "/versions/2",
        "/differences?before=1&after=draft",
        "/publication",
        f"/labels?name={evil}",
        "/cases?source=2&source=draft",
        "/cases/new",
        "/proposals",
        "/proposals/1",
        "/runs",
        f"/cases/new?run={id}",
    ):
        html = page(mia.get(url(acme, template, path)))
        assert "<script>alert" not in html, path
    html = page(mia.get(f"{acme.home}/projects/{acme.project.id}/prompts"))
    assert "<script>alert" not in html
    html = page(mia.get(f"{acme.home}/executions/{id}"))
    assert "<script>alert" not in html


# -- run -------------------------------------------------------------------------------------------


def test_a_draft_is_run_with_its_values_and_the_run_remembers_them(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme, "Old {{name}}")
    form = written("Hello {{name}}, {{n}} times. {{7*7}}", variable=["name", "n"], system="Be {{name}}'s friend.")
    form |= {"value:name": "{{n}} {% x %}", "kind:n": "number", "default:n": "3", "submission": uuid.uuid4().hex}
    answer = mia.submit(url(acme, template, "/runs"), form)
    assert answer.status_code == 201
    id = run_of(page(answer))
    wait_until(lambda: not fresh(id).is_open)
    execution = fresh(id)
    assert execution.state is State.COMPLETED
    sent = [message["parts"][0]["text"] for message in execution.body.request["messages"]]
    assert sent == ["Be {{n}} {% x %}'s friend.", "Hello {{n}} {% x %}, 3 times. {{7*7}}"]
    run = execution.template_run
    assert run is not None
    assert (run.number, run.values) == (None, {"name": "{{n}} {% x %}", "n": "3"})
    assert run_of(page(mia.submit(url(acme, template, "/runs"), form))) == id, "sent twice, it is asked once"
    other = run_of(page(mia.submit(url(acme, template, "/runs"), form | {"value:n": "4"})))
    assert fresh(other).template_run.values["n"] == "4", "with other values it is another, whatever became of the first"
    shown = page(mia.get(url(acme, template)))
    assert f'id="run-{id}"' in shown
    listed = page(people.browser(app, acme.victor).get(url(acme, template, "/runs")))
    assert str(id) in listed
    again = mia.submit(f"{acme.home}/executions/{id}/retry")
    copy = fresh(run_of(page(again))).template_run
    assert copy is not None
    assert (copy.digest, copy.values) == (run.digest, run.values)


def test_a_saved_prompt_offers_the_actions_that_were_ticked_and_no_others(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    wanted, _ = acting.declared(acme, approval=Approval.EDITORS), acting.declared(acme, name="other")
    mia, template = people.browser(app, acme.mia), people.template(acme, "Create a ticket")
    assert f'name="actions" value="{wanted.id}">' in page(mia.get(url(acme, template))), "not before one ticks it"
    form = written("Create a ticket", submission=uuid.uuid4().hex)
    plain = fresh(run_of(page(mia.submit(url(acme, template, "/runs"), form))))
    assert plain.body.request["tools"] == []
    form |= {"submission": uuid.uuid4().hex, "actions": [str(wanted.id)]}
    id = run_of(page(mia.submit(url(acme, template, "/runs"), form)))
    assert [tool["name"] for tool in fresh(id).body.request["tools"]] == ["create_ticket"]
    call = acting.settled(app, fresh(id), CallState.WAITING)
    shown = page(mia.get(url(acme, template)))
    assert f'id="call-{call.id}"' in shown
    assert "Waiting for approval" in shown


def test_a_draft_and_a_version_are_asked_the_same_side_by_side(app: Flask, worker: object, acme: people.Cast) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme, "Old {{name}} {{city}}")
    form = written("New {{name}}", variable="name", compare="yes", against="1", **{"value:name": "Ada"})
    refused = mia.submit(url(acme, template, "/runs"), form)
    assert refused.status_code == 422
    assert "Version 1 cannot be asked yet: “city” is missing" in page(refused)
    assert 'id="value-city"' in page(refused), "there is a field for it now"
    assert db.session.query(TemplateRun).filter_by(template_id=template.id).count() == 0, "both or none"
    form |= {"variable": ["name", "city"], "value:city": "Bonn"}
    html = page(mia.submit(url(acme, template, "/runs"), form))
    ids = [uuid.UUID(id) for id in re.findall(r'id="run-([0-9a-f-]{36})"', html)]
    runs = [db.session.get_one(TemplateRun, id) for id in ids]
    assert [(run.number, run.values) for run in runs] == [(1, {"name": "Ada", "city": "Bonn"}), (None, {"name": "Ada"})]
    assert runs[0].together == runs[1].together is not None
    assert 'class="try" data-count="2"' in page(mia.get(url(acme, template)))
    assert versions_of(template)[-1].number == 1, "nothing was published for it"
    assert mia.submit(url(acme, template, "/runs"), form | {"against": "7"}).status_code == 404
    assert mia.submit(url(acme, template, "/runs"), form | {"against": "9" * 30}).status_code == 404


def test_a_prompt_that_waits_for_a_person_is_tried_with_a_word(app: Flask, worker: object, acme: people.Cast) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme)
    form = {"system": "You are kind.", "model": INSTANT, "message_role": [], "message_text": []}
    refused = mia.submit(url(acme, template, "/runs"), form)
    assert refused.status_code == 422
    assert "write what a person says" in page(refused)
    id = run_of(page(mia.submit(url(acme, template, "/runs"), form | {"said": "Hello {{there}}"})))
    assert fresh(id).body.request["messages"][-1]["parts"][0]["text"] == "Hello {{there}}"


def test_the_values_of_a_run_are_tried_on_the_draft(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme, "Hello {{name}}")
    form = written("Hi {{name}}", variable="name", **{"value:name": "Ada"})
    id = run_of(page(mia.submit(url(acme, template, "/runs"), form)))
    mia.submit(url(acme, template, "/draft"), form | {"value:name": "Bea"})
    assert re.search(r'id="value-name"[^>]*>Ada<', page(mia.get(url(acme, template, f"?run={id}"))))
    assert re.search(r'id="value-name"[^>]*>Bea<', page(mia.get(url(acme, template)))), "looking changes nothing"
    rita = people.browser(app, rival.mia)
    theirs = people.template(rival, "Hello {{name}}")
    assert rita.get(url(rival, theirs, f"?run={id}")).status_code == 404
    assert rita.get(url(rival, theirs, f"/cases/new?run={id}")).status_code == 404


# -- between sessions and prompts ------------------------------------------------------------------


def test_a_prompt_of_a_session_becomes_a_template(app: Flask, worker: object, acme: people.Cast) -> None:
    mia = people.browser(app, acme.mia)
    settings = {"system": "Be brief.", "temperature": "0.5", "max_tokens": "99", "schema": '{"type": "object"}'}
    settings |= {"top_p": "0.9", "seed": "7", "stop": "END\n\\n"}
    first = ask(app, acme, "First words", **settings)
    assert "To make one, write <code>{{name}}</code>" in page(mia.get(f"{acme.home}/executions/{first}/prompt"))
    id = ask(app, acme, "Translate {{text}} for me", **settings)
    html = page(mia.get(acme.session_url))
    assert f"/executions/{id}/prompt" in html
    form = page(mia.get(f"{acme.home}/executions/{id}/prompt"))
    assert "2 messages that came before it" in form
    index = f"{acme.home}/projects/{acme.project.id}/prompts"
    for choice, expected in (({}, 1), ({"with_conversation": "y"}, 3)):
        answer = mia.submit(index, {"name": f"Translate {expected}", "execution": str(id), **choice})
        made = db.session.get_one(Template, uuid.UUID(answer.headers["HX-Redirect"].rsplit("/", 1)[1]))
        draft = db.session.scalars(select(TemplateDraft).where(TemplateDraft.template_id == made.id)).one()
        content = Content.of(draft.content)
        assert content.messages[-1] == Turn("user", "Translate {{text}} for me")
        assert len(content.messages) == expected
        assert (content.system, content.temperature, content.max_tokens) == ("Be brief.", "0.5", "99")
        assert (content.top_p, content.seed, content.stop) == ("0.9", "7", "END\n\\n")
        assert content.requested == INSTANT
        assert content.names == ("text",)
        assert '"object"' in content.schema
    assert mia.submit(index, {"name": "No", "execution": "no-id"}).status_code == 404


def test_a_prompt_of_a_session_that_was_moved_is_saved_where_it_is_now(app: Flask, acme: people.Cast) -> None:
    run, mia = people.ended(acme, "Translate {{text}}", "Done"), people.browser(app, acme.mia)
    target = Project(id=new_id(), organization=acme.organization, name="Target", created_by=acme.mia.id)
    db.session.add(target)
    db.session.commit()
    assert mia.submit(f"{acme.session_url}/project", {"project_id": str(target.id)}).status_code == 204
    form = page(mia.get(f"{acme.home}/executions/{run.id}/prompt"))
    assert f'action="{acme.home}/projects/{target.id}/prompts"' in form
    assert str(acme.project.id) not in form[form.index("<main") :], "whoever is a guest here has no business there"


def test_a_prompt_opens_in_a_session_with_its_examples_before_it(app: Flask, worker: object, acme: people.Cast) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme, name="Translator")
    form = {
        "message_role": ["user", "assistant", "user"],
        "message_text": ["Say {{a}}", "{{a}}!", "Say {{b}} and {{c}}"],
        "variable": ["a", "b", "c"],
        "value:a": "x",
        "value:b": "y",
        "system": "Be {{a}}.",
        "temperature": "0.2",
        "top_p": "0.9",
        "seed": "7",
        "stop": "END",
        "model": INSTANT,
        "model_type": "CODE",
    }
    address = mia.submit(url(acme, template, "/sessions"), form).headers["HX-Redirect"]
    session = db.session.get_one(PromptSession, uuid.UUID(address.rsplit("/", 1)[1]))
    assert (session.title, session.model_type) == ("Translator", ModelType.CODE)
    html = page(mia.get(address))
    assert [session.settings[name] for name in ("top_p", "seed", "stop")] == [0.9, 7, "END"]
    assert re.search(r'name="stop"[^>]*>\s*END<', html), "and the composer shows them"
    assert "Say y and {{c}}" in html
    assert "This session begins with 2 messages" in html
    assert "Be x." in html
    answer = mia.submit(f"{address}/executions", {"text": "Say y and z", "model": INSTANT, "system": "Be x."})
    sent = fresh(run_of(page(answer))).body.request["messages"]
    assert [(message["role"], message["parts"][0]["text"]) for message in sent] == [
        ("system", "Be x."),
        ("user", "Say x"),
        ("assistant", "x!"),
        ("user", "Say y and z"),
    ]


# -- versions --------------------------------------------------------------------------------------


def publish(client: Any, cast: people.Cast, template: Template, **fields: Any) -> TestResponse:
    form = {"source": "draft", "seen": str(template.newest), "message": "Better", **fields}
    return client.submit(url(cast, template, "/versions"), form)  # type: ignore[no-any-return]


def test_the_first_publication_tells_of_no_before_and_no_programs(app: Flask, acme: people.Cast) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme)
    mia.submit(url(acme, template, "/draft"), written("In {{language}}", variable="language", model_type="CODE"))
    seen = page(mia.get(url(acme, template, "/publication")))
    assert "it is the first version" in seen
    assert "What programs will notice" not in seen
    assert "Before:" not in seen
    assert "<dt>Type</dt><dd>Code</dd>" in seen
    assert f"<dt>Model</dt><dd>{INSTANT}</dd>" in seen


def test_a_version_is_published_with_its_reason_after_its_differences_were_seen(app: Flask, acme: people.Cast) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme, "Hello {{name}}")
    form = written("Hello {{name}}, dear {{title}}", variable="name", change="publish")
    assert mia.submit(url(acme, template, "/draft"), form).headers["HX-Redirect"].endswith("/publication")
    seen = page(mia.get(url(acme, template, "/publication")))
    assert "<ins>, dear {{title}}</ins>" in seen
    assert "“title” must be given now" in seen
    assert publish(mia, acme, template, message=" ").status_code == 422
    answer = publish(mia, acme, template, message="It is dear now", label="staging")
    assert answer.headers["HX-Redirect"].endswith("/versions/2")
    (first, second) = versions_of(template)
    assert (second.number, second.message, second.author_id) == (2, "It is dear now", acme.mia.id)
    assert labels_of(template) == {"staging": 2}
    victor = people.browser(app, acme.victor)
    listed = page(victor.get(url(acme, template, "/versions")))
    assert "It is dear now" in listed
    assert "Mia" in listed
    assert "<mark>{{title}}</mark>" in page(victor.get(url(acme, template, "/versions/2")))
    assert "<del>" not in page(victor.get(url(acme, template, "/differences?before=1&after=1")))
    assert "They are the same" in page(victor.get(url(acme, template, "/differences?before=1&after=1")))
    assert "<ins>, dear {{title}}</ins>" in page(victor.get(url(acme, template, "/differences?before=1&after=2")))
    assert "<del>, dear {{title}}</del>" in page(victor.get(url(acme, template, "/differences?before=2&after=1")))
    actions = db.session.scalars(select(AuditEvent.action).where(AuditEvent.subject_id == template.id)).all()
    assert {"prompt.published", "label.moved"} <= set(actions)
    assert first.number == 1


def test_nothing_is_published_when_nothing_changed(app: Flask, acme: people.Cast) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme, "Hello {{name}}")
    form = written("Hello {{name}}", variable=["name", "unused"], message_role=["user", "user"])
    mia.submit(url(acme, template, "/draft"), form | {"message_text": ["Hello {{name}}", "  "]})
    assert "There is nothing to publish" in page(mia.get(url(acme, template, "/publication")))
    answer = publish(mia, acme, template)
    assert answer.status_code == 422
    assert "Nothing changed: it is the same as version 1" in page(answer)
    answer = mia.submit(url(acme, template, "/proposals"), {"source": "draft", "message": "Please"})
    assert answer.status_code == 422
    assert len(versions_of(template)) == 1


def test_an_old_version_comes_back_as_a_new_one(app: Flask, acme: people.Cast) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme, "One", "Two", "Three")
    seen = page(mia.get(url(acme, template, "/publication?source=1")))
    assert "Version 1 again, as version 4" in seen
    assert "Back to version 1" in seen
    assert publish(mia, acme, template, source="3").status_code == 422, "it is the newest already"
    assert publish(mia, acme, template, source="1", message="Back to version 1").status_code == 204
    *_, last = versions_of(template)
    assert (last.number, Content.of(last.content).messages) == (4, (Turn("user", "One"),))


def test_what_one_is_writing_stays_when_an_old_version_comes_back(app: Flask, acme: people.Cast) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme, "One", "Two")
    mia.submit(url(acme, template, "/draft"), written("Words of my own"))
    assert publish(mia, acme, template, source="1").status_code == 204
    assert "Words of my own" in page(mia.get(url(acme, template)))
    mia.submit(url(acme, template, "/draft"), written("One"))  # nothing of one's own
    db.session.refresh(template)
    assert publish(mia, acme, template, source="2").status_code == 204
    assert ">Two</textarea>" in page(mia.get(url(acme, template)))


def test_no_more_is_published_than_was_seen(app: Flask, acme: people.Cast) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme, "One")
    mia.submit(url(acme, template, "/draft"), written("Two"))
    seen = page(mia.get(url(acme, template, "/publication")))
    digest = re.search(r'name="digest" value="(\w+)"', seen)[1]  # type: ignore[index]
    mia.submit(url(acme, template, "/draft"), written("Three"))  # in another window
    for path in ("/versions", "/proposals"):
        form = {"source": "draft", "seen": "1", "message": "Better", "digest": digest}
        refused = mia.submit(url(acme, template, path), form)
        assert refused.status_code == 409
        assert "changed meanwhile" in page(refused)
        assert f'value="{digest}"' not in page(refused), "what it shows now is agreed to next"
    assert len(versions_of(template)) == 1
    assert publish(mia, acme, template, digest=Content(messages=(Turn("user", "Three"),), requested=INSTANT).digest)
    assert len(versions_of(template)) == 2


def test_of_two_who_publish_at_once_one_is_told_to_look_again(app: Flask, acme: people.Cast) -> None:
    template = people.template(acme, "One")
    mia = people.browser(app, acme.mia)
    mia.submit(url(acme, template, "/draft"), written("Two"))
    acts = [lambda client, n=n: publish(client, acme, template, message=f"By {n}") for n in range(4)]
    assert at_once(app, acme.mia, *acts) == [204, 409, 409, 409]
    assert [version.number for version in versions_of(template)] == [1, 2]
    adam = people.browser(app, acme.adam)
    adam.submit(url(acme, template, "/draft"), written("Three"))
    stale = publish(adam, acme, template, seen="1")
    assert stale.status_code == 409
    assert "Somebody else published a version" in page(stale)
    assert 'name="seen" value="2"' in page(stale), "what it shows now is what is agreed to next"


def test_whoever_writes_is_told_when_another_version_came(app: Flask, acme: people.Cast) -> None:
    template = people.template(acme, "One")
    mia, adam = people.browser(app, acme.mia), people.browser(app, acme.adam)
    mia.submit(url(acme, template, "/draft"), written("Mine"))
    adam.submit(url(acme, template, "/draft"), written("Theirs"))
    publish(adam, acme, template)
    html = page(mia.get(url(acme, template)))
    assert "Version 2 was published since you began with version 1" in html
    assert "Mine" in html
    assert "was published since" not in page(adam.get(url(acme, template)))


def test_a_version_never_changes(acme: people.Cast) -> None:
    template = people.template(acme, "One")
    (version,) = versions_of(template)
    for values in (
        {"content": {}},
        {"message": "Other"},
        {"number": 7},
        {"digest": "x"},
        {"author_id": acme.adam.id},
    ):
        with pytest.raises(IntegrityError, match="never changed"):
            db.session.execute(update(TemplateVersion).where(TemplateVersion.id == version.id).values(**values))
        db.session.rollback()
    db.session.execute(text("UPDATE template_versions SET author_id = NULL WHERE id = :id"), {"id": version.id})
    db.session.commit()  # who wrote it may be forgotten


# -- labels ----------------------------------------------------------------------------------------


def move(client: Any, cast: people.Cast, template: Template, name: str, to: int, seen: str = "") -> TestResponse:
    form = {"name": name, "to": str(to), "seen": seen}
    return client.submit(url(cast, template, "/labels"), form)  # type: ignore[no-any-return]


def test_a_label_is_moved_with_the_difference_in_view_and_its_history_is_kept(app: Flask, acme: people.Cast) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme, "One {{a}}", "Two {{b}}")
    seen = page(mia.get(url(acme, template, "/labels?name=Staging&to=1")))
    assert "“staging” will stand for version 1" in seen
    assert move(mia, acme, template, "Staging", 1).status_code == 204
    seen = page(mia.get(url(acme, template, "/labels?name=staging&to=2")))
    assert "version 1 → version 2" in seen
    assert "“b” must be given now" in seen
    assert move(mia, acme, template, "staging", 2, seen="1").status_code == 204
    assert move(mia, acme, template, "staging", 1, seen="1").status_code == 409, "it was moved meanwhile"
    assert move(mia, acme, template, "staging", 2, seen="2").status_code == 422
    assert move(mia, acme, template, "staging", 9, seen="2").status_code == 404
    for name in ("latest", "2nd", "a b", "ä", "x" * 41, ""):
        assert move(mia, acme, template, name, 1).status_code == 422, name
    history = page(people.browser(app, acme.victor).get(url(acme, template, "/labels/staging")))
    assert re.findall(r">version (\d)</a>", history) == ["1", "2", "1"]
    assert mia.get(url(acme, template, "/labels/other")).status_code == 404
    mia.submit(url(acme, template, "/labels/staging/removal"))
    assert labels_of(template) == {}
    (undo,) = re.findall(r'action="([^"]+/labels/staging/return)"', page(mia.get(url(acme, template, "/versions"))))
    mia.submit(undo)
    assert "stands for version 2 again" in page(mia.get(url(acme, template, "/versions")))
    assert labels_of(template) == {"staging": 2}
    assert mia.submit(undo).status_code == 404, "it is there"
    mia.submit(url(acme, template, "/labels/staging/removal"))
    moves = (
        db.session.query(LabelMove.before, LabelMove.after).filter_by(template_id=template.id).order_by(LabelMove.id)
    )
    assert [tuple(row) for row in moves] == [(None, 1), (1, 2), (2, None), (None, 2), (2, None)]


def test_a_protected_label_is_moved_by_owners_and_admins_and_proposed_by_others(app: Flask, acme: people.Cast) -> None:
    mia, adam, gina = (people.browser(app, person) for person in (acme.mia, acme.adam, acme.gina))
    template = people.template(acme, "One", "Two")
    assert "“production” is protected" in page(mia.get(url(acme, template, "/labels?name=production&to=2")))
    for client in (mia, gina):
        assert move(client, acme, template, "production", 1).status_code == 403
        assert client.submit(url(acme, template, "/labels/production/protection")).status_code == 403
    assert move(adam, acme, template, "production", 1).status_code == 204
    assert mia.submit(url(acme, template, "/labels/production/removal")).status_code == 403
    mia.submit(url(acme, template, "/draft"), written("Three"))
    answer = publish(mia, acme, template, label="production")
    assert answer.status_code == 422
    assert "is protected" in page(answer)
    assert len(versions_of(template)) == 2, "published with its label, or not at all"
    adam.submit(url(acme, template, "/labels/production/protection"), {"is_protected": "no"})
    adam.submit(url(acme, template, "/labels/eu/protection"), {"is_protected": "yes"})
    assert move(mia, acme, template, "production", 2, seen="1").status_code == 204
    other = people.template(acme, "Another prompt of the project")
    assert move(mia, acme, other, "eu", 1).status_code == 403
    assert labels_of(template) == {"production": 2}


def test_of_two_who_move_a_label_at_once_one_wins(app: Flask, acme: people.Cast) -> None:
    template = people.template(acme, "One", "Two", "Three")
    first = [lambda client, n=n: move(client, acme, template, "staging", n) for n in (1, 2)]
    assert at_once(app, acme.adam, *first) == [204, 409]
    standing = labels_of(template)["staging"]
    others = sorted({1, 2, 3} - {standing})
    again = [lambda client, n=n: move(client, acme, template, "staging", n, str(standing)) for n in others]
    assert at_once(app, acme.adam, *again) == [204, 409]


ODD = ("\0", "%", "_", "\\", "'; --", "x" * 5000, "🎈", "\u202e")


@pytest.mark.sweep
def test_odd_characters_are_taken_or_refused_and_break_nothing(
    app: Flask, acme: people.Cast, subtests: pytest.Subtests
) -> None:
    mia, index = people.browser(app, acme.mia), f"{acme.home}/projects/{acme.project.id}/prompts"
    for text_ in ODD:
        with subtests.test(text_[:9]):
            template = people.template(acme, "One {{a}}", "Two")
            form = written(f"{text_}{{{{a}}}}", variable=["a", text_], system=text_)
            form |= {f"{name}:a": text_ for name in ("value", "default", "description", "options", "kind", "required")}
            form |= dict.fromkeys(("schema", "tools", "max_tokens", "temperature", "said", "change"), text_)
            change = {"source": "draft", "seen": text_, "message": text_, "label": text_}
            for path, fields in (
                ("/draft", form),
                ("/runs", form),
                ("/runs", form | {"compare": "yes", "against": text_}),
                ("/sessions", form),
                ("/settings", {"name": text_, "called": text_, "description": text_}),
                ("/versions", change),
                ("/proposals", change),
                ("/labels", {"name": text_, "to": "1", "seen": text_}),
                ("/labels", {"name": "staging", "to": text_, "seen": text_}),
                ("/cases", {"name": text_, "variable": ["a", text_], "value:a": text_, "expected": text_}),
                ("/cases/answers", {"source": text_, "submission": text_}),
            ):
                answer = mia.submit(url(acme, template, path), fields)
                assert answer.status_code < 500, path
            mia.submit(index, {"name": text_, "description": "d", "example": "summary"})
            odd = quote(text_, safe="")
            for path in (
                "",
                "/versions",
                "/cases",
                f"/cases?source={odd}",
                f"/differences?before={odd}",
                f"/labels?name={odd}&to={odd}",
                f"/labels/{odd}",
                f"?run={odd}",
            ):
                assert mia.get(url(acme, template, path)).status_code < 500, path
            assert mia.get(f"{index}?q={odd}&page={odd}").status_code == 200


# -- the list and the trash ------------------------------------------------------------------------


def test_the_list_finds_by_words_and_says_what_runs_cost(app: Flask, worker: object, acme: people.Cast) -> None:
    mia = people.browser(app, acme.mia)
    template = people.template(acme, "Hello", name="Alpha contract 100%")
    people.template(acme, "Hello", name="Beta letter")
    for _ in range(2):
        run_of(page(mia.submit(url(acme, template, "/runs"), written("Hello"))))
    cost = {"cost": 2_000_000_000}
    runs = select(TemplateRun.id).where(TemplateRun.template_id == template.id)
    wait_until(lambda: not any(fresh(id).is_open for id in db.session.scalars(runs).all()))
    db.session.execute(update(Execution).where(Execution.id.in_(runs)).values(**cost))
    db.session.commit()
    index = f"{acme.home}/projects/{acme.project.id}/prompts"
    html = page(mia.get(f"{index}?q=CONTRACT alpha"))
    assert "Alpha contract" in html
    assert "Beta letter" not in html
    assert "$4.00" in html
    assert "Beta letter" not in page(mia.get(f"{index}?q=100%25"))
    assert "No prompt is called like that" in page(mia.get(f"{index}?q=_nothing_"))


def test_a_run_in_the_trash_is_no_answer_any_more(app: Flask, worker: object, acme: people.Cast) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme, "Hello {{name}}")
    mia.submit(url(acme, template, "/cases"), {"name": "A case", "variable": "name", "value:name": "Ada"})
    mia.submit(url(acme, template, "/cases/answers"), {"source": "1"})
    mia.submit(url(acme, template, "/runs"), written(variable="name", **{"value:name": "Ada"}))
    runs = db.session.scalars(select(TemplateRun.id).where(TemplateRun.template_id == template.id)).all()
    wait_until(lambda: not any(fresh(id).is_open for id in runs))
    db.session.execute(update(ExecutionBody).where(ExecutionBody.id.in_(runs)).values(text="Said and deleted"))
    db.session.commit()
    places = [url(acme, template, path) for path in ("", "/cases")]
    assert all("Said and deleted" in page(mia.get(place)) for place in places)
    for id in runs:
        mia.submit(f"{acme.home}/executions/{id}/deletion")
    assert not any("Said and deleted" in page(mia.get(place)) for place in places)
    assert "1 missing answer" in page(mia.get(places[1]))
    assert not any(str(id) in page(mia.get(url(acme, template, "/runs"))) for id in runs)


def test_a_deleted_prompt_is_in_the_trash_and_comes_back(app: Flask, acme: people.Cast) -> None:
    mia, adam = people.browser(app, acme.mia), people.browser(app, acme.adam)
    template = people.template(acme, "Hello", name="Letters")
    index = mia.submit(url(acme, template, "/deletion")).headers["HX-Redirect"]
    db.session.refresh(template)
    assert template.deleted_at is not None
    assert template.deleted_by == acme.mia.id
    for path in ("", "/versions", "/cases", "/runs"):
        assert mia.get(url(acme, template, path)).status_code == 410, "whoever may take it out is told where it is"
        assert people.browser(app, acme.victor).get(url(acme, template, path)).status_code == 404
    assert template.name in page(mia.get(f"{acme.home}/trash"))
    assert "is in the trash" in page(mia.get(index))
    assert "Letters" not in page(adam.get(index)), "only whoever did it is offered to undo it"
    assert adam.submit(index, {"name": "Letters"}).status_code == 204, "its name is free"
    assert people.browser(app, acme.victor).submit(url(acme, template, "/restoration")).status_code == 403
    assert mia.submit(url(acme, template, "/restoration")).status_code == 204
    db.session.refresh(template)
    assert (template.name, template.deleted_at) == ("Letters (2)", None)
    assert "Hello" in page(mia.get(url(acme, template)))
    assert mia.submit(url(acme, template, "/restoration")).status_code == 404
    move(adam, acme, template, "production", 1)
    adam.submit(url(acme, template, "/cases"), {"name": "A case"})
    propose = {"source": "draft", "message": "Better"}
    mia.submit(url(acme, template, "/draft"), written("Other"))
    mia.submit(url(acme, template, "/proposals"), propose)
    mia.submit(url(acme, template, "/runs"), written("Other"))
    db.session.execute(text("DELETE FROM templates WHERE id = :id"), {"id": template.id})  # as from the trash, for ever
    db.session.commit()


def test_no_page_asks_more_queries_for_more_rows(app: Flask, worker: object, acme: people.Cast) -> None:
    mia, template = people.browser(app, acme.mia), people.template(acme, "Hello {{name}}")
    index = f"{acme.home}/projects/{acme.project.id}/prompts"
    paths = [
        index,
        *(url(acme, template, path) for path in ("", "/versions", "/cases?source=1", "/proposals", "/runs")),
    ]

    def more(number: int) -> None:
        form = written(f"Bye {{{{name}}}} {number}", variable="name", **{"value:name": "Ada"})
        run_of(page(mia.submit(url(acme, template, "/runs"), form)))
        mia.submit(url(acme, template, "/proposals"), {"source": "draft", "message": "Look"})
        mia.submit(url(acme, template, "/cases"), {"name": f"Case {number}", "variable": "name", "value:name": "Bea"})
        mia.submit(url(acme, template, "/cases/answers"), {"source": "1"})
        db.session.rollback()
        db.session.refresh(template)
        publish(mia, acme, template)
        people.template(acme, "Hello")

    def asked(path: str) -> int:
        statements: list[str] = []
        listener = lambda *details: statements.append(details[2])  # noqa: E731
        event.listen(db.engine, "before_cursor_execute", listener)
        assert mia.get(path).status_code == 200
        event.remove(db.engine, "before_cursor_execute", listener)
        return len(statements)

    more(1)
    wait_until(lambda: not db.session.query(Execution).filter_by(project_id=acme.project.id, finished_at=None).count())
    few = [asked(path) for path in paths]
    for number in (2, 3):
        more(number)
    wait_until(lambda: not db.session.query(Execution).filter_by(project_id=acme.project.id, finished_at=None).count())
    assert [asked(path) for path in paths] == few
    assert max(few) <= 30, few
