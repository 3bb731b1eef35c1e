"""Pictures of Gemini models: generateContent that is asked for images. A conversation goes along whole, so that a
picture can be changed turn by turn.

Source: googleapis/python-genai (6680718), types.ImageConfig and _ImageConfig_to_mldev.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dataelan_web.router.providers.gemini import Gemini
from dataelan_web.router.providers.json_values import mapping
from dataelan_web.router.providers.pictures import aspect_ratio, no_transparency, number, option, pixels, said
from dataelan_web.router.types import Call, Prompt, Unsupported


class GeminiImages(Gemini):
    """Quality and file format cannot be said here and are left to the model."""

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        if (number(prompt, "count") or 1) > 1:
            raise Unsupported("It makes one picture a call.")
        no_transparency(prompt)
        size = option(prompt, "size")
        image = said(aspectRatio=aspect_ratio(prompt), imageSize="" if pixels(size) else size.upper())
        asked = super().call(prompt, model, key)
        body: dict[str, Any] = dict(asked.body or {})
        config = mapping(body.get("generationConfig")) | {"responseModalities": ["TEXT", "IMAGE"]}
        return replace(asked, body=body | {"generationConfig": config | ({"imageConfig": image} if image else {})})
