"""All names that traces use, in one table: those of OpenTelemetry, and ours where it has none.

Source: https://github.com/open-telemetry/semantic-conventions-genai, docs/gen-ai/client-inference.md (Development; as
of November 2026, with `cache_write` where it was `cache_creation` before), and semantic-conventions 1.44 for HTTP,
servers and errors (stable). They may change until they are stable: then they change here.
"""

from __future__ import annotations

from ..router.types import Finish, Task

# -- a request -------------------------------------------------------------------------------------

HTTP_METHOD = "http.request.method"
HTTP_ROUTE = "http.route"
HTTP_STATUS = "http.response.status_code"
REQUEST_ID = "dataelan.request.id"

# -- a run -----------------------------------------------------------------------------------------

RUN = "dataelan run"
EXECUTION = "dataelan.execution.id"
ORGANIZATION = "dataelan.organization.id"
PROJECT = "dataelan.project.id"
ORIGIN = "dataelan.origin"
REQUESTED = "dataelan.requested"
STATE = "dataelan.state"
COST = "dataelan.cost_usd"
REFUSED = "dataelan.refused"
DECIDED = "dataelan.decided"
RULE = "dataelan.rule"
WHY = "dataelan.why"
REJECTED = "dataelan.rejected"
CONVERSATION = "gen_ai.conversation.id"
ERROR = "error.type"

# -- a call of a model -----------------------------------------------------------------------------

ATTEMPT = "dataelan.attempt.number"
OUTCOME = "dataelan.attempt.outcome"
TAKEN_OVER = "dataelan.attempt.taken_over"
ESTIMATED = "dataelan.usage.is_estimated"
OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
MAX_TOKENS = "gen_ai.request.max_tokens"
TEMPERATURE = "gen_ai.request.temperature"
TOP_P = "gen_ai.request.top_p"
REASONING_LEVEL = "gen_ai.request.reasoning.level"
STREAM = "gen_ai.request.stream"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
FINISH = "gen_ai.response.finish_reasons"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT = "gen_ai.usage.input_tokens"
OUTPUT = "gen_ai.usage.output_tokens"
CACHE_READ = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE = "gen_ai.usage.cache_write.input_tokens"
REASONING = "gen_ai.usage.reasoning.output_tokens"
SERVER = "server.address"
PORT = "server.port"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"

OPERATIONS = {
    Task.CHAT: "chat",
    Task.EMBEDDING: "embeddings",
    Task.IMAGE: "generate_content",
    Task.SPEECH: "generate_content",
    Task.TRANSCRIPTION: "generate_content",
    Task.VIDEO: "generate_content",
    Task.RERANK: "rerank",
    Task.MODERATION: "moderation",
}
"""Values of OPERATION; the last two are our own."""

FINISHES = {finish: finish.value for finish in Finish} | {Finish.TOOL_CALLS: "tool_call"}
"""Values of FINISH, and of an answer in OUTPUT_MESSAGES."""

PROVIDERS = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "api.cohere.com": "cohere",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.moonshot.ai": "moonshot_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
    "generativelanguage.googleapis.com": "gcp.gemini",
}
"""Host → PROVIDER, where the conventions have a value."""
PROVIDERS_ENDING = {
    ".amazonaws.com": "aws.bedrock",
    ".openai.azure.com": "azure.ai.openai",
    ".services.ai.azure.com": "azure.ai.inference",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
}


def provider_of(host: str, name: str) -> str:
    """By the address that is called, else by what the provider is called here."""
    ending = next((value for end, value in PROVIDERS_ENDING.items() if host.endswith(end)), None)
    return PROVIDERS.get(host) or ending or name.lower()
