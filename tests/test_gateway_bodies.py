"""What a program sends as JSON, as it is read: in whichever way its letters come, the database can hold them. And what
it is told: in whatever words, it is JSON."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from dataelan_web.gateway.errors import Refused
from dataelan_web.gateway.json_body import DEEPEST, body_of
from dataelan_web.models.base import json_bytes

PLAIN = '{"a": "Füße, 한국어, 😀", "b": [{"c": 1.5}]}'
HALF = '{"a": "\ud800", "\udfff": ["\ud83d!"]}'
ESCAPED = r'{"a\u0000": ["b\u0000", "\ud800", "\ud83d\ude00"]}'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
@pytest.mark.parametrize(
    ("said", "read"),
    [
        (PLAIN, {"a": "Füße, 한국어, 😀", "b": [{"c": 1.5}]}),
        (HALF, {"a": "?", "?": ["?!"]}),
        (ESCAPED, {"a�": ["b�", "?", "😀"]}),
    ],
    ids=["plain", "halves", "escaped"],
)
def test_what_no_text_can_hold_is_taken_out_however_it_is_written(encoding: str, said: str, read: Any) -> None:
    assert body_of(said.encode(encoding, "surrogatepass")) == read


def test_nothing_is_deeper_than_it_may_be() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a":' * depth + b"[]" + b"}" * depth

    assert body_of(nested(DEEPEST - 1)) == json.loads(nested(DEEPEST - 1))
    with pytest.raises(Refused):
        body_of(nested(DEEPEST))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_without_end_are_none(number: str) -> None:
    for body in (f'{{"a": {number}}}', f'{{"a": [{{"b": {number}}}]}}'):
        with pytest.raises(Refused):
            body_of(body.encode())


@pytest.mark.parametrize("said", ["half \ud800", 2**70, "größer", {"id": uuid.UUID(int=0)}])
def test_what_goes_out_is_json_whatever_it_holds(said: object) -> None:
    """Also what no UTF-8 can hold, and what is too large for most readers."""
    assert json.loads(json_bytes(said)) == json.loads(json.dumps(said, default=str))
