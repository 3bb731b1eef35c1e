"""By which ways of signing in people come into an organization: their password, a passkey, its single sign-on."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .. import audit
from ..accounts import changing
from ..extensions import db
from ..members import managing
from ..models import Organization, User, Way
from ..sso import settings as single_sign_on
from . import sign_in
from .abilities import HAS_SSO

ALL = "any"


def offered(organization: Organization) -> list[Way]:
    """Those that there are here: single sign-on where it is set up."""
    has_sso = HAS_SSO.of(organization.kind) and single_sign_on.of(organization) is not None
    return [Way.PASSWORD, Way.PASSKEY, *([Way.SSO] if has_sso else [])]


def allowed(organization: Organization) -> list[Way]:
    """Those that lead in now."""
    if organization.enforces_sso:
        return [Way.SSO]
    here = offered(organization)
    return [way for way in here if way in organization.allowed_ways] if organization.allowed_ways else here


def allow(organization: Organization, ways: Collection[Way]) -> None:
    """These and no others, from the next request of everybody on. All of those that there are: any, and what comes
    later too. Single sign-on alone is to enforce it, with all that belongs to that: raises its CannotEnforce. Commits.
    """
    found = single_sign_on.of(organization)
    if found is not None and set(ways) == {Way.SSO}:
        single_sign_on.enforce(found, True)
        return
    organization = managing.lock(organization)
    before, after = organization.allowed_ways, _all_or(organization, ways)
    if before != after:
        organization.allowed_ways = after
        audit.record(
            "organization.ways_changed", organization, organization.id, before=before or ALL, after=after or ALL
        )
        if after:
            _tell(organization)
    db.session.commit()
    if found is not None and organization.enforces_sso:
        single_sign_on.enforce(found, False)


def _all_or(organization: Organization, ways: Collection[Way]) -> list[str]:
    return [] if set(ways) >= set(offered(organization)) else sorted(way.value for way in ways)


def without(organization: Organization, ways: Collection[Way]) -> tuple[Sequence[User], int]:
    """Who could come by none of these yet: (the first by name, how many there are), of members and guests."""
    return sign_in.named(sign_in.cannot_come_by(organization, ways))


def _tell(organization: Organization) -> None:
    """As where two factors are wanted: before they are stopped at the door."""
    words = {Way.PASSWORD: "your password", Way.PASSKEY: "a passkey", Way.SSO: "single sign-on"}
    by = " or ".join(words[way] for way in allowed(organization))
    title, body = f"{organization.name} wants you to sign in by {by}", "Another way no longer leads in there."
    for person in db.session.scalars(sign_in.cannot_come_by(organization, organization.allowed_ways)):
        changing.tell(person.email, title, body, f"/o/{organization.slug}/")
