"""Search: what is found, by whom, in which order; and that nothing typed into it can break or slow it."""

from __future__ import annotations

import re
import time
import uuid
from contextlib import suppress
from datetime import timedelta
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import func, select, text

from dataelan_web.accounts.sign_up import create_project
from dataelan_web.executions import indexing
from dataelan_web.extensions import db
from dataelan_web.models import (
    Execution,
    ExecutionBody,
    ModelType,
    Origin,
    PromptSession,
    SearchDocument,
    SearchSlice,
    Star,
    State,
    new_id,
    now,
)
from dataelan_web.models.search import facet
from dataelan_web.search import results, walk
from dataelan_web.search.excerpts import READ, Piece, excerpt
from dataelan_web.search.words import wanted

from . import people
from .conftest import wait_until


def found(app: Flask, cast: people.Cast, q: str, who: str = "mia", **filters: str) -> list[uuid.UUID]:
    """The runs on the first page, in their order."""
    return runs_on(page(app, cast, q, who, **filters))


def page(app: Flask, cast: people.Cast, q: str, who: str = "mia", **filters: str) -> str:
    answer = people.browser(app, cast.people[who]).get(f"{cast.home}/search", query_string={"q": q, **filters})
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def runs_on(shown: str) -> list[uuid.UUID]:
    return [uuid.UUID(id) for id in re.findall(r'class="hit-link" href="[^"]*?([0-9a-f-]{36})"', shown)]


# -- what is found ---------------------------------------------------------------------------------


def test_prompts_answers_and_gateway_runs_are_found_the_newest_first(app: Flask, acme: people.Cast) -> None:
    asked = people.ended(acme, "How do I mend a zeppelin?", "With care.")
    answered = people.ended(acme, "What flies?", "A zeppelin does.")
    through = people.ended(acme, "Name a zeppelin", "Hindenburg", via_gateway=True)
    people.ended(acme, "What sinks?", "A stone.")
    assert found(app, acme, "zeppelin ") == [through.id, answered.id, asked.id]


@pytest.mark.parametrize(
    ("typed", "is_found"),
    [
        ("ZEPPELIN mend", True),
        ("mend zeppelin harbour", False),
        ('"mend a zeppelin"', True),
        ('"zeppelin a mend"', False),
        ("zeppelin -harbour", True),
        ("zeppelin -mend", False),
        ("harbour OR zeppelin", True),
        ("zeppel", True),  # it may go on, as it is being typed
        ("zeppel mend", False),  # but only the last word may
        ("np.array", True),
        ("array", True),  # code is found by its parts
        ("snake_case_name", True),
        ("name_case", False),
        ("cafe", True),  # accents are folded,
        ("CAFÉ", True),
        ("éèê", False),
        ("大阪", True),  # and signs are words
        ("阪大", False),
        ("mia@example.com", True),
        ("3.11", True),
        ("<div>", True),
        ("how do i mend a zeppelin in a cafe in python ", True),  # more than the index is asked for
        ("how do you mend a zeppelin in a cafe in python ", False),
        ("how do i mend a zeppelin in a cafe -in python ", False),
    ],
)
def test_words_phrases_exclusions_alternatives_beginnings_code_and_accents(
    app: Flask, acme: people.Cast, typed: str, is_found: bool
) -> None:
    run = people.ended(
        acme,
        "How do I mend a zeppelin in a café in 大阪市?",
        "np.array(snake_case_name) <div>, Python 3.11, mia@example.com",
    )
    assert found(app, acme, typed) == ([run.id] if is_found else [])


def test_a_run_is_found_as_soon_as_it_is_over_and_not_before(app: Flask, acme: people.Cast) -> None:
    run = people.ended(acme, "A question about okapis", state=State.RUNNING)
    assert found(app, acme, "okapis") == []
    run.state = State.COMPLETED
    run.body.text = "They have stripes."
    db.session.commit()
    assert found(app, acme, "okapis stripes") == [run.id]


