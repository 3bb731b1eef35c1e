# ruff: noqa: F811  (fixtures are arguments)
"""An organization that sees amounts in a currency of its own: roughly, everywhere, and counted in dollars as before."""

from __future__ import annotations

import html
import json
import re
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select

from dataelan_web import currencies, formats
from dataelan_web.currencies import DOLLARS, shown_as
from dataelan_web.dashboards.routes import PAGES
from dataelan_web.extensions import db
from dataelan_web.limits import words
from dataelan_web.models import NANO, AuditEvent, Delivery, Organization, Scope, Summaries, Unit
from dataelan_web.notify import deliver, webhooks
from dataelan_web.playground.quotes.words import cost_range
from dataelan_web.rollups.keeping import fold_all
from dataelan_web.summaries import sending

from . import people, used
from .conftest import wait_until
from .test_dashboards import page as dashboard
from .test_dashboards import ran, rows
from .test_mail import Postman, postman  # noqa: F401  (a fixture)
from .test_organizations import settings
from .test_public_links import link_to
from .test_public_links import seen as strangers_see
from .test_rollups import count_all
from .test_summaries import MORNING, a_week, report
from .test_summaries import page as summary

EURO = {"currency": "EUR", "per_usd": "0.92"}


def in_euros(cast: people.Cast) -> Organization:
    home = cast.organization
    home.currency, home.currency_rate, home.currency_set_on = "EUR", Decimal("0.92"), date(2026, 11, 28)
    db.session.commit()
    return home


def currency(code: str, rate: str) -> currencies.Currency:
    home = Organization(name="Acme", slug="acme", currency=code, currency_rate=Decimal(rate))
    return currencies.of(home)


@pytest.mark.parametrize(
    ("code", "rate", "nano", "text"),
    [
        ("EUR", "0.92", 4_120_000, "≈ €0.00379"),
        ("EUR", "0.92", 12 * NANO + 300_000_000, "≈ €11.32"),
        ("EUR", "0.92", 20_000 * NANO, "≈ €18,400"),
        ("EUR", "0.92", 0, "€0"),
        ("EUR", "0.92", -NANO, "≈ −€0.92"),
        ("EUR", "0.92", 1, "≈ €0.00000000092"),
        ("JPY", "155.3", 12 * NANO, "≈ ¥1,864"),
        ("JPY", "155.3", 12_000_000, "≈ ¥1.86"),
        ("KWD", "0.307", 400 * NANO, "≈ KWD\u00a0122.800"),
        ("CHF", "0.8", 2 * NANO, "≈ CHF\u00a01.60"),
        ("CAD", "1.4", 2 * NANO, "≈ CA$2.80"),
    ],
)
def test_an_amount_reads_as_in_its_currency(code: str, rate: str, nano: int, text: str) -> None:
    with shown_as(currency(code, rate)):
        assert formats.money(nano) == text
        assert formats.price(nano) == ("free" if not nano else text)
    assert "$" in formats.money(nano), "and in dollars where nobody said otherwise"


def test_beside_what_is_shown_stands_what_it_is() -> None:
    euros = currency("EUR", "0.92")
    dated = currencies.Currency(**vars(euros) | {"set_on": date(2026, 11, 28)})
    with shown_as(dated):
        assert formats.money_title(NANO) == "$1, shown at 0.92 EUR per USD, as set on 28 November 2026"
        assert formats.exact_money(NANO) == "$1"
        assert (formats.signed_money(NANO), formats.signed_money(-NANO)) == ("≈ +€0.92", "≈ −€0.92")
        assert formats.about_money(NANO) == "≈ €0.92"
        assert cost_range(400_000, 2_000_000) == "≈ €0.00036–0.0019"
        assert words.stated(NANO, Unit.USD) == "$1.00"
        assert words.amount(NANO, Unit.USD) == "≈ €0.92"
        with shown_as(DOLLARS):
            assert formats.money(NANO) == "$1.00"
        assert formats.money(NANO) == "≈ €0.92"
    assert (formats.money_title(NANO), formats.about_money(NANO)) == ("$1", "about $1.00")
    assert formats.signed_money(-NANO) == "−$1.00"
    assert cost_range(400_000, 2_000_000) == "≈ $0.0004–0.002"


