"""JSON Schemas that people write, and values that models write: held against each other in bounded time.

The library would fetch a `$ref` from another host, match a `pattern` with an engine that can take for ever, compare
every item with every other, and follow references that double at each step. None of that is done here.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import referencing
from jsonschema import validators
from jsonschema.exceptions import SchemaError, ValidationError

MOST_STEPS = 200_000
"""Keywords that are looked at for one value."""
LONGEST = 300
"""Characters of what is said to be wrong."""
LARGEST = 64 * 1024
"""Characters of a schema."""


class BadSchema(ValueError):
    """No schema that can be used; the message says why."""


class _TooMuch(Exception):
    pass


_steps = threading.local()


def check(schema: Any) -> None:
    """Raises BadSchema for what is no JSON Schema of an object that can be used here."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise BadSchema('It must describe an object: {"type": "object", "properties": …}.')
    if len(json.dumps(schema)) > LARGEST:
        raise BadSchema(f"It has more than {LARGEST // 1024} KB.")
    if not isinstance(schema.get("$schema", ""), str):
        raise BadSchema("$schema must be text.")
    try:
        validators.validator_for(schema).check_schema(schema)
        for keyword, value, place in _keywords(schema, "$"):
            _check_keyword(schema, keyword, value, place)
        problem(schema, {})
    except SchemaError as error:
        place = "".join(f"[{json.dumps(step)}]" for step in error.absolute_path)
        raise BadSchema(
            f"It is no JSON Schema: {error.message[:LONGEST]}{f' (at {place})' if place else ''}."
        ) from None
    except RecursionError:
        raise BadSchema("It is nested too deeply.") from None


def problem(schema: Mapping[str, Any], value: Any) -> str:
    """What is wrong with the value, with its place; empty: it fits. Raises BadSchema for a schema that breaks."""
    _steps.left = MOST_STEPS
    plain = {name: one for name, one in schema.items() if name != "$schema"}  # which would bring back the library's own
    try:
        validator = _validator(validators.validator_for(schema))(plain, registry=_NONE)
        error = next(validator.iter_errors(value), None)
    except _TooMuch:
        return "It takes too long to hold this against the schema."
    except RecursionError:
        raise BadSchema("A reference of the schema leads to itself.") from None
    except Exception as broken:  # whatever a library raises for a reference to what is no schema
        raise BadSchema(f"A reference of the schema leads nowhere: {str(broken)[:LONGEST]}") from None
    return f"{error.json_path}: {_said(error.message)}" if error else ""


def _said(message: str) -> str:
    return message if len(message) <= LONGEST else f"{message[: LONGEST - 100]} … {message[-99:]}"


def _keywords(schema: Any, place: str) -> Iterator[tuple[str, Any, str]]:
    if isinstance(schema, dict):
        for name, value in schema.items():
            yield name, value, place
            yield from _keywords(value, f"{place}.{name}")
    elif isinstance(schema, list):
        for number, one in enumerate(schema):
            yield from _keywords(one, f"{place}[{number}]")


def _check_keyword(schema: dict[str, Any], keyword: str, value: Any, place: str) -> None:
    in_properties = place.endswith((".properties", ".$defs", ".definitions"))
    if keyword == "patternProperties" and not in_properties:
        raise BadSchema(f"patternProperties cannot be used (at {place}). Name the properties, or use propertyNames.")
    if keyword == "$ref" and isinstance(value, str) and not value.startswith("#"):
        raise BadSchema(f"A $ref must stay in the schema: write “#/$defs/…” (at {place}).")
    if keyword == "$ref" and isinstance(value, str) and value.startswith("#/") and not _leads(schema, value):
        raise BadSchema(f"{value} leads nowhere (at {place}).")
    if keyword == "$schema" and place != "$" and not in_properties:
        raise BadSchema(f"$schema can only stand at the top (not at {place}).")
    if keyword == "pattern" and isinstance(value, str) and not in_properties:
        try:
            _matches(value, "")
        except ValueError as error:
            raise BadSchema(f"The pattern at {place} cannot be used: {error}") from None


def _leads(schema: Any, pointer: str) -> bool:
    for step in pointer[2:].split("/"):
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(schema, list) and name.isdecimal() and int(name) < len(schema):
            schema = schema[int(name)]
        elif isinstance(schema, dict) and name in schema:
            schema = schema[name]
        else:
            return False
    return True


# -- keywords of our own ---------------------------------------------------------------------------

_NONE: Any = referencing.Registry()
"""What a reference may lead to beside the schema itself: nothing."""


def _counted(keyword: Callable[..., Any]) -> Callable[..., Any]:
    def look(validator: Any, *rest: Any) -> Any:
        _steps.left -= 1
        if _steps.left < 0:
            raise _TooMuch
        return keyword(validator, *rest)

    return look


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, str):
        try:
            fits = _matches(pattern, value)
        except ValueError as error:
            raise SchemaError(str(error)) from None
        if not fits:
            yield ValidationError(f"{value!r} does not match {pattern!r}")


def _unique(validator: Any, wanted: bool, value: Any, schema: Any) -> Iterator[ValidationError]:
    if wanted and isinstance(value, list):
        seen = {json.dumps(item, sort_keys=True) for item in value}
        if len(seen) < len(value):
            yield ValidationError("it has the same item twice")


def multiple_of(validator: Any, of: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    """By the digits as they are written: to the library 19.99 is no multiple of 0.01, and it breaks on what no float
    holds."""
    if validator.is_type(value, "number"):
        try:
            fits = Fraction(str(value)) % Fraction(str(of)) == 0
        except (ValueError, ZeroDivisionError):  # NaN, infinity, or a schema that was never looked at
            fits = False
        if not fits:
            yield ValidationError(f"{value!r} is not a multiple of {of!r}")


def _refused(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    raise SchemaError("patternProperties cannot be used")


@lru_cache(maxsize=16)
def _validator(of: Any) -> Any:
    own = {"pattern": _pattern, "uniqueItems": _unique, "multipleOf": multiple_of, "patternProperties": _refused}
    return validators.extend(of, {name: _counted(one) for name, one in (of.VALIDATORS | own).items()})  # type: ignore[no-untyped-call]


def _matches(pattern: str, text: str) -> bool:
    """As JSON Schema means it, anywhere in the text; in linear time (Rust's regex, as in routing rules)."""
    import cel

    try:
        return bool(_program().execute(cel.Context({"text": text, "pattern": pattern})))
    except Exception as error:  # whatever a foreign evaluator raises
        raise ValueError(" ".join(str(error).rpartition("error:")[2].split())[:LONGEST]) from error


@lru_cache(maxsize=1)
def _program() -> Any:
    import cel

    return cel.compile("text.matches(pattern)")
