from __future__ import annotations

import uuid

from flask import request, url_for
from werkzeug.wrappers import Response

from ..models import OrganizationKind
from ..web import page_number, redirect, render, toast
from . import homes
from .blueprint import bp


@bp.get("/organizations")
def show_homes() -> Response:
    q, kind, page = request.args.get("q", "")[:200], request.args.get("kind", ""), page_number()
    rows, is_more = homes.found(q, kind, page)
    kinds = [(one.value, one.value.capitalize()) for one in OrganizationKind]
    return render("admin/homes.html", "found", rows=rows, q=q, kind=kind, page=page, is_more=is_more, kinds=kinds)


@bp.get("/organizations/<uuid:id>")
def show_home(id: uuid.UUID) -> Response:
    return render("admin/home.html", about=homes.all_of(homes.organization(id)))


@bp.post("/organizations/<uuid:id>/state")
def switch_home(id: uuid.UUID) -> Response:
    """`is_open`: yes, or nothing."""
    home, is_open = homes.organization(id), request.form.get("is_open") == "yes"
    homes.set_suspended(home, not is_open)
    toast(f"{home.name} goes on." if is_open else f"{home.name} is suspended.", "good")
    return redirect(url_for("admin.show_home", id=id))
