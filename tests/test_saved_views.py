"""Views of the dashboard by name: whose they are, what they open, and which one opens first."""

from __future__ import annotations

from flask import Flask
from sqlalchemy import select

from dataelan_web.extensions import db
from dataelan_web.models import AuditEvent, SavedView

from . import people

MONTH = {"page": "spend", "said": "range=month&type=TEXT"}


def save(app: Flask, cast: people.Cast, who: str, name: str, status: int = 204, **form: object) -> str:
    answer = people.browser(app, cast.people[who]).submit(
        f"{cast.home}/dashboard/views", {**MONTH, "name": name, **form}
    )  # fmt: skip
    assert answer.status_code == status, answer.text
    return answer.headers.get("HX-Redirect", "") or answer.text


def kept(cast: people.Cast, name: str) -> SavedView:
    db.session.expire_all()
    query = select(SavedView).where(SavedView.organization_id == cast.organization.id, SavedView.name == name)
    return db.session.scalars(query).one()


def test_a_view_is_a_page_with_its_filters_and_each_sees_their_own(app: Flask, acme: people.Cast) -> None:
    said = {"page": "runs", "said": "range=7d&sort=cost&columns=model&columns=cost&nonsense=1&type="}
    for who in ("mia", "victor", "gina"):
        assert save(app, acme, who, f"{who}’s") == f"{acme.home}/dashboard/spend?range=month&type=TEXT"
    save(app, acme, "mia", "Dear runs", **said)
    assert kept(acme, "Dear runs").address == {"range": "7d", "sort": "cost", "columns": "time,model,cost"}
    for who in ("mia", "victor", "gina", "olivia"):
        text = people.browser(app, acme.people[who]).get(f"{acme.home}/dashboard/views").text
        assert {one for one in ("mia", "victor", "gina") if f"{one}’s" in text} == {who} - {"olivia"}
    mia = people.browser(app, acme.mia)
    for page, shown in (("/spend?range=month&type=TEXT", "mia’s"), ("/runs?range=7d", "Views"), ("/quota", "Views")):
        text = mia.get(f"{acme.home}/dashboard{page}").text
        assert f'<span class="truncate">{shown}</span>' in text
        assert "Dear runs" in text


def test_what_is_no_view_is_not_saved_and_what_was_typed_stays(app: Flask, acme: people.Cast) -> None:
    for wrong, word in (
        ({"page": "moon"}, "no such page"),
        ({"said": "range=2h"}, "no such time range"),
        ({"said": "project=1"}, "is none"),
        ({"name": " "}, "needs a name"),
    ):
        text = save(app, acme, "mia", status=422, **{"name": "Typed", **wrong})  # type: ignore[arg-type]
        assert word in text
        assert ('value="Typed"' in text) == ("name" not in wrong)
    assert not db.session.scalars(select(SavedView).where(SavedView.organization_id == acme.organization.id)).all()


def test_a_name_is_taken_once_and_what_it_stands_for_can_be_replaced(app: Flask, acme: people.Cast) -> None:
    save(app, acme, "mia", "Mine")
    assert "Replace the view" in save(app, acme, "mia", "mine", 422, said="range=7d")
    save(app, acme, "mia", "mine", said="range=7d", replaces="y")
    assert kept(acme, "mine").address == {"range": "7d"}
    save(app, acme, "adam", "Mine")
    save(app, acme, "adam", "Mine", is_shared="y")
    client = people.browser(app, acme.mia)
    save(app, acme, "mia", "Another")
    answer = client.submit(f"{acme.home}/dashboard/views/{kept(acme, 'Another').id}/name", {"name": "MINE"})
    assert answer.status_code == 422
    assert 'value="MINE"' in answer.text
    answer = client.submit(f"{acme.home}/dashboard/views/{kept(acme, 'Another').id}/name", {"name": "New name"})
    assert "New name" in answer.text
    assert client.submit(f"{acme.home}/dashboard/views/{kept(acme, 'New name').id}/deletion").status_code == 200
    said = db.session.scalars(select(AuditEvent.action).where(AuditEvent.organization_id == acme.organization.id)).all()
    assert {"view.saved", "view.changed", "view.renamed", "view.deleted"} <= set(said)


def test_owners_and_admins_share_and_say_what_opens_first(app: Flask, acme: people.Cast) -> None:
    """Whoever asks for something gets that."""
    assert save(app, acme, "mia", "For all", is_shared="y")
    assert not kept(acme, "For all").is_shared, "a member has their own only"
    assert save(app, acme, "mia", "First", 403, is_default="y")
    save(app, acme, "adam", "Monday", is_default="y")
    monday = kept(acme, "Monday")
    assert (monday.is_shared, monday.is_default) == (True, True)
    home = f"{acme.home}/dashboard"
    for who in ("olivia", "adam", "mia", "victor"):
        answer = people.browser(app, acme.people[who]).get(home)
        assert answer.headers["Location"] in (f"{home}/spend?{MONTH['said']}", f"{home}/spend?type=TEXT&range=month")
    for at in ("?range=30d", "/spend", "?project=1"):
        assert people.browser(app, acme.mia).get(home + at).status_code in (200, 422)
    guest = people.browser(app, acme.gina)
    assert guest.get(home).status_code == 200, "what is everyone's is the members'"
    assert "Monday" not in guest.get(f"{home}/views").text
    mia, olivia = people.browser(app, acme.mia), people.browser(app, acme.olivia)
    for act in ("name", "sharing", "default", "deletion"):
        assert mia.submit(f"{home}/views/{monday.id}/{act}", {"name": "Hers"}).status_code == 403
    save(app, acme, "olivia", "Tuesday", is_shared="y")
    tuesday = kept(acme, "Tuesday")
    olivia.submit(f"{home}/views/{tuesday.id}/default", {"on": "1"})
    assert not kept(acme, "Monday").is_default
    assert kept(acme, "Tuesday").is_default
    olivia.submit(f"{home}/views/{tuesday.id}/sharing", {"on": ""})
    assert olivia.get(home).status_code == 200, "what is shown to nobody opens for nobody"
    assert "Tuesday" not in mia.get(f"{home}/views").text
