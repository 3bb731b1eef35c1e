"""The log as a file, CSV or JSON lines, written while it is sent."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from flask import Response, stream_with_context

from ..extensions import db
from ..formats import BYTE_ORDER_MARK, csv_line
from ..models import AuditEvent, now
from ..playground import sending
from . import lines
from .filters import Filters

FORMS = {"csv": "text/csv", "jsonl": "application/jsonl"}
COLUMNS = (
    *("id", "at", "person", "person_id", "impersonated_by", "impersonated_by_id", "action"),
    *("subject_type", "subject_id", "subject", "detail", "source", "source_name", "address", "organization_id"),
)


def sent(organization_id: uuid.UUID | None, filters: Filters, form: str, name: str) -> Response:
    """To be saved, never shown: names in it were written by people."""
    response = Response(stream_with_context(_written(organization_id, filters, form)))
    response.headers["Content-Type"] = f"{FORMS[form]}; charset=utf-8"
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    sending.name_it(response, f"{name} audit log {now():%Y-%m-%d}.{form}", "attachment")
    return response


def _written(organization_id: uuid.UUID | None, filters: Filters, form: str) -> Iterator[bytes]:
    line = _csv if form == "csv" else _json
    yield (BYTE_ORDER_MARK + csv_line(COLUMNS) if form == "csv" else "").encode()
    for events in lines.chunks(organization_id, filters):
        said = "".join(line(_record(event)) for event in events)
        db.session.rollback()  # no connection is held while somebody's line is slow
        yield said.encode("utf-8", "replace")


def _record(event: AuditEvent) -> dict[str, Any]:
    values = (
        *(event.id, event.created_at.isoformat(), event.actor_name, event.actor_id),
        *(event.impersonator_name, event.impersonator_id, event.action),
        *(event.subject_type, event.subject_id, event.subject_name, event.detail),
        *(event.source.value, event.source_name, event.address, event.organization_id),
    )
    return {
        name: str(value) if isinstance(value, uuid.UUID) else value for name, value in zip(COLUMNS, values, strict=True)
    }


def _csv(record: dict[str, Any]) -> str:
    record["detail"] = json.dumps(record["detail"], ensure_ascii=False)
    return csv_line(["" if value is None else value for value in record.values()])


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"
