"""Google's Gemini: generateContent and streamGenerateContent, of the Gemini API and of Vertex AI.

Source: googleapis/python-genai (6680718) and recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any
from urllib.parse import quote

from dataelan_web.router.providers import failures, json_mode
from dataelan_web.router.providers.conversation import tool_names, turns, with_shown
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.framing import MEBIBYTE, decoder
from dataelan_web.router.providers.gemini_answer import GeminiAnswer
from dataelan_web.router.providers.json_values import (
    broken,
    counted,
    first_count,
    mapping,
    mappings,
    parse,
    parse_or_none,
    string,
)
from dataelan_web.router.types import (
    Call,
    Decoder,
    FilePart,
    ImagePart,
    ListedModel,
    Part,
    Prompt,
    TextPart,
    ThoughtPart,
    ToolResult,
    ToolUse,
    Unsupported,
)

# An image or a sound is one event of a stream.
EVENT_LIMIT = 32 * MEBIBYTE

# Thinking budgets, which models with thinking levels accept as well; the numbers are those of Google's own OpenAI
# imitation (ai.google.dev/gemini-api/docs/openai#thinking).
_THINKING_BUDGETS: Mapping[str, int] = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}

# Gemini 3 refuses a tool call in the history without the signature it once gave. Where that is gone (another model may
# have made the call), this is the documented word for it (ai.google.dev/gemini-api/docs/thought-signatures).
_NO_SIGNATURE = "skip_thought_signature_validator"


class Gemini(Format):
    options = frozenset({"top_k", "frequency_penalty", "presence_penalty", "logprobs", "safetySettings", "unblocked"})

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        body = _context(prompt)
        if settings := prompt.options.get("safetySettings") or prompt.options.get("unblocked"):
            body["safetySettings"] = settings
        if config := _generation_config(prompt):
            body["generationConfig"] = config
        verb = "streamGenerateContent?alt=sse" if prompt.stream else "generateContent"
        return Call(f"{self.base_url}/{model_path(model)}:{verb}", body, key_headers(key))

    def count_call(self, prompt: Prompt, model: str, key: str) -> Call:
        """Gemini's own API counts system and tools only within a whole request; Vertex AI knows no such thing."""
        path, body = model_path(model), _context(prompt)
        if "/publishers/" not in f"{self.base_url}/{path}":
            body = {"generateContentRequest": {"model": path, **body}}
        return Call(f"{self.base_url}/{path}:countTokens", body, key_headers(key))

    def counted(self, body: bytes) -> int:
        return counted(body, "totalTokens")

    def decoder(self) -> Decoder:
        return decoder(GeminiAnswer(), EVENT_LIMIT)

    def list_call(self, key: str) -> Call:
        return Call(f"{self.base_url}/models?pageSize=1000", headers=key_headers(key), method="GET")

    def listed(self, body: bytes) -> list[ListedModel]:
        document = mapping(parse(body.decode("utf-8", "replace")))
        if document.get("error"):
            raise failures.failure_in_answer(document)
        if not isinstance(document.get("models"), list):
            raise broken("The provider's answer is JSON, but not a list of models. Check the base URL.")
        return [_listed_model(model) for model in mappings(document["models"]) if string(model.get("name"))]


def _context(prompt: Prompt) -> dict[str, Any]:
    """All that is read, and so counted."""
    names = tool_names(prompt.messages)
    body: dict[str, Any] = {
        "contents": [
            {"role": "model" if by_assistant else "user", "parts": wire_parts(parts, names)}
            for by_assistant, parts in turns(prompt.messages)
        ]
    }
    if prompt.system:
        body["systemInstruction"] = {"parts": [{"text": prompt.system}]}
    return body | _tools(prompt)


def key_headers(key: str) -> dict[str, str]:
    """Never in the URL, where logs and error messages would repeat it. Vertex AI takes OAuth access tokens as well."""
    if key.startswith("ya29."):
        return {"Authorization": f"Bearer {key}"}
    return {"x-goog-api-key": key} if key else {}


def model_path(model: str) -> str:
    """`models/…`, and tuned models or Vertex AI's publishers under their own path."""
    return quote(model if "/" in model else f"models/{model}", safe="/-._~@")


def wire_parts(parts: list[Part], names: Mapping[str, str]) -> list[dict[str, Any]]:
    wire: list[dict[str, Any]] = []
    seal: dict[str, str] = {}
    for part, shown in _by_call(parts, names):
        if isinstance(part, ThoughtPart):
            wire += [{"text": "", **seal}] if seal else []
            seal = {"thoughtSignature": part.seal}
            continue
        wire.append(_part(part, names, shown) | seal)
        seal = {}
    wire += [{"text": "", **seal}] if seal else []
    calls = [part for part in wire if "functionCall" in part]
    if calls and not any("thoughtSignature" in call for call in calls):
        calls[0]["thoughtSignature"] = _NO_SIGNATURE  # of parallel calls only the first carries one
    return wire


