"""How people are signed in, and the links by which they prove that a mailbox is theirs."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Text, case, cast, func, or_
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .accounts import Organization, User
from .base import Base, JsonList, Name, Time, new_id, now, parent, reference

IDLE, LONGEST = timedelta(days=14), timedelta(days=90)
"""A sign-in ends when it was not used for so long, and however much it is used after the other."""
LONGEST_THROUGH = timedelta(hours=24)
"""One through an organization's provider, which is then asked again whether they still belong there."""
SEEN_EVERY = timedelta(hours=1)
"""How exactly it is known when one was last used: to look at a page writes nothing but that, and not each time."""
LATELY = timedelta(minutes=15)
"""How long it counts that somebody proved who they are, before what gives power (accounts/lately.py)."""


class Way(StrEnum):
    """By what somebody shows who they are."""

    PASSWORD = "password"  # noqa: S105 (a name)
    PASSKEY = "passkey"
    SSO = "sso"  # single sign-on, of the organization that they enter


class SignIn(Base):
    """One browser in which a person is signed in. Its cookie holds a secret, of which only the hash is kept.

    It counts as long as its `session_key` is the person's: one UPDATE of theirs ends all, also those that another
    request is just about to begin with the old password.
    """

    __tablename__ = "sign_ins"

    user_id: Mapped[uuid.UUID] = parent("users.id")
    secret_hash: Mapped[Name] = mapped_column(unique=True)
    session_key: Mapped[Name]
    seen_at: Mapped[Time] = mapped_column(default=now)
    address: Mapped[Name] = mapped_column(default="")
    agent: Mapped[Name] = mapped_column(default="")
    """What the browser says that it is."""

    is_two_factor: Mapped[bool] = mapped_column(default=False)
    """By a passkey, or by a second factor beside the password."""
    ways: Mapped[JsonList] = mapped_column(default=list, server_default="[]")
    """Which secrets of their own (Way) they showed in this browser, when it began or since. Empty: with single sign-on,
    and where it began before this was noted."""
    proven_at: Mapped[Time | None]
    """When it was last proven that its person sits there. None: when it began."""
    acting_as_id: Mapped[uuid.UUID | None] = reference("users.id")
    """Whom a superuser acts as in this browser, until `acting_until` (accounts/impersonating.py)."""
    acting_until: Mapped[Time | None]

    through_id: Mapped[uuid.UUID | None] = parent("organizations.id")
    """The organization through whose single sign-on it came: it leads there and nowhere else. None: with a secret of
    the person's own."""
    beside_id: Mapped[uuid.UUID | None] = parent("organizations.id", index=False)
    """The enforced single sign-on that an owner went past, until `beside_until` (sso/gate.py)."""
    beside_until: Mapped[Time | None]

    user: Mapped[User] = relationship(foreign_keys=[user_id])

    def leads_to(self, organization: Organization) -> bool:
        """Does who signed in so come in there, if they belong there?"""
        if self.through_id is not None and self.through_id != organization.id:
            return False
        if organization.enforces_sso:
            return self.through_id is not None or (self.is_beside and self.beside_id == organization.id)
        return not organization.allowed_ways or self.is_by_one_of(organization.allowed_ways)

    @property
    def shown(self) -> list[str]:
        """The ways (Way) by which it came."""
        return [Way.SSO.value] if self.through_id is not None else self.ways

    def is_by_one_of(self, ways: Iterable[str]) -> bool:
        return any(way in self.shown for way in ways)

    @property
    def is_by_two(self) -> bool:
        """By two factors, or through an organization's single sign-on, which asks for what that organization wants."""
        return self.is_two_factor or self.through_id is not None

    @property
    def is_proven_lately(self) -> bool:
        return (self.proven_at or self.created_at) > now() - LATELY

    @property
    def is_beside(self) -> bool:
        return self.beside_until is not None and self.beside_until > now()

    @classmethod
    def begin(cls, user: User, address: str = "", agent: str = "") -> tuple[SignIn, str]:
        """(the row, the secret for the cookie)"""
        made = cls(id=new_id(), user_id=user.id, session_key=user.session_key, address=address, agent=agent[:200])
        return made, made.renew()

    def renew(self) -> str:
        """Another secret for its cookie: a copy of the old one is worth nothing."""
        secret = secrets.token_urlsafe(32)
        self.secret_hash = digest(secret)
        return secret


def led_to(through: Any, beside: Any, shown: Any) -> ColumnElement[bool]:
    """`SignIn.leads_to` of organizations in a statement, for its `through_id` and `shown`, and `beside_id` while that
    lasts."""
    ways, is_there = Organization.allowed_ways, or_(through.is_(None), Organization.id == through)
    by_sso = through.is_not(None) | (Organization.id == beside)
    by_any = or_(func.jsonb_array_length(ways) == 0, ways.has_any(cast(shown, ARRAY(Text))))
    return is_there & case((Organization.enforces_sso, by_sso), else_=by_any)


class Proof(StrEnum):
    """What a link by mail is for."""

    RESET = "reset"
    ADDRESS = "address"


class AccountLink(Base):
    """A way to a new password or a new address, for whoever holds its secret: once, and not for long."""

    __tablename__ = "account_links"

    user_id: Mapped[uuid.UUID] = parent("users.id")
    purpose: Mapped[Proof]
    secret_hash: Mapped[Name] = mapped_column(unique=True)
    email: Mapped[Name]
    """The mailbox that it was sent to: of a new password the person's own, as it was then."""
    expires_at: Mapped[Time]
    used_at: Mapped[Time | None]

    user: Mapped[User] = relationship()

    @classmethod
    def issue(cls, user: User, purpose: Proof, email: str, lasts: timedelta) -> tuple[AccountLink, str]:
        """(the row, its secret, which is never to be seen again)"""
        secret = secrets.token_urlsafe(32)
        made = cls(id=new_id(), user_id=user.id, purpose=purpose, email=email, expires_at=now() + lasts)
        made.secret_hash = digest(secret)
        return made, secret


def digest(secret: str) -> str:
    """Of 256 random bits: no salt and no slow hash could make them harder to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()
