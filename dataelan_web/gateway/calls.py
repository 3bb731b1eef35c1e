"""The calls there are, in one table: what each is for, what it may hold, and an example. OpenAPI and the page of the
product are made of it; a test holds it against the routes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from ..api_errors import Api
from .anthropic.messages_request import CountRequest, MessagesRequest
from .gemini.generate_request import GenerateRequest
from .openai.chat_request import ChatRequest
from .openai.embeddings import EmbeddingsRequest
from .openai.images import ImagesRequest
from .openai.responses_request import ResponsesRequest
from .openai.speech import SpeechRequest
from .openai.transcriptions import TranscriptionRequest

OBJECT: dict[str, Any] = {"type": "object"}
USER = [{"role": "user", "content": "What is a token?"}]
CONTENTS = [{"role": "user", "parts": [{"text": "What is a token?"}]}]


def holding(**fields: Any) -> dict[str, Any]:
    """A schema of what an answer has in any case."""
    return {"type": "object", "properties": fields, "required": list(fields)}


TEXT, NUMBER, LIST = {"type": "string"}, {"type": "integer"}, {"type": "array"}
MODEL_LIST = holding(object={"const": "list"}, data={"type": "array", "items": OBJECT})
ANY_LIST = {"anyOf": [MODEL_LIST, holding(data=LIST, has_more={"type": "boolean"}), holding(models=LIST)]}
# Without candidates where the prompt was blocked.
GENERATED = holding(usageMetadata=OBJECT, modelVersion=TEXT)


@dataclass(frozen=True)
class Call:
    id: str
    """The function that answers it (routes.py)."""
    api: Api | None
    """Whose call it is; None: our own."""
    method: str
    path: str
    summary: str
    answer: dict[str, Any]
    asks: type[BaseModel] | None = None
    example: dict[str, Any] | None = None
    media_types: tuple[str, ...] = ("application/json",)
    """Of its answers."""
    is_form: bool = False

    @property
    def example_text(self) -> str:
        """In the order in which a person reads it."""
        return json.dumps(self.example, indent=2, ensure_ascii=False) if self.example else ""

    @property
    def address(self) -> str:
        """Of its example."""
        return self.path.replace("{model}", "auto")


SSE = ("application/json", "text/event-stream")
CALLS = (
    Call("chat_completions", Api.OPENAI, "POST", "/v1/chat/completions", "A chat, in OpenAI’s first form",
         holding(id=TEXT, object={"const": "chat.completion"}, choices=LIST, usage=OBJECT), ChatRequest,
         {"model": "auto", "messages": USER}, SSE),
    Call("create_response", Api.OPENAI, "POST", "/v1/responses", "A chat, in OpenAI’s newer form",
         holding(id=TEXT, object={"const": "response"}, status=TEXT, output=LIST, usage=OBJECT), ResponsesRequest,
         {"model": "auto", "input": "What is a token?"}, SSE),
    Call("create_message", Api.ANTHROPIC, "POST", "/v1/messages", "A chat, in Anthropic’s form",
         holding(id=TEXT, type={"const": "message"}, content=LIST, usage=OBJECT), MessagesRequest,
         {"model": "auto", "max_tokens": 500, "messages": USER}, SSE),
    Call("count_message_tokens", Api.ANTHROPIC, "POST", "/v1/messages/count_tokens", "How long a chat is",
         holding(input_tokens=NUMBER), CountRequest, {"model": "auto", "messages": USER}),
    Call("generate_content", Api.GEMINI, "POST", "/v1beta/models/{model}:generateContent", "A chat, in Gemini’s form",
         GENERATED, GenerateRequest, {"contents": CONTENTS}),
    Call("stream_generate_content", Api.GEMINI, "POST", "/v1beta/models/{model}:streamGenerateContent",
         "The same as it comes: a list, or messages with ?alt=sse", {"type": "array", "items": OBJECT},
         GenerateRequest, {"contents": CONTENTS}, SSE),
    Call("count_content_tokens", Api.GEMINI, "POST", "/v1beta/models/{model}:countTokens", "How long a chat is",
         holding(totalTokens=NUMBER), GenerateRequest, {"contents": CONTENTS}),
    Call("create_embeddings", Api.OPENAI, "POST", "/v1/embeddings", "Texts as vectors",
         holding(object={"const": "list"}, data=LIST, model=TEXT, usage=OBJECT), EmbeddingsRequest,
         {"model": "auto", "input": ["one", "two"]}),
    Call("generate_images", Api.OPENAI, "POST", "/v1/images/generations", "Pictures, as base64",
         holding(created=NUMBER, data=LIST), ImagesRequest, {"model": "auto", "prompt": "A red house by a lake"}, SSE),
    Call("speak", Api.OPENAI, "POST", "/v1/audio/speech", "A text said aloud", TEXT, SpeechRequest,
         {"model": "auto", "input": "Hello", "voice": "alloy"}, ("audio/*", "text/event-stream")),
    Call("transcribe", Api.OPENAI, "POST", "/v1/audio/transcriptions", "What is said in a recording",
         holding(text=TEXT), TranscriptionRequest, None, (*SSE, "text/plain"), is_form=True),
    Call("models", Api.OPENAI, "GET", "/v1/models", "What can be named as model, in the caller’s form", ANY_LIST),
    Call("model", Api.OPENAI, "GET", "/v1/models/{name}", "One of them", OBJECT),
    Call("models_v1beta", Api.GEMINI, "GET", "/v1beta/models", "What can be named as model", holding(models=LIST)),
    Call("model_v1beta", Api.GEMINI, "GET", "/v1beta/models/{name}", "One of them", holding(name=TEXT)),
    Call("execution", None, "GET", "/v1/executions/{id}", "Why that model answered, and what it came to",
         holding(id=TEXT, state=TEXT, attempts=LIST, receipt=OBJECT)),
)  # fmt: skip
STEER = (
    ("x-dataelan-rule", "A rule’s name, which goes before the model that the body names."),
    ("x-dataelan-tags", "Up to ten, with commas between. Rules can ask for them, and the run shows them."),
    ("x-dataelan-session", "What conversation it is of, in the program’s own words."),
    ("x-dataelan-cache", "on (a stored answer will do), refresh (ask anew, and store that) or off."),
    ("Idempotency-Key", "Sent twice under one key, a call is made once, and told again."),
)
LEARN = (
    ("x-dataelan-execution-id", "The run. Its receipt: GET /v1/executions/{id}."),
    ("x-dataelan-provider, x-dataelan-model", "Who answered."),
    ("x-dataelan-cost-usd", "What it cost. Of a stream it stands in the last event, as dataelan."),
    ("x-dataelan-limit-left-usd", "What is left of the tightest limit that counts it."),
    ("x-dataelan-overhead-ms", "Our own time, without the provider’s."),
    ("x-dataelan-cache, x-dataelan-replayed", "hit, miss; true where an earlier call’s answer is told again."),
    ("x-dataelan-prompt", "Of a saved prompt, which version it was: its name, @, and the number."),
    ("x-dataelan-estimated", "true where the count of a prompt’s tokens is our own guess, and not its provider’s."),
    ("x-should-retry", "false beside 504 and the code interrupted: the provider may have been paid. Clients heed it."),
)
