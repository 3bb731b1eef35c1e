"""The form of a declared action. What was typed stays in the fields; `draft` is what was understood of it."""

from __future__ import annotations

import json
import re
from typing import Any

from flask_wtf import FlaskForm
from wtforms import RadioField, SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length, ValidationError

from ..acting.declaring import MOST_REPAIRS, Draft
from ..acting.schemas import BadSchema, check, problem
from ..fields import offered, trim
from ..models import ActionVersion, Approval
from ..notify.posting import LONGEST as LONGEST_ADDRESS
from ..router.actions import read_json

LONGEST = 100_000
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
"""What OpenAI, Anthropic and Google all take as the name of a tool."""
SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "description": "One line", "maxLength": 120},
        "priority": {"enum": ["low", "normal", "high"]},
    },
    "required": ["title", "priority"],
    "additionalProperties": False,
}
SAMPLE = {"title": "The printer is on fire", "priority": "high"}


class ActionForm(FlaskForm):
    name = StringField("Name", [DataRequired("Give it a name.")], filters=[trim])
    description = TextAreaField(
        "What it does", [DataRequired("Say what it does: the model decides by it."), Length(max=2000)], filters=[trim]
    )
    schema = TextAreaField(
        "Arguments, as a JSON Schema", [DataRequired("Describe its arguments."), Length(max=LONGEST)]
    )
    sample = TextAreaField("Sample arguments", [DataRequired("Write an example."), Length(max=LONGEST)])
    delivery = RadioField(
        "Delivery", choices=offered([("none", "None"), ("webhook", "Signed webhook")]), default="webhook"
    )
    url = StringField("Address", [Length(max=LONGEST_ADDRESS)], filters=[trim])
    approval = RadioField(
        "Approval", choices=offered((one.value, one.value) for one in Approval), default=Approval.EDITORS.value
    )
    repairs = SelectField(
        "Repairs",
        choices=offered((str(n), f"At most {n}" if n else "None") for n in range(MOST_REPAIRS + 1)),
        default="1",
    )

    def validate_name(self, field: Any) -> None:
        if not NAME.fullmatch(field.data or ""):
            raise ValidationError("A letter, then letters, digits, _ and -, 64 in all: create_ticket.")

    def validate_schema(self, field: Any) -> None:
        try:
            check(_json(field.data))
        except BadSchema as error:
            raise ValidationError(str(error)) from None

    def validate_sample(self, field: Any) -> None:
        given = _json(field.data)
        if not isinstance(given, dict):
            raise ValidationError('An object, such as {"title": "…"}.')
        try:
            schema = _json(self.schema.data)
            check(schema)
        except (BadSchema, ValidationError):
            return  # is said at the schema
        try:
            wrong = problem(schema, given)
        except BadSchema as error:  # in a place that nothing but such arguments lead to
            raise ValidationError(str(error)) from None
        if wrong:
            raise ValidationError(f"It does not fit the schema. {wrong}")

    def validate_url(self, field: Any) -> None:
        if self.delivery.data == "webhook" and not field.data:
            raise ValidationError("Enter the address that is told, or choose no delivery.")

    @property
    def draft(self) -> Draft:
        """Of a form that was validated."""
        return Draft(
            name=str(self.name.data),
            description=str(self.description.data),
            schema=_json(self.schema.data),
            sample=_json(self.sample.data),
            url=str(self.url.data) if self.delivery.data == "webhook" else "",
            approval=Approval(self.approval.data),
            most_repairs=int(self.repairs.data),
        )

    @classmethod
    def new(cls) -> ActionForm:
        return cls(formdata=None, schema=_text(SCHEMA), sample=_text(SAMPLE))

    @classmethod
    def of(cls, version: ActionVersion) -> ActionForm:
        return cls(
            formdata=None,
            name=version.name,
            description=version.description,
            schema=_text(version.schema),
            sample=_text(version.sample),
            delivery="webhook" if version.url else "none",
            url=version.url,
            approval=version.approval.value,
            repairs=str(version.most_repairs),
        )


def _json(text: str | None) -> Any:
    """Raises ValidationError, with the place."""
    try:
        return read_json(text or "", LONGEST)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ValidationError(f"This is not JSON: {error.msg} in {where}.") from None
    except ValueError as error:
        raise ValidationError(f"This is not JSON that can be used: {error}.") from None


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