def test_owners_and_admins_choose_it_and_say_the_rate(app: Flask, acme: people.Cast) -> None:
    adam, url = people.browser(app, acme.adam), f"{acme.home}/settings"
    assert "EUR – Euro" in adam.get(url).get_data(as_text=True)
    for wrong in ("", "0", "-1", "1e3", "0,92", "٠", "1" * 11, "0.00000000001", "much"):
        refused = adam.submit(url, settings(acme, currency="EUR", per_usd=wrong))
        assert refused.status_code == 422, wrong
    assert adam.submit(url, settings(acme, currency="DEM", per_usd="1.8")).status_code == 422, "no money any more"
    assert people.browser(app, acme.mia).submit(url, settings(acme, **EURO)).status_code == 403
    for _ in range(2):
        assert adam.submit(url, settings(acme, **EURO)).status_code == 200
    db.session.refresh(acme.organization)
    here = currencies.of(acme.organization)
    assert (here.code, here.per_usd, here.sign) == ("EUR", Decimal("0.92"), "€")
    assert here.set_on is not None
    assert f"As set on {here.set_on:%-d %B %Y}." in adam.get(url).get_data(as_text=True)
    adam.submit(url, settings(acme, currency="", per_usd="0.92"))
    db.session.refresh(acme.organization)
    assert currencies.of(acme.organization) == DOLLARS
    assert (acme.organization.currency_rate, acme.organization.currency_set_on) == (None, None)
    mine = AuditEvent.organization_id == acme.organization.id, AuditEvent.action == "organization.settings_changed"
    said = list(db.session.scalars(select(AuditEvent.detail).where(*mine).order_by(AuditEvent.id)))
    assert [one.get("currency") for one in said] == ["EUR", None]
    assert said[0]["currency_rate"] == said[1]["before"]["currency_rate"] == "0.92"


