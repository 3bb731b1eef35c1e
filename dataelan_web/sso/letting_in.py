"""Whose account a sign-in at an organization's provider opens, and as what they come in.

A provider's word is trusted for the people of its organization and nobody else: an address counts only where the
provider says that it is the person's and the organization has proven the domain. Even so an account that was there
before is opened to nobody until whoever has it entered its password here, once: somebody else's provider, an address
that was given to another person, or an account that was made in somebody's name before they came, open nothing.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from .. import audit
from ..accounts.changing import note_confirmed
from ..accounts.sign_up import find
from ..extensions import db
from ..members import managing
from ..models import Identity, IdentityProvider, Membership, Organization, Role, SignIn, User, new_id, now
from . import domains
from .person import Person

HOW = "single sign-on"
ONE_FACTOR = (
    "Your organization wants two factors, and your provider says that you showed one. Set up a second one there, and "
    "begin again."
)


class NotLetIn(Exception):
    """Why somebody whom the provider knows does not come in; the message is for them."""


class NeedsProof(Exception):
    """There is an account with their address, and nobody has shown yet that it is theirs."""

    def __init__(self, person: Person):
        super().__init__()
        self.person = person


@dataclass(frozen=True)
class Entry:
    user: User
    provider: IdentityProvider
    organization: Organization


def let_in(provider: IdentityProvider, person: Person) -> Entry:
    """Raises NotLetIn, NeedsProof. The caller commits, whatever was raised."""
    organization = managing.lock(provider.organization)
    if organization.needs_two_factor and person.is_by_one_factor:
        raise NotLetIn(ONE_FACTOR)
    role = _role(provider, person)
    identity = _identity(provider, person)
    user = identity.user if identity else _by_address(provider, organization, person)
    return _enter(provider, organization, user, role)


def link(provider: IdentityProvider, person: Person, user: User) -> Entry:
    """The same for who entered the password of the account with their address: from now on their identity opens it.
    Raises NotLetIn. The caller commits."""
    organization = managing.lock(provider.organization)
    role = _role(provider, person)
    _check_address(provider, person)
    if user.email != person.email or _identity(provider, person) is not None:
        raise NotLetIn("The account changed meanwhile. Begin again.")
    before = delete(Identity).where(Identity.provider_id == provider.id, Identity.user_id == user.id)
    db.session.execute(before.execution_options(synchronize_session=False))
    _keep(provider, person, user)
    note_confirmed(user)
    audit.record("sso.linked", user, organization.id, issuer=provider.issuer, address=user.email)
    return _enter(provider, organization, user, role)


def _role(provider: IdentityProvider, person: Person) -> Role:
    """By their groups. Who is in none that may come in is out, also where they are signed in."""
    role = person.role(provider.roles, provider.default_role)
    if role is not None:
        return role
    if identity := _identity(provider, person):
        forget_sign_ins(provider.organization_id, identity.user_id)
    raise NotLetIn("None of your groups may come in. Ask whoever looks after your organization’s accounts.")


def forget_sign_ins(organization_id: uuid.UUID, user_id: uuid.UUID | None = None) -> None:
    """All that came through an organization’s single sign-on, or those of one person. The caller commits."""
    here = [SignIn.through_id == organization_id, *([SignIn.user_id == user_id] if user_id else [])]
    db.session.execute(delete(SignIn).where(*here).execution_options(synchronize_session=False))


def _identity(provider: IdentityProvider, person: Person) -> Identity | None:
    here = Identity.provider_id == provider.id, Identity.subject == person.subject
    return db.session.scalars(select(Identity).where(*here)).first()


def _by_address(provider: IdentityProvider, organization: Organization, person: Person) -> User:
    """Who comes for the first time: their new account, or one that this single sign-on made before."""
    _check_address(provider, person)
    user = find(person.email)
    if user is None:
        return _make(provider, organization, person)
    theirs = Identity.provider_id == provider.id, Identity.user_id == user.id
    is_ours = not user.password_hash and user.made_through_id == organization.id
    if db.session.scalar(select(Identity.id).where(*theirs)) and is_ours:
        raise NotLetIn(
            "Your provider gave this address to somebody else before. An owner or admin can forget them, under "
            "Settings → Single sign-on."
        )
    if not is_ours or managing.role_of(organization.id, user.id) is Role.OWNER:
        raise NeedsProof(person)
    _keep(provider, person, user)
    return user


def _check_address(provider: IdentityProvider, person: Person) -> None:
    if not person.email:
        raise NotLetIn("Your provider tells no e-mail address of yours, by which you would be known here.")
    if not person.is_verified:
        raise NotLetIn("Your provider does not say that your e-mail address was verified.")
    if not domains.are_of(provider.organization_id, person.domain):
        raise NotLetIn(f"Addresses of {person.domain} are not proven to be of this organization.")


def _make(provider: IdentityProvider, organization: Organization, person: Person) -> User:
    user = User(id=new_id(), email=person.email, name=person.name, password_hash="", made_through_id=organization.id)
    db.session.add(user)
    try:
        db.session.flush()
    except IntegrityError:  # they signed up at this very moment
        db.session.rollback()
        raise NotLetIn("An account with your address was made a moment ago. Begin again.") from None
    _keep(provider, person, user)
    audit.record("account.created", user, organization.id, how=HOW)
    return user


def _keep(provider: IdentityProvider, person: Person, user: User) -> None:
    db.session.add(Identity(provider_id=provider.id, user_id=user.id, subject=person.subject))
    db.session.flush()


def _enter(provider: IdentityProvider, organization: Organization, user: User, role: Role) -> Entry:
    """Their role is what their groups say, at each sign-in. Of owners nobody says but owners, and so the last one stays
    one."""
    if user.disabled_at is not None:
        raise NotLetIn("This account is switched off. Ask whoever looks after Dataelan for you.")
    if user.deleted_at is not None:
        raise NotLetIn("This account was deleted. Whose it is can take it back, by signing in with their own password.")
    here = Membership.organization_id == organization.id, Membership.user_id == user.id
    membership = db.session.scalars(select(Membership).where(*here).execution_options(populate_existing=True)).first()
    if membership is None:
        db.session.add(Membership(organization_id=organization.id, user_id=user.id, role=role))
        audit.record("member.joined", user, organization.id, role=role.value, how=HOW)
    elif provider.roles and membership.role not in (role, Role.OWNER):
        before, membership.role = membership.role, role
        audit.record("member.role_changed", user, organization.id, before=before.value, after=role.value, how=HOW)
    used = update(Identity).where(Identity.provider_id == provider.id, Identity.user_id == user.id)
    db.session.execute(used.values(last_used_at=now()).execution_options(synchronize_session=False))
    provider.worked_at = now()
    return Entry(user, provider, organization)
