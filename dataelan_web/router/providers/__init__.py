"""Wire formats: one file a task of a format. A provider of a known format is a row of data; only a new format is a
new file here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import import_module
from urllib.parse import urlsplit

from dataelan_web.router import names
from dataelan_web.router.types import Adapter, Counter, Lister, Task

# kind -> task -> "module:Class", imported on first use. "openai" is the chat completions format, which also speaks for
# Ollama (/v1), vLLM, LM Studio, llama.cpp, Groq, DeepSeek, Mistral, Together, OpenRouter, xAI and many more.
KINDS: dict[str, Mapping[Task, str]] = {
    "openai": {
        Task.CHAT: "openai_chat:OpenAIChat",
        Task.IMAGE: "openai_images:OpenAIImages",
        Task.SPEECH: "openai_speech:OpenAISpeech",
        Task.TRANSCRIPTION: "openai_transcription:OpenAITranscription",
        Task.EMBEDDING: "openai_embeddings:OpenAIEmbeddings",
        Task.RERANK: "openai_rerank:OpenAIRerank",
        Task.MODERATION: "openai_moderation:OpenAIModeration",
    },
    "openai-responses": {
        Task.CHAT: "openai_responses:OpenAIResponses",
    },
    "openai-completions": {
        Task.CHAT: "openai_completions:OpenAICompletions",
    },
    "anthropic": {
        Task.CHAT: "anthropic_messages:AnthropicMessages",
    },
    "google": {
        Task.CHAT: "gemini:Gemini",
        Task.IMAGE: "gemini_images:GeminiImages",
        Task.VIDEO: "veo:Veo",
        Task.SPEECH: "gemini_sound:GeminiSpeech",
        Task.TRANSCRIPTION: "gemini_sound:GeminiTranscription",
        Task.EMBEDDING: "gemini_embeddings:GeminiEmbeddings",
    },
    "google-interactions": {
        Task.CHAT: "gemini_interactions:GeminiInteractions",
    },
    "google-predict": {
        Task.IMAGE: "imagen:Imagen",
        Task.EMBEDDING: "gemini_embeddings:VertexEmbeddings",
    },
    "replicate": {
        Task.IMAGE: "replicate:ReplicateImages",
        Task.VIDEO: "replicate:ReplicateFilms",
        Task.SPEECH: "replicate:ReplicateSpeech",
    },
    "fal": {
        Task.IMAGE: "fal:FalImages",
        Task.VIDEO: "fal:FalFilms",
        Task.SPEECH: "fal:FalSpeech",
    },
    "cohere": {
        Task.CHAT: "cohere:Cohere",
        Task.EMBEDDING: "cohere_embeddings:CohereEmbeddings",
        Task.RERANK: "cohere_rerank:CohereRerank",
    },
    "cohere-v1": {
        Task.CHAT: "cohere_v1:CohereV1",
    },
    "cohere-generate": {
        Task.CHAT: "cohere_v1:CohereGenerate",
    },
    "ollama": {
        Task.CHAT: "ollama:Ollama",
        Task.EMBEDDING: "ollama_embeddings:OllamaEmbeddings",
    },
    "ollama-generate": {
        Task.CHAT: "ollama:OllamaGenerate",
    },
    "bedrock": {
        Task.CHAT: "bedrock_converse:BedrockConverse",
        Task.EMBEDDING: "bedrock_embeddings:BedrockEmbeddings",
        Task.RERANK: "bedrock_rerank:BedrockRerank",
    },
    "bedrock-invoke": {
        Task.CHAT: "bedrock_invoke:BedrockInvoke",
    },
    "elevenlabs": {
        Task.SPEECH: "elevenlabs:ElevenLabsSpeech",
        Task.TRANSCRIPTION: "elevenlabs:ElevenLabsTranscription",
    },
    "deepgram": {
        Task.SPEECH: "deepgram:DeepgramSpeech",
        Task.TRANSCRIPTION: "deepgram:DeepgramTranscription",
    },
}

# kind -> "module:Class" that reads its list of models. A kind that is not here has no such list.
LISTERS: dict[str, str] = {
    "openai": "openai_chat:OpenAIChat",
    "openai-responses": "openai_chat:OpenAIChat",
    "openai-completions": "openai_chat:OpenAIChat",
    "anthropic": "anthropic_messages:AnthropicMessages",
    "google": "gemini:Gemini",
    "google-interactions": "gemini:Gemini",
    "elevenlabs": "elevenlabs:ElevenLabsModels",
    "deepgram": "deepgram:DeepgramModels",
    "cohere": "cohere_models:CohereModels",
    "cohere-v1": "cohere_models:CohereModels",
    "cohere-generate": "cohere_models:CohereModels",
    "ollama": "ollama:Ollama",
    "ollama-generate": "ollama:Ollama",
    "bedrock": "bedrock_models:BedrockModels",
    "bedrock-invoke": "bedrock_models:BedrockModels",
}


# kind -> "module:Class" that asks how many tokens a prompt has there. A kind that is not here cannot be asked.
COUNTERS: dict[str, str] = {
    "openai": "openai_responses:OpenAIResponses",
    "openai-responses": "openai_responses:OpenAIResponses",
    "anthropic": "anthropic_messages:AnthropicMessages",
    "google": "gemini:Gemini",
    "google-interactions": "gemini:Gemini",
    "bedrock": "bedrock_converse:BedrockConverse",
    "bedrock-invoke": "bedrock_converse:BedrockConverse",
}
# Its imitators do not count, though they speak its chat format.
COUNTING_HOSTS = {"openai": ("api.openai.com",)}


# How the hosts of Azure's resources end: of one for OpenAI, for all of its AI services, and what its portal shows.
AZURE = (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")
# OpenAI itself, and Azure: their imitators answer for all of their models in the chat format.
RESPONSES_HOSTS = ("api.openai.com", *AZURE)


class UnknownFormat(LookupError):
    """No such wire format, or it cannot do that task."""


def adapter(kind: str, base_url: str, task: Task = Task.CHAT) -> Adapter:
    """The adapter for a task of a wire format. `base_url` includes the version prefix, as in
    https://api.openai.com/v1. Raises UnknownFormat."""
    if kind not in KINDS:
        raise UnknownFormat(f"No wire format is called {kind!r}. Known: {', '.join(sorted(KINDS))}.")
    if task not in KINDS[kind]:
        raise UnknownFormat(f"The wire format {kind!r} has no {task.value}.")
    found: type[Adapter] = _class(KINDS[kind][task])
    return found(base_url)


