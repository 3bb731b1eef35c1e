from __future__ import annotations

from flask import Response, request

from ..web import render
from . import palette
from .blueprint import bp


@bp.get("/palette")
def show_palette() -> Response:
    """What the palette lists for `q`, for htmx."""
    return render("search/palette.html", groups=palette.groups(request.args.get("q", "")[:200]))
