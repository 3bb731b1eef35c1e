"""All tables, in the order a newcomer should read them: accounts, workspace, hub, executions, limits, ledger,
notices, audit."""

from .accounts import (
    KeyStrategy,
    Membership,
    Organization,
    OrganizationKind,
    Role,
    UnknownPrice,
    User,
    slug_for,
    waste_a_hash,
)
from .actions import Action
from .audit import AuditEvent
from .base import NANO, Base, new_id, now
from .executions import Asset, Attempt, Execution, ExecutionBody, Origin, Outcome, Payer, State
from .hub import APIKey, GatewayToken, Model, Price, Provider, RoutingRule, RoutingRuleModel, Strategy
from .ledger import EntryKind, Hold, LedgerEntry, Reservation, ReservationState
from .limits import Answer, Budget, BudgetPeriod, Increase, RateLimit, Scope, Unit, Window
from .notices import Delivery, DeliveryState, Notice, Webhook
from .workspace import Collaborator, ModelType, Project, ProjectRole, Prompt, PromptSession

__all__ = [
    "NANO",
    "APIKey",
    "Action",
    "Answer",
    "Asset",
    "Attempt",
    "AuditEvent",
    "Base",
    "Budget",
    "BudgetPeriod",
    "Collaborator",
    "Delivery",
    "DeliveryState",
    "EntryKind",
    "Execution",
    "ExecutionBody",
    "GatewayToken",
    "Hold",
    "Increase",
    "KeyStrategy",
    "LedgerEntry",
    "Membership",
    "Model",
    "ModelType",
    "Notice",
    "Organization",
    "OrganizationKind",
    "Origin",
    "Outcome",
    "Payer",
    "Price",
    "Project",
    "ProjectRole",
    "Prompt",
    "PromptSession",
    "Provider",
    "RateLimit",
    "Reservation",
    "ReservationState",
    "Role",
    "RoutingRule",
    "RoutingRuleModel",
    "Scope",
    "State",
    "Strategy",
    "Unit",
    "UnknownPrice",
    "User",
    "Webhook",
    "Window",
    "new_id",
    "now",
    "slug_for",
    "waste_a_hash",
]
