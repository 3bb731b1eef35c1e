"""What a text or code session can be told beside its prompt: instructions, limits, a schema, tools."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

from jsonschema import validators
from jsonschema.exceptions import SchemaError
from wtforms import DecimalField, IntegerField, SelectField, SelectMultipleField, TextAreaField
from wtforms.validators import Length, NumberRange, Optional, ValidationError

from ..executions.candidates import models_named
from ..extensions import db
from ..fields import offered, trim
from ..models import Project, PromptSession
from ..router.parameters import OF_CHAT, omitted
from ..router.types import Message, Part, Prompt, Tool, system
from .forms import PromptForm, bounded

MOST_TOOLS = 64
LONGEST = 100_000
MOST_STOPS, LONGEST_STOP = 4, 200
"""OpenAI takes four; others take more."""
MOST_SEED = 2**31 - 1
"""What every format takes: Google's is of 32 bits."""
TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
"""What OpenAI, Anthropic and Google all take."""


EFFORTS = {"": "Model’s choice", "none": "Off", "minimal": "Minimal", "low": "Low", "medium": "Medium", "high": "High"}


class ChatSettings:
    """The fields of what a chat is told beside its prompt, for forms that have them; `project` and `requested` where
    they are for one model."""

    project: Project | None = None

    system = TextAreaField("System prompt", [Length(max=LONGEST)], filters=[trim])
    max_tokens = IntegerField(
        "Max tokens",
        [Optional(), NumberRange(1, 1_000_000, "A number from 1 to 1,000,000, or leave it empty.")],
        filters=[bounded],
    )
    temperature = DecimalField(
        "Temperature",
        [Optional(), NumberRange(0, 2, "A number from 0 to 2, or leave it empty.")],
        filters=[bounded],
    )
    top_p = DecimalField(
        "Top P",
        [Optional(), NumberRange(0, 1, "A number from 0 to 1, or leave it empty.")],
        filters=[bounded],
    )
    seed = IntegerField(
        "Seed",
        [Optional(), NumberRange(0, MOST_SEED, f"A whole number from 0 to {MOST_SEED:,}, or leave it empty.")],
        filters=[bounded],
    )
    stop = TextAreaField("Stop sequences", [Length(max=LONGEST)], filters=[trim])
    reasoning_effort = SelectField("Thinking", choices=offered(EFFORTS.items()), default="")
    schema = TextAreaField("JSON schema of the answer", [Length(max=LONGEST)], filters=[trim])
    tools = TextAreaField("Tools", [Length(max=LONGEST)], filters=[trim])

    def validate_max_tokens(self, field: Any) -> None:
        most = self.chosen and self.chosen.max_output_tokens
        if most and field.data and field.data > most:
            raise ValidationError(f"{self.chosen.model} writes at most {most:,} tokens.")

    def validate_stop(self, field: Any) -> None:
        stops_of(field.data)

    def validate_schema(self, field: Any) -> None:
        schema = read_json(field.data)
        if schema is not None:
            check_schema(schema)
            self._is_taken(field)

    def validate_tools(self, field: Any) -> None:
        if tools_of(field.data):
            self._is_taken(field)

    def _is_taken(self, field: Any) -> None:
        if field.name.rpartition("-")[2] in self.omitted:
            words = "no JSON schema" if field.name.endswith("schema") else "no tools"
            raise ValidationError(f"{self.chosen.model} takes {words}. Empty this, or choose another model.")

    @property
    def requested(self) -> str:
        return ""

    @cached_property
    def chosen(self) -> Any:
        """The model that is asked for, a router.Candidate; None where rules choose it, or it is not there."""
        return next(iter(models_named(db.session, self.project, self.requested)), None) if self.project else None

    @property
    def omitted(self) -> frozenset[str]:
        """Parameters that it does not take. The page sends none of them (settings.js); from one that does, what is no
        schema and no tools is left out where it is sent, and the run says so."""
        return omitted(self.chosen) if self.chosen else frozenset()

    @property
    def instructions(self) -> tuple[Message, ...]:
        return (system(self.system.data),) if self.system.data else ()

    def applied(self, prompt: Prompt) -> Prompt:
        return replace(
            prompt,
            max_tokens=self.max_tokens.data,
            temperature=None if self.temperature.data is None else float(self.temperature.data),
            top_p=None if self.top_p.data is None else float(self.top_p.data),
            seed=self.seed.data,
            stop=stops_of(self.stop.data),
            schema=read_json(self.schema.data),
            tools=tools_of(self.tools.data),
            reasoning_effort=self.reasoning_effort.data or None,
        )


