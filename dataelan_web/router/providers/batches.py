"""Batches, as providers tell of them: how far one is, and the answers that came of it, line by line.

Anthropic, OpenAI (and Groq, Together and others in its form), Mistral, xAI and Gemini. Sources:
anthropics/anthropic-sdk-python (009b0353), types/messages; openai/openai-openapi (f85dbe2); mistralai/client-python
(05629d2), models/batchjob; docs.x.ai, “Batch API”; ai.google.dev/gemini-api/docs/batch-api; recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dataelan_web.router.providers import failures
from dataelan_web.router.providers.json_values import (
    broken,
    count,
    first_count,
    mapping,
    mappings,
    parse,
    string,
    written_count,
)
from dataelan_web.router.types import Failure, Kind


class BatchState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Batch:
    """`raw` is the provider's own word for its state. None: it does not say how many."""

    id: str
    state: BatchState
    raw: str = ""
    total: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    """Without an answer, for whatever reason."""
    results_at: str = ""
    """A file's id, or an address at the provider."""
    errors_at: str = ""
    error: str = ""

    @property
    def is_over(self) -> bool:
        return self.state not in (BatchState.WAITING, BatchState.RUNNING)


@dataclass(frozen=True)
class BatchAnswer:
    """`document` is what the provider would have answered to the request alone, for the decoder of its format."""

    id: str
    """As it was named when the batch was made."""
    document: Mapping[str, Any] | None = None
    failure: Failure | None = None


# Every provider's words, folded to lower case and without what they all begin with there.
_STATES: Mapping[str, BatchState] = {
    **dict.fromkeys(("validating", "queued", "pending", "unspecified"), BatchState.WAITING),
    **dict.fromkeys(("in_progress", "running", "finalizing", "cancelling", "canceling", "cancellation_requested"),
                    BatchState.RUNNING),
    **dict.fromkeys(("completed", "ended", "success", "succeeded"), BatchState.COMPLETED),
    "failed": BatchState.FAILED,
    **dict.fromkeys(("cancelled", "canceled"), BatchState.CANCELLED),
    **dict.fromkeys(("expired", "timeout_exceeded"), BatchState.EXPIRED),
}  # fmt: skip


def batch(body: bytes) -> Batch:
    """One batch, made or asked after. Raises Failure."""
    return _batch(_document(body))


def batches(body: bytes) -> tuple[list[Batch], str]:
    """(a page of a list of batches, the id after which the next begins; empty: it is the last). Raises Failure."""
    document = _document(body)
    found = next((mappings(document[name]) for name in ("data", "batches", "operations") if name in document), None)
    if found is None:
        raise broken("The provider's answer is JSON, but not a list of batches. Check the base URL.")
    cursor = string(document.get("last_id")) if document.get("has_more") is True else ""
    after = cursor or string(document.get("pagination_token")) or string(document.get("nextPageToken"))
    return [_batch(one) for one in found], after


def answers(body: bytes) -> Iterator[BatchAnswer]:
    """What came of each request: from a file of lines, a document of `results`, or a batch that holds its `outputs`.
    Raises Failure."""
    for document in _lines(body):
        held = next((document[name] for name in ("results", "outputs") if isinstance(document.get(name), list)), None)
        yield from map(_answer, [document] if held is None else mappings(held))


# -- one batch ---------------------------------------------------------------------------------------


def _batch(document: Mapping[str, Any]) -> Batch:
    if "batch_id" in document:
        return _xai(document)
    if "metadata" in document and "processing_status" not in document and "status" not in document:
        return _gemini(document)
    id, raw = string(document.get("id")), string(document.get("processing_status") or document.get("status"))
    if not id or not raw:
        raise broken("The provider's answer is JSON, but not a batch. Check the base URL.")
    counts = mapping(document.get("request_counts"))
    lost = [number for name in ("failed", "errored", "canceled", "expired") if (number := count(counts.get(name)))]
    succeeded = first_count(counts.get("succeeded"), counts.get("completed"), document.get("succeeded_requests"))
    problems = mappings(document.get("errors")) or mappings(mapping(document.get("errors")).get("data"))
    return Batch(
        id,
        _state(raw),
        raw,
        first_count(counts.get("total"), document.get("total_requests"), _sum(counts)),
        succeeded,
        sum(lost) if counts else count(document.get("failed_requests")),
        string(document.get("results_url") or document.get("output_file_id") or document.get("output_file")),
        string(document.get("error_file_id") or document.get("error_file")),
        "; ".join(filter(None, (string(one.get("message")) for one in problems))),
    )


