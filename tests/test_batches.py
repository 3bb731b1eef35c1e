"""Batches: from a sheet to scored answers, through a real worker; and what stops, mends and follows them."""

from __future__ import annotations

import csv
import io
import uuid
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from dataelan_web.batches.results import Shown
from dataelan_web.extensions import db
from dataelan_web.jobs import queue
from dataelan_web.models import (
    Batch,
    BatchCell,
    BatchState,
    CellState,
    Execution,
    Model,
    Notice,
    Origin,
    Provider,
    State,
    TemplateRun,
    new_id,
    now,
)
from dataelan_web.prompts.content import Content

from . import people
from .conftest import process, wait_until

FAST, SECOND = "simulated/simulated-instant", "simulated/simulated-second"
SHEET = "text,expected\nGuten Tag,German\nBuongiorno,Italian\nHello,English\n"


def post(app: Flask, cast: people.Cast, path: str, who: str = "mia", **form: Any):  # type: ignore[no-untyped-def]
    return people.browser(app, cast.people[who]).submit(f"{cast.home}{path}", form)


def get(app: Flask, cast: people.Cast, path: str, who: str = "mia") -> str:
    answer = people.browser(app, cast.people[who]).get(f"{cast.home}{path}")
    assert answer.status_code == 200, (path, answer.status_code)
    return str(answer.get_data(as_text=True))


def drafted(app: Flask, cast: people.Cast, sheet: str = SHEET, text: str = "Say {{text}}", **form: Any) -> Batch:
    """A batch that has not begun, of a saved prompt. Asks the simulated provider."""
    template = people.template(cast, text)
    fields = {"prompt": str(template.id), "pasted": sheet, **form}
    answer = post(app, cast, f"/projects/{cast.project.id}/batches", **fields)
    assert answer.status_code == 204, answer.get_data(as_text=True)
    return fresh(uuid.UUID(answer.headers["HX-Redirect"].rsplit("/", 1)[1]))


def begun(app: Flask, cast: people.Cast, *args: Any, **form: Any) -> Batch:
    batch = drafted(app, cast, *args, **form)
    assert post(app, cast, f"/batches/{batch.id}/start").status_code == 204
    return fresh(batch.id)


def fresh(id: uuid.UUID) -> Batch:
    db.session.rollback()
    return db.session.get_one(Batch, id, populate_existing=True)


def cells(batch: Batch) -> list[BatchCell]:
    db.session.rollback()
    query = select(BatchCell).where(BatchCell.batch_id == batch.id).order_by(BatchCell.position, BatchCell.model)
    return list(db.session.scalars(query.execution_options(populate_existing=True)))


def states(batch: Batch) -> list[str]:
    return [cell.state.value for cell in cells(batch)]


def is_over(batch: Batch) -> bool:
    return fresh(batch.id).state is BatchState.DONE


# -- the whole way ---------------------------------------------------------------------------------


def test_a_sheet_becomes_scored_answers_and_a_file(app: Flask, acme: people.Cast, worker: object) -> None:
    batch = drafted(app, acme)
    assert (batch.mapping, batch.expected_column, batch.rows_count) == ({"text": "text"}, "expected", 3)
    setup = {"name": "Languages", "map-text": "text", "expected": "expected", "model": [FAST, SECOND], "at_once": "4"}
    page = post(app, acme, f"/batches/{batch.id}/setup", **setup).get_data(as_text=True)
    assert "Ask 6 times" in page
    assert "Buongiorno" in page
    for kind, text in (("contains", "{{text}}"), ("regex", r"\bsimulated\b"), ("judge", "")):
        form = {"kind": kind, "text": text, "loosely": "y", "judge": FAST}
        assert post(app, acme, f"/batches/{batch.id}/checks", **form).status_code == 204
    assert post(app, acme, f"/batches/{batch.id}/start").status_code == 204
    wait_until(lambda: is_over(batch))

    assert states(batch) == ["done"] * 6
    runs = db.session.scalars(select(Execution).where(Execution.batch_id == batch.id)).all()
    assert sorted(run.origin for run in runs) == [Origin.BATCH] * 6 + [Origin.JUDGE] * 6
    assert {run.user_id for run in runs} == {acme.mia.id}
    made = db.session.scalars(select(TemplateRun).where(TemplateRun.id.in_([run.id for run in runs]))).all()
    assert sorted(one.values["text"] for one in made) == sorted(["Guten Tag", "Buongiorno", "Hello"] * 2)
    assert all(cell.score is not None and cell.passed is not None for cell in cells(batch))

    shown = get(app, acme, f"/batches/{batch.id}")
    assert "6 of 6" in shown
    assert 'hx-trigger="every 2s"' not in shown, "what is over does not ask for itself"
    table = list(csv.reader(io.StringIO(get(app, acme, f"/batches/{batch.id}/results.csv").removeprefix("\ufeff"))))
    assert table[0][:2] == ["text", "expected"]
    assert len(table) == 4
    assert table[1][0] == "Guten Tag"
    assert table[1][table[0].index(f"{FAST}: state")] == "done"
    assert "Guten Tag" in table[1][table[0].index(f"{FAST}: answer")]
    notice = db.session.scalars(select(Notice).where(Notice.kind == "batch.ended", Notice.user_id == acme.mia.id)).one()
    assert str(batch.id) in notice.path


