"""Batches and files as providers tell of them: state, numbers, where the results are, and each answer in them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dataelan_web.router.providers import adapter, batches, files
from dataelan_web.router.providers.batches import Batch, BatchState
from dataelan_web.router.types import Failure, Kind, Task, Text

from .recordings import BASE_URLS, BATCHES, FILES, answer, decoded, expectations, needs_recordings

KINDS = {"anthropic": "anthropic", "openai": "openai", "mistral": "openai", "xai": "openai", "gemini": "google"}
STATES = {
    "validating": BatchState.WAITING,
    "QUEUED": BatchState.WAITING,
    "in_progress": BatchState.RUNNING,
    "RUNNING": BatchState.RUNNING,
    "completed": BatchState.COMPLETED,
    "ended": BatchState.COMPLETED,
    "SUCCESS": BatchState.COMPLETED,
}
SAID = {"4", "6"}


@needs_recordings
@pytest.mark.parametrize("id", BATCHES)
def test_a_recorded_batch_is_read(id: str) -> None:
    expected, body = expectations()[id], answer(id)[1]
    if "bytes" in expected or "result" in expected.get("json_keys", []) or "results" in expected.get("json_keys", []):
        came = list(batches.answers(body))
        assert all(one.document and one.failure is None for one in came)
        assert said(expected["provider"], came[0].document) in SAID
        assert len(body) == expected.get("bytes", len(body))
    elif "has_more" in expected.get("json_keys", []):
        found, after = batches.batches(body)
        assert [one.id for one in found] == [item["id"] for item in json.loads(body)["data"]]
        assert after in ("", found[-1].id)
    elif expected.get("json_keys"):
        told = expected["object"]
        read = batches.batch(body)
        raw = told.get("status") or told.get("processing_status") or ""
        assert (read.raw, read.id) == (raw, told.get("id") or json.loads(body)["batch_id"])
        assert read.state is STATES[raw] if raw else read.state
        if read.is_over:
            assert (read.succeeded, read.failed) == (read.total, 0)
    else:
        assert body.strip() in (b"", b"null"), "xAI says nothing when requests are added"


def said(provider: str, document: Any) -> str:
    """The answer in a batch is the answer to the request alone."""
    kind = KINDS[provider]
    body = json.dumps(document).encode()
    events, failure = decoded(adapter(kind, BASE_URLS[kind], Task.CHAT).decoder(), body, len(body))
    assert failure is None
    return "".join(event.delta for event in events if type(event) is Text).strip()


@needs_recordings
@pytest.mark.parametrize("id", FILES)
def test_a_recorded_file_is_read(id: str) -> None:
    expected, body = expectations()[id], answer(id)[1]
    if "bytes" in expected:
        assert len(body) == expected["bytes"]
        assert all(one.document for one in batches.answers(body))
    elif expected.get("json_keys"):
        document = json.loads(body)
        document = document.get("file", document)
        found = files.kept_file(body)
        assert found.id == (expected.get("object") or {}).get("id", document.get("name"))
        assert found.size == int(document.get("bytes") or document.get("size_bytes") or document.get("sizeBytes"))
        assert found.is_ready
        assert not found.has_failed
    else:
        assert json.loads(body) == {}, "deleted"


@pytest.mark.parametrize(
    ("document", "read"),
    [
        ({"id": "b", "status": "failed", "errors": {"data": [{"message": "Line 3 is no JSON"}]}},
         Batch("b", BatchState.FAILED, "failed", error="Line 3 is no JSON")),
        ({"id": "b", "status": "expired", "request_counts": {"total": 3, "completed": 1, "failed": 2},
          "output_file_id": "f-1", "error_file_id": "f-2"},
         Batch("b", BatchState.EXPIRED, "expired", 3, 1, 2, "f-1", "f-2")),
        ({"id": "b", "processing_status": "ended", "results_url": "https://x/r",
          "request_counts": {"processing": 0, "succeeded": 1, "errored": 1, "canceled": 1, "expired": 1}},
         Batch("b", BatchState.COMPLETED, "ended", 4, 1, 3, "https://x/r")),
        ({"id": "b", "status": "TIMEOUT_EXCEEDED", "total_requests": 2, "succeeded_requests": 1,
          "failed_requests": 1, "output_file": "f", "error_file": "e"},
         Batch("b", BatchState.EXPIRED, "TIMEOUT_EXCEEDED", 2, 1, 1, "f", "e")),
        ({"name": "batches/1", "metadata": {"state": "BATCH_STATE_SUCCEEDED", "batchStats":
          {"requestCount": "2", "successfulRequestCount": "2"}}, "response": {"responsesFile": "files/9"}},
         Batch("batches/1", BatchState.COMPLETED, "BATCH_STATE_SUCCEEDED", 2, 2, None, "files/9")),
        ({"name": "batches/1", "metadata": {"state": "BATCH_STATE_FAILED"}, "error": {"message": "Bad file"}},
         Batch("batches/1", BatchState.FAILED, "BATCH_STATE_FAILED", error="Bad file")),
        ({"batch_id": "b", "cancel_time": "2026-01-01", "state": {"num_requests": 2, "num_cancelled": 2}},
         Batch("b", BatchState.CANCELLED, "", 2, None, 2)),
        ({"id": "b", "status": "a new word"}, Batch("b", BatchState.RUNNING, "a new word")),
    ],
)  # fmt: skip
def test_a_batch_is_read_in_every_provider_s_words(document: dict[str, Any], read: Batch) -> None:
    assert batches.batch(json.dumps(document).encode()) == read


def test_an_answer_that_failed_in_a_batch_says_why() -> None:
    lines = [
        {"custom_id": "1", "result": {"type": "errored", "error": {"type": "error", "error":
         {"type": "invalid_request_error", "message": "Too many tokens"}}}},
        {"custom_id": "2", "result": {"type": "expired"}},
        {"custom_id": "3", "response": {"status_code": 429, "body": {"error": {"message": "Slow down"}}}},
        {"custom_id": "4", "response": None, "error": {"code": "batch_expired", "message": "It took too long"}},
        {"batch_request_id": "5", "batch_result": {"error": {"message": "No such model"}}},
        {"key": "6", "error": {"code": 400, "message": "Bad picture"}},
        {"key": "7", "response": {"candidates": []}},
        {"custom_id": "8"},
    ]  # fmt: skip
    came = list(batches.answers("\n".join(map(json.dumps, lines)).encode()))
    assert [one.id for one in came] == list("12345678")
    words = [str(one.failure or "") for one in came]
    for word, said in zip(("Too many tokens", "expired", "Slow down", "too long", "No such model", "Bad picture", "",
                           "did not say why"), words, strict=True):  # fmt: skip
        assert word in said
    assert came[1].failure is not None
    assert came[1].failure.kind is Kind.ABORTED
    assert came[2].failure is not None
    assert came[2].failure.status == 429
    assert came[6].document == {"candidates": []}


def test_garbage_is_neither_batch_nor_file() -> None:
    for body in (b"", b"{}", b"[]", b"<html>", b'{"id": 7}', b'{"error": {"message": "No"}}', b'{"data": 5}'):
        for read in (batches.batch, files.kept_file):
            with pytest.raises(Failure):
                read(body)
    with pytest.raises(Failure):
        batches.batches(b'{"ok": true}')
    assert files.kept_files(b"{}") == []
    assert [one.id for one in files.kept_files(b'{"data": [{"id": "f"}]}')] == ["f"]
