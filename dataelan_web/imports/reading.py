"""A file from elsewhere, JSON or a ZIP that holds some, into conversations. It is a stranger's: every size is bounded,
and what a ZIP claims of itself is not believed."""

from __future__ import annotations

import io
import json
import lzma
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import Any

from .conversations import Conversation
from .formats import FORMATS, conversations

MEGABYTE = 1024 * 1024
LARGEST = 40 * MEGABYTE
"""Bytes of JSON, unpacked."""
MOST = 3000
"""Conversations of one file."""
MOST_MEMBERS = 100
"""Files of a ZIP. Some of what is said in it must not stay behind without a word, so more are refused."""
DAMAGES = (
    *(zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError),
    *(zlib.error, lzma.LZMAError, OSError),  # by how it was packed: bz2 says OSError
)
WANTED = re.compile(r"(^|/)(conversations(-\d+)?|[^/]*)\.json$")


class Refused(ValueError):
    """The message is fit to show."""


@dataclass
class Found:
    source: str
    conversations: list[Conversation]
    left_out: list[str] = field(default_factory=list)
    """Sentences."""


def read(content: bytes) -> Found:
    """Raises Refused."""
    texts = _members(content) if content[:4] == b"PK\x03\x04" else [content]
    items = [item for text in texts for item in _items(text)]
    source = next((key for key, form in FORMATS.items() for item in items[:5] if form.is_one(item)), None)
    if source is None:
        raise Refused(
            "No conversations were found in it. It can be conversations.json (or the whole ZIP) from ChatGPT or Claude,"
            " an export of LibreChat or Open WebUI, or a session exported from Dataelan as JSON."
        )
    mine = [item for item in items if FORMATS[source].is_one(item)]
    if len(mine) > MOST:
        raise Refused(f"The file holds {len(mine):,} conversations; at most {MOST:,} can come at once.")
    found = Found(source, [])
    for one in conversations(mine, FORMATS[source]):
        (found.conversations if isinstance(one, Conversation) else found.left_out).append(one)  # type: ignore[arg-type]
    if not found.conversations:
        raise Refused(" ".join(["There is no message in it.", *found.left_out[:3]]))
    return found


def _members(content: bytes) -> list[bytes]:
    """The files of a ZIP that may hold conversations: those that are called so, or else every JSON."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if WANTED.search(name)]
            named = [name for name in names if name.rsplit("/", 1)[-1].startswith("conversations")]
            if len(wanted := named or names) > MOST_MEMBERS:
                raise Refused(
                    f"It holds {len(wanted):,} files of conversations; at most {MOST_MEMBERS} can come at once. Unpack"
                    " it, and bring in some of them at a time."
                )
            texts, left = [], LARGEST
            for name in wanted:
                with archive.open(name) as member:
                    texts.append(member.read(left + 1))
                left -= len(texts[-1])
                if left < 0:
                    raise Refused(f"Unpacked it has more than {LARGEST // MEGABYTE} MB of conversations.")
            return texts
    except Refused:
        raise
    except DAMAGES as problem:
        raise Refused("The ZIP is damaged, or locked by a password.") from problem


def _items(text: bytes) -> list[dict[str, Any]]:
    if len(text) > LARGEST:
        raise Refused(f"It has more than {LARGEST // MEGABYTE} MB.")
    try:
        data = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as problem:
        raise Refused("It is no JSON, or only a part of some. Export it once more.") from problem
    if isinstance(data, dict) and isinstance(data.get("conversations"), list):
        data = data["conversations"]
    return [item for item in (data if isinstance(data, list) else [data]) if isinstance(item, dict)]
