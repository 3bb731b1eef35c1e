"""What sessions for pictures, voice and films can be told beside their prompt (the table in router/prompt.py)."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from wtforms import BooleanField, DecimalField, IntegerField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]
from wtforms.validators import Length, NumberRange, Optional, Regexp

from ..fields import trim
from ..router.types import Task
from .forms import PromptForm, bounded
from .uploads import is_recording

SHAPES = {"1:1": "Square", "3:2": "Landscape", "2:3": "Portrait", "16:9": "Wide", "9:16": "Tall"}
SIZES = ["512x512", "1024x1024", "1536x1024", "1024x1536", "2048x2048"]
VOICES = ("alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse",
          "Kore", "Puck", "Charon", "Zephyr", "Aoede")  # fmt: skip
"""Names that OpenAI and those who copy it know, and Google's. Others have ids of their own."""
LANGUAGES = {
    "en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese",
    "nl": "Dutch", "pl": "Polish", "sv": "Swedish", "uk": "Ukrainian", "ru": "Russian", "tr": "Turkish",
    "ar": "Arabic", "hi": "Hindi", "zh": "Chinese", "ja": "Japanese", "ko": "Korean",
}  # fmt: skip


CAPITALS = ("hd", "png", "jpeg", "webp", "mp3", "wav", "aac", "flac", "4k")


def or_any(*words: str) -> list[SelectChoice]:
    """These words, or none of them."""
    named = [SelectChoice(word, word.upper() if word in CAPITALS else word.capitalize()) for word in words]
    return [SelectChoice("", "Model’s choice"), *named]


class ImageForm(PromptForm):
    REMEMBERED: ClassVar[tuple[str, ...]] = ("model", "count", "size", "quality", "format")
    PLACEHOLDER: ClassVar[str] = "Describe a picture…"

    count = SelectField(
        "Pictures", choices=[SelectChoice(str(n), f"{n} picture{'s' * (n > 1)}") for n in range(1, 5)], default="1"
    )
    size = SelectField(
        "Size",
        choices=[
            SelectChoice("", "Any size"),
            *(SelectChoice(shape, f"{name} {shape}", optgroup="Shape") for shape, name in SHAPES.items()),
            *(SelectChoice(size, size.replace("x", " × "), optgroup="Pixels") for size in SIZES),
        ],
        default="",
    )
    quality = SelectField("Quality", choices=or_any("low", "medium", "high", "standard", "hd"), default="")
    format = SelectField("Format", choices=or_any("png", "jpeg", "webp"), default="")

    @property
    def task(self) -> Task:
        return Task.IMAGE

    def media(self) -> dict[str, Any]:
        size, count = self.size.data or "", int(self.count.data or 1)
        return {
            "count": count if count > 1 else None,
            "aspect_ratio" if ":" in size else "size": size,
            "quality": self.quality.data,
            "format": self.format.data,
        }


class VoiceForm(PromptForm):
    """Words to speak; or, with a recording, a transcript of it, for which the words are hints at its spelling."""

    REMEMBERED: ClassVar[tuple[str, ...]] = (
        "model", "voice", "format", "speed", "instructions", "listener", "language", "timestamps", "diarize",
    )  # fmt: skip
    PLACEHOLDER: ClassVar[str] = "Write what is to be said, or attach a recording…"
    NEEDS_TEXT: ClassVar[bool] = False

    voice = StringField("Voice", [Length(max=100)], filters=[trim])
    format = SelectField("Format", choices=or_any("mp3", "wav", "opus", "aac", "flac"), default="")
    speed = DecimalField(
        "Speed",
        [Optional(), NumberRange(0.25, 4, "A number from 0.25 to 4, or leave it empty.")],
        filters=[bounded],
    )
    instructions = TextAreaField("How to say it", [Length(max=4096)], filters=[trim])

    listener = StringField("Model for transcripts", [Length(max=200)], default="auto")
    language = StringField(
        "Language",
        [
            Optional(),
            Regexp(re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,4})?$"), message="A code such as en or de, or leave it empty."),
        ],
        filters=[trim],
    )
    timestamps = BooleanField("Time marks", default=True)
    diarize = BooleanField("Tell speakers apart")

    @property
    def listens(self) -> bool:
        return any(map(is_recording, self.media_types))

    @property
    def task(self) -> Task:
        return Task.TRANSCRIPTION if self.listens else Task.SPEECH

    @property
    def requested(self) -> str:
        return (self.listener.data if self.listens else self.model.data) or "auto"

    def media(self) -> dict[str, Any]:
        if self.listens:
            return {
                "language": self.language.data,
                "timestamps": self.timestamps.data,
                "diarize": self.diarize.data,
            }
        return {
            "voice": self.voice.data,
            "format": self.format.data,
            "speed": self.settings["speed"],
            "instructions": self.instructions.data,
        }


class VideoForm(PromptForm):
    REMEMBERED: ClassVar[tuple[str, ...]] = ("model", "seconds", "aspect_ratio", "resolution", "negative_prompt")
    PLACEHOLDER: ClassVar[str] = "Describe a film: what is seen, and what happens…"

    seconds = IntegerField(
        "Seconds",
        [Optional(), NumberRange(1, 60, "A number from 1 to 60, or leave it empty.")],
        filters=[bounded],
    )
    aspect_ratio = SelectField(
        "Shape",
        choices=[
            SelectChoice("", "Any shape"),
            *(SelectChoice(shape, f"{SHAPES[shape]} {shape}") for shape in ("16:9", "9:16", "1:1")),
        ],
        default="",
    )
    resolution = SelectField("Resolution", choices=or_any("480p", "720p", "1080p", "4k"), default="")
    negative_prompt = TextAreaField("What to avoid", [Length(max=4096)], filters=[trim])

    @property
    def task(self) -> Task:
        return Task.VIDEO

    def media(self) -> dict[str, Any]:
        names = ("seconds", "aspect_ratio", "resolution", "negative_prompt")
        return {name: self[name].data for name in names}
