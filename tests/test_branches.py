"""A conversation is a tree: another answer, and other words, stand beside the first as branches of their own."""

from __future__ import annotations

import re
import uuid

from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from dataelan_web.executions import branches
from dataelan_web.executions.conversation import so_far
from dataelan_web.extensions import db
from dataelan_web.models import Execution, ModelType, PromptSession

from . import people

INSTANT = "simulated/simulated-instant"


def page(app: Flask, cast: people.Cast, path: str) -> str:
    return people.browser(app, cast.mia).get(f"{cast.session_url}{path}").get_data(as_text=True)


def cards(html: str) -> list[uuid.UUID]:
    return [uuid.UUID(id) for id in re.findall(r'<article class="run" id="run-([0-9a-f-]+)"', html)]


def send(app: Flask, cast: people.Cast, path: str, **form: str) -> Execution:
    answer = people.browser(app, cast.mia).submit(f"{cast.home}{path}", form)
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return newest(cast)


def newest(cast: people.Cast) -> Execution:
    query = select(Execution).where(Execution.session_id == cast.session.id).order_by(Execution.id.desc())
    return db.session.scalars(query.limit(1).execution_options(populate_existing=True)).one()


def words(session: PromptSession, end: uuid.UUID | None) -> list[str]:
    return [message.text for message in so_far(session, end)]


def test_another_answer_stands_beside_the_first_and_what_followed_that_goes_with_it(
    app: Flask, acme: people.Cast
) -> None:
    first = people.ended(acme, "One", "1", requested=INSTANT)
    second = people.ended(acme, "Two", "2")
    assert cards(page(app, acme, "")) == [first.id, second.id]
    again = send(app, acme, f"/executions/{first.id}/retry", submission="s")
    assert again.continues_id == first.continues_id is None
    assert again.prompt_id == first.prompt_id
    assert cards(page(app, acme, "")) == [again.id], "the newest branch is shown"
    assert cards(page(app, acme, f"?run={first.id}")) == [first.id, second.id], "the first is whole behind it"
    assert words(acme.session, second.id) == ["One", "1", "Two", "2"]


def test_an_answer_is_held_against_the_one_before_it(app: Flask, acme: people.Cast) -> None:
    first = people.ended(acme, "Write it", "def f():\n    return 1\n")
    second = people.ended(acme, "Shorter", "def f():\n    return 2\n")
    again = people.ended(acme, "Shorter", "def g():\n    return 2\n", continues_id=first.id)
    assert second.continues_id == again.continues_id == first.id

    def changed(run: Execution) -> str:
        return people.browser(app, acme.victor).get(f"{acme.home}/executions/{run.id}/changes").get_data(as_text=True)

    assert "<mark>2</mark>" in changed(second), "than the one it continues"
    assert "<mark>1</mark>" in changed(second)
    assert "<mark>1</mark>" not in changed(again), "than the one that was there already, to the same prompt"
    assert "+1" in changed(again)
    assert "There is no answer before this one." in changed(first)
    assert f"/executions/{again.id}/changes" in page(app, acme, "")
    second.discard(acme.mia.id)
    db.session.commit()
    assert "<mark>1</mark>" in changed(again), "what is in the trash is not read"


def test_one_walks_between_branches(app: Flask, acme: people.Cast) -> None:
    start = people.ended(acme, "Start", "0")
    beside = [people.ended(acme, f"Word {n}", str(n), continues_id=start.id) for n in range(3)]
    last = people.ended(acme, "Further", "f", continues_id=beside[1].id)
    html = page(app, acme, "")
    assert cards(html) == [start.id, beside[1].id, last.id]
    assert "Branch 2 of 3" in html
    assert f"?run={beside[0].id}#run-{beside[0].id}" in html
    assert f"?run={beside[2].id}#run-{beside[2].id}" in html
    assert html.count('class="turns"') == 1
    other = page(app, acme, f"?run={beside[2].id}")
    assert cards(other) == [start.id, beside[2].id]
    assert "The later branch" not in other
    assert f'name="continues" value="{beside[2].id}"' in other


def test_other_words_make_a_branch_with_the_same_files_model_and_settings(app: Flask, acme: people.Cast) -> None:
    before = people.ended(acme, "Before", "b")
    composer = {"text": "Frist", "model": INSTANT, "system": "Be brief.", "max_tokens": "50"}
    typo = send(app, acme, f"/sessions/{acme.session.id}/executions", **composer)
    typo.prompt.assets = [people.asset(acme, b"GIF89a", "image/gif", "dot.gif")]  # type: ignore[union-attr]
    db.session.commit()
    form = people.browser(app, acme.mia).get(f"{acme.home}/executions/{typo.id}/rewording").get_data(as_text=True)
    assert ">Frist</textarea>" in form
    run = send(app, acme, f"/executions/{typo.id}/rewording", text="First", submission="s")
    assert (run.continues_id, run.requested) == (before.id, INSTANT)
    assert run.prompt
    assert (run.prompt.text, [asset.name for asset in run.prompt.assets]) == ("First", ["dot.gif"])
    *earlier, asked = run.body.request["messages"]
    assert [message["role"] for message in earlier] == ["system", "user", "assistant"]
    assert [part.get("text") for part in asked["parts"]] == [None, "First"]
    assert asked["parts"][0]["asset"] == str(run.prompt.assets[0].id)
    assert run.body.request["max_tokens"] == 50
    assert cards(page(app, acme, "")) == [before.id, run.id]
    send(app, acme, f"/executions/{typo.id}/rewording", text="First", submission="s")
    assert newest(acme).id == run.id, "sent twice, it is one run"


