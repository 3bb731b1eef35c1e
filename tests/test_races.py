"""Fifty at the same moment, each in a thread with a connection of its own: one of them wins, and the rest stays right.

DATAELAN_RACES says how many rounds of each: by itself one; the bar is a thousand (docs/security.md).
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyotp
import pytest
from flask import Flask, g
from sqlalchemy import func, select, update

from dataelan_web import quota
from dataelan_web.accounts import leaving, resetting, signing_in, two_factor
from dataelan_web.accounts.sign_up import find, sign_up
from dataelan_web.extensions import db
from dataelan_web.members import inviting, managing
from dataelan_web.models import (
    Authenticator,
    Execution,
    Invitation,
    LedgerEntry,
    Membership,
    Role,
    Scope,
    SignIn,
    State,
    User,
    Window,
)

from . import people
from .test_accounts import OLDER, PASSWORD
from .test_members import at_once, link, role, stranger
from .test_once import count
from .upstream import upstream

ROUNDS = int(os.environ.get("DATAELAN_RACES") or 1)
FIFTY = 50

pytestmark = pytest.mark.parametrize("round", range(ROUNDS))


def each(act: Callable[[int], object]) -> list[Callable[[], object]]:
    return [lambda place=place: act(place) for place in range(FIFTY)]  # type: ignore[misc]


def only_one(ended: Counter[str], loses: str) -> None:
    assert ended == {"done": 1, loses: FIFTY - 1}


def test_one_invitation_accepted_by_fifty_makes_one_member(app: Flask, acme: people.Cast, round: int) -> None:
    sam = stranger()
    secret, id = link(acme, sam.email), sam.id
    only_one(
        at_once(app, each(lambda _: inviting.accept(inviting.held(secret), db.session.get_one(User, id)))),
        loses="NotAccepted",
    )
    assert role(acme, sam) is Role.MEMBER
    assert count(Membership, user_id=id, organization_id=acme.organization.id) == 1


def test_one_invitation_accepted_as_new_by_fifty_makes_one_account(app: Flask, acme: people.Cast, round: int) -> None:
    email = f"twin-{uuid.uuid4().hex[:8]}@example.com"
    secret = link(acme, email)
    only_one(
        at_once(app, each(lambda place: inviting.accept_as_new(inviting.held(secret), f"Twin {place}", PASSWORD))),
        loses="NotAccepted",
    )
    twin = db.session.scalars(select(User).where(User.email == email)).one()
    assert role(acme, twin) is Role.MEMBER


def test_who_is_invited_and_taken_back_is_in_or_out_and_never_both(app: Flask, acme: people.Cast, round: int) -> None:
    sam = stranger()
    made = inviting.invite(acme.organization, acme.olivia, sam.email, Role.MEMBER)
    secret, id, invitation = made.link.rpartition("/")[2], sam.id, made.invitation.id

    def act(place: int) -> None:
        if place % 2:
            inviting.accept(inviting.held(secret), db.session.get_one(User, id))
        elif not inviting.revoke(db.session.get_one(Invitation, invitation)):
            raise LookupError

    ended = at_once(app, each(act))
    assert ended["done"] == 1, ended
    row = db.session.get_one(Invitation, invitation, populate_existing=True)
    assert (row.accepted_at is None) == (role(acme, sam) is None) == (row.revoked_at is not None)


def test_the_last_two_owners_who_go_in_every_way_at_once_leave_one(app: Flask, acme: people.Cast, round: int) -> None:
    """Demoted, removed, handing it over, leaving, or with the account: fifty acts of the two on each other."""
    here, two = acme.organization.id, (acme.olivia.id, acme.adam.id)
    db.session.execute(update(Membership).where(Membership.user_id == two[1]).values(role=Role.OWNER))
    db.session.commit()

    def act(place: int) -> None:
        one, other = (db.session.get_one(User, id) for id in (two if place % 2 else two[::-1]))
        theirs = db.session.query(Membership).filter_by(organization_id=here, user_id=other.id).one()
        ways = (
            lambda: managing.change_role(theirs, Role.VIEWER, one),
            lambda: managing.remove(theirs, one),
            lambda: managing.transfer(theirs.organization, theirs, one),
            lambda: managing.leave(theirs.organization, one),
            lambda: leaving.delete(one),
        )
        ways[place // 2 % len(ways)]()

    ended = at_once(app, each(act))
    assert ended["done"] >= 1, ended
    assert not set(ended) - {"done", "LastOwner", "InTheWay", "Forbidden", "NotFound", "NoResultFound"}
    is_there = User.deleted_at.is_(None), Membership.organization_id == here, Membership.role == Role.OWNER
    assert db.session.scalar(select(func.count()).select_from(Membership).join(User).where(*is_there)) == 1


def test_fifty_who_sign_up_with_one_address_make_one_account(app: Flask, context: None, round: int) -> None:
    email = f"nora-{uuid.uuid4().hex[:8]}@example.com"
    only_one(at_once(app, each(lambda place: sign_up(email, f"{PASSWORD} {place}", "Nora"))), loses="AddressTaken")
    nora = db.session.scalars(select(User).where(User.email == email)).one()
    assert [one.role for one in nora.memberships] == [Role.OWNER]


def test_a_link_used_by_fifty_sets_one_password(app: Flask, context: None, round: int) -> None:
    ada = stranger()
    secret = resetting.link_for(ada).rpartition("/")[2]
    set_by = _winners(app, lambda place: resetting.reset(secret, f"{PASSWORD} {place}") is not None)
    assert len(set_by) == 1
    db.session.expire_all()
    assert db.session.get_one(User, ada.id).has_password(f"{PASSWORD} {set_by[0]}")


def test_who_signs_in_by_the_old_password_while_a_new_one_is_set_is_out(app: Flask, context: None, round: int) -> None:
    """Though its hash is made anew at that moment."""
    ada = stranger()
    ada.password_hash, email = OLDER.hash(PASSWORD), ada.email
    db.session.commit()
    secret = resetting.link_for(ada).rpartition("/")[2]

    def act(place: int) -> bool:
        if place == FIFTY // 2:
            return resetting.reset(secret, f"{PASSWORD} anew") is not None
        user = find(email)
        assert user
        if came_in := user.has_password(PASSWORD):
            signing_in.begin(user)
        return came_in

    assert FIFTY // 2 in _winners(app, act)
    db.session.expire_all()
    assert (ada.has_password(f"{PASSWORD} anew"), ada.has_password(PASSWORD)) == (True, False)
    assert signing_in.of(ada) == []


def test_a_code_used_by_fifty_lets_one_in(app: Flask, context: None, round: int) -> None:
    """Of an app, and of those to recover by."""
    ada = stranger()
    id = ada.id
    two_factor.set_up(ada)
    found = db.session.scalars(select(Authenticator).where(Authenticator.user_id == id)).one()
    totp, then = pyotp.TOTP(two_factor.secret_of(found)), time.time()
    with app.test_request_context():
        g.sign_in, _ = SignIn.begin(ada)
        recovery = two_factor.confirm(ada, totp.at(then - 30))
    for code in (totp.at(then), recovery[0]):
        assert len(_winners(app, lambda _, code=code: two_factor.passes(db.session.get_one(User, id), code))) == 1  # type: ignore[misc]
    assert two_factor.codes_left(ada) == len(recovery) - 1


def _winners(app: Flask, act: Callable[[int], bool]) -> Sequence[int]:
    """The places of those whose act was done."""
    gate = threading.Barrier(FIFTY)

    def run(place: int) -> bool:
        with app.test_request_context():
            gate.wait()
            return act(place)

    with ThreadPoolExecutor(FIFTY) as pool:
        return [place for place, won in enumerate(pool.map(run, range(FIFTY))) if won]


def test_a_provider_that_is_deleted_while_fifty_use_it_leaves_nothing_halfway(
    app: Flask, acme: people.Cast, round: int
) -> None:
    """Each call is answered and charged, or refused and asked of nobody; and after it none is asked."""
    with upstream() as vendor:
        said = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
        vendor.answers({**said, "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
        key = people.own_provider(acme, vendor.url)
        people.own_model(acme, key, "mine", input=1000, output=1000)
        here, provider, headers = acme.organization.id, key.provider_id, {"x-api-key": acme.token()}
        made = quota.set_limit(db.session, here, Scope.ORGANIZATION, here, Window.MONTH, 10**12)
        db.session.commit()
        budget, statuses, home = made.id, list[int](), acme.home
        owner = people.browser(app, acme.olivia)

        def ask() -> int:
            asked = {"model": "mine", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}
            return app.test_client().post("/v1/chat/completions", json=asked, headers=headers).status_code

        def act(place: int) -> None:
            if place == FIFTY // 2:
                said = owner.submit(f"{home}/hub/providers/{provider}/deletion")
                assert said.status_code < 400, said.get_data(as_text=True)
            else:
                statuses.append(ask())

        assert at_once(app, each(act)) == {"done": FIFTY}
        answered = statuses.count(200)
        assert set(statuses) <= {200, 404, 502, 503}, "there is no such model, or its key was deleted just now"
        assert ask() == 404
        assert len(vendor.requests) == answered
    db.session.rollback()
    states = Counter(db.session.scalars(select(Execution.state).where(Execution.organization_id == here)))
    assert states == Counter({State.COMPLETED: answered, State.FAILED: FIFTY - answered}) - Counter()
    lines = select(func.count()).select_from(LedgerEntry).where(LedgerEntry.organization_id == here)
    assert db.session.scalar(lines) == answered
    assert quota.drift(db.session, of=[budget]) == []
