"""The pages of the dashboard: what stands on them, for whom, and as CSV."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from zoneinfo import ZoneInfo

from flask import Flask
from flask.testing import FlaskClient
from plotly import graph_objects
from sqlalchemy import event

from dataelan_web.dashboards import figures, ranges, treemap
from dataelan_web.dashboards.routes import PAGES
from dataelan_web.dashboards.treemap import Box
from dataelan_web.extensions import db
from dataelan_web.models import Execution, Project, Scope, State, now

from . import people, used
from .test_rollups import count_all, paid


def ran(cast: people.Cast, cost: int, **values: object) -> Execution:
    model, asked = people.simulated_model(), now() - timedelta(minutes=3)
    times = {"created_at": asked, "first_token_at": asked + timedelta(seconds=1)}
    kept = {"finished_at": asked + timedelta(seconds=2), "tokens_input": 30, "tokens_output": 10, **times, **values}
    return paid(cast, cost, model, model_id=model.id, provider_id=model.provider_id, **kept)


def page(client: FlaskClient, cast: people.Cast, at: str = "", status: int = 200) -> str:
    answer = client.get(f"/o/{cast.organization.slug}/dashboard{at}")
    assert answer.status_code == status
    return answer.text


def rows(client: FlaskClient, cast: people.Cast, at: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(page(client, cast, at))))


def test_the_first_day_of_all_is_seen_while_it_runs() -> None:
    over = ranges.preset("30d", ZoneInfo("UTC"), now())
    whole, running = figures.lines(over, {"p50": [None] * (len(over.slots) - 1) + [2.0]}, "s")["data"]
    assert set(whole["y"]) == {None}
    assert (running["y"], running["mode"], running["marker"]["size"]) == ([None, 2.0], "lines+markers", [0, 6])


def test_every_page_draws_figures_that_plotly_knows(app: Flask, acme: people.Cast) -> None:
    ran(acme, 5_000_000)
    before = now() - timedelta(days=40)
    ran(acme, 3_000_000, created_at=before, first_token_at=before, finished_at=before)
    used.limit(acme, Scope.PROJECT, acme.project.id)
    count_all()
    client = people.browser(app, acme.olivia)
    drawn = set()
    for name in PAGES:
        text = page(client, acme, "" if name == "overview" else f"/{name}")
        for figure in re.findall(r'class="figure".*?data-figure="(.*?)"', text):
            values = json.loads(figure.replace("&#34;", '"').replace("&amp;", "&").replace("\\u0027", "'"))
            data = json.loads(re.sub(r'"--[a-z0-9-]+"', '"#123456"', json.dumps(values)))
            graph_objects.Figure(data)  # raises for what it does not know
            drawn.add(name)
    assert drawn == set(PAGES) - {"mine"}, "she asked for nothing herself"
    assert "Chart of Why it changed" in page(client, acme, "?range=30d")
    assert 'class="figure"' in page(client, acme)
    assert "$0.005" in page(client, acme)


def test_no_page_reads_the_runs_themselves(app: Flask, acme: people.Cast) -> None:
    """A million of them make no page slower. Rules are in no sum: routing reads some, and bounds them."""
    ran(acme, 5_000_000)
    used.limit(acme, Scope.ORGANIZATION, acme.organization.id)
    count_all()
    client, asked = people.browser(app, acme.olivia), list[str]()

    def note(*said: object) -> None:
        asked.append(str(said[2]))

    event.listen(db.engine, "before_cursor_execute", note)
    for name in PAGES.keys() - {"routing"}:
        before = len(asked)
        page(client, acme, "" if name == "overview" else f"/{name}")
        assert len(asked) - before <= 25, name
    event.remove(db.engine, "before_cursor_execute", note)
    assert len(asked) > len(PAGES)
    assert not [one for one in asked if re.search(r"\b(FROM|JOIN) (executions|execution_bodies|attempts|ledger)", one)]


def test_nothing_yet_says_so(app: Flask, acme: people.Cast) -> None:
    for name in PAGES:
        assert "Nothing" in page(
            people.browser(app, acme.olivia), acme, f"{'' if name == 'overview' else '/' + name}?range=7d"
        )


def test_runs_that_cost_nothing_are_not_taken_for_no_runs(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    ran(rival, None)  # type: ignore[arg-type]  # its price is unknown
    ran(acme, 0)
    ran(acme, 0)
    count_all()
    shown = page(people.browser(app, acme.olivia), acme)
    assert "Nothing was spent: 2 runs at $0." in shown
    assert "What it cost is not known" in page(people.browser(app, rival.olivia), rival)
    assert "the hour that is not over is drawn paler" in page(people.browser(app, acme.olivia), acme, "?range=24h")


def test_a_filter_lets_in_what_it_says_and_a_chip_undoes_it(app: Flask, acme: people.Cast) -> None:
    other = Project(organization_id=acme.organization.id, name="Other things", created_by=acme.olivia.id)
    db.session.add(other)
    db.session.commit()
    ran(acme, 7)
    ran(acme, 11, project_id=other.id)
    count_all()
    client = people.browser(app, acme.adam)
    assert [row[1] for row in rows(client, acme, "/spend/projects.csv")[1:]] == ["0.000000011", "0.000000007"]
    only = rows(client, acme, f"/spend/projects.csv?project={other.id}")
    assert [row[0] for row in only[1:]] == ["Other things"]
    assert 'aria-label="Without this project: Other things"' in page(client, acme, f"/spend?project={other.id}")


def test_who_may_not_see_everyones_sees_their_own(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    ran(acme, 7, user_id=acme.mia.id)
    ran(acme, 11, user_id=acme.adam.id)
    ran(rival, 13)
    count_all()
    seen = {
        name: sum(int(row[2]) for row in rows(people.browser(app, acme.people[name]), acme, "/spend/types.csv")[1:])
        for name in ("olivia", "adam", "mia", "victor", "gina")
    }
    assert seen == {"olivia": 2, "adam": 2, "mia": 1, "victor": 0, "gina": 2}, "gina was let into the project"
    mine = rows(people.browser(app, acme.adam), acme, "/mine/types.csv")
    assert [row[2] for row in mine[1:]] == ["1"]


def test_what_is_asked_wrongly_is_said_and_nothing_is_shown(app: Flask, acme: people.Cast) -> None:
    client = people.browser(app, acme.olivia)
    for wrong in ("range=2h", "range=custom&from=x&to=y", "type=CAKE", "project=1", "outcome=running"):
        assert "Nothing is shown" in page(client, acme, f"/spend?{wrong}", 422)
    page(client, acme, "/nothing", 404)
    page(client, acme, "/spend/nothing.csv", 404)


def test_a_tag_has_all_of_a_run_and_what_has_none_is_the_rest(app: Flask, acme: people.Cast) -> None:
    for cost, tags in ((7, ["eu", "nightly"]), (11, ["eu"]), (13, [])):
        ran(acme, cost, labels={"tags": tags})
    count_all()
    client = people.browser(app, acme.olivia)
    found = {row[0]: (row[1], row[2]) for row in rows(client, acme, "/spend/tags.csv")[1:]}
    assert found == {"eu": ("0.000000018", "2"), "nightly": ("0.000000007", "1"), "No tag": ("0.000000013", "1")}
    only = rows(client, acme, "/spend/models.csv?tag=nightly")
    assert [row[1:3] for row in only[1:]] == [["0.000000007", "1"]]
    assert [row[0] for row in rows(client, acme, "/spend/tags.csv?tag=nightly")[1:]] == ["eu", "nightly"]
    text = page(client, acme, "/performance?tag=none+has+it")
    assert "Without this tag: #none has it" in text
    assert "Nothing to show" in text
    assert "No tags" in page(client, acme, "/runs?untagged=yes")


def test_a_number_opens_no_other_runs_than_those_of_the_filters(app: Flask, acme: people.Cast) -> None:
    for cost, tags in ((7, ["eu", "nightly"]), (11, ["eu"])):
        ran(acme, cost, labels={"tags": tags})
    ran(acme, 5, state=State.INTERRUPTED)
    ran(acme, 5, state=State.FAILED)
    count_all()
    client = people.browser(app, acme.olivia)
    both = page(client, acme, "/spend?tag=nightly")
    assert "/runs?range=30d&amp;tag=nightly" in both
    assert "/runs?range=30d&amp;tag=eu" not in both, "of eu there are more than those that are nightly too"
    interrupted = page(client, acme, "?outcome=interrupted") + page(client, acme, "/performance?outcome=interrupted")
    assert "outcome=problems" not in interrupted
    assert "outcome=problems" in page(client, acme, "/performance")


def test_what_was_asked_wrongly_is_no_failure_of_the_provider(app: Flask, acme: people.Cast) -> None:
    ran(acme, 5, state=State.FAILED, error_kind="transient")
    ran(acme, 5, state=State.FAILED, error_kind="bad_request")
    count_all()
    client = people.browser(app, acme.olivia)
    found = [rows(client, acme, f"/performance/status.csv{asked}")[1][1:4] for asked in
             ("", "?error=transient", "?error=bad_request")]  # fmt: skip
    assert found == [["2", "1", "50.0 %"], ["1", "1", "0.0 %"], ["1", "0", "100.0 %"]]


def test_tiles_fill_the_box_each_as_large_as_what_it_is_of(context: None) -> None:
    sizes = [600, 300, 70, 20, 9, 1]
    found = treemap.tiles(sizes, Box(0, 0, 200, 100))
    for size, tile in zip(sizes, found, strict=True):
        assert abs(tile.width * tile.height - 20 * size) < 1e-6
        assert -1e-6 <= tile.x <= tile.x + tile.width <= 200 + 1e-6
        assert -1e-6 <= tile.y <= tile.y + tile.height <= 100 + 1e-6


def test_times_of_providers_and_models_come_after_the_page(app: Flask, acme: people.Cast) -> None:
    ran(acme, 7)
    count_all()
    client = people.browser(app, acme.olivia)
    assert "/dashboard/parts/waits?range=30d" in page(client, acme, "/performance")
    text = page(client, acme, "/parts/waits?by=model&wait=total&of=p99")
    assert "Total, p99, by model" in text
    assert [row[1] for row in rows(client, acme, "/performance/waits.csv?by=model&wait=total")][1].startswith("2.0")
    assert "No run completed" in page(client, acme, "/parts/waits?by=cake&type=VIDEO")


def test_a_spreadsheet_takes_no_name_for_a_formula(app: Flask, acme: people.Cast) -> None:
    acme.project.name = "=1+1"
    db.session.commit()
    ran(acme, 7)
    count_all()
    assert rows(people.browser(app, acme.olivia), acme, "/spend/projects.csv")[1][0] == "'=1+1"
