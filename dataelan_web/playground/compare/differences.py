"""What differs between two answers, line by line; what is the same is folded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from .board import Board

AROUND = 2
"""Lines that are the same and stay in sight, before and after what differs."""
MOST_LINES = 2_000
"""Of each answer: comparing takes a time that grows with the square of them."""
LONGEST_MARKED = 40_000
"""Signs of an answer in whose lines single words are marked; in longer ones whole lines are."""


@dataclass(frozen=True)
class Line:
    """`kind`: same, removed (only in the first) or added (only in the second). `words`: [(text, differs?)]."""

    kind: str
    words: list[tuple[str, bool]]


@dataclass(frozen=True)
class Part:
    """Lines that stand together; `is_folded`: all of them are the same in both."""

    lines: list[Line]
    is_folded: bool = False


@dataclass(frozen=True)
class Difference:
    parts: list[Part]
    added: int
    removed: int
    was_cut: bool

    @property
    def is_none(self) -> bool:
        return not (self.added or self.removed)


def difference(first: str, second: str) -> Difference:
    one, two = first.splitlines(), second.splitlines()
    was_cut = max(len(one), len(two)) > MOST_LINES
    one, two = one[:MOST_LINES], two[:MOST_LINES]
    marks_words = max(len(first), len(second)) <= LONGEST_MARKED
    parts: list[Part] = []
    added = removed = 0
    codes = SequenceMatcher(None, one, two, autojunk=False).get_opcodes()
    for place, (kind, i1, i2, j1, j2) in enumerate(codes):
        if kind == "equal":
            parts += _same(one[i1:i2], is_first=place == 0, is_last=place == len(codes) - 1)
            continue
        parts.append(Part(list(_changed(one[i1:i2], two[j1:j2], marks_words))))
        removed, added = removed + i2 - i1, added + j2 - j1
    return Difference(_joined(parts), added, removed, was_cut)


def _joined(parts: Sequence[Part]) -> list[Part]:
    """What is in sight one after the other stands together."""
    joined: list[Part] = []
    for part in parts:
        if joined and not (part.is_folded or joined[-1].is_folded):
            joined[-1] = Part([*joined[-1].lines, *part.lines])
        else:
            joined.append(part)
    return joined


def _same(lines: Sequence[str], *, is_first: bool, is_last: bool) -> Iterator[Part]:
    before, after = 0 if is_first else AROUND, 0 if is_last else AROUND
    shown = [Line("same", [(line, False)]) for line in lines]
    if len(lines) <= before + after + 1:
        yield Part(shown)
        return
    if before:
        yield Part(shown[:before])
    yield Part(shown[before : len(lines) - after], is_folded=True)
    if after:
        yield Part(shown[-after:])


def _changed(removed: Sequence[str], added: Sequence[str], marks_words: bool) -> Iterator[Line]:
    """Of as many lines on both sides, the words that differ are marked."""
    if len(removed) != len(added) or not marks_words:
        yield from (Line("removed", [(line, True)]) for line in removed)
        yield from (Line("added", [(line, True)]) for line in added)
        return
    pairs = [_words(old, new) for old, new in zip(removed, added, strict=True)]
    yield from (Line("removed", old) for old, _ in pairs)
    yield from (Line("added", new) for _, new in pairs)


def _words(old: str, new: str) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    one, two = _split(old), _split(new)
    first, second = [], []
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
        first.append(("".join(one[i1:i2]), kind != "equal"))
        second.append(("".join(two[j1:j2]), kind != "equal"))
    return [pair for pair in first if pair[0]], [pair for pair in second if pair[0]]


def _split(line: str) -> list[str]:
    """Words with the space behind them; of a very long line only the whole."""
    words = [word + " " for word in line.split(" ")]
    words[-1] = words[-1][:-1]
    return words if len(words) < 400 else [line]


def between(board: Board, a: str, b: str) -> dict[str, Any]:
    """For the page: the answers to choose from, those chosen, and what differs. `a`, `b`: “1-0”, the column and which
    of its repeats. Without a choice the first two are offered, and nothing is compared yet."""
    whole = {f"{run.place}-{run.turn}": run for run in board.runs if run.text and not board.holds_back}
    if len(whole) < 2:
        return {"choices": [], "difference": None}
    first = a if a in whole else next(iter(whole))
    others = sorted((key for key in whole if key != first), key=lambda key: whole[key].turn != whole[first].turn)
    second = b if b in others else others[0]
    found = difference(whole[first].text, whole[second].text) if a else None
    choices = [(key, board.name_of(run)) for key, run in whole.items()]
    return {"choices": choices, "a": first, "b": second, "difference": found}
