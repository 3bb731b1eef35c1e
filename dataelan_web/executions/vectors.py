"""Vectors as they are kept with their run, to be told again: how long each is, then all their numbers, as exact as they
came."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence

from ..router.types import Embedding

MOST = 4 * 1024 * 1024
"""Bytes of one answer: 340 vectors of 1,536 numbers. Who asks for more at once seldom asks for the same again."""
_HEAD = struct.Struct("<I")


def packed(vectors: Sequence[Embedding]) -> bytes | None:
    """None for those that are not kept: too many, or no list of vectors that are equally long."""
    found = sorted(vectors, key=lambda one: one.index)
    size = len(found[0].vector) if found else 0
    if not size or len(found) * size * 8 > MOST or any(len(one.vector) != size for one in found):
        return None
    numbers = array("d")
    for one in found:
        numbers.extend(one.vector)
    return _HEAD.pack(size) + numbers.tobytes()


def unpacked(kept: bytes) -> Iterator[Embedding]:
    (size,) = _HEAD.unpack_from(kept)
    numbers = array("d", kept[_HEAD.size :])
    for index in range(len(numbers) // size):
        yield Embedding(index, tuple(numbers[index * size : (index + 1) * size]))