def _xai(document: Mapping[str, Any]) -> Batch:
    """It has no word for a state, only numbers."""
    state = mapping(document.get("state"))
    total, waiting = count(state.get("num_requests")), count(state.get("num_pending"))
    lost = [count(state.get(name)) or 0 for name in ("num_error", "num_cancelled")]
    now = BatchState.WAITING if not total else BatchState.RUNNING if waiting else BatchState.COMPLETED
    if document.get("cancel_time") and not waiting:
        now = BatchState.CANCELLED
    why = string(document.get("cancel_by_xai_message"))
    return Batch(string(document["batch_id"]), now, "", total, count(state.get("num_success")), sum(lost), error=why)


def _gemini(document: Mapping[str, Any]) -> Batch:
    """A long-running operation; its numbers come as text, as protobuf writes 64 bits."""
    about, made = mapping(document.get("metadata")), mapping(document.get("response"))
    raw, stats = string(about.get("state")), mapping(about.get("batchStats"))
    total, succeeded, failed = (
        written_count(stats.get(name)) for name in ("requestCount", "successfulRequestCount", "failedRequestCount")
    )
    where = string(made.get("responsesFile")) or string(mapping(about.get("output")).get("responsesFile"))
    why = string(mapping(document.get("error")).get("message"))
    return Batch(string(document.get("name")), _state(raw), raw, total, succeeded, failed, where, error=why)


def _state(raw: str) -> BatchState:
    """A word that is new to us is of one that goes on: it will be asked after again."""
    word = raw.lower().removeprefix("job_state_").removeprefix("batch_state_")
    return _STATES.get(word, BatchState.RUNNING)


# -- answers -----------------------------------------------------------------------------------------


def _answer(line: Mapping[str, Any]) -> BatchAnswer:
    id = string(line.get("custom_id") or line.get("batch_request_id") or line.get("key"))
    result = mapping(line.get("result") or line.get("batch_result"))  # Anthropic, xAI
    answer = mapping(line.get("response") or result.get("response"))
    if status := count(answer.get("status_code")):  # OpenAI, Mistral
        document = mapping(answer.get("body"))
        return BatchAnswer(id, document) if status < 400 else BatchAnswer(id, failure=_refused(document, status))
    document = mapping(result.get("message")) or mapping(next(iter(answer.values()), None) if result else answer)
    if document:
        return BatchAnswer(id, document)
    if kind := string(result.get("type")) if not result.get("error") else "":
        return BatchAnswer(id, failure=Failure(Kind.ABORTED, f"This request of the batch was {kind}.", code=kind))
    return BatchAnswer(id, failure=_refused(mapping(line.get("error") or result.get("error")), None))


def _refused(document: Mapping[str, Any], status: int | None) -> Failure:
    if status is not None:
        failure = failures.failure_in_answer(document or {"message": f"The provider answered with status {status}."})
        failure.status = status
        return failure
    return failures.failure_in_answer(document or {"message": "The provider did not say why this request failed."})


# -- small readers -------------------------------------------------------------------------------------


def _document(body: bytes) -> dict[str, Any]:
    document = mapping(parse(body.decode("utf-8", "replace")))
    if document.get("error") and "metadata" not in document:
        raise failures.failure_in_answer(document)
    return document


def _lines(body: bytes) -> Iterator[dict[str, Any]]:
    """A document a line, or one over several lines."""
    text = body.decode("utf-8", "replace").strip()
    first = text.partition("\n")[0].strip()
    if not first.endswith("}"):
        yield mapping(parse(text))
        return
    for line in text.splitlines():
        if line.strip():
            yield mapping(parse(line))


def _sum(counts: Mapping[str, Any]) -> int | None:
    numbers = [number for number in map(count, counts.values()) if number is not None]
    return sum(numbers) if numbers else None
