"""Who may do what: every route × each person, and every id of another organization on every route that takes one.

ROUTES is the table. A route that is not in it fails the build: whoever adds a page says here who may use it.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from functools import cache
from itertools import cycle

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, select, text, update
from werkzeug.test import TestResponse

from dataelan_web import quota
from dataelan_web.accounts.sign_up import create_project
from dataelan_web.executions.live import Writer
from dataelan_web.executions.prompts import to_json
from dataelan_web.extensions import db
from dataelan_web.hub.keys.keeping import seal
from dataelan_web.jobs.queue import store
from dataelan_web.models import (
    NANO,
    Action,
    Annotation,
    Base,
    Budget,
    CallState,
    ClaimedDomain,
    Collaborator,
    Comment,
    Comparison,
    ComparisonRun,
    Delivery,
    Execution,
    ExecutionBody,
    ExportState,
    GatewayToken,
    Happening,
    Identity,
    IdentityProvider,
    Import,
    Invitation,
    LabelMove,
    Membership,
    Model,
    ModelType,
    Notice,
    Origin,
    Passkey,
    Price,
    ProjectRole,
    Prompt,
    PromptSession,
    Proposal,
    Provider,
    PublicLink,
    Role,
    RoutingRule,
    RoutingRuleModel,
    RunExport,
    SavedView,
    Scope,
    ServiceAccount,
    SignIn,
    State,
    TemplateCase,
    TemplateLabel,
    TemplateRun,
    User,
    Window,
    new_id,
    now,
)
from dataelan_web.notify import tell, webhooks
from dataelan_web.organizations import abilities
from dataelan_web.prompts.content import Content, Turn
from dataelan_web.router.types import Prompt as RouterPrompt
from dataelan_web.router.types import user as said
from dataelan_web.secrets import keyring
from dataelan_web.sso import settings as sso_settings
from dataelan_web.storage import storage

from . import acting, people, used
from .protection import assert_obeys_the_policy, assert_protected

# -- the rights: who has each ----------------------------------------------------------------------

PUBLIC = {"anonymous", "olivia", "adam", "mia", "victor", "gina", "ned", "rita"}
SIGNED_IN = PUBLIC - {"anonymous"}
OWN = {"olivia"}
SEE = {"olivia", "adam", "mia", "victor"}
EDIT = {"olivia", "adam", "mia"}
ADMINISTER = {"olivia", "adam"}
SUPER = {"sue"}
"""A superuser, who belongs to no organization. To everybody else there is nothing at /admin."""
TOKEN: set[str] = set()
"""A gateway token, and no cookie of anybody's."""

GUEST = {"gina"}
"""Editor of one project: has SEE and EDIT there, and nothing in the rest of the organization."""


@dataclass(frozen=True)
class Route:
    endpoint: str
    method: str
    path: str
    """{slug}, {project}, {session} … are filled from `Ids`, here and in the form."""
    allowed: set[str] = field(hash=False)
    status: int = 200
    """What those who may get."""
    form: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def names(self) -> list[str]:
        """The ids it takes, wherever they are."""
        return re.findall(r"{(?!slug)(\w+)}", " ".join((self.path, *self.form.values())))

    @property
    def is_inside(self) -> bool:
        return self.path.startswith("/o/")

    @property
    def is_admin(self) -> bool:
        return self.path.startswith("/admin")

    def __str__(self) -> str:
        return f"{self.method} {self.endpoint}"


PROMPT = {"text": "Hello", "model": "no-such-model"}
FIRST = {"place": "0", "turn": "0"}
MORE = {"amount": "5"}
ON_ONE = {"scope": "organization", "subject": "organization:{home}"}
LIMIT = {"scope": "model", "subject": "model:{other_model}"}
NAMED = {"name": "Another"}
TEMPLATE = "/o/{slug}/prompts/{template}"
SERVICE = "/o/{slug}/service-accounts/{service}"
SSO = "/o/{slug}/settings/single-sign-on"
EXPORT = "/o/{slug}/dashboard/runs/exports/{export}"
VIEW = "/o/{slug}/dashboard/views/{view}"
BATCH = "/o/{slug}/batches/{batch}"
ROWS_PASTED = {"prompt": "{template}", "pasted": "name\nAda"}
SETUP = {"name": "Rows", "model": "auto"}
DRAFT = {"message_role": "user", "message_text": "Again", "model": "no-such-model"}
CHANGE = {"source": "p1", "seen": "1", "message": "Better"}

