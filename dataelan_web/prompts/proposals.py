"""Proposals: what one person would change and another looks at first."""

from __future__ import annotations

import uuid

from flask import abort, g, url_for
from flask_login import current_user
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload, selectinload

from .. import access, audit, notify
from ..extensions import db
from ..models import (
    Collaborator,
    Membership,
    ProjectRole,
    Proposal,
    ProposalComment,
    ProposalState,
    Role,
    Template,
    TemplateVersion,
    User,
    new_id,
)
from ..models.templates import decide
from . import labels, versions
from .content import Content
from .refusals import Overtaken, Refused

LONGEST_WORD = 2000
_ADMINS, _EDITORS = (Role.OWNER, Role.ADMIN), (Role.OWNER, Role.ADMIN, Role.MEMBER)
DECIDED = "Somebody else was first: this proposal is decided already."


def of(template: Template) -> list[Proposal]:
    """Open ones first, then the latest."""
    query = select(Proposal).where(Proposal.template_id == template.id)
    query = query.order_by(Proposal.state != ProposalState.OPEN, Proposal.number.desc()).limit(100)
    return list(db.session.scalars(query.options(joinedload(Proposal.author), joinedload(Proposal.decider))))


def numbered(template: Template, number: int) -> Proposal:
    """404 for one that there is not."""
    query = select(Proposal).where(Proposal.template_id == template.id, Proposal.number == number)
    people = (joinedload(Proposal.author), joinedload(Proposal.decider))
    comments = selectinload(Proposal.comments).joinedload(ProposalComment.author)
    return db.session.scalars(query.options(*people, comments)).first() or abort(404)


def count_open(template: Template) -> int:
    return db.session.scalar(
        select(func.count()).where(Proposal.template_id == template.id, Proposal.state == ProposalState.OPEN)
    ) or 0  # fmt: skip


# -- made ------------------------------------------------------------------------------------------


def propose_draft(template: Template, content: Content, message: str, label: str = "") -> Proposal:
    """To publish it, and then to let `label` stand for it. Raises Refused. Commits."""
    if problem := next(iter(content.problems.values()), ""):
        raise Refused(f"It cannot be published like this: {problem}")
    newest = versions.newest(template)
    if newest and newest.digest == content.digest:
        raise Refused(f"Nothing changed: it is the same as version {newest.number}.")
    return _propose(template, content, message, label, None)


def propose_move(template: Template, label: str, version: TemplateVersion, message: str) -> Proposal:
    """To let `label` stand for a version. Raises Refused. Commits."""
    if labels.of(template).get(label) == version.number:
        raise Refused(f"“{label}” stands for version {version.number} already.")
    return _propose(template, Content.of(version.content), message, label, version.number)


def _propose(template: Template, content: Content, message: str, label: str, target: int | None) -> Proposal:
    if not message.strip():
        raise Refused("Say what this changes, and why: it is what others read first.")
    db.session.execute(select(Template.id).where(Template.id == template.id).with_for_update())
    last = db.session.scalar(select(func.max(Proposal.number)).where(Proposal.template_id == template.id))
    proposal = Proposal(
        id=new_id(),
        template_id=template.id,
        number=(last or 0) + 1,
        author_id=current_user.id,
        message=message.strip(),
        content=content.settled.to_json(),
        digest=content.digest,
        base=template.newest,
        publishes=target is None,
        target=target,
        label=label,
    )
    db.session.add(proposal)
    audit.record("proposal.made", template, g.organization.id, proposal=proposal.number, label=label)
    _tell(template, proposal, reviewers(template, proposal), "asked", f"{current_user.name} proposes a change")
    db.session.commit()
    return proposal


# -- looked at -------------------------------------------------------------------------------------


