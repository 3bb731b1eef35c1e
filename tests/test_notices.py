"""The page of notices: whose they are, what is unread, marking, paging, and the choice of mail."""

from __future__ import annotations

import re
import uuid
from dataclasses import replace
from datetime import timedelta

from flask import Flask
from sqlalchemy import event, select, update

from dataelan_web.extensions import db
from dataelan_web.models import AuditEvent, Membership, Notice, Role, SignIn, User, now
from dataelan_web.notices.lists import PAGE, Place
from dataelan_web.notify import inbox, tell
from dataelan_web.notify.kinds import KINDS, MAILED, kind_of

from . import people


def say(cast: people.Cast, title: str, *, to: str = "mia", kind: str = "limit.reached", path: str = "") -> Notice:
    key = uuid.uuid4().hex
    tell(db.session, cast.organization.id, [cast.people[to].id], key, kind, title, "Why it is so.", path)
    db.session.commit()
    return db.session.scalars(select(Notice).where(Notice.key == key)).one()


def page(app: Flask, person: User, url: str, **headers: str) -> str:
    return people.browser(app, person).get(url, headers=headers).get_data(as_text=True)


def titles(html: str) -> list[str]:
    return re.findall(r'<h3>(?:<span class="sr-only">Unread: </span>)?(?:<a [^>]*>)?([^<]*)', html)


def unread(html: str) -> str:
    return re.search(r'id="bell".*?aria-label="([^"]*)"', html)[1]  # type: ignore[index]


def test_the_unread_come_first_and_each_leads_to_its_thing(app: Flask, acme: people.Cast) -> None:
    first = say(acme, "First", path=f"{acme.home}/limits/1")
    first.read_at = now()
    say(acme, "Second", path=f"{acme.home}/limits/2")
    say(acme, "Another's", to="olivia")
    db.session.commit()
    html = page(app, acme.mia, f"{acme.home}/notices")
    assert titles(html) == ["Second", "First"]
    assert re.findall(r'class="told-group">(\w+)', html) == ["Unread", "Earlier"]
    assert f'href="{acme.home}/limits/2" data-reads="{acme.home}/notices/' in html
    assert unread(html) == "Notices, 1 unread"
    assert 'title="2' in html, "the exact time"
    assert unread(page(app, acme.mia, f"{acme.home}/")) == "Notices, 1 unread", "on every page"


def test_nothing_is_told_kindly_and_a_filter_shows_one_kind(app: Flask, acme: people.Cast) -> None:
    assert "Nothing to tell" in page(app, acme.victor, f"{acme.home}/notices")
    say(acme, "A limit")
    say(acme, "A request", kind="increase.asked")
    assert titles(page(app, acme.mia, f"{acme.home}/notices?kind=increase.asked")) == ["A request"]
    assert "Nothing of this kind" in page(app, acme.mia, f"{acme.home}/notices?kind=webhook.failed")
    mia = people.browser(app, acme.mia)
    answer = mia.submit(f"{acme.home}/notices/reading", {"kind": "increase.asked"}).get_data(as_text=True)
    assert unread(answer) == "Notices, 1 unread"
    assert unread(mia.submit(f"{acme.home}/notices/reading").get_data(as_text=True)) == "Notices"


def test_one_is_marked_read_and_unread_again(app: Flask, acme: people.Cast) -> None:
    notice = say(acme, "A limit")
    mia = people.browser(app, acme.mia)
    row = mia.submit(f"{acme.home}/notices/{notice.id}/reading").get_data(as_text=True)
    assert "Mark unread" in row
    assert unread(row) == "Notices"
    row = mia.submit(f"{acme.home}/notices/{notice.id}/reading", {"is_read": "no"}).get_data(as_text=True)
    assert "Mark read" in row
    assert unread(row) == "Notices, 1 unread"
    assert people.browser(app, acme.adam).submit(f"{acme.home}/notices/{notice.id}/reading").status_code == 404