ROUTES = (
    Route("static", "GET", "/static/app.css", PUBLIC),
    Route("health.up", "GET", "/healthz", PUBLIC),
    Route("health.ready", "GET", "/readyz", PUBLIC),
    Route("metrics.show", "GET", "/metrics", PUBLIC, status=404),  # there is none without the operator’s token
    Route("accounts.start", "GET", "/", PUBLIC, 303),
    Route("accounts.signup", "GET", "/signup", PUBLIC),
    Route("accounts.signup", "POST", "/signup", PUBLIC, 422),
    Route("accounts.login", "GET", "/login", PUBLIC),
    Route("accounts.login", "POST", "/login", PUBLIC, 422),
    Route("accounts.logout", "POST", "/logout", SIGNED_IN, 303),
    Route("forgotten.show", "GET", "/forgot", PUBLIC),
    Route("forgotten.ask", "POST", "/forgot", PUBLIC, 404),  # where no mail is sent
    Route("forgotten.choose", "GET", "/reset/leads-nowhere", PUBLIC, 404),
    Route("forgotten.reset", "POST", "/reset/leads-nowhere", PUBLIC, 404),
    Route("accounts.code", "GET", "/login/code", PUBLIC, 303),  # nobody’s password was right just now
    Route("accounts.code", "POST", "/login/code", PUBLIC, 303),
    Route("accounts.passkey_options", "POST", "/login/passkey/options", PUBLIC),
    Route("accounts.passkey", "POST", "/login/passkey", PUBLIC, 422),
    Route("accounts.second_passkey_options", "POST", "/login/code/passkey/options", PUBLIC, 404),
    Route("accounts.second_passkey", "POST", "/login/code/passkey", PUBLIC, 303),
    Route("accounts.show_way_back", "GET", "/login/deleted", PUBLIC, 303),  # nobody who deleted their account signed in
    Route("accounts.come_back", "POST", "/login/deleted", PUBLIC, 303),
    Route("account.proof_options", "POST", "/account/proof/options", SIGNED_IN),
    Route("account.prove", "POST", "/account/proof", SIGNED_IN, 422),
    Route("account.show_passkeys", "GET", "/account/passkeys", SIGNED_IN),
    Route("account.prepare_passkey", "POST", "/account/passkeys/new", SIGNED_IN, 422),
    Route("account.add_passkey", "POST", "/account/passkeys", SIGNED_IN, 422, NAMED),
    Route("account.rename_passkey", "POST", "/account/passkeys/{passkey}/name", {"olivia"}, 200, NAMED),
    Route("account.remove_passkey", "POST", "/account/passkeys/{passkey}/removal", {"olivia"}, 422),
    Route("account.renew_codes_by_proof", "POST", "/account/passkeys/recovery-codes", SIGNED_IN, 422),
    Route("account.show_needed", "GET", "/account/needed?slug={slug}", SEE | GUEST),
    Route("account.show_data", "GET", "/account/data", SIGNED_IN),
    Route("account.export", "POST", "/account/export", SIGNED_IN, 422),
    Route("account.delete", "POST", "/account/deletion", SIGNED_IN, 422),
    Route("account.show_two_factor", "GET", "/account/two-factor", SIGNED_IN),
    Route("account.set_up_two_factor", "POST", "/account/two-factor", SIGNED_IN, 422),
    Route("account.confirm_two_factor", "POST", "/account/two-factor/confirmation", SIGNED_IN, 422, {"code": "000000"}),
    Route("account.renew_recovery_codes", "POST", "/account/two-factor/recovery-codes", SIGNED_IN, 422),
    Route("account.turn_off_two_factor", "POST", "/account/two-factor/removal", SIGNED_IN, 422, {"code": "000000"}),
    Route("account.show", "GET", "/account", SIGNED_IN),
    Route("account.rename", "POST", "/account/name", SIGNED_IN, 422, {"name": ""}),
    Route("account.change_address", "POST", "/account/address", SIGNED_IN, 422, {"email": "a@example.com"}),
    Route("account.show_address", "GET", "/account/address/leads-nowhere", PUBLIC, 404),
    Route("account.confirm_address", "POST", "/account/address/leads-nowhere", PUBLIC, 404),
    Route("account.change_password", "POST", "/account/password", SIGNED_IN, 422, {"current": "wrong"}),
    Route("account.end_sign_in", "POST", "/account/sign-ins/{sign_in}/revocation", {"olivia"}, 303),
    Route("account.end_others", "POST", "/account/sign-ins/revocation", SIGNED_IN, 303),
    Route("acting.end", "POST", "/acting/end", SIGNED_IN, 404),  # nobody acts as anybody
    Route("admin.start", "GET", "/admin/", SUPER, 303),
    Route("admin.show_queue", "GET", "/admin/queue", SUPER),
    Route("admin.show_books", "GET", "/admin/books", SUPER),
    Route("admin.mend_all", "POST", "/admin/books/mending", SUPER, 303),
    Route("admin.cancel_run", "POST", "/admin/queue/runs/{execution}/cancellation", SUPER, 303),
    Route("admin.wake_run", "POST", "/admin/queue/runs/{execution}/waking", SUPER, 303),
    Route("admin.cancel_export", "POST", "/admin/queue/exports/{export}/cancellation", SUPER, 303),
    Route("admin.retry_export", "POST", "/admin/queue/exports/{export}/retry", SUPER, 303),
    Route("admin.retry_delivery", "POST", "/admin/queue/deliveries/{delivery}/retry", SUPER, 303),
    Route("admin.show_people", "GET", "/admin/people", SUPER),
    Route("admin.show_person", "GET", "/admin/people/{newcomer}", SUPER),
    Route("admin.switch_person", "POST", "/admin/people/{newcomer}/state", SUPER, 303, {"is_enabled": "yes"}),
    Route("admin.make_superuser", "POST", "/admin/people/{newcomer}/superuser", SUPER, 422),
    Route("admin.end_sign_ins", "POST", "/admin/people/{newcomer}/sign-ins/revocation", SUPER, 303),
    Route("admin.act_as", "POST", "/admin/people/{newcomer}/acting", SUPER, 422),
    Route("admin.show_homes", "GET", "/admin/organizations", SUPER),
    Route("admin.show_home", "GET", "/admin/organizations/{home}", SUPER),
    Route("admin.switch_home", "POST", "/admin/organizations/{home}/state", SUPER, 303, {"is_open": "yes"}),
    Route("admin.show_platform", "GET", "/admin/platform", SUPER),
    Route("admin.show_settings", "GET", "/admin/settings", SUPER),
    Route("admin.set_mode", "POST", "/admin/settings/mode", SUPER, 422, {"mode": "none"}),
    Route("admin_hub.provider", "GET", "/admin/hub/providers/{shared_provider}", SUPER),
    Route("admin_hub.refresh_models", "POST", "/admin/hub/providers/{shared_provider}/listing", SUPER),
    Route("admin_hub.create_key", "POST", "/admin/hub/keys", SUPER, 422, {"provider_id": "{shared_provider}"}),
    Route("admin_hub.key", "GET", "/admin/hub/keys/{platform_key}", SUPER),
    Route("admin_hub.change_key", "POST", "/admin/hub/keys/{platform_key}/settings", SUPER, 303, {"label": "Renamed"}),
    Route("admin_hub.replace_secret", "POST", "/admin/hub/keys/{platform_key}/secret", SUPER, 422, {"key": ""}),
    Route("admin_hub.test_key", "POST", "/admin/hub/keys/{platform_key}/test", SUPER),
    Route("admin_hub.set_key_state", "POST", "/admin/hub/keys/{platform_key}/state", SUPER, 200, {"is_enabled": "no"}),
    Route("admin_hub.make_default", "POST", "/admin/hub/keys/{platform_key}/default", SUPER),
    Route("admin_hub.set_key_order", "POST", "/admin/hub/keys/{platform_key}/order", SUPER),
    Route("admin_hub.delete_key", "POST", "/admin/hub/keys/{platform_key}/deletion", SUPER),
    Route("admin_hub.rules_page", "GET", "/admin/hub/rules", SUPER),
    Route("admin_hub.rule_new", "GET", "/admin/hub/rules/new", SUPER),
    Route("admin_hub.rule_create", "POST", "/admin/hub/rules", SUPER, 422, {"name": ""}),
    Route("admin_hub.rule", "GET", "/admin/hub/rules/{platform_rule}", SUPER),
    Route("admin_hub.rule_change", "POST", "/admin/hub/rules/{platform_rule}", SUPER, 422, {"name": ""}),
    Route("admin_hub.rule_draft", "POST", "/admin/hub/rules/draft", SUPER, 200, {"rule_id": "{platform_rule}"}),
    Route("admin_hub.rule_preview", "POST", "/admin/hub/rules/preview", SUPER, 200, {"rule_id": "{platform_rule}"}),
    Route("admin_hub.rule_rehearsal", "POST", "/admin/hub/rules/rehearsal", SUPER, 200, {"rule_id": "{platform_rule}"}),
    Route("admin_hub.rule_place", "POST", "/admin/hub/rules/{platform_rule}/place", SUPER),
    Route("admin_hub.rule_enablement", "POST", "/admin/hub/rules/{platform_rule}/enablement", SUPER),
    Route("admin_hub.rule_deletion", "POST", "/admin/hub/rules/{platform_rule}/deletion", SUPER),
    Route("admin_limits.overview", "GET", "/admin/limits", SUPER),
    Route("admin_limits.new", "GET", "/admin/limits/new", SUPER),
    Route("admin_limits.create", "POST", "/admin/limits", SUPER, 303, {**ON_ONE, "amount": "5"}),
    Route("admin_limits.draft_anew", "POST", "/admin/limits/draft", SUPER, 200, ON_ONE),
    Route("admin_limits.preview", "POST", "/admin/limits/preview", SUPER, 200, {**ON_ONE, "amount": "5"}),
    Route("admin_limits.limit", "GET", "/admin/limits/{operators_limit}", SUPER),
    Route("admin_limits.edit", "GET", "/admin/limits/{operators_limit}/edit", SUPER),
    Route("admin_limits.change", "POST", "/admin/limits/{operators_limit}", SUPER, 303, {"amount": "5"}),
    Route("admin_limits.delete", "POST", "/admin/limits/{operators_limit}/deletion", SUPER, 303),
    Route("admin_limits.approve", "POST", "/admin/increases/{operators_increase}/approval", SUPER, 303, MORE),
    Route("admin_limits.decline", "POST", "/admin/increases/{operators_increase}/refusal", SUPER, 303),
    Route("admin_limits.new_rate", "GET", "/admin/limits/rates/new", SUPER),
    Route("admin_limits.create_rate", "POST", "/admin/limits/rates", SUPER, 303, {**ON_ONE, "parallel": "5"}),
    Route("admin_limits.draft_rate", "POST", "/admin/limits/rates/draft", SUPER, 200, ON_ONE),
    Route("admin_limits.preview_rate", "POST", "/admin/limits/rates/preview", SUPER, 200, ON_ONE),
    Route("admin_limits.rate", "GET", "/admin/limits/rates/{operators_rate}", SUPER),
    Route("admin_limits.change_rate", "POST", "/admin/limits/rates/{operators_rate}", SUPER, 303, {"parallel": "5"}),
    Route("admin_limits.delete_rate", "POST", "/admin/limits/rates/{operators_rate}/deletion", SUPER, 303),
    Route("admin_trash.trash_page", "GET", "/admin/trash", SUPER),
    Route("admin_trash.restore", "POST", "/admin/trash/limit/{trashed_limit}/restoration", SUPER, 303),
    Route("admin_trash.erase", "POST", "/admin/trash/limit/{trashed_limit}/erasure", SUPER, 303),
    Route("admin.show_audit", "GET", "/admin/audit", SUPER),
    Route("admin.export_audit", "POST", "/admin/audit/export", SUPER, 422, {"form": "none"}),
    Route("organizations.home", "GET", "/o/{slug}/", SEE | GUEST),
    Route("organizations.show_settings", "GET", "/o/{slug}/settings", ADMINISTER),
    Route("organizations.change_settings", "POST", "/o/{slug}/settings", ADMINISTER, 422, {"time_zone": "none"}),
    Route("sso.ask", "GET", "/sso", PUBLIC),
    Route("sso.find", "POST", "/sso", PUBLIC, 422, {"who": "nobody"}),
    Route("sso.start", "GET", "/sso/no-such-place", PUBLIC, 404),
    Route("sso.callback", "GET", "/sso/no-such-place/callback", PUBLIC, 400),  # begun in no browser
    Route("sso.show_link", "GET", "/sso/link", PUBLIC, 400),  # nobody came back from anywhere
    Route("sso.link", "POST", "/sso/link", PUBLIC, 400),
    Route("sso.go_beside", "POST", "/sso/no-such-place/beside", SIGNED_IN, 404),
    Route("sso.sign_in_anew", "POST", "/sso/no-such-place/anew", SIGNED_IN, 404),
    Route("sso_settings.show", "GET", SSO, ADMINISTER),
    Route("sso_settings.change", "POST", SSO, ADMINISTER, 422),  # a team has none
    Route("sso_settings.test", "POST", f"{SSO}/test", ADMINISTER, 422),
    Route("sso_settings.remove", "POST", f"{SSO}/removal", ADMINISTER, 303),
    Route("sso_settings.enforce", "POST", f"{SSO}/enforcement", ADMINISTER, 422, {"is_enforced": "yes"}),
    Route("sso_settings.claim", "POST", f"{SSO}/domains", ADMINISTER, 422, {"domain": "none"}),
    Route("sso_settings.check_domain", "POST", f"{SSO}/domains/{{domain}}/check", ADMINISTER, 422),
    Route("sso_settings.release_domain", "POST", f"{SSO}/domains/{{domain}}/removal", ADMINISTER),
    Route("sso_settings.forget", "POST", f"{SSO}/people/{{identity}}/removal", ADMINISTER),
    Route("audit_log.show", "GET", "/o/{slug}/audit", ADMINISTER),
    Route("audit_log.export_file", "POST", "/o/{slug}/audit/export", ADMINISTER, 422, {"form": "none"}),
    Route("organizations.help_roles", "GET", "/o/{slug}/help/roles", SEE | GUEST),
    Route("organizations.show_sign_in", "GET", "/o/{slug}/settings/sign-in", ADMINISTER),
    Route(
        "organizations.change_sign_in", "POST", "/o/{slug}/settings/sign-in", ADMINISTER, 422, {"two_factor": "none"}
    ),
    Route("organizations.change_ways", "POST", "/o/{slug}/settings/sign-in/ways", ADMINISTER, 422, {"way": "none"}),
    Route("organizations.show_kind", "GET", "/o/{slug}/settings/kind", ADMINISTER),
    Route("organizations.change_kind", "POST", "/o/{slug}/settings/kind", OWN, 422, {"kind": "none"}),
    Route("organizations.show_ownership", "GET", "/o/{slug}/settings/ownership", OWN),
    Route("organizations.transfer", "POST", "/o/{slug}/settings/owner", OWN, 404, {"to": "{owner}"}),  # to herself
    Route("organizations.export", "POST", "/o/{slug}/export", OWN, 303),
    Route("organizations.delete", "POST", "/o/{slug}/deletion", OWN, 422, {"name": "another"}),
    Route("organizations.restore", "POST", "/o/{slug}/restoration", OWN, 303),
    Route("founding.new", "GET", "/organizations/new", SIGNED_IN),
    Route("founding.create", "POST", "/organizations/new", SIGNED_IN, 422, {"name": ""}),
    Route("joining.show", "GET", "/join/leads-nowhere", PUBLIC, 404),
    Route("joining.accept", "POST", "/join/leads-nowhere", PUBLIC, 404),
    Route("members.show", "GET", "/o/{slug}/members", SEE),
    Route("members.change_role", "POST", "/o/{slug}/members/{member}/role", ADMINISTER, 200, {"role": "VIEWER"}),
    Route("members.remove", "POST", "/o/{slug}/members/{member}/removal", ADMINISTER),
    Route("members.invite", "POST", "/o/{slug}/invitations", ADMINISTER, 422, {"emails": "nobody", "role": "MEMBER"}),
    Route("members.renew", "POST", "/o/{slug}/invitations/{invitation}/renewal", ADMINISTER, 201),
    Route("members.revoke", "POST", "/o/{slug}/invitations/{invitation}/revocation", ADMINISTER),
    Route("members.project_people", "GET", "/o/{slug}/projects/{project}/people", SEE | GUEST),
    Route(
        "members.let_in",
        "POST",
        "/o/{slug}/projects/{project}/people",
        ADMINISTER,
        200,
        {"user": "{newcomer}", "role": "EDITOR"},
    ),
    Route(
        "members.change_collaborator",
        "POST",
        "/o/{slug}/projects/{project}/people/{collaborator}/role",
        ADMINISTER,
        200,
        {"role": "VIEWER"},
    ),
    Route("members.let_out", "POST", "/o/{slug}/projects/{project}/people/{collaborator}/removal", ADMINISTER),
    Route(
        "members.invite_guest",
        "POST",
        "/o/{slug}/projects/{project}/invitations",
        ADMINISTER,
        422,
        {"emails": "nobody", "role": "EDITOR"},
    ),
    Route("members.leave", "POST", "/o/{slug}/departure", SEE | GUEST, 303),  # the last of these: they are gone then
    Route("programs.index", "GET", "/o/{slug}/service-accounts", ADMINISTER),
    Route("programs.create", "POST", "/o/{slug}/service-accounts", ADMINISTER, 422, {"name": ""}),
    Route("programs.show", "GET", SERVICE, ADMINISTER),
    Route("programs.change", "POST", SERVICE, ADMINISTER, 422, {"name": ""}),
    Route("programs.state", "POST", f"{SERVICE}/state", ADMINISTER, 200, {"is_enabled": "no"}),
    Route("programs.delete", "POST", f"{SERVICE}/deletion", ADMINISTER, 303),
    Route("programs.issue", "POST", f"{SERVICE}/tokens", ADMINISTER, 422, {"project": "{project}"}),
    Route("programs.rotate", "POST", f"{SERVICE}/tokens/{{service_token}}/rotation", ADMINISTER),
    Route("programs.revoke", "POST", f"{SERVICE}/tokens/{{service_token}}/revocation", ADMINISTER),
    Route("summaries.latest", "GET", "/o/{slug}/summaries", SEE | GUEST, status=303),
    Route("summaries.show", "GET", "/o/{slug}/summaries/2026-W10", SEE | GUEST),
    Route("dashboards.show", "GET", "/o/{slug}/dashboard/spend", SEE | GUEST),
    Route("dashboards.panel_csv", "GET", "/o/{slug}/dashboard/overview/spend.csv", SEE | GUEST),
    Route("dashboards.explore", "GET", "/o/{slug}/dashboard/runs", SEE | GUEST),
    Route("dashboards.show_part", "GET", "/o/{slug}/dashboard/parts/heat", SEE | GUEST),
    Route("dashboards.views", "GET", "/o/{slug}/dashboard/views", SEE | GUEST),
    Route("dashboards.save_view", "POST", "/o/{slug}/dashboard/views", SEE | GUEST, 422, {"name": ""}),
    Route("dashboards.rename_view", "POST", f"{VIEW}/name", ADMINISTER, 422, {"name": ""}),
    Route("dashboards.share_view", "POST", f"{VIEW}/sharing", ADMINISTER, 303, {"on": "1"}),
    Route("dashboards.open_view_first", "POST", f"{VIEW}/default", ADMINISTER, 303, {"on": ""}),
    Route("dashboards.delete_view", "POST", f"{VIEW}/deletion", ADMINISTER, 303),
    Route("dashboards.new_note", "GET", "/o/{slug}/dashboard/notes/new", EDIT),
    Route("dashboards.write_note", "POST", "/o/{slug}/dashboard/notes", EDIT, 422, {"text": ""}),
    Route("dashboards.show_note", "GET", "/o/{slug}/dashboard/notes/{note}", EDIT),
    Route("dashboards.change_note", "POST", "/o/{slug}/dashboard/notes/{note}", EDIT, 422, {"text": ""}),
    Route("dashboards.delete_note", "POST", "/o/{slug}/dashboard/notes/{note}/deletion", EDIT, 303),
    Route("dashboards.export_runs", "POST", "/o/{slug}/dashboard/runs/export", SEE | GUEST, 200, {"form": "csv"}),
    Route("dashboards.show_export", "GET", "/o/{slug}/dashboard/runs/exports/{export}", {"olivia"}),
    Route("dashboards.export_file", "GET", "/o/{slug}/dashboard/runs/exports/{export}/file", {"olivia"}),
    Route(
        "dashboards.cancel_export", "POST", "/o/{slug}/dashboard/runs/exports/{export}/cancellation", {"olivia"}, 303
    ),
    Route("projects.create", "POST", "/o/{slug}/projects", EDIT, 303, {"name": "Another"}),
    Route("projects.show", "GET", "/o/{slug}/projects/{project}", SEE | GUEST),
    Route("projects.rename", "POST", "/o/{slug}/projects/{project}/name", EDIT | GUEST, 303, {"name": "Renamed"}),
    Route("projects.delete", "POST", "/o/{slug}/projects/{other_project}/deletion", ADMINISTER, 303),
    Route("projects.tokens", "GET", "/o/{slug}/projects/{project}/tokens", SEE | GUEST),
    Route(
        "projects.create_token",
        "POST",
        "/o/{slug}/projects/{project}/tokens",
        EDIT | GUEST,
        201,
        {"label": "A program", "expires_in": ""},
    ),
    Route(
        "projects.change_gateway",
        "POST",
        "/o/{slug}/projects/{project}/gateway",
        EDIT | GUEST,
        200,
        {"cache_seconds": "3600", "reads_on": "yes"},
    ),
    Route("projects.first_call", "GET", "/o/{slug}/projects/{project}/tokens/{token}/first-call", SEE | GUEST),
    Route("projects.rotate_token", "POST", "/o/{slug}/projects/{project}/tokens/{token}/rotation", ADMINISTER),
    Route("projects.revoke_token", "POST", "/o/{slug}/projects/{project}/tokens/{token}/revocation", EDIT | GUEST, 200),
    Route("playground.create", "POST", "/o/{slug}/projects/{project}/sessions", EDIT | GUEST, 303, {"title": "New"}),
    Route("playground.show", "GET", "/o/{slug}/sessions/{session}", SEE | GUEST),
    Route("playground.rename", "POST", "/o/{slug}/sessions/{session}/title", EDIT | GUEST, 303, {"title": "Renamed"}),
    Route("playground.create_execution", "POST", "/o/{slug}/sessions/{session}/executions", EDIT | GUEST, 303, PROMPT),
    Route("playground.quote", "POST", "/o/{slug}/sessions/{session}/quote", EDIT | GUEST, 200, PROMPT),
    Route("playground.quote_first", "POST", "/o/{slug}/projects/{project}/quote", EDIT | GUEST, 200, PROMPT),
    Route("playground.new_comparison", "GET", "/o/{slug}/sessions/{session}/comparisons/new", EDIT | GUEST),
    Route("playground.draft_comparison", "POST", "/o/{slug}/sessions/{session}/comparisons/draft", EDIT | GUEST),
    Route("playground.quote_comparison", "POST", "/o/{slug}/sessions/{session}/comparisons/quote", EDIT | GUEST),
    Route("playground.create_comparison", "POST", "/o/{slug}/sessions/{session}/comparisons", EDIT | GUEST, 422),
    Route("playground.comparison", "GET", "/o/{slug}/comparisons/{comparison}", SEE | GUEST),
    Route("playground.comparison_row", "GET", "/o/{slug}/comparisons/{comparison}/row", SEE | GUEST),
    Route("playground.comparison_states", "GET", "/o/{slug}/comparisons/{comparison}/states", SEE | GUEST),
    Route("playground.comparison_events", "GET", "/o/{slug}/comparisons/{comparison}/events", SEE | GUEST),
    Route("playground.cancel_comparison", "POST", "/o/{slug}/comparisons/{comparison}/cancellation", EDIT | GUEST),
    Route("playground.retry_comparison", "POST", "/o/{slug}/comparisons/{comparison}/retry", EDIT | GUEST, 200, FIRST),
    Route("playground.delete_comparison", "POST", "/o/{slug}/comparisons/{comparison}/deletion", EDIT | GUEST, 303),
    Route("playground.choose_answer", "POST", "/o/{slug}/comparisons/{comparison}/choice", EDIT | GUEST, 200, FIRST),
    Route(
        "playground.continue_from", "POST", "/o/{slug}/comparisons/{comparison}/continuation", EDIT | GUEST, 303, FIRST
    ),
    Route("playground.execution", "GET", "/o/{slug}/executions/{execution}", SEE | GUEST),
    Route("playground.events", "GET", "/o/{slug}/executions/{execution}/events", SEE | GUEST),
    Route("playground.action_file", "GET", "/o/{slug}/executions/{execution}/actions/0/file", SEE | GUEST),
    Route("playground.answer_files", "GET", "/o/{slug}/executions/{execution}/files.zip", SEE | GUEST),
    Route("playground.keep_found", "POST", "/o/{slug}/executions/{execution}/actions/1/keeping", EDIT | GUEST, 303),
    Route("playground.tick", "POST", "/o/{slug}/executions/{execution}/actions/1/items/0", EDIT | GUEST),
    Route("playground.cancel", "POST", "/o/{slug}/executions/{execution}/cancellation", EDIT | GUEST),
    Route(
        "playground.answer_tools",
        "POST",
        "/o/{slug}/executions/{execution}/tool-results",
        EDIT | GUEST,
        422,
        {"result": "No tool was called"},
    ),
    Route("playground.asset", "GET", "/o/{slug}/assets/{asset}", SEE | GUEST),
    Route("playground.files", "GET", "/o/{slug}/projects/{project}/files", SEE | GUEST),
    Route("playground.add_files", "POST", "/o/{slug}/projects/{project}/files", EDIT | GUEST, 422),
    Route("playground.choose_file", "GET", "/o/{slug}/sessions/{session}/files", EDIT | GUEST),
    Route("playground.keep_asset", "POST", "/o/{slug}/assets/{asset}/keeping", EDIT | GUEST, 303),
    Route("playground.vary", "POST", "/o/{slug}/assets/{asset}/variations", EDIT | GUEST, 422),
    Route("playground.retry", "POST", "/o/{slug}/executions/{execution}/retry", EDIT | GUEST, 303),
    Route("playground.rewording", "GET", "/o/{slug}/executions/{execution}/rewording", EDIT | GUEST),
    Route("playground.quote_rewording", "POST", "/o/{slug}/executions/{execution}/rewording/quote", EDIT | GUEST),
    Route("playground.reword", "POST", "/o/{slug}/executions/{execution}/rewording", EDIT | GUEST, 422),
    Route("playground.states", "GET", "/o/{slug}/sessions/{session}/states", SEE | GUEST),
    Route("playground.star", "POST", "/o/{slug}/sessions/{session}/star", SEE | GUEST, 303, {"is_on": "yes"}),
    Route("playground.archive", "POST", "/o/{slug}/sessions/{session}/archive", EDIT | GUEST, 303, {"is_on": "yes"}),
    Route("playground.tags", "GET", "/o/{slug}/sessions/{session}/tags", EDIT | GUEST),
    Route("playground.tag", "POST", "/o/{slug}/sessions/{session}/tags", EDIT | GUEST, 303, {"tag": "north"}),
    Route("playground.untag", "POST", "/o/{slug}/sessions/{session}/tags/removal", EDIT | GUEST, 303, {"tag": "north"}),
    Route("playground.fork", "POST", "/o/{slug}/sessions/{session}/forks", EDIT | GUEST, 303, {"until": "{execution}"}),
    Route("playground.moving", "GET", "/o/{slug}/sessions/{session}/project", EDIT | GUEST),
    Route(
        "playground.move",
        "POST",
        "/o/{slug}/sessions/{other_session}/project",
        EDIT,
        303,
        {"project_id": "{other_project}"},
    ),
    Route("playground.delete_session", "POST", "/o/{slug}/sessions/{other_session}/deletion", EDIT | GUEST, 303),
    Route("playground.delete_run", "POST", "/o/{slug}/executions/{execution}/deletion", EDIT | GUEST, 303),
    Route(
        "playground.delete_asset",
        "POST",
        "/o/{slug}/assets/{asset}/deletion",
        EDIT | GUEST,
        303,
        {"run": "{execution}"},
    ),
    Route("sharing.export_session", "GET", "/o/{slug}/sessions/{session}/export/json", SEE | GUEST),
    Route("playground.changes", "GET", "/o/{slug}/executions/{execution}/changes", SEE | GUEST),
    Route("sharing.export_run", "GET", "/o/{slug}/executions/{execution}/export/py", SEE | GUEST),
    Route("sharing.code", "GET", "/o/{slug}/executions/{execution}/code", SEE | GUEST),
    Route("imports.new_import", "GET", "/o/{slug}/projects/{project}/imports/new", EDIT | GUEST),
    Route("imports.create_import", "POST", "/o/{slug}/projects/{project}/imports", EDIT | GUEST, 422),
    Route("imports.show_import", "GET", "/o/{slug}/projects/{project}/imports/{brought}", {"olivia"}),
    Route("imports.bring_in", "POST", "/o/{slug}/projects/{project}/imports/{brought}", {"olivia"}, 303),
    Route("sharing.session_links", "GET", "/o/{slug}/sessions/{session}/links?run={execution}", EDIT | GUEST),
    Route(
        "sharing.create_link",
        "POST",
        "/o/{slug}/sessions/{session}/links",
        EDIT | GUEST,
        201,
        {"lasts": "7", "run": "{execution}"},
    ),
    Route("sharing.revoke_link", "POST", "/o/{slug}/sessions/{session}/links/{link}/revocation", EDIT | GUEST, 303),
    Route("sharing.all_links", "GET", "/o/{slug}/public-links", ADMINISTER),
    Route("sharing.allow_links", "POST", "/o/{slug}/public-links/allowance", ADMINISTER, 303, {"is_allowed": "yes"}),
    Route("public.show", "GET", "/s/leads-nowhere", PUBLIC, 404),
    Route("public.public_file", "GET", f"/s/leads-nowhere/files/{uuid.UUID(int=0)}", PUBLIC, 404),
    Route("sharing.rate", "POST", "/o/{slug}/executions/{execution}/feedback", SEE | GUEST, 303, {"vote": "up"}),
    Route("sharing.show_comments", "GET", "/o/{slug}/executions/{execution}/comments", SEE | GUEST, 303),
    Route("sharing.comment", "POST", "/o/{slug}/executions/{execution}/comments", EDIT | GUEST, 303, {"text": "Good"}),
    Route(
        "sharing.change_comment",
        "POST",
        "/o/{slug}/executions/{execution}/comments/{comment}",
        {"olivia"},
        303,
        {"text": "Better"},
    ),
    Route(
        "sharing.delete_comment",
        "POST",
        "/o/{slug}/executions/{execution}/comments/{comment}/deletion",
        ADMINISTER,
        303,
    ),
    Route(
        "sharing.restore_comment",
        "POST",
        "/o/{slug}/executions/{execution}/comments/{comment}/restoration",
        ADMINISTER,
        303,
    ),
    Route("search.search", "GET", "/o/{slug}/search?q=hello", SEE | GUEST),
    Route("search.show_palette", "GET", "/o/{slug}/palette?q=a", SEE | GUEST),
    Route("trash.trash_page", "GET", "/o/{slug}/trash", EDIT | GUEST),
    Route("trash.restore", "POST", "/o/{slug}/trash/session/{trashed}/restoration", EDIT | GUEST, 303),
    Route("trash.erase", "POST", "/o/{slug}/trash/session/{trashed}/erasure", ADMINISTER, 303),
    Route("hub.providers", "GET", "/o/{slug}/hub/providers", SEE),
    Route("hub.models", "GET", "/o/{slug}/hub/models", SEE),
    Route("hub.price_catalogue", "GET", "/o/{slug}/hub/models/catalogue", SEE),
    Route("hub.model_form", "GET", "/o/{slug}/hub/models/new", ADMINISTER),
    Route("hub.model_add", "POST", "/o/{slug}/hub/models", ADMINISTER, 422, {"provider_id": "{provider}"}),
    Route(
        "hub.models_from_catalogue",
        "POST",
        "/o/{slug}/hub/models/catalogue",
        ADMINISTER,
        422,
        {"provider_id": "{provider}"},
    ),
    Route("hub.model", "GET", "/o/{slug}/hub/models/{model}", SEE),
    Route("hub.model_enablement", "POST", "/o/{slug}/hub/models/{model}/enablement", ADMINISTER),
    Route("hub.model_facts", "POST", "/o/{slug}/hub/models/{model}/facts", ADMINISTER),
    Route("hub.model_facts_undoing", "POST", "/o/{slug}/hub/models/{model}/facts/undoing", ADMINISTER),
    Route("hub.model_deletion", "POST", "/o/{slug}/hub/models/{other_model}/deletion", ADMINISTER, 303),
    Route("hub.model_session", "POST", "/o/{slug}/hub/models/{model}/sessions", EDIT, 303, {"project_id": "{project}"}),
    Route("hub.model_price", "POST", "/o/{slug}/hub/models/{model}/prices", ADMINISTER, 200, {"state": "free"}),
    Route("hub.model_price_ending", "POST", "/o/{slug}/hub/models/{model}/prices/{price}/ending", ADMINISTER),
    Route(
        "hub.model_replacement",
        "POST",
        "/o/{slug}/hub/models/{model}/replacement",
        ADMINISTER,
        200,
        {"rule_id": "{rule}", "model_id": "{other_model}"},
    ),
    Route("hub.shutdowns_page", "GET", "/o/{slug}/hub/shutdowns", SEE),
    Route("hub.rules_page", "GET", "/o/{slug}/hub/rules", SEE),
    Route("hub.rule_new", "GET", "/o/{slug}/hub/rules/new", ADMINISTER),
    Route("hub.rule_create", "POST", "/o/{slug}/hub/rules", ADMINISTER, 422, {"name": ""}),
    Route("hub.rule", "GET", "/o/{slug}/hub/rules/{rule}", ADMINISTER),
    Route("hub.rule_change", "POST", "/o/{slug}/hub/rules/{rule}", ADMINISTER, 422, {"name": ""}),
    Route("hub.rule_draft", "POST", "/o/{slug}/hub/rules/draft", ADMINISTER, 200, {"rule_id": "{rule}"}),
    Route("hub.rule_preview", "POST", "/o/{slug}/hub/rules/preview", ADMINISTER, 200, {"rule_id": "{rule}"}),
    Route("hub.rule_rehearsal", "POST", "/o/{slug}/hub/rules/rehearsal", ADMINISTER, 200, {"rule_id": "{rule}"}),
    Route("hub.rule_place", "POST", "/o/{slug}/hub/rules/{rule}/place", ADMINISTER),
    Route("hub.rule_enablement", "POST", "/o/{slug}/hub/rules/{rule}/enablement", ADMINISTER),
    Route("hub.rule_deletion", "POST", "/o/{slug}/hub/rules/{rule}/deletion", ADMINISTER),
    Route(
        "hub.rule_dry_run",
        "POST",
        "/o/{slug}/hub/rules/dry-run",
        SEE,
        200,
        {"project_id": "{project}", "model_type": "TEXT", "text": "Hello"},
    ),
    Route(
        "hub.create_key",
        "POST",
        "/o/{slug}/hub/keys",
        ADMINISTER,
        303,
        {"provider_id": "{provider}", "session_id": "{session}", "key": ""},
    ),
    Route("hub.delete_key", "POST", "/o/{slug}/hub/keys/{key}/deletion", ADMINISTER),
    Route("hub.connect_server", "POST", "/o/{slug}/hub/servers", ADMINISTER, 422, {"name": "Mine", "base_url": "ftp:"}),
    Route("hub.new_provider", "GET", "/o/{slug}/hub/providers/new", ADMINISTER),
    Route("hub.provider", "GET", "/o/{slug}/hub/providers/{provider}", SEE),
    Route("hub.refresh_models", "POST", "/o/{slug}/hub/providers/{provider}/listing", ADMINISTER),
    Route("hub.change_provider", "POST", "/o/{slug}/hub/providers/{provider}/settings", ADMINISTER, 422, {"name": ""}),
    Route("hub.state_free", "POST", "/o/{slug}/hub/providers/{provider}/prices", ADMINISTER),
    Route("hub.delete_provider", "POST", "/o/{slug}/hub/providers/{provider}/deletion", ADMINISTER, 303),
    Route("hub.key", "GET", "/o/{slug}/hub/keys/{key}", ADMINISTER),
    Route("hub.change_key", "POST", "/o/{slug}/hub/keys/{key}/settings", ADMINISTER, 303, {"label": "Renamed"}),
    Route("hub.replace_secret", "POST", "/o/{slug}/hub/keys/{key}/secret", ADMINISTER, 422, {"key": ""}),
    Route("hub.test_key", "POST", "/o/{slug}/hub/keys/{key}/test", ADMINISTER),
    Route("hub.set_key_state", "POST", "/o/{slug}/hub/keys/{key}/state", ADMINISTER, 200, {"is_enabled": "no"}),
    Route("hub.make_default", "POST", "/o/{slug}/hub/keys/{key}/default", ADMINISTER),
    Route("hub.set_key_order", "POST", "/o/{slug}/hub/keys/{key}/order", ADMINISTER),
    Route("hub.transfer", "GET", "/o/{slug}/hub/transfer", ADMINISTER),
    Route("hub.export", "GET", "/o/{slug}/hub/export.yaml", ADMINISTER),
    Route("hub.preview_import", "POST", "/o/{slug}/hub/import/preview", ADMINISTER, 422, {"text": "none"}),
    Route("hub.import_hub", "POST", "/o/{slug}/hub/import", ADMINISTER, 422, {"text": "none"}),
    Route("hub.archive", "GET", "/o/{slug}/hub/archive", ADMINISTER),
    Route("hub.restore_model", "POST", "/o/{slug}/hub/archive/models/{archived_model}/restoration", ADMINISTER, 303),
    Route(
        "hub.restore_provider",
        "POST",
        "/o/{slug}/hub/archive/providers/{archived_provider}/restoration",
        ADMINISTER,
        303,
    ),
    Route("hub.hub_settings", "GET", "/o/{slug}/hub/settings", ADMINISTER),
    Route("hub.change_settings", "POST", "/o/{slug}/hub/settings", ADMINISTER, 422, {"key_strategy": "none"}),
    Route("hub.change_project_keys", "POST", "/o/{slug}/hub/projects/{project}/platform-keys", ADMINISTER, 303),
    Route("limits.overview", "GET", "/o/{slug}/limits", SEE | GUEST),
    Route("limits.new", "GET", "/o/{slug}/limits/new", ADMINISTER),
    Route("limits.create", "POST", "/o/{slug}/limits", ADMINISTER, 303, {**LIMIT, "amount": "5"}),
    Route("limits.draft_anew", "POST", "/o/{slug}/limits/draft", ADMINISTER, 200, LIMIT),
    Route("limits.preview", "POST", "/o/{slug}/limits/preview", ADMINISTER, 200, {**LIMIT, "amount": "5"}),
    Route("limits.limit", "GET", "/o/{slug}/limits/{limit}", SEE | GUEST),
    Route("limits.edit", "GET", "/o/{slug}/limits/{limit}/edit", ADMINISTER),
    Route("limits.change", "POST", "/o/{slug}/limits/{limit}", ADMINISTER, 303, {"amount": "5"}),
    Route("limits.delete", "POST", "/o/{slug}/limits/{limit}/deletion", ADMINISTER, 303),
    Route("limits.ask_form", "GET", "/o/{slug}/limits/rates/{rate}/requests/increases/new", EDIT | GUEST),
    Route("limits.ask_form", "GET", "/o/{slug}/limits/{limit}/increases/new", EDIT | GUEST),
    Route("limits.ask", "POST", "/o/{slug}/limits/rates/{rate}/requests/increases", EDIT | GUEST, 303, {"amount": "5"}),
    Route("limits.ask", "POST", "/o/{slug}/limits/{limit}/increases", EDIT | GUEST, 303, {"amount": "5"}),
    Route("limits.approve", "POST", "/o/{slug}/increases/{increase}/approval", ADMINISTER, 303, {"amount": "5"}),
    Route("limits.decline", "POST", "/o/{slug}/increases/{increase}/refusal", ADMINISTER, 303),
    Route("limits.withdraw", "POST", "/o/{slug}/increases/{increase}/withdrawal", {"mia"}, 303),
    Route("limits.new_rate", "GET", "/o/{slug}/limits/rates/new", ADMINISTER),
    Route("limits.create_rate", "POST", "/o/{slug}/limits/rates", ADMINISTER, 303, {**LIMIT, "parallel": "5"}),
    Route("limits.draft_rate", "POST", "/o/{slug}/limits/rates/draft", ADMINISTER, 200, LIMIT),
    Route("limits.preview_rate", "POST", "/o/{slug}/limits/rates/preview", ADMINISTER, 200, LIMIT),
    Route("limits.rate", "GET", "/o/{slug}/limits/rates/{rate}", ADMINISTER),
    Route("limits.change_rate", "POST", "/o/{slug}/limits/rates/{rate}", ADMINISTER, 303, {"parallel": "5"}),
    Route("limits.delete_rate", "POST", "/o/{slug}/limits/rates/{rate}/deletion", ADMINISTER, 303),
    Route("notices.notices", "GET", "/o/{slug}/notices", SEE | GUEST),
    Route("notices.count", "GET", "/o/{slug}/notices/count", SEE | GUEST),
    Route("notices.read", "POST", "/o/{slug}/notices/{notice}/reading", {"olivia"}, 303),  # it is hers alone
    Route("notices.read_all", "POST", "/o/{slug}/notices/reading", SEE | GUEST, 303),
    Route("notices.choose_mail", "POST", "/o/{slug}/notices/mail", SEE | GUEST, 303),
    Route("notices.webhooks_page", "GET", "/o/{slug}/webhooks", ADMINISTER),
    Route("notices.webhook_create", "POST", "/o/{slug}/webhooks", ADMINISTER, 422, {"label": ""}),
    Route("notices.webhook", "GET", "/o/{slug}/webhooks/{webhook}", ADMINISTER),
    Route("notices.webhook_change", "POST", "/o/{slug}/webhooks/{webhook}/settings", ADMINISTER, 422, {"label": ""}),
    Route("notices.webhook_rotate", "POST", "/o/{slug}/webhooks/{webhook}/secret", ADMINISTER),
    Route("notices.webhook_state", "POST", "/o/{slug}/webhooks/{webhook}/state", ADMINISTER, 200, {"is_enabled": "no"}),
    Route("notices.webhook_test", "POST", "/o/{slug}/webhooks/{webhook}/test", ADMINISTER),
    Route("notices.webhook_retry", "POST", "/o/{slug}/webhooks/{webhook}/deliveries/{delivery}/retry", ADMINISTER),
    Route("notices.webhook_deletion", "POST", "/o/{slug}/webhooks/{webhook}/deletion", ADMINISTER, 303),
    Route("prompts.index", "GET", "/o/{slug}/projects/{project}/prompts", SEE | GUEST),
    Route("prompts.create", "POST", "/o/{slug}/projects/{project}/prompts", EDIT | GUEST, 422, {"name": ""}),
    Route("prompts.from_session", "GET", "/o/{slug}/executions/{execution}/prompt", EDIT | GUEST),
    Route("prompts.show", "GET", f"{TEMPLATE}", SEE | GUEST),
    Route("prompts.change", "POST", f"{TEMPLATE}/settings", EDIT | GUEST, 422, {"name": ""}),
    Route("prompts.delete", "POST", f"{TEMPLATE}/deletion", EDIT | GUEST, 303),
    Route("prompts.restore", "POST", "/o/{slug}/prompts/{trashed_template}/restoration", EDIT | GUEST, 303),
    Route("prompts.keep_draft", "POST", f"{TEMPLATE}/draft", EDIT | GUEST, 303, DRAFT),
    Route("prompts.drop_draft", "POST", f"{TEMPLATE}/draft/removal", EDIT | GUEST, 303),
    Route("prompts.take_back_draft", "POST", f"{TEMPLATE}/draft/restoration", EDIT | GUEST, 303),
    Route("prompts.run", "POST", f"{TEMPLATE}/runs", EDIT | GUEST, 303, DRAFT),
    Route("prompts.open_session", "POST", f"{TEMPLATE}/sessions", EDIT | GUEST, 303, DRAFT),
    Route("prompts.history", "GET", f"{TEMPLATE}/versions", SEE | GUEST),
    Route("prompts.version", "GET", f"{TEMPLATE}/versions/1", SEE | GUEST),
    Route("prompts.difference", "GET", f"{TEMPLATE}/differences", SEE | GUEST),
    Route("prompts.publication", "GET", f"{TEMPLATE}/publication", EDIT | GUEST),
    Route("prompts.publish", "POST", f"{TEMPLATE}/versions", EDIT | GUEST, 303, CHANGE),
    Route("prompts.propose", "POST", f"{TEMPLATE}/proposals", EDIT | GUEST, 303, CHANGE),
    Route("prompts.point", "GET", f"{TEMPLATE}/labels", EDIT | GUEST),
    Route("prompts.move_label", "POST", f"{TEMPLATE}/labels", EDIT | GUEST, 303, {"name": "staging", "to": "1"}),
    Route("prompts.label", "GET", f"{TEMPLATE}/labels/production", SEE | GUEST),
    Route("prompts.remove_label", "POST", f"{TEMPLATE}/labels/production/removal", ADMINISTER, 303),
    Route("prompts.put_back_label", "POST", f"{TEMPLATE}/labels/production/return", ADMINISTER, 404),
    Route("prompts.protect_label", "POST", f"{TEMPLATE}/labels/staging/protection", ADMINISTER, 303),
    Route("prompts.all_cases", "GET", f"{TEMPLATE}/cases", SEE | GUEST),
    Route("prompts.new_case", "GET", f"{TEMPLATE}/cases/new", EDIT | GUEST),
    Route("prompts.add_case", "POST", f"{TEMPLATE}/cases", EDIT | GUEST, 303, NAMED),
    Route("prompts.case", "GET", f"{TEMPLATE}/cases/{{case}}", EDIT | GUEST),
    Route("prompts.change_case", "POST", f"{TEMPLATE}/cases/{{case}}", EDIT | GUEST, 303, NAMED),
    Route("prompts.delete_case", "POST", f"{TEMPLATE}/cases/{{case}}/deletion", EDIT | GUEST, 303),
    Route("prompts.run_cases", "POST", f"{TEMPLATE}/cases/answers", EDIT | GUEST, 303, {"source": "1"}),
    Route("prompts.all_proposals", "GET", f"{TEMPLATE}/proposals", SEE | GUEST),
    Route("prompts.proposal", "GET", f"{TEMPLATE}/proposals/1", SEE | GUEST),
    Route("prompts.comment", "POST", f"{TEMPLATE}/proposals/1/comments", EDIT | GUEST, 303, {"text": "Good"}),
    # What may be decided depends on who proposed what, and has tests of its own: this one says nothing.
    Route("prompts.decide", "POST", f"{TEMPLATE}/proposals/1/decision", EDIT | GUEST, 422, {"decision": "none"}),
    Route("prompts.quote", "POST", f"{TEMPLATE}/quote", EDIT | GUEST, 200, DRAFT),
    Route("prompts.all_runs", "GET", f"{TEMPLATE}/runs", SEE | GUEST),
    Route("prompts.states", "GET", f"{TEMPLATE}/states", SEE | GUEST),
    Route("prompts.together", "GET", f"{TEMPLATE}/together/{{together}}", SEE | GUEST),
    Route("actions.index", "GET", "/o/{slug}/projects/{project}/actions", SEE | GUEST),
    Route("actions.new", "GET", "/o/{slug}/projects/{project}/actions/new", ADMINISTER),
    Route("actions.create", "POST", "/o/{slug}/projects/{project}/actions", ADMINISTER, 422, {"name": ""}),
    Route("actions.check", "POST", "/o/{slug}/projects/{project}/actions/check", ADMINISTER, 200, {"name": ""}),
    Route("actions.show", "GET", "/o/{slug}/actions/{action}", SEE | GUEST),
    Route("actions.edit", "GET", "/o/{slug}/actions/{action}/edit", ADMINISTER),
    Route("actions.change", "POST", "/o/{slug}/actions/{action}", ADMINISTER, 422, {"name": ""}),
    Route("actions.state", "POST", "/o/{slug}/actions/{action}/state", ADMINISTER, 200, {"is_enabled": "no"}),
    Route("actions.rotate", "POST", "/o/{slug}/actions/{action}/secret", ADMINISTER),
    Route("actions.test", "POST", "/o/{slug}/actions/{action}/test", ADMINISTER),
    Route("actions.delete", "POST", "/o/{slug}/actions/{action}/deletion", ADMINISTER, 303),
    Route("actions.approvals", "GET", "/o/{slug}/projects/{project}/approvals", SEE | GUEST),
    Route("actions.calls", "GET", "/o/{slug}/projects/{project}/calls", SEE | GUEST),
    Route("actions.call", "GET", "/o/{slug}/calls/{call}", SEE | GUEST),
    Route("actions.approve", "POST", "/o/{slug}/calls/{call}/approval", EDIT | GUEST, 303),
    Route("actions.decline", "POST", "/o/{slug}/calls/{call}/refusal", EDIT | GUEST, 303),
    Route("actions.retry", "POST", "/o/{slug}/calls/{call}/retry", EDIT | GUEST, 303),
    Route("gateway_docs.show", "GET", "/o/{slug}/projects/{project}/api", SEE | GUEST),
    Route("gateway.openapi_document", "GET", "/v1/openapi.json", PUBLIC),
    Route("gateway.models", "GET", "/v1/models", TOKEN),
    Route("gateway.models_v1beta", "GET", "/v1beta/models", TOKEN),
    Route("gateway.model", "GET", "/v1/models/auto", TOKEN),
    Route("gateway.model_v1beta", "GET", "/v1beta/models/auto", TOKEN),
    Route("gateway.chat_completions", "POST", "/v1/chat/completions", TOKEN, 400),
    Route("gateway.execution", "GET", "/v1/executions/none", TOKEN),
    Route("gateway.create_response", "POST", "/v1/responses", TOKEN, 400),
    Route("gateway.create_embeddings", "POST", "/v1/embeddings", TOKEN, 400),
    Route("gateway.generate_images", "POST", "/v1/images/generations", TOKEN, 400),
    Route("gateway.speak", "POST", "/v1/audio/speech", TOKEN, 400),
    Route("gateway.transcribe", "POST", "/v1/audio/transcriptions", TOKEN, 400),
    Route("gateway.create_message", "POST", "/v1/messages", TOKEN, 400),
    Route("gateway.count_message_tokens", "POST", "/v1/messages/count_tokens", TOKEN, 400),
    *(
        Route(f"gateway.{name}", "POST", f"/{version}/models/auto:{verb}", TOKEN, 400)
        for verb, called in (
            ("generateContent", "generate_content"),
            ("streamGenerateContent", "stream_generate_content"),
            ("countTokens", "count_content_tokens"),
        )
        for version, name in (("v1beta", called), ("v1", f"{called}_v1"))
    ),
    Route("batches.index", "GET", "/o/{slug}/projects/{project}/batches", SEE | GUEST),
    Route("batches.new", "GET", "/o/{slug}/projects/{project}/batches/new?prompt={template}", EDIT | GUEST),
    Route("batches.create", "POST", "/o/{slug}/projects/{project}/batches", EDIT | GUEST, 303, ROWS_PASTED),
    Route("batches.show", "GET", f"{BATCH}", SEE | GUEST),
    Route("batches.setup", "POST", "/o/{slug}/batches/{draft_batch}/setup", EDIT | GUEST, 303, SETUP),
    Route("batches.copy", "POST", f"{BATCH}/copies", EDIT | GUEST, 303),
    Route("batches.start", "POST", f"{BATCH}/start", EDIT | GUEST, 422),
    Route("batches.pause", "POST", f"{BATCH}/pause", EDIT | GUEST, 422),
    Route("batches.resume", "POST", f"{BATCH}/resume", EDIT | GUEST, 422),
    Route("batches.cancel", "POST", f"{BATCH}/cancel", EDIT | GUEST, 422),
    Route("batches.retry", "POST", f"{BATCH}/retry", EDIT | GUEST, 422),
    Route("batches.delete", "POST", f"{BATCH}/deletion", EDIT | GUEST, 303),
    Route("batches.states", "GET", f"{BATCH}/states", SEE | GUEST),
    Route("batches.results_csv", "GET", f"{BATCH}/results.csv", SEE | GUEST),
    Route("batches.failed_rows_csv", "GET", f"{BATCH}/failed-rows.csv", SEE | GUEST),
    Route("batches.answer", "GET", f"{BATCH}/answers/1/0", SEE | GUEST),
    Route("batches.score", "POST", f"{BATCH}/answers/1/0/score", EDIT | GUEST, 303, {"score": "4"}),
    Route("batches.add_check", "POST", f"{BATCH}/checks", EDIT | GUEST, 422, {"kind": "contains"}),
    Route("batches.remove_check", "POST", f"{BATCH}/checks/{{check}}/deletion", EDIT | GUEST, 303),
    Route("batches.ask_judges_again", "POST", f"{BATCH}/judges", EDIT | GUEST, 303),
)

