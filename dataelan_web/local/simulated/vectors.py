"""Embeddings, simulated: texts that share words have vectors that are near each other, and there is no more to it."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import struct
from collections import Counter
from functools import lru_cache
from random import Random
from typing import Any

from dataelan_web.local.simulated.making import Asked, json_of, text_in
from dataelan_web.local.simulated.wire import Reply, json_reply

USUAL_SIZE = 256
LARGEST_SIZE = 1536
MOST_TEXTS = 256
MOST_WORDS = 200


def embeddings(body: bytes, content_type: str) -> Asked:
    """POST /v1/embeddings. Directives may be in the first text; a request of one text loses them before it counts."""
    data = json_of(body)
    texts, size = _texts(data.get("input")), data.get("dimensions", USUAL_SIZE)
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= LARGEST_SIZE:
        raise ValueError(f"'dimensions' must be an integer from 1 to {LARGEST_SIZE}.")
    model, packed = text_in(data, "model"), data.get("encoding_format") == "base64"
    return Asked(model, texts[0], lambda first: _reply(model, [first, *texts[1:]], size, packed))


def _texts(asked: Any) -> list[str]:
    texts = [asked] if isinstance(asked, str) else asked
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise ValueError("'input' must be a text, or a list of texts, none of them empty.")
    if len(texts) > MOST_TEXTS:
        raise ValueError(f"'input' must have at most {MOST_TEXTS} texts.")
    return texts


def _reply(model: str, texts: list[str], size: int, packed: bool) -> Reply:
    found = [vector(text, size) for text in texts]
    data = [
        {"object": "embedding", "index": place, "embedding": _packed(numbers) if packed else numbers}
        for place, numbers in enumerate(found)
    ]
    tokens = sum(-(-len(text.encode(errors="replace")) // 4) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_reply({"object": "list", "data": data, "model": model, "usage": usage})


def vector(text: str, size: int = USUAL_SIZE) -> list[float]:
    """The sum of its words' directions, of length 1."""
    words = Counter(re.findall(r"\w+", text.lower())[:MOST_WORDS]) or Counter([text])
    total = [0.0] * size
    for word, times in words.items():
        total = [sum_ + times * part for sum_, part in zip(total, _direction(word, size), strict=True)]
    length = math.hypot(*total) or 1.0
    return [part / length for part in total]


@lru_cache(maxsize=256)
def _direction(word: str, size: int) -> tuple[float, ...]:
    dice = Random(hashlib.sha256(word.encode(errors="replace")).digest())
    return tuple(dice.gauss(0, 1) for _ in range(size))


def _packed(numbers: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
