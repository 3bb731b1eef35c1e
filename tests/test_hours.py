"""What Performance shows hour by hour: the map of the week, and how each provider did."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from html import unescape
from zoneinfo import ZoneInfo

from flask import Flask

from dataelan_web.extensions import db
from dataelan_web.models import State, now

from . import people
from .test_dashboards import page, ran, rows
from .test_rollups import count_all

KATHMANDU = ZoneInfo("Asia/Kathmandu")


def at_hours(cast: people.Cast, hour: datetime, seconds: list[float], **values: object) -> None:
    for n, took in enumerate(seconds):
        asked = hour + timedelta(minutes=n)
        ran(cast, 100, created_at=asked, first_token_at=asked, finished_at=asked + timedelta(seconds=took), **values)


def test_the_map_has_each_hour_of_the_week_by_the_organizations_clock(app: Flask, acme: people.Cast) -> None:
    acme.organization.time_zone = KATHMANDU.key
    db.session.commit()
    hour = now().astimezone(KATHMANDU).replace(minute=0, second=0, microsecond=0) - timedelta(days=2)
    at_hours(acme, hour, [1, 1, 3])
    at_hours(acme, hour - timedelta(days=7), [9], state=State.FAILED, error_kind="transient")
    count_all()
    client = people.browser(app, acme.olivia)

    def cell(heat: str, over: str = "30d") -> object:
        found = rows(client, acme, f"/performance/heat.csv?heat={heat}&range={over}")
        assert sum(value != "" for row in found[1:] for value in row[1:]) == 1
        assert found[hour.weekday() + 1][0] == f"{hour:%A}"
        return float(found[hour.weekday() + 1][hour.hour + 1])

    assert cell("runs") == 4
    assert cell("runs", "7d") == 3
    assert cell("errors") == 0.25
    assert 0.98 <= cell("latency") <= 1.02  # type: ignore[operator]
    assert 2.94 <= cell("p95") <= 3.06  # type: ignore[operator]
    text = page(client, acme, "/parts/heat?heat=errors")
    assert f'title="{hour:%A %H}:00: 25.0 %">25.0</td>' in text
    assert "Nothing ran in these hours" in page(client, acme, f"/parts/heat?project={acme.organization.id}")


def test_a_provider_is_judged_by_what_was_its_own_doing(app: Flask, acme: people.Cast) -> None:
    hour = now().replace(minute=0, second=0, microsecond=0)
    failed = {"state": State.FAILED}
    at_hours(acme, hour - timedelta(hours=5), [1] * 4)
    at_hours(acme, hour - timedelta(hours=4), [1] * 3, **failed, error_kind="rate_limit")
    at_hours(acme, hour - timedelta(hours=3), [1] * 3, **failed, error_kind="content_policy")
    at_hours(acme, hour - timedelta(hours=2), [1] * 2, **failed, error_kind="transient")
    at_hours(acme, hour - timedelta(hours=30), [1] * 5, **failed, error_kind="transient")
    count_all()
    text = unescape(page(people.browser(app, acme.olivia), acme, "/performance?range=7d"))
    strip = text[text.index('class="dash-strip"') : text.index("dash-strip-said")]
    states = re.findall(r'data-state="(\w+)" title="[^"]*: ([^"]+)"', strip)
    assert [one for one in states if one[0] != "none"] == [
        ("fine", "0 of 4 failed"),
        ("bad", "3 of 3 failed"),
        ("fine", "0 of 3 failed"),
        ("fine", "2 of 2 failed"),
    ], "so few tell nothing, and what was refused of a prompt is not the provider's"
    assert len(states) == 24
    table = rows(people.browser(app, acme.olivia), acme, "/performance/status.csv")
    assert table[1][1:] == ["12", "5", "58.3 %", "0", "1"]
