"""Members, invitations and guests: who comes in, as what, and who is never lost."""

from __future__ import annotations

import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError

from dataelan_web.extensions import db
from dataelan_web.jobs.queue import store
from dataelan_web.members import collaborating, inviting, managing, throttle
from dataelan_web.models import (
    AuditEvent,
    Collaborator,
    Delivery,
    GatewayToken,
    Invitation,
    Membership,
    OrganizationKind,
    ProjectRole,
    Role,
    User,
    now,
)
from dataelan_web.notify import deliver, letters

from . import people
from .conftest import wait_until
from .test_mail import Postman, postman  # noqa: F401  (a fixture)

LINK = re.compile(r"/join/([\w-]{40,})")
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def no_wrong_link_yet(context: None) -> None:
    """From this machine, by whatever test before."""
    store().delete("links:127.0.0.1")


def member(cast: people.Cast, who: str) -> Membership:
    db.session.rollback()
    here = Membership.organization_id == cast.organization.id, Membership.user_id == cast.people[who].id
    return db.session.scalars(select(Membership).where(*here).execution_options(populate_existing=True)).one()


def role(cast: people.Cast, person: User) -> Role | None:
    db.session.rollback()
    return managing.role_of(cast.organization.id, person.id)


def owners(cast: people.Cast) -> int:
    db.session.rollback()
    here = Membership.organization_id == cast.organization.id, Membership.role == Role.OWNER
    return db.session.scalar(select(func.count()).where(*here)) or 0


def link(cast: people.Cast, email: str, role: Role | ProjectRole = Role.MEMBER, **more: Any) -> str:
    """The secret of a new invitation by Olivia."""
    made = inviting.invite(cast.organization, cast.olivia, email, role, **more)
    return made.link.rpartition("/")[2]


def stranger() -> User:
    """Somebody with an account, who belongs nowhere here."""
    person = people.user(f"sam{uuid.uuid4().hex[:6]}")
    db.session.commit()
    return person


def at_once(app: Flask, acts: list[Callable[[], object]]) -> Counter[str]:
    """All of them at the same moment, each in a thread with a connection of its own: how they ended, by name."""
    gate = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> str:
        with app.app_context():
            gate.wait()
            try:
                act()
                return "done"
            except Exception as error:
                return type(error).__name__
            finally:
                db.session.rollback()

    with ThreadPoolExecutor(len(acts)) as pool:
        return Counter(pool.map(run, acts))


# -- members ---------------------------------------------------------------------------------------


def test_the_page_of_members_is_searched_and_offers_what_one_may_do(app: Flask, acme: people.Cast) -> None:
    adam, victor = people.browser(app, acme.adam), people.browser(app, acme.victor)
    page = adam.get(f"{acme.home}/members").get_data(as_text=True)
    for who in ("olivia", "adam", "mia", "victor", "gina"):
        assert acme.people[who].email in page
    assert acme.ned.email not in page
    assert f"/members/{member(acme, 'mia').id}/removal" in page
    assert f"/members/{member(acme, 'olivia').id}/removal" not in page, "an admin cannot remove an owner"
    plain = victor.get(f"{acme.home}/members").get_data(as_text=True)
    assert "/removal" not in plain
    assert "invitations" not in plain
    found = adam.get(f"{acme.home}/members?q=MIA").get_data(as_text=True)
    assert acme.mia.email in found
    assert acme.victor.email not in found
    assert "Nobody is called so" in adam.get(f"{acme.home}/members?q=nobody%25").get_data(as_text=True)


def test_nobody_gives_or_takes_a_role_above_their_own(app: Flask, acme: people.Cast) -> None:
    adam = people.browser(app, acme.adam)
    url = f"{acme.home}/members/{{}}"
    assert adam.submit(url.format(f"{member(acme, 'mia').id}/role"), {"role": "OWNER"}).status_code == 403
    assert adam.submit(url.format(f"{member(acme, 'olivia').id}/role"), {"role": "VIEWER"}).status_code == 403
    assert adam.submit(url.format(f"{member(acme, 'olivia').id}/removal")).status_code == 403
    assert adam.submit(url.format(f"{member(acme, 'adam').id}/role"), {"role": "OWNER"}).status_code == 403
    assert adam.submit(f"{acme.home}/invitations", {"emails": "x@example.com", "role": "OWNER"}).status_code == 422
    assert adam.submit(url.format(f"{member(acme, 'mia').id}/role"), {"role": "ADMIN"}).status_code == 200
    assert {who: role(acme, acme.people[who]) for who in people.ROLES} == {**people.ROLES, "mia": Role.ADMIN}
    line = db.session.scalars(select(AuditEvent).where(AuditEvent.organization_id == acme.organization.id)).one()
    assert (line.action, line.detail) == ("member.role_changed", {"before": "MEMBER", "after": "ADMIN"})


