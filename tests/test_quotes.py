"""The quote beside Run: what a prompt would cost, take and meet; and how it is held against what came of it."""

from __future__ import annotations

import re
import uuid
from html import unescape

import pytest
from flask import Flask
from sqlalchemy import func, select

from dataelan_web import quota
from dataelan_web.executions import allowance
from dataelan_web.extensions import db
from dataelan_web.models import (
    APIKey,
    AuditEvent,
    Execution,
    ExecutionBody,
    Model,
    ModelType,
    Origin,
    Payer,
    PromptSession,
    Quote,
    RoutingRule,
    RoutingRuleModel,
    Scope,
    State,
    Strategy,
    Unit,
    Window,
    new_id,
    now,
)
from dataelan_web.playground.quotes import kept, words
from dataelan_web.playground.quotes.where import in_session

from . import people
from .conftest import wait_until
from .test_playground import ask, fresh

USD = 1_000_000_000


def quote(app: Flask, cast: people.Cast, text: str, who: str = "mia", **fields: object) -> str:
    form = {"text": text, "model": "auto", **fields}
    answer = people.browser(app, getattr(cast, who)).submit(f"{cast.session_url}/quote", form)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return unescape(answer.get_data(as_text=True))


def line(page: str) -> str:
    found = re.search(r'<span class="quote-line".*?</span>\n', page, re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split()) if found else ""


def token(page: str) -> str:
    return re.search(r'id="quote-token" value="([^"]*)"', page)[1]  # type: ignore[index]


def priced(
    cast: people.Cast, address: str = "http://127.0.0.1:9/v1", name: str = "simulated-fast", **values: object
) -> str:
    key = people.own_provider(cast, address)
    people.own_model(cast, key, name, **{"input": USD, "output": 10 * USD, **values})  # type: ignore[arg-type]
    return f"{key.provider.slug}/{name}"


def past(
    cast: people.Cast, model_id: uuid.UUID | None, outputs: list[int], user: str = "mia", **values: object
) -> None:
    """Whole answers of these lengths, in this session unless `values` say otherwise."""
    for output in outputs:
        run = Execution(
            id=new_id(),
            organization_id=cast.organization.id,
            project_id=cast.project.id,
            session_id=cast.session.id,
            user_id=getattr(cast, user).id,
            origin=Origin.PLAYGROUND,
            state=State.COMPLETED,
            model_id=model_id,
            tokens_output=output,
            created_at=now(),
            body=ExecutionBody(request={"messages": [{"role": "user", "parts": [{"type": "text", "text": "x"}]}]}),
        )
        for name, value in values.items():
            setattr(run, name, value)
        db.session.add(run)
    db.session.commit()


def test_a_priced_model_is_quoted_as_a_range_and_nothing_is_written(app: Flask, acme: people.Cast) -> None:
    model = priced(acme)
    before = [db.session.scalar(select(func.count()).select_from(table)) for table in (Execution, AuditEvent, Quote)]
    page = quote(app, acme, "What is a token? " * 20, model=model)
    assert re.match(r"≈ \$0\.001[0-9]*–0\.011", line(page)), line(page)  # 100 to 1,000 output tokens at $10 per million
    assert "what is usual, as there are no answers yet" in page
    assert "not known: it has not been called lately" in page
    after = [db.session.scalar(select(func.count()).select_from(table)) for table in (Execution, AuditEvent, Quote)]
    assert before == after


def test_the_first_prompt_is_quoted_where_a_session_begins_and_the_quote_kept_with_its_run(
    app: Flask, acme: people.Cast
) -> None:
    model, mia = priced(acme), people.browser(app, acme.mia)
    at = f"{acme.home}/projects/{acme.project.id}"
    assert 'action="' + f'{at}/sessions"' in (home := mia.get(f"{acme.home}/").get_data(as_text=True))
    assert f'hx-post="{at}/quote"' in home
    form = {"text": "What is a token? " * 20, "model": model, "model_type": "TEXT"}
    before = db.session.scalar(select(func.count()).select_from(PromptSession))
    page = unescape(mia.submit(f"{at}/quote", form).get_data(as_text=True))
    assert re.match(r"≈ \$0\.001[0-9]*–0\.011", line(page)), line(page)
    assert db.session.scalar(select(func.count()).select_from(PromptSession)) == before, "nothing is written"
    assert line(mia.submit(f"{at}/quote", form | {"text": " "}).get_data(as_text=True)) == ""
    picture = mia.submit(f"{at}/quote", form | {"model_type": "IMAGE"})
    assert "simulated-image" in picture.get_data(as_text=True), "the model of a text session is none for it"
    for sent, is_kept in (({"quote": token(page)}, True), ({"quote": token(page), "text": "Other words"}, False)):
        made = mia.submit(f"{at}/sessions", form | sent)
        session_id = made.headers["HX-Redirect"].rpartition("/")[2]
        run = db.session.scalars(select(Execution.id).where(Execution.session_id == session_id)).one()
        assert (db.session.get(Quote, run) is not None) == is_kept