def test_its_people_see_it_and_nobody_else(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    home = in_euros(acme)
    run = people.ended(acme, "How much?", "So much", cost=4_120_000, model_id=people.simulated_model().id)
    used.period(used.limit(acme, Scope.ORGANIZATION, home.id), 20 * NANO)
    olivia = people.browser(app, acme.olivia)

    def seen(path: str) -> str:
        return html.unescape(olivia.get(f"{acme.home}{path}").get_data(as_text=True))

    title = 'title="$0.004120000, shown at 0.92 EUR per USD, as set on 28 November 2026"'
    for path in (f"/sessions/{acme.session.id}", f"/executions/{run.id}", f"/executions/{run.id}/events"):
        assert "≈ €0.00379" in seen(path), path
        assert title.replace("0.004120000", "0.00412") in seen(path), path
    limits = seen("/limits")
    assert "≈ €18.40" in limits
    assert "$50.00 a month" in limits, "a limit is what was entered"
    assert "Amount in USD" in seen("/limits/new")
    assert "€" not in seen("/limits/new").split("<form", 1)[1].split("</form>")[0]

    theirs = people.browser(app, rival.olivia).get(f"{rival.home}/limits").get_data(as_text=True)
    assert "€" not in theirs
    public = html.unescape(strangers_see(app, link_to(app, acme, shows_cost="y")))
    assert "$0.00412" in public
    assert "€" not in public


def figures(page: str) -> list[dict[str, Any]]:
    drawn = re.findall(r'class="figure".*?data-figure="(.*?)"', page)
    return [json.loads(html.unescape(one)) for one in drawn]


def test_the_dashboard_is_drawn_in_it_and_its_files_are_in_dollars(app: Flask, acme: people.Cast) -> None:
    in_euros(acme)
    ran(acme, 50 * NANO)
    used.period(used.limit(acme, Scope.ORGANIZATION, acme.organization.id, 100 * NANO), 50 * NANO)
    count_all()
    client = people.browser(app, acme.olivia)
    for name in PAGES:
        said = dashboard(client, acme, "" if name == "overview" else f"/{name}")
        assert "at 0.92 EUR per USD, as set on 28 November 2026" in said, name
    text = dashboard(client, acme)
    assert "≈ €46.00" in html.unescape(text)
    spend = figures(text)[0]
    assert spend["layout"]["yaxis"]["tickprefix"] == "€"
    assert max(value for trace in spend["data"] for value in trace["y"]) == pytest.approx(46)
    (left,) = figures(dashboard(client, acme, "/quota"))
    assert left["layout"]["yaxis"]["tickprefix"] == "€"
    assert max(value for trace in left["data"] for value in trace["y"]) == pytest.approx(92)
    table = rows(client, acme, "/overview/spend.csv")
    assert any("50" in cell for cell in table[1])
    for panel in ("spend", "forecast", "why"):
        csv = dashboard(client, acme, f"/overview/{panel}.csv")
        assert "€" not in csv
        assert "≈" not in csv


def test_no_statement_more_is_asked_for_it(app: Flask, acme: people.Cast) -> None:
    people.ended(acme, "How much?", "So much", cost=4_120_000)
    fold_all()  # a page that is behind the sums asks other things
    client, asked = people.browser(app, acme.olivia), list[str]()

    def note(*said: object) -> None:
        asked.append(str(said[2]))

    def number(path: str) -> int:
        """Of three visits the fewest: what is noted once a minute comes beside."""
        visits = []
        for _ in range(3):
            asked.clear()
            assert client.get(path).status_code == 200
            visits.append(len(asked))
        return min(visits)

    pages = (f"{acme.home}/", acme.session_url, f"{acme.home}/dashboard")
    event.listen(db.engine, "before_cursor_execute", note)
    try:
        before = [number(path) for path in pages]
        in_euros(acme)
        assert [number(path) for path in pages] == before
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def test_programs_are_told_in_dollars(app: Flask, acme: people.Cast) -> None:
    in_euros(acme)
    key = people.own_provider(acme, "http://127.0.0.1:9/v1")
    people.own_model(acme, key, "dear", input=3 * NANO, output=NANO)
    answer = app.test_client().get("/v1/models", headers={"Authorization": f"Bearer {acme.secret}"})
    assert answer.status_code == 200
    assert "€" not in answer.get_data(as_text=True)
    page = html.unescape(people.browser(app, acme.olivia).get(f"{acme.home}/hub/models").get_data(as_text=True))
    assert "≈ €2.76" in page
    assert "$3 per 1M tokens" in page, "what it is, to the last digit"


def test_a_summary_is_in_it_for_people_and_in_dollars_for_programs(
    app: Flask, acme: people.Cast, postman: Postman
) -> None:
    in_euros(acme)
    a_week(acme)
    hook, _ = webhooks.create(acme.organization, acme.olivia.id, "Chat", "http://127.0.0.1:9/", ["summary.week"])
    acme.organization.summaries = Summaries.WEEKLY
    acme.olivia.mail_choices = {"summary.week": True}
    db.session.commit()
    sending.send_due(MORNING)
    wait_until(lambda: (deliver.due(app) and False) or len(postman.to(acme)) == 1)
    (letter,) = postman.to(acme)
    assert letter["Subject"] == "Acme, week 46: ≈ €11.04 for 3 runs (+20 % against the week before)"
    sent = letter.get_body(("html",)).get_content()
    assert report(sent) == report(summary(app, acme.olivia, acme, "2026-W46"))
    rate = "Amounts are roughly in EUR, at 0.92 EUR per USD, as set on 28 November 2026."
    assert rate in report(sent)
    assert rate in letter.get_body(("plain",)).get_content()
    (delivery,) = db.session.scalars(select(Delivery).where(Delivery.webhook_id == hook.id)).all()
    told = json.dumps(delivery.payload, ensure_ascii=False)
    assert "$12.00 for 3 runs" in told
    assert "€" not in told
    webhooks.delete(hook)
