"""Rules of a document into the hub: an organization's, or the platform's."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from sqlalchemy import or_, select

from ...extensions import db
from ...models import Model, Organization, Project, Provider, RoutingRule
from ...models.base import NIL
from ..rules import drafts
from .document import RuleEntry
from .report import NotTaken, Report, What


class RuleEntries:
    """Takes rules one by one, without committing. Without an organization they are the platform's."""

    def __init__(self, organization: Organization | None, user_id: uuid.UUID | None):
        self.organization, self.user_id = organization, user_id
        self._here = organization.id if organization else NIL

    def take(self, entries: Iterable[RuleEntry], report: Report) -> None:
        """A rule is taken without those of its models that are not here, which are told."""
        for entry in report.each(entries, lambda entry: f"Rule “{entry.name}”", self._rule):
            for ref, why in self._sorted(entry)[1]:
                report.left(f"{ref} in Rule “{entry.name}”", why)

    def whole_draft(self, entry: RuleEntry) -> drafts.Draft:
        """Raises NotTaken where one of its models is not here."""
        models, missing = self._sorted(entry)
        if missing:
            raise NotTaken(missing[0][1])
        return self._draft(entry, models)

    def provider(self, slug: str) -> Provider:
        """The organization's own goes before everyone's of the same name. Raises NotTaken."""
        mine = or_(Provider.organization_id == self._here, Provider.organization_id.is_(None))
        query = select(Provider).where(Provider.slug == slug, mine, Provider.archived_at.is_(None))
        found = db.session.scalars(query.order_by(Provider.organization_id.is_(None))).first()
        if found is None or found.needs_address:
            raise NotTaken(f"there is no provider “{slug}” here; connect it first")
        return found

    def find(self, provider: Provider, name: str) -> Model | None:
        mine = or_(Model.organization_id == self._here, Model.organization_id.is_(None))
        its = (Model.provider_id == provider.id, Model.name == name, Model.archived_at.is_(None))
        return db.session.scalars(select(Model).where(*its, mine).order_by(Model.organization_id.is_(None))).first()

    def model(self, ref: str) -> Model:
        """Raises NotTaken."""
        slug, _, name = ref.partition("/")
        found = self.find(self.provider(slug), name)
        if found is None:
            raise NotTaken(f"there is no model “{name}” of {slug} here; add a key and list its models, or add it")
        return found

    def _rule(self, entry: RuleEntry) -> What:
        models, missing = self._sorted(entry)
        if not models and missing:
            raise NotTaken(missing[0][1])
        draft = self._draft(entry, models)
        row = self._same(draft)
        if row and drafts.Draft.of(row) == draft:
            return "kept"
        drafts.put(draft, self.organization, self.user_id, row)
        return "changed" if row else "made"

    def _draft(self, entry: RuleEntry, models: list[drafts.Entry]) -> drafts.Draft:
        project = self._project(entry.project) if entry.project else None
        return drafts.Draft(
            name=entry.name,
            models=tuple(models),
            conditions=entry.conditions,
            model_type=entry.type,
            strategy=entry.strategy,
            priority=entry.priority,
            project_id=project.id if project else None,
            is_enabled=entry.enabled,
            goes_on_unheard=entry.goes_on_unheard,
        )

    def _sorted(self, entry: RuleEntry) -> tuple[list[drafts.Entry], list[tuple[str, str]]]:
        """(its models that are here, those that are not, and why)"""
        here, missing = [], []
        for one in entry.models:
            try:
                here.append(drafts.Entry(self.model(one.model).id, one.weight, tuple(one.tags)))
            except NotTaken as why:
                missing.append((one.model, str(why)))
        return here, missing

    def _same(self, draft: drafts.Draft) -> RoutingRule | None:
        """The rule of this name that is here already."""
        scope = drafts.in_scope(self.organization, draft.project_id)
        return db.session.scalars(select(RoutingRule).where(*scope, RoutingRule.name == draft.name)).first()

    def _project(self, name: str) -> Project:
        query = select(Project).where(Project.organization_id == self._here, Project.name == name)
        found = db.session.scalars(query).first()
        if found is None:
            raise NotTaken(f"there is no project “{name}” here")
        return found
