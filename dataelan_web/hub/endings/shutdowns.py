"""Models that end: what in this organization needs them, and what to use instead."""

from __future__ import annotations

from dataclasses import dataclass

from ... import audit
from ...extensions import db
from ...models import Model, RoutingRule, now
from ..models.browse import SOON, Line, lines
from .days import End
from .dependents import Use, uses_of
from .replacements import Replacement, is_alike, replacement_for


class CannotReplace(Exception):
    """The message says why."""


@dataclass(frozen=True)
class Shutdown:
    line: Line
    end: End
    use: Use
    replacement: Replacement | None

    @property
    def is_soon(self) -> bool:
        return self.end.days_left is not None and self.end.days_left <= SOON.days


def shutdowns() -> list[Shutdown]:
    """Every model in use here that ends or has ended, the soonest first; one whose day cannot be read comes last."""
    found = [(line, end) for line in lines(Model.shutdown_on.is_not(None)) if (end := line.ends)]
    uses = uses_of([line for line, _ in found])
    used = [(line, end, uses[line.id]) for line, end in found if uses[line.id]]
    others = lines(Model.provider_id.in_({line.provider_id for line, _, _ in used})) if used else []
    listed = [Shutdown(line, end, use, replacement_for(line, others)) for line, end, use in used]
    return sorted(listed, key=lambda one: (one.end.day is None, one.end.day or now().date(), one.line.name))


def soon() -> list[tuple[Line, End]]:
    """Those in use that have ended, or end within 60 days: for the notice on the hub's pages."""
    found = [(line, end) for line in lines(Model.shutdown_on.is_not(None)) if (end := line.ends)]
    near = [(line, end) for line, end in found if end.days_left is not None and end.days_left <= SOON.days]
    uses = uses_of([line for line, _ in near])
    return sorted(((line, end) for line, end in near if uses[line.id]), key=lambda pair: str(pair[1].day))


def replace_in_rule(rule: RoutingRule, old: Line, new: Line) -> None:
    """Another model in the same place of a rule, with the same weight and tags. Raises CannotReplace. Commits."""
    entries = {entry.model_id: entry for entry in rule.models}
    if old.id not in entries:
        raise CannotReplace(f"“{rule.name}” does not use {old.name} any more.")
    if new.id in entries:
        raise CannotReplace(f"“{rule.name}” uses {new.name} already. Take {old.name} out of the rule instead.")
    if not is_alike(old, new):
        raise CannotReplace(f"{new.name} does not do what {old.name} does.")
    entries[old.id].model_id = new.id
    rule.updated_at = now()
    audit.record("rule.model_replaced", rule, rule.organization_id, old=old.full_name, new=new.full_name)
    db.session.commit()
