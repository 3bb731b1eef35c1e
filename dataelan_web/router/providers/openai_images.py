"""OpenAI's pictures: POST /images/generations and /images/edits, and how xAI, Together and OpenRouter differ from them.

Source: openai/openai-openapi (f85dbe2), schemas CreateImageRequest, CreateImageEditRequest, EditImageBodyJsonParam;
docs.x.ai, image generation; docs.together.ai, images; openrouter.ai/blog/tutorials/image-generation; recorded traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.framing import MEBIBYTE, decoder
from dataelan_web.router.providers.openai_chat import key_headers
from dataelan_web.router.providers.openai_images_answer import ImagesAnswer
from dataelan_web.router.providers.pictures import (
    address,
    aspect_ratio,
    bytes_of,
    number,
    option,
    pixels,
    said,
    shape,
)
from dataelan_web.router.types import Call, Decoder, ImagePart, Prompt, Upload

# A picture is one event of a stream.
EVENT_LIMIT = 32 * MEBIBYTE

Body = dict[str, Any]


def _by_size(prompt: Prompt) -> Body:
    """OpenAI's own: only sizes. Three of them are drawn by all its models since GPT Image 1."""
    size, ratio = option(prompt, "size"), option(prompt, "aspect_ratio")
    if not size and ratio:
        wide = shape(ratio)
        size = "1024x1024" if 0.9 < wide < 1.1 else "1536x1024" if wide > 1 else "1024x1536"
    return said(size=size)


def _by_ratio(prompt: Prompt) -> Body:
    """xAI: a ratio, and a resolution of "1k" or "2k"."""
    size = option(prompt, "size")
    return said(aspect_ratio=aspect_ratio(prompt), resolution="" if pixels(size) else size.lower())


def _by_pixels(prompt: Prompt) -> Body:
    """Together: width and height, or a ratio."""
    if found := pixels(option(prompt, "size")):
        return {"width": found[0], "height": found[1]}
    return said(aspect_ratio=option(prompt, "aspect_ratio"))


def _as_said(prompt: Prompt) -> Body:
    """OpenRouter: pixels, a ratio, or a resolution such as "2K", as the model behind it takes them. What that does not
    know is refused, so nothing is guessed."""
    size = option(prompt, "size")
    is_pixels = pixels(size) is not None
    return said(
        aspect_ratio=option(prompt, "aspect_ratio"),
        size=size if is_pixels else "",
        resolution="" if is_pixels else size.upper(),
    )


def _form(images: tuple[ImagePart, ...], body: Body) -> tuple[str, Body | list[Upload]]:
    """As files; as addresses where one is an address, which OpenAI reads in JSON only."""
    if any(image.url for image in images):
        return "images/edits", body | {"images": [{"image_url": address(image)} for image in images]}
    name = "image" if len(images) == 1 else "image[]"
    return "images/edits", [_upload(name, place, image) for place, image in enumerate(images, 1)]


def _json(images: tuple[ImagePart, ...], body: Body) -> tuple[str, Body | list[Upload]]:
    """xAI: "The OpenAI SDK's images.edit() method is not supported"."""
    found = [{"type": "image_url", "url": address(image)} for image in images]
    return "images/edits", body | ({"image": found[0]} if len(found) == 1 else {"images": found})


def _generation(images: tuple[ImagePart, ...], body: Body) -> tuple[str, Body | list[Upload]]:
    """Together has no path for edits: a picture to work from is one more field."""
    found = [address(image) for image in images]
    return "images/generations", body | ({"image_url": found[0]} if len(found) == 1 else {"reference_images": found})


def _references(images: tuple[ImagePart, ...], body: Body) -> tuple[str, Body | list[Upload]]:
    """OpenRouter: one path for all."""
    found = [{"type": "image_url", "image_url": {"url": address(image)}} for image in images]
    return "images", body | {"input_references": found}


@dataclass(frozen=True)
class Dialect:
    size: Callable[[Prompt], Body] = _by_size
    edit: Callable[[tuple[ImagePart, ...], Body], tuple[str, Body | list[Upload]]] = _form
    path: str = "images/generations"
    options: frozenset[str] = frozenset()


OPENAI = Dialect(options=frozenset({"moderation", "output_compression"}))
# By end of host name. OpenAI refuses fields that it does not know.
DIALECTS: Mapping[str, Dialect] = {
    "api.x.ai": Dialect(_by_ratio, _json),
    ".together.xyz": Dialect(_by_pixels, _generation),
    ".together.ai": Dialect(_by_pixels, _generation),
    "openrouter.ai": Dialect(_as_said, _references, path="images"),
}


class OpenAIImages(Format):
    """Whether a picture comes as bytes or as an address is left to the server: OpenAI's newer models refuse
    `response_format`, and its older ones answer with an address unless it is sent."""

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        host = urlsplit(self.base_url).hostname or ""
        self._dialect = next((known for end, known in DIALECTS.items() if host.endswith(end)), OPENAI)
        self.options = self._dialect.options

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        headers = key_headers(self.base_url, key)
        body = {"model": model, "prompt": prompt.words} | self._options(prompt)
        if not prompt.images:
            return Call(f"{self.base_url}/{self._dialect.path}", body, headers)
        path, content = self._dialect.edit(prompt.images, body)
        if isinstance(content, dict):
            return Call(f"{self.base_url}/{path}", content, headers)
        form = {name: str(value) for name, value in body.items()}
        return Call(f"{self.base_url}/{path}", headers=headers, form=form, uploads=tuple(content))

    def _options(self, prompt: Prompt) -> Body:
        return self._dialect.size(prompt) | said(
            n=number(prompt, "count"),
            quality=option(prompt, "quality"),
            background=option(prompt, "background"),
            output_format=option(prompt, "format"),
            **prompt.options,
        )

    def decoder(self) -> Decoder:
        return decoder(ImagesAnswer(), EVENT_LIMIT)


def _upload(name: str, place: int, image: ImagePart) -> Upload:
    media_type = image.media_type or "image/png"
    ending = media_type.partition("/")[2].partition("+")[0]
    return Upload(name, f"picture-{place}.{ending}", media_type, bytes_of(image))
