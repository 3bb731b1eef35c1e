"""From a provider's refusal to a Failure: read any error body, decide its Kind, say it in words fit to show.

Shapes read, most from recorded traffic: OpenAI's `{"error": {message, type, code}}`, Google's (also inside a
one-item list), Anthropic's, Mistral's `{"detail": [...]}` and flat `{"message", "type", "code"}`, OpenRouter's
`metadata.raw`, Ollama's `{"error": "text"}`, Cohere's `{"message"}`, AWS's `{"__type", "message" or "Message"}`,
ElevenLabs' `{"detail": {status, message}}`, Replicate's problem details (RFC 9457), fal's `{"detail", "error_type"}`,
Deepgram's `{"err_code", "err_msg"}`, Cloudflare's and Stability's `{"errors": [...]}`, plain text, a web page, nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from dataelan_web.router.providers.json_values import WEB_PAGE, mapping, mappings, parse_or_none, string
from dataelan_web.router.providers.refusals import refused_parameter
from dataelan_web.router.types import Failure, Fate, Kind

LONGEST_MESSAGE = 600

# -- what the provider said --------------------------------------------------------------------


@dataclass(frozen=True)
class Reported:
    """An error in the provider's words. `codes` are its machine-readable words, lower case."""

    message: str = ""
    codes: tuple[str, ...] = ()
    status: int | None = None
    after: float | None = None
    param: str = ""


def failure(status: int, body: bytes) -> Failure:
    """The Failure for an answer with an error status."""
    text = body[:1_000_000].decode("utf-8", "replace").strip().removeprefix("\ufeff")
    is_page = text.startswith("<")
    document = None if is_page else parse_or_none(_first_data(text))
    if document is not None:
        return _failure(status, reported(document))
    said = _failure(status, Reported(_web_page(status) if is_page else text))
    if status in _LOST_BETWEEN or _LOST.search(text):
        said.told = Fate.UNKNOWN
    return said


def failure_in_answer(document: Mapping[str, Any]) -> Failure:
    """The Failure for an error inside an answer that began with status 200."""
    said = reported(document)
    return _failure(said.status or HTTPStatus.OK, said)


def is_error(document: Mapping[str, Any]) -> bool:
    return bool(document.get("error")) or document.get("object") == "error" or document.get("type") == "error"


def reported(document: Any) -> Reported:
    """Find the message, the codes and the status in an error document of any shape."""
    if isinstance(document, list):
        document = next(iter(mappings(document)), {})
    if isinstance(document, str):
        return Reported(string(document))
    outer = mapping(document)
    error = _error(outer)
    message = _message(error)
    details = mappings(error.get("details"))
    return Reported(
        message,
        tuple(dict.fromkeys(_codes(outer, error, details))),
        _status(error.get("status_code"), error.get("raw_status_code"), error.get("code"), error.get("status")),
        _after(error, details, message),
        string(error.get("param")),
    )


def _error(outer: Mapping[str, Any]) -> dict[str, Any]:
    """The part that speaks of the error; what stands beside a bare text or list says more of it."""
    for name in ("error", "errors", "detail"):
        value = outer.get(name)
        if isinstance(value, dict) and value:
            return value
        if value and name != "detail":
            return {**outer, "message": outer.get("message") or value}
    return {**outer}


def _codes(outer: Mapping[str, Any], error: Mapping[str, Any], details: list[dict[str, Any]]) -> Iterator[str]:
    """Machine-readable words, lower case. A list of validation errors has its own (fal: content_policy_violation)."""
    validation = [item.get("type") for item in mappings(outer.get("detail"))]
    reasons = [detail.get("reason") for detail in details]
    said = [error.get(name) for name in ("type", "code", "status", "error_type", "__type", "err_code", "name")]
    for word in (*said, outer.get("error_type"), outer.get("error"), *reasons, *validation):
        # AWS: "com.amazonaws.bedrock#ThrottlingException:http://…". A problem's type may be a mere address.
        text = string(word).rpartition("#")[2].partition(":")[0].lower()
        if text not in ("", "error", "http", "https", "about") and len(text.split()) == 1:
            yield text


