"""Which parameters of a chat a model takes. What nobody knows of a model, it is taken to take.

Tools and schemas are told by its capabilities, as in the plan. That a model takes no temperature is in no list of any
provider: some families answer 400 to one, and are known by their names, at whichever reseller.
"""

from __future__ import annotations

import re
from dataclasses import replace

from .candidates import Candidate
from .types import Prompt, Task

SCHEMA, TOOLS, TEMPERATURE, EFFORT = "schema", "tools", "temperature", "reasoning_effort"
NAMES = {SCHEMA: "JSON schema", TOOLS: "tools", TEMPERATURE: "temperature", EFFORT: "effort"}

_THINKS_ONLY = re.compile(
    r"(?:^|[/.:])(?:"
    r"o[1-9](?:-|$)"  # OpenAI: “only the default (1) value is supported”
    r"|gpt-[5-9](?![\w.-]*chat)"
    r"|claude-(?:opus-4-[7-9]|[a-z]+-[5-9](?:-|$))"  # Anthropic: “temperature is deprecated for this model”
    r"|deepseek-reasoner)",
    re.IGNORECASE,
)


def omitted(candidate: Candidate) -> frozenset[str]:
    """What this model does not take: of SCHEMA, TOOLS, TEMPERATURE and EFFORT."""
    if candidate.task is not Task.CHAT:
        return frozenset()
    able, always_thinks = candidate.capabilities, bool(_THINKS_ONLY.search(candidate.model))
    missing = {TEMPERATURE} if always_thinks else set()
    if able is not None:
        missing |= {name for name, needed in ((SCHEMA, "json_schema"), (TOOLS, "tools")) if needed not in able}
        if "reasoning" not in able and not always_thinks:
            missing.add(EFFORT)
    return frozenset(missing)


def fitted(prompt: Prompt, candidate: Candidate) -> tuple[Prompt, str]:
    """(the prompt without what this model would refuse, a sentence that says so or nothing). A schema or tools are
    never left out: whoever asks for them gets a model that has them, or none."""
    missing = omitted(candidate)
    thinks = prompt.reasoning_effort not in (None, "none") and EFFORT not in missing
    if thinks and candidate.kind == "anthropic":  # “temperature may only be set to 1 when thinking is enabled”
        missing |= {TEMPERATURE}
    left_out = [name for name in (TEMPERATURE, EFFORT) if name in missing and getattr(prompt, name) is not None]
    if not left_out:
        return prompt, ""
    words = " and ".join(NAMES[name] for name in left_out)
    temperature = None if TEMPERATURE in left_out else prompt.temperature
    effort = None if EFFORT in left_out else prompt.reasoning_effort
    said = f"{words.capitalize()} left out: {candidate.model} takes none."
    return replace(prompt, temperature=temperature, reasoning_effort=effort), said