CANARY = "sk-CANARY-8f41c7d2e9"


def by_feature(routes: Iterable[Route]) -> pytest.MarkDecorator:
    """A test of many routes, once for each feature: what it makes is made for all of them."""
    features: dict[str, list[Route]] = {}
    for route in routes:
        features.setdefault(route.endpoint.partition(".")[0], []).append(route)
    return pytest.mark.parametrize("routes", features.values(), ids=features)


@dataclass(frozen=True)
class Ids:
    """What the braces in ROUTES stand for."""

    slug: str
    project: str = ""
    session: str = ""
    execution: str = ""
    token: str = ""
    key: str = ""
    model: str = ""
    other_model: str = ""
    price: str = ""
    rule: str = ""
    provider: str = ""
    view: str = ""
    note: str = ""
    asset: str = ""
    limit: str = ""
    increase: str = ""
    rate: str = ""
    operators_limit: str = ""
    operators_increase: str = ""
    operators_rate: str = ""
    trashed_limit: str = ""
    shared_provider: str = ""
    shared_model: str = ""
    platform_key: str = ""
    platform_rule: str = ""
    archived_provider: str = ""
    archived_model: str = ""
    webhook: str = ""
    delivery: str = ""
    notice: str = ""
    template: str = ""
    trashed_template: str = ""
    case: str = ""
    batch: str = ""
    draft_batch: str = ""
    check: str = ""
    other_project: str = ""
    other_session: str = ""
    trashed: str = ""
    comment: str = ""
    link: str = ""
    brought: str = ""
    comparison: str = ""
    together: str = ""
    action: str = ""
    call: str = ""
    export: str = ""
    owner: str = ""
    member: str = ""
    newcomer: str = ""
    collaborator: str = ""
    invitation: str = ""
    service: str = ""
    service_token: str = ""
    sign_in: str = ""
    passkey: str = ""
    home: str = ""
    domain: str = ""
    identity: str = ""

    @classmethod
    def of(cls, cast: people.Cast, routes: Iterable[Route]) -> Ids:
        """One of each thing that these routes take, new, in this organization."""
        here = cls(cast.organization.slug, str(cast.project.id), str(cast.session.id))
        return here.with_new(cast, [name for route in routes for name in route.names])

    def with_new(self, cast: people.Cast, names: list[str]) -> Ids:
        """New ones in the place of these, which were changed or are gone, and of what was made together with them."""
        made: dict[str, str] = {}
        for make, what in MAKERS.items():
            if not what.isdisjoint(names):
                made |= make(cast)
        return replace(self, **made)

    @classmethod
    def of_nobody(cls, slug: str = "no-such-place-a1b2c3") -> Ids:
        return cls(slug, *(str(new_id()) for _ in fields(cls)[1:]))