def _message(error: Mapping[str, Any]) -> str:
    names = ("message", "Message", "detail", "error_description", "err_msg", "title")
    said = next(filter(None, map(error.get, names)), None)
    upstream = mapping(error.get("metadata")).get("raw")
    message = _words(said) or _words(error)
    return f"{message}: {_words(upstream)}".removeprefix(": ") if upstream else message


def _words(value: Any, depth: int = 0) -> str:
    """Readable words of a message that may be text, JSON inside text, or a list of validation errors."""
    if depth > 4:
        return ""
    if isinstance(value, str):
        nested = parse_or_none(value) if value.lstrip().startswith(("{", "[")) else None
        return _words(nested, depth + 1) or string(value).strip()
    if isinstance(value, list):
        return "; ".join(filter(None, (_words(item, depth + 1) for item in value[:10])))
    error = mapping(value)
    place = ".".join(str(step) for step in error["loc"]) if isinstance(error.get("loc"), list) else ""
    said = (_words(error.get(key), depth + 1) for key in ("message", "msg", "detail", "error"))
    words = next(filter(None, said), "")
    return f"{place}: {words}" if place and words else words


def _status(*candidates: Any) -> int | None:
    for value in candidates:
        number = int(value) if isinstance(value, str) and re.fullmatch(r"[1-5]\d\d", value) else value
        if isinstance(number, int) and not isinstance(number, bool) and 400 <= number <= 599:
            return number
    return None


def _first_data(text: str) -> str:
    """Some servers wrap an error in an event stream even when its status is an error."""
    if not text.startswith(("data:", "event:")):
        return text
    return next((line[5:].strip() for line in text.splitlines() if line.startswith("data:")), "")


_AGAIN_IN = re.compile(
    r"(?:try again|retry|available) (?:in|after) (?:(\d{1,4})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,9}(?:\.\d+)?) ?(ms|s))?",
    re.I,
)


def _after(error: Mapping[str, Any], details: list[dict[str, Any]], message: str) -> float | None:
    """The provider's wish when it is in the body: a plan's `resets_in_seconds`, Google's RetryInfo, OpenAI's and Groq's
    "try again in 1m2.5s", Azure's "retry after 26 seconds", Replicate's "available in 5 seconds"."""
    resets = error.get("resets_in_seconds")
    if isinstance(resets, int | float) and not isinstance(resets, bool) and 0 <= resets < 10**9:
        return float(resets)
    for detail in details:
        if found := re.fullmatch(r"(\d{1,6}(?:\.\d{1,9})?)s", string(detail.get("retryDelay"))):
            return float(found[1])
    found = _AGAIN_IN.search(message[:5000])
    if not found or not any(found.groups()):
        return None
    hours, minutes, rest, unit = found.groups()
    seconds = float(rest or 0) / (1000 if unit and unit.lower() == "ms" else 1)
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + seconds


# -- what kind of failure it is ------------------------------------------------------------------

