"""Prompts for the tests of formats that draw and film, and how their answers are read."""

from __future__ import annotations

import base64
import json
from typing import Any

from dataelan_web.router.types import Adapter, Event, Failure, ImagePart, Message, Prompt, Task, TextPart, user

from .recordings import decoded

PNG = b"\x89PNG\r\n\x1a\nrest"
PNG64 = base64.b64encode(PNG).decode()
PICTURE = ImagePart("image/png", data=PNG64)


def drawing(words: str = "A fox", *images: ImagePart, task: Task = Task.IMAGE, **media: Any) -> Prompt:
    message = Message("user", (TextPart(words), *images)) if images else user(words)
    return Prompt((message,), task=task, media=media, stream=False)


def filming(words: str = "A fox runs", *images: ImagePart, **media: Any) -> Prompt:
    return drawing(words, *images, task=Task.VIDEO, **media)


def read(adapter: Adapter, document: Any, size: int = 1000) -> list[Event]:
    """The events of one answer. Raises its Failure."""
    events, failure = decoded(adapter.decoder(), json.dumps(document).encode(), size)
    if failure is not None:
        raise failure
    return events


def failure_of(adapter: Adapter, document: Any) -> Failure:
    _, failure = decoded(adapter.decoder(), json.dumps(document).encode(), 1000)
    assert failure is not None, "this answer is a failure"
    return failure
