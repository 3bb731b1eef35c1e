"""What a film's provider was asked, as its own API takes it: the gateway has no call for films."""

from __future__ import annotations

from .. import access
from ..executions.prompts import from_json, with_files
from ..models import Execution
from ..router.providers import UnknownFormat, adapter
from ..router.types import Unsupported
from .gateway_call import Call, reader

KEY = "PROVIDER_KEY"
"""The name of a variable; no key of ours is read for this."""


def repeats(run: Execution) -> Call | None:
    """The call that begins the job. None where whoever looks may not see providers, and for what is no longer known or
    was only simulated. Raises storage.Unavailable."""
    provider, model = run.provider, run.model
    if provider is None or model is None or provider.is_simulated or not access.may(access.SEE):
        return None
    prompt = with_files(from_json(run.body.request), reader(run))
    try:
        asked = adapter(provider.kind, provider.base_url, prompt.task).call(prompt, model.name, f"${KEY}")
    except (UnknownFormat, Unsupported):
        return None
    return Call(dict(asked.body or {}), task=prompt.task, url=asked.url, headers=dict(asked.headers), of=provider.name)
