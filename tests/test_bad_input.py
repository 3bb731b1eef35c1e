"""Whatever a provider does: an end within its time, a message a person understands, the prompt kept, nothing held."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import func, select

from dataelan_web import quota
from dataelan_web.executions.execute import execute
from dataelan_web.executions.submit import Request, record
from dataelan_web.extensions import db
from dataelan_web.models import (
    APIKey,
    Attempt,
    Execution,
    LedgerEntry,
    Origin,
    Outcome,
    Reservation,
    ReservationState,
    RoutingRule,
    RoutingRuleModel,
    Scope,
    State,
    Window,
    new_id,
)
from dataelan_web.models.records import RunRecord
from dataelan_web.router.types import Failure, Prompt, user
from dataelan_web.router.wire import Deadlines

from . import people
from .conftest import free_port
from .router.test_run import ENDING, OPENING, Provider, chunk, response, says, streams
from .test_playground import ask, fresh, run_of

USD = 1_000_000_000
SECRET = "sk-wrong-0123456789abcdefghijklmnop"


@pytest.fixture(autouse=True)
def limit(acme: people.Cast) -> None:
    """A generous limit, so that every call is reserved and settled."""
    quota.set_limit(db.session, acme.organization.id, Scope.PROJECT, acme.project.id, Window.TOTAL, 10_000 * USD)
    db.session.commit()


def model_at(cast: people.Cast, url: str, name: str = "simulated-instant", secret: str = SECRET) -> str:
    """A priced model at a provider of Acme's own, as `model` is named in the playground."""
    model = people.own_model(cast, people.own_provider(cast, url, secret=secret), name, input=USD, output=USD)
    return f"{model.provider.slug}/{name}"


def ended(app: Flask, cast: people.Cast, text: str, model: str, *, within: float = 10) -> Execution:
    """Asked through the playground, and what must hold of every end."""
    started = time.monotonic()
    execution = fresh(ask(app, cast, text, model=model))
    assert time.monotonic() - started < within
    must_hold(execution, text)
    page = people.browser(app, cast.mia).get(cast.session_url).get_data(as_text=True)
    assert SECRET not in page
    assert "Traceback" not in page
    return execution


def must_hold(execution: Execution, text: str) -> None:
    assert not execution.is_open
    assert execution.prompt is None or execution.prompt.text == text
    mine = (Reservation.execution_id == execution.id, Reservation.state == ReservationState.HELD)
    assert db.session.scalar(select(func.count()).select_from(Reservation).where(*mine)) == 0
    charged = select(func.coalesce(func.sum(LedgerEntry.amount), 0)).join(Attempt, Attempt.id == LedgerEntry.attempt_id)
    assert execution.cost == db.session.scalar(charged.where(Attempt.execution_id == execution.id))
    assert all(attempt.outcome is not Outcome.SENT for attempt in execution.attempts)
    said = json.dumps([execution.body.receipt, execution.body.error, execution.body.notice, execution.body.text])
    said += "".join(attempt.error for attempt in execution.attempts)
    assert SECRET not in said
    assert "Traceback" not in said
    assert 'File "' not in said
    if execution.state is not State.COMPLETED:
        assert is_understood(execution.body.error)
        assert execution.error_kind


def is_understood(message: str) -> bool:
    """A sentence or two of words, without our own names for things."""
    return bool(re.match(r"[A-Z“][^{}<>]{15,700}$", message)) and not re.search(
        r"None|Error:|httpx|psycopg|0x", message
    )


def failed(app: Flask, cast: people.Cast, text: str, model: str, words: str, kind: str, **options: float) -> Execution:
    execution = ended(app, cast, text, model, **options)
    assert execution.state in (State.FAILED, State.INTERRUPTED)
    assert re.search(words, execution.body.error, re.I), execution.body.error
    assert execution.error_kind == kind
    return execution


# -- the simulated provider's ways to fail -------------------------------------------------------


@pytest.mark.parametrize(
    ("fail", "words", "kind"),
    [
        ("html", "web page.*base URL", "transient"),
        ("garbage after=0", "not valid JSON", "transient"),
        ("empty_body", "answer is empty", "transient"),
        ("error_in_stream after=0", "had an error while answering", "transient"),
        ("huge_line after=0", "larger than 8 MiB", "transient"),
        ("content_policy", "safety system", "content_policy"),
        ("context_too_long", "maximum context length", "context_too_long"),
        ("rate_limit retry_after=3600", "rate limit", "rate_limit"),
        ("server_error", "server had an error", "transient"),
        ("unavailable", "unavailable", "transient"),
        ("overloaded", "overloaded", "transient"),
        ("quota", "exceeded your current quota", "billing"),
        ("billing", "insufficient balance", "billing"),
        ("forbidden", "no access to this model", "credential"),
        ("not_found", "does not exist", "bad_request"),
        ("bad_request", "malformed", "bad_request"),
    ],
)
def test_a_refusal_or_nonsense_ends_with_its_reason(
    fail: str, words: str, kind: str, app: Flask, worker: object, acme: people.Cast, simulated: str
) -> None:
    execution = failed(
        app, acme, f"!simulate fail={fail}\nPlease", model_at(acme, simulated, secret="sk-own"), words, kind
    )
    assert execution.body.text == ""


