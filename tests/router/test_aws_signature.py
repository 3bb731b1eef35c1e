"""Requests signed with an AWS access key: AWS's own examples, what is typed, and what really arrives."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from dataelan_web.hub.providers.listing import has_list
from dataelan_web.router.exchange import Line, chunks
from dataelan_web.router.providers import adapter, lister
from dataelan_web.router.providers.aws_signature import AccessKey, region_of, signed
from dataelan_web.router.providers.failures import failure
from dataelan_web.router.stop import Stop
from dataelan_web.router.types import Call, ListedModel, Prompt, Task, Unsupported, user
from dataelan_web.router.wire import Deadlines, clients

from ..upstream import upstream

WHEN = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEY = AccessKey("AKIDEXAMPLE", SECRET)
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx"
    "7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q"
    "6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)  # AWS's example
TYPED = f"AKIAIOSFODNN7EXAMPLE:{SECRET}"
AT = "https://example.amazonaws.com/"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("call", "signature"),
    [
        (Call(AT, method="GET"), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (Call(AT), "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (Call(f"{AT}?Param2=value2&Param1=value1", method="GET"),
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        (Call(AT, content=b"Param1=value1", headers=FORM),
         "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
        (Call(AT, headers={"My-Header1": "VALUE1"}),
         "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"),
    ],
)  # fmt: skip
def test_a_request_of_aws_s_test_suite_is_signed_as_it_says(call: Call, signature: str) -> None:
    proof = signed(call, KEY, "us-east-1", "service", WHEN).headers["Authorization"]
    assert proof.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, Signed")
    assert proof.endswith(f"Signature={signature}")


def test_the_example_of_the_documentation_and_a_temporary_key_are_signed_as_aws_says() -> None:
    users = Call("https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", method="GET")
    users = replace(users, headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})
    said = signed(users, KEY, "us-east-1", "iam", WHEN).headers["Authorization"]
    assert said.endswith("Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7")
    temporary = signed(Call(AT), replace(KEY, session_token=TOKEN), "us-east-1", "service", WHEN).headers
    assert temporary["X-Amz-Security-Token"] == TOKEN
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token, " in temporary["Authorization"]
    assert temporary["Authorization"].endswith("85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead")


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (TYPED, AccessKey("AKIAIOSFODNN7EXAMPLE", SECRET)),
        (f"{TYPED}:eu-central-1", AccessKey("AKIAIOSFODNN7EXAMPLE", SECRET, "eu-central-1")),
        (f"{TYPED}:{TOKEN}", AccessKey("AKIAIOSFODNN7EXAMPLE", SECRET, "", TOKEN)),
        (f"{TYPED}:us-gov-west-1:{TOKEN}", AccessKey("AKIAIOSFODNN7EXAMPLE", SECRET, "us-gov-west-1", TOKEN)),
        ("ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl", None),
        ("bedrock-api-key-YmVkcm9jazp4", None),
        ("AKIAIOSFODNN7EXAMPLE", None),
        ("AKIAIOSFODNN7EXAMPLE:", None),
        ("", None),
    ],
)
def test_an_access_key_is_told_from_an_api_key(typed: str, read: AccessKey | None) -> None:
    assert AccessKey.read(typed) == read
    assert SECRET not in repr(read)


def test_the_region_is_in_the_address_or_comes_with_the_key() -> None:
    assert region_of("https://bedrock-runtime.eu-west-3.amazonaws.com/model", KEY) == "eu-west-3"
    assert region_of("https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com", KEY) == "us-east-1"
    assert region_of("https://proxy.example.com", replace(KEY, region="ap-south-1")) == "ap-south-1"
    with pytest.raises(Unsupported, match="ID:SECRET:REGION"):
        region_of("https://proxy.example.com", KEY)


@pytest.mark.parametrize(
    ("kind", "task", "model"),
    [
        ("bedrock", Task.CHAT, "us.amazon.nova-lite-v1:0"),
        ("bedrock", Task.CHAT, "arn:aws:bedrock:us-east-1:123:inference-profile/eu.x-v1:0"),
        ("bedrock", Task.EMBEDDING, "amazon.titan-embed-text-v2:0"),
        ("bedrock", Task.RERANK, "cohere.rerank-v3-5:0"),
        ("bedrock-invoke", Task.CHAT, "anthropic.claude-x"),
    ],
)
def test_what_arrives_is_what_was_signed(kind: str, task: Task, model: str) -> None:
    """The path above all: it is signed as the client sends it."""
    with upstream() as aws, clients(2) as http:
        base = aws.url.removesuffix("/v1")
        prompt = Prompt((user("Grüße"),), task, {"query": "Which?"})
        call = adapter(kind, base, task).call(prompt, model, f"{TYPED}:us-east-1:{TOKEN}")
        line = Line(http, True, base, Stop(), Deadlines(), time.monotonic() + 10)
        list(chunks(line, call, failure))
        (request,) = aws.requests
    headers = {name.lower(): value for name, value in request["headers"].items()}
    again = Call(base + request["path"], content=call.content, headers={"Content-Type": headers["content-type"]})
    key = AccessKey.read(f"{TYPED}:us-east-1:{TOKEN}")
    assert key
    at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert signed(again, key, "us-east-1", "bedrock", at).headers["Authorization"] == headers["authorization"]
    assert headers["host"] == urlsplit(base).netloc
    assert json.loads(call.content or b"") == request["body"]
    assert SECRET not in str(request)


def test_the_list_of_models_is_asked_for_with_an_access_key_only_and_the_api_key_stays_home() -> None:
    home = "https://bedrock-runtime.eu-central-1.amazonaws.com"
    assert has_list("bedrock", home, TYPED)
    for base, key in ((home, "ABSKQmVkcm9ja0FQSUtleQ"), (home, ""), ("https://proxy.example.com", TYPED)):
        assert not has_list("bedrock", base, key), (base, key)
    format = lister("bedrock", home)
    assert format
    call = format.list_call(TYPED)
    assert call.url == "https://bedrock.eu-central-1.amazonaws.com/foundation-models"
    assert "/eu-central-1/bedrock/aws4_request" in call.headers["Authorization"]
    assert SECRET not in str(vars(call))

    def model(id: str, made: str, *ways: str, **more: Any) -> dict[str, Any]:
        return {"modelId": id, "modelName": id.title(), "providerName": "Maker", "outputModalities": [made],
                "inferenceTypesSupported": list(ways)} | more  # fmt: skip

    ends = {"modelLifecycle": {"status": "LEGACY", "endOfLifeTime": "2027-01-31T00:00:00Z"}}
    body = {"modelSummaries": [
        model("m.chat", "TEXT", "ON_DEMAND", **ends),
        model("m.profile", "TEXT", "INFERENCE_PROFILE"),
        model("m.embed", "EMBEDDING", "ON_DEMAND"),
        model("m.rerank", "TEXT", "ON_DEMAND"),
        model("m.image", "IMAGE", "ON_DEMAND"),
        model("m.rented", "TEXT", "PROVISIONED"),
    ]}  # fmt: skip
    assert format.listed(json.dumps(body).encode()) == [
        ListedModel("m.chat", "Maker M.Chat", shutdown_at="2027-01-31T00:00:00Z", task=Task.CHAT),
        ListedModel("eu.m.profile", "Maker M.Profile", task=Task.CHAT),
        ListedModel("m.embed", "Maker M.Embed", task=Task.EMBEDDING),
        ListedModel("m.rerank", "Maker M.Rerank", task=Task.RERANK),
    ]
