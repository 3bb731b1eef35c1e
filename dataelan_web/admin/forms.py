from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import PasswordField, RadioField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]
from wtforms.validators import DataRequired, Length

from ..accounts.forms import CURRENT
from ..fields import trim
from ..models import Mode

MODES = [
    SelectChoice(Mode.OPEN.value, "Open"),
    SelectChoice(Mode.READ_ONLY.value, "Read-only"),
    SelectChoice(Mode.MAINTENANCE.value, "Maintenance"),
]


class SuperuserForm(FlaskForm):
    current = PasswordField("Your password", CURRENT, id="superuser-current")


class ActingForm(FlaskForm):
    reason = StringField(
        "Why", [DataRequired("They are told why: say it in a sentence."), Length(max=300)], filters=[trim]
    )
    current = PasswordField("Your password", CURRENT, id="acting-current")


class ModeForm(FlaskForm):
    mode = RadioField("Dataelan is", choices=MODES)
    words = TextAreaField("What people are told", [Length(max=500)], filters=[trim])
