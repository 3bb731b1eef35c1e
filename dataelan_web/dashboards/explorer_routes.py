"""The explorer of runs: `/o/<slug>/dashboard/runs`."""

from __future__ import annotations

from typing import Any

from flask import request
from sqlalchemy.exc import OperationalError
from werkzeug.wrappers import Response

from ..models import now
from ..web import render, wants_fragment
from . import controls, explorer, ranges, saved, view_forms
from . import filters as reading
from . import view as viewing
from .exporting import AT_ONCE
from .filters import BadFilter
from .routes import bp
from .runs import MET
from .sorting import RISING, SORTS
from .view import View


@bp.get("/dashboard/runs")
def explore() -> Response:
    """`part=list`: only the runs, for a page that watches them."""
    view, problem, status = _view()
    try:
        shown = {} if problem else explorer.page(view)
        choices = {} if _is_list() else controls.choices(view.filters) | explorer.choices()
    except explorer.TooMany as many:
        shown, problem, status = {}, str(many), 422
        choices = controls.choices(view.filters) | explorer.choices()
    except OperationalError as error:
        controls.give_up(error)
        shown, choices, problem, status = {}, {}, controls.TOO_LONG, 503
    fragment = "list" if _is_list() else "dashboard"
    return render("dashboards/runs.html", fragment, status, problem=problem, **_context(view, choices), **shown)


def _is_list() -> bool:
    """Opened by itself, such an address is a page like any other."""
    return wants_fragment() and request.args.get("part") == "list"


def _view() -> tuple[View, str, int]:
    """(what was asked for, what is wrong with it, status)"""
    try:
        return viewing.read(request.args), "", 200
    except BadFilter as bad:
        return View(reading.nothing()), str(bad), 422


def _context(view: View, choices: dict[str, list[tuple[str, str]]]) -> dict[str, Any]:
    filters = view.filters
    return {
        "page": "runs",
        "view": view,
        "filters": filters,
        "pages": controls.TABS,
        "presets": ranges.presets(),
        "choices": choices,
        "chips": _chips(view, choices),
        "columns": viewing.COLUMNS,
        "numbers": viewing.NUMBERS,
        "sorts": _sorts(view),
        "watch": view.but(live=int(now().timestamp())),
        "at_once": AT_ONCE,
        **(view_forms.offered(saved.seen(), "runs", view.address) if not _is_list() else {}),
    }


def _chips(view: View, choices: dict[str, list[tuple[str, str]]]) -> list[dict[str, Any]]:
    own = {name: value for name, value in view.address.items() if name not in view.filters.address}
    chips = [{**chip, "without": chip["without"] | own} for chip in controls.chips(view.filters, choices)]
    said = {
        "rule": dict(choices.get("rule", [])).get(view.narrowed.get("rule", ""), "A rule"),
        "untagged": "No tags",
        "met": MET.get(view.only.met, ""),
        "cost": f"From ${view.narrowed.get('cost')} on",
        "seconds": f"From {view.narrowed.get('seconds')} s on",
    }
    return chips + [{"name": n, "said": said[n], "without": view.but(**{n: None})} for n in view.narrowed]


def _sorts(view: View) -> dict[str, dict[str, Any]]:
    """Column → where its head leads: most first, or least first where it is most first already."""
    now_by = view.order.sort.name
    return {
        name: {
            "is_now": name == now_by,
            "rises": view.order.rises,
            "address": view.but(sort=name + (RISING if name == now_by and not view.order.rises else "")),
        }
        for name in SORTS
    }
