"""Keeping sessions in order: stars, tags, the archive, forks, moves, and the list they are found in again."""

from __future__ import annotations

import html
import re
import uuid
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from dataelan_web.accounts.sign_up import create_project
from dataelan_web.executions.branches import newest
from dataelan_web.executions.conversation import so_far
from dataelan_web.executions.prompts import to_json
from dataelan_web.extensions import db
from dataelan_web.models import (
    Collaborator,
    CopiedAnswer,
    DeclaredAction,
    Execution,
    ModelType,
    Project,
    ProjectRole,
    PromptSession,
    RoutingRule,
    Star,
    State,
    new_id,
    now,
)
from dataelan_web.projects import totals
from dataelan_web.router.types import ImagePart, Message, TextPart
from dataelan_web.router.types import Prompt as RouterPrompt
from dataelan_web.search import places
from dataelan_web.shell import KEYS

from . import people
from .test_rollups import count_all
from .test_search import found


def act(app: Flask, cast: people.Cast, path: str, who: str = "mia", **form: object):  # type: ignore[no-untyped-def]
    return people.browser(app, cast.people[who]).submit(f"{cast.home}{path}", form)


def get(app: Flask, cast: people.Cast, path: str, who: str = "mia", **query: str) -> str:
    return people.browser(app, cast.people[who]).get(f"{cast.home}{path}", query_string=query).get_data(as_text=True)


def other_project(cast: people.Cast, name: str = "Other") -> Project:
    project = create_project(cast.organization, cast.olivia, name)
    db.session.add(project)
    db.session.commit()
    return project


def session_of(project: Project, title: str, **values: object) -> PromptSession:
    row = PromptSession(id=new_id(), project=project, title=title)
    for name, value in values.items():
        setattr(row, name, value)
    db.session.add(row)
    db.session.commit()
    return row


# -- stars, tags, the archive ----------------------------------------------------------------------


def test_a_star_is_one_persons_and_puts_a_session_at_hand(app: Flask, acme: people.Cast) -> None:
    path = f"/sessions/{acme.session.id}"
    answer = act(app, acme, f"{path}/star", "victor", is_on="yes").get_data(as_text=True)
    assert 'aria-pressed="true"' in answer
    assert "Starred" in answer, "the sidebar has it at once"
    act(app, acme, f"{path}/star", "victor", is_on="yes")  # twice is once
    assert db.session.query(Star).filter_by(session_id=acme.session.id).count() == 1
    assert 'id="side-starred"' in get(app, acme, "/", "victor")
    assert 'id="side-starred"' not in get(app, acme, "/", "mia")
    act(app, acme, f"{path}/star", "victor", is_on="no")
    assert 'id="side-starred"' not in get(app, acme, "/", "victor")


