"""What a browser has begun: kept in its own signed cookie until it comes back from the provider, each once.

An answer counts only in the browser that asked: whoever sends somebody a link to an answer of their own (a forged
callback) signs them in nowhere.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
import uuid
from dataclasses import asdict, dataclass

from flask import session

from ..models import IdentityProvider
from ..web import local_path
from .person import Person

BEGUN, PROVING = "sso", "sso_proving"
LASTS = 10 * 60
"""Seconds to sign in at the provider, or to enter one's password after."""
AT_ONCE = 3
"""Tabs in which one may sign in at the same time."""

PROVES = "proof."
"""What the state of a proof begins with; that of a sign-in has no dot."""
LONGEST_NEXT = 500
"""Characters. A browser keeps no cookie of more than 4,096 bytes."""


@dataclass(frozen=True)
class Begun:
    state: str
    provider_id: str
    nonce: str
    verifier: str
    next_url: str
    at: int

    @property
    def proves(self) -> bool:
        """Is it to prove that somebody still sits there who is signed in already? The state says so, which nobody else
        writes: what was begun before has no other place for it."""
        return self.state.startswith(PROVES)

    @property
    def challenge(self) -> str:
        """Of the verifier, for PKCE: S256 (RFC 7636)."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def asks(self, client_id: str, redirect_uri: str, scopes: tuple[str, ...]) -> dict[str, str]:
        """What the provider is asked for, in the address that the browser goes to."""
        return {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(scopes),
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
        }


def begin(provider: IdentityProvider, next_url: str, *, proves: bool = False) -> Begun:
    made = Begun(
        state=f"{PROVES if proves else ''}{secrets.token_urlsafe(32)}",
        provider_id=str(provider.id),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
        next_url=local_path(next_url) if len(next_url) <= LONGEST_NEXT else "",
        at=int(time.time()),
    )
    others = [one for one in session.get(BEGUN, []) if _is_fresh(one["at"])]
    session[BEGUN] = [*others[1 - AT_ONCE :], asdict(made)]
    return made


def take(state: str, provider: IdentityProvider) -> Begun | None:
    """What was begun in this browser with this state, at this provider: once."""
    mine = session.get(BEGUN, [])
    found = [one for one in mine if state and secrets.compare_digest(one["state"].encode(), state.encode())]
    session[BEGUN] = [one for one in mine if one not in found]
    begun = Begun(**found[0]) if found and _is_fresh(found[0]["at"]) else None
    return begun if begun and begun.provider_id == str(provider.id) else None


@dataclass(frozen=True)
class Proving:
    """Who came back from the provider, and has to show that the account with their address is theirs."""

    provider_id: uuid.UUID
    issuer: str
    person: Person
    next_url: str


def ask_for_proof(provider: IdentityProvider, person: Person, next_url: str) -> None:
    """Of their groups only one that gives their role is kept: there is not much room in a cookie."""
    role = person.role(provider.roles, None)
    decisive = [group for group in person.groups if role and provider.roles.get(group) == role.value]
    said = {**asdict(person), "groups": decisive[:1]}
    del said["is_by_one_factor"], said["signed_in_at"]  # what is not enough got nobody here; a password is asked now
    session[PROVING] = {
        "provider": str(provider.id),
        "issuer": provider.issuer,
        "person": said,
        "next": next_url,
        "at": int(time.time()),
    }


def proving() -> Proving | None:
    said = session.get(PROVING)
    if not said or not _is_fresh(said["at"]):
        return None
    person = Person(**{**said["person"], "groups": tuple(said["person"]["groups"])})
    return Proving(uuid.UUID(said["provider"]), said["issuer"], person, local_path(said["next"]))


def _is_fresh(at: int) -> bool:
    return 0 <= time.time() - at + 60 <= LASTS + 60
