"""The providers everyone has, as data. `flask load-providers` writes them; running it again mends what changed here
and touches nothing of any organization's.

Adding one that speaks a known format is a row here. No model is named: providers list their own, and several
retire each month. Only the simulated providers' models are ours to name.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from ...extensions import db
from ...models import Model, ModelType, Price, Provider, new_id
from ...router.types import Task
from ..models import prices
from .connections import move

TEXT, IMAGE, VOICE, VIDEO = ModelType.TEXT, ModelType.IMAGE, ModelType.VOICE, ModelType.VIDEO


@dataclass(frozen=True)
class Row:
    slug: str
    name: str
    kind: str
    base_url: str
    """With words in braces where every organization puts its own: then it is a pattern."""
    key_hint: str
    """The page where a person gets a key."""
    model_types: tuple[ModelType, ...] = (TEXT,)
    catalogue: str = ""
    """Its id in genai-prices."""
    check_path: str = ""
    """What only a valid key is answered, where the list of models is open to everyone or there is none."""
    needs_address: bool = False
    needs_key: bool = True


# fmt: off
PROVIDERS = (
    Row("openai", "OpenAI", "openai", "https://api.openai.com/v1", "https://platform.openai.com/api-keys",
        (TEXT, IMAGE, VOICE), "openai"),
    Row("anthropic", "Anthropic", "anthropic", "https://api.anthropic.com/v1",
        "https://console.anthropic.com/settings/keys", catalogue="anthropic"),
    Row("google", "Google Gemini", "google", "https://generativelanguage.googleapis.com/v1beta",
        "https://aistudio.google.com/apikey", (TEXT, IMAGE, VOICE, VIDEO), "google"),
    Row("mistral", "Mistral", "openai", "https://api.mistral.ai/v1", "https://console.mistral.ai/api-keys",
        (TEXT, VOICE), "mistral"),
    Row("cohere", "Cohere", "cohere", "https://api.cohere.com/v2", "https://dashboard.cohere.com/api-keys",
        catalogue="cohere"),
    Row("groq", "Groq", "openai", "https://api.groq.com/openai/v1", "https://console.groq.com/keys",
        (TEXT, VOICE), "groq"),
    Row("deepseek", "DeepSeek", "openai", "https://api.deepseek.com/v1", "https://platform.deepseek.com/api_keys",
        catalogue="deepseek"),
    Row("xai", "xAI", "openai", "https://api.x.ai/v1", "https://console.x.ai", (TEXT, IMAGE), "x-ai"),
    Row("together", "Together", "openai", "https://api.together.xyz/v1", "https://api.together.ai/settings/api-keys",
        (TEXT, IMAGE), "together"),
    Row("fireworks", "Fireworks", "openai", "https://api.fireworks.ai/inference/v1",
        "https://fireworks.ai/account/api-keys", catalogue="fireworks"),
    Row("openrouter", "OpenRouter", "openai", "https://openrouter.ai/api/v1", "https://openrouter.ai/settings/keys",
        (TEXT, IMAGE, VOICE), "openrouter", check_path="/key"),
    Row("perplexity", "Perplexity", "openai", "https://api.perplexity.ai",
        "https://www.perplexity.ai/settings/api", catalogue="perplexity"),
    Row("cerebras", "Cerebras", "openai", "https://api.cerebras.ai/v1", "https://cloud.cerebras.ai",
        catalogue="cerebras"),
    Row("moonshot", "Moonshot", "openai", "https://api.moonshot.ai/v1",
        "https://platform.moonshot.ai/console/api-keys", catalogue="moonshotai"),
    Row("zai", "Z.ai", "openai", "https://api.z.ai/api/paas/v4", "https://z.ai/manage-apikey/apikey-list",
        catalogue="zai"),
    Row("minimax", "MiniMax", "openai", "https://api.minimax.io/v1",
        "https://platform.minimax.io/user-center/basic-information/interface-key", catalogue="minimax"),
    Row("sambanova", "SambaNova", "openai", "https://api.sambanova.ai/v1", "https://cloud.sambanova.ai/apis"),
    Row("nvidia", "NVIDIA", "openai", "https://integrate.api.nvidia.com/v1", "https://build.nvidia.com/settings/api-keys"),
    Row("huggingface", "Hugging Face", "openai", "https://router.huggingface.co/v1",
        "https://huggingface.co/settings/tokens"),
    Row("novita", "Novita", "openai", "https://api.novita.ai/openai/v1", "https://novita.ai/settings/key-management",
        catalogue="novita"),
    Row("voyage", "Voyage", "openai", "https://api.voyageai.com/v1",
        "https://dashboard.voyageai.com/organization/api-keys", catalogue="voyageai"),
    Row("elevenlabs", "ElevenLabs", "elevenlabs", "https://api.elevenlabs.io/v1",
        "https://elevenlabs.io/app/settings/api-keys", (VOICE,), "elevenlabs", check_path="/user"),
    Row("deepgram", "Deepgram", "deepgram", "https://api.deepgram.com/v1", "https://console.deepgram.com",
        (VOICE,), check_path="/projects"),
    Row("replicate", "Replicate", "replicate", "https://api.replicate.com/v1",
        "https://replicate.com/account/api-tokens", (IMAGE, VIDEO, VOICE), check_path="/account"),
    Row("fal", "fal", "fal", "https://queue.fal.run", "https://fal.ai/dashboard/keys", (IMAGE, VIDEO, VOICE)),

    Row("azure-openai", "Azure OpenAI", "openai", "https://{resource}.openai.azure.com/openai/v1",
        "https://ai.azure.com", (TEXT, IMAGE, VOICE), "azure", needs_address=True),
    Row("amazon-bedrock", "Amazon Bedrock", "bedrock", "https://bedrock-runtime.{region}.amazonaws.com",
        "https://console.aws.amazon.com/bedrock/home#/api-keys", catalogue="aws", needs_address=True),
    Row("cloudflare", "Cloudflare Workers AI", "openai",
        "https://api.cloudflare.com/client/v4/accounts/{account}/ai/v1",
        "https://dash.cloudflare.com/profile/api-tokens", catalogue="cloudflare", needs_address=True),
    Row("databricks", "Databricks", "openai", "https://{workspace}/serving-endpoints",
        "https://docs.databricks.com/dev-tools/auth/pat", catalogue="databricks", needs_address=True),
    Row("ollama", "Ollama", "openai", "http://localhost:11434/v1", "", needs_address=True, needs_key=False),
    Row("vllm", "vLLM and the like", "openai", "http://{host}:8000/v1", "", needs_address=True, needs_key=False),
)
# fmt: on


@dataclass(frozen=True)
class SimulatedModel:
    name: str
    display_name: str
    model_type: ModelType = TEXT
    task: Task = Task.CHAT
    capabilities: tuple[str, ...] = ()


CHAT = ("tools", "json_schema", "vision", "document_in", "audio_in")
SIMULATED = (
    SimulatedModel("simulated-fast", "Simulated, fast", capabilities=CHAT),
    SimulatedModel("simulated-thoughtful", "Simulated, thinks first", capabilities=(*CHAT, "reasoning")),
    SimulatedModel("simulated-instant", "Simulated, instant", capabilities=CHAT),
    SimulatedModel("simulated-second", "Simulated, one second", capabilities=CHAT),
    SimulatedModel("simulated-image", "Simulated pictures", IMAGE, Task.IMAGE),
    SimulatedModel("simulated-voice", "Simulated speech", VOICE, Task.SPEECH),
    SimulatedModel("simulated-ear", "Simulated transcription", VOICE, Task.TRANSCRIPTION),
    SimulatedModel("simulated-vectors", "Simulated vectors", TEXT, Task.EMBEDDING),
)
SIMULATED_STUDIO = (SimulatedModel("simulated/film", "Simulated film", VIDEO, Task.VIDEO),)


def load(simulated_url: str) -> int:
    """Write the fixture. Returns how many providers there are. Commits."""
    for row in PROVIDERS:
        provider = _find(row.slug)
        move(provider, row.base_url)
        provider.name, provider.kind, provider.model_types = row.name, row.kind, list(row.model_types)
        provider.key_hint, provider.catalogue, provider.check_path = row.key_hint, row.catalogue, row.check_path
        provider.needs_address, provider.needs_key = row.needs_address, row.needs_key
    if simulated_url:
        _load_simulated("simulated", "Simulated", "openai", simulated_url, SIMULATED)
        studio = simulated_url.removesuffix("/v1") + "/replicate/v1"
        _load_simulated("simulated-studio", "Simulated studio", "replicate", studio, SIMULATED_STUDIO)
    prices.refresh()
    db.session.commit()
    return len(PROVIDERS) + 2 * bool(simulated_url)


def _load_simulated(slug: str, name: str, kind: str, url: str, models: tuple[SimulatedModel, ...]) -> None:
    provider = _find(slug)
    provider.name, provider.kind, provider.base_url = name, kind, url
    provider.needs_key, provider.is_simulated, provider.is_trusted = False, True, True
    provider.model_types = list(dict.fromkeys(model.model_type for model in models))
    db.session.flush()
    known = set(db.session.scalars(select(Model.name).where(Model.provider_id == provider.id)))
    for row in models:
        if row.name not in known:
            db.session.add(_simulated(provider, row))


def _simulated(provider: Provider, row: SimulatedModel) -> Model:
    model = Model(id=new_id(), provider=provider, name=row.name, display_name=row.display_name)
    model.model_type, model.task, model.capabilities = row.model_type, row.task.value, list(row.capabilities)
    if row.task is Task.CHAT:
        model.context_window, model.max_output_tokens = 128_000, 8_192
    model.prices = [Price(source="simulated", input=0, output=0, per_image=0, per_second=0, per_character=0)]
    return model


def _find(slug: str) -> Provider:
    provider = db.session.scalars(
        select(Provider).where(Provider.slug == slug, Provider.organization_id.is_(None))
    ).first()
    if provider is None:
        provider = Provider(id=new_id(), slug=slug, name=slug, kind="openai", base_url="")
        db.session.add(provider)
    return provider