def test_who_is_removed_is_out_at_once_with_tokens_and_projects_and_what_they_made_stays(
    app: Flask, acme: people.Cast
) -> None:
    token, secret = GatewayToken.issue(acme.project, acme.mia.id, "Mia’s")
    db.session.add_all([token, Collaborator(project_id=acme.project.id, user_id=acme.mia.id, role=ProjectRole.EDITOR)])
    run = people.ended(acme, "Hello", "Hi")
    mia, gateway = people.browser(app, acme.mia), {"Authorization": f"Bearer {secret}"}
    assert mia.get("/v1/models", headers=gateway).status_code == 200
    answer = people.browser(app, acme.adam).submit(f"{acme.home}/members/{member(acme, 'mia').id}/removal")
    assert "1 gateway token of theirs refused" in answer.get_data(as_text=True)
    assert mia.get(acme.session_url).status_code == 404
    assert mia.get("/v1/models", headers=gateway).status_code == 401
    db.session.add(Membership(organization_id=acme.organization.id, user_id=acme.mia.id, role=Role.MEMBER))
    db.session.commit()
    assert mia.get("/v1/models", headers=gateway).status_code == 401, "a token does not come back with its maker"
    db.session.refresh(run)
    assert run.user_id == acme.mia.id


def test_the_last_owner_can_neither_step_down_nor_leave_nor_be_taken_out(app: Flask, acme: people.Cast) -> None:
    olivia, hers = people.browser(app, acme.olivia), member(acme, "olivia").id
    answer = olivia.submit(f"{acme.home}/members/{hers}/role", {"role": "ADMIN"})
    assert answer.status_code == 422
    assert "keeps an owner" in answer.get_data(as_text=True)
    olivia.submit(f"{acme.home}/departure")
    assert role(acme, acme.olivia) is Role.OWNER
    with pytest.raises(IntegrityError, match="keeps an owner"):  # whatever the code does
        db.session.execute(text("DELETE FROM memberships WHERE id = :id"), {"id": hers})
        db.session.commit()
    db.session.rollback()
    assert owners(acme) == 1


def test_an_owner_who_was_switched_off_is_none_that_an_organization_could_be_left_to(
    app: Flask, acme: people.Cast
) -> None:
    adam, olivia = member(acme, "adam"), people.browser(app, acme.olivia)
    adam.role, acme.adam.disabled_at = Role.OWNER, now()
    db.session.commit()
    olivia.submit(f"{acme.home}/departure")
    assert role(acme, acme.olivia) is Role.OWNER
    mine = f"{acme.home}/members/{member(acme, 'olivia').id}/role"
    assert olivia.submit(mine, {"role": "MEMBER"}).status_code == 422
    member(acme, "adam").role = Role.ADMIN
    db.session.commit()
    assert olivia.submit(f"{acme.home}/settings/owner", {"to": str(adam.id)}).status_code == 422
    member(acme, "adam").role = Role.OWNER
    db.session.commit()
    assert olivia.submit(f"{acme.home}/members/{adam.id}/removal").status_code == 200, "but whoever can act is left"
    assert owners(acme) == 1


def test_two_owners_who_remove_or_demote_each_other_at_once_leave_one(app: Flask, acme: people.Cast) -> None:
    here, ids = acme.organization.id, (acme.olivia.id, acme.adam.id)

    def act(how: str, by: uuid.UUID, whom: uuid.UUID) -> Callable[[], object]:
        def run() -> None:
            row = db.session.query(Membership).filter_by(organization_id=here, user_id=whom).one()
            actor = db.session.get_one(User, by)
            if how == "leave":
                managing.leave(row.organization, actor)
            else:
                managing.remove(row, actor) if how == "remove" else managing.change_role(row, Role.MEMBER, actor)

        return run

    for how in ("remove", "demote", "leave"):
        db.session.rollback()
        for id in ids:
            db.session.query(Membership).filter_by(organization_id=here, user_id=id).delete()
            db.session.add(Membership(organization_id=here, user_id=id, role=Role.OWNER))
        db.session.commit()
        pairs = [(one, one) for one in ids] if how == "leave" else [ids, ids[::-1]]
        ended = at_once(app, [act(how, *pair) for pair in pairs * 2])
        assert owners(acme) == 1, (how, ended)
        assert ended["done"] >= 1
        assert not set(ended) - {"done", "LastOwner", "Forbidden", "NotFound", "NoResultFound"}


