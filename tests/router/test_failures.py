"""Every shape of refusal becomes a kind that the router can act on, and words that a person can read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dataelan_web.router.providers import adapter
from dataelan_web.router.providers.failures import LONGEST_MESSAGE, failure, masked
from dataelan_web.router.types import Kind


def openai(message: str = "no", **error: Any) -> dict[str, Any]:
    return {"error": {"message": message, **error}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, openai(type="invalid_request_error"), Kind.BAD_REQUEST),
        (400, openai(code="context_length_exceeded"), Kind.CONTEXT_TOO_LONG),
        (400, openai("This model's maximum context length is 8192 tokens."), Kind.CONTEXT_TOO_LONG),
        (400, openai("the request exceeds the available context size", type="exceed_context_size_error"),
         Kind.CONTEXT_TOO_LONG),
        (400, openai("The input token count (2500021) exceeds the maximum number of tokens allowed (1048576)."),
         Kind.CONTEXT_TOO_LONG),
        (413, openai("Request too large", type="request_too_large"), Kind.CONTEXT_TOO_LONG),
        (400, openai(code="content_filter"), Kind.CONTENT_POLICY),
        (400, openai("Your request was rejected as a result of our safety system."), Kind.CONTENT_POLICY),
        (403, openai("Your chosen model requires moderation and your input was flagged"), Kind.CONTENT_POLICY),
        (401, openai(code="invalid_api_key"), Kind.CREDENTIAL),
        (403, openai("Forbidden"), Kind.CREDENTIAL),
        (400, {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.",
                         "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}, Kind.CREDENTIAL),
        (400, openai("Incorrect API key provided: xa***12."), Kind.CREDENTIAL),
        (402, {"error": {"message": "Insufficient Balance"}}, Kind.BILLING),
        (429, openai("You exceeded your current quota", code="insufficient_quota"), Kind.BILLING),
        (400, openai("Your credit balance is too low to access the API.", type="invalid_request_error"), Kind.BILLING),
        (429, openai(code="rate_limit_exceeded"), Kind.RATE_LIMIT),
        (429, openai("You exceeded your current quota, please check your plan and billing details.",
                     code=429, status="RESOURCE_EXHAUSTED"), Kind.RATE_LIMIT),
        (408, "", Kind.TRANSIENT),
        (409, "", Kind.TRANSIENT),
        (500, openai(type="server_error"), Kind.TRANSIENT),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, Kind.TRANSIENT),
        (503, "<html>busy</html>", Kind.TRANSIENT),
        (404, "<html>nothing here</html>", Kind.BAD_REQUEST),
        (422, {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}, Kind.BAD_REQUEST),
        (499, {"error": {"code": 499, "status": "CANCELLED", "message": "The operation was cancelled."}}, Kind.ABORTED),
        (302, "", Kind.BAD_REQUEST),
        (401, {"detail": {"status": "quota_exceeded", "message": "You have 3 credits left."}}, Kind.BILLING),
        (422, {"detail": [{"loc": ["body", "prompt"], "msg": "no", "type": "content_policy_violation"}]},
         Kind.CONTENT_POLICY),
        (400, {"__type": "com.amazon.coral.service#ExpiredTokenException", "message": "expired"}, Kind.CREDENTIAL),
        (400, {"__type": "ThrottlingException:http://internal.amazon.com/", "Message": "slow"}, Kind.RATE_LIMIT),
        (400, {"message": "Input Tokens Exceeded: Number of input tokens exceeds maximum length."},
         Kind.CONTEXT_TOO_LONG),
        (500, openai("input (4002 tokens) is too large to process.", type="server_error"), Kind.CONTEXT_TOO_LONG),
        (400, openai("Invalid size '3x3'.", type="image_generation_user_error", code="invalid_value"),
         Kind.BAD_REQUEST),
        (400, openai("no", type="image_generation_user_error", code="moderation_blocked"), Kind.CONTENT_POLICY),
        (424, {"message": "The model could not be run."}, Kind.TRANSIENT),
        # a plan is used up for hours, for a week or for the month
        (429, openai("Usage limit reached for 5 hour. Your limit will reset at 2026-09-09 05:38:28", code="1308"),
         Kind.RATE_LIMIT),
        (429, openai("The usage limit has been reached", type="usage_limit_reached"), Kind.RATE_LIMIT),
        (429, openai("You have exceeded the 5-hour usage quota.", code="AccountQuotaExceeded"), Kind.RATE_LIMIT),
        (403, openai("You have exceeded the 5-hour usage quota.", code="plan_exceeded"), Kind.BILLING),
        (403, openai("Weekly/Monthly Limit Exhausted. Your limit will reset at 2026-09-09", code="1310"), Kind.BILLING),
        (400, openai("You have reached your specified API usage limits. You will regain access on 2026-10-01.",
                     type="invalid_request_error"), Kind.BILLING),
    ],
)  # fmt: skip
def test_a_refusal_has_a_kind(status: int, body: Any, kind: Kind) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    assert failure(status, text.encode()).kind is kind


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (openai("Too hot"), "Too hot"),
        ([openai("In a list")], "In a list"),
        ({"error": "As text"}, "As text"),
        ({"message": "Flat", "type": "invalid_model", "code": "1500"}, "Flat"),
        ({"detail": "Invalid API Key"}, "Invalid API Key"),
        ({"detail": [{"loc": ["body", "n"], "msg": "not a number"}, {"msg": "odd"}]}, "body.n: not a number; odd"),
        ({"object": "error", "message": {"detail": [{"loc": ["body"], "msg": "bad"}]}}, "body: bad"),
        (openai('{"error": {"code": 400, "message": "Nested"}}'), "Nested"),
        (openai("Provider returned error", metadata={"raw": '{"error":{"message":"cold"}}'}),
         "Provider returned error: cold"),
        (openai("Two\n  lines"), "Two lines"),
        ("plain words", "plain words"),
        ('data: {"error":{"message":"framed"}}\n\n', "framed"),
        ("", "The provider answered 400 Bad Request and did not say why."),
        ({"error": {}}, "The provider answered 400 Bad Request and did not say why."),
        ({"detail": {"status": "voice_not_found", "message": "No such voice."}}, "No such voice."),
        ({"type": "https://x.test/problem", "title": "Bad", "status": 422, "detail": "- prompt is required\n"},
         "- prompt is required"),
        ({"title": "Insufficient credit", "status": 402}, "Insufficient credit"),
        ({"detail": "Runner died", "error_type": "runner_server_error"}, "Runner died"),
        ({"__type": "ValidationException", "Message": "With a capital"}, "With a capital"),
        ({"error": "bad_request", "message": "Beside a code"}, "Beside a code"),
        ({"error": ["One", "Two"]}, "One; Two"),
        ({"name": "bad_request", "errors": ["One", {"message": "Two"}]}, "One; Two"),
        ({"err_code": "INVALID_AUTH", "err_msg": "Invalid credentials."}, "Invalid credentials."),
    ],
)  # fmt: skip
def test_a_refusal_is_said_in_the_words_of_the_provider(body: Any, message: str) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    assert failure(400, text.encode()).message == message


def test_a_web_page_is_not_quoted() -> None:
    assert failure(404, b"<!DOCTYPE html>...").message == (
        "The provider answered with a web page, not with JSON. Check the base URL. (Status 404 Not Found.)"
    )
    assert "502 Bad Gateway" in failure(502, b"<html>").message


def test_a_long_message_is_cut() -> None:
    assert len(failure(400, b"word " * 5000).message) <= LONGEST_MESSAGE + 1


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcDEF123456",
        "sk-ant-api03-abc_DEF-123",
        "sk-or-v1-0123456789abcdef",
        "AIzaSyA1234567890abcdefghij",
        "gsk_abcdefgh12345678",
        "xai-abcdefgh12345678",
        "hf_abcdefgh12345678",
        "sk-12***************abcd",
        "0123456789abcdef0123456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    ],
)
@pytest.mark.parametrize("text", ["Incorrect API key provided: {}.", "key {} was leaked", "Bearer {}", "?key={}&x=1"])
def test_a_key_is_never_repeated(key: str, text: str) -> None:
    said = failure(401, json.dumps(openai(text.format(key))).encode()).message
    assert key not in said
    assert key[-4:] not in said


@pytest.mark.parametrize(
    "text",
    [
        "The model `meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8` does not exist.",
        "request req_01khrvt2r6e9rb7e8qsg86ywkw",
        "limit_rpm/meta-llama/llama-3.2-3b-instruct/e8440b11-29fb-4887-a222-eff9ba33dfbf",
        "this is a task-force of risk-takers",
    ],
)
def test_names_are_not_taken_for_keys(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (openai("Please try again in 1.2s."), 1.2),
        (openai("Please try again in 20ms."), 0.02),
        (openai("Please try again in 6m0s."), 360.0),
        (openai("Please try again in 1h2m3s."), 3723.0),
        (openai("Try again later."), None),
        (openai("Please retry after 26 seconds."), 26.0),
        ({"detail": "Request was throttled. Expected available in 5 seconds."}, 5.0),
        (openai("The usage limit has been reached", resets_in_seconds=12_000), 12_000.0),
        (openai("The usage limit has been reached", resets_in_seconds="soon"), None),
        ({"error": {"message": "quota", "details": [{"@type": "RetryInfo", "retryDelay": "48s"}]}}, 48.0),
    ],
)
def test_the_wish_to_wait_is_read_from_the_body(body: dict[str, Any], seconds: float | None) -> None:
    assert failure(429, json.dumps(body).encode()).after == seconds


def test_the_sentence_after_a_key_is_kept() -> None:
    said = failure(401, json.dumps(openai("Wrong key: sk-abc***def. Get another.")).encode()).message
    assert said == "Wrong key: [key]. Get another."


def test_the_code_is_the_machine_readable_word() -> None:
    for body, code in (
        ({"detail": {"status": "voice_not_found", "message": "?"}}, "voice_not_found"),
        ({"detail": "?", "error_type": "request_timeout"}, "request_timeout"),
        ({"__type": "com.amazon.coral.service#ThrottlingException", "message": "?"}, "throttlingexception"),
        ({"type": "https://x.test/problem", "detail": "?"}, ""),
        ({"type": "error", "code": "server_error", "message": "?"}, "server_error"),
    ):
        assert failure(400, json.dumps(body).encode()).code == code


def test_an_unknown_wire_format_is_named_with_the_known_ones() -> None:
    with pytest.raises(LookupError, match=r"'smoke'.*anthropic.*google.*openai"):
        adapter("smoke", "http://x")


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is …",
         "temperature"),
        ("Unsupported parameter: 'temperature' is not supported with this model.", "temperature"),
        ("`temperature` is deprecated for this model.", "temperature"),
        ("This model doesn't support the temperature field. Remove temperature and try again.", "temperature"),
        ("Unrecognized request argument supplied: reasoning_effort", "reasoning_effort"),
        ("body.reasoning_effort: Extra inputs are not permitted", "reasoning_effort"),
        ("Model m does not support parameter reasoningEffort.", "reasoning_effort"),
        ("This model does not support the effort parameter.", "reasoning_effort"),
        ("adaptive thinking is not supported on this model", "reasoning_effort"),
        ('"m" does not support thinking', "reasoning_effort"),
        ("extraneous key [reasoningConfig] is not permitted", "reasoning_effort"),
        ("Unsupported parameter: 'stream_format'.", "stream"),
        ("Unsupported parameter: 'stop' is not supported with this model.", "stop"),
        ("Unsupported parameter: 'top_p' is not supported with this model.", "top_p"),
        ("`top_p` is deprecated for this model.", "top_p"),
        ("Unrecognized request argument supplied: seed", "seed"),
        ("stop_sequences: Extra inputs are not permitted", "stop"),
        ("This model is only supported in v1/responses and not in v1/chat/completions.", "chat_completions"),
        ("This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to use "
         "v1/completions?", "chat_completions"),
        ("The chatCompletion operation does not work with the specified model, m. Please choose a different model and "
         "try again.", "chat_completions"),
        ("model m is not accessible via the /chat/completions endpoint", "chat_completions"),
        ("This is a chat model and not supported in the v1/completions endpoint. Did you mean to use "
         "v1/chat/completions?", ""),
        ("The model `m` does not exist or you do not have access to it.", ""),
        # A value that is wrong, a parameter that does not go with another, or one that has another name.
        ("temperature: range: 0..1", ""),
        ("Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 99.0 instead.", ""),
        ("`temperature` and `top_p` cannot both be specified for this model. Please use only one.", ""),
        ("stop_sequences: each stop sequence must contain non-whitespace", ""),
        ("`temperature` may only be set to 1 when thinking is enabled.", ""),
        ("Unsupported value: 'reasoning_effort' does not support 'minimal' with this model. Supported values are: …",
         ""),
        ("This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium", ""),
        ("This model does not support thinking level 'minimal'.", ""),
        ("Unsupported parameter: 'reasoning_effort'. In the Responses API, this parameter has moved to 'reasoning…'.",
         ""),
        ('"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive".', ""),
        ("Your organization must be verified to stream this model.", ""),
    ],
)  # fmt: skip
def test_a_refusal_names_the_parameter_that_its_model_does_not_take(said: str, refused: str) -> None:
    assert failure(400, json.dumps(openai(said, type="invalid_request_error")).encode()).refused == refused
