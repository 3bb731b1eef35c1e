"""What a call may have used that nobody told of: it broke off or was stopped, and is billed what it made by then.

A model that thinks does so unheard, or tells a summary of it; and what any wrote at the end came too late. Nobody can
say how much that was, only that it is no more than it makes in that time. A guess is made high: limits are to hold what
is billed.
"""

from __future__ import annotations

import math

from ..router.health import USUAL_TOKENS, Pair
from ..router.types import Prompt, Task, Usage
from .health import health

FASTEST = 500
"""Tokens a second of a model of which nothing was measured."""
MARGIN = 2
"""Times its own average, which counts the wait for its first token too."""


def with_unsaid(usage: Usage, prompt: Prompt, pair: Pair, seconds: float, *, thinks: bool, is_heard: bool) -> Usage:
    """What is known and estimated of a chat that lasted so many seconds, with what it may have made beside: as
    thoughts, which cost what its words do. Of a model that does not think all is heard, once something was."""
    if prompt.task is not Task.CHAT or (is_heard and not thinks):
        return usage
    most = may_have_made(prompt, seconds, speed_of(pair), thinks=thinks)
    return usage._replace(reasoning=(usage.reasoning or 0) + max(0, most - usage.output_total))


def may_have_made(prompt: Prompt, seconds: float, speed: float, *, thinks: bool) -> int:
    """The most output tokens. What was asked for as a whole is written to its end all the same; a stream ends with its
    reader. No more than it was told to: where nobody told it, no limit counts its tokens, and nothing is guessed but
    what it thought."""
    if not prompt.max_tokens:
        return math.ceil(seconds * speed) if thinks else 0
    return min(prompt.max_tokens, math.ceil(seconds * speed)) if prompt.stream else prompt.max_tokens


def speed_of(pair: Pair) -> float:
    """The most tokens a second that this model makes with this key, by how fast it lately was."""
    vital = health().read([pair]).get(pair)
    return min(FASTEST, MARGIN * USUAL_TOKENS / vital.latency) if vital and vital.latency else FASTEST