# Words of the machine-readable codes (type, code, status, reason), by kind. They outrank the HTTP status.
_CODES: Mapping[Kind, frozenset[str]] = {
    Kind.CONTENT_POLICY: frozenset(
        "content_policy_violation content_filter content_policy moderation_blocked responsibleaipolicyviolation "
        "safety prohibited_content data_inspection_failed".split()
    ),
    Kind.CONTEXT_TOO_LONG: frozenset(
        "context_length_exceeded too_many_prompt_tokens exceed_context_size_error request_too_large "
        "string_above_max_length context_window_exceeded".split()
    ),
    Kind.BILLING: frozenset(
        "insufficient_quota billing_error billing_hard_limit_reached billing_not_active insufficient_balance "
        "insufficient_credits insufficient_funds payment_required credits_exhausted access_terminated "
        "quota_exceeded accountoverdueerror".split()
    ),
    Kind.CREDENTIAL: frozenset(
        "invalid_api_key authentication_error permission_error api_key_invalid api_key_expired "
        "api_key_service_blocked unauthenticated permission_denied invalid_authentication unauthorized "
        "accessdeniedexception expiredtokenexception invalidsignatureexception missingauthenticationtokenexception "
        "unrecognizedclientexception".split()
    ),
    Kind.RATE_LIMIT: frozenset(
        "rate_limit_error rate_limit_exceeded rate_limited resource_exhausted too_many_requests "
        "tokens_usage_based engine_overloaded_rate_limit throttlingexception servicequotaexceededexception "
        "too_many_concurrent_requests usage_limit_reached accountquotaexceeded".split()
    ),
    Kind.ABORTED: frozenset(["cancelled", "request_cancelled", "client_closed_request"]),
    Kind.TRANSIENT: frozenset(
        "overloaded_error overloaded api_error server_error internal_error internal_server_error internal unavailable "
        "service_unavailable timeout timeout_error deadline_exceeded engine_overloaded bad_gateway "
        "internalserverexception modelerrorexception modelnotreadyexception modelstreamerrorexception "
        "modeltimeoutexception serviceunavailableexception request_timeout system_busy".split()
    ),
    Kind.BAD_REQUEST: frozenset(
        "invalid_request_error not_found_error model_not_found invalid_argument not_found failed_precondition "
        "unsupported_parameter unsupported_value tool_use_failed resourcenotfoundexception "
        "validationexception".split()
    ),
}

# What providers say in prose where their code says too little. Read for 4xx only, and never against a precise code.
_PROSE: Mapping[Kind, re.Pattern[str]] = {
    Kind.CONTENT_POLICY: re.compile(
        r"content management policy|content policy|usage (?:polic|guideline)|responsible ai|\bnsfw\b|safety system|"
        r"was flagged|input was blocked",
        re.I,
    ),
    Kind.CONTEXT_TOO_LONG: re.compile(
        r"maximum context length|context length exceeded|context window|context size|prompt is too long|"
        r"input is too long|too many (?:input |prompt )?tokens|input token count .{0,60}exceeds|"
        r"input tokens exceed|number of (?:input )?tokens exceeds|tokens\) is too large to process|"
        r"exceeds? the (?:maximum|model's) .{0,30}(?:tokens|context)|"
        r"reduce the length of the (?:messages|input|prompt)",
        re.I,
    ),
    Kind.BILLING: re.compile(
        r"credit balance is too low|insufficient (?:balance|credits|funds|quota)|out of credits|requires more credits|"
        r"spending limit|billing (?:hard )?limit|"
        # a plan's hours, week or month are used up: Anthropic says so with 400, sellers of plans with 403
        r"reached your .{0,40}usage limits?|usage (?:limit|quota) (?:is |has been )?(?:reached|exceeded|exhausted)|"
        r"exceeded the .{0,40}usage quota|limit exhausted",
        re.I,
    ),
    Kind.CREDENTIAL: re.compile(
        r"api key (?:not valid|expired|not found|is invalid|is missing)|(?:invalid|incorrect|missing|no) api[ -]?key",
        re.I,
    ),
}

_STATUSES: Mapping[int, Kind] = {
    401: Kind.CREDENTIAL,
    402: Kind.BILLING,
    403: Kind.CREDENTIAL,
    408: Kind.TRANSIENT,
    409: Kind.TRANSIENT,  # a lock or a model still loading: OpenAI's own clients retry it
    413: Kind.CONTEXT_TOO_LONG,
    424: Kind.TRANSIENT,  # AWS: the model itself failed
    425: Kind.TRANSIENT,
    429: Kind.RATE_LIMIT,
    498: Kind.RATE_LIMIT,  # Groq: flex capacity exceeded
    499: Kind.ABORTED,
    501: Kind.BAD_REQUEST,
}

# Kinds whose codes say more than any status. The others only refine what the status leaves open.
_PRECISE = (Kind.CONTENT_POLICY, Kind.CONTEXT_TOO_LONG, Kind.BILLING, Kind.ABORTED)


