"""What every wire format has, whatever its task."""

from __future__ import annotations

from collections.abc import Mapping

from dataelan_web.router.providers import failures
from dataelan_web.router.types import Failure
from dataelan_web.router.usage import UNKNOWN, Usage


class Format:
    """`base_url` includes the version prefix and has no slash at its end. Refusals are read alike everywhere: by their
    status, by the codes of all providers, and by their words."""

    options: frozenset[str] = frozenset()
    has_no: frozenset[str] = frozenset()
    """Of a chat: the parameters that the format has no word for."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")

    def wordless(self, model: str) -> frozenset[str]:
        """What cannot be said to this model; most formats are the same for all of theirs."""
        return self.has_no

    def told(self, headers: Mapping[str, str]) -> Usage:
        """Most say nothing there."""
        return UNKNOWN

    def failure(self, status: int, body: bytes) -> Failure:
        return failures.failure(status, body)
