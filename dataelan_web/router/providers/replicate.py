"""Replicate: a prediction is started, asked after until it is over, and its files are fetched from where they lie.

Every model there has inputs of its own. Those that most of them understand are sent; Replicate drops what a model
does not know (replicate/cog#2943). Source: replicate/replicate-python (0110c2c); recorded traffic.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from dataelan_web.router.providers import failures, jobs
from dataelan_web.router.providers.jobs import JobFormat
from dataelan_web.router.providers.json_values import broken, mapping, string
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

_ADDRESS = re.compile(r"(?:https?://|data:)\S+")
_DEEPEST = 5


class _Replicate(JobFormat):
    """Subclasses say what a task's inputs are called, and what is counted."""

    poll: ClassVar[float] = jobs.PICTURE_POLL

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        body = {"input": self.inputs(prompt)}
        path, _, version = model.partition(":")
        if version or "/" not in path:  # a version by its number: "owner/name:version", or the number alone
            return Call(f"{self.base_url}/predictions", body | {"version": version or path}, headers)
        place = path if path.startswith("deployments/") else f"models/{path}"
        return Call(f"{self.base_url}/{quote(place, safe='/-._~')}/predictions", body, headers)

    @abstractmethod
    def inputs(self, prompt: Prompt) -> dict[str, Any]: ...

    @abstractmethod
    def usage(self, inputs: Mapping[str, Any], files: int) -> Usage: ...

    def read(self, prediction: Mapping[str, Any]) -> Iterator[Event]:
        id, status = string(prediction.get("id")), string(prediction.get("status"))
        match status:
            case "starting" | "processing" | "queued" if id:
                yield Progress(jobs.share(string(prediction.get("logs"))), status)
                # Its `urls` say the same, and are not followed: they could lead anywhere.
                place = f"{self.base_url}/predictions/{quote(id, safe='')}"
                yield Again(Call(place, method="GET"), self.poll, Call(f"{place}/cancel"))
            case "succeeded":
                yield from self._whole(prediction)
            case "failed":
                raise jobs.failed(prediction.get("error"))
            case "canceled" | "aborted":
                raise jobs.cancelled()
            case _:
                if prediction.get("error") or prediction.get("detail"):
                    raise failures.failure_in_answer(prediction)
                raise broken("The provider's answer is JSON, but not Replicate's. Check the base URL.")

    def _whole(self, prediction: Mapping[str, Any]) -> Iterator[Event]:
        made = [_event(text) for text in _texts(prediction.get("output")) if text]
        if not made:
            raise jobs.failed("The job ended without any output.")
        yield from made
        files = sum(not isinstance(event, Text) for event in made)
        yield self.usage(mapping(prediction.get("input")), files)
        model = string(prediction.get("model")) or string(prediction.get("version"))
        yield Done(Finish.STOP, "", model, string(prediction.get("id")))


class ReplicateImages(_Replicate):
    def inputs(self, prompt: Prompt) -> dict[str, Any]:
        size = option(prompt, "size")
        width, height = pixels(size) or (None, None)
        return said(
            prompt=prompt.words,
            num_outputs=number(prompt, "count"),
            aspect_ratio=option(prompt, "aspect_ratio"),
            size="" if width else size,
            width=width,
            height=height,
            quality=option(prompt, "quality"),
            background=option(prompt, "background"),
            output_format=option(prompt, "format"),
            seed=prompt.seed,
        ) | _pictures(prompt)

    def usage(self, inputs: Mapping[str, Any], files: int) -> Usage:
        return Usage(images=files)


class ReplicateFilms(_Replicate):
    poll = jobs.FILM_POLL

    def inputs(self, prompt: Prompt) -> dict[str, Any]:
        return said(
            prompt=prompt.words,
            duration=number(prompt, "seconds"),
            aspect_ratio=option(prompt, "aspect_ratio"),
            resolution=option(prompt, "resolution"),
            negative_prompt=option(prompt, "negative_prompt"),
            seed=prompt.seed,
        ) | _pictures(prompt)

    def usage(self, inputs: Mapping[str, Any], files: int) -> Usage:
        """The length is not told; it is what was asked for, where that was said. The answer repeats its inputs."""
        length = jobs.seconds(inputs.get("duration"))
        return Usage(seconds=None if length is None else length * files)


class ReplicateSpeech(_Replicate):
    def inputs(self, prompt: Prompt) -> dict[str, Any]:
        options = said(voice=option(prompt, "voice"), output_format=option(prompt, "format"))
        return {"text": prompt.words} | options | said(speed=prompt.media.get("speed"))

    def usage(self, inputs: Mapping[str, Any], files: int) -> Usage:
        text = inputs.get("text")
        return Usage(characters=len(text) if isinstance(text, str) else None)


def _pictures(prompt: Prompt) -> dict[str, Any]:
    """A picture to work from, under the names it most often has."""
    found = [address(image) for image in prompt.images]
    return {"image": found[0], "input_image": found[0], "image_input": found} if found else {}


def _texts(output: Any, depth: int = 0) -> Iterator[str]:
    """Every text in an output: one, a list, or an object with several."""
    if isinstance(output, str):
        yield string(output)
    elif isinstance(output, list | dict) and depth < _DEEPEST:
        for item in output.values() if isinstance(output, dict) else output:
            yield from _texts(item, depth + 1)


def _event(text: str) -> Asset | AssetAt | Text:
    if not _ADDRESS.fullmatch(text):
        return Text(text)
    return asset_from_data_url(text) or AssetAt(text, by_ending(text))
