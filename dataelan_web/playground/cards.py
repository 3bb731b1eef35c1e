"""How the cards of an answer's actions read: the filters of templates/playground/_actions.html."""

from __future__ import annotations

import json
from typing import Any

from ..acting.schemas import BadSchema, problem
from ..models import Execution
from .charts import chart

MOST_NODES = 400
"""JSON of more values is shown as text: a tree of them would be the largest part of the page."""


def schema_verdict(execution: Execution) -> str | None:
    """Does the answer fit the JSON schema that was asked for? "": it does; None: there was none; else what is wrong."""
    schema = execution.body.request.get("schema")
    if not schema:
        return None
    try:
        return problem(schema, json.loads(execution.body.text))
    except BadSchema:
        return None
    except (ValueError, RecursionError):
        return "The answer as a whole is not JSON."


def is_small(value: Any) -> bool:
    return _nodes(value, MOST_NODES) >= 0


def _nodes(value: Any, left: int) -> int:
    """How many more values there is room for after this one; negative: none."""
    left -= 1
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if left < 0:
            break
        left = _nodes(child, left)
    return left


def json_type(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "word"
    return "number" if isinstance(value, int | float) else "text"


def json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def diff_line(line: str) -> str:
    """The class of a line of a diff."""
    if line.startswith(("+++", "---", "@@", "diff ", "index ")):
        return "diff-head"
    return {"+": "diff-added", "-": "diff-removed"}.get(line[:1], "diff-same")


FILTERS = {
    "schema_verdict": schema_verdict,
    "chart": chart,
    "is_small": is_small,
    "json_type": json_type,
    "tojson_text": json_text,
    "diff_line": diff_line,
}
