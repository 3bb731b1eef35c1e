"""What the router may choose from, read from the database: rules, models, prices and keys of one project."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from flask import current_app
from sqlalchemy import ColumnElement, and_, bindparam, case, func, or_, select, true
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import selectinload

from ..models import (
    Attempt,
    Correction,
    KeyStrategy,
    Model,
    ModelType,
    Organization,
    Price,
    Project,
    Provider,
    RoutingRule,
    RoutingRuleModel,
)
from ..models.base import NIL, DbSession
from ..router import names
from ..router.candidates import PLATFORM, Candidate, Catalogued, Choice, Key, Priced
from ..router.conditions import MinWinRate
from ..router.plan import Step, compatible
from ..router.prompt import Task
from ..router.rules import Rule
from ..router.types import Failure, Kind
from . import votes
from .rates import FINER, rates_of
from .usable_keys import NO_KEYS, Keyring, Policy, keyrings

AUTO = "auto"
MODEL = (
    Model.id.label("model_id"),
    Model.name.label("model"),
    Model.model_type,
    Model.task,
    Model.capabilities,
    Model.refuses,
    Model.context_window,
    Model.max_output_tokens,
    Model.organization_id.label("owner"),
    Model.is_enabled,
    Model.archived_at.is_not(None).label("is_archived"),
    Model.listed_at,
)
CORRECTED = (
    Correction.id.label("correction_id"),
    Correction.capabilities.label("said_capabilities"),
    Correction.context_window.label("said_window"),
    Correction.max_output_tokens.label("said_output"),
)
PROVIDER = (
    Provider.id.label("provider_id"),
    Provider.name.label("provider"),
    Provider.organization_id.label("provider_owner"),
    Provider.kind,
    Provider.base_url,
    Provider.needs_key,
    Provider.is_simulated,
    Provider.is_trusted,
    Provider.is_enabled.label("provider_is_enabled"),
    Provider.archived_at.is_not(None).label("provider_is_archived"),
    Provider.needs_address,
    Provider.models_listed_at,
)
PRICE = (
    Price.id.label("price_id"),
    Price.organization_id.label("price_owner"),
    Price.input,
    Price.output,
    Price.cache_read,
    Price.cache_write,
    Price.per_request,
    Price.tiers,
    Price.variants,
    *(getattr(Price, name) for name in FINER),
)
BUILT_IN = "built-in: the cheapest you can use"


def _ours(owner: Any) -> ColumnElement[bool]:
    return or_(owner == bindparam("here"), owner.is_(None))


_NOW = func.statement_timestamp()  # not the transaction's: it may have set a price itself
IN_FORCE = and_(Price.effective_at <= _NOW, or_(Price.ends_at.is_(None), Price.ends_at > _NOW))
OWN_FIRST = (Price.organization_id.is_(None), Price.effective_at.desc(), Price.id.desc())
_NEWEST = (
    select(Price.id)
    .where(Price.model_id == Model.id, _ours(Price.organization_id), IN_FORCE)
    .order_by(*OWN_FIRST)
    .limit(1)
    .correlate(Model)
    .scalar_subquery()
)
# Built once, and of columns rather than objects: every prompt comes through here.
_MODELS = (
    select(*MODEL, *CORRECTED, *PROVIDER, *PRICE)
    .join(Model.provider)
    .outerjoin(Correction, and_(Correction.model_id == Model.id, Correction.organization_id == bindparam("here")))
    .outerjoin(Price, Price.id == _NEWEST)
    .where(_ours(Provider.organization_id), _ours(Model.organization_id))
    .order_by(Provider.name, Model.name)
)
_EVERYONES = (
    select(Price.model_id, *PRICE)
    .where(Price.model_id.in_(bindparam("models", expanding=True)), Price.organization_id.is_(None), IN_FORCE)
    .order_by(Price.model_id, *OWN_FIRST)
    .ext(distinct_on(Price.model_id))
)
_IS_THERE = and_(Model.archived_at.is_(None), Provider.archived_at.is_(None))
_IN_USE = and_(_IS_THERE, Model.is_enabled, Provider.is_enabled, ~Provider.needs_address)


_SCOPE = case((RoutingRule.project_id.is_not(None), 0), (RoutingRule.organization_id.is_not(None), 1), else_=2)
_RULES = (
    select(RoutingRule)
    .where(
        RoutingRule.is_enabled,
        RoutingRule.deleted_at.is_(None),
        _ours(RoutingRule.organization_id),
        or_(RoutingRule.project_id == bindparam("project"), RoutingRule.project_id.is_(None)),
    )
    .options(selectinload(RoutingRule.models))
    .order_by(_SCOPE, RoutingRule.priority, RoutingRule.id)
)
_RULES_CALLED = _RULES.where(RoutingRule.name == bindparam("called"))
_RULES_OF = _RULES.where(RoutingRule.model_type.in_(bindparam("types", expanding=True)))


def rules_for(session: DbSession, project: Project, requested: str, model_type: ModelType) -> list[Rule]:
    """The rules to try, in order, apart from the built-in one. A rule's name leaves only that rule; a model's name
    makes a rule of its own. A rule goes before a model of the same name, which `provider/model` still reaches: so a
    program that asks for a model can be given several, without a change in it."""
    hub = _Hub(session, project.organization, project)
    if requested == AUTO:
        return hub.rules(_RULES_OF, types=compatible(model_type.value))
    if rules := hub.rules(_RULES_CALLED, called=requested):
        return rules
    chosen = tuple(Choice(candidate) for candidate in hub.named(requested))
    return [Rule("the model you chose", chosen, strategy="ordered")] if chosen else []


def last_rule(session: DbSession, project: Project, model_type: ModelType, task: Task) -> Rule:
    """The built-in rule, over everything this project can use: for what asks for `auto`, when no other decides."""
    return built_in(_Hub(session, project.organization, project).all(), model_type, task)


def slugs_of(session: DbSession, candidates: Iterable[Candidate]) -> dict[uuid.UUID, str]:
    """Of their providers, by id: what `provider/model` begins with."""
    ids = {one.provider_id for one in candidates}
    return dict(session.execute(select(Provider.id, Provider.slug).where(Provider.id.in_(ids))).all())


def usable_models(session: DbSession, project: Project) -> list[Candidate]:
    """Every model this project could call now, for a picker or `GET /v1/models`."""
    return [candidate for candidate in _Hub(session, project.organization, project).all() if candidate.keys]


def models_named(session: DbSession, project: Project, requested: str) -> list[Candidate]:
    """The models that a name stands for here; none where it is a rule's, or `auto`."""
    hub = _Hub(session, project.organization, project)
    if requested == AUTO or hub.rules(_RULES_CALLED, called=requested):
        return []
    return [candidate for candidate in hub.named(requested) if not candidate.why_not]


