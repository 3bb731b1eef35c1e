"""From a person alone to a team to an enterprise, and back where it fits. Nothing is lost on the way: what would not
fit is named, for its people to decide."""

from __future__ import annotations

from sqlalchemy import func, select

from .. import audit
from ..extensions import db
from ..members import managing
from ..models import (
    Collaborator,
    IdentityProvider,
    Invitation,
    Membership,
    Organization,
    OrganizationKind,
    Project,
    now,
)
from .abilities import CHOOSES_PROVIDERS, CHOOSES_WAYS, HAS_SSO, WANTS_TWO_FACTORS


class DoesNotFit(Exception):
    """What stands in the way, a sentence each."""

    def __init__(self, problems: list[str]):
        super().__init__(" ".join(problems))
        self.problems = problems


def problems(organization: Organization, kind: OrganizationKind) -> list[str]:
    """Why it cannot become this kind now; empty: it can."""
    found = []
    if kind is OrganizationKind.SOLO:
        found += _of_people(organization)
    if organization.allowed_providers and not CHOOSES_PROVIDERS.of(kind):
        found.append("Prompts may go to some providers only. Allow all in the settings first.")
    if organization.needs_two_factor and not WANTS_TWO_FACTORS.of(kind):
        found.append("Everyone here has to sign in by two factors. Take that back under Sign-in first.")
    if organization.allowed_ways and not CHOOSES_WAYS.of(kind):
        found.append("Not every way of signing in leads in. Allow all under Sign-in first.")
    if not HAS_SSO.of(kind) and db.session.scalar(
        select(IdentityProvider.id).where(IdentityProvider.organization_id == organization.id)
    ):
        found.append("Its people come by single sign-on. Remove that in the settings first.")
    return found


def change(organization: Organization, kind: OrganizationKind) -> None:
    """Raises DoesNotFit. Nobody is let in meanwhile. Commits."""
    organization = managing.lock(organization)
    if in_the_way := problems(organization, kind):
        db.session.rollback()
        raise DoesNotFit(in_the_way)
    if organization.kind is not kind:
        before, organization.kind = organization.kind, kind
        audit.record("organization.kind_changed", organization, organization.id, before=before.value, after=kind.value)
    db.session.commit()


def _of_people(organization: Organization) -> list[str]:
    id = organization.id
    members = _count(select(func.count()).where(Membership.organization_id == id)) - 1
    guests = _count(
        select(func.count(Collaborator.user_id.distinct()))
        .join(Project, Project.id == Collaborator.project_id)
        .where(
            Project.organization_id == id,
            Collaborator.user_id.not_in(select(Membership.user_id).where(Membership.organization_id == id)),
        )
    )
    is_open = Invitation.accepted_at.is_(None), Invitation.revoked_at.is_(None), Invitation.expires_at > now()
    invited = _count(select(func.count()).where(Invitation.organization_id == id, *is_open))
    return [
        *([f"{_people(members, 'other member')} would have to leave first."] if members > 0 else []),
        *([f"{_people(guests, 'guest')} would have to leave first."] if guests else []),
        *([f"{_people(invited, 'invitation')} would have to be taken back first."] if invited else []),
    ]


def _count(query) -> int:  # type: ignore[no-untyped-def]
    return db.session.scalar(query) or 0


def _people(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"
