"""An organization’s single sign-on, as its owners and admins set it up. Every verb commits and is audited.

The client secret is sealed for the issuer: with another one it has to be entered again. And whoever is known by a
subject of the old issuer is nobody at the new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import current_app
from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import contains_eager

from .. import audit
from ..extensions import db
from ..members import managing
from ..models import Identity, IdentityProvider, Membership, Organization, Passkey, Role, User, Way, new_id
from ..secrets import Place, Unreadable, keyring
from . import domains, provider
from .letting_in import forget_sign_ins
from .provider import Found, Unusable

SHOWN = 200
FIELDS = ("issuer", "client_id", "groups_claim", "roles", "default_role")
"""What is written into the audit log, before and after."""


class CannotEnforce(Exception):
    """What is missing before nobody comes in another way."""


@dataclass(frozen=True)
class Wanted:
    issuer: str
    client_id: str
    secret: str
    """Empty: the one of before."""
    groups_claim: str
    roles: dict[str, str]
    default_role: Role | None


def of(organization: Organization) -> IdentityProvider | None:
    here = IdentityProvider.organization_id == organization.id
    return db.session.scalars(select(IdentityProvider).where(here)).first()


def change(organization: Organization, by: User, wanted: Wanted) -> None:
    """Set up, or changed. Another issuer is not taken while the old one is enforced (the form looks)."""
    organization = managing.lock(organization)
    found = of(organization)
    made = found or IdentityProvider(id=new_id(), organization_id=organization.id, created_by=by.id, issuer="")
    before = {name: _said(getattr(made, name)) for name in FIELDS} if found else {}
    is_moved = made.issuer != wanted.issuer
    is_other = is_moved or made.client_id != wanted.client_id or bool(wanted.secret)
    for name in FIELDS:
        setattr(made, name, getattr(wanted, name))
    if wanted.secret:
        made.ciphertext = keyring().encrypt(wanted.secret, place_of(made))
    if is_other:
        made.worked_at = None
    db.session.add(made)
    if found and is_moved:
        _forget_everybody(made)
    after = {name: _said(getattr(made, name)) for name in FIELDS}
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    if changed or wanted.secret:
        told: dict[str, Any] = {"client_secret": "replaced"} if found and wanted.secret else {}
        was = {name: before[name] for name in changed if name in before}
        audit.record("sso.changed" if found else "sso.set_up", made, before=was, **changed, **told)
    db.session.commit()


def remove(found: IdentityProvider) -> None:
    """Who came through it is signed out; who has no password sets one by a link."""
    organization = managing.lock(found.organization)
    organization.enforces_sso = False
    organization.allowed_ways = [way for way in organization.allowed_ways if way != Way.SSO]
    audit.record("sso.removed", found)
    forget_sign_ins(organization.id)
    db.session.delete(found)
    db.session.commit()


def enforce(found: IdentityProvider, is_enforced: bool) -> None:
    """Raises CannotEnforce."""
    organization = managing.lock(found.organization)
    if is_enforced and (missing := missing_to_enforce(found)):
        db.session.rollback()
        raise CannotEnforce(missing)
    if organization.enforces_sso != is_enforced:
        organization.enforces_sso = is_enforced
        audit.record("sso.enforced" if is_enforced else "sso.no_longer_enforced", found)
    db.session.commit()


def missing_to_enforce(found: IdentityProvider) -> str:
    """Empty: nothing."""
    if not any(one.proven_at for one in domains.listed(found.organization_id)):
        return "No domain is proven yet, so that nobody could come in."
    if found.worked_at is None:
        return "Sign in through it once, as it is now. That shows that it works before it is the only way."
    return ""


def forget(identity: Identity) -> None:
    """They are known by their subject no more, and signed out. Whoever comes with their address begins anew."""
    forget_sign_ins(identity.provider.organization_id, identity.user_id)
    audit.record("sso.forgotten", identity.user, identity.provider.organization_id, issuer=identity.provider.issuer)
    db.session.delete(identity)
    db.session.commit()


def known(found: IdentityProvider | None) -> list[Identity]:
    """Who came in through it, the last first."""
    if found is None:
        return []
    query = select(Identity).join(User, User.id == Identity.user_id).options(contains_eager(Identity.user))
    theirs = query.where(Identity.provider_id == found.id)
    return list(db.session.scalars(theirs.order_by(Identity.last_used_at.desc()).limit(SHOWN)))


def locked_out(organization: Organization, found: IdentityProvider | None) -> int:
    """How many members did not come through it yet."""
    known_ = select(Identity.user_id).where(Identity.provider_id == (found.id if found else None))
    others = Membership.organization_id == organization.id, Membership.user_id.not_in(known_)
    return db.session.scalar(select(func.count()).where(*others)) or 0


def owners_on_their_own(organization: Organization) -> int:
    """Who could come in if the provider were gone: by a password, or a passkey."""
    owners = Membership.organization_id == organization.id, Membership.role == Role.OWNER
    query = select(func.count()).select_from(Membership).join(User, User.id == Membership.user_id)
    passkey = exists().where(Passkey.user_id == User.id)
    return db.session.scalar(query.where(*owners, User.can_have_password | passkey)) or 0


@dataclass(frozen=True)
class Tested:
    found: Found
    keys: int
    is_client_refused: bool


def test(found: IdentityProvider | None, issuer: str, client_id: str, secret: str) -> Tested:
    """What is at this issuer, and whether it takes the client secret: the one that was typed, or else the stored one,
    where that is for the same issuer. Raises Unusable."""
    if found is not None:
        audit.record("sso.tested", found, issuer=issuer)
    is_same = found is not None and found.issuer == issuer
    if not secret and found is not None and is_same:
        secret = secret_of(found)
    db.session.commit()  # no connection is held while we ask
    said = provider.discover(issuer)
    published = provider.keys_of(said).get("keys")
    is_refused = bool(secret and client_id) and provider.refuses(said, client_id, secret)
    return Tested(said, len(published) if isinstance(published, list) else 0, is_refused)


def secret_of(found: IdentityProvider) -> str:
    """Raises Unusable."""
    try:
        return keyring().decrypt(found.ciphertext, place_of(found))
    except Unreadable as error:
        raise Unusable("The client secret cannot be read any more. An owner or admin has to enter it again.") from error


def place_of(found: IdentityProvider) -> Place:
    return Place(found.organization_id, found.id, "client_secret", found.issuer)


def redirect_uri(organization: Organization) -> str:
    """Where people come back to: one for each organization, so that no provider answers for another’s."""
    return f"{current_app.extensions['dataelan_settings'].public_url}/sso/{organization.slug}/callback"


def _forget_everybody(found: IdentityProvider) -> None:
    forget_sign_ins(found.organization_id)
    theirs = delete(Identity).where(Identity.provider_id == found.id)
    db.session.execute(theirs.execution_options(synchronize_session=False))


def _said(value: Any) -> Any:
    return value.value if isinstance(value, Role) else value