def reviewers(template: Template, proposal: Proposal) -> set[uuid.UUID]:
    """Everybody but its author who may decide it, and can: not who was switched off, or has left."""
    is_protected = labels.right_to_move(template, proposal.label) == access.ADMINISTER
    members = select(Membership.user_id).where(
        Membership.organization_id == g.organization.id,
        Membership.role.in_(_ADMINS if is_protected else _EDITORS),
    )
    guests = select(Collaborator.user_id).where(
        Collaborator.project_id == template.project_id, Collaborator.role == ProjectRole.EDITOR
    )
    theirs = User.id.in_(members) if is_protected else User.id.in_(members) | User.id.in_(guests)
    return set(db.session.scalars(select(User.id).where(theirs, User.can_act))) - {proposal.author_id}


def may_decide(template: Template, proposal: Proposal) -> bool:
    """Whoever may do what it asks for; its author only where nobody else could."""
    if not labels.may_move(template, proposal.label):
        return False
    return proposal.author_id != current_user.id or not reviewers(template, proposal)


def comment(template: Template, proposal: Proposal, text: str) -> None:
    """Raises Refused. Commits."""
    if not text.strip():
        raise Refused("Write something first.")
    made = ProposalComment(id=new_id(), proposal_id=proposal.id, author_id=current_user.id, text=text.strip())
    db.session.add(made)
    others = {proposal.author_id, *(earlier.author_id for earlier in proposal.comments)} - {None, current_user.id}
    key, word = f"comment {made.id}", f"{current_user.name} commented on a proposal"
    _tell(template, proposal, {id for id in others if id}, key, word, text)
    audit.record("proposal.commented", template, g.organization.id, proposal=proposal.number)
    db.session.commit()


# -- decided ---------------------------------------------------------------------------------------


def approve(template: Template, proposal: Proposal, seen: int, seen_label: int | None) -> None:
    """`seen`, `seen_label`: the newest version, and what the label stood for, as the reviewer saw them.

    403 for those who may not. Raises Refused, or Overtaken. Commits."""
    _end(template, proposal, ProposalState.APPROVED)
    if proposal.publishes:
        proposal.target = _published(template, proposal, seen)
    if proposal.label and proposal.target is not None:
        labels.move(template, proposal.label, proposal.target, seen_label, proposal.number)
    db.session.commit()


def _published(template: Template, proposal: Proposal, seen: int) -> int:
    """The version it becomes; the newest, where that says the same by now and only the label is left to move."""
    newest = versions.newest(template)
    if newest and newest.digest == proposal.digest and proposal.label:
        return newest.number
    content = Content.of(proposal.content)
    return versions.publish(template, content, proposal.message, seen, proposal.author_id).number


def decline(template: Template, proposal: Proposal, note: str) -> None:
    """403 for those who may not. Raises Refused, or Overtaken. Commits."""
    if not note.strip():
        raise Refused("Say why, in a few words: its author will want to know.")
    _end(template, proposal, ProposalState.DECLINED, note.strip())
    db.session.commit()


def withdraw(template: Template, proposal: Proposal) -> None:
    """403 for everybody but its author. Raises Overtaken. Commits."""
    if proposal.author_id != current_user.id:
        abort(403)
    _decide(template, proposal, ProposalState.WITHDRAWN)
    db.session.commit()


def _end(template: Template, proposal: Proposal, state: ProposalState, note: str = "") -> None:
    if not may_decide(template, proposal):
        abort(403)
    _decide(template, proposal, state, note)
    author = {proposal.author_id} - {None, current_user.id}
    word = f"{current_user.name} {state.value} your proposal"
    _tell(template, proposal, {id for id in author if id}, "decided", word, note)


def _decide(template: Template, proposal: Proposal, state: ProposalState, note: str = "") -> None:
    if not decide(db.session, proposal.id, state, current_user.id, note):
        raise Overtaken(DECIDED)
    db.session.refresh(proposal)
    audit.record(f"proposal.{state.value}", template, g.organization.id, proposal=proposal.number)


def _tell(template: Template, proposal: Proposal, people: set[uuid.UUID], what: str, word: str, body: str = "") -> None:
    path = url_for("prompts.proposal", id=template.id, number=proposal.number)
    title = f"{word}: {template.name}"
    key, kind = f"proposal:{proposal.id}:{what}", f"proposal.{what.split()[0]}"
    here = template.project_id
    notify.tell(db.session, g.organization.id, people, key, kind, title, body, path, project_id=here)
