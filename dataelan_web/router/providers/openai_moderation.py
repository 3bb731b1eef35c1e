"""OpenAI's moderation, POST /moderations, and Mistral's. Source: openai/openai-openapi (f85dbe2); docs.mistral.ai,
“Moderation”; recorded traffic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dataelan_web.router.providers import whole_body
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.json_values import mapping, mappings, string
from dataelan_web.router.providers.measures import number
from dataelan_web.router.providers.openai_chat import key_headers
from dataelan_web.router.providers.openai_embeddings import usage_of
from dataelan_web.router.providers.pictures import address
from dataelan_web.router.types import Call, Decoder, Done, Event, Finish, Prompt, Unsupported, Usage, Verdict


class OpenAIModeration(Format):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        """Texts are judged one by one, one a message; with a picture among them all is judged as one."""
        texts = [message.text for message in prompt.messages if message.text.strip()]
        if prompt.files:
            raise Unsupported("Only text and pictures can be judged, no other files.")
        if not texts and not prompt.images:
            raise Unsupported("There is nothing to judge: the prompt is empty.")
        parts: list[Any] = [{"type": "text", "text": text} for text in texts]
        parts += [{"type": "image_url", "image_url": {"url": address(image)}} for image in prompt.images]
        body = {"model": model, "input": parts if prompt.images else texts}
        return Call(f"{self.base_url}/moderations", body, key_headers(self.base_url, key))

    def decoder(self) -> Decoder:
        return whole_body.decoder(_verdicts, "verdict")


def _verdicts(document: Mapping[str, Any]) -> Iterator[Event]:
    results = [one for one in mappings(document.get("results")) if isinstance(one.get("categories"), dict)]
    if not results:
        return
    for index, result in enumerate(results):
        yield _verdict(index, result)
    used = usage_of(document)
    if used != Usage():
        yield used
    yield Done(Finish.STOP, "", string(document.get("model")), string(document.get("id")))


def _verdict(index: int, result: Mapping[str, Any]) -> Verdict:
    """Mistral does not sum it up: what falls under any category is flagged."""
    categories = tuple(string(name) for name, is_so in mapping(result.get("categories")).items() if is_so is True)
    scores = mapping(result.get("category_scores"))
    known = {string(name): score for name, said in scores.items() if (score := number(said, 1)) is not None}
    flagged = result.get("flagged")
    return Verdict(index, flagged if isinstance(flagged, bool) else bool(categories), categories, known)
