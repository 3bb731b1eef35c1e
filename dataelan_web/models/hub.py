"""The Model Hub: who offers which models at what price, with whose key, and the rules that choose."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    SmallInteger,
    Table,
    UniqueConstraint,
    Uuid,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .base import NIL, Base, Json, JsonList, Long, Name, Nano, Time, Trashable, in_trash, now, parent, reference
from .callers import Usable
from .people import ServiceAccount
from .workspace import ModelType, Project

HUB_VERSIONS = Table(
    "hub_versions",
    Base.metadata,
    Column("hub", Uuid, primary_key=True),
    Column("part", SmallInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    Column("transaction", BigInteger, nullable=False),
)
"""How often an organization's hub and limits changed, or everyone's (NIL): the sum of its parts. Triggers count."""

OWNER = f"coalesce(organization_id, '{NIL}')"


class Provider(Base):
    """Somebody's API. Without an organization it is everyone's; with one it is that organization's own server.

    `kind` names the wire format (router.providers.KINDS); `base_url` includes the version prefix.
    """

    __tablename__ = "providers"
    __table_args__ = (Index("uq_providers_slug", text(OWNER), "slug", unique=True),)

    organization_id: Mapped[uuid.UUID | None] = parent("organizations.id", index=False)
    slug: Mapped[Name]
    name: Mapped[Name]
    kind: Mapped[Name]
    base_url: Mapped[Long]
    needs_key: Mapped[bool] = mapped_column(default=True)
    is_simulated: Mapped[bool] = mapped_column(default=False)
    key_hint: Mapped[Name] = mapped_column(default="")
    """Where a person gets a key: a page's address."""
    catalogue: Mapped[Name] = mapped_column(default="")
    """Its id in the price catalogue; empty: it is not in there."""
    check_path: Mapped[Name] = mapped_column(default="")
    """What to ask to check a key, where the list of models is open to everyone."""
    models_listed_at: Mapped[Time | None]
    is_trusted: Mapped[bool] = mapped_column(default=False)
    """The operator named its address (fixture, command line), so it may be a private one."""
    needs_address: Mapped[bool] = mapped_column(default=False)
    """A pattern rather than an address: every organization connects its own (Azure, Bedrock, vLLM …)."""
    model_types: Mapped[JsonList] = mapped_column(default=list)
    """What kinds of models it offers: TEXT, IMAGE …"""
    is_enabled: Mapped[bool] = mapped_column(default=True)
    archived_at: Mapped[Time | None]
    """Deleted by its people, and kept for the runs it made (hub.archive): nothing but history and the archive shows it.
    So with models and keys."""

    @property
    def address(self) -> str:
        return address_of(self.base_url)


@lru_cache(1024)
def address_of(base_url: str) -> str:
    """scheme://host:port/path, which a stored key is bound to: on a shared host the path may tell tenants apart."""
    url = urlsplit(base_url)
    port = url.port or {"http": 80, "https": 443}.get(url.scheme, 0)
    rest = urlunsplit(("", "", url.path.rstrip("/"), url.query, url.fragment))
    return f"{url.scheme}://{url.hostname}:{port}{rest}"


class Model(Base):
    """One model of one provider.

    `capabilities`: tools, vision, json_schema, reasoning, audio_in, audio_out, document_in, video_in.
    """

    __tablename__ = "models"
    __table_args__ = (Index("uq_models_name", "provider_id", text(OWNER), "name", unique=True),)

    provider_id: Mapped[uuid.UUID] = parent("providers.id", index=False)
    organization_id: Mapped[uuid.UUID | None] = parent("organizations.id")
    """Whose it is when only their key can see it, such as a fine-tuned model; None: everyone's."""
    name: Mapped[Name]
    display_name: Mapped[Name]
    model_type: Mapped[ModelType] = mapped_column(default=ModelType.TEXT)
    task: Mapped[Name] = mapped_column(default="chat")
    """What it is asked to make (router.types.Task); a VOICE model speaks or transcribes."""
    capabilities: Mapped[JsonList] = mapped_column(default=list)
    refuses: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    """Parameters that it answers 400 to (router.parameters.REFUSABLE), as its provider, one of its answers or a person
    said; None: nobody did, and its name may tell (router.names)."""
    context_window: Mapped[int | None]
    max_output_tokens: Mapped[int | None]
    shutdown_on: Mapped[Name | None]
    """The day the provider says it ends, as it says it (ISO 8601)."""
    replacement: Mapped[Name] = mapped_column(default="")
    """What the provider says to use instead."""
    listed_at: Mapped[Time | None]
    """When the provider last listed it to one of our keys."""
    is_enabled: Mapped[bool] = mapped_column(default=True)
    archived_at: Mapped[Time | None]

    provider: Mapped[Provider] = relationship()
    prices: Mapped[list[Price]] = relationship(order_by="Price.effective_at", cascade="all, delete-orphan")


