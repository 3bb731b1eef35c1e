"""Forms of providers of an organization's own."""

from __future__ import annotations

import re

from flask_wtf import FlaskForm
from genai_prices import data_snapshot
from wtforms import BooleanField, PasswordField, SelectField, StringField
from wtforms.validators import DataRequired, Length, ValidationError

from ...fields import offered, trim
from ..fields import LONGEST_KEY, PLAIN
from .wire_formats import FORMATS


class ProviderForm(FlaskForm):
    """To connect a provider. `pattern` is the slug of the fixture's row it was started from, if any."""

    name = StringField("Name", [DataRequired("Give it a name."), Length(max=190)], filters=[trim])
    kind = SelectField(
        "Wire format", default="openai", choices=lambda: offered((one.kind, one.name) for one in FORMATS)
    )
    base_url = StringField("Address", [DataRequired("Enter its address."), Length(max=500)], filters=[trim])
    key = PasswordField("Key", [Length(max=LONGEST_KEY), PLAIN], filters=[trim])
    catalogue = SelectField("Prices", default="", choices=lambda: offered(catalogues()))
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


def catalogues() -> list[tuple[str, str]]:
    known = sorted((one.name, one.id) for one in data_snapshot.get_snapshot().providers)
    return [("", "None"), *((id, name) for name, id in known)]