def run_and_what_was_said(cast: people.Cast) -> dict[str, str]:
    """A run with a file, a comment of Olivia's, a public link to the session, and a file that she looks into."""
    run = execution(cast)
    db.session.commit()
    comment = Comment(id=new_id(), execution_id=run.id, author_id=cast.olivia.id, text="Nice")
    link = PublicLink(id=new_id(), session_id=cast.session.id, secret_hash=PublicLink.digest(str(new_id())))
    brought = Import(id=new_id(), project_id=cast.project.id, user_id=cast.olivia.id, source="claude", file_name="a")
    db.session.add_all([comment, link, brought])
    db.session.commit()
    rows = {"execution": run, "asset": run.assets[0], "comment": comment, "link": link, "brought": brought}
    return {name: str(row.id) for name, row in rows.items()}


def execution(cast: people.Cast) -> Execution:
    """A run that is over, with its stream still in Valkey. Not committed yet."""
    prompt = RouterPrompt(messages=(said("Hello"),))
    run = Execution(
        id=new_id(),
        organization_id=cast.organization.id,
        project_id=cast.project.id,
        session=cast.session,
        prompt=Prompt(session_id=cast.session.id, author_id=cast.mia.id, text="Hello"),
        user_id=cast.mia.id,
        origin=Origin.PLAYGROUND,
        requested="no-such-model",
        state=State.COMPLETED,
        finished_at=now(),
        body=ExecutionBody(request=to_json(prompt), text=f"Only for {cast.organization.name}"),
        actions=[
            Action(position=0, kind="json", title="JSON", payload={"value": {}}),
            Action(position=1, kind="checklist", title="List", payload={"items": [{"text": "Pack", "done": False}]}),
        ],
        assets=[people.asset(cast, b"GIF89a", "image/gif", "dot.gif")],
    )
    db.session.add(run)
    Writer(store(), run.id).end()
    return run