class Correction(Base):
    """What an organization says itself of one of everyone's models, for itself alone. None: as the catalogue says.

    It chooses and plans by it; what is held and charged is never less than by the catalogue
    (router.candidates.Catalogued).
    """

    __tablename__ = "model_corrections"
    __table_args__ = (
        UniqueConstraint("organization_id", "model_id"),
        CheckConstraint("context_window > 0", name="context_window_is_positive"),
        CheckConstraint("max_output_tokens > 0", name="max_output_tokens_is_positive"),
    )

    organization_id: Mapped[uuid.UUID] = parent("organizations.id", index=False)
    model_id: Mapped[uuid.UUID] = parent("models.id")
    capabilities: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    context_window: Mapped[int | None]
    max_output_tokens: Mapped[int | None]
    created_by: Mapped[uuid.UUID | None] = reference("users.id")
    updated_at: Mapped[Time] = mapped_column(default=now, onupdate=now)


class Price(Base):
    """One version of a model's price in the price book, never changed. In nano-USD, per 1,000,000 tokens, and each
    per picture, second, character and request.

    No row: the price is unknown. All zeros: it is free. A class without a price of its own (None) costs what
    its plain class does: cached or audio input as input, audio output as output. `tiers` are steps by input size:
    [{"above": tokens, "input": …, "cache_read": …, "cache_write": …, "cache_write_1h": …, "output": …}]. `variants`
    are other prices of a picture or a second, by what is asked for: [{"when": ["1024x1792", "hd"], "per_image": …}].

    An organization's own price goes before everyone's, until `ends_at`.
    """

    __tablename__ = "prices"
    __table_args__ = (Index("ix_prices_model_id_effective_at", "model_id", "effective_at"),)

    model_id: Mapped[uuid.UUID] = parent("models.id", index=False)
    organization_id: Mapped[uuid.UUID | None] = parent("organizations.id")
    effective_at: Mapped[Time] = mapped_column(default=now)
    ends_at: Mapped[Time | None]
    source: Mapped[Name]
    input: Mapped[Nano]
    cache_read: Mapped[Nano | None]
    cache_write: Mapped[Nano | None]
    cache_write_1h: Mapped[Nano | None]
    output: Mapped[Nano]
    per_request: Mapped[Nano] = mapped_column(default=0)
    input_audio: Mapped[Nano | None]
    input_image: Mapped[Nano | None]
    output_audio: Mapped[Nano | None]
    output_image: Mapped[Nano | None]
    per_image: Mapped[Nano | None]
    per_second: Mapped[Nano | None]
    per_character: Mapped[Nano | None]
    created_by: Mapped[uuid.UUID | None] = reference("users.id")
    tiers: Mapped[JsonList] = mapped_column(default=list)
    variants: Mapped[JsonList] = mapped_column(default=list)


ENTER_AGAIN = "The provider’s address changed, and the key was sealed for the old one. Enter it again."
"""What is noted of a key as its last error then; such a key is used no more."""


class APIKey(Base):
    """A provider's key. Without an organization it is the platform's.

    `ciphertext` is bound to organization, row and the provider's origin (see secrets.py).
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        Index("ix_api_keys_provider_id_organization_id", "provider_id", "organization_id"),
        Index(
            "uq_api_keys_default",
            "provider_id",
            text(OWNER),
            unique=True,
            postgresql_where=text("is_default"),
        ),
        CheckConstraint("daily_quota >= 0", name="daily_quota_is_not_negative"),
        CheckConstraint("weight >= 0", name="weight_is_not_negative"),
    )

    provider_id: Mapped[uuid.UUID] = parent("providers.id", index=False)
    organization_id: Mapped[uuid.UUID | None] = parent("organizations.id", index=False)
    label: Mapped[Name]
    ciphertext: Mapped[Long]
    last_four: Mapped[Name]
    is_default: Mapped[bool] = mapped_column(default=False)
    goes_first: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Of the default: it is asked first, and its owner's others when it cannot be used. Else weights decide."""
    daily_quota: Mapped[Nano | None]
    """Nano-USD a day this key may spend; None: no limit of its own."""
    weight: Mapped[int] = mapped_column(default=1)
    is_enabled: Mapped[bool] = mapped_column(default=True)
    expires_at: Mapped[Time | None]
    listed_models: Mapped[JsonList] = mapped_column(default=list)
    """Names the provider listed to this key; empty: it lists none, so any may be tried."""
    allowed_models: Mapped[JsonList] = mapped_column(default=list)
    """Names it may be used for; empty: for all."""
    last_used_at: Mapped[Time | None]
    """When its provider last accepted it: for a prompt (to the minute), or in a test that proves it."""
    last_error: Mapped[Long] = mapped_column(default="")
    last_error_kind: Mapped[Name] = mapped_column(default="")
    """router.types.Kind: credential, billing, rate_limit …"""
    last_error_at: Mapped[Time | None]
    archived_at: Mapped[Time | None]
    """Its secret is destroyed then: `ciphertext` is empty."""
    created_by: Mapped[uuid.UUID | None] = reference("users.id")

    provider: Mapped[Provider] = relationship()


