"""Organizations: made, of which kind, with which settings, exported, deleted, taken back and gone."""

from __future__ import annotations

import io
import json
import re
import uuid
import zipfile
from datetime import timedelta

from flask import Flask
from sqlalchemy import func, select, update

from dataelan_web.dashboards import everything, exporting
from dataelan_web.executions import purge
from dataelan_web.executions.candidates import usable_models
from dataelan_web.extensions import db
from dataelan_web.members import managing
from dataelan_web.models import (
    IN_TRASH,
    Annotation,
    APIKey,
    AuditEvent,
    Batch,
    BatchState,
    Execution,
    ExecutionBody,
    ExportState,
    GatewayToken,
    Happening,
    Increase,
    Invitation,
    KeyStrategy,
    Membership,
    ModelType,
    Organization,
    OrganizationKind,
    Pace,
    Project,
    Provider,
    RoutingRule,
    RunExport,
    SavedView,
    Scope,
    now,
)
from dataelan_web.models.limits import approve
from dataelan_web.organizations import kinds

from . import people, used
from .conftest import wait_until

AS_IT_IS = {"time_zone": "UTC", "default_rule": "", "words_kept_days": "", "runs_kept_days": "", "summaries": "none"}


def fresh(cast: people.Cast) -> Organization:
    db.session.rollback()
    return db.session.get_one(Organization, cast.organization.id, populate_existing=True)


def settings(cast: people.Cast, **changed: object) -> dict[str, object]:
    return {"name": cast.organization.name, **AS_IT_IS, **changed}


def test_anybody_makes_an_organization_and_switches_to_it(app: Flask, acme: people.Cast) -> None:
    for who in (acme.ned, acme.victor):
        client = people.browser(app, who)
        assert client.submit("/organizations/new", {"name": " ", "kind": "TEAM"}).status_code == 422
        assert client.submit("/organizations/new", {"name": "Initech", "kind": "GOD"}).status_code == 422
        there = client.submit("/organizations/new", {"name": "Initech", "kind": "TEAM"}).headers["HX-Redirect"]
        assert there.startswith("/o/initech-")
        assert "Initech is there, and you own it" in client.get(there).get_data(as_text=True)
    home = client.get(f"{acme.home}/").get_data(as_text=True)
    assert there.removesuffix("members") in home, "the switcher leads there"
    assert "/organizations/new" in home
    offered = client.get(f"{acme.home}/palette?q=initech switch").get_data(as_text=True)
    assert there.removesuffix("members") in offered


def test_a_kind_goes_up_freely_and_down_where_it_fits(app: Flask, acme: people.Cast) -> None:
    olivia, url = people.browser(app, acme.olivia), f"{acme.home}/settings/kind"
    answer = olivia.submit(url, {"kind": "SOLO"}).get_data(as_text=True)
    assert "3 other members would have to leave first." in answer
    assert "1 guest would have to leave first." in answer
    assert fresh(acme).kind is OrganizationKind.TEAM
    assert people.browser(app, acme.adam).submit(url, {"kind": "ENTERPRISE"}).status_code == 403
    olivia.submit(url, {"kind": "ENTERPRISE"})
    assert fresh(acme).kind is OrganizationKind.ENTERPRISE
    provider = str(people.simulated_model().provider_id)
    olivia.submit(f"{acme.home}/settings", settings(acme, allowed_providers=[provider]))
    assert "Allow all in the settings first" in olivia.submit(url, {"kind": "TEAM"}).get_data(as_text=True)
    olivia.submit(f"{acme.home}/settings", settings(acme))
    for who in ("adam", "mia", "victor", "gina"):
        people.browser(app, acme.people[who]).submit(f"{acme.home}/departure")
    assert kinds.problems(fresh(acme), OrganizationKind.SOLO) == []
    olivia.submit(url, {"kind": "SOLO"})
    assert fresh(acme).kind is OrganizationKind.SOLO
    refused = olivia.submit(f"{acme.home}/invitations", {"emails": "ada@example.com", "role": "MEMBER"})
    assert "for one person" in refused.get_data(as_text=True)
    assert db.session.scalar(select(func.count()).where(Invitation.organization_id == acme.organization.id)) == 0
    assert olivia.get(acme.session_url).status_code == 200, "what was there is there"