def comparison(cast: people.Cast) -> dict[str, str]:
    """Of one answer that is there. Commits."""
    run = execution(cast)
    made = Comparison(id=new_id(), session=cast.session, user_id=cast.mia.id, submission=str(run.id), repeats=1)
    made.is_blind, made.shown_id = False, run.id
    made.runs = [ComparisonRun(id=run.id, place=0, turn=0, requested=run.requested)]
    db.session.add_all([run, made])
    db.session.commit()
    return {"comparison": str(made.id)}


def models(cast: people.Cast) -> dict[str, str]:
    """A key, and two models of one's own, the first with a price of one's own and in a rule. Commits."""
    key = people.own_provider(cast, "http://x/v1", secret=CANARY)
    model, other = people.own_model(cast, key, "one"), people.own_model(cast, key, "other")
    price = Price(model_id=model.id, organization_id=cast.organization.id, source="own", input=1, output=1)
    rule = RoutingRule(organization_id=cast.organization.id, name="A rule")
    rule.models = [RoutingRuleModel(model_id=model.id)]
    db.session.add_all([price, rule])
    db.session.commit()
    rows = {"key": key, "model": model, "other_model": other, "price": price, "rule": rule}
    return {"provider": str(key.provider_id), **{name: str(row.id) for name, row in rows.items()}}


