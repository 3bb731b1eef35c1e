"""Who came back from the provider: its answer in the address, the code in it turned into tokens, and these checked."""

from __future__ import annotations

import time
from collections.abc import Mapping

from ..extensions import db
from ..models import IdentityProvider
from ..text import visible
from . import id_token, person, provider, settings
from .pending import Begun
from .person import Person
from .provider import Unusable

DENIED = {
    "access_denied": "Your provider did not let you in, or you broke off there.",
    "login_required": "Your provider wants you to sign in there first.",
}


def who(found: IdentityProvider, begun: Begun, answer: Mapping[str, str]) -> Person:
    """Raises provider.Unusable, id_token.Untrusted."""
    if error := answer.get("error"):
        said = visible(answer.get("error_description") or error)[:300]
        raise Unusable(DENIED.get(error) or f"Your provider answers: {said}")
    code, secret = answer.get("code", ""), settings.secret_of(found)
    if not code:
        raise Unusable("Your provider sent nothing that says who you are.")
    redirect_uri, client_id, groups = settings.redirect_uri(found.organization), found.client_id, found.groups_claim
    db.session.commit()  # no connection is held while we ask
    said_of_itself = provider.discover(found.issuer)
    if answer.get("iss", said_of_itself.issuer) != said_of_itself.issuer:  # RFC 9207
        raise Unusable("The answer is from another provider than the one that was asked.")
    tokens = provider.exchange(said_of_itself, client_id, secret, code, begun.verifier, redirect_uri)
    keys, issuer, now = provider.keys_of(said_of_itself), said_of_itself.issuer, int(time.time())
    claims = id_token.verified(tokens.id_token, keys, issuer, client_id, begun.nonce, now)
    if not person.is_whole(claims, groups if found.roles else ""):
        claims = person.with_more(claims, provider.userinfo(said_of_itself, tokens))
    return person.read(claims, groups)
