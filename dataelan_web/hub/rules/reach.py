"""Which of the runs that were made a draft could touch, and why it cannot touch the others.

A rule is reached in two ways: a prompt that asks for `auto` and is of its type tries it in its turn; and one that asks
for its name tries it alone, whatever its type, and whether or not a model has that name too. So a draft can touch the
runs of both, under the name that it would have and the one that it has now, within both of its scopes.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Subquery, and_, func, or_, select, true

from ...executions.candidates import AUTO
from ...extensions import db
from ...models import Execution, ModelType, Organization, Origin, RoutingRule
from ...models.executions import OPEN
from ...router.plan import compatible
from .drafts import Draft

SCANNED = 20_000
"""The latest runs of the organization, or of everybody, among which those that fit are looked for."""


@dataclass(frozen=True)
class Filter:
    """Only some of the runs that the draft could touch."""

    asked: str = ""
    """auto, name, or empty: both."""
    origin: str = ""
    """playground, gateway, batch; or empty: from everywhere."""


EVERY = Filter()
ASKED = (("", "However asked"), (AUTO, "That asked for auto"), ("name", "That asked for its name"))
ORIGINS = (
    ("", "From everywhere"),
    (Origin.PLAYGROUND.value, "The playground"),
    (Origin.GATEWAY.value, "Programs"),
    (Origin.BATCH.value, "Batches"),
)


@dataclass(frozen=True)
class Reach:
    """Of the latest runs that are over: how many the draft could touch, and what is with the others."""

    scanned: int = 0
    since: datetime | None = None
    auto: int = 0
    named: int = 0
    fitting: int = 0
    """Of these two, what the filter leaves."""
    other_names: int = 0
    """They asked for a model, or another rule, by its name."""
    other_types: int = 0
    other_projects: int = 0
    is_whole: bool = True
    """False: there are older runs that nobody looked at."""

    @property
    def touched(self) -> int:
        return self.auto + self.named

    @property
    def untouched(self) -> int:
        return self.other_names + self.other_types + self.other_projects


@dataclass(frozen=True)
class Which:
    """The runs that a draft could touch."""

    organization: Organization | None
    """None: everybody's."""
    types: Sequence[ModelType]
    """Those of runs that ask for auto."""
    names: Sequence[str]
    projects: Sequence[uuid.UUID] | None
    """None: all of the organization's."""
    filter: Filter = EVERY

    @classmethod
    def of(
        cls, draft: Draft, row: RoutingRule | None, organization: Organization | None, which: Filter = Filter()
    ) -> Which:
        """`row`: the rule that the draft would replace; what it decides now is touched as well."""
        both = [draft, Draft.of(row)] if row else [draft]
        types = dict.fromkeys(ModelType(name) for one in both for name in compatible(one.model_type.value))
        names = dict.fromkeys(name for one in both if (name := one.name.strip()))
        projects = {one.project_id for one in both if one.project_id}
        everywhere = any(one.project_id is None for one in both)
        return cls(organization, [*types], [*names], None if everywhere else sorted(projects), which)

    @property
    def _is_here(self) -> ColumnElement[bool]:
        return true() if self.projects is None else Execution.project_id.in_(self.projects)

    @property
    def _asked_auto(self) -> ColumnElement[bool]:
        return and_(Execution.requested == AUTO, Execution.model_type.in_(self.types))

    @property
    def _asked_name(self) -> ColumnElement[bool]:
        return Execution.requested.in_(self.names)

    @property
    def condition(self) -> ColumnElement[bool]:
        """Touched, and left by the filter."""
        ways = {AUTO: [self._asked_auto], "name": [self._asked_name]}
        asked = ways.get(self.filter.asked, [self._asked_auto, self._asked_name])
        found = and_(self._is_here, or_(*asked))
        return and_(found, Execution.origin == Origin(self.filter.origin)) if self.filter.origin else found

    def latest(self) -> Subquery:
        query = select(Execution.id).limit(SCANNED)
        if self.organization is None:  # ids are in the order of time, and have an index over all organizations
            return query.order_by(Execution.id.desc()).subquery()
        here = Execution.organization_id == self.organization.id
        return query.where(here).order_by(Execution.created_at.desc()).subquery()

    def among(self, query: Any) -> Any:
        """Only runs that are over, of the latest; what was imported was never routed here."""
        latest = self.latest()
        over = Execution.state.not_in(OPEN), Execution.origin != Origin.IMPORT
        return query.join(latest, latest.c.id == Execution.id).where(*over)

    def reach(self) -> Reach:
        """One statement over the runs' rows; no prompt is read."""
        here, auto, named = self._is_here, self._asked_auto, self._asked_name
        is_auto = Execution.requested == AUTO
        counts = {
            "scanned": true(),
            "auto": and_(here, auto),
            "named": and_(here, named),
            "fitting": self.condition,
            "other_types": and_(here, is_auto, ~auto),
            "other_names": and_(here, ~is_auto, ~named),
            "other_projects": ~here,
        }
        columns: list[Any] = [func.count().filter(condition).label(name) for name, condition in counts.items()]
        query = select(func.min(Execution.created_at).label("since"), *columns).select_from(Execution)
        found = db.session.execute(self.among(query)).one()._asdict()
        scanned = db.session.scalar(select(func.count()).select_from(self.latest()))
        return Reach(**found, is_whole=(scanned or 0) < SCANNED)