def limits(cast: people.Cast) -> dict[str, str]:
    """A limit and a rate on the project, and one on the organization that Mia asked more of."""
    budget = used.limit(cast, Scope.PROJECT, cast.project.id)
    more = used.asked(cast, used.limit(cast, Scope.ORGANIZATION, cast.organization.id), cast.mia)
    values = {"requests_per_minute": 9, "tokens_per_minute": None, "parallel": None}
    rate = quota.set_rate(db.session, cast.organization.id, Scope.PROJECT, cast.project.id, **values)
    db.session.commit()
    return {"limit": str(budget.id), "increase": str(more.id), "rate": str(rate.id)}


def operators_limits(cast: people.Cast) -> dict[str, str]:
    """A limit and a rate of the operator's on the organization, and one on a key that Mia asked more of."""
    home = cast.organization.id
    db.session.execute(delete(Budget).where(Budget.organization_id.is_(None), Budget.subject_id == home))
    budget = quota.set_limit(db.session, None, Scope.ORGANIZATION, home, Window.WEEK, NANO)
    of_all = quota.set_limit(db.session, None, Scope.KEY, new_id(), Window.MONTH, NANO)
    rate = quota.set_rate(
        db.session, None, Scope.KEY, new_id(), requests_per_minute=9, tokens_per_minute=None, parallel=None
    )
    gone = quota.set_limit(db.session, None, Scope.KEY, new_id(), Window.DAY, NANO)
    quota.delete_limit(db.session, gone)
    db.session.commit()
    more = used.asked(cast, of_all, cast.mia)
    ids = {"operators_limit": budget.id, "operators_increase": more.id, "operators_rate": rate.id}
    return {name: str(id) for name, id in {**ids, "trashed_limit": gone.id}.items()}


def of_the_platform(cast: people.Cast) -> dict[str, str]:
    """A provider that everyone has, with a model and the platform's key, and a rule of the platform's: both switched
    off, and those of before gone, since all tests share them. Commits."""
    rules = delete(RoutingRule).where(RoutingRule.name.startswith("shared-"), RoutingRule.organization_id.is_(None))
    providers = update(Provider).where(Provider.slug.startswith("shared-"), Provider.organization_id.is_(None))
    db.session.execute(rules)
    db.session.execute(providers.values(archived_at=now()))  # calls may speak of them
    called = f"shared-{new_id().hex[-6:]}"
    provider = Provider(id=new_id(), slug=called, name="Shared", kind="openai", base_url="http://x/v1")
    model = Model(id=new_id(), provider_id=provider.id, name=called, display_name=called, model_type=ModelType.TEXT)
    db.session.add_all([provider, model])
    key = seal(provider, None, None, "The platform’s", CANARY)
    key.is_enabled = False
    rule = RoutingRule(id=new_id(), name=called, is_enabled=False, models=[RoutingRuleModel(model_id=model.id)])
    db.session.add(rule)
    db.session.commit()
    ids = {"platform_key": str(key.id), "platform_rule": str(rule.id), "shared_model": str(model.id)}
    return {"shared_provider": str(provider.id), **ids}


def archived(cast: people.Cast) -> dict[str, str]:
    key, other = people.own_provider(cast, "http://x/v1"), people.own_provider(cast, "http://y/v1")
    model = people.own_model(cast, key, "old", archived_at=now())
    other.provider.archived_at = now()
    db.session.commit()
    return {"archived_model": str(model.id), "archived_provider": str(other.provider_id)}


def told(cast: people.Cast) -> dict[str, str]:
    """A webhook whose delivery waits, and a notice of olivia's."""
    webhook, _ = webhooks.create(cast.organization, cast.olivia.id, "Operations", "http://127.0.0.1:9/", [])
    tell(db.session, cast.organization.id, [cast.olivia.id], f"{new_id()}", "limit.reached", "A limit")
    delivery = db.session.scalars(select(Delivery).where(Delivery.webhook_id == webhook.id)).one()
    delivery.next_at = now() + timedelta(days=1)
    notice = db.session.scalars(
        select(Notice).where(Notice.user_id == cast.olivia.id).order_by(Notice.id.desc())
    ).first()
    assert notice
    db.session.commit()
    return {"webhook": str(webhook.id), "delivery": str(delivery.id), "notice": str(notice.id)}


def templates(cast: people.Cast) -> dict[str, str]:
    """A prompt with a version that production stands for, a case and a proposal; and one in the trash."""
    template, trashed = people.template(cast, "Hello {{name}}"), people.template(cast, "Gone")
    labelled = {"template_id": template.id, "name": "production"}
    case = TemplateCase(template_id=template.id, name="Case", values={"name": "Ada"})
    draft = Content(messages=(Turn("user", "Goodbye"),))
    proposal = Proposal(template_id=template.id, number=1, author_id=cast.mia.id, message="Shorter", base=1)
    proposal.content, proposal.digest, proposal.publishes = draft.to_json(), draft.digest, True
    trashed.deleted_at, trashed.deleted_by = now(), cast.mia.id
    db.session.add_all([TemplateLabel(**labelled, number=1), LabelMove(**labelled, after=1), case, proposal])
    db.session.commit()
    run = people.ended(cast, "Hello Ada", "Hi", session_id=None, prompt=None)
    made = TemplateRun(id=run.id, template_id=template.id, number=1, digest="-", together=new_id())
    db.session.add(made)
    db.session.commit()
    ids = {"template": template.id, "trashed_template": trashed.id, "case": case.id, "together": made.together}
    return {name: str(id) for name, id in ids.items()}


def in_and_out_of_the_trash(cast: people.Cast) -> dict[str, str]:
    """Another project, that no guest is in; and two sessions of the first, one of them in the trash."""
    other = create_project(cast.organization, cast.olivia, "Another project")
    session, trashed = (PromptSession(id=new_id(), project=cast.project, title=title) for title in ("Other", "Deleted"))
    trashed.discard(cast.mia.id)
    db.session.add_all([other, session, trashed])
    db.session.commit()
    return {"other_project": str(other.id), "other_session": str(session.id), "trashed": str(trashed.id)}


def batches(cast: people.Cast) -> dict[str, str]:
    """One that is done, with an answer and a check; and one that has not begun. Commits."""
    run = execution(cast)
    db.session.add(run)
    db.session.commit()
    done, draft = people.batch(cast, run), people.batch(cast)
    return {"batch": str(done.id), "draft_batch": str(draft.id), "check": str(done.checks[0].id)}


def declared(cast: people.Cast) -> dict[str, str]:
    """An action, and a call of it that waits for approval by those who edit."""
    action = acting.declared(cast, "http://127.0.0.1:9/", name=f"act_{new_id().hex}")
    call = acting.written(cast, action, "{}", arguments={}, state=CallState.WAITING)
    return {"action": str(action.id), "call": str(call.id)}


def gateway_token(cast: people.Cast) -> dict[str, str]:
    token, _ = GatewayToken.issue(cast.project, cast.olivia.id, "A program")
    db.session.add(token)
    db.session.commit()
    return {"token": str(token.id)}


def large_export(cast: people.Cast) -> dict[str, str]:
    """Olivia's, whose file is there."""
    kept = storage().put(cast.organization.id, b"-")
    made = RunExport(
        id=new_id(),
        organization_id=cast.organization.id,
        user_id=cast.olivia.id,
        form="csv",
        address={},
        wanted={},
        state=ExportState.DONE,
        expected=1,
        expires_at=now() + timedelta(days=1),
        storage_key=kept.key,
        size=kept.size,
    )
    db.session.add(made)
    db.session.commit()
    return {"export": str(made.id)}


def people_of_all_sorts(cast: people.Cast) -> dict[str, str]:
    """A member, another one who is in no project, a guest, and an invitation that waits. Commits."""
    one, other, guest = (people.user(name) for name in ("otto", "nina", "greta"))
    db.session.flush()
    membership = Membership(organization_id=cast.organization.id, user_id=one.id, role=Role.MEMBER)
    db.session.add(Membership(organization_id=cast.organization.id, user_id=other.id, role=Role.MEMBER))
    collaborator = Collaborator(project_id=cast.project.id, user_id=guest.id, role=ProjectRole.EDITOR)
    values = {"email": f"{new_id()}@example.com", "role": Role.MEMBER, "invited_by": cast.olivia.id}
    invitation = Invitation(id=new_id(), organization_id=cast.organization.id, **values)
    invitation.renew()
    db.session.add_all([membership, collaborator, invitation])
    db.session.commit()
    hers = db.session.query(Membership).filter_by(organization_id=cast.organization.id, user_id=cast.olivia.id).one()
    rows = {"member": membership, "newcomer": other, "collaborator": collaborator, "invitation": invitation}
    return {name: str(row.id) for name, row in {**rows, "owner": hers}.items()}


def service_account(cast: people.Cast) -> dict[str, str]:
    account = ServiceAccount(id=new_id(), organization_id=cast.organization.id, name=f"Service {new_id()}")
    token, _ = GatewayToken.issue(cast.project, cast.olivia.id, "Its token")
    db.session.add(account)
    db.session.flush()
    token.service_account_id = account.id
    db.session.add(token)
    db.session.commit()
    return {"service": str(account.id), "service_token": str(token.id)}


def beside_the_dashboard(cast: people.Cast) -> dict[str, str]:
    """A view that is everyone's, and a note."""
    named = {"name": "Shared", "page": "spend", "address": {"range": "7d"}, "is_shared": True}
    view = SavedView(id=new_id(), organization_id=cast.organization.id, user_id=cast.olivia.id, **named)
    note = Annotation(id=new_id(), organization_id=cast.organization.id, at=now(), kind=Happening.OTHER, text="Noted")
    db.session.add_all([view, note])
    db.session.commit()
    return {"view": str(view.id), "note": str(note.id)}


def signed_in_elsewhere(cast: people.Cast) -> dict[str, str]:
    """Olivia, in another browser."""
    row, _ = SignIn.begin(cast.olivia)
    db.session.add(row)
    db.session.commit()
    return {"sign_in": str(row.id)}


