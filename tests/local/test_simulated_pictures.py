"""Simulated pictures and films, asked over real HTTP, by hand and by the router itself."""

from __future__ import annotations

import base64
import struct
import time
import zlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx2 as httpx
import pytest

from dataelan_web.local.simulated import films, painting
from dataelan_web.router import wire
from dataelan_web.router.candidates import Candidate, Key
from dataelan_web.router.plan import Plan, Step
from dataelan_web.router.providers import replicate
from dataelan_web.router.run import Result, run
from dataelan_web.router.stop import Stop
from dataelan_web.router.types import (
    Again,
    Asset,
    Done,
    Event,
    Failure,
    Finish,
    ImagePart,
    Message,
    Progress,
    Prompt,
    Task,
    TextPart,
    Usage,
)

QUICK = "\n!simulate seconds=0"


def draw(client: httpx.Client, prompt: str = "A fox" + QUICK, **more: Any) -> httpx.Response:
    return client.post("/v1/images/generations", json={"model": "simulated-image", "prompt": prompt, **more})


def pictures(answer: httpx.Response) -> list[bytes]:
    assert answer.status_code == 200, answer.text
    return [base64.b64decode(picture["b64_json"]) for picture in answer.json()["data"]]


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The parts of a PNG file, whose checksums hold."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    place = 8
    while place < len(png):
        (size,) = struct.unpack(">I", png[place : place + 4])
        name, content = png[place + 4 : place + 8], png[place + 8 : place + 8 + size]
        assert struct.unpack(">I", png[place + 8 + size : place + 12 + size]) == (zlib.crc32(name + content),)
        yield name, content
        place += 12 + size


def size(png: bytes) -> tuple[int, int]:
    """Width and height, which the pixels of every frame agree with."""
    parts = list(chunks(png))
    width, height = struct.unpack(">II", parts[0][1][:8])
    frames = [content[4:] if name == b"fdAT" else content for name, content in parts if name in (b"IDAT", b"fdAT")]
    assert all(len(zlib.decompress(frame)) == (width + 1) * height for frame in frames)
    return width, height


# -- pictures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [("auto", (1024, 1024)), ("512x256", (512, 256)), ("1536x1024", (1024, 683)), ("7x300", (7, 300)), ("1x1", (1, 1))],
)
def test_a_picture_is_a_png_of_the_size_asked_for(client: httpx.Client, asked: str, drawn: tuple[int, int]) -> None:
    answer = draw(client, size=asked)
    (picture,) = pictures(answer)
    assert size(picture) == drawn
    assert answer.json()["size"] == f"{drawn[0]}x{drawn[1]}"
    assert b"no AI model was asked" in dict(chunks(picture))[b"tEXt"]
    assert answer.headers["x-simulated"] == "true"


def test_a_prompt_has_colours_of_its_own_and_the_directive_is_no_part_of_it(client: httpx.Client) -> None:
    (fox,), (hen,), (also,) = (pictures(draw(client, words + QUICK)) for words in ("A fox", "A hen", "A fox"))
    assert fox == also != hen
    assert fox == pictures(draw(client, "A fox\n!simulate seconds=0.01"))[0]


def test_as_many_pictures_as_asked_for_come_with_their_tokens(client: httpx.Client) -> None:
    answer = draw(client, n=3, size="1024x512")
    assert len(set(pictures(answer))) == 3
    assert answer.json()["usage"] == {
        "input_tokens": 2,
        "output_tokens": 408,
        "total_tokens": 410,
        "input_tokens_details": {"text_tokens": 2, "image_tokens": 0},
    }


def test_a_picture_to_work_from_changes_the_picture(client: httpx.Client) -> None:
    (plain,) = pictures(draw(client))
    form = {"model": "simulated-image", "prompt": "A fox" + QUICK}
    answer = client.post("/v1/images/edits", data=form, files={"image": ("a.png", plain, "image/png")})
    assert pictures(answer)[0] != plain
    assert answer.json()["usage"]["input_tokens_details"]["image_tokens"] > 0


@pytest.mark.parametrize("bad", [{"n": 0}, {"n": "x"}, {"size": "big"}, {"prompt": " "}, {"output_format": "webp"}])
def test_a_bad_request_is_refused_in_words(client: httpx.Client, bad: dict[str, Any]) -> None:
    answer = draw(client, **({"prompt": "A fox"} | bad))
    assert answer.status_code == 400
    assert next(iter(bad)) in answer.json()["error"]["message"]


def test_a_picture_takes_its_time_and_fails_as_told(client: httpx.Client) -> None:
    started = time.monotonic()
    pictures(draw(client, "A fox\n!simulate seconds=0.5"))
    assert 0.5 <= time.monotonic() - started < 2
    refused = draw(client, "A fox\n!simulate fail=content_policy")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "content_policy_violation")


# -- jobs ------------------------------------------------------------------------------------------


def film(client: httpx.Client, prompt: str, model: str = "simulated/film", **inputs: Any) -> httpx.Response:
    return client.post(f"/replicate/v1/models/{model}/predictions", json={"input": {"prompt": prompt, **inputs}})


