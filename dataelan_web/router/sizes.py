"""How many tokens a prompt has, before anybody has counted: a fair guess, and the most that it can come to."""

from __future__ import annotations

from collections.abc import Mapping

from .prompt import FilePart, ImagePart, Part, Prompt, Task, TextPart
from .recordings import most_seconds

USUAL_IMAGE, LARGEST_IMAGE = 1_000, 50_000
"""Tokens of an image: what most models count, and the most that any does (gpt-4o-mini: 48,169)."""
USUAL_DENSITY = {"audio": 4, "video": 2, "text": 256, "document": 30}
LARGEST_DENSITY = {"audio": 32, "video": 30, "text": 512, "document": 600}
"""Tokens of a kilobyte. Models count 32 tokens a second of sound (usually of 8 KB, and of 1 KB at least), 300 a second
of film (150 KB; 10 KB), a token for four bytes of text (one or two), and 1,500 to 3,000 a page of PDF (50 KB; 5 KB).
Whoever means to can make a file of far more: see `may_be_anything`."""
TOKENS_OF_A_SECOND = 64
"""Twice what models count for a second of sound."""
TOLD_OF_TOOLS = 600
"""Tokens in which a provider tells its model how tools are called, and counts them as input (Claude: up to 530)."""
USUAL_ELSEWHERE, LARGEST_WINDOW = 20_000, 2_097_152
"""Tokens of a file that the provider fetches, and of the largest window that there is: nobody here knows its size."""


def tokens_of(prompt: Prompt) -> int:
    """A fair guess at the input size: four bytes a token, four tokens a message. Not an upper bound."""
    media = USUAL_IMAGE * len(prompt.images)
    for file in prompt.files:
        media += USUAL_ELSEWHERE if file.is_elsewhere else _file_tokens(file, USUAL_DENSITY)
    return prompt.text_bytes // 4 + 4 * len(prompt.messages) + media


def token_bound(prompt: Prompt, window: int | None = None) -> int:
    """More tokens than any tokenizer makes of this text: one a byte, and room for the wire's own markers. With a file
    that may be of any size, all that fits into the model's context `window`; None: nobody knows how much that is."""
    words = prompt.text_bytes + LARGEST_IMAGE * len(prompt.images) + 64
    for message in prompt.messages:
        words += 16
        for part in message.parts:
            words += 16 if isinstance(part, TextPart) else 16 + _label_bytes(part)
    if prompt.tools or prompt.schema or prompt.schema_told:
        words += _declared_bytes(prompt)
    if may_be_anything(prompt):
        return max(words, window or LARGEST_WINDOW)
    return words + sum(map(_most_of, prompt.files))


def may_be_anything(prompt: Prompt) -> bool:
    """Has a chat a file of which nobody here can say how much a model would read in it?"""
    attached: tuple[ImagePart | FilePart, ...] = (*prompt.images, *prompt.files)
    return prompt.task is Task.CHAT and any(map(_is_of_any_size, attached))


def _label_bytes(part: Part) -> int:
    return len("".join(f"{getattr(part, name, '')}" for name in ("id", "name", "seal")).encode())


def _declared_bytes(prompt: Prompt) -> int:
    """Of its tools and its schema, with what the model is told of how these are used."""
    tools = sum(len(f"{tool.name}{tool.description}{tool.parameters}".encode()) + 16 for tool in prompt.tools)
    schema = len(f"{prompt.schema or ''}{prompt.schema_told or ''}".encode())
    return tools + schema + (TOLD_OF_TOOLS if prompt.tools or prompt.schema else 0)


def _is_of_any_size(part: ImagePart | FilePart) -> bool:
    """It is fetched by the provider (a film at a picture's address is watched where the model can), or packed: a few
    kilobytes of PDF can have a thousand pages, and of film hours."""
    if isinstance(part, ImagePart):
        return bool(part.url and not part.data) or not (part.media_type or "image/").startswith("image/")
    if part.media_type.startswith("text/") and part.data:
        return False
    return not part.media_type.startswith("audio/") or most_seconds(part) is None


def _most_of(file: FilePart) -> int:
    tokens = 2 * _file_tokens(file, LARGEST_DENSITY) + 1_000
    is_sound = file.media_type.startswith("audio/")
    return max(tokens, TOKENS_OF_A_SECOND * (most_seconds(file) or 0)) if is_sound else tokens


def _file_tokens(file: FilePart, density: Mapping[str, int]) -> int:
    kind = file.media_type.partition("/")[0]
    return -(-file.size // 1024) * density.get(kind, density["document"])
