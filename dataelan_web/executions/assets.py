"""The files of prompts and answers: their bytes in storage, a row each in PostgreSQL."""

from __future__ import annotations

import mimetypes
import uuid
from collections.abc import Sequence

from sqlalchemy import select

from ..extensions import db
from ..models import Asset as Row
from ..models import PromptSession
from ..models.records import RunRecord
from ..router.types import Asset
from ..storage import Unavailable, storage
from .answer import Kept

# Where the platform's own table has several endings, or none.
ENDINGS = {
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/apng": ".png",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "audio/ogg": ".ogg",
    "audio/flac": ".flac",
    "audio/aac": ".aac",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
}


def read(asset_id: str) -> bytes:
    """The content of a file that a prompt refers to. Raises storage.Unavailable."""
    row = db.session.get(Row, uuid.UUID(asset_id))
    if row is None or row.deleted_at:
        raise Unavailable("A file of this prompt was deleted meanwhile.")
    return storage().get(row.storage_key)


def keep(execution: RunRecord, asset: Asset) -> Kept:
    """Put what a model made into storage; its row comes with the execution's end. Raises storage.Unavailable."""
    return Kept(storage().put(execution.organization_id, asset.content), asset.media_type, asset.note)


def rows(execution: RunRecord, made: Sequence[Kept]) -> list[Row]:
    home = _home_of(execution) if made else execution.project_id
    return [_row(execution, home, position, kept) for position, kept in enumerate(made)]


def _home_of(execution: RunRecord) -> uuid.UUID:
    """The project in which it is seen: its session may have been moved while the model was at it. It is not until the
    commit, so whoever moves it then takes these files along."""
    there = select(PromptSession.project_id).where(PromptSession.id == execution.session_id)
    return db.session.scalar(there.with_for_update(read=True)) or execution.project_id


def _row(execution: RunRecord, project_id: uuid.UUID, position: int, kept: Kept) -> Row:
    return Row(
        organization_id=execution.organization_id,
        project_id=project_id,
        execution_id=execution.id,
        user_id=execution.user_id,
        position=position,
        name=file_name(kept.media_type, position),
        media_type=kept.media_type[:200],
        size=kept.stored.size,
        sha256=kept.stored.sha256,
        storage_key=kept.stored.key,
        note=kept.note,
    )


def file_name(media_type: str, position: int) -> str:
    """Such as “image-1.png”: what it is saved as."""
    plain = media_type.partition(";")[0].strip().lower()
    kind = plain.partition("/")[0]
    ending = ENDINGS.get(plain) or mimetypes.guess_extension(plain) or ""
    return f"{kind if kind in ('image', 'audio', 'video') else 'file'}-{position + 1}{ending}"