def test_tags_are_typed_known_to_the_project_and_taken_off_again(app: Flask, acme: people.Cast) -> None:
    path, other = f"/sessions/{acme.session.id}", session_of(acme.project, "Another", tags=["Quarterly report"])
    first = act(app, acme, f"{path}/tags", tag="  quarterly   REPORT ").get_data(as_text=True)
    assert "Quarterly report" in first, "in the spelling that the project knows"
    act(app, acme, f"{path}/tags", tag="#urgent")
    db.session.refresh(acme.session)
    assert acme.session.tags == ["Quarterly report", "urgent"]
    offered = act(app, acme, f"/sessions/{other.id}/tags", tag="new").get_data(as_text=True)
    assert '<option value="urgent">' in offered
    assert '<option value="new">' not in offered, "it has that one"
    refused = act(app, acme, f"{path}/tags", tag="x" * 41)
    assert refused.status_code == 422
    assert "at most 40 letters" in refused.get_data(as_text=True)
    assert act(app, acme, f"{path}/tags", tag="   ").status_code == 422
    for number in range(10):
        act(app, acme, f"{path}/tags", tag=f"tag {number}")
    assert "at most 12 tags" in act(app, acme, f"{path}/tags", tag="one more").get_data(as_text=True)
    gone = act(app, acme, f"{path}/tags/removal", tag="urgent").get_data(as_text=True)
    db.session.refresh(acme.session)
    assert "urgent" not in acme.session.tags
    assert "data-undo" in gone
    act(app, acme, f"{path}/tags?tag=urgent")
    db.session.refresh(acme.session)
    assert "urgent" in acme.session.tags, "what was taken off by mistake is on again"
    act(app, acme, f"{path}/tags/removal", tag="urgent")
    assert "data-undo" not in act(app, acme, f"{path}/tags/removal", tag="never there").get_data(as_text=True)
    db.session.refresh(acme.session)
    assert "urgent" not in acme.session.tags
    assert len(acme.session.tags) == 11
    assert act(app, acme, f"/sessions/{other.id}/tags", tag="demo, #rivers,, Demo , NEW").status_code == 200
    db.session.refresh(other)
    assert other.tags == ["Quarterly report", "new", "demo", "rivers"], "parted by commas, as the gateway does"
    too_long = "x" * 41
    many = act(app, acme, f"/sessions/{other.id}/tags", tag=",".join("abcdefghi"))
    assert "at most 12 tags, and these would be 13" in many.get_data(as_text=True)
    long = act(app, acme, f"/sessions/{other.id}/tags", tag=f"fine, {too_long}")
    assert "“xxxxxxxxxxxxxxxxxxxx…” is longer: a tag has at most 40 letters." in html.unescape(
        long.get_data(as_text=True)
    )
    assert f'value="fine, {too_long}"' in long.get_data(as_text=True), "what was typed can be corrected"
    db.session.refresh(other)
    assert len(other.tags) == 4, "all or none"
    hostile = '"><script>alert(1)</script>'
    act(app, acme, f"/sessions/{other.id}/tags", tag=hostile)
    assert "<script>alert(1)" not in get(app, acme, f"/projects/{acme.project.id}")


def test_the_archive_is_out_of_the_way_and_a_prompt_brings_a_session_back(app: Flask, acme: people.Cast) -> None:
    path, link = f"/sessions/{acme.session.id}", f'href="{acme.session_url}"'
    act(app, acme, f"{path}/archive", is_on="yes")
    for place in ("/", f"/projects/{acme.project.id}"):
        assert link not in get(app, acme, place)
    assert link in get(app, acme, f"/projects/{acme.project.id}", show="archived")
    page = get(app, acme, path)
    assert "Archived" in page
    assert 'id="composer"' in page
    answer = act(app, acme, f"{path}/executions", text="Hello", model="no-such-model", submission=uuid.uuid4().hex)
    assert answer.status_code == 201
    db.session.refresh(acme.session)
    assert acme.session.archived_at is None
    act(app, acme, f"{path}/archive", is_on="yes")
    act(app, acme, f"{path}/archive", is_on="no")
    assert link in get(app, acme, f"/projects/{acme.project.id}")


def test_naming_and_sorting_a_session_is_no_activity(app: Flask, acme: people.Cast) -> None:
    before = acme.session.updated_at
    act(app, acme, f"/sessions/{acme.session.id}/title", title="Renamed")
    act(app, acme, f"/sessions/{acme.session.id}/tags", tag="one")
    db.session.refresh(acme.session)
    assert (acme.session.title, acme.session.updated_at) == ("Renamed", before)


# -- the list --------------------------------------------------------------------------------------


def titles(shown: str) -> list[str]:
    return [html.unescape(title) for title in re.findall(r'class="row-link"[^>]*><span>([^<]*)</span>', shown)]