def test_ownership_is_handed_over_in_one_step(app: Flask, acme: people.Cast) -> None:
    olivia = people.browser(app, acme.olivia)
    olivia.submit(f"{acme.home}/settings/owner", {"to": str(member(acme, "mia").id)})
    assert (role(acme, acme.mia), role(acme, acme.olivia)) == (Role.OWNER, Role.ADMIN)
    assert olivia.submit(f"{acme.home}/settings/owner", {"to": str(member(acme, "adam").id)}).status_code == 403


def test_who_leaves_as_a_guest_is_out_of_every_project(app: Flask, acme: people.Cast) -> None:
    gina = people.browser(app, acme.gina)
    token, _ = GatewayToken.issue(acme.project, acme.gina.id, "Gina’s")
    db.session.add(token)
    db.session.commit()
    assert gina.submit(f"{acme.home}/departure").headers["HX-Redirect"] == "/"
    db.session.refresh(token)
    assert token.revoked_at, "it does not come back with her"
    assert gina.get(f"{acme.home}/").status_code == 404
    assert gina.get("/").location == "/organizations/new", "who belongs nowhere can make an organization"


# -- invitations -----------------------------------------------------------------------------------


def test_many_are_invited_at_once_and_what_is_wrong_is_said_with_what_was_typed(app: Flask, acme: people.Cast) -> None:
    adam, url = people.browser(app, acme.adam), f"{acme.home}/invitations"
    typed = f"Ada <ADA@example.com>, grace@example.com; {acme.mia.email}"
    page = adam.submit(url, {"emails": typed, "role": "VIEWER"})
    said = page.get_data(as_text=True)
    assert page.status_code == 201
    secrets = LINK.findall(said)
    assert len(secrets) == 2
    assert f"{acme.mia.email} belongs to this organization already." in said
    rows = db.session.scalars(select(Invitation).where(Invitation.organization_id == acme.organization.id)).all()
    assert {one.email for one in rows} == {"ada@example.com", "grace@example.com"}
    assert {Invitation.digest(secret) for secret in secrets} == {one.secret_hash for one in rows}
    assert not LINK.findall(adam.get(f"{acme.home}/members").get_data(as_text=True)), "a link is told once"
    for wrong in ("", "nobody", "a@b@c", " ".join(f"a{n}@example.com" for n in range(51))):
        answer = adam.submit(url, {"emails": wrong, "role": "VIEWER"})
        assert answer.status_code == 422
        assert wrong.split(" ")[0] in answer.get_data(as_text=True)
    again = adam.submit(url, {"emails": "ada@example.com", "role": "VIEWER"})
    assert "invited already" in again.get_data(as_text=True)


def test_an_invitation_is_accepted_by_its_address_once_and_by_nobody_else(app: Flask, acme: people.Cast) -> None:
    sam = stranger()
    secret = link(acme, sam.email, Role.ADMIN)
    ned, him = people.browser(app, acme.ned), people.browser(app, sam)
    assert "for somebody else" in ned.get(f"/join/{secret}").get_data(as_text=True)
    assert ned.submit(f"/join/{secret}").status_code == 404
    assert role(acme, acme.ned) is None
    assert "Accept" in him.get(f"/join/{secret}").get_data(as_text=True)
    assert role(acme, sam) is None, "looking accepts nothing"
    assert him.submit(f"/join/{secret}").headers["HX-Redirect"] == f"{acme.home}/"
    assert role(acme, sam) is Role.ADMIN
    assert "Welcome to Acme" in him.get(f"{acme.home}/").get_data(as_text=True)
    used, never = (him.get(f"/join/{one}") for one in (secret, "x" * 43))
    assert used.status_code == never.status_code == 404
    assert re.sub(r"\S{60,}", "", used.get_data(as_text=True)) == re.sub(r"\S{60,}", "", never.get_data(as_text=True))


