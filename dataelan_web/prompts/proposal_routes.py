"""Proposals: read with what they change, tried, talked about, and decided by somebody else."""

from __future__ import annotations

import uuid

from flask import Response as FlaskResponse
from flask import abort, request, url_for
from werkzeug.wrappers import Response

from ..extensions import db
from ..models import Proposal, Template
from ..once import done_once
from ..web import redirect, toast
from . import case_routes, differences, labels, page, proposals, running, sources, versions
from .blueprint import bp
from .content import Content
from .refusals import Overtaken, Refused


@bp.get("/prompts/<uuid:id>/proposals")
def all_proposals(id: uuid.UUID) -> Response:
    template = page.visible(id)
    return page.show(template, "proposals.html", "proposals", proposals=proposals.of(template))


@bp.get("/prompts/<uuid:id>/proposals/<int(max=999999999):number>")
def proposal(id: uuid.UUID, number: int) -> Response:
    template = page.visible(id)
    return _proposal(template, proposals.numbered(template, number))


@bp.post("/prompts/<uuid:id>/proposals/<int(max=999999999):number>/comments")
@done_once()
def comment(id: uuid.UUID, number: int) -> Response:
    template = page.editable(id)
    found = proposals.numbered(template, number)
    try:
        proposals.comment(template, found, request.form.get("text", "")[: proposals.LONGEST_WORD])
    except Refused as refused:
        return _proposal(template, found, 422, str(refused))
    return redirect(f"{url_for('prompts.proposal', id=id, number=number)}#comments")


@bp.post("/prompts/<uuid:id>/proposals/<int(max=999999999):number>/decision")
def decide(id: uuid.UUID, number: int) -> Response:
    """`decision`: approve, decline or withdraw; `seen` and `seen_label`: what was newest, and what the label stood
    for, on the page."""
    template = page.editable(id)
    found, note = proposals.numbered(template, number), request.form.get("note", "")[: proposals.LONGEST_WORD]
    seen, seen_label = (sources.number_in(request.form.get(name, "")) for name in ("seen", "seen_label"))
    try:
        match request.form.get("decision"):
            case "approve":
                proposals.approve(template, found, seen, seen_label if seen_label >= 0 else None)
            case "decline":
                proposals.decline(template, found, note)
            case "withdraw":
                proposals.withdraw(template, found)
            case _:
                abort(422)
    except Refused as refused:
        return _not_decided(id, number, refused)
    toast(f"Proposal {number} is {found.state.value}.", "good")
    return redirect(url_for("prompts.proposal", id=id, number=number))


def _not_decided(id: uuid.UUID, number: int, refused: Refused) -> FlaskResponse:
    db.session.rollback()
    template = page.editable(id)
    status = 409 if isinstance(refused, Overtaken) else 422
    return _proposal(template, proposals.numbered(template, number), status, str(refused))


def _proposal(template: Template, found: Proposal, status: int = 200, problem: str = "") -> FlaskResponse:
    """Against what would be replaced now: by what is newest, or by what the label stands for."""
    standing = labels.of(template).get(found.label)
    number = template.newest if found.publishes else standing
    if not found.is_open:
        number = found.base or None
    before = versions.numbered(template, number) if number else None
    content = Content.of(found.content)
    specs = [str(number)] * bool(number) + [f"p{found.number}"]
    table = case_routes.table_of(template, specs)
    return page.show(
        template,
        "proposal.html",
        "proposals",
        None,
        status,
        proposal=found,
        before=before,
        standing=standing,
        is_overtaken=found.is_open and found.publishes and found.base < template.newest,
        differences=differences.between(Content.of(before.content) if before else None, content),
        may_decide=found.is_open and proposals.may_decide(template, found),
        is_protected=bool(found.label) and labels.protected(template).get(found.label, False),
        table=table,
        specs=specs,
        usual_cost=running.usual_cost(template, [column.source.content.digest for column in table.columns]),
        submission=uuid.uuid4().hex,
        problem=problem,
    )
