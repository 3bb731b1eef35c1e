"""A run of its own that shows a model what was wrong with its arguments: with its cost, and under the same limits."""

from __future__ import annotations

import json
from dataclasses import replace

from sqlalchemy import select

from ..executions.calls import asked_for
from ..executions.prompts import from_json
from ..executions.submit import Request, record, wake
from ..extensions import db
from ..models import ActionCall, ActionRepair, CallState, Execution, How, Origin, Project, State
from ..router.types import Message, Prompt, ToolResult, ToolUse, assistant, user
from .offering import schema_of, tool_of

LONGEST = 20_000
"""Characters of the broken arguments that are shown to the model once more."""


def repair(call: ActionCall) -> None:
    """Ask once more. The run and the call's state are one commit; then the queue is told."""
    run = call.execution
    before, number = last_repair(call) or run, call.repairs_made + 1
    call.state, call.repairs_made = CallState.REPAIRING, number
    request = Request(
        project=db.session.get_one(Project, run.project_id),
        prompt=_prompt(call, before),
        origin=Origin.PLAYGROUND,
        requested=run.requested,
        user_id=run.user_id,
        session=run.session,
        model_type=run.model_type,
        idempotency_key=f"repair:{call.id}:{number}",
        repairs_id=run.id,
        repairs=ActionRepair(call_id=call.id, number=number),
    )
    wake(record(request))


def outcome(call: ActionCall) -> tuple[str, str]:
    """(the arguments that the last repair brought, why it brought none)"""
    found = last_repair(call)
    if found is None:
        return "", "Its repair is deleted."
    if found.state is not State.COMPLETED:
        return "", f"The repair came to nothing: {found.body.error or found.state.value}"
    if call.how is How.TOOL:
        said = [one["arguments"] or "{}" for one in found.body.tool_calls if one["name"] == call.name]
    else:
        said = [
            json.dumps(given, ensure_ascii=False) for name, given in asked_for(found.body.text) if name == call.name
        ]
    return (said[0], "") if said else ("", f"The model was asked to repair it, and did not. {call.problem}")


def last_repair(call: ActionCall) -> Execution | None:
    if not call.repairs_made:
        return None
    mine = ActionRepair.call_id == call.id
    query = select(Execution).join(ActionRepair, ActionRepair.execution_id == Execution.id).where(mine)
    return db.session.scalars(query.order_by(ActionRepair.number.desc()).limit(1)).first()


def _prompt(call: ActionCall, before: Execution) -> Prompt:
    """What was asked before, what the model answered, and what is wrong with it; only this action is on offer."""
    asked = from_json(before.body.request)
    wrong = f"The arguments of {call.name} were refused. {call.problem}\n"
    said = call.said if len(call.said) <= LONGEST else f"{call.said[:LONGEST]}…"
    if call.how is How.TOOL:
        id = f"{call.tool_call_id or 'call'}_{call.repairs_made}"[-64:]
        arguments = said if call.arguments is not None and said == call.said else "{}"  # formats want an object here
        quoted = "" if arguments == said else f"They were: {said}\n"
        turns = (
            Message("assistant", (ToolUse(id, call.name, arguments),)),
            Message(
                "tool", (ToolResult(id, f"{wrong}{quoted}Call {call.name} again with arguments that fit.", call.name),)
            ),
        )
        only = replace(asked, tools=(tool_of(call.declared),), tool_choice=call.name, schema=None)
    else:
        again = f"{wrong}Answer once more, and ask for {call.name} with arguments that fit."
        turns = (assistant(json.dumps({"reply": "", "actions": [{"name": call.name, "arguments": said}]})), user(again))
        only = replace(asked, schema=schema_of([call.declared]))
    return replace(only, messages=(*asked.messages, *turns), stream=True)
