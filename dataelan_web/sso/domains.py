"""Domains of an organization’s addresses. Claimed by anybody, they count for one: whose zone says so, or for whom the
operator does."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from .. import audit
from ..extensions import db
from ..models import ClaimedDomain, IdentityProvider, Organization, ProvenBy, new_id, now

if TYPE_CHECKING:
    from dns.resolver import Resolver

PREFIX = "dataelan-domain="
LABEL = "_dataelan"
"""Where in the zone: a name of our own, so that nothing else there is touched."""
SECONDS = 5.0
MOST = 50
LABELS = re.compile(r"(?=.{4,200}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")


class NotProven(Exception):
    """Why a domain is not an organization's, and what to do."""


def listed(organization_id: uuid.UUID) -> list[ClaimedDomain]:
    here = ClaimedDomain.organization_id == organization_id
    return list(db.session.scalars(select(ClaimedDomain).where(here).order_by(ClaimedDomain.domain)))


def are_of(organization_id: uuid.UUID, domain: str) -> bool:
    """Are addresses of this domain proven to be the organization’s?"""
    here = ClaimedDomain.organization_id == organization_id, ClaimedDomain.domain == domain
    return db.session.scalar(select(ClaimedDomain.id).where(*here, ClaimedDomain.proven_at.is_not(None))) is not None


def is_last(domain: ClaimedDomain) -> bool:
    """Would no proven one be left without it?"""
    proven = [one.id for one in listed(domain.organization_id) if one.proven_at is not None]
    return proven == [domain.id]


def home_of(email: str) -> str:
    """The slug of the organization at whose provider somebody with this address signs in; empty: none."""
    domain = written(email.rpartition("@")[2])
    proven = ClaimedDomain.domain == domain, ClaimedDomain.proven_at.is_not(None)
    query = select(Organization.slug).join(ClaimedDomain).join(IdentityProvider).where(*proven)
    return db.session.scalar(query.where(Organization.deleted_at.is_(None))) or ""


def written(said: str) -> str:
    """In one way, as in a zone; empty for what is none."""
    plain = said.strip().lower().removeprefix("@").rstrip(".")
    try:
        ascii_ = plain.encode("idna").decode()
    except UnicodeError:
        return ""
    return ascii_ if LABELS.fullmatch(ascii_) else ""


def claim(organization: Organization, domain: str) -> ClaimedDomain:
    """Commits; one that is claimed already is that one."""
    made = ClaimedDomain(id=new_id(), organization_id=organization.id, domain=domain)
    db.session.add(made)
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        return next(one for one in listed(organization.id) if one.domain == domain)
    audit.record("domain.claimed", made)
    db.session.commit()
    return made


def release(domain: ClaimedDomain) -> None:
    """Commits."""
    audit.record("domain.released", domain)
    db.session.delete(domain)
    db.session.commit()


def check(domain: ClaimedDomain) -> None:
    """Look into its zone. Raises NotProven. Commits."""
    name, wanted = f"{LABEL}.{domain.domain}", PREFIX + domain.challenge
    db.session.commit()  # no connection is held while we ask
    if wanted not in _texts(name):
        raise NotProven(f"{name} has no TXT record that says {wanted} yet. After a change it can take an hour.")
    prove(domain, ProvenBy.ZONE)


def prove(domain: ClaimedDomain, by: ProvenBy) -> None:
    """Raises NotProven: it is proven to be another organization’s. Commits."""
    if domain.proven_at is not None:
        return
    domain.proven_at, domain.proven_by = now(), by
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        raise NotProven(f"{domain.domain} is another organization’s here. It has to let go of it first.") from None
    audit.record("domain.proven", domain, by=by.value)
    db.session.commit()


def vouch(slug: str, domain: str) -> str:
    """The operator says whose a domain is. What is wrong, in words; empty: nothing. Commits."""
    organization = db.session.scalars(select(Organization).where(Organization.slug == slug)).first()
    if organization is None:
        return f"There is no organization {slug}: it is what its address says after /o/."
    if not (plain := written(domain)):
        return f"{domain} is no domain."
    try:
        prove(claim(organization, plain), ProvenBy.OPERATOR)
    except NotProven as problem:
        return str(problem)
    return ""


def _texts(name: str) -> list[str]:
    """TXT records of a name. Raises NotProven where nobody answers."""
    from dns.exception import DNSException
    from dns.resolver import NXDOMAIN, NoAnswer

    try:
        found = _resolver().resolve(name, "TXT", lifetime=SECONDS)
    except (NXDOMAIN, NoAnswer):
        return []
    except (DNSException, OSError) as error:
        raise NotProven(f"The zone of {name} does not answer. Try again in a few minutes.") from error
    return [b"".join(record.strings).decode(errors="replace") for record in found]


def _resolver() -> Resolver:
    from dns.resolver import Resolver

    return Resolver()
