"""Is a provider's address right, and a key accepted there? Asked before anything is kept."""

from __future__ import annotations

from dataclasses import dataclass

from ...models import Provider
from ...router.exchange import ask
from ...router.providers.failures import failure as failure_of
from ...router.types import Call, Failure, Kind, ListedModel
from .listing import check_key, http, list_models
from .wire_formats import wire_format

NO_SUCH_PAGE = (404, 405)


@dataclass(frozen=True)
class Checked:
    """What came of asking. `listed` None: the provider has no list of models."""

    listed: list[ListedModel] | None
    is_proven: bool
    """It answered something that it answers to a valid key only."""


def check(provider: Provider, secret: str) -> Checked:
    """Ask the provider with this key. Raises router Failure: the key is refused, or nothing can be asked."""
    try:
        listed = _listed(provider, secret)
        if listed is None and provider.check_path and secret:
            headers = wire_format(provider.kind).headers(provider.base_url, secret)
            call = Call(provider.base_url + provider.check_path, headers=headers, method="GET")
            ask(http(provider.is_trusted), call, failure_of)
    except Failure as failure:
        failure.message = failure.message.replace(secret or "\0", "[key]")  # some quote what they refuse
        raise
    is_proven = bool(provider.check_path or (listed is not None and secret and not _lists_to_anyone(provider)))
    return Checked(listed, is_proven)


def problem_of(name: str, failure: Failure) -> str:
    """For the person who entered the key."""
    refused = f"{name} did not accept it" if failure.kind is Kind.CREDENTIAL else "It cannot be checked"
    return f"{refused}: {failure.message}"


def _listed(provider: Provider, secret: str) -> list[ListedModel] | None:
    """None also where the format has a list, but this provider does not serve it."""
    try:
        return check_key(provider, secret)
    except Failure as failure:
        if failure.status in NO_SUCH_PAGE:
            return None
        raise


def _lists_to_anyone(provider: Provider) -> bool:
    """Several providers show their list to everyone (Hugging Face, NVIDIA …): it then says nothing about a key."""
    try:
        list_models(provider.kind, provider.base_url, "", is_trusted=provider.is_trusted)
    except Failure:
        return False
    return True