def kind_of(status: int, codes: tuple[str, ...], message: str) -> Kind:
    for kind in _PRECISE:
        if _CODES[kind].intersection(codes):
            return kind
    # 429 is left out: Google says "check your plan and billing details" for an ordinary rate limit.
    if (400 <= status < 500 and status != HTTPStatus.TOO_MANY_REQUESTS) or status < 300:
        for kind, prose in _PROSE.items():
            if prose.search(message[:5000]):
                return kind
    # llama.cpp answers 500 to an input that is too long; to send it again would not help.
    if status == HTTPStatus.INTERNAL_SERVER_ERROR and _PROSE[Kind.CONTEXT_TOO_LONG].search(message[:5000]):
        return Kind.CONTEXT_TOO_LONG
    if status in _STATUSES:
        return _STATUSES[status]
    if status >= 500:
        return Kind.TRANSIENT
    for kind, words in _CODES.items():
        if words.intersection(codes):
            return kind
    return Kind.BAD_REQUEST if status >= 300 else Kind.TRANSIENT


# -- what became of the request ---------------------------------------------------------------------

# Whoever says so turned the request away: too early, too many, or no room. 409: a lock, or a model still loading.
_TURNED_AWAY = frozenset({409, 425, 503, 529})
_BUSY = frozenset(
    "overloaded_error overloaded engine_overloaded unavailable service_unavailable serviceunavailableexception "
    "modelnotreadyexception system_busy".split()
)

# Said by a proxy (there is no error document of the provider's): it gave up waiting, or lost the line, after the
# request may have gone on. 520 and 524 are Cloudflare's. Envoy says it with 503 and in prose.
_LOST_BETWEEN = frozenset({408, 502, 504, 520, 524})
_LOST = re.compile(r"disconnect/reset before headers|upstream request timeout", re.I)


def _told(kind: Kind, status: int, codes: tuple[str, ...]) -> Fate:
    is_turned_away = kind is Kind.RATE_LIMIT or status in _TURNED_AWAY or _BUSY.intersection(codes)
    return Fate.NOT_TAKEN if is_turned_away else Fate.FAILED


# -- how it is said ---------------------------------------------------------------------------------

_KEYS = (
    # the marks that providers put on their keys
    re.compile(
        r"\b(?:(?:sk|pk|rk|gsk|xai|hf|r8|nvapi|pplx|csk|fw|fpk|tgp|gh[opu])[-_]|AIza|AQ\.|ya29\.|eyJ)"
        r"[\w*.~+/=-]{3,}[\w*~+/=-]"
    ),
    re.compile(r"(?i)(?<=bearer )\S{4,}"),
    re.compile(r"(?i)(?<=[?&]key=)[^&\s\"']+"),
    re.compile(r"(?i)(?<=api key provided: )\S+?(?=[.,;]?(?:\s|$))"),
    re.compile(r"(?i)(?<=api key: )\S+?(?=[.,;]?(?:\s|$))"),
    # any long run of letters with digits, as keys without a mark are (Mistral, Azure, Together)
    re.compile(r"(?<![\w-])(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{32,}(?![\w-])"),
)
MASK = "[key]"


def masked(text: str) -> str:
    """`text` without anything that looks like a key: providers quote the key they refuse."""
    for key in _KEYS:
        text = key.sub(MASK, text)
    return text


def _failure(status: int, said: Reported) -> Failure:
    message = masked(" ".join(string(said.message[: 4 * LONGEST_MESSAGE]).split()))
    if len(message) > LONGEST_MESSAGE:
        message = message[:LONGEST_MESSAGE].rstrip() + "…"
    kind = kind_of(status, said.codes, said.message)
    return Failure(
        kind,
        message or f"The provider answered {_named(status)} and did not say why.",
        status=status,
        code=masked(next(iter(said.codes), ""))[:100],
        after=said.after,
        refused=refused_parameter(said.message) if kind is Kind.BAD_REQUEST else "",
        told=_told(kind, status, said.codes),
        param=masked(said.param)[:100] if kind is Kind.BAD_REQUEST else "",
    )


def _web_page(status: int) -> str:
    if status >= 500:
        return f"The provider answered {_named(status)} with a web page; it may be down for a moment."
    return f"{WEB_PAGE} (Status {_named(status)}.)"


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
