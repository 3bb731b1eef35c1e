"""The providers everyone has, as data. `flask load-providers` writes them; running it again changes nothing.

Adding one that speaks a known format is a row here. No model is named: providers list their own, and several
retire each month. Only the simulated provider's models are ours to name.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from ..extensions import db
from ..models import Model, Price, Provider, new_id


@dataclass(frozen=True)
class Row:
    slug: str
    name: str
    kind: str
    base_url: str
    key_hint: str
    catalogue: str = ""
    check_path: str = ""


PROVIDERS = (
    Row("openai", "OpenAI", "openai", "https://api.openai.com/v1", "https://platform.openai.com/api-keys", "openai"),
    Row(
        "anthropic",
        "Anthropic",
        "anthropic",
        "https://api.anthropic.com/v1",
        "https://console.anthropic.com/settings/keys",
        "anthropic",
    ),
    Row(
        "google",
        "Google Gemini",
        "google",
        "https://generativelanguage.googleapis.com/v1beta",
        "https://aistudio.google.com/apikey",
        "google",
    ),
    Row("mistral", "Mistral", "openai", "https://api.mistral.ai/v1", "https://console.mistral.ai/api-keys", "mistral"),
    Row("groq", "Groq", "openai", "https://api.groq.com/openai/v1", "https://console.groq.com/keys", "groq"),
    Row(
        "deepseek",
        "DeepSeek",
        "openai",
        "https://api.deepseek.com/v1",
        "https://platform.deepseek.com/api_keys",
        "deepseek",
    ),
    Row("xai", "xAI", "openai", "https://api.x.ai/v1", "https://console.x.ai", "x-ai"),
    Row(
        "together",
        "Together",
        "openai",
        "https://api.together.xyz/v1",
        "https://api.together.ai/settings/api-keys",
        "together",
    ),
    Row(
        "fireworks",
        "Fireworks",
        "openai",
        "https://api.fireworks.ai/inference/v1",
        "https://fireworks.ai/account/api-keys",
        "fireworks",
    ),
    Row(
        "openrouter",
        "OpenRouter",
        "openai",
        "https://openrouter.ai/api/v1",
        "https://openrouter.ai/settings/keys",
        "openrouter",
        check_path="/key",
    ),
    Row("cerebras", "Cerebras", "openai", "https://api.cerebras.ai/v1", "https://cloud.cerebras.ai", "cerebras"),
)

SIMULATED = {
    "simulated-fast": "Simulated, fast",
    "simulated-thoughtful": "Simulated, thinks first",
    "simulated-instant": "Simulated, instant",
    "simulated-second": "Simulated, one second",
}


def load(simulated_url: str) -> int:
    """Write the fixture. Returns how many providers there are. Commits."""
    for row in PROVIDERS:
        provider = _find(row.slug)
        provider.name, provider.kind, provider.base_url = row.name, row.kind, row.base_url
        provider.key_hint, provider.catalogue, provider.check_path = row.key_hint, row.catalogue, row.check_path
    if simulated_url:
        _load_simulated(simulated_url)
    db.session.commit()
    return len(PROVIDERS) + bool(simulated_url)


def _load_simulated(url: str) -> None:
    provider = _find("simulated")
    provider.name, provider.kind, provider.base_url = "Simulated", "openai", url
    provider.needs_key, provider.is_simulated = False, True
    db.session.flush()
    known = set(db.session.scalars(select(Model.name).where(Model.provider_id == provider.id)))
    for name, display_name in SIMULATED.items():
        if name not in known:
            model = Model(id=new_id(), provider=provider, name=name, display_name=display_name)
            model.capabilities = ["streaming", "tools", "json_schema"]
            model.context_window, model.max_output_tokens = 128_000, 8_192
            model.prices = [Price(source="simulated", input=0, output=0)]
            db.session.add(model)


def _find(slug: str) -> Provider:
    provider = db.session.scalars(
        select(Provider).where(Provider.slug == slug, Provider.organization_id.is_(None))
    ).first()
    if provider is None:
        provider = Provider(id=new_id(), slug=slug, name=slug, kind="openai", base_url="")
        db.session.add(provider)
    return provider
