"""Reading a model list in OpenAI's form. OpenAI itself says only names; others add limits, dates and abilities, each
in its own place (recorded: Groq, Mistral, OpenRouter, Venice, GitHub Copilot, Together, vLLM)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dataelan_web.router.parameters import SEED, STOP, TEMPERATURE, TOP_P
from dataelan_web.router.providers.failures import failure_in_answer, is_error
from dataelan_web.router.providers.json_values import broken, first_count, mapping, mappings, parse, sequence, string
from dataelan_web.router.types import ListedModel, Task

# Our word for an ability <- what providers call it, as a flag or as a supported request parameter.
_ABILITIES: Mapping[str, tuple[str, ...]] = {
    "chat": ("completion_chat",),
    "tools": ("function_calling", "tools", "tool_calls", "supportsFunctionCalling"),
    "vision": ("vision", "supportsVision"),
    "audio": ("audio", "supportsAudioInput"),
    "reasoning": ("reasoning", "reasoning_effort", "adaptive_thinking", "supportsReasoning"),
    "json_schema": ("structured_outputs", "json_schema", "supportsResponseSchema"),
}
# Together and Vercel say what a model makes; what writes is told apart no further.
_TASKS = {
    "image": Task.IMAGE,
    "embedding": Task.EMBEDDING,
    "rerank": Task.RERANK,
    "moderation": Task.MODERATION,
    "video": Task.VIDEO,
}
# OpenRouter says what comes out of each; what draws, though it may say something beside, is for pictures. Sound beside
# words (“audio”) is a conversation.
_MADE = {
    "image": Task.IMAGE,
    "speech": Task.SPEECH,
    "transcription": Task.TRANSCRIPTION,
    "embeddings": Task.EMBEDDING,
    "rerank": Task.RERANK,
}
# Mistral has a flag for each.
_FLAGGED = {"audio_speech": Task.SPEECH, "audio_transcription": Task.TRANSCRIPTION}
_MODALITIES = {"image": "vision", "audio": "audio"}


def listed(body: bytes) -> list[ListedModel]:
    document = parse(body.decode("utf-8", "replace"))
    if is_error(mapping(document)):
        raise failure_in_answer(document)
    models = document if isinstance(document, list) else mapping(document).get("data")  # Together: a bare list
    if models is None and mapping(document).get("object") == "model":
        models = [document]
    if not isinstance(models, list):
        raise broken("The provider's answer is JSON, but not a list of models. Check the base URL.")
    return [_model(model) for model in mappings(models) if string(model.get("id"))]


def _model(model: Mapping[str, Any]) -> ListedModel:
    said = mapping(model.get("model_spec"))  # Venice
    top = mapping(model.get("top_provider"))  # OpenRouter
    limits = mapping(mapping(model.get("capabilities")).get("limits"))  # GitHub Copilot
    return ListedModel(
        string(model.get("id")),
        string(model.get("display_name")) or string(said.get("name")) or string(model.get("name")),
        first_count(
            top.get("context_length"),  # what OpenRouter can really serve, where the model could do more
            model.get("context_length"),
            model.get("context_window"),
            model.get("max_context_length"),
            model.get("max_model_len"),  # vLLM
            said.get("availableContextTokens"),
            limits.get("max_context_window_tokens"),
        ),
        first_count(
            top.get("max_completion_tokens"),
            model.get("max_completion_tokens"),
            model.get("max_output_length"),
            said.get("maxCompletionTokens"),
            limits.get("max_output_tokens"),
        ),
        _shutdown(
            model.get("deprecation"),
            model.get("expiration_date"),
            mapping(said.get("deprecation")).get("date"),
            mapping(model.get("deprecation")).get("inference"),  # Azure
        ),
        _capabilities(model),
        string(model.get("deprecation_replacement_model")),  # Mistral
        task=_TASKS.get(string(model.get("type"))) or _making(model),
        refuses=_refuses({string(name) for name in sequence(model.get("supported_parameters"))}),
    )


def _making(model: Mapping[str, Any]) -> Task | None:
    flags = mapping(model.get("capabilities"))
    if made := next((task for word, task in _FLAGGED.items() if flags.get(word) is True), None):
        return made
    words = sequence(mapping(model.get("architecture")).get("output_modalities"))
    return next((task for word, task in _MADE.items() if word in words), None)


def _refuses(supported: set[str]) -> tuple[str, ...] | None:
    """OpenRouter says which parameters each of its models takes; None where nobody says."""
    if not supported:
        return None
    return tuple(name for name in (TEMPERATURE, TOP_P, SEED, STOP) if name not in supported)


def _shutdown(*candidates: Any) -> str | None:
    """The day a model ends, as the provider writes it; seconds since 1970 become ISO 8601."""
    for value in candidates:
        if text := string(value):
            return text
        if type(value) is int and 0 < value < 10**11:
            return datetime.fromtimestamp(value, UTC).isoformat()
    return None


def _capabilities(model: Mapping[str, Any]) -> tuple[str, ...] | None:
    """None when the provider says nothing of the kind, which is not the same as a model that can do nothing."""
    architecture = mapping(model.get("architecture"))
    inputs = model.get("input_modalities") or architecture.get("input_modalities")
    flags = mapping(model.get("capabilities")) or mapping(mapping(model.get("model_spec")).get("capabilities"))
    flags = {**flags, **mapping(flags.get("supports"))}
    parameters = {string(name) for name in sequence(model.get("supported_parameters"))}
    if not (inputs or flags or parameters):
        return None
    true = {name for name, value in flags.items() if value} | parameters
    if flags.get("completion_chat") is False:  # so Mistral says of models that read scans or speak, and that they call
        true.discard("function_calling")
    able = {ours for ours, theirs in _ABILITIES.items() if true.intersection(theirs)}
    able |= {_MODALITIES[name] for name in map(string, sequence(inputs)) if name in _MODALITIES}
    return tuple(sorted(able))
