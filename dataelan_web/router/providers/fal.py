"""fal's queue: a request is put in line, its place is asked after, and the answer is fetched when it is complete.

Every app there has inputs of its own; those that most of them understand are sent. Source: fal-ai/fal (c6f0afa);
docs.fal.ai/model-endpoints/queue.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import quote

from dataelan_web.router.providers import jobs
from dataelan_web.router.providers.jobs import JobFormat
from dataelan_web.router.providers.json_values import broken, count, mappings, sequence, string
from dataelan_web.router.providers.media import asset_from_data_url, by_ending
from dataelan_web.router.providers.pictures import address, number, option, pixels, said
from dataelan_web.router.types import (
    Again,
    Asset,
    AssetAt,
    Call,
    Done,
    Event,
    Finish,
    Progress,
    Prompt,
    Text,
    Usage,
)

WAITING = ("IN_QUEUE", "IN_PROGRESS")
_FILES = ("images", "image", "videos", "video", "audio", "audio_file")


class _Fal(JobFormat):
    """Subclasses say what a task's inputs are called, and what is counted."""

    poll: ClassVar[float] = jobs.PICTURE_POLL

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        # What was asked for, as far as it is counted. A reader that was never told has nothing to count.
        self._seconds: Decimal | None = None
        self._characters: int | None = None

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        headers = {"Authorization": f"Key {key}"} if key else {}
        self._seconds = jobs.seconds(option(prompt, "seconds"))
        found = [address(image) for image in prompt.images]
        pictures = {"image_url": found[0], "image_urls": found} if found else {}
        body = {"prompt": prompt.words} | self.inputs(prompt) | said(seed=prompt.seed) | pictures
        return Call(f"{self.base_url}/{quote(model.strip('/'), safe='/-._~')}", body, headers)

    @abstractmethod
    def inputs(self, prompt: Prompt) -> dict[str, Any]: ...

    @abstractmethod
    def usage(self, files: list[dict[str, Any]]) -> Usage: ...

    def read(self, document: Mapping[str, Any]) -> Iterator[Event]:
        """The line's answers have a status or an address to ask at; the app's own answer has files. Only the first of
        the line's has all addresses for sure; the others lie below that of the answer."""
        status = string(document.get("status"))
        if status in WAITING and (place := string(document.get("response_url")).rstrip("/")):
            document = {"status_url": f"{place}/status", "cancel_url": f"{place}/cancel", **document}
        if document.get("error"):
            raise jobs.failed(document)
        if status == "COMPLETED":
            yield Again(Call(self._home(document, "response_url"), method="GET"))
        elif status in ("CANCELED", "CANCELLED"):
            raise jobs.cancelled()
        elif status in ("FAILED", "ERROR"):
            raise jobs.failed(document)
        elif "status_url" in document:
            yield _progress(document, status)
            place = self._home(document, "status_url")
            place += "" if "logs=" in place else "&logs=1" if "?" in place else "?logs=1"
            yield Again(Call(place, method="GET"), self.poll, self._cancel(document))
        else:
            yield from self._whole(document)

    def _home(self, document: Mapping[str, Any], name: str) -> str:
        url = string(document.get(name))
        if not jobs.is_home(url, self.base_url):
            raise broken("The provider's answer leads to another server, which is not followed. Check the base URL.")
        return url

    def _cancel(self, document: Mapping[str, Any]) -> Call | None:
        url = string(document.get("cancel_url"))
        return Call(url, method="PUT") if jobs.is_home(url, self.base_url) else None

    def _whole(self, document: Mapping[str, Any]) -> Iterator[Event]:
        files = [file for name in _FILES for file in _files(document.get(name))]
        if not files:
            if "detail" in document:
                raise jobs.failed(document)
            raise broken("The provider's answer holds no picture, film or sound. Check the model's name.")
        if text := string(document.get("description")):
            yield Text(text)
        yield from map(_event, files)
        yield self.usage(files)
        hidden = sequence(document.get("has_nsfw_concepts"))
        is_hidden = bool(hidden) and all(one is True for one in hidden)  # then the pictures are black
        id = string(document.get("request_id"))
        yield Done(Finish.CONTENT_FILTER if is_hidden else Finish.STOP, "", "", id)


class FalImages(_Fal):
    def inputs(self, prompt: Prompt) -> dict[str, Any]:
        size = option(prompt, "size")
        found = pixels(size)
        return said(
            image_size={"width": found[0], "height": found[1]} if found else size,
            aspect_ratio=option(prompt, "aspect_ratio"),
            num_images=number(prompt, "count"),
            quality=option(prompt, "quality"),
            background=option(prompt, "background"),
            output_format=option(prompt, "format"),
        )

    def usage(self, files: list[dict[str, Any]]) -> Usage:
        return Usage(images=len(files))


class FalFilms(_Fal):
    poll = jobs.FILM_POLL

    def inputs(self, prompt: Prompt) -> dict[str, Any]:
        length = number(prompt, "seconds")
        return said(
            duration="" if length is None else str(length),  # text suits apps that list the lengths they know
            aspect_ratio=option(prompt, "aspect_ratio"),
            resolution=option(prompt, "resolution"),
            negative_prompt=option(prompt, "negative_prompt"),
        )

    def usage(self, files: list[dict[str, Any]]) -> Usage:
        """As long as the file says, which few do, or as was asked for."""
        lengths = [jobs.seconds(file.get("duration")) or self._seconds for file in files]
        known = [length for length in lengths if length is not None]
        return Usage(seconds=sum(known, Decimal(0)) if len(known) == len(files) else None)


class FalSpeech(_Fal):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        self._characters = len(prompt.words)
        return super().call(prompt, model, key)

    def inputs(self, prompt: Prompt) -> dict[str, Any]:
        """Some apps read a `prompt` aloud, others a `text`."""
        options = said(voice=option(prompt, "voice"), speed=prompt.media.get("speed"))
        return {"text": prompt.words} | options | said(output_format=option(prompt, "format"))

    def usage(self, files: list[dict[str, Any]]) -> Usage:
        return Usage(characters=self._characters)


def _progress(document: Mapping[str, Any], status: str) -> Progress:
    ahead = count(document.get("queue_position"))
    logs = "\n".join(string(line.get("message")) for line in mappings(document.get("logs")))
    note = f"{status}, {ahead} ahead" if ahead else status
    return Progress(jobs.share(logs), note.lower().replace("_", " ") or "in queue")


def _files(value: Any) -> Iterator[dict[str, Any]]:
    for item in value if isinstance(value, list) else [value]:
        file = {"url": item} if isinstance(item, str) else item
        if isinstance(file, dict) and string(file.get("url")):
            yield file


def _event(file: Mapping[str, Any]) -> Asset | AssetAt:
    url = string(file.get("url"))
    return asset_from_data_url(url) or AssetAt(url, string(file.get("content_type")) or by_ending(url))
