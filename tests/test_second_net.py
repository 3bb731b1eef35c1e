"""Row-level security behind access.py: a request inside an organization whose queries lack their tenant finds nothing
of another's."""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import Table, event, insert, select, text, update
from sqlalchemy.exc import ProgrammingError

from dataelan_web import access, create_app, second_net, shell
from dataelan_web.config import load
from dataelan_web.extensions import db
from dataelan_web.gateway import tokens
from dataelan_web.models import (
    APIKey,
    Base,
    Budget,
    GatewayToken,
    Membership,
    Model,
    Notice,
    Project,
    PromptSession,
    Provider,
    RateLimit,
    Role,
    RoutingRule,
    Webhook,
    new_id,
    now,
)
from dataelan_web.models.holders import HOLDERS

from . import people
from .test_access import HTMX, ROUTES, Ids, Route, by_feature, send
from .test_migrations import some_row
from .upstream import upstream

Asked = Callable[[Callable[[], Any]], Any]

UNDER = {
    "budgets": "budget_periods",
    "budget_periods": "ledger_drifts",
    "identity_providers": "identities",
    "imports": "imported_sessions",
    "templates": "label_moves proposals template_cases template_drafts template_labels template_runs template_versions",
    "proposals": "proposal_comments",
    "prompt_sessions": "comparisons copied_answers public_links rollup_retags stars",
    "comparisons": "comparison_runs",
    "routing_rules": "routing_rule_models",
    "declared_actions": "action_attempts action_versions",
    "action_calls": "action_repairs",
    "batches": "batch_cells batch_checks batch_rows batch_scores",
    "executions": "actions attempts comments feedback offered_actions quotes reservations search_documents",
    "reservations": "holds",
    "rollup_keys": "rollups",
}
"""Tables without a policy, whose rows are found by the row that they belong to, in a table before them. A policy that
looks there for each row made pages plan and read noticeably more: of rollups three times as much."""
NOBODYS = {
    "organizations": "The sidebar of every page names all that one belongs to; there is no content in it.",
    "users": "People belong to several organizations; what is theirs alone hangs on them.",
    **dict.fromkeys("account_links authenticators passkeys recovery_codes sign_ins".split(), "a person's"),
    **dict.fromkeys(("sent_forms", "spent_challenges"), "digests, of which nobody tells whose they are"),
    "platform_modes": "the operator's, and told to everybody",
    "hub_versions": "how often a hub was changed, as a number",
    "leftovers": "names of files without a row, for the sweeper",
    "rollup_queue": "ids of runs that are to be counted, for workers",
    "search_queue": "ids of runs that are to be indexed, for workers",
}
"""Tables without a policy, and why: nothing in them is an organization's content."""


