"""What happened, on the charts of the dashboard: who notes it, who sees it, and what the price book notes by itself."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from zoneinfo import ZoneInfo

from flask import Flask
from sqlalchemy import select

from dataelan_web.dashboards import figures, ranges
from dataelan_web.dashboards.repriced import changes
from dataelan_web.extensions import db
from dataelan_web.models import Annotation, AuditEvent, Happening, Price, new_id, now

from . import people
from .test_dashboards import page, ran
from .test_rollups import count_all

START = datetime(2026, 5, 1, tzinfo=UTC)


def written(cast: people.Cast) -> list[Annotation]:
    db.session.expire_all()
    return list(db.session.scalars(select(Annotation).filter_by(organization_id=cast.organization.id, deleted_at=None)))


def marks(text: str) -> list[dict[str, object]]:
    """The words on the first chart of a page."""
    figure = re.search(r'class="figure".*?data-figure="(.*?)"', text)
    assert figure
    found: list[dict[str, object]] = json.loads(unescape(figure[1]))["layout"].get("annotations", [])
    return found


def test_what_is_noted_stands_on_the_charts_of_its_time_and_beneath(app: Flask, acme: people.Cast) -> None:
    acme.organization.time_zone = "Asia/Kolkata"
    db.session.commit()
    ran(acme, 5_000_000)
    count_all()
    home, mia = f"{acme.home}/dashboard", people.browser(app, acme.mia)
    at = now().astimezone(ZoneInfo("Asia/Kolkata")) - timedelta(days=2)
    said = {"at": f"{at:%Y-%m-%dT%H:%M}", "kind": "deploy", "text": "Release <b>4.2</b>"}
    there = {"Referer": f"http://localhost{home}/spend?range=7d", "HX-Current-URL": f"http://localhost{home}/spend"}
    assert mia.submit(f"{home}/notes", said, headers=there).headers["HX-Redirect"] == f"{home}/spend"
    note = written(acme)[0]
    id = note.id
    assert (note.kind, note.user_id) == (Happening.DEPLOY, acme.mia.id)
    assert note.at == at.replace(second=0, microsecond=0)
    for who in ("olivia", "mia", "victor"):
        text = page(people.browser(app, acme.people[who]), acme, "/spend?range=7d")
        assert "Release &lt;b&gt;4.2&lt;/b&gt;" in text
        assert (f"/notes/{id}" in text) == (who != "victor"), "who may only look changes nothing"
    drawn = marks(page(people.browser(app, acme.olivia), acme, "/spend?range=7d"))
    assert [(one["x"], one["text"]) for one in drawn] == [(f"{at:%Y-%m-%dT00:00}", "Release &lt;b>4.2&lt;/b>")]
    assert "4.2" not in page(people.browser(app, acme.gina), acme, "/spend?range=7d"), "a guest is in one project only"
    assert "4.2" not in page(people.browser(app, acme.olivia), acme, "/spend?range=24h"), "it was before that"
    mia.submit(f"{home}/notes/{id}", said | {"kind": "incident", "text": "It broke"})
    assert (written(acme)[0].text, written(acme)[0].kind) == ("It broke", Happening.INCIDENT)
    mia.submit(f"{home}/notes/{id}/deletion")
    assert not written(acme)
    log = db.session.scalars(select(AuditEvent).where(AuditEvent.subject_id == id).order_by(AuditEvent.id)).all()
    assert [(one.action, one.detail["text"]) for one in log][1:] == [
        ("note.changed", "It broke"),
        ("note.deleted", "It broke"),
    ]


def test_a_note_without_a_time_or_words_is_refused_and_stays_in_the_form(app: Flask, acme: people.Cast) -> None:
    client, whole = people.browser(app, acme.mia), {"at": "2026-05-01T10:00", "kind": "other", "text": "Typed"}
    for wrong in ({"at": ""}, {"at": "yesterday"}, {"at": "1999-05-01T10:00"}, {"text": " "}, {"kind": "party"}):
        answer = client.submit(f"{acme.home}/dashboard/notes", whole | wrong)
        assert answer.status_code == 422
        assert "field-error" in answer.text
        assert "Typed" in answer.text or "text" in wrong
    assert not written(acme)


def test_words_on_a_chart_do_not_cover_each_other() -> None:
    over = ranges.read("custom", "2026-05-01", "2026-05-20", ZoneInfo("UTC"))
    figure = figures.stacked(over, {"a": [1] * 20})
    figures.mark(figure, over, [(START + timedelta(days=n // 2, hours=n), f"Number {n}") for n in range(12)])
    words = figure["layout"]["annotations"]
    assert words[0]["text"] == "Number 0 +1"
    assert words[0]["hovertext"] == "Number 0<br>Number 1"
    heights = [one["y"] for one in words if one["text"] != figures.HEAD]
    assert len(heights) == len(set(heights)) == figures.ROWS, "so near each other, each is on a row of its own"
    assert len(figure["layout"]["shapes"]) == len(words)
    assert figure["layout"]["yaxis"]["domain"][1] < min(heights), "and none on the data"


def price(day: int, input: int, organization: object = None, until: int | None = None, **more: int) -> Price:
    ends = None if until is None else START + timedelta(days=until)
    amounts = {"input": input * 10**9, "output": 10 * 10**9, "per_request": 0} | more
    return Price(id=new_id(), organization_id=organization, effective_at=START + timedelta(days=day), ends_at=ends,
                 **amounts)  # fmt: skip


def told(*prices: Price) -> list[tuple[int, str]]:
    found = changes(prices, START, START + timedelta(days=30))
    return [((at - START).days, said) for at, said in found]


def test_the_price_book_notes_when_what_is_paid_changed() -> None:
    ours = acme_id = new_id()
    assert told(price(3, 2)) == [], "a first price changes nothing"
    assert told(price(-9, 3), price(3, 2)) == [(3, "Input $3.00 → $2.00")]
    assert told(price(-9, 3), price(-5, 2), price(40, 1)) == [], "not in the time shown"
    assert told(price(-9, 3), price(3, 3)) == [], "looked up again, and the same"
    assert told(price(-9, 3), price(-5, 1, ours), price(4, 2)) == [], "one's own price goes before everyone's"
    own = told(price(-9, 3), price(4, 1, acme_id, until=9))
    assert own == [(4, "Input $3.00 → $1.00"), (9, "Input $1.00 → $3.00")]
    both = told(price(-9, 3), price(5, 2, cache_read=10**9, output=5 * 10**9, per_request=7))
    assert both == [(5, "Input $3.00 → $2.00, Cached input as input → $1.00, and 2 more")]


def test_a_change_of_price_appears_on_spend_by_itself(app: Flask, acme: people.Cast) -> None:
    model = people.simulated_model()
    ran(acme, 5_000_000)
    own = {"model_id": model.id, "organization_id": acme.organization.id, "source": "test", "output": 0}
    db.session.add_all([Price(**own, input=10**9 * n, effective_at=now() - timedelta(days=n)) for n in (3, 50)])
    db.session.commit()
    count_all()
    for who, is_told in (("olivia", True), ("victor", False), ("gina", False)):
        text = page(people.browser(app, acme.people[who]), acme, "/spend?range=7d")
        assert ("Input $50.00 → $3.00" in text) == is_told, "of models that one sees money of"
