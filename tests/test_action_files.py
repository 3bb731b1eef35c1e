"""What was found in an answer, as a file: right in content, harmless to whoever opens it."""

from __future__ import annotations

import io
import json
import zipfile

from flask import Flask
from sqlalchemy import select

from dataelan_web.executions.prompts import to_json
from dataelan_web.extensions import db
from dataelan_web.models import Action, Asset, Execution, ExecutionBody, Origin, Prompt, State, new_id, now
from dataelan_web.playground.cards import MOST_NODES, is_small
from dataelan_web.playground.files import file_of
from dataelan_web.router.actions import actions
from dataelan_web.router.types import Prompt as RouterPrompt
from dataelan_web.router.types import user as said
from tests import people
from tests.test_playground import ask, fresh


def files_of(text: str) -> list[tuple[str, str]]:
    found = [Action(position=at, kind=a.kind, title=a.title, payload=a.payload) for at, a in enumerate(actions(text))]
    files = [file for file in map(file_of, found) if file]
    return [(file.name, file.content.decode("utf-8-sig")) for file in files]


def test_each_kind_has_its_file_and_a_link_has_none() -> None:
    text = "In `src/app.py`:\n\n```python\nx = 1\n```\n\n```\ny\n```\n\n- [x] Pack\n- [ ] Leave\n\nhttps://example.com/"
    assert files_of(text) == [
        ("app.py", "x = 1\n"),
        ("code-2.txt", "y\n"),
        ("checklist-3.md", "- [x] Pack\n- [ ] Leave\n"),
    ]
    assert files_of('{"a": [1]}') == [("data-1.json", '{\n  "a": [\n    1\n  ]\n}')]


def test_a_table_is_csv_in_which_no_cell_is_a_formula() -> None:
    text = "| a | b |\n| - | - |\n| =1+1 | -3.5 |\n| @SUM(A1) | +cmd |\n| -2+3 | plain, é |\n| ＝1 | -5 % |"
    assert files_of(text) == [
        ("table-1.csv", "a,b\r\n'=1+1,-3.5\r\n'@SUM(A1),'+cmd\r\n'-2+3,\"plain, é\"\r\n'＝1,-5 %\r\n")
    ]


def test_it_is_sent_so_that_no_browser_shows_or_runs_it(app: Flask, worker: object, acme: people.Cast) -> None:
    execution = fresh(ask(app, acme, "Write a Python function"))
    victor = people.browser(app, acme.victor)
    url = f"{acme.home}/executions/{execution.id}/actions"
    answer = victor.get(f"{url}/0/file")
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"] == "attachment; filename=code-1.py"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox"
    assert answer.headers["Cache-Control"] == "no-store"
    assert victor.get(f"{url}/99/file").status_code == 404


def test_all_files_of_an_answer_come_as_one_zip(app: Flask, acme: people.Cast) -> None:
    text = "In `src/app.py`:\n```python\nx = 1\n```\nIn `src/app.py`:\n```python\nx = 2\n```\n| a |\n| - |\n| 1 |\n"
    run = answered(acme, text)
    victor = people.browser(app, acme.victor)
    answer = victor.get(f"{acme.home}/executions/{run.id}/files.zip")
    assert answer.headers["Content-Security-Policy"] == "sandbox"
    with zipfile.ZipFile(io.BytesIO(answer.data)) as made:
        assert made.namelist() == ["src/app.py", "2-src-app.py", "table-3.csv"]
        assert made.read("src/app.py") == b"x = 1\n"
    nothing = answered(acme, "Only https://example.com/")
    assert victor.get(f"{acme.home}/executions/{nothing.id}/files.zip").status_code == 404


def test_what_stands_in_an_answer_is_kept_in_the_project_and_taken_by_the_next_prompt(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    run = fresh(ask(app, acme, "Write a Python function"))
    mia, keep = people.browser(app, acme.mia), f"{acme.home}/executions/{run.id}/actions/0/keeping"
    assert keep in mia.get(f"{acme.home}/executions/{run.id}").get_data(as_text=True)
    for _ in range(2):
        assert mia.submit(keep).status_code == 200
    assert people.browser(app, acme.victor).submit(keep).status_code == 403
    assert mia.submit(keep.replace("/0/", "/99/")).status_code == 404
    (kept,) = db.session.scalars(select(Asset).where(Asset.is_kept, Asset.project_id == acme.project.id)).all()
    assert (kept.name, kept.media_type) == ("code-1.py", "text/plain")
    assert mia.get(f"{acme.home}/assets/{kept.id}?download").data == file_of(run.actions[0]).content  # type: ignore[union-attr]
    again = fresh(ask(app, acme, "Explain it", references=[str(kept.id)]))
    assert "code-1.py" in str(again.body.request)


def test_an_item_of_a_checklist_is_ticked_by_those_who_may_edit(app: Flask, acme: people.Cast) -> None:
    run = answered(acme, "- [ ] Pack <b>\n- [x] Leave")
    url = f"{acme.home}/executions/{run.id}/actions/0/items"
    mia, victor = people.browser(app, acme.mia), people.browser(app, acme.victor)
    assert victor.submit(f"{url}/0", {"done": "yes"}).status_code == 403
    answer = mia.submit(f"{url}/0", {"done": "yes"})
    assert answer.status_code == 200
    assert "Not done: Pack &lt;b&gt;" in answer.get_data(as_text=True)
    assert mia.submit(f"{url}/1", {"done": ""}).status_code == 200
    db.session.rollback()
    assert [item["done"] for item in fresh(run.id).actions[0].payload["items"]] == [True, False]
    for place in ("0/items/2", "0/items/999999999999", "7/items/0"):
        assert mia.submit(f"{acme.home}/executions/{run.id}/actions/{place}", {"done": "yes"}).status_code == 404


def test_json_is_held_against_the_schema_that_was_asked_for(app: Flask, acme: people.Cast) -> None:
    schema = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    mia = people.browser(app, acme.mia)

    def page(text: str) -> str:
        run = answered(acme, text, schema=schema)
        return mia.get(f"{acme.home}/executions/{run.id}").get_data(as_text=True)

    assert "Fits its schema" in page('{"name": "Ada"}')
    broken = page('{"name": 7}')
    assert "Breaks its schema" in broken
    assert "$.name: 7 is not of type" in broken


def test_large_json_is_text_instead_of_a_tree(app: Flask, acme: people.Cast) -> None:
    assert is_small({"a": [1, {"b": None}]})
    assert not is_small(list(range(MOST_NODES)))
    deep: list[object] = []
    for _ in range(45):
        deep = [deep]
    assert is_small(deep)
    assert answered(acme, json.dumps(deep)).actions[0].kind == "json"


def answered(cast: people.Cast, text: str, **request: object) -> Execution:
    """A run in the cast's session that ended with this answer."""
    prompt = RouterPrompt(messages=(said("Hello"),))
    found = enumerate(actions(text))
    run = Execution(
        id=new_id(),
        organization_id=cast.organization.id,
        project_id=cast.project.id,
        session=cast.session,
        prompt=Prompt(session_id=cast.session.id, author_id=cast.mia.id, text="Hello"),
        user_id=cast.mia.id,
        origin=Origin.PLAYGROUND,
        state=State.COMPLETED,
        finished_at=now(),
        body=ExecutionBody(request={**to_json(prompt), **request}, text=text),
        actions=[Action(position=at, kind=a.kind, title=a.title, payload=dict(a.payload)) for at, a in found],
    )
    db.session.add(run)
    db.session.commit()
    return run