def test_other_words_for_a_prompt_are_quoted_with_what_was_before_them(app: Flask, acme: people.Cast) -> None:
    model, mia = priced(acme), people.browser(app, acme.mia)
    run = people.ended(acme, "What is a token?", "A piece of a word.", requested=model)
    shown = mia.get(f"{acme.home}/executions/{run.id}/rewording", headers={"HX-Request": "true"}).get_data(as_text=True)
    assert f'hx-post="{acme.home}/executions/{run.id}/rewording/quote"' in shown
    before = db.session.scalar(select(func.count()).select_from(Execution))
    at = f"{acme.home}/executions/{run.id}/rewording/quote"
    few, many = (mia.submit(at, {"text": "What is a token? " * count}).get_data(as_text=True) for count in (1, 2000))
    assert re.match(r"≈ \$0\.00", line(unescape(few))), few
    assert line(unescape(few)) != line(unescape(many))
    assert db.session.scalar(select(func.count()).select_from(Execution)) == before
    assert "quote-line" not in mia.submit(at, {"text": ""}).get_data(as_text=True)


def test_free_simulated_and_unknown_are_said_and_never_zero_dollars(app: Flask, acme: people.Cast) -> None:
    assert line(quote(app, acme, "Hi", model="simulated/simulated-fast")).startswith("Free, simulated")
    free = priced(acme, name="free-one", input=0, output=0)
    assert line(quote(app, acme, "Hi", model=free)).startswith("Free")
    unknown = priced(acme, name="unknown-one", input=None, output=None)
    page = quote(app, acme, "Hi", model=unknown)
    assert line(page).startswith("Cost unknown")
    assert "Nobody has said what this model costs" in page
    assert "$0.00<" not in page


def test_an_unfinished_form_has_no_quote(app: Flask, acme: people.Cast) -> None:
    assert line(quote(app, acme, "   ")) == ""
    assert line(quote(app, acme, "Hi", temperature="warm")) == ""
    assert "Would not run" in quote(app, acme, "Hi", model="no-such-model")


def test_lengths_are_learnt_from_the_session_then_the_person_then_the_project(app: Flask, acme: people.Cast) -> None:
    model = priced(acme)
    past(acme, None, [800] * 10, user="olivia", session_id=None)
    assert "from the last 10 answers of this type in this project" in quote(app, acme, "Hi", model=model)
    past(acme, None, [500] * 4, session_id=None)
    assert "from your last 4 answers of this type in this project" in quote(app, acme, "Hi", model=model)
    past(acme, None, [10, *([100] * 8), 5_000])
    page = quote(app, acme, "Hi", model=model)
    assert "from the last 10 answers in this session" in page
    assert "100 to 5,000 tokens" in page
    assert "100 to 300 tokens" in quote(app, acme, "Hi", model=model, max_tokens="300")


