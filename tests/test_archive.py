"""What was used is archived instead of deleted: hidden everywhere, said by history, and brought back whole."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from dataelan_web.executions.candidates import usable_models
from dataelan_web.extensions import db
from dataelan_web.hub.keys import rotation
from dataelan_web.hub.models import prices
from dataelan_web.hub.transfer import portable
from dataelan_web.models import (
    APIKey,
    Attempt,
    Execution,
    ExecutionBody,
    LedgerEntry,
    Model,
    Organization,
    Origin,
    Outcome,
    Payer,
    Price,
    Provider,
    RoutingRule,
    RoutingRuleModel,
    State,
    new_id,
)
from dataelan_web.models.audit import AuditEvent

from . import people


@pytest.fixture
def model(acme: people.Cast) -> Model:
    """A model of one's own that was used once, for money."""
    key = people.own_provider(acme, "https://models.example.com/v1")
    model = people.own_model(acme, key, "faithful", input=1_000, output=2_000)
    use(acme, model, key)
    return model


def use(cast: people.Cast, model: Model, key: APIKey) -> Attempt:
    """A run that is over and paid for, as an execution leaves it."""
    run = Execution(
        id=new_id(),
        organization_id=cast.organization.id,
        project_id=cast.project.id,
        session_id=cast.session.id,
        user_id=cast.mia.id,
        origin=Origin.PLAYGROUND,
        state=State.COMPLETED,
        provider_id=model.provider_id,
        model_id=model.id,
        cost=7,
        body=ExecutionBody(request={"messages": []}, text="An answer"),
    )
    attempt = Attempt(
        id=new_id(),
        number=1,
        provider_id=model.provider_id,
        model_id=model.id,
        api_key_id=key.id,
        price_id=model.prices[0].id,
        model_name=model.name,
        provider_name="Own",
        payer=Payer.ORGANIZATION,
        outcome=Outcome.COMPLETED,
        cost=7,
    )
    run.attempts = [attempt]
    line = LedgerEntry(organization_id=cast.organization.id, attempt_id=attempt.id, price_id=attempt.price_id)
    line.payer, line.amount = Payer.ORGANIZATION, 7
    db.session.add_all([run, attempt])
    db.session.flush()
    db.session.add(line)
    db.session.commit()
    return attempt


def post(app: Flask, cast: people.Cast, path: str, who: str = "olivia") -> int:
    status = people.browser(app, cast.people[who]).submit(f"{cast.home}/hub/{path}").status_code
    db.session.rollback()
    db.session.expire_all()
    return status


def page(app: Flask, cast: people.Cast, path: str, who: str = "olivia") -> str:
    return people.browser(app, cast.people[who]).get(f"{cast.home}/{path}").get_data(as_text=True)


def usable(cast: people.Cast) -> set[str]:
    return {candidate.model for candidate in usable_models(db.session, cast.project) if candidate.is_own}


def actions(cast: people.Cast) -> set[str]:
    query = select(AuditEvent.action).where(AuditEvent.organization_id == cast.organization.id)
    return set(db.session.scalars(query))


def test_a_model_that_was_used_is_hidden_everywhere_and_its_past_stays(
    app: Flask, acme: people.Cast, model: Model
) -> None:
    (run,) = db.session.scalars(select(Execution).where(Execution.model_id == model.id))
    id, price_id, run_id = model.id, model.prices[0].id, run.id
    assert "It goes into the archive" in page(app, acme, f"hub/models/{id}")
    assert post(app, acme, f"models/{id}/deletion") == 204
    assert "faithful" not in page(app, acme, f"hub/models/{id}")
    for path in ("hub/models?q=faithful", "hub/rules/new?q=faithful"):
        assert "faithful" not in page(app, acme, path).replace('value="faithful"', ""), path
    assert usable(acme) == set()
    assert portable.export(db.session.get_one(Organization, acme.organization.id)).models == []
    assert "faithful" in page(app, acme, f"executions/{run_id}")
    (attempt,) = db.session.get_one(Execution, run_id).attempts
    assert (attempt.model_id, attempt.price_id, attempt.model_name) == (id, price_id, "faithful")
    assert db.session.scalars(select(LedgerEntry.price_id).where(LedgerEntry.attempt_id == attempt.id)).all() == [
        price_id
    ]
    assert "model.archived" in actions(acme)


def test_a_model_comes_back_from_the_archive_with_its_price(app: Flask, acme: people.Cast, model: Model) -> None:
    id = model.id
    post(app, acme, f"models/{id}/deletion")
    assert "faithful" in page(app, acme, "hub/archive")
    assert post(app, acme, f"archive/models/{id}/restoration") == 204
    assert usable(acme) == {"faithful"}
    assert prices.current(db.session.get_one(Model, id), acme.organization).output == 2_000  # type: ignore[union-attr]
    assert "Nothing is archived" in page(app, acme, "hub/archive")
    assert post(app, acme, f"archive/models/{id}/restoration") == 404, "it is not there any more"


