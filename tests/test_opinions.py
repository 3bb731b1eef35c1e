"""Thumbs and comments under a run: whose they are, who reads them, and what cannot be lost or smuggled in."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from sqlalchemy import func, select

from dataelan_web.executions.purge import purge
from dataelan_web.extensions import db
from dataelan_web.models import IN_TRASH, AuditEvent, Comment, Execution, Feedback, State, now
from dataelan_web.sharing.plain_text import linked

from . import people


@pytest.fixture
def run(acme: people.Cast) -> Execution:
    return people.ended(acme, "What is a fjord?", "A drowned valley.")


def url(cast: people.Cast, run: Execution, rest: str = "") -> str:
    return f"{cast.home}/executions/{run.id}{rest}"


def ratings(run: Execution) -> list[tuple[bool, str]]:
    db.session.rollback()
    rows = db.session.scalars(select(Feedback).where(Feedback.execution_id == run.id).order_by(Feedback.id))
    return [(row.is_good, row.note) for row in rows]


# -- thumbs ----------------------------------------------------------------------------------------


def test_each_person_has_one_thumb_which_they_can_turn_and_take_away(
    app: Flask, acme: people.Cast, run: Execution
) -> None:
    mia, victor = people.browser(app, acme.mia), people.browser(app, acme.victor)
    to = url(acme, run, "/feedback")
    assert 'aria-pressed="true"' in mia.submit(to, {"vote": "up"}).get_data(as_text=True)
    mia.submit(to, {"vote": "up"})
    victor.submit(to, {"vote": "down"})
    assert ratings(run) == [(True, ""), (False, "")]
    mia.submit(to, {"vote": "down", "note": " Wrong river "})
    assert ratings(run) == [(False, "Wrong river"), (False, "")]
    mia.submit(to, {"vote": "up"})
    assert ratings(run)[0] == (True, "Wrong river"), "a turned thumb keeps its note"
    page = victor.get(acme.session_url).get_data(as_text=True)
    assert 'aria-label="Good answer, 1 so far"' in page
    assert 'title="Good answer: Mia"' in page
    victor.submit(to, {"vote": "none"})
    assert ratings(run) == [(True, "Wrong river")]


def test_a_note_that_goes_with_its_thumb_can_be_brought_back(app: Flask, acme: people.Cast, run: Execution) -> None:
    mia = people.browser(app, acme.mia)
    mia.submit(url(acme, run, "/feedback"), {"vote": "down", "note": "No sources & no dates"})
    gone = mia.submit(url(acme, run, "/feedback"), {"vote": "none"}).get_data(as_text=True)
    assert ratings(run) == []
    undo = re.search(r'action="([^"]+)">(?:<input[^>]+>)+<button[^>]+data-undo', gone)[1].replace("&amp;", "&")  # type: ignore[index]
    assert mia.post(undo, data={"csrf_token": mia.csrf()}).status_code == 303
    assert ratings(run) == [(False, "No sources & no dates")]


def test_what_is_no_thumb_is_refused_and_a_long_note_is_kept_in_its_form(
    app: Flask, acme: people.Cast, run: Execution
) -> None:
    mia = people.browser(app, acme.mia)
    assert mia.submit(url(acme, run, "/feedback"), {"vote": "maybe"}).status_code == 422
    mia.submit(url(acme, run, "/feedback"), {"vote": "up"})
    long = mia.submit(url(acme, run, "/feedback"), {"vote": "up", "note": "x" * 1001})
    assert long.status_code == 422
    assert "x" * 1001 in long.get_data(as_text=True)
    assert ratings(run) == [(True, "")]
    run.state = State.RUNNING
    db.session.commit()
    assert mia.submit(url(acme, run, "/feedback"), {"vote": "up"}).status_code == 422


# -- comments --------------------------------------------------------------------------------------


def test_a_comment_is_counted_on_the_card_and_whole_on_the_runs_page(
    app: Flask, acme: people.Cast, run: Execution
) -> None:
    gina, victor = people.browser(app, acme.gina), people.browser(app, acme.victor)
    written = gina.submit(url(acme, run, "/comments"), {"text": "See https://example.com/a?b=1&c=2."})
    assert written.status_code == 201
    card = victor.get(acme.session_url).get_data(as_text=True)
    assert "1 comment<" in card
    assert "example.com/a" not in card, "folded"
    page = victor.get(url(acme, run)).get_data(as_text=True)
    assert '<a href="https://example.com/a?b=1&amp;c=2" target="_blank" rel="noopener noreferrer nofollow">' in page
    assert "Gina" in page
    assert "<textarea" not in page.partition('class="talk"')[2], "a viewer reads, and has no form"
    folded = victor.get(url(acme, run, "/comments"), headers={"HX-Request": "true"}).get_data(as_text=True)
    assert "example.com" in folded
    assert victor.submit(url(acme, run, "/comments"), {"text": "Me too"}).status_code == 403


def test_only_its_author_changes_a_comment_and_an_admin_may_remove_it(
    app: Flask, acme: people.Cast, run: Execution
) -> None:
    mia, gina, adam = (people.browser(app, person) for person in (acme.mia, acme.gina, acme.adam))
    mia.submit(url(acme, run, "/comments"), {"text": "First"})
    one = url(acme, run, f"/comments/{db.session.scalars(select(Comment.id)).all()[-1]}")
    assert gina.submit(one, {"text": "Hers"}).status_code == 403
    assert adam.submit(one, {"text": "His"}).status_code == 403
    assert gina.submit(f"{one}/deletion").status_code == 403
    assert mia.submit(one, {"text": "   "}).status_code == 422
    changed = mia.submit(one, {"text": "Second"}).get_data(as_text=True)
    assert "Second" in changed
    assert "edited" in changed
    gone = adam.submit(f"{one}/deletion").get_data(as_text=True)
    assert "Second" not in gone
    assert f"{one}/restoration" in gone
    assert mia.submit(one, {"text": "Third"}).status_code == 410, "it is in the trash, and may be taken out of it"
    assert gina.submit(one, {"text": "Hers"}).status_code == 404
    assert mia.submit(f"{one}/restoration").status_code == 204
    assert "Second" in mia.get(url(acme, run)).get_data(as_text=True)
    query = select(AuditEvent.action).where(AuditEvent.action.startswith("comment."))
    done = db.session.scalars(query.where(AuditEvent.organization_id == acme.organization.id).order_by(AuditEvent.id))
    assert [*done] == ["comment.created", "comment.changed", "comment.deleted", "comment.restored"]


def test_a_deleted_comment_is_in_the_trash_of_its_author_and_of_admins(
    app: Flask, acme: people.Cast, run: Execution
) -> None:
    mia, gina, adam = (people.browser(app, person) for person in (acme.mia, acme.gina, acme.adam))
    gina.submit(url(acme, run, "/comments"), {"text": "An ocelot"})
    id = db.session.scalars(select(Comment.id)).all()[-1]
    gina.submit(url(acme, run, f"/comments/{id}/deletion"))
    shown = {who: them.get(f"{acme.home}/trash?kind=comment").get_data(as_text=True)
             for who, them in (("mia", mia), ("gina", gina), ("adam", adam))}  # fmt: skip
    assert [who for who, page in shown.items() if "An ocelot" in page] == ["gina", "adam"]
    assert "by Gina" in shown["adam"]
    back = f"{acme.home}/trash/comment/{id}/restoration"
    assert mia.submit(back).status_code == 404
    assert gina.submit(back).status_code == 200, "a guest who edits has hers back"
    assert "An ocelot" in mia.get(url(acme, run)).get_data(as_text=True)


def test_a_comment_under_another_run_is_not_found_under_this_one(app: Flask, acme: people.Cast, run: Execution) -> None:
    mia, other = people.browser(app, acme.mia), people.ended(acme, "Another", "Answer")
    comment = Comment(execution_id=other.id, author_id=acme.mia.id, text="There")
    db.session.add(comment)
    db.session.commit()
    assert mia.submit(url(acme, run, f"/comments/{comment.id}/deletion")).status_code == 404


def test_too_long_a_comment_is_kept_in_its_form(app: Flask, acme: people.Cast, run: Execution) -> None:
    refused = people.browser(app, acme.mia).submit(url(acme, run, "/comments"), {"text": "é" * 4001})
    assert refused.status_code == 422
    assert "é" * 4001 in refused.get_data(as_text=True)
    assert "at most 4,000 letters" in refused.get_data(as_text=True)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ('https://x.y/"onmouseover="a', "onmouseover=&#34;a"),
        ("(see https://x.y/a_(b)).", 'href="https://x.y/a_(b)"'),
        ("a\u202eb", "⟨U+202E⟩"),
    ],
)
def test_what_is_written_stays_words(text: str, html: str) -> None:
    found = linked(text)
    assert html in found
    assert "<script" not in found
    assert not re.search(r"<a[^>]* on", found)


def test_comments_and_thumbs_go_for_ever_with_the_words_of_their_run(
    app: Flask, acme: people.Cast, run: Execution
) -> None:
    kept = people.ended(acme, "Another", "Answer")
    old = Comment(execution_id=kept.id, author_id=acme.mia.id, text="Taken back", deleted_at=now() - 2 * IN_TRASH)
    db.session.add_all(
        [
            old,
            Comment(execution_id=run.id, author_id=acme.mia.id, text="Secret"),
            Comment(execution_id=kept.id, author_id=acme.mia.id, text="Kept"),
            Feedback(execution_id=run.id, user_id=acme.mia.id, is_good=True, note="Secret"),
        ]
    )
    run.deleted_at = now() - 2 * IN_TRASH
    db.session.commit()
    ids = [run.id, kept.id]
    purge()
    assert db.session.scalars(select(Comment.text).where(Comment.execution_id.in_(ids))).all() == ["Kept"]
    assert db.session.scalar(select(func.count(Feedback.id)).where(Feedback.execution_id.in_(ids))) == 0
