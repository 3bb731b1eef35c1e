"""What a prompt goes by is remembered between prompts, and never for longer than it is true."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import create_engine, event, text, update

from dataelan_web.executions import hub_view
from dataelan_web.executions.hub_view import MOST, HubView, Memory, _Read
from dataelan_web.extensions import db
from dataelan_web.models import APIKey, Model, ModelType, Price, Project, Provider, RoutingRule, RoutingRuleModel, now
from dataelan_web.router.rules import Rule
from dataelan_web.router.types import Task

from . import people

NAME = "own-model"


@pytest.fixture
def key(acme: people.Cast) -> APIKey:
    return people.own_provider(acme, "http://127.0.0.1:9/v1")


@pytest.fixture
def model(acme: people.Cast, key: APIKey) -> Model:
    return people.own_model(acme, key, NAME, input=1, output=1)


@pytest.fixture
def statements(context: None) -> Iterator[list[str]]:
    """What the database is asked from here on."""
    asked: list[str] = []

    def note(*said: object) -> None:
        asked.append(str(said[2]))

    event.listen(db.engine, "before_cursor_execute", note)
    yield asked
    event.remove(db.engine, "before_cursor_execute", note)


def rules(cast: people.Cast, requested: str = NAME) -> list[Rule]:
    """As the next prompt of this project would see them, in a transaction of its own."""
    db.session.commit()
    found = HubView(db.session, cast.project).rules_for(requested, ModelType.TEXT)
    db.session.commit()
    return found


def price(cast: people.Cast) -> int | None:
    """Of what goes in, as the next prompt of this project would see it."""
    (rule,) = rules(cast)
    rates = rule.choices[0].candidate.rates
    return rates.input if rates else None


def test_what_did_not_change_is_asked_for_once(acme: people.Cast, model: Model, statements: list[str]) -> None:
    first = rules(acme)
    statements.clear()
    assert rules(acme) == first
    assert len(statements) == 1


def test_a_remembered_rule_weighs_its_models_as_it_is_written(acme: people.Cast, key: APIKey, model: Model) -> None:
    """one-api forgets weights where it remembers channels."""
    other = people.own_model(acme, key, "other", input=1, output=1)
    entries = [RoutingRuleModel(model_id=model.id, weight=3), RoutingRuleModel(model_id=other.id, position=1, weight=9)]
    db.session.add(RoutingRule(organization_id=acme.organization.id, name="Shared", models=entries))
    for weights in ((3, 9), (3, 9), (3, 0)):
        entries[1].weight = weights[1]
        (rule,) = rules(acme, "Shared")
        assert tuple(choice.weight for choice in rule.choices) == weights


def test_a_remembered_list_is_the_askers_own(acme: people.Cast, model: Model) -> None:
    rules(acme).clear()
    assert rules(acme)


Change = Callable[[people.Cast, APIKey, Model], None]


def a_price_is_set(cast: people.Cast, key: APIKey, model: Model) -> None:
    db.session.add(Price(model_id=model.id, organization_id=cast.organization.id, source="own", input=7, output=7))


def a_key_is_switched_off(cast: people.Cast, key: APIKey, model: Model) -> None:
    key.is_enabled = False


def a_key_goes_first(cast: people.Cast, key: APIKey, model: Model) -> None:
    key.goes_first = True


def a_model_is_renamed(cast: people.Cast, key: APIKey, model: Model) -> None:
    model.name = "another"


def a_provider_is_switched_off_by_a_bare_statement(cast: people.Cast, key: APIKey, model: Model) -> None:
    db.session.execute(update(Provider).where(Provider.id == key.provider_id).values(is_enabled=False))


def a_rule_takes_the_name(cast: people.Cast, key: APIKey, model: Model) -> None:
    db.session.add(
        RoutingRule(organization_id=cast.organization.id, name=NAME, models=[RoutingRuleModel(model_id=model.id)])
    )


def the_strategy_of_keys_is_another(cast: people.Cast, key: APIKey, model: Model) -> None:
    cast.organization.key_strategy = "DATAELAN"


@pytest.mark.parametrize(
    "change",
    [
        a_price_is_set,
        a_key_is_switched_off,
        a_key_goes_first,
        a_model_is_renamed,
        a_provider_is_switched_off_by_a_bare_statement,
        a_rule_takes_the_name,
        the_strategy_of_keys_is_another,
    ],
)
def test_a_change_holds_at_once(acme: people.Cast, key: APIKey, model: Model, change: Change) -> None:
    before = rules(acme)
    change(acme, key, model)
    db.session.commit()
    assert rules(acme) != before


def test_a_change_by_another_connection_holds_at_once(
    environment: dict[str, str], acme: people.Cast, model: Model
) -> None:
    before = rules(acme)
    engine = create_engine(db.engine.url)
    with engine.begin() as other:
        other.execute(text("DELETE FROM prices WHERE model_id = :id"), {"id": model.id})
        assert rules(acme) == before, "it is not committed yet"
    assert rules(acme) != before
    engine.dispose()


def test_what_is_deleted_while_it_is_read_is_not_seen_by_half(acme: people.Cast, key: APIKey, model: Model) -> None:
    """Its model was read before and its key after: it seemed to be there, and only its key to be missing."""
    engine, provider, is_deleted = create_engine(db.engine.url), key.provider_id, list[bool]()
    before = rules(acme)

    def deleted(*said: object) -> None:
        if "api_keys.provider_id IN" in str(said[2]) and not is_deleted:
            is_deleted.append(True)
            with engine.begin() as other:
                for table, its in (("api_keys", "provider_id"), ("providers", "id")):
                    other.execute(text(f"UPDATE {table} SET archived_at = now() WHERE {its} = :id"), {"id": provider})

    a_price_is_set(acme, key, model)  # so that it is read anew
    db.session.commit()
    event.listen(db.engine, "before_cursor_execute", deleted)
    assert before != rules(acme) == [], "its name stands for nothing"
    assert is_deleted
    assert rules(acme) == []
    event.remove(db.engine, "before_cursor_execute", deleted)
    engine.dispose()


def test_the_use_of_a_key_is_no_change(acme: people.Cast, key: APIKey, model: Model, statements: list[str]) -> None:
    rules(acme)
    key.last_used_at, key.last_error = now(), "It was refused."
    db.session.commit()
    statements.clear()
    rules(acme)
    assert len(statements) == 1


def test_all_that_is_said_of_a_key_but_its_use_is_a_change(context: None) -> None:
    counted = """SELECT array_agg(a.attname::text) FROM pg_trigger t
        JOIN pg_attribute a ON a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr)
        WHERE t.tgname = 'api_keys_are_counted'"""
    use = {"last_used_at", "last_error", "last_error_at", "last_error_kind"}
    never_changed = {"id", "created_at", "created_by"}
    assert set(db.session.scalar(text(counted)) or ()) == set(APIKey.__table__.columns.keys()) - use - never_changed


def test_what_a_transaction_takes_back_is_not_remembered(acme: people.Cast, key: APIKey, model: Model) -> None:
    before = rules(acme)
    model.name = "another"
    db.session.flush()
    assert HubView(db.session, acme.project).rules_for(NAME, ModelType.TEXT) == []
    db.session.rollback()
    assert rules(acme) == before
    a_price_is_set(acme, key, model)  # the first change that counts after the one taken back
    db.session.commit()
    (rule,) = rules(acme)
    assert rule.choices[0].candidate.rates
    assert rule.choices[0].candidate.rates.input == 7


def test_everyones_hub_counts_for_everyone(acme: people.Cast) -> None:
    before = rules(acme, "simulated/simulated-instant")
    model = people.simulated_model("simulated-instant")
    model.max_output_tokens = (model.max_output_tokens or 0) + 1
    db.session.commit()
    assert rules(acme, "simulated/simulated-instant") != before


def test_another_organization_remembers_nothing_of_it(acme: people.Cast, rival: people.Cast, model: Model) -> None:
    assert rules(acme)
    assert rules(rival) == []


def test_a_price_that_begins_by_itself_is_read_when_it_does(acme: people.Cast, model: Model) -> None:
    soon = now() + timedelta(seconds=1)
    own = {"model_id": model.id, "organization_id": acme.organization.id, "source": "own"}
    db.session.add(Price(**own, input=9, output=9, effective_at=soon))
    db.session.commit()
    assert price(acme) == 1
    while now() < soon:
        time.sleep(0.01)
    assert price(acme) == 9


def test_a_price_for_later_that_is_set_while_it_is_read_is_read_when_it_begins(acme: people.Cast, model: Model) -> None:
    """What begins next was asked for before it was there, and the rules were read once more after."""
    engine, soon, is_set = create_engine(db.engine.url), now() + timedelta(seconds=2), list[bool]()
    own = {"model": model.id, "organization": acme.organization.id, "at": soon, "id": uuid.uuid4()}

    def sets(*said: object) -> None:
        if "api_keys.provider_id IN" in str(said[2]) and not is_set:
            is_set.append(True)
            with engine.begin() as other:
                other.execute(
                    text(
                        "INSERT INTO prices (id, created_at, model_id, organization_id, effective_at, source, input,"
                        " output, per_request, tiers, variants)"
                        " VALUES (:id, now(), :model, :organization, :at, 'own', 9, 9, 0, '[]', '[]')"
                    ),
                    own,
                )

    event.listen(db.engine, "before_cursor_execute", sets)
    before = price(acme)
    event.remove(db.engine, "before_cursor_execute", sets)
    engine.dispose()
    assert is_set
    assert before == 1
    while now() < soon:
        time.sleep(0.01)
    assert price(acme) == 9


def test_the_built_in_rule_is_remembered_too(acme: people.Cast, model: Model, statements: list[str]) -> None:
    def last() -> Rule:
        db.session.commit()
        return HubView(db.session, acme.project).last_rule(ModelType.TEXT, Task.CHAT)

    first = last()
    assert [choice.candidate.model for choice in first.choices] == [NAME]
    statements.clear()
    assert last() == first
    assert len(statements) == 1


def test_a_process_remembers_so_much_and_no_more(app: Flask) -> None:
    memory, half = Memory(), tuple(Rule(str(n), ()) for n in range(2))
    for number in range(MOST + 10):
        memory.keep((number,), _Read(1, float("inf"), half[:0]))
    assert memory.find((0,), 1) is None
    assert memory.find((MOST + 9,), 1) == ()


def test_of_many_who_ask_just_after_a_change_one_reads(
    app: Flask, acme: people.Cast, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules(acme)
    model.context_window = 4321
    db.session.commit()
    project, read, reads = acme.project, hub_view.candidates.rules_for, list[int]()

    def slowly(*asked: Any) -> list[Rule]:
        reads.append(1)
        time.sleep(0.1)
        return read(*asked)

    monkeypatch.setattr(hub_view.candidates, "rules_for", slowly)

    def ask() -> list[Rule]:
        with app.app_context():
            return HubView(db.session, db.session.get_one(Project, project.id)).rules_for(NAME, ModelType.TEXT)

    with ThreadPoolExecutor(6) as threads:
        told = [one.result() for one in [threads.submit(ask) for _ in range(6)]]
    assert reads == [1]
    assert [one[0].choices[0].candidate.context_window for one in told] == [4321] * 6
    assert len(hub_view._memory().reading) == 0


def test_a_version_is_of_one_hub(acme: people.Cast, key: APIKey, model: Model) -> None:
    """Counted once a transaction, in the organization's own row."""
    count = text("SELECT coalesce(sum(version), 0) FROM hub_versions WHERE hub = :id")
    before = db.session.scalar(count, {"id": acme.organization.id})
    key.weight, model.display_name, key.label = 7, "Other", uuid.uuid4().hex
    db.session.commit()
    assert db.session.scalar(count, {"id": acme.organization.id}) == before + 1
