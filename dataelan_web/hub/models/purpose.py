"""What a model is for: the provider's list says so, or the price catalogue does, or its name has to tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...models import ModelType
from ...router import names
from ...router.candidates import STREAMING
from ...router.types import Task
from .catalogue import Known

Purpose = tuple[ModelType, Task]

TYPES: dict[Task, ModelType] = {
    Task.CHAT: ModelType.TEXT,
    Task.IMAGE: ModelType.IMAGE,
    Task.SPEECH: ModelType.VOICE,
    Task.TRANSCRIPTION: ModelType.VOICE,
    Task.VIDEO: ModelType.VIDEO,
    Task.EMBEDDING: ModelType.TEXT,
    Task.RERANK: ModelType.TEXT,
    Task.MODERATION: ModelType.TEXT,
}

CAPABILITIES = ("tools", "vision", "reasoning", "json_schema", "audio_in", "audio_out", "document_in", "video_in")
"""What people choose a model by (models.Model.capabilities)."""
SOUGHT = (STREAMING, *CAPABILITIES)
"""What they look for. Whether answers come as they are written is no model's to say: those of every chat do."""


def ability_words(name: str, *, starts: bool = False) -> str:
    """An ability as people read it. `starts`: a line, so with a capital."""
    words = name.replace("_", " ").replace("json", "JSON")
    return words[:1].upper() + words[1:] if starts else words


def task_of(
    name: str, listed: Task | None = None, capabilities: Sequence[str] | None = None, known: Known | None = None
) -> Purpose | None:
    """(type, task) of a model, or None where nothing of ours can use it.

    `listed` and `capabilities` are the provider's words, `known` is the price catalogue's.
    """
    task = listed or _of(capabilities or ())
    if task is None and names.is_unusable(name):
        return None
    task = task or (known.task if known else None)
    return (TYPES[task], task) if task else _by_name(name)


def abilities_of(name: str, said: Sequence[str] = ()) -> list[str]:
    """What a model can do, of what people choose by: as somebody said, or else at least what its name tells."""
    able = said or names.abilities(name)
    return [ability for ability in CAPABILITIES if ability in able]


def sought_of(name: str, task: str, said: Sequence[str] = ()) -> list[str]:
    """The same, of all that they look for."""
    return [*([STREAMING] if task == Task.CHAT else []), *abilities_of(name, said)]


def abilities(said: Iterable[str]) -> list[str]:
    """What a list says that a model can do, in our words."""
    ours = {"audio": "audio_in"}
    return sorted({ours.get(word, word) for word in said})


def _of(capabilities: Sequence[str]) -> Task | None:
    """Only a chat uses tools. That it can “chat” says little: some that draw or speak are called that way, too."""
    if "tools" in capabilities:
        return Task.CHAT
    return Task.EMBEDDING if "embeddings" in capabilities and "chat" not in capabilities else None


def _by_name(name: str) -> Purpose:
    type, task = names.purpose(name)
    return ModelType(type), Task(task)
