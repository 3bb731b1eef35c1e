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
_VARIABLE_OR_ESCAPE = re.compile(rf"(?P<before>\\*)\{{\{{[ \t]*(?P<name>{_NAME})[ \t]*\}}\}}|(?P<escape>\\+)\{{\{{")
_BRACES = re.compile(r"(\\*)\{\{")
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
    for found in _VARIABLE_OR_ESCAPE.finditer(text):
        slashes = found["before"] if found["escape"] is None else found["escape"]
        braces = found[0][len(slashes) :]
        before, at = text[at : found.start()], found.end()
        if len(slashes) % 2 or found["name"] is None:
            yield Piece(before + slashes + braces, before + "\\" * (len(slashes) // 2) + braces)
            continue
        if before or slashes:
            yield Piece(before + slashes, before + "\\" * (len(slashes) // 2))
        yield Piece(braces, "", found["name"])
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
    return _BRACES.sub(r"\1\1\\{{", text)


def almost(text: str, most: int = 3) -> list[str]:
    """What looks like a variable, or like another template language, and is sent as typed: each once."""
    found = (
        match[0]
        for match in _ALMOST.finditer(text)
        if match["inner"] is None or not IS_NAME.fullmatch(match["inner"].strip(" \t"))
    )
    return list(dict.fromkeys(found))[:most]
