"""Ranking texts and judging them: what is asked of whom, and what is made of garbage. Answers: test_recordings.py."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from dataelan_web.executions.measures import most
from dataelan_web.router import pricing
from dataelan_web.router.pricing import Rates
from dataelan_web.router.providers import adapter
from dataelan_web.router.types import (
    Done,
    Event,
    Failure,
    ImagePart,
    Kind,
    Message,
    Prompt,
    Ranked,
    Task,
    TextPart,
    Unsupported,
    Usage,
    Verdict,
    user,
)

from .recordings import BASE_URLS, decoded

RANK = Prompt((user("One"), user("Two")), Task.RERANK, {"query": "Which?", "count": 5})
JUDGE = Prompt((user("I like you"), user("I hate you")), Task.MODERATION)
VOYAGE, BEDROCK = "https://api.voyageai.com/v1", BASE_URLS["bedrock"]


@pytest.mark.parametrize(
    ("kind", "base_url", "model", "url", "body"),
    [
        ("cohere", BASE_URLS["cohere"], "rerank-v4", "https://api.cohere.com/v2/rerank",
         {"model": "rerank-v4", "top_n": 2}),
        ("openai", VOYAGE, "rerank-3", f"{VOYAGE}/rerank", {"model": "rerank-3", "top_k": 2}),
        ("openai", "http://localhost:8000/v1", "bge", "http://localhost:8000/v1/rerank", {"model": "bge", "top_n": 2}),
        ("bedrock", BEDROCK, "cohere.rerank-v3-5:0", f"{BEDROCK}/model/cohere.rerank-v3-5%3A0/invoke",
         {"api_version": 2, "top_n": 2}),
        ("bedrock", BEDROCK, "amazon.rerank-v1:0", f"{BEDROCK}/model/amazon.rerank-v1%3A0/invoke", {"top_n": 2}),
    ],
)  # fmt: skip
def test_everybody_is_asked_for_a_ranking_in_his_own_words(
    kind: str, base_url: str, model: str, url: str, body: dict[str, Any]
) -> None:
    call = adapter(kind, base_url, Task.RERANK).call(RANK, model, "secret")
    assert call.url == url
    assert call.body == {"query": "Which?", "documents": ["One", "Two"]} | body
    assert call.headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt((user("One"),), Task.RERANK),
        Prompt((user(" "),), Task.RERANK, {"query": "Which?"}),
        Prompt((Message("user", (ImagePart("image/png", "AAAA"),)),), Task.RERANK, {"query": "Which?"}),
    ],
)
def test_what_cannot_be_ranked_is_refused_before_it_is_sent(prompt: Prompt) -> None:
    with pytest.raises(Unsupported):
        adapter("cohere", BASE_URLS["cohere"], Task.RERANK).call(prompt, "m", "")


def read(task: Task, document: Any) -> tuple[list[Event], Failure | None]:
    body = json.dumps(document).encode()
    return decoded(adapter("openai", VOYAGE, task).decoder(), body, len(body))


def test_rankings_are_read_in_every_spelling_the_best_first() -> None:
    for name, score in (("results", "relevance_score"), ("data", "score"), ("rankings", "logit")):
        events, failure = read(Task.RERANK, {name: [{"index": 1, score: -2.5}, {"index": 0, score: 1}]})
        assert failure is None
        assert events[:2] == [Ranked(0, 1.0), Ranked(1, -2.5)]
        assert isinstance(events[-1], Done)
    assert read(Task.RERANK, {"results": []})[1] is None, "nothing was good enough"


def test_bedrock_counts_a_search_for_each_hundred_texts_and_does_not_tell() -> None:
    """aws.amazon.com/bedrock/pricing: 350 documents are four queries, and a long one several documents."""
    for texts, searches in ((["One"] * 100, 1), (["One"] * 350, 4), (["long " * 2_000] * 50, 3)):
        format = adapter("bedrock", BEDROCK, Task.RERANK)
        format.call(Prompt(tuple(map(user, texts)), Task.RERANK, {"query": "Which?"}), "amazon.rerank-v1:0", "k")
        body = b'{"results": [{"index": 0, "relevance_score": 0.5}]}'
        assert Usage(requests=searches) in decoded(format.decoder(), body, len(body))[0]


@pytest.mark.parametrize(
    "document",
    [
        {"results": [{"index": 0}]},
        {"results": [{"relevance_score": 0.5}]},
        {"results": [{"index": -1, "relevance_score": 0.5}]},
        {"results": [{"index": 0, "relevance_score": "high"}]},
        {"results": [{"index": 0, "relevance_score": True}]},
        {"results": "none"},
        {"ok": True},
        [],
    ],
)
def test_a_ranking_that_is_none_is_a_failure(document: Any) -> None:
    events, failure = read(Task.RERANK, document)
    assert events == []
    assert failure is not None
    assert failure.kind is Kind.TRANSIENT


def test_why_nothing_was_ranked_is_said_in_the_provider_s_words() -> None:
    for document in ({"detail": "Too many documents"}, {"message": "Too many documents"}):
        assert "Too many documents" in str(read(Task.RERANK, document)[1])


def test_a_search_is_charged_as_often_as_it_counts() -> None:
    rates = Rates(0, 0, per_request=2_000_000)
    events, _ = read(Task.RERANK, {"results": [], "meta": {"billed_units": {"search_units": 3}}})
    (usage,) = [event for event in events if isinstance(event, Usage)]
    assert pricing.cost(usage, rates) == 6_000_000
    assert pricing.cost(Usage(requests=1), rates) == 2_000_000
    many = Prompt(tuple(user("word " * 400) for _ in range(120)), Task.RERANK, {"query": "Which?"})
    size, output = most(many, 0)
    assert output == 0
    assert pricing.upper_bound(size, 0, rates) >= 11 * rates.per_request, "1,080 pieces of 250 bytes at the most"
    assert pricing.upper_bound(most(RANK, 0)[0], 0, rates) == rates.per_request


# -- moderation ----------------------------------------------------------------------------------------


def test_texts_are_judged_one_by_one_and_with_a_picture_as_one() -> None:
    judge = adapter("openai", BASE_URLS["openai"], Task.MODERATION)
    assert judge.call(JUDGE, "m", "k").body == {"model": "m", "input": ["I like you", "I hate you"]}
    picture = Message("user", (TextPart("Look"), ImagePart("image/png", "AAAA")))
    asked = judge.call(Prompt((picture,), Task.MODERATION), "m", "k").body or {}
    assert [part["type"] for part in asked["input"]] == ["text", "image_url"]
    assert asked["input"][1]["image_url"]["url"] == "data:image/png;base64,AAAA"
    with pytest.raises(Unsupported):
        judge.call(Prompt((user(" "),), Task.MODERATION), "m", "k")


def test_a_verdict_tells_categories_and_scores_and_who_does_not_sum_up_is_summed_up() -> None:
    said = {"categories": {"violence": True, "hate": False}, "category_scores": {"violence": 0.9, "hate": 2, "x": "y"}}
    events, failure = read(Task.MODERATION, {"model": "m", "results": [said, {"categories": {"hate": False}}]})
    assert failure is None
    assert events[0] == Verdict(0, True, ("violence",), {"violence": 0.9})
    assert events[1] == Verdict(1, False)
    flagged, _ = read(Task.MODERATION, {"results": [{"flagged": True, "categories": {}}]})
    assert flagged[0] == Verdict(0, True)
    for nothing in ({"results": []}, {"results": [{"flagged": True}]}, {}):
        assert read(Task.MODERATION, nothing)[1] is not None


def test_prices_of_tokens_and_pictures_together_charge_what_was_reported_of_both() -> None:
    rates = Rates(1_000_000, 2_000_000, per_image=40, per_second=7)
    assert pricing.cost(Usage(input=10, output=5, images=2), rates) == 10 + 10 + 80
    assert pricing.cost(Usage(images=2), rates) == 80
    assert pricing.cost(Usage(input=10, output=0), rates) == 10
    assert pricing.cost(Usage(input=1, seconds=Decimal("1.5"), images=1), rates) == 1 + 40 + 11
    assert pricing.cost(Usage(characters=5), rates) is None, "nothing of what is priced was reported"
