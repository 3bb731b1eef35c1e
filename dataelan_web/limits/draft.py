"""What the form of a limit shows beside what was typed: the limit in words, what is used already, what to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from flask_wtf import FlaskForm

from .. import quota
from ..extensions import db
from ..models import Budget, RateLimit, Scope, Unit, Window, now
from . import place, words
from .changes import existing, existing_rate
from .forms import ChangeForm, LimitForm, RateChangeForm, RateForm
from .spending import already
from .subjects import OFFERED, Subject, names_of, offered


@dataclass
class Draft:
    """A form beside what it would come to."""

    subject: Subject | None
    unit: Unit
    said: str = ""
    """The limit in words; empty while too little is known."""
    problems: dict[str, str] = field(default_factory=dict)
    """What is wrong, by field."""
    to_do: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    note: str = ""
    used: int | None = None
    """In this window, before the limit is saved; None: not known yet."""
    window_said: str = ""
    """Which window that is: this month."""
    there: Budget | RateLimit | None = None
    """A limit of this kind that exists already."""
    offered: Sequence[Subject] = ()
    needs_search: bool = False
    """There is more than one list can hold."""


def of_new(form: LimitForm, *, is_final: bool = False) -> Draft:
    """404 for a subject that is not there to be chosen. Final: it was to be saved, so what is missing is wrong too."""
    draft = _choosing(form, form.counted_in)
    window = form.chosen_window
    if draft.subject is not None:
        draft.there = existing((draft.subject.scope, draft.subject.id), draft.unit, window)
        start, _ = quota.window_of(window, now(), _zone_of(draft.subject))
        draft.used = already(draft.subject.scope, draft.subject.id, draft.unit, start)
        draft.window_said = words.THIS[window]
    _say(draft, form, window, is_final)
    return draft


def of_change(form: ChangeForm, *, is_final: bool = False) -> Draft:
    budget = form.budget
    subject = names_of([(budget.scope, budget.subject_id)])[budget.scope, budget.subject_id]
    (standing,) = quota.standing(db.session, [budget])
    used = standing.spent + standing.reserved
    draft = Draft(subject, budget.unit, used=used, window_said=words.THIS[budget.window])
    _say(draft, form, budget.window, is_final)
    if standing.increased:
        more = words.stated(standing.increased, budget.unit)
        draft.note = f"{more} more is granted for a while, and comes on top of it."
    return draft


def of_rate(form: RateForm, *, is_final: bool = False) -> Draft:
    draft = _choosing(form, Unit.REQUESTS)
    if draft.subject is not None:
        draft.there = existing_rate((draft.subject.scope, draft.subject.id))
    _say_rate(draft, form, is_final)
    return draft


def of_rate_change(form: RateChangeForm, rate: RateLimit, *, is_final: bool = False) -> Draft:
    draft = Draft(names_of([(rate.scope, rate.subject_id)])[rate.scope, rate.subject_id], Unit.REQUESTS)
    _say_rate(draft, form, is_final)
    return draft


def _choosing(form: LimitForm | RateForm, unit: Unit) -> Draft:
    """With what there is to choose from, what was chosen among it."""
    scope, chosen = form.chosen_scope, form.chosen()
    if not form.is_of_many:
        return Draft(chosen, unit)
    found = offered(scope, (form.q.data or "")[:100], OFFERED + 1)
    shown = found[:OFFERED]
    if chosen is not None and chosen not in shown:
        shown.insert(0, chosen)
    return Draft(chosen, unit, offered=shown, needs_search=len(found) > OFFERED or bool(form.q.data))


def _say(draft: Draft, form: LimitForm | ChangeForm, window: Window, is_final: bool) -> None:
    form.validate()
    _look(draft, form, ("amount", "alerts"), is_final)
    if not form.amount.data and not is_final:
        draft.to_do.append("Say how much.")
    if draft.subject is None or form.limit is None or draft.problems:
        return
    terms, subject = form.terms, draft.subject
    draft.said = words.sentence(
        subject.prompts,
        subject.scope,
        draft.unit,
        window,
        terms.limit,
        terms.is_hard,
        terms.alerts,
        _zone_of(subject).key,
        is_operators=place.is_operators(),
    )
    draft.warnings += _warnings(draft, terms.limit, terms.is_hard, window)


def _say_rate(draft: Draft, form: RateForm | RateChangeForm, is_final: bool) -> None:
    form.validate()
    fields = ("requests_per_minute", "tokens_per_minute", "parallel")
    _look(draft, form, fields, is_final)
    if not any(form[name].data for name in fields):
        missing = "Fill in one of the three numbers at least."
        if is_final:
            draft.problems["requests_per_minute"] = missing
        else:
            draft.to_do.append(missing)
    if draft.subject is not None and not draft.problems:
        asked = "prompts of everybody" if draft.subject.scope is Scope.PLATFORM else draft.subject.prompts
        draft.said = words.rate_sentence(asked, **vars(form.speeds))


def _look(draft: Draft, form: FlaskForm, fields: Sequence[str], is_final: bool) -> None:
    """What is wrong with the fields; while somebody still writes, only with those that are filled in."""
    for name in fields:
        if form[name].errors and (is_final or form[name].data):
            draft.problems[name] = " ".join(form[name].errors)
    if draft.subject is None:
        missing = "Choose what it counts."
        if is_final:
            draft.problems["subject"] = missing
        else:
            draft.to_do.append(missing)


def _warnings(draft: Draft, limit: int, is_hard: bool, window: Window) -> list[str]:
    used = draft.used or 0
    if not used or used < limit:
        return []
    over = f"{words.stated(used, draft.unit)} is used already {draft.window_said}"
    if not is_hard:
        return [f"{over}: it is passed from the start."]
    zone = _zone_of(draft.subject)
    _, ends = quota.window_of(window, now(), zone)
    until = f"until {words.exact_time(ends, zone)}" if ends else "until it is raised"
    return [f"{over}: prompts are refused from the moment it is saved {until}."]


def _zone_of(subject: Subject | None) -> ZoneInfo:
    return place.zone_of(subject.scope, subject.id) if subject else place.UTC
