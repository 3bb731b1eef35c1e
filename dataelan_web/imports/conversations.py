"""What every format is read into: conversations of prompts, each with the answers it got, and their branches.

A tree of messages becomes its main line, as one session. An answer that was asked for again and never continued is one
more run of its prompt. Every other branch that leads somewhere is a session of its own, forked from the main one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

MOST_MESSAGES = 20_000
MOST_BRANCHES = 500
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
    """A prompt and its answers, the one that was gone on with last."""

    asked: Said
    answers: list[Said] = field(default_factory=list)


@dataclass
class Conversation:
    source_id: str
    title: str
    turns: list[Turn]
    at: str = ""
    branch_of: int | None = None
    """The place in the file of the conversation that it is a branch of."""
    type: str = "TEXT"

    @property
    def runs_count(self) -> int:
        return sum(max(len(turn.answers), 1) for turn in self.turns)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Conversation:
        turns = [Turn(Said(**turn["asked"]), [Said(**said) for said in turn["answers"]]) for turn in data["turns"]]
        return cls(**{**data, "turns": turns})


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


def lines(nodes: Sequence[Node], current: str) -> list[list[Turn]]:
    """The main line, which ends at `current` or else at the last leaf, and every other branch that leads somewhere."""
    if len(nodes) > MOST_MESSAGES:
        raise CannotCome(f"it has more than {MOST_MESSAGES:,} messages")
    by_id = {node.id: node for node in nodes}
    parents = {node.parent for node in nodes}
    leaves = [node.id for node in nodes if node.id not in parents]
    main = current if current in by_id else (leaves or [""])[-1]
    found: list[list[Turn]] = []
    prompts: dict[str, Turn] = {}
    taken: set[str] = set()
    for leaf in [main, *(leaf for leaf in leaves if leaf != main)][: MOST_BRANCHES + 1]:
        path = _path(leaf, by_id)
        asked = next((place for place in range(len(path), 0, -1) if path[place - 1].role == USER), 0)
        known = prompts.get(path[asked - 1].id) if asked else None
        if taken.issuperset(node.id for node in path):
            continue
        if known and asked < len(path):  # asked once more, and never gone on with
            known.answers.insert(0, _joined(path[asked:]))
        else:
            found.append(_turns(path, prompts))
        taken |= {node.id for node in path}
    return found


def _path(leaf: str, by_id: dict[str, Node]) -> list[Node]:
    path, seen, id = list[Node](), set[str](), leaf
    while id in by_id and id not in seen:
        seen.add(id)
        path.append(by_id[id])
        id = by_id[id].parent
    return [node for node in reversed(path) if node.counts]


def _turns(path: Sequence[Node], prompts: dict[str, Turn]) -> list[Turn]:
    turns, place = list[Turn](), 0
    while place < len(path):
        role, end = path[place].role, place
        while end < len(path) and path[end].role == role:
            end += 1
        said = _joined(path[place:end])
        if role == USER:
            turns.append(Turn(said))
            prompts.setdefault(path[end - 1].id, turns[-1])
        else:
            turns = turns or [Turn(Said("", at=said.at))]
            turns[-1].answers.append(said)
        place = end
    return turns


def _joined(nodes: Sequence[Node]) -> Said:
    """Messages in a row by the same side are one."""
    model = next((node.said.model for node in reversed(nodes) if node.said.model), "")
    return Said("\n\n".join(node.said.text.strip() for node in nodes), model, nodes[-1].said.at)


def chain(messages: Iterable[tuple[str, Said]]) -> list[Node]:
    """Messages in a plain row, as (role, what was said)."""
    return [Node(str(place + 1), str(place), role, said) for place, (role, said) in enumerate(messages)]


def when(value: Any) -> str:
    """Seconds since 1970, milliseconds since then, or ISO 8601, as ISO 8601 in UTC; nothing for what is no time."""
    try:
        if isinstance(value, bool) or value is None:
            return ""
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC).isoformat()
        at = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return ""


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
