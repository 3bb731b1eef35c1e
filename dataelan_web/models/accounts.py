"""People and the organizations they belong to."""

from __future__ import annotations

import re
import secrets
import unicodedata
import uuid
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask_login import UserMixin
from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, Numeric, String, UniqueConstraint, update
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, object_session, relationship

from ..processors import out_of_the_way
from .base import Base, Json, JsonList, Name, Nano, Time, Trashable, in_trash, now, parent

if TYPE_CHECKING:
    from .hub import RoutingRule

_hasher = PasswordHasher()
_DECOY = (
    "$argon2id$v=19$m=65536,t=3,p=4$1tvsMuR0DKmfolPhDPUX4g$a8cH6gvIUC5IcEJ32R0SsTP+375w6Z7O7VY82xGx4Es"  # of nothing
)
"""As dear to check as a new hash (a test sees to it), and not made anew at every start: that takes 0.1 s."""


class OrganizationKind(StrEnum):
    SOLO = "SOLO"
    TEAM = "TEAM"
    ENTERPRISE = "ENTERPRISE"


class KeyStrategy(StrEnum):
    """Whose provider keys an organization's prompts use."""

    DATAELAN = "DATAELAN"  # the platform's
    BYOK = "BYOK"  # the organization's own
    HYBRID = "HYBRID"  # own first, then the platform's


class UnknownPrice(StrEnum):
    """What happens to a call whose price nobody knows, where a budget applies."""

    REFUSE = "refuse"
    CEILING = "ceiling"  # count it as the organization's ceiling for one call
    ALLOW = "allow"  # count it as nothing


class Summaries(StrEnum):
    """Which summaries an organization is told: its owners and admins, and its programs."""

    NONE = "none"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    BOTH = "both"


class Role(StrEnum):
    OWNER = "OWNER"
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"
    VIEWER = "VIEWER"


class User(UserMixin, Base):
    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("email = lower(email)", name="email_is_lower_case"),
        Index("ix_users_created_at", "created_at"),
        in_trash("users"),
    )

    email: Mapped[Name] = mapped_column(unique=True)
    name: Mapped[Name]
    password_hash: Mapped[Name]
    """Empty: there is none, and none is right."""
    is_superuser: Mapped[bool] = mapped_column(default=False)
    unconfirmed_since: Mapped[Time | None]
    """They signed up with an address that its mailbox has not confirmed (accounts/confirming.py)."""
    disabled_at: Mapped[Time | None]
    """By a superuser: nobody signs in as them, and their tokens are refused."""
    deleted_at: Mapped[Time | None]
    """By themselves: for 30 days they can sign in to take it back, and do nothing else (accounts/leaving.py)."""
    purged_at: Mapped[Time | None]
    """They are gone for ever. The row stays for what they did, under no name of theirs (executions/departed.py)."""
    made_through_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("organizations.id", ondelete="SET NULL", use_alter=True)
    )
    """The organization at whose single sign-on the account began: without a password, until they set one."""
    session_key: Mapped[Name] = mapped_column(default=lambda: secrets.token_urlsafe(24))
    """Changes at a password change: every older sign-in (models/sign_ins.py), on every device, is dead at once."""
    last_seen_at: Mapped[Time | None]
    mail_choices: Mapped[Json] = mapped_column(default=dict)
    """Kind of notice → whether it comes by mail too; a kind that is not in it is as notify/kinds.py says."""

    memberships: Mapped[list[Membership]] = relationship(back_populates="user")

    def set_password(self, password: str) -> None:
        self.password_hash = _hash(password)
        self.end_sign_ins()

    def end_sign_ins(self) -> None:
        self.session_key = secrets.token_urlsafe(24)

    def has_password(self, password: str) -> bool:
        """As slow where there is none. A hash of older settings is made anew, now that the password is there; it is
        kept when the caller commits."""
        is_theirs = _matches(self.password_hash or _DECOY, password) and bool(self.password_hash)
        if is_theirs and _hasher.check_needs_rehash(self.password_hash):
            self._hash_anew(password)
        return is_theirs

    def _hash_anew(self, password: str) -> None:
        """Over the hash that was checked, and no other: a new password may have been set since it was read."""
        anew, session = _hash(password), object_session(self)
        if session is not None:
            as_checked = (User.id == self.id) & (User.password_hash == self.password_hash)
            change = update(User).where(as_checked).values(password_hash=anew)
            session.execute(change, execution_options={"synchronize_session": "fetch"})

    @hybrid_property
    def can_act(self) -> bool:
        """Neither switched off nor deleted. Who is not keeps their place in organizations, and does nothing there."""
        return self.disabled_at is None and self.deleted_at is None

    @can_act.inplace.expression
    @classmethod
    def _can_act(cls) -> ColumnElement[bool]:
        return cls.disabled_at.is_(None) & cls.deleted_at.is_(None)

    @hybrid_property
    def can_have_password(self) -> bool:
        """Does any password fit? None does for who never chose one."""
        return self.password_hash.startswith("$argon2")


