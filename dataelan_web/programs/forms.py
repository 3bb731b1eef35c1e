from __future__ import annotations

from typing import Any

from flask_wtf import FlaskForm
from wtforms import SelectField, StringField
from wtforms.validators import DataRequired, Length, ValidationError

from ..fields import offered, trim
from ..hub.fields import UsdField
from ..projects.forms import TokenForm


class AccountForm(FlaskForm):
    name = StringField("Name", [DataRequired("Name the program."), Length(max=100)], filters=[trim])
    description = StringField("What does it do?", [Length(max=200)], filters=[trim])


class ServiceTokenForm(TokenForm):
    project = SelectField("Project")
    budget = UsdField("Limit a month, in USD")

    def __init__(self, *args: Any, projects: list[tuple[str, str]], **options: Any):
        super().__init__(*args, **options)
        self.project.choices = offered(projects)

    def validate_budget(self, field: UsdField) -> None:
        if field.data == 0:
            raise ValidationError("Enter an amount of money above nothing.")
