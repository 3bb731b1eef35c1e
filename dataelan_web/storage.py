"""Where the files of prompts and answers are kept: a folder by default, an S3-compatible bucket by setting.

    key = storage().put(organization_id, content)
    content = storage().get(key)

A key names its organization and the content's SHA-256, and is new each time: what nothing names any more can be
deleted without looking whether somebody is just putting the same there again. obstore does the work; its credentials
come from the setting's own environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT …).
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

import obstore
from flask import current_app
from obstore.exceptions import BaseError
from obstore.store import from_url

log = logging.getLogger(__name__)

KEY = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/[0-9a-f]{2}/[0-9a-f]{64}(?:-[0-9a-f]{16})?")
"""Of a file of ours. A bucket may hold other things; and what was kept first has no end of its own."""


class Unavailable(Exception):
    """The storage cannot be reached, or the file is not there; the message is fit to show."""


@dataclass(frozen=True)
class Stored:
    key: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Kept:
    """A file as the storage lists it."""

    key: str
    written_at: datetime
    size: int


class Storage:
    def __init__(self, url: str):
        self._store: Any = from_url(url, mkdir=True) if url.startswith("file:") else from_url(url)

    def put(self, organization_id: uuid.UUID, content: bytes) -> Stored:
        """Keep it. Raises Unavailable."""
        sha256 = hashlib.sha256(content).hexdigest()
        key = f"{organization_id}/{sha256[:2]}/{sha256}-{secrets.token_hex(8)}"
        try:
            obstore.put(self._store, key, content)
        except (BaseError, OSError) as error:
            raise self._unavailable("could not be kept", error) from error
        return Stored(key, sha256, len(content))

    def put_file(self, organization_id: uuid.UUID, file: IO[bytes]) -> Stored:
        """What need not fit into memory: from its beginning, in pieces. Raises Unavailable."""
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        size = file.tell()
        file.seek(0)
        key = f"{organization_id}/{sha256[:2]}/{sha256}-{secrets.token_hex(8)}"
        try:
            obstore.put(self._store, key, file)
        except (BaseError, OSError) as error:
            raise self._unavailable("could not be kept", error) from error
        return Stored(key, sha256, size)

    def put_back(self, key: str, file: IO[bytes]) -> None:
        """Under the key that it had. Raises Unavailable."""
        try:
            obstore.put(self._store, key, file)
        except (BaseError, OSError) as error:
            raise self._unavailable("could not be kept", error) from error

    def get(self, key: str) -> bytes:
        """Raises Unavailable."""
        try:
            return bytes(obstore.get(self._store, key).bytes())
        except (BaseError, OSError) as error:
            raise self._unavailable("cannot be read", error) from error

    def stream(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` up to `end`, in pieces. Raises Unavailable before the first."""
        try:
            pieces = obstore.get(self._store, key, options={"range": (start, end)}).stream(min_chunk_size=256 * 1024)
        except (BaseError, OSError) as error:
            raise self._unavailable("cannot be read", error) from error
        return (bytes(piece) for piece in pieces)

    def listed(self) -> Iterator[list[Kept]]:
        """All that is there, by the thousand. Raises Unavailable."""
        try:
            for page in obstore.list(self._store, chunk_size=1000):
                yield [Kept(one["path"], one["last_modified"], one["size"]) for one in page]
        except (BaseError, OSError) as error:
            raise self._unavailable("cannot be listed", error) from error

    def written_at(self, key: str) -> datetime | None:
        """When its bytes were last put; None: they are not there. Raises Unavailable."""
        try:
            return obstore.head(self._store, key)["last_modified"]
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise self._unavailable("cannot be read", error) from error

    def delete(self, key: str) -> None:
        """Gone is gone: a file that is not there is no error."""
        try:
            obstore.delete(self._store, key)
        except FileNotFoundError:
            pass
        except (BaseError, OSError) as error:
            raise self._unavailable("could not be deleted", error) from error

    def _unavailable(self, what: str, error: Exception) -> Unavailable:
        log.error("a stored file %s: %s", what, type(error).__name__)  # the message may name the bucket's credentials
        return Unavailable(f"A file {what}: Dataelan's storage does not answer, or the file is gone.")


def storage() -> Storage:
    kept: Storage = current_app.extensions["dataelan_storage"]
    return kept
