"""Which rule chose, and what: shares by rule and model, how often the first choice served, what rules saved.

The sums know no rules, so this is counted from the runs themselves, as many as the explorer looks at one by one. Where
there are more, only the shares of models are shown, which the sums know.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flask import g
from sqlalchemy import or_, select

from .. import formats
from ..extensions import db
from ..models import RoutingRule, RoutingRuleModel
from ..models.base import NIL
from ..models.rollups import TOKENS
from . import figures, prices, runs, sums
from .explorer import LOOKED_AT, rules_of
from .filters import Filters
from .names import called, names_of
from .panels import REST, RUNS, Cell, Panel, cell, over_time, page_of, percent, runs_of, usd
from .prices import Listed
from .ranges import Range
from .runs import Wanted
from .sums import Asked, Sums

PAGE = "routing"
MOST_RULES, MOST_DRAWN = 50, 10
By = uuid.UUID | bool
"""A rule; or none: was `auto` asked for?"""
SAME = "\u200b"
"""Nothing to see: two names that are cut off to the same are two bars."""
NO_RULE = {True: "Automatic, no rule", False: "By name, no rule"}
READ = 4 * LOOKED_AT
"""Runs that are read at most, to find those that the filters let in."""
INDEXED = ("project_id", "user_id", "model_id")
NOTHING = "Nothing ran in the time shown. Choose a longer one, or fewer filters."
TOO_MANY = (
    f"Rules are counted from the runs themselves, {LOOKED_AT:,} at most. Of {{:,}} runs only the models are shown, "
    "below. Choose a shorter time, or filter by project, member or model."
)
HOW = (
    "The first choice served where the model that was called first gave the whole answer, at once or tried again: of "
    "runs that reached a provider."
)
SAVED = (
    "Saved: what the runs of a rule would have cost had all gone to that of its models which is dearest for them, less "
    "what was paid. Their tokens at the list prices at the end of the time shown; rules as they stand now; of runs "
    "that completed and whose price is known. Another model may need other tokens for the same."
)


@dataclass
class Tally:
    """Of one rule, or of what no rule chose."""

    models: dict[Any, Any] = field(default_factory=dict)
    """{model: the row of runs.by_rule}"""

    def sum(self, name: str) -> int:
        return sum(int(getattr(row, name)) for row in self.models.values())

    @property
    def priced(self) -> Sums:
        """What was used, and paid, by those that completed and whose price is known."""
        return Sums(runs=self.sum("priced"), cost=self.sum("paid"), **{name: self.sum(name) for name in TOKENS})


def page(filters: Filters) -> dict[str, Any]:
    asked, over = filters.asked, filters.range
    line = sums.series(asked, over, "model_id")
    count = sum(one.runs for one in line.values())
    is_few = count <= LOOKED_AT and _to_read(asked, over, count) <= READ
    tallies = _tallies(asked, over) if count and is_few else {}
    models = {model for tally in tallies.values() for model in tally.models}
    names = names_of([*models, *(what for _, what in line)])
    rules = rules_of(by for by in tallies if not isinstance(by, bool))
    order = sorted(tallies, key=lambda by: (-tallies[by].sum("runs"), str(by)))
    called_by = {by: NO_RULE[by] if isinstance(by, bool) else rules.get(by, "A deleted rule") for by in order}
    empty = NOTHING if is_few else TOO_MANY.format(count)
    return {
        "panels": [
            _rules(filters, called_by, tallies, empty),
            _shares(filters, called_by, tallies, names, empty),
            over_time("models", "Runs by model", filters, line, "model_id", names, PAGE, RUNS),
        ]
    }


def _to_read(asked: Asked, over: Range, count: int) -> int:
    """How many runs have to be looked at for these: an index has some of the filters, the others are tried on each."""
    kept = {name: value for name, value in asked.filters.items() if name in INDEXED}
    return count if kept == asked.filters else sums.totals(replace(asked, filters=kept), (over.span,)).runs


def saved_by_rules(asked: Asked, over: Range) -> int | None:
    """What all rules together saved, in nano-USD, for who sees everything. The caller bounds the runs. None: there is
    nothing to compare with."""
    tallies = {by: tally for by, tally in _tallies(asked, over).items() if not isinstance(by, bool)}
    allowed = _allowed(tallies, asked.organization_id)
    models = {id for ids in allowed.values() for id in ids}
    lists = prices.in_force(asked.organization_id, models, min(over.end, over.at))
    saved = [_saved(tally, allowed.get(by, ()), lists) for by, tally in tallies.items()]
    return sum(one or 0 for one in saved) if any(one is not None for one in saved) else None


def _tallies(asked: Asked, over: Range) -> dict[By, Tally]:
    found: dict[By, Tally] = {}
    for row in runs.by_rule(Wanted(asked, over.start, over.end)):
        found.setdefault(row.rule_id or bool(row.is_auto), Tally()).models[row.model_id or NIL] = row
    return found


def _rules(filters: Filters, names: Mapping[By, str], tallies: Mapping[By, Tally], empty: str) -> Panel:
    whole = sum(tally.sum("runs") for tally in tallies.values())
    can_tell = g.role is not None  # a guest sees the rules of no organization, and so not what else they allow
    allowed = _allowed(names, g.organization.id) if can_tell else {}
    lists = prices.in_force(
        g.organization.id, {id for ids in allowed.values() for id in ids}, min(filters.range.end, filters.range.at)
    )
    saved = {by: one for by in names if (one := _saved(tallies[by], allowed.get(by, ()), lists)) is not None}
    rows = []
    for by in list(names)[:MOST_RULES]:
        tally, opens = tallies[by], "" if isinstance(by, bool) else runs_of(filters, filters.address, rule=by)
        rows.append(
            [
                Cell(names[by], part=tally.sum("runs") / whole if whole else None),
                cell(RUNS, Sums(runs=tally.sum("runs")), opens),
                _part(tally.sum("runs"), whole),
                _part(tally.sum("served"), tally.sum("called")),
                *([_saving(saved.get(by))] if can_tell else []),
            ]
        )
    note = f"Against the dearest model that each allows, rules {_total(saved.values())}." if saved else ""
    cut = f"The first {MOST_RULES} of {len(names)}. " if len(names) > MOST_RULES else ""
    footer = f"{cut}{HOW} {SAVED if saved else ''}".strip()
    columns = ["Rule", "Runs", "Share", "First choice served", *(["Saved"] if can_tell else [])]
    return Panel("rules", "Rules", columns, rows, None, note, True, empty=empty, footer=footer)


def _shares(
    filters: Filters, names: Mapping[By, str], tallies: Mapping[By, Tally], models: dict[Any, str], empty: str
) -> Panel:
    """What each rule chose."""
    rows: list[Sequence[Cell]] = []
    whole: dict[Any, int] = {}
    for by, said in list(names.items())[:MOST_RULES]:
        tally = tallies[by]
        for model, row in sorted(tally.models.items(), key=lambda pair: (-pair[1].runs, str(pair[0]))):
            whole[model] = whole.get(model, 0) + row.runs
            only = filters.with_("model", model)
            opens = "" if isinstance(by, bool) else runs_of(filters, only, rule=by)
            answered = [_part(row.runs, tally.sum("runs")), _part(row.served, row.called)]
            head = Cell(called("model_id", model, models), url=page_of(PAGE, only))
            rows.append([head, Cell(said), cell(RUNS, Sums(runs=row.runs), opens), *answered])
    drawn = list(names)[:MOST_DRAWN]
    order = sorted(whole, key=lambda model: (-whole[model], str(model)))
    shown, rest = order[: figures.MOST], order[figures.MOST :]
    parts = {f"{called('model_id', m, models)}{' ' * n}": _of([m], drawn, tallies) for n, m in enumerate(shown)}
    if rest:
        parts[REST] = _of(rest, drawn, tallies)
    figure = figures.shares([f"{_short(names[by])}{SAME * n}" for n, by in enumerate(drawn)], parts) if rows else None
    if figure:
        figures.can_be_clicked(figure, [], "model", shown)
    columns = ["Model", "Rule", "Runs", "Share of the rule", "First choice served"]
    note = "By the model that answered, or was tried last." if rows else ""
    return Panel("rule-models", "Models by rule", columns, rows, figure, note, empty=empty)


def _of(models: Sequence[Any], drawn: Sequence[By], tallies: Mapping[By, Tally]) -> list[int]:
    return [sum(row.runs for model in models if (row := tallies[by].models.get(model))) for by in drawn]


def _short(name: str) -> str:
    return name if len(name) <= 18 else f"{name[:17]}…"


def _allowed(rules: Iterable[By], organization_id: uuid.UUID) -> dict[By, list[uuid.UUID]]:
    """{rule: its models}, of this organization's rules and everyone's."""
    ids = [by for by in rules if not isinstance(by, bool)]
    query = (
        select(RoutingRuleModel.rule_id, RoutingRuleModel.model_id)
        .join(RoutingRule, RoutingRule.id == RoutingRuleModel.rule_id)
        .where(RoutingRule.id.in_(ids))
        .where(or_(RoutingRule.organization_id == organization_id, RoutingRule.organization_id.is_(None)))
    )
    found: dict[By, list[uuid.UUID]] = {}
    for rule, model in db.session.execute(query) if ids else ():
        found.setdefault(rule, []).append(model)
    return found


def _saved(tally: Tally, allowed: Sequence[uuid.UUID], lists: Mapping[Any, Listed]) -> int | None:
    """Nano-USD. None: no price of a model that it allows is known, or there is nothing to compare."""
    used = tally.priced
    dearest = max((prices.cost(used, lists[model]) for model in allowed if model in lists), default=None)
    if dearest is None or not used.runs:
        return None
    return round(dearest / 1_000_000) - used.cost


def _total(saved: Iterable[int]) -> str:
    nano = sum(saved)
    return f"saved {formats.money(nano)}" if nano >= 0 else f"cost {formats.money(-nano)} more"


def _part(part: int, whole: int) -> Cell:
    return Cell(percent(part / whole if whole else None), round(part / whole, 6) if whole else "")


def _saving(nano: int | None) -> Cell:
    return Cell(formats.DASH, "") if nano is None else Cell(formats.signed_money(nano), usd(nano))
