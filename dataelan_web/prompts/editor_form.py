"""The editor's form ↔ a content and the values to try it with. All of it is text as typed; nothing here refuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from werkzeug.datastructures import MultiDict

from ..models import ModelType
from . import language
from .content import MOST_MESSAGES, ROLES, TYPES, Content, Turn
from .refusals import Refused
from .running import Unfilled
from .variables import MOST_OPTIONS, Kind, Variable

SETTINGS = ("max_tokens", "temperature", "top_p", "seed", "stop", "reasoning_effort", "schema", "tools")
LONGEST_SETTING = 100_000
ADD = "add"


@dataclass(frozen=True)
class Written:
    content: Content
    values: dict[str, str]
    said: str
    shown: tuple[str, ...] = ()
    """What the form had fields for, as Editor.fields says it."""


Form = MultiDict[str, str]


def read(form: Form) -> Written:
    roles, texts = form.getlist("message_role"), form.getlist("message_text")
    shown = names_in(form)
    content = Content(
        system=text_of(form, "system"),
        messages=tuple(
            Turn(role if role in ROLES else ROLES[0], clean(text)) for role, text in zip(roles, texts, strict=False)
        )[: MOST_MESSAGES + 1],
        model_type=_one_of(form, "model_type", [kind.value for kind in TYPES], ModelType.TEXT.value),
        requested=text_of(form, "model").strip()[:200] or "auto",
        **{name: text_of(form, name).strip()[:LONGEST_SETTING] for name in SETTINGS},
        variables=tuple(_variable(form, name) for name in shown),
    )
    values = {name: text_of(form, f"value:{name}") for name in shown}
    return Written(_known(content), values, text_of(form, "said"), (*shown, *(("",) if "said" in form else ())))


def changed(written: Written, change: str) -> Written:
    """With a message more or less, or in another place. `change`: add, remove:2, up:2; anything else is none."""
    messages = list(written.content.messages)
    act, _, place_text = change.partition(":")
    place = int(place_text) if place_text.isascii() and place_text.isdecimal() and len(place_text) < 4 else -1
    if act == ADD:
        follows = messages and messages[-1].role == "user"
        messages.append(Turn("assistant" if follows else "user", ""))
    elif act == "remove" and 0 <= place < len(messages):
        del messages[place]
    elif act == "up" and 0 < place < len(messages):
        messages.insert(place - 1, messages.pop(place))
    return replace(written, content=_known(replace(written.content, messages=tuple(messages))))


def with_fields(content: Content, refused: Refused) -> Content:
    """With a field for each value that was missing: a version may use what the draft does not."""
    missing = refused.problems if isinstance(refused, Unfilled) else ()
    return _known(replace(content, variables=(*content.variables, *(Variable(name) for name in missing))))


def names_in(form: Form) -> tuple[str, ...]:
    """The variables that the form has fields for."""
    names = (name for name in form.getlist("variable")[:200] if language.IS_NAME.fullmatch(name))
    return tuple(dict.fromkeys(names))


def values_in(form: Form, names: Iterable[str]) -> dict[str, str]:
    return {name: text_of(form, f"value:{name}") for name in names}


def clean(text: str) -> str:
    """As the database keeps it, with line ends as they are counted."""
    return text.replace("\x00", "").replace("\r\n", "\n").encode("utf-8", "replace").decode()


def text_of(form: Mapping[str, str], name: str) -> str:
    return clean(form.get(name, ""))


def _known(content: Content) -> Content:
    """Every name that is used has its variable: in the order of the texts, and after them what is not used any more."""
    known: dict[str, Variable] = {}
    for variable in content.variables:
        known.setdefault(variable.name, variable)
    used = [known.get(name, Variable(name)) for name in content.names]
    rest = [variable for name, variable in known.items() if name not in content.names]
    return replace(content, variables=(*used, *rest))


def _variable(form: Form, name: str) -> Variable:
    options = dict.fromkeys(line.strip() for line in text_of(form, f"options:{name}").split("\n"))
    return Variable(
        name,
        Kind(_one_of(form, f"kind:{name}", [kind.value for kind in Kind], Kind.TEXT.value)),
        default=text_of(form, f"default:{name}"),
        description=text_of(form, f"description:{name}").strip()[:500],
        required=form.get(f"required:{name}", "yes") == "yes",
        options=tuple(option[:200] for option in options if option)[:MOST_OPTIONS],
    )


def _one_of(form: Form, name: str, allowed: list[str], otherwise: str) -> str:
    value = form.get(name, "")
    return value if value in allowed else otherwise
