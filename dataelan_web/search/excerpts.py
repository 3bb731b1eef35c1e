"""The part of a text that shows why it was found, its words marked. Values in, values out: the template escapes."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from .. import markdown
from ..text import visible
from .words import SIGNS, Wanted

READ = 60_000
"""Letters of a text that are looked at; as many as the index has of an answer."""
AROUND = 250
"""Letters around an excerpt that are read as Markdown: so far back is looked for where its block begins."""


@dataclass(frozen=True)
class Piece:
    text: str
    is_match: bool = False


def excerpt(text: str, wanted: Wanted, length: int = 260, *, is_markdown: bool = False) -> list[Piece]:
    """About `length` letters around where most of the words stand, or the beginning where none does."""
    said = _line(_unmarked(text[:READ], wanted, length) if is_markdown else text)
    spots = _spots(said, wanted)
    start, end = _window(said, spots, length)
    pieces, place = [Piece("…")] if start else [], start
    for first, last in spots:
        if first < place or last > end:
            continue
        pieces += [Piece(visible(said[place:first])), Piece(visible(said[first:last]), True)]
        place = last
    pieces.append(Piece(visible(said[place:end])))
    return [piece for piece in (*pieces, *([Piece("…")] if end < len(said) else [])) if piece.text]


def has(text: str, wanted: Wanted) -> bool:
    return bool(_spots(_line(text), wanted))


def _unmarked(text: str, wanted: Wanted, length: int) -> str:
    """The part that an excerpt is made of, without the marks of Markdown. As it is where what was found stands
    only in those, as in the address of a link."""
    start, end = _window(text, _spots(text, wanted), length)
    block = text.rfind("\n\n", max(0, start - AROUND), start) + 2
    line = text.rfind("\n", max(0, start - AROUND), start) + 1
    start = (block if block > 1 else line or start) if start > AROUND else 0
    part = text[start : end + AROUND]
    said = markdown.words(part)
    if not _spots(said, wanted) and _spots(part, wanted):
        return text
    return f"{'… ' if start else ''}{said}{' …' if end + AROUND < len(text) else ''}"


def _line(text: str) -> str:
    """In one line, without the fences of code."""
    return " ".join(text[:READ].replace("```", " ").split())


def _spots(said: str, wanted: Wanted) -> list[tuple[int, int]]:
    """(from, to) of every word that was looked for; of one that begins so, to its own end."""
    if not wanted.words:
        return []
    beginning = _folded(wanted.beginning)
    words = sorted(map(_folded, wanted.words), key=len, reverse=True)
    pattern = "|".join(_pattern(word, word == beginning) for word in words)
    return [found.span() for found in re.finditer(pattern, _folded(said))]


END = {True: r"[^\W_]*", False: r"(?![^\W_])"}


def _pattern(word: str, may_go_on: bool) -> str:
    if re.fullmatch(f"[{SIGNS}]", word):
        return re.escape(word)
    return rf"(?<![^\W_]){re.escape(word)}{END[may_go_on]}"


def _window(said: str, spots: list[tuple[int, int]], length: int) -> tuple[int, int]:
    """The stretch with the most matches, the first of equals, cut between words."""
    if len(said) <= length:
        return 0, len(said)
    firsts = [first for first, _ in spots]
    best = max(firsts, key=lambda first: sum(first <= other < first + length - 40 for other in firsts), default=0)
    start = max(0, min(best - 40, len(said) - length))
    if start:
        start = said.find(" ", start, start + 40) + 1 or start
    end = min(len(said), start + length)
    if end < len(said):
        end = said.rfind(" ", end - 40, end) if " " in said[end - 40 : end] else end
    return start, end


class _Letters(dict[int, str]):
    """Each letter to its small one without accents: exactly one, so that places stay the same."""

    def __missing__(self, code: int) -> str:
        plain = unicodedata.normalize("NFD", chr(code).lower())[:1] or chr(code)
        if len(self) < 10_000:
            self[code] = plain
        return plain


_LETTERS = _Letters()


def _folded(text: str) -> str:
    return text.lower() if text.isascii() else text.translate(_LETTERS)
