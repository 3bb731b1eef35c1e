"""A LiteLLM proxy's `config.yaml` → our own document, with a word on everything that was not carried over.

Each `model_name` (a group of deployments) becomes a routing rule of that name, so that programs go on asking for it.
Source: docs.litellm.ai, “config.yaml” and “config_settings”. Keys in the file are never read: they are entered anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from math import gcd
from typing import Any

from pydantic import ValidationError

from ...models import ModelType, Strategy
from ...router.candidates import CONTEXT_FALLBACK, FALLBACK, POLICY_FALLBACK
from ...router.types import Task
from ..models import catalogue
from ..models.purpose import task_of
from .document import BadDocument, Document, ModelEntry, PriceEntry, ProviderEntry, RuleEntry, RuleModel, read_yaml
from .litellm_homes import Home, Homeless, Homes, text_of

STRATEGIES: Mapping[str, Strategy] = {
    "simple-shuffle": Strategy.WEIGHTED,
    "cost-based-routing": Strategy.CHEAPEST,
    "latency-based-routing": Strategy.FASTEST,
    "least-busy": Strategy.FASTEST,
    "usage-based-routing": Strategy.BALANCED,
    "usage-based-routing-v2": Strategy.BALANCED,
}
MODES: Mapping[str, tuple[ModelType, Task]] = {
    "chat": (ModelType.TEXT, Task.CHAT),
    "completion": (ModelType.TEXT, Task.CHAT),
    "responses": (ModelType.TEXT, Task.CHAT),
    "embedding": (ModelType.TEXT, Task.EMBEDDING),
    "image_generation": (ModelType.IMAGE, Task.IMAGE),
    "audio_speech": (ModelType.VOICE, Task.SPEECH),
    "audio_transcription": (ModelType.VOICE, Task.TRANSCRIPTION),
    "video_generation": (ModelType.VIDEO, Task.VIDEO),
    "rerank": (ModelType.TEXT, Task.RERANK),
    "moderation": (ModelType.TEXT, Task.MODERATION),
}
ABLE = {"supports_function_calling": "tools", "supports_vision": "vision", "supports_reasoning": "reasoning",
        "supports_response_schema": "json_schema", "supports_audio_input": "audio_in"}  # fmt: skip
PRICES = {"input_cost_per_token": "input", "output_cost_per_token": "output",
          "cache_read_input_token_cost": "cache_read", "cache_creation_input_token_cost": "cache_write"}  # fmt: skip
FALLBACKS = {"fallbacks": FALLBACK, "context_window_fallbacks": CONTEXT_FALLBACK,
             "content_policy_fallbacks": POLICY_FALLBACK}  # fmt: skip

CARRIED = {"model", "api_base", "api_version", "aws_region_name", "weight", "order", "tags", "custom_llm_provider"}
WEIGHTS = ("weight", "rpm", "tpm")
MOST_WEIGHT = 1_000_000

SECRET = "keys are never read from a file: enter it under Providers and keys"  # noqa: S105
LIMIT = "limits are budgets here: set them for the key, model or token"
RATE = "limits are budgets here: set them for the key, model or token; it weighs only where all of its group have one"
OURS = "Dataelan decides this itself"
WHY_NOT: Mapping[str, str] = {
    "api_key": SECRET, "aws_access_key_id": SECRET, "aws_secret_access_key": SECRET, "vertex_credentials": SECRET,
    "rpm": RATE, "tpm": RATE, "max_parallel_requests": LIMIT, "max_budget": LIMIT, "budget_duration": LIMIT,
    "timeout": OURS, "stream_timeout": OURS, "num_retries": OURS, "max_retries": OURS, "cooldown_time": OURS,
    "allowed_fails": OURS, "request_timeout": OURS, "retry_after": OURS,
    "drop_params": "what a model does not take is left out anyway",
    "enable_pre_call_checks": "Dataelan always checks that a prompt fits",
    **dict.fromkeys(("temperature", "top_p", "seed", "stop", "max_tokens"), "a prompt's own settings say this"),
}  # fmt: skip


@dataclass
class Translation:
    document: Document = field(default_factory=Document)
    carried: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """What was not carried over, each with its place and why."""


@dataclass(frozen=True)
class _Deployment:
    group: str
    ref: str
    sizes: Mapping[str, Decimal | None]
    """What the file says of each of WEIGHTS."""
    order: int
    tags: tuple[str, ...]
    kind: tuple[ModelType, Task]


def translate(text: str) -> Translation:
    """Raises BadDocument for what is no LiteLLM file at all."""
    config = read_yaml(text)
    if not isinstance(config.get("model_list"), list):
        raise BadDocument("There is no `model_list` in it, so it is no LiteLLM config.yaml.")
    made, homes = Translation(), Homes()
    deployments = [
        found for number, row in enumerate(config["model_list"], 1) if (found := _deployment(made, homes, row, number))
    ]
    made.document.providers = list(homes.made.values())
    made.carried = [_of_provider(entry) for entry in made.document.providers] + made.carried
    settings = [_mapping(config.get(name)) for name in ("router_settings", "litellm_settings")]
    strategy = _strategy(made, settings)
    fallbacks = {tag: _fallbacks(settings, name) for name, tag in FALLBACKS.items()}
    defaults = [name for each in settings for name in _strings(each.get("default_fallbacks"))]
    groups = list(dict.fromkeys(deployment.group for deployment in deployments))
    for group in groups:
        _add_rule(made, group, deployments, strategy, fallbacks, [name for name in defaults if name != group])
    _aliases(made, settings)
    if groups:
        made.left.append("auto: LiteLLM has none; here it tries these rules from the top: put them in order")
    _tell_of_the_rest(made, config, settings)
    return made


# -- one deployment ----------------------------------------------------------------------------------


def _deployment(made: Translation, homes: Homes, row: Any, number: int) -> _Deployment | None:
    place = f"model_list {number}"
    params, info = _mapping(_mapping(row).get("litellm_params")), _mapping(_mapping(row).get("model_info"))
    group, model = text_of(_mapping(row).get("model_name")), text_of(params.get("model"))
    if not group or not model:
        made.left.append(f"{place}: it has no model_name or no litellm_params.model")
        return None
    place = f"{group} ({model})"
    if "*" in group or "*" in model:
        made.left.append(f"{place}: names with * are not needed here; every model a key can use can be asked for")
        return None
    try:
        home = homes.of(params, model)
        kind = _purpose(home, info)
        ref = RuleModel(model=f"{home.slug}/{home.model}").model
        _add_model(made, home, kind, info, params)
    except Homeless as why_not:
        made.left.append(f"{place}: {why_not}")
        return None
    except ValidationError as error:
        made.left.append(f"{place}: {error.errors()[0]['msg']}")
        return None
    left = sorted((set(params) & set(WHY_NOT)) - {"model"})
    made.left += [f"{place}: {param}: {WHY_NOT[param]}" for param in left]
    made.left += [
        f"{place}: {param} has no counterpart here" for param in sorted(set(params) - {*CARRIED, *WHY_NOT, *PRICES})
    ]
    tags = tuple(_strings(params.get("tags")))
    sizes = {name: _share(params.get(name)) for name in WEIGHTS}
    if "weight" in params and sizes["weight"] is None:
        made.left.append(f"{place}: weight: it is no number from 0 to {MOST_WEIGHT:,}; 1 is taken")
    return _Deployment(group, ref, sizes, _whole(params.get("order"), 0), tags, kind)


def _purpose(home: Home, info: Mapping[str, Any]) -> tuple[ModelType, Task]:
    """As the file says, or as the price catalogue or its name tells: LiteLLM knows most by a list of its own. Raises
    Homeless where nothing of ours can ask it."""
    mode = text_of(info.get("mode"))
    if mode and mode not in MODES:
        raise Homeless(f"mode {mode[:60]}: nothing here asks such a model")
    name = text_of(info.get("base_model")).rpartition("/")[2] or home.model
    found = MODES[mode] if mode else task_of(name, known=catalogue.look_up(home.catalogue, name))
    if found is None:
        raise Homeless("nothing here asks such a model")
    return found


def _of_provider(entry: ProviderEntry) -> str:
    return f"Provider {entry.name} at {entry.address}{', without its key' if entry.needs_key else ''}"


def _add_model(
    made: Translation,
    home: Home,
    kind: tuple[ModelType, Task],
    info: Mapping[str, Any],
    params: Mapping[str, Any],
) -> None:
    slug, name = home.slug, home.model
    if any((entry.provider, entry.name) == (slug, name) for entry in made.document.models):
        return
    able = [ours for theirs, ours in ABLE.items() if info.get(theirs) is True]
    window = _whole(info.get("max_input_tokens"), 0) or None
    most = _whole(info.get("max_output_tokens"), 0) or None
    made.document.models.append(
        ModelEntry(provider=slug, name=name, type=kind[0], task=kind[1], capabilities=able, context_window=window,
                   max_output_tokens=most)
    )  # fmt: skip
    prices = {
        ours: usd for theirs, ours in PRICES.items() if (usd := _per_million(params.get(theirs, info.get(theirs))))
    }
    if prices:
        made.document.prices.append(PriceEntry.model_validate({"model": f"{slug}/{name}"} | prices))
        made.carried.append(f"The price of {slug}/{name}")


# -- groups become rules ------------------------------------------------------------------------------


def _add_rule(
    made: Translation,
    group: str,
    deployments: list[_Deployment],
    strategy: Strategy,
    fallbacks: Mapping[str, Mapping[str, list[str]]],
    defaults: list[str],
) -> None:
    own = [deployment for deployment in deployments if deployment.group == group]
    lowest = min(deployment.order for deployment in own)
    by, weights = _weights(own)
    entries: dict[str, RuleModel] = {}
    for deployment, weight in sorted(zip(own, weights, strict=True), key=lambda pair: pair[0].order):
        later = [FALLBACK] if deployment.order > lowest else []
        tags = [*dict.fromkeys([*later, *deployment.tags])]
        if deployment.ref in entries:
            entries[deployment.ref].weight = min(entries[deployment.ref].weight + weight, MOST_WEIGHT)
        else:
            entries[deployment.ref] = RuleModel(model=deployment.ref, weight=weight, tags=tags)
    first = set(entries)
    for tag, by_group in fallbacks.items():
        named = by_group.get(group, []) or (defaults if tag == FALLBACK else [])
        for deployment in _members(made, deployments, own[0], named):
            entry = entries.setdefault(deployment.ref, RuleModel(model=deployment.ref, tags=[tag]))
            if deployment.ref not in first and tag not in entry.tags:
                entry.tags.append(tag)
    rule = RuleEntry(name=group[:200], type=own[0].kind[0], strategy=strategy, models=list(entries.values()))
    made.document.rules.append(rule)
    how = f", weighted by {by}" if by else ""
    made.carried.append(f"Rule “{group}” over {len(entries)} model{'s' if len(entries) != 1 else ''}{how}")


def _weights(own: list[_Deployment]) -> tuple[str, list[int]]:
    """(by what, where that is no weight; whole weights in the same proportion). As LiteLLM draws: by `weight` where one
    has it, else by the limits that all of them have, else all alike. A missing weight is 1."""
    if any(each.sizes["weight"] is not None for each in own):
        return "", _whole_shares([Decimal(1) if (size := each.sizes["weight"]) is None else size for each in own])
    for name in WEIGHTS[1:]:
        sizes = [size for each in own if (size := each.sizes[name])]
        if len(own) > 1 and len(sizes) == len(own):
            return name, _whole_shares(sizes)
    return "", [1] * len(own)


def _whole_shares(sizes: list[Decimal]) -> list[int]:
    """As they are where all are whole and fit; else the smallest whole numbers in (nearly) the same proportion."""
    if all(size == size.to_integral_value() and size <= MOST_WEIGHT for size in sizes):
        return [int(size) for size in sizes]
    scale = min(Decimal(1000), MOST_WEIGHT / max(sizes))
    whole = [max(round(size * scale), 1) if size else 0 for size in sizes]
    return [size // gcd(*whole) for size in whole]


def _members(
    made: Translation, deployments: list[_Deployment], of: _Deployment, named: list[str]
) -> Iterator[_Deployment]:
    """Those of the groups `named` as fallbacks of the group of `of`: one that makes something else could not answer."""
    for name in named:
        found = [deployment for deployment in deployments if deployment.group == name]
        if not found:
            made.left.append(f"{of.group}: its fallback {name} is not in the model_list")
        for deployment in found:
            if deployment.kind == of.kind:
                yield deployment
            else:
                made.left.append(f"{of.group}: its fallback {name} is for {deployment.kind[1]}, not for {of.kind[1]}")


def _fallbacks(settings: list[Mapping[str, Any]], name: str) -> dict[str, list[str]]:
    """[{group: [groups]}] → {group: [groups]}, of both places where LiteLLM reads it."""
    found: dict[str, list[str]] = {}
    for each in settings:
        rows = each.get(name)
        for row in rows if isinstance(rows, list) else []:
            for group, others in _mapping(row).items():
                found.setdefault(str(group), []).extend(_strings(others))
    return found


def _strategy(made: Translation, settings: list[Mapping[str, Any]]) -> Strategy:
    name = next((said for each in settings if (said := text_of(each.get("routing_strategy")))), "simple-shuffle")
    if name not in STRATEGIES:
        made.left.append(f"routing_strategy: {name} has no counterpart here; the rules draw by weight")
    return STRATEGIES.get(name, Strategy.WEIGHTED)


def _aliases(made: Translation, settings: list[Mapping[str, Any]]) -> None:
    """Another name for a group is another rule with the same models."""
    rules = {rule.name: rule for rule in made.document.rules}
    for each in settings:
        for alias, group in _mapping(each.get("model_group_alias")).items():
            group = text_of(_mapping(group).get("model")) or text_of(group)
            if group in rules and str(alias) not in rules:
                made.document.rules.append(rules[group].model_copy(update={"name": str(alias)[:200]}))
                made.carried.append(f"Rule “{alias}”, another name of “{group}”")


def _tell_of_the_rest(made: Translation, config: Mapping[str, Any], settings: list[Mapping[str, Any]]) -> None:
    known = {"routing_strategy", "model_group_alias", "default_fallbacks", *FALLBACKS}
    for each in settings:
        made.left += [
            f"{name}: {WHY_NOT.get(name, 'it has no counterpart here')}" for name in sorted(set(each) - known)
        ]
    for name in sorted(set(config) - {"model_list", "router_settings", "litellm_settings"}):
        why = "files it includes are not read" if name == "include" else "it may hold secrets and is not read"
        made.left.append(f"{name}: {why}")


# -- values as they come -------------------------------------------------------------------------------


def _mapping(value: Any) -> Mapping[str, Any]:
    return {str(name): item for name, item in value.items()} if isinstance(value, dict) else {}


def _strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _whole(value: Any, otherwise: int) -> int:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1_000_000_000
    return round(value) if is_number else otherwise


def _share(value: Any) -> Decimal | None:
    """None: it is no number that something can be drawn by."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    size = Decimal(str(value))
    return size if size.is_finite() and 0 <= size <= 10**9 else None


def _per_million(per_token: Any) -> Decimal | None:
    """Their USD per token → our USD per million."""
    try:
        usd = Decimal(str(per_token)) * 1_000_000
    except InvalidOperation:
        return None
    return round(usd, 9) if usd.is_finite() and 0 < usd <= 1_000_000 else None
