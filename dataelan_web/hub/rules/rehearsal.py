"""A rule tried against runs that were made: which model each would get with the draft, and which as the rules stand.

Nothing is sent. Draws are seeded by the run, so that the same draft gives the same answer every time, and a run that
the draft does not touch draws the same. Both sides are priced alike: the tokens that were used, at today's rates.
Nothing rests: whether a model happens to rest this minute says nothing about the rule. One of the platform's is tried
against everybody's runs, each among the rules, keys and prices of its own organization.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import func, or_, select
from sqlalchemy.orm import selectinload

from ...executions.candidates import AUTO, built_in, candidates_of, rule_of, slugs_of
from ...executions.health import health
from ...extensions import db
from ...models import Execution, ModelType, Organization, Project, RoutingRule, State
from ...router import pricing
from ...router.candidates import Candidate, Choice
from ...router.health import LEAST_WORK, RESTED, Pair, Vital, work_of
from ...router.plan import Plan, compatible, plan
from ...router.rules import Rule
from ...router.types import Task, Usage
from .drafts import Draft, router_rule
from .past_runs import Run, runs
from .reach import EVERY, Filter, Reach, Which

SIZES = (50, 200, 500, 2_000, 5_000)
SECONDS = 5.0
"""After so long it tells what it has found until then."""
SAMPLES = 3
CHUNK = 25
LAST = uuid.UUID(int=2**128 - 1)


@dataclass
class Sums:
    """Of some runs: what they come to on both sides."""

    count: int = 0
    cost_before: int = 0
    cost_after: int = 0
    """Nano-USD, of those priced on both sides."""
    unpriced: int = 0
    """A price, or what was used, is not known."""
    seconds_before: float = 0.0
    seconds_after: float = 0.0
    timed: int = 0
    """Those whose wait is known on both sides."""

    @property
    def cost_difference(self) -> int | None:
        return self.cost_after - self.cost_before if self.count > self.unpriced else None

    @property
    def seconds_difference(self) -> float | None:
        """An average run's."""
        return (self.seconds_after - self.seconds_before) / self.timed if self.timed else None


@dataclass
class Switch:
    """Runs that would go from one model to another. None: no model would answer."""

    before: Candidate | None
    after: Candidate | None
    sums: Sums = field(default_factory=Sums)
    samples: list[uuid.UUID] = field(default_factory=list)
    problem: str = ""
    """Why no model would answer the first of them."""


@dataclass
class Rehearsal:
    reach: Reach = field(default_factory=Reach)
    looked_at: int = 0
    decided: int = 0
    """By the draft."""
    changed: int = 0
    lost: int = 0
    """Of the changed: they would have no model any more."""
    without: int = 0
    """They have no model, with the draft or without it."""
    left_out: int = 0
    """Too large to read."""
    is_cut_short: bool = False
    all: Sums = field(default_factory=Sums)
    switches: list[Switch] = field(default_factory=list)
    """The most frequent first."""


@dataclass(frozen=True)
class _Outcome:
    """What is kept of a run that was tried: of thousands, their prompts and receipts would be too much."""

    id: uuid.UUID
    usage: Usage
    before: Candidate | None
    after: Candidate | None
    is_decided: bool
    problem: str
    """Why no model would answer."""


def rehearse(
    draft: Draft, row: RoutingRule | None, organization: Organization | None, wanted: int, which: Filter = EVERY
) -> Rehearsal:
    """`organization`: whose rule it is (None: the platform's); `row`: the rule that the draft would replace; `wanted`:
    how many of the latest runs that it could touch."""
    deadline, touched = time.monotonic() + SECONDS, Which.of(draft, row, organization, which)
    said, stages = Rehearsal(reach=touched.reach()), _Stages(draft, row, is_platforms=organization is None)
    outcomes = []
    for run in runs(touched, wanted, lambda home: stages[home].rules):
        if run is None:
            said.left_out += 1
            continue
        outcomes.append(stages[run.organization_id].play(run))
        if time.monotonic() > deadline:
            said.is_cut_short = True
            break
    _count(said, outcomes, _speeds(outcomes, touched))
    return said


class _Stages(dict[uuid.UUID, "_Stage"]):
    """One for each organization, by its id, whose runs are tried."""

    def __init__(self, draft: Draft, row: RoutingRule | None, *, is_platforms: bool):
        super().__init__()
        self.draft, self.row, self.is_platforms = draft, row, is_platforms

    def __missing__(self, id: uuid.UUID) -> _Stage:
        organization = db.session.get_one(Organization, id)
        made = self[id] = _Stage(self.draft, self.row, organization, is_platforms=self.is_platforms)
        return made


