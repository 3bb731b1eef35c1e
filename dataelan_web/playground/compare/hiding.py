"""An answer of a blind comparison is read on the comparison's page alone until somebody chose."""

from __future__ import annotations

from flask import abort

from ...models import Execution


def refuse_blind(run: Execution) -> None:
    """409 for what would tell, or go on from, a model whose name is still hidden."""
    if run.blind_in:
        abort(409, "This answer is part of a blind comparison. Choose the best one first; then its model is told.")