def test_the_bell_counts_to_nine(app: Flask, acme: people.Cast) -> None:
    for number in range(12):
        say(acme, f"Number {number}")
    assert unread(page(app, acme.mia, f"{acme.home}/notices/count")) == "Notices, 9+ unread"
    assert inbox.unread(db.session, acme.mia.id, [acme.organization.id]) == inbox.MOST_COUNTED
    assert inbox.unread(db.session, acme.mia.id, []) == 0


def test_notices_of_all_ones_organizations_are_shown_until_one_leaves(
    app: Flask, acme: people.Cast, rival: people.Cast
) -> None:
    membership = Membership(organization=rival.organization, user=acme.mia, role=Role.VIEWER)
    db.session.add(membership)
    db.session.flush()
    tell(db.session, rival.organization.id, [acme.mia.id], uuid.uuid4().hex, "limit.reached", "Of the other")
    db.session.commit()
    there = db.session.scalars(select(Notice).where(Notice.user_id == acme.mia.id)).one()
    html = page(app, acme.mia, f"{acme.home}/notices")
    assert titles(html) == ["Of the other"]
    assert ">Rival<" in html
    assert unread(html) == "Notices, 1 unread"
    mia = people.browser(app, acme.mia)
    assert mia.submit(f"{acme.home}/notices/{there.id}/reading", {"is_read": "no"}).status_code == 200
    db.session.delete(membership)
    db.session.commit()
    assert "Nothing to tell" in page(app, acme.mia, f"{acme.home}/notices")
    assert unread(page(app, acme.mia, f"{acme.home}/notices/count")) == "Notices"
    assert mia.submit(f"{acme.home}/notices/{there.id}/reading").status_code == 404


def test_notices_of_an_organization_that_wants_two_factors_are_read_by_two(
    app: Flask, acme: people.Cast, rival: people.Cast
) -> None:
    db.session.add(Membership(organization=rival.organization, user=acme.mia, role=Role.VIEWER))
    rival.organization.needs_two_factor = True
    db.session.flush()
    tell(db.session, rival.organization.id, [acme.mia.id], uuid.uuid4().hex, "limit.reached", "Of the other")
    db.session.commit()
    mia = people.browser(app, acme.mia)
    there = db.session.scalars(select(Notice.id).where(Notice.user_id == acme.mia.id)).one()
    assert mia.get(f"{rival.home}/notices").location.startswith("/account/needed")
    html = page(app, acme.mia, f"{acme.home}/notices")
    assert titles(html) == []
    assert unread(html) == unread(page(app, acme.mia, f"{acme.home}/notices/count")) == "Notices"
    assert mia.submit(f"{acme.home}/notices/{there}/reading").status_code == 404
    db.session.execute(update(SignIn).where(SignIn.user_id == acme.mia.id).values(is_two_factor=True))
    db.session.commit()
    html = page(app, acme.mia, f"{acme.home}/notices")
    assert titles(html) == ["Of the other"]
    assert unread(html) == unread(page(app, acme.mia, f"{acme.home}/notices/count")) == "Notices, 1 unread"


def test_a_guest_hears_of_the_project_that_is_theirs(app: Flask, acme: people.Cast) -> None:
    say(acme, "Your project", to="gina")
    assert titles(page(app, acme.gina, f"{acme.home}/notices")) == ["Your project"]


def test_older_ones_follow_page_by_page_without_a_gap(app: Flask, acme: people.Cast) -> None:
    said = [say(acme, f"{number:03}") for number in range(2 * PAGE + 5)]
    for notice in said[: PAGE + 10]:
        notice.read_at = now()
    db.session.commit()
    html, found, heads = page(app, acme.mia, f"{acme.home}/notices"), [], []
    for _ in range(4):
        found += titles(html)
        heads += re.findall(r'class="told-group">(\w+)', html)
        further = re.search(r'hx-get="([^"]*after=[^"]*)"', html)
        if not further:
            break
        html = page(app, acme.mia, further[1].replace("&amp;", "&"), **{"HX-Request": "true"})
        assert "<html" not in html
    assert heads == ["Unread", "Earlier"]
    assert found == [f"{number:03}" for number in [*range(2 * PAGE + 4, PAGE + 9, -1), *range(PAGE + 9, -1, -1)]]
    for wrong in ("", "read", "read.no", "read." + "x" * 40, str(uuid.uuid4())):
        assert Place.said(wrong) is None
    assert titles(page(app, acme.mia, f"{acme.home}/notices?after=nonsense"))[0] == f"{2 * PAGE + 4:03}"