def state(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = client.get(job["urls"]["get"]).json()
    return answer


def test_a_film_is_an_animation_of_the_length_and_shape_asked_for(client: httpx.Client) -> None:
    job = film(client, "A fox" + QUICK, duration=2, aspect_ratio="9:16").json()
    done = state(client, job)
    assert (done["status"], done["input"]) == ("succeeded", {"duration": 2})
    file = client.get(done["output"])
    assert file.headers["content-type"] == "image/apng"
    assert size(file.content) == (180, 320)
    parts = list(chunks(file.content))
    assert struct.unpack(">II", dict(parts)[b"acTL"]) == (2 * films.PER_SECOND, 0)
    numbers = [struct.unpack(">I", content[:4])[0] for name, content in parts if name in (b"fcTL", b"fdAT")]
    assert numbers == list(range(len(numbers))), "frames are numbered without a gap"


def test_a_job_goes_through_its_states_and_shows_how_far_it_is(client: httpx.Client) -> None:
    job = film(client, "A fox\n!simulate seconds=1").json()
    assert (job["status"], job["output"]) == ("starting", None)
    seen = []
    while True:
        file, now = client.get(f"/replicate/v1/files/{job['id']}/out.apng"), state(client, job)
        if now["status"] == "succeeded":
            break
        seen.append(now["status"])
        assert file.status_code == 404
        time.sleep(0.05)
    assert "processing" in seen
    assert "%|" in now["logs"]


def test_a_job_can_be_cancelled(client: httpx.Client) -> None:
    job = film(client, "A fox\n!simulate seconds=5").json()
    assert client.post(job["urls"]["cancel"]).json()["status"] == "canceled"
    assert state(client, job)["status"] == "canceled"


def test_a_job_fails_as_told(client: httpx.Client) -> None:
    job = film(client, "A fox\n!simulate seconds=0 fail=job_failed").json()
    assert (state(client, job)["status"], state(client, job)["error"]) == ("failed", "Simulated: the job failed.")
    assert film(client, "A fox\n!simulate fail=rate_limit").status_code == 429


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/predictions/nothing", 404),
        ("/predictions/" + "a" * 42, 404),
        ("/files/nothing/out.png", 404),
        ("/models", 404),
    ],
)
def test_what_is_not_there_is_not_found(client: httpx.Client, path: str, status: int) -> None:
    answer = client.get(f"/replicate/v1{path}")
    assert (answer.status_code, answer.json()["status"]) == (status, status)


def test_a_job_that_makes_no_sense_is_refused_in_words(client: httpx.Client) -> None:
    assert film(client, "A fox", model="simulated/song").status_code == 404
    for inputs in ({"duration": 99}, {"aspect_ratio": "wide"}):
        refused = film(client, "A fox", **inputs)
        assert (refused.status_code, next(iter(inputs)) in refused.json()["detail"]) == (422, True)


def test_every_small_picture_can_be_painted() -> None:
    for width, height in ((1, 320), (320, 1), (160, 11), (57, 10), (161, 161)):
        assert size(painting.png(bytes(8), width, height)) == (width, height)


# -- the router asks -------------------------------------------------------------------------------


class Book:
    """A journal that keeps how the last call ended."""

    result, leaves_out = Result(), frozenset[str]()

    def begin(self, step: Step, number: int, prompt: Prompt) -> Prompt:
        return prompt

    def waiting(self, step: Step, number: int, again: Again) -> None:
        pass

    def end(self, step: Step, number: int, result: Result) -> None:
        self.result = result


def routed(client: httpx.Client, kind: str, model: str, prompt: Prompt) -> tuple[list[Event], Usage]:
    path = "/v1" if kind == "openai" else films.PREFIX
    place = f"{str(client.base_url).rstrip('/')}{path}"
    step = Step(Candidate(uuid4(), model, uuid4(), "Simulated", kind, place, ()), Key(uuid4(), "k", "organization"))
    book = Book()
    with wire.clients() as http:
        events = list(run(Plan((step,)), prompt, http, book, lambda step: "", Stop()))
    return events, book.result.usage


def prompt(task: Task, words: str, *images: ImagePart, **media: Any) -> Prompt:
    return Prompt((Message("user", (TextPart(words), *images)),), task=task, media=media)


def test_the_router_has_a_picture_drawn_and_changed(client: httpx.Client) -> None:
    events, usage = routed(
        client, "openai", "simulated-image", prompt(Task.IMAGE, "A fox" + QUICK, size="256x256", count=2)
    )
    first, second, *_ = events
    assert isinstance(first, Asset)
    assert isinstance(second, Asset)
    assert (first.media_type, size(first.content), size(second.content)) == ("image/png", (256, 256), (256, 256))
    assert events[-1] == Done(Finish.STOP)
    assert (usage.images, usage.output_image) == (2, usage.output)
    image = ImagePart("image/png", data=base64.b64encode(first.content).decode())
    events, usage = routed(client, "openai", "simulated-image", prompt(Task.IMAGE, "Bluer" + QUICK, image))
    assert isinstance(events[0], Asset)
    assert usage.input_image


def test_the_router_has_a_film_made(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicate.ReplicateFilms, "poll", 0.1)
    asked = prompt(Task.VIDEO, "A fox runs\n!simulate seconds=1", seconds=3)
    events, usage = routed(client, "replicate", "simulated/film", asked)
    assert isinstance(events[0], Progress)
    (made,) = (event for event in events if isinstance(event, Asset))
    assert (made.media_type, size(made.content)) == ("image/apng", (320, 180))
    assert usage.seconds == Decimal(3)


def test_the_router_tells_of_a_film_that_failed(client: httpx.Client) -> None:
    asked = prompt(Task.VIDEO, "A fox runs\n!simulate seconds=0 fail=job_failed")
    with pytest.raises(Failure, match="Simulated: the job failed") as caught:
        routed(client, "replicate", "simulated/film", asked)
    assert caught.value.code == "job_failed"
