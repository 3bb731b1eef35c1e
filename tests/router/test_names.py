"""What a name tells where nobody told more; and that the file which knows names says where each comes from."""

from __future__ import annotations

import pytest

from dataelan_web.router import names
from dataelan_web.router.parameters import REFUSABLE


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("o3-mini", {"temperature"}),
        ("openai/gpt-5.4", {"temperature"}),
        ("gpt-5-chat-latest", set()),
        ("gpt-4o", set()),
        ("claude-opus-4-7", {"temperature"}),
        ("us.anthropic.claude-sonnet-5-v1:0", {"temperature"}),
        ("claude-sonnet-4-5", set()),
        ("deepseek-reasoner", {"temperature"}),
        ("turbo3-mini", set()),
        ("tts-1-hd", {"stream"}),
        ("gpt-4o-mini-tts", set()),
        ("gpt-4o-transcribe-diarize", {"prompt"}),
    ],
)
def test_some_names_tell_what_a_model_refuses(name: str, refused: set[str]) -> None:
    assert names.refused(name) == refused


def test_what_is_known_by_name_says_in_whose_words_and_since_when() -> None:
    for row in names._told()["refuses"]:
        assert {"names", "parameters", "says", "source", "seen"} == set(row)
        assert set(row["parameters"]) <= set(REFUSABLE)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("us.anthropic.claude-sonnet-4-6", "messages"),
        ("us.amazon.nova-lite-v1:0", "nova"),
        ("meta.llama4-scout", "llama4"),
        ("meta.llama3-8b", "llama"),
        ("cohere.command-r-plus", "cohere-v1"),
        ("cohere.rerank-v3-5", "cohere"),
        ("qwen.qwen3-32b", "chat"),
    ],
)
def test_a_makers_id_tells_which_body_bedrock_wants(name: str, body: str) -> None:
    assert names.bedrock_body(name) == body