def test_a_page_of_notices_takes_few_queries_however_many_there_are(app: Flask, acme: people.Cast) -> None:
    for number in range(PAGE + 5):
        say(acme, f"{number}")
    mia, asked, engine = people.browser(app, acme.mia), [], db.engine

    def listen(*args: object) -> None:
        asked.append(args[2])

    event.listen(engine, "before_cursor_execute", listen)
    try:
        mia.get(f"{acme.home}/notices")
        assert len(asked) <= 8, asked
        asked.clear()
        mia.get(f"{acme.home}/notices/count")
        assert len(asked) <= 4, asked
    finally:
        event.remove(engine, "before_cursor_execute", listen)


def boxes(html: str) -> list[str]:
    return re.findall(r'<input[^>]*name="kinds"[^>]*>', html)


def test_mail_is_chosen_kind_by_kind(app: Flask, acme: people.Cast) -> None:
    url = f"{acme.home}/notices"
    assert "This Dataelan sends no mail" in page(app, acme.mia, url)
    kept = app.extensions["dataelan_settings"]
    app.extensions["dataelan_settings"] = replace(kept, mail=object())
    try:
        html = page(app, acme.mia, url)
        assert len(boxes(html)) == len(MAILED)
        unasked = [kind for kind, about in MAILED.items() if not about.is_mailed]
        assert [box for box in boxes(html) if "checked" not in box] == [
            box for box in boxes(html) if any(kind in box for kind in unasked)
        ]
        mia = people.browser(app, acme.mia)
        assert mia.submit(f"{url}/mail", {"kinds": ["increase.answered"]}).status_code == 204
        html = page(app, acme.mia, url)
        assert [box for box in boxes(html) if "checked" in box] == [
            box for box in boxes(html) if "increase.answered" in box
        ]
        assert mia.submit(f"{url}/mail", {"kinds": ["no.such_kind"]}).status_code == 422
    finally:
        app.extensions["dataelan_settings"] = kept
    db.session.refresh(acme.mia)
    assert acme.mia.mail_choices == {kind: kind == "increase.answered" for kind in MAILED}
    db.session.refresh(acme.adam)
    assert acme.adam.mail_choices == {}
    said = db.session.scalars(select(AuditEvent.action).where(AuditEvent.actor_id == acme.mia.id)).all()
    assert said == ["account.mail_chosen"]


def test_a_name_that_is_markup_stays_a_name(app: Flask, acme: people.Cast) -> None:
    evil = "<img src=x onerror=alert(1)>\"'><script>alert(1)</script>{{7*7}}"
    say(acme, f"Project {evil} has used 80 %", kind=evil[:60], path='/o/x"><script>alert(1)</script>')
    html = page(app, acme.mia, f"{acme.home}/notices")
    assert "<img src=x" not in html
    assert "<script>alert" not in html
    assert "{{7*7}}" in html


def test_every_kind_has_a_name_an_icon_and_a_sentence() -> None:
    for kind in KINDS.values():
        assert kind.about.endswith(".")
        assert kind.icon
        assert kind.name
    assert kind_of("something.of_later").name == "Something of later"


def test_an_old_notice_says_its_day(app: Flask, acme: people.Cast) -> None:
    notice = say(acme, "Old")
    notice.created_at = now() - timedelta(days=60)
    db.session.commit()
    assert f"{notice.created_at:%-d %b %Y}" in page(app, acme.mia, f"{acme.home}/notices")
