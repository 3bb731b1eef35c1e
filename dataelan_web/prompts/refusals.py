"""What is not done, and why."""

from __future__ import annotations


class Refused(ValueError):
    """It is not done; the message is fit to show."""


class Overtaken(Refused):
    """Somebody else was first: what was looked at is no longer what is there."""
