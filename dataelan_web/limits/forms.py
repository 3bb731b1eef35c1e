"""The forms of limits: what they count, how much, and what more of them is asked for and granted.

What was typed stays in the fields; what was understood of it is in `limit`, `percents`, `speeds` and the like, once a
form has been validated.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask_wtf import FlaskForm
from wtforms import DateField, RadioField, SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length, Optional, ValidationError

from ..fields import offered, trim
from ..models import Budget, Measure, RateLimit, Scope, Unit, Window
from . import amounts
from .changes import Speeds, Terms
from .subjects import Subject, chosen_from, kind_here, parse, whole

UNITS = {Unit.USD: "Money", Unit.TOKENS: "Tokens", Unit.REQUESTS: "Requests"}
WINDOWS = {
    Window.DAY: "A calendar day",
    Window.WEEK: "A week, from Monday",
    Window.MONTH: "A calendar month",
    Window.TOTAL: "In all, without an end",
}
MOST_ALERTS, MOST_PERCENT = 8, 1000
MOST_A_MINUTE, MOST_TOKENS, MOST_PARALLEL = 1_000_000, 1_000_000_000_000, 100_000
LAST_YEAR = 2999


class SubjectForm(FlaskForm):
    """`scope`: what kind of thing is counted; `subject`: which one (see Subject.key); `q` narrows what is offered."""

    scope = SelectField(
        "A limit on", choices=lambda: offered((scope.value, kind_here(scope).one) for scope in chosen_from())
    )
    subject = StringField("Which one")
    q = StringField("Search", filters=[trim])

    @property
    def chosen_scope(self) -> Scope:
        return next((scope for scope in chosen_from() if scope == self.scope.data), whole())

    @property
    def is_of_many(self) -> bool:
        """Is there one to be chosen, of this kind?"""
        return self.chosen_scope is not whole()

    def chosen(self) -> Subject | None:
        """None: not chosen yet. 404 for what is not there."""
        return parse(self.subject.data or "", self.chosen_scope)

    def validate_subject(self, field: StringField) -> None:
        if self.chosen() is None:
            raise ValidationError("Choose one.")


class TermsForm(FlaskForm):
    """How much. `unit` is a field of LimitForm; of a limit that exists it is given, and stays."""

    amount = StringField("Amount", [DataRequired("Enter how much.")], filters=[trim])
    is_hard = RadioField("When it is reached", choices=offered([("yes", "Refuse"), ("no", "Only tell")]), default="yes")
    alerts = StringField("Tell at", filters=[trim], default="50, 80, 100")
    limit: int | None = None
    percents: tuple[int, ...] = ()

    @property
    @abstractmethod
    def counted_in(self) -> Unit:
        """What `amount` is an amount of."""

    def validate_amount(self, field: StringField) -> None:
        self.limit = _read(lambda: amounts.read(str(field.data), self.counted_in))

    def validate_alerts(self, field: StringField) -> None:
        self.percents = percents(field.data or "", 100 if self.is_hard.data == "yes" else MOST_PERCENT)

    @property
    def terms(self) -> Terms:
        if self.limit is None:
            raise LookupError("the form was not validated")
        return Terms(self.limit, self.is_hard.data == "yes", self.percents)


class LimitForm(SubjectForm, TermsForm):
    unit = RadioField(
        "Counted in", choices=offered((unit.value, label) for unit, label in UNITS.items()), default="usd"
    )
    window = SelectField("In", choices=offered((w.value, label) for w, label in WINDOWS.items()), default="month")

    @property
    def counted_in(self) -> Unit:
        return next((unit for unit in Unit if unit == self.unit.data), Unit.USD)

    @property
    def chosen_window(self) -> Window:
        return next((window for window in Window if window == self.window.data), Window.MONTH)


class ChangeForm(TermsForm):
    """Of a limit that exists: only its terms."""

    def __init__(self, budget: Budget, *args: Any, **options: Any):
        self.budget = budget
        super().__init__(*args, **options)

    @property
    def counted_in(self) -> Unit:
        return self.budget.unit

    @classmethod
    def of(cls, budget: Budget) -> ChangeForm:
        return cls(
            budget,
            formdata=None,
            amount=amounts.typed(budget.unit, budget.limit),
            is_hard="yes" if budget.is_hard else "no",
            alerts=", ".join(str(alert) for alert in budget.alerts),
        )


class SpeedForm(FlaskForm):
    requests_per_minute = StringField("Requests a minute", filters=[trim])
    tokens_per_minute = StringField("Tokens a minute", filters=[trim])
    parallel = StringField("At the same time", filters=[trim])
    _speeds: Speeds | None = None

    def validate(self, *args: Any, **options: Any) -> bool:
        is_fine = super().validate(*args, **options)
        bounds = {"requests_per_minute": MOST_A_MINUTE, "tokens_per_minute": MOST_TOKENS, "parallel": MOST_PARALLEL}
        read: dict[str, int | None] = {}
        for name, most in bounds.items():
            field = self[name]
            try:
                read[name] = amounts.whole(field.data, 1, most) if field.data else None
            except ValueError as problem:
                field.errors, is_fine = [*field.errors, str(problem)], False
        self._speeds = Speeds(**read) if len(read) == len(bounds) else None
        return is_fine and any(number is not None for number in read.values())

    @property
    def speeds(self) -> Speeds:
        return self._speeds or Speeds(None, None, None)


class RateForm(SubjectForm, SpeedForm):
    pass


class RateChangeForm(SpeedForm):
    @classmethod
    def of(cls, rate: RateLimit) -> RateChangeForm:
        names = ("requests_per_minute", "tokens_per_minute", "parallel")
        numbers = {name: getattr(rate, name) for name in names}
        return cls(formdata=None, **{name: f"{n:,}" if n is not None else "" for name, n in numbers.items()})


class MoreForm(FlaskForm):
    """An amount of a given unit, more than nothing."""

    amount = StringField("How much more", [DataRequired("Enter how much more.")], filters=[trim])
    more: int = 0

    def __init__(self, unit: Measure, *args: Any, **options: Any):
        self.unit = unit
        super().__init__(*args, **options)

    def validate_amount(self, field: StringField) -> None:
        self.more = _read(lambda: amounts.read(str(field.data), self.unit))
        if self.more <= 0:
            raise ValidationError("Enter more than nothing.")


class AskForm(MoreForm):
    reason = TextAreaField("What for?", [Length(max=2000)], filters=[trim])
    run = StringField("The run that was refused")


class GrantForm(MoreForm):
    """`until` is the last day on which it counts, by the calendar of the limit."""

    until = DateField("Until the end of", [Optional()])
    note = StringField("A word to them", [Length(max=2000)], filters=[trim])

    def __init__(self, unit: Measure, zone: ZoneInfo, *args: Any, **options: Any):
        self.zone = zone
        super().__init__(unit, *args, **options)

    def validate_until(self, field: DateField) -> None:
        day: date | None = field.data
        if day is not None and day < datetime.now(self.zone).date():
            raise ValidationError("That day is over.")
        if day is not None and day.year > LAST_YEAR:
            raise ValidationError("That is too far away.")


class NoteForm(FlaskForm):
    note = StringField("A word to them", [Length(max=2000)], filters=[trim])


def _read(read: Callable[[], int]) -> int:
    try:
        return read()
    except ValueError as problem:
        raise ValidationError(str(problem)) from problem


def percents(text: str, most: int) -> tuple[int, ...]:
    """Such as “50, 80 %”, in rising order. ValueError has words for the person who typed it."""
    words = [word.removesuffix("%") for word in re.split(r"[,;\s]+", text.replace(" %", "%")) if word != "%"]
    words = [word for word in words if word]
    numbers = {int(word[:6]) for word in words if word.isascii() and word.isdecimal()}  # of six digits: any is too many
    if len(numbers) > MOST_ALERTS:
        raise ValidationError(f"{MOST_ALERTS} are enough.")
    if not all(word.isascii() and word.isdecimal() for word in words) or any(not 1 <= n <= most for n in numbers):
        hint = " More than 100 % is never reached: it refuses." if most == 100 else ""
        raise ValidationError(f"Enter percentages from 1 to {most:,}, such as 50, 80, 100.{hint}")
    return tuple(sorted(numbers))
