"""The forms of an organization: made, its settings, deleted."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache
from zoneinfo import available_timezones

from flask_wtf import FlaskForm
from wtforms import BooleanField, IntegerField, RadioField, SelectField, SelectMultipleField, StringField
from wtforms.validators import DataRequired, Length, NumberRange, Optional, ValidationError

from .. import currencies
from ..fields import offered, trim
from ..models import OrganizationKind, Summaries

MOST_DAYS, LEAST_AUDIT = 3650, 30
SUMMARIES = {
    Summaries.NONE: "None",
    Summaries.WEEKLY: "Each week",
    Summaries.MONTHLY: "Each month",
    Summaries.BOTH: "Each week and each month",
}
RATE, MOST_RATE = re.compile(r"\d{1,10}(\.\d{1,10})?", re.ASCII), 1_000_000_000
_DAYS = (Optional(), NumberRange(1, MOST_DAYS, f"Enter a number of days between 1 and {MOST_DAYS:,}."))


@cache
def zones() -> list[str]:
    """Places, and UTC; not the abbreviations, which mean several zones."""
    return ["UTC", *sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))]


NAME = (DataRequired("An organization needs a name."), Length(max=100))


class FoundingForm(FlaskForm):
    name = StringField("Name", NAME, filters=[trim])
    kind = RadioField(
        "For whom", choices=offered((kind.value, kind.value) for kind in OrganizationKind), default="TEAM"
    )


class DeletionForm(FlaskForm):
    """`name` typed again, so that nobody deletes another than they mean."""

    name = StringField("Its name, to be sure", filters=[trim])

    def __init__(self, *args: object, expected: str, **options: object):
        super().__init__(*args, **options)
        self.expected = expected

    def validate_name(self, field: StringField) -> None:
        if (field.data or "").casefold() != self.expected.casefold():
            raise ValidationError(f"Write “{self.expected}” as it stands here.")


class SettingsForm(FlaskForm):
    name = StringField("Name", NAME, filters=[trim])
    default_rule = SelectField("What new sessions ask", default="")
    allowed_providers = SelectMultipleField("Providers that may get prompts", validate_choice=True)
    time_zone = SelectField("Time zone")
    words_kept_days = IntegerField("Keep what was said, in days", _DAYS)
    runs_kept_days = IntegerField("Keep runs, in days", _DAYS)
    audit_kept_days = IntegerField(
        "Keep the audit log, in days",
        (Optional(), NumberRange(LEAST_AUDIT, MOST_DAYS, f"At least {LEAST_AUDIT} days, at most {MOST_DAYS:,}.")),
    )
    currency = SelectField("Currency", default="")
    per_usd = StringField("What one US dollar is in it", [Length(max=30)], filters=[trim])
    summaries = SelectField("Summaries", choices=offered((one.value, label) for one, label in SUMMARIES.items()))
    is_sure = BooleanField("Delete it for good")

    def __init__(
        self,
        *args: object,
        current_zone: str,
        rules: list[tuple[str, str]],
        providers: list[tuple[str, str]],
        **options: object,
    ):
        super().__init__(*args, **options)
        others = [(code, f"{code} – {name}") for code, name in currencies.offered()]
        self.currency.choices = offered([("", "US dollars"), *others])
        self.default_rule.choices = offered([("", "Automatic, by your rules"), *rules])
        self.allowed_providers.choices = offered(providers)
        known = zones()
        listed = known if current_zone in known else [current_zone, *known]
        self.time_zone.choices = offered((name, name) for name in listed)

    @property
    def rate(self) -> Decimal | None:
        """What was entered, once it is checked; None in dollars, where it says nothing."""
        return Decimal(self.per_usd.data or "") if self.currency.data else None

    def validate_per_usd(self, field: StringField) -> None:
        if not self.currency.data:
            return
        typed = field.data or ""
        if not RATE.fullmatch(typed):
            raise ValidationError(f"Enter how many {self.currency.data} one US dollar is, such as 0.92 or 155.3.")
        if not 0 < Decimal(typed) < MOST_RATE:
            raise ValidationError(f"It is more than nothing, and less than {MOST_RATE:,}.")

    def validate_runs_kept_days(self, field: IntegerField) -> None:
        words = self.words_kept_days.data
        if field.data is not None and words is not None and field.data < words:
            raise ValidationError("Runs have to be kept at least as long as what was said in them.")
