"""Reading JSON that somebody else wrote: nothing here trusts a type, a size or a shape.

The small readers (`mapping`, `mappings`, `string`, `count`) turn anything unexpected into "not there", so an
adapter reads `string(mapping(doc.get("a")).get("b"))` and never meets an exception.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from dataelan_web.router.types import Failure, Kind

WEB_PAGE = "The provider answered with a web page, not with JSON. Check the base URL."
NOT_JSON = "The provider's answer is not valid JSON; it may have been cut off."

# No answer has a thousand million tokens; a larger number is garbage, and sums of two must fit a database's integer.
LARGEST_COUNT = 10**9

# An empty list takes 80 bytes of memory and three of JSON, so that a few megabytes could fill a machine. The largest
# honest documents are a few long strings (pictures) or very many numbers (2,000 embeddings of 1,536 dimensions).
MOST = {"[": 150_000, "{": 150_000, '"': 1_000_000, ",": 3_200_000}
SURELY_FEW = 1024 * 1024

_BLANKS = " \t\n\r"
_HALF = re.compile("[\ud800-\udfff]")
"""Of a surrogate pair."""


def broken(message: str) -> Failure:
    """An answer that cannot be understood. Transient: the same request often succeeds the next time."""
    return Failure(Kind.TRANSIENT, message, code="bad_answer")


def parse(text: str) -> Any:
    """JSON, strictly: NaN, absurd nesting and absurd numbers are refused like any other garbage."""
    if len(text) > SURELY_FEW and any(text.count(mark) > most for mark, most in MOST.items()):
        raise broken("The provider's answer holds more values than Dataelan accepts.")
    text = text.lstrip(_BLANKS)
    try:
        document, end = _strict.raw_decode(text)
        if end == len(text) or not text[end:].strip(_BLANKS):
            return document
    except (ValueError, RecursionError):  # it holds the text, so nothing is raised from it
        pass
    raise broken(WEB_PAGE if text[:1000].lstrip().startswith("<") else NOT_JSON)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_strict = json.JSONDecoder(parse_constant=_refuse)


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
    text = value.replace("\0", "\ufffd") if "\0" in value else value
    if text.isascii() or not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def count(value: Any) -> int | None:
    """A number of tokens, or None for everything that is not one (negative, text, 1.5, 1e999, true).

    6.0 is a count as 6 is: JSON has one kind of number, and some providers write all of theirs so."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= LARGEST_COUNT else None


def written_count(value: Any) -> int | None:
    """A count, or one written as text, as protobuf writes 64 bits."""
    return count(int(value)) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}", value) else count(value)


def first_count(*values: Any) -> int | None:
    """The first that is a count, for facts that every provider keeps elsewhere."""
    for value in values:
        if value is not None and (found := count(value)) is not None:
            return found
    return None


def counted(body: bytes, name: str) -> int:
    """The number under this name, in an answer that is there to tell it. Raises Failure."""
    found = count(mapping(parse(body.decode("utf-8", "replace"))).get(name))
    if found is None:
        raise broken(f"The provider's answer does not tell how many tokens there are ({name}).")
    return found


def compact(value: Any) -> str:
    """JSON text of a parsed value, as short as providers write it."""
    return string(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
