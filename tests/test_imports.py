"""Conversations from elsewhere: read as they were, chosen before anything is made, free, and never trusted."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
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
from dataelan_web.imports.conversations import CannotCome, Conversation, Node, Said, tree, when
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


def said(one: Conversation) -> list[tuple[str, str, int | None]]:
    """(what was asked, the answer, the place of what it goes on from)"""
    return [(one.prompts[turn.prompt].text, turn.answer.text, turn.after) for turn in one.turns]


def models(one: Conversation) -> list[str]:
    return [turn.answer.model for turn in one.turns]


# -- reading ---------------------------------------------------------------------------------------


def test_chatgpt_keeps_branches_regenerated_answers_dates_and_models() -> None:
    found = read(export("chatgpt"))
    fjords, untitled = found.conversations
    assert found.source == "chatgpt"
    picture = "[a picture, which the export does not hold here]"
    assert said(fjords) == [
        ("What is a fjord?", "First try", None),
        ("What is a fjord?", "A drowned valley.", None),
        ("Which is longest?", "Scoresby Sund.", 1),
        (f"{picture}\n\nWhich is deepest?", "<script>alert(1)</script> Skelton Inlet.", 1),
    ], "the branch that was looked at last is the last"
    assert models(fjords)[:2] == ["gpt-4o-mini", "gpt-4o"]
    assert fjords.prompts[0].at == "2024-06-01T10:00:01+00:00"
    assert untitled.title == "Untitled"
    assert len(found.left_out) == 1
    assert "Broken" in found.left_out[0]


def test_claude_keeps_what_was_attached_as_text_and_no_thinking() -> None:
    (poem,) = read(export("claude")).conversations
    assert said(poem) == [('Write a poem\n\n<file name="notes.txt">\nsea & salt\n</file>', "Salt on the stone.", None)]
    assert poem.turns[0].answer.at == "2024-07-01T10:00:09+00:00"


def test_librechat_is_read_as_a_tree_and_as_a_row() -> None:
    tree = json.loads(export("librechat"))
    (names,) = read(export("librechat")).conversations
    assert said(names) == [("Name a boat", "Petrel", None), ("Name a boat", "Fulmar", None), ("Another", "Skua", 1)]
    assert models(names)[2] == "gpt-4o"

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
    assert said(tides) == [("Why tides?", "The moon.", None), ("Why tides?", "The moon, and the sun.", None)]
    assert models(tides) == ["llama3:8b", "mistral"]
    assert tides.at == "2024-07-03T09:46:40+00:00"


TREE = [
    # (id, the one before, from a person?, words)
    ("u1", "", True, "Name a sea"),
    ("a1", "u1", False, "The Baltic"),
    ("u2", "a1", True, "And a lake"),
    ("a2", "u2", False, "Ladoga"),
    ("a1-again", "u1", False, "The Adriatic"),
    ("u3", "a1-again", True, "How deep?"),
    ("a3", "u3", False, "1,233 m"),
    ("u3-otherwise", "a1-again", True, "How salty?"),
    ("a4", "u3-otherwise", False, "38 per mille"),
    ("u5", "a2", True, "How cold?"),
]


def as_chatgpt() -> Any:
    mapping = {
        id: {
            "parent": above or "root",
            "message": {
                "author": {"role": "user" if asks else "assistant"},
                "content": {"content_type": "text", "parts": [words]},
            },
        }
        for id, above, asks, words in TREE
    }
    hidden = {"root": {"parent": None, "message": None}}
    return [{"title": "Seas", "id": "1", "current_node": "a3", "mapping": hidden | mapping}]


def as_claude() -> Any:
    root = "00000000-0000-4000-8000-000000000000"
    messages = [
        {"uuid": id, "parent_message_uuid": above or root, "sender": "human" if asks else "assistant", "text": words}
        for id, above, asks, words in TREE
    ]
    return [{"name": "Seas", "uuid": "1", "current_leaf_message_uuid": "a3", "chat_messages": messages}]


def as_librechat() -> Any:
    """It says nowhere which branch was looked at: the last leaf is."""
    rows = sorted(TREE, key=lambda one: one[0] == "a3")
    messages = [
        {"messageId": id, "parentMessageId": above or "0", "isCreatedByUser": asks, "text": words}
        for id, above, asks, words in rows
    ]
    return {"title": "Seas", "conversationId": "1", "messages": messages}


def as_open_webui() -> Any:
    messages = {
        id: {"parentId": above or None, "role": "user" if asks else "assistant", "content": words}
        for id, above, asks, words in TREE
    }
    return [{"title": "Seas", "id": "1", "chat": {"history": {"currentId": "a3", "messages": messages}}}]


@pytest.mark.parametrize("written", [as_chatgpt, as_claude, as_librechat, as_open_webui])
def test_a_tree_stays_a_tree_whoever_wrote_it(written: Callable[[], Any]) -> None:
    (seas,) = read(json.dumps(written()).encode()).conversations
    assert said(seas) == [
        ("Name a sea", "The Baltic", None),
        ("And a lake", "Ladoga", 0),
        ("How cold?", "", 1),
        ("Name a sea", "The Adriatic", None),
        ("How salty?", "38 per mille", 3),
        ("How deep?", "1,233 m", 3),
    ]
    assert len(seas.prompts) == 5, "what was asked again is one prompt"
    assert Conversation.from_json(json.loads(json.dumps(seas.to_json()))) == seas


def test_what_one_side_says_in_a_row_is_one_message_on_each_of_its_branches() -> None:
    rows = [
        ("a", "", "assistant"),
        ("b", "a", "user"),
        ("c", "b", "user"),
        ("d", "c", "assistant"),
        ("e", "b", "assistant"),
    ]
    prompts, turns = tree([Node(id, above, role, Said(id.upper())) for id, above, role in rows], "e")
    assert [(prompts[turn.prompt].text, turn.answer.text, turn.after) for turn in turns] == [
        ("", "A", None),
        ("B\n\nC", "D", 0),
        ("B", "E", 0),
    ]


def test_what_would_grow_without_end_by_its_branches_is_left_out() -> None:
    rows = [Node(str(n), str(n - 1), "user", Said("word " * 2000)) for n in range(1, 200)]
    rows += [Node(f"a{n}", str(n), "assistant", Said("yes")) for n in range(1, 200)]
    with pytest.raises(CannotCome, match="too much"):
        tree(rows, "")


def test_what_the_version_before_looked_into_can_still_be_chosen() -> None:
    turns = [
        {"asked": {"text": "One"}, "answers": [{"text": "A"}, {"text": "B"}]},
        {"asked": {"text": "Two"}, "answers": []},
    ]
    kept = {"source_id": "1", "title": "Old", "turns": turns, "at": "", "branch_of": None, "type": "TEXT"}
    assert said(Conversation.from_json(kept)) == [("One", "A", None), ("One", "B", None), ("Two", "", 1)]


def test_what_is_exported_here_comes_back_as_it_was(app: Flask, acme: people.Cast) -> None:
    first = people.ended(acme, "One", "Answer one", requested="gpt-4o")
    people.ended(acme, "Two", "Answer three")
    again = people.ended(acme, "", "Answer two", continues_id=None)
    again.prompt = first.prompt
    people.ended(acme, "Two, otherwise", "Answer four", continues_id=again.id)
    path = f"{acme.home}/sessions/{acme.session.id}/export/json?branches=all"
    (back,) = read(people.browser(app, acme.mia).get(path).data).conversations
    assert said(back) == [
        ("One", "Answer one", None),
        ("Two", "Answer three", 0),
        ("One", "Answer two", None),
        ("Two, otherwise", "Answer four", 2),
    ]
    assert back.title == "Acme session"
    assert models(back)[0] == "gpt-4o"


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


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_zip_is_refused_however_it_was_packed(packing: int) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", packing) as archive:
        archive.writestr("conversations.json", export("claude"))
    assert read(made.getvalue()).source == "claude"
    damaged = bytearray(made.getvalue())
    for place in range(60, 70):
        damaged[place] ^= 0x55
    with pytest.raises(Refused, match="damaged"):
        read(bytes(damaged))


def test_of_a_zip_with_many_files_none_stays_behind_without_a_word() -> None:
    many = {f"conversations_{number:03}": export("claude") for number in range(40)}
    assert len(read(zipped(**many)).conversations) == 40
    with pytest.raises(Refused, match="101 files of conversations; at most 100"):
        read(zipped(**{f"conversations_{number:03}": b"[]" for number in range(101)}))


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
        b'[{"chat_messages": [{"sender": "human", "content": ' + b"[" * 900 + b"]" * 900 + b"}]}]",
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
    _, turns = tree(nodes, "a")
    assert turns


@pytest.mark.parametrize("value", [True, None, "", "soon", 1e300, float("nan"), -1e20, [], {}, "2024-13-01"])
def test_what_is_no_time_is_none(value: Any) -> None:
    assert when(value) == ""


@pytest.mark.parametrize("value", [-62135596800, "0001-01-01", -1, 4e9, "9999-12-31T23:59:59Z"])
def test_what_is_no_time_of_a_conversation_is_none(value: Any) -> None:
    """An organization west of Greenwich has no day for the first of them, and its sums could never be made anew."""
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
    assert "2 conversations from ChatGPT" in page
    assert "1 conversation cannot come along" in page
    done = people.browser(app, acme.mia).submit(to, {"take": ["0"]}).get_data(as_text=True)
    assert "1 conversation is here" in done
    (fjords,) = sessions(acme)
    assert fjords.title == "Fjords"
    assert fjords.created_at.isoformat() == "2024-06-01T10:00:00.500000+00:00"
    assert fjords.updated_at.isoformat() == "2024-06-01T10:03:30+00:00"
    again = people.browser(app, acme.mia).submit(to, {"take": ["1"]}).get_data(as_text=True)
    assert "1 conversation is here" in again
    assert len(sessions(acme)) == 1, "once"


def test_the_branches_of_what_came_along_are_walked_in_its_session(app: Flask, acme: people.Cast) -> None:
    _, to = upload(app, acme, export("chatgpt"))
    mia = people.browser(app, acme.mia)
    mia.submit(to, {"take": ["0"]})
    (fjords,) = sessions(acme)
    first, again, longest, deepest = runs(fjords)
    assert (first.continues_id, again.continues_id) == (None, None)
    assert {longest.continues_id, deepest.continues_id} == {again.id}
    page = mia.get(f"{acme.home}/sessions/{fjords.id}").get_data(as_text=True)
    assert "Skelton Inlet" in page, "it opens at the branch that was looked at last"
    assert "Scoresby Sund" not in page
    assert page.count("2 / 2") == 2
    other = mia.get(f"{acme.home}/sessions/{fjords.id}?run={longest.id}").get_data(as_text=True)
    assert "Scoresby Sund" in other
    assert "A drowned valley." in other
    beginning = mia.get(f"{acme.home}/sessions/{fjords.id}?run={first.id}").get_data(as_text=True)
    assert "First try" in beginning
    assert "A drowned valley." not in beginning


def test_runs_that_came_along_cost_nothing_and_say_so(app: Flask, acme: people.Cast) -> None:
    _, to = upload(app, acme, export("chatgpt"))
    mia = people.browser(app, acme.mia)
    mia.submit(to, {"take": ["0"]})
    (fjords,) = sessions(acme)
    first, regenerated, longest, deepest = runs(fjords)
    assert first.prompt_id == regenerated.prompt_id
    assert [run.requested for run in (first, regenerated, deepest)] == ["gpt-4o-mini", "gpt-4o", "gpt-4o"]
    came = (first, regenerated, longest, deepest)
    assert {(run.origin, run.cost, run.model_id) for run in came} == {(Origin.IMPORT, 0, None)}
    entries = select(func.count(LedgerEntry.id)).where(LedgerEntry.organization_id == acme.organization.id)
    assert db.session.scalar(entries) == 0
    page = mia.get(f"{acme.home}/sessions/{fjords.id}").get_data(as_text=True)
    assert "Imported from ChatGPT" in page
    assert "<script>alert" not in page
    found = db.session.scalar(select(func.count(SearchDocument.id)).where(SearchDocument.session_id == fjords.id))
    assert found == 4, "what came along can be searched"
    body = deepest.body.request["messages"]
    assert [message["role"] for message in body] == ["user", "assistant", "user"], "and gone on with"
    assert body[1]["parts"][0]["text"] == "A drowned valley."
    db.session.execute(
        update(Execution).where(Execution.session_id == fjords.id).values(created_at=now(), finished_at=now())
    )
    assert totals.this_month(acme.organization).runs == 0
    assert totals.of_session(fjords).runs == 4
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
