"""The audit log: complete, filtered by its address, exported, and changed by nobody."""

from __future__ import annotations

import csv
import io
import json
import re
import uuid
from datetime import UTC, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy
from flask import Flask
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import IntegrityError

from dataelan_web.audit_log import words
from dataelan_web.audit_log.filters import Cursor
from dataelan_web.executions.retention import forget_audit
from dataelan_web.extensions import db
from dataelan_web.models import NANO, AuditEvent, Organization, Scope, new_id, now
from dataelan_web.models.audit import Source

from . import people, used
from .test_access import HTMX, ROUTES, Ids, Route, by_feature, rows_of, send

CHANGES = [one for one in ROUTES if one.method == "POST" and one.is_inside and "olivia" in one.allowed]
SAYS_ITSELF = {
    *("playground.create", "playground.create_execution", "playground.retry", "playground.retry_comparison"),
    *("prompts.run", "prompts.run_cases", "prompts.open_session", "hub.model_session", "batches.setup"),
}
"""Sessions, runs and drafts of batches, which are made: each says who made it, and when."""
THEIR_OWN = {
    "playground.star",
    "sharing.rate",
    "batches.score",
    "notices.read",
    "notices.read_all",
    "prompts.keep_draft",
}
"""What of it is one person's own, and changes nothing for others."""


def event(cast: people.Cast, action: str = "key.created", **values: object) -> AuditEvent:
    made = AuditEvent(id=new_id(), organization_id=cast.organization.id, action=action, subject_type="APIKey")
    made.actor_id, made.actor_name, made.source = cast.adam.id, "Adam", Source.BROWSER
    made.subject_id, made.subject_name = new_id(), "Main key"
    for name, value in values.items():
        setattr(made, name, value)
    db.session.add(made)
    db.session.commit()
    return made


def shown(page: str) -> list[str]:
    return re.findall(r"<td class=\"grow wraps\"><strong>(.*?)</strong>", page)


def test_a_change_is_told_with_who_made_it_from_where_and_what_it_was_before(app: Flask, acme: people.Cast) -> None:
    adam = people.browser(app, acme.adam)
    agent = {"User-Agent": "Mozilla/5.0 (X11; Linux) Firefox/140"}
    form = {"name": "Acme & Söhne", "time_zone": "UTC", "summaries": "none"}
    assert adam.submit(f"{acme.home}/settings", form, headers=agent).status_code == 200
    page = adam.get(f"{acme.home}/audit").get_data(as_text=True)
    assert shown(page) == ["Organization settings changed"]
    told = (
        '<span>Name</span> <del>Acme</del> <span aria-hidden="true">→</span><span class="sr-only">became</span> <ins>'
    )
    assert f"{told}Acme &amp; Söhne</ins>" in page
    assert "Firefox on Linux<small>127.0.0.1</small>" in page
    assert f"person={acme.adam.id}" in page


@pytest.mark.sweep
@by_feature([one for one in CHANGES if one.status < 400])
def test_whatever_a_form_changes_is_a_line(
    app: Flask, routes: list[Route], acme: people.Cast, subtests: pytest.Subtests
) -> None:
    ids, client = Ids.of(acme, routes), people.browser(app, acme.olivia)

    def lines() -> int:
        return db.session.scalar(select(func.count()).select_from(AuditEvent)) or 0

    for route in routes:
        with subtests.test(str(route)):
            before, rows = lines(), rows_of(acme)
            answer = send(client, route, ids, client.csrf(), HTMX)
            is_told = lines() > before or route.endpoint in SAYS_ITSELF | THEIR_OWN
            assert is_told or rows_of(acme) == rows, f"{route} changed something, and the log says nothing"
            if answer.status_code < 400:
                ids = ids.with_new(acme, route.names)


def test_it_is_filtered_by_person_kind_subject_source_and_days(app: Flask, acme: people.Cast) -> None:
    key = event(acme)
    event(acme, "member.removed", actor_id=acme.olivia.id, subject_name="Mia 100%", detail={"role": "MEMBER"})
    event(acme, "limit.mended", actor_id=None, actor_name="", source=Source.COMMAND, source_name="flask ledger")
    event(acme, "token.revoked", created_at=now() - timedelta(days=40), impersonator_id=acme.olivia.id)
    event(people.cast("Rival"), "rule.created")
    adam, today = people.browser(app, acme.adam), now().date()

    def found(**filters: object) -> list[str]:
        return shown(adam.get(f"{acme.home}/audit", query_string=filters).get_data(as_text=True))

    assert len(found()) == 4
    assert found(person=acme.adam.id) == ["Key created", "Gateway token revoked"]
    assert found(person=acme.olivia.id) == ["Member removed", "Gateway token revoked"], "also in another's name"
    assert found(person="nobody", source="command") == ["Limit mended"]
    assert found(kind="key") == ["Key created"]
    assert found(kind="key.deleted") == []
    assert found(subject=key.subject_id) == ["Key created"]
    assert found(name="100%") == ["Member removed"]
    assert found(to=today - timedelta(days=1)) == ["Gateway token revoked"]
    assert len(found(**{"from": today})) == 3
    for bad in ("person=1", "kind=%25", "subject=x", "source=moon", "from=never", "from=2026-02-01&to=2026-01-01"):
        assert adam.get(f"{acme.home}/audit?{bad}").status_code == 422, bad
    assert adam.get(f"{acme.home}/audit?after=99999999999999999999_1").status_code == 422


