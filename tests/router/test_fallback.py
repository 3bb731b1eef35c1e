"""An error that comes inside a stream, before its first word: another model answers, and the first is noted as failed.

Providers say “overloaded” most often so, each in its own way, after they have answered 200.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from dataelan_web.router.types import Kind

from .aws_messages import event as aws_event
from .aws_messages import exception
from .test_run import Book, Provider, Reply, ask, impatient, refuses, response, says, step, text, whole  # noqa: F401


def sent(*documents: dict[str, Any]) -> bytes:
    """As an event stream, each with its type as its name."""
    return b"".join(f"event: {one.get('type', '')}\ndata: {json.dumps(one)}\n\n".encode() for one in documents)


def lines(*documents: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in documents)


OVERLOADED = {"type": "overloaded_error", "message": "Overloaded"}
BUSY = {"code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded."}
RATE = {"type": "error", "code": "rate_limit_exceeded", "message": "Slow down"}
AWS = "application/vnd.amazon.eventstream"

# kind -> what its stream holds: an opening where the format has one, and then the error.
STREAMS: dict[str, tuple[bytes, str]] = {
    "openai": (
        sent(
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
            {"error": {"message": "Overloaded", "code": 502}},
        ),
        "text/event-stream",
    ),
    "anthropic": (
        sent(
            {"type": "message_start", "message": {"id": "m", "model": "c", "usage": {"input_tokens": 3}}},
            {"type": "error", "error": OVERLOADED},
        ),
        "text/event-stream",
    ),
    "openai-responses": (
        sent({"type": "response.created", "response": {"id": "r", "status": "in_progress"}}, RATE),
        "text/event-stream",
    ),
    "google": (sent({"error": BUSY}), "text/event-stream"),
    "google-interactions": (sent({"error": BUSY, "type": "error"}), "text/event-stream"),
    "cohere": (
        sent({"type": "message-start", "id": "m"}, {"type": "message-end", "delta": {"finish_reason": "ERROR"}}),
        "text/event-stream",
    ),
    "ollama": (lines({"error": "model runner has unexpectedly stopped"}), "application/x-ndjson"),
    "bedrock": (
        aws_event("messageStart", {"role": "assistant"}) + exception("throttlingException", {"message": "Too many"}),
        AWS,
    ),
    "bedrock-invoke": (exception("modelStreamErrorException", {"message": "It failed"}), AWS),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_an_error_in_a_stream_before_its_first_word_leads_to_the_next_model(kind: str, provider: Provider) -> None:
    stream, type = STREAMS[kind]
    broken, book = Provider(), Book()
    broken.answers(says(response(stream, "200 OK", type)))
    provider.answers(whole)
    assert text(ask(book, step(broken, "anthropic.m", kind=kind), step(provider, "b", "k2"))) == "Hello you"
    broken.close()
    *failed, answered = book.ended
    assert book.begun[-1] == "k2"
    assert answered.failure is None
    assert failed
    assert all(result.failure and result.failure.kind in (Kind.TRANSIENT, Kind.RATE_LIMIT) for result in failed)


@pytest.mark.parametrize("status", [401, 402, 403, 404, 408, 429, 500, 502, 503, 529])
def test_every_refusal_that_another_model_might_not_make_leads_to_it(status: int, provider: Provider) -> None:
    """With 401, 402, 403 and 429 the provider's other key is asked before."""
    first, book = Provider(), Book()
    first.answers(refuses(f"{status} No"))
    provider.answers(whole)
    steps = step(first, "a", "k1"), step(first, "a", "k2"), step(provider, "b", "k3")
    assert text(ask(book, *steps)) == "Hello you"
    first.close()
    assert ("k2" in book.begun) is (status in (401, 402, 403, 429))
    assert book.begun[-1] == "k3"


@pytest.mark.parametrize(
    ("refusal", "asked_again"),
    [
        (refuses("401 Unauthorized"), False),
        (refuses("402 Payment Required"), False),
        (refuses("403 Forbidden"), False),
        (refuses("403 Forbidden", "model_not_found"), True),
        (refuses("429 Too Many Requests"), True),
    ],
)
def test_a_key_that_was_refused_is_not_asked_for_another_model(
    refusal: Reply, asked_again: bool, provider: Provider
) -> None:
    """In the same request; that a model is not for this key says nothing of its others."""
    first, book = Provider(), Book()
    first.answers(refusal)
    provider.answers(whole)
    dear, own = step(first, "a", "k1"), step(first, "b", "k1")
    steps = dear, replace(own, key=dear.key), step(provider, "c", "k2")
    assert text(ask(book, *steps)) == "Hello you"
    first.close()
    assert book.begun == (["k1", "k1", "k2"] if asked_again else ["k1", "k2"])
