"""Parts of pages that a page does not wait for: `/o/<slug>/dashboard/parts/<part>`, fetched when it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import abort, request
from sqlalchemy.exc import OperationalError
from werkzeug.wrappers import Response

from ..web import render
from . import controls, heat, unusual, waits
from . import filters as reading
from .filters import BadFilter, Filters
from .routes import bp

PARTS: dict[str, Callable[[Filters], dict[str, Any]]] = {
    "unusual": unusual.shown,
    "heat": heat.shown,
    "waits": waits.shown,
}


@bp.get("/dashboard/parts/<part>")
def show_part(part: str) -> Response:
    show = PARTS.get(part) or abort(404)
    filters, shown, problem, status = reading.nothing(), dict[str, Any](), "", 200
    try:
        filters = reading.read(request.args)
        shown = show(filters)
    except BadFilter as bad:
        problem, status = str(bad), 422
    except OperationalError as error:
        controls.give_up(error)
        problem, status = controls.TOO_LONG, 503
    return render("dashboards/part.html", "part", status, part=part, filters=filters, problem=problem, **shown)
