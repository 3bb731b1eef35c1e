"""Small landscapes in plain Python, as PNG and as animated PNG: hills under a sun, in the colours of a seed.

Each is painted in coarse squares and says SIMULATED in its corner, so that nobody takes it for a model's work.
Source of the format: https://www.w3.org/TR/png-3/ (animation: acTL, fcTL and fdAT).
"""

from __future__ import annotations

import colorsys
import math
import struct
import zlib
from collections.abc import Iterator
from itertools import count

FINEST = 160
"""Squares along the longer side."""
SKY, LAYERS, SHADES = 160, 3, 24
SUN, INK, PAPER = 253, 254, 255
COMMENT = b"Comment\0Simulated: a program drew this picture, no AI model was asked."

# The letters of one word, seven rows of five squares each.
LETTERS = {
    "S": (0x0F, 0x10, 0x10, 0x0E, 0x01, 0x01, 0x1E),
    "I": (0x0E, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0E),
    "M": (0x11, 0x1B, 0x15, 0x15, 0x11, 0x11, 0x11),
    "U": (0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0E),
    "L": (0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1F),
    "A": (0x0E, 0x11, 0x11, 0x1F, 0x11, 0x11, 0x11),
    "T": (0x1F, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04),
    "E": (0x1F, 0x10, 0x10, 0x1E, 0x10, 0x10, 0x1F),
    "D": (0x1E, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1E),
}
WORD = "SIMULATED"
Grid = list[bytearray]


def png(seed: bytes, width: int, height: int) -> bytes:
    """A picture. `seed` has at least 8 bytes; the same one is always the same landscape."""
    pixels = _pixels(_landscape(seed, width, height, 0.0), width, height)
    return _file(seed, width, height, [_chunk(b"IDAT", pixels)])


def animation(seed: bytes, width: int, height: int, frames: int, per_second: int) -> bytes:
    """An animated PNG that is played over and over; browsers show it like any picture."""
    chunks, numbers = [_chunk(b"acTL", struct.pack(">II", frames, 0))], count()
    for frame in range(frames):
        pixels = _pixels(_landscape(seed, width, height, frame / frames), width, height)
        control = struct.pack(">IIIIIHHBB", next(numbers), width, height, 0, 0, 1, per_second, 0, 0)
        chunks.append(_chunk(b"fcTL", control))
        # The first frame is what a program that knows no animations shows.
        chunks.append(_chunk(b"fdAT", struct.pack(">I", next(numbers)) + pixels) if frame else _chunk(b"IDAT", pixels))
    return _file(seed, width, height, chunks)


# -- the file --------------------------------------------------------------------------------------


def _file(seed: bytes, width: int, height: int, chunks: list[bytes]) -> bytes:
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
    palette = _chunk(b"PLTE", b"".join(_palette(seed)))
    return b"".join([b"\x89PNG\r\n\x1a\n", head, palette, _chunk(b"tEXt", COMMENT), *chunks, _chunk(b"IEND", b"")])


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _pixels(grid: Grid, width: int, height: int) -> bytes:
    """Every square as many pixels wide and high as it takes; one byte a pixel, and one before each line."""
    side = _side(width, height)
    wide = [bytes((colour,)) * side for colour in range(256)]
    lines = (b"\0" + b"".join(map(wide.__getitem__, row))[:width] for row in grid)
    return zlib.compress(b"".join(line for line in lines for _ in range(side))[: (width + 1) * height], 6)


def _side(width: int, height: int) -> int:
    return -(-max(width, height) // FINEST)


def _palette(seed: bytes) -> Iterator[bytes]:
    """A sky from its top to the horizon, hills from far to near, the sun, ink and paper."""
    hue = seed[0] / 256
    for step in range(SKY):
        share = step / SKY
        yield _colour(hue + 0.12 * (1 - share), 0.55 - 0.3 * share, 0.72 + 0.27 * share)
    for layer in range(LAYERS):
        for step in range(SHADES):
            yield _colour(hue + 0.28 + 0.05 * layer, 0.35 + 0.1 * layer, 0.8 - 0.18 * layer - 0.12 * step / SHADES)
    for _ in range(SKY + LAYERS * SHADES, SUN):
        yield b"\0\0\0"
    yield _colour(hue + 0.5, 0.25, 1.0)
    yield b"\x20\x20\x20"
    yield b"\xf4\xf4\xf4"


def _colour(hue: float, saturation: float, value: float) -> bytes:
    return bytes(round(255 * part) for part in colorsys.hsv_to_rgb(hue % 1, saturation, value))


# -- the landscape -----------------------------------------------------------------------------------


def _landscape(seed: bytes, width: int, height: int, time: float) -> Grid:
    """Squares as palette entries. `time` runs from 0 to 1, where it is the same again."""
    side = _side(width, height)
    across, down = -(-width // side), -(-height // side)
    grid = [bytearray([SKY * row // down]) * across for row in range(down)]
    _shine(grid, seed, across, down, time)
    for layer in range(LAYERS):
        _raise(grid, [_skyline(seed, layer, column / across, time) * down for column in range(across)], layer)
    _sign(grid, across, down)
    return grid


def _shine(grid: Grid, seed: bytes, across: int, down: int, time: float) -> None:
    turn = 2 * math.pi * time
    middle = across * (0.25 + seed[1] / 512 + 0.05 * math.cos(turn))
    level, radius = down * (0.28 + 0.05 * math.sin(turn)), min(across, down) * 0.11
    for row in range(down):
        reach = radius**2 - (row - level) ** 2
        if reach > 0:
            start, end = max(0, round(middle - math.sqrt(reach))), min(across, round(middle + math.sqrt(reach)))
            grid[row][start:end] = bytes([SUN]) * max(0, end - start)


def _skyline(seed: bytes, layer: int, place: float, time: float) -> float:
    """How far down from the top a layer of hills begins, as a share. Nearer hills pass by faster."""
    slow, quick = 1 + seed[2 + layer] % 2, 3 + seed[5 + layer % 3] % 3
    shift = seed[2 + layer] / 256 + time * (layer + 1)
    wave = math.sin(2 * math.pi * (place * slow + shift)) + 0.35 * math.sin(2 * math.pi * (place * quick + 2 * shift))
    return 0.5 + 0.14 * layer + 0.06 * wave


def _raise(grid: Grid, tops: list[float], layer: int) -> None:
    first, down = SKY + layer * SHADES, len(grid)
    for row in range(down):
        shade = first + SHADES * row // down
        line = grid[row]
        for column, top in enumerate(tops):
            if row >= top:
                line[column] = shade


def _sign(grid: Grid, across: int, down: int) -> None:
    """The word in the lower left corner, where there is room for it."""
    width, height = 6 * len(WORD) + 3, 11
    if across < width or down < height:
        return
    for row in range(down - height, down):
        grid[row][:width] = bytes([PAPER]) * width
    for place, letter in enumerate(WORD):
        for row, bits in enumerate(LETTERS[letter]):
            for column in range(5):
                if bits >> (4 - column) & 1:
                    grid[down - height + 2 + row][2 + 6 * place + column] = INK
