"""What a call uses beside tokens: pictures, seconds, characters. The most it can, before; what it did, after."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any

from ..router.pricing import Most, Rates
from ..router.prompt import Prompt, Task
from ..router.recordings import seconds_of
from ..router.sizes import token_bound, tokens_of
from ..router.types import Usage

BESIDE_TOKENS = ("cache_write_1h", "input_audio", "input_image", "output_audio", "output_image", "images", "seconds",
                 "characters", "requests", "billed_input", "billed_output")  # fmt: skip
NOTHING_BESIDE = (None,) * len(BESIDE_TOKENS)
_beside_tokens = attrgetter(*BESIDE_TOKENS)
TOKENS_OF_AN_IMAGE = 20_000
"""More output tokens than any model counts for one picture (the largest documented are about 6,300)."""
LONGEST_SPEECH = 16_384
"""Output tokens that a voice may go on for, however short its text (Gemini's limit)."""
TOKENS_OF_A_CHARACTER, TOKENS_OF_A_SECOND = 10, 100
"""More than any model counts for a spoken character, and for a second of film or of transcript."""
PAUSES = 30
"""Seconds of speech beside one for each character: digits take the longest."""
SECONDS_OF_A_FILM = 12
"""Where none are asked for: providers make 4 to 10."""


def most(prompt: Prompt, output_tokens: int, window: int | None = None) -> tuple[Most, int]:
    """(the most this prompt can use of a model with this context window, the most output tokens). Only of a chat are
    the latter ours to limit."""
    size = token_bound(prompt, window)
    if prompt.task is Task.CHAT:
        return Most(size), output_tokens
    match prompt.task:
        case Task.IMAGE:
            count = images_of(prompt)
            return Most(size, images=count), count * TOKENS_OF_AN_IMAGE
        case Task.SPEECH:
            characters = len(prompt.words)
            most_tokens = max(characters * TOKENS_OF_A_CHARACTER + 2_000, LONGEST_SPEECH)
            return Most(size, seconds=Decimal(characters + PAUSES), characters=characters), most_tokens
        case Task.TRANSCRIPTION:
            seconds = sum((seconds_of(file, longest=True) for file in prompt.files), Decimal(0))
            return Most(size, seconds=seconds), int(seconds) * TOKENS_OF_A_SECOND + 2_000
        case Task.VIDEO:
            seconds = film_seconds(prompt) * images_of(prompt)
            return Most(size, seconds=seconds), int(seconds) * 100_000
        case Task.RERANK:
            return Most(size, requests=searches_of(prompt)), 0
    return Most(size), 0  # vectors and verdicts are no tokens


def measured(prompt: Prompt, media_types: Sequence[str], reported: Usage) -> Usage:
    """What the provider reported, and what we can tell ourselves where it did not. `media_types`: of all the files
    it made; empty when that is not known, for it may have made more than arrived."""
    if prompt.task is Task.CHAT:
        return reported
    known = Usage()
    match prompt.task:
        case Task.IMAGE:
            known = Usage(images=sum(media_type.startswith("image/") for media_type in media_types) or None)
        case Task.SPEECH:
            known = Usage(characters=len(prompt.words))
        case Task.TRANSCRIPTION:
            known = Usage(seconds=sum((seconds_of(file) for file in prompt.files), Decimal(0)) or None)
        case Task.VIDEO if media_types and "seconds" in prompt.media:
            known = Usage(seconds=film_seconds(prompt) * len(media_types))
    return known.updated(reported)


def estimated(prompt: Prompt, known: Usage, said: str) -> Usage:
    """What is known of a call that no bill came for. A chat has read the whole prompt and written at least what had
    arrived, and no more than it was told to; of all else nothing can be guessed.

    A guess is made high: limits are to hold what the provider will bill."""
    if prompt.task is not Task.CHAT:
        return known
    said_tokens = estimated_tokens(said)
    heard = max(known.output_total, min(said_tokens, prompt.max_tokens or said_tokens))
    return known._replace(
        input=known.input if known.input is not None else -(-tokens_of(prompt) * 4 // 3),
        output=heard - (known.reasoning or 0),
    )


def known_tokens(prompt: Prompt, rates: Rates | None) -> int | None:
    """What pictures, sound and film count as in a limit of tokens, where tokens are not what they are paid by: those of
    their prompt, whatever a provider reports. None: what the provider says."""
    is_media = prompt.task not in (Task.CHAT, Task.EMBEDDING)
    return tokens_of(prompt) if is_media and not (rates and rates.has_token_price) else None


def counted_tokens(prompt: Prompt, usage: Usage, rates: Rates | None) -> int:
    """What a limit of tokens counts: all classes together, cached and reasoning too."""
    if (known := known_tokens(prompt, rates)) is not None:
        return known
    reported = [counter for counter in usage.counters if counter is not None]
    return sum(reported) if reported else tokens_of(prompt)


def estimated_tokens(text: str) -> int:
    """Three bytes a token, rounded up: English has four, code and most other languages fewer."""
    return -(-len(text.encode(errors="replace")) // 3)


def images_of(prompt: Prompt) -> int:
    count = prompt.media.get("count")
    return count if isinstance(count, int) and count >= 1 else 1


def searches_of(prompt: Prompt) -> int:
    """The most that ranking can count as: a hundred texts are one, and a long text is several (Cohere: one for 500
    tokens, each with the query's)."""
    pieces = sum(1 + len(message.text.encode()) // 250 for message in prompt.messages)
    return -(-pieces // 100) or 1


def film_seconds(prompt: Prompt) -> Decimal:
    seconds = prompt.media.get("seconds")
    return Decimal(seconds) if isinstance(seconds, int) and seconds > 0 else Decimal(SECONDS_OF_A_FILM)


def to_json(usage: Usage) -> dict[str, Any]:
    """What was used beside the five token counters, as it is kept: seconds as text, so that they stay exact."""
    counts = _beside_tokens(usage)
    if counts == NOTHING_BESIDE:
        return {}
    used = zip(BESIDE_TOKENS, counts, strict=True)
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in used if value is not None}


def from_json(measures: dict[str, Any]) -> dict[str, Any]:
    """As arguments of a Usage, beside its counters."""
    values = {name: value for name, value in measures.items() if name in BESIDE_TOKENS}
    return values | ({"seconds": Decimal(values["seconds"])} if "seconds" in values else {})
