"""The price book: what the catalogue knows, which price is in force, and an organization's own prices."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from threading import Thread

import pytest
from flask import Flask
from genai_prices import Usage as CatalogueUsage
from genai_prices import calc_price, data_snapshot
from sqlalchemy import func, select

from dataelan_web.executions.candidates import rates_of
from dataelan_web.executions.measures import measured
from dataelan_web.extensions import db
from dataelan_web.formats import exact_money
from dataelan_web.hub.models import catalogue, prices, purpose
from dataelan_web.hub.models.forms import nano_of
from dataelan_web.hub.providers import listing
from dataelan_web.models import NANO, Model, ModelType, Price, Provider, new_id, now
from dataelan_web.models.audit import AuditEvent
from dataelan_web.router import pricing
from dataelan_web.router.types import ListedModel, Prompt, Task, Usage, user

from . import people

DAY = timedelta(days=1)
PRICES = {"state": "priced", "price_input": "2.50", "price_output": "10"}


@pytest.fixture
def model(acme: people.Cast) -> Model:
    """A model whose price everyone knows: $1 and $2."""
    key = people.own_provider(acme, "https://models.example.com/v1")
    return people.own_model(acme, key, "chat-1", input=NANO, output=2 * NANO, context_window=1000)


@pytest.fixture
def shared(context: None) -> Iterator[Provider]:
    """A provider everyone has, whose models the catalogue knows."""
    provider = Provider(id=new_id(), slug=f"shared-{uuid.uuid4().hex[:6]}", name="Vendor", kind="openai")
    provider.base_url, provider.catalogue = "https://vendor.example.com/v1", "openai"
    db.session.add(provider)
    db.session.commit()
    yield provider
    db.session.rollback()
    db.session.delete(provider)
    db.session.commit()


def in_force(model: Model, cast: people.Cast) -> int | None:
    """The input price, by both ways of asking."""
    db.session.rollback()
    price = prices.current(model, cast.organization)
    beside = db.session.scalar(select(prices.in_force(cast.organization.id)).where(Model.id == model.id))
    assert (price.id if price else None) == beside
    return price.input if price else None


def add(model: Model, cast: people.Cast | None, input: int, begin: timedelta, end: timedelta | None = None) -> Price:
    price = Price(model_id=model.id, source="test", input=input, output=0, effective_at=now() + begin)
    price.organization_id = cast.organization.id if cast else None
    price.ends_at = now() + end if end else None
    db.session.add(price)
    db.session.commit()
    return price


def own(model: Model, cast: people.Cast, input: int, starts_at: datetime | None = None) -> Price:
    values = {"input": input, "output": input}
    return prices.set_price(model, cast.organization, cast.olivia.id, values, starts_at)


def post(app: Flask, cast: people.Cast, model: Model, who: str = "olivia", **form: object):  # type: ignore[no-untyped-def]
    url = f"{cast.home}/hub/models/{model.id}/prices"
    return people.browser(app, getattr(cast, who)).submit(url, PRICES | form)


# -- which price is in force -----------------------------------------------------------------------


def test_an_own_price_goes_before_a_newer_one_of_everyones(model: Model, acme: people.Cast) -> None:
    add(model, acme, 5, -2 * DAY)
    add(model, None, 7, -DAY)
    assert in_force(model, acme) == 5


def test_of_one_kind_the_latest_counts_and_none_before_its_time(model: Model, acme: people.Cast) -> None:
    add(model, None, 3, -DAY)
    assert in_force(model, acme) == NANO  # the fixture's is newer
    add(model, None, 4, DAY)
    assert in_force(model, acme) == NANO
    add(model, acme, 8, DAY)
    assert in_force(model, acme) == NANO


def test_an_own_price_counts_until_it_ends_and_then_everyones_again(model: Model, acme: people.Cast) -> None:
    add(model, acme, 5, -2 * DAY, -DAY)
    assert in_force(model, acme) == NANO
    add(model, acme, 6, -2 * DAY, DAY)
    assert in_force(model, acme) == 6


def test_nobody_pays_by_anothers_price(model: Model, acme: people.Cast, rival: people.Cast) -> None:
    own(model, rival, 1)
    assert in_force(model, acme) == NANO
    assert in_force(model, rival) == 1
    assert len(prices.history(model, acme.organization)) == 1


# -- setting and ending ----------------------------------------------------------------------------


def test_a_new_own_price_ends_the_one_before_and_no_row_is_lost(model: Model, acme: people.Cast) -> None:
    first, second = own(model, acme, 5), own(model, acme, 6)
    assert in_force(model, acme) == 6
    db.session.refresh(first)
    assert first.ends_at == second.effective_at
    assert (first.input, second.ends_at) == (5, None)
    assert second.created_by == acme.olivia.id
    assert len(prices.history(model, acme.organization)) == 3


def test_a_price_for_later_waits_and_one_for_now_ends_when_it_comes(model: Model, acme: people.Cast) -> None:
    later = own(model, acme, 9, now() + 10 * DAY)
    assert in_force(model, acme) == NANO
    meanwhile = own(model, acme, 5)
    assert in_force(model, acme) == 5
    assert meanwhile.ends_at == later.effective_at
    assert later.ends_at is None


def test_two_prices_for_the_same_day_leave_the_second(model: Model, acme: people.Cast) -> None:
    at = now() + DAY
    first, second = own(model, acme, 5, at), own(model, acme, 6, at)
    db.session.refresh(first)
    assert first.ends_at == at
    assert second.ends_at is None
    assert prices.end_price(second, model) is None
    assert second.ends_at == at, "called off: it never counts"
    assert own(model, acme, 7).ends_at is None, "what was called off ends nothing"


def test_ending_gives_everyones_price_back_and_changes_nothing_that_was(model: Model, acme: people.Cast) -> None:
    price = own(model, acme, 5)
    prices.end_price(price, model)
    ended = price.ends_at
    assert in_force(model, acme) == NANO
    prices.end_price(price, model)
    db.session.refresh(price)
    assert (price.ends_at, price.input) == (ended, 5), "ending twice is ending once"


def test_prices_set_at_the_same_moment_see_each_other(app: Flask, model: Model, acme: people.Cast) -> None:
    answers: list[int] = []

    def send(number: int) -> None:
        answers.append(post(app, acme, model, price_input=str(number)).status_code)

    threads = [Thread(target=send, args=(number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 6
    open_ended = select(func.count()).where(
        Price.model_id == model.id, Price.organization_id == acme.organization.id, Price.ends_at.is_(None)
    )
    db.session.rollback()
    assert db.session.scalar(open_ended) == 1


# -- by the form -----------------------------------------------------------------------------------


def test_an_admin_sets_a_price_of_ones_own_which_is_said_and_noted(app: Flask, model: Model, acme: people.Cast) -> None:
    answer = post(app, acme, model, who="adam", price_cache_read="0.000000001", price_per_request="0.01")
    text = answer.get_data(as_text=True)
    assert answer.status_code == 200, text
    assert "Your price counts from now on." in text
    assert "$2.50" in text
    assert "$0.000000001" in text
    price = prices.current(model, acme.organization)
    assert price is not None
    assert (price.input, price.output, price.cache_read) == (2_500_000_000, 10 * NANO, 1)
    assert (price.cache_write, price.per_request, price.created_by) == (None, 10_000_000, acme.adam.id)
    event = db.session.scalars(
        select(AuditEvent).where(AuditEvent.action == "price.set").order_by(AuditEvent.created_at)
    ).all()
    assert event[-1].subject_id == model.id
    assert event[-1].detail["input"] == 2_500_000_000


def test_free_is_said_and_is_not_unknown(app: Flask, model: Model, acme: people.Cast) -> None:
    assert post(app, acme, model, state="free", price_input="3").status_code == 200
    price = prices.current(model, acme.organization)
    assert price is not None
    assert prices.is_free(price)
    assert rates_of(price).is_free


def test_a_price_for_a_later_day_begins_at_midnight_utc(app: Flask, model: Model, acme: people.Cast) -> None:
    day = (now() + 3 * DAY).date()
    answer = post(app, acme, model, starts_on=day.isoformat())
    assert f"{day:%-d %B %Y} on" in answer.get_data(as_text=True)
    price = prices.history(model, acme.organization)[0]
    assert price.effective_at.isoformat() == f"{day}T00:00:00+00:00"
    assert in_force(model, acme) == NANO


def test_a_picture_costs_more_by_size_and_quality_and_that_is_said_kept_and_charged(
    app: Flask, acme: people.Cast
) -> None:
    key = people.own_provider(acme, "https://models.example.com/v1")
    model = people.own_model(acme, key, "painter", model_type=ModelType.IMAGE, task="image")
    form = {"price_input": "", "price_output": "", "price_per_image": "0.04"}
    form["other_prices"] = "1024x1792 0.06\n1024x1792 HD 0.08\n"
    assert post(app, acme, model, **form).status_code == 200
    db.session.rollback()
    price = prices.current(model, acme.organization)
    assert price is not None
    assert price.variants == [
        {"when": ["1024x1792"], "per_image": 60_000_000},
        {"when": ["1024x1792", "hd"], "per_image": 80_000_000},
    ]
    asked = {"size": "1024x1792", "quality": "hd"}
    assert pricing.cost(Usage(images=3), rates_of(price), asked) == 240_000_000
    page = people.browser(app, acme.olivia).get(f"{acme.home}/hub/models/{model.id}").get_data(as_text=True)
    assert "1024x1792 hd 0.08" in page, "in the form, to change from"
    for lines, word in (
        ("0.08", "no size or quality"),
        ("hd much", "Enter an amount"),
        ("hd -1", "cannot be negative"),
    ):
        refused = post(app, acme, model, **form | {"other_prices": lines})
        assert refused.status_code == 422
        assert word in refused.get_data(as_text=True)
        assert lines in refused.get_data(as_text=True)
    alone = post(app, acme, model, **form | {"price_per_image": "", "price_input": "1"})
    assert "Enter what all others cost." in alone.get_data(as_text=True)


@pytest.mark.parametrize(
    ("form", "word"),
    [
        ({"price_input": "-1"}, "cannot be negative"),
        ({"price_input": "10001"}, "$10,000 per 1M tokens is the most that makes sense"),
        ({"price_input": "9" * 4000}, "Enter an amount in USD"),
        ({"price_input": "1e3"}, "Enter an amount in USD"),
        ({"price_input": "NaN"}, "Enter an amount in USD"),
        ({"price_input": "2,50"}, "a point for decimals"),
        ({"price_input": "٣"}, "Enter an amount in USD"),
        ({"price_input": "."}, "Enter an amount in USD"),
        ({"price_input": "0.0000000001"}, "Nine decimals at most"),
        ({"price_per_character": "0.5"}, "$0.01 per character is the most"),
        ({"price_output": ""}, "Enter what it costs, or 0."),
        ({"starts_on": "2020-01-01"}, "today or a later day"),
        ({"starts_on": "9999-12-31"}, "Too far in the future"),
        ({"starts_on": "soon"}, "Not a valid date"),
        ({"state": "unknown"}, "Not a valid choice"),
    ],
)
def test_what_is_no_price_is_refused_with_a_reason_and_stays_in_the_form(
    app: Flask, model: Model, acme: people.Cast, form: dict[str, str], word: str
) -> None:
    answer = post(app, acme, model, **form)
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert word in text
    assert "<html" not in text, "the same part of the page"
    assert f'value="{form.get("price_input", "2.50")[:60]}' in text
    assert in_force(model, acme) == NANO


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("0", 0),
        ("2.50", 2_500_000_000),
        ("$ 3", 3 * NANO),
        (".5", NANO // 2),
        ("1.", NANO),
        ("0.1000000000000", NANO // 10),
        ("10000", 10_000 * NANO),
    ],
)
def test_an_amount_is_read_to_the_nano_usd(text: str, nano: int) -> None:
    assert nano_of(text, prices.TOKENS) == nano


def test_only_owners_and_admins_set_and_end_prices_and_only_their_own(
    app: Flask, model: Model, acme: people.Cast, rival: people.Cast
) -> None:
    mine, theirs, everyones = own(model, acme, 5), add(model, rival, 6, -DAY), add(model, None, 7, -DAY)
    for who in ("mia", "victor", "gina"):
        assert post(app, acme, model, who=who).status_code == 403
        url = f"{acme.home}/hub/models/{model.id}/prices/{mine.id}/ending"
        assert people.browser(app, getattr(acme, who)).submit(url).status_code == 403
    olivia = people.browser(app, acme.olivia)
    for price in (theirs, everyones):
        url = f"{acme.home}/hub/models/{model.id}/prices/{price.id}/ending"
        assert olivia.submit(url).status_code == 404
    assert olivia.submit(f"{acme.home}/hub/models/{model.id}/prices/{mine.id}/ending").status_code == 200
    assert in_force(model, acme) == NANO


# -- the catalogue ---------------------------------------------------------------------------------

SIZES = [  # fresh input, cache read, cache write, output
    (1_000, 0, 0, 500),
    (500, 500, 0, 500),
    (700, 0, 300, 500),
    (128_001, 0, 0, 10),
    (200_000, 0, 0, 100),
    (200_001, 0, 0, 100),
    (200_000, 100_000, 0, 1_000),
]


@pytest.mark.parametrize("vendor_name", ["openai", "anthropic", "google", "deepseek", "x-ai"])
def test_our_prices_come_to_what_the_catalogue_itself_computes(vendor_name: str) -> None:
    """Every priced text model, below and above its tiers, with and without cache: to the nano-USD. Where the price
    depends on the hour, to what it computes for the dearest."""
    provider = next(one for one in data_snapshot.get_snapshot().providers if one.id == vendor_name)
    hours = [now().replace(hour=hour) for hour in range(0, 24, 3)]
    compared, tiers, cache_prices = 0, 0, 0
    for model in provider.models:
        known = catalogue.look_up(vendor_name, model.id)
        if not (known and known.price) or purpose.task_of(model.id, known=known) != (ModelType.TEXT, Task.CHAT):
            continue
        rates = rates_of(known.price)
        tiers += bool(rates.tiers)
        cache_prices += rates.cache_read is not None
        for fresh, read, written, output in SIZES:
            usage = CatalogueUsage(
                input_tokens=fresh + read + written,
                cache_read_tokens=read,
                cache_write_tokens=written,
                output_tokens=output,
            )
            theirs = max(
                calc_price(usage, model.id, provider_id=vendor_name, genai_request_timestamp=at).total_price
                for at in (hours if isinstance(model.prices, list) else hours[:1])
            )
            ours = pricing.cost(Usage(fresh, read, written, output), rates)
            assert ours is not None
            assert abs(Decimal(ours) - theirs * NANO) <= 1, (model.id, fresh, read, written, output)
            compared += 1
    assert compared > 30
    assert cache_prices
    if vendor_name in ("openai", "google"):
        assert tiers


def test_what_is_not_text_has_the_classes_it_is_paid_by() -> None:
    """Of every kind the catalogue has some: which, is its business."""
    found: dict[str, int] = {}
    for provider in data_snapshot.get_snapshot().providers:
        for info in provider.models if provider.id in ("openai", "google", "groq", "mistral", "perplexity") else []:
            known, theirs = catalogue.look_up(provider.id, info.id), vars(info.get_prices(now()))
            for ours, key, per in UNITS:
                if known and known.price and theirs.get(key) is not None:
                    assert 0 <= getattr(known.price, ours) - theirs[key] * NANO / per < 1, (info.id, ours)
                    found[ours] = found.get(ours, 0) + 1
    assert len(found) == len(UNITS), found


UNITS = (
    ("input_audio", "input_audio_mtok", 1),
    ("output_audio", "output_audio_mtok", 1),
    ("input_image", "input_image_mtok", 1),
    ("output_image", "output_image_mtok", 1),
    ("per_second", "input_audio_hours", 3_600),
    ("per_character", "input_mchars", 1_000_000),
    ("per_request", "requests_kcount", 1_000),
)


def test_no_picture_sound_or_film_costs_nothing_unless_it_is_free() -> None:
    """Of every model in the catalogue, when its provider reports no more than it must: what it costs is known and above
    nothing, or unknown."""
    made = {Task.IMAGE: ["image/png"], Task.SPEECH: ["audio/mpeg"], Task.VIDEO: ["video/mp4"], Task.TRANSCRIPTION: []}
    reported = {Task.TRANSCRIPTION: Usage(seconds=Decimal("1.5"))}
    known_costs = set()
    for provider in data_snapshot.get_snapshot().providers:
        for name, known in catalogue.models_of(provider.id):
            _, task = purpose.task_of(name, known=known) or (None, Task.CHAT)
            if task in made and known.price and not rates_of(known.price).is_free:
                prompt = Prompt((user("A red fox"),), task=task, media={"seconds": 8})
                usage = measured(prompt, made[task], reported.get(task, Usage()))
                nano = pricing.cost(usage, rates_of(known.price))
                assert nano is None or nano > 0, (provider.id, name)
                known_costs |= {task} if nano else set()
    assert {Task.SPEECH, Task.TRANSCRIPTION} <= known_costs


def test_a_model_nobody_knows_has_no_price_and_not_a_price_of_nothing() -> None:
    assert catalogue.look_up("openai", "no-such-model") is None
    assert catalogue.look_up("no-such-provider", "gpt-4o") is None
    assert catalogue.look_up("", "gpt-4o") is None
    assert catalogue.models_of("no-such-provider") == []


def test_what_is_priced_by_what_we_do_not_measure_is_unknown() -> None:
    by_pages = [known for _, known in catalogue.models_of("mistral") if "ocr" in known.name.lower()]
    assert by_pages
    assert all(known.price is None for known in by_pages)


# -- prices that change ----------------------------------------------------------------------------


def test_a_listing_prices_new_models_and_adds_a_row_when_the_catalogue_has_another_price(
    shared: Provider, acme: people.Cast
) -> None:
    (model,) = listing.keep(shared, [ListedModel("gpt-4o")], acme.organization.id)
    db.session.commit()
    (first,) = prices.history(model, acme.organization)
    assert first.source == catalogue.SOURCE
    assert prices.refresh() == 0, "nothing has changed"
    first.input, first.source = 1, f"{catalogue.NAME} 0.0.1"  # as an older release had it
    db.session.commit()
    listing.keep(shared, [ListedModel("gpt-4o")], acme.organization.id)
    db.session.commit()
    newest, old = prices.history(model, acme.organization)
    assert (old.id, old.input, old.ends_at) == (first.id, 1, None)
    assert newest.input > 1
    assert newest.source == catalogue.SOURCE
    assert in_force(model, acme) == newest.input


def test_a_refresh_leaves_prices_of_other_sources_and_own_prices_alone(shared: Provider, acme: people.Cast) -> None:
    (model,) = listing.keep(shared, [ListedModel("gpt-4o")], acme.organization.id)
    db.session.commit()
    own(model, acme, 5)
    db.session.add(Price(model_id=model.id, source="the operator", input=1, output=1))
    db.session.commit()
    assert prices.refresh([model]) == 0
    assert in_force(model, acme) == 5


def test_a_refresh_prices_what_had_no_price(shared: Provider, acme: people.Cast) -> None:
    model = Model(id=new_id(), provider_id=shared.id, name="gpt-4o", display_name="gpt-4o")
    db.session.add(model)
    db.session.commit()
    assert in_force(model, acme) is None
    assert prices.refresh() == 1
    db.session.commit()
    assert in_force(model, acme) == 2_500_000_000


def test_the_exact_amount_is_said_in_the_unit_people_count_in() -> None:
    second = prices.Amount(prices.BY_NAME["per_second"], 100_000)
    assert second.exact == "$0.0001 per second, $0.36 per hour"
    assert exact_money(1) == "$0.000000001"
