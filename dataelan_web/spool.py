"""What a process has yet to write elsewhere, kept in a file that outlives it.

The file is mapped into memory: to keep something is to copy it there, which asks the system nothing and lets no other
thread run. A process that is killed leaves it to the system, which has it on the disk some time later; so a machine
that loses its power may lose what was kept last.

A file is locked for as long as its process lives: one that can be locked is of a process that is gone. It has two
halves, so that one can be emptied while the other is filled. In a half one follows the other: length and CRC-32, each
4 bytes with the lowest first, and what was kept. No length is the end.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from struct import Struct
from typing import BinaryIO
from zlib import crc32

HALF = 2 * 1024 * 1024
"""Bytes."""
SUFFIX = ".spool"
_HEAD = Struct("<II")


class Spool:
    """A process's own. One thread at a time uses it, but that `forget` may be beside the others."""

    def __init__(self, directory: Path):
        """Raises OSError where it cannot be made, or be locked."""
        path = directory / uuid.uuid4().hex
        self._file = open(path, "x+b", opener=partial(os.open, mode=0o600))  # noqa: SIM115 (for as long as it lives)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(self._file.fileno(), 0, 2 * HALF)  # a disk that fills up later would end the process
            self._memory = mmap.mmap(self._file.fileno(), 2 * HALF)
            path.rename(path.with_suffix(SUFFIX))  # now that it is locked
        except OSError:
            path.unlink()
            raise
        self._starts = self._ends = 0
        self._before = 0, 0

    def keep(self, what: bytes) -> bool:
        """False: there is no room for it."""
        at = self._ends + _HEAD.size
        ends = at + len(what)
        if ends + _HEAD.size > self._starts + HALF:
            return False
        self._memory[at:ends] = what
        self._memory[self._ends : at] = _HEAD.pack(len(what), crc32(what))  # last: until then there is nothing
        self._ends = ends
        return True

    def turn(self) -> None:
        """What is kept from now on is forgotten apart from what is kept now. Between two turns that is forgotten."""
        self._before = self._starts, self._ends
        self._starts = self._ends = HALF - self._starts

    def forget(self) -> None:
        """… what was kept before the last turn, word for word."""
        starts, ends = self._before
        self._memory[starts:ends] = bytes(ends - starts)


class Left:
    """That of a process that is gone, locked by this one."""

    def __init__(self, path: Path, file: BinaryIO):
        self._path, self._file = path, file

    def read(self) -> Iterator[bytes]:
        """In the order in which they were kept, of each half; up to what was not whole."""
        for half in self._file.read(HALF), self._file.read(HALF):
            at = 0
            while at + _HEAD.size <= len(half):
                size, check = _HEAD.unpack_from(half, at)
                what = half[at + _HEAD.size : at + _HEAD.size + size]
                if not size or len(what) < size or crc32(what) != check:
                    break
                yield what
                at += _HEAD.size + size

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


def left_behind(directory: Path) -> Iterator[Left]:
    """Of those whose processes are gone. Each is closed with the next."""
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        with suppress(OSError), path.open("rb") as file:  # locked by its process, removed by another, somebody else's
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_nlink:  # else another has removed it between our two looks
                yield Left(path, file)
