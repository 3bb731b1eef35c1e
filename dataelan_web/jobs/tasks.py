"""What the queue may run, by name. Three lines each: the work is elsewhere."""

from __future__ import annotations

import uuid

from ..executions.execute import execute_queued


def execute(execution_id: str) -> None:
    execute_queued(uuid.UUID(execution_id))


ALLOWED = {"dataelan_web.jobs.tasks.execute": execute}
