"""The form of an organization's settings."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

from flask_wtf import FlaskForm
from wtforms import BooleanField, IntegerField, SelectField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]
from wtforms.validators import NumberRange, Optional, ValidationError

from ..models import Summaries

MOST_DAYS = 3650
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


class SettingsForm(FlaskForm):
    time_zone = SelectField("Time zone")
    words_kept_days = IntegerField("Keep what was said, in days", _DAYS)
    runs_kept_days = IntegerField("Keep runs, in days", _DAYS)
    summaries = SelectField("Summaries", choices=SUMMARIES)
    is_sure = BooleanField("Delete it for good")

    def __init__(self, *args: object, current_zone: str, **options: object):
        super().__init__(*args, **options)
        known = zones()
        offered = known if current_zone in known else [current_zone, *known]
        self.time_zone.choices = [(name, name) for name in offered]

    def validate_runs_kept_days(self, field: IntegerField) -> None:
        words = self.words_kept_days.data
        if field.data is not None and words is not None and field.data < words:
            raise ValidationError("Runs have to be kept at least as long as what was said in them.")