@pytest.fixture
def asked_inside(app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What a view of Acme's would find that asks so, for Olivia."""
    olivia = people.browser(app, acme.olivia)

    def asked(ask: Callable[[], Any]) -> Any:
        found: list[Any] = []

        def view() -> str:
            found.append(ask())
            return ""

        monkeypatch.setitem(app.view_functions, "organizations.home", view)
        assert olivia.get(f"{acme.home}/").status_code == 200
        return found[0]

    return asked


def tables() -> list[Table]:
    """All that are in the net."""
    without = {*NOBODYS, *(name for names in UNDER.values() for name in names.split())}
    return [table for table in Base.metadata.sorted_tables if table.name not in without]


def seen() -> dict[str, set[str]]:
    """Every row of every table in the net, as a query without a tenant finds it."""
    return {table.name: rows_in(table) for table in tables()}


def rows_in(table: Table) -> set[str]:
    return set(db.session.scalars(text(f"SELECT row_to_json(t)::text FROM {table.name} t")))


# -- every table is in it ----------------------------------------------------------------------------


def test_every_table_has_a_policy_or_a_reason_why_not(context: None) -> None:
    found = set(db.session.scalars(text("SELECT tablename FROM pg_policies WHERE policyname = 'stays_inside'")))
    secured = set(db.session.scalars(text("SELECT relname FROM pg_class WHERE relrowsecurity")))
    assert found == secured == {table.name for table in tables()}
    for table in Base.metadata.sorted_tables:
        if "organization_id" in table.c or "project_id" in table.c:
            assert table.name in found, "whose it is stands in it"
    for above, names in UNDER.items():
        for name in names.split():
            keys = Base.metadata.tables[name].foreign_keys
            assert above in {key.column.table.name for key in keys if key.ondelete == "CASCADE"}, name


def test_a_query_without_a_tenant_finds_nothing_of_another_organization(
    acme: people.Cast, rival: people.Cast, asked_inside: Asked
) -> None:
    before = seen()
    theirs = one_in_each_table(rival, before)
    assert [name for name, rows in theirs.items() if not rows] == [], "nothing of theirs that could be seen"
    Ids.of(acme, ROUTES)
    found = asked_inside(seen)
    assert {name: rows & theirs[name] for name, rows in found.items() if rows & theirs[name]} == {}
    assert len([name for name, rows in found.items() if rows - before[name]]) > 25, "what is ours is there"


def one_in_each_table(cast: people.Cast, before: dict[str, set[str]]) -> dict[str, set[str]]:
    """What there is more than before, in each table something of this organization’s."""
    every = [table for table in Base.metadata.sorted_tables if table.name not in NOBODYS]
    were = {table.name: rows_in(table) for table in every}
    Ids.of(cast, ROUTES)
    ids: dict[str, Any] = {"users": cast.olivia.id, "organizations": cast.organization.id}
    for table in every:
        rows = [json.loads(row) for row in rows_in(table) - were[table.name]]
        if not rows:
            row = some_row(db.session.connection(), table, ids)
            row |= {"id": new_id()} if "id" in row and not table.c.id.foreign_keys else {}
            db.session.execute(table.insert().values(**row))
            rows = [row]
        ids[table.name] = rows[0].get("id")
    db.session.commit()
    more = {name: rows - before[name] for name, rows in seen().items()}
    return {name: {row for row in rows if not is_everybodys(json.loads(row))} for name, rows in more.items()}


def is_everybodys(row: dict[str, Any]) -> bool:
    """The operator's, and not on one organization."""
    return row.get("organization_id", 0) is None and row.get("scope") != "organization"


# -- the first net is gone -----------------------------------------------------------------------------


@pytest.fixture
def unfiltered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """access.py filters nothing any more."""
    made_once = access.seen_by, access._with_what_it_is_in, shell._asked
    for made in made_once:
        made.cache_clear()
    monkeypatch.setattr(access, "_is_here", lambda model, role: [])
    yield
    for made in made_once:
        made.cache_clear()


@by_feature([route for route in ROUTES if route.method == "GET" and route.names and route.is_inside])
def test_with_the_tenant_filter_removed_ids_of_another_organization_lead_nowhere(
    app: Flask, routes: list[Route], acme: people.Cast, rival: people.Cast, unfiltered: None
) -> None:
    ours, theirs = Ids.of(acme, routes), Ids.of(rival, routes)
    olivia = people.browser(app, acme.olivia)
    for route in routes:
        for name in route.names:
            answer = send(olivia, route, replace(ours, **{name: getattr(theirs, name)}), "", HTMX)
            assert answer.status_code == 404, (str(route), name)


def test_with_the_tenant_filter_removed_no_list_has_anything_of_another_organization(
    acme: people.Cast, rival: people.Cast, asked_inside: Asked, unfiltered: None
) -> None:
    models = [mapper.class_ for mapper in Base.registry.mappers if mapper.class_.__tablename__ in listed()]
    before = {model: set(db.session.scalars(ids_of(model))) for model in models}
    Ids.of(rival, ROUTES)
    theirs = {model: set(db.session.scalars(ids_of(model))) - before[model] for model in models}
    for model in {Budget, RateLimit, Provider, Model, APIKey, RoutingRule} & theirs.keys():  # everybody’s
        theirs[model] -= set(db.session.scalars(select(model.id).where(model.organization_id.is_(None))))
    Ids.of(acme, ROUTES)
    found = asked_inside(lambda: {model: set(db.session.scalars(ids_of(model))) for model in models})
    for model, ids in found.items():
        assert theirs[model], f"there is no {model.__name__} of theirs that could be seen"
        assert not ids & theirs[model], model.__name__


OPERATORS = {"shared_provider", "shared_model", "platform_key", "platform_rule", "operators_rate"}
"""Of `Ids`, what is everybody's."""


@pytest.mark.sweep
@by_feature([route for route in ROUTES if route.method == "GET" and route.is_inside])
def test_with_the_tenant_filter_removed_no_page_names_anything_of_another_organization(
    app: Flask, routes: list[Route], acme: people.Cast, rival: people.Cast, unfiltered: None
) -> None:
    """Nor of what hangs on its rows, whose tables are not in the net: whatever a page lists leads to where it is."""
    theirs, ours = Ids.of(rival, ROUTES), Ids.of(acme, routes)
    foreign = {id: name for name, id in vars(theirs).items() if id and name not in OPERATORS}
    assert len(foreign) > 40
    olivia = people.browser(app, acme.olivia)
    for route in routes:
        for headers in (None, HTMX):
            answer = send(olivia, route, ours, "", headers)
            assert answer.status_code < 400, str(route)
            told = answer.get_data().decode(errors="replace") + str(answer.headers)
            assert not {name for id, name in foreign.items() if id in told}, str(route)


def listed() -> set[str]:
    """Tables that pages list by access.scoped."""
    return {
        model.__tablename__ for model in (*HOLDERS, Provider, Model, APIKey, Budget, RateLimit, RoutingRule, Webhook)
    }


def ids_of(model: Any) -> Any:
    return access.seen_by(None, model).with_only_columns(model.id)


# -- how a request stays inside -------------------------------------------------------------------------


def test_whatever_a_request_begins_it_goes_on_inside(acme: people.Cast, asked_inside: Asked) -> None:
    def ask() -> list[str]:
        found = [role()]
        db.session.commit()
        found.append(role())
        db.session.rollback()
        with db.session.begin_nested():
            found.append(role())
        return [*found, role()]

    assert len(set(asked_inside(ask))) == 1
    assert asked_inside(role).endswith("_inside")
    assert not role().endswith("_inside"), "the connection went back to the pool as it came"


def role() -> str:
    return str(db.session.scalar(text("SELECT current_user")))


def test_the_net_is_lifted_for_a_statement_and_no_longer(asked_inside: Asked) -> None:
    def ask() -> list[str]:
        with second_net.lifted():
            found = [role()]
        found.append(role())
        with contextlib.suppress(LookupError), second_net.lifted():
            raise LookupError
        return [*found, role()]

    lifted, *after = asked_inside(ask)
    assert not lifted.endswith("_inside")
    assert [one.endswith("_inside") for one in after] == [True, True]


def test_nothing_is_written_into_another_organization(
    acme: people.Cast, rival: people.Cast, asked_inside: Asked
) -> None:
    theirs = rival.project.id

    def add() -> None:
        with pytest.raises(ProgrammingError, match="row-level security"):
            db.session.execute(insert(Project).values(organization_id=rival.organization.id, name="Mine"))
        db.session.rollback()
        with pytest.raises(ProgrammingError, match="row-level security"):
            db.session.execute(insert(PromptSession).values(project_id=theirs, title="Mine"))
        db.session.rollback()
        changed = update(Project).where(Project.id == theirs).values(name="Mine")
        assert db.session.execute(changed.execution_options(synchronize_session=False)).rowcount == 0

    asked_inside(add)
    db.session.refresh(rival.project)
    assert rival.project.name == "Rival project"


def test_what_is_somebodys_own_is_there_wherever_they_are(
    acme: people.Cast, rival: people.Cast, asked_inside: Asked
) -> None:
    db.session.add(Membership(organization_id=rival.organization.id, user_id=acme.olivia.id, role=Role.VIEWER))
    db.session.add(Notice(organization_id=rival.organization.id, user_id=acme.olivia.id, key="k", kind="k", title="t"))
    db.session.commit()
    assert {one.slug for one in asked_inside(lambda: access.organizations_of(acme.olivia))} == {
        acme.organization.slug,
        rival.organization.slug,
    }
    assert asked_inside(lambda: db.session.scalars(select(Notice.organization_id)).all()) == [rival.organization.id]


def test_pages_of_no_organization_are_not_in_it(app: Flask, acme: people.Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    monkeypatch.setitem(app.view_functions, "account.show", lambda: found.append(role()) or "")
    assert people.browser(app, acme.olivia).get("/account").status_code == 200
    assert not found[0].endswith("_inside")


def test_a_program_finds_nothing_of_another_organization_in_what_it_asks_for(
    app: Flask, acme: people.Cast, rival: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the statement that finds whose its token is until it commits, which a call does once it is announced."""
    before = seen()
    theirs = one_in_each_table(rival, before)
    secret, found = a_token_of(acme), []

    def view() -> str:
        tokens.authenticate()
        found.append((seen(), role()))
        db.session.commit()
        found.append((seen(), role()))
        return ""

    monkeypatch.setitem(app.view_functions, "gateway.models", view)
    assert app.test_client().get("/v1/models", headers={"x-api-key": secret}).status_code == 200
    (inside, taken), (outside, left) = found
    assert {name: rows & theirs[name] for name, rows in inside.items() if rows & theirs[name]} == {}
    assert any(rows & theirs[name] for name, rows in outside.items()), "or nothing of theirs could be seen"
    assert (taken.endswith("_inside"), left.endswith("_inside")) == (True, False)


def a_token_of(cast: people.Cast) -> str:
    """Used a moment ago: that is noted once a minute, and commits."""
    token, secret = GatewayToken.issue(cast.project, cast.olivia.id, "A program")
    token.last_used_at = now()
    db.session.add(token)
    db.session.commit()
    return secret


def test_a_call_is_announced_inside_and_once_all_is_remembered_asks_nothing(app: Flask, acme: people.Cast) -> None:
    statements: list[str] = []
    roles: set[str] = set()

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)
        if statement.startswith("WITH announced"):
            with connection.connection.cursor() as beside:
                beside.execute("SELECT current_user")
                roles.add(beside.fetchone()[0])

    with upstream() as vendor:
        vendor.answers({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": {}})
        people.own_model(acme, people.own_provider(acme, vendor.url), "mine")
        asked = {"model": "mine", "messages": [{"role": "user", "content": "Hello"}]}
        client, headers = app.test_client(), {"x-api-key": a_token_of(acme)}
        event.listen(db.engine, "before_cursor_execute", note)
        try:
            assert client.post("/v1/chat/completions", json=asked, headers=headers).status_code == 200
            first = statements.copy()
            statements.clear()
            assert client.post("/v1/chat/completions", json=asked, headers=headers).status_code == 200
        finally:
            event.remove(db.engine, "before_cursor_execute", note)
    assert sum("stay_inside" in one for one in first) == 1
    assert len(roles) == 1
    assert roles.pop().endswith("_inside")
    assert statements == []


def test_a_page_asks_nothing_more_and_what_commits_once_a_transaction(app: Flask, acme: people.Cast) -> None:
    statements: list[str] = []

    def note(*details: Any) -> None:
        statements.append(details[2])

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        olivia = people.browser(app, acme.olivia)
        for page in ("/", "/dashboard", "/hub/models", f"/sessions/{acme.session.id}", "/search?q=hello", "/limits"):
            assert olivia.get(acme.home + page).status_code == 200
        assert not [one for one in statements if one.startswith("SELECT stay_inside")]
        assert len([one for one in statements if "stay_inside" in one]) == 6
        statements.clear()
        olivia.submit(f"{acme.home}/projects/new", {"name": "Another"})
        assert len([one for one in statements if one.startswith("SELECT stay_inside")]) <= 1
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


# -- the role --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("may_make_roles", [True, False])
def test_an_account_that_is_no_superuser_has_the_net_too(
    app: Flask, environment: dict[str, str], caplog: pytest.LogCaptureFixture, may_make_roles: bool
) -> None:
    """At once, or when somebody has made the role, as the log says; until then all goes on without."""
    account, name = f"plain_{uuid.uuid4().hex[:8]}", f"plain_{uuid.uuid4().hex[:8]}"
    with app.app_context():
        ask_as_superuser(f"CREATE ROLE {account} LOGIN {'CREATEROLE' if may_make_roles else ''}")
        ask_as_superuser(f"CREATE DATABASE {name} OWNER {account}")
    url = re.sub(r"//\w+@/\w+", f"//{account}@/{name}", environment["DATABASE_URL"])
    with create_app(load({**environment, "DATABASE_URL": url})).app_context():
        upgrade()
        if not may_make_roles:
            assert not second_net.is_spread()
            assert not stays_inside()
            said = next(one.getMessage() for one in caplog.records if "row-level security is off" in one.getMessage())
            for statement in re.findall(r"(?:CREATE|GRANT)[^;]+", said):
                with app.app_context():
                    ask_as_superuser(statement)
            upgrade()
        assert second_net.is_spread()
        assert stays_inside()
        assert role() == account, "to the end of the transaction"
        assert db.session.execute(text("SELECT * FROM projects")).all() == []


def ask_as_superuser(statement: str) -> None:
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))


def stays_inside() -> bool:
    """Commits."""
    somewhere = {"organization": uuid.uuid4(), "person": uuid.uuid4()}
    answer = bool(db.session.scalar(second_net.STAY_INSIDE, somewhere))
    assert role().endswith("_inside") is answer
    assert db.session.scalars(text("SELECT id FROM projects")).all() == []
    db.session.commit()
    return answer
