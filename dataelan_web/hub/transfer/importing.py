"""A document into the hub: all in one transaction, with a word on every entry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError

from ... import audit
from ...extensions import db
from ...models import NANO, Model, Organization, Project, Provider, RoutingRule, UnknownPrice, User, new_id
from ...router.providers import KINDS
from ..models import catalogue, prices
from ..models.own import from_archive
from ..providers.listing import make
from ..providers.servers import AddressRefused, check_address
from ..providers.wire_formats import wire_format
from ..rules import drafts
from .document import Document, ModelEntry, PriceEntry, ProviderEntry, RuleEntry, Settings, Usd

What = Literal["made", "changed", "kept", "left"]
Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Line:
    """What became of one entry."""

    what: What
    subject: str
    why: str = ""


@dataclass
class Report:
    lines: list[Line] = field(default_factory=list)

    def of(self, what: What) -> list[Line]:
        return [line for line in self.lines if line.what == what]


class _NotTaken(Exception):
    """An entry cannot be taken; the message says why."""


def bring_in(document: Document, organization: Organization, user: User, *, only_try: bool = False) -> Report:
    """Make what is not there, change what is, touch nothing else. Commits, or with `only_try` saves nothing.

    An entry that cannot be taken is left out and told; the others are taken.
    """
    visit = _Visit(organization, user)
    report = Report()

    def each(entries: Iterable[Entry], name: Callable[[Entry], str], take: Callable[[Entry], What]) -> None:
        for entry in entries:
            try:
                with db.session.begin_nested():
                    what, why = take(entry), ""
            except (_NotTaken, AddressRefused, drafts.Refused) as refusal:
                what, why = "left", str(refusal)
                visit.missing.clear()
            except IntegrityError:
                what, why = "left", "it was changed by somebody else just now; import it again"
            report.lines.append(Line(what, name(entry), why))
            report.lines += [Line("left", f"{ref} in {name(entry)}", why) for ref, why in visit.missing]
            visit.missing.clear()

    try:
        each([document.settings] if document.settings else [], lambda entry: "Settings", visit.settings)
        each(document.providers, lambda entry: f"Provider {entry.name} ({entry.address})", visit.provider)
        each(document.models, lambda entry: f"Model {entry.provider}/{entry.name}", visit.model)
        each(document.prices, lambda entry: f"Price of {entry.model}", visit.price)
        each(document.rules, lambda entry: f"Rule “{entry.name}”", visit.rule)
        why = "keys are never in a file: enter it anew"
        report.lines += [Line("left", f"Key “{key.label}” of {key.provider}", why) for key in document.keys]
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

    def __init__(self, organization: Organization, user: User):
        self.organization, self.user = organization, user
        self.missing: list[tuple[str, str]] = []
        """Models of the last rule that are not here, and why; the rule was taken without them."""

    def settings(self, entry: Settings) -> What:
        ceiling = _nano(entry.unknown_price_ceiling_usd)
        if entry.unknown_price is UnknownPrice.CEILING and not ceiling:
            raise _NotTaken("unknown_price is ceiling, and there is no unknown_price_ceiling_usd")
        wanted = (entry.key_strategy, entry.unknown_price, ceiling)
        here = self.organization
        if (here.key_strategy, here.unknown_price, here.unknown_price_ceiling) == wanted:
            return "kept"
        here.key_strategy, here.unknown_price, here.unknown_price_ceiling = wanted
        db.session.flush()
        return "changed"

    def provider(self, entry: ProviderEntry) -> What:
        if entry.kind not in KINDS:
            raise _NotTaken(f"there is no wire format “{entry.kind}”; known: {', '.join(sorted(KINDS))}")
        address = entry.address.rstrip("/")
        own = select(Provider).where(Provider.organization_id == self.organization.id, Provider.slug == entry.slug)
        row = db.session.scalars(own).first()
        if row is None:
            is_inside = check_address(address, may_be_private=self.user.is_superuser)
            row = Provider(id=new_id(), organization_id=self.organization.id, slug=entry.slug, base_url=address)
            row.is_trusted = is_inside and self.user.is_superuser
            what: What = "made"
            db.session.add(row)
        elif (row.base_url, row.kind) != (address, entry.kind):
            raise _NotTaken("it is here with another address or format; change that on its page, keys and all")
        else:
            is_same = (row.name, row.needs_key, row.catalogue) == (entry.name, entry.needs_key, entry.catalogue)
            what = "kept" if is_same and row.archived_at is None else "changed"
        row.archived_at = None
        row.name, row.kind, row.needs_key, row.catalogue = entry.name, entry.kind, entry.needs_key, entry.catalogue
        row.model_types = wire_format(entry.kind).model_types
        db.session.flush()
        if what != "kept":
            audit.record("provider.imported", row, self.organization.id, base_url=address)
        return what

    def model(self, entry: ModelEntry) -> What:
        """One that is here already, whosever, stays as it is."""
        provider = self._provider(entry.provider)
        if self._find(provider, entry.name) is not None:
            return "kept"
        known = catalogue.look_up(provider.catalogue, entry.name)
        use = (entry.type, entry.task)
        row = from_archive(provider, self.organization, entry.name) or make(
            provider, entry.name, use, known, self.organization.id, entry.display_name
        )
        if row.organization_id is not None:  # what is everyone's is described by the catalogue
            row.capabilities = entry.capabilities
            row.context_window = entry.context_window or row.context_window
            row.max_output_tokens = entry.max_output_tokens
        db.session.flush()
        prices.refresh([row])
        audit.record("model.imported", row, self.organization.id, provider=provider.slug)
        return "made"

    def price(self, entry: PriceEntry) -> What:
        model = self._model(entry.model)
        values = {name: _nano(getattr(entry, name)) for name in prices.BY_NAME}
        now = prices.current(model, self.organization)
        if now and now.organization_id and {name: getattr(now, name) for name in values} == values:
            return "kept"
        prices.put_price(model, self.organization, self.user.id, values)
        db.session.flush()
        return "changed" if now and now.organization_id else "made"

    def rule(self, entry: RuleEntry) -> What:
        project = self._project(entry.project) if entry.project else None
        draft = drafts.Draft(
            name=entry.name,
            models=tuple(self._entries(entry)),
            conditions=entry.conditions,
            model_type=entry.type,
            strategy=entry.strategy,
            priority=entry.priority,
            project_id=project.id if project else None,
            is_enabled=entry.enabled,
        )
        row = db.session.scalars(
            select(RoutingRule).where(
                RoutingRule.organization_id == self.organization.id,
                RoutingRule.project_id.is_not_distinct_from(draft.project_id),
                RoutingRule.name == entry.name,
            )
        ).first()
        if row and drafts.Draft.of(row) == draft:
            return "kept"
        drafts.put(draft, self.organization, self.user.id, row)
        return "changed" if row else "made"

    def _entries(self, entry: RuleEntry) -> Iterator[drafts.Entry]:
        found = False
        for one in entry.models:
            try:
                model = self._model(one.model)
            except _NotTaken as why:
                self.missing.append((one.model, str(why)))
                continue
            found = True
            yield drafts.Entry(model.id, one.weight, tuple(one.tags))
        if not found and self.missing:
            raise _NotTaken(self.missing[0][1])

    # -- what entries refer to -----------------------------------------------------------------------

    def _provider(self, slug: str) -> Provider:
        """The organization's own goes before everyone's of the same name."""
        mine = or_(Provider.organization_id == self.organization.id, Provider.organization_id.is_(None))
        query = select(Provider).where(Provider.slug == slug, mine, Provider.archived_at.is_(None))
        query = query.order_by(Provider.organization_id.is_(None))
        found = db.session.scalars(query).first()
        if found is None or found.needs_address:
            raise _NotTaken(f"there is no provider “{slug}” here; connect it first")
        return found

    def _find(self, provider: Provider, name: str) -> Model | None:
        mine = or_(Model.organization_id == self.organization.id, Model.organization_id.is_(None))
        its = (Model.provider_id == provider.id, Model.name == name, Model.archived_at.is_(None))
        query = select(Model).where(*its, mine)
        return db.session.scalars(query.order_by(Model.organization_id.is_(None))).first()

    def _model(self, ref: str) -> Model:
        slug, _, name = ref.partition("/")
        found = self._find(self._provider(slug), name)
        if found is None:
            raise _NotTaken(f"there is no model “{name}” of {slug} here; add a key and list its models, or add it")
        return found

    def _project(self, name: str) -> Project:
        query = select(Project).where(Project.organization_id == self.organization.id, Project.name == name)
        found = db.session.scalars(query).first()
        if found is None:
            raise _NotTaken(f"there is no project “{name}” here")
        return found


def _nano(usd: Usd | None) -> int | None:
    return None if usd is None else int(usd * NANO)
