"""Bedrock's InvokeModel and InvokeModelWithResponseStream: each maker's own format behind one address.

The maker is in the model's id, such as us.anthropic.claude-sonnet-4-6. Sources: docs.aws.amazon.com/bedrock, “Inference
request parameters and response fields”; docs.aws.amazon.com/nova; recorded traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dataelan_web.router import names
from dataelan_web.router.providers.anthropic_messages import AnthropicMessages
from dataelan_web.router.providers.aws_event_stream import decoder
from dataelan_web.router.providers.bedrock_converse import (
    converse_body,
    model_url,
    nova_reasoning,
    used_by_headers,
    with_key,
)
from dataelan_web.router.providers.bedrock_invoke_answer import InvokeAnswer
from dataelan_web.router.providers.cohere import options as cohere_options
from dataelan_web.router.providers.cohere_v1 import chat_body, generate_body
from dataelan_web.router.providers.conversation import turns
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.openai_chat import OpenAIChat
from dataelan_web.router.providers.plain_text import refuse_more_than_text
from dataelan_web.router.types import Call, Decoder, Prompt, TextPart, Unsupported, Usage

ANTHROPIC_VERSION = "bedrock-2023-05-31"


class BedrockInvoke(Format):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        body = _BODIES.get(names.bedrock_body(model), _chat)(prompt)
        verb = "invoke-with-response-stream" if prompt.stream else "invoke"
        return with_key(Call(model_url(self.base_url, model, verb), body), key)

    def wordless(self, model: str) -> frozenset[str]:
        return _HAS_NO.get(names.bedrock_body(model), frozenset())

    def told(self, headers: Mapping[str, str]) -> Usage:
        return used_by_headers(headers)

    def decoder(self) -> Decoder:
        return decoder(InvokeAnswer())


def _anthropic(prompt: Prompt) -> dict[str, Any]:
    """Messages, whose model and streaming are said by the address."""
    body = AnthropicMessages("").call(prompt, "", "").body or {}
    kept = {name: value for name, value in body.items() if name not in ("model", "stream")}
    return {"anthropic_version": ANTHROPIC_VERSION} | kept


def _nova(prompt: Prompt) -> dict[str, Any]:
    """Converse, but for documents and schemas."""
    if prompt.schema is not None:
        raise Unsupported("Nova cannot be held to a JSON schema in this format; Converse can do it.")
    if any(not file.media_type.startswith(("audio/", "video/")) for file in prompt.files):
        raise Unsupported("Nova does not read documents in this format; it does in Converse.")
    body = converse_body(prompt)
    if prompt.reasoning_effort:
        body["inferenceConfig"] = {
            **body.get("inferenceConfig", {}),
            "reasoningConfig": nova_reasoning(prompt.reasoning_effort),
        }
    return {"schemaVersion": "messages-v1"} | body


def _chat(prompt: Prompt) -> dict[str, Any]:
    """Chat completions, the format of all newer makers."""
    body = {**(OpenAIChat("").call(replace(prompt, stream=False), "", "").body or {})}
    del body["model"]
    return body


def _openai(prompt: Prompt) -> dict[str, Any]:
    body = _chat(prompt)
    if "max_tokens" in body:
        body["max_completion_tokens"] = body.pop("max_tokens")
    return body


def _llama(
    prompt: Prompt, marks: Sequence[str] = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
) -> dict[str, Any]:
    """One text, with the marks of the model's own template (llama.com/docs, “Model cards and prompt formats”)."""
    start, end, stop = marks
    said = [("system", prompt.system)] if prompt.system else []
    said += [("assistant" if by_assistant else "user", text) for by_assistant, text in _turns(prompt)]
    written = "".join(f"{start}{role}{end}\n\n{text}{stop}" for role, text in said)
    names = {"max_gen_len": prompt.max_tokens, "temperature": prompt.temperature, "top_p": prompt.top_p}
    return {"prompt": f"<|begin_of_text|>{written}{start}assistant{end}\n\n"} | _given(names)


def _llama4(prompt: Prompt) -> dict[str, Any]:
    return _llama(prompt, ("<|header_start|>", "<|header_end|>", "<|eot|>"))


def _instruct(prompt: Prompt) -> dict[str, Any]:
    """One text: `<s>[INST] question [/INST] answer</s>[INST] …`."""
    written, system = "<s>", prompt.system
    for by_assistant, text in _turns(prompt):
        if by_assistant:
            written += f" {text}</s>"
        else:
            written += f"[INST] {system}\n\n{text} [/INST]" if system else f"[INST] {text} [/INST]"
            system = ""
    return {"prompt": written} | _given(
        {
            "max_tokens": prompt.max_tokens,
            "temperature": prompt.temperature,
            "top_p": prompt.top_p,
            "stop": list(prompt.stop) or None,
        }
    )


def _titan(prompt: Prompt) -> dict[str, Any]:
    """A conversation is written as `User: …\\nBot: …`; a single text stands for itself."""
    said = [*_turns(prompt)]
    system = f"{prompt.system}\n\n" if prompt.system else ""
    if len(said) == 1:
        written = said[0][1]
    else:
        written = "".join(f"{'Bot' if by_assistant else 'User'}: {text}\n" for by_assistant, text in said) + "Bot:"
    config = {
        "maxTokenCount": prompt.max_tokens,
        "temperature": prompt.temperature,
        "topP": prompt.top_p,
        "stopSequences": list(prompt.stop) or None,
    }
    return {"inputText": system + written} | ({"textGenerationConfig": given} if (given := _given(config)) else {})


def _cohere_v1(prompt: Prompt) -> dict[str, Any]:
    return chat_body(prompt) | {name: value for name, value in cohere_options(prompt).items() if name != "stream"}


def _cohere_generate(prompt: Prompt) -> dict[str, Any]:
    """This one wants to be told of streaming in its body as well."""
    return generate_body(prompt) | {name: value for name, value in cohere_options(prompt).items() if name != "seed"}


def _turns(prompt: Prompt) -> list[tuple[bool, str]]:
    """`(spoken by the assistant, text)`. Raises Unsupported for what is not text."""
    refuse_more_than_text(prompt)
    if prompt.schema is not None:
        raise Unsupported("This model cannot be held to a JSON schema in this format; use Converse.")
    return [
        (by_assistant, "".join(part.text for part in parts if isinstance(part, TextPart)))
        for by_assistant, parts in turns(prompt.messages)
    ]


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


# A body, as names.yaml calls it -> who writes it. What is not here takes chat completions.
_BODIES: Mapping[str, Callable[[Prompt], dict[str, Any]]] = {
    "messages": _anthropic,
    "nova": _nova,
    "titan": _titan,
    "llama": _llama,
    "llama4": _llama4,
    "instruct": _instruct,
    "cohere-v1": _cohere_v1,
    "cohere-generate": _cohere_generate,
    "openai": _openai,
}

# The same -> which of a chat's parameters it has no word for.
_HAS_NO: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("messages", "nova", "titan", "instruct", "cohere-generate"), frozenset({"seed"})),
    **dict.fromkeys(("llama", "llama4"), frozenset({"seed", "stop"})),
}
