"""What a session says before its first prompt, by its type: what it is for, and words to begin with."""

from __future__ import annotations

from dataclasses import dataclass

from ..models import ModelType, PromptSession


@dataclass(frozen=True)
class Start:
    """What a session without a prompt says of its type, and prompts to begin with: (its name, its words)."""

    title: str
    words: str
    starters: tuple[tuple[str, str], ...]


STARTS = {
    ModelType.TEXT: Start(
        "Ask a model anything",
        "Attach pictures, PDF, text or sound where the model can read them. Every answer keeps its cost, its speed and"
        " the reasons for its model.",
        (
            ("Compare", "Compare three ways to store passwords in a table: how safe, how slow, and when to use each."),
            ("Plan", "Plan a one-hour workshop in which ten people agree on a product’s name, with times."),
        ),
    ),
    ModelType.CODE: Start(
        "Write and change code",
        "Code in answers can be copied or saved under its file’s name. Ask for JSON by a schema, or give the model"
        " tools, under More settings.",
        (
            ("Write", "Write a Python function that merges overlapping date ranges, with type hints and three tests."),
            ("Explain", "Explain with examples what this regular expression matches: ^(?!.*\\.\\.)[\\w.+-]+@[\\w-]+$"),
        ),
    ),
    ModelType.IMAGE: Start(
        "Make pictures",
        "Describe one, or attach pictures to work from. Each prompt stands for itself; a picture that you like can be"
        " the start of the next.",
        (
            ("Photo", "A small harbour at dawn after rain, wooden boats, soft mist, wide-angle photograph"),
            ("Drawing", "A line drawing of a fox reading a newspaper on a park bench, black ink on cream paper"),
        ),
    ),
    ModelType.VOICE: Start(
        "Speak and listen",
        "Write words to hear them spoken. Or attach a recording, and it is written down, with time marks where the"
        " model knows them.",
        (
            ("Announcement", "Good morning, and welcome aboard. We leave in five minutes from platform two."),
            ("Reading", "The sea was as flat as a plate. Far out, a single sail stood still, as if painted."),
        ),
    ),
    ModelType.VIDEO: Start(
        "Make a film",
        "Describe what is seen and what happens, or attach a picture to start from. It takes minutes: you can close"
        " this page, and find the film here later.",
        (
            ("Nature", "A paper boat drifts down a rain gutter, the camera follows close behind, evening light"),
            ("Product", "A ceramic cup turns slowly on a wooden table, steam rises, soft light from a window"),
        ),
    ),
}  # fmt: skip


def starter(session: PromptSession, number: int) -> str:
    """The words of a prompt to begin with; none for a number that there is not."""
    starters = STARTS[session.model_type].starters
    return starters[number][1] if 0 <= number < len(starters) else ""
