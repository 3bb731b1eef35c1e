"""A project's own files: what was made or given in one of its sessions, and is kept for all of them.

A kept file is a row of its own for the same bytes, so it outlives the run that it came from.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

from sqlalchemy import select

from .. import access
from ..extensions import db
from ..models import Action, Asset, Execution, Project, User, new_id
from ..storage import storage
from .asking import title_of
from .files import File
from .sending import clean_name
from .uploads import TEXT, Upload, again, as_text

PAGE = 60


def files_of(project: Project, before: uuid.UUID | None = None) -> tuple[list[Asset], uuid.UUID | None]:
    """The newest first, each with its `keeper_name`; and where the next page begins, if there is one."""
    query = access.scoped(Asset).where(Asset.is_kept, Asset.project_id == project.id)
    if before:
        query = query.where(Asset.id < before)
    named = query.add_columns(User.name).outerjoin(User, User.id == Asset.user_id)
    rows = db.session.execute(named.order_by(Asset.id.desc()).limit(PAGE + 1)).all()
    for file, name in rows:
        file.keeper_name = name
    found = [file for file, _ in rows[:PAGE]]
    return found, found[-1].id if len(rows) > PAGE else None


def has_files(project_id: uuid.UUID) -> bool:
    kept = select(Asset.id).where(Asset.is_kept, Asset.project_id == project_id, Asset.deleted_at.is_(None))
    return bool(db.session.scalar(select(kept.exists())))


def keep(file: Asset, user_id: uuid.UUID) -> Asset | None:
    """None: the same is among its project's files already. To be committed."""
    db.session.scalars(select(Asset.id).where(Asset.id == file.id).with_for_update()).one()  # nobody else keeps it now
    same = access.scoped(Asset).where(
        Asset.is_kept, Asset.project_id == file.project_id, Asset.storage_key == file.storage_key
    )
    if db.session.scalars(same.limit(1)).first():
        return None
    kept = again(file)
    kept.name, kept.is_kept, kept.user_id = _name(file), True, user_id
    kept.organization_id, kept.project_id = file.organization_id, file.project_id
    db.session.add(kept)
    db.session.flush()
    return kept


def keep_found(action: Action, file: File, project: Project, user_id: uuid.UUID) -> Asset | None:
    """What stood in an answer, as a file of text that any prompt can take. None: it is there already. To be committed.
    Raises storage.Unavailable."""
    db.session.scalars(select(Action.id).where(Action.id == action.id).with_for_update()).one()  # nobody else keeps it
    content = as_text(file.content) or file.content
    return _add(Upload(clean_name(file.name), TEXT, content), project, user_id)


def add(files: Sequence[Upload], project: Project, user_id: uuid.UUID) -> list[Asset]:
    """Files from somebody's disk. Those that are there already are not among what is returned. To be committed.
    Raises storage.Unavailable."""
    db.session.scalars(select(Project.id).where(Project.id == project.id).with_for_update()).one()  # one at a time
    return [kept for file in files if (kept := _add(file, project, user_id))]


def _add(file: Upload, project: Project, user_id: uuid.UUID) -> Asset | None:
    sha256 = hashlib.sha256(file.content).hexdigest()
    here = Asset.is_kept, Asset.project_id == project.id, Asset.sha256 == sha256, Asset.name == file.name
    if db.session.scalars(access.scoped(Asset).where(*here).limit(1)).first():
        return None
    stored = storage().put(project.organization_id, file.content)
    kept = Asset(id=new_id(), name=file.name, media_type=file.media_type, is_kept=True, user_id=user_id)
    kept.size, kept.sha256, kept.storage_key = stored.size, stored.sha256, stored.key
    kept.organization_id, kept.project_id = project.organization_id, project.id
    db.session.add(kept)
    db.session.flush()
    return kept


def _name(file: Asset) -> str:
    """After the words that it was made from: models call every picture `image-1.png`."""
    run = db.session.get(Execution, file.execution_id) if file.execution_id else None
    words = run.prompt.text.split() if run and run.prompt else []
    _, dot, ending = file.name.rpartition(".")
    return clean_name(f"{title_of(' '.join(words)).rstrip('…')}{dot}{ending}") if words else file.name
