"""The hub's set-up as one document, in YAML: what is exported, and what an import reads. It never holds a secret.

dataelan: 1
settings:  {key_strategy, unknown_price, unknown_price_ceiling_usd?}
providers: [{slug, name, kind, address, needs_key, catalogue}]        only the organization's own
models:    [{provider, name, type, task, capabilities, context_window, …}]     only the organization's own
corrections: [{model: provider/name, capabilities?, context_window?, max_output_tokens?}]      of everyone's models
prices:    [{model: provider/name, input: "2.50", …, starts_at?}]     only overrides; USD, by price class
rules:     [{name, project?, type, priority, strategy, enabled, goes_on_unheard, conditions,
            models: [{model, weight, tags}]}]
keys:      [{provider, label, weight, daily_quota_usd?, allowed_models, expires_on?}]   told, never imported
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Literal

import yaml
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ...models import KeyStrategy, ModelType, Strategy, UnknownPrice
from ...router.types import Task

LARGEST = 1_000_000
"""Characters of a document; a hub of a thousand models has a fifth of that."""
MOST_ALIASES = 100
DEEPEST = 50
YAML = yaml.CSafeLoader
"""libyaml's: PyYAML's own takes time with the square of the depth, so that a small file could keep it busy for days."""

Name = Annotated[str, Field(min_length=1, max_length=200)]
Ref = Annotated[str, Field(min_length=3, max_length=402, pattern=r"^[^/]+/.+$")]
"""provider/model, where the model's name may hold slashes."""
Usd = Annotated[Decimal, BeforeValidator(lambda value: str(value) if isinstance(value, int | float) else value),
                Field(ge=0, le=1_000_000, decimal_places=9)]  # fmt: skip
LAST_DAY = datetime(2999, 12, 31, tzinfo=UTC)


def _moment(value: Any) -> Any:
    """A day is its midnight, and a time without a zone is in UTC, as YAML reads both. Text is left to pydantic."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.combine(value, time(), UTC) if isinstance(value, date) else value


Moment = Annotated[AwareDatetime, BeforeValidator(_moment), Field(le=LAST_DAY)]


class BadDocument(Exception):
    """It cannot be read; the message says where and why."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", use_enum_values=False)


class Settings(_Part):
    key_strategy: KeyStrategy
    unknown_price: UnknownPrice = UnknownPrice.REFUSE
    unknown_price_ceiling_usd: Usd | None = None


class ProviderEntry(_Part):
    slug: Name
    name: Name
    kind: Name
    address: Name
    needs_key: bool = True
    catalogue: str = ""


class ModelEntry(_Part):
    provider: Name
    name: Name
    display_name: str = ""
    type: ModelType = ModelType.TEXT
    task: Task = Task.CHAT
    capabilities: list[Name] = []
    refuses: list[Name] | None = None
    context_window: int | None = Field(default=None, ge=1, le=2**31 - 1)
    max_output_tokens: int | None = Field(default=None, ge=1, le=2**31 - 1)


class CorrectionEntry(_Part):
    """What is said here of one of everyone's models; what is left out is as the catalogue says."""

    model: Ref
    capabilities: list[Name] | None = None
    context_window: int | None = Field(default=None, ge=1, le=2**31 - 1)
    max_output_tokens: int | None = Field(default=None, ge=1, le=2**31 - 1)


class VariantEntry(_Part):
    """Another price of a picture or a second, where all of this is asked for."""

    when: Annotated[list[Name], Field(min_length=1, max_length=10)]
    per_image: Usd | None = None
    per_second: Usd | None = None


class PriceEntry(_Part):
    """USD per 1M tokens, and per picture, second, character and request; a class that is left out has none."""

    model: Ref
    starts_at: Moment | None = None
    """Of one that is still to come; None: it counts now."""
    input: Usd = Decimal(0)
    output: Usd = Decimal(0)
    cache_read: Usd | None = None
    cache_write: Usd | None = None
    cache_write_1h: Usd | None = None
    input_audio: Usd | None = None
    input_image: Usd | None = None
    output_audio: Usd | None = None
    output_image: Usd | None = None
    per_image: Usd | None = None
    per_second: Usd | None = None
    per_character: Usd | None = None
    per_request: Usd = Decimal(0)
    variants: list[VariantEntry] = Field(default=[], max_length=50)


