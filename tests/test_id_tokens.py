"""Which ID tokens count: values in, values out, with keys that cost nothing to make."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from dataelan_web.models import Role
from dataelan_web.sso import id_token, person

NOW = 1_800_000_000
KEY, OTHER = (ECKey.generate_key("P-256", parameters={"kid": kid}) for kid in ("one", "other"))
PUBLISHED: dict[str, Any] = {"keys": [KEY.as_dict(private=False), {"kty": "lattice"}, {"kty": "EC", "crv": "none"}, 7]}
GOOD = {"iss": "https://id.example", "aud": "us", "sub": "ada", "iat": NOW - 5, "exp": NOW + 60, "nonce": "n"}


def signed(key: Any = KEY, alg: str = "ES256", kid: str = "one", **claims: Any) -> str:
    said = {name: value for name, value in {**GOOD, **claims}.items() if value is not None}
    return jwt.encode({"alg": alg, "kid": kid}, said, key, algorithms=[alg])


def check(token: str, keys: dict[str, Any] = PUBLISHED) -> Any:
    return id_token.verified(token, keys, "https://id.example", "us", "n", NOW)


def test_a_token_of_the_provider_for_us_and_now_counts() -> None:
    assert check(signed())["sub"] == "ada"
    assert check(signed(aud=["us"], exp=NOW - 60))["sub"] == "ada", "clocks differ by a minute"
    assert check(signed(aud=["us", "them"], azp="us"))["sub"] == "ada"


@pytest.mark.parametrize(
    "claims",
    [
        *({name: None} for name in GOOD),
        {"iss": "https://id.example/"},
        {"iss": ["https://id.example"]},
        {"aud": "them"},
        {"aud": ["us", "them"]},
        {"aud": ["us", "them"], "azp": "them"},
        {"azp": "them"},
        {"exp": NOW - 600},
        {"exp": "never"},
        {"iat": NOW + 600},
        {"nbf": NOW + 600},
        {"nonce": ["n"]},
        {"nonce": ""},
        {"sub": ""},
        {"sub": "a\x00da"},
        {"sub": "a" * 300},
    ],
)
def test_any_other_claim_makes_it_worthless(claims: dict[str, Any]) -> None:
    with pytest.raises(id_token.Untrusted):
        check(signed(**claims))


def test_a_signature_is_of_a_published_key_and_proves_something() -> None:
    head, claims, signature = signed().split(".")
    none = urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    more = urlsafe_b64encode(json.dumps({**GOOD, "sub": "eve"}).encode()).decode().rstrip("=")
    public = OctKey.import_key(KEY.as_dict(private=False)["x"])
    forged = {
        "by another key": signed(OTHER),
        "by a key that is named so": signed(OTHER, kid="other"),
        "by a key that it brings along": jwt.encode(
            {"alg": "ES256", "kid": "one", "jwk": OTHER.as_dict(private=False)}, GOOD, OTHER, algorithms=["ES256"]
        ),
        "by nobody": f"{none}.{claims}.",
        "of other claims": f"{head}.{more}.{signature}",
        "by what everybody knows": signed(public, "HS256"),
        "no token": "a.b.c",
        "nothing": "",
    }
    for token in forged.values():
        with pytest.raises(id_token.Untrusted):
            check(token)
    shared = {"keys": [{**public.as_dict(), "kid": "one"}]}
    short = {"keys": [{"kty": "RSA", "e": "AQAB", "n": "w" * 171, "kid": "one"}]}
    sealing = {"keys": [{**KEY.as_dict(private=False), "use": "enc"}]}
    for keys in (shared, short, sealing, {"keys": []}, {"keys": None}, {}):
        with pytest.raises(id_token.Untrusted):
            check(signed(public, "HS256") if keys is shared else signed(), keys)


def test_an_address_is_verified_by_whom_it_belongs_to() -> None:
    def read(**claims: Any) -> person.Person:
        return person.read({"sub": "ada", "email": "Ada@corp.example", "iss": "https://id.example", **claims}, "groups")

    assert read(email_verified=True) == person.Person("ada", "ada@corp.example", True, "ada", ())
    assert not read().is_verified
    assert not read(email_verified="false").is_verified
    google = {"iss": "https://accounts.google.com", "email_verified": True}
    assert not read(**google).is_verified, "an address that was theirs once, as Google says of everybody"
    assert read(**google, hd="corp.example").is_verified
    more = person.with_more(
        {"sub": "ada", "email": "a@corp.example"}, {"sub": "ada", "email": "b@x.example", "email_verified": True}
    )
    assert not person.read(more, "").is_verified, "of another address"
    assert person.with_more({"sub": "ada"}, {"sub": "eve", "email": "a@corp.example"}) == {"sub": "ada"}
    many = read(groups=["b", "a", 7])
    assert many.role({"a": "VIEWER", "b": "ADMIN"}, None) is Role.ADMIN
    assert many.role({"x": "ADMIN"}, None) is None
