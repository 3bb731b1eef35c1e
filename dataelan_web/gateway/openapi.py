"""The OpenAPI document of the gateway, made of the table of its calls and of the types that check them."""

from __future__ import annotations

from functools import cache
from typing import Any

from ..api_errors import Api
from .calls import CALLS, LEARN, STEER, TEXT, Call
from .steering import CACHE, KEY, LONGEST, LONGEST_TAG, MOST_TAGS, TAGS, Cache

TAG = f"[^,]{{0,{LONGEST_TAG}}}"
SAID: dict[str, dict[str, Any]] = {
    CACHE: {"enum": list(Cache)},
    KEY: {"minLength": 1},
    TAGS: {"minLength": 1, "pattern": f"^{TAG}(,{TAG}){{0,{MOST_TAGS - 1}}}$"},
}
"""What a header may hold, where that is not any text up to a length."""
EVENTS = {"description": "Messages, as they are made, each with a line of `data`."}
"""No schema: what one is of, tools read in two ways (the text of all, or each message)."""
TITLE = "Dataelan’s gateway"
ABOUT = "The APIs of OpenAI, Anthropic and Gemini, each of which reaches any model that a project may use."
REFUSED = {
    "400": "The request cannot be carried out; the field is named.",
    "401": "No valid token.",
    "402": "A limit is reached, and `url` leads to where more can be asked for; or the provider is not paid.",
    "404": "There is no such model, rule, prompt or run.",
    "409": "The first call under this idempotency key is still running.",
    "413": "The body is too large.",
    "422": "This idempotency key was used for another request.",
    "429": "Too many calls at once; where a limit of Dataelan’s says so, `url` leads to where more can be asked for.",
    "499": "It was stopped.",
    "500": "Dataelan itself failed; the number is in its log.",
    "502": "A provider did not take our key.",
    "503": "No provider answered properly.",
    "504": "A provider took the call and was not heard of again. It may have charged for it.",
}
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "x-goog-api-key": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
}
URL = {"type": "string", "format": "uri", "description": "A page where a person can do something about it."}
HELP = {"type": "array", "description": "One of them may be a google.rpc.Help, with a page for a person."}
ERRORS: dict[Api, dict[str, Any]] = {
    Api.OPENAI: {
        "error": {"type": "object", "required": ["message", "type", "param", "code"], "properties": {"url": URL}}
    },
    Api.ANTHROPIC: {
        "type": {"const": "error"},
        "error": {"type": "object", "required": ["type", "message"], "properties": {"url": URL}},
    },
    Api.GEMINI: {
        "error": {"type": "object", "required": ["code", "message", "status"], "properties": {"details": HELP}}
    },
}


@cache
def document() -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = {f"{api}Error": _error(fields) for api, fields in ERRORS.items()}
    for call in CALLS:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "description": ABOUT, "version": "1"},
        "servers": [{"url": "/"}],
        "security": [{name: []} for name in SCHEMES],
        "paths": paths,
        "components": {"securitySchemes": SCHEMES, "schemas": schemas},
    }


def _error(fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(fields)}


def _operation(call: Call, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": call.id,
        "summary": call.summary,
        "tags": [call.api.value if call.api else "dataelan"],
        "parameters": [*_in_path(call), *(_header(*one) for one in (STEER if call.method == "POST" else ()))],
        "responses": {"200": _answered(call)} | {status: _refused(call, words) for status, words in REFUSED.items()},
    }
    if call.asks:
        operation["requestBody"] = {"required": True, "content": _asked(call, schemas)}
    return operation


def _in_path(call: Call) -> list[dict[str, Any]]:
    names = [part.split("}")[0] for part in call.path.split("{")[1:]]
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for name in names
    ]


def _header(name: str, words: str) -> dict[str, Any]:
    values = SAID.get(name, {"minLength": 1, "maxLength": LONGEST})
    return {"name": name, "in": "header", "description": words, "schema": {"type": "string", **values}}


def _answered(call: Call) -> dict[str, Any]:
    schemas = {"application/json": call.answer, "text/event-stream": EVENTS}
    content = {media_type: {"schema": schemas.get(media_type, TEXT)} for media_type in call.media_types}
    headers = {name: {"description": words, "schema": {"type": "string"}} for names, words in LEARN
               for name in names.split(", ")} if call.method == "POST" else {}  # fmt: skip
    return {"description": call.summary, "content": content, "headers": headers}


def _refused(call: Call, words: str) -> dict[str, Any]:
    """What several APIs share by one address is refused in the form of whoever asks."""
    apis = [call.api] if call.api and call.method == "POST" else list(ERRORS)
    refs = [{"$ref": f"#/components/schemas/{api}Error"} for api in apis]
    schema = refs[0] if len(refs) == 1 else {"anyOf": refs}
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def _asked(call: Call, schemas: dict[str, Any]) -> dict[str, Any]:
    """A request's own types are named after it, since several requests have tools and messages of their own."""
    if call.asks is None:
        return {}
    name = call.asks.__name__
    made = call.asks.model_json_schema(ref_template=f"#/components/schemas/{name}.{{model}}")
    schemas |= {f"{name}.{inner}": schema for inner, schema in made.pop("$defs", {}).items()}
    schemas[name] = made
    example = {"example": call.example} if call.example else {}
    if call.is_form:
        made["properties"]["file"] = {"type": "string", "format": "binary"}
        made["required"] = ["file"]
        return {"multipart/form-data": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}, **example}}
