"""Requests for something else than words: how one is read, and what makes its reply."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from dataelan_web.local.simulated.wire import Reply


@dataclass(frozen=True)
class Asked:
    """`words` is where directives are looked for; `make` gets them without, and makes the whole reply at once."""

    model: str
    words: str
    make: Callable[[str], Reply]


# Body and content type -> what is asked for. Raises ValueError with a message for the caller.
Reader = Callable[[bytes, str], Asked]


def json_of(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("We could not parse the JSON body of your request.") from None
    if not isinstance(data, dict):
        raise ValueError("The body must be a JSON object.")
    return data


def form_of(body: bytes, content_type: str) -> tuple[MultiDict[str, str], MultiDict[str, FileStorage]]:
    """The fields and files of a multipart form."""
    kind, options = parse_options_header(content_type)
    if kind != "multipart/form-data":
        raise ValueError("The request must be a multipart form.")
    try:
        _, form, files = FormDataParser().parse(io.BytesIO(body), kind, len(body), options)
    except RequestEntityTooLarge:
        raise ValueError("A field of the form is too large.") from None
    return form, files


def text_in(data: dict[str, Any], name: str, otherwise: str | None = None) -> str:
    """A text of the body. Half a surrogate pair is legal in JSON and cannot be sent back as UTF-8."""
    value = data.get(name, otherwise)
    if not isinstance(value, str):
        raise ValueError(f"{name!r} must be a string.")
    return value.encode(errors="replace").decode()
