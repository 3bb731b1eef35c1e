"""Providers of an organization's own: connected by a form, changed, asked again for their models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select

from ... import access, audit
from ...extensions import db
from ...models import APIKey, Model, Organization, Provider, User, new_id
from ...router.types import Failure, Kind
from ..keys.keeping import enter_again, one_at_a_time, seal, test_key
from ..models import assumed
from .checking import Checked, check
from .listing import has_list, keep, list_models
from .servers import AddressRefused, check_address, is_private
from .wire_formats import wire_format

NO_LIST = "It answers, but shows no list of models there. Correct the address, or say that it has no such list."


@dataclass(frozen=True)
class Wanted:
    """What was filled in to connect a provider."""

    name: str
    base_url: str
    kind: str = "openai"
    secret: str = ""
    catalogue: str = ""
    """Its id in the price catalogue."""
    has_no_list: bool = False
    """It cannot say which models it has: their names are typed in."""
    pattern: Provider | None = None
    """The fixture's row it was started from."""


def connect(organization: Organization, user: User, wanted: Wanted) -> tuple[Provider, Checked]:
    """Make a provider of the organization's own, once it answers. Raises AddressRefused or router Failure. Commits."""
    base_url = wanted.base_url.rstrip("/")
    is_inside = check_address(base_url, may_be_private=access.is_superuser(user))
    check_path = wanted.pattern.check_path if wanted.pattern else ""
    checked = check(_imagined(wanted.kind, base_url, is_inside, check_path), wanted.secret)
    if checked.listed is None and not wanted.has_no_list and has_list(wanted.kind, base_url, wanted.secret):
        raise AddressRefused(NO_LIST)
    provider = make_provider(
        organization,
        wanted.name,
        wanted.kind,
        base_url,
        needs_key=bool(wanted.secret),
        catalogue=wanted.catalogue,
        is_trusted=is_inside and access.is_superuser(user),  # else the setting is asked again at every call
    )
    if wanted.pattern:
        provider.key_hint, provider.check_path = wanted.pattern.key_hint, check_path
    db.session.flush()
    names = _kept(provider, checked, organization)
    if wanted.secret:
        assumed.end(provider)  # of one that was connected without a key before
        key = seal(provider, organization, user.id, f"{wanted.name[:190]} key", wanted.secret)
        key.listed_models = names
    audit.record("provider.connected", provider, organization.id, base_url=base_url, kind=wanted.kind)
    db.session.commit()
    return provider, checked


def make_provider(
    organization: Organization,
    name: str,
    kind: str,
    base_url: str,
    *,
    needs_key: bool,
    catalogue: str = "",
    is_trusted: bool,
) -> Provider:
    """The organization's provider at this address, new or found again, be it in the archive."""
    provider = db.session.scalars(
        select(Provider).where(
            Provider.organization_id == organization.id, Provider.base_url == base_url, Provider.kind == kind
        )
    ).first()
    if provider is None:
        provider = Provider(
            id=new_id(), organization_id=organization.id, slug=_slug(organization, name), kind=kind, base_url=base_url
        )
        db.session.add(provider)
    provider.name, provider.needs_key, provider.catalogue = name, needs_key, catalogue
    provider.is_trusted, provider.is_enabled, provider.archived_at = is_trusted, True, None
    provider.model_types = wire_format(kind).model_types
    return provider


def change(provider: Provider, user: User, name: str, base_url: str, is_enabled: bool) -> int:
    """Returns how many keys must be entered again. Raises AddressRefused or router Failure. Commits."""
    base_url, before = base_url.rstrip("/"), _told(provider)
    sealed = 0
    if base_url != provider.base_url:
        is_inside = check_address(base_url, may_be_private=access.is_superuser(user))
        _check_answers(provider, base_url, is_inside)
        sealed = move(provider, base_url)
        provider.is_trusted = is_inside and access.is_superuser(user)
        if not is_inside:
            assumed.end(provider)
    provider.name, provider.is_enabled = name, is_enabled
    if before != (after := _told(provider)):
        audit.record("provider.changed", provider, before=before, **after, keys_to_enter_again=sealed)
    db.session.commit()
    return sealed


