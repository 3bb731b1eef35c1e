"""Real traffic of many providers must be read as what it says, wherever its bytes are cut."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from dataelan_web.router import pricing
from dataelan_web.router.providers.failures import masked
from dataelan_web.router.types import (
    Again,
    Asset,
    AssetAt,
    Done,
    Embedding,
    Event,
    Finish,
    Kind,
    Ranked,
    Reasoning,
    Refusal,
    Segment,
    Task,
    Text,
    ToolCall,
    Usage,
    Verdict,
)

from .recordings import (
    ANSWERS,
    BATCHES,
    COUNTS,
    FILES,
    INDEX,
    LISTS,
    REFUSALS,
    adapter_for,
    answer,
    decoded,
    decoder_for,
    expectations,
    format_of,
    headers,
    joined,
    needs_recordings,
    of_each_provider,
)

PARSED = (
    '{"title":"Apples are tasty","author":"Hadley Wickham"}',
    "Cloudflare sends the answer to a schema as an object, which expected.json reads as no text",
)
THOUGHT = "usage.tokens.reasoning_tokens says so"

# Where expected.json says nothing and we read more: id -> field -> (our value, where it is said).
MORE: dict[str, dict[str, tuple[Any, str]]] = {
    "bedrock.bedrock-invoke-stream.stream.fc782166ad": {
        "finish": ("content_filter", "amazon-bedrock-guardrailAction says that a guardrail intervened")
    },
    "cohere.cohere-chat-v2.cache.e82573254e": {"reasoning": (28, THOUGHT)},
    "cohere.cohere-chat-v2.image-in.205578698d": {"reasoning": (0, THOUGHT)},
    "cohere.cohere-chat-v2.image-in.70b9c5f73d": {"reasoning": (0, THOUGHT)},
    "cohere.cohere-chat-v2.tools.8757748f63": {"reasoning": (304, THOUGHT)},
    "snowflake.openai-chat.stream.8ec052540e": {"reasoning_text": ("15 * 27 = 405", "in reasoning_details only")},
}

# Where we mean something else than expected.json does, exchange by exchange: id -> field -> (our value, reason).
EXCEPTIONS: dict[str, dict[str, tuple[Any, str]]] = {
    "cloudflare.openai-chat.structured.919dfc37a2": {"text": PARSED},
    "cloudflare.openai-chat.structured.973887bf25": {"text": PARSED},
    "gemini.gemini-generate.video-in.07b5b8dff6": {
        "input_audio": (36, "285 of the 321 were read from the cache, which is a counter of its own")
    },
    "perplexity.openai-embeddings.embeddings.ef4c11a2d7": {
        "embeddings": (
            {"count": 3, "dims": 256, "first_values": pytest.approx([-41, -1, 0])},
            "its base64 is of int8, which expected.json reads as float32",
        )
    },
}
# Failures inside an answer of status 200, of which only the words tell the kind.
KINDS = {"openai.openai-responses.error.501de15e94": Kind.BILLING}

# Nano-USD per million tokens, so that a token of each class costs a whole number of them.
RATES = pricing.Rates(input=5_000_000, output=30_000_000, cache_read=1_000_000, cache_write=7_000_000)

# Bedrock's answers do not name their model, or only in its maker's words; expected.json takes it from the address.
MODEL_FROM_ADDRESS = "bedrock-"

# A stream without its end is a broken line for us, though expected.json takes its text for whole.
CUT_OFF = {"vertexai.gemini-generate.stream.30368d97b8": "a fixture shortened by hand: no finishReason anywhere"}


# -- what an answer must say -----------------------------------------------------------------------


by_provider = pytest.mark.parametrize("ids", of_each_provider(ANSWERS).values(), ids=of_each_provider(ANSWERS))


@needs_recordings
@by_provider
def test_an_exchange_is_read_as_what_it_says(ids: list[str], subtests: pytest.Subtests) -> None:
    """What was refused is in test_recorded_failures.py."""
    for id in ids:
        with subtests.test(id):
            assert_is_read_as_what_it_says(id)


def assert_is_read_as_what_it_says(id: str) -> None:
    expected, (_, body) = expectations()[id], answer(id)
    events, failure = decoded(decoder_for(id), body, len(body))
    if id in CUT_OFF:
        assert failure is not None
        assert failure.code == "cut_off"
        assert joined(events) == [Text(expected["text"])]
    elif expected.get("status") == "canceled":
        assert failure is not None
        assert (failure.kind, failure.code) == (Kind.ABORTED, "job_failed")
    elif expected.get("job") and expected["status"] != "succeeded":
        assert failure is None, failure
        assert isinstance(events[-1], Again), "a job that is not over is asked after"
        assert expected["job"]["id"] in events[-1].call.url
    elif expected["finish_reason"] in ("queued", "in_progress"):
        assert failure is None, failure
        assert isinstance(events[-1], Again)
        assert events[-1].call.url.endswith(f"/responses/{expected['response_id']}")
    elif expected["error"]:
        assert failure is not None
        kind = KINDS.get(id) or KINDS_BY_STATUS[expected["error"]["status"]]
        assert (failure.kind, failure.message) == (kind, masked(" ".join(expected["error"]["message"].split())))
    else:
        assert failure is None, failure
        told = adapter_for(id).told(headers(id))
        seen, want = observed([told, *events]), wanted(id, expected_answer(expected))
        assert {name: seen[name] for name in want} == want


SHORT = 8_000
"""Bytes. A longer exchange repeats itself: cut into sevens, its pieces end everywhere in what it repeats."""


@pytest.mark.sweep
@needs_recordings
@by_provider
def test_an_exchange_says_the_same_however_it_is_cut(ids: list[str], subtests: pytest.Subtests) -> None:
    for id in ids:
        with subtests.test(id):
            _, body = answer(id)
            whole, failure = decoded(decoder_for(id), body, len(body))
            for size in (1, 7) if len(body) <= SHORT else (7,):
                pieces, also = decoded(decoder_for(id), body, size)
                assert pieces == whole
                assert str(also) == str(failure)


@needs_recordings
def test_every_exchange_is_read_by_somebody() -> None:
    """Answers here, refusals in test_recorded_failures.py, and what is no answer to a prompt in files of its own."""
    read = {*ANSWERS, *REFUSALS, *LISTS, *COUNTS, *BATCHES, *FILES}
    assert [row["id"] for row in INDEX if row["id"] not in read] == []


@needs_recordings
def test_more_is_read_only_where_nothing_is_expected() -> None:
    names = {
        "finish": ("finish_norm",),
        "reasoning": ("usage", "reasoning_tokens"),
        "reasoning_text": ("reasoning_text",),
    }
    for id, fields in MORE.items():
        for name in fields:
            place: Any = expectations()[id]
            for step in names[name]:
                place = place.get(step)
            assert not place, (id, name)


def wanted(id: str, fields: dict[str, Any]) -> dict[str, Any]:
    ours = {**EXCEPTIONS.get(id, {}), **MORE.get(id, {})}
    return fields | {name: value for name, (value, _) in ours.items()}


def observed(events: list[Event]) -> dict[str, Any]:
    usage = Usage()
    for event in events:
        usage = usage.updated(event) if isinstance(event, Usage) else usage
    done = events[-1]
    assert isinstance(done, Done), "an answer ends with Done"
    assert sum(isinstance(event, Done) for event in events) == 1
    return {
        "text": "".join(event.delta for event in events if type(event) is Text),
        "refusal": "".join(event.delta for event in events if isinstance(event, Refusal)),
        "reasoning_text": "".join(event.delta for event in events if isinstance(event, Reasoning)),
        "finish": done.finish.value,
        "raw": done.raw,
        "model": done.model,
        "response_id": done.response_id,
        "tool_calls": tool_calls(events),
        "assets": [found for event in events if (found := asset(event))],
        **observed_sound(events),
        "embeddings": observed_embeddings(events),
        "rerank": [(event.index, event.score) for event in events if isinstance(event, Ranked)],
        "moderation": [(event.is_flagged, list(event.categories)) for event in events if isinstance(event, Verdict)],
        **observed_usage(usage),
    }


def observed_sound(events: list[Event]) -> dict[str, Any]:
    segments = [event for event in events if isinstance(event, Segment)]
    return {"segments": len(segments), "speakers": sorted({segment.speaker for segment in segments})}


def observed_embeddings(events: list[Event]) -> dict[str, Any] | None:
    vectors = [event for event in events if isinstance(event, Embedding)]
    if not vectors:
        return None
    assert [event.index for event in vectors] == list(range(len(vectors)))
    (size,) = {len(event.vector) for event in vectors}
    return {"count": len(vectors), "dims": size, "first_values": list(vectors[0].vector[:3])}


def asset(event: Event) -> str:
    """What can be compared of it: its hash, or its address."""
    if isinstance(event, AssetAt):
        return event.url
    return hashlib.sha256(event.content).hexdigest() if isinstance(event, Asset) else ""


def observed_usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_total": usage.input_total if usage.input is not None else None,
        "output_total": usage.output_total if usage.output is not None or usage.reasoning is not None else None,
        "cached": usage.cache_read,
        "reasoning": usage.reasoning,
        "input_audio": usage.input_audio,
        "input_image": usage.input_image,
        "output_audio": usage.output_audio,
        "output_image": usage.output_image,
        "seconds": None if usage.seconds is None else float(usage.seconds),
        "searches": usage.requests,
        "cost": pricing.cost(usage, RATES),
    }


def tool_calls(events: list[Event]) -> list[tuple[str, str, Any]]:
    calls: dict[int, list[str]] = {}
    for event in events:
        if isinstance(event, ToolCall):
            call = calls.setdefault(event.index, ["", "", ""])
            call[0], call[1], call[2] = call[0] + event.id, call[1] + event.name, call[2] + event.arguments
    assert list(calls) == list(range(len(calls))), "calls are numbered from 0 in the order they begin"
    return [(call_id, name, _json_or_text(arguments)) for call_id, name, arguments in calls.values()]


def _json_or_text(text: str) -> Any:
    """expected.json takes no arguments at all for an empty object."""
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


# -- what expected.json says of it --------------------------------------------------------------------


def expected_answer(expected: dict[str, Any]) -> dict[str, Any]:
    """What every answer must say, and the rest of it where `expected.json` does."""
    return (
        _expected_words(expected)
        | _expected_sound(expected)
        | expected_usage(expected.get("usage") or {}, has_output=not makes_media(expected))
        | _expected_lists(expected)
        | ({"embeddings": _expected_embeddings(found)} if (found := expected.get("embeddings")) else {})
    )


def _expected_words(expected: dict[str, Any]) -> dict[str, Any]:
    calls = expected["tool_calls"] or []
    names = [name for name in ("model", "response_id") if expected.get(name) or not makes_media(expected)]
    names = [name for name in names if name != "model" or not expected["api"].startswith(MODEL_FROM_ADDRESS)]
    assets = [*(expected.get("images") or []), *([expected["audio"]] if expected.get("audio") else [])]
    return {
        "refusal": expected.get("refusal") or "".join(expected.get("rai_filtered") or []),
        "text": expected["text"] or "",
        "reasoning_text": expected.get("reasoning_text") or "",
        "finish": expected.get("finish_norm") or silent_finish(expected),
        "raw": expected["finish_reason"] or expected.get("prompt_blocked") or "",
        **{name: expected.get(name) or "" for name in names},
        "tool_calls": [(call["id"] or "", call["name"], call["arguments"]) for call in calls],
        "assets": [found.get("sha256") or found["url"] for found in assets],
    }


def makes_media(expected: dict[str, Any]) -> bool:
    """Sound, transcripts, vectors …: `expected.json` gives their ids and models a few times only."""
    found = format_of(expected)
    return found is not None and found[1] not in (Task.CHAT, Task.IMAGE)


def silent_finish(expected: dict[str, Any]) -> str:
    """Of an answer that does not say why it ends: pictures that are there are whole, and so are sound and vectors."""
    if expected.get("rai_filtered"):
        return Finish.CONTENT_FILTER.value
    return Finish.STOP.value if expected.get("images") or makes_media(expected) else Finish.OTHER.value


def _expected_sound(expected: dict[str, Any]) -> dict[str, Any]:
    """Words without segments are grouped into segments by us, so only segments that are told can be counted."""
    told = {name: expected[name] for name in ("segments", "speakers") if name in expected}
    used = (expected.get("usage") or {}).get("seconds")
    seconds = used if used is not None else expected.get("duration")
    return told if seconds is None else told | {"seconds": pytest.approx(seconds)}


def _expected_lists(expected: dict[str, Any]) -> dict[str, Any]:
    ranking = [(one["index"], one["score"]) for one in expected.get("rerank") or []]
    verdicts = [(one["flagged"], one["categories_true"]) for one in expected.get("moderation") or []]
    return {name: found for name, found in (("rerank", ranking), ("moderation", verdicts)) if found}


def _expected_embeddings(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "count": found["count"],
        "dims": found["dims"],
        "first_values": pytest.approx(found["first_values"], abs=1e-6),
    }


def expected_usage(usage: dict[str, Any], *, has_output: bool = True) -> dict[str, Any]:
    """A part that is reported larger than its whole is cut to it: counters are disjoint and never negative. Voyage
    tells a total only, which is all input where nothing is written."""
    total_in, total_out = usage.get("input_total"), usage.get("output_total")
    total_in = usage.get("total_tokens") if total_in is None and not has_output else total_in
    searches = {"searches": usage["search_units"]} if "search_units" in usage else {}
    costs = {} if usage.get("input_total") is None or total_out is None else {"cost": expected_cost(usage)}
    cached, reasoning = usage.get("cached_tokens"), usage.get("reasoning_tokens")
    plain = {
        "input": (total_in or 0) - (cached or 0) - (usage.get("cache_write_tokens") or 0),
        "output": (total_out or 0) - (reasoning or 0),
    }
    parts = {
        f"{side}_{kind}": min(tokens, max(plain[side], 0))
        for side in plain
        for kind in ("audio", "image")
        if (tokens := usage.get(f"{kind}_{side}_tokens")) is not None
    }
    return (
        parts
        | searches
        | costs
        | {
            "input_total": total_in,
            "output_total": total_out,
            "cached": cached if cached is None or total_in is None else min(cached, total_in),
            "reasoning": reasoning if reasoning is None or total_out is None else min(reasoning, total_out),
        }
    )


def expected_cost(usage: dict[str, Any]) -> int:
    """Each class of tokens once, at its own price. Others err both ways: cached tokens charged in full, or taken off a
    count that never held them. Some providers charge other tokens than they count (Cohere)."""
    billed = (usage.get("billed_input_tokens"), usage.get("billed_output_tokens"))
    if billed != (None, None):
        return 5 * (billed[0] or 0) + 30 * (billed[1] or 0)
    total, written = usage["input_total"], usage.get("cache_write_tokens") or 0
    cached = min(usage.get("cached_tokens") or 0, total)
    return 5 * (total - cached - written) + cached + 7 * written + 30 * usage["output_total"]


# From the status that expected.json gives to a failure inside an answer.
KINDS_BY_STATUS = {
    200: Kind.BAD_REQUEST,  # Groq's tool_use_failed inside a stream, which says 400 of itself
    400: Kind.BAD_REQUEST,
    429: Kind.RATE_LIMIT,
    500: Kind.TRANSIENT,
}
