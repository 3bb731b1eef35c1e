"""All tables, in the order a newcomer should read them: accounts, workspace, hub, executions, ledger, audit."""

from .accounts import KeyStrategy, Membership, Organization, OrganizationKind, Role, User, slug_for, waste_a_hash
from .audit import AuditEvent
from .base import NANO, Base, new_id, now
from .executions import Action, Asset, Attempt, Execution, ExecutionBody, Origin, Outcome, Payer, State
from .hub import APIKey, GatewayToken, Model, Price, Provider, RoutingRule, RoutingRuleModel, Strategy
from .ledger import (
    Budget,
    BudgetPeriod,
    EntryKind,
    Hold,
    LedgerEntry,
    Reservation,
    ReservationState,
    Scope,
    Window,
)
from .workspace import Collaborator, ModelType, Project, ProjectRole, Prompt, PromptSession

__all__ = [
    "NANO",
    "APIKey",
    "Action",
    "Asset",
    "Attempt",
    "AuditEvent",
    "Base",
    "Budget",
    "BudgetPeriod",
    "Collaborator",
    "EntryKind",
    "Execution",
    "ExecutionBody",
    "GatewayToken",
    "Hold",
    "KeyStrategy",
    "LedgerEntry",
    "Membership",
    "Model",
    "ModelType",
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
    "Reservation",
    "ReservationState",
    "Role",
    "RoutingRule",
    "RoutingRuleModel",
    "Scope",
    "State",
    "Strategy",
    "User",
    "Window",
    "new_id",
    "now",
    "slug_for",
    "waste_a_hash",
]