@pytest.mark.parametrize(
    ("fail", "words"),
    [
        ("cut after=5", "cut the connection before"),
        ("garbage after=5", "not valid JSON"),
        ("invalid_utf8 after=5", "broke off before its end"),
        ("error_in_stream after=5", "had an error while answering"),
    ],
)
def test_what_came_before_a_break_is_kept_and_paid_and_can_be_asked_again(
    fail: str, words: str, app: Flask, worker: object, acme: people.Cast, simulated: str
) -> None:
    model = model_at(acme, simulated, secret="sk-own")
    execution = failed(app, acme, f"!simulate fail={fail}\nPlease", model, words, "transient")
    assert execution.state is State.INTERRUPTED
    assert execution.body.text
    assert (execution.cost or 0) > 0
    assert execution.attempts[0].usage_is_estimated
    assert len(execution.attempts) == 1
    mia = people.browser(app, acme.mia)
    again = run_of(mia.submit(f"{acme.home}/executions/{execution.id}/retry").get_data(as_text=True))
    assert again != execution.id


@pytest.mark.parametrize("fail", ["no_usage", "negative_usage", "text_usage", "no_done", "empty"])
def test_small_faults_do_not_cost_the_answer(
    fail: str, app: Flask, worker: object, acme: people.Cast, simulated: str
) -> None:
    model = model_at(acme, simulated, secret="sk-own")
    execution = ended(app, acme, f"!simulate fail={fail}\nPlease", model)
    assert execution.state is State.COMPLETED, execution.body.error
    assert bool(execution.body.text) is (fail != "empty")
    assert (execution.tokens_in or 0) > 0
    assert (execution.cost or 0) > 0
    assert execution.attempts[0].usage_is_estimated is ("usage" in fail)


def test_a_rate_limit_that_passes_is_waited_out(app: Flask, worker: object, acme: people.Cast, simulated: str) -> None:
    once = f"!simulate fail=rate_limit fail_times=1 key={uuid.uuid4().hex}\nPlease"
    execution = ended(app, acme, once, model_at(acme, simulated, secret="sk-own"))
    assert [attempt.outcome for attempt in execution.attempts] == [Outcome.FAILED, Outcome.COMPLETED]
    bare = f"!simulate fail=rate_limit_bare fail_times=2 key={uuid.uuid4().hex}\nPlease"
    execution = ended(app, acme, bare, model_at(acme, simulated, secret="sk-own"))
    assert [attempt.cost for attempt in execution.attempts[:2]] == [0, 0]
    assert execution.state is State.COMPLETED


def test_a_wrong_key_is_said_without_the_key_and_remembered_with_it(
    app: Flask, worker: object, acme: people.Cast, simulated: str
) -> None:
    execution = failed(app, acme, "Please", model_at(acme, simulated), "API key", "credential")
    assert execution.cost == 0
    key = execution.attempts[0].api_key_id
    noted = db.session.get_one(APIKey, key, populate_existing=True)
    assert noted.last_error
    assert SECRET not in noted.last_error


def test_a_provider_that_is_not_there_is_said_to_be_unreachable(app: Flask, worker: object, acme: people.Cast) -> None:
    model = model_at(acme, f"http://127.0.0.1:{free_port()}/v1")
    execution = failed(app, acme, "Please", model, "cannot be reached", "transient")
    assert execution.cost == 0


def test_a_key_that_cannot_be_a_header_is_refused_in_words(
    app: Flask, worker: object, acme: people.Cast, simulated: str
) -> None:
    failed(app, acme, "Please", model_at(acme, simulated, secret="sk-ключ-1234567890"), "cannot be sent", "bad_request")


def test_the_next_provider_answers_when_the_first_does_not(
    app: Flask, worker: object, acme: people.Cast, simulated: str
) -> None:
    first = people.own_model(
        acme, people.own_provider(acme, f"http://127.0.0.1:{free_port()}/v1"), "gone", input=USD, output=USD
    )
    second = people.own_model(acme, people.own_provider(acme, simulated), "simulated-instant", input=USD, output=USD)
    rule = RoutingRule(
        id=new_id(), organization_id=acme.organization.id, name="Both", strategy="ordered",
        models=[RoutingRuleModel(model_id=model.id, position=place) for place, model in enumerate((first, second))],
    )  # fmt: skip
    db.session.add(rule)
    db.session.commit()
    execution = ended(app, acme, "Please", "Both")
    assert execution.state is State.COMPLETED, execution.body.error
    assert execution.model_id == second.id
    assert [made["outcome"] for made in execution.body.receipt["attempts"]][-1] == "completed"


# -- what only a provider of our own making does -------------------------------------------------


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.close()


def usage(**counters: object) -> bytes:
    return b"data: " + json.dumps({"choices": [], "usage": counters}).encode() + b"\n\n"


