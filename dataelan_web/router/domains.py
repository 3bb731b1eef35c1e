"""What the variables of expressions can be at all: in themselves, and for the prompts that one rule can answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .candidates import Choice
from .comparisons import Domain
from .expressions import VARIABLES
from .types import Task

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _count(name: str) -> Domain:
    return Domain(f"{name} is 0 or more", least=0)


def _between(name: str, least: int, most: int) -> Domain:
    return Domain(f"{name} is {least} to {most}", least=least, most=most)


def _one_of(name: str, values: Sequence[str]) -> Domain:
    *others, last = [value or "empty" for value in values]
    return Domain(f"{name} is {', '.join(others)} or {last}" if others else f"{name} is {last}", values=tuple(values))


TYPES = ("TEXT", "CODE", "IMAGE", "VOICE", "VIDEO")
DOMAINS: Mapping[str, Domain] = {
    **{f"prompt.{name}": _count(f"prompt.{name}")
       for name, (example, _) in VARIABLES["prompt"].items() if type(example) is int},
    **{f"size({name}.{field})": _count(f"size({name}.{field})")
       for name, fields in VARIABLES.items() for field, (example, _) in fields.items() if type(example) is str},
    "session.type": _one_of("session.type", TYPES),
    "session.task": _one_of("session.task", [task.value for task in Task]),
    "member.role": _one_of("member.role", ["OWNER", "ADMIN", "MEMBER", "VIEWER", "GUEST", ""]),
    "member.email": Domain("addresses are in small letters", shape=lambda text: not re.search("[A-Z]", text)),
    "request.origin": _one_of("request.origin", ["playground", "gateway", "batch", "judge"]),
    "request.tags": Domain("a comma stands before and after each tag: ask request.tags.contains(\",eu,\")",
                           shape=lambda text: not text or (len(text) > 1 and text[0] == text[-1] == ",")),
    "time.hour": _between("time.hour", 0, 23),
    "time.weekday": Domain("time.weekday is 1, Monday, to 7, Sunday", least=1, most=7),
    "time.date": Domain("a date is written 2026-11-23", shape=lambda text: bool(_DAY.fullmatch(text))),
    "budget.used_percent": _between("budget.used_percent", 0, 100),
}  # fmt: skip


ABILITIES = {"vision": ("prompt.images", "takes pictures"), "tools": ("prompt.tools", "calls tools")}


def of_rule(types: Sequence[str], model_type: str, choices: Sequence[Choice]) -> dict[str, Domain]:
    """For the prompts that these models can answer, of a rule for this type (`types`: those that fit it)."""
    here = f"this rule is for {model_type.lower()} prompts"
    found = dict(DOMAINS)
    found["session.type"] = Domain(f"{here}, whose session.type is {' or '.join(types)}", values=tuple(types))
    tasks = dict.fromkeys(choice.candidate.task for choice in choices)
    if tasks:
        names = " or ".join(task.value for task in tasks)
        words = f"the models of this rule that pass its other conditions are for {names}"
        found["session.task"] = Domain(words, values=tuple(task.value for task in tasks))
    if set(tasks) == {Task.CHAT}:
        found |= _of_chat([choice.candidate.context_window for choice in choices],
                          [choice.candidate.capabilities for choice in choices])  # fmt: skip
    return found


def _of_chat(windows: Sequence[int | None], able: Sequence[frozenset[str] | None]) -> dict[str, Domain]:
    """What they can hold and take. Of whom nobody says it, anything."""
    found = dict[str, Domain]()
    known = [window for window in windows if window is not None]
    if len(known) == len(windows):
        words = f"no model that passes the rule's other conditions has room for more than {max(known):,} tokens"
        for name in ("prompt.tokens", "prompt.max_tokens"):
            found[name] = Domain(words, least=0, most=max(known))
    for capability, (name, what) in ABILITIES.items():
        if all(one is not None and capability not in one for one in able):
            words = f"no model that passes the rule's other conditions {what}"
            found[name] = Domain(words, least=0, most=0)
    if all(one is not None and "json_schema" not in one for one in able):
        words = "no model that passes the rule's other conditions answers by a schema"
        found["prompt.wants_json"] = Domain(words, values=(False,))
    return found
