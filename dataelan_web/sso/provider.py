"""An OpenID provider over HTTP: what it says of itself, its keys, and a code turned into tokens.

Through the same guarded client as every call of ours that a person names the address of: no private addresses unless
the operator allows them, no redirects, so much and no more, and not for long. Nothing is kept between two sign-ins, so
a key that the provider took back counts no more.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from flask import current_app

from ..router.exchange import Answered, post
from ..router.requests import origin
from ..router.types import Call, Failure
from ..router.wire import Client, Clients
from ..text import visible

WELL_KNOWN = "/.well-known/openid-configuration"
SECONDS = 8.0
"""That a question may take: somebody waits at a browser."""
MOST_BYTES = 512 * 1024
WHO = "The identity provider"
SCOPES = ("openid", "email", "profile")
BASIC, POSTED = "client_secret_basic", "client_secret_post"


class Unusable(Exception):
    """The provider cannot be reached, or is none; the message says what to do."""


@dataclass(frozen=True)
class Found:
    """What a provider says of itself."""

    issuer: str
    authorization: str
    token: str
    keys: str
    userinfo: str
    """Empty: it has none."""
    authenticates: str
    """How it wants to be told the client secret."""
    scopes: tuple[str, ...]
    """Those that are asked for."""
    knows_pkce: bool
    """Does it say that it checks a code's verifier (S256)? Many do, and do not say so."""


@dataclass(frozen=True)
class Tokens:
    id_token: str
    access_token: str


def discover(issuer: str) -> Found:
    """Raises Unusable."""
    said = _json(_ask(Call(issuer.rstrip("/") + WELL_KNOWN, method="GET")), f"{issuer}{WELL_KNOWN}")
    named = said.get("issuer")
    if not isinstance(named, str) or named != issuer:  # to the sign: a slash more may be somebody else
        shown = visible(str(named))[:200]
        raise Unusable(f"It calls itself {shown}. Enter that as the issuer, if it is the one you mean.")
    endpoints = {
        name: _endpoint(said, name, issuer) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")
    }
    userinfo = _endpoint(said, "userinfo_endpoint", issuer) if said.get("userinfo_endpoint") else ""
    methods, scopes = said.get("token_endpoint_auth_methods_supported"), said.get("scopes_supported")
    is_posted = isinstance(methods, list) and POSTED in methods and BASIC not in methods
    return Found(
        issuer=named,
        authorization=endpoints["authorization_endpoint"],
        token=endpoints["token_endpoint"],
        keys=endpoints["jwks_uri"],
        userinfo=userinfo,
        authenticates=POSTED if is_posted else BASIC,
        scopes=(*SCOPES, "groups") if isinstance(scopes, list) and "groups" in scopes else SCOPES,
        knows_pkce="S256" in (said.get("code_challenge_methods_supported") or ()),
    )


def keys_of(found: Found) -> Mapping[str, Any]:
    """Its public keys, as it publishes them. Raises Unusable."""
    return _json(_ask(Call(found.keys, method="GET")), found.keys)


def exchange(found: Found, client_id: str, secret: str, code: str, verifier: str, redirect_uri: str) -> Tokens:
    """A code for tokens: which it gives once, to us, and to who began the sign-in. Raises Unusable."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
    status, said = _token_call(found, client_id, secret, form)
    if status != 200:
        problem = visible(str(said.get("error_description") or said.get("error") or f"it answered {status}"))
        raise Unusable(f"{WHO} did not take the sign-in: {problem.replace(secret, '…')[:300]}")
    id_token, access_token = said.get("id_token"), said.get("access_token")
    if not isinstance(id_token, str):
        raise Unusable(f"{WHO} sent no ID token. Is the application registered there for OpenID Connect?")
    return Tokens(id_token, access_token if isinstance(access_token, str) else "")


def refuses(found: Found, client_id: str, secret: str) -> bool:
    """Does it refuse this client secret? Asked with a code that is none: most say first what they think of the client.
    Raises Unusable."""
    form = {"grant_type": "authorization_code", "code": "none", "redirect_uri": "none", "code_verifier": "none"}
    return _token_call(found, client_id, secret, form)[1].get("error") in ("invalid_client", "unauthorized_client")


def _token_call(found: Found, client_id: str, secret: str, form: dict[str, str]) -> tuple[int, Mapping[str, Any]]:
    """(status, what was said)"""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    if found.authenticates == POSTED:
        form = {**form, "client_id": client_id, "client_secret": secret}
    else:  # each part is encoded first (RFC 6749 §2.3.1)
        pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    answered = _post(Call(found.token, content=urlencode(form).encode(), headers=headers))
    return answered.status, _object(answered.body)


def userinfo(found: Found, tokens: Tokens) -> Mapping[str, Any]:
    """What it tells of the person beside their ID token; empty where it tells nothing. Raises Unusable."""
    if not found.userinfo or not tokens.access_token:
        return {}
    headers = {"Authorization": f"Bearer {tokens.access_token}", "Accept": "application/json"}
    answered = _post(Call(found.userinfo, method="GET", headers=headers))
    return _object(answered.body) if answered.status == 200 else {}


def _endpoint(said: Mapping[str, Any], name: str, issuer: str) -> str:
    """As safe as the issuer itself: by https, unless that is not."""
    url = said.get(name)
    place = origin(url) if isinstance(url, str) else None
    is_as_safe = place is not None and (place[0] == "https" or issuer.startswith("http:"))
    if not isinstance(url, str) or not is_as_safe or not url.isprintable():
        raise Unusable(f"It names no usable {name}: this is no OpenID provider that people can sign in at.")
    return url


def _ask(call: Call) -> Answered:
    answered = _post(call)
    if 300 <= answered.status < 400:
        raise Unusable(f"{call.url} sends us elsewhere, and redirects are not followed. Enter where it leads to.")
    if answered.status != 200:
        raise Unusable(f"{call.url} answered {answered.status}. Is the issuer written as its provider writes it?")
    return answered


def _post(call: Call) -> Answered:
    try:
        return post(_client(), call, WHO, SECONDS, MOST_BYTES)
    except Failure as failure:
        raise Unusable(failure.message) from failure


def _json(answered: Answered, where: str) -> Mapping[str, Any]:
    if not (said := _object(answered.body)):
        raise Unusable(f"{where} is not what an OpenID provider has there. Is this the issuer?")
    return said


def _object(body: bytes) -> Mapping[str, Any]:
    """Empty for what is none."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _client() -> Client:
    clients: Clients = current_app.extensions["dataelan_http"]
    return clients.reaching(current_app.extensions["dataelan_settings"].private_addresses)
