"""What transcripts have in common: stretches of speech with their times, as told or made of words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dataelan_web.router.providers.json_values import mappings, string
from dataelan_web.router.providers.measures import number
from dataelan_web.router.types import Segment

# Seconds of silence that end a stretch of speech.
_PAUSE = 1.0
_ENDS = (".", "?", "!", "…", "。", "？", "！")


def segments(found: Any, text: str = "text") -> Iterator[Segment]:
    """A list of `{text, start, end}`, with a speaker under one of its names; what has no times is left out."""
    for item in mappings(found):
        start, end = number(item.get("start")), number(item.get("end"))
        if start is not None and end is not None:
            yield Segment(string(item.get(text)).strip(), start, end, speaker(item))


def speaker(item: Mapping[str, Any]) -> str:
    """`speaker` is OpenAI's letter or Deepgram's and xAI's number, `speaker_id` Mistral's and ElevenLabs' name."""
    found = item.get("speaker", item.get("speaker_id"))
    return str(found) if isinstance(found, int) and not isinstance(found, bool) and found < 10**6 else string(found)


@dataclass(frozen=True)
class Word:
    """`text` with the space before it, if it has one."""

    text: str
    start: float
    end: float
    speaker: str = ""


def words(found: Any, *names: str, tells_spaces: bool = False) -> Iterator[Word]:
    """A list of words, each said under the first of `names` that it has. Silent ones are left out. `tells_spaces`: what
    is between two words is in the list too, and in some languages there is nothing."""
    space = "" if tells_spaces else " "
    for item in mappings(found):
        start, end = number(item.get("start")), number(item.get("end"))
        text = next(filter(None, (string(item.get(name)) for name in names)), "")
        if text.strip() and start is not None and end is not None:
            yield Word(f"{space}{text.strip()}", start, end, speaker(item))
        if tells_spaces:
            space = " " if text and not text.strip() else ""


def stretches(found: Iterable[Word]) -> Iterator[Segment]:
    """Words grouped into segments: a new one begins with another speaker, after a sentence, and after a pause."""
    group: list[Word] = []
    for word in found:
        last = group[-1] if group else None
        if last and (word.speaker != last.speaker or last.text.endswith(_ENDS) or word.start - last.end >= _PAUSE):
            yield _segment(group)
            group = []
        group.append(word)
    if group:
        yield _segment(group)


def _segment(group: list[Word]) -> Segment:
    text = "".join(word.text for word in group).strip()
    return Segment(text, group[0].start, group[-1].end, group[0].speaker)
