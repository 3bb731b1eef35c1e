"""What each role and each kind of organization may do, as the product's help shows it.

The ranks are those that access.py decides by; tests/test_access.py holds each line against what the routes really let
people do, and the lines of kinds are what `kinds.problems` and the routes ask.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import access
from ..models import OrganizationKind, ProjectRole, Role

ROLES = (Role.OWNER, Role.ADMIN, Role.MEMBER, Role.VIEWER)
GUESTS = (ProjectRole.EDITOR, ProjectRole.VIEWER)
KINDS = (OrganizationKind.SOLO, OrganizationKind.TEAM, OrganizationKind.ENTERPRISE)


@dataclass(frozen=True)
class Ability:
    """Something that people do: from which rank on, whether in a project that one was let into, and by which routes."""

    what: str
    right: int
    in_project: bool
    endpoints: tuple[str, ...]

    def has(self, role: Role | ProjectRole) -> bool:
        if isinstance(role, ProjectRole):
            return self.in_project and access.PROJECT_RANK[role] >= self.right
        return access.RANK[role] >= self.right


SEE, EDIT, ADMINISTER, OWN = access.SEE, access.EDIT, access.ADMINISTER, access.OWN
ABILITIES = (
    Ability(
        "Look at projects, sessions, answers and saved prompts",
        SEE,
        True,
        ("projects.show", "playground.show", "prompts.show"),
    ),
    Ability(
        "Run prompts, compare models, start batches", EDIT, True, ("playground.create_execution", "batches.create")
    ),
    Ability(
        "Change sessions and saved prompts, comment, share public links",
        EDIT,
        True,
        ("playground.rename", "prompts.publish", "sharing.comment", "sharing.create_link"),
    ),
    Ability("Make gateway tokens for their own programs", EDIT, True, ("projects.create_token",)),
    Ability(
        "See members, models, providers, rules and what they cost",
        SEE,
        False,
        ("members.show", "hub.models", "hub.providers", "hub.rules_page"),
    ),
    Ability("Make projects", EDIT, False, ("projects.create",)),
    Ability(
        "Invite people, give roles up to their own, remove members",
        ADMINISTER,
        False,
        ("members.invite", "members.change_role", "members.remove"),
    ),
    Ability(
        "Let people into single projects, and invite guests",
        ADMINISTER,
        False,
        ("members.let_in", "members.invite_guest"),
    ),
    Ability(
        "Keys, providers, models, prices and routing rules", ADMINISTER, False, ("hub.create_key", "hub.rule_create")
    ),
    Ability("Limits, rates, and answers to who asks for more", ADMINISTER, False, ("limits.create", "limits.approve")),
    Ability(
        "Service accounts, webhooks and declared actions",
        ADMINISTER,
        False,
        ("programs.create", "notices.webhook_create", "actions.create"),
    ),
    Ability(
        "Settings, deleting projects, and deleting for ever",
        ADMINISTER,
        False,
        (
            "organizations.change_settings",
            "organizations.change_sign_in",
            "organizations.change_ways",
            "projects.delete",
            "trash.erase",
        ),
    ),
    Ability("Single sign-on, and whose domains it is for", ADMINISTER, False, ("sso_settings.change",)),
    Ability("Read and export the audit log", ADMINISTER, False, ("audit_log.show", "audit_log.export_file")),
    Ability("Make owners, and hand over ownership", OWN, False, ("organizations.transfer",)),
    Ability(
        "The kind of organization, exporting everything, deleting it",
        OWN,
        False,
        ("organizations.change_kind", "organizations.export", "organizations.delete"),
    ),
)


@dataclass(frozen=True)
class KindAbility:
    """Yes, no, or how much: for a person alone, a team, and an enterprise."""

    what: str
    solo: bool | str
    team: bool | str
    enterprise: bool | str

    def of(self, kind: OrganizationKind) -> bool | str:
        return {
            OrganizationKind.SOLO: self.solo,
            OrganizationKind.TEAM: self.team,
            OrganizationKind.ENTERPRISE: self.enterprise,
        }[kind]


MANY = "As many as you like"
TAKES_PEOPLE = KindAbility("People", "You", MANY, MANY)
TAKES_GUESTS = KindAbility("Guests of single projects", False, True, True)
HAS_SSO = KindAbility("Single sign-on by OpenID Connect", False, False, True)
CHOOSES_PROVIDERS = KindAbility("Only some providers may get prompts", False, False, True)
WANTS_TWO_FACTORS = KindAbility("Everyone has to use two-factor sign-in or a passkey", False, True, True)
CHOOSES_WAYS = KindAbility("Which ways of signing in lead in", False, True, True)
KIND_ABILITIES = (
    TAKES_PEOPLE,
    KindAbility("Roles: owner, admin, member, viewer", False, True, True),
    TAKES_GUESTS,
    KindAbility("Every model, prompts, batches, comparisons, actions", True, True, True),
    KindAbility("Own keys and servers, routing rules, limits, dashboards", True, True, True),
    KindAbility("Gateway tokens and service accounts", True, True, True),
    KindAbility("How long things are kept; full export", True, True, True),
    WANTS_TWO_FACTORS,
    CHOOSES_WAYS,
    CHOOSES_PROVIDERS,
    HAS_SSO,
)
