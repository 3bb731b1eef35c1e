"""The explorer of runs: what is listed is what the panels counted, for whom it is, in a steady order; and as a file."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import random
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from time import sleep
from typing import IO
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import func, select, text, update

from dataelan_web.admin import work
from dataelan_web.dashboards import explorer, export_routes, exporting, ranges, records, runs, sums
from dataelan_web.dashboards.panels import usd
from dataelan_web.dashboards.runs import Only, Wanted
from dataelan_web.dashboards.sorting import SORTS, Order
from dataelan_web.extensions import db
from dataelan_web.models import (
    AuditEvent,
    Budget,
    BudgetPeriod,
    Execution,
    ExportState,
    Hold,
    Membership,
    Notice,
    Origin,
    Project,
    Reservation,
    ReservationState,
    Role,
    RunExport,
    Scope,
    State,
    Unit,
    Window,
    new_id,
    now,
)
from dataelan_web.models.base import NIL
from dataelan_web.models.exports import being_written
from dataelan_web.rollups.rebuilding import rebuild
from dataelan_web.storage import Storage, Stored, Unavailable, storage
from dataelan_web.sums_seen import SumsSeen

from . import people
from .conftest import wait_until
from .test_dashboard_sums import AT, KOLKATA, some_runs
from .test_dashboards import page, ran
from .test_rollups import called, count_all

PAYER = "organization"


def listed(wanted: Wanted, order: Order | None = None, size: int = 7, *, by_day: bool = False) -> list[object]:
    """All rows, page by page."""
    found, after = [], None
    while True:
        one = runs.page(wanted, order or Order(), size, after, None, by_day=by_day)
        found += one.rows
        if one.older is None:
            return found
        after = one.older


def real_runs(cast: people.Cast, dice: random.Random, count: int) -> list[Execution]:
    """As a worker leaves them: each says its payer, how many calls it made, and the last one's model."""
    made, models = some_runs(cast, dice, count), [people.simulated_model(), people.simulated_model("simulated-fast")]
    for run in dice.sample(made, count // 4):
        for number, model in enumerate(models, 3):
            called(run, 1 + dice.randrange(1000), model, number)
    db.session.commit()
    for run in made:
        db.session.refresh(run, ["attempts"])
        run.payer, run.attempts_made = PAYER, len(run.attempts)
        run.model_id, run.provider_id = run.attempts[-1].model_id, run.attempts[-1].provider_id
        run.error_kind = "rate_limit" if run.state is State.FAILED else None
    db.session.commit()
    rebuild(cast.organization)
    return made


def test_what_is_listed_adds_up_to_what_panels_show(acme: people.Cast) -> None:
    dice = random.Random(5)
    acme.organization.time_zone = KOLKATA.key
    db.session.commit()
    made = real_runs(acme, dice, 40)
    choices = {
        "project_id": [run.project_id for run in made],
        "user_id": [acme.mia.id, acme.adam.id, NIL, uuid.uuid4()],
        "model_id": [run.model_id for run in made],
        "provider_id": [run.provider_id for run in made],
        "api_key_id": [NIL],
        "payer": [PAYER, "nobody"],
        "outcome": ["completed", "failed", ("failed", "interrupted")],
        "model_type": ["TEXT", "CODE"],
        "origin": ["gateway", "playground"],
        "error": ["rate_limit"],
    }
    met = 0
    for number in range(60):
        is_wide = number % 4 == 0  # in all runs, so that some fell back from the model
        names = ["model_id"] if is_wide else dice.sample(sorted(choices), dice.randrange(4))
        filters = {name: dice.choice(choices[name]) for name in names}
        everyone = is_wide or dice.random() < 0.6
        seen = SumsSeen(everyone, () if everyone else (acme.project.id,), acme.adam.id)
        over = ranges.preset("365d" if is_wide else dice.choice(["7d", "30d", "365d"]), KOLKATA, AT)
        asked = sums.Asked(acme.organization.id, seen, filters)
        whole, rows = sums.totals(asked, (over.span,)), listed(Wanted(asked, over.start, over.end))
        costs = runs.costs(rows, asked)
        units = {name: value for name, value in filters.items() if name in runs.UNITS}
        counted = [row for row in rows if all(explorer._known(row, name) == value for name, value in units.items())]
        assert len({row.id for row in rows}) == len(rows)
        assert (len(counted), sum(costs.values())) == (whole.runs, whole.cost), (filters, over.key, everyone)
        assert runs.counted(Wanted(asked, over.start, over.end)) == (len(rows), whole.cost)
        met += len(rows) - len(counted)
    assert met, "some that fell back were among them"


def test_every_order_holds_over_pages_both_ways(acme: people.Cast) -> None:
    for n in range(12):
        ran(acme, n // 3, tokens_input=n % 4, finished_at=now() - timedelta(minutes=2, seconds=n // 2))
    ran(acme, None, first_token_at=None)
    over = ranges.preset("24h", ZoneInfo("UTC"))
    wanted = Wanted(sums.Asked(acme.organization.id, SumsSeen(True, (), acme.mia.id)), over.start, over.end)
    for name, rises in itertools.product(SORTS, (False, True)):
        order = Order(SORTS[name], rises)
        every = listed(wanted, order, 100)
        places = [(row.number, row.id) for row in every]
        assert places == sorted(places, reverse=not rises)
        assert len(every) == 13
        ids = [row.id for row in every]
        for by_day in [False, True] if SORTS[name].is_indexed else [False]:
            assert [row.id for row in listed(wanted, order, 3, by_day=by_day)] == ids
            at_end = runs.page(wanted, order, 3, order.place(*places[8]), None, by_day=by_day)
            back = runs.page(wanted, order, 3, None, at_end.newer, by_day=by_day)
            assert [row.id for row in back.rows] == ids[6:9]
            first = runs.page(wanted, order, 9, None, order.place(*places[3]), by_day=by_day)
            assert ([row.id for row in first.rows], first.newer) == (ids[:3], None)


def test_a_provider_that_counts_billions_of_tokens_breaks_no_order(acme: people.Cast) -> None:
    ran(acme, 1, **dict.fromkeys(("tokens_input", "tokens_output", "tokens_reasoning"), 10**9))
    over = ranges.preset("24h", ZoneInfo("UTC"))
    wanted = Wanted(sums.Asked(acme.organization.id, SumsSeen(True, (), acme.mia.id)), over.start, over.end)
    assert [row.number for row in listed(wanted, Order(SORTS["tokens"]))] == [3 * 10**9]


def test_pages_stay_where_they_are_while_runs_come(acme: people.Cast) -> None:
    old = [ran(acme, 1, created_at=now() - timedelta(hours=n + 1)) for n in range(6)]
    over = ranges.preset("24h", ZoneInfo("UTC"))
    wanted = Wanted(sums.Asked(acme.organization.id, SumsSeen(True, (), acme.mia.id)), over.start, over.end)
    first = runs.page(wanted, Order(), 3, None, None, by_day=False)
    for _ in range(4):
        ran(acme, 1)
    second = runs.page(wanted, Order(), 3, first.older, None, by_day=False)
    assert [row.id for row in [*first.rows, *second.rows]] == [run.id for run in old]
    again = runs.page(wanted, Order(), 3, None, second.newer, by_day=False)
    assert [row.id for row in again.rows] == [row.id for row in first.rows]
    assert again.newer, "what came meanwhile lies before it"


def test_a_page_lists_what_one_may_see_and_links_what_one_may_read(
    app: Flask, acme: people.Cast, rival: people.Cast
) -> None:
    other = Project(organization_id=acme.organization.id, name="Elsewhere", created_by=acme.olivia.id)
    db.session.add(other)
    db.session.commit()
    mine, theirs = ran(acme, 7, user_id=acme.mia.id), ran(acme, 11, user_id=acme.adam.id, project_id=other.id)
    foreign, asked_there = ran(rival, 13), ran(acme, 5, user_id=acme.adam.id, origin=Origin.IMPORT)
    count_all()
    seen = {
        name: {
            run.id
            for run in (mine, theirs, foreign, asked_there)
            if str(run.id) in page(people.browser(app, acme.people[name]), acme, "/runs")
        }
        for name in ("olivia", "adam", "mia", "victor", "gina")
    }
    both = {mine.id, theirs.id}
    assert seen == {"olivia": both, "adam": both, "mia": {mine.id}, "victor": set(), "gina": {mine.id}}
    mine.deleted_at = now()
    db.session.commit()
    said = page(people.browser(app, acme.olivia), acme, "/runs")
    assert f"row-{mine.id}" in said, "what was paid stays"
    assert f"executions/{mine.id}" not in said


def test_numbers_on_every_page_open_the_runs_that_make_them_up(app: Flask, acme: people.Cast) -> None:
    model = people.simulated_model()
    ran(acme, 7_000_000, payer=PAYER)
    ran(acme, 11_000_000, payer=PAYER, state=State.FAILED, error_kind="rate_limit")
    count_all()
    client = people.browser(app, acme.olivia)
    seen = set()
    for name in ("", "/spend", "/performance", "/mine"):
        for address in set(re.findall(r'href="([^"]*/dashboard/runs\?[^"]*)"', page(client, acme, name))):
            answer = client.get(address.replace("&amp;", "&"))
            assert answer.status_code == 200, address
            assert 'class="stats dash-sums"' in answer.text
            seen.add(address)
    assert any(f"model={model.id}" in address and "range=30d" in address for address in seen)
    assert any("outcome=problems" in address for address in seen)
    assert any("range=custom" in address for address in seen)
    problems = page(client, acme, "/runs?outcome=problems")
    assert "$0.011" in problems
    assert "$0.018" in page(client, acme, f"/runs?model={model.id}&key={NIL}")


HOSTILE = (
    "sort=cost;DROP TABLE users",
    "sort=cost--",
    "sort=%00",
    "after=1",
    "after=99999999999999999999.00000000000000000000000000000000",
    "before=-5.00000000000000000000000000000000",
    "after=1' OR 1=1--.00000000000000000000000000000000",
    "after=١٢.00000000000000000000000000000000",
    "project=' OR ''='",
    "member=1 UNION SELECT 1",
    "key=x",
    "payer=me",
    "origin=import",
    "outcome=running",
    "error=');--",
    "error=%25%25%25",
    "rule=1",
    "cost=NaN",
    "cost=1e400",
    "cost=-1",
    "seconds=Infinity",
    "tag=" + "x" * 65,
    "range=custom&from=2026-03-01T00:00:00&to=2026-03-02T00:00:00",
    "range=custom&from=2026-03-01T00:00:00Z&to=x",
    "range=custom&from=0001-01-01T00:00:00Z&to=0001-01-01T01:00:00Z",
    "range=custom&from=2026-03-01T00:07:00Z&to=2026-03-01T01:07:00Z",
    "range=custom&from=2026-03-01T00:00:00Z&to=2026-03-09T00:00:00Z",
)


def test_what_is_asked_wrongly_is_said_and_nothing_is_shown(app: Flask, acme: people.Cast) -> None:
    client = people.browser(app, acme.olivia)
    for wrong in HOSTILE:
        assert "Nothing is shown" in page(client, acme, f"/runs?{wrong}", 422), wrong


def test_what_is_only_text_asks_nothing_of_the_database(app: Flask, acme: people.Cast) -> None:
    ran(acme, 5, rule_id=None)
    client = people.browser(app, acme.olivia)
    for harmless in ("tag=%25", "tag='--", "tag=%00x", "columns=cost,';--", "live=9999999999999", f"rule={new_id()}"):
        assert "Nothing is shown" not in page(client, acme, f"/runs?{harmless}")


def test_every_query_is_given_up_after_a_while(app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "GIVES_UP_AFTER", "10ms")
    real = runs._ordered
    slow = lambda *of, **more: real(*of, **more).where(func.pg_sleep(0.2).is_not(None))  # noqa: E731
    monkeypatch.setattr(runs, "_ordered", slow)
    ran(acme, 5)
    assert "took too long" in page(people.browser(app, acme.olivia), acme, "/runs", 503)


def test_what_only_runs_know_is_counted_and_sifted(app: Flask, acme: people.Cast) -> None:
    acme.session.tags = ["contract"]
    db.session.commit()
    asked = now() - timedelta(minutes=9)
    slow = ran(
        acme, 3_000_000, created_at=asked, finished_at=asked + timedelta(seconds=100), session_id=acme.session.id
    )
    dear = ran(acme, 5_000_000_000, labels=None)
    count_all()
    client = people.browser(app, acme.olivia)
    for narrowed, kept, left_out in (
        ("seconds=60", slow, dear),
        ("cost=4.5", dear, slow),
        ("untagged=yes", dear, slow),
        ("tag=contract", slow, dear),
    ):
        said = page(client, acme, f"/runs?{narrowed}")
        assert f"row-{kept.id}" in said
        assert f"row-{left_out.id}" not in said
        assert ("of 2 by the other filters" in said) is (narrowed != "tag=contract"), "sums know tags"


def test_what_would_take_too_long_is_refused_with_a_way_out(
    app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        ran(acme, n)
    count_all()
    client = people.browser(app, acme.olivia)
    monkeypatch.setattr(explorer, "SORTED_AT_ONCE", 2)
    assert "row-" in page(client, acme, "/runs?sort=cost"), "read from the index of each day"
    assert "too many to be sorted by tokens; 2 can be" in page(client, acme, "/runs?sort=tokens", 422)
    monkeypatch.setattr(explorer, "READ_AT_ONCE", 2)
    assert "in so many days" in page(client, acme, "/runs?sort=cost", 422)
    monkeypatch.setattr(explorer, "LOOKED_AT", 2)
    assert "looked at one by one" in page(client, acme, "/runs?cost=1", 422)


def test_who_watches_sees_what_begins_and_what_ended_since(app: Flask, acme: people.Cast) -> None:
    client, since = people.browser(app, acme.olivia), int(now().timestamp()) - 60
    before = ran(acme, 5, finished_at=now() - timedelta(minutes=2))
    going = ran(acme, None, state=State.RUNNING, finished_at=None)
    new = ran(acme, 5, finished_at=now())
    url = f"{acme.home}/dashboard/runs?part=list&range=24h&live={since}"
    answer = client.get(url, headers={"HX-Request": "true"}).text
    assert "1 new since you watch" in answer
    assert re.search(rf'id="row-{new.id}" data-new', answer)
    assert re.search(rf'id="row-{going.id}" data-open', answer)
    assert f'id="row-{before.id}">' in answer
    assert "<html" not in answer
    assert "<html" in client.get(url).text, "opened by itself it is a page"


# -- files -----------------------------------------------------------------------------------------


def exported(app: Flask, cast: people.Cast, who: str = "olivia", form: str = "csv", **filters: str) -> str:
    answer = people.browser(app, cast.people[who]).submit(
        f"{cast.home}/dashboard/runs/export", {"form": form, **filters}, headers={}
    )
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    return answer.get_data(as_text=True)


def of_csv(said: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(said.removeprefix("\ufeff"))))


def test_a_file_has_every_run_of_the_filters_and_adds_up(
    app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "CHUNK", 3)
    acme.project.name = "=HYPERLINK(1)"
    db.session.commit()
    made = [ran(acme, 10**n, error_kind="+SUM" if n else None) for n in range(8)]
    made.append(ran(acme, None, user_id=acme.adam.id))
    count_all()
    rows = of_csv(exported(app, acme))
    assert [row["id"] for row in rows] == [
        str(run.id) for run in sorted(made, key=lambda r: r.created_at, reverse=True)
    ]
    assert sum(float(row["cost_usd"]) * 1e9 for row in rows) == pytest.approx(11111111)
    assert {row["project"] for row in rows} == {"'=HYPERLINK(1)"}, "no spreadsheet takes it for a formula"
    assert {row["error"] for row in rows} == {"", "'+SUM"}
    lines = [json.loads(line) for line in exported(app, acme, form="jsonl", member=str(acme.adam.id)).splitlines()]
    assert [(line["member"], line["cost_usd"], line["price_is_unknown"]) for line in lines] == [("Adam", "0", True)]
    assert lines[0]["project"] == "=HYPERLINK(1)"
    assert len(of_csv(exported(app, acme, "mia"))) == 8, "her own"
    assert not of_csv(exported(app, acme, "victor"))
    audited = db.session.scalars(select(AuditEvent).where(AuditEvent.organization_id == acme.organization.id))
    assert "runs.exported" in {event.action for event in audited}


@pytest.fixture
def large(app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch) -> RunExport:
    """An export of three runs that counts as large, and that no worker has seen."""
    for n in range(3):
        ran(acme, 1000 + n)
    count_all()
    monkeypatch.setattr(export_routes, "AT_ONCE", 2)
    monkeypatch.setattr(records, "CHUNK", 2)
    monkeypatch.setattr(export_routes, "export_later", lambda *of: True)
    client = people.browser(app, acme.olivia)
    answer = client.submit(f"{acme.home}/dashboard/runs/export", {"form": "csv"})
    export = db.session.scalars(select(RunExport).where(RunExport.user_id == acme.olivia.id)).one()
    assert answer.headers["HX-Redirect"].endswith(f"/dashboard/runs/exports/{export.id}")
    return export


def test_a_large_export_is_written_by_a_worker_and_told_of(
    app: Flask, acme: people.Cast, large: RunExport, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, leases = Storage.put_file, list[datetime | None]()

    def keep(into: Storage, owner: uuid.UUID, file: IO[bytes]) -> Stored:
        leases.append(db.session.scalar(select(RunExport.lease_until).where(RunExport.id == large.id)))
        return put(into, owner, file)

    monkeypatch.setattr(Storage, "put_file", keep)
    monkeypatch.setattr(exporting, "SLOWEST", 0.1)
    client, at = people.browser(app, acme.olivia), f"{acme.home}/dashboard/runs/exports/{large.id}"
    assert "It waits for a worker" in client.get(at).text
    exporting.write(large.id)
    db.session.refresh(large)
    assert (large.state, large.written, large.cost) == (ExportState.DONE, 3, 3003)
    assert leases[0] is not None
    assert leases[0] > now() + timedelta(minutes=10), "a storage may take its time"
    assert "3 runs" in client.get(at).text
    file = client.get(f"{at}/file", headers={"Accept-Encoding": "gzip"})
    assert len(of_csv(gzip.decompress(file.data).decode())) == 3
    assert file.headers["Content-Encoding"] == "gzip"
    assert client.get(f"{at}/file").headers["Content-Disposition"].endswith('.csv.gz"')
    notice = db.session.scalars(select(Notice).where(Notice.user_id == acme.olivia.id)).one()
    assert notice.title == "Your export of 3 runs is ready"
    assert people.browser(app, acme.adam).get(at).status_code == 404, "it is hers alone"
    exporting.write(large.id)
    assert db.session.scalar(select(func.count()).select_from(Notice).where(Notice.user_id == acme.olivia.id)) == 1


def test_an_export_is_taken_by_who_still_sees_what_it_holds(app: Flask, acme: people.Cast, large: RunExport) -> None:
    client, at = people.browser(app, acme.olivia), f"{acme.home}/dashboard/runs/exports/{large.id}"
    exporting.write(large.id)
    theirs = Membership.organization_id == acme.organization.id, Membership.user_id
    for person, role in ((acme.adam, Role.OWNER), (acme.olivia, Role.ADMIN), (acme.olivia, Role.MEMBER)):
        assert client.get(f"{at}/file").status_code == 200
        db.session.execute(update(Membership).where(theirs[0], theirs[1] == person.id).values(role=role))
        db.session.commit()
    assert (client.get(at).status_code, client.get(f"{at}/file").status_code) == (403, 403)


def test_the_queue_brings_it_to_a_worker(
    app: Flask, acme: people.Cast, worker: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(acme, 1000)
    count_all()
    monkeypatch.setattr(export_routes, "AT_ONCE", 0)
    people.browser(app, acme.olivia).submit(f"{acme.home}/dashboard/runs/export", {"form": "jsonl"})
    export = db.session.scalars(select(RunExport).where(RunExport.user_id == acme.olivia.id)).one()

    def is_done() -> bool:
        db.session.rollback()
        db.session.refresh(export)
        return export.state is ExportState.DONE

    wait_until(is_done)
    written = json.loads(gzip.decompress(storage().get(export.storage_key)))
    assert (written["cost_usd"], export.cost) == ("0.000001", 1000)


def test_an_export_can_be_stopped_and_nothing_of_it_is_kept(app: Flask, acme: people.Cast, large: RunExport) -> None:
    client, at = people.browser(app, acme.olivia), f"{acme.home}/dashboard/runs/exports/{large.id}"
    again = client.submit(f"{acme.home}/dashboard/runs/export", {"form": "csv"})
    assert again.headers["HX-Redirect"].endswith(str(large.id)), "one at a time"
    assert not db.session.scalars(being_written(db.session, acme.organization.id, acme.adam.id)).all()
    adam = people.browser(app, acme.adam)
    with ThreadPoolExecutor(1) as pool:
        click = pool.submit(adam.submit, f"{acme.home}/dashboard/runs/export", {"form": "csv"})
        sleep(0.2)
        assert not click.done(), "also of two clicks at once"
        db.session.rollback()
        assert not click.result().headers["HX-Redirect"].endswith(str(large.id))
    (adams,) = db.session.scalars(being_written(db.session, acme.organization.id, acme.adam.id)).all()
    assert exporting.cancel(adams), "and nothing of it is left to a worker of another test"
    db.session.commit()
    fence = exporting._claim(large.id)
    assert "It was stopped" in client.submit(f"{at}/cancellation").text
    with pytest.raises(exporting.NotOurs):
        exporting._progress(large.id, fence or 0, 1, 1)
    db.session.rollback()
    exporting.write(large.id)
    assert client.get(f"{at}/file").status_code == 404


def test_what_died_with_its_worker_is_begun_anew_and_given_up_in_the_end(
    acme: people.Cast, large: RunExport, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[uuid.UUID] = []
    monkeypatch.setattr(exporting.queue, "export_later", lambda *of: woken.append(of[0]))
    later = now() + timedelta(minutes=5)
    for _ in range(exporting.MOST_TRIES):
        assert exporting._claim(large.id)
        assert exporting._claim(large.id) is None, "somebody is at it"
        db.session.execute(
            text("UPDATE run_exports SET lease_until = now() - interval '1 s' WHERE id = :id"), {"id": large.id}
        )
        db.session.commit()
        exporting.look_after(later)
    db.session.refresh(large)
    assert woken.count(large.id) == exporting.MOST_TRIES - 1
    assert large.state is ExportState.FAILED
    work.retry_export(large.id)
    exporting.write(large.id)
    told = db.session.scalars(select(Notice.title).where(Notice.user_id == acme.olivia.id).order_by(Notice.id))
    assert told.all() == ["Your export of runs failed", "Your export of 3 runs is ready"]


def test_a_file_goes_when_its_time_is_over(acme: people.Cast, large: RunExport) -> None:
    exporting.write(large.id)
    db.session.refresh(large)
    key = large.storage_key
    assert storage().get(key)
    exporting.look_after(now() + timedelta(days=4))
    db.session.refresh(large)
    assert (large.state, large.storage_key) == (ExportState.EXPIRED, "")


def test_what_is_wanted_is_kept_as_it_was_asked() -> None:
    seen = SumsSeen(False, (new_id(),), new_id())
    asked = sums.Asked(new_id(), seen, {"model_id": NIL, "outcome": ("failed", "interrupted"), "payer": PAYER})
    only = Only(new_id(), True, 5, 1.5, "fallback")
    wanted = Wanted(asked, AT, AT + timedelta(days=1), only, datetime(2026, 5, 21, tzinfo=UTC))
    assert exporting.wanted_of(json.loads(json.dumps(exporting.as_json(wanted)))) == wanted


def test_a_blind_answer_is_listed_and_not_told(app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ran(acme, 5)
    count_all()
    for module in (explorer, records):
        monkeypatch.setattr(module, "blind_among", lambda ids: set(ids))
    client = people.browser(app, acme.olivia)
    said = page(client, acme, "/runs?columns=time,model,provider,cost")
    assert "Hidden" in said
    assert str(run.id) not in said
    row = of_csv(exported(app, acme))[0]
    assert (row["id"], row["model"], row["total_seconds"], row["cost_usd"]) == ("", "Hidden", "", usd(5))


def test_a_missing_file_is_told_as_such(app: Flask, acme: people.Cast, large: RunExport) -> None:
    exporting.write(large.id)
    db.session.refresh(large)
    storage().delete(large.storage_key)
    with pytest.raises(Unavailable):
        storage().get(large.storage_key)
    client = people.browser(app, acme.olivia)
    assert client.get(f"{acme.home}/dashboard/runs/exports/{large.id}/file").status_code == 503


def test_a_run_tells_what_was_charged_and_what_was_held(app: Flask, acme: people.Cast) -> None:
    run = ran(acme, 5_000_000)
    attempt = run.attempts[0]
    for scope, subject in ((Scope.ORGANIZATION, acme.organization.id), (Scope.MEMBER, acme.adam.id)):
        budget = Budget(organization_id=acme.organization.id, scope=scope, subject_id=subject, limit=10**9)
        budget.unit, budget.window, budget.id = Unit.USD, Window.MONTH, new_id()
        period = BudgetPeriod(id=new_id(), budget_id=budget.id, starts_at=now())
        db.session.add(budget)
        db.session.flush()
        db.session.add(period)
        db.session.flush()
        held = db.session.scalars(select(Reservation).where(Reservation.attempt_id == attempt.id)).first()
        held = held or Reservation(id=new_id(), attempt_id=attempt.id, execution_id=run.id, amount=7, expires_at=now())
        held.state = ReservationState.SETTLED
        held.holds.append(Hold(period_id=period.id, amount=7_000_000))
        db.session.add(held)
        db.session.commit()
    said = people.browser(app, acme.olivia).get(f"{acme.home}/executions/{run.id}").text
    assert said.count("$0.007") == 2
    assert "$0.005" in said[said.index("In the books") :]
    said = people.browser(app, acme.mia).get(f"{acme.home}/executions/{run.id}").text
    assert said.count("$0.007") == 1
    assert "1 limit that you cannot see" in said
