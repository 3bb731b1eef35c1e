"""Text from outside, made honest: what the eye cannot see is shown or removed.

Tag characters can carry a whole hidden message, bidirectional controls can make code read differently from
how it runs, and control characters can drive a terminal. Letters, emoji and the joiners that real
scripts need stay as they are.
"""

from __future__ import annotations

import re

# Marks that only hint at layout and change no order beyond their neighbours: dropped without a trace.
FAINT = re.compile("[\u00ad\u061c\u200e\u200f\ufeff]+")

# Joiners between letters that are not ASCII, and one variation selector after a sign, are how Persian, Hindi
# and emoji are written. They match first, so that they are kept; every other hidden character is told.
HIDDEN = re.compile(
    "(?P<meant>(?<=[^\x00-\u00ff\u2000-\u206f])[\u200c\u200d](?=[^\x00-\u00ff\u2000-\u206f])"
    "|(?<=[^\x00-\x22\x24-\x29\x2b-\x2f\x3a-\xa8\u2000-\u203b\u2060-\u206f\ufe00-\ufe0f\U000e0000-\U000e0fff])[\ufe0e\ufe0f])"
    "|(?P<hidden>["
    "\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f"  # controls, ESC among them; not tab, line feed, form feed, return
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0"  # fillers and joiners without a width
    "\u200b-\u200d\u2028-\u202e\u2060-\u206f"  # zero width, separators, bidirectional controls
    "\ufe00-\ufe0f\ufff9-\ufffb\U000e0000-\U000e0fff"  # variation selectors, annotations, tags
    "]+)"
)


def visible(text: str) -> str:
    """The text with each run of hidden characters as a mark such as ⟨U+202E⟩ or ⟨U+E0041 and 11 more⟩."""
    return HIDDEN.sub(_mark, FAINT.sub("", text))


def _mark(found: re.Match[str]) -> str:
    if (run := found["hidden"]) is None:
        return found[0]
    more = f" and {len(run) - 1} more" if len(run) > 1 else ""
    return f"⟨U+{ord(run[0]):04X}{more}⟩"


def like(word: str) -> str:
    """A pattern that finds exactly this, wherever it stands; for LIKE with `escape=ESCAPE`."""
    return "%" + re.sub(r"[%_\\]", r"\\\g<0>", word) + "%"


ESCAPE = "\\"
