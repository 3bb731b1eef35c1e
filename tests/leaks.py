"""All that a Dataelan keeps or says, as who has every right on its machine would read it, to look for secrets in."""

from __future__ import annotations

import base64
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask import Flask
from sqlalchemy import text

from dataelan_web.extensions import db
from dataelan_web.jobs.queue import store

PLANTED = "sk-CANARY"
"""What every secret begins with that tests enter somewhere."""
Place = tuple[str, bytes]


def forms(secret: str) -> re.Pattern[bytes]:
    """As it is, in an address, in JSON, in hexadecimal, and in base64 wherever that begins."""
    raw = secret.encode()
    shifted = (base64.b64encode(b"\0" * n + raw)[n + (n > 0) : -4] for n in range(3))
    written = {raw, quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode(), raw.hex().encode(), *shifted}
    return re.compile(b"|".join(re.escape(one) for one in written))


def found(secrets: dict[str, str], places: Iterable[Place]) -> list[str]:
    """Which of them stands where."""
    looked_for = {name: forms(secret) for name, secret in secrets.items()}
    return [f"{name}: {place}" for place, said in places for name, form in looked_for.items() if form.search(said)]


def everything(app: Flask, folder: Path) -> Iterator[Place]:
    with app.app_context():
        yield from rows()
        yield from values()
        db.session.rollback()
    yield from files(folder)
    yield from titles(folder)


def rows() -> Iterator[Place]:
    """Of each table all of it, bytes in hexadecimal; and what is asked just now."""
    here = "relkind = 'r' AND relnamespace = current_schema()::regnamespace"
    tables = text(f"SELECT oid::regclass::text FROM pg_class WHERE {here}")
    for table in (*db.session.scalars(tables), "pg_stat_activity"):
        said = db.session.scalars(text(f"SELECT t::text FROM {table} t"))
        yield f"table {table}", "\n".join(map(str, said)).encode()


def values() -> Iterator[Place]:
    """Of Valkey's keys, each by its kind."""
    valkey: Any = store()
    for key in valkey.scan_iter(count=1000):
        kind = valkey.type(key).decode()
        read = {
            "string": lambda key=key: [valkey.get(key)],
            "list": lambda key=key: valkey.lrange(key, 0, -1),
            "set": lambda key=key: valkey.smembers(key),
            "zset": lambda key=key: valkey.zrange(key, 0, -1),
            "hash": lambda key=key: [part for pair in valkey.hgetall(key).items() for part in pair],
            "stream": lambda key=key: [str(valkey.xrange(key)).encode()],
            "none": list,
        }[kind]
        parts = [part for part in read() if part is not None]
        yield f"Valkey's {key!r}", b"\n".join([key, *parts, *map(unpacked, parts)])


def unpacked(part: bytes) -> bytes:
    with suppress(zlib.error):
        return zlib.decompress(part)
    return b""


def files(folder: Path) -> Iterator[Place]:
    """The databases' own, too, with what they write ahead and log; assets, exports, and what processes said."""
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file():
                yield f"file {path.relative_to(folder)}", path.read_bytes()


def titles(folder: Path) -> Iterator[Place]:
    """Of the processes that this one began, and of those that work in this folder, as PostgreSQL's do."""
    above: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            above[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
    for number in above:
        path = Path("/proc", str(number))
        with suppress(OSError):
            if _is_below(number, os.getpid(), above) or (path / "cwd").resolve().is_relative_to(folder):
                yield f"title of {number}", (path / "cmdline").read_bytes()


def _is_below(number: int, other: int, above: dict[int, int]) -> bool:
    while number and number != other:
        number = above.get(number, 0)
    return number == other
