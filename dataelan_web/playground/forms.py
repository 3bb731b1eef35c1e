from __future__ import annotations

from decimal import Decimal
from typing import Any

from flask_wtf import FlaskForm
from wtforms import DecimalField, HiddenField, IntegerField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length, NumberRange, Optional, ValidationError

from ..fields import trim
from ..models import ModelType, PromptSession
from ..router.types import Message, Prompt, system, user

LONGEST = 2 * 1024 * 1024
"""Bytes of one prompt: more than any model's context window holds."""


def _bounded(value: int | Decimal | None) -> int | Decimal | None:
    """NumberRange makes a float of it, which neither 400 digits nor every kind of NaN survive: -1 is refused too."""
    if isinstance(value, Decimal) and not value.is_finite():
        return Decimal(-1)
    return max(min(value, 10**9), -1) if value is not None else None


class PromptForm(FlaskForm):
    text = TextAreaField("Prompt")
    model = StringField("Model", [Length(max=200)], default="auto")
    system = TextAreaField("System prompt", [Length(max=100_000)], filters=[trim])
    max_tokens = IntegerField(
        "Max tokens",
        [Optional(), NumberRange(1, 1_000_000, "A number from 1 to 1,000,000, or leave it empty.")],
        filters=[_bounded],
    )
    temperature = DecimalField(
        "Temperature",
        [Optional(), NumberRange(0, 2, "A number from 0 to 2, or leave it empty.")],
        filters=[_bounded],
    )
    submission = HiddenField()
    """Made anew with each rendered form: a double click or a re-sent request is one execution."""

    def validate_text(self, field: Any) -> None:
        if not (field.data or "").strip():
            raise ValidationError("Write a prompt first.")
        size = len(field.data.encode())
        if size > LONGEST:
            raise ValidationError(
                f"This prompt has {size / 1_048_576:.1f} MB; the most is {LONGEST // 1_048_576} MB."
                " Shorten it, or split it into several prompts."
            )
        field.data = field.data.replace("\x00", "").replace("\r\n", "\n")

    @property
    def settings(self) -> dict[str, Any]:
        """What the composer should remember for the next prompt."""
        temperature = self.temperature.data
        return {
            "model": self.model.data or "auto",
            "system": self.system.data or "",
            "max_tokens": self.max_tokens.data,
            "temperature": float(temperature) if temperature is not None else None,
        }

    def prompt(self, earlier: tuple[Message, ...] = ()) -> Prompt:
        settings = self.settings
        instructions = (system(settings["system"]),) if settings["system"] else ()
        return Prompt(
            messages=(*instructions, *earlier, user(str(self.text.data))),
            max_tokens=settings["max_tokens"],
            temperature=settings["temperature"],
        )


class SessionForm(FlaskForm):
    title = StringField("Title", [Length(max=200)], filters=[trim])
    model_type = StringField("Type", default=ModelType.TEXT.value)
    text = TextAreaField("Prompt")
    model = StringField("Model", [Length(max=200)], default="auto")

    def validate_model_type(self, field: Any) -> None:
        if field.data and field.data not in (ModelType.TEXT, ModelType.CODE):
            raise ValidationError("Sessions of this type cannot be run yet.")


class TitleForm(FlaskForm):
    title = StringField("Title", [DataRequired("A session needs a title."), Length(max=200)], filters=[trim])


def remembered(session: PromptSession) -> dict[str, Any]:
    """The composer's fields as the session's last prompt left them."""
    return {name: session.settings.get(name) for name in ("model", "system", "max_tokens", "temperature")}