def waste_a_hash(password: str) -> bool:
    """Spend the time of a real check, so that an unknown address answers no faster than a known one."""
    return _matches(_DECOY, password)


def _hash(password: str) -> str:
    return out_of_the_way(partial(_hasher.hash, password))


def _matches(stored: str, password: str) -> bool:
    try:
        return out_of_the_way(partial(_hasher.verify, stored, password))
    except (VerificationError, InvalidHashError):
        return False


class Organization(Trashable, Base):
    """Deleted, it waits for 30 days for an owner to take it back; nobody works in it meanwhile."""

    __tablename__ = "organizations"
    __table_args__ = (
        in_trash("organizations"),
        CheckConstraint("audit_kept_days >= 30", name="audit_is_kept_a_month"),
    )

    name: Mapped[Name]
    slug: Mapped[Name] = mapped_column(unique=True)
    kind: Mapped[OrganizationKind] = mapped_column(default=OrganizationKind.SOLO)
    key_strategy: Mapped[KeyStrategy] = mapped_column(default=KeyStrategy.HYBRID)
    time_zone: Mapped[Name] = mapped_column(default="UTC")
    currency: Mapped[str | None] = mapped_column(String(3))
    """In which its people see amounts, by ISO 4217; None: in US dollars, in which all are counted (currencies.py)."""
    currency_rate: Mapped[Decimal | None] = mapped_column(Numeric(20, 10))
    """How many of it one US dollar is, as they say themselves."""
    currency_set_on: Mapped[date | None]
    unknown_price: Mapped[UnknownPrice] = mapped_column(default=UnknownPrice.REFUSE)
    unknown_price_ceiling: Mapped[Nano | None]
    allows_public_links: Mapped[bool] = mapped_column(default=True)
    """False: none can be made, and those that there are lead nowhere."""

    allowed_providers: Mapped[JsonList] = mapped_column(default=list)
    """Ids, as text, of the providers that its prompts may go to; empty: all."""
    needs_two_factor: Mapped[bool] = mapped_column(default=False)
    """Only who signed in by a passkey, or by a second factor, comes in."""
    allowed_ways: Mapped[JsonList] = mapped_column(default=list, server_default="[]")
    """By one of which (sign_ins.Way) who comes in has to have signed in; empty: by any. Never single sign-on alone:
    that is `enforces_sso`, and while that holds this is not asked."""
    default_rule_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("routing_rules.id", ondelete="SET NULL", use_alter=True)
    )
    """What new sessions ask, where nobody chose; None: `auto`."""
    suspended_at: Mapped[Time | None]
    """By a superuser: its people come no further than to a page that says so, and its tokens are refused."""
    purged_at: Mapped[Time | None]
    """Its content is gone for ever. The row stays, for the money that was spent in it."""
    enforces_sso: Mapped[bool] = mapped_column(default=False)
    """True: nobody comes in who did not sign in at its provider (models/single_sign_on.py), whatever else they know."""

    words_kept_days: Mapped[int | None]
    """How long what was said is kept, and beside it whole runs; None: for ever (executions.retention)."""
    runs_kept_days: Mapped[int | None]
    words_gone_until: Mapped[Time | None]
    """What was asked before is gone already."""
    runs_gone_until: Mapped[Time | None]
    audit_kept_days: Mapped[int | None]
    """How long lines of the audit log are kept; None: for ever. The database lets none go before."""

    summaries: Mapped[Summaries] = mapped_column(default=Summaries.NONE)
    week_told: Mapped[date | None]
    """The first day of the last week, and of the last month, whose summary was sent (summaries.sending)."""
    month_told: Mapped[date | None]

    memberships: Mapped[list[Membership]] = relationship(back_populates="organization")
    default_rule: Mapped[RoutingRule | None] = relationship(foreign_keys=[default_rule_id])

    @property
    def asks_how(self) -> bool:
        """Does not every way of signing in lead there?"""
        return self.enforces_sso or bool(self.allowed_ways)


class Membership(Base):
    __tablename__ = "memberships"
    __table_args__ = (UniqueConstraint("organization_id", "user_id"),)

    organization_id: Mapped[uuid.UUID] = parent("organizations.id", index=False)
    user_id: Mapped[uuid.UUID] = parent("users.id")
    role: Mapped[Role]

    user: Mapped[User] = relationship(back_populates="memberships")
    organization: Mapped[Organization] = relationship(back_populates="memberships")


def slug_for(name: str) -> str:
    """A readable address with a random tail: two teams may share a name, and none can be enumerated."""
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40] or "team"
    return f"{words}-{secrets.token_hex(5)}"


__all__ = [
    "KeyStrategy",
    "Membership",
    "Organization",
    "OrganizationKind",
    "Role",
    "Summaries",
    "User",
    "now",
    "slug_for",
    "waste_a_hash",
]
