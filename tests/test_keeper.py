"""What a process does beside what it runs."""

from __future__ import annotations

import time

import pytest
from flask import Flask

from dataelan_web.executions import keeper
from dataelan_web.models import new_id


def test_memory_is_given_back_once_when_nothing_runs_any_more(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    given = list[float]()
    monkeypatch.setattr(keeper, "RENEW_EVERY", 0.05)
    monkeypatch.setattr(keeper, "give_back_what_is_free", lambda: given.append(time.monotonic()))
    mine = keeper.Keeper(app)
    with mine.hold(new_id(), 1):
        time.sleep(0.2)
        assert given == [], "who wanted memory would wait"
    for _ in range(100):
        if given:
            break
        time.sleep(0.05)
    time.sleep(0.2)
    assert len(given) == 1