def test_the_list_of_a_project_is_filtered_and_sorted(app: Flask, acme: people.Cast) -> None:
    project = other_project(acme)
    day = timedelta(days=1)
    session_of(project, "Alpha 100%", created_by=acme.mia.id, updated_at=now() - 3 * day, tags=["north"])
    beta = session_of(project, "beta_two", created_by=acme.adam.id, updated_at=now() - day, model_type=ModelType.CODE)
    session_of(project, "Gamma", created_by=acme.mia.id, created_at=now() - 9 * day, updated_at=now() - 2 * day)
    session_of(project, "Old", archived_at=now())
    db.session.add(Star(user_id=acme.mia.id, session_id=beta.id))
    db.session.commit()
    for query, expected in (
        ({}, ["beta_two", "Gamma", "Alpha 100%"]),
        ({"sort": "newest"}, ["beta_two", "Alpha 100%", "Gamma"]),
        ({"sort": "title"}, ["Alpha 100%", "beta_two", "Gamma"]),
        ({"show": "mine"}, ["Gamma", "Alpha 100%"]),
        ({"show": "starred"}, ["beta_two"]),
        ({"show": "archived"}, ["Old"]),
        ({"type": "CODE"}, ["beta_two"]),
        ({"tag": "north"}, ["Alpha 100%"]),
        ({"tag": "nor"}, []),
        ({"q": "A M"}, ["Gamma"]),
        ({"q": "100%"}, ["Alpha 100%"]),
        ({"q": "%"}, ["Alpha 100%"]),
        ({"q": "_"}, ["beta_two"]),
        ({"q": "\\"}, []),
        ({"q": "x' OR 1=1 --"}, []),
        ({"show": "nonsense", "type": "nonsense", "sort": "nonsense"}, ["beta_two", "Gamma", "Alpha 100%"]),
    ):
        assert titles(get(app, acme, f"/projects/{project.id}", **query)) == expected, query


@pytest.mark.parametrize("sort", ["", "newest", "title"])
def test_pages_of_the_list_follow_each_other_without_loss_or_doubling(app: Flask, acme: people.Cast, sort: str) -> None:
    project = other_project(acme)
    same = now()
    rows = [
        PromptSession(id=new_id(), project_id=project.id, title=f"Session {number % 7}", updated_at=same)
        for number in range(120)
    ]
    db.session.add_all(rows)
    db.session.commit()
    mia, seen = people.browser(app, acme.mia), list[str]()
    url: str | None = f"{acme.home}/projects/{project.id}?sort={sort}"
    while url:
        shown = mia.get(url).get_data(as_text=True)
        table = shown.split('id="sessions"')[1]
        seen += re.findall(r'class="row-link" href="[^"]*/sessions/([0-9a-f-]{36})"', table)
        further = re.search(r'href="([^"]+)" rel="next"', table)
        url = html.unescape(further[1]) if further else None
    assert len(seen) == 120
    assert set(seen) == {str(row.id) for row in rows}
    assert mia.get(f"{acme.home}/projects/{project.id}?after=nonsense").status_code == 200


# -- forks -----------------------------------------------------------------------------------------


def fork(app: Flask, cast: people.Cast, **form: object) -> PromptSession:
    answer = act(app, cast, f"/sessions/{cast.session.id}/forks", **form)
    id = uuid.UUID(answer.headers["HX-Redirect"].rsplit("/", 1)[1])
    return db.session.get_one(PromptSession, id)


def words(session: PromptSession) -> list[str]:
    return [
        getattr(part, "text", part.__class__.__name__)
        for message in so_far(session, newest(session))
        for part in message.parts
    ]


def test_a_fork_begins_as_the_other_did_and_costs_nothing(app: Flask, acme: people.Cast) -> None:
    acme.session.settings, acme.session.tags = {"model": "auto", "system": "Be brief."}, ["north"]
    people.ended(acme, "First", "One", cost=5, tokens_output=9)
    chosen = people.ended(acme, "Second", "Two", cost=5)
    people.ended(acme, "Third", "Three", cost=5)
    made = fork(app, acme, until=str(chosen.id))
    assert words(made) == ["First", "One", "Second", "Two"]
    assert (made.title, made.tags, made.settings["system"]) == ("Acme session (fork)", ["north"], "Be brief.")
    assert made.created_by == acme.mia.id
    sums = totals.of_session(made)
    assert (sums.spent, sums.runs, sums.tokens) == (0, 0, 0)
    page = get(app, acme, f"/sessions/{made.id}")
    assert "Forked from" in page
    assert page.count("run-copied") == 2
    assert "Third" not in page.split('id="runs"')[1]
    assert found(app, acme, "second two") == [chosen.id], "what is found is the original, once"
    assert words(fork(app, acme)) == ["First", "One", "Second", "Two", "Third", "Three"]


