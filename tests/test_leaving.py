# ruff: noqa: F811  (fixtures are arguments)
"""One's own data as a file, and the end of an account: deleted, taken back, or gone for ever."""

from __future__ import annotations

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from dataelan_web.accounts import leaving
from dataelan_web.accounts.sign_up import create_organization
from dataelan_web.batches import ending as batch_ending
from dataelan_web.dashboards import exporting, personal
from dataelan_web.executions import departed, purge
from dataelan_web.extensions import db
from dataelan_web.members import managing
from dataelan_web.models import (
    IN_TRASH,
    AuditEvent,
    Comment,
    ExportState,
    Membership,
    Notice,
    Organization,
    OrganizationKind,
    Passkey,
    Role,
    RunExport,
    User,
    new_id,
    now,
)
from dataelan_web.storage import storage

from . import people
from .conftest import wait_until
from .test_accounts import PASSWORD, is_in, sign_in
from .test_own_account import fresh, letters_to, mail, signed_in  # noqa: F401  (fixtures)

LATER = IN_TRASH + timedelta(days=1)


@pytest.fixture
def mia(acme: people.Cast) -> User:
    """A member of Acme, with an organization of her own, and what a person leaves behind."""
    mia = acme.mia
    mia.set_password(PASSWORD)
    create_organization(mia, "Mia’s workspace", OrganizationKind.SOLO)
    run = people.ended(acme, "What is the capital of France?", "Paris")
    title = {"kind": "account", "title": "For Mia"}
    db.session.add_all(
        [
            Comment(id=new_id(), execution_id=run.id, author_id=mia.id, text="Right"),
            Notice(organization_id=acme.organization.id, user_id=mia.id, key=str(new_id()), **title),
        ]
    )
    acme.session.created_by = mia.id
    db.session.commit()
    return mia


def deleted(client: people.Browser, user: User, **said: object) -> Any:
    return client.submit("/account/deletion", {"address": user.email, "current": PASSWORD, **said})


def home_of(user: User) -> Organization:
    db.session.rollback()
    mine = select(Organization).join(Membership).where(Membership.user_id == user.id)
    return db.session.scalars(mine.where(Organization.kind == OrganizationKind.SOLO)).one()


def test_an_account_is_deleted_only_by_whoever_means_it_and_taken_back_as_it_was(
    app: Flask, acme: people.Cast, mia: User, mail: None
) -> None:
    secret, batch = acme.token(), people.batch(acme)
    db.session.execute(update(personal.GatewayToken).values(created_by=mia.id))
    db.session.commit()
    client, elsewhere = signed_in(app, mia), signed_in(app, mia)
    assert "Mia’s workspace" in client.get("/account/data").get_data(as_text=True)
    assert deleted(client, mia, address="another@example.com").status_code == 422
    assert deleted(client, mia, current="wrong").status_code == 422
    assert deleted(client, mia).headers["HX-Redirect"] == "/login"
    assert not is_in(client)
    assert not is_in(elsewhere)
    program = {"Authorization": f"Bearer {secret}"}
    assert people.browser(app).get("/v1/models", headers=program).status_code == 401
    assert not batch_ending.may_still_run(fresh_row(batch))
    assert home_of(mia).deleted_at
    assert "Your account was deleted" in [one.payload["title"] for one in letters_to(mia.email)]
    assert people.browser(app, acme.olivia).get(f"{acme.home}/members").status_code == 200

    back = people.browser(app)
    sign_in(back, mia.email)
    assert not is_in(back), "they can take it back, and do nothing else"
    assert back.get("/login").location == "/login/deleted"
    assert "Take it back" in back.get("/login/deleted").get_data(as_text=True)
    back.submit("/login/deleted")
    assert fresh(mia).deleted_at, "it stays deleted"
    sign_in(back, mia.email)
    back.submit("/login/deleted", {"wanted": "yes"})
    assert is_in(back)
    assert home_of(mia).deleted_at is None
    assert people.browser(app).get("/v1/models", headers=program).status_code == 200
    hers = select(AuditEvent.action).where(AuditEvent.subject_id == mia.id, AuditEvent.actor_id == mia.id)
    assert {"account.deleted", "account.taken_back"} <= set(db.session.scalars(hers))


def fresh_row(row: Any) -> Any:
    db.session.rollback()
    return db.session.get_one(type(row), row.id, populate_existing=True)


def test_the_last_owner_of_what_others_are_in_is_told_what_to_do_first(app: Flask, acme: people.Cast) -> None:
    olivia = acme.olivia
    olivia.set_password(PASSWORD)
    db.session.commit()
    client = signed_in(app, olivia)
    answer = deleted(client, olivia)
    assert answer.status_code == 422
    page = answer.get_data(as_text=True)
    assert "Others need you first" in page
    assert f"{acme.home}/settings/ownership" in page
    assert is_in(client)
    assert not fresh(olivia).deleted_at

    adam = select(Membership).where(Membership.user_id == acme.adam.id)
    db.session.scalars(adam).one().role = Role.OWNER
    db.session.commit()
    assert deleted(client, olivia).headers["HX-Redirect"] == "/login"
    assert fresh_row(acme.organization).deleted_at is None
    with pytest.raises(managing.LastOwner):  # who has left is no owner that an organization could be left to
        managing.leave(acme.organization, acme.adam)
    superuser = people.user("sue")
    superuser.is_superuser = True
    db.session.execute(update(User).where(User.is_superuser, User.id != superuser.id).values(is_superuser=False))
    assert leaving.is_last_superuser(superuser)
    db.session.rollback()


