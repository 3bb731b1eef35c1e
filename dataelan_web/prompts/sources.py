"""What can be run, compared and published, as an address names it: `draft`, a version `3`, or a proposal `p2`."""

from __future__ import annotations

from dataclasses import dataclass

from flask import abort

from ..models import Template
from . import drafts, proposals, versions
from .content import Content
from .running import Source

DRAFT = "draft"


@dataclass(frozen=True)
class Named:
    spec: str
    title: str
    source: Source

    @property
    def content(self) -> Content:
        return self.source.content


def resolve(template: Template, spec: str) -> Named:
    """404 for what there is not."""
    if spec == DRAFT:
        return Named(spec, "Your draft", Source(drafts.mine(template).content))
    number = number_in(spec.removeprefix("p"))
    if number < 0:
        abort(404)
    if spec.startswith("p"):
        proposal = proposals.numbered(template, number)
        return Named(spec, f"Proposal {number}", Source(Content.of(proposal.content), proposal.target))
    return Named(spec, f"v{number}", Source.of(versions.numbered(template, number)))


def number_in(text: str) -> int:
    """A version's or proposal's number; -1 for what is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else -1
