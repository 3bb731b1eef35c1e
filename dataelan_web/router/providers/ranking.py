"""What rerankers have in common: a query, texts, and which of them answers it best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dataelan_web.router.providers import whole_body
from dataelan_web.router.providers.json_values import broken, count, mapping, mappings, string
from dataelan_web.router.providers.measures import number
from dataelan_web.router.types import Decoder, Done, Event, Finish, Prompt, Ranked, Unsupported, Usage

_LISTS = ("results", "data", "rankings")
_SCORES = ("relevance_score", "score", "logit")


def body(prompt: Prompt, limit: str = "top_n") -> dict[str, Any]:
    """Query and documents, as everybody calls them; `limit` is how many of the best are wanted. Raises Unsupported."""
    query, documents = string(prompt.media.get("query")), [message.text for message in prompt.messages]
    if prompt.images or prompt.files:
        raise Unsupported("Only texts can be ranked here, no pictures or files.")
    if not query.strip():
        raise Unsupported("There is nothing to rank by: the prompt has no query.")
    if not any(text.strip() for text in documents):
        raise Unsupported("There is nothing to rank: the prompt has no texts.")
    best = prompt.media.get("count")
    asked: dict[str, Any] = {"query": query, "documents": documents}
    return asked | ({limit: min(best, len(documents))} if isinstance(best, int) and best > 0 else {})


def reader(usage: Callable[[Mapping[str, Any]], Usage]) -> Decoder:
    """Cohere, Jina, llama.cpp and vLLM say `results`, Voyage `data`, NVIDIA `rankings`; we say the best first."""

    def read(document: Mapping[str, Any]) -> Iterator[Event]:
        name = next((name for name in _LISTS if isinstance(document.get(name), list)), None)
        if name is None:
            return
        yield from sorted(map(_ranked, mappings(document[name])), key=lambda one: -one.score)
        used = usage(document)
        if used != Usage():
            yield used
        yield Done(Finish.STOP, "", string(document.get("model")), string(document.get("id")))

    return whole_body.decoder(read, "ranking")


def _ranked(item: Mapping[str, Any]) -> Ranked:
    index = count(item.get("index"))
    score = next((item[name] for name in _SCORES if name in item), None)
    if index is None or isinstance(score, bool) or not isinstance(score, int | float) or not -1e9 < score < 1e9:
        raise broken("The provider sent a ranking with something in it that is no place or no score.")
    return Ranked(index, float(score))


def searches(prompt: Prompt) -> int:
    """As Cohere and Amazon count, for who is not told: one for each hundred texts, of which a long one is several (one
    for 500 tokens, of four bytes)."""
    pieces = sum(1 + len(message.text.encode()) // 2_000 for message in prompt.messages)
    return -(-pieces // 100) or 1


def billed_searches(document: Mapping[str, Any]) -> int | None:
    """Cohere counts a search for each hundred texts, and long texts several times."""
    billed = mapping(mapping(document.get("meta")).get("billed_units"))
    units = number(billed.get("search_units"))
    return None if units is None else max(1, round(units))
