"""One prompt to several models side by side: asked once, streamed together, judged blind, and gone on from."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from dataelan_web.executions import branches, conversation, live
from dataelan_web.executions.hub_view import HubView
from dataelan_web.executions.purge import purge
from dataelan_web.extensions import db
from dataelan_web.hub.rules.drafts import Draft, Entry, check
from dataelan_web.models import (
    IN_TRASH,
    AuditEvent,
    Comparison,
    ComparisonRun,
    CopiedAnswer,
    Execution,
    Feedback,
    Model,
    ModelType,
    PromptSession,
    RoutingRule,
    RoutingRuleModel,
    Scope,
    State,
    Strategy,
    new_id,
    now,
)
from dataelan_web.playground import conversation as shown
from dataelan_web.playground.compare import choosing, starting, votes
from dataelan_web.playground.compare import stream as compare_stream
from dataelan_web.playground.compare.board import Alike, Board, alike, board
from dataelan_web.playground.compare.differences import difference
from dataelan_web.playground.compare.quoting import Sum
from dataelan_web.router.candidates import Question
from dataelan_web.router.plan import plan

from . import people, used
from .conftest import wait_until
from .test_quotes import line, priced

FAST, INSTANT = "simulated/simulated-fast", "simulated/simulated-instant"
AT_ONCE = "!simulate rate=0\n"
"""Before a prompt of which only the answers matter, not how they come: the fast one takes a second otherwise."""


def fields(text: str, models: Sequence[str], **more: object) -> dict[str, object]:
    columns = {f"c{place}-model": name for place, name in enumerate(models)}
    return {"text": text, "in_step": "y", "repeats": "1", "submission": uuid.uuid4().hex, **columns, **more}


def compare(app: Flask, cast: people.Cast, text: str, models: Sequence[str], **more: object) -> uuid.UUID:
    answer = people.browser(app, cast.mia).submit(f"{cast.session_url}/comparisons", fields(text, models, **more))
    assert answer.status_code == 204, answer.get_data(as_text=True)
    return uuid.UUID(answer.headers["HX-Redirect"].rsplit("/", 1)[1])


def read(id: uuid.UUID) -> Board:
    db.session.rollback()
    return board(db.session.get_one(Comparison, id, populate_existing=True))


def done(id: uuid.UUID) -> Board:
    wait_until(lambda: not read(id).is_open)
    return read(id)


def page(app: Flask, cast: people.Cast, id: uuid.UUID, query: str = "") -> str:
    answer = people.browser(app, cast.mia).get(f"{cast.home}/comparisons/{id}{query}")
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def act(app: Flask, cast: people.Cast, id: uuid.UUID, what: str, place: int = 0, turn: int = 0) -> TestResponse:
    return people.browser(app, cast.mia).submit(
        f"{cast.home}/comparisons/{id}/{what}", {"place": str(place), "turn": str(turn)}
    )


def test_a_prompt_is_run_by_each_model_as_often_as_wished(app: Flask, worker: object, acme: people.Cast) -> None:
    id = compare(app, acme, f"{AT_ONCE}What is a token?", [FAST, INSTANT], repeats="2")
    found = done(id)
    assert [(run.place, run.turn, run.requested) for run in found.runs] == [
        (0, 0, FAST), (0, 1, FAST), (1, 0, INSTANT), (1, 1, INSTANT),
    ]  # fmt: skip
    assert {run.execution.state for run in found.runs} == {State.COMPLETED}
    html = page(app, acme, id)
    assert "All answers are there. Pick the best." in html
    assert "Spread of simulated/simulated-fast" in html
    assert html.count("First token") >= 4
    assert "of their words in common" in html or "answers say the same" in html
    assert "B2 · simulated/simulated-instant" in html, "each of the repeats can be held against any other"


@pytest.mark.parametrize("is_blind", ["", "y"], ids=["open", "blind"])
def test_an_answer_that_a_limit_stopped_says_which_where_names_are_not_hidden(
    app: Flask, acme: people.Cast, is_blind: str
) -> None:
    budget = used.limit(acme, Scope.PROJECT, acme.project.id)
    id = compare(app, acme, "Which?", [FAST, INSTANT], is_blind=is_blind)
    refused, other = (run.execution for run in read(id).runs)
    other.state, other.finished_at = State.CANCELLED, now()
    refused.state, refused.finished_at, refused.refused_by = State.FAILED, now(), budget.id
    refused.error_kind, refused.body.error = "billing", "The limit has less left than this prompt may cost."
    db.session.commit()
    events = people.browser(app, acme.mia).get(f"{acme.home}/comparisons/{id}/events").get_data(as_text=True)
    for html in (page(app, acme, id), events):
        said = f"The limit on Project {acme.project.name} stopped this", "Ask for more", refused.body.error
        assert [words in html for words in said] == [not is_blind] * 3
        assert ("This one gave no answer" in html) == bool(is_blind)
        assert ("No answer came." in html) == (not is_blind), "there is none to pick"


def test_its_row_in_the_session_asks_how_it_stands_until_it_ended(app: Flask, acme: people.Cast) -> None:
    id = compare(app, acme, "!simulate first_token_ms=20000\nHow far?", [FAST, INSTANT])
    mia, row = people.browser(app, acme.mia), f"{acme.home}/comparisons/{id}/row"
    assert f'hx-get="{row}"' in mia.get(acme.session_url).get_data(as_text=True)
    asked = mia.get(row, headers={"HX-Request": "true"}).get_data(as_text=True)
    assert "0 of 2 answers" in asked
    assert 'hx-trigger="every 3s"' in asked
    these = Execution.session_id == acme.session.id
    db.session.execute(update(Execution).where(these).values(state=State.CANCELLED))
    db.session.commit()
    ended = mia.get(row, headers={"HX-Request": "true"}).get_data(as_text=True)
    assert "No best one chosen" in ended
    assert "hx-get" not in ended


def test_a_double_click_is_one_comparison(app: Flask, acme: people.Cast) -> None:
    mia = people.browser(app, acme.mia)
    pages = [mia.get(f"{acme.session_url}/comparisons/new").get_data(as_text=True) for _ in range(2)]
    marks = {re.search(r'name="submission" value="(\w{32})"', page)[1] for page in pages}  # type: ignore[index]
    assert len(marks) == 2, "each form has its own mark: two that are asked the same are two"
    submission = uuid.uuid4().hex
    first = compare(app, acme, "Once", [FAST, INSTANT], submission=submission)
    assert compare(app, acme, "Once", [FAST, INSTANT], submission=submission) == first
    others = {compare(app, acme, "Twice", [FAST, INSTANT], submission=submission)}
    others.add(compare(app, acme, "Once", [INSTANT, FAST], submission=submission))
    assert len(others - {first}) == 2, "what is sent again with other words is another, and none of them is lost"
    assert db.session.scalar(select(func.count()).select_from(Execution).where(Execution.session == acme.session)) == 6


def test_a_comparison_whose_web_dies_as_it_begins_lacks_no_answer(
    app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "wake", None)
    mia, form = people.browser(app, acme.mia), fields("Once", [FAST, INSTANT], repeats="2")
    assert mia.submit(f"{acme.session_url}/comparisons", form).status_code == 500
    found = read(compare(app, acme, "Once", [FAST, INSTANT], repeats="2", submission=form["submission"]))
    assert [(run.place, run.turn) for run in found.runs] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_what_cannot_be_compared_is_said_and_kept(app: Flask, acme: people.Cast) -> None:
    mia = people.browser(app, acme.mia)
    for models, said in (
        ([FAST], "Choose 2 to 6 models"),
        ([FAST] * 2, "is there twice"),
        ([f"m{n}" for n in range(7)], "these are 7"),
    ):
        answer = mia.submit(f"{acme.session_url}/comparisons", fields("Keep <b>me", models))
        assert answer.status_code == 422
        html = answer.get_data(as_text=True)
        assert said in html
        assert "Keep &lt;b&gt;me" in html
    tools = '[{"name": "look"}]'
    own = {"c0-temperature": "0", "c1-temperature": "1.5", "c1-reasoning_effort": "none", "c1-tools": tools}
    own |= {"c0-top_p": "0.3", "c0-stop": "END", "c1-seed": "2147483647"}
    twice = fields("Twice", [FAST, FAST], **own)
    del twice["in_step"]
    answer = mia.submit(f"{acme.session_url}/comparisons", twice)
    found = read(uuid.UUID(answer.headers["HX-Redirect"].rsplit("/", 1)[1]))
    assert [one.settings for one in found.columns] == [
        ["Temperature 0", "Top P 0.3", "Stops at END"],
        ["Temperature 1.5", "Seed 2147483647", "Thinking off", "Tools"],
    ]
    name = priced(acme, capabilities=["reasoning"], refuses=["temperature"])
    page = mia.submit(f"{acme.session_url}/comparisons/draft", fields("", [name])).get_data(as_text=True)
    assert 'data-model data-omits="schema temperature tools"' in page
    wrong = fields("Hot", [name, INSTANT], **{"c0-tools": tools, "c1-temperature": "9", "c1-schema": "{"})
    for told in ({"in_step": "y"}, {"in_step": ""}):
        html = mia.submit(f"{acme.session_url}/comparisons", wrong | told | {"repeats": "9"}).get_data(as_text=True)
        for words in ("A number from 0 to 2", "This is not JSON", "takes no tools", "Look at the settings of each"):
            assert (words in html) is not bool(told["in_step"]), "of columns in step only the models are sent"


def test_columns_are_added_and_removed_and_remembered(app: Flask, acme: people.Cast) -> None:
    mia, url = people.browser(app, acme.mia), f"{acme.session_url}/comparisons"
    html = mia.submit(f"{url}/draft", {**fields("", [FAST]), "add": INSTANT}).get_data(as_text=True)
    assert re.findall(r'name="c(\d)-model" value="([^"]+)"', html) == [("0", FAST), ("1", INSTANT)]
    html = mia.submit(f"{url}/draft", {**fields("", [FAST, INSTANT]), "remove": "0"}).get_data(as_text=True)
    assert re.findall(r'name="c(\d)-model" value="([^"]+)"', html) == [("0", INSTANT)]
    compare(app, acme, "Hello", [INSTANT, FAST])
    html = mia.get(f"{url}/new").get_data(as_text=True)
    assert re.findall(r'name="c\d-model" value="([^"]+)"', html) == [INSTANT, FAST]


def test_what_each_column_was_set_to_is_there_the_next_time(app: Flask, acme: people.Cast) -> None:
    own = {"in_step": "", "c0-temperature": "0.5", "c1-system": "Be brief.", "c2-seed": "7"}
    compare(app, acme, "One", [FAST, INSTANT, FAST], **own)
    mia, url = people.browser(app, acme.mia), f"{acme.session_url}/comparisons/new"

    def shown(query: str = "") -> tuple[str, ...]:
        html = mia.get(f"{url}{query}").get_data(as_text=True)
        fields = {
            name: re.findall(rf'value="([^"]*)"[^>]*name="{name}"|name="{name}"[^>]*value="([^"]*)"', html)
            for name in ("c0-temperature", "c2-seed", "c1-seed")
        }
        found = (next(iter("".join(one) for one in fields[name]), "") for name in fields)
        return (
            *found,
            "Be brief." if "Be brief." in html else "",
            "checked" if re.search(r"<input checked[^>]*in_step", html) else "",
        )

    assert shown() == ("0.50", "7", "", "Be brief.", "")
    assert shown(f"?model={FAST}&model={FAST}") == ("0.50", "", "7", "", ""), (
        "each finds its own, whatever else is gone"
    )
    compare(app, acme, "Two", [FAST, INSTANT])
    assert shown()[-2:] == ("", "checked"), "in step again"


def test_who_may_only_look_reaches_each_run_and_copies_its_answer(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    id = compare(app, acme, f"{AT_ONCE}A fox", (FAST, INSTANT))
    run = done(id).runs[0]
    page = people.browser(app, acme.victor).get(f"{acme.home}/comparisons/{id}").get_data(as_text=True)
    assert f'href="{acme.home}/executions/{run.execution.id}"' in page
    assert page.count('aria-label="Copy the answer"') == 2
    for act in ("/choice", "/continuation", "/retry"):
        assert act not in page


def test_a_page_that_nobody_looks_at_is_told_when_all_answers_are_there(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    id = compare(app, acme, "!simulate tokens=900 rate=30\nA story", (FAST, INSTANT), is_blind="y")
    victor, states = people.browser(app, acme.victor), f"{acme.home}/comparisons/{id}/states"
    assert victor.get(states).json == {str(id): "running"}, "and nothing of its single answers"
    people.browser(app, acme.mia).submit(f"{acme.home}/comparisons/{id}/cancellation")
    done(id)
    assert victor.get(states).json == {str(id): "answered"}
    row = victor.get(f"{acme.home}/comparisons/{id}/row").get_data(as_text=True)
    assert f'data-run="{id}" data-state="answered"' in row


def test_a_blind_comparison_tells_nothing_until_somebody_chose(app: Flask, worker: object, acme: people.Cast) -> None:
    id = compare(app, acme, "Which is better?", [FAST, INSTANT, "simulated/simulated-second"], is_blind="y")
    early = page(app, acme, id)
    done(id).columns[1].runs[0].execution.body.reasoning = "Whoever thinks first, I muse"
    db.session.commit()
    hidden = page(app, acme, id)
    stream = people.browser(app, acme.mia).get(f"{acme.home}/comparisons/{id}/events").get_data(as_text=True)
    session = people.browser(app, acme.mia).get(acme.session_url).get_data(as_text=True)
    for html in (early, hidden, stream):
        for telling in (FAST, INSTANT, "simulated-", "First token", "Speed", "/executions/", "I muse", "-reasoning"):
            assert telling not in html.split("</nav>")[-1], telling
    assert "Compared 3 models, blind" in session
    assert act(app, acme, id, "continuation").status_code == 422
    answer = act(app, acme, id, "choice", place=1)
    assert answer.status_code == 200
    found = read(id)
    assert found.columns[1].requested in answer.get_data(as_text=True)
    assert "I muse" in answer.get_data(as_text=True)
    assert found.comparison.blind_choice_id == found.columns[1].runs[0].id
    act(app, acme, id, "choice", place=2)
    after = read(id).comparison
    assert after.chosen_id == found.columns[2].runs[0].id
    assert after.blind_choice_id == found.columns[1].runs[0].id, "what was chosen blind stays"
    assert after.chosen_by == acme.mia.id
    audits = select(func.count()).select_from(AuditEvent).where(AuditEvent.subject_id == id)
    assert db.session.scalar(audits.where(AuditEvent.action == "comparison.chosen")) == 2


def test_a_blind_answers_model_is_told_nowhere_else_either(app: Flask, worker: object, acme: people.Cast) -> None:
    id = compare(app, acme, f"{AT_ONCE}Which quagga is better?", [FAST, INSTANT], is_blind="y")
    runs = done(id).runs
    mia, run = people.browser(app, acme.mia), f"{acme.home}/executions/{runs[0].id}"
    readings = (
        f"{acme.home}/search?q=quagga",
        f"{acme.session_url}/export/md",
        f"{acme.session_url}/export/json",
    )
    for url in readings:
        told = mia.get(url).get_data(as_text=True).split('id="results"')[-1]
        assert "quagga" in told
        assert not re.search(r"simulated-(fast|instant)|Fast|Instant", told), url
    assert mia.get(run).headers["Location"].endswith(f"/comparisons/{id}")
    for rest in ("events", "export/md", "export/json", "export/py", "code"):
        assert mia.get(f"{run}/{rest}").status_code == 409, rest
    assert mia.submit(f"{run}/retry", {}).status_code == 409
    act(app, acme, id, "choice")
    assert mia.get(run).status_code == 200
    assert runs[0].requested in mia.get(f"{run}/export/json").get_data(as_text=True)
    assert "simulated-" in mia.get(f"{acme.session_url}/export/json").get_data(as_text=True)


def test_the_conversation_goes_on_from_the_chosen_answer_and_no_other(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    id = compare(app, acme, f"{AT_ONCE}A harbour at dawn", [FAST, INSTANT])
    found = done(id)
    session = db.session.get_one(PromptSession, acme.session.id)
    assert conversation.so_far(session, branches.newest(session)) == ()
    assert len(shown.latest(session, branches.newest(session)).cards) == 1, "one place in the session for all"
    answer = act(app, acme, id, "continuation", place=1)
    assert answer.headers["HX-Redirect"].endswith(f"/sessions/{acme.session.id}")
    db.session.rollback()
    said = conversation.so_far(session, branches.newest(session))
    assert [message.role for message in said] == ["user", "assistant"]
    chosen = found.columns[1].runs[0].execution
    assert said[1].text.strip() == chosen.body.text.strip()
    html = people.browser(app, acme.mia).get(acme.session_url).get_data(as_text=True)
    assert f'id="run-{chosen.id}"' in html
    assert f'id="comparison-{id}"' in html
    assert f'id="run-{found.columns[0].runs[0].id}"' not in html


def test_all_are_stopped_at_once_and_one_is_tried_again(app: Flask, worker: object, acme: people.Cast) -> None:
    id = compare(app, acme, "!simulate tokens=900 rate=20\nLong", [FAST, INSTANT])
    wait_until(lambda: all(run.execution.started_at for run in read(id).runs))
    assert 'id="board"' in act(app, acme, id, "cancellation").get_data(as_text=True)
    found = done(id)
    assert {run.execution.state for run in found.runs} <= {State.CANCELLED, State.COMPLETED}
    before = found.columns[0].runs[0].id
    assert act(app, acme, id, "retry").status_code == 200
    again = read(id).columns[0].runs
    assert [run.id == before for run in again] == [False]
    assert db.session.get(ComparisonRun, before) is not None
    assert act(app, acme, id, "retry", place=5).status_code == 404
    act(app, acme, id, "cancellation")
    done(id)


def test_the_stream_brings_each_answer_whole_and_ends(app: Flask, worker: object, acme: people.Cast) -> None:
    id = compare(app, acme, "Say <img src=x onerror=alert(1)> something", [FAST, INSTANT])
    stream = people.browser(app, acme.mia).get(f"{acme.home}/comparisons/{id}/events").get_data(as_text=True)
    assert stream.rstrip().endswith("event: done\ndata:")
    for place in (0, 1):
        assert f'hx-target="#answer-{place}-0" hx-swap="outerHTML"' in stream
    assert "All answers are there" in stream
    assert "<img src=x" not in stream
    assert "<img src=x" not in page(app, acme, id)


def test_what_a_model_thinks_comes_apart_and_what_is_told_anew_takes_the_place_of_what_was_there(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    id = compare(app, acme, "!simulate reasoning=20 tokens=20 rate=60\nA fox", ["simulated/simulated-thoughtful", FAST])
    assert 'id="answer-0-0-reasoning"' in page(app, acme, id)
    stream = people.browser(app, acme.mia).get(f"{acme.home}/comparisons/{id}/events").get_data(as_text=True)
    assert 'hx-target="#answer-0-0-reasoning" hx-swap="innerHTML' in stream
    run, begun = done(id).runs[0], compare_stream.Begun()
    told = [
        compare_stream._words(run, live.Entry("1-0", text, thought, is_anew=is_anew), begun)
        for text, thought, is_anew in (
            ("", "Hm", False),
            ("A <b>", "", False),
            ("fox", "", False),
            (" *is*.\n\nI", "", False),
            ("A fox", "", True),
        )
    ]
    place = '<hx-partial hx-target="#answer-0-0-{}" hx-swap="{}">{}</hx-partial>'.format
    fresh, block = "innerHTML swapEmpty:true", "<p>A &lt;b&gt;fox <em>is</em>.</p>\n"
    text = '<div class="live-text" id="answer-0-0-text">{}</div>'.format

    assert told == [
        place("reasoning", fresh, "Hm"),
        place("words", fresh, text("A &lt;b&gt;")),
        place("text", "beforeend", "fox"),
        place("text", "outerHTML", f'<div class="live-block markdown">{block}</div>{text("I")}'),
        place("reasoning", fresh, "") + place("words", fresh, text("A fox")),
    ]


def test_two_answers_are_held_against_each_other(app: Flask, worker: object, acme: people.Cast) -> None:
    id = compare(app, acme, f"{AT_ONCE}Compare me", [FAST, INSTANT])
    done(id)
    assert "The two answers are the same." in page(app, acme, id, "?a=0-0&b=1-0")
    db.session.execute(
        Execution.body.property.entity.class_.__table__.update()
        .where(Execution.body.property.entity.class_.id == read(id).columns[1].runs[0].id)
        .values(text="<script>alert(1)</script>\nother")
    )
    db.session.commit()
    html = page(app, acme, id, "?a=0-0&b=1-0")
    assert "diff-added" in html
    assert "<script>alert" not in html
    assert page(app, acme, id, "?a=9&b=x")


def test_a_choice_is_a_thumb_up_that_follows_the_choice_but_never_ones_own_word(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    id = compare(app, acme, f"{AT_ONCE}Which?", [FAST, INSTANT])
    first, second = [column.runs[0].id for column in done(id).columns]

    def thumbs() -> dict[uuid.UUID, bool]:
        db.session.rollback()
        rows = db.session.scalars(select(Feedback).where(Feedback.execution_id.in_([first, second])))
        return {row.execution_id: row.is_good for row in rows}

    act(app, acme, id, "choice")
    assert thumbs() == {first: True}
    act(app, acme, id, "choice", place=1)
    assert thumbs() == {second: True}
    mia = people.browser(app, acme.mia)
    mia.submit(f"{acme.home}/executions/{second}/feedback", {"vote": "down"})
    act(app, acme, id, "choice")
    act(app, acme, id, "choice", place=1)
    assert thumbs() == {second: False}, "what she said by herself stays"


def test_blind_votes_are_counted_for_the_project(app: Flask, worker: object, acme: people.Cast) -> None:
    for models in ([FAST, INSTANT], [FAST, "auto"]):
        id = compare(app, acme, f"{AT_ONCE}Which?", models, is_blind="y")
        place = next(one.place for one in done(id).columns if one.requested == FAST)
        act(app, acme, id, "choice", place=place)
    seen = compare(app, acme, f"{AT_ONCE}Not blind", [FAST, INSTANT])
    done(seen)
    act(app, acme, seen, "choice", place=1)
    assert [(one.requested, one.won, one.of) for one in votes.of_project(acme.project)] == [
        (FAST, 2, 2), ("auto", 0, 1), (INSTANT, 0, 1),
    ]  # fmt: skip
    assert "Blind votes in this project" in people.browser(app, acme.mia).get(
        f"{acme.session_url}/comparisons/new"
    ).get_data(as_text=True)


def decided_blind(cast: people.Cast, winner: Model, loser: Model) -> Comparison:
    """A blind comparison of two models that is ready to be decided; its first run is the winner's."""
    runs = [people.ended(cast, "Which?", "This", model_id=one.id, requested=one.name) for one in (winner, loser)]
    comparison = Comparison(
        id=new_id(), session_id=cast.session.id, submission=uuid.uuid4().hex, is_blind=True, repeats=1
    )
    comparison.runs = [
        ComparisonRun(id=run.id, place=place, turn=0, requested=run.requested) for place, run in enumerate(runs)
    ]
    db.session.add(comparison)
    db.session.commit()
    choosing.choose(comparison, comparison.runs[0], cast.mia.id)
    return comparison


