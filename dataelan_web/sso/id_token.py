"""Is this ID token from that provider, for us, for this sign-in and from now? Values only, no I/O."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

SIGNED_BY = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
"""By a key pair. Never `none`, nor HMAC, which whoever knows a public key could make."""
PAIRS = ("RSA", "EC", "OKP")
SHORTEST_RSA = 342
"""Signs of base64 for a modulus of 2,048 bits."""
LONGEST_SUBJECT = 255
AHEAD = 120
"""Seconds that the provider's clock may differ from ours."""


class Untrusted(Exception):
    """The token counts for nothing; the message says why."""


def verified(
    token: str, keys: Mapping[str, Any], issuer: str, client_id: str, nonce: str, now: int
) -> Mapping[str, Any]:
    """What it claims. Raises Untrusted."""
    from joserfc import jwt  # here, as few requests sign in, and it takes a thirtieth of a second
    from joserfc.errors import ExpiredTokenError, JoseError

    try:
        claims = jwt.decode(token, _key_set(keys), registry=_registry()).claims
        jwt.JWTClaimsRegistry(
            now=now,
            leeway=AHEAD,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
        ).validate(claims)
    except ExpiredTokenError as error:
        raise Untrusted("Its time was over. Do the clocks of the provider and of Dataelan agree?") from error
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise Untrusted(_why(error)) from error
    _check_who_it_is_for(claims, client_id)
    if not (claims["sub"].isascii() and claims["sub"].isprintable() and len(claims["sub"]) <= LONGEST_SUBJECT):
        raise Untrusted("Its sub is missing or wrong.")
    said = claims.get("nonce")
    if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
        raise Untrusted("It was made for another sign-in than the one begun in this browser.")
    return claims


def _check_who_it_is_for(claims: Mapping[str, Any], client_id: str) -> None:
    """A token for several has to name us as whom it was given to (OpenID Connect Core §3.1.3.7)."""
    is_for_several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if is_for_several else client_id) != client_id:
        raise Untrusted("It was given to another application.")


def _key_set(keys: Mapping[str, Any]) -> Any:
    """Of those that sign. One that we cannot read is none of ours to need."""
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry, KeySet

    usable, listed = [], keys.get("keys")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and _signs(one):
            try:
                usable.append(JWKRegistry.import_key(one))
            except (JoseError, ValueError, TypeError, KeyError):
                continue
    if not usable:
        raise Untrusted("Its provider publishes no key to check it with.")
    return KeySet(usable)


def _signs(key: Mapping[str, Any]) -> bool:
    is_long = key.get("kty") != "RSA" or len(str(key.get("n", ""))) >= SHORTEST_RSA
    return key.get("kty") in PAIRS and key.get("use", "sig") == "sig" and is_long


def _registry() -> Any:
    from joserfc.jws import JWSRegistry

    return JWSRegistry(algorithms=SIGNED_BY, strict_check_header=False)


def _why(error: Exception) -> str:
    from joserfc.errors import BadSignatureError, ClaimError, InvalidKeyIdError

    if isinstance(error, ClaimError):
        return {
            "iss": "It is from another provider.",
            "aud": "It is for another application. Is the client id right?",
        }.get(error.claim, f"Its {error.claim} is missing or wrong.")
    if isinstance(error, BadSignatureError | InvalidKeyIdError):
        return "It is not signed by a key of this provider."
    return "It cannot be read, or is signed in a way that proves nothing."
