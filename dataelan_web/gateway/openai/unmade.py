"""An answer that holds no picture, or no sound: the model declined, a filter took it, or it only said something.
Clients of OpenAI's API look for what they asked for, not for why it is not there; so it is an error, as at OpenAI."""

from __future__ import annotations

from ...router.types import Done, Failure, Finish, Kind

LONGEST = 600


def unmade(what: str, words: str, done: Done | None) -> Failure:
    """`words`: what the model said instead."""
    said, raw = words.strip()[:LONGEST], done.raw if done else ""
    why = f": {said}" if said else f" ({raw})." if raw else "."
    is_filtered = done is not None and done.finish is Finish.CONTENT_FILTER
    kind, code = (Kind.CONTENT_POLICY, "") if is_filtered else (Kind.BAD_REQUEST, f"no_{what}")
    return Failure(kind, f"The model made no {what}{why}", code=code)
