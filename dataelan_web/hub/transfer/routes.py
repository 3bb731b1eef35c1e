"""The hub's set-up out and in: export as YAML, import of that and of LiteLLM's files."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Response as FlaskResponse
from flask import g, make_response
from flask_login import current_user
from flask_wtf import FlaskForm
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response
from wtforms import FileField, RadioField, TextAreaField

from ... import access
from ...fields import offered
from ...once import done_once
from ...web import render, toast
from ..blueprint import bp
from . import document, importing, litellm, portable
from .document import BadDocument

FORMATS = [("dataelan", "Dataelan’s own export"), ("litellm", "A LiteLLM config.yaml")]


class ImportForm(FlaskForm):
    format = RadioField("What it is", choices=offered(FORMATS), default="dataelan")
    text = TextAreaField("The file’s text")
    file = FileField("Or the file")

    @property
    def content(self) -> str:
        """Of the file, or else of the text. Raises BadDocument."""
        file = self.file.data
        if not isinstance(file, FileStorage) or not file.filename:
            return str(self.text.data or "")
        try:
            content: bytes = file.read(4 * document.LARGEST + 1)
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadDocument("It is no text file.") from error


@bp.get("/hub/transfer")
def transfer() -> Response:
    access.require(access.ADMINISTER)
    return _page(ImportForm(formdata=None))


@bp.get("/hub/export.yaml")
def export() -> Response:
    access.require(access.ADMINISTER)
    text = document.write(portable.export(g.organization))
    response = make_response(text)
    response.mimetype = "application/yaml"
    name = f"dataelan-{g.organization.slug}-{datetime.now(UTC):%Y-%m-%d}.yaml"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Content-Security-Policy"] = "sandbox"
    return response


@bp.post("/hub/import/preview")
def preview_import() -> Response:
    """What an import would do; saves nothing."""
    return _import(only_try=True)


@bp.post("/hub/import")
@done_once()
def import_hub() -> Response:
    return _import(only_try=False)


def _import(*, only_try: bool) -> Response:
    access.require(access.ADMINISTER)
    form = ImportForm()
    if not form.validate_on_submit():
        return _page(form, 422)
    try:
        form.text.data = text = form.content
        translated = litellm.translate(text) if form.format.data == "litellm" else None
        wanted = translated.document if translated else document.read(text)
    except BadDocument as problem:
        form.text.errors = [str(problem)]
        return _page(form, 422)
    report = importing.bring_in(wanted, g.organization, current_user, only_try=only_try)
    if translated:
        for line in translated.left:
            report.left(*_split(line))
    if not only_try:
        form.text.data = ""  # it may hold keys, and need not be seen again
        toast("Imported. What was left out is told below.", "good")
    return _page(form, report=report, is_preview=only_try)


def _split(line: str) -> tuple[str, str]:
    subject, _, why = line.partition(": ")
    return subject, why


def _page(form: ImportForm, status: int = 200, **context: Any) -> FlaskResponse:
    return render("hub/transfer.html", status=status, form=form, **context)