class Strategy(StrEnum):
    """How a rule orders its models."""

    WEIGHTED = "weighted"
    CHEAPEST = "cheapest"
    FASTEST = "fastest"
    BALANCED = "balanced"
    ORDERED = "ordered"


class RoutingRule(Trashable, Base):
    """When `conditions` hold, these models may answer. Lowest `priority` number first; first match wins.

    Scope: platform (no organization), organization, or one project. One in the trash gives its name free.
    """

    __tablename__ = "routing_rules"
    __table_args__ = (
        Index("ix_routing_rules_organization_id_priority", "organization_id", "priority"),
        in_trash("routing_rules"),
    )

    organization_id: Mapped[uuid.UUID | None] = parent("organizations.id", index=False)
    project_id: Mapped[uuid.UUID | None] = parent("projects.id")
    name: Mapped[Name]
    model_type: Mapped[ModelType] = mapped_column(default=ModelType.TEXT)
    priority: Mapped[int] = mapped_column(default=100)
    conditions: Mapped[Json] = mapped_column(default=dict)
    strategy: Mapped[Strategy] = mapped_column(default=Strategy.WEIGHTED)
    is_enabled: Mapped[bool] = mapped_column(default=True)
    goes_on_unheard: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Another model is asked when one took the prompt and fell silent, though both may be paid."""
    created_by: Mapped[uuid.UUID | None] = reference("users.id")
    updated_at: Mapped[Time | None]

    models: Mapped[list[RoutingRuleModel]] = relationship(
        order_by="RoutingRuleModel.position", cascade="all, delete-orphan"
    )

    def is_for(self, model_type: ModelType) -> bool:
        """May a session of this type ask it? Text and code are one conversation to a rule."""
        alike = (ModelType.TEXT, ModelType.CODE)
        is_asked = self.is_enabled and self.deleted_at is None
        return is_asked and (self.model_type is model_type or {self.model_type, model_type} == set(alike))


class RoutingRuleModel(Base):
    """A model within a rule. A missing weight is 1; reserved tags say when it comes (router.candidates.Choice)."""

    __tablename__ = "routing_rule_models"
    __table_args__ = (
        UniqueConstraint("rule_id", "model_id"),
        CheckConstraint("weight >= 0", name="weight_is_not_negative"),
    )

    rule_id: Mapped[uuid.UUID] = parent("routing_rules.id", index=False)
    model_id: Mapped[uuid.UUID] = parent("models.id")
    position: Mapped[int] = mapped_column(default=0)
    weight: Mapped[int] = mapped_column(default=1)
    tags: Mapped[JsonList] = mapped_column(default=list)

    model: Mapped[Model] = relationship()


class GatewayToken(Usable, Base):
    """A program's way in, for one project. Only the hash of the secret is kept.

    It carries the right of whoever made it, or, where it is a service account's, that of the organization.
    """

    __tablename__ = "gateway_tokens"

    project_id: Mapped[uuid.UUID] = parent("projects.id")
    service_account_id: Mapped[uuid.UUID | None] = parent("service_accounts.id")
    created_by: Mapped[uuid.UUID | None] = reference("users.id")
    label: Mapped[Name]
    token_hash: Mapped[Name] = mapped_column(unique=True)
    prefix: Mapped[Name]
    allows: Mapped[JsonList] = mapped_column(default=list)
    """Names of models and rules that it may ask for, as a request says them; empty: all of its project."""
    previous_hash: Mapped[Name | None] = mapped_column(unique=True)
    """Of the secret before the last rotation, which is taken until `previous_until`."""
    previous_until: Mapped[Time | None]
    last_used_at: Mapped[Time | None]
    expires_at: Mapped[Time | None]
    revoked_at: Mapped[Time | None]

    project: Mapped[Project] = relationship()
    service_account: Mapped[ServiceAccount | None] = relationship()

    @classmethod
    def issue(cls, project: Project, created_by: uuid.UUID, label: str) -> tuple[GatewayToken, str]:
        """A new token and its secret, which is never to be seen again. 256 random bits need no slow hash."""
        token = cls(project_id=project.id, created_by=created_by, label=label)
        return token, token._new_secret()

    def rotate(self, grace: timedelta) -> str:
        """A new secret. The one before is taken for so long, so that programs can be changed one by one."""
        self.previous_hash, self.previous_until = (self.token_hash, now() + grace) if grace else (None, None)
        return self._new_secret()

    def _new_secret(self) -> str:
        secret = f"dlan_{secrets.token_urlsafe(32)}"
        self.token_hash, self.prefix = self.digest(secret), secret[:9]
        return secret

    @staticmethod
    def digest(secret: str) -> str:
        return hashlib.sha256(secret.encode()).hexdigest()
