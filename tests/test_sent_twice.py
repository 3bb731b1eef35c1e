"""Every form that makes something, sent twice under one mark: the second changes nothing, and is answered as the first.

MAKES is the table. A route that is posted to and is in none of the lists here fails the build: whoever adds one says
what comes of it when it is sent twice.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from dataelan_web.extensions import db
from dataelan_web.jobs.queue import store
from dataelan_web.models import APIKey, AuditEvent, Base, Budget, OrganizationKind, Provider, RateLimit, RoutingRule

from . import acting, people
from .test_access import HTMX, ROUTES, Ids, Route, by_feature, counts, known_at_its_provider, of_the_platform, rows_of
from .upstream import Upstream, upstream

ROUTE = {route.endpoint: route for route in ROUTES if route.method == "POST"}
RULE = {"name": "Twice", "model_type": "TEXT", "strategy": "weighted", "is_enabled": "yes"}
RULE |= {"model": "{model}", "weight-{model}": "1"}
ACTION = {"name": "create_ticket", "description": "Opens one.", "schema": json.dumps(acting.SCHEMA)}
ACTION |= {"sample": json.dumps(acting.SAMPLE), "approval": "editors", "repairs": "1"}
HOOKED = {"delivery": "webhook", "url": "http://127.0.0.1:9/"}
MODEL = {"purpose": "IMAGE/image", "name": "drawing", "state": "priced", "price_per_image": "0.04"}
WEBHOOK = {"label": "Ops", "url": "http://127.0.0.1:9/other", "events": "limit.reached"}
HUB = {"format": "dataelan", "text": "dataelan: 1\nsettings: {key_strategy: BYOK}"}

MAKES: dict[str, dict[str, Any]] = {
    "admin_hub.create_key": {"provider_id": "{open_provider}", "key": "sk-twice-12345678"},
    "admin_hub.rule_create": {
        "name": "shared-twice-{unique}",
        "model_type": "TEXT",
        "strategy": "weighted",
        "model": "{shared_model}",
        "weight-{shared_model}": "1",  # and switched off
    },
    "admin_limits.create": {},
    "admin_limits.create_rate": {},
    "actions.change": {**ACTION, **HOOKED, "description": "In other words."},
    "actions.create": {**ACTION, **HOOKED},
    "actions.rotate": {},
    "actions.test": {},
    "batches.add_check": {"kind": "contains", "text": "simulated", "loosely": "y"},
    "batches.copy": {},
    "batches.create": {},
    "dashboards.save_view": {"page": "spend", "range": "30d", "name": "Month"},
    "dashboards.write_note": {"at": "2026-05-01T10:00", "kind": "other", "text": "Noted"},
    "founding.create": {"name": "Initech", "kind": "TEAM"},
    "hub.connect_server": {"name": "Ours", "base_url": "{upstream}"},
    "hub.create_key": {"provider_id": "{open_provider}", "key": "sk-twice-12345678"},
    "hub.import_hub": HUB,
    "hub.model_add": {**MODEL, "provider_id": "{provider}"},
    "hub.model_price": {"state": "free"},
    "hub.model_session": {},
    "hub.rule_create": RULE,
    "limits.ask": {},
    "limits.create": {},
    "limits.create_rate": {},
    "members.invite": {"emails": "ada-{unique}@example.com"},
    "members.invite_guest": {"emails": "ada-{unique}@example.com"},
    "members.renew": {},
    "notices.webhook_change": WEBHOOK,
    "notices.webhook_create": WEBHOOK,
    "notices.webhook_retry": {},
    "notices.webhook_rotate": {},
    "notices.webhook_test": {},
    "organizations.export": {},
    "playground.create": {},
    "playground.fork": {},
    "programs.create": {"name": "Nightly"},
    "programs.issue": {"label": "Its token", "expires_in": "", "project": "{project}"},
    "programs.rotate": {},
    "projects.create": {},
    "projects.create_token": {},
    "projects.rotate_token": {},
    "prompts.add_case": {},
    "prompts.comment": {},
    "prompts.create": {"name": "Another"},
    "prompts.move_label": {},
    "prompts.open_session": {},
    "prompts.propose": {},
    "prompts.publish": {},
    "sharing.comment": {},
    "sharing.create_link": {"lasts": "30"},
    "sso_settings.claim": {"domain": "twice-{unique}.example"},
}
"""endpoint → what its form says, beside what test_access.py sends there."""

WITH_MORE = ("hub.models_from_catalogue", "imports.create_import", "dashboards.export_runs")
"""They want a file, a provider of everyone's or many runs (tests/test_done_once.py)."""