def _told(provider: Provider) -> dict[str, Any]:
    return {name: getattr(provider, name) for name in ("name", "base_url", "is_enabled")}


def move(provider: Provider, base_url: str) -> int:
    """Give it another address. Its keys, whoever's they are, are sealed for the old one and must be entered again:
    returns how many."""
    before = provider.address
    provider.base_url = base_url
    if provider.address == before:
        return 0
    sealed = (APIKey.provider_id == provider.id, APIKey.archived_at.is_(None))
    keys = db.session.scalars(select(APIKey).where(*sealed)).all()
    for key in keys:
        enter_again(key)
    return len(keys)


@dataclass(frozen=True)
class Refreshed:
    models_count: int
    problems: tuple[str, ...] = ()


def refresh(provider: Provider, organization: Organization | None) -> Refreshed:
    """Ask again which models it has, with each key in use of the organization's (None: the platform's), or with none.
    Commits."""
    keys = _keys_of(provider, organization)
    problems = []
    for key in keys:
        try:
            test_key(key)
        except Failure as failure:
            problems.append(f"“{key.label}”: {failure.message}")
    if not keys:
        try:
            listed = list_models(provider.kind, provider.base_url, "", is_trusted=provider.is_trusted)
            _kept(provider, Checked(listed, is_proven=False), organization)
        except Failure as failure:
            problems.append(failure.message)
    if _bills_nobody(provider):
        assumed.assume_free(db.session.scalars(select(Model).where(Model.provider_id == provider.id)).all())
    audit.record("provider.refreshed", provider, organization.id if organization else None)
    db.session.commit()
    count = select(func.count()).where(Model.provider_id == provider.id, Model.archived_at.is_(None))
    return Refreshed(db.session.scalar(count) or 0, tuple(problems))


def _kept(provider: Provider, checked: Checked, organization: Organization | None) -> list[str]:
    """The names of what it listed, now kept."""
    if checked.listed is None:
        return []
    one_at_a_time(provider.id)
    models = keep(provider, checked.listed, organization.id if organization else None)
    if _bills_nobody(provider):
        assumed.assume_free(models)
    return [model.name for model in models]


def _bills_nobody(provider: Provider) -> bool:
    """An organization's own, at a private address, that asks for no key: with one, it could know whom to bill."""
    try:
        return provider.organization_id is not None and not provider.needs_key and is_private(provider.base_url)
    except AddressRefused:
        return False  # its name leads nowhere at the moment


def _check_answers(provider: Provider, base_url: str, is_inside: bool) -> None:
    """Does the new address answer? Without a stored key: each is sealed for the old address."""
    try:
        check(_imagined(provider.kind, base_url, is_inside, provider.check_path), "")
    except Failure as failure:
        if failure.kind is not Kind.CREDENTIAL:  # asking for a key is an answer
            raise


def _imagined(kind: str, base_url: str, is_trusted: bool, check_path: str) -> Provider:
    """A provider to ask before there is one."""
    return Provider(kind=kind, base_url=base_url, is_trusted=is_trusted, check_path=check_path)


def _keys_of(provider: Provider, organization: Organization | None) -> Sequence[APIKey]:
    owner = organization.id if organization else None
    mine = (APIKey.provider_id == provider.id, APIKey.organization_id == owner, APIKey.is_enabled)
    return db.session.scalars(select(APIKey).where(*mine).order_by(APIKey.is_default.desc(), APIKey.id)).all()


def _slug(organization: Organization, name: str) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "server"
    # Nor one of those that everyone has: `provider/model` must mean one thing.
    ours = or_(Provider.organization_id == organization.id, Provider.organization_id.is_(None))
    taken = set(db.session.scalars(select(Provider.slug).where(ours)))
    return next(slug for slug in (base, *(f"{base}-{n}" for n in range(2, 1000))) if slug not in taken)
