"""Pictures in OpenAI's form: POST /v1/images/generations and /v1/images/edits. They are landscapes (painting.py)
whose colours come from the prompt."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Any

from dataelan_web.local.simulated.making import Asked, form_of, json_of, text_in
from dataelan_web.local.simulated.painting import png
from dataelan_web.local.simulated.wire import Reply, json_reply

LARGEST = 1024
MOST = 10
TOKENS = 272  # of a square picture of LARGEST pixels a side
TOKENS_IN = 194  # of any picture to work from


@dataclass(frozen=True)
class Order:
    count: int
    width: int
    height: int
    sources: tuple[bytes, ...] = ()
    """Hashes of the pictures to work from."""


def generation(body: bytes, content_type: str) -> Asked:
    return _asked(json_of(body), ())


def edit(body: bytes, content_type: str) -> Asked:
    """A form with `image` or `image[]`, or JSON with `images`."""
    if content_type.startswith("multipart/"):
        form, files = form_of(body, content_type)
        data: dict[str, Any] = dict(form)
        contents = [file.read() for name in ("image", "image[]") for file in files.getlist(name)]
    else:
        data = json_of(body)
        references = data.get("images")
        contents = [repr(one).encode(errors="replace") for one in references] if isinstance(references, list) else []
    if not contents:
        raise ValueError("You must send a picture to work from, as 'image'.")
    return _asked(data, tuple(hashlib.sha256(content).digest() for content in contents))


def _asked(data: dict[str, Any], sources: tuple[bytes, ...]) -> Asked:
    words = text_in(data, "prompt")
    if not words.strip():
        raise ValueError("'prompt' must not be empty.")
    if data.get("output_format", "png") != "png":
        raise ValueError("'output_format' must be 'png'; nothing else is simulated.")
    order = Order(_count(data.get("n", 1)), *size_of(data.get("size", "auto")), sources)
    return Asked(text_in(data, "model"), words, lambda said: _drawn(order, said))


def _count(value: Any) -> int:
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,2}", text, re.ASCII) or not 1 <= int(text) <= MOST:
        raise ValueError(f"'n' must be a whole number from 1 to {MOST}.")
    return int(text)


def size_of(value: Any) -> tuple[int, int]:
    """Width and height as asked for; what is larger than LARGEST keeps its shape and is drawn smaller."""
    if value == "auto":
        return LARGEST, LARGEST
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", str(value), re.ASCII)
    if not found:
        raise ValueError("'size' must be like '1024x1024', or 'auto'.")
    width, height = int(found[1]), int(found[2])
    shrink = max(1.0, max(width, height) / LARGEST)
    return max(1, round(width / shrink)), max(1, round(height / shrink))


def seed_of(*parts: bytes) -> bytes:
    return hashlib.sha256(b"\0".join(parts)).digest()


def _drawn(order: Order, words: str) -> Reply:
    seeds = [seed_of(words.encode(), *order.sources, bytes([place])) for place in range(order.count)]
    pictures = [png(seed, order.width, order.height) for seed in seeds]
    return json_reply(
        {
            "created": 0,
            "background": "opaque",
            "output_format": "png",
            "quality": "low",
            "size": f"{order.width}x{order.height}",
            "data": [{"b64_json": base64.b64encode(picture).decode()} for picture in pictures],
            "usage": _usage(order, words),
        }
    )


def _usage(order: Order, words: str) -> dict[str, Any]:
    text, images = -(-len(words.encode()) // 4), TOKENS_IN * len(order.sources)
    output = order.count * max(1, TOKENS * order.width * order.height // LARGEST**2)
    return {
        "input_tokens": text + images,
        "output_tokens": output,
        "total_tokens": text + images + output,
        "input_tokens_details": {"text_tokens": text, "image_tokens": images},
    }
