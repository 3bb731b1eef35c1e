"""A LiteLLM config.yaml becomes rules of the same names, and says what it could not carry over."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dataelan_web.hub.transfer import document
from dataelan_web.hub.transfer.document import BadDocument, Document
from dataelan_web.hub.transfer.litellm import Translation, translate
from dataelan_web.models import ModelType, Strategy
from dataelan_web.router.types import Task

CONFIG = """
model_list:
  - model_name: gpt-4
    litellm_params:
      {model: azure/gpt-4-eu, api_base: "https://mine.openai.azure.com/", api_key: os.environ/AZ, weight: 7}
  - model_name: gpt-4
    litellm_params: {model: gpt-4o, weight: 3, input_cost_per_token: 0.0000025, output_cost_per_token: 0.00001, odd: 1}
    model_info: {mode: chat, supports_vision: true, max_input_tokens: 128000}
  - model_name: gpt-4
    litellm_params: {model: openai/gpt-4-backup, order: 2, rpm: 6}
  - model_name: claude
    litellm_params: {model: anthropic/claude-3, api_key: sk-CANARY-secret}
  - model_name: long
    litellm_params: {model: gemini/gemini-long}
  - model_name: artist
    litellm_params: {model: openai/pictures}
    model_info: {mode: image_generation}
router_settings:
  routing_strategy: latency-based-routing
  fallbacks: [{gpt-4: [claude]}]
  model_group_alias: {smart: gpt-4}
  num_retries: 2
litellm_settings:
  context_window_fallbacks: [{gpt-4: [long]}]
  content_policy_fallbacks: [{gpt-4: [nowhere]}]
  success_callback: [langfuse]
general_settings: {master_key: sk-CANARY-master}
"""


@pytest.fixture(scope="module")
def made() -> Translation:
    return translate(CONFIG)


def rule(made: Translation, name: str) -> Any:
    return next(rule for rule in made.document.rules if rule.name == name)


def test_a_group_of_deployments_is_a_rule_of_its_name_with_its_weights(made: Translation) -> None:
    models = {entry.model: entry for entry in rule(made, "gpt-4").models}
    assert models["azure-mine-openai-azure-com/gpt-4-eu"].weight == 7
    assert models["openai/gpt-4o"].weight == 3
    assert rule(made, "gpt-4").strategy is Strategy.FASTEST


def test_order_and_fallbacks_become_tags(made: Translation) -> None:
    tags = {entry.model: entry.tags for entry in rule(made, "gpt-4").models}
    assert tags["openai/gpt-4-backup"] == ["fallback"]
    assert tags["anthropic/claude-3"] == ["fallback"]
    assert tags["google/gemini-long"] == ["context-fallback"]
    assert any("nowhere is not in the model_list" in line for line in made.left)


def test_one_model_may_be_the_fallback_for_everything() -> None:
    made = translate("""
model_list:
  - {model_name: usual, litellm_params: {model: openai/gpt-4o}}
  - {model_name: spare, litellm_params: {model: anthropic/claude-3}}
litellm_settings:
  fallbacks: [{usual: [spare]}]
  context_window_fallbacks: [{usual: [spare]}]
  content_policy_fallbacks: [{usual: [spare]}]
""")
    tags = {entry.model: entry.tags for entry in rule(made, "usual").models}
    assert tags == {"openai/gpt-4o": [], "anthropic/claude-3": ["fallback", "context-fallback", "policy-fallback"]}


def test_a_fallback_that_makes_something_else_is_left_out_and_told() -> None:
    made = translate("""
model_list:
  - {model_name: usual, litellm_params: {model: openai/gpt-4o}}
  - {model_name: ear, litellm_params: {model: openai/whisper-1}}
litellm_settings: {default_fallbacks: [usual]}
""")
    assert [entry.model for entry in rule(made, "ear").models] == ["openai/whisper-1"]
    assert "ear: its fallback usual is for chat, not for transcription" in made.left


def test_a_provider_at_an_address_of_ones_own_is_connected_there() -> None:
    made = translate("""
model_list:
  - {model_name: a, litellm_params: {model: databricks/dbrx, api_base: "https://adb-1.example.net/serving-endpoints"}}
  - {model_name: b, litellm_params: {model: cloudflare/@cf/meta/llama-3,
     api_base: "https://api.cloudflare.com/client/v4/accounts/x/ai/run/"}}
  - {model_name: c, litellm_params: {model: databricks/dbrx}}
