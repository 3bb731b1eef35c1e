"""A file out of storage as an answer that is safe to open, may be kept by one browser, and can be sought in.

Ranges are RFC 9110, section 14: one range is honoured, several are not, as it allows.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote

from flask import Response
from werkzeug.datastructures import ETags, IfRange, Range

from ..models import Asset
from ..storage import storage
from . import media_types

KEPT = "private, max-age=31536000, immutable"
"""An asset's address is its content's: it never changes. A shared cache must not have it."""
LONGEST_NAME = 120
NAMED = "!#$&+-.^_`|~"
"""What RFC 5987 leaves unquoted in a name, beside letters and digits."""


def answer(
    asset: Asset,
    *,
    wanted: Range | None = None,
    if_range: IfRange | None = None,
    known: ETags | None = None,
    download: bool = False,
    is_head: bool = False,
) -> Response:
    """200, 206, 304 or 416. Raises storage.Unavailable before anything is sent."""
    if known and known.contains_weak(asset.sha256):
        return _protected(Response(status=304), asset)
    start, end, status = 0, asset.size, 200
    if wanted and wanted.units == "bytes" and len(wanted.ranges) == 1 and _is_of_this_file(if_range, asset):
        found = wanted.range_for_length(asset.size)
        if found is None:
            return _protected(Response(status=416, headers={"Content-Range": f"bytes */{asset.size}"}), asset)
        (start, end), status = found, 206
    shown = media_types.shown_as(asset.media_type, _start_of(asset.storage_key, asset.size))
    response = Response(_pieces(asset, start, end, is_head), status, mimetype=shown or media_types.OTHERWISE)
    response.headers["Content-Length"] = str(end - start)
    response.headers["Accept-Ranges"] = "bytes"
    if status == 206:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{asset.size}"
    name_it(response, asset.name, "inline" if shown and not download else "attachment")
    return _protected(response, asset)


def _is_of_this_file(if_range: IfRange | None, asset: Asset) -> bool:
    """Whoever goes on with a download wants the rest of what they began with."""
    return if_range is None or (if_range.etag is None and if_range.date is None) or if_range.etag == asset.sha256


def _pieces(asset: Asset, start: int, end: int, is_head: bool) -> Iterable[bytes]:
    return () if is_head or end <= start else storage().stream(asset.storage_key, start, end)


@lru_cache(maxsize=4096)
def _start_of(key: str, size: int) -> bytes:
    """The first bytes. A key names its content, so they never change."""
    return b"".join(storage().stream(key, 0, min(size, media_types.SIGNED))) if size else b""


def _protected(response: Response, asset: Asset) -> Response:
    """Even opened by itself it runs nothing, is no part of this site, and loads nothing."""
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response.headers["Cache-Control"] = KEPT
    response.set_etag(asset.sha256)
    return response


def name_it(response: Response, name: str, disposition: str) -> None:
    name = clean_name(name)
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    ascii_only = ascii_only if ascii_only.partition(".")[0].strip() else f"file{ascii_only.strip()}"
    extended = {} if name == ascii_only else {"filename*": f"UTF-8''{quote(name, safe=NAMED)}"}
    response.headers.set("Content-Disposition", disposition, filename=ascii_only, **extended)


def clean_name(name: str) -> str:
    """A file's own name: no folders, nothing invisible, not endless; its ending stays."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    seen = " ".join("".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in base).split()).strip(". ")
    stem, dot, ending = seen.rpartition(".")
    if dot and len(ending) <= 10:
        return f"{stem[: LONGEST_NAME - len(ending) - 1]}.{ending}"
    return seen[:LONGEST_NAME] or "file"
