"""What an official client makes of an answer, whoever gives it: a line of JSON in for each call, and one out.

    {"form": "chat", "url": "http://…", "key": "…", "model": "…", "stream": true}

It is run by a Python that has the client, and needs nothing of ours.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

NOT_INSTALLED = 3
SECONDS = 20
QUESTION = "Hi"
Said = dict[str, Any]


def value(said: str) -> Any:
    """Of arguments: as a document, where it is one."""
    try:
        return json.loads(said)
    except ValueError:
        return said


def of(one: Any, *names: str) -> Any:
    """What is there; None where something on the way is not."""
    for name in names:
        one = getattr(one, name, None)
    return one


# -- OpenAI ------------------------------------------------------------------------------------------


def chat(openai: Any, asked: Said) -> Said:
    client = openai.OpenAI(base_url=f"{asked['url']}/v1", api_key=asked["key"], max_retries=0, timeout=SECONDS)
    told = client.chat.completions.create(
        model=asked["model"],
        messages=[{"role": "user", "content": QUESTION}],
        **({"stream": True, "stream_options": {"include_usage": True}} if asked["stream"] else {}),
    )
    return chat_in_pieces(told) if asked["stream"] else chat_whole(told)


def chat_whole(told: Any) -> Said:
    message = told.choices[0].message
    return {
        "text": message.content or "",
        "refusal": message.refusal or "",
        "thought": of(message, "reasoning_content") or "",
        "calls": [[call.function.name, value(call.function.arguments)] for call in message.tool_calls or ()],
        "end": told.choices[0].finish_reason,
        "usage": chat_usage(told.usage),
    }


def chat_in_pieces(told: Iterable[Any]) -> Said:
    said: Said = {"text": "", "refusal": "", "thought": "", "calls": [], "end": None, "usage": None}
    calls: dict[int, list[str]] = {}
    for piece in told:
        said["usage"] = chat_usage(piece.usage) or said["usage"]
        for choice in piece.choices[:1]:
            said["text"] += choice.delta.content or ""
            said["refusal"] += choice.delta.refusal or ""
            said["thought"] += of(choice.delta, "reasoning_content") or ""
            said["end"] = choice.finish_reason or said["end"]
            for call in choice.delta.tool_calls or ():
                known = calls.setdefault(call.index, ["", ""])
                known[0] += call.function.name or ""
                known[1] += call.function.arguments or ""
    return said | {"calls": [[name, value(arguments)] for name, arguments in calls.values()]}


def chat_usage(usage: Any) -> Any:
    if usage is None:
        return None
    cached = of(usage, "prompt_tokens_details", "cached_tokens") or 0
    thought = of(usage, "completion_tokens_details", "reasoning_tokens") or 0
    return [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens, cached, thought]


def responses(openai: Any, asked: Said) -> Said:
    client = openai.OpenAI(base_url=f"{asked['url']}/v1", api_key=asked["key"], max_retries=0, timeout=SECONDS)
    told = client.responses.create(model=asked["model"], input=QUESTION, stream=asked["stream"])
    if asked["stream"]:
        ends = ("response.completed", "response.incomplete", "response.failed")
        *_, told = (event.response for event in told if event.type in ends)
    said: Said = {"text": "", "refusal": "", "thought": "", "calls": []}
    for item in told.output:
        for part in (of(item, "content") or ()) if item.type == "message" else ():
            said["refusal" if part.type == "refusal" else "text"] += of(part, "text") or of(part, "refusal") or ""
        if item.type == "reasoning":
            said["thought"] += "".join(part.text for part in item.summary or ())
        if item.type == "function_call":
            said["calls"].append([item.name, value(item.arguments)])
    used = told.usage
    usage = used and [
        used.input_tokens,
        used.output_tokens,
        used.total_tokens,
        of(used, "input_tokens_details", "cached_tokens") or 0,
        of(used, "output_tokens_details", "reasoning_tokens") or 0,
    ]
    return said | {"end": [told.status, of(told, "incomplete_details", "reason")], "usage": usage}


# -- Anthropic ---------------------------------------------------------------------------------------


def messages(anthropic: Any, asked: Said) -> Said:
    client = anthropic.Anthropic(base_url=asked["url"], api_key=asked["key"], max_retries=0, timeout=SECONDS)
    wanted = {"model": asked["model"], "max_tokens": 500, "messages": [{"role": "user", "content": QUESTION}]}
    if asked["stream"]:
        with client.messages.stream(**wanted) as events:
            told = events.get_final_message()
    else:
        told = client.messages.create(**wanted)
    blocks = told.content
    return {
        "text": "".join(block.text for block in blocks if block.type == "text"),
        "thought": "".join(block.thinking for block in blocks if block.type == "thinking"),
        "seals": [block.signature for block in blocks if block.type == "thinking"]
        + [block.data for block in blocks if block.type == "redacted_thinking"],
        "calls": [[block.name, block.input] for block in blocks if block.type == "tool_use"],
        "end": [told.stop_reason, told.stop_sequence],
        "usage": [
            told.usage.input_tokens,
            told.usage.output_tokens,
            told.usage.cache_read_input_tokens or 0,
            told.usage.cache_creation_input_tokens or 0,
        ],
    }


# -- Google ------------------------------------------------------------------------------------------


def generate(genai: Any, asked: Said) -> Said:
    client = genai.Client(api_key=asked["key"], http_options={"base_url": asked["url"], "timeout": SECONDS * 1000})
    wanted = {"model": asked["model"], "contents": QUESTION}
    if asked["stream"]:
        told = list(client.models.generate_content_stream(**wanted))
    else:
        told = [client.models.generate_content(**wanted)]
    said: Said = {"text": "", "thought": "", "seals": [], "calls": [], "files": []}
    said |= {"blocked": None, "end": None, "usage": None}
    for document in told:
        said["blocked"] = of(document, "prompt_feedback", "block_reason", "value") or said["blocked"]
        for candidate in (document.candidates or ())[:1]:
            for part in of(candidate, "content", "parts") or ():
                said["thought" if part.thought else "text"] += part.text or ""
                if part.function_call:
                    said["calls"].append([part.function_call.name, part.function_call.args or {}])
                if part.inline_data and not part.thought:
                    said["files"].append([part.inline_data.mime_type, len(part.inline_data.data)])
                if part.thought_signature:
                    said["seals"].append(part.thought_signature.hex())
            said["end"] = of(candidate, "finish_reason", "value") or said["end"]
        said["usage"] = google_usage(document.usage_metadata) or said["usage"]
    return said


def google_usage(used: Any) -> Any:
    if used is None:
        return None
    names = ("prompt", "candidates", "total", "cached_content", "thoughts")
    return [of(used, f"{name}_token_count") or 0 for name in names]


FORMS: dict[str, tuple[str, Callable[[Any, Said], Said]]] = {
    "chat": ("openai", chat),
    "responses": ("openai", responses),
    "messages": ("anthropic", messages),
    "generate": ("google.genai", generate),
}


def answered(asked: Said) -> Said:
    module, ask = FORMS[asked["form"]]
    try:
        return ask(importlib.import_module(module), asked)
    except Exception as error:
        code = getattr(error, "status_code", None) or getattr(error, "code", None)
        status = code if isinstance(code, int) else None
        return {"raised": type(error).__name__, "status": status, "said": said_by(error)}


def said_by(error: Any) -> str:
    """The provider's own words in it, without what a client writes around them: how they begin, as we keep no endless
    ones."""
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else None
    words = str((inner or {}).get("message") or getattr(error, "message", None) or error)
    return " ".join(words.split())[:200]


def main(form: str) -> int:
    try:
        importlib.import_module(FORMS[form][0])
    except ImportError:
        print(FORMS[form][0], flush=True)
        return NOT_INSTALLED
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(answered({"form": form, **json.loads(line)})), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