def test_pages_follow_one_another_without_a_gap_also_of_one_moment(app: Flask, acme: people.Cast) -> None:
    moment = now()
    ids = [str(event(acme, created_at=moment, subject_name=f"Key {number}").id) for number in range(3)]
    cursor = Cursor(moment, max(map(uuid.UUID, ids)))
    page = people.browser(app, acme.adam).get(f"{acme.home}/audit?after={cursor}").get_data(as_text=True)
    assert "Key 2" not in page
    assert len(shown(page)) == 2
    assert Cursor.read(str(cursor)) == cursor


def test_it_is_exported_whole_and_no_spreadsheet_takes_a_name_for_a_formula(app: Flask, acme: people.Cast) -> None:
    event(acme, subject_name="=cmd|' /C calc'!A0", detail={"label": "ü"})
    event(acme, "rule.created", actor_name="+Adam")
    adam = people.browser(app, acme.adam)
    assert adam.submit(f"{acme.home}/audit/export", {"form": "csv", "subject": str(new_id())}).status_code == 200
    answer = adam.submit(f"{acme.home}/audit/export", {"form": "csv", "kind": "key"})
    assert answer.headers["Content-Disposition"].startswith("attachment")
    (row,) = csv.DictReader(io.StringIO(answer.get_data().decode("utf-8-sig")))
    assert (row["subject"], row["action"], row["detail"]) == ("'=cmd|' /C calc'!A0", "key.created", '{"label": "ü"}')
    lines = adam.submit(f"{acme.home}/audit/export", {"form": "jsonl"}).get_data(as_text=True).splitlines()
    actions = [json.loads(line)["action"] for line in lines]
    assert actions == [*["audit.exported"] * 3, "rule.created", "key.created"]


def test_no_line_can_be_changed_or_deleted_before_its_time(acme: people.Cast) -> None:
    young, old = event(acme), event(acme, created_at=now() - timedelta(days=31))
    for attempt in (
        update(AuditEvent).where(AuditEvent.id == young.id).values(actor_name="Nobody"),
        delete(AuditEvent).where(AuditEvent.id == old.id),
        text("TRUNCATE audit_events"),
    ):
        with pytest.raises(IntegrityError, match="append-only"):
            db.session.execute(attempt.execution_options(synchronize_session=False))
        db.session.rollback()
    with pytest.raises(IntegrityError, match="audit_is_kept_a_month"):
        db.session.execute(update(Organization).values(audit_kept_days=1))
    db.session.rollback()
    rights = "SELECT has_any FROM (SELECT bool_or(privilege_type IN ('UPDATE', 'TRUNCATE')) AS has_any FROM"
    rights += " information_schema.role_table_grants WHERE table_name = 'audit_events') _"
    assert db.session.scalar(text(rights)) is False
    young_id, old_id, acme.organization.audit_kept_days = young.id, old.id, 30
    db.session.commit()
    assert forget_audit() == 1
    left = select(AuditEvent.id).where(AuditEvent.id.in_([young_id, old_id]))
    assert db.session.scalars(left).all() == [young_id]


def test_how_long_it_is_kept_is_a_setting_and_what_it_deletes_is_asked(app: Flask, acme: people.Cast) -> None:
    event(acme, created_at=now() - timedelta(days=90))
    adam, form = people.browser(app, acme.adam), {"name": "Acme", "time_zone": "UTC", "summaries": "none"}
    short = adam.submit(f"{acme.home}/settings", {**form, "audit_kept_days": "29"})
    assert short.status_code == 422
    asked = adam.submit(f"{acme.home}/settings", {**form, "audit_kept_days": "60"})
    assert "This deletes 1 line of the audit log." in asked.get_data(as_text=True)
    adam.submit(f"{acme.home}/settings", {**form, "audit_kept_days": "60", "is_sure": "y"})
    db.session.refresh(acme.organization)
    assert acme.organization.audit_kept_days == 60


def test_every_action_that_is_recorded_has_a_name() -> None:
    for path in Path("dataelan_web").rglob("*.py"):
        for noun in re.findall(r'audit\.record\(\s*f?"([a-z_]+)\.', path.read_text()):
            assert noun in words.NOUNS, f"{path} records what was done to a {noun}: name it in audit_log/words.py"


