"""Files that come with a prompt: what each type of session takes, how they are checked, and how they are kept.

What a file is, its content says; the name and the browser's claim say nothing. Text is kept as UTF-8, in whatever
encoding it came, since it becomes part of the prompt.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from werkzeug.datastructures import FileStorage

from ..extensions import db
from ..models import Asset, ModelType, PromptSession, new_id
from ..router.providers.media import sniffed
from ..router.types import FilePart, ImagePart
from ..storage import Unavailable, storage
from .media_types import plain
from .sending import clean_name

MEGABYTE = 1024 * 1024
MOST = 10
LARGEST = 20 * MEGABYTE
"""Bytes of all files of a prompt together; the request that carries them may have a little more."""
LARGEST_TEXT = 2 * MEGABYTE

TEXT, PDF = "text/plain", "application/pdf"
PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif")
SOUNDS = ("audio/wav", "audio/mpeg", "audio/mp4", "audio/ogg", "audio/flac", "audio/aac")
FILMS = ("video/mp4", "video/webm", "video/quicktime")
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


@dataclass(frozen=True)
class Takes:
    """What a type of session can use: media types, how many files, and the words for both."""

    types: tuple[str, ...]
    words: str
    most: int = MOST
    hint: str = "Attach files"
    accept: str = ""
    """For the browser's dialogue; the server looks at the content."""


_CHAT = Takes(
    (*PICTURES, PDF, TEXT, *SOUNDS),
    "pictures (PNG, JPEG, WebP, GIF), PDF, text files and sound",
    hint="Attach pictures, PDF, text or sound",
)
TAKES = {
    ModelType.TEXT: _CHAT,
    ModelType.CODE: _CHAT,
    ModelType.IMAGE: Takes(
        PICTURES,
        "pictures (PNG, JPEG, WebP, GIF) to work from",
        hint="Attach pictures to work from",
        accept=",".join(PICTURES),
    ),
    ModelType.VOICE: Takes(
        (*SOUNDS, *FILMS), "one recording to transcribe", 1, "Attach a recording to transcribe", "audio/*,video/*"
    ),
    ModelType.VIDEO: Takes(
        PICTURES, "one picture (PNG, JPEG, WebP, GIF) to start from", 1, "Attach a picture to start from",
        ",".join(PICTURES),
    ),
}  # fmt: skip
FOR_ANY = Takes((*PICTURES, PDF, TEXT, *SOUNDS, *FILMS), "pictures (PNG, JPEG, WebP, GIF), PDF, text, sound and film")
"""What some type of session can use."""


class Refused(ValueError):
    """These files cannot be used; the message is fit to show."""


@dataclass(frozen=True)
class Upload:
    """A file as it came, its type told by its content."""

    name: str
    media_type: str
    content: bytes


def read(files: Iterable[FileStorage], references: Sequence[Asset], model_type: ModelType) -> list[Upload]:
    """The new files, checked together with those that are already here. Raises Refused."""
    return checked(files, references, TAKES[model_type], "a prompt", "this session")


def checked(
    files: Iterable[FileStorage], references: Sequence[Asset], takes: Takes, what: str, where: str
) -> list[Upload]:
    """`what` takes so many, and `where` such ones: for the words. Raises Refused."""
    uploads = [_read(file) for file in files if file.filename]
    count = len(uploads) + len(references)
    if count > takes.most:
        at_most = "one file" if takes.most == 1 else f"{takes.most} files"
        raise Refused(f"These are {count} files; {what} takes at most {at_most} here.")
    size = sum(len(upload.content) for upload in uploads) + sum(asset.size for asset in references)
    if size > LARGEST:
        raise Refused(f"The files have {size / MEGABYTE:.1f} MB together; the most is {LARGEST // MEGABYTE} MB.")
    together: list[Upload | Asset] = [*uploads, *references]
    for named in together:
        if plain(named.media_type) not in takes.types:
            raise Refused(f"“{named.name}” cannot be used here: {where} takes {takes.words}.")
    return uploads


def _read(file: FileStorage) -> Upload:
    name, content = clean_name(file.filename or ""), file.read(LARGEST + 1)
    if not content:
        raise Refused(f"“{name}” is empty.")
    if media_type := sniffed(content, ""):
        return Upload(name, media_type, content)
    text = as_text(content)
    if text is None:
        return Upload(name, "application/octet-stream", content)
    if len(text) > LARGEST_TEXT:
        raise Refused(
            f"“{name}” has {len(text) / MEGABYTE:.1f} MB of text; the most is {LARGEST_TEXT // MEGABYTE} MB."
            " Cut out the part that matters."
        )
    return Upload(name, TEXT, text)


def as_text(content: bytes) -> bytes | None:
    """Text in UTF-8, whichever of the usual encodings it came in; None for what is no text."""
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            try:
                return content.decode(encoding).encode()
            except UnicodeError:
                return None
    if _CONTROLS.search(content):
        return None
    try:
        return content.decode("utf-8-sig").encode()
    except UnicodeDecodeError:
        pass
    try:
        return content.decode("cp1252").encode()
    except UnicodeDecodeError:
        return None


def keep(
    uploads: Sequence[Upload], references: Sequence[Asset], session: PromptSession, user_id: uuid.UUID
) -> list[Asset]:
    """Put them into storage; their rows are written with the prompt. Raises storage.Unavailable.

    A file that is already here is not kept twice: the prompt gets a row of its own for the same content.
    """
    organization_id = session.project.organization_id
    _hold(references)
    assets = []
    for upload in uploads:
        stored = storage().put(organization_id, upload.content)
        asset = Asset(media_type=upload.media_type, size=stored.size, sha256=stored.sha256, storage_key=stored.key)
        asset.name = upload.name
        assets.append(asset)
    assets += [again(asset) for asset in references]
    for position, asset in enumerate(assets):
        asset.id, asset.position = new_id(), position
        asset.organization_id, asset.project_id, asset.user_id = organization_id, session.project_id, user_id
    return assets


def _hold(references: Sequence[Asset]) -> None:
    """Until the prompt is recorded their rows stay, and with them their files. Raises storage.Unavailable."""
    ids = [asset.id for asset in references]
    held = db.session.scalars(select(Asset.id).where(Asset.id.in_(ids)).with_for_update(read=True)).all() if ids else []
    if len(held) < len(ids):
        raise Unavailable("A file was deleted meanwhile. Choose the files again.")


def again(asset: Asset) -> Asset:
    """A row of its own for the same content."""
    names = ("name", "media_type", "size", "sha256", "storage_key")
    return Asset(**{name: getattr(asset, name) for name in names})


def part_of(asset: Asset) -> ImagePart | FilePart:
    """How a prompt refers to it."""
    if asset.media_type.startswith("image/"):
        return ImagePart(asset.media_type, asset=str(asset.id))
    return FilePart(asset.media_type, name=asset.name, asset=str(asset.id))


def is_recording(media_type: str) -> bool:
    return media_type.startswith(("audio/", "video/"))
