"""Conversations from elsewhere: read as they were, chosen before anything is made, free, and never trusted."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from dataelan_web.executions.purge import purge
from dataelan_web.extensions import db
from dataelan_web.imports import bringing_in, reading
from dataelan_web.imports.conversations import Conversation, Node, Said, lines, when
from dataelan_web.imports.reading import Refused, read
from dataelan_web.models import (
    Execution,
    Import,
    ImportedSession,
    LedgerEntry,
    Origin,
    PromptSession,
    SearchDocument,
    now,
)
from dataelan_web.projects import totals

from . import people

EXPORTS = Path(__file__).parent / "exports"


def export(name: str) -> bytes:
    return (EXPORTS / f"{name}.json").read_bytes()


def said(one: Conversation) -> list[tuple[str, list[str]]]:
    return [(turn.asked.text, [answer.text for answer in turn.answers]) for turn in one.turns]


# -- reading ---------------------------------------------------------------------------------------


def test_chatgpt_keeps_branches_regenerated_answers_dates_and_models() -> None:
    found = read(export("chatgpt"))
    fjords, branch, untitled = found.conversations
    assert found.source == "chatgpt"
    assert said(fjords) == [
        ("What is a fjord?", ["First try", "A drowned valley."]),
        (
            "[a picture, which the export does not hold here]\n\nWhich is deepest?",
            ["<script>alert(1)</script> Skelton Inlet."],
        ),
    ]
    assert [answer.model for answer in fjords.turns[0].answers] == ["gpt-4o-mini", "gpt-4o"]
    assert fjords.turns[0].asked.at == "2024-06-01T10:00:01+00:00"
    assert (branch.title, branch.branch_of) == ("Fjords (branch 2)", 0)
    assert said(branch)[1] == ("Which is longest?", ["Scoresby Sund."])
    assert untitled.title == "Untitled"
    assert len(found.left_out) == 1
    assert "Broken" in found.left_out[0]


def test_claude_keeps_what_was_attached_as_text_and_no_thinking() -> None:
    (poem,) = read(export("claude")).conversations
    assert said(poem) == [('Write a poem\n\n<file name="notes.txt">\nsea & salt\n</file>', ["Salt on the stone."])]
    assert poem.turns[0].answers[0].at == "2024-07-01T10:00:09+00:00"


def test_librechat_is_read_as_a_tree_and_as_a_row() -> None:
    tree = json.loads(export("librechat"))
    (names,) = read(export("librechat")).conversations
    assert said(names) == [("Name a boat", ["Petrel", "Fulmar"]), ("Another", ["Skua"])]
    assert names.turns[1].answers[0].model == "gpt-4o"

    flat: list[Any] = []
    waiting = list(tree["messages"])
    while waiting:
        message = waiting.pop(0)
        waiting += message.pop("children")
        flat.append(message)
    (again,) = read(json.dumps({**tree, "recursive": False, "messages": flat}).encode()).conversations
    assert said(again) == said(names)


def test_open_webui_keeps_the_answers_of_several_models() -> None:
    (tides,) = read(export("open_webui")).conversations
    assert said(tides) == [("Why tides?", ["The moon.", "The moon, and the sun."])]
    assert [answer.model for answer in tides.turns[0].answers] == ["llama3:8b", "mistral"]
    assert tides.at == "2024-07-03T09:46:40+00:00"


def test_what_is_exported_here_comes_back_as_it_was(app: Flask, acme: people.Cast) -> None:
    first = people.ended(acme, "One", "Answer one", requested="gpt-4o")
    again = people.ended(acme, "", "Answer two")
    again.prompt = first.prompt
    people.ended(acme, "Two", "Answer three")
    path = f"{acme.home}/sessions/{acme.session.id}/export/json"
    (back,) = read(people.browser(app, acme.mia).get(path).data).conversations
    assert said(back) == [("One", ["Answer one", "Answer two"]), ("Two", ["Answer three"])]
    assert back.title == "Acme session"
    assert back.turns[0].answers[0].model == "gpt-4o"


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/") + ".json", content)
    return out.getvalue()


def test_a_zip_is_read_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = zipped(user=b"{}", export__conversations=export("claude"), message_feedback=b"[]")
    assert read(whole).source == "claude"
    monkeypatch.setattr(reading, "LARGEST", 10_000)
    with pytest.raises(Refused, match="Unpacked"):
        read(zipped(conversations=b" " * 1_000_000 + b"[]"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no json",
        b"[" * 100_000,
        b'{"a": ' * 50_000,
        b"[1, 2, null]",
        b"9" * 10_000,
        b"PK\x03\x04 damaged",
        b"\xff\xfe\x00",
        b'[{"chat_messages": []}]',
        b'[{"mapping": {}}]',
        b'{"format": "dataelan.session", "version": 2, "session": {"title": "Later"}, "runs": []}',
    ],
)
def test_what_cannot_be_read_is_refused_with_words(content: bytes) -> None:
    with pytest.raises(Refused, match=r"\w"):
        read(content)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(("chatgpt", "claude", "librechat", "open_webui")), st.data())
def test_a_file_with_anything_anywhere_is_read_or_refused(name: str, data: st.DataObject) -> None:
    document = json.loads(export(name))
    places: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting:
        holder = waiting.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            places.append((holder, key))
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])
    holder, key = data.draw(st.sampled_from(places))
    holder[key] = data.draw(VALUES)
    try:
        found = read(json.dumps(document).encode())
    except Refused:
        return
    for one in found.conversations:
        assert one.runs_count >= 1
        json.dumps(one.to_json())


def test_a_tree_that_bites_its_tail_ends() -> None:
    nodes = [Node(id, parent, "user", Said(id)) for id, parent in (("a", "b"), ("b", "a"), ("c", "c"))]
    assert lines(nodes, "a")


@pytest.mark.parametrize("value", [True, None, "", "soon", 1e300, float("nan"), -1e20, [], {}, "2024-13-01"])
def test_what_is_no_time_is_none(value: Any) -> None:
    assert when(value) == ""


# -- choosing and bringing in ----------------------------------------------------------------------


def upload(app: Flask, cast: people.Cast, content: bytes, name: str = "conversations.json") -> tuple[str, str]:
    """(the page, where it is decided)"""
    mia = people.browser(app, cast.mia)
    form = {"csrf_token": mia.csrf(), "file": (io.BytesIO(content), name)}
    answer = mia.post(f"{cast.home}/projects/{cast.project.id}/imports", data=form)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 201, page
    return page, re.search(r'action="([^"]+/imports/[0-9a-f-]{36})"', page)[1]  # type: ignore[index]


def sessions(cast: people.Cast) -> list[PromptSession]:
    db.session.rollback()
    query = select(PromptSession).where(
        PromptSession.project_id == cast.project.id, PromptSession.id != cast.session.id
    )
    return list(db.session.scalars(query.order_by(PromptSession.id)))


def runs(session: PromptSession) -> list[Execution]:
    return list(db.session.scalars(select(Execution).where(Execution.session_id == session.id).order_by(Execution.id)))


def test_nothing_is_made_before_it_is_chosen_and_then_only_what_was(app: Flask, acme: people.Cast) -> None:
    page, to = upload(app, acme, export("chatgpt"))
    assert sessions(acme) == []
    assert "3 conversations from ChatGPT" in page
    assert "1 conversation cannot come along" in page
    done = people.browser(app, acme.mia).submit(to, {"take": ["0", "1"]}).get_data(as_text=True)
    assert "2 conversations are here" in done
    fjords, branch = sessions(acme)
    assert (fjords.title, branch.title) == ("Fjords", "Fjords (branch 2)")
    assert branch.forked_from_id == fjords.id
    assert fjords.created_at.isoformat() == "2024-06-01T10:00:00.500000+00:00"
    assert fjords.updated_at.isoformat() == "2024-06-01T10:03:30+00:00"
    again = people.browser(app, acme.mia).submit(to, {"take": ["2"]}).get_data(as_text=True)
    assert "2 conversations are here" in again
    assert len(sessions(acme)) == 2, "once"


def test_runs_that_came_along_cost_nothing_and_say_so(app: Flask, acme: people.Cast) -> None:
    _, to = upload(app, acme, export("chatgpt"))
    mia = people.browser(app, acme.mia)
    mia.submit(to, {"take": ["0"]})
    (fjords,) = sessions(acme)
    first, regenerated, deepest = runs(fjords)
    assert first.prompt_id == regenerated.prompt_id
    assert [run.requested for run in (first, regenerated, deepest)] == ["gpt-4o-mini", "gpt-4o", "gpt-4o"]
    assert {(run.origin, run.cost, run.model_id) for run in (first, regenerated, deepest)} == {(Origin.IMPORT, 0, None)}
    entries = select(func.count(LedgerEntry.id)).where(LedgerEntry.organization_id == acme.organization.id)
    assert db.session.scalar(entries) == 0
    page = mia.get(f"{acme.home}/sessions/{fjords.id}").get_data(as_text=True)
    assert "Imported from ChatGPT" in page
    assert "<script>alert" not in page
    found = db.session.scalar(select(func.count(SearchDocument.id)).where(SearchDocument.session_id == fjords.id))
    assert found == 3, "what came along can be searched"
    body = deepest.body.request["messages"]
    assert [message["role"] for message in body] == ["user", "assistant", "user"], "and gone on with"
    assert body[1]["parts"][0]["text"] == "A drowned valley."
    db.session.execute(
        update(Execution).where(Execution.session_id == fjords.id).values(created_at=now(), finished_at=now())
    )
    assert totals.this_month(acme.organization).runs == 0
    assert totals.of_session(fjords).runs == 3
    db.session.rollback()


def test_what_is_here_already_is_told_and_not_chosen_again(app: Flask, acme: people.Cast) -> None:
    _, to = upload(app, acme, export("claude"))
    people.browser(app, acme.mia).submit(to, {"take": ["0"]})
    page, _ = upload(app, acme, export("claude"))
    assert "Already here" in page
    assert not re.search(r'name="take"[^>]* checked', page)
    (poem,) = sessions(acme)
    poem.discard(acme.mia.id)
    db.session.commit()
    page, _ = upload(app, acme, export("claude"))
    assert "Already here" not in page


def test_a_large_file_comes_in_steps_that_can_be_gone_on_with(
    app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bringing_in, "SECONDS", 0.0)
    many = json.loads(export("claude"))[:1] * 3
    _, to = upload(app, acme, json.dumps([{**one, "uuid": str(n)} for n, one in enumerate(many)]).encode())
    mia = people.browser(app, acme.mia)
    assert "1 of 3 conversations" in mia.submit(to, {"take": ["0", "1", "2"]}).get_data(as_text=True)
    assert "1 of 3 conversations" in mia.get(to).get_data(as_text=True)
    assert "2 of 3 conversations" in mia.submit(to).get_data(as_text=True)
    assert "3 conversations are here" in mia.submit(to).get_data(as_text=True)
    assert len(sessions(acme)) == 3


def test_what_somebody_looks_into_is_nobody_elses_and_goes_after_a_day(app: Flask, acme: people.Cast) -> None:
    _, to = upload(app, acme, export("claude"))
    assert people.browser(app, acme.adam).get(to).status_code == 403
    brought = db.session.scalars(select(Import).where(Import.project_id == acme.project.id)).one()
    left = select(func.count(ImportedSession.id)).where(ImportedSession.import_id == brought.id)
    purge()
    assert db.session.scalar(left) == 1
    long_ago = now().replace(year=now().year - 1)
    db.session.execute(
        update(ImportedSession).where(ImportedSession.import_id == brought.id).values(created_at=long_ago)
    )
    db.session.commit()
    purge()
    assert db.session.scalar(left) == 0


def test_a_file_that_is_none_of_these_is_refused_on_the_page(app: Flask, acme: people.Cast) -> None:
    mia = people.browser(app, acme.mia)
    form = {"csrf_token": mia.csrf(), "file": (io.BytesIO(b"<html>"), "<b>page</b>.html")}
    answer = mia.post(f"{acme.home}/projects/{acme.project.id}/imports", data=form)
    assert answer.status_code == 422
    assert "no JSON" in answer.get_data(as_text=True)
    assert "<b>page" not in answer.get_data(as_text=True)