def passkey(cast: people.Cast) -> dict[str, str]:
    """Olivia's."""
    row = Passkey(id=new_id(), user_id=cast.olivia.id, name="A phone", credential_id=new_id().bytes, public_key=b"-")
    db.session.add(row)
    db.session.commit()
    return {"passkey": str(row.id)}


def known_at_its_provider(cast: people.Cast) -> dict[str, str]:
    """A domain that nobody proved yet, and who Mia is at a provider that nobody asks. Commits."""
    domain = ClaimedDomain(id=new_id(), organization_id=cast.organization.id, domain=f"{new_id()}.example")
    here = select(IdentityProvider).where(IdentityProvider.organization_id == cast.organization.id)
    provider = db.session.scalars(here).first()
    if provider is None:
        values = {"issuer": "http://127.0.0.1:9", "client_id": "dataelan"}
        provider = IdentityProvider(id=new_id(), organization_id=cast.organization.id, **values)
        provider.ciphertext = keyring().encrypt("secret", sso_settings.place_of(provider))
    db.session.add_all([domain, provider])
    db.session.flush()
    db.session.execute(delete(Identity).where(Identity.provider_id == provider.id))
    identity = Identity(id=new_id(), provider_id=provider.id, user_id=cast.mia.id, subject=str(new_id()))
    db.session.add(identity)
    db.session.commit()
    return {"domain": str(domain.id), "identity": str(identity.id)}


def itself(cast: people.Cast) -> dict[str, str]:
    return {"home": str(cast.organization.id)}


MAKERS = {
    itself: {"home"},
    people_of_all_sorts: {"owner", "member", "newcomer", "collaborator", "invitation"},
    service_account: {"service", "service_token"},
    run_and_what_was_said: {"execution", "asset", "comment", "link", "brought"},
    models: {"provider", "key", "model", "other_model", "price", "rule"},
    limits: {"limit", "increase", "rate"},
    operators_limits: {"operators_limit", "operators_increase", "operators_rate", "trashed_limit"},
    of_the_platform: {"shared_provider", "shared_model", "platform_key", "platform_rule"},
    archived: {"archived_model", "archived_provider"},
    told: {"webhook", "delivery", "notice"},
    templates: {"template", "trashed_template", "case", "together"},
    in_and_out_of_the_trash: {"other_project", "other_session", "trashed"},
    gateway_token: {"token"},
    comparison: {"comparison"},
    batches: {"batch", "draft_batch", "check"},
    declared: {"action", "call"},
    large_export: {"export"},
    beside_the_dashboard: {"view", "note"},
    signed_in_elsewhere: {"sign_in"},
    passkey: {"passkey"},
    known_at_its_provider: {"domain", "identity"},
}
"""What makes which ids, together."""


HTMX = {"HX-Request": "true"}
"""Asks for an error as a fragment: the same refusal, without all that a whole page shows around it."""


def send(
    client: FlaskClient, route: Route, ids: Ids, csrf: str, headers: dict[str, str] | None = None, **more: str
) -> TestResponse:
    path = route.path.format(**vars(ids))
    if route.method == "GET":
        return client.get(path, headers=headers)
    form = {name: value.format(**vars(ids)) for name, value in route.form.items()}
    return client.post(path, data={"csrf_token": csrf, **form, **more}, headers=headers)


OWNERS = {
    "organization_id": "organization_id = $1",
    "project_id": "project_id IN (SELECT id FROM projects WHERE organization_id = $1)",
    "session_id": "session_id IN (SELECT s.id FROM prompt_sessions s JOIN projects p ON p.id = s.project_id"
    " WHERE p.organization_id = $1)",
    "execution_id": "execution_id IN (SELECT id FROM executions WHERE organization_id = $1)",
    "template_id": "template_id IN (SELECT t.id FROM templates t JOIN projects p ON p.id = t.project_id"
    " WHERE p.organization_id = $1)",
    "proposal_id": "proposal_id IN (SELECT o.id FROM proposals o JOIN templates t ON t.id = o.template_id"
    " JOIN projects p ON p.id = t.project_id WHERE p.organization_id = $1)",
    "batch_id": "batch_id IN (SELECT b.id FROM batches b JOIN projects p ON p.id = b.project_id"
    " WHERE p.organization_id = $1)",
    "action_id": "action_id IN (SELECT a.id FROM declared_actions a JOIN projects p ON p.id = a.project_id"
    " WHERE p.organization_id = $1)",
    "call_id": "call_id IN (SELECT id FROM action_calls WHERE organization_id = $1)",
    "provider_id": "provider_id IN (SELECT id FROM providers WHERE organization_id = $1)",
}


def rows_of(cast: people.Cast) -> list[str]:
    """Everything an organization has, as text: for seeing that nothing changed."""
    make_rows_of()
    db.session.rollback()
    return sorted(db.session.scalars(text("SELECT rows_of(:id)"), {"id": cast.organization.id}))


@cache
def make_rows_of() -> None:
    """A function of the database, which plans this statement over all tables once and not at each question."""
    made = "CREATE OR REPLACE FUNCTION rows_of(uuid) RETURNS SETOF text LANGUAGE plpgsql"
    every = " UNION ALL ".join(_rows_of_each_table())
    db.session.rollback()
    db.session.execute(
        text(f"{made} SET plan_cache_mode = force_generic_plan AS $$ BEGIN RETURN QUERY {every}; END $$")
    )
    db.session.commit()


def _rows_of_each_table() -> Iterator[str]:
    for table in Base.metadata.sorted_tables:
        where = "id = $1" if table.name == "organizations" else ""
        where = where or next((sql for column, sql in OWNERS.items() if column in table.columns), "")
        if where and not table.name.startswith("rollup"):  # which are counted meanwhile
            told = "row.id" if table.name == "run_exports" else "row"  # a worker makes what was asked for, meanwhile
            yield f"(SELECT '{table.name}: ' || {told}::text FROM {table.name} row WHERE {where} ORDER BY row.id)"


def counts() -> dict[str, int]:
    """Rows in the tables that belong to no organization, and that no background work writes to."""
    db.session.rollback()
    tables = ("users", "organizations", "memberships")
    assert set(tables) < set(Base.metadata.tables)
    return {name: db.session.scalar(text(f"SELECT count(*) FROM {name}")) or 0 for name in tables}


@pytest.fixture
def everybody(acme: people.Cast, rival: people.Cast) -> dict[str, User | None]:
    sue = people.user("sue")
    sue.is_superuser = True
    db.session.commit()
    return {"anonymous": None, **acme.people, "rita": rival.olivia, "sue": sue}