def candidates_of(
    session: DbSession,
    organization: Organization | None,
    models: Collection[uuid.UUID] | None = None,
    *,
    project: Project | None = None,
) -> dict[uuid.UUID, Candidate]:
    """These models (None: all) by id, as the router sees them here; what is switched off or gone is not among them.
    Without an organization: everyone's, with the platform's keys."""
    which = true() if models is None else Model.id.in_(models)
    hub = _Hub(session, organization, project)
    return {candidate.model_id: candidate for candidate in hub.with_votes(hub.which(which))}


def rule_of(row: RoutingRule, candidates: Mapping[uuid.UUID, Candidate]) -> Rule:
    """A rule as the router sees it, of those of its models that are among the candidates (which, when a prompt is
    planned, what is switched off is too)."""
    choices: Iterable[RoutingRuleModel] = row.models
    return Rule(
        row.name,
        tuple(
            Choice(candidates[entry.model_id], entry.weight, frozenset(entry.tags))
            for entry in choices
            if entry.model_id in candidates
        ),
        id=row.id,
        model_type=row.model_type.value,
        priority=row.priority,
        strategy=row.strategy.value,
        conditions=row.conditions,
        goes_on_unheard=row.goes_on_unheard,
    )


def built_in(candidates: Iterable[Candidate], model_type: ModelType, task: Task) -> Rule:
    """When no rule applies: own keys and servers by price; the simulated provider only where nothing else is, and what
    its provider no longer lists only where that lists nothing else: nobody named it."""
    types = compatible(model_type.value)
    usable = [c for c in candidates if c.keys and c.model_type in types and c.task is task]
    usable = [candidate for candidate in usable if not candidate.is_gone] or usable
    real = [candidate for candidate in usable if not candidate.is_simulated]
    chosen = real or [candidate for candidate in usable if candidate.is_simulated][:1]
    return Rule(BUILT_IN, tuple(Choice(c) for c in chosen), model_type=model_type.value, strategy="cheapest")


