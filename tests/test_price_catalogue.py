"""The price catalogue: what models cost at providers that nobody here has a key for yet."""

from __future__ import annotations

import re

from flask import Flask

from dataelan_web.extensions import db
from dataelan_web.models import Model
from tests import people


def page(app: Flask, cast: people.Cast, query: str = "", who: str = "victor") -> str:
    answer = people.browser(app, getattr(cast, who)).get(f"{cast.home}/hub/models/catalogue?{query}")
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def total(text: str) -> int:
    found = re.search(r"([\d,]+)(?:</?\w+>|\s)* models?\b", text)
    return int(found[1].replace(",", "")) if found else 0


def test_it_shows_every_provider_s_models_and_adds_none(app: Flask, acme: people.Cast) -> None:
    before = db.session.query(Model).count()
    text = page(app, acme)
    assert total(text) > 1_000
    assert "1 to 50 of" in text
    assert total(page(app, acme, "provider=anthropic")) > 10
    assert 0 < total(page(app, acme, "type=IMAGE")) < total(text)
    assert 0 < total(page(app, acme, "capability=video_in")) < total(page(app, acme, "capability=tools")) < total(text)
    states = [total(page(app, acme, f"price={state}")) for state in ("priced", "free", "unknown")]
    assert sum(states) == total(text)
    assert states[0] > states[1] > 0
    assert 0 < total(page(app, acme, "context=1000000")) < total(page(app, acme, "context=128000")) < total(text)
    assert "No model matches" in page(app, acme, "q=no-such-model-anywhere")
    assert total(page(app, acme, "type=nonsense&context=much&capability=flying&price=fair&sort=nothing")) == total(text)
    assert f"of {total(text):,}" in page(app, acme, "page=99999")
    assert db.session.query(Model).count() == before


def test_it_is_ordered_by_price_with_unknown_ones_last(app: Flask, acme: people.Cast) -> None:
    first, last = (page(app, acme, f"sort=price&provider=openai&page={number}") for number in (1, 99))
    dearest = page(app, acme, "sort=price&provider=anthropic")
    assert 'title="No price is known' not in first
    assert 'title="No price is known' in last or "unknown" not in page(app, acme, "provider=openai")
    amounts = [float(amount) for amount in re.findall(r'title="\$([\d.]+) per 1M tokens"', dearest)]
    sums = [taken + made for taken, made in zip(amounts[::2], amounts[1::2], strict=True)]
    assert sums == sorted(sums)


def test_each_leads_to_where_a_key_is_entered(app: Flask, acme: people.Cast) -> None:
    assert re.search(r'href="[^"]+/hub/providers/[0-9a-f-]{36}">Anthropic', page(app, acme, "provider=anthropic"))
    assert "/hub/providers/new?from=azure-openai" in page(app, acme, "provider=azure-openai", "olivia")
    assert "/hub/models/catalogue" in people.browser(app, acme.mia).get(f"{acme.home}/hub/models").get_data(
        as_text=True
    )
