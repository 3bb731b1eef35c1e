"""POST /v1/embeddings. Source: openai/openai-openapi, CreateEmbeddingRequest."""

from __future__ import annotations

import struct
from base64 import b64encode
from functools import partial
from typing import Any, Literal

from pydantic import Field

from ...router.types import Prompt, Task, user
from ..errors import Refused
from ..inbound import Inbound, Whole
from ..json_body import Strict, checked, unsupported

MOST = 2048
"""Texts of one request, as at OpenAI."""


class EmbeddingsRequest(Strict):
    model: str = Field(min_length=1, max_length=200)
    input: Any
    dimensions: int | None = Field(default=None, ge=1, le=100_000)
    encoding_format: Literal["float", "base64"] = "float"

    @property
    def texts(self) -> list[str]:
        """Raises Refused (400)."""
        given = [self.input] if isinstance(self.input, str) else self.input
        if not isinstance(given, list) or not 1 <= len(given) <= MOST:
            raise Refused(400, f"input: a text, or a list of 1 to {MOST}.", "invalid_value", "input")
        if any(isinstance(one, int | list) for one in given):
            raise unsupported("input", "numbers of tokens mean something to one model only; send texts.")
        if not all(isinstance(one, str) and one for one in given):
            raise Refused(400, "input: each has to be a text that is not empty.", "invalid_value", "input")
        return given


def read(body: dict[str, Any]) -> Inbound:
    """Raises Refused (400) naming the first field that is wrong."""
    asked = checked(body, EmbeddingsRequest)
    media = {"dimensions": asked.dimensions} if asked.dimensions else {}
    prompt = Prompt(tuple(map(user, asked.texts)), Task.EMBEDDING, media, stream=False)
    return Inbound(asked.model, prompt, partial(_answer, asked.encoding_format == "base64"))


def _answer(is_packed: bool, whole: Whole) -> dict[str, Any]:
    data = [
        {"object": "embedding", "index": one.index, "embedding": _packed(one.vector) if is_packed else one.vector}
        for one in sorted(whole.answer.vectors, key=lambda one: one.index)
    ]
    used = {"prompt_tokens": whole.usage.input_total, "total_tokens": whole.usage.input_total}
    return {"object": "list", "data": data, "model": whole.model, "usage": used}


def _packed(vector: tuple[float, ...]) -> str:
    """Little-endian float32 in base64, as OpenAI's client asks for unless told otherwise."""
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