def step_of(session: DbSession, project: Project, attempt: Attempt) -> Step:
    """The model, price and key of an attempt that was already made. Raises Failure when the model is gone."""
    found = _Hub(session, project.organization, project).of_id(attempt.model_id) if attempt.model_id else None
    if found is None:
        raise Failure(Kind.BAD_REQUEST, f"{attempt.model_name} was deleted or switched off while it worked.")
    found = replace(found, rates=rates_of(attempt.price) if attempt.price else None, price_id=attempt.price_id)
    label = next((key.label for key in found.keys if key.id == attempt.api_key_id), "the key it began with")
    return Step(found, Key(attempt.api_key_id, label, attempt.payer))


class _Hub:
    """An organization's view of the Model Hub, or one project's of it, or what the platform gives to everyone."""

    def __init__(self, session: DbSession, organization: Organization | None, project: Project | None = None):
        self.session = session
        self.here = organization.id if organization else NIL
        strategy = KeyStrategy(organization.key_strategy) if organization else KeyStrategy.DATAELAN
        self.allowed = [uuid.UUID(id) for id in organization.allowed_providers] if organization else []
        self.project_id = project.id if project else None
        self.policy = Policy(strategy, project is None or project.allows_platform_keys)

    def named(self, requested: str) -> list[Candidate]:
        """`model`, at every provider that offers it, or `provider/model`. A name may hold slashes, as a reseller's does
        that calls another's model `provider/model`: whoever named the provider gets it there, if it can be used. What
        is switched off comes last, with the reason."""
        provider, _, name = requested.partition("/")
        called = or_(Model.name == requested, and_(Provider.slug == provider, Model.name == name))
        exact = self._read(and_(_IS_THERE, called))
        there = [candidate for candidate in exact if candidate.model == name and candidate.keys]
        return there or sorted(exact, key=lambda c: (bool(c.why_not), not c.keys, c.is_gone, c.is_simulated))

    def of_id(self, id: uuid.UUID) -> Candidate | None:
        return next(iter(self.which(Model.id == id)), None)

    def all(self) -> list[Candidate]:
        return self.which(true())

    def rules(self, query: Any, **which: Any) -> list[Rule]:
        """Project rules before the organization's before the platform's; lowest priority number first."""
        here = {"here": self.here, "project": self.project_id}
        rows = self.session.scalars(query, here | which).all()
        named = {entry.model_id for row in rows for entry in row.models}
        found = self._read(Model.id.in_(named)) if named else []
        if any(MinWinRate.name in row.conditions for row in rows):
            found = self.with_votes(found)
        candidates = {candidate.model_id: candidate for candidate in found}
        return [rule_of(row, candidates) for row in rows]

    def which(self, which: ColumnElement[bool]) -> list[Candidate]:
        """Of what is in use, and this organization allows."""
        if self.allowed:  # else all providers are
            which = and_(which, Provider.id.in_(self.allowed))
        return self._read(and_(_IN_USE, which))

    def _read(self, which: ColumnElement[bool]) -> list[Candidate]:
        rows = self.session.execute(_MODELS.where(which), {"here": self.here}).all()
        found = keyrings(self.session, self.here, {row.provider_id for row in rows}, self.policy)
        everyones = self._everyones([row.model_id for row in rows if row.price_owner])
        return [self._candidate(row, found.get(row.provider_id, NO_KEYS), everyones) for row in rows]

    def _everyones(self, models: Sequence[uuid.UUID]) -> dict[uuid.UUID, Priced]:
        """What the platform's keys pay for models that have a price of the organization's own."""
        rows = self.session.execute(_EVERYONES, {"models": models}) if models else ()
        return {row.model_id: Priced(rates_of(row), row.price_id) for row in rows}

    def with_votes(self, found: list[Candidate]) -> list[Candidate]:
        counted = votes.of_models(self.session, self.here, {candidate.model_id for candidate in found})
        return [replace(one, votes=counted[one.model_id]) if one.model_id in counted else one for one in found]

    def _candidate(self, row: Any, keyring: Keyring, everyones: Mapping[uuid.UUID, Priced]) -> Candidate:
        why_not = self._why_not(row)
        was_listed = row.listed_at is not None or row.owner is None  # what everyone has, nobody here typed in
        found = keyring.of_model(row.model, needs_key=row.needs_key, was_listed=was_listed)
        keys, unused = ((), ()) if why_not else found
        candidate = Candidate(
            model_id=row.model_id,
            model=row.model,
            provider_id=row.provider_id,
            provider=row.provider,
            kind=row.kind,
            base_url=row.base_url,
            keys=keys,
            rates=rates_of(row) if row.price_id else None,
            price_id=row.price_id,
            has_own_price=row.price_owner is not None,
            everyones=everyones.get(row.model_id),
            model_type=row.model_type.value,
            task=Task(row.task),
            refuses=names.refused(row.model) if row.refuses is None else frozenset(row.refuses),
            **_facts(row),
            is_simulated=row.is_simulated,
            is_own=row.provider_owner is not None,
            is_trusted=row.is_trusted or current_app.extensions["dataelan_settings"].private_addresses,
            why_not=why_not,
            unused_keys=unused,
            is_gone=_is_gone(row, keyring),
        )
        is_platforms = bool(keys) and all(key.payer == PLATFORM for key in keys)
        return candidate.paid_by(keys[0]) if is_platforms else candidate

    def _why_not(self, row: Any) -> str:
        """Why nobody here may call it, whatever the keys; empty: they may."""
        if row.is_archived or row.provider_is_archived:
            return "it was deleted" if row.is_archived else f"its provider {row.provider} was deleted"
        if not row.is_enabled:
            return f"it is switched off {_by(row.owner)}"
        if not row.provider_is_enabled:
            return f"its provider {row.provider} is switched off {_by(row.provider_owner)}"
        if row.needs_address:
            return f"{row.provider} has no address here: connect it first"
        if self.allowed and row.provider_id not in self.allowed:
            return f"the organization does not allow {row.provider}"
        return ""


def _facts(row: Any) -> dict[str, Any]:
    """What it can do and holds: as the organization says, or else the catalogue."""
    catalogue = Catalogued(frozenset(row.capabilities or ()) or None, row.context_window, row.max_output_tokens)
    able = catalogue.capabilities if row.said_capabilities is None else frozenset(row.said_capabilities) or None
    return {
        "capabilities": able,
        "context_window": row.said_window or catalogue.context_window,
        "max_output_tokens": row.said_output or catalogue.max_output_tokens,
        "catalogues": catalogue if row.correction_id else None,
    }


def _by(owner: uuid.UUID | None) -> str:
    return "in the Model Hub" if owner else "by whoever runs Dataelan"


def _is_gone(row: Any, keyring: Keyring) -> bool:
    """Did its provider leave it out when it was last asked for its models? Of what everyone has, that says little:
    others may have asked with a key that sees less. There the list of each key decides (usable_keys.Held)."""
    if row.listed_at is None or row.models_listed_at is None or row.listed_at >= row.models_listed_at:
        return False
    is_one_list = row.provider_owner is not None or not row.needs_key
    return is_one_list and not keyring.is_listed(row.model)
