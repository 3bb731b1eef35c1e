r"""The language of templates: `{{name}}` is a variable, and nothing else is anything.

A name is a letter or `_`, then letters, digits and `_`. `\{{` writes `{{`; of more backslashes before it, two write
one. Nothing is evaluated, ever: `{{7*7}}` and `{% if %}` are sent as typed, and so is whatever a value holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

LONGEST_NAME = 64
_NAME = rf"[^\W\d]\w{{0,{LONGEST_NAME - 1}}}"
# Whole runs of backslashes (`*+` gives none back), so that a text of nothing else takes no longer than any other.
_RUN = r"(?<!\\)(?P<slashes>\\*+)"
_FOUND = re.compile(rf"{_RUN}(?:(?P<variable>\{{\{{[ \t]*(?P<name>{_NAME})[ \t]*\}}\}})|(?<=\\)(?P<braces>\{{\{{))")
_BRACES = re.compile(rf"{_RUN}\{{\{{")
_ALMOST = re.compile(
    r"(?<!\\)(?:"
    r"\{\{(?P<inner>[^{}\n]{0,80})\}\}"  # {{first name}}, {{7*7}}
    rf"|\{{\{{[ \t]*{_NAME}[ \t]*\}}(?!\}})"  # {{name}
    r"|\{%[^%\n]{0,80}%\})"  # {% if %}
)
IS_NAME = re.compile(_NAME)


@dataclass(frozen=True)
class Piece:
    """A stretch of a text: as it was typed, as it is sent, and the name where it is a variable."""

    typed: str
    sent: str
    name: str = ""


def pieces(text: str) -> Iterator[Piece]:
    """The whole text, in order."""
    at = 0
    for found in _FOUND.finditer(text):
        slashes, what = found["slashes"], found["variable"] or found["braces"]
        before, at = text[at : found.start()], found.end()
        is_plain = len(slashes) % 2 or found["variable"] is None
        typed, sent = before + slashes, before + "\\" * (len(slashes) // 2)
        if is_plain:
            yield Piece(typed + what, sent + what)
            continue
        if typed:
            yield Piece(typed, sent)
        yield Piece(what, "", found["name"])
    if at < len(text):
        yield Piece(text[at:], text[at:])


def names(*texts: str) -> tuple[str, ...]:
    """The variables of these texts, each once, in the order of their first use."""
    return tuple(dict.fromkeys(piece.name for text in texts for piece in pieces(text) if piece.name))


def render(text: str, values: Mapping[str, str]) -> str:
    """The text with its variables' values put in as they are; nothing for a variable without one."""
    return "".join(values.get(piece.name, "") if piece.name else piece.sent for piece in pieces(text))


def escape(text: str) -> str:
    """What to write so that exactly this text is sent."""
    return _BRACES.sub(r"\g<slashes>\g<slashes>\\{{", text)


def almost(text: str, most: int = 3) -> list[str]:
    """What looks like a variable, or like another template language, and is sent as typed: each once."""
    found = (
        match[0]
        for match in _ALMOST.finditer(text)
        if match["inner"] is None or not IS_NAME.fullmatch(match["inner"].strip(" \t"))
    )
    return list(dict.fromkeys(found))[:most]
