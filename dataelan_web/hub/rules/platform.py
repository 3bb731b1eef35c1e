"""The platform's rules, which every organization's prompts try after its own, on the command line: superusers have the
pages of rules, under `/admin`. They are checked exactly as an organization's. What saves commits and is noted in the
audit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from ...executions.candidates import candidates_of, rule_of
from ...extensions import db
from ...models import Model, RoutingRule, RoutingRuleModel
from ...router.candidates import FALLBACK
from ..transfer.document import BadDocument, Document, of_values, read_value
from ..transfer.portable import rule_entry
from ..transfer.report import Report
from ..transfer.rule_entries import RuleEntries
from . import drafts


class NoSuchRule(LookupError):
    """There is no platform rule of this name; the message says which there are."""


@dataclass(frozen=True)
class Listed:
    row: RoutingRule
    said: str


def listed() -> list[Listed]:
    """In the order in which they are tried, those that are switched off among them."""
    rows = _rows()
    ids = {entry.model_id for row in rows for entry in row.models}
    candidates = candidates_of(db.session, None, ids) if ids else {}
    return [Listed(row, rule_of(row, candidates).words) for row in rows]


def document() -> Document:
    """All of them, as `bring_in` takes them."""
    return Document(rules=[rule_entry(row) for row in _rows()])


def bring_in(document: Document) -> Report:
    """New rules are made, those of the same name changed; what is not valid, or is no rule, is left out and told."""
    report = Report()
    RuleEntries(None, None).take(document.rules, report)
    for section in ("settings", "providers", "models", "prices", "keys"):
        if getattr(document, section):
            report.left(section.capitalize(), "only rules can be the platform's; these are an organization's")
    db.session.commit()
    return report


def add(values: Mapping[str, Any]) -> RoutingRule:
    """A new one of plain values, as in a document. Raises BadDocument, NotTaken or drafts.Refused."""
    (entry,) = of_values({"rules": [values]}).rules
    return drafts.save(RuleEntries(None, None).whole_draft(entry), None, None)


def values_of(
    models: Iterable[str], fallbacks: Iterable[str], conditions: Iterable[str]
) -> dict[str, list[dict[str, Any]] | dict[str, Any]]:
    """What was typed on a command line (provider/model=weight, condition=value), as a document has it. Raises
    BadDocument."""
    drawn = [{"model": ref, "weight": int(weight)} for ref, weight in map(_weighted, models)]
    kept = [{"model": ref, "tags": [FALLBACK]} for ref in fallbacks]
    return {"models": drawn + kept, "conditions": dict(map(_condition, conditions))}


def _weighted(typed: str) -> tuple[str, str]:
    ref, _, weight = typed.rpartition("=")
    return (ref, weight) if ref and weight.isdecimal() else (typed, "1")


def _condition(typed: str) -> tuple[str, Any]:
    name, equals, value = typed.partition("=")
    if not equals:
        raise BadDocument(f"“{typed}” is not a condition: write name=value.")
    return name.strip(), value.strip() if name.strip() == "expression" else read_value(value)


def remove(name: str) -> None:
    """Raises NoSuchRule."""
    rows = _rows()
    row = next((row for row in rows if row.name == name), None)
    if row is None:
        there = ", ".join(f"“{row.name}”" for row in rows) or "none"
        raise NoSuchRule(f"There is no platform rule “{name}”. There are: {there}.")
    drafts.delete(row)


def _rows() -> list[RoutingRule]:
    models = selectinload(RoutingRule.models).joinedload(RoutingRuleModel.model).joinedload(Model.provider)
    query = (
        select(RoutingRule)
        .where(*drafts.in_scope(None, None))
        .options(models)
        .order_by(RoutingRule.priority, RoutingRule.id)
    )
    return list(db.session.scalars(query))