def test_words_say_amounts_lists_and_what_is_gone() -> None:
    limit = {"unit": "usd", "limit": 10_000_000_000, "alerts": [50, 80], "before": {"limit": None, "note": "x"}}
    assert words.changes(AuditEvent(detail=limit)) == [
        ("Counted in", None, "Money"),
        ("Limit", "nothing", "$10.00"),
        ("Tell at", None, "50 %, 80 %"),
        ("Note", "x", "nothing"),
    ]
    assert words.changes(AuditEvent(detail={"before": "MEMBER", "after": "ADMIN"})) == [("", "MEMBER", "ADMIN")]
    changed = AuditEvent(action="member.role_changed", detail={"before": "MEMBER", "after": "ADMIN"})
    assert words.changes(changed) == [("", "Member", "Admin")]
    detail = {"scope": "member", "is_hard": True, "window": "month", "until": "2026-12-01T00:00:00+00:00"}
    assert words.changes(AuditEvent(detail=detail | {"role": "MEMBER"}), zone=ZoneInfo("Europe/Berlin")) == [
        ("A limit on", None, "A member"),
        ("In", None, "A calendar month"),
        ("When it is reached", None, "Refuse"),
        ("Until", None, "1 Dec 2026 01:00"),
        ("Role", None, "Member"),
    ]


def test_ids_are_names_with_links_while_what_they_are_of_is_there(
    app: Flask, acme: people.Cast, rival: people.Cast
) -> None:
    budget = used.limit(acme, Scope.MEMBER, acme.mia.id, 5 * NANO)
    run = people.ended(acme, "How much?")
    others = rival.session.id
    said = {"scope": "member", "subject_id": str(acme.mia.id)}
    event(acme, "limit.created", subject_type="Budget", subject_id=budget.id, subject_name="", detail=said)
    event(acme, "increase.asked", detail={"limit": str(budget.id), "unit": "usd", "amount": NANO})
    event(acme, "link.created", detail={"session": str(acme.session.id), "run": str(run.id)})
    event(acme, "link.revoked", detail={"session": str(others)})
    event(acme, "session.moved", subject_name="x", detail={"source": str(acme.project.id), "target": str(new_id())})
    event(acme, "session.deleted", subject_type="PromptSession", subject_id=acme.session.id, subject_name="")
    adam = people.browser(app, acme.adam)
    page = adam.get(f"{acme.home}/audit").get_data(as_text=True)

    def link(path: str, name: str) -> str:
        return f'<ins><a class="link" href="{acme.home}/{path}">{name}</a></ins>'

    assert "<span>Which one</span> <ins>Mia</ins>" in page
    assert link(f"limits/{budget.id}", "Mia: $5.00 a month") in page
    assert link(f"sessions/{acme.session.id}", acme.session.title) in page
    assert link(f"executions/{run.id}", f"{run.created_at.astimezone(UTC):%-d %b %Y %H:%M:%S}") in page
    assert link(f"projects/{acme.project.id}", acme.project.name) in page
    assert f'All that was done to it">{acme.session.title}</a>' in page, "also where its line does not name it"
    assert 'All that was done to it">Mia: $5.00 a month</a>' in page
    assert f"<ins>{others}</ins>" in page, "nothing is told of another organization's"
    acme.session.discard(acme.mia.id)
    db.session.commit()
    page = adam.get(f"{acme.home}/audit").get_data(as_text=True)
    assert f"<ins>{acme.session.title}</ins>" in page, "what is in the trash has a name, and no page"


def test_names_on_a_page_of_the_log_cost_a_query_a_kind(app: Flask, acme: people.Cast) -> None:
    adam = people.browser(app, acme.adam)

    def asked() -> int:
        statements = list[str]()
        listener = lambda *said: statements.append(said[2])  # noqa: E731
        sqlalchemy.event.listen(db.engine, "before_cursor_execute", listener)
        assert adam.get(f"{acme.home}/audit").status_code == 200
        sqlalchemy.event.remove(db.engine, "before_cursor_execute", listener)
        return len(statements)

    before = asked()
    for _ in range(20):
        detail = {"session": str(acme.session.id), "run": str(new_id()), "limit": str(new_id())}
        event(acme, "link.created", detail=detail)
    assert asked() <= before + 3


def test_a_session_is_named_to_its_organization_and_kept_nowhere(app: Flask, acme: people.Cast) -> None:
    """Its title is what somebody wrote: a purge takes it, and it is no operator's to read."""
    people.browser(app, acme.mia).submit(f"{acme.home}/sessions/{acme.session.id}/deletion")
    made = db.session.scalars(select(AuditEvent).where(AuditEvent.subject_id == acme.session.id)).all()
    assert [one.subject_name for one in made] == [""]
    page = people.browser(app, acme.adam).get(f"{acme.home}/audit").get_data(as_text=True)
    assert f'All that was done to it">{acme.session.title}</a>' in page
    operator = people.user("operator")
    operator.is_superuser = True
    db.session.commit()
    page = people.browser(app, operator).get(f"/admin/audit?subject={acme.session.id}").get_data(as_text=True)
    assert "Session deleted" in page
    assert acme.session.title not in page
