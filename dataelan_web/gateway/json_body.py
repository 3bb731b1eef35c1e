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
DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=.+-]+)*;base64,(.*)", re.S)


class Strict(BaseModel):
    """Of what is not named, nothing goes anywhere."""

    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True)


Asked = TypeVar("Asked", bound=BaseModel)


def body_of(data: bytes) -> dict[str, Any]:
    """Raises Refused (400) for what is no JSON object."""
    try:
        body = storable(json.loads(data))
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refused(400, "The body must be a JSON object, such as this API's documentation shows.", "invalid_json")
    return body


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


def storable(value: Any, left: int = DEEPEST) -> Any:
    """Without what the database cannot hold: NUL, halves of surrogate pairs, numbers without end, endless depth."""
    if isinstance(value, str):
        return value.replace("\0", "�").encode(errors="replace").decode()
    if not left or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("too deep, or not a number of JSON")
    if isinstance(value, dict):
        return {storable(name, left): storable(held, left - 1) for name, held in value.items()}
    return [storable(held, left - 1) for held in value] if isinstance(value, list) else value
