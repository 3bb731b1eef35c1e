from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

from flask_wtf import FlaskForm
from genai_prices import data_snapshot
from wtforms import BooleanField, DateField, Field, IntegerField, PasswordField, SelectField, StringField
from wtforms.validators import DataRequired, Length, NumberRange, Optional, Regexp, ValidationError
from wtforms.widgets import TextArea, TextInput

from ..fields import trim
from ..models import NANO, APIKey, KeyStrategy, UnknownPrice
from .keys import KeySettings
from .wire_formats import FORMATS

# It travels in an HTTP header, which holds nothing else.
PLAIN = Regexp(r"[!-~]*\Z", message="A key has plain letters, digits and signs only: something else was pasted along.")
MOST_USD = 1_000_000
HEAVIEST = 1_000
LAST_YEAR = 2999


class UsdField(Field):
    """An amount of US dollars; `data` is whole nano-USD, or None for an empty field."""

    widget = TextInput()

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else f"{Decimal(self.data) / NANO:f}"

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        text = valuelist[0].strip().removeprefix("$").replace(",", "") if valuelist else ""
        self.data = None
        if not text:
            return
        try:
            nano = Decimal(text) * NANO
        except ArithmeticError as error:
            raise ValueError("Enter an amount in USD, such as 2.50.") from error
        if not nano.is_finite() or not 0 <= nano <= MOST_USD * NANO or nano != int(nano):
            raise ValueError(f"Enter an amount between 0 and {MOST_USD:,} USD, with nine decimals at most.")
        self.data = int(nano)


class NamesField(Field):
    """Names between commas, spaces or line ends; `data` is a list of them, each once."""

    widget = TextArea()  # type: ignore[assignment]

    def _value(self) -> str:
        return str(self.raw_data[0]) if self.raw_data else "\n".join(self.data or [])

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        names = re.split(r"[\s,]+", valuelist[0]) if valuelist else []
        self.data = list(dict.fromkeys(name for name in names if name))


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
        last_day = (key.expires_at - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)) if key.expires_at else None
        return cls(
            formdata=None,
            known_models=known_models,
            zone=zone,
            label=key.label,
            weight=key.weight,
            daily_quota=key.daily_quota,
            allowed_models=key.allowed_models,
            expires_on=last_day.date() if last_day else None,
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
    key = PasswordField("Key", [DataRequired("Paste the key."), Length(max=1000), PLAIN], filters=[trim])
    is_default = BooleanField("Use it before the others")


class SecretForm(FlaskForm):
    key = PasswordField("New key", [DataRequired("Paste the key."), Length(max=1000), PLAIN], filters=[trim])


class ProviderForm(FlaskForm):
    """To connect a provider. `pattern` is the slug of the fixture's row it was started from, if any."""

    name = StringField("Name", [DataRequired("Give it a name."), Length(max=190)], filters=[trim])
    kind = SelectField("Wire format", default="openai", choices=lambda: [(one.kind, one.name) for one in FORMATS])
    base_url = StringField("Address", [DataRequired("Enter its address."), Length(max=500)], filters=[trim])
    key = PasswordField("Key", [Length(max=1000), PLAIN], filters=[trim])
    catalogue = SelectField("Prices", default="", choices=lambda: catalogues())
    has_no_list = BooleanField("It has no list of models")
    pattern = StringField("Pattern")
    session_id = StringField("Session")

    def validate_base_url(self, field: StringField) -> None:
        if found := re.search(r"{(\w+)}", field.data or ""):
            raise ValidationError(f"Put your own {found[1]} in place of {found[0]}.")


class ProviderSettingsForm(FlaskForm):
    name = StringField("Name", [DataRequired("Give it a name."), Length(max=200)], filters=[trim])
    base_url = StringField("Address", [DataRequired("Enter its address."), Length(max=500)], filters=[trim])
    is_enabled = BooleanField("In use")
    gives_up_keys = BooleanField("Change the address all the same; I will enter the keys again")


class HubSettingsForm(FlaskForm):
    key_strategy = SelectField("Whose keys", choices=[(one.value, one.value) for one in KeyStrategy])
    unknown_price = SelectField("Unknown prices", choices=[(one.value, one.value) for one in UnknownPrice])
    unknown_price_ceiling = UsdField("Count such a call as, in USD")

    def validate_unknown_price_ceiling(self, field: UsdField) -> None:
        if self.unknown_price.data == UnknownPrice.CEILING and field.data is None and not field.errors:
            raise ValidationError("Enter what one such call may cost at most.")


def catalogues() -> list[tuple[str, str]]:
    known = sorted((one.name, one.id) for one in data_snapshot.get_snapshot().providers)
    return [("", "None"), *((id, name) for name, id in known)]


def _end_of(day: date | None, zone: ZoneInfo) -> datetime | None:
    """The first moment after this day there."""
    return datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC) if day else None
