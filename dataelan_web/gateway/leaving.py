"""What becomes of a call whose program goes away while it is answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flask import Flask

from ..models import Execution
from ..router.types import Event


def on_leaving(app: Flask, execution: Execution, events: Iterator[Event]) -> Callable[[], None]:
    """For the end of a response: what is still being said is ended at its provider, and what came is charged."""

    def end() -> None:
        with app.app_context():
            events.close()  # type: ignore[attr-defined]

    return end
