"""A project's declared actions for tests: declared, asked for by the simulated provider, and brought to their end."""

from __future__ import annotations

from typing import Any

from flask import Flask
from sqlalchemy import select

from dataelan_web.acting import declaring, delivering, offering, path
from dataelan_web.acting.declaring import Draft
from dataelan_web.executions.submit import Request, submit
from dataelan_web.extensions import db
from dataelan_web.models import ActionCall, Approval, CallState, DeclaredAction, Execution, Origin, Prompt
from dataelan_web.router.types import Prompt as RouterPrompt
from dataelan_web.router.types import user

from . import people
from .conftest import wait_until

SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 80},
        "priority": {"enum": ["high", "low"]},
    },
    "required": ["title", "priority"],
    "additionalProperties": False,
}
SAMPLE = {"title": "The printer is on fire", "priority": "high"}


def draft(url: str = "", approval: Approval = Approval.EDITORS, **values: Any) -> Draft:
    about: dict[str, Any] = {
        "name": "create_ticket",
        "description": "Opens a ticket at the service desk.",
        "schema": SCHEMA,
        "sample": SAMPLE,
        "most_repairs": 2,
    }
    return Draft(url=url, approval=approval, **{**about, **values})


def declared(cast: people.Cast, url: str = "", approval: Approval = Approval.EDITORS, **values: Any) -> DeclaredAction:
    action, _ = declaring.create(cast.project, draft(url, approval, **values), cast.olivia.id)
    return action


def asked(
    cast: people.Cast, text: str = "Create a ticket", requested: str = "simulated/simulated-instant"
) -> Execution:
    """A prompt of Mia's, with what is on offer; run by a real worker."""
    prompt, offers = offering.offer(
        RouterPrompt(messages=(user(text),)), cast.project, requested, cast.session.model_type
    )
    return submit(
        Request(
            project=cast.project,
            prompt=prompt,
            offers=offers,
            origin=Origin.PLAYGROUND,
            requested=requested,
            user_id=cast.mia.id,
            session=cast.session,
            asked=Prompt(session_id=cast.session.id, author_id=cast.mia.id, text=text),
        )
    )


def call_of(run: Execution) -> ActionCall | None:
    db.session.rollback()
    query = select(ActionCall).where(ActionCall.execution_id == run.id).execution_options(populate_existing=True)
    return db.session.scalars(query).first()


def settled(app: Flask, run: Execution, *states: CallState) -> ActionCall:
    """Its call, once it is in one of these states; a worker brings it on, and so do we."""

    def there() -> bool:
        path.advance_all()
        delivering.due(app)
        call = call_of(run)
        return call is not None and call.state in states

    wait_until(there)
    call = call_of(run)
    assert call is not None
    return call


def written(
    cast: people.Cast, action: DeclaredAction, said: str, run: Execution | None = None, **values: Any
) -> ActionCall:
    """A call in an ended run's answer, as the run's end writes it down. Commits."""
    run = run or people.ended(cast, "Create a ticket")
    call = ActionCall(
        organization_id=cast.organization.id,
        execution_id=run.id,
        version_id=action.version.id,
        position=0,
        name=action.name,
        tool_call_id="call_1",
        how="tool",
        said=said,
        **values,
    )
    db.session.add(call)
    db.session.commit()
    return call


def looked_at(call: ActionCall) -> ActionCall:
    """Once somebody, we or a worker of other tests, has held it against its schema."""

    def moved_on() -> bool:
        path.advance_all()
        db.session.rollback()
        return db.session.get_one(ActionCall, call.id, populate_existing=True).state is not CallState.RECEIVED

    wait_until(moved_on)
    return call
