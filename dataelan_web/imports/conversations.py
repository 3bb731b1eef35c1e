"""What every format is read into: conversations of prompts and answers, each a tree as it was.

A prompt that was asked again has several answers, and any of them can have been gone on with. All of it becomes one
session, whose branches are walked as those of a session that was made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

MOST_MESSAGES = 20_000
MOST_CHARACTERS = 40_000_000
"""Of one conversation: what is said before a branch, in a row by the same side, stands in each of them."""
EARLIEST, AHEAD = datetime(1970, 1, 1, tzinfo=UTC), timedelta(days=1)
"""When something may have been said, as far as clocks agree."""
USER, ASSISTANT = "user", "assistant"


class CannotCome(ValueError):
    """The message says why."""


@dataclass
class Said:
    """One message. `at`: ISO 8601, or nothing."""

    text: str
    model: str = ""
    at: str = ""


@dataclass
class Turn:
    """An answer, and what it answers; without words where none came."""

    prompt: int
    """The place of what was asked, among the conversation's prompts."""
    answer: Said
    after: int | None = None
    """The place of the turn whose answer was gone on with, which stands before it; None: it is a beginning."""


@dataclass
class Conversation:
    source_id: str
    title: str
    prompts: list[Said]
    turns: list[Turn]
    """The end of the branch that was looked at last is the last one."""
    at: str = ""
    type: str = "TEXT"

    @property
    def runs_count(self) -> int:
        return len(self.turns)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Conversation:
        if "prompts" not in data:
            return cls(data["source_id"], data["title"], *_in_a_row(data["turns"]), data["at"], data["type"])
        prompts = [Said(**said) for said in data["prompts"]]
        turns = [Turn(turn["prompt"], Said(**turn["answer"]), turn["after"]) for turn in data["turns"]]
        return cls(**{**data, "prompts": prompts, "turns": turns})


def _in_a_row(kept: Sequence[dict[str, Any]]) -> tuple[list[Said], list[Turn]]:
    """As the version before kept them for the day until they are chosen: [{asked, answers: [said, …]}, …]."""
    turns = list[Turn]()
    for place, turn in enumerate(kept):
        after = len(turns) - 1 if turns else None
        turns += [Turn(place, Said(**said), after) for said in turn["answers"] or [{"text": ""}]]
    return [Said(**turn["asked"]) for turn in kept], turns


@dataclass
class Node:
    """A message in a tree. What is neither asked nor answered (`role` is another word) only leads on."""

    id: str
    parent: str
    role: str
    said: Said

    @property
    def counts(self) -> bool:
        return self.role in (USER, ASSISTANT) and bool(self.said.text.strip())


@dataclass
class _Spoken:
    """A message that counts, with those of the same side right before it."""

    said: Said
    role: str
    above: _Spoken | None = None
    """The message before it, of either side."""
    answered: _Spoken | None = None
    """The last message of the other side before it."""
    prompt: int | None = None
    turn: int | None = None


def tree(nodes: Sequence[Node], current: str) -> tuple[list[Said], list[Turn]]:
    """What was asked, and each answer with what it goes on from. Wherever there are several branches, the one through
    `current`, or else to the last leaf, comes last. Raises CannotCome."""
    if len(nodes) > MOST_MESSAGES:
        raise CannotCome(f"it has more than {MOST_MESSAGES:,} messages")
    prompts, turns = list[Said](), list[Turn]()
    spoken = list(_spoken(nodes, current))
    followed: dict[int, set[str]] = {}
    for one in spoken:
        if one.above is not None:
            followed.setdefault(id(one.above), set()).add(one.role)
    for one in spoken:
        sides = followed.get(id(one), set())
        if sides == {one.role}:  # the same side said more: that is the whole message
            continue
        asks = one if one.role == USER else one.answered
        if asks is None or asks.prompt is None:
            prompts.append(asks.said if asks else Said("", at=one.said.at))
            asks = asks or _Spoken(prompts[-1], USER)
            asks.prompt = len(prompts) - 1
        if one.role == USER and sides:
            continue
        after = asks.answered.turn if asks.answered else None
        one.turn = len(turns)
        turns.append(Turn(asks.prompt or 0, one.said if one.role == ASSISTANT else Said(""), after))
    return prompts, turns


def _spoken(nodes: Sequence[Node], current: str) -> Iterator[_Spoken]:
    """Every message that counts after the one it follows, the branch through `current` last. Raises CannotCome."""
    by_id = {node.id: node for node in nodes}
    below: dict[str, list[Node]] = {}
    for node in by_id.values():
        below.setdefault(node.parent if node.parent in by_id else "", []).append(node)
    last_leaf = next((node.id for node in reversed(nodes) if node.id not in below), "")
    main = _way_to(current if current in by_id else last_leaf, by_id)
    for branches in below.values():
        branches.sort(key=lambda node: node.id in main)
    seen, length = set[str](), 0
    # What bites its own tail hangs on nothing: it begins wherever it is met.
    for begin in [*below.get("", ()), *nodes]:
        waiting: list[tuple[Node, _Spoken | None]] = [(begin, None)]
        while waiting:
            node, above = waiting.pop()
            if node.id in seen:
                continue
            seen.add(node.id)
            if node.counts:
                above = _after(above, node)
                if (length := length + len(above.said.text)) > MOST_CHARACTERS:
                    raise CannotCome("its branches say too much")
                yield above
            waiting += [(one, above) for one in reversed(below.get(node.id, ()))]


def _after(above: _Spoken | None, node: Node) -> _Spoken:
    """Messages in a row by the same side are one."""
    text = node.said.text.strip()
    if above is None or above.role != node.role:
        return _Spoken(Said(text, node.said.model, node.said.at), node.role, above, above)
    said = Said(f"{above.said.text}\n\n{text}", node.said.model or above.said.model, node.said.at)
    return _Spoken(said, node.role, above, above.answered)


def _way_to(id: str, by_id: dict[str, Node]) -> set[str]:
    seen = set[str]()
    while id in by_id and id not in seen:
        seen.add(id)
        id = by_id[id].parent
    return seen


def chain(messages: Iterable[tuple[str, Said]]) -> list[Node]:
    """Messages in a plain row, as (role, what was said)."""
    return [Node(str(place + 1), str(place), role, said) for place, (role, said) in enumerate(messages)]


def when(value: Any) -> str:
    """Seconds since 1970, milliseconds since then, or ISO 8601, as ISO 8601 in UTC; nothing for what is no time, or is
    none of a conversation: before 1970, or yet to come. (Sums are counted from the first run to the last, in steps of
    weeks, and by the clock of some place: the first day of the first year has none in half of the world.)"""
    try:
        if isinstance(value, bool) or value is None:
            return ""
        if isinstance(value, int | float):
            at = datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
        else:
            at = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
            at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return at.isoformat() if EARLIEST <= at <= datetime.now(UTC) + AHEAD else ""


def text_of(value: Any) -> str:
    """Words, wherever the formats keep them: a string, a list of parts, or a part with `text`."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n\n".join(filter(None, (text_of(part) for part in value)))
    if isinstance(value, dict):
        if value.get("type", "text") in ("text", "multimodal_text", "input_text", "output_text"):
            inner = value.get("text")
            return text_of(inner.get("value") if isinstance(inner, dict) else inner)
        return ""
    return ""