def test_answers_in_the_table_have_no_marks() -> None:
    text = "**Yes**, as [here](https://example.com)\n\n| a |\n| --- |"
    assert Shown(BatchCell(), text, True).words == "Yes, as here a"


def test_a_prompt_that_is_written_for_a_batch_has_the_settings_of_any_other(app: Flask, acme: people.Cast) -> None:
    url = f"/projects/{acme.project.id}/batches"
    form = {"prompt": "", "text": "Say {{text}}", "system": "Be short", "pasted": SHEET, "temperature": "0.5"}
    answer = post(app, acme, url, **form, reasoning_effort="low", schema="{")
    assert answer.status_code == 422
    html = answer.get_data(as_text=True)
    assert "This is not JSON" in html
    assert '<option selected value="low">' in html, "what was typed is still there"
    more = {"top_p": "0.25", "seed": "0", "stop": "END"}
    answer = post(app, acme, url, **form, **more, reasoning_effort="low", max_tokens="50")
    content = Content.of(fresh(uuid.UUID(answer.headers["HX-Redirect"].rsplit("/", 1)[1])).content)
    prompt = content.prompt({"text": "Hello"})
    assert (prompt.system, prompt.temperature, prompt.reasoning_effort, prompt.max_tokens) == (
        "Be short",
        0.5,
        "low",
        50,
    )
    assert (prompt.top_p, prompt.seed, prompt.stop) == (0.25, 0, ("END",))


def test_what_a_chosen_model_does_not_take_is_said_before_it_begins(
    app: Flask, acme: people.Cast, simulated: str
) -> None:
    provider = db.session.scalars(select(Provider).where(Provider.slug == "simulated")).one()
    model = Model(id=new_id(), provider=provider, name="thinker-of-ours", display_name="Thinker")
    model.organization_id, model.refuses = acme.organization.id, ["temperature"]
    model.capabilities, model.max_output_tokens = ["reasoning"], 500
    db.session.add(model)
    db.session.commit()
    written = {"prompt": "", "text": "Say {{text}}", "pasted": SHEET, "temperature": "0.5", "max_tokens": "900"}
    for more, told in (
        ({}, "Temperature left out: thinker-of-ours takes none. Max tokens lowered to 500: thinker-of-ours writes"),
        ({"schema": '{"type": "object"}'}, "thinker-of-ours takes no JSON schema: it cannot be asked this prompt."),
    ):
        answer = post(app, acme, f"/projects/{acme.project.id}/batches", **written, **more)
        setup = f"/batches/{answer.headers['HX-Redirect'].rsplit('/', 1)[1]}/setup"
        form = {"name": "Rows", "map-text": "text"}
        assert told in post(app, acme, setup, **form, model="simulated/thinker-of-ours").get_data(as_text=True)
        assert told not in post(app, acme, setup, **form, model=FAST).get_data(as_text=True)


@pytest.mark.kills
def test_a_worker_killed_in_the_middle_loses_nothing(
    app: Flask, acme: people.Cast, environment: dict[str, str], simulated: str
) -> None:
    """No row is asked twice that was answered, none is forgotten."""
    rows = "\n".join(f'"!simulate total_ms={150 if place % 3 else 900}\nRow {place}"' for place in range(30))
    batch = drafted(app, acme, f"text\n{rows}\n", "{{text}}")
    with process(["-m", "dataelan_web.jobs.worker"], environment) as first:
        wait_until(lambda: queue.workers() > 0)
        assert post(app, acme, f"/batches/{batch.id}/start").status_code == 204
        wait_until(lambda: states(batch).count("done") > 3)
        first.kill()
        first.wait()
    before = {cell.id: cell.execution_id for cell in cells(batch) if cell.state is CellState.DONE}
    assert len(before) < 30
    dead = update(Execution).where(Execution.batch_id == batch.id, Execution.state == State.RUNNING)
    db.session.execute(dead.values(lease_until=now() - timedelta(seconds=1)))  # rather than wait for it
    db.session.execute(update(Batch).where(Batch.id == batch.id).values(turn_until=now() - timedelta(seconds=1)))
    db.session.commit()
    with process(["-m", "dataelan_web.jobs.worker"], environment):
        wait_until(lambda: is_over(batch), 120)
        failed = [cell for cell in cells(batch) if cell.state is CellState.FAILED]
        assert all("stopped before the answer" in cell.problem for cell in failed), "in flight, and maybe paid"
        if failed:
            assert post(app, acme, f"/batches/{batch.id}/retry", which="failed").status_code == 204
            wait_until(lambda: is_over(batch), 120)
    after = {cell.id: cell for cell in cells(batch)}
    assert {cell.state for cell in after.values()} == {CellState.DONE}
    assert all(after[id].execution_id == run for id, run in before.items())
    answered = select(func.count()).where(Execution.batch_id == batch.id, Execution.state == State.COMPLETED)
    assert db.session.scalar(answered) == 30