BY_PROOF = "account.change_address account.confirm_two_factor account.export".split()
BY_PROOF += ["account.renew_codes_by_proof", "account.renew_recovery_codes"]
"""They ask for a password, a passkey or a code (tests/test_done_once.py)."""

BY_SUBMISSION = (
    "playground.answer_tools playground.create_comparison playground.create_execution playground.retry "
    "playground.retry_comparison playground.reword playground.vary prompts.run prompts.run_cases"
).split()
"""They run prompts, each once by a key of the run's own: of a `submission` mostly (tests/test_once.py, and those of
their pages)."""

WHY_NOT: dict[str, str] = {
    "What is said last holds, and it is the same": """
        account.prove account.rename account.rename_passkey account.set_up_two_factor actions.state
        admin_hub.change_key admin_hub.make_default admin_hub.replace_secret admin_hub.rule_change
        admin_hub.rule_enablement admin_hub.rule_place admin_hub.set_key_order admin_hub.set_key_state
        admin_limits.change admin_limits.change_rate admin.set_mode admin.switch_home admin.switch_person
        batches.score batches.setup
        dashboards.change_note dashboards.open_view_first dashboards.rename_view dashboards.share_view
        hub.change_key hub.change_project_keys hub.change_provider hub.change_settings hub.make_default
        hub.model_enablement hub.model_facts hub.replace_secret hub.rule_change hub.rule_enablement hub.rule_place
        hub.set_key_order hub.set_key_state limits.change limits.change_rate
        members.change_collaborator members.change_role
        notices.choose_mail notices.read notices.read_all notices.webhook_state
        organizations.change_kind organizations.change_settings organizations.change_sign_in
        organizations.change_ways
        playground.archive playground.rename playground.star playground.tag playground.tick playground.untag
        programs.change programs.state projects.change_gateway projects.rename
        prompts.change prompts.change_case prompts.keep_draft prompts.protect_label
        sharing.allow_links sharing.change_comment sharing.rate
        sso_settings.change sso_settings.check_domain sso_settings.enforce""",
    "What it ends, deletes, revokes or brings back is then as it shall be": """
        account.delete account.end_others account.end_sign_in admin_hub.delete_key admin_hub.rule_deletion
        admin_limits.delete admin_limits.delete_rate
        account.remove_passkey account.turn_off_two_factor
        accounts.come_back accounts.logout acting.end actions.delete admin.end_sign_ins batches.delete
        batches.remove_check dashboards.delete_note dashboards.delete_view hub.delete_key hub.delete_provider
        hub.model_deletion hub.model_facts_undoing hub.model_price_ending hub.restore_model hub.restore_provider
        hub.rule_deletion
        limits.delete limits.delete_rate members.leave members.let_out members.remove members.revoke
        notices.webhook_deletion organizations.delete organizations.restore playground.delete_asset
        playground.delete_comparison playground.delete_run playground.delete_session programs.delete programs.revoke
        projects.delete projects.revoke_token prompts.delete prompts.delete_case prompts.drop_draft
        prompts.put_back_label prompts.remove_label prompts.restore prompts.take_back_draft sharing.delete_comment
        sharing.restore_comment sharing.revoke_link sso_settings.forget sso_settings.release_domain sso_settings.remove
        trash.erase trash.restore admin_trash.erase admin_trash.restore""",
    "It leads from one state to another, and finds the second there": """
        actions.approve actions.decline actions.retry admin.mend_all admin_limits.approve admin_limits.decline
        admin.cancel_export admin.cancel_run admin.make_superuser
        admin.retry_delivery admin.retry_export admin.wake_run batches.ask_judges_again batches.cancel batches.pause
        batches.resume batches.retry batches.start dashboards.cancel_export hub.model_replacement hub.state_free
        imports.bring_in limits.approve limits.decline limits.withdraw organizations.transfer playground.cancel
        playground.cancel_comparison playground.choose_answer playground.continue_from playground.move
        prompts.decide""",
    "There can be one only: the database says so": """
        accounts.signup joining.accept members.let_in playground.add_files playground.keep_asset
        playground.keep_found sso.link""",
    "A secret, code or challenge counts once": """
        account.add_passkey account.change_password account.confirm_address accounts.code accounts.passkey
        accounts.second_passkey forgotten.reset""",
    "It signs in, which is a new sign-in each time": "accounts.login admin.act_as sso.go_beside sso.sign_in_anew",
    "It answers with a file, a look or a question, and makes nothing": """
        account.prepare_passkey account.proof_options accounts.passkey_options accounts.second_passkey_options
        actions.check admin_hub.refresh_models admin_hub.rule_draft admin_hub.rule_preview
        admin_hub.rule_rehearsal admin_hub.test_key
        admin_limits.draft_anew admin_limits.draft_rate admin_limits.preview admin_limits.preview_rate
        admin.export_audit audit_log.export_file hub.preview_import hub.refresh_models
        hub.rule_draft hub.rule_dry_run hub.rule_preview hub.rule_rehearsal hub.test_key limits.draft_anew
        limits.draft_rate limits.preview limits.preview_rate playground.draft_comparison playground.quote
        playground.quote_comparison playground.quote_first playground.quote_rewording prompts.quote sso.find
        sso_settings.test""",
    "The letter that it sends has the same address, and few are sent an hour": "forgotten.ask",
}


