from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length, ValidationError

from ..fields import lower, trim
from . import pasting


class TemplateForm(FlaskForm):
    name = StringField("Name", [DataRequired("A prompt needs a name."), Length(max=200)], filters=[trim])
    description = TextAreaField("What is it for?", [Length(max=2000)], filters=[trim])


class NewForm(TemplateForm):
    """From nothing, from an example, from a run of a session, or from what was pasted."""

    example = HiddenField()
    execution = HiddenField()
    with_conversation = BooleanField("With the conversation before it")
    pasted = TextAreaField(
        "Paste one",
        [Length(max=2_000_000)],
        description="A request to OpenAI’s API as JSON, its messages alone, or plain words. {{names}} are variables.",
    )

    def validate_pasted(self, field: TextAreaField) -> None:
        try:
            pasting.read(field.data or "")
        except ValueError as problem:
            raise ValidationError(str(problem)) from None


class SettingsForm(TemplateForm):
    called = StringField(
        "What programs call it",
        [DataRequired("Programs need a name for it."), Length(max=60)],
        filters=[lower],
        description="Programs that use the old one are refused from then on.",
    )


class CaseForm(FlaskForm):
    name = StringField("Name", [DataRequired("Give the case a name."), Length(max=200)], filters=[trim])
    said = TextAreaField("What a person says", [Length(max=100_000)])
    expected = TextAreaField("The answer that is hoped for", [Length(max=100_000)], filters=[trim])


class ChangeForm(FlaskForm):
    """What is published or proposed, and in which words."""

    source = HiddenField()
    seen = HiddenField()
    digest = HiddenField()
    """Of what was shown: the draft may be another by now, from another window."""
    message = TextAreaField("What changed, and why?", [Length(max=2000)], filters=[trim])
    label = StringField("Then let this label stand for it", [Length(max=40)], filters=[lower])
