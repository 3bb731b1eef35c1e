from __future__ import annotations

from decimal import Decimal
from typing import Any

from flask_wtf import FlaskForm
from wtforms import DecimalField, SelectField, StringField
from wtforms.validators import DataRequired, Length, NumberRange, Optional

from ..fields import trim
from ..models import NANO
from ..projects.forms import TokenForm

LARGEST = 1_000_000_000


class AccountForm(FlaskForm):
    name = StringField("Name", [DataRequired("Name the program."), Length(max=100)], filters=[trim])
    description = StringField("What does it do?", [Length(max=200)], filters=[trim])


class ServiceTokenForm(TokenForm):
    project = SelectField("Project")
    budget = DecimalField(
        "Limit a month, in USD",
        [Optional(), NumberRange(Decimal("0.000001"), LARGEST, "Enter an amount of money above nothing.")],
    )

    def __init__(self, *args: Any, projects: list[tuple[str, str]], **options: Any):
        super().__init__(*args, **options)
        self.project.choices = projects

    @property
    def limit(self) -> int | None:
        """Nano-USD."""
        return int(self.budget.data * NANO) if self.budget.data is not None else None
