"""What every wire format has, whatever its task."""

from __future__ import annotations

from collections.abc import Mapping

from dataelan_web.router.providers import failures
from dataelan_web.router.types import Failure, Usage


class Format:
    """`base_url` includes the version prefix and has no slash at its end. Refusals are read alike everywhere: by their
    status, by the codes of all providers, and by their words."""

    options: frozenset[str] = frozenset()

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")

    def told(self, headers: Mapping[str, str]) -> Usage:
        """Most say nothing there."""
        return Usage()

    def failure(self, status: int, body: bytes) -> Failure:
        return failures.failure(status, body)