def test_only_allowed_providers_get_prompts_from_the_next_one_on(app: Flask, acme: people.Cast) -> None:
    own = people.own_provider(acme, "http://127.0.0.1:9/v1")
    people.own_model(acme, own, "mine", input=0, output=0)
    acme.organization.kind, acme.organization.key_strategy = OrganizationKind.ENTERPRISE, KeyStrategy.HYBRID
    db.session.commit()
    olivia = people.browser(app, acme.olivia)
    olivia.submit(f"{acme.home}/settings", settings(acme, allowed_providers=[str(own.provider_id)]))
    assert {one.model for one in usable_models(db.session, _project(acme))} == {"mine"}
    gateway = people.browser(app).get("/v1/models", headers={"Authorization": f"Bearer {acme.secret}"})
    assert "simulated-instant" not in gateway.get_data(as_text=True)
    unknown = olivia.submit(f"{acme.home}/settings", settings(acme, allowed_providers=[str(uuid.uuid4())]))
    assert unknown.status_code == 422
    assert fresh(acme).allowed_providers == [str(own.provider_id)]
    db.session.get_one(Provider, own.provider_id).archived_at = now()
    db.session.commit()
    assert "Own (deleted)" in olivia.get(f"{acme.home}/settings").get_data(as_text=True), "or it were taken out unseen"
    olivia.submit(f"{acme.home}/settings", settings(acme, allowed_providers=[str(own.provider_id)]))
    assert usable_models(db.session, _project(acme)) == []


def test_new_sessions_ask_the_default_rule(app: Flask, acme: people.Cast) -> None:
    rule = RoutingRule(organization_id=acme.organization.id, name="House rule")
    db.session.add(rule)
    db.session.commit()
    olivia = people.browser(app, acme.olivia)
    olivia.submit(f"{acme.home}/settings", settings(acme, name="Acme & Sons", default_rule=str(rule.id)))
    assert fresh(acme).name == "Acme & Sons"
    project = _project(acme)
    assert project.first_settings(ModelType.CODE) == {"model": "House rule"}
    assert project.first_settings(ModelType.IMAGE) == {}
    line = db.session.scalars(select(AuditEvent).where(AuditEvent.organization_id == acme.organization.id)).one()
    assert line.detail["before"] == {"name": "Acme", "default_rule_id": None}
    olivia.submit(f"{acme.home}/hub/rules/{rule.id}/deletion")
    db.session.expire_all()
    assert _project(acme).first_settings(ModelType.CODE) == {}
    olivia.submit(f"{acme.home}/trash/rule/{rule.id}/restoration")
    db.session.expire_all()
    assert _project(acme).first_settings(ModelType.CODE) == {"model": "House rule"}


def test_a_deleted_organization_is_closed_at_once_and_can_be_taken_back_as_it_was(
    app: Flask, acme: people.Cast
) -> None:
    batch = people.batch(acme)
    batch.state = BatchState.RUNNING
    db.session.commit()
    olivia, mia, gateway = people.browser(app, acme.olivia), people.browser(app, acme.mia), people.browser(app)
    token = {"Authorization": f"Bearer {acme.secret}"}
    assert "Write “Acme”" in olivia.submit(f"{acme.home}/deletion", {"name": "acm"}).get_data(as_text=True)
    assert olivia.submit(f"{acme.home}/deletion", {"name": "acme"}).status_code == 204
    assert gateway.get("/v1/models", headers=token).status_code == 401
    for client, says in ((mia, "Ask one of them"), (olivia, "Take it back")):
        for path in ("/", f"/projects/{acme.project.id}", "/members"):
            answer = client.get(f"{acme.home}{path}")
            assert answer.status_code == 410
            assert says in answer.get_data(as_text=True)
    assert people.browser(app, acme.ned).get(f"{acme.home}/").status_code == 404
    assert mia.submit(f"{acme.home}/restoration").status_code == 410
    assert mia.get("/").location == "/organizations/new"
    assert olivia.submit(f"{acme.home}/restoration").status_code == 204
    assert mia.get(acme.session_url).status_code == 200
    assert gateway.get("/v1/models", headers=token).status_code == 200
    assert db.session.get_one(Batch, batch.id, populate_existing=True).state is BatchState.PAUSED


def test_after_thirty_days_what_was_said_is_gone_and_the_books_stay(app: Flask, acme: people.Cast) -> None:
    run = people.ended(acme, "Our secret plan", "The answer", cost=5)
    key = people.own_provider(acme, "http://127.0.0.1:9/v1")
    assert acme.secret
    rate = used.rate(None, Scope.ORGANIZATION, acme.organization.id, parallel=2)
    more = used.asked(acme, rate, acme.mia, 1, "Our secret plan", Pace.PARALLEL)
    used.asked(acme, rate, acme.mia, 1, "Our other plan", Pace.PARALLEL)
    assert approve(db.session, more.id, acme.olivia.id, 1, now() + timedelta(days=1), "As you wish")
    here = {"organization_id": acme.organization.id}
    db.session.add(SavedView(**here, name="Our secret plan", page="overview", address={}, is_shared=True))
    db.session.add(Annotation(**here, at=now(), kind=Happening.OTHER, text="Our secret plan"))
    acme.organization.discard(acme.olivia.id)
    db.session.commit()
    purge.purge()
    assert fresh(acme).purged_at is None, "not before its time"
    late = update(Organization).where(Organization.id == acme.organization.id)
    db.session.execute(late.values(deleted_at=now() - IN_TRASH - timedelta(minutes=1)))
    db.session.commit()
    purge.purge()
    gone = fresh(acme)
    assert gone.purged_at
    assert "Acme" not in gone.name + gone.slug
    assert db.session.get(ExecutionBody, run.id) is None
    assert db.session.get_one(Execution, run.id, populate_existing=True).cost == 5
    assert db.session.get_one(APIKey, key.id, populate_existing=True).ciphertext == ""
    told = select(Increase.reason, Increase.answer_note).where(Increase.rate_id == rate.id)
    assert db.session.execute(told).all() == [("", "")], "what was granted of the operator's limit, without a word"
    used.nothing_of_the_operators()
    for named in (SavedView, Annotation):
        assert db.session.scalars(select(named.id).where(named.organization_id == gone.id)).all() == []
    for model in (Membership, Project, GatewayToken):
        query = select(func.count()).select_from(model)
        if model is Membership:
            assert db.session.scalar(query.where(Membership.organization_id == gone.id)) == 0
        if model is GatewayToken:
            assert db.session.scalar(query.where(GatewayToken.project_id == acme.project.id)) == 0
    olivia = people.browser(app, acme.olivia)
    assert olivia.get(f"/o/{gone.slug}/").status_code == 404
    assert olivia.get("/").location == "/organizations/new"