class _Stage:
    """An organization's hub, read once for all its runs."""

    def __init__(self, draft: Draft, row: RoutingRule | None, organization: Organization, *, is_platforms: bool):
        self.draft, self.row, self.organization, self.is_platforms = draft, row, organization, is_platforms
        query = select(Project).where(Project.organization_id == organization.id)
        self.projects = {project.id: project for project in db.session.scalars(query)}
        self.rows = self._read()
        self._hubs: dict[bool, dict[uuid.UUID, Candidate]] = {}
        self._slugs: dict[uuid.UUID, str] = {}
        self._casts: dict[tuple[uuid.UUID, str, ModelType, Task], tuple[list[Rule], list[Rule]]] = {}
        self._named = {entry.model_id for other in self.rows for entry in other.models}
        self._named |= {entry.model_id for entry in draft.models}
        self._vitals: dict[Pair, Vital] = {}
        self.now = time.time()
        self.rules = [rule_of(other, {}) for other in self.rows] + [router_rule(draft, {})]
        """For what their expressions ask."""

    def play(self, run: Run) -> _Outcome:
        before, after = self._cast(run)
        question = replace(run.question, vitals=self._vitals, now=self.now)
        seed = run.id.int
        was = plan(question, before, random.Random(seed), run.requested)
        would = plan(question, after, random.Random(seed), run.requested)
        return _Outcome(run.id, run.usage, _first(was), _first(would), self.is_draft(would.rule), would.problem)

    def is_draft(self, rule: Rule | None) -> bool:
        return rule is not None and rule.id == (self.row.id if self.row else LAST)

    def _read(self) -> list[RoutingRule]:
        """Every rule that is in use here; the platform's too."""
        query = (
            select(RoutingRule)
            .where(
                or_(RoutingRule.organization_id == self.organization.id, RoutingRule.organization_id.is_(None)),
                RoutingRule.is_enabled,
                RoutingRule.deleted_at.is_(None),
            )
            .options(selectinload(RoutingRule.models))
        )
        return list(db.session.scalars(query))

    def _cast(self, run: Run) -> tuple[list[Rule], list[Rule]]:
        """(the rules as they stand, the rules with the draft) for one project's runs of one kind."""
        key = (run.project_id, run.requested, run.model_type, run.prompt.task)
        if key not in self._casts:
            hub = self._hub(self.projects[run.project_id])
            here = [other for other in self.rows if other.project_id in (None, run.project_id)]
            before = [(_place(other), rule_of(other, hub)) for other in here]
            replaced = self.row.id if self.row else None
            after = [(place, rule) for place, rule in before if rule.id != replaced]
            if self.draft.is_enabled and self.draft.project_id in (None, run.project_id):
                after.append((self._place(), router_rule(self.draft, hub, replaced or LAST)))
            self._casts[key] = (self._asked(before, run, hub), self._asked(after, run, hub))
        return self._casts[key]

    def _asked(self, placed: Sequence[Placed], run: Run, hub: Mapping[uuid.UUID, Candidate]) -> list[Rule]:
        """Those that such a run tries, as executions.candidates.rules_for says."""
        rules = [rule for _, rule in sorted(placed, key=lambda pair: pair[0])]
        if run.requested == AUTO:
            types = compatible(run.model_type.value)
            last = _in_chunks(built_in(hub.values(), run.model_type, run.prompt.task))
            return [*(rule for rule in rules if rule.model_type in types), *last]
        if named := [rule for rule in rules if rule.name == run.requested]:
            return named
        models = _models_named(run.requested, hub.values(), self._slugs)
        return [Rule("the model that was chosen", tuple(map(Choice, models)), strategy="ordered")] if models else []

    def _hub(self, project: Project) -> dict[uuid.UUID, Candidate]:
        allows = project.allows_platform_keys
        if allows not in self._hubs:
            hub = self._hubs[allows] = candidates_of(db.session, self.organization, project=project)
            self._vitals |= _measured(one for id, one in hub.items() if id in self._named)
            self._slugs |= slugs_of(db.session, hub.values())
        return self._hubs[allows]

    def _place(self) -> Place:
        priority = float("inf") if self.draft.priority is None else self.draft.priority
        scope = 2 if self.is_platforms else 0 if self.draft.project_id else 1
        return (scope, priority, self.row.id if self.row else LAST)


Place = tuple[int, float, uuid.UUID]
Placed = tuple[Place, Rule]


def _place(row: RoutingRule) -> Place:
    """Where it is tried, as executions.candidates orders them."""
    return (0 if row.project_id else 1 if row.organization_id else 2, row.priority, row.id)