def test_a_fork_takes_the_last_whole_answer_and_nothing_that_failed_or_was_deleted(
    app: Flask, acme: people.Cast
) -> None:
    first = people.ended(acme, "Asked", "Worse")
    people.ended(acme, "Asked", "Better", prompt=first.prompt)
    people.ended(acme, "Failed", "Half", state=State.FAILED)
    people.ended(acme, "Deleted", "Gone").discard(acme.mia.id)
    db.session.commit()
    assert words(fork(app, acme)) == ["Asked", "Better"]
    assert words(fork(app, acme, until=str(first.id))) == ["Asked", "Worse"]


def test_a_fork_of_a_fork_and_its_own_runs(app: Flask, acme: people.Cast) -> None:
    people.ended(acme, "First", "One")
    made = fork(app, acme)
    people.ended(acme, "Second", "Two", session_id=made.id)
    copy = db.session.scalars(select(CopiedAnswer).where(CopiedAnswer.session_id == made.id)).one()
    answer = act(app, acme, f"/sessions/{made.id}/forks", until=str(copy.id))
    again = db.session.get_one(PromptSession, uuid.UUID(answer.headers["HX-Redirect"].rsplit("/", 1)[1]))
    assert words(made) == ["First", "One", "Second", "Two"]
    assert words(again) == ["First", "One"]
    strange = people.ended(acme, "Elsewhere", "X")
    assert act(app, acme, f"/sessions/{made.id}/forks", until=str(strange.id)).status_code == 404


def test_a_forks_files_are_its_own(app: Flask, acme: people.Cast) -> None:
    given, made_file = people.asset(acme, b"GIF89a", "image/gif", "dot.gif"), people.asset(acme, b"\x89PNG")
    run = people.ended(acme, "Look", "I see", assets=[made_file])
    run.prompt.assets = [given]  # type: ignore[union-attr]
    message = Message("user", (ImagePart("image/gif", asset=str(given.id)), TextPart("Look")))
    run.body.request = to_json(RouterPrompt(messages=(message,)))
    db.session.commit()
    made = fork(app, acme)
    act(app, acme, f"/sessions/{acme.session.id}/deletion")
    mia = people.browser(app, acme.mia)
    assert mia.get(f"{acme.home}/assets/{given.id}").status_code == 410
    assert words(made) == ["ImagePart", "Look", "I see"]
    page = get(app, acme, f"/sessions/{made.id}")
    urls = set(re.findall(r'src="([^"]*/assets/[0-9a-f-]+)"', page))
    assert len(urls) == 2
    assert all(mia.get(url).status_code == 200 for url in urls)
    assert "Forked from" not in page, "nobody is led into the trash"


# -- moves -----------------------------------------------------------------------------------------


