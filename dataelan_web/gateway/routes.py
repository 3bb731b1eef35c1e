from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response, jsonify, request

from ..executions.counting import count
from ..executions.submit import in_memory
from ..router.types import Failure
from . import errors, model_lists, runs
from .answering import answered, json_body, wanted
from .anthropic import messages
from .blueprint import bp
from .errors import Refused
from .gemini import generate
from .inbound import Inbound
from .openai import chat, embeddings, images, responses, speech, transcriptions
from .steering import steering
from .tokens import authenticate, read_by


@bp.post("/v1/chat/completions")
def chat_completions() -> Response:
    return answered(lambda token: chat.read(json_body()))


@bp.post("/v1/responses")
def create_response() -> Response:
    return answered(lambda token: responses.read(json_body(), token.project))


@bp.post("/v1/embeddings")
def create_embeddings() -> Response:
    return answered(lambda token: embeddings.read(json_body()))


@bp.post("/v1/images/generations")
def generate_images() -> Response:
    return answered(lambda token: images.read(json_body()))


@bp.post("/v1/audio/speech")
def speak() -> Response:
    return answered(lambda token: speech.read(json_body()))


@bp.post("/v1/audio/transcriptions")
def transcribe() -> Response:
    return answered(lambda token: transcriptions.read(request.form, request.files))


@bp.post("/v1/messages")
def create_message() -> Response:
    return answered(lambda token: messages.read(json_body()))


@bp.post("/v1/messages/count_tokens")
def count_message_tokens() -> Response:
    """As the provider that would answer counts them; `x-dataelan-estimated: true` where that is our own guess."""
    return _counted(messages.to_count, "input_tokens")


@bp.post("/v1beta/models/<path:model>:generateContent")
@bp.post("/v1/models/<path:model>:generateContent", endpoint="generate_content_v1")
def generate_content(model: str) -> Response:
    return answered(lambda token: generate.read(json_body(), model, streams=False, is_sse=False))


@bp.post("/v1beta/models/<path:model>:streamGenerateContent")
@bp.post("/v1/models/<path:model>:streamGenerateContent", endpoint="stream_generate_content_v1")
def stream_generate_content(model: str) -> Response:
    is_sse = request.args.get("alt") == "sse"
    return answered(lambda token: generate.read(json_body(), model, streams=True, is_sse=is_sse))


@bp.post("/v1beta/models/<path:model>:countTokens")
@bp.post("/v1/models/<path:model>:countTokens", endpoint="count_content_tokens_v1")
def count_content_tokens(model: str) -> Response:
    return _counted(lambda body: generate.to_count(body, model), "totalTokens")


@bp.get("/v1/models")
@bp.get("/v1beta/models", endpoint="models_v1beta")
def models() -> Response:
    """What this project can name as `model`: its models, its rules, its prompts, and `auto`."""
    token = authenticate()
    return jsonify(model_lists.whole(model_lists.listed(token), errors.asked_by()))


@bp.get("/v1/models/<model_name:name>")
@bp.get("/v1beta/models/<model_name:name>", endpoint="model_v1beta")
def model(name: str) -> Response:
    token = authenticate()
    return jsonify(model_lists.one_of(model_lists.listed(token), name, errors.asked_by()))


@bp.get("/v1/executions/<id>")
def execution(id: str) -> Response:
    """The receipt of one call, by its execution's id or its answer's."""
    return jsonify(runs.told(runs.find(authenticate().project, id)))


def _counted(read: Callable[[dict[str, Any]], Inbound], field: str) -> Response:
    token, asked = read_by(authenticate(), lambda _: read(json_body()))
    try:
        found = count(in_memory(wanted(token, asked, steering())), asked.prompt)
    except Failure as failure:
        raise Refused.of(failure) from failure
    response = jsonify({field: found.tokens})
    if found.by is None:
        response.headers["x-dataelan-estimated"] = "true"
    return response