def _models_named(requested: str, hub: Iterable[Candidate], slugs: Mapping[uuid.UUID, str]) -> list[Candidate]:
    """Of whom a run that asked for a name could have got its answer, where no rule has that name."""
    provider, _, name = requested.partition("/")
    exact = [one for one in hub if one.model == requested or (one.model == name and slugs[one.provider_id] == provider)]
    there = [one for one in exact if one.model == name and one.keys]
    return there or sorted(exact, key=lambda one: (not one.keys, one.is_simulated))


def _in_chunks(rule: Rule) -> list[Rule]:
    """The built-in rule, whose models are many, as several that are tried one after the other: the first that passes
    is the same, the cheapest, and few have to be looked at."""
    choices: list[Choice] = sorted(rule.choices, key=lambda choice: choice.candidate.price)
    return [replace(rule, choices=tuple(choices[at : at + CHUNK])) for at in range(0, len(choices), CHUNK)]


# -- what it comes to ------------------------------------------------------------------------------


def _count(said: Rehearsal, outcomes: Sequence[_Outcome], speeds: Mapping[uuid.UUID, float]) -> None:
    switches: dict[tuple[uuid.UUID | None, uuid.UUID | None], Switch] = {}
    for outcome in outcomes:
        before, after = outcome.before, outcome.after
        said.looked_at += 1
        said.decided += outcome.is_decided
        _add(said.all, outcome, speeds)
        if before is None and after is None:
            said.without += 1
        if (before and before.model_id) == (after and after.model_id):
            continue
        said.changed += 1
        said.lost += after is None
        ids = (before.model_id if before else None, after.model_id if after else None)
        switch = switches.setdefault(ids, Switch(before, after, problem=outcome.problem))
        _add(switch.sums, outcome, speeds)
        if len(switch.samples) < SAMPLES:
            switch.samples.append(outcome.id)
    said.switches = sorted(switches.values(), key=lambda switch: -switch.sums.count)


def _add(sums: Sums, outcome: _Outcome, speeds: Mapping[uuid.UUID, float]) -> None:
    sums.count += 1
    both, usage = (outcome.before, outcome.after), outcome.usage
    costs = [pricing.cost(usage, one.rates) if one else None for one in both]
    if costs[0] is None or costs[1] is None:
        sums.unpriced += 1
    else:
        sums.cost_before, sums.cost_after = sums.cost_before + costs[0], sums.cost_after + costs[1]
    waits = [speeds.get(one.model_id) if one else None for one in both]
    if usage.known and waits[0] is not None and waits[1] is not None:
        work = max(work_of(usage.output_total), LEAST_WORK)
        sums.timed += 1
        sums.seconds_before += waits[0] * work
        sums.seconds_after += waits[1] * work


def _first(made: Plan) -> Candidate | None:
    return made.steps[0].candidate if made.steps else None


def _measured(candidates: Iterable[Candidate]) -> Mapping[Pair, Vital]:
    """What was lately measured of them, as if nothing rested and nothing were in flight."""
    read = health().read({(one.model_id, key.id) for one in candidates for key in one.keys})
    return {pair: replace(vital, rest=RESTED, key_rest=RESTED, in_flight=0) for pair, vital in read.items()}


def _speeds(outcomes: Sequence[_Outcome], touched: Which) -> dict[uuid.UUID, float]:
    """Model → seconds a unit of work: as lately measured, or else as the latest runs with it took."""
    named = [one for o in outcomes for one in (o.before, o.after) if one]
    found: dict[uuid.UUID, float] = {}
    for (id, _), vital in _measured(named).items():
        if vital.latency:
            found[id] = min(vital.latency, found.get(id, vital.latency))
    return _past_speeds(touched, list({one.model_id for one in named} - found.keys())) | found


def _past_speeds(touched: Which, models: Sequence[uuid.UUID]) -> dict[uuid.UUID, float]:
    latest = select(touched.latest().c.id)
    took = func.extract("epoch", Execution.finished_at - Execution.started_at)
    tokens = func.coalesce(Execution.tokens_output, 0) + func.coalesce(Execution.tokens_reasoning, 0)
    work = func.greatest(tokens / 400.0, LEAST_WORK)
    query = (
        select(Execution.model_id, func.sum(took) / func.sum(work))
        .where(Execution.id.in_(latest), Execution.model_id.in_(models), Execution.state == State.COMPLETED)
        .group_by(Execution.model_id)
    )
    return {id: float(speed) for id, speed in db.session.execute(query) if id and speed is not None} if models else {}