def test_a_moved_session_is_seen_where_it_is_and_paid_where_it_was(app: Flask, acme: people.Cast) -> None:
    target = other_project(acme, "Target")
    guest = people.user("greta")
    db.session.flush()
    db.session.add(Collaborator(project_id=target.id, user_id=guest.id, role=ProjectRole.VIEWER))
    run = people.ended(acme, "A platypus", "Yes", cost=9, assets=[people.asset(acme, b"GIF89a", "image/gif")])
    file = f"{acme.home}/assets/{run.assets[0].id}"
    dialog = get(app, acme, f"/sessions/{acme.session.id}/project")
    assert "Target" in dialog
    assert "stay in the books" in dialog
    act(app, acme, f"/sessions/{acme.session.id}/project", project_id=str(target.id))
    greta, gina = people.browser(app, guest), people.browser(app, acme.gina)
    for path in (acme.session_url, f"{acme.home}/executions/{run.id}", file):
        assert greta.get(path).status_code == 200, path
        assert gina.get(path).status_code == 404, path
    assert str(run.id) in greta.get(f"{acme.home}/search?q=platypus").get_data(as_text=True)
    assert found(app, acme, "platypus", "gina") == []
    assert found(app, acme, "platypus", project=str(target.id)) == [run.id]
    assert found(app, acme, "platypus", project=str(acme.project.id)) == []
    assert db.session.get_one(Execution, run.id, populate_existing=True).project_id == acme.project.id
    count_all()
    assert (totals.of_project(acme.project).runs, totals.of_project(target).runs) == (1, 0)
    again = people.browser(app, acme.mia).submit(f"{acme.home}/executions/{run.id}/retry")
    assert again.status_code == 201
    latest = select(Execution.project_id).where(Execution.session_id == acme.session.id).order_by(Execution.id.desc())
    assert db.session.scalar(latest.limit(1)) == target.id, "what is run from now on is paid where it is"