def test_another_projects_past_is_not_used(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    past(rival, None, [4_321] * 10)
    assert "4,321" not in quote(app, acme, "Hi", model=priced(acme))


def test_the_limit_that_would_stop_or_lower_it_is_named(app: Flask, acme: people.Cast) -> None:
    model = priced(acme)
    quota.set_limit(db.session, acme.organization.id, Scope.PROJECT, acme.project.id, Window.MONTH, 5 * USD)
    db.session.commit()
    assert "has $5.00 left" in quote(app, acme, "Hi", model=model)
    quota.set_limit(db.session, acme.organization.id, Scope.PROJECT, acme.project.id, Window.MONTH, USD // 100)
    db.session.commit()
    page = quote(app, acme, "Hi", model=model)
    assert re.search(r"The answer would be limited to 9\d\d tokens\.", page), page
    assert 'data-tone="warn"' in page
    quota.set_limit(db.session, acme.organization.id, Scope.PROJECT, acme.project.id, Window.MONTH, 1_000)
    db.session.commit()
    page = quote(app, acme, "Hi", model=model)
    assert "Would be stopped" in line(page)
    assert "The project's limit of" in page


def test_where_a_limit_stops_the_first_model_the_quote_is_of_the_next(app: Flask, acme: people.Cast) -> None:
    dear, cheap = priced(acme, name="dear"), priced(acme, name="simulated-instant", input=0, output=0)
    own = db.session.scalars(select(Model).where(Model.organization_id == acme.organization.id)).all()
    ids = [next(one.id for one in own if one.name == name.rpartition("/")[2]) for name in (dear, cheap)]
    rule = RoutingRule(id=new_id(), organization_id=acme.organization.id, name="Best first", strategy=Strategy.ORDERED)
    rule.models = [RoutingRuleModel(model_id=id, position=place) for place, id in enumerate(ids)]
    db.session.add(rule)
    quota.set_limit(db.session, acme.organization.id, Scope.MODEL, ids[0], Window.MONTH, 1_000)
    db.session.commit()
    page = quote(app, acme, "Hi", model="Best first")
    assert "dear would be stopped, so the next one answers. The model's limit of" in page
    assert 'data-tone="warn"' in page
    assert "simulated-instant" in line(page)


@pytest.mark.parametrize(
    ("unit", "amount", "said"),
    [(Unit.TOKENS, 5, "limit of 5 tokens per month has 5 tokens left"), (Unit.REQUESTS, 0, "limit of 0 requests")],
)
def test_limits_of_tokens_and_requests_stop_a_quote_too(
    app: Flask, acme: people.Cast, unit: Unit, amount: int, said: str
) -> None:
    model = priced(acme)
    scope = Scope.MEMBER, acme.mia.id
    quota.set_limit(db.session, acme.organization.id, *scope, Window.MONTH, amount, unit=unit)
    db.session.commit()
    page = quote(app, acme, "Hi", model=model)
    assert "Would be stopped" in line(page)
    assert said in page
    assert "Would be stopped" not in quote(app, acme, "Hi", who="adam", model=model), "it is hers alone"


def test_a_rate_that_is_reached_is_told_and_asking_counts_nothing(app: Flask, acme: people.Cast) -> None:
    model = priced(acme)
    values = {"requests_per_minute": 1, "tokens_per_minute": None, "parallel": None}
    quota.set_rate(db.session, acme.organization.id, Scope.PROJECT, acme.project.id, **values)
    db.session.commit()
    for _ in range(3):
        assert "≈ $" in line(quote(app, acme, "Hi", model=model)), "a quote is no request"
    nobody_else = dict.fromkeys(("user_id", "token_id", "key_id", "provider_id", "model_id"))
    subjects = quota.Subjects(acme.organization.id, acme.project.id, payer=Payer.NOBODY, **nobody_else)
    rates = quota.applicable(db.session, subjects).rates
    lease = allowance.rates().take(rates, new_id(), 1)
    page = quote(app, acme, "Hi", model=model)
    assert "Would be stopped" in line(page)
    assert "of 1 request per minute is reached" in page
    allowance.rates().end(lease, None)


def test_what_was_imported_is_no_past(app: Flask, acme: people.Cast) -> None:
    past(acme, None, [4_321] * 10, origin=Origin.IMPORT)
    assert "4,321" not in quote(app, acme, "Hi", model=priced(acme))


def test_a_saved_prompt_is_quoted_from_its_own_past_and_its_page_says_how_quotes_did(
    app: Flask, worker: object, simulated: str, acme: people.Cast
) -> None:
    model, mia = priced(acme, simulated, "simulated-instant"), people.browser(app, acme.mia)
    template = people.template(acme, "Greet {{name}}", requested=model)
    form = {"message_role": "user", "message_text": "Greet {{name}}", "model": model, "variable": "name"}
    at = f"{acme.home}/prompts/{template.id}"
    assert line(unescape(mia.submit(f"{at}/quote", form).get_data(as_text=True))) == "", "a value is missing"
    form |= {"value:name": "Ada"}
    page = unescape(mia.submit(f"{at}/quote", form).get_data(as_text=True))
    assert line(page).startswith("≈ $0.00")
    answer = mia.submit(f"{at}/runs", form | {"quote": token(page)})
    id = uuid.UUID(re.search(r'id="run-([0-9a-f-]{36})"', answer.get_data(as_text=True))[1])  # type: ignore[index]
    wait_until(lambda: not fresh(id).is_open)
    assert db.session.get(Quote, id) is not None
    assert "The last quote here" in mia.get(f"{at}/runs").get_data(as_text=True)
    other = mia.submit(f"{at}/runs", form | {"quote": token(page), "value:name": "Eve"}).get_data(as_text=True)
    other_id = uuid.UUID(re.search(r'id="run-([0-9a-f-]{36})"', other)[1])  # type: ignore[index]
    assert db.session.get(Quote, other_id) is None, "it was for other values"
    mia.submit(f"{at}/runs", form)
    wait_until(lambda: "in this prompt" in mia.submit(f"{at}/quote", form).get_data(as_text=True))


def test_a_quote_is_kept_with_its_run_and_held_against_it(
    app: Flask, worker: object, simulated: str, acme: people.Cast
) -> None:
    model = priced(acme, simulated, "simulated-instant")
    page = quote(app, acme, "What is a token?", model=model)
    id = ask(app, acme, "What is a token?", model=model, quote=token(page))
    held = kept.of(fresh(id))
    assert held is not None
    assert held.is_same_model
    assert held.did in (True, False)
    mine = people.browser(app, acme.victor).get(f"{acme.home}/executions/{id}").get_data(as_text=True)
    assert "Quote and outcome" in mine
    assert ("The quote held" if held.did else "The quote missed") in mine
    record = kept.record(in_session(db.session.get_one(PromptSession, acme.session.id)))
    assert record is not None
    assert record.quotes == 1
    assert "he last quote here" in quote(app, acme, "And now?", model=model)


@pytest.mark.parametrize("changed", ["text", "model", "person", "token"])
def test_a_quote_for_something_else_is_not_kept(app: Flask, worker: object, acme: people.Cast, changed: str) -> None:
    model = "simulated/simulated-instant"
    page = quote(app, acme, "Hello", who="adam" if changed == "person" else "mia", model=model)
    sealed = token(page)[:-2] + "xx" if changed == "token" else token(page)
    text = "Hello!" if changed == "text" else "Hello"
    id = ask(app, acme, text, model="simulated/simulated-fast" if changed == "model" else model, quote=sealed)
    assert db.session.get(Quote, id) is None


def test_files_count_by_what_the_browser_tells_of_them(app: Flask, acme: people.Cast) -> None:
    model = priced(acme)

    def read(page: str) -> int:
        return int(re.search(r"about ([\d,]+) to", page)[1].replace(",", ""))  # type: ignore[index]

    small = read(quote(app, acme, "Sum it up", model=model))
    large = read(quote(app, acme, "Sum it up", model=model, quoted_files="text/plain 400000"))
    assert 70_000 < large - small < 80_000
    assert read(quote(app, acme, "Sum it up", model=model, quoted_files="nonsense")) == small
    quota.set_limit(db.session, acme.organization.id, Scope.PROJECT, acme.project.id, Window.MONTH, USD // 10)
    db.session.commit()
    page = quote(app, acme, "Sum it up", model=model, quoted_files="application/pdf 4000")
    assert "Would be stopped" in line(page)
    assert "all that it can read is reckoned with" in page


def test_pictures_are_quoted_by_their_own_prices(app: Flask, acme: people.Cast) -> None:
    key: APIKey = people.own_provider(acme, "http://127.0.0.1:9/v1")
    model = people.own_model(acme, key, "painter", input=0, output=0, model_type=ModelType.IMAGE, task="image")
    model.prices[0].per_image = USD // 25
    acme.session.model_type = ModelType.IMAGE
    db.session.commit()
    assert line(quote(app, acme, "A harbour", model=f"{key.provider.slug}/painter")).startswith("≈ $0.04")
    assert line(quote(app, acme, "A harbour", model=f"{key.provider.slug}/painter", count="3")).startswith("≈ $0.12")


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (412_345, 1_999_999, "≈ $0.00041–0.002"),
        (1, 1, "≈ $0.000000001"),
        (None, 5, "Cost unknown"),
        (0, 0, "Free"),
        (12 * USD, 14 * USD, "≈ $12.00–14.00"),
        (USD // 2, USD // 2, "≈ $0.50"),
    ],
)
def test_a_range_reads_short_and_never_as_nothing(low: int | None, high: int | None, said: str) -> None:
    assert words.cost_range(low, high) == said


def test_names_and_words_of_others_are_inert(app: Flask, acme: people.Cast) -> None:
    model = priced(acme, name="<img src=x onerror=alert(1)>")
    answer = people.browser(app, acme.mia).submit(f"{acme.session_url}/quote", {"text": "<b>Hi", "model": model})
    page = answer.get_data(as_text=True)
    assert "<img" not in page
    assert "&lt;img" in page
