"""Every refusal that was recorded, of formats with and without an adapter, is said in the provider's words."""

from __future__ import annotations

from typing import Any

import pytest

from dataelan_web.router.providers.failures import failure, masked
from dataelan_web.router.types import Kind

from .recordings import INDEX, answer, expectations, needs_recordings

REFUSALS = [row["id"] for row in INDEX if row["status"] >= 400]

TOO_LONG = "the message says so, and another model may have room"
WRONG_KEY = "the message says that the key is wrong; the status is a bare 400"

# Where the message or a code says more than the status does: id -> (our kind, reason).
FINER_KINDS: dict[str, tuple[Kind, str]] = {
    "anthropic.anthropic-messages.error.290c1ad6cc": (Kind.CONTEXT_TOO_LONG, TOO_LONG),
    "bedrock.bedrock-converse.error.0dd6ad5948": (Kind.CONTEXT_TOO_LONG, TOO_LONG),
    "llamacpp.openai-embeddings.error.a0cd633069": (Kind.CONTEXT_TOO_LONG, TOO_LONG),
    "openai.openai-responses.error.2b9898485f": (Kind.CONTEXT_TOO_LONG, TOO_LONG),
    "openrouter.openai-chat.error.794b3aea61": (Kind.CONTEXT_TOO_LONG, TOO_LONG),
    "perplexity.openai-chat.error.74022e6e07": (Kind.CONTEXT_TOO_LONG, TOO_LONG),
    "xai.openai-responses.error.7dd7366cbd": (Kind.CREDENTIAL, WRONG_KEY),
}

# Where the provider's words are in another place than expected.json takes them from: id -> (our words, reason).
OTHER_WORDS: dict[str, tuple[str, str]] = {
    "openrouter.openai-chat.error.4e0a6ca6d8": (
        "Provider returned error: google/gemini-2.0-flash-exp:free is temporarily rate-limited upstream. Please "
        "retry shortly, or add your own key to accumulate your rate limits: "
        "https://openrouter.ai/settings/integrations",
        "the reason is in metadata.raw",
    ),
}


def kind_by_status(status: int) -> Kind:
    known = {401: Kind.CREDENTIAL, 403: Kind.CREDENTIAL, 402: Kind.BILLING, 429: Kind.RATE_LIMIT, 501: Kind.BAD_REQUEST}
    return known.get(status) or (Kind.BAD_REQUEST if status < 500 else Kind.TRANSIENT)


@needs_recordings
def test_a_recorded_refusal_is_said_in_the_words_of_the_provider(subtests: pytest.Subtests) -> None:
    for id in REFUSALS:
        with subtests.test(id):
            status, body = answer(id)
            error: dict[str, Any] = expectations()[id]["error"]
            words = OTHER_WORDS[id][0] if id in OTHER_WORDS else masked(" ".join(error["message"].split()))
            assert failure(status, body).message == words


@needs_recordings
def test_a_recorded_refusal_is_of_the_kind_its_status_or_its_words_say(subtests: pytest.Subtests) -> None:
    for id in REFUSALS:
        with subtests.test(id):
            status, body = answer(id)
            refused = failure(status, body)
            assert refused.kind is (FINER_KINDS[id][0] if id in FINER_KINDS else kind_by_status(status))
            assert refused.status == status
