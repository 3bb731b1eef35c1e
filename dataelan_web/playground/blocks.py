"""An answer as it comes, in blocks: what is whole is shown as it will stay, and only the last as it is written.

Each block is made into HTML once, so a long answer costs no more than a short one for each word of it. What is shown at
the end is made of all at once (markdown.render): only that sees what blocks have to do with each other.
"""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from .. import markdown
from ..web import partial

ANEW = "innerHTML swapEmpty:true"
LARGEST = 100_000
"""Characters that are looked at for blocks; what comes after stays as it is written until the end."""

_ITEM = re.compile(r"(?:[-*+]|\d{1,9}[.)])(?:\s|$)")
_MAY_BE_ITEM, LONGEST_MARK = "-*+0123456789", 11
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")


class Blocks:
    """Of one answer, for one reader. `most`: characters that are looked at; 0 for what is no Markdown."""

    def __init__(self, most: int = LARGEST) -> None:
        self._most = most
        self.last = ""
        """What is not whole yet."""
        self._line = 0
        """Where in it the first line begins that was not looked at: whole lines are looked at once."""
        self._whole = 0
        self._fence = ""
        self._is_after_blank = False
        self._taken = 0

    def add(self, text: str) -> str:
        """What is whole with it, as Markdown; mostly nothing."""
        self.last += text
        self._taken += len(text)
        if self._taken > self._most:
            return ""
        while (end := self.last.find("\n", self._line)) >= 0:
            self._look_at(self.last[self._line : end], end + 1)
        self._look_at_the_beginning(self.last[self._line :])
        whole, self.last = self.last[: self._whole], self.last[self._whole :]
        self._line, self._whole = self._line - self._whole, 0
        return whole

    @property
    def is_code(self) -> bool:
        """Is what is not whole yet a block of code, of which a first line said so?"""
        return bool(self._fence) and self.last.startswith(self._fence)

    def _look_at(self, line: str, end: int) -> None:
        """A whole line, and where the next begins."""
        start, self._line = self._line, end
        fence = _FENCE.match(line)
        if self._fence:
            if fence and fence[1].startswith(self._fence) and not line[fence.end() :].strip():
                self._fence, self._whole, self._is_after_blank = "", end, False
            return
        if line.strip() and self._begins(line) and (self._is_after_blank or (fence and start > self._whole)):
            self._whole = start
        self._is_after_blank = not line.strip()
        if fence:
            self._fence = fence[1]

    def _look_at_the_beginning(self, line: str) -> None:
        """Of a line that is still written, which mostly tells: a paragraph is one line, and a long one."""
        is_told = line[:1] not in _MAY_BE_ITEM or len(line) > LONGEST_MARK
        if line and is_told and self._is_after_blank and not self._fence and self._begins(line):
            self._whole = self._line

    def _begins(self, line: str) -> bool:
        """A block of its own: not what an item says further, nor the next of its list, which would be numbered anew."""
        return not line[0].isspace() and not (_ITEM.match(line) and _ITEM.match(self.last, self._whole))


def pieces(target: str, text: str, blocks: Blocks) -> str:
    """What shows more of an answer: words at the end of `target`-text; or, where blocks are whole with them, those in
    its place and a new one after them. So nothing that a reader saw is moved: a browser would count it as shifted."""
    was_code = blocks.is_code
    whole = blocks.add(text)
    if whole or blocks.is_code != was_code:
        return partial(f"{target}-text", _shown(target, whole, blocks), "outerHTML")
    return partial(f"{target}-text", str(escape(text))) if text else ""


def all_anew(target: str, text: str, blocks: Blocks) -> str:
    """… and what takes the place of all that was shown. `blocks`: new ones."""
    return partial(f"{target}-words", _shown(target, blocks.add(text), blocks), ANEW)


def _shown(target: str, whole: str, blocks: Blocks) -> str:
    """What is whole, and a place for what is not: code in it without the line that says so."""
    done = Markup('<div class="live-block markdown">{}</div>').format(markdown.render(whole)) if whole else Markup()
    look, text = "live-text", blocks.last
    if blocks.is_code:
        look, text = "live-text live-code", text.partition("\n")[2]
    return done + Markup('<div class="{}" id="{}-text">{}</div>').format(look, target[1:], text)