def _export(id: uuid.UUID) -> RunExport:
    db.session.rollback()
    return db.session.get_one(RunExport, id, populate_existing=True)


def test_an_owner_takes_everything_out_as_a_zip_without_secrets_and_without_others(
    app: Flask, acme: people.Cast, rival: people.Cast
) -> None:
    people.ended(acme, "What is ours", "An answer of ours", cost=7)
    people.ended(rival, "What is theirs", "An answer of theirs")
    people.own_provider(acme, "http://127.0.0.1:9/v1", secret="sk-CANARY-everything")
    run = people.ended(acme, "A picture")
    picture = people.asset(acme, b"GIF89a-bytes", "image/gif", "../dot.gif", execution_id=run.id)
    db.session.add(picture)
    db.session.commit()
    assert acme.secret
    mia, template = people.browser(app, acme.mia), people.template(acme, "What is published")
    unsaid = {"message_role": "user", "message_text": "What Mia has not said yet"}
    assert mia.submit(f"{acme.home}/prompts/{template.id}/draft", unsaid).status_code == 200
    chat = (
        b'[{"uuid": "1", "name": "Hers", "chat_messages": [{"sender": "human", "text": "What Mia may not bring in"}]}]'
    )
    file = {"file": (io.BytesIO(chat), "conversations.json")}
    assert mia.submit(f"{acme.home}/projects/{acme.project.id}/imports", file).status_code == 201
    olivia = people.browser(app, acme.olivia)
    url = olivia.submit(f"{acme.home}/export").headers["HX-Redirect"]
    assert olivia.submit(f"{acme.home}/export").headers["HX-Redirect"] == url, "one at a time"
    id = uuid.UUID(url.rpartition("/")[2])
    exporting.write(id)
    wait_until(lambda: _export(id).state is not ExportState.RUNNING, 30)  # the worker of other tests may be at it
    export = _export(id)
    assert (export.state, export.written, export.cost) == (ExportState.DONE, 2, 7)
    assert "Export of everything" in olivia.get(url).get_data(as_text=True)
    answer = olivia.get(f"{url}/file")
    assert answer.mimetype == "application/zip"
    assert people.browser(app, acme.adam).get(f"{url}/file").status_code == 404
    with zipfile.ZipFile(io.BytesIO(answer.data)) as packed:
        contents = {name: packed.read(name).decode() for name in packed.namelist()}
    everything_said = "".join(contents.values())
    assert "An answer of ours" in contents["execution_bodies.jsonl"]
    assert contents[f"files/{picture.id}/_dot.gif"] == "GIF89a-bytes"
    assert {json.loads(line)["role"] for line in contents["people.jsonl"].splitlines()} == set(people.ROLES.values())
    assert "theirs" not in everything_said
    assert "What is published" in everything_said
    assert "What Mia" not in everything_said, "a draft is its author's alone"
    for secret in ("dk1.", "CANARY", GatewayToken.digest(acme.secret), acme.secret, "password_hash", "session_key"):
        assert secret not in everything_said
    assert json.loads(contents["manifest.json"])["rows"]["executions"] == 2
    tables = {table.name for table, _ in everything.owned(acme.organization.id)}
    assert {"templates", "template_versions", "batch_cells", "comments", "ledger_entries", "attempts"} <= tables
    assert not {"users", "deliveries", "rollup_queue", "search_queue"} & tables
    assert not re.search(r"\.\./", " ".join(contents))
    adams = select(Membership).where(Membership.organization == acme.organization, Membership.user == acme.adam)
    managing.transfer(acme.organization, db.session.scalars(adams).one(), acme.olivia)
    assert (olivia.get(url).status_code, olivia.get(f"{url}/file").status_code) == (403, 403), "no owner any more"


def _project(cast: people.Cast) -> Project:
    db.session.rollback()
    db.session.expire_all()
    return db.session.get_one(Project, cast.project.id, populate_existing=True)