def format_for(
    kind: str, base_url: str, model: str, task: Task, *, refuses_chat: bool = False, seals: bool = False
) -> str:
    """The wire format in which a provider of this kind answers for one of its models. `refuses_chat`: it refused chat
    completions, and said that it answers in another format. Until then its name tells, at OpenAI and Azure. `seals`:
    its thoughts are to come sealed, which theirs do in that format only."""
    if (kind, task) != ("openai", Task.CHAT):
        return kind
    is_known = _has_responses(base_url) and (seals or names.is_for_responses(model))
    return "openai-responses" if refuses_chat or is_known else kind


@lru_cache(1024)
def _has_responses(base_url: str) -> bool:
    return (urlsplit(base_url).hostname or "").endswith(RESPONSES_HOSTS)


def lister(kind: str, base_url: str) -> Lister | None:
    """Reads a provider's list of models; None where it has none."""
    if kind not in LISTERS:
        return None
    found: type[Lister] = _class(LISTERS[kind])
    return found(base_url)


def counter(kind: str, base_url: str) -> Counter | None:
    """Asks how many tokens a prompt has there; None where that cannot be asked."""
    hosts = COUNTING_HOSTS.get(kind)
    if kind not in COUNTERS or (hosts and urlsplit(base_url).hostname not in hosts):
        return None
    found: type[Counter] = _class(COUNTERS[kind])
    return found(base_url)


@cache
def _class(place: str) -> type:
    module, _, name = place.partition(":")
    found: type = getattr(import_module(f"{__name__}.{module}"), name)
    return found
