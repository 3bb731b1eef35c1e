"""What a call uses beside tokens: the most it can, before; what it did, after."""

from __future__ import annotations

import io
import math
import wave
from base64 import b64encode
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataelan_web.executions.measures import from_json, measured, most, to_json
from dataelan_web.executions.prompts import from_json as prompt_from_json
from dataelan_web.executions.prompts import to_json as prompt_to_json
from dataelan_web.executions.prompts import with_files
from dataelan_web.router.recordings import seconds_of
from dataelan_web.router.types import FilePart, ImagePart, Message, Prompt, Task, TextPart, Usage, user

# The first bytes of what mutagen knows.
MARKS = [
    b"", b"RIFF\0\0\0\0WAVEfmt ", b"ID3\4\0\0", b"\xff\xfb\x90\0", b"fLaC", b"OggS\0\2", b"FORM\0\0\0\0AIFF",
    b"\0\0\0\x18ftypM4A ", b"\xff\xf1", b"ADIF", b"MPCK", b"MP+", b"wvpk", b"MAC ", b"TTA1", b"\x30\x26\xb2\x75",
]  # fmt: skip


def recording(seconds: float, rate: int = 8_000) -> FilePart:
    """A real WAV file of a tone."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        tone = (int(9_000 * math.sin(place / 5)) for place in range(int(seconds * rate)))
        file.writeframes(b"".join(sample.to_bytes(2, "little", signed=True) for sample in tone))
    return FilePart("audio/wav", b64encode(out.getvalue()).decode(), name="tone.wav")


def asking(task: Task, *parts: TextPart | FilePart | ImagePart, **media: object) -> Prompt:
    return Prompt((Message("user", parts or (TextPart("A red fox"),)),), task=task, media=media)


def test_a_recordings_length_is_its_own_headers() -> None:
    assert seconds_of(recording(2.5)) == Decimal("2.5")


def test_a_recording_that_cannot_be_read_has_no_length_but_a_longest_one() -> None:
    noise = FilePart("audio/mpeg", b64encode(b"\x01\x02\x03" * 10_000).decode())
    assert seconds_of(noise) == 0
    assert seconds_of(noise, longest=True) == 40
    assert seconds_of(FilePart("audio/mpeg", "not base64!")) == 0


@pytest.mark.parametrize(
    ("prompt", "media_types", "reported", "counted"),
    [
        (asking(Task.IMAGE), ["image/png", "image/png"], Usage(), Usage(images=2)),
        (asking(Task.IMAGE), ["image/png"], Usage(images=1, input=5), Usage(images=1, input=5)),
        (asking(Task.SPEECH), ["audio/mpeg"], Usage(), Usage(characters=9)),
        (asking(Task.SPEECH), ["audio/mpeg"], Usage(characters=11), Usage(characters=11)),
        (asking(Task.TRANSCRIPTION, recording(1.5)), [], Usage(), Usage(seconds=Decimal("1.5"))),
        (asking(Task.VIDEO, seconds=8), ["video/mp4"], Usage(), Usage(seconds=Decimal(8))),
        (asking(Task.VIDEO, seconds=8), [], Usage(), Usage()),
        (asking(Task.CHAT), [], Usage(input=3), Usage(input=3)),
    ],
)
def test_what_a_provider_does_not_report_is_counted_by_us(
    prompt: Prompt, media_types: list[str], reported: Usage, counted: Usage
) -> None:
    assert measured(prompt, media_types, reported) == counted


def test_the_most_a_prompt_can_use_is_known_before_it_is_sent() -> None:
    assert most(asking(Task.IMAGE, count=4), 0)[0].images == 4
    assert most(asking(Task.IMAGE, count="many"), 0)[0].images == 1
    assert most(asking(Task.SPEECH), 0)[0].characters == 9
    assert most(asking(Task.SPEECH), 0)[0].seconds > 9, "of a voice that is paid for by its length"
    assert 3 <= most(asking(Task.TRANSCRIPTION, recording(3)), 0)[0].seconds <= 4
    assert most(asking(Task.VIDEO, seconds=6, count=2), 0)[0].seconds == 12
    assert most(asking(Task.VIDEO), 0)[0].seconds == 12
    assert most(asking(Task.CHAT), 77)[1] == 77


def test_measures_are_kept_exactly() -> None:
    usage = Usage(input=3, seconds=Decimal("12.345"), images=2, output_audio=7)
    kept = to_json(usage)
    assert kept == {"seconds": "12.345", "images": 2, "output_audio": 7}
    assert Usage(3, **from_json(kept)) == usage


def test_a_prompt_with_files_is_kept_by_reference_and_filled_when_it_runs() -> None:
    picture, sound = ImagePart("image/png", asset="a1"), FilePart("audio/wav", name="tone.wav", asset="a2")
    prompt = Prompt(
        (Message("user", (TextPart("See"), picture, sound)),), task=Task.TRANSCRIPTION, media={"language": "en"}
    )
    kept = prompt_from_json(prompt_to_json(prompt))
    assert kept == prompt
    filled = with_files(kept, lambda asset: asset.encode())
    assert [part.data for part in (*filled.images, *filled.files)] == ["YTE=", "YTI="]
    assert with_files(Prompt((user("Hi"),)), lambda asset: b"") == Prompt((user("Hi"),))


def test_a_recording_is_held_for_the_whole_second_that_its_provider_may_count() -> None:
    assert most(asking(Task.TRANSCRIPTION, recording(1.5)), 0)[0].seconds >= 2


def test_a_recording_of_unknown_length_is_not_one_of_no_length() -> None:
    """Browsers record WebM, which has no length in its header."""
    noise = FilePart("audio/webm", b64encode(b"\x1aE\xdf\xa3" * 10_000).decode())
    assert measured(asking(Task.TRANSCRIPTION, noise), [], Usage()).seconds is None


def test_as_many_pictures_are_held_for_as_are_asked_for() -> None:
    assert most(asking(Task.IMAGE, count=12), 0)[0].images == 12


def test_a_film_of_no_said_length_has_none_that_we_could_count() -> None:
    assert measured(asking(Task.VIDEO), ["video/mp4"], Usage()) == Usage()


def test_a_voice_may_go_on_as_long_as_any_does() -> None:
    """Gemini's up to 16,384 tokens, whatever it was to say."""
    assert most(asking(Task.SPEECH, TextPart("Slowly: one")), 0)[1] >= 16_384


def test_no_file_is_read_for_ever() -> None:
    """This one has a packet of negative size, and a reader of Musepack goes back and forth over it."""
    endless = bytes.fromhex("4d50434b4f3f0000000801766f72626973dd956f3fa2a58831de43c39c0d83f845b8d142625234784e9fbf")
    assert seconds_of(FilePart("audio/mpeg", b64encode(endless + b"\0" * 300).decode())) == 0


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(MARKS))
def test_no_file_breaks_the_reading_of_its_length(content: bytes, mark: bytes) -> None:
    file = FilePart("audio/mpeg", b64encode(mark + content).decode())
    assert seconds_of(file) >= 0
