"""What a program says beside its question that changes nothing in the answer (prompt.HINTS): it goes to who has a word
for it. What would change the price is refused, since no price here says so."""

from __future__ import annotations

from typing import Any, Protocol

from .json_body import unsupported

LONGEST_HINT = 512
MOST_LOGPROBS = 20
"""How many other tokens OpenAI and Gemini tell of, in the place of one."""
STANDARD = {"default", "standard", "standard_only"}
"""The price of everybody, in the words of OpenAI, Gemini and Anthropic."""
UNSAID = {None, "auto", "unspecified"}


class OpenAIs(Protocol):
    prompt_cache_key: str | None
    prompt_cache_retention: str | None
    safety_identifier: str | None
    user: str | None
    service_tier: str | None


def of_openai(asked: OpenAIs) -> dict[str, Any]:
    """`user` is what `safety_identifier` was called before."""
    return known(
        user_id=asked.safety_identifier or asked.user,
        tier=asked.service_tier,
        prompt_cache_key=asked.prompt_cache_key,
        prompt_cache_retention=asked.prompt_cache_retention,
    )


def known(*, user_id: str | None = None, tier: str | None = None, **more: str | None) -> dict[str, Any]:
    """What of these was said."""
    standard = "standard" if (tier or "").lower() in STANDARD else None
    said = {"user_id": user_id, "service_tier": standard, **more}
    return {name: value for name, value in said.items() if value}


def refuse_other_prices(field: str, tier: str | None) -> None:
    """Raises Refused. Passed over, a program would pay other than it thinks."""
    if (tier.lower() if tier else None) not in UNSAID | STANDARD:
        raise unsupported(field, "it changes what a call costs, and no price here knows it; leave it out.")
