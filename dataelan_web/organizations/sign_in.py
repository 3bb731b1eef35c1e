"""How people have to have signed in to come into an organization. Whoever has not is led to do so, and only here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Select, func, select, union

from .. import audit
from ..accounts import changing, factors
from ..extensions import db
from ..models import Collaborator, Membership, Organization, Project, User

NAMED = 20
"""People without what is wanted who are named."""


def require_two_factor(organization: Organization, is_required: bool) -> None:
    """From the next request of everybody on. Commits."""
    if organization.needs_two_factor is not is_required:
        organization.needs_two_factor = is_required
        before, after = ("not needed", "needed") if is_required else ("needed", "not needed")
        audit.record("organization.two_factor_changed", organization, organization.id, before=before, after=after)
        if is_required:
            _tell(organization)
    db.session.commit()


def _tell(organization: Organization) -> None:
    """Those who have none, by mail, before they are stopped at the door: behind it they would read no notice."""
    title = f"{organization.name} wants a second factor of you"
    body = "Add a passkey, or an authenticator app: without one you no longer come in."
    for person in db.session.scalars(_without(organization)):
        changing.tell(person.email, title, body, f"/account/needed?slug={organization.slug}")


def without_second_factor(organization: Organization) -> tuple[Sequence[User], int]:
    """(the first by name, how many there are), of members and guests."""
    return named(_without(organization))


def cannot_come_by(organization: Organization, ways: Iterable[str]) -> Select[User]:
    """Who has nothing yet of what these ways in take."""
    return _people(organization).where(~factors.can_come_by(ways, organization.id))


def named(query: Select[User]) -> tuple[Sequence[User], int]:
    """(the first by name, how many there are)"""
    number = db.session.scalar(select(func.count()).select_from(query.subquery())) or 0
    return db.session.scalars(query.order_by(func.lower(User.name), User.id).limit(NAMED)).all(), number


def _without(organization: Organization) -> Select[User]:
    return _people(organization).where(~factors.has_any(User.id))


def _people(organization: Organization) -> Select[User]:
    member = select(Membership.user_id).where(Membership.organization_id == organization.id)
    guest = select(Collaborator.user_id).join(Project, Project.id == Collaborator.project_id)
    here = union(member, guest.where(Project.organization_id == organization.id, Project.deleted_at.is_(None)))
    return select(User).where(User.id.in_(here), User.deleted_at.is_(None))
