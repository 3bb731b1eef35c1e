"""Who somebody is, as their provider says: a subject, an address and whether it is theirs, and groups. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from email_validator import EmailNotValidError, validate_email

from ..models import Role

RANKED = (Role.ADMIN, Role.MEMBER, Role.VIEWER)
"""What a group can make of somebody, the most first. Owners are made by owners."""
VERIFIED = ("email_verified", "xms_edov")
"""Claims that say that an address is the person's: of OpenID, and of Entra, which has none of the first."""
ANYBODYS = {"https://accounts.google.com": "hd"}
"""Issuers that are one for everybody, whose claim says in which domain somebody has their account. Without it an
address was theirs when they signed up, years ago perhaps, and may be another's now."""
LONGEST_NAME = 100
FACTORS = {
    **dict.fromkeys(("pwd", "pin", "kba"), "known"),
    **dict.fromkeys(("otp", "hwk", "swk", "sc", "sms", "tel", "pop"), "had"),
    **dict.fromkeys(("face", "fpt", "iris", "retina", "vbm"), "is"),
}
"""What a value of `amr` shows that somebody knows, has or is (RFC 8176)."""


@dataclass(frozen=True)
class Person:
    subject: str
    email: str
    """In small letters; empty: none, or none that can be one."""
    is_verified: bool
    """Does the provider say that the address is theirs?"""
    name: str
    groups: tuple[str, ...]
    is_by_one_factor: bool = False
    """Does the provider say that they showed it one, and no more? Many say nothing of it."""
    signed_in_at: int | None = None
    """When they signed in there (`auth_time`), in seconds since 1970; None: it does not say."""

    @property
    def domain(self) -> str:
        return self.email.rpartition("@")[2]

    def role(self, roles: Mapping[str, str], default: Role | None) -> Role | None:
        """The most of what their groups give; None: they are not to come in."""
        given = {roles[group] for group in self.groups if group in roles}
        return next((role for role in RANKED if role.value in given), default)


def read(claims: Mapping[str, Any], groups_claim: str) -> Person:
    email = _address(claims.get("email"))
    return Person(
        subject=str(claims["sub"]),
        email=email,
        is_verified=bool(email) and _is_verified(claims, email),
        name=_name(claims) or email.partition("@")[0],
        groups=_texts(claims.get(groups_claim)),
        is_by_one_factor=_is_by_one_factor(_texts(claims.get("amr"))),
        signed_in_at=_time(claims.get("auth_time")),
    )


def is_whole(claims: Mapping[str, Any], groups_claim: str) -> bool:
    """Is all in the ID token? Some providers tell a part of it only at their userinfo endpoint."""
    return "email" in claims and (not groups_claim or groups_claim in claims)


def with_more(claims: Mapping[str, Any], said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of what was said beside a token, only what is of the same person and address, and nothing that the token says
    itself."""
    if said.get("sub") != claims["sub"]:
        return claims
    is_same = claims.get("email", said.get("email")) == said.get("email")
    return {**{name: value for name, value in said.items() if is_same or name not in VERIFIED}, **claims}


def _address(said: object) -> str:
    """ASCII only: `K` (KELVIN SIGN) in small letters is the `k` of somebody else’s address."""
    if not isinstance(said, str) or not said.isascii() or len(said) > 200:
        return ""
    try:
        return validate_email(said.strip(), check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        return ""


def _is_verified(claims: Mapping[str, Any], email: str) -> bool:
    home = ANYBODYS.get(str(claims.get("iss")).rstrip("/"))
    if home is not None and str(claims.get(home, "")).lower() != email.rpartition("@")[2]:
        return False
    return any(claims.get(name) in (True, "true", "1") for name in VERIFIED)


def _name(claims: Mapping[str, Any]) -> str:
    said = next((claims[key] for key in ("name", "preferred_username") if isinstance(claims.get(key), str)), "")
    return " ".join(said.split())[:LONGEST_NAME]


def _texts(said: object) -> tuple[str, ...]:
    """A list of texts, or one text."""
    found = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    return tuple(one for one in found if isinstance(one, str))


def _is_by_one_factor(methods: tuple[str, ...]) -> bool:
    """What has another name than the standard's may be two in one, as a passkey is."""
    return bool(methods) and len({FACTORS.get(one) for one in methods}) == 1 and methods[0] in FACTORS


def _time(said: object) -> int | None:
    """Of what is none, nothing: what a calendar does not hold would end in an error."""
    return int(said) if type(said) in (int, float) and 0 < said < 1 << 32 else None  # type: ignore[operator, call-overload]
