from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import PasswordField, RadioField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length

from ..accounts.forms import CURRENT
from ..fields import offered, trim
from ..models import Mode

MODES = {Mode.OPEN: "Open", Mode.READ_ONLY: "Read-only", Mode.MAINTENANCE: "Maintenance"}


class SuperuserForm(FlaskForm):
    current = PasswordField("Your password", CURRENT, id="superuser-current")


class ActingForm(FlaskForm):
    reason = StringField(
        "Why", [DataRequired("They are told why: say it in a sentence."), Length(max=300)], filters=[trim]
    )
    current = PasswordField("Your password", CURRENT, id="acting-current")


class ModeForm(FlaskForm):
    mode = RadioField("Dataelan is", choices=offered((one.value, label) for one, label in MODES.items()))
    words = TextAreaField("What people are told", [Length(max=500)], filters=[trim])
