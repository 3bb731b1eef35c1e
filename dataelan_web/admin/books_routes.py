from __future__ import annotations

from flask import url_for
from werkzeug.wrappers import Response

from ..executions.bookkeeping import mend_books
from ..web import redirect, render, toast
from . import books
from .blueprint import bp


@bp.get("/books")
def show_books() -> Response:
    return render("admin/books.html", lines=books.lines())


@bp.post("/books/mending")
def mend_all() -> Response:
    found = len(mend_books())
    words = f"{found} window was mended." if found == 1 else f"{found} windows were mended."
    toast(words if found else "Every limit agrees with the ledger.", "good")
    return redirect(url_for("admin.show_books"))