def test_filters_narrow_to_project_type_person_days_failures_stars_and_tags(app: Flask, acme: people.Cast) -> None:
    other = create_project(acme.organization, acme.olivia, "Other")
    session = PromptSession(id=new_id(), project=other, title="Pictures", model_type=ModelType.IMAGE, tags=["north"])
    db.session.add_all([other, session])
    db.session.commit()
    long_ago = now() - timedelta(days=40)
    old = people.ended(acme, "A lighthouse", created_at=long_ago)
    drawn = people.ended(acme, "A lighthouse", session_id=session.id, project_id=other.id, model_type=ModelType.IMAGE)
    broken = people.ended(acme, "A lighthouse", state=State.FAILED, user_id=acme.adam.id)
    db.session.add(Star(user_id=acme.mia.id, session_id=session.id))
    db.session.commit()
    day = (now() - timedelta(days=2)).strftime("%Y-%m-%d")
    for filters, expected in (
        ({}, [broken, drawn, old]),
        ({"project": str(other.id)}, [drawn]),
        ({"type": "IMAGE"}, [drawn]),
        ({"person": str(acme.adam.id)}, [broken]),
        ({"since": day}, [broken, drawn]),
        ({"until": day}, [old]),
        ({"error": "yes"}, [broken]),
        ({"starred": "yes"}, [drawn]),
        ({"tag": "north"}, [drawn]),
        ({"tag": "nor%"}, []),
        ({"project": str(uuid.uuid4())}, []),
        ({"project": "nonsense"}, []),
        ({"since": "nonsense", "after": "nonsense", "type": "nonsense"}, [broken, drawn, old]),
    ):
        assert found(app, acme, "lighthouse", **filters) == [run.id for run in expected], filters
    assert found(app, acme, "", type="IMAGE") == [drawn.id], "a filter alone is a search"
    assert found(app, acme, "", "adam", starred="yes") == [], "stars are one's own"


def test_pages_follow_each_other_without_loss_or_doubling(app: Flask, acme: people.Cast) -> None:
    runs = [people.ended(acme, f"Walrus number {number}") for number in range(47)]
    mia, seen = people.browser(app, acme.mia), list[uuid.UUID]()
    url: str | None = f"{acme.home}/search?q=walrus+"
    while url:
        shown = mia.get(url).get_data(as_text=True)
        seen += runs_on(shown)
        further = re.search(r'href="([^"]+)" rel="next"', shown)
        url = unescape(further[1]) if further else None
    assert seen == [run.id for run in reversed(runs)]


def test_a_walk_through_many_slices_finds_what_is_in_all_of_them(app: Flask, acme: people.Cast) -> None:
    start = now() - timedelta(days=60)
    people.ended(acme, "The first of all", created_at=start)  # makes the first slice
    moments = [start + timedelta(days=day) for day in range(1, 60)]
    db.session.add_all(SearchSlice(organization_id=acme.organization.id, starts_at=moment) for moment in moments)
    db.session.commit()
    runs = [people.ended(acme, "A rare quokka", created_at=moments[place]) for place in (0, 7, 30, 31, 58)]
    common = [people.ended(acme, "A common gull", created_at=moment) for moment in moments]
    assert found(app, acme, "quokka") == [run.id for run in reversed(runs)]
    assert found(app, acme, "gull") == [run.id for run in reversed(common)][:20]
    day = moments[30].strftime("%Y-%m-%d")
    assert found(app, acme, "quokka", since=day, until=day) == [runs[2].id]
    assert len(found(app, acme, "quokka", until="9999-12-31")) == len(found(app, acme, "quokka")), "no day comes after"


