"""Where a LiteLLM deployment is at home: which provider of ours its `litellm_params` mean, and its model's name there.

Source: docs.litellm.ai, “Providers”; BerriAI/litellm, get_llm_provider_logic.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ..models import catalogue
from ..providers.fixture import PROVIDERS
from .document import ProviderEntry

# Their prefix of a model's name -> the slug of our fixture's provider.
PREFIXES: Mapping[str, str] = {
    "openai": "openai", "text-completion-openai": "openai", "anthropic": "anthropic", "gemini": "google",
    "mistral": "mistral", "cohere": "cohere", "cohere_chat": "cohere", "groq": "groq", "deepseek": "deepseek",
    "xai": "xai", "together_ai": "together", "fireworks_ai": "fireworks", "openrouter": "openrouter",
    "perplexity": "perplexity", "cerebras": "cerebras", "moonshot": "moonshot", "zai": "zai", "minimax": "minimax",
    "sambanova": "sambanova", "nvidia_nim": "nvidia", "huggingface": "huggingface", "novita": "novita",
    "voyage": "voyage", "elevenlabs": "elevenlabs", "deepgram": "deepgram", "replicate": "replicate", "fal_ai": "fal",
}  # fmt: skip
# Those that everyone reaches at an address of their own -> the wire format spoken there.
ADDRESSED: Mapping[str, str] = {
    "azure": "openai", "azure_ai": "openai", "hosted_vllm": "openai", "vllm": "openai", "lm_studio": "openai",
    "litellm_proxy": "openai", "custom_openai": "openai", "ollama": "ollama", "ollama_chat": "ollama",
    "bedrock": "bedrock", "databricks": "openai", "cloudflare": "openai",
}  # fmt: skip
KEYLESS = {"hosted_vllm", "vllm", "lm_studio", "ollama", "ollama_chat"}
"""Servers that ask for no key, unless the file names one; the others then take theirs from the environment."""
CATALOGUES: Mapping[str, str] = {
    "azure": "azure", "azure_ai": "azure", "bedrock": "aws", "databricks": "databricks", "cloudflare": "cloudflare",
}  # fmt: skip
"""Whose prices are known, though their addresses are everyone's own."""
BARE = ("openai", "anthropic", "cohere", "google")
"""Whose models are known by a bare name: LiteLLM has a list of them, we ask the price catalogue."""
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d+")
WAYS = ("converse", "converse_like", "invoke")
"""How Bedrock is to be asked, before the model's name."""

_ROWS = {row.slug: row for row in PROVIDERS}
_BY_HOST = {urlsplit(row.base_url).hostname: row.slug for row in PROVIDERS if not row.needs_address}


class Homeless(Exception):
    """No provider of ours is meant; the message says why."""


@dataclass(frozen=True)
class Home:
    slug: str
    model: str
    catalogue: str
    """That knows the prices of its models; empty: none does."""


@dataclass
class Homes:
    """Those at an address of one's own are made once, by it."""

    made: dict[str, ProviderEntry] = field(default_factory=dict)

    def of(self, params: Mapping[str, Any], model: str) -> Home:
        """Raises Homeless."""
        prefix, name = _split(text_of(params.get("custom_llm_provider")), model)
        address = text_of(params.get("api_base"))
        if prefix == "bedrock":
            region, name = _region(params, name)
            address = address or (f"https://bedrock-runtime.{region}.amazonaws.com" if region else "")
        if address.startswith("os.environ/"):
            raise Homeless(f"its address is in {address.partition('/')[2]}: connect it under Providers first")
        slug = _BY_HOST.get(_host(address), "") if address else PREFIXES.get(prefix, "")
        if slug:
            return Home(slug, name, _ROWS[slug].catalogue)
        if not address:
            raise Homeless(f"“{prefix}” needs an address of your own: connect it under Providers first")
        needs_key = prefix not in KEYLESS or bool(params.get("api_key"))
        entry = self._own(prefix, address.rstrip("/"), needs_key)
        return Home(entry.slug, name, entry.catalogue)

    def _own(self, prefix: str, address: str, needs_key: bool) -> ProviderEntry:
        """The provider at this address; it needs a key where one of its deployments does."""
        host = _host(address).removeprefix("bedrock-runtime.") or "server"
        if prefix.startswith("azure") and not address.endswith("/v1"):
            address = f"{address}/openai/v1"
        if prefix == "cloudflare":  # theirs is the address of Cloudflare's own format
            address = f"{address.removesuffix('/run').removesuffix('/v1')}/v1"
        if address not in self.made:
            slug = re.sub(r"[^a-z0-9]+", "-", f"{prefix}-{host}".lower()).strip("-")[:60]
            taken = {entry.slug for entry in self.made.values()}
            slug = next(name for number in range(1000) if (name := f"{slug}-{number}" if number else slug) not in taken)
            kind = ADDRESSED[prefix] if prefix in ADDRESSED else _ROWS[PREFIXES[prefix]].kind
            self.made[address] = ProviderEntry(
                slug=slug, name=host[:200], kind=kind, address=address[:200], needs_key=needs_key,
                catalogue=CATALOGUES.get(prefix, ""),
            )  # fmt: skip
        self.made[address].needs_key |= needs_key
        return self.made[address]


def _split(named: str, model: str) -> tuple[str, str]:
    """(prefix, the model's own name), where a bare name is asked of the price catalogue. Raises Homeless."""
    prefix, slash, rest = model.partition("/")
    if named:
        prefix, rest = named, rest if prefix == named else model
    elif not slash:
        known = next((one for one in BARE if catalogue.look_up(one, model)), "openai")
        return {"google": "gemini"}.get(known, known), model
    if prefix not in {*PREFIXES, *ADDRESSED}:
        raise Homeless(f"there is no provider “{prefix[:60]}” here")
    return prefix, rest


def _region(params: Mapping[str, Any], name: str) -> tuple[str, str]:
    """(AWS region, or nothing where the file does not say it; the model's name without what stands before it)"""
    region = text_of(params.get("aws_region_name"))
    while "/" in name and (REGION.fullmatch(first := name.partition("/")[0]) or first in WAYS):
        region = region or (first if first not in WAYS else "")
        name = name.partition("/")[2]
    return (region if REGION.fullmatch(region) else ""), name


def _host(address: str) -> str:
    """Empty for what is no address."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def text_of(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
