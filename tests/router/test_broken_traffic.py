"""Whatever arrives: a decoder gives Events or a Failure, and never another exception."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataelan_web.router.providers import KINDS, adapter
from dataelan_web.router.types import Adapter, Again, Done, Event, Kind, Task, Usage

from .recordings import ANSWERS, BASE_URLS, FORMATS, INDEX, answer, decoded, decoder_for, needs_recordings

EVERY = [(kind, task) for kind, tasks in KINDS.items() for task in tasks]


def adapter_of(form: tuple[str, Task]) -> Adapter:
    kind, task = form
    return adapter(kind, BASE_URLS.get(kind, "https://provider.example/v1"), task)


def is_an_end(event: Event) -> bool:
    """An answer is whole, or it is that of a job which is to be asked after."""
    return isinstance(event, Done | Again)


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(EVERY),
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=300).map(lambda content: b"data: " + content + b"\n\n"),
        st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=4)).map(
            lambda value: b'{"choices":' + repr(value).encode() + b"}"
        ),
    ),
    st.integers(1, 9),
)
def test_random_bytes_are_a_failure_or_events(form: tuple[str, Task], body: bytes, size: int) -> None:
    events, failure = decoded(adapter_of(form).decoder(), body, size)
    assert failure is not None or is_an_end(events[-1])


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(EVERY), st.integers(100, 599), st.binary(max_size=300))
def test_a_random_error_body_is_a_failure_with_words(form: tuple[str, Task], status: int, body: bytes) -> None:
    failure = adapter_of(form).failure(status, body)
    assert failure.message
    assert failure.status == status


STRANGE = [
    "null",
    "[]",
    "{}",
    "-1",
    "1e999",
    '"\\ud800"',
    "[[1]]",
    "true",
    '{"index":7}',
    "NaN",
    "9" * 40,
    '"error"',
    "",
]


def damaged(body: bytes, chance: Any) -> bytes:
    """A recording after an accident: cut, with a hole, with changed bytes, or with a strange value in it."""
    at = chance.randrange(len(body) + 1)
    length = chance.choice([1, 2, 10, 200])
    match chance.randrange(4):
        case 0:
            return body[:at]
        case 1:
            return body[:at] + body[at + length :]
        case 2:
            return body[:at] + chance.randbytes(length) + body[at + length :]
    start = body.find(b":", at) + 1
    end = next((place for place in range(start, len(body)) if body[place] in b",}]"), len(body))
    return body[:start] + chance.choice(STRANGE).encode() + body[end:]


@needs_recordings
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(ANSWERS or ["none"]), st.randoms(use_true_random=False), st.sampled_from([1, 7, 1000]))
def test_a_damaged_answer_is_events_or_a_failure_and_never_another_exception(id: str, chance: Any, size: int) -> None:
    body = answer(id)[1][:20_000]
    for _ in range(chance.randrange(1, 4)):
        body = damaged(body, chance)
    events, failure = decoded(decoder_for(id), body, size)
    assert failure is not None or is_an_end(events[-1])
    for event in events:
        if isinstance(event, Usage):
            assert all(counter is None or counter >= 0 for counter in event.counters)


@needs_recordings
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("api", FORMATS)
def test_a_stream_that_breaks_off_is_transient(api: str, share: float) -> None:
    for row in INDEX:
        if row["api"] != api or not row["stream"] or row["status"] >= 400:
            continue
        body = answer(row["id"])[1]
        _, its_own = decoded(decoder_for(row["id"]), body, 1000)
        events, failure = decoded(decoder_for(row["id"]), body[: int(len(body) * share)], 1000)
        # Late in a stream the finish reason may have been said already; then nothing that matters is missing. And a
        # stream that ends in an error of its own may have said that.
        assert failure is None or failure.kind in (Kind.TRANSIENT, its_own and its_own.kind), row["id"]
        assert failure is not None or is_an_end(events[-1])