""")
    assert [(one.kind, one.address, one.catalogue) for one in made.document.providers] == [
        ("openai", "https://adb-1.example.net/serving-endpoints", "databricks"),
        ("openai", "https://api.cloudflare.com/client/v4/accounts/x/ai/v1", "cloudflare"),
    ]
    assert any("“databricks” needs an address of your own" in line for line in made.left)


def test_an_alias_is_another_rule_with_the_same_models(made: Translation) -> None:
    assert rule(made, "smart").models == rule(made, "gpt-4").models


def test_an_address_becomes_a_provider_without_its_key(made: Translation) -> None:
    (provider,) = made.document.providers
    assert (provider.kind, provider.address) == ("openai", "https://mine.openai.azure.com/openai/v1")


def test_a_model_server_needs_a_key_only_where_the_file_names_one() -> None:
    rows = [
        {"model": "ollama/llama", "api_base": "http://localhost:11434"},
        {"model": "hosted_vllm/one", "api_base": "http://gpu:8000/v1"},
        {"model": "hosted_vllm/two", "api_base": "http://gpu:8000/v1", "api_key": "sk-CANARY"},
        {"model": "azure/mine", "api_base": "https://mine.openai.azure.com/openai/v1"},
    ]
    text = yaml.safe_dump({"model_list": [{"model_name": row["model"], "litellm_params": row} for row in rows]})
    providers = translate(text).document.providers
    assert {one.name: one.needs_key for one in providers} == {
        "localhost": False, "gpu": True, "mine.openai.azure.com": True
    }  # fmt: skip


def test_models_keep_what_is_said_of_them(made: Translation) -> None:
    models = {f"{entry.provider}/{entry.name}": entry for entry in made.document.models}
    assert models["openai/gpt-4o"].capabilities == ["vision"]
    assert models["openai/gpt-4o"].context_window == 128_000
    assert models["openai/pictures"].type is ModelType.IMAGE
    (price,) = made.document.prices
    assert (price.input, price.output) == (Decimal("2.5"), Decimal(10))


def test_everything_that_is_left_behind_is_told_with_its_reason(made: Translation) -> None:
    told = "\n".join(made.left)
    for word in (
        "rpm: limits are budgets",
        "odd has no counterpart",
        "num_retries",
        "success_callback",
        "general_settings",
    ):
        assert word in told


def test_no_secret_of_the_file_is_repeated_anywhere(made: Translation) -> None:
    everything = document.write(made.document) + "\n".join(made.left + made.carried)
    assert "CANARY" not in everything


def test_the_translation_is_a_document_that_can_be_read_back(made: Translation) -> None:
    assert document.read(document.write(made.document)) == made.document


def test_a_missing_weight_is_one_also_beside_given_ones() -> None:
    made = translate(
        yaml.safe_dump(
            {
                "model_list": [
                    {"model_name": "m", "litellm_params": {"model": "openai/a"}},
                    {"model_name": "m", "litellm_params": {"model": "openai/b", "weight": 9}},
                ]
            }
        )
    )
    assert [entry.weight for entry in made.document.rules[0].models] == [1, 9]
    assert not [line for line in made.left if "weight" in line]


@pytest.mark.parametrize(("weight", "taken"), [(-3, 1), ("many", 1), (float("nan"), 1), (10**12, 1)])
def test_a_weight_that_cannot_be_one_is_told(weight: Any, taken: int) -> None:
    params = {"model": "openai/a", "weight": weight}
    made = translate(yaml.safe_dump({"model_list": [{"model_name": "m", "litellm_params": params}]}))
    assert made.document.rules[0].models[0].weight == taken
    assert f"m (openai/a): weight: it is no number from 0 to 1,000,000; {taken} is taken" in made.left


def of_one_group(*params: dict[str, Any], **info: Any) -> Translation:
    rows = [{"model_name": "m", "litellm_params": one, "model_info": info} for one in params]
    return translate(yaml.safe_dump({"model_list": rows}))


@pytest.mark.parametrize(
    ("by", "said", "weights"),
    [
        ("weight", [0.9, 0.1], [9, 1]),
        ("weight", [0.5, 0], [1, 0]),
        ("weight", [1, 0.333], [1000, 333]),
        ("rpm", [900, 100], [900, 100]),
        ("tpm", [2_000_000, 1_000_000], [2, 1]),
        ("rpm", [900, None], [1, 1]),
    ],
)
def test_deployments_are_drawn_in_the_proportion_that_litellm_draws_them(
    by: str, said: list[Any], weights: list[int]
) -> None:
    made = of_one_group(*({"model": f"openai/{size}"} | ({by: size} if size is not None else {}) for size in said))
    assert [entry.weight for entry in rule(made, "m").models] == weights
    assert any(line.endswith(f"weighted by {by}") for line in made.carried) is (by != "weight" and None not in said)


@pytest.mark.parametrize(
    ("params", "ref"),
    [
        ({"model": "gpt-4o"}, "openai/gpt-4o"),
        ({"model": "claude-3-opus-20240229"}, "anthropic/claude-3-opus-20240229"),
        ({"model": "command-r"}, "cohere/command-r"),
        ({"model": "a-name-that-nobody-knows"}, "openai/a-name-that-nobody-knows"),
        ({"model": "deepseek/deepseek-chat", "api_base": "https://api.deepseek.com"}, "deepseek/deepseek-chat"),
        ({"model": "openai/llama", "api_base": "https://openrouter.ai/api/v1"}, "openrouter/llama"),
        ({"model": "groq/llama", "api_base": "https://proxy.example/v1"}, "groq-proxy-example/llama"),
    ],
)
def test_a_deployment_is_found_where_litellm_finds_it(params: dict[str, Any], ref: str) -> None:
    assert [entry.model for entry in rule(of_one_group(params), "m").models] == [ref]


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("sagemaker/llama-2", "there is no provider “sagemaker” here"),
        ("vertex_ai/gemini-pro", "there is no provider “vertex_ai” here"),
        ("bedrock/anthropic.claude", "“bedrock” needs an address of your own: connect it under Providers first"),
        ("openai/gpt-3.5-turbo-instruct", "nothing here asks such a model"),
    ],
)
def test_what_has_no_home_here_is_told_and_is_in_no_rule(model: str, why: str) -> None:
    made = of_one_group({"model": model})
    assert (made.document.rules, made.document.models) == ([], [])
    assert f"m ({model}): {why}" in made.left


@pytest.mark.parametrize(
    "params",
    [
        {"model": "bedrock/converse/us.anthropic.claude-3", "aws_region_name": "eu-west-1"},
        {"model": "bedrock/eu-west-1/us.anthropic.claude-3"},
    ],
)
def test_bedrock_is_connected_in_its_region_with_its_prices(params: dict[str, Any]) -> None:
    made = of_one_group(params, max_input_tokens=5)
    (provider,) = made.document.providers
    assert (provider.kind, provider.address) == ("bedrock", "https://bedrock-runtime.eu-west-1.amazonaws.com")
    assert provider.catalogue == "aws"
    assert [model.name for model in made.document.models] == ["us.anthropic.claude-3"]
    assert not any("aws_region_name" in line for line in made.left)


def test_what_a_model_makes_is_known_without_a_word_of_the_file() -> None:
    names = {"dall-e-3": Task.IMAGE, "mistral/mistral-embed": Task.EMBEDDING, "whisper-1": Task.TRANSCRIPTION}
    rows = [{"model_name": name, "litellm_params": {"model": name}} for name in names]
    rows.append({"model_name": "z", "litellm_params": {"model": "azure/mine", "api_base": "https://a.example"},
                 "model_info": {"base_model": "azure/dall-e-3"}})  # fmt: skip
    made = translate(yaml.safe_dump({"model_list": rows}))
    assert [model.task for model in made.document.models] == [*names.values(), Task.IMAGE]
    assert rule(made, "dall-e-3").type is ModelType.IMAGE
    assert made.document.providers[0].catalogue == "azure"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("model_list: [", "line"),
        ("just words", "no settings by name"),
        ("a: 1", "model_list"),
        ("model_list: 7", "model_list"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
        ("a: &a [x]\nb: [" + "*a, " * 200 + "]", "refers back"),
        ("x" * 2_000_000, "larger than"),
        ("[" * 5_000, "YAML"),
    ],
)
def test_a_file_that_is_none_is_refused_with_a_word(text: str, word: str) -> None:
    with pytest.raises(BadDocument, match=word):
        translate(text)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["model", "api_base", "weight", "order", "tags", "api_key", "custom_llm_provider", "rpm"])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"model_name": values | st.just("g"), "litellm_params": st.dictionaries(names, values, max_size=4) | values}
        )
        | values,
        max_size=4,
    ),
    st.dictionaries(
        st.sampled_from(["fallbacks", "routing_strategy", "model_group_alias", "default_fallbacks"]), values
    ),
)
def test_no_file_breaks_it(model_list: list[Any], router: dict[str, Any]) -> None:
    made = translate(yaml.safe_dump({"model_list": model_list, "router_settings": router}))
    assert isinstance(document.read(document.write(made.document)), Document)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("rules: []", "dataelan: 1"),
        ("dataelan: 2", "dataelan"),
        ("dataelan: 1\nrules: [{name: ''}]", "rules.1.name"),
        ("dataelan: 1\nrules: [{name: a, models: [{model: nobody}]}]", "rules.1.models.1.model"),
        ("dataelan: 1\nrules: [{name: a, models: [{model: a/b, weight: -1}]}]", "weight"),
        ("dataelan: 1\nprices: [{model: a/b, input: -1}]", "prices.1.input"),
        ("dataelan: 1\nprices: [{model: a/b, input: .nan}]", "prices.1.input"),
        ("dataelan: 1\nkeys: [{provider: a, secret: x}]", "secret"),
    ],
)
def test_a_document_with_a_mistake_is_refused_with_its_place(text: str, word: str) -> None:
    with pytest.raises(BadDocument, match=word):
        document.read(text)
