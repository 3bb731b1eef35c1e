"""What a prompt's model is offered of a project's declared actions: as tools where it takes tools, by the schema of
its answer where it takes that, else not; and then the run says why."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from ..executions.candidates import AUTO, last_rule, rules_for
from ..executions.submit import Offer
from ..extensions import db
from ..models import ActionVersion, DeclaredAction, Execution, How, ModelType, OfferedAction, Project
from ..router.types import Prompt, Tool, system

TAKEN = "A tool of the prompt has the same name."
NO_ROOM = "This model takes no tools, and the answer’s own JSON schema takes the place that actions would need."
UNABLE = "This model takes neither tools nor a JSON schema. Choose another to have it offered."


def on_offer(project_id: uuid.UUID, but: Collection[str] = ()) -> list[ActionVersion]:
    """The project's actions that are switched on, as they are now, by name. `but`: ids of those not wanted."""
    mine = DeclaredAction.project_id == project_id, DeclaredAction.is_enabled, DeclaredAction.deleted_at.is_(None)
    query = select(DeclaredAction).where(*mine).order_by(DeclaredAction.name)
    found = db.session.scalars(query.options(joinedload(DeclaredAction.version)))
    return [action.version for action in found if str(action.id) not in but]


def offer(
    prompt: Prompt, project: Project, requested: str, model_type: ModelType, but: Collection[str] = ()
) -> tuple[Prompt, list[Offer]]:
    """The prompt with the project's actions in it, and how each is offered."""
    versions = on_offer(project.id, but)
    if not versions:
        return prompt, []
    taken = {tool.name for tool in prompt.tools}
    offers = [Offer(version.id, How.NOT, TAKEN) for version in versions if version.name in taken]
    versions = [version for version in versions if version.name not in taken]
    how = _how(project, requested, model_type) if not prompt.tools else How.TOOL
    if how is How.TOOL:
        tools = tuple(tool_of(version) for version in versions)
        return replace(prompt, tools=(*prompt.tools, *tools)), offers + [Offer(v.id, how) for v in versions]
    if how is How.SCHEMA and prompt.schema is None:
        head = [message for message in prompt.messages if message.role == "system"]
        messages = (*head, system(INSTRUCTIONS), *prompt.messages[len(head) :])
        return replace(prompt, messages=messages, schema=schema_of(versions)), [Offer(v.id, how) for v in versions]
    why = NO_ROOM if how is How.SCHEMA else UNABLE
    return prompt, offers + [Offer(version.id, How.NOT, why) for version in versions]


def offer_only(
    prompt: Prompt, project: Project, requested: str, model_type: ModelType, wanted: Collection[str]
) -> tuple[Prompt, list[Offer]]:
    """The same with no other actions than these, by their ids as text; with none, the prompt as it is."""
    if not wanted:
        return prompt, []
    others = {str(version.action_id) for version in on_offer(project.id)} - set(wanted)
    return offer(prompt, project, requested, model_type, others)


def again(first: Execution, project: Project) -> list[Offer]:
    """What a run was offered, for one that asks the same once more; of this project alone, to which its session may
    have been moved since: who works here may have no say there."""
    query = select(OfferedAction).join(OfferedAction.version).join(ActionVersion.action)
    here = OfferedAction.execution_id == first.id, DeclaredAction.project_id == project.id
    rows = db.session.scalars(query.where(*here).order_by(OfferedAction.id))
    return [Offer(row.version_id, row.how, row.why) for row in rows]


def tool_of(version: ActionVersion) -> Tool:
    return Tool(version.name, version.description, version.schema)


INSTRUCTIONS = (
    "You can ask for actions; each is described in the schema of your answer. Answer in “reply”. Put into “actions”"
    " only what the prompt asks to be done, with all its arguments; leave the list empty where nothing is to be done."
)


def schema_of(versions: Sequence[ActionVersion]) -> dict[str, Any]:
    """Of an answer that may ask for these actions: {reply, actions: [{name, arguments}]}."""
    return {
        "type": "object",
        "properties": {
            "reply": {"type": "string", "description": "What you say to the person."},
            "actions": {"type": "array", "items": {"anyOf": [_asking(*one) for one in enumerate(versions)]}},
        },
        "required": ["reply", "actions"],
        "additionalProperties": False,
    }


def _asking(place: int, version: ActionVersion) -> dict[str, Any]:
    here = f"#/properties/actions/items/anyOf/{place}/properties/arguments"
    return {
        "type": "object",
        "description": version.description,
        "properties": {"name": {"const": version.name, "type": "string"}, "arguments": _moved(version.schema, here)},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _moved(schema: Any, to: str) -> Any:
    """With references that lead to where the schema is now."""
    if isinstance(schema, dict):
        plain = {name: _moved(value, to) for name, value in schema.items() if name != "$schema"}
        target = plain.get("$ref")
        moves = isinstance(target, str) and (target == "#" or target.startswith("#/"))
        return plain | ({"$ref": f"{to}{str(target)[1:]}"} if moves else {})
    return [_moved(one, to) for one in schema] if isinstance(schema, list) else schema


def _how(project: Project, requested: str, model_type: ModelType) -> How:
    """The best that any of the models that may answer can do; the router then asks only such as can."""
    rules = rules_for(db.session, project, requested, model_type)
    if requested == AUTO:
        rules.append(last_rule(db.session, project, model_type, Prompt(messages=()).task))
    able = [choice.candidate.capabilities for rule in rules for choice in rule.choices if choice.candidate.keys]
    if not able or _any_has("tools", able):
        return How.TOOL
    return How.SCHEMA if _any_has("json_schema", able) else How.NOT


def _any_has(ability: str, able: Iterable[frozenset[str] | None]) -> bool:
    return any(abilities is None or ability in abilities for abilities in able)
