from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length


def _trim(value: str | None) -> str | None:
    return value.strip() if value else value


class ProjectForm(FlaskForm):
    name = StringField("Name", [DataRequired("A project needs a name."), Length(max=200)], filters=[_trim])
    description = TextAreaField("What is it for?", [Length(max=2000)], filters=[_trim])


class TokenForm(FlaskForm):
    label = StringField("What is it for?", [DataRequired("Name the program."), Length(max=200)], filters=[_trim])
    expires_in = SelectField(
        "Expires", choices=[("", "Never"), ("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year")]
    )
