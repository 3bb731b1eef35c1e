"""Many at once spend a limit to its end, and not a nano-dollar further: Q1, Q2, Q10 and complaints 1 to 3.

DATAELAN_ROUNDS says how many rushes of 50 threads × 200 calls there are on one dollar: by itself a single small one,
for a release 100.
"""

from __future__ import annotations

import os
import random
import threading
import uuid

import pytest
from flask import Flask
from sqlalchemy import func, select

from benchmarks.limits import A_DOLLAR, Caller, rush, together
from dataelan_web import quota
from dataelan_web.extensions import db
from dataelan_web.models import BudgetPeriod, LedgerEntry, Scope, Unit, Window
from dataelan_web.quota import OverLimit, Use
from tests import people

from .steps import (
    attempt,
    charge,
    drifted,
    execution,
    ledger,
    let_the_window_end,
    limit,
    periods,
    state_of,
    subjects,
    watched,
)

ROUNDS = int(os.environ.get("DATAELAN_ROUNDS", "0"))


@pytest.mark.parametrize("round_", range(ROUNDS or 1))
def test_a_rush_spends_a_dollar_and_not_a_nano_dollar_more(app: Flask, acme: people.Cast, round_: int) -> None:
    """Complaint 1 (li#34732, na#6609, na#5690), and 2: next to all that one after the other would be is let through."""
    caller = Caller.new(acme.organization.id, acme.project.id)
    budget = caller.limit(Scope.PROJECT, Window.MONTH, A_DOLLAR if ROUNDS else A_DOLLAR // 4)
    caller.limit(Scope.MEMBER, Window.DAY, 10 * A_DOLLAR)
    caller.limit(Scope.MODEL, Window.TOTAL, 10**6, Unit.REQUESTS)
    threads, times = (50, 200) if ROUNDS else (10, 30)
    with watched():
        share = rush(app, caller, budget, threads, times)
    assert 0.95 <= share <= 1
    assert not drifted(budget)


def test_calls_that_end_in_every_way_leave_nothing_held(app: Flask, acme: people.Cast) -> None:
    """Complaints 2 and 3 (li#36926, na#4429: holds that stay and count as spent), 4: no line is lost."""
    budget, nested = limit(acme, 2_000), limit(acme, 20_000, Scope.PROJECT)
    tokens = limit(acme, 10**6, Scope.MEMBER, Window.DAY, Unit.TOKENS)
    id, who, organization_id = execution(acme).id, subjects(acme), acme.organization.id
    spent = [0] * 8

    def work(place: int) -> None:
        chance = random.Random(place)
        for _ in range(40):
            made = attempt(id)
            try:
                quota.reserve(db.session, quota.applicable(db.session, who), id, made, Use(20, 50))
                quota.commit(db.session)
            except OverLimit:
                db.session.rollback()
                continue
            end = chance.random()
            if end < 0.1:
                quota.void(db.session, made)
            elif end < 0.2:  # the connection broke, or the worker died, and another wrote the end again
                quota.settle(db.session, made, charge(organization_id, 9, 30))
                db.session.rollback()
            if end >= 0.1:
                for _ in range(chance.choice([1, 1, 2])):
                    quota.settle(db.session, made, charge(organization_id, 9, 30))
                spent[place] += 9
            quota.commit(db.session)

    together(app, work, list(range(8)))
    assert state_of(budget) == state_of(nested) == (sum(spent), 0)
    assert state_of(tokens) == (sum(spent) // 9 * 30, 0)
    assert sum(spent) == ledger(acme) <= 2_000
    count = select(func.count()).select_from(LedgerEntry).where(LedgerEntry.organization_id == organization_id)
    assert db.session.scalar(count) == sum(spent) // 9
    assert not drifted(budget, nested, tokens)


def test_the_first_calls_of_a_window_all_at_once_make_one_window(app: Flask, acme: people.Cast) -> None:
    """Complaint 1 (li#40095: the first requests of somebody nobody had counted before all pass), and Q8."""
    budget, gate, admitted = limit(acme, 70, window=Window.DAY), threading.Barrier(20), list[uuid.UUID]()
    let_the_window_end(budget)
    id, who = execution(acme).id, subjects(acme)

    def first(place: int) -> None:
        made = attempt(id)
        db.session.commit()
        gate.wait()
        try:
            quota.reserve(db.session, quota.applicable(db.session, who), id, made, Use(10))
            quota.commit(db.session)
            admitted.append(made)
        except OverLimit:
            db.session.rollback()

    with watched():
        together(app, first, list(range(20)))
    assert len(admitted) == 7
    assert periods(budget) == [(0, 0, 0), (0, 0, 70)]
    assert db.session.scalar(select(func.count()).where(BudgetPeriod.budget_id == budget.id)) == 2


def test_calls_that_share_limits_in_different_orders_never_wait_for_each_other(app: Flask, acme: people.Cast) -> None:
    """Locks are taken in one order, at a roll-over too."""
    keys, models = [uuid.uuid4() for _ in range(3)], [uuid.uuid4() for _ in range(3)]
    budgets = [
        quota.set_limit(db.session, acme.organization.id, scope, subject, window, 10**9, unit)
        for scope, ids in ((Scope.KEY, keys), (Scope.MODEL, models))
        for subject in ids
        for window, unit in ((Window.DAY, Unit.USD), (Window.MONTH, Unit.TOKENS))
    ]
    db.session.commit()
    for budget in budgets[::2]:
        let_the_window_end(budget)
    id, organization_id = execution(acme).id, acme.organization.id
    who = [subjects(acme, key_id=key, model_id=model) for key in keys for model in models]

    def work(place: int) -> None:
        chance = random.Random(place)
        for _ in range(15):
            made = attempt(id)
            counted = quota.applicable(db.session, chance.choice(who))
            quota.reserve(db.session, counted, id, made, Use(1, 1))
            quota.commit(db.session)
            quota.settle(db.session, made, charge(organization_id, 1, 1))
            quota.commit(db.session)

    together(app, work, list(range(8)))
    assert sum(state_of(budget)[0] for budget in budgets) == 8 * 15 * 4
    assert not drifted(*budgets)
