"""Who is signed in, in which browser: a row for each (models/sign_ins.py), found by the secret in the cookie."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from flask import g, request, session
from flask_login import current_user, login_user
from sqlalchemy import ColumnElement, bindparam, delete, select, update

from .. import audit, logs, modes
from ..extensions import db
from ..models import Organization, SignIn, User, Way, now
from ..models.sign_ins import IDLE, LONGEST, LONGEST_THROUGH, SEEN_EVERY, digest
from . import coming_back, impersonating

# Asked with every request, and so made once: to make a statement takes longer than to ask it.
_BY_SECRET = (
    select(User, SignIn, modes.MODE)
    .join(SignIn, SignIn.user_id == User.id)
    .where(
        User.disabled_at.is_(None),
        User.deleted_at.is_(None),
        SignIn.secret_hash == bindparam("secret_hash"),
        SignIn.session_key == User.session_key,
        SignIn.seen_at > bindparam("seen_after"),
        SignIn.created_at > bindparam("made_after"),
        SignIn.through_id.is_(None) | (SignIn.created_at > bindparam("came_through_after")),
    )
)


def begin(
    user: User,
    *ways: Way,
    through: Organization | None = None,
    is_two_factor: bool = False,
    proven_at: datetime | None = None,
) -> None:
    """A fresh session at every sign-in, so that a cookie planted before it is worth nothing. `ways`: what of their own
    they showed just now; `through`: whose single sign-on said who they are; `proven_at`: when they showed it there, if
    not just now. Who deleted their account may only take it back (coming_back.py). Commits."""
    before = _shown_before(user) if through is None else []
    session.clear()
    if user.deleted_at is not None:
        coming_back.note(user, ways, is_two_factor)
        return
    session.permanent = True
    login_user(user)
    g.sign_in, session["_user_id"] = SignIn.begin(user, request.remote_addr or "", str(request.user_agent))
    g.sign_in.is_two_factor = is_two_factor
    g.sign_in.ways = sorted({*before, *(way.value for way in ways)})
    db.session.execute(delete(SignIn).where(SignIn.user_id == user.id, ~_counts(user.session_key)))
    g.sign_in.through_id = through.id if through else None
    g.sign_in.proven_at = proven_at
    db.session.add(g.sign_in)
    user.last_seen_at = now()
    detail: dict[str, Any] = {"through": through.name} if through else {}
    audit.record("account.signed_in", user, **detail)
    db.session.commit()


def _shown_before(user: User) -> list[str]:
    """By who signs in anew where they are signed in: one place may ask for a passkey, and another for a password."""
    if not current_user.is_authenticated:
        return []
    row = here()
    return row.ways if row.user_id == user.id and row.through_id is None else []


def note_shown(way: Way) -> None:
    """They showed it in this browser, where they are signed in already. The caller commits."""
    row = here()
    if way not in row.ways:
        row.ways = sorted({*row.ways, way.value})


def note_proven() -> None:
    """It is they who sit there, with all that they have to show for it. The caller commits."""
    here().proven_at = now()


def forget_shown(user: User, way: Way) -> None:
    """They have it no more, and no sign-in of theirs counts as one by it. The caller commits."""
    theirs = update(SignIn).where(SignIn.user_id == user.id).values(ways=SignIn.ways.op("-")(way.value))
    db.session.execute(theirs.execution_options(synchronize_session="fetch"))


def renew() -> None:
    """A new secret for this browser, once it was proven again who sits there. Commits."""
    session["_user_id"] = here().renew()
    db.session.commit()


def load(secret: str) -> User | None:
    """The person of a login cookie, unless their sign-in has ended: by themselves, by a new password or with time."""
    moment = now()
    times = {"seen_after": moment - IDLE - SEEN_EVERY, "made_after": moment - LONGEST}
    times["came_through_after"] = moment - LONGEST_THROUGH
    found = db.session.execute(_BY_SECRET, {"secret_hash": digest(secret), **times}).first()
    if found is None:
        return None
    user: User = found[0]
    g.sign_in, mode = found[1:]
    modes.remember(mode)
    if now() - g.sign_in.seen_at > SEEN_EVERY:
        _note_that_it_was_seen(g.sign_in)
    logs.note(person=user.id)
    if whom := impersonating.whom(g.sign_in, user):
        g.impersonator = user
    return whom or user


def here() -> SignIn:
    """That of this request, whose person is signed in."""
    found: SignIn = g.sign_in
    return found


def of(user: User) -> list[SignIn]:
    """Those that count, the last used first."""
    mine = select(SignIn).where(SignIn.user_id == user.id, _counts(user.session_key))
    return list(db.session.scalars(mine.order_by(SignIn.seen_at.desc(), SignIn.id.desc())))


def end(user: User, id: uuid.UUID) -> SignIn | None:
    """None: there is none of theirs with this id. The caller commits."""
    row = db.session.scalars(select(SignIn).where(SignIn.user_id == user.id, SignIn.id == id)).first()
    if row is not None:
        db.session.delete(row)
    return row


def end_others(user: User) -> None:
    """All but this one, also what is being signed in just now. The caller commits."""
    user.end_sign_ins()
    keep_this(user)


def keep_this(user: User) -> None:
    """After all of theirs were ended, by a new password too: this one goes on."""
    here().session_key = user.session_key
    db.session.execute(delete(SignIn).where(SignIn.user_id == user.id, SignIn.id != here().id))


def _counts(session_key: object) -> ColumnElement[bool]:
    is_fresh = (SignIn.seen_at > now() - IDLE - SEEN_EVERY) & (SignIn.created_at > now() - LONGEST)
    came_through = SignIn.through_id.is_(None) | (SignIn.created_at > now() - LONGEST_THROUGH)
    return (SignIn.session_key == session_key) & is_fresh & came_through


def _note_that_it_was_seen(row: SignIn) -> None:
    """Apart from what the request does, which may not be committed, or not yet be whole."""
    with db.engine.begin() as connection:
        seen = {"seen_at": now(), "address": request.remote_addr or ""}
        connection.execute(update(SignIn).where(SignIn.id == row.id).values(seen))
