"""What was found in an answer, as a file: right in content, harmless to whoever opens it."""

from __future__ import annotations

from flask import Flask

from dataelan_web.models import Action
from dataelan_web.playground.files import file_of
from dataelan_web.router.actions import actions
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
    text = "| a | b |\n| - | - |\n| =1+1 | -3.5 |\n| @SUM(A1) | +cmd |\n| -2+3 | plain, é |"
    assert files_of(text) == [("table-1.csv", "a,b\r\n'=1+1,-3.5\r\n'@SUM(A1),'+cmd\r\n'-2+3,\"plain, é\"\r\n")]


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