def test_of_two_owners_who_go_at_once_one_stays(app: Flask, acme: people.Cast) -> None:
    db.session.execute(update(Membership).where(Membership.user_id == acme.adam.id).values(role=Role.OWNER))
    db.session.commit()
    ids = [acme.olivia.id, acme.adam.id]

    def go(id: Any) -> bool:
        with app.app_context():
            try:
                leaving.delete(db.session.get_one(User, id))
            except leaving.InTheWay:
                return False
            return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(go, ids)) == [False, True]


def test_after_30_days_what_was_theirs_is_gone_and_what_others_read_is_somebodys_who_has_left(
    app: Flask, acme: people.Cast, mia: User, mail: None
) -> None:
    email, id, own = mia.email, mia.id, home_of(mia)
    deleted(signed_in(app, mia), mia)
    purge.purge()
    assert fresh(mia).purged_at is None
    sign_in(client := people.browser(app), email)
    for model, which in ((User, User.id == id), (Organization, Organization.id == own.id)):
        db.session.execute(update(model).where(which).values(deleted_at=now() - LATER))
    db.session.add(Passkey(user_id=id, name="Old phone", credential_id=new_id().bytes, public_key=b"-"))
    db.session.commit()
    purge.purge()
    gone = fresh(mia)
    assert gone.purged_at
    assert (gone.name, gone.has_password(PASSWORD)) == (departed.NAME, False)
    assert client.submit("/login/deleted", {"wanted": "yes"}).headers["HX-Redirect"] == "/login"
    assert fresh_row(own).purged_at
    assert not db.session.scalar(select(func.count()).select_from(Membership).where(Membership.user_id == id))
    assert not letters_to(email)
    stays = {"feedback", "batch_scores", "imports"}
    for table, owner in personal.own_tables():
        left = db.session.scalar(select(func.count()).select_from(table).where(owner == id))
        assert not left, table.name
        assert table.name in stays or any(one.__table__ is table for one in departed.THEIRS), (
            f"{table.name}: does it go with its person (executions/departed.THEIRS), or stay?"
        )
    comment = db.session.scalars(select(Comment).where(Comment.author_id == id)).one()
    talk = f"{acme.home}/executions/{comment.execution_id}/comments"
    page = people.browser(app, acme.adam).get(talk, headers={"HX-Request": "true"}).get_data(as_text=True)
    assert "Right" in page
    assert departed.NAME in page
    assert "Mia" not in page
    db.session.add(User(id=new_id(), email=email, name="Mia again", password_hash="-"))
    db.session.commit()


def test_ones_own_data_is_exported_at_once_or_by_a_worker_and_holds_no_secret(
    app: Flask, acme: people.Cast, mia: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = signed_in(app, mia)
    assert client.submit("/account/export", {"current": "wrong"}).status_code == 422
    answer = client.submit("/account/export", {"current": PASSWORD})
    assert answer.mimetype == "application/zip"
    packed = zipfile.ZipFile(io.BytesIO(answer.data))
    found = {name: packed.read(name).decode() for name in packed.namelist()}
    assert json.loads(found["profile.json"])["email"] == mia.email
    assert json.loads(found["notices.jsonl"])["title"] == "For Mia"
    assert acme.session.title in found["sessions.jsonl"]
    assert {"Acme", "Mia’s workspace"} == {json.loads(one)["organization"] for one in lines(found["memberships.jsonl"])}
    assert "account.exported" in found["audit_events.jsonl"]
    assert "sign_ins.jsonl" in found
    whole = "".join(found.values())
    user = fresh(mia)
    assert user.password_hash not in whole
    assert user.session_key not in whole
    assert not any(f'"{name}"' in whole for name in personal.HIDDEN)
    assert "Paris" not in whole, "what was said belongs to the organization"
    assert acme.olivia.email not in whole

    monkeypatch.setattr(personal, "AT_ONCE", 0)
    led = client.submit(f"/account/export?in={acme.organization.slug}", {"current": PASSWORD})
    export = db.session.scalars(select(RunExport).where(RunExport.user_id == mia.id)).one()
    assert led.headers["HX-Redirect"].endswith(str(export.id))
    exporting.write(export.id)
    wait_until(lambda: fresh_row(export).state is ExportState.DONE)  # a worker may have been quicker
    export = fresh_row(export)
    written = b"".join(storage().stream(export.storage_key, 0, export.size))
    assert "notices.jsonl" in zipfile.ZipFile(io.BytesIO(written)).namelist()
    page = client.get(led.headers["HX-Redirect"]).get_data(as_text=True)
    assert "Export of your data" in page


def lines(text: str) -> list[str]:
    return text.strip().split("\n")
