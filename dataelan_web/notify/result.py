"""What came of sending one message."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Result:
    status: int | None = None
    """What was answered: of HTTP, or of SMTP."""
    error: str = ""
    """Empty: it was taken."""
    after: float | None = None
    """Seconds they ask us to wait before we try again."""
    answer: bytes = field(default=b"", repr=False)
    """The beginning of what came with it."""
    is_final: bool = False
    """It makes no sense to try again."""
    is_gone: bool = False
    """The receiver wants no more of these, ever."""

    @property
    def is_delivered(self) -> bool:
        return not self.error
