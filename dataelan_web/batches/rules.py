"""Scores by rule: does an answer contain, match, fit or equal what is wanted? Pure, and bounded in time.

Patterns are Rust's regular expressions (as pydantic has them): whatever is written, the time grows with the answer
and not faster. A JSON schema's own patterns go the same way, it fetches nothing, and its steps are counted.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from pydantic import StringConstraints, TypeAdapter
from pydantic_core import SchemaError
from pydantic_core import ValidationError as NoMatch
from referencing import Registry
from wtforms.validators import ValidationError as FormError

from ..acting.schemas import multiple_of
from ..models import CheckKind
from ..playground.chat_form import check_schema, read_json
from ..prompts.language import render

LONGEST_ANSWER = 400_000
"""Characters of an answer that rules look at."""
LONGEST_PATTERN = 2_000
MOST_STEPS = 20_000
"""Keywords of a schema that one answer is held against: less than a second."""
EXPECTED = "expected"


class Wrong(ValueError):
    """A rule that cannot be; the message is fit to show."""


@dataclass(frozen=True)
class Verdict:
    passed: bool
    reason: str = ""


def settings_of(kind: CheckKind, text: str, *, loosely: bool) -> dict[str, Any]:
    """What is kept of a rule. `text`: what is looked for, with {{column}} for what a row says. Raises Wrong."""
    text = text.strip("\r\n") if kind is not CheckKind.EQUAL else text.strip()
    if kind is CheckKind.EQUAL:
        text = text or "{{" + EXPECTED + "}}"
    if not text.strip():
        raise Wrong("Write what to look for.")
    if len(text) > 50_000:
        raise Wrong("At most 50,000 characters.")
    if kind is CheckKind.REGEX:
        _pattern(text, loosely=loosely)
    if kind is CheckKind.SCHEMA:
        _schema(text)
    return {"text": text, "loosely": loosely}


def judge(kind: CheckKind, settings: Mapping[str, Any], answer: str, row: Mapping[str, str]) -> Verdict:
    """`row`: by column's name, and what is expected as `expected`."""
    answer, wanted, loosely = answer[:LONGEST_ANSWER], settings["text"], settings["loosely"]
    match kind:
        case CheckKind.CONTAINS:
            wanted = render(wanted, row)
            if not wanted.strip():
                return Verdict(False, "This row says nothing to look for.")
            return Verdict(_plain(wanted, loosely=loosely) in _plain(answer, loosely=loosely))
        case CheckKind.REGEX:
            return Verdict(matches(wanted, answer, loosely=loosely))
        case CheckKind.SCHEMA:
            return _fits(wanted, answer)
        case CheckKind.EQUAL:
            return _equals(render(wanted, row), answer, loosely=loosely)
    raise ValueError(f"{kind} is no rule")


def matches(pattern: str, text: str, *, loosely: bool) -> bool:
    """Somewhere in the text. Raises Wrong."""
    try:
        _pattern(pattern, loosely=loosely).validate_python(text)
    except NoMatch:
        return False
    return True


@lru_cache(maxsize=64)
def _pattern(pattern: str, *, loosely: bool) -> TypeAdapter[str]:
    if len(pattern) > LONGEST_PATTERN:
        raise Wrong(f"A pattern has {LONGEST_PATTERN:,} characters at most.")
    try:
        return TypeAdapter(Annotated[str, StringConstraints(pattern=f"(?i:{pattern})" if loosely else pattern)])
    except (SchemaError, re.error) as error:
        said = str(error).splitlines()
        why = next((line.split("error: ", 1)[1] for line in said if "error: " in line), said[-1])
        raise Wrong(f"This is no pattern that can be used: {why.strip(' .')[:200]}.") from None


def _plain(text: str, *, loosely: bool) -> str:
    """Loosely: capitals and white space do not count, nor how a letter is composed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()) if loosely else text


def _equals(wanted: str, answer: str, *, loosely: bool) -> Verdict:
    if not wanted.strip():
        return Verdict(False, "This row says nothing to compare with.")
    if loosely:
        ends = " .!\"'“”‘’`"
        return Verdict(_plain(wanted, loosely=True).strip(ends) == _plain(answer, loosely=True).strip(ends))
    return Verdict(wanted.strip() == answer.strip())


# -- JSON schema ---------------------------------------------------------------------------------

UNKNOWN = {"patternProperties", "unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$dynamicAnchor"}
"""Keywords whose work nothing here bounds."""


def _schema(text: str) -> dict[str, Any]:
    """Raises Wrong."""
    try:
        schema = read_json(text)
        check_schema(schema)
        if used := sorted(UNKNOWN & set(_keys(schema))):
            raise Wrong(f"A rule does not know {', '.join(used)}.")
        _Bounds().of(schema)
    except FormError as error:
        raise Wrong(str(error)) from None
    except RecursionError:
        raise Wrong("The schema is nested too deeply.") from None
    return schema  # type: ignore[no-any-return]


def _keys(schema: Any) -> Iterator[str]:
    for value in schema if isinstance(schema, list) else schema.values() if isinstance(schema, dict) else ():
        yield from _keys(value)
    if isinstance(schema, dict):
        yield from schema


def _fits(text: str, answer: str) -> Verdict:
    try:
        value = json.loads(json_in(answer))
    except (ValueError, RecursionError):
        return Verdict(False, "The answer is no JSON.")
    try:
        problem = next(_Bounds().of(json.loads(text)).iter_errors(value), None)
    except (TooMuch, RecursionError):
        return Verdict(False, "The schema takes too long for this answer.")
    except Exception as error:  # whatever a library raises for a reference to what is no schema
        return Verdict(False, f"The schema cannot be used: {str(error)[:200]}")
    if problem is None:
        return Verdict(True)
    place = ".".join(map(str, problem.absolute_path))
    return Verdict(False, f"{place + ': ' if place else ''}{problem.message[:300]}")


def json_in(answer: str) -> str:
    """Without the fence that models like to put around JSON."""
    text = answer.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        return text.split("\n", 1)[1].rsplit("```", 1)[0]
    return text


class TooMuch(Exception):
    """The schema asks more of an answer than a rule may look at."""


class _Bounds:
    """One use of a schema: each keyword that is looked at counts, whichever way it was come to."""

    def __init__(self) -> None:
        self.left = MOST_STEPS

    def of(self, schema: dict[str, Any]) -> Any:
        """A validator that fetches nothing, and takes the schema for what we check whatever it says it is."""
        plain = {"pattern": _matches_pattern, "uniqueItems": _unique, "multipleOf": multiple_of}
        keywords = {name: self._counted(plain.get(name, act)) for name, act in Draft202012Validator.VALIDATORS.items()}
        known = {name: value for name, value in schema.items() if name not in ("$schema", "$id")}
        return extend(Draft202012Validator, keywords)(known, registry=Registry())  # type: ignore[no-untyped-call]

    def _counted(self, act: Any) -> Any:
        def look(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
            self.left -= 1
            if self.left < 0:
                raise TooMuch
            yield from act(validator, value, instance, schema) or ()

        return look


def _matches_pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not matches(pattern, instance, loosely=False):
        yield ValidationError(f"{instance[:60]!r} does not match {pattern[:60]!r}")


def _unique(validator: Any, is_wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    things = instance if is_wanted and isinstance(instance, list) else []
    if len({json.dumps(one, sort_keys=True) for one in things}) < len(things):
        yield ValidationError("It has the same thing twice")
