"""What differs between two contents: their texts line by line and word by word, their settings, their variables.

`rapidfuzz` finds what both have in common. `difflib` takes minutes for texts in which much repeats (2,000 lines of
which every second is the same: 305 s), and anybody may write one.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from rapidfuzz.distance import LCSseq

from ..text import FAINT, visible
from .content import Content, Turn
from .variables import Variable

SAME, GONE, NEW = "same", "gone", "new"
KEPT_AROUND = 3
"""Lines that did not change, shown around those that did."""
MOST_COMPARED = 400_000_000
"""Pairs of lines, or of words. Beyond that (20,000 lines against as many) all that differs is one stretch."""
SIMILAR = 0.3
"""Two lines that share less than this are shown as one gone and one new, whole."""
_WORD = re.compile(r"\w+|\s+|[^\w\s]")

NAMES = {
    "model_type": "Type",
    "requested": "Model",
    "max_tokens": "Max tokens",
    "temperature": "Temperature",
    "top_p": "Top P",
    "seed": "Seed",
    "stop": "Stop sequences",
    "reasoning_effort": "Thinking",
}
TEXTS = {"schema": "JSON schema", "tools": "Tools"}
PARTS = {
    "kind": "type",
    "default": "default",
    "description": "description",
    "required": "required",
    "options": "choices",
}


@dataclass(frozen=True)
class Span:
    text: str
    changed: bool = False


@dataclass(frozen=True)
class Line:
    kind: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Stretch:
    """Lines in a row; those of a folded one are all the same in both."""

    lines: tuple[Line, ...]
    folded: bool = False


@dataclass(frozen=True)
class Text:
    """One text in both. `kind`: is it new, gone, or in both?"""

    title: str
    kind: str
    stretches: tuple[Stretch, ...]

    @property
    def differs(self) -> bool:
        return any(line.kind != SAME for stretch in self.stretches for line in stretch.lines)


@dataclass(frozen=True)
class Setting:
    title: str
    before: str
    after: str


@dataclass(frozen=True)
class VariableChange:
    name: str
    kind: str
    """gone, new, or same: in both, and changed."""
    settings: tuple[Setting, ...] = ()
    variable: Variable | None = None


@dataclass(frozen=True)
class Differences:
    texts: tuple[Text, ...]
    settings: tuple[Setting, ...]
    variables: tuple[VariableChange, ...]
    warnings: tuple[str, ...]
    """What programs that use the one now would notice with the other."""
    is_first: bool = False
    """Nothing was there before: no settings that changed, and no programs."""


def between(before: Content | None, after: Content) -> Differences:
    is_first = before is None
    before, after = (before or Content(messages=())).settled, after.settled
    texts = [_text("System prompt", before.system, after.system), *_messages(before.messages, after.messages)]
    texts += [_text(title, getattr(before, name), getattr(after, name)) for name, title in TEXTS.items()]
    settings = (Setting(title, *(_setting(name, one) for one in (before, after))) for name, title in NAMES.items())
    return Differences(
        tuple(text for text in texts if text.stretches),
        tuple(one for one in settings if (one.after if is_first else one.before != one.after)),
        tuple(_variables(before.variables, after.variables)),
        () if is_first else tuple(_warnings(before, after)),
        is_first,
    )


# -- texts -----------------------------------------------------------------------------------------


def _messages(before: Sequence[Turn], after: Sequence[Turn]) -> Iterator[Text]:
    """Paired where they are alike, so that a new first message does not make all others differ; those that differ,
    where they are of the same role."""
    old, new = [*enumerate(before)], [*enumerate(after)]
    for is_same, i, j in _blocks(before, after):
        for gone, come in zip(old[i], new[j], strict=True) if is_same else _by_role(old[i], new[j]):
            place, turn = come or gone  # type: ignore[misc]  # never neither
            yield _text(f"Message {place + 1}, {turn.role}", gone[1].text if gone else "", come[1].text if come else "")


_Placed = tuple[int, Turn]


def _by_role(before: list[_Placed], after: list[_Placed]) -> Iterator[tuple[_Placed | None, _Placed | None]]:
    for is_same, i, j in _blocks([turn.role for _, turn in before], [turn.role for _, turn in after]):
        if is_same:
            yield from zip(before[i], after[j], strict=True)
        else:
            yield from ((one, None) for one in before[i])
            yield from ((None, one) for one in after[j])


def _text(title: str, before: str, after: str) -> Text:
    kind = NEW if not before else GONE if not after else SAME
    lines = list(_lines(*(_seen(text).split("\n") if text else [] for text in (before, after))))
    return Text(title, kind, tuple(_folded(lines)))


def _seen(text: str) -> str:
    """With a mark for what the eye cannot see: whoever reviews a prompt must see all of it."""
    return visible(FAINT.sub(lambda found: f"⟨U+{ord(found[0][0]):04X}⟩", text))


def _lines(before: list[str], after: list[str]) -> Iterator[Line]:
    for is_same, i, j in _blocks(before, after):
        old, new = before[i], after[j]
        if is_same:
            yield from (Line(SAME, (Span(text),)) for text in old)
            continue
        pairs = [_words(*pair) for pair in zip(old, new, strict=False)]
        yield from (Line(GONE, left) for left, _ in pairs)
        yield from (Line(GONE, (Span(text, True),)) for text in old[len(pairs) :])
        yield from (Line(NEW, right) for _, right in pairs)
        yield from (Line(NEW, (Span(text, True),)) for text in new[len(pairs) :])


def _words(before: str, after: str) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """Both lines, with the words marked that are only in the one."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    left, right, shared = list[Span](), list[Span](), 0
    for is_same, i, j in _blocks(old, new):
        gone, come = "".join(old[i]), "".join(new[j])
        left += [Span(gone, not is_same)] if gone else []
        right += [Span(come, not is_same)] if come else []
        shared += len(gone.strip()) if is_same else 0
    if 2 * shared < SIMILAR * (len(before) + len(after)):
        return (Span(before, True),), (Span(after, True),)
    return tuple(left), tuple(right)


