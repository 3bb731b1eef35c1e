"""What the queue may run, by name. Three lines each: the work is elsewhere."""

from __future__ import annotations

import uuid

from ..dashboards import exporting
from ..executions.execute import execute_queued


def execute(execution_id: str) -> None:
    execute_queued(uuid.UUID(execution_id))


def export_runs(export_id: str) -> None:
    exporting.write(uuid.UUID(export_id))


ALLOWED = {"dataelan_web.jobs.tasks.execute": execute, "dataelan_web.jobs.tasks.export_runs": export_runs}
