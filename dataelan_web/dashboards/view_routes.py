"""Named views: saving what is shown now, and the page on which they are kept: `/o/<slug>/dashboard/views`."""

from __future__ import annotations

import uuid

from flask import Response, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from .. import access, place
from ..models import SavedView
from ..once import done_once
from ..web import redirect, render, toast, wants_fragment, with_toast
from . import controls, saved
from .routes import bp
from .view_forms import FULL, TAKEN, NameForm, SaveForm


@bp.get("/dashboard/views")
def views() -> Response:
    return _page()


@bp.post("/dashboard/views")
@done_once()
def save_view() -> AnyResponse:
    form = SaveForm()
    if not form.validate_on_submit():
        return render("dashboards/save_view.html", "form", 422, form=form)
    if form.is_default.data:
        access.require(access.ADMINISTER)
    view = saved.save(
        str(form.name.data), str(form.page.data), form.address, shared=form.shares, instead=form.instead
    )  # fmt: skip
    if form.is_default.data:
        saved.open_first(view, True)
    toast(f"Saved as “{view.name}”.", "good")
    return redirect(saved.url_of(view))


@bp.post("/dashboard/views/<uuid:id>/name")
def rename_view(id: uuid.UUID) -> AnyResponse:
    view, form = saved.changeable(id), NameForm()
    if not (form.validate_on_submit() and form.is_free_for(view)):
        return _page(422, renamed=view, form=form)
    saved.rename(view, str(form.name.data))
    return _done(f"It is called “{view.name}” now.", "good")


@bp.post("/dashboard/views/<uuid:id>/sharing")
def share_view(id: uuid.UUID) -> AnyResponse:
    """`on`: with everyone; else it is the author's alone again."""
    view = saved.changeable(id)
    access.require(access.ADMINISTER)
    is_on = bool(request.form.get("on"))
    if problem := _stands_against(view, is_on):
        return with_toast(_page(422), problem, "danger")
    saved.share(view, is_on)
    said = f"Everyone sees “{view.name}” now." if is_on else f"Only its author sees “{view.name}” now."
    return _done(said, "good")


@bp.post("/dashboard/views/<uuid:id>/default")
def open_view_first(id: uuid.UUID) -> AnyResponse:
    """`on`: the dashboard opens with it; else with none."""
    view = saved.changeable(id)
    access.require(access.ADMINISTER)
    is_on = bool(request.form.get("on"))
    if problem := _stands_against(view, view.is_shared or is_on):
        return with_toast(_page(422), problem, "danger")
    saved.open_first(view, is_on)
    said = f"The dashboard opens with “{view.name}” now." if is_on else "The dashboard opens without filters now."
    return _done(said, "good")


@bp.post("/dashboard/views/<uuid:id>/deletion")
def delete_view(id: uuid.UUID) -> AnyResponse:
    view = saved.changeable(id)
    name = view.name
    saved.delete(view)
    return _done(f"“{name}” is in the trash.", undo=place.undo_url("view", id))


def _stands_against(view: SavedView, shared: bool) -> str:
    """Why it cannot be among those that are shared, or among its author's."""
    if view.is_shared == shared:
        return ""
    if saved.of_the_same_name(view.name, shared=shared, but=view):
        return TAKEN
    return FULL if saved.is_full(shared=shared) else ""


def _done(said: str, tone: str = "neutral", undo: str = "") -> AnyResponse:
    if wants_fragment():
        return with_toast(_page(), said, tone, undo)
    toast(said, tone, undo)
    return redirect(url_for("dashboards.views"))


def _page(status: int = 200, renamed: SavedView | None = None, form: NameForm | None = None) -> Response:
    can_share = access.may(access.ADMINISTER)
    return render(
        "dashboards/views.html", "views", status, views=saved.seen(), url_of=saved.url_of, tabs=dict(controls.TABS),
        renamed=renamed, form=form, can_share=can_share,
    )  # fmt: skip
