"""Views of the dashboard by name: a page and its address. One's own, and those that owners and admins share with the
whole organization; one of these opens where the dashboard is opened without filters. Guests have their own only."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from flask import g, url_for
from flask_login import current_user
from sqlalchemy import func, select, update
from werkzeug.datastructures import MultiDict

from .. import access, audit
from ..extensions import db
from ..models import Organization, SavedView
from . import controls
from . import filters as reading
from . import view as viewing
from .filters import BadFilter

MOST = 60
"""Of one person's, and of everyone's: a menu has an end."""


@dataclass(frozen=True)
class Menu:
    """The views that one may open, by name."""

    own: Sequence[SavedView]
    shared: Sequence[SavedView]
    current: SavedView | None
    """What is shown now is this one."""


def menu(found: Sequence[SavedView], page: str, address: Mapping[str, str]) -> Menu:
    same = (one for one in found if one.page == page and one.address == dict(address))
    return Menu(
        [one for one in found if not one.is_shared], [one for one in found if one.is_shared], next(same, None)
    )  # fmt: skip


def seen() -> list[SavedView]:
    return list(db.session.scalars(access.scoped(SavedView).order_by(func.lower(SavedView.name), SavedView.id)))


def url_of(view: SavedView) -> str:
    return url_for("dashboards.show", page=view.page, **dict[str, Any](view.address))


def changeable(id: uuid.UUID) -> SavedView:
    """One's own; of those that are shared, whichever for owners and admins."""
    view = access.visible(SavedView, id)
    if view.is_shared:
        access.require(access.ADMINISTER)
    return view


def read(page: str, query: str) -> dict[str, str]:
    """The address to keep, from what stands behind the ? of one. Raises BadFilter."""
    if page not in dict(controls.TABS):
        raise BadFilter("There is no such page of the dashboard.")
    args = MultiDict(parse_qsl(query))
    return viewing.read(args).address if page == "runs" else reading.read(args, mine=page == "mine").address


def of_the_same_name(name: str, *, shared: bool, but: SavedView | None = None) -> SavedView | None:
    """Of one's own no two have a name, and of those that are shared no two."""
    same = (one for one in seen() if one.name.lower() == name.lower() and one.is_shared == shared)
    return next((one for one in same if one is not but), None)


def is_full(*, shared: bool) -> bool:
    return sum(one.is_shared == shared for one in seen()) >= MOST


def save(name: str, page: str, address: dict[str, str], *, shared: bool, instead: SavedView | None) -> SavedView:
    """Commits. `instead`: the one whose page and address these become."""
    view = instead or SavedView(organization_id=g.organization.id, user_id=current_user.id, is_shared=shared)
    view.name, view.page, view.address = name, page, address
    db.session.add(view)
    db.session.flush()
    audit.record("view.changed" if instead else "view.saved", view, page=page, address=address, shared=shared)
    db.session.commit()
    return view


def rename(view: SavedView, name: str) -> None:
    """Commits."""
    view.name = name
    audit.record("view.renamed", view)
    db.session.commit()


def share(view: SavedView, shared: bool) -> None:
    """With everyone, or with nobody any more: then it is the author's again. Commits."""
    view.is_shared = shared
    view.is_default = view.is_default and shared
    view.user_id = view.user_id or current_user.id
    audit.record("view.shared" if shared else "view.unshared", view)
    db.session.commit()


def open_first(view: SavedView, first: bool) -> None:
    """What the dashboard opens with: this one, or none. It is shared by that. Commits."""
    ours = select(Organization.id).where(Organization.id == g.organization.id)
    db.session.execute(ours.with_for_update(key_share=True))  # of two who choose at once the second one waits
    of_ours = update(SavedView).where(SavedView.organization_id == g.organization.id, SavedView.is_default)
    db.session.execute(of_ours.values(is_default=False))
    view.is_default, view.is_shared = first, view.is_shared or first
    audit.record("view.made_default" if first else "view.made_ordinary", view)
    db.session.commit()


def delete(view: SavedView) -> None:
    """Into the trash. Commits."""
    audit.record("view.deleted", view, page=view.page, address=view.address)
    view.discard(current_user.id)
    db.session.commit()