def test_a_full_slice_is_followed_by_another(app: Flask, acme: people.Cast) -> None:
    run = people.ended(acme, "An axolotl")
    (first,) = db.session.scalars(select(SearchSlice).where(SearchSlice.organization_id == acme.organization.id))
    ids = [new_id() for _ in range(2100)]
    db.session.execute(text("SET LOCAL session_replication_role = replica"))  # documents without their runs
    db.session.execute(
        SearchDocument.__table__.insert(),
        [{"id": id, "slice_id": first.id, "words": facet("s", first.id), "created_at": now()} for id in ids],
    )
    db.session.execute(text("SET LOCAL session_replication_role = DEFAULT"))
    for _ in range(1000):  # it is counted at one run in 64
        db.session.execute(select(func.search_index(run.id)))
    db.session.commit()
    slices = select(SearchSlice.starts_at).where(SearchSlice.organization_id == acme.organization.id)
    starts = sorted(db.session.scalars(slices))
    assert len(starts) == 2
    assert starts[1] > now(), "what ends now is still in the first"
    db.session.execute(SearchDocument.__table__.delete().where(SearchDocument.id.in_(ids)))
    db.session.commit()


def queued(cast: people.Cast, words: str) -> Execution:
    """What a program asked, as it just ended."""
    run = Execution(
        organization_id=cast.organization.id, project_id=cast.project.id, user_id=cast.mia.id, origin=Origin.GATEWAY,
        state=State.COMPLETED, finished_at=now(), body=ExecutionBody(request={"messages": []}, text=words),
    )  # fmt: skip
    db.session.add(run)
    db.session.commit()
    return run


def test_what_a_program_asked_is_found_a_moment_later(app: Flask, acme: people.Cast) -> None:
    """The tests' worker looks at the queue too, each second: where it came between, it all happens once more."""
    for word in ("numbat", "bandicoot", "dunnart"):
        with suppress(AssertionError):
            return found_a_moment_later(app, acme, word)
    found_a_moment_later(app, acme, "potoroo")


def found_a_moment_later(app: Flask, acme: people.Cast, word: str) -> None:
    runs = [queued(acme, f"A {word}") for _ in range(3)]
    assert found(app, acme, word) == []
    indexing.index(most=1)
    assert found(app, acme, word) == [runs[0].id]
    assert indexing.index() == 2
    assert indexing.index() == 0
    assert found(app, acme, word) == [run.id for run in reversed(runs)]
    failed = queued(acme, f"A {word}")
    db.session.delete(failed)
    db.session.commit()
    assert indexing.index() == 1, "which is not there any more"


def test_new_words_are_found_before_and_after_they_go_into_the_index_together(app: Flask, acme: people.Cast) -> None:
    runs = []

    def emptied() -> int:
        runs.append(people.ended(acme, "A bilby").id)
        assert set(found(app, acme, "bilby")) == set(runs)
        return indexing.empty_the_list()

    wait_until(emptied)  # where a worker of other tests runs, it may be first at times
    assert indexing.empty_the_list() == 0
    assert set(found(app, acme, "bilby")) == set(runs)


def test_one_that_cannot_be_indexed_keeps_no_other_from_it(acme: people.Cast) -> None:
    ids = [queued(acme, words).id for words in ("A dibbler", "A quoll")]
    made = db.session.scalar(text("SELECT pg_get_functiondef('search_words(text)'::regprocedure)"))
    assert made
    refuses = "BEGIN\n    IF said LIKE '%quoll%' THEN RAISE 'no'; END IF;"
    db.session.execute(text(made.replace("BEGIN", refuses, 1).replace(":", "\\:")))
    db.session.execute(select(func.search_index_all(ids)))
    assert db.session.scalars(select(SearchDocument.id).where(SearchDocument.id.in_(ids))).all() == ids[:1]
    db.session.rollback()