class RuleModel(_Part):
    model: Ref
    weight: int = Field(default=1, ge=0, le=1_000_000)
    tags: list[Name] = []


class RuleEntry(_Part):
    name: Name
    project: Name | None = None
    type: ModelType = ModelType.TEXT
    priority: int = Field(default=100, ge=0, le=1_000_000)
    strategy: Strategy = Strategy.WEIGHTED
    enabled: bool = True
    goes_on_unheard: bool = False
    conditions: dict[str, Any] = {}
    models: list[RuleModel] = []


class KeyEntry(_Part):
    provider: Name
    label: str = ""
    weight: int = 1
    daily_quota_usd: Usd | None = None
    allowed_models: list[str] = []
    expires_on: str | None = None


class Document(_Part):
    dataelan: Literal[1] = 1
    settings: Settings | None = None
    providers: list[ProviderEntry] = []
    models: list[ModelEntry] = []
    corrections: list[CorrectionEntry] = []
    prices: list[PriceEntry] = []
    rules: list[RuleEntry] = []
    keys: list[KeyEntry] = []


def read_yaml(text: str) -> dict[str, Any]:
    """A YAML mapping of plain values. Raises BadDocument."""
    found = read_value(text)
    if not isinstance(found, dict):
        raise BadDocument("It has no settings by name. Export a hub to see the form.")
    return found


def read_value(text: str) -> Any:
    """Plain values. Raises BadDocument, for what is deep and anchors that unfold to much as well."""
    if len(text) > LARGEST:
        raise BadDocument(f"It is larger than {LARGEST // 1000:,} KB: that is no set-up of a hub.")
    try:
        _weigh(text)
        return yaml.load(text, Loader=YAML)  # noqa: S506 (a safe one)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise BadDocument(
            f"It is not YAML{where}: {getattr(error, 'problem', None) or 'it cannot be read'}."
        ) from error
    except (RecursionError, ValueError) as error:
        raise BadDocument("It is nested too deeply, or holds a value that YAML cannot mean.") from error


def _weigh(text: str) -> None:
    """Before anything is made of it. Raises BadDocument."""
    aliases = depth = 0
    for event in yaml.parse(text, Loader=YAML):
        aliases += isinstance(event, yaml.AliasEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if aliases > MOST_ALIASES:
            raise BadDocument(f"It refers back to itself (*name) more than {MOST_ALIASES} times.")
        if depth > DEEPEST:
            raise BadDocument(f"It is not YAML that a hub is written in: it is nested more than {DEEPEST} deep.")


def read(text: str) -> Document:
    """Raises BadDocument."""
    found = read_yaml(text)
    if "dataelan" not in found:
        if "model_list" in found:
            raise BadDocument("This is a LiteLLM file: choose that above, and import it again.")
        raise BadDocument("It does not begin with “dataelan: 1”, as an export of a hub does.")
    return of_values(found)


def of_values(found: Mapping[str, Any]) -> Document:
    """Raises BadDocument."""
    try:
        return Document.model_validate(found)
    except ValidationError as error:
        raise BadDocument("; ".join(_problem(item) for item in error.errors()[:5])) from error


def write(document: Document) -> str:
    plain = document.model_dump(mode="json", exclude_defaults=True) | {"dataelan": 1}
    order = ["dataelan", *(name for name in Document.model_fields if name != "dataelan")]
    tidy = {name: plain[name] for name in order if plain.get(name)}
    return yaml.safe_dump(tidy, sort_keys=False, allow_unicode=True, width=120)


def _problem(item: Any) -> str:
    place = ".".join(str(part + 1) if isinstance(part, int) else part for part in item["loc"])
    return f"{place}: {item['msg']}"
