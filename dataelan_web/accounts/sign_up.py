"""Making an account: a person, their own organization, a first project and a first session, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from .. import audit
from ..extensions import db
from ..models import (
    Membership,
    Organization,
    OrganizationKind,
    Project,
    PromptSession,
    Role,
    User,
    new_id,
    slug_for,
)

STARTER = "Give me three questions a team should ask before it picks an AI model, as a short table."


class AddressTaken(Exception):
    """There is already an account with this e-mail address."""


@dataclass(frozen=True)
class Home:
    """Where a newcomer lands."""

    user: User
    organization: Organization
    project: Project
    session: PromptSession


def is_first() -> bool:
    """Has nobody an account here yet?"""
    return db.session.scalar(select(User.id).limit(1)) is None


def sign_up(email: str, password: str, name: str) -> Home:
    """Where nobody asks the mailbox. Raises AddressTaken. Commits."""
    return settle(create_user(email, password, name))


def settle(user: User) -> Home:
    """A person whom nobody has seen before, with what is theirs. Raises AddressTaken: somebody has their address, or
    had it a moment sooner. Commits."""
    try:
        db.session.flush()
    except IntegrityError as error:
        db.session.rollback()
        raise AddressTaken from error
    organization = create_organization(user, f"{user.name}’s workspace", OrganizationKind.SOLO)
    project = create_project(organization, user, "First project")
    session = PromptSession(id=new_id(), project=project, title="First session", created_by=user.id)
    session.settings = {"starter": STARTER}
    db.session.add(session)
    audit.record("account.created", user, organization.id)
    db.session.commit()
    return Home(user, organization, project, session)


def find(email: str) -> User | None:
    return db.session.scalars(select(User).where(User.email == email.strip().lower())).first()


def create_user(email: str, password: str, name: str, *, is_superuser: bool = False) -> User:
    user = User(id=new_id(), email=email.strip().lower(), name=name, is_superuser=is_superuser)
    user.set_password(password)
    db.session.add(user)
    return user


def create_organization(owner: User, name: str, kind: OrganizationKind) -> Organization:
    organization = Organization(id=new_id(), name=name, slug=slug_for(name), kind=kind)
    db.session.add_all([organization, Membership(organization=organization, user=owner, role=Role.OWNER)])
    return organization


def create_project(organization: Organization, user: User, name: str, description: str = "") -> Project:
    project = Project(id=new_id(), organization=organization, name=name, description=description, created_by=user.id)
    db.session.add(project)
    return project
