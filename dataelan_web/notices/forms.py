from __future__ import annotations

from typing import Any

from flask_wtf import FlaskForm
from wtforms import SelectMultipleField, StringField
from wtforms.validators import DataRequired, Length, ValidationError
from wtforms.widgets import CheckboxInput, ListWidget

from ..fields import offered, trim
from ..models import Webhook
from ..notify.kinds import FOR_PROGRAMS, MAILED
from ..notify.posting import LONGEST


class KindsField(SelectMultipleField):
    """Some kinds of notices, each with a box to tick."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()


class MailForm(FlaskForm):
    """Which kinds one wants by mail."""

    kinds = KindsField("By mail", choices=offered((key, kind.name) for key, kind in MAILED.items()))


class WebhookForm(FlaskForm):
    label = StringField("Name", [DataRequired("Give it a name."), Length(max=200)], filters=[trim])
    url = StringField("Address", [DataRequired("Enter its address."), Length(max=LONGEST)], filters=[trim])
    events = KindsField(
        "What it is told",
        choices=offered((key, kind.name) for key, kind in FOR_PROGRAMS.items()),
        default=list(FOR_PROGRAMS),
    )

    def validate_events(self, field: KindsField) -> None:
        """Not DataRequired, which makes a browser ask for every single box."""
        if not field.data:
            raise ValidationError("Choose at least one.")

    @classmethod
    def of(cls, webhook: Webhook) -> WebhookForm:
        events = webhook.events or list(FOR_PROGRAMS)
        return cls(formdata=None, label=webhook.label, url=webhook.url, events=events)

    def wanted(self) -> list[str]:
        """Empty where it is all: then those of a later version too."""
        chosen: list[Any] = self.events.data or []
        return [] if set(chosen) == set(FOR_PROGRAMS) else chosen