def test_one_alone_is_indexed_as_several_are(acme: people.Cast) -> None:
    runs = [
        people.ended(acme, "Who climbs?", "A pademelon.", state=State.FAILED),
        people.ended(acme, "Who digs? 日本", "", via_gateway=True),
        people.ended(acme, "Who flies?", "np.array", user_id=None),
    ]
    ids = [run.id for run in runs]
    rows = select(*SearchDocument.__table__.c).where(SearchDocument.id.in_(ids)).order_by(SearchDocument.id)
    written = []
    for way in ([func.search_index_all(ids)], [func.search_index(id) for id in ids]):
        db.session.execute(SearchDocument.__table__.delete().where(SearchDocument.id.in_(ids)))
        for index in way:
            db.session.execute(select(index))
        written.append(db.session.execute(rows).all())
    assert len(written[0]) == 3
    assert written[0] == written[1]
    db.session.rollback()


def test_names_of_sessions_and_projects_are_found_too(app: Flask, acme: people.Cast) -> None:
    shown = page(app, acme, "acme sess")
    assert f"/sessions/{acme.session.id}" in shown
    assert f"/projects/{acme.project.id}" in page(app, acme, "acme proj")


def test_results_come_alone_as_one_types(app: Flask, acme: people.Cast) -> None:
    run = people.ended(acme, "An okapi")
    answer = people.browser(app, acme.mia).get(f"{acme.home}/search?q=okap", headers={"HX-Request": "true"})
    shown = answer.get_data(as_text=True)
    assert runs_on(shown) == [run.id]
    assert "<html" not in shown


# -- by whom ---------------------------------------------------------------------------------------


def test_nobody_finds_what_they_may_not_see(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    word = f"secret{uuid.uuid4().hex[:8]}"
    other = create_project(acme.organization, acme.olivia, "Closed")
    db.session.add(other)
    db.session.commit()
    ours = people.ended(acme, word)
    closed = people.ended(acme, word, via_gateway=True, project_id=other.id)
    theirs = people.ended(rival, word)
    assert found(app, acme, word, "victor") == [closed.id, ours.id]
    assert found(app, acme, word, "gina") == [ours.id], "a guest finds in their own projects only"
    assert found(app, acme, word, "gina", project=str(other.id)) == []
    assert found(app, rival, word, "olivia") == [theirs.id]
    assert found(app, rival, word, "olivia", project=str(acme.project.id)) == []
    assert "Closed" not in page(app, acme, word, "gina")
    assert people.browser(app, acme.ned).get(f"{acme.home}/search?q={word}").status_code == 404


def test_what_is_in_the_trash_is_not_found(app: Flask, acme: people.Cast) -> None:
    run = people.ended(acme, "A pangolin")
    run.discard(acme.mia.id)
    db.session.commit()
    assert found(app, acme, "pangolin") == []
    run.restore()
    acme.session.discard(acme.mia.id)
    db.session.commit()
    assert found(app, acme, "pangolin") == []
    assert "pangolin" not in page(app, acme, "acme session").split("<main")[1].replace('value="', "")


# -- what nobody can do to it ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    [
        "%%%%",
        "_",
        "\\",
        "'; DROP TABLE executions; --",
        "the the the",
        "' | 'x",
        "!!! &&& |||",
        "(((((",
        "-only -not",
        "OR OR OR",
        '"',
        '""""""',
        "\x00\x01s\x02",
        "a:* <-> b:A",
        "🎉🎉🎉",
        "’:*",
        " ".join(f"word{number}" for number in range(1000)),
        "x" * 10_000,
        "\u202e right to left",
    ],
)
def test_whatever_is_typed_is_answered_and_soon(app: Flask, acme: people.Cast, typed: str) -> None:
    people.ended(acme, "Nothing of the kind")
    started = time.monotonic()
    page(app, acme, typed)
    assert time.monotonic() - started < 5  # the bar is 1 s; the machine may be busy with other tests


