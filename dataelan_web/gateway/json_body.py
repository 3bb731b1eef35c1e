"""A request's JSON, read and checked. What each call may hold is said once, as types; pydantic does the checking."""

from __future__ import annotations

import json
import math
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import Refused

DEEPEST = 100
MOST_TOKENS = 1_000_000_000  # so that no price makes more of it than a column holds
ESCAPED, HALVES, OF_NO_UTF8 = b"\\u", b"\xed", b"\0"
"""One of these is in a body where a text in it holds what `storable` takes out: it is escaped there, or half a pair as
UTF-8 would write it, beside Korean letters; and JSON in no UTF-8 has bytes of NUL."""
DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=.+-]+)*;base64,(.*)", re.S)


class Strict(BaseModel):
    """Of what is not named, nothing goes anywhere."""

    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True)


Asked = TypeVar("Asked", bound=BaseModel)


def body_of(data: bytes) -> dict[str, Any]:
    """As the database can hold it. Raises Refused (400) for what is no JSON object."""
    try:
        body = json.loads(data)
        if not isinstance(body, dict):
            raise ValueError("no object")
        _check(body)
    except (ValueError, RecursionError):
        word = "The body must be a JSON object, such as this API's documentation shows."
        raise Refused(400, word, "invalid_json") from None
    is_plain = ESCAPED not in data and HALVES not in data and OF_NO_UTF8 not in data
    return body if is_plain else {storable(name): storable(held) for name, held in body.items()}


def checked(body: Any, form: type[Asked], place: str = "") -> Asked:
    """Raises Refused (400) naming the first field that is wrong. `place`: where in the request this is."""
    try:
        return form.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        steps = [str(step) for step in first["loc"] if isinstance(step, int) or _is_name(step)]
        field = ".".join([*([place] if place else []), *steps])
        raise Refused(400, f"{field}: {first['msg']}", "invalid_value", field) from error


def unsupported(field: str, why: str) -> Refused:
    """A field that asks for something that nothing here can carry."""
    return Refused(400, f"{field}: {why}", "unsupported_field", field)


def _is_name(step: str) -> bool:
    """pydantic also says which alternative it tried: `str`, `list[ContentPart]` …"""
    return bool(re.fullmatch(r"[a-zA-Z_]+", step)) and step not in ("str", "list") and not step[0].isupper()


def _check(value: dict[str, Any] | list[Any], left: int = DEEPEST) -> None:
    """Raises ValueError for numbers without end, and for endless depth."""
    if not left:
        raise ValueError("too deep")
    for held in value.values() if isinstance(value, dict) else value:
        if isinstance(held, (dict, list)):
            _check(held, left - 1)
        elif isinstance(held, float) and not math.isfinite(held):
            raise ValueError("not a number of JSON")


def storable(value: Any) -> Any:
    """Without what no text of the database can hold: NUL, and halves of surrogate pairs."""
    if isinstance(value, str):
        return value.replace("\0", "�").encode(errors="replace").decode()
    if isinstance(value, dict):
        return {storable(name): storable(held) for name, held in value.items()}
    return [storable(held) for held in value] if isinstance(value, list) else value
