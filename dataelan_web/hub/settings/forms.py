"""The form of the hub's settings."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import SelectField
from wtforms.validators import ValidationError

from ...fields import offered
from ...models import KeyStrategy, UnknownPrice
from ..fields import UsdField


class HubSettingsForm(FlaskForm):
    key_strategy = SelectField("Whose keys", choices=offered((one.value, one.value) for one in KeyStrategy))
    unknown_price = SelectField("Unknown prices", choices=offered((one.value, one.value) for one in UnknownPrice))
    unknown_price_ceiling = UsdField("Count such a call as, in USD")

    def validate_unknown_price_ceiling(self, field: UsdField) -> None:
        if self.unknown_price.data == UnknownPrice.CEILING and field.data is None and not field.errors:
            raise ValidationError("Enter what one such call may cost at most.")
