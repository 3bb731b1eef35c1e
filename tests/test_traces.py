"""Traces: from a request through the queue to each call of a model, as a collector gets them over HTTP."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from dataelan_web import traces
from dataelan_web.extensions import db
from dataelan_web.models import RoutingRule, RoutingRuleModel, Strategy, new_id
from dataelan_web.router.types import Finish
from dataelan_web.traces import names, tracer

from . import people
from .conftest import wait_until
from .receiver import Receiver, receiver
from .test_logs import messages_for_us, work

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass(frozen=True)
class Span:
    name: str
    trace: str
    id: str
    parent: str
    kind: int
    about: dict[str, Any]
    raw: str


@contextmanager
def collector(monkeypatch: pytest.MonkeyPatch, *, holds_words: bool = False) -> Iterator[Receiver]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    with receiver() as there:
        there.answers = [200] * 1000
        exporter = OTLPSpanExporter(endpoint=there.url.replace("/hook", "/v1/traces"))
        tracer.begin(exporter, holds_words=holds_words)
        try:
            yield there
        finally:
            tracer.begin(None)


def spans(there: Receiver) -> dict[str, Span]:
    """By the beginning of their names."""
    found = {}
    for got in there.got:
        assert got.path == "/v1/traces"
        body = gzip.decompress(got.body) if got.headers.get("content-encoding") == "gzip" else got.body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                about = {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}
                ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                found[span.name.split()[0]] = Span(span.name, *ids, span.kind, about, str(span))
    return found


def test_a_trace_goes_from_the_browser_through_the_queue_to_the_call_of_the_model(
    app: Flask, acme: people.Cast, simulated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mia, form = people.browser(app, acme.mia), {"text": "A CANARY sings", "model": "simulated/simulated-instant"}
    with collector(monkeypatch) as there, messages_for_us(app) as ours:
        sent = {"submission": uuid.uuid4().hex, **form}
        mia.submit(f"{acme.session_url}/executions", sent, headers={"traceparent": PARENT})
        work(app, ours)
        wait_until(lambda: len(spans(there)) == 3)
        request, run, call = (spans(there)[name] for name in ("POST", "dataelan", "chat"))
    assert request.trace == run.trace == call.trace
    assert request.trace not in PARENT, "what a browser sends there counts for nothing"
    assert (request.parent, run.parent, call.parent) == ("", request.id, run.id)
    assert request.name == "POST /o/<slug>/sessions/<uuid:id>/executions"
    assert (request.kind, run.kind, call.kind) == (2, 5, 3), "server, consumer, client"
    assert request.about[names.HTTP_STATUS] == 201
    assert run.about[names.STATE] == "completed"
    assert run.about[names.CONVERSATION] == str(acme.session.id)
    assert call.name == "chat simulated-instant"
    assert call.about["gen_ai.operation.name"] == "chat"
    assert call.about["gen_ai.request.model"] == "simulated-instant"
    assert call.about["gen_ai.usage.input_tokens"] > 0
    assert call.about["gen_ai.usage.output_tokens"] > 0
    assert call.about["dataelan.attempt.outcome"] == "completed"
    assert not any("CANARY" in one.raw or "sings" in one.raw for one in (request, run, call))


def test_a_trace_says_why_that_model_answered(
    app: Flask, acme: people.Cast, simulated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = people.own_model(acme, people.own_provider(acme, "http://127.0.0.1:9/v1"), "small", context_window=2)
    rule = RoutingRule(id=new_id(), organization_id=acme.organization.id, name="thrifty", strategy=Strategy.ORDERED)
    rule.models = [RoutingRuleModel(model=one, position=n) for n, one in enumerate((small, people.simulated_model()))]
    db.session.add(rule)
    db.session.commit()
    asked = {"model": "thrifty", "messages": [{"role": "user", "content": "A CANARY sings"}]}
    with collector(monkeypatch) as there:
        headers = {"Authorization": f"Bearer {acme.token()}"}
        answer = app.test_client().post("/v1/chat/completions", json=asked, headers=headers, buffered=True)
        assert answer.status_code == 200
        wait_until(lambda: len(spans(there)) == 3)
        run = spans(there)["dataelan"]
    for words in ("dataelan.decided", "thrifty", "small: ", "simulated-instant"):
        assert words in run.raw
    assert "CANARY" not in run.raw


def test_the_gateway_goes_on_with_a_programs_trace_and_words_are_told_only_where_the_operator_says_so(
    app: Flask, acme: people.Cast, simulated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"model": "simulated/simulated-instant", "messages": [{"role": "user", "content": "A CANARY sings"}]}
    headers = {"Authorization": f"Bearer {acme.token()}", "traceparent": PARENT}
    with collector(monkeypatch, holds_words=True) as there:
        for body in (asked, asked | {"stream": True}):
            there.got.clear()
            answer = app.test_client().post("/v1/chat/completions", json=body, headers=headers, buffered=True)
            assert answer.status_code == 200
            wait_until(lambda: len(spans(there)) == 3)
            request, run, call = (spans(there)[name] for name in ("POST", "dataelan", "chat"))
            assert f"00-{request.trace}-{request.parent}-01" == PARENT
            assert (run.parent, call.parent, run.trace) == (request.id, run.id, request.trace)
            assert run.kind == 1, "internal: no message lies between"
            assert '"content": "A CANARY sings"' in call.about["gen_ai.input.messages"]
            assert '"finish_reason": "stop"' in call.about["gen_ai.output.messages"]
        there.got.clear()
        spoken = {"contents": [{"role": "user", "parts": [{"text": "Sing"}]}]}
        answer = app.test_client().post(
            "/v1beta/models/simulated-instant:generateContent", json=spoken, headers=headers, buffered=True
        )
        assert answer.status_code == 200
        wait_until(lambda: len(spans(there)) == 3)
        assert f"00-{spans(there)['POST'].trace}-{spans(there)['POST'].parent}-01" == PARENT, "of Gemini’s form too"
        with people.failing_model("500") as model:
            there.got.clear()
            answer = app.test_client().post(
                "/v1/chat/completions", json=asked | {"model": model.name}, headers=headers, buffered=True
            )
            wait_until(lambda: len(spans(there)) == 3)
            request, run, call = (spans(there)[name] for name in ("POST", "dataelan", "chat"))
    assert run.about["error.type"] == call.about["error.type"]
    assert call.about["dataelan.attempt.outcome"] == "failed"
    assert request.about["http.response.status_code"] == answer.status_code >= 400


def test_why_an_answer_ended_is_told_in_the_words_of_the_conventions() -> None:
    known = {"stop", "length", "content_filter", "tool_call", "error"}
    assert set(names.FINISHES) == set(Finish)
    assert {names.FINISHES[one] for one in Finish if one is not Finish.OTHER} <= known


def test_where_nothing_is_traced_nothing_is_made_or_handed_on() -> None:
    assert tracer.tracer() is None
    assert traces.handed_on() == {}
    with traces.continued({"traceparent": PARENT}):
        assert traces.handed_on() == {}
    assert names.provider_of("bedrock-runtime.eu-west-1.amazonaws.com", "Ours") == "aws.bedrock"
    assert names.provider_of("api.x.ai", "xAI") == "x_ai"
    assert names.provider_of("10.0.0.1", "Our server") == "our server"