def test_from_a_run_s_own_page_the_next_one_leads_to_its_own_and_in_a_session_it_takes_its_place(
    app: Flask, acme: people.Cast
) -> None:
    run = people.ended(acme, "Frist", "1", requested=INSTANT)
    mia, url = people.browser(app, acme.mia), f"{acme.home}/executions/{run.id}"

    def answers(headers: dict[str, str]) -> list[TestResponse]:
        forms = {"retry": {}, "rewording": {"text": "First"}}
        return [
            mia.submit(f"{url}/{verb}", {**form, "submission": uuid.uuid4().hex}, headers=headers)
            for verb, form in forms.items()
        ]

    for address in (url, f"{url}?at=the-end#run-{run.id}"):
        for answer in answers({"HX-Current-URL": f"http://localhost{address}"}):
            assert answer.headers["HX-Redirect"].startswith(f"{acme.home}/executions/")
            assert answer.headers["HX-Redirect"] != url
    assert answer.headers["HX-Redirect"] == f"{acme.home}/executions/{newest(acme).id}"
    for place in (acme.session_url, f"{url}/changes", ""):
        for answer in answers({"HX-Current-URL": f"http://localhost{place}"}):
            assert answer.status_code == 201
            assert "HX-Redirect" not in answer.headers
    plain = {"HX-Request": "", "Referer": f"http://localhost{url}"}
    assert [answer.location for answer in answers(plain)][1] == f"{acme.home}/executions/{newest(acme).id}"
    plain["Referer"] = f"http://localhost{acme.session_url}"
    assert {answer.location for answer in answers(plain)} == {acme.session_url}


def test_empty_words_are_refused_in_the_form_and_media_have_no_branches(app: Flask, acme: people.Cast) -> None:
    run = people.ended(acme, "One", "1")
    answer = people.browser(app, acme.mia).submit(f"{acme.home}/executions/{run.id}/rewording", {"text": " "})
    assert answer.status_code == 422
    assert "Write a prompt first." in answer.get_data(as_text=True)
    acme.session.model_type = ModelType.IMAGE
    db.session.commit()
    assert people.browser(app, acme.mia).get(f"{acme.home}/executions/{run.id}/rewording").status_code == 404


def test_a_prompt_goes_on_from_the_branch_that_was_shown(app: Flask, acme: people.Cast) -> None:
    one = people.ended(acme, "One", "1")
    left = people.ended(acme, "Left", "l", continues_id=one.id)
    right = people.ended(acme, "Right", "r", continues_id=one.id)
    url = f"/sessions/{acme.session.id}/executions"
    run = send(app, acme, url, text="Go on", model=INSTANT, continues=str(left.id))
    assert run.continues_id == left.id
    assert [m["parts"][0]["text"] for m in run.body.request["messages"]] == ["One", "1", "Left", "l", "Go on"]
    later = send(app, acme, url, text="And on", model=INSTANT, continues=str(left.id), submission="x")
    assert later.continues_id == run.id, "who saw less goes on from what came of it meanwhile"
    for strange in ("", "nonsense", str(uuid.uuid4())):
        assert send(app, acme, url, text=f"From {strange}", model=INSTANT, continues=strange)
    assert branches.end_of(acme.session, right.id) == right.id


def test_deleted_runs_keep_their_place(app: Flask, acme: people.Cast) -> None:
    one, two, three = (people.ended(acme, word, word.lower()) for word in ("One", "Two", "Three"))
    two.discard(acme.mia.id)
    db.session.commit()
    assert branches.end_of(acme.session, one.id) == three.id
    assert cards(page(app, acme, "")) == [one.id, three.id]
    assert words(acme.session, three.id) == ["One", "one", "Three", "three"]
    three.discard(acme.mia.id)
    db.session.commit()
    assert branches.newest(acme.session) == one.id
    assert branches.end_of(acme.session, one.id) == one.id


def test_a_foreign_run_leads_nowhere(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    mine, theirs = people.ended(acme, "Mine", "m"), people.ended(rival, "Theirs", "t")
    assert branches.end_of(acme.session, theirs.id) is None
    assert cards(page(app, acme, f"?run={theirs.id}")) == [mine.id]
    html = people.browser(app, acme.mia).get(
        f"{acme.session_url}?before={uuid.UUID(int=2**128 - 1)}&branch={theirs.id}", headers={"HX-Request": "true"}
    )
    assert cards(html.get_data(as_text=True)) == []
    run = send(app, acme, f"/sessions/{acme.session.id}/executions", text="Go", model=INSTANT, continues=str(theirs.id))
    assert run.continues_id == mine.id
