"""All tables, in the order a newcomer should read them: accounts, workspace, hub, executions, templates, limits,
ledger, notices, search, opinions, links, imports, audit."""

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
from .assets import Asset, Leftover
from .audit import AuditEvent
from .base import IN_TRASH, NANO, Base, Trashable, new_id, now
from .comparisons import Comparison, ComparisonRun
from .executions import Attempt, Execution, ExecutionBody, Origin, Outcome, Payer, State
from .hub import APIKey, GatewayToken, Model, Price, Provider, RoutingRule, RoutingRuleModel, Strategy
from .imports import UNDECIDED, Import, ImportedSession
from .ledger import EntryKind, Hold, LedgerEntry, Reservation, ReservationState
from .limits import Answer, Budget, BudgetPeriod, Increase, RateLimit, Scope, Unit, Window
from .links import PublicLink
from .notices import Delivery, DeliveryState, Notice, Webhook
from .opinions import Comment, Feedback
from .quotes import Quote
from .search import SearchDocument, SearchSlice
from .templates import (
    LabelMove,
    LabelProtection,
    Proposal,
    ProposalComment,
    ProposalState,
    Template,
    TemplateCase,
    TemplateDraft,
    TemplateLabel,
    TemplateRun,
    TemplateVersion,
)
from .workspace import Collaborator, CopiedAnswer, ModelType, Project, ProjectRole, Prompt, PromptSession, Star

__all__ = [
    "IN_TRASH",
    "NANO",
    "UNDECIDED",
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
    "Comment",
    "Comparison",
    "ComparisonRun",
    "CopiedAnswer",
    "Delivery",
    "DeliveryState",
    "EntryKind",
    "Execution",
    "ExecutionBody",
    "Feedback",
    "GatewayToken",
    "Hold",
    "Import",
    "ImportedSession",
    "Increase",
    "KeyStrategy",
    "LabelMove",
    "LabelProtection",
    "LedgerEntry",
    "Leftover",
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
    "Proposal",
    "ProposalComment",
    "ProposalState",
    "Provider",
    "PublicLink",
    "Quote",
    "RateLimit",
    "Reservation",
    "ReservationState",
    "Role",
    "RoutingRule",
    "RoutingRuleModel",
    "Scope",
    "SearchDocument",
    "SearchSlice",
    "Star",
    "State",
    "Strategy",
    "Template",
    "TemplateCase",
    "TemplateDraft",
    "TemplateLabel",
    "TemplateRun",
    "TemplateVersion",
    "Trashable",
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
