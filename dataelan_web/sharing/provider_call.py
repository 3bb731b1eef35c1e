"""What a film's provider was asked, as its own API takes it: the gateway has no call for films."""

from __future__ import annotations

from dataclasses import replace

from .. import access
from ..executions.prompts import from_json, with_files
from ..models import Execution
from ..router.providers import UnknownFormat, adapter
from ..router.types import ImagePart, Part, Unsupported
from .gateway_call import Call, reader

KEY = "PROVIDER_KEY"
"""The name of a variable; no key of ours is read for this."""


def repeats(run: Execution) -> Call | None:
    """The call that begins the job. None where whoever looks may not see providers, and for what is no longer known or
    was only simulated. Raises storage.Unavailable."""
    provider, model = run.provider, run.model
    if provider is None or model is None or provider.is_simulated or not access.may(access.SEE):
        return None
    asked_so = with_files(from_json(run.body.request), reader(run))
    prompt = replace(
        asked_so,
        messages=tuple(replace(message, parts=tuple(filter(_is_here, message.parts))) for message in asked_so.messages),
    )
    left_out = ["a picture to work from"] * (len(asked_so.images) - len(prompt.images))
    try:
        asked = adapter(provider.kind, provider.base_url, prompt.task).call(prompt, model.name, f"${KEY}")
    except (UnknownFormat, Unsupported):
        return None
    body, headers = dict(asked.body or {}), dict(asked.headers)
    return Call(body, left_out, prompt.task, of=provider.name, url=asked.url, headers=headers)


def _is_here(part: Part) -> bool:
    """Not a picture that is gone, or too large for a program's text."""
    return not isinstance(part, ImagePart) or bool(part.data or part.url)
