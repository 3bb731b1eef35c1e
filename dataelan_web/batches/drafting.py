"""A batch before it begins: its prompt, its rows, and what each column of the sheet is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import g
from flask_login import current_user
from sqlalchemy import insert, select

from .. import access, audit
from ..extensions import db
from ..models import Batch, BatchCheck, BatchRow, BatchState, Project, Template, TemplateVersion, new_id, now
from ..models.batches import lock
from ..prompts import sources
from ..prompts.content import Content, Turn
from ..prompts.refusals import Refused
from ..prompts.variables import fill
from .sheet import Sheet

MOST_MODELS = 6
CHUNK = 1_000
EXPECTED = ("expected", "expected answer", "answer", "ideal", "target", "label")
"""What a column is often called that holds the answer one hopes for."""
SAID = ("message", "question", "input", "prompt", "user")


def versions(project: Project) -> list[tuple[Template, int]]:
    """Saved prompts that were published, the last changed first, with their newest version."""
    query = access.scoped(Template).where(Template.project_id == project.id, Template.newest > 0)
    found = db.session.scalars(query.order_by(Template.updated_at.desc()).limit(200))
    return [(template, template.newest) for template in found]


def version_of(template: Template, number: str) -> TemplateVersion:
    """404 for what there is not; empty: the newest."""
    query = select(TemplateVersion).where(
        TemplateVersion.template_id == template.id,
        TemplateVersion.number == (sources.number_in(number) if number else template.newest),
    )
    found: TemplateVersion = db.one_or_404(query)
    return found


def written(text: str, settings: Mapping[str, Any]) -> Content:
    """A prompt that was written for it; `settings`: those of chat_form.ChatSettings. Raises Refused."""
    told: dict[str, Any] = {name: "" if value is None else str(value) for name, value in settings.items()}
    content = Content(messages=(Turn("user", text),), **told)
    if problem := next(iter(content.problems.values()), ""):
        raise Refused(problem)
    return content.settled


def create(
    project: Project, name: str, content: Content, sheet: Sheet, file_name: str, version: TemplateVersion | None = None
) -> Batch:
    """A draft, with its columns given to the variables of the same names. Commits."""
    batch = Batch(
        id=new_id(),
        project=project,
        name=name[:200],
        template_id=version.template_id if version else None,
        number=version.number if version else None,
        content=content.settled.to_json(),
        file_name=file_name[:200],
        columns=list(sheet.columns),
        left_out=sheet.told,
        rows_count=len(sheet.rows),
        created_by=current_user.id,
        models=[content.requested],
    )
    _guess(batch, content)
    db.session.add(batch)
    db.session.flush()
    _keep_rows(batch, [(line.number, list(line.values)) for line in sheet.rows])
    audit.record("batch.created", batch, g.organization.id, rows=batch.rows_count)
    db.session.commit()
    return batch


def copy(batch: Batch) -> Batch:
    """The same rows, settings and checks as a new draft, with the newest version of its prompt. Commits."""
    names = ("project_id", "template_id", "number", "content", "file_name", "columns", "left_out", "rows_count",
             "mapping", "said_column", "expected_column", "models", "at_once")  # fmt: skip
    made = Batch(id=new_id(), name=f"{batch.name[:190]} again", created_by=current_user.id)
    for name in names:
        setattr(made, name, getattr(batch, name))
    template = batch.template
    if template is not None and template.deleted_at is None and template.newest:
        version = version_of(template, "")
        made.number, made.content = version.number, version.content
    db.session.add(made)
    db.session.flush()
    for check in batch.checks:
        again = {"kind": check.kind, "settings": check.settings, "created_by": current_user.id}
        db.session.add(BatchCheck(id=new_id(), batch_id=made.id, **again))
    rows = select(BatchRow.line, BatchRow.values).where(BatchRow.batch_id == batch.id).order_by(BatchRow.position)
    _keep_rows(made, [(line, values) for line, values in db.session.execute(rows)])
    audit.record("batch.created", made, g.organization.id, rows=made.rows_count)
    db.session.commit()
    return made


def _keep_rows(batch: Batch, rows: Sequence[tuple[int, list[str]]]) -> None:
    for start in range(0, len(rows), CHUNK):
        values = [
            {"id": new_id(), "created_at": now(), "batch_id": batch.id, "position": place, "line": line, "values": row}
            for place, (line, row) in enumerate(rows[start : start + CHUNK], start + 1)
        ]
        db.session.execute(insert(BatchRow), values)


def _guess(batch: Batch, content: Content) -> None:
    by_name = {_plain(column): column for column in batch.columns}
    batch.mapping = {name: by_name[_plain(name)] for name in content.names if _plain(name) in by_name}
    free = {plain: column for plain, column in by_name.items() if column not in batch.mapping.values()}
    batch.expected_column = next((free.pop(name) for name in EXPECTED if name in free), "")
    if content.needs_word:
        batch.said_column = next((free[name] for name in SAID if name in free), "")


def _plain(name: str) -> str:
    return name.casefold().replace("_", " ").replace("-", " ").strip()


def change(
    batch: Batch, name: str, mapping: dict[str, str], said: str, expected: str, models: Sequence[str], at_once: int
) -> None:
    """What is not among the columns is none. Raises Refused. Commits."""
    lock(db.session, batch)
    if batch.state is not BatchState.DRAFT:
        raise Refused("It has begun: make a copy to change what it asks.")
    models = list(dict.fromkeys(model.strip()[:200] for model in models if model.strip()))
    if not models:
        raise Refused("Choose at least one model.")
    if len(models) > MOST_MODELS:
        raise Refused(f"At most {MOST_MODELS} models at once.")
    known = set(batch.columns)
    batch.name = name.strip()[:200] or batch.name
    batch.mapping = {variable: column for variable, column in mapping.items() if column in known}
    batch.said_column, batch.expected_column = (column if column in known else "" for column in (said, expected))
    batch.models, batch.at_once = models, min(max(at_once, 1), 32)
    db.session.commit()


def unmapped(batch: Batch) -> list[str]:
    """Variables that must be given, and that no column is for."""
    content = Content.of(batch.content)
    missing = fill(content.settled.variables, dict.fromkeys(batch.mapping, ""))
    return [name for name in missing.problems if name not in batch.mapping]