def test_a_facet_cannot_be_typed(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    people.ended(rival, "Theirs")
    run = people.ended(acme, f"Ours {facet('e')} {facet('p', rival.project.id)}")
    for name in (facet("p", rival.project.id), facet("t", "TEXT"), f'"{facet("t", "TEXT")}"'):
        assert set(found(app, acme, name)) <= {run.id}
    assert found(app, acme, "ours", error="yes") == [], "nor written into a prompt"


def test_excerpts_are_escaped_and_marked(app: Flask, acme: people.Cast) -> None:
    people.ended(acme, "<img src=x onerror=alert(1)> gnu", '<mark>gnu</mark><script>alert("gnu")</script>')
    shown = page(app, acme, "gnu")
    assert "<mark>gnu</mark>" in shown
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown
    assert "<script>alert(" not in shown
    assert "&lt;mark&gt;<mark>gnu</mark>&lt;/mark&gt;" in shown
    people.ended(acme, "plain", "gnu")
    assert "<script>alert(" not in page(app, acme, '<script>alert("gnu")</script>')


def test_a_walk_that_takes_too_long_says_how_far_it_came_and_goes_on(
    app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.ended(acme, "An echidna", created_at=now() - timedelta(days=9))
    people.ended(acme, "A gull")
    monkeypatch.setattr(walk, "SECONDS", 0.0)
    monkeypatch.setattr(walk, "FIRST_STEP", 0.0)
    acme.organization.time_zone = "Asia/Kolkata"
    db.session.commit()
    shown = page(app, acme, "echidna")
    assert "Nothing was found" not in shown, "also if it came nowhere"
    assert f"Everything since {now().astimezone(ZoneInfo('Asia/Kolkata')):%-d %B %Y, %H:}" in shown
    monkeypatch.undo()
    browser, by_hand, by_itself = people.browser(app, acme.mia), *(address(shown, how) for how in ("href", "hx-get"))
    assert "<mark>echidna</mark>" in browser.get(by_hand).get_data(as_text=True)
    more = browser.get(by_itself, headers={"HX-Request": "true"}).get_data(as_text=True)
    assert "<mark>echidna</mark>" in more
    assert 'id="results"' not in more, "only what takes the place of the last line"
    assert ">1 run</hx-partial>" in more, "whoever listens is told how it ended"


def test_a_search_that_goes_on_to_its_end_says_what_one_page_would_have_said(
    app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.ended(acme, "A gull", created_at=now() - timedelta(days=9))
    place = f"{now().isoformat()}_{uuid.uuid4()}"
    with monkeypatch.context() as patch:
        patch.setattr(walk, "SECONDS", 0.0)
        patch.setattr(walk, "FIRST_STEP", 0.0)
        asked = {"first": page(app, acme, "echidna"), "named": page(app, acme, acme.session.title)}
        asked["later"] = page(app, acme, "echidna", after=place)
    browser = people.browser(app, acme.mia)
    ends = {}
    for what, shown in asked.items():
        answer = browser.get(address(shown, "hx-get"), headers={"HX-Request": "true"})
        ends[what] = answer.get_data(as_text=True)
    assert "Whole words are looked for" in ends["first"]
    assert "First page" not in ends["first"], "it is the first page"
    assert "No run has these words." in ends["named"], "but a session is called so, and is shown above"
    assert "Nothing was found" not in ends["named"]
    assert "Nothing more was found." in ends["later"]
    assert "First page" in ends["later"]


def address(shown: str, how: str) -> str:
    """Of where a search goes on."""
    found = re.search(rf'<li class="hits-end".*? {how}="([^"]+/search\?[^"]+)"', shown, re.S)
    assert found
    return unescape(found[1])


def test_a_search_goes_on_until_its_page_is_full(
    app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [people.ended(acme, f"Quokka {n}", created_at=now() - timedelta(days=n)) for n in range(results.PAGE + 2)]
    browser = people.browser(app, acme.mia)
    html = page(app, acme, "quokka nothere")
    assert "Nothing was found" in html
    url = f"{acme.home}/search?q=quokka+&shown={results.PAGE - 3}"
    more = browser.get(url, headers={"HX-Request": "true"}).get_data(as_text=True)
    assert more.count('class="hit"') == 3
    assert "Older" in more
    assert str(runs[2].id) in unescape(more), "that is where the next page begins"
    monkeypatch.setattr(walk, "SECONDS", 0.0)
    monkeypatch.setattr(walk, "FIRST_STEP", 0.0)
    for nonsense in ("-5", "9999", "x"):
        answer = browser.get(f"{acme.home}/search?q=quokka+&shown={nonsense}", headers={"HX-Request": "true"})
        assert answer.status_code == 200


def test_an_answer_that_cannot_be_indexed_is_recorded_all_the_same(app: Flask, acme: people.Cast) -> None:
    huge = " ".join(uuid.uuid4().hex for _ in range(60_000))
    run = people.ended(acme, "A tapir " + "y" * 5000, huge)
    assert db.session.get_one(ExecutionBody, run.id).text == huge
    assert found(app, acme, "tapir") == [run.id]


# -- its parts -------------------------------------------------------------------------------------


def test_an_excerpt_shows_the_words_where_they_stand() -> None:
    text_ = "before " * 100 + "a Zeppelín and a harbour " + "after " * 100
    pieces = excerpt(text_, wanted("zeppelin harb"))
    assert [piece.text for piece in pieces if piece.is_match] == ["Zeppelín", "harbour"]
    assert pieces[0] == Piece("…")
    assert sum(len(piece.text) for piece in pieces) < 320
    assert excerpt("", wanted("x")) == []
    assert [p.text for p in excerpt("concatenate the cat", wanted("cat ")) if p.is_match] == ["cat"]
    assert [p.text for p in excerpt("大阪市の大阪", wanted("大阪")) if p.is_match] == ["大", "阪", "大", "阪"]


MARKED = """*You asked:*

> Name **three** [rivers](https://example.com/basin) of `Europe`

| Name | Length |
| --- | ---: |
| Danube | 2,850 km |

```python
print("Rhine")
```
"""


def test_an_excerpt_of_an_answer_has_no_marks_and_no_addresses() -> None:
    def said(text: str, q: str) -> tuple[str, list[str]]:
        pieces = excerpt(text, wanted(q), is_markdown=True)
        return "".join(piece.text for piece in pieces), [piece.text for piece in pieces if piece.is_match]

    plain = 'You asked: Name three rivers of Europe Name Length Danube 2,850 km print("Rhine")'
    assert said(MARKED, "rivers danube") == (plain, ["rivers", "Danube"])
    assert said(MARKED, "rhine")[1] == ["Rhine"]
    assert said(MARKED, "basin")[1] == ["basin"], "where it stands in an address only, that is shown"
    far = "Much *before*.\n\n" * 1_000 + MARKED + "Much *after*.\n\n" * 1_000
    words, found = said(far, "danube")
    assert found == ["Danube"]
    assert not set("*|`>[") & set(words)
    assert words.startswith("…")
    assert words.endswith("…")
    assert words.count("…") == 2


@pytest.mark.parametrize("bomb", ["[", "*a **a ", "| a ", "> ", "`", "- ", "x"])
def test_excerpts_of_hostile_answers_come_soon(bomb: str) -> None:
    text_ = bomb * (READ // len(bomb) // 2) + " needle " + bomb * READ
    began = time.perf_counter()
    assert any(piece.is_match for piece in excerpt(text_, wanted("needle"), is_markdown=True))
    assert time.perf_counter() - began < 1


def test_what_was_typed_is_cut_as_the_index_cuts() -> None:
    assert wanted('np.array -"x y" OR b').web == '"np array" -"x y" OR "b"'
    assert wanted("cats or dogs ").web == '"cats" "or" "dogs"', "only OR in capitals is the word between two"
    assert wanted("kuber").beginning == "kuber"
    assert wanted("ku").beginning == ""
    assert wanted("-kuber").beginning == ""
    assert wanted(" ".join("abc" for _ in range(50))).is_cut
