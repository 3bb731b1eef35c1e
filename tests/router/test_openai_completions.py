"""Requests in the legacy text completions format, and its answers where they differ from chat completions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dataelan_web.router.providers import adapter
from dataelan_web.router.types import Call, Done, Finish, Prompt, Text, Unsupported, Usage, assistant, system, user

from .prompts import PLAIN, RICH
from .recordings import decoded

TOGETHER = adapter("openai-completions", "https://api.together.xyz/v1/")


def test_a_prompt_is_one_text_to_be_continued() -> None:
    prompt = Prompt((system("A story."), user("Once"), assistant("upon"), user("a time")), max_tokens=5, stream=False)
    assert TOGETHER.call(prompt, "llama", "k") == Call(
        "https://api.together.xyz/v1/completions",
        {"model": "llama", "prompt": "A story.\n\nOnce\n\nupon\n\na time", "max_tokens": 5},
        {"Authorization": "Bearer k"},
    )


def test_a_streamed_prompt_says_all_its_options() -> None:
    prompt = replace(PLAIN, stream=True, temperature=0.5, top_p=0.9, stop=("END",), seed=7)
    assert TOGETHER.call(prompt, "m", "").body == {
        "model": "m",
        "prompt": "Hi",
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "seed": 7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("prompt", [RICH, replace(RICH, tools=(), schema=None)])
def test_what_is_not_text_is_refused(prompt: Prompt) -> None:
    with pytest.raises(Unsupported, match="only continues texts"):
        TOGETHER.call(prompt, "m", "k")


def test_a_stream_ends_in_its_finish_and_its_usage() -> None:
    body = (
        b'data: {"id":"c1","model":"m","choices":[{"text":" upon","index":0,"finish_reason":null}]}\n\n'
        b'data: {"id":"c1","choices":[{"text":"","index":0,"finish_reason":"length"}]}\n\n'
        b'data: {"id":"c1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n'
        b"data: [DONE]\n\n"
    )
    events, failure = decoded(TOGETHER.decoder(), body, 5)
    assert failure is None
    assert events == [Text(" upon"), Usage(input=3, output=1), Done(Finish.LENGTH, "length", "m", "c1")]
