"""The wire formats as a person chooses between them: a name, one line that explains it, and how a key travels in it.

`router.providers.KINDS` says what each can do; a test compares these headers with what its adapters really send.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...models import ModelType
from ...router.providers import KINDS
from ...router.providers.openai_chat import key_headers
from ..models.purpose import TYPES


@dataclass(frozen=True)
class WireFormat:
    kind: str
    name: str
    explanation: str
    example: str
    """An address as people write it."""
    header: str = "Authorization"
    prefix: str = "Bearer "

    @property
    def model_types(self) -> list[ModelType]:
        return list(dict.fromkeys(TYPES[task] for task in KINDS[self.kind]))

    def headers(self, base_url: str, key: str) -> dict[str, str]:
        """What proves who is asking."""
        if self.kind.startswith("openai"):  # it depends on the server: Azure has a header of its own
            return key_headers(base_url, key)
        return {self.header: self.prefix + key} if key else {}

    def auth(self, base_url: str) -> str:
        """For people: “Authorization: Bearer …”."""
        return ", ".join(f"{name}: {value}" for name, value in self.headers(base_url, "…").items())


FORMATS = (
    WireFormat(
        "openai",
        "OpenAI-compatible",
        "Chat completions, images, speech, transcription: what most providers and every model server speak.",
        "https://models.example.com/v1",
    ),
    WireFormat(
        "anthropic",
        "Anthropic Messages",
        "Claude’s own format, with thinking and prompt caching.",
        "https://api.anthropic.com/v1",
        header="x-api-key",
        prefix="",
    ),
    WireFormat(
        "google",
        "Google Gemini",
        "generateContent: text, pictures and speech of Gemini, and films of Veo.",
        "https://generativelanguage.googleapis.com/v1beta",
        header="x-goog-api-key",
        prefix="",
    ),
    WireFormat(
        "openai-responses",
        "OpenAI Responses",
        "OpenAI’s newer format; some of its models answer in no other.",
        "https://api.openai.com/v1",
    ),
    WireFormat(
        "openai-completions",
        "OpenAI Completions",
        "The old format that continues a text instead of answering it.",
        "https://models.example.com/v1",
    ),
    WireFormat(
        "ollama",
        "Ollama",
        "Ollama’s own chat; its OpenAI-compatible form under /v1 works as well.",
        "http://localhost:11434/api",
    ),
    WireFormat(
        "ollama-generate",
        "Ollama generate",
        "Ollama’s own format that continues a text instead of answering it.",
        "http://localhost:11434/api",
    ),
    WireFormat(
        "bedrock",
        "Amazon Bedrock Converse",
        "One format for all text models of Bedrock; takes an API key or signs with an access key.",
        "https://bedrock-runtime.us-east-1.amazonaws.com",
    ),
    WireFormat(
        "bedrock-invoke",
        "Amazon Bedrock Invoke",
        "Each maker’s own format behind Bedrock, for what Converse does not offer.",
        "https://bedrock-runtime.us-east-1.amazonaws.com",
    ),
    WireFormat("cohere", "Cohere v2", "Cohere’s chat.", "https://api.cohere.com/v2"),
    WireFormat("cohere-v1", "Cohere v1", "Cohere’s older chat.", "https://api.cohere.com/v1"),
    WireFormat(
        "cohere-generate",
        "Cohere generate",
        "Cohere’s oldest format, that continues a text instead of answering it.",
        "https://api.cohere.com/v1",
    ),
    WireFormat(
        "google-interactions",
        "Google Interactions",
        "Gemini’s newer format.",
        "https://generativelanguage.googleapis.com/v1beta",
        header="x-goog-api-key",
        prefix="",
    ),
    WireFormat(
        "google-predict",
        "Google predict",
        "The older format of Imagen’s pictures.",
        "https://generativelanguage.googleapis.com/v1beta",
        header="x-goog-api-key",
        prefix="",
    ),
    WireFormat(
        "replicate",
        "Replicate",
        "Jobs that make pictures, films and speech with any model published there.",
        "https://api.replicate.com/v1",
    ),
    WireFormat(
        "fal",
        "fal",
        "Queued jobs that make pictures, films and sound.",
        "https://queue.fal.run",
        prefix="Key ",
    ),
    WireFormat(
        "elevenlabs",
        "ElevenLabs",
        "Speech and transcription.",
        "https://api.elevenlabs.io/v1",
        header="xi-api-key",
        prefix="",
    ),
    WireFormat(
        "deepgram",
        "Deepgram",
        "Transcription and speech.",
        "https://api.deepgram.com/v1",
        prefix="Token ",
    ),
)

_BY_KIND = {format.kind: format for format in FORMATS}


def wire_format(kind: str) -> WireFormat:
    return _BY_KIND[kind]
