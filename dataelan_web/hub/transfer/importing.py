"""A document into the hub: all in one transaction, with a word on every entry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from ... import access, audit
from ...extensions import db
from ...models import NANO, Model, Organization, Price, Provider, UnknownPrice, User, new_id, now
from ...router.providers import KINDS
from ..models import assumed, catalogue, corrections, prices
from ..models.own import from_archive
from ..providers.listing import make
from ..providers.servers import check_address
from ..providers.wire_formats import wire_format
from .document import CorrectionEntry, Document, ModelEntry, PriceEntry, ProviderEntry, Settings, Usd, VariantEntry
from .report import NotTaken, Report, What
from .rule_entries import RuleEntries

LONG_AGO = datetime.min.replace(tzinfo=UTC)


def bring_in(document: Document, organization: Organization, user: User, *, only_try: bool = False) -> Report:
    """Make what is not there, change what is, touch nothing else. Commits, or with `only_try` saves nothing.

    An entry that cannot be taken is left out and told; the others are taken.
    """
    rules = RuleEntries(organization, user.id)
    visit, report = _Visit(organization, user, rules), Report()
    try:
        report.each([document.settings] if document.settings else [], lambda entry: "Settings", visit.settings)
        report.each(document.providers, lambda entry: f"Provider {entry.name} ({entry.address})", visit.provider)
        report.each(document.models, lambda entry: f"Model {entry.provider}/{entry.name}", visit.model)
        report.each(document.corrections, lambda entry: f"What {entry.model} can do", visit.correction)
        report.each(_those_that_count(document.prices, report), _price_words, visit.price)
        rules.take(document.rules, report)
        for key in document.keys:
            report.left(f"Key “{key.label}” of {key.provider}", "keys are never in a file: enter it anew")
        if only_try:
            db.session.rollback()
        else:
            audit.record("hub.imported", organization, organization.id, entries=len(report.lines))
            db.session.commit()
    except BaseException:
        db.session.rollback()
        raise
    return report


class _Visit:
    """One import. Its methods take one entry each, without committing."""

    def __init__(self, organization: Organization, user: User, refs: RuleEntries):
        self.organization, self.user, self.refs = organization, user, refs

    def settings(self, entry: Settings) -> What:
        ceiling = _nano(entry.unknown_price_ceiling_usd)
        if entry.unknown_price is UnknownPrice.CEILING and not ceiling:
            raise NotTaken("unknown_price is ceiling, and there is no unknown_price_ceiling_usd")
        wanted = (entry.key_strategy, entry.unknown_price, ceiling)
        here = self.organization
        if (here.key_strategy, here.unknown_price, here.unknown_price_ceiling) == wanted:
            return "kept"
        here.key_strategy, here.unknown_price, here.unknown_price_ceiling = wanted
        db.session.flush()
        return "changed"

    def provider(self, entry: ProviderEntry) -> What:
        if entry.kind not in KINDS:
            raise NotTaken(f"there is no wire format “{entry.kind}”; known: {', '.join(sorted(KINDS))}")
        address = entry.address.rstrip("/")
        own = select(Provider).where(Provider.organization_id == self.organization.id, Provider.slug == entry.slug)
        row = db.session.scalars(own).first()
        if row is None:
            is_inside = check_address(address, may_be_private=access.is_superuser(self.user))
            row = Provider(id=new_id(), organization_id=self.organization.id, slug=entry.slug, base_url=address)
            row.is_trusted = is_inside and access.is_superuser(self.user)
            what: What = "made"
            db.session.add(row)
        elif (row.base_url, row.kind) != (address, entry.kind):
            raise NotTaken("it is here with another address or format; change that on its page, keys and all")
        else:
            is_same = (row.name, row.needs_key, row.catalogue) == (entry.name, entry.needs_key, entry.catalogue)
            what = "kept" if is_same and row.archived_at is None else "changed"
        row.archived_at = None
        row.name, row.kind, row.needs_key, row.catalogue = entry.name, entry.kind, entry.needs_key, entry.catalogue
        row.model_types = wire_format(entry.kind).model_types
        db.session.flush()
        if row.needs_key:
            assumed.end(row)
        if what != "kept":
            audit.record("provider.imported", row, self.organization.id, base_url=address)
        return what

    def model(self, entry: ModelEntry) -> What:
        """One that is here already, whosever, stays as it is."""
        provider = self.refs.provider(entry.provider)
        if self.refs.find(provider, entry.name) is not None:
            return "kept"
        known = catalogue.look_up(provider.catalogue, entry.name)
        use = (entry.type, entry.task)
        row = from_archive(provider, self.organization, entry.name) or make(
            provider, entry.name, use, known, self.organization.id, entry.display_name
        )
        if row.organization_id is not None:  # what is everyone's is described by the catalogue
            row.capabilities, row.refuses = entry.capabilities, entry.refuses
            row.context_window = entry.context_window or row.context_window
            row.max_output_tokens = entry.max_output_tokens
        db.session.flush()
        prices.refresh([row])
        audit.record("model.imported", row, self.organization.id, provider=provider.slug)
        return "made"

    def correction(self, entry: CorrectionEntry) -> What:
        model = self.refs.model(entry.model)
        if model.organization_id is not None:
            raise NotTaken("it is a model of your own here: its own entry says what it can do")
        is_there = corrections.of(model, self.organization) is not None
        facts = entry.model_dump(include={*corrections.FACTS})
        if not corrections.put(model, self.organization, self.user.id, facts):
            return "kept"
        db.session.flush()
        return "changed" if is_there else "made"

    def price(self, entry: PriceEntry) -> What:
        model = self.refs.model(entry.model)
        values = {name: _nano(getattr(entry, name)) for name in prices.BY_NAME}
        variants = [_variant(one) for one in entry.variants]
        starts_at = entry.starts_at if _is_to_come(entry) else None
        there = prices.coming(model, self.organization, starts_at) if starts_at else self._own_price(model)
        if there and ({name: getattr(there, name) for name in values}, there.variants) == (values, variants):
            return "kept"
        prices.put_price(model, self.organization, self.user.id, values, starts_at, variants)
        db.session.flush()
        return "changed" if there else "made"

    def _own_price(self, model: Model) -> Price | None:
        """The organization's, in force."""
        found = prices.current(model, self.organization)
        return found if found and found.organization_id else None


def _those_that_count(entries: Sequence[PriceEntry], report: Report) -> list[PriceEntry]:
    """The first that begins first. Of those of a model whose time has come, as of a file that was kept for long, the
    latest: the others are told as left out, and would else take each other's place at every import."""
    ordered = sorted(entries, key=lambda entry: entry.starts_at or LONG_AGO)
    latest = {entry.model: entry for entry in ordered if not _is_to_come(entry)}
    counting = [entry for entry in ordered if _is_to_come(entry) or latest[entry.model] is entry]
    for entry in ordered:
        if entry not in counting:
            report.left(_price_words(entry), "another of this file has taken its place since")
    return counting


def _is_to_come(entry: PriceEntry) -> bool:
    return entry.starts_at is not None and entry.starts_at > now()


def _price_words(entry: PriceEntry) -> str:
    return f"Price of {entry.model}" + (f" from {entry.starts_at:%-d %B %Y} on" if entry.starts_at else "")


def _variant(entry: VariantEntry) -> dict[str, Any]:
    amounts = {"per_image": _nano(entry.per_image), "per_second": _nano(entry.per_second)}
    known = {name: nano for name, nano in amounts.items() if nano is not None}
    return {"when": [word.lower() for word in entry.when]} | known


def _nano(usd: Usd | None) -> int | None:
    return None if usd is None else int(usd * NANO)