def test_a_new_person_comes_in_with_an_account_also_where_sign_up_is_closed(app: Flask, acme: people.Cast) -> None:
    email = f"nora-{uuid.uuid4().hex[:8]}@example.com"
    secret = link(acme, email)
    visitor = people.browser(app)
    page = visitor.get(f"/join/{secret}").get_data(as_text=True)
    assert email in page
    short = visitor.submit(f"/join/{secret}", {"name": "Nora", "password": "short"})
    assert (short.status_code, "at least 12" in short.get_data(as_text=True)) == (422, True)
    form = {"name": "Nora", "password": PASSWORD, "email": acme.olivia.email, "role": "OWNER"}
    assert visitor.submit(f"/join/{secret}", form).headers["HX-Redirect"] == f"{acme.home}/"
    nora = db.session.scalars(select(User).where(User.email == email)).one()
    assert role(acme, nora) is Role.MEMBER
    assert visitor.get(f"{acme.home}/members").status_code == 200, "and is signed in"


@pytest.mark.parametrize("how", ["revoked", "expired", "renewed", "demoted", "off", "left", "solo", "deleted"])
def test_an_invitation_that_is_over_lets_nobody_in(app: Flask, acme: people.Cast, how: str) -> None:
    sam = stranger()
    made = inviting.invite(acme.organization, acme.adam, sam.email, Role.ADMIN)
    url, row = f"{acme.home}/invitations/{made.invitation.id}", made.invitation
    him, olivia = people.browser(app, sam), people.browser(app, acme.olivia)
    if how in ("revoked", "renewed"):
        olivia.submit(f"{url}/{'revocation' if how == 'revoked' else 'renewal'}")
    elif how == "expired":
        row.expires_at = now() - timedelta(seconds=1)
    elif how == "demoted":
        member(acme, "adam").role = Role.MEMBER
    elif how in ("off", "left"):
        setattr(acme.adam, "disabled_at" if how == "off" else "deleted_at", now())
    elif how == "solo":
        acme.organization.kind = OrganizationKind.SOLO
    else:
        acme.organization.discard(acme.olivia.id)
    db.session.commit()
    assert him.submit(made.link[made.link.index("/join") :]).status_code == 404
    assert role(acme, sam) is None


def test_what_is_no_secret_opens_nothing(app: Flask, acme: people.Cast) -> None:
    link(acme, acme.ned.email)
    ned = people.browser(app, acme.ned)
    for odd in ("null", "true", "[]", "0", "%00", " ", "..%2f..", "%F0%9F%98%80", "a" * 5000):
        assert ned.submit(f"/join/{odd}").status_code == 404, odd
    for value in ("", "null", "[]"):
        assert ned.submit("/join/", {"secret": value}).status_code == 404
    assert role(acme, acme.ned) is None


def test_a_letter_holds_its_link_sealed_until_it_is_sent(app: Flask, acme: people.Cast, postman: Postman) -> None:  # noqa: F811
    page = people.browser(app, acme.adam).submit(
        f"{acme.home}/invitations", {"emails": acme.ned.email, "role": "MEMBER"}
    )
    assert "We sent it by mail" in page.get_data(as_text=True)
    (secret,) = LINK.findall(page.get_data(as_text=True))
    query = select(Delivery).where(Delivery.address == acme.ned.email, Delivery.event == letters.INVITATION)
    waiting = db.session.scalars(query).one()
    assert secret not in str(waiting.payload)
    wait_until(lambda: deliver.due(app) == 0)
    (mail,) = postman.to(acme)
    assert f"/join/{secret}" in mail.get_body(("plain",)).get_content()
    assert "Adam invites you to Acme" in mail["Subject"]
    assert "List-Unsubscribe" not in mail


def test_invitations_and_wrong_links_are_counted(app: Flask, acme: people.Cast) -> None:
    adam = people.browser(app, acme.adam)
    throttle.count("invites", str(acme.adam.id), throttle.INVITATIONS)
    answer = adam.submit(f"{acme.home}/invitations", {"emails": "ada@example.com", "role": "MEMBER"})
    assert answer.status_code == 429
    assert "ada@example.com" in answer.get_data(as_text=True)
    waiting = Invitation(organization_id=acme.organization.id, email="ada@example.com", role=Role.MEMBER)
    waiting.renew()
    db.session.add(waiting)
    db.session.commit()
    assert adam.submit(f"{acme.home}/invitations/{waiting.id}/renewal").status_code == 429
    address = {"REMOTE_ADDR": "10.99.0.1"}
    store().set("links:10.99.0.1", throttle.WRONG_LINKS - 1, ex=60)
    assert adam.get("/join/nothing", environ_overrides=address).status_code == 404
    assert adam.get("/join/nothing", environ_overrides=address).status_code == 429
    store().delete("links:10.99.0.1")


# -- one project -----------------------------------------------------------------------------------