def test_nobody_moves_a_session_where_they_may_not_write(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    target = other_project(acme)
    for project, who in ((target, "gina"), (rival.project, "mia")):
        answer = act(app, acme, f"/sessions/{acme.session.id}/project", who, project_id=str(project.id))
        assert answer.status_code == 404
    assert (
        act(app, acme, f"/sessions/{acme.session.id}/project", "victor", project_id=str(target.id)).status_code == 403
    )
    assert act(app, acme, f"/sessions/{acme.session.id}/project", project_id="nonsense").status_code == 404
    db.session.refresh(acme.session)
    assert acme.session.project_id == acme.project.id
    assert "no other project" in get(app, acme, f"/sessions/{acme.session.id}/project", "gina")


# -- the palette -----------------------------------------------------------------------------------


def test_the_palette_leads_to_sessions_projects_pages_and_acts(app: Flask, acme: people.Cast) -> None:
    shown = get(app, acme, "/palette", q="")
    for part in (acme.session_url, f"/projects/{acme.project.id}", "/hub/rules", "/trash", "#new-session"):
        assert part in shown, part
    assert 'role="option"' in shown
    assert acme.session_url in get(app, acme, "/palette", q="SESS acme")
    assert "/hub/models" in get(app, acme, "/palette", q="mod")
    nothing = get(app, acme, "/palette", q="zzz<script>")
    assert "<script>" not in nothing
    assert "Search prompts and answers" in nothing
    assert acme.session_url not in get(app, acme, "/palette", q="%")
    assert acme.session_url not in get(app, acme, "/palette", q="_")


def test_the_palette_leads_to_what_lies_behind_tabs_and_menus(app: Flask, acme: people.Cast) -> None:
    template = people.template(acme, "Hello {{name}}")
    template.name = "Greet a visitor"
    db.session.commit()
    for typed, path in {
        "greet": f"/prompts/{template.id}",
        "acme prompts": f"/projects/{acme.project.id}/prompts",
        "files": f"/projects/{acme.project.id}/files",
        "tokens acme": f"/projects/{acme.project.id}/tokens",
        "spend": "/dashboard/spend",
        "notices": "/notices",
        "audit": "/audit",
        "public links": "/public-links",
        "passkeys": "/account/passkeys",
    }.items():
        shown = get(app, acme, "/palette", "adam", q=typed)
        assert re.search(rf'href="[^"]*{path}["?]', shown), typed
    assert f"/projects/{acme.project.id}/prompts" not in get(app, acme, "/palette", q="p"), "a letter begins too much"
    for typed, path in {"audit": "/audit", "ownership": "/settings/ownership", "queue": "/admin/queue"}.items():
        assert f'{path}"' not in get(app, acme, "/palette", q=typed), typed
    assert "price catalogue" not in get(app, acme, "/palette", "gina", q="price").casefold()


def test_every_page_that_the_palette_names_opens_for_whom_it_is_offered(app: Flask, acme: people.Cast) -> None:
    for who in ("olivia", "victor", "gina"):
        browser = people.browser(app, acme.people[who])
        typed = [*"aeiou", *"prompts batches actions files tokens api people".split()]
        pages = "".join(browser.get(f"{acme.home}/palette?q={said}").get_data(as_text=True) for said in typed)
        for url in {*re.findall(r'<a class="palette-item"[^>]+href="([^"#]+)"', pages)}:
            assert browser.get(url).status_code in (200, 303), (who, url)


NO_PAGES = frozenset("notices.count search.show_palette hub.export".split())


def test_the_palette_leads_to_every_page_that_is_of_nothing_but_an_organization_or_a_project(
    app: Flask, acme: people.Cast
) -> None:
    typed = [place.label for place in (*places.OF_ORGANIZATION, *places.OF_ACCOUNT, *places.OF_PROJECT)]
    shown = "".join(get(app, acme, "/palette", "olivia", q=said) for said in ("", "a", "e", *typed))
    led = {html.unescape(url).partition("?")[0] for url in re.findall(r'href="([^"#]+)', shown)}
    adapter = app.url_map.bind("localhost")
    there = {adapter.match(url)[0] for url in led}
    for rule in app.url_map.iter_rules():
        is_of_organization = rule.rule.startswith("/o/<slug>") and rule.arguments == {"slug"}
        is_of_project = rule.rule.startswith("/o/<slug>/projects/") and rule.arguments <= {"slug", "id", "project_id"}
        if "GET" not in (rule.methods or ()) or not (is_of_organization or is_of_project):
            continue
        assert rule.endpoint in there | NO_PAGES, f"nothing in the palette leads to {rule.rule}"


def test_the_palette_leads_to_what_of_the_hub_and_of_actions_has_a_name(app: Flask, acme: people.Cast) -> None:
    key = people.own_provider(acme, "https://initrode.example.com/v1")
    model = people.own_model(acme, key, "initrode-small")
    rule = RoutingRule(id=new_id(), organization_id=acme.organization.id, name="Initrode first", model_type="TEXT")
    action = DeclaredAction(id=new_id(), project_id=acme.project.id, name="initrode_ticket")
    db.session.add_all([rule, action])
    db.session.commit()
    pages = {
        f"/hub/models/{model.id}": {"adam", "mia", "victor"},
        f"/hub/rules/{rule.id}": {"adam"},
        f"/actions/{action.id}": {"adam", "mia", "victor", "gina"},
    }
    for who in ("adam", "mia", "victor", "gina"):
        shown = get(app, acme, "/palette", who, q="initrode")
        for page, whose in pages.items():
            assert (page in shown) == (who in whose), (who, page)


def test_the_list_of_keys_has_all_that_lead_somewhere(app: Flask, acme: people.Cast) -> None:
    shown = get(app, acme, "/")
    for key in KEYS.values():
        assert f"<kbd>G</kbd><kbd>{key.upper()}</kbd>" in shown


def test_the_palette_offers_nobody_what_they_may_not(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    secret = other_project(acme, "Acquisition of Initech")
    session_of(secret, "Initech numbers")
    guest = get(app, acme, "/palette", "gina", q="")
    assert "Initech" not in get(app, acme, "/palette", "gina", q="init")
    assert "/hub/" not in guest
    assert "New session in Acme project" in guest
    assert "New session" not in get(app, acme, "/palette", "victor", q="")
    assert "/trash" not in get(app, acme, "/palette", "victor", q="")
    assert "Initech" not in get(app, rival, "/palette", "olivia", q="init")
    acme.session.archived_at = now()
    db.session.commit()
    assert acme.session_url not in get(app, acme, "/palette", q="")
    assert acme.session_url in get(app, acme, "/palette", q="acme sess"), "the archive is found by name"


# -- long sessions ---------------------------------------------------------------------------------


def cards(shown: str) -> list[str]:
    return re.findall(r'<article class="run[^"]*" id="run-([0-9a-f-]{36})"', shown)


def test_a_long_session_is_read_page_by_page_in_both_directions(app: Flask, acme: people.Cast) -> None:
    early = people.ended(acme, "Copied", "Once")
    made = fork(app, acme)
    acme.session = made
    runs = [people.ended(acme, f"Prompt {number}", "Answer") for number in range(55)]
    early_id = db.session.scalar(select(CopiedAnswer.id).where(CopiedAnswer.session_id == made.id))
    everything = [str(early_id), *(str(run.id) for run in runs)]
    mia = people.browser(app, acme.mia)
    shown = mia.get(acme.session_url).get_data(as_text=True)
    seen = cards(shown)
    assert seen == everything[-15:]
    while link := re.search(r'data-more="older"><a [^>]*hx-get="([^"]+)"', shown):
        shown = mia.get(html.unescape(link[1]), headers={"HX-Request": "true"}).get_data(as_text=True)
        seen = [*cards(shown), *seen]
    assert seen == everything

    middle = runs[25]
    shown = mia.get(f"{acme.session_url}?run={middle.id}").get_data(as_text=True)
    seen = cards(shown)
    assert seen[6] == str(middle.id)
    late = people.ended(acme, "Asked meanwhile", "Answer")
    while link := re.search(r'data-more="newer"><a [^>]*hx-get="([^"]+)"', shown):
        shown = mia.get(html.unescape(link[1]), headers={"HX-Request": "true"}).get_data(as_text=True)
        seen += cards(shown)
    assert seen == everything[everything.index(seen[0]) :], "what came later comes to the end by itself"
    assert str(late.id) not in seen
    assert early.id


def test_a_page_of_heavy_answers_has_fewer_of_them(app: Flask, acme: people.Cast) -> None:
    for number in range(6):
        people.ended(acme, f"Prompt {number}", "word " * 3900)
    shown = people.browser(app, acme.mia).get(acme.session_url).get_data(as_text=True)
    assert len(cards(shown)) == 2
    db.session.query(Execution).filter_by(session_id=acme.session.id).update({"deleted_at": now()})
    db.session.commit()
    people.ended(acme, "One that is larger than a page", "word " * 100_000)
    assert len(cards(people.browser(app, acme.mia).get(acme.session_url).get_data(as_text=True))) == 1


def test_the_states_of_a_sessions_runs_are_told_to_a_page_that_nobody_looks_at(app: Flask, acme: people.Cast) -> None:
    run = people.ended(acme, "Hello")
    answer = people.browser(app, acme.victor).get(f"{acme.session_url}/states")
    assert answer.json == {str(run.id): "completed"}
    assert db.session.scalar(select(func.count()).select_from(Execution).where(Execution.id == run.id)) == 1


# -- whose sign-in has ended -----------------------------------------------------------------------


def test_whoever_signs_in_again_lands_where_they_wrote(app: Flask, acme: people.Cast) -> None:
    visitor = people.browser(app)
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://localhost{acme.session_url}?run=1"}
    for token in ("", "the token of a sign-in that has ended"):
        form = {"text": "Half a thought", "csrf_token": token}
        answer = visitor.post(f"{acme.session_url}/executions", data=form, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["HX-Redirect"] == f"/login?next={acme.session_url}?run%3D1"
    plain = visitor.post(f"{acme.home}/projects", headers={"Referer": f"http://localhost{acme.home}/"})
    assert plain.status_code == 303
    assert plain.location == f"/login?next={acme.home}/"
    for elsewhere in ("https://evil.example/o/x/", "http://localhost.evil.example/", "javascript:alert(1)", "//evil/"):
        answer = visitor.post(f"{acme.session_url}/executions", headers={**headers, "HX-Current-URL": elsewhere})
        assert answer.headers["HX-Redirect"] == "/login"
