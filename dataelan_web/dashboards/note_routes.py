"""Notes of what happened, written from a form over the dashboard: `/o/<slug>/dashboard/notes`."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from flask import Response, g, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import DateTimeLocalField, SelectField, StringField
from wtforms.validators import DataRequired, Length, ValidationError

from .. import access, place
from ..fields import offered, trim
from ..models import Annotation, Happening, now
from ..once import done_once
from ..web import asked_from, redirect, render, toast
from . import noting
from .routes import bp

LONGEST = 200
EARLIEST, AHEAD = 2000, timedelta(days=366)


class NoteForm(FlaskForm):
    at = DateTimeLocalField("When", [DataRequired("Say when: a day and a time.")], format=["%Y-%m-%dT%H:%M"])
    kind = SelectField("What", choices=offered((one.value, said) for one, (said, _, _) in noting.KINDS.items()))
    text = StringField(
        "In words",
        [DataRequired("Say what happened."), Length(max=LONGEST, message=f"A note has {LONGEST} letters at most.")],
        filters=[trim],
    )

    @property
    def time(self) -> datetime:
        return self.at.data.replace(tzinfo=zone())  # type: ignore[union-attr]

    def validate_at(self, field: DateTimeLocalField) -> None:
        if self.time.year < EARLIEST or self.time > now() + AHEAD:
            raise ValidationError(f"Choose a time after the year {EARLIEST}, and a year ahead at most.")


def zone() -> ZoneInfo:
    return ZoneInfo(g.organization.time_zone)


@bp.get("/dashboard/notes/new")
def new_note() -> Response:
    access.require(access.EDIT)
    return _form(NoteForm(at=now().astimezone(zone())))


@bp.post("/dashboard/notes")
@done_once()
def write_note() -> AnyResponse:
    access.require(access.EDIT)
    form = NoteForm()
    if not form.validate_on_submit():
        return _form(form, status=422)
    note = noting.write(form.time, Happening(form.kind.data), str(form.text.data))
    return _back(f"Noted at {note.at.astimezone(zone()):%-d %b %Y %H:%M}, on every chart of that time.")


@bp.get("/dashboard/notes/<uuid:id>")
def show_note(id: uuid.UUID) -> Response:
    note = access.editable(Annotation, id)
    return _form(NoteForm(at=note.at.astimezone(zone()), kind=note.kind.value, text=note.text), note)


@bp.post("/dashboard/notes/<uuid:id>")
def change_note(id: uuid.UUID) -> AnyResponse:
    note, form = access.editable(Annotation, id), NoteForm()
    if not form.validate_on_submit():
        return _form(form, note, 422)
    noting.change(note, form.time, Happening(form.kind.data), str(form.text.data))
    return _back("The note is changed.")


@bp.post("/dashboard/notes/<uuid:id>/deletion")
def delete_note(id: uuid.UUID) -> AnyResponse:
    noting.delete(access.editable(Annotation, id))
    return _back("The note is in the trash.", "neutral", place.undo_url("note", id))


def _form(form: NoteForm, note: Annotation | None = None, status: int = 200) -> Response:
    """In a dialog; what was refused is the form alone, in the dialog that is open."""
    fragment = "form" if request.method == "POST" else "dialog"
    return render("dashboards/note.html", fragment, status, form=form, note=note, zone=zone().key)


def _back(said: str, tone: str = "good", undo: str = "") -> AnyResponse:
    toast(said, tone, undo)
    here = asked_from()
    return redirect(here if "/dashboard" in here and "/notes" not in here else url_for("dashboards.show", range="30d"))
