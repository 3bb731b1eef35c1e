"""The forms of an organization: made, its settings, deleted."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

from flask_wtf import FlaskForm
from wtforms import BooleanField, IntegerField, RadioField, SelectField, SelectMultipleField, StringField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]
from wtforms.validators import DataRequired, Length, NumberRange, Optional, ValidationError

from ..fields import trim
from ..models import OrganizationKind, Summaries

MOST_DAYS, LEAST_AUDIT = 3650, 30
SUMMARIES = [
    SelectChoice(Summaries.NONE.value, "None"),
    SelectChoice(Summaries.WEEKLY.value, "Each week"),
    SelectChoice(Summaries.MONTHLY.value, "Each month"),
    SelectChoice(Summaries.BOTH.value, "Each week and each month"),
]
_DAYS = (Optional(), NumberRange(1, MOST_DAYS, f"Enter a number of days between 1 and {MOST_DAYS:,}."))


@cache
def zones() -> list[str]:
    """Places, and UTC; not the abbreviations, which mean several zones."""
    return ["UTC", *sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))]


NAME = (DataRequired("An organization needs a name."), Length(max=100))


class FoundingForm(FlaskForm):
    name = StringField("Name", NAME, filters=[trim])
    kind = RadioField("For whom", choices=[(kind.value, kind.value) for kind in OrganizationKind], default="TEAM")


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
    summaries = SelectField("Summaries", choices=SUMMARIES)
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
        self.default_rule.choices = [("", "Automatic, by your rules"), *rules]
        self.allowed_providers.choices = providers
        known = zones()
        offered = known if current_zone in known else [current_zone, *known]
        self.time_zone.choices = [(name, name) for name in offered]

    def validate_runs_kept_days(self, field: IntegerField) -> None:
        words = self.words_kept_days.data
        if field.data is not None and words is not None and field.data < words:
            raise ValidationError("Runs have to be kept at least as long as what was said in them.")
