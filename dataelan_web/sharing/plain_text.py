"""What a person wrote, as HTML: their words as they are, and addresses that one can follow."""

from __future__ import annotations

from markupsafe import Markup

from ..markdown import BARE_LINK, without_trailing
from ..text import visible

LINK = Markup('<a href="{0}" target="_blank" rel="noopener noreferrer nofollow">{0}</a>')


def linked(text: str) -> Markup:
    """Everything is escaped; only http and https addresses become links."""
    text, done, end = visible(text), Markup(""), 0
    for found in BARE_LINK.finditer(text):
        url = without_trailing(found[0])
        done += Markup("{}").format(text[end : found.start()]) + LINK.format(url)
        end = found.start() + len(url)
    return done + Markup("{}").format(text[end:])