@pytest.fixture(scope="module")
def counted(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """How much was checked, said at the end."""
    counts: Counter[str] = Counter()
    yield counts
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{len(ROUTES)} routes;", ", ".join(f"{count} {what}" for what, count in counts.items()))


# -- every route -----------------------------------------------------------------------------------


def test_every_route_says_who_may_use_it(app: Flask) -> None:
    there = {(rule.endpoint, method) for rule in app.url_map.iter_rules() for method in rule.methods or ()}
    there = {(endpoint, method) for endpoint, method in there if method not in ("HEAD", "OPTIONS")}
    declared = {(route.endpoint, route.method) for route in ROUTES}
    missing = sorted(there - declared)
    assert not missing, f"Say in ROUTES of tests/test_access.py who may use {missing}: who sees it, who may do it?"
    assert not declared - there, f"ROUTES of tests/test_access.py names what is gone: {sorted(declared - there)}"


def test_the_help_says_of_each_role_what_the_table_says() -> None:
    """What a page tells people they may do is what the rows above let them do."""
    allowed = {route.endpoint: route.allowed for route in ROUTES}
    whose = {"olivia": Role.OWNER, "adam": Role.ADMIN, "mia": Role.MEMBER, "victor": Role.VIEWER}
    for ability in abilities.ABILITIES:
        for endpoint in ability.endpoints:
            for who, role in {**whose, "gina": ProjectRole.EDITOR}.items():
                assert (who in allowed[endpoint]) == ability.has(role), f"{who}: {ability.what} ({endpoint})"


def test_a_row_leads_to_its_route(app: Flask) -> None:
    addresses, nobody = app.url_map.bind(""), vars(Ids.of_nobody())
    for route in ROUTES:
        path = route.path.format(**nobody).partition("?")[0]
        assert addresses.match(path, route.method)[0] == route.endpoint, route


@pytest.mark.sweep
@by_feature(ROUTES)
def test_each_person_may_do_what_the_table_says_and_no_more(
    app: Flask,
    routes: list[Route],
    acme: people.Cast,
    everybody: dict[str, User | None],
    counted: Counter[str],
    subtests: pytest.Subtests,
) -> None:
    """What is looked at comes first, which changes nothing, and of people those who may not do it."""
    ids = Ids.of(acme, routes)
    db.session.add(create_project(acme.organization, acme.olivia, "Acquisition of Initech"))
    db.session.commit()
    before = rows_of(acme), counts()
    clients = {who: people.browser(app, person) for who, person in everybody.items()}
    for route in sorted(routes, key=lambda route: route.method):
        if before and route.method == "POST":
            assert (rows_of(acme), counts()) == before, "looking changed something"
            before = None
        with subtests.test(str(route)):
            for person in sorted(everybody, key=lambda person: in_the_table(route, person) in route.allowed):
                client, who = clients[person], in_the_table(route, person)
                headers = HTMX if is_asked_by_htmx(route, who) else None
                answer = send(client, route, ids, client.csrf(), headers)
                if who in route.allowed and route.method == "POST" and answer.status_code != route.status:
                    ids = ids.with_new(acme, route.names)  # whoever came before used up what was there
                    answer = send(client, route, ids, client.csrf(), headers)
                if route.endpoint == "accounts.logout":
                    clients[person] = people.browser(app, everybody[person])
                assert who != "gina" or b"Initech" not in answer.data, "a guest is told nothing of other projects"
                counted["cells of person × route"] += 1
                assert_is_as_the_table_says(route, who, answer)
                assert_is_safe_in_a_browser(route, answer)
                if route.method == "GET" and who == "olivia":
                    assert client.head(route.path.format(**vars(ids))).status_code == answer.status_code
            if route.method == "POST" and route.status < 400:  # what was refused used up nothing
                ids = ids.with_new(acme, route.names)


def in_the_table(route: Route, who: str) -> str:
    """A superuser is nobody in particular but in the administration."""
    return "ned" if who == "sue" and not route.is_admin else who


def is_asked_by_htmx(route: Route, who: str) -> bool:
    """Whole pages are for what one looks at, and for the first who sends a form: the others’ have the same around."""
    if who == "anonymous" or (who in route.allowed and (route.method == "GET" or route.status == 303)):
        return False
    return who not in route.allowed or who != "olivia"


def assert_is_as_the_table_says(route: Route, who: str, answer: TestResponse) -> None:
    if who in route.allowed:
        is_fine = answer.status_code == route.status or is_known_exception(route, who, answer)
        assert is_fine, f"{who} may {route}, but got {answer.status_code}"
    else:
        assert_refused(route, who, answer)


def assert_is_safe_in_a_browser(route: Route, answer: TestResponse) -> None:
    page = answer.get_data().decode(errors="replace")
    assert CANARY not in page
    assert "dk2." not in page, "a sealed key is nobody's to see"
    if route.endpoint != "static":
        assert_protected(answer)
    if answer.mimetype == "text/html":
        assert_obeys_the_policy(page)


def is_known_exception(route: Route, who: str, answer: TestResponse) -> bool:
    return route.endpoint == "health.ready" and answer.status_code == 503  # no worker runs in this test


def assert_refused(route: Route, who: str, answer: TestResponse) -> None:
    if route.allowed is TOKEN:
        assert answer.status_code == 401
        error = answer.json["error"]  # type: ignore[index]
        assert "authentication_error" in error.values() or error["status"] == "UNAUTHENTICATED"
    elif who == "anonymous":
        assert answer.status_code == 303
        assert answer.location.startswith("/login")
    elif route.is_admin:
        assert answer.status_code == 404, f"{who} may not even know that there is {route}"
    elif who in ("ned", "rita"):
        assert answer.status_code == 404, f"{who} may not even know of {route}"
    elif route.endpoint == "notices.read":
        assert answer.status_code == 404, "another member’s notice is nobody’s"
    elif any(name in route.path for name in ("{export}", "{sign_in}", "{passkey}")):
        assert answer.status_code == 404, "another member’s is nobody’s"
    elif who == "gina":
        assert answer.status_code in (403, 404), f"a guest must not {route}, but got {answer.status_code}"
    else:
        assert answer.status_code == 403, f"{who} must not {route}, but got {answer.status_code}"


def test_a_visitor_whose_sign_in_has_ended_is_sent_to_sign_in_by_htmx_too(
    app: Flask, acme: people.Cast, subtests: pytest.Subtests
) -> None:
    visitor, ids = people.browser(app), Ids.of_nobody(acme.organization.slug)
    headers = {"HX-Request": "true", "X-CSRFToken": visitor.csrf()}
    for route in ROUTES:
        if route.is_inside:
            with subtests.test(str(route)):
                answer = visitor.open(route.path.format(**vars(ids)), method=route.method, headers=headers)
                assert answer.status_code == 401
                assert answer.headers["HX-Redirect"] == "/login"
                assert not answer.data


@pytest.mark.sweep
def test_other_methods_are_refused_alike_for_everyone(
    app: Flask, acme: people.Cast, everybody: dict[str, User | None], counted: Counter[str]
) -> None:
    ids = Ids.of_nobody(acme.organization.slug)
    places = {
        route.path: re.sub(r"{\w+}", "{}", route.path.partition("?")[0])
        for route in ROUTES
        if route.endpoint != "static"
    }
    posted = {places[route.path] for route in ROUTES if route.method == "POST"}
    clients = [people.browser(app, everybody[who]) for who in ("anonymous", "olivia", "ned")]
    asking = cycle([(client, {"X-CSRFToken": client.csrf(), **HTMX}) for client in clients])
    methods = cycle(("DELETE", "PUT", "PATCH", "DELETE", "PATCH", "PUT"))
    for template, place in places.items():
        for method in (next(methods), *(() if place in posted else ("POST",))):
            client, headers = next(asking)
            answer = client.open(template.format(**vars(ids)), method=method, headers=headers)
            assert answer.status_code == 405, f"{method} {template}"
            counted["refusals of other methods"] += 1


# -- ids of another organization -------------------------------------------------------------------


@pytest.mark.sweep
@by_feature([route for route in ROUTES if route.names])
def test_an_id_of_another_organization_is_answered_like_one_that_does_not_exist(
    app: Flask,
    routes: list[Route],
    acme: people.Cast,
    rival: people.Cast,
    counted: Counter[str],
    subtests: pytest.Subtests,
) -> None:
    """Each id alone among one's own (their token under my project), and all of them under their own address.

    Each role of the organization asks, and Gina, who sees one project only."""
    ours, theirs, nobodys = Ids.of(acme, routes), Ids.of(rival, routes), Ids.of_nobody()
    clients = {who: people.browser(app, acme.people[who]) for who in (*people.ROLES, "gina")}
    before = rows_of(acme), rows_of(rival)
    for route in routes:
        pairs = [(replace(ours, **{n: getattr(theirs, n)}), replace(ours, **{n: str(new_id())})) for n in route.names]
        with subtests.test(str(route)):
            for who, client in clients.items():
                elsewhere = [(theirs, nobodys)] if who == "olivia" else []
                headers = None if who == "olivia" and route.method == "GET" else HTMX
                about_unknown: list[object] = []
                for foreign, unknown in (*pairs, *elsewhere):
                    answer = send(client, route, foreign, client.csrf(), headers)
                    assert answer.status_code == 404 or (answer.status_code == 403 and who not in route.allowed)
                    if seen(answer) not in about_unknown:
                        about_unknown.append(seen(send(client, route, unknown, client.csrf(), headers)))
                    assert seen(answer) in about_unknown, f"{who} can tell that {foreign} exists"
                    counted["answers about foreign ids"] += 1
    assert (rows_of(acme), rows_of(rival)) == before


OF_EACH_PAGE = re.compile(r"[\w-]{40,}\.[\w-]{6}\.[\w-]{27}|(?<=name=.once. value=.)[0-9a-f]{32}")
"""The token of its forms, and their mark."""


def seen(answer: TestResponse) -> tuple[int, dict[str, str], str]:
    """What a client can tell from an answer: all but the forms' token and mark, the cookie that carries the token, and
    the request's name."""
    headers = {name: value for name, value in answer.headers if name not in ("Set-Cookie", "Date", "X-Request-ID")}
    return answer.status_code, headers, OF_EACH_PAGE.sub("…", answer.get_data().decode(errors="replace"))


def test_a_token_of_another_project_of_the_same_organization_is_not_found_under_this_one(
    app: Flask, acme: people.Cast
) -> None:
    other = create_project(acme.organization, acme.olivia, "Other")
    token, _ = GatewayToken.issue(other, acme.olivia.id, "Other's")
    db.session.add_all([other, token])
    db.session.commit()
    answer = people.browser(app, acme.olivia).submit(
        f"{acme.home}/projects/{acme.project.id}/tokens/{token.id}/revocation"
    )
    assert answer.status_code == 404
    db.session.refresh(token)
    assert token.revoked_at is None


def test_a_guest_sees_one_project_and_is_told_nothing_of_the_rest(app: Flask, acme: people.Cast) -> None:
    """What each page tells her is in the table's test."""
    secret = create_project(acme.organization, acme.olivia, "Acquisition of Initech")
    db.session.add(secret)
    db.session.commit()
    gina = people.browser(app, acme.gina)
    assert gina.get(f"{acme.home}/projects/{secret.id}").status_code == 404
    home = gina.get(acme.home + "/").get_data(as_text=True)
    assert "Spent this month" not in home, "what the whole organization spends is not for a guest"


def test_somebody_who_was_removed_is_out_at_the_next_request(app: Flask, acme: people.Cast) -> None:
    """Also of a stream that she read until then."""
    mia, run = people.browser(app, acme.mia), people.ended(acme, "What is the capital of France?", "Paris")
    db.session.commit()
    places = (acme.session_url, f"{acme.home}/executions/{run.id}/events")
    assert [mia.get(place).status_code for place in places] == [200, 200]
    db.session.query(Membership).filter_by(organization_id=acme.organization.id, user_id=acme.mia.id).delete()
    db.session.commit()
    assert [mia.get(place).status_code for place in places] == [404, 404]


# -- fields that are not the client's to set -------------------------------------------------------


@pytest.mark.sweep
@by_feature([route for route in ROUTES if route.method == "POST" and route.allowed is not TOKEN])
def test_a_form_sets_no_field_that_is_not_in_it(
    app: Flask,
    routes: list[Route],
    acme: people.Cast,
    rival: people.Cast,
    everybody: dict[str, User | None],
    counted: Counter[str],
    subtests: pytest.Subtests,
) -> None:
    planted = {
        "id": str(uuid.uuid4()),
        "organization_id": str(rival.organization.id),
        "org_id": str(rival.organization.id),
        "user_id": str(acme.ned.id),
        "created_by": str(acme.ned.id),
        "author_id": str(acme.ned.id),
        "created_at": "2001-01-01T00:00:00Z",
        "role": "OWNER",
        "is_admin": "true",
        "is_superuser": "true",
        "spent": "0",
        "limit": "987654321",
        "cost": "987654321",
        "state": "interrupted",
        "origin": "gateway",
        "slug": "planted",
        "ciphertext": "planted",
        "key_ciphertext": "planted",
        "token_hash": "planted",
        "prefix": "planted",
        "needs_key": "false",
        "base_url": "ftp:planted",
    }
    ids, theirs = Ids.of(acme, routes), rows_of(rival)
    for route in routes:
        with subtests.test(str(route)):
            who = "olivia" if "olivia" in route.allowed else min(route.allowed - {"anonymous"})
            client = people.browser(app, everybody[who])
            answer = send(client, route, ids, client.csrf(), **planted)
            assert answer.status_code in (route.status, 422)
            everything = str([*rows_of(acme), *of_people(everybody)])
            for value in (planted["id"], str(acme.ned.id), "2001-01-01", "987654321", "planted", "interrupted"):
                assert value not in everything, f"{route} took a field from the client: {value}"
            db.session.refresh(acme.olivia)
            assert not acme.olivia.is_superuser
            counted["fields planted"] += len(planted)
            if answer.status_code < 400:
                ids = ids.with_new(acme, route.names)
    assert rows_of(rival) == theirs


def of_people(everybody: dict[str, User | None]) -> list[str]:
    """What stands in their own rows, but for Ned's, whose id is planted."""
    ids = [person.id for who, person in everybody.items() if person and who != "ned"]
    return list(db.session.scalars(text("SELECT users::text FROM users WHERE id = ANY(:ids)"), {"ids": ids}))


# -- gateway tokens --------------------------------------------------------------------------------


def test_a_gateway_token_opens_the_gateway_in_the_header_of_an_api_and_nowhere_else(
    app: Flask, acme: people.Cast
) -> None:
    secret = acme.token()
    client = people.browser(app)
    for headers in ({"Authorization": f"Bearer {secret}"}, {"x-api-key": secret}, {"x-goog-api-key": secret}):
        assert client.get("/v1/models", headers=headers).status_code == 200, headers
    for headers in (
        {"x-api-key": secret, "x-goog-api-key": f"{secret}x"},
        {"api-key": secret},
        {"Authorization": secret},
        {"Authorization": f"Basic {secret}"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer null"},
        {"Authorization": f"Bearer {secret[:-1]}"},
        {"Authorization": f"Bearer {GatewayToken.digest(secret)}"},
        {"Cookie": f"token={secret}"},
    ):
        assert client.get("/v1/models", headers=headers).status_code == 401, headers
    for query in ("token", "api_key", "key", "access_token"):
        assert client.get("/v1/models", query_string={query: secret}).status_code == 401


def test_a_gateway_token_opens_no_page(app: Flask, acme: people.Cast, counted: Counter[str]) -> None:
    """Whatever its maker may do here: on every route but the gateway's it is told what nobody at all is told."""
    secret = acme.token()
    ids, headers = Ids.of_nobody(acme.organization.slug), {"Authorization": f"Bearer {secret}", "x-api-key": secret}
    for route in ROUTES:
        if route.allowed is TOKEN:
            continue
        client = people.browser(app)
        answer = send(client, route, ids, client.csrf(), headers)
        counted["answers to tokens outside the gateway"] += 1
        assert_is_as_the_table_says(route, "anonymous", answer)


def test_a_revoked_token_is_dead_at_once_and_its_secret_is_shown_only_once(app: Flask, acme: people.Cast) -> None:
    mia = people.browser(app, acme.mia)
    url = f"{acme.home}/projects/{acme.project.id}/tokens"
    made = mia.submit(url, {"label": "Nightly job", "expires_in": ""}).get_data(as_text=True)
    secret = re.search(r"dlan_[\w-]{40,}", made)[0]  # type: ignore[index]
    assert secret not in mia.get(url).get_data(as_text=True)
    headers = {"Authorization": f"Bearer {secret}"}
    client = people.browser(app)
    assert client.get("/v1/models", headers=headers).status_code == 200
    hers = db.session.query(Membership).filter_by(organization_id=acme.organization.id, user_id=acme.mia.id)
    for role, status in ((Role.VIEWER, 401), (Role.MEMBER, 200)):
        hers.update({"role": role})
        db.session.commit()
        assert client.get("/v1/models", headers=headers).status_code == status, "it may what its maker may, no more"
    token = db.session.query(GatewayToken).filter_by(token_hash=GatewayToken.digest(secret)).one()
    mia.submit(f"{url}/{token.id}/revocation")
    assert client.get("/v1/models", headers=headers).status_code == 401


def test_a_token_cannot_use_or_list_another_organizations_models(
    app: Flask, acme: people.Cast, rival: people.Cast
) -> None:
    name = f"rivals-own-{uuid.uuid4().hex[:6]}"
    people.own_model(rival, people.own_provider(rival, "http://127.0.0.1:9/v1"), name, input=0, output=0)
    headers = {"Authorization": f"Bearer {acme.token()}"}
    client = people.browser(app)
    assert name not in client.get("/v1/models", headers=headers).get_data(as_text=True)
    bodies = []
    for model in (name, "x" * len(name)):
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
        answer = client.post("/v1/chat/completions", json=body, headers=headers)
        bodies.append((answer.status_code, answer.get_data().decode(errors="replace").replace(model, "…")))
    assert bodies[0] == bodies[1]
    assert bodies[0][0] in (400, 404)
