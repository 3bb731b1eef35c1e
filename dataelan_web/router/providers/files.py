"""Files that a provider keeps for its caller, as it tells of them: what to name one by, how large it is, whether it is
ready. OpenAI's form (also Mistral's, xAI's, Groq's), Anthropic's and Gemini's.

Sources: openai/openai-openapi (f85dbe2); anthropics/anthropic-sdk-python (009b0353), types/beta/file_metadata;
googleapis/python-genai (6680718), types.File; recorded traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dataelan_web.router.providers import failures
from dataelan_web.router.providers.json_values import broken, mapping, mappings, parse, string, written_count

_READY = {"", "processed", "active", "uploaded"}
_SIZES = ("bytes", "size_bytes", "sizeBytes")
_FAILED = {"error", "failed"}


@dataclass(frozen=True)
class KeptFile:
    """`raw` is the provider's own word for its state. None: it does not say."""

    id: str
    name: str = ""
    size: int | None = None
    """Bytes."""
    media_type: str = ""
    raw: str = ""
    url: str = ""
    """What prompts name it by, where that is not its id (Gemini)."""

    @property
    def is_ready(self) -> bool:
        return self.raw.lower() in _READY

    @property
    def has_failed(self) -> bool:
        return self.raw.lower() in _FAILED


def kept_file(body: bytes) -> KeptFile:
    """One that was uploaded, or asked after. Raises Failure."""
    return _file(_document(body))


def kept_files(body: bytes) -> list[KeptFile]:
    """A page of a list. Raises Failure."""
    document = _document(body)
    found = next((mappings(document[name]) for name in ("data", "files") if name in document), None)
    if found is None and document:
        raise broken("The provider's answer is JSON, but not a list of files. Check the base URL.")
    return [_file(one) for one in found or []]  # Gemini's empty list is {}


def _file(document: Mapping[str, Any]) -> KeptFile:
    document = mapping(document.get("file")) or document
    id, url = string(document.get("id")), string(document.get("uri"))
    if url and not id:
        id = string(document.get("name"))
    if not id:
        raise broken("The provider's answer is JSON, but not a file. Check the base URL.")
    return KeptFile(
        id,
        string(document.get("filename") or document.get("displayName")),
        next((size for name in _SIZES if (size := written_count(document.get(name))) is not None), None),
        string(document.get("mime_type") or document.get("mimeType") or document.get("mimetype")),
        string(document.get("status") or document.get("state")),
        url,
    )


def _document(body: bytes) -> dict[str, Any]:
    document = mapping(parse(body.decode("utf-8", "replace")))
    if failures.is_error(document):
        raise failures.failure_in_answer(document)
    return document