def test_a_guest_is_invited_to_one_project_and_sees_nothing_else(app: Flask, acme: people.Cast) -> None:
    sam, url = stranger(), f"{acme.home}/projects/{acme.project.id}"
    page = people.browser(app, acme.adam).submit(f"{url}/invitations", {"emails": sam.email, "role": "VIEWER"})
    (secret,) = LINK.findall(page.get_data(as_text=True))
    him = people.browser(app, sam)
    assert him.submit(f"/join/{secret}").headers["HX-Redirect"] == url
    assert him.get(url).status_code == 200
    assert him.get(f"{acme.home}/members").status_code in (403, 404)
    assert him.submit(f"{url}/sessions", {"title": "Mine"}).status_code == 403
    acme.project.discard(acme.olivia.id)
    db.session.commit()
    assert him.get("/account").status_code == 200, "where nothing is left but what is in the trash"


def test_no_guest_is_told_the_address_of_a_member(app: Flask, acme: people.Cast) -> None:
    people_of = f"{acme.home}/projects/{acme.project.id}/people"
    let_in = {"user": str(acme.mia.id), "role": ProjectRole.EDITOR.value}
    assert people.browser(app, acme.adam).submit(people_of, let_in).status_code == 200
    seen_by_guest = people.browser(app, acme.gina).get(people_of).get_data(as_text=True)
    assert acme.mia.name in seen_by_guest
    assert acme.mia.email not in seen_by_guest
    assert acme.mia.email in people.browser(app, acme.victor).get(people_of).get_data(as_text=True)


def test_a_viewer_who_was_let_into_a_project_edits_there_and_nowhere_else(app: Flask, acme: people.Cast) -> None:
    victor, olivia = people.browser(app, acme.victor), people.browser(app, acme.olivia)
    sessions, people_url = f"{acme.home}/projects/{acme.project.id}/sessions", f"{acme.home}/projects/{acme.project.id}"
    assert victor.submit(sessions, {"title": "Mine"}).status_code == 403
    form = {"user": str(acme.victor.id), "role": "EDITOR"}
    assert "Victor was let in" in olivia.submit(f"{people_url}/people", form).get_data(as_text=True)
    assert victor.submit(sessions, {"title": "Mine"}).status_code == 204
    assert victor.submit(f"{acme.home}/projects", {"name": "Mine too"}).status_code == 403
    here = Collaborator.project_id == acme.project.id, Collaborator.user_id == acme.victor.id
    id = db.session.scalar(select(Collaborator.id).where(*here))
    olivia.submit(f"{people_url}/people/{id}/removal")
    assert victor.submit(sessions, {"title": "Mine"}).status_code == 403


def test_only_members_are_let_in_and_a_guest_who_is_let_out_loses_their_tokens(app: Flask, acme: people.Cast) -> None:
    olivia, url = people.browser(app, acme.olivia), f"{acme.home}/projects/{acme.project.id}/people"
    assert olivia.submit(url, {"user": str(acme.ned.id), "role": "EDITOR"}).status_code == 404
    token, secret = GatewayToken.issue(acme.project, acme.gina.id, "Gina’s")
    db.session.add(token)
    db.session.commit()
    here = Collaborator.project_id == acme.project.id, Collaborator.user_id == acme.gina.id
    olivia.submit(f"{url}/{db.session.scalar(select(Collaborator.id).where(*here))}/removal")
    db.session.execute(update(Collaborator).where(*here).values(role=ProjectRole.EDITOR))
    assert people.browser(app).get("/v1/models", headers={"Authorization": f"Bearer {secret}"}).status_code == 401
    db.session.refresh(token)
    assert token.revoked_at


def test_who_is_let_out_while_their_role_is_changed_is_out(
    app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    gina = select(Collaborator.id).where(Collaborator.project_id == acme.project.id)
    url = f"{acme.home}/projects/{acme.project.id}/people/{db.session.scalars(gina).one()}"
    olivia, adam, change = people.browser(app, acme.olivia), people.browser(app, acme.adam), collaborating.change_role

    def slow(*of: Any) -> Any:
        assert adam.submit(f"{url}/removal").status_code == 200
        return change(*of)

    monkeypatch.setattr(collaborating, "change_role", slow)
    answer = olivia.submit(f"{url}/role", {"role": ProjectRole.VIEWER.value})
    assert answer.status_code == 404
    assert "Somebody deleted it while you changed it" in answer.get_data(as_text=True)
    assert db.session.scalars(gina).first() is None
    lines = select(AuditEvent.action).where(AuditEvent.organization_id == acme.organization.id)
    assert "collaborator.role_changed" not in db.session.scalars(lines).all()