def test_characters_a_database_cannot_hold_do_not_cost_the_answer(
    app: Flask, worker: object, acme: people.Cast, provider: Provider
) -> None:
    strange = (
        b'data: {"id":"a\\u0000\\ud800","model":"m\\u0000","choices":[{"index":0,"delta":{"content":"a\\u0000b\\ud83d'
    )
    strange += (
        b'","reasoning_content":"\\u0000?","tool_calls":[{"index":0,"id":"t\\u0000","function":{"name":"f\\u0000",'
    )
    strange += b'"arguments":"{\\"x\\":\\"\\\\u0000\\\\ud800\\"}"}}]}}]}\n\n'
    provider.answers(streams(strange, ENDING))
    execution = ended(app, acme, "Please", model_at(acme, provider.url, "m"))
    assert execution.state is State.COMPLETED, execution.body.error
    assert execution.body.text.startswith("a")
    assert "\x00" not in execution.body.text + execution.body.reasoning
    assert execution.actions


def test_an_error_with_such_characters_is_still_told(
    app: Flask, worker: object, acme: people.Cast, provider: Provider
) -> None:
    provider.answers(says(response(b"It went \x00 wrong \xff, badly, said nobody.", "400 Bad Request", "text/plain")))
    failed(app, acme, "Please", model_at(acme, provider.url, "m"), "It went .* wrong", "bad_request")


def test_names_of_any_length_are_cut_to_what_fits(
    app: Flask, worker: object, acme: people.Cast, provider: Provider
) -> None:
    long = json.dumps({"id": "i" * 5000, "model": "m" * 5000, "choices": [{"index": 0, "delta": {"content": "Hi"}}]})
    provider.answers(streams(b"data: " + long.encode() + b"\n\n", ENDING))
    execution = ended(app, acme, "Please", model_at(acme, provider.url, "m"))
    assert execution.state is State.COMPLETED, execution.body.error
    assert len(execution.attempts[0].response_id) == 200


@pytest.mark.parametrize("count", [2**31, 10**12, 10**40, -1, 1.5, "many", None, True])
def test_a_count_of_tokens_that_cannot_be_true_is_estimated_instead(
    count: object, app: Flask, worker: object, acme: people.Cast, provider: Provider
) -> None:
    done = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    provider.answers(streams(chunk("Hello"), done, usage(prompt_tokens=count, completion_tokens=count)))
    execution = ended(app, acme, "Please", model_at(acme, provider.url, "m"))
    assert execution.state is State.COMPLETED, execution.body.error
    assert execution.attempts[0].usage_is_estimated
    assert 0 < (execution.tokens_out or 0) < 100


def test_a_bill_for_half_of_the_tokens_is_completed_by_an_estimate(
    app: Flask, worker: object, acme: people.Cast, provider: Provider
) -> None:
    done = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    provider.answers(streams(chunk("Hello " * 100), done, usage(prompt_tokens=7)))
    execution = ended(app, acme, "Please", model_at(acme, provider.url, "m"))
    assert (execution.tokens_input, execution.attempts[0].usage_is_estimated) == (7, True)
    assert (execution.tokens_output or 0) >= 100


def test_a_prompt_of_strange_characters_is_sent_and_kept(app: Flask, worker: object, acme: people.Cast) -> None:
    execution = fresh(ask(app, acme, "a\x00b \u202e \U0001f600", system="be\x00brief"))
    assert execution.state is State.COMPLETED
    assert execution.prompt is not None
    assert execution.prompt.text == "ab \u202e \U0001f600"


# -- silence, with deadlines a test can wait for -------------------------------------------------


@pytest.mark.parametrize(
    ("fail", "words"),
    [
        ("silent", "did not answer in time"),
        ("stall after=0", "stopped sending before"),
        ("stall after=4", "stopped sending before"),
        ("slow_loris rate=20", "longer than"),
    ],
)
def test_silence_has_an_end(
    fail: str, words: str, app: Flask, acme: people.Cast, simulated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = Deadlines(connect=2.0, first_byte=0.4, idle=0.4, total=1.0)
    monkeypatch.setattr("dataelan_web.executions.execute.USUAL", quick)
    text = f"!simulate fail={fail}\nPlease"
    asked = Request(
        project=acme.project,
        prompt=Prompt((user(text),)),
        origin=Origin.PLAYGROUND,
        requested=model_at(acme, simulated, secret="sk-own"),
        user_id=acme.mia.id,
        session=acme.session,
    )
    execution = record(asked, claimed_by="test")
    started = time.monotonic()
    with pytest.raises(Failure, match=words):
        list(execute(RunRecord.of(execution), execution.fence))
    assert time.monotonic() - started < 2
    silent = fresh(execution.id)
    must_hold(silent, text)
    assert (silent.cost or 0) > 0  # it may have been taken, so its input is paid
    assert len(silent.attempts) == 1


def test_an_answer_that_opens_and_closes_with_nothing_is_told(
    app: Flask, worker: object, acme: people.Cast, provider: Provider
) -> None:
    provider.answers(says(OPENING))
    failed(app, acme, "Please", model_at(acme, provider.url, "m"), "empty", "transient")
