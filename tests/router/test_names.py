"""What a name tells where nobody told more; and that the file which knows names says where each comes from."""

from __future__ import annotations

import pytest

from dataelan_web.hub.models.purpose import CAPABILITIES
from dataelan_web.router import names
from dataelan_web.router.parameters import REFUSABLE
from dataelan_web.router.providers import format_for
from dataelan_web.router.types import Task


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("o3-mini", {"temperature", "top_p"}),
        ("o3-pro-2026-01-01", {"temperature", "top_p", "stop"}),
        ("openai/gpt-5.4", {"temperature", "top_p", "stop"}),
        ("gpt-5-chat-latest", set()),
        ("gpt-4o", set()),
        ("claude-opus-4-7", {"temperature", "top_p"}),
        ("us.anthropic.claude-sonnet-5-v1:0", {"temperature", "top_p"}),
        ("claude-sonnet-4-5", set()),
        ("deepseek-reasoner", {"temperature", "top_p"}),
        ("turbo3-mini", set()),
        ("tts-1-hd", {"stream"}),
        ("gpt-4o-mini-tts", set()),
        ("gpt-4o-transcribe-diarize", {"prompt"}),
    ],
)
def test_some_names_tell_what_a_model_refuses(name: str, refused: set[str]) -> None:
    assert names.refused(name) == refused


def test_some_names_tell_that_a_model_takes_a_temperature_or_a_top_p_but_not_both() -> None:
    yes = ("claude-sonnet-4-5-20250929", "us.anthropic.claude-opus-4-1-20250805-v1:0", "anthropic/claude-haiku-4.5")
    no = ("claude-sonnet-4-20250514", "claude-3-7-sonnet-20250219", "gpt-4o")
    assert [names.takes_one_of_both(name) for name in (*yes, *no)] == [True] * len(yes) + [False] * len(no)


def test_what_is_known_by_name_says_in_whose_words_and_since_when() -> None:
    for row in names._told()["refuses"]:
        assert {"names", "parameters", "says", "source", "seen"} == set(row)
        assert set(row["parameters"]) <= set(REFUSABLE)


@pytest.mark.parametrize(
    ("name", "can", "not_told"),
    [
        ("gpt-4o", "tools vision json_schema document_in", "reasoning"),
        ("gpt-4o-2024-05-13", "tools vision", "json_schema"),
        ("openai/gpt-6.1-terra", "tools vision json_schema reasoning", "audio_in"),
        ("gpt-5-chat-latest", "vision", "tools json_schema reasoning"),
        ("o3-mini", "tools json_schema reasoning", "vision"),
        ("us.anthropic.claude-sonnet-5-v1:0", "tools vision reasoning", "json_schema"),
        ("claude-3-haiku-20240307", "tools vision", "reasoning"),
        ("gemini-3.8-flash", "tools vision json_schema reasoning audio_in video_in document_in", ""),
        ("deepseek-chat", "tools", "reasoning"),
        ("grok-4-1-fast-non-reasoning", "tools json_schema vision", "reasoning"),
        ("moonshotai/kimi-k2-instruct", "tools", "vision"),
        ("zai-glm-4.7", "tools", ""),
        ("gpt-4o-mini-tts", "", "tools vision"),
        ("gemini-2.5-flash-image", "", "tools"),
        ("gpt-3.5-turbo-instruct", "", "tools"),
        ("my-gpt-4o-mini-clone", "", "tools"),
        ("a-model-of-ones-own", "", "tools vision"),
    ],
)
def test_a_name_tells_what_its_family_can_at_least(name: str, can: str, not_told: str) -> None:
    told = names.abilities(name)
    assert told >= set(can.split())
    assert not told & set(not_told.split())


def test_what_a_name_tells_of_abilities_is_what_people_choose_by_and_says_where_from() -> None:
    for row in names._told()["abilities"]:
        assert set(row) == {"names", "can", "source"}
        assert set(row["can"]) <= set(CAPABILITIES)
        assert row["source"].startswith("https://")


@pytest.mark.parametrize(
    ("url", "name", "kind"),
    [
        ("https://api.openai.com/v1", "gpt-5-pro", "openai-responses"),
        ("https://api.openai.com/v1", "gpt-5.5-pro-2026-01-02", "openai-responses"),
        ("https://api.openai.com/v1", "o3-pro", "openai-responses"),
        ("https://api.openai.com/v1", "gpt-5.1-codex-mini", "openai-responses"),
        ("https://mine.openai.azure.com/openai/v1", "codex-mini-latest", "openai-responses"),
        ("https://api.openai.com/v1", "gpt-5.5", "openai"),
        ("https://api.openai.com/v1", "o3", "openai"),
        ("https://openrouter.ai/api/v1", "openai/gpt-5-pro", "openai"),
        ("https://models.example.com/v1", "gpt-5-pro", "openai"),
    ],
)
def test_some_of_openais_models_are_asked_in_its_responses_format(url: str, name: str, kind: str) -> None:
    assert format_for("openai", url, name, Task.CHAT) == kind
    assert format_for("openai", url, name, Task.IMAGE, refuses_chat=True) == "openai"
    assert format_for("openai", url, name, Task.CHAT, refuses_chat=True) == "openai-responses"
    assert format_for("anthropic", url, name, Task.CHAT, refuses_chat=True) == "anthropic"


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