def _by_call(parts: list[Part], names: Mapping[str, str]) -> Iterator[tuple[Part, list[Part]]]:
    """Each part with what is shown in it. A result names its function and no call, so that of two calls of one function
    the first result is the first call's: results go in the order of their calls, in which `names` has them."""
    told, place = [*with_shown(parts)], {id: number for number, id in enumerate(names)}
    results = ((place.get(part.id, len(place)), (part, shown)) for part, shown in told if isinstance(part, ToolResult))
    ordered = iter([one for _, one in sorted(results, key=itemgetter(0))])
    return (next(ordered) if isinstance(part, ToolResult) else (part, shown) for part, shown in told)


def _part(part: Part, names: Mapping[str, str], shown: Sequence[Part] = ()) -> dict[str, Any]:
    match part:
        case TextPart(text):
            return {"text": text}
        case ImagePart(url=url) | FilePart(url=url) if url:
            return {"fileData": {"fileUri": url} | ({"mimeType": part.media_type} if part.media_type else {})}
        case ImagePart(media_type, data) | FilePart(media_type, data):
            return {"inlineData": {"mimeType": media_type or "image/png", "data": data}}
        case ToolUse(_, name, arguments):
            return {"functionCall": {"name": name, "args": mapping(parse_or_none(arguments))}}
        case ToolResult():
            return {"functionResponse": _result(part, names, shown)}
        case ThoughtPart():
            raise Unsupported("A thought is of the part that follows it.")


def _result(result: ToolResult, names: Mapping[str, str], shown: Sequence[Part]) -> dict[str, Any]:
    """Pictures and files have a place of their own, words have not, and what failed says so under `error`
    (types.FunctionResponse)."""
    text = "".join((result.text, *(part.text for part in shown if isinstance(part, TextPart))))
    answer = parse_or_none(text)
    says_all = isinstance(answer, dict) and (not result.is_error or "error" in answer)
    response = answer if says_all else {"error" if result.is_error else "result": text}
    files = [_part(part, names) for part in shown if not isinstance(part, TextPart)]
    said = {"name": result.name or names.get(result.id, result.id), "response": response}
    return said | ({"parts": files} if files else {})


def _generation_config(prompt: Prompt) -> dict[str, Any]:
    options = {
        "maxOutputTokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "topP": prompt.top_p,
        "topK": prompt.options.get("top_k"),
        "frequencyPenalty": prompt.options.get("frequency_penalty"),
        "presencePenalty": prompt.options.get("presence_penalty"),
        "responseLogprobs": "logprobs" in prompt.options or None,
        "logprobs": prompt.options.get("logprobs") or None,
        "stopSequences": list(prompt.stop) or None,
        "seed": prompt.seed,
        "responseMimeType": "application/json" if prompt.schema is not None else None,
        "responseJsonSchema": None if prompt.schema is None or json_mode.is_asked(prompt) else dict(prompt.schema),
        "thinkingConfig": _thinking(prompt),
    }
    return {name: value for name, value in options.items() if value is not None}


def _thinking(prompt: Prompt) -> dict[str, Any] | None:
    effort, budget = prompt.reasoning_effort, prompt.thinking_budget
    if budget is None:
        if not effort:
            return {"includeThoughts": True} if prompt.summary else None
        budget = _THINKING_BUDGETS.get(effort, _THINKING_BUDGETS["high"])
    return {"thinkingBudget": budget, "includeThoughts": True} if budget else {"thinkingBudget": 0}


def _tools(prompt: Prompt) -> dict[str, Any]:
    if not prompt.tools:
        return {}
    declarations = [
        {"name": tool.name, "description": tool.description}
        | ({"parametersJsonSchema": dict(tool.parameters)} if tool.parameters else {})
        for tool in prompt.tools
    ]
    tools: dict[str, Any] = {"tools": [{"functionDeclarations": declarations}]}
    if prompt.tool_choice:
        modes = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
        named = {"mode": "ANY", "allowedFunctionNames": [prompt.tool_choice]}
        choice = {"mode": modes[prompt.tool_choice]} if prompt.tool_choice in modes else named
        tools["toolConfig"] = {"functionCallingConfig": choice}
    return tools


def _listed_model(model: Mapping[str, Any]) -> ListedModel:
    methods = model.get("supportedGenerationMethods")
    able = {"chat"} if isinstance(methods, list) and "generateContent" in methods else set()
    if isinstance(methods, list) and "embedContent" in methods:
        able.add("embeddings")
    if model.get("thinking") is True:
        able.add("reasoning")
    return ListedModel(
        string(model.get("name")).removeprefix("models/"),
        string(model.get("displayName")),
        first_count(model.get("inputTokenLimit")),
        first_count(model.get("outputTokenLimit")),
        capabilities=tuple(sorted(able)) if isinstance(methods, list) else None,
    )
