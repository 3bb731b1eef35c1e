"""Single sign-on: where an organization's people sign in, which domains are proven to be its, and who is whom there."""

from __future__ import annotations

import secrets
import uuid
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .accounts import Organization, Role, User
from .base import Base, Json, Long, Name, Time, now, parent, reference


class IdentityProvider(Base):
    """An OpenID provider, one an organization. Its client secret is sealed for its issuer."""

    __tablename__ = "identity_providers"
    __table_args__ = (CheckConstraint("default_role <> 'OWNER'", name="makes_no_owners"),)

    organization_id: Mapped[uuid.UUID] = parent("organizations.id", index=False, unique=True)
    issuer: Mapped[Name]
    client_id: Mapped[Name]
    ciphertext: Mapped[Long]
    groups_claim: Mapped[Name] = mapped_column(default="groups")
    """The claim of a token that says in which groups somebody is."""
    roles: Mapped[Json] = mapped_column(default=dict)
    """Group → role, never OWNER. Empty: roles are given here, by people."""
    default_role: Mapped[Role | None]
    """Of who is in none of these groups; None: they are not let in."""
    worked_at: Mapped[Time | None]
    """When somebody last came in through it, since it was last changed."""
    created_by: Mapped[uuid.UUID | None] = reference("users.id")

    organization: Mapped[Organization] = relationship()

    @property
    def name(self) -> str:
        """For the audit log."""
        return self.issuer


class ProvenBy(StrEnum):
    """How it is known that a domain is an organization's."""

    ZONE = "zone"  # its DNS zone says so
    OPERATOR = "operator"  # whoever runs this Dataelan does


class ClaimedDomain(Base):
    """A domain of e-mail addresses that an organization says is its own. It counts once it is proven, and of several
    organizations' only one: whoever could just claim it would sign in as its people."""

    __tablename__ = "claimed_domains"
    __table_args__ = (
        UniqueConstraint("organization_id", "domain"),
        Index("uq_claimed_domains_proven", "domain", unique=True, postgresql_where=text("proven_at IS NOT NULL")),
    )

    organization_id: Mapped[uuid.UUID] = parent("organizations.id", index=False)
    domain: Mapped[Name]
    challenge: Mapped[Name] = mapped_column(default=lambda: secrets.token_hex(16))
    """What its zone has to say. No secret: a zone is public."""
    proven_at: Mapped[Time | None]
    proven_by: Mapped[ProvenBy | None]

    organization: Mapped[Organization] = relationship()

    @property
    def name(self) -> str:
        """For the audit log."""
        return self.domain


class Identity(Base):
    """Who somebody is at their organization's provider: `subject` there, never their address, which may be another's
    tomorrow."""

    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("provider_id", "subject"), UniqueConstraint("provider_id", "user_id"))

    provider_id: Mapped[uuid.UUID] = parent("identity_providers.id", index=False)
    user_id: Mapped[uuid.UUID] = parent("users.id")
    subject: Mapped[Long]
    last_used_at: Mapped[Time] = mapped_column(default=now)

    provider: Mapped[IdentityProvider] = relationship()
    user: Mapped[User] = relationship()
