from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import BooleanField, IntegerField, SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length, Optional

from ..fields import offered, trim
from ..models import CheckKind
from ..playground.chat_form import ChatSettings
from ..playground.forms import bounded
from .scores import NAMES


class NewForm(FlaskForm, ChatSettings):
    """The file is not a field: what was wrong with it is told in words, and static/kept_file.js keeps it."""

    name = StringField("Name", [Length(max=200)], filters=[trim])
    prompt = SelectField("Prompt", validate_choice=False)
    text = TextAreaField("Prompt", [Length(max=200_000)], filters=[trim])
    pasted = TextAreaField("Or paste rows", [Length(max=3_000_000)])


class SetupForm(FlaskForm):
    name = StringField("Name", [DataRequired("A batch needs a name."), Length(max=200)], filters=[trim])
    said = StringField(validators=[Length(max=200)])
    expected = StringField(validators=[Length(max=200)])
    at_once = IntegerField("At once", [Optional()], filters=[bounded])


class CheckForm(FlaskForm):
    kind = SelectField("How", choices=offered((kind.value, NAMES[kind]) for kind in CheckKind))
    text = TextAreaField("What to look for", [Length(max=50_000)])
    loosely = BooleanField("Capitals, spaces and end marks do not count", default=True)
    judge = StringField("The model that judges", [Length(max=200)])
