"""A superuser acts as somebody, to see what they see. It is announced to them, shown on every page, and ends by itself.

It is written on the superuser's own sign-in: their cookie stays what it is, and the other person's secrets are not
touched. Every line of the audit log meanwhile names both; each form that is sent makes a line, also where it would not.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from flask import Flask, Response, abort, current_app, g, request
from flask_login import current_user
from sqlalchemy import select

from .. import audit, errors, page_hooks
from ..extensions import db
from ..models import Membership, Organization, SignIn, User, now
from ..notify import tell
from ..notify.letters import about_account

LASTS = timedelta(hours=1)
KIND = "account.impersonated"
WHOLE = ("account", "admin", "admin_hub", "admin_limits", "founding", "joining", "programs", "sso", "sso_settings")
"""Blueprints whose forms are a matter of the person alone, or of service accounts and their secrets."""
SINGLE = {
    "actions.change",
    "actions.create",
    "actions.rotate",
    "actions.test",
    "audit_log.export_file",
    "dashboards.export_runs",
    "hub.change_key",
    "hub.change_provider",
    "hub.connect_server",
    "hub.create_key",
    "hub.delete_key",
    "hub.delete_provider",
    "hub.import_hub",
    "hub.replace_secret",
    "hub.test_key",
    "members.change_collaborator",
    "members.change_role",
    "members.invite",
    "members.invite_guest",
    "members.leave",
    "members.let_in",
    "members.renew",
    "notices.read",
    "notices.read_all",
    "notices.webhook_change",
    "notices.webhook_create",
    "notices.webhook_rotate",
    "notices.webhook_test",
    "organizations.change_kind",
    "organizations.change_settings",
    "organizations.change_sign_in",
    "organizations.change_ways",
    "organizations.delete",
    "organizations.export",
    "organizations.restore",
    "organizations.transfer",
    "projects.create_token",
    "projects.rotate_token",
    "sharing.create_link",
    "trash.erase",
}
"""Forms that show or change a secret or use it elsewhere, take data out, give others a way in or more rights, cannot be
undone (how long things are kept is among the settings), or hide that somebody was there."""
THEIRS = {"account.show_two_factor"}
"""What only they may look at: the secret of an app that they are setting up."""
REFUSED = (
    "While you act as somebody else, their account, secrets, invitations, exports and files are not yours to touch."
)


def init_app(app: Flask) -> None:
    page_hooks.before_page(app, _refuse)
    page_hooks.after_page(app, _note)


def begin(sign_in: SignIn, by: User, whom: User, reason: str) -> None:
    """403 for another superuser, and for who is switched off. Commits."""
    if whom.is_superuser or _is_away(whom) or whom.id == by.id or not by.is_superuser:
        abort(403, "Nobody acts as a superuser, as somebody who is switched off or has left, or as themselves.")
    sign_in.acting_as_id, sign_in.acting_until = whom.id, now() + LASTS
    _record("impersonation.begun", whom, until=f"{sign_in.acting_until:%H:%M} UTC", reason=reason)
    _announce(by, whom, reason, sign_in.acting_until)
    db.session.commit()


def whom(sign_in: SignIn, by: User) -> User | None:
    """Whom this browser's superuser acts as now; None: as themselves."""
    if sign_in.acting_as_id is None or sign_in.acting_until is None or sign_in.acting_until <= now():
        return None
    found = db.session.get(User, sign_in.acting_as_id)
    return found if by.is_superuser and found and not (found.is_superuser or _is_away(found)) else None


def _is_away(user: User) -> bool:
    return user.disabled_at is not None or user.deleted_at is not None


def end(sign_in: SignIn) -> None:
    """Commits."""
    _record("impersonation.ended", current_user)
    sign_in.acting_as_id = sign_in.acting_until = None
    db.session.commit()


def _record(action: str, whom: User, **detail: Any) -> None:
    """In each organization of theirs, whose owners are to know. Superusers see all, also of who belongs to none."""
    homes: list[uuid.UUID | None] = [home.id for home in _homes(whom)]
    for id in homes or [None]:
        audit.record(action, whom, id, **detail)


def _homes(whom: User) -> list[Organization]:
    theirs = select(Organization).join(Membership).where(Membership.user_id == whom.id)
    return list(db.session.scalars(theirs.where(Organization.deleted_at.is_(None))))


def _announce(by: User, whom: User, reason: str, ends_at: datetime) -> None:
    """In each organization of theirs, where they read notices; by mail once, where there is any."""
    title = f"{by.name} looks at Dataelan in your name"
    said = f"They see what you see, until {ends_at:%H:%M} UTC at most. Why: “{reason}” All they do is in the audit log."
    for home in _homes(whom):
        key = f"{KIND}:{whom.id}:{ends_at.isoformat()}:{home.id}"
        tell(db.session, home.id, [whom.id], key, KIND, title, said, f"/o/{home.slug}/notices")
    if current_app.extensions["dataelan_settings"].mail is not None:
        about_account(whom.email, title, said, "/account")


def _refuse() -> Response | None:
    endpoint = request.endpoint or ""
    is_theirs = endpoint in THEIRS or (
        request.method == "POST" and (endpoint in SINGLE or (request.blueprint or "") in WHOLE)
    )
    if not is_theirs or not current_user.is_authenticated or audit.impersonator() is None:
        return None
    return _refused()


def _refused() -> Response:
    return errors.show(403, title="Not in somebody else’s name", text=REFUSED)


def _note(response: Response) -> Response:
    """Of what was sent, whatever it did: a run costs money, and is no line of the log by itself. Whatever would be kept
    as a file is not handed out, whichever page offers it."""
    if audit.impersonator() is None or not current_user.is_authenticated:  # or they have signed out just now
        return response
    if response.headers.get("Content-Disposition", "").startswith("attachment"):
        response.close()
        return _refused()
    is_sent = request.method == "POST" and request.endpoint != "acting.end"
    if is_sent and response.status_code < 400:
        home: Any = g.get("organization")
        audit.record("impersonation.acted", current_user, home.id if home else None, form=request.endpoint or "")
        db.session.commit()
    return response