def every_post(app: Flask) -> set[str]:
    """The endpoints that browsers post to. Programs have their Idempotency-Key (tests/test_gateway.py)."""
    there = {rule.endpoint for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    return {endpoint for endpoint in there if not endpoint.startswith("gateway.")}


def test_every_form_is_done_once_or_says_why_it_need_not(app: Flask) -> None:
    reasoned = " ".join(WHY_NOT.values()).split()
    listed = [*MAKES, *WITH_MORE, *BY_PROOF, *BY_SUBMISSION, *reasoned]
    assert len(listed) == len(set(listed)), sorted(name for name in listed if listed.count(name) > 1)
    there = every_post(app)
    missing = sorted(there - set(listed))
    assert not missing, f"Say in tests/test_sent_twice.py what comes of {missing} when it is sent twice"
    assert not set(listed) - there, f"gone: {sorted(set(listed) - there)}"
    guarded = {endpoint for endpoint in there if getattr(app.view_functions[endpoint], "is_done_once", False)}
    assert guarded == {*MAKES, *WITH_MORE, *BY_PROOF}


@pytest.fixture(scope="module")
def vendor() -> Iterator[Upstream]:
    with upstream() as vendor:
        vendor.answers({"object": "list", "data": [{"id": "one"}]})
        yield vendor


MEANWHILE = {
    "actions.approve": ("action_attempts", "notices", "deliveries"),
    "actions.retry": ("action_attempts", "notices", "deliveries"),
    "organizations.export": ("notices", "deliveries"),
}
"""endpoint → what a worker that runs meanwhile writes, as soon as it gets there: it tries to deliver, or an export is
done. That a call is approved and a notice sent once is tested where they live."""


def everything(cast: people.Cast, endpoint: str) -> Counter[str]:
    """How many rows of each table the organization has, and of some that belong to none. What rows say is looked at
    where nothing else tells, since a worker may change it; who changes something writes a line of the audit log too."""
    rows = rows_of(cast)
    if endpoint == "notices.webhook_retry":  # which sends what is there
        return Counter(rows)
    but = MEANWHILE.get(endpoint, ())
    found = Counter(row.partition(":")[0] for row in rows) | Counter(counts())
    if ROUTE[endpoint].is_admin:
        found |= Counter({f"all {made.__tablename__}": total(made) for made in SHARED})
    return Counter({table: count for table, count in found.items() if table not in but})


SHARED = (APIKey, AuditEvent, Budget, RateLimit, RoutingRule)
"""What superusers make for everybody."""


def total(what: type[Base]) -> int:
    return db.session.scalar(select(func.count()).select_from(what)) or 0


def filled(words: str, values: dict[str, str]) -> str:
    return re.sub(r"{(\w+)}", lambda found: values.get(found[1], found[0]), words)


def told(answer: TestResponse) -> bool:
    return "done once" in answer.get_data(as_text=True)


def same(one: TestResponse, two: TestResponse) -> bool:
    def seen(answer: TestResponse) -> tuple[object, ...]:
        return answer.status_code, answer.data, answer.headers.get("Location"), answer.headers.get("HX-Redirect")

    return seen(one) == seen(two)


@pytest.mark.parametrize("endpoint", MAKES)
def test_what_is_sent_twice_is_made_once(app: Flask, acme: people.Cast, vendor: Upstream, endpoint: str) -> None:
    said, values = made_for(endpoint, acme, vendor)
    url = ROUTE[endpoint].path.format(**values)
    form = {filled(name, values): filled(said, values) for name, said in said.items()}
    acme.olivia.is_superuser = ROUTE[endpoint].is_admin
    db.session.commit()
    olivia, before = people.browser(app, acme.olivia), everything(acme, endpoint)
    form |= {"once": uuid.uuid4().hex, "csrf_token": olivia.csrf()}
    first = olivia.post(url, data=form, headers=HTMX)
    assert first.status_code < 400, first.get_data(as_text=True)
    after = everything(acme, endpoint)
    assert after != before, "it makes nothing here"
    second = olivia.post(url, data=form, headers=HTMX)
    assert everything(acme, endpoint) == after, "the second made something"
    if app.view_functions[endpoint].tells_secret:  # type: ignore[attr-defined]
        assert told(second)
        assert second.headers["HX-Reswap"] == "none", "what the first showed stays where it is"
        assert not secrets_kept()
    else:
        assert same(first, second)
    assert second.headers["Dataelan-Spent"] == form["once"]


def made_for(endpoint: str, cast: people.Cast, vendor: Upstream) -> tuple[dict[str, str], dict[str, str]]:
    """What the form says, with braces, and what these stand for."""
    route = ROUTE[endpoint]
    said = {**route.form, **MAKES.get(endpoint, {})}
    names = [
        field.name for field in fields(Ids) if "{" + field.name + "}" in " ".join((route.path, *said, *said.values()))
    ]
    values = vars(Ids(cast.organization.slug, str(cast.project.id), str(cast.session.id)).with_new(cast, names))
    values |= {"unique": uuid.uuid4().hex, "upstream": vendor.url}
    if endpoint == "hub.create_key":
        values["open_provider"] = str(people.own_provider(cast, vendor.url).provider_id)
    if endpoint == "admin_hub.create_key":
        values |= of_the_platform(cast)
        provider = db.session.get_one(Provider, uuid.UUID(values["shared_provider"]))
        provider.base_url, provider.is_trusted = vendor.url, True
        values["open_provider"] = values["shared_provider"]
    if endpoint == "sso_settings.claim":
        cast.organization.kind = OrganizationKind.ENTERPRISE
        known_at_its_provider(cast)
    db.session.commit()
    return said, values


SECRETS = re.compile(rb"whsec_|dlan_[\w-]{20}|/(join|s)/[\w-]{20}")


def secrets_kept() -> list[bytes]:
    keys = list(store().scan_iter("dataelan:sent:*", count=1_000))
    kept = store().mget(keys) if keys else []
    return [answer for answer in kept if answer and SECRETS.search(answer)]


TRIED = [
    name for names in WHY_NOT.values() for name in names.split() if ROUTE[name].is_inside and ROUTE[name].status < 400
]


@pytest.mark.sweep
@by_feature([ROUTE[name] for name in TRIED])
def test_what_need_not_be_done_once_makes_nothing_more_when_it_is_sent_twice(
    app: Flask, routes: list[Route], context: None, vendor: Upstream, subtests: pytest.Subtests
) -> None:
    """But a line of the audit log, of some; without a mark, as they take none."""
    for route in routes:
        with subtests.test(str(route)):
            home = people.cast("Apart")  # of its own: a worker may still be at what the route before it asked for
            said, values = made_for(route.endpoint, home, vendor)
            who = home.mia if route.allowed == {"mia"} else home.olivia
            client, url = people.browser(app, who), route.path.format(**values)
            form = {filled(name, values): filled(word, values) for name, word in said.items()}
            assert client.submit(url, form).status_code < 400
            once = everything(home, route.endpoint)
            client.submit(url, form)
            more = everything(home, route.endpoint) - once
            assert set(more) <= {"audit_events", "all audit_events"}
