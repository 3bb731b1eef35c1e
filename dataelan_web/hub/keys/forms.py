"""Forms of provider keys. A key that was typed wrong is not shown again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

from flask_wtf import FlaskForm
from wtforms import BooleanField, DateField, IntegerField, PasswordField, StringField
from wtforms.validators import DataRequired, Length, NumberRange, Optional, ValidationError

from ...fields import trim
from ...models import APIKey
from ..fields import LONGEST_KEY, PLAIN, NamesField, UsdField
from ..providers.overview import last_day
from .keeping import KeySettings

HEAVIEST = 1_000
LAST_YEAR = 2999


class KeySettingsForm(FlaskForm):
    """What may be changed of a key. `known_models` are the names its provider is known to have: empty, any is taken."""

    label = StringField("Label", [Length(max=200)], filters=[trim])
    weight = IntegerField("Weight", [Optional(), NumberRange(0, HEAVIEST)], default=1)
    daily_quota = UsdField("Daily limit in USD")
    allowed_models = NamesField("Only for these models", [Length(max=20_000)])
    expires_on = DateField("Last day of use", [Optional()])

    def __init__(self, *args: Any, known_models: Sequence[str] = (), zone: str = "UTC", **options: Any):
        self.known_models, self.zone = list(known_models), ZoneInfo(zone)
        super().__init__(*args, **options)

    @classmethod
    def of(cls, key: APIKey, known_models: Sequence[str], zone: str) -> KeySettingsForm:
        """Filled with what the key has now."""
        return cls(
            formdata=None,
            known_models=known_models,
            zone=zone,
            label=key.label,
            weight=key.weight,
            daily_quota=key.daily_quota,
            allowed_models=key.allowed_models,
            expires_on=last_day(key, ZoneInfo(zone)),
        )

    def validate_allowed_models(self, field: NamesField) -> None:
        unknown = [name for name in field.data if name not in self.known_models] if self.known_models else []
        if unknown:
            nearest = get_close_matches(unknown[0], self.known_models, 1)
            meant = f" Did you mean {nearest[0]}?" if nearest else ""
            raise ValidationError(f"Not among this provider’s models: {', '.join(unknown[:5])}.{meant}")

    def validate_expires_on(self, field: DateField) -> None:
        if field.data and field.data < datetime.now(self.zone).date():
            raise ValidationError("That day is over. Choose a later one, or none.")
        if field.data and field.data.year > LAST_YEAR:
            raise ValidationError("That is too far away. Leave it empty for a key that does not expire.")

    def settings(self, label: str = "") -> KeySettings:
        return KeySettings(
            label=self.label.data or label,
            weight=1 if self.weight.data is None else self.weight.data,
            daily_quota=self.daily_quota.data,
            allowed_models=tuple(self.allowed_models.data or ()),
            expires_at=_end_of(self.expires_on.data, self.zone),
        )


class KeyForm(KeySettingsForm):
    provider_id = StringField("Provider", [DataRequired("Choose a provider.")])
    session_id = StringField("Session")
    key = PasswordField("Key", [DataRequired("Paste the key."), Length(max=LONGEST_KEY), PLAIN], filters=[trim])
    is_default = BooleanField("Make it the default")


class SecretForm(FlaskForm):
    key = PasswordField("New key", [DataRequired("Paste the key."), Length(max=LONGEST_KEY), PLAIN], filters=[trim])


def _end_of(day: date | None, zone: ZoneInfo) -> datetime | None:
    """The first moment after this day there."""
    return datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC) if day else None