class ChatForm(PromptForm, ChatSettings):
    REMEMBERED: ClassVar[tuple[str, ...]] = (
        "model",
        "system",
        "max_tokens",
        "temperature",
        "top_p",
        "seed",
        "stop",
        "reasoning_effort",
        "schema",
        "tools",
    )
    NEEDS_TEXT: ClassVar[bool] = False

    actions = SelectMultipleField("Actions", validate_choice=False)
    """Declared actions of the project to offer, by id; of those that were `listed`. New ones are, until unticked."""
    listed = SelectMultipleField("Listed actions", validate_choice=False)

    def __init__(self, session: PromptSession, **values: Any) -> None:
        super().__init__(session, **values)
        self.project = session.project

    @property
    def settings(self) -> dict[str, Any]:
        """What was hidden, and so did not come, stays as it was, for when another model is chosen."""
        values = super().settings
        absent = [name for name in OF_CHAT if self[name].raw_data == [] and name in self.session.settings]
        values |= {name: self.session.settings[name] for name in absent if name in self.omitted}
        if not self.listed.data:
            return values
        unwanted = set(self.listed.data) - set(self.actions.data or ())
        return values | {"actions_off": sorted(unwanted)[:MOST_TOOLS]}

    def prompt(self, parts: Sequence[Part], earlier: tuple[Message, ...] = ()) -> Prompt:
        prompt = super().prompt(parts, earlier)
        return self.applied(replace(prompt, messages=(*self.instructions, *earlier, *prompt.messages)))


def stops_of(text: str | None) -> tuple[str, ...]:
    r"""One a line, in which \n stands for the end of a line, \t for a tab and \\ for itself. Raises ValidationError."""
    found = tuple(dict.fromkeys(_unescaped(line) for line in (text or "").splitlines() if line.strip()))
    if len(found) > MOST_STOPS:
        raise ValidationError(f"These are {len(found)} stop sequences; the most is {MOST_STOPS}.")
    if any(len(one) > LONGEST_STOP for one in found):
        raise ValidationError(f"A stop sequence has at most {LONGEST_STOP} characters.")
    return found


def stops_typed(stops: Sequence[str]) -> str:
    """As `stops_of` reads them."""
    return "\n".join(one.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t") for one in stops)


def _unescaped(line: str) -> str:
    return re.sub(r"\\([nt\\])", lambda found: {"n": "\n", "t": "\t"}.get(found[1], "\\"), line)


def read_json(text: str | None) -> Any:
    """None for an empty field. Raises ValidationError, with the place."""
    if not text:
        return None
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValidationError(f"This is not JSON: {error.msg} in line {error.lineno}, column {error.colno}.") from None
    except (ValueError, RecursionError):
        raise ValidationError("This is not JSON that can be read: it is nested too deeply, or holds NaN.") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def check_schema(schema: Any, of: str = "The schema") -> None:
    """Raises ValidationError for what is no JSON Schema of an object."""
    if not isinstance(schema, dict):
        raise ValidationError(f'{of} must be a JSON object, such as {{"type": "object", "properties": …}}.')
    if not isinstance(schema.get("$schema", ""), str):
        raise ValidationError(f"{of} must name its $schema by text.")
    try:
        validators.validator_for(schema).check_schema(schema)
    except SchemaError as error:
        place = ".".join(map(str, error.absolute_path))
        raise ValidationError(
            f"{of} is no JSON Schema: {error.message[:300]}{f' (at {place})' if place else ''}."
        ) from None
    except RecursionError:
        raise ValidationError(f"{of} is nested too deeply.") from None


def tools_of(text: str | None) -> tuple[Tool, ...]:
    """A list of {name, description, parameters}, or of OpenAI's {type, function}. Raises ValidationError."""
    found = read_json(text)
    if found is None:
        return ()
    if not isinstance(found, list):
        raise ValidationError('Write a list of tools: [{"name": …, "description": …, "parameters": …}].')
    if len(found) > MOST_TOOLS:
        raise ValidationError(f"These are {len(found)} tools; the most is {MOST_TOOLS}.")
    tools = tuple(_tool(one, number) for number, one in enumerate(found, 1))
    names = [tool.name for tool in tools]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValidationError(f"Two tools have the name “{min(twice)}”.")
    return tools


def _tool(data: Any, number: int) -> Tool:
    if isinstance(data, dict) and isinstance(data.get("function"), dict):
        data = data["function"]
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        raise ValidationError(f"Tool {number} has no name.")
    name, parameters = data["name"], data.get("parameters")
    if not TOOL_NAME.fullmatch(name):
        raise ValidationError(f"The name of tool {number} may hold letters, digits, _ and -, 64 at most.")
    if parameters is not None:
        check_schema(parameters, f"What “{name}” takes")
    return Tool(name, str(data.get("description") or ""), parameters or {})
