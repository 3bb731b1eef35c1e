"""The composer's form: what every type of session has in common. Its kinds are in chat_form.py and media_forms.py."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, ClassVar

from flask_wtf import FlaskForm
from flask_wtf.file import MultipleFileField
from wtforms import HiddenField, SelectMultipleField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length, ValidationError

from .. import access
from ..executions import branches
from ..extensions import db
from ..fields import trim
from ..models import Asset, ModelType, PromptSession
from ..router.types import Message, Part, Prompt, Task, TextPart
from . import uploads
from .uploads import Refused, Upload

LONGEST = 2 * 1024 * 1024
"""Bytes of one prompt: more than any model's context window holds."""


def bounded(value: int | Decimal | None) -> int | Decimal | None:
    """NumberRange makes a float of it, which neither 400 digits nor every kind of NaN survive: -1 is refused too."""
    if isinstance(value, Decimal) and not value.is_finite():
        return Decimal(-1)
    return max(min(value, 2**31), -1) if value is not None else None


class PromptForm(FlaskForm):
    """Subclasses add the settings of their task, and say which of them the session remembers."""

    REMEMBERED: ClassVar[tuple[str, ...]] = ("model",)
    PLACEHOLDER: ClassVar[str] = "Ask something…"
    NEEDS_TEXT: ClassVar[bool] = True
    """Are files alone no prompt?"""

    text = TextAreaField("Prompt")
    model = StringField("Model", [Length(max=200)], default="auto")
    files = MultipleFileField("Files")
    references = SelectMultipleField("References", validate_choice=False)
    """Assets of this project to use once more, by id."""
    submission = HiddenField()
    """Made anew with each rendered form: a double click or a re-sent request is one execution."""
    continues = HiddenField()
    """The last run of the branch that was shown."""

    def __init__(self, session: PromptSession, **values: Any) -> None:
        self.session = session
        self.uploads: list[Upload] = []
        self.referenced: list[Asset] = []
        super().__init__(**values)

    def validate_files(self, field: Any) -> None:
        ids = list(_ids(self.references.data or ()))
        self.referenced = _assets(self.session, ids)
        if len(self.referenced) < len(self.references.data or ()):
            raise ValidationError("A file that was chosen is no longer there. Remove it, and choose another.")
        try:
            self.uploads = uploads.read(field.data or (), self.referenced, self.session.model_type)
        except Refused as refused:
            raise ValidationError(str(refused)) from None

    def validate_text(self, field: Any) -> None:
        if not (field.data or "").strip() and (self.NEEDS_TEXT or not self.has_files):
            raise ValidationError("Write a prompt first.")
        size = len((field.data or "").encode())
        if size > LONGEST:
            raise ValidationError(
                f"This prompt has {size / 1_048_576:.1f} MB; the most is {LONGEST // 1_048_576} MB."
                " Shorten it, or split it into several prompts."
            )
        field.data = (field.data or "").replace("\x00", "").replace("\r\n", "\n")

    @property
    def continued(self) -> uuid.UUID | None:
        """The run to go on from: what came of the branch that was shown, whoever went on with it meanwhile."""
        shown = next(_ids([self.continues.data or ""]), None)
        return (branches.end_of(self.session, shown) if shown else None) or branches.newest(self.session)

    @property
    def has_files(self) -> bool:
        return bool(self.files.data or self.references.data)

    @property
    def media_types(self) -> list[str]:
        """Of all files that come along; known once the form was checked."""
        return [file.media_type for file in self.uploads] + [asset.media_type for asset in self.referenced]

    @property
    def task(self) -> Task:
        return Task.CHAT

    @property
    def requested(self) -> str:
        """What is to answer: a model's name, a rule's name, or `auto`."""
        return self.model.data or "auto"

    @property
    def settings(self) -> dict[str, Any]:
        """What the composer should remember for the next prompt."""
        values = {name: self[name].data for name in self.REMEMBERED}
        return {name: float(value) if isinstance(value, Decimal) else value for name, value in values.items()}

    def media(self) -> dict[str, Any]:
        """The task's own options (see the table in router/prompt.py)."""
        return {}

    def prompt(self, parts: Sequence[Part], earlier: tuple[Message, ...] = ()) -> Prompt:
        """`parts`: the files that come along."""
        options = {name: value for name, value in self.media().items() if value not in (None, "", False)}
        return Prompt(messages=(self.asked(parts),), task=self.task, media=options)

    def asked(self, parts: Sequence[Part]) -> Message:
        """The files before the words that speak of them, as models like it best."""
        text = str(self.text.data or "")
        return Message("user", (*parts, *((TextPart(text),) if text.strip() else ())))


def _ids(texts: Sequence[str]) -> Iterator[uuid.UUID]:
    for text in texts[: uploads.MOST + 1]:
        try:
            yield uuid.UUID(text)
        except ValueError:
            continue


def _assets(session: PromptSession, ids: Sequence[uuid.UUID]) -> list[Asset]:
    """Files of the session's own project, in this order; one that is not there is left out."""
    query = access.scoped(Asset).where(Asset.project_id == session.project_id, Asset.id.in_(ids))
    found = {asset.id: asset for asset in db.session.scalars(query)} if ids else {}
    return [found[id] for id in ids if id in found]


class SessionForm(FlaskForm):
    title = StringField("Title", [Length(max=200)], filters=[trim])
    model_type = StringField("Type", default=ModelType.TEXT.value)
    text = TextAreaField("Prompt")
    model = StringField("Model", [Length(max=200)], default="auto")

    def validate_model_type(self, field: Any) -> None:
        if field.data and field.data not in list(ModelType):
            raise ValidationError("There are sessions for text, code, images, voice and video.")


class RewordForm(FlaskForm):
    """A prompt in other words, as a branch beside the first."""

    text = TextAreaField("Prompt", [DataRequired("Write a prompt first.")])
    submission = HiddenField()

    def validate_text(self, field: Any) -> None:
        if len(field.data.encode()) > LONGEST:
            raise ValidationError(f"The most is {LONGEST // 1_048_576} MB. Shorten it.")
        field.data = field.data.replace("\x00", "").replace("\r\n", "\n")


class TitleForm(FlaskForm):
    title = StringField("Title", [DataRequired("A session needs a title."), Length(max=200)], filters=[trim])