def test_a_model_that_is_added_again_is_the_archived_one(app: Flask, acme: people.Cast, model: Model) -> None:
    id = model.id
    post(app, acme, f"models/{id}/deletion")
    form = {"provider_id": model.provider_id, "name": "faithful", "display_name": "Faithful again"}
    form |= {"purpose": "TEXT/chat", "state": "priced", "price_input": "5", "price_output": "5"}
    people.browser(app, acme.olivia).submit(f"{acme.home}/hub/models", form)
    db.session.rollback()
    added = db.session.get_one(Model, id, populate_existing=True)
    assert (added.display_name, added.archived_at) == ("Faithful again", None)
    assert len(prices.history(added, acme.organization)) == 2


def test_what_was_never_used_comes_back_as_well(app: Flask, acme: people.Cast, model: Model) -> None:
    key = people.own_provider(acme, "https://other.example.com/v1")
    unused = people.own_model(acme, key, "unused", input=1, output=1)
    id, provider_id = unused.id, key.provider_id
    assert post(app, acme, f"models/{id}/deletion") == 204
    assert "unused" in page(app, acme, "hub/archive")
    assert post(app, acme, f"archive/models/{id}/restoration") == 204
    assert post(app, acme, f"providers/{provider_id}/deletion") == 204
    assert db.session.scalars(select(APIKey).where(APIKey.provider_id == provider_id)).all() == []
    assert post(app, acme, f"archive/providers/{provider_id}/restoration") == 204
    assert "unused" in page(app, acme, f"hub/models/{id}")
    assert {"model.archived", "provider.archived", "provider.restored"} <= actions(acme)


def test_an_archived_provider_takes_its_keys_secrets_with_it_and_comes_back_without(
    app: Flask, acme: people.Cast, model: Model
) -> None:
    id, provider_id = model.id, model.provider_id
    rule = RoutingRule(id=new_id(), organization_id=acme.organization.id, name="Rule")
    rule.models = [RoutingRuleModel(model_id=id)]
    db.session.add(rule)
    db.session.commit()
    sealed = rotation.counts().total()
    assert post(app, acme, f"providers/{provider_id}/deletion") == 204
    (key,) = db.session.scalars(select(APIKey).where(APIKey.provider_id == provider_id))
    assert (key.ciphertext, key.is_enabled, key.is_default) == ("", False, False)
    assert db.session.get_one(RoutingRule, rule.id).models == []
    assert rotation.counts().total() == sealed - 1
    assert key not in [bad for bad, _ in rotation.unreadable()]
    assert usable(acme) == set()
    assert post(app, acme, f"keys/{key.id}/test") == 404
    assert "https://models.example.com/v1" not in page(app, acme, "hub/providers")
    assert post(app, acme, f"archive/providers/{provider_id}/restoration") == 204
    shown = page(app, acme, f"hub/providers/{provider_id}")
    assert "1 model" in shown
    assert "Test key" not in shown
    people_key = people.own_provider(acme, "https://third.example.com/v1").id  # others' keys are as they were
    assert db.session.get_one(APIKey, people_key).ciphertext


def test_a_key_that_was_used_stays_as_a_name_without_its_secret(app: Flask, acme: people.Cast, model: Model) -> None:
    (key,) = db.session.scalars(select(APIKey).where(APIKey.provider_id == model.provider_id))
    assert post(app, acme, f"keys/{key.id}/deletion") == 200
    kept = db.session.get_one(APIKey, key.id)
    assert (kept.label, kept.ciphertext) == ("Test key", "")
    assert kept.archived_at is not None
    assert "Test key" not in page(app, acme, f"hub/providers/{model.provider_id}")
    attempts = select(Attempt.api_key_id).where(Attempt.model_id == model.id)
    assert db.session.scalars(attempts).all() == [key.id]


def test_the_database_itself_holds_on_to_what_an_attempt_was_made_with(acme: people.Cast, model: Model) -> None:
    for table, id in ((Model, model.id), (Provider, model.provider_id), (Price, model.prices[0].id)):
        with pytest.raises(IntegrityError):
            db.session.execute(delete(table).where(table.id == id))
        db.session.rollback()


def test_the_archive_is_for_owners_and_admins_of_its_own_organization(
    app: Flask, acme: people.Cast, rival: people.Cast, model: Model
) -> None:
    post(app, acme, f"models/{model.id}/deletion")
    assert post(app, acme, f"archive/models/{model.id}/restoration", "mia") == 403
    assert post(app, rival, f"archive/models/{model.id}/restoration") == 404
    assert "faithful" not in page(app, rival, "hub/archive")