def _blocks(before: Sequence[Hashable], after: Sequence[Hashable]) -> Iterator[tuple[bool, slice, slice]]:
    """(Is it the same in both?, where in the one, where in the other), in order."""
    if len(before) * len(after) > MOST_COMPARED:
        yield False, slice(0, len(before)), slice(0, len(after))
        return
    i = j = 0
    for found in (*LCSseq.opcodes(before, after), None):
        if found is not None and found.tag != "equal":
            continue
        start = (found.src_start, found.dest_start) if found else (len(before), len(after))
        if (i, j) != start:
            yield False, slice(i, start[0]), slice(j, start[1])
        if found:
            i, j = found.src_end, found.dest_end
            yield True, slice(found.src_start, i), slice(found.dest_start, j)


def _folded(lines: list[Line]) -> Iterator[Stretch]:
    """Long stretches that are the same in both are folded, but for a few lines around what differs."""
    at = 0
    while at < len(lines):
        is_same = lines[at].kind == SAME
        end = at
        while end < len(lines) and (lines[end].kind == SAME) == is_same:
            end += 1
        head = KEPT_AROUND if at else 0
        tail = KEPT_AROUND if end < len(lines) else 0
        if is_same and end - at > head + tail + 2:
            parts = ((at, at + head, False), (at + head, end - tail, True), (end - tail, end, False))
            yield from (Stretch(tuple(lines[i:j]), folded) for i, j, folded in parts if i < j)
        else:
            yield Stretch(tuple(lines[at:end]))
        at = end


# -- settings and variables ------------------------------------------------------------------------


def _setting(name: str, content: Content) -> str:
    """As the page of a version says it."""
    value: str = getattr(content, name)
    if name == "model_type":
        return value.capitalize()
    return "Automatic" if name == "requested" and value == "auto" else value


def _variables(before: Sequence[Variable], after: Sequence[Variable]) -> Iterator[VariableChange]:
    old, new = ({variable.name: variable for variable in side} for side in (before, after))
    for name, variable in new.items():
        if name not in old:
            yield VariableChange(name, NEW, variable=variable)
        elif changes := tuple(_settings(old[name], variable)):
            yield VariableChange(name, SAME, changes)
    yield from (VariableChange(name, GONE, variable=old[name]) for name in old if name not in new)


def _settings(before: Variable, after: Variable) -> Iterator[Setting]:
    for field in fields(Variable):
        pair = (getattr(before, field.name), getattr(after, field.name))
        if pair[0] != pair[1]:
            yield Setting(PARTS[field.name], *(_word(value) for value in pair))


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _warnings(before: Content, after: Content) -> Iterator[str]:
    old = {variable.name: variable for variable in before.variables}
    for variable in after.variables:
        known = old.get(variable.name)
        if variable.must_be_given and not (known and known.must_be_given):
            yield f"“{variable.name}” must be given now: programs that do not send it will be refused."
        elif known and known.kind is not variable.kind and variable.kind.value != "text":
            yield f"“{variable.name}” is {variable.kind.value} now: programs that send something else will be refused."
    for name in old:
        if name not in {variable.name for variable in after.variables}:
            yield f"“{name}” is no longer used: programs may go on sending it, and nothing comes of it."
    if after.needs_word and not before.needs_word:
        yield "It ends without a message from the user now: programs must send one."
