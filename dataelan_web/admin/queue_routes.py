from __future__ import annotations

import uuid

from flask import url_for
from werkzeug.wrappers import Response

from ..notify.kinds import kind_of
from ..web import redirect, render, toast
from . import books, work
from .blueprint import bp


@bp.get("/")
def start() -> Response:
    return redirect(url_for("admin.show_queue"))


@bp.get("/queue")
def show_queue() -> Response:
    return render(
        "admin/queue.html",
        "queue",
        standing=work.standing(),
        drifted=books.count(),
        running=work.running(),
        waiting=work.waiting(),
        failed=work.failed(),
        exports=work.exports(),
        deliveries=work.deliveries(),
        kind_of=kind_of,
        listed=work.LISTED,
        days=work.LOOKED_BACK.days,
    )


@bp.post("/queue/runs/<uuid:id>/cancellation")
def cancel_run(id: uuid.UUID) -> Response:
    return _back("It is being stopped." if work.cancel_run(id) else "It had already ended.")


@bp.post("/queue/runs/<uuid:id>/waking")
def wake_run(id: uuid.UUID) -> Response:
    return _back("A worker was told of it." if work.wake_run(id) else "It waits no more, or the queue is away.")


@bp.post("/queue/exports/<uuid:id>/cancellation")
def cancel_export(id: uuid.UUID) -> Response:
    return _back("It is being stopped." if work.cancel_export(id) else "It had already ended.")


@bp.post("/queue/exports/<uuid:id>/retry")
def retry_export(id: uuid.UUID) -> Response:
    return _back("It is written anew." if work.retry_export(id) else "It has not failed, or the queue is away.")


@bp.post("/queue/deliveries/<uuid:id>/retry")
def retry_delivery(id: uuid.UUID) -> Response:
    return _back("It was delivered." if work.retry_delivery(id) else "It was not delivered; it is tried again.")


def _back(said: str) -> Response:
    toast(said)
    return redirect(url_for("admin.show_queue"))