def test_a_rule_leaves_out_what_people_do_not_choose(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    liked, other = people.simulated_model("simulated-fast"), people.simulated_model()
    entries = [RoutingRuleModel(model_id=one.id, position=place) for place, one in enumerate([other, liked])]
    wish = {"min_win_rate": 0.5}
    db.session.add(
        RoutingRule(
            organization_id=acme.organization.id,
            name="liked",
            strategy=Strategy.ORDERED,
            conditions=wish,
            models=entries,
        )
    )
    db.session.commit()

    def answers(type: ModelType = ModelType.TEXT) -> list[str]:
        db.session.commit()
        rules = HubView(db.session, acme.project).rules_for("liked", type)
        decided = plan(Question(type.value), rules, random.Random(1), "liked")
        db.session.commit()
        return [step.candidate.model for step in decided.steps] + [one.reason for one in decided.rejected]

    for _ in range(4):
        decided_blind(acme, liked, other)
        decided_blind(rival, other, liked)
    decided_blind(acme, liked, liked)
    assert answers() == [other.name, liked.name], "four comparisons with another model are too few to tell"
    decided_blind(acme, liked, other)
    reason = "it won 0 of 5 blind comparisons, under the rule's 50%"
    assert answers() == [liked.name, reason], "a vote counts at once"
    page = people.browser(app, acme.mia).get(f"{acme.home}/hub/models/{liked.id}").get_data(as_text=True)
    assert "100 %" in page
    assert "5 of 5 comparisons" in page
    checked = check(Draft("liked", (Entry(other.id, 1, ()), Entry(liked.id, 1, ())), wish), acme.organization)
    assert [checked.rule.tests.reason_against(one, Question()) for one in checked.rule.choices] == [reason, None]
    acme.session.deleted_at = now() - IN_TRASH * 2
    db.session.commit()
    assert purge()
    assert answers() == [other.name, liked.name], "and counts no more once its session is gone for good"


def test_while_an_answer_is_written_nothing_is_compared_and_a_comparison_keeps_no_prompt_waiting(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    mia = people.browser(app, acme.mia)
    mia.submit(f"{acme.session_url}/executions", {"text": "!simulate tokens=900 rate=30\nLong", "model": FAST})
    (open_run,) = db.session.scalars(select(Execution).where(Execution.session_id == acme.session.id))
    answer = mia.submit(f"{acme.session_url}/comparisons", fields("And this?", [FAST, INSTANT]))
    assert answer.status_code == 422
    assert "is still being written" in answer.get_data(as_text=True)
    mia.submit(f"{acme.home}/executions/{open_run.id}/cancellation")
    wait_until(lambda: not db.session.get_one(Execution, open_run.id, populate_existing=True).is_open)
    id = compare(app, acme, "!simulate tokens=900 rate=30\nLong", [FAST, INSTANT])
    mia.submit(f"{acme.session_url}/executions", {"text": "Next", "model": INSTANT})
    last = db.session.scalars(
        select(Execution).where(Execution.session_id == acme.session.id).order_by(Execution.id.desc())
    ).first()
    assert last is not None
    assert last.waits_for_id is None
    act(app, acme, id, "cancellation")
    done(id)


def test_a_fork_takes_along_only_what_was_gone_on_from(app: Flask, worker: object, acme: people.Cast) -> None:
    id = compare(app, acme, f"{AT_ONCE}Which?", [FAST, INSTANT])
    done(id)
    session = db.session.get_one(PromptSession, acme.session.id)
    mia = people.browser(app, acme.mia)
    assert mia.submit(f"{acme.session_url}/forks").headers["HX-Redirect"]
    act(app, acme, id, "continuation", place=0)
    assert mia.submit(f"{acme.session_url}/forks").headers["HX-Redirect"]
    forks = db.session.scalars(
        select(PromptSession).where(PromptSession.forked_from_id == session.id).order_by(PromptSession.id)
    ).all()
    copied = [
        db.session.scalars(select(CopiedAnswer.execution_id).where(CopiedAnswer.session_id == one.id)).all()
        for one in forks
    ]
    assert copied == [[], [read(id).columns[0].runs[0].id]]


def test_answers_in_the_trash_are_not_read_on_the_board_and_all_of_them_take_the_comparison_along(
    app: Flask, worker: object, acme: people.Cast
) -> None:
    mia = people.browser(app, acme.mia)
    id = compare(app, acme, f"{AT_ONCE}Which?", [FAST, INSTANT])
    first = done(id).columns[0].runs[0]
    said = first.text.split("\n")[0][:40]
    assert said in page(app, acme, id)
    act(app, acme, id, "continuation")
    mia.submit(f"{acme.home}/executions/{first.id}/deletion")
    html = page(app, acme, id)
    assert "This answer is in the trash" in html
    assert html.count('class="answer markdown"') == 1
    assert act(app, acme, id, "choice").status_code == 422
    html = mia.get(acme.session_url).get_data(as_text=True)
    assert f'id="comparison-{id}"' in html, "the others are still there"
    assert f'id="run-{first.id}"' not in html
    db.session.execute(update(Execution).where(Execution.id == first.id).values(deleted_at=now() - IN_TRASH))
    db.session.commit()
    purge()
    assert "This answer is in the trash" in page(app, acme, id)
    assert mia.submit(f"{acme.home}/comparisons/{id}/deletion").headers["HX-Redirect"].endswith(acme.session_url)
    assert f'id="comparison-{id}"' not in mia.get(acme.session_url).get_data(as_text=True)


def test_how_far_repeats_agree_is_said() -> None:
    assert alike(["a b c", "a b c", "a  b c"]) == Alike(3, 1, 1.0)
    assert alike(["a b", "a c"]) == Alike(2, 2, 1 / 3)


def test_the_same_lines_are_folded_and_changed_words_marked() -> None:
    same = [f"line {n}" for n in range(20)]
    found = difference("\n".join([*same, "the cat sat"]), "\n".join([*same, "the dog sat", ""]))
    assert (found.added, found.removed, found.is_none) == (1, 1, False)
    assert [(part.is_folded, len(part.lines)) for part in found.parts] == [(True, 18), (False, 4)]
    removed, added = found.parts[-1].lines[2:]
    assert [text for text, differs in removed.words if differs] == ["cat "]
    assert [text for text, differs in added.words if differs] == ["dog "]
    assert difference("a\nb", "a\nb").is_none
    assert difference("", "x").added == 1


def test_the_quote_of_a_comparison_is_the_sum(app: Flask, acme: people.Cast) -> None:
    mia, url = people.browser(app, acme.mia), f"{acme.session_url}/comparisons/quote"
    one, two = priced(acme), priced(acme, name="simulated-instant")
    alone = mia.submit(url, fields("Hi", [one, two])).get_data(as_text=True)
    twice = mia.submit(url, fields("Hi", [one, two], repeats="3")).get_data(as_text=True)
    assert line(alone).startswith("≈ $0.002–0.021")
    assert line(twice).startswith("≈ $0.006–0.061")
    unknown = priced(acme, name="mystery", input=None, output=None)
    assert "and unknown" in line(mia.submit(url, fields("Hi", [one, unknown])).get_data(as_text=True))
    assert line(mia.submit(url, fields("Hi", [one])).get_data(as_text=True)) == ""


def test_a_comparison_with_a_wait_that_nobody_knows_takes_at_least_the_others() -> None:
    def column(total: float | None, candidate: object = "one", is_refused: bool = False) -> tuple[str, Any, Any]:
        wait, foresight = SimpleNamespace(total=total), SimpleNamespace(is_refused=is_refused)
        return "one", SimpleNamespace(wait=wait, candidate=candidate, foresight=foresight), None

    fast, slow, unknown = column(1.2), column(1.6), column(None)
    assert Sum([fast, slow], 1).wait == "~1.6s"
    assert Sum([fast, slow, unknown], 1).wait == "at least 1.6s"
    assert Sum([unknown, unknown], 1).wait == ""
    stopped = [column(None, candidate=None), column(9, is_refused=True)]
    assert Sum([fast, slow, *stopped], 1).wait == "~1.6s", "what does not run takes no time"


def test_a_picture_session_compares_nothing(app: Flask, acme: people.Cast) -> None:
    acme.session.model_type = type(acme.session.model_type).IMAGE
    db.session.commit()
    assert people.browser(app, acme.mia).get(f"{acme.session_url}/comparisons/new").status_code == 404
