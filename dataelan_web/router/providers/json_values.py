"""Reading JSON that somebody else wrote: nothing here trusts a type, a size or a shape.

The small readers (`mapping`, `mappings`, `string`, `count`) turn anything unexpected into "not there", so an
adapter reads `string(mapping(doc.get("a")).get("b"))` and never meets an exception.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from dataelan_web.router.types import Failure, Kind

WEB_PAGE = "The provider answered with a web page, not with JSON. Check the base URL."
NOT_JSON = "The provider's answer is not valid JSON; it may have been cut off."

# No answer has a thousand million tokens; a larger number is garbage, and sums of two must fit a database's integer.
LARGEST_COUNT = 10**9


def broken(message: str) -> Failure:
    """An answer that cannot be understood. Transient: the same request often succeeds the next time."""
    return Failure(Kind.TRANSIENT, message, code="bad_answer")


def parse(text: str) -> Any:
    """JSON, strictly: NaN, absurd nesting and absurd numbers are refused like any other garbage."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise broken(WEB_PAGE if text.lstrip().startswith("<") else NOT_JSON) from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def parse_or_none(text: str) -> Any:
    try:
        return parse(text)
    except Failure:
        return None


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def mappings(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; whatever else is in it is skipped."""
    return [item for item in sequence(value) if isinstance(item, dict)]


def string(value: Any) -> str:
    """Text that can be stored and sent on: NUL (which no database takes as text) and half a surrogate pair (legal
    in JSON, not in UTF-8) become U+FFFD."""
    if not isinstance(value, str):
        return ""
    text = value.replace("\0", "\ufffd")
    if text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def count(value: Any) -> int | None:
    """A number of tokens, or None for everything that is not one (negative, text, 1.5, 1e999, true)."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_COUNT:
        return None
    return value


def first_count(*values: Any) -> int | None:
    """The first that is a count, for facts that every provider keeps elsewhere."""
    return next((found for found in map(count, values) if found is not None), None)


def compact(value: Any) -> str:
    """JSON text of a parsed value, as short as providers write it."""
    return string(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
