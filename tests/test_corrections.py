"""What an organization says itself of everyone's models: it holds there, nowhere else, and opens no limit."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import delete, select

from dataelan_web.executions.bounds import OUTPUT_LIMIT, Bound
from dataelan_web.executions.candidates import candidates_of
from dataelan_web.executions.hub_view import HubView
from dataelan_web.extensions import db
from dataelan_web.hub.models import corrections
from dataelan_web.hub.transfer import document, importing, portable
from dataelan_web.models import AuditEvent, Correction, Model, ModelType, Price, Provider, new_id
from dataelan_web.router.candidates import Candidate
from dataelan_web.router.parameters import may_think
from dataelan_web.router.types import FilePart, Message, Prompt, TextPart, user

from . import people

USD = 1_000_000_000


@pytest.fixture
def provider(context: None) -> Iterator[Provider]:
    """Everyone's, which asks for no key."""
    made = Provider(id=new_id(), slug=f"all-{uuid.uuid4().hex[:6]}", name="Everyone’s", kind="openai", needs_key=False)
    made.base_url = "https://models.example.com/v1"
    db.session.add(made)
    db.session.commit()
    id = made.id
    yield made
    db.session.rollback()
    db.session.execute(delete(Provider).where(Provider.id == id))
    db.session.commit()


@pytest.fixture
def model(provider: Provider) -> Model:
    made = Model(id=new_id(), provider_id=provider.id, name="next-1", display_name="Next 1", capabilities=["chat"])
    made.context_window, made.max_output_tokens = 8_000, 4_000
    made.prices = [Price(source="test", input=USD, output=USD)]
    db.session.add(made)
    db.session.commit()
    return made


def send(app: Flask, cast: people.Cast, model: Model, act: str = "facts", who: str = "olivia", **form: object):  # type: ignore[no-untyped-def]
    return people.browser(app, getattr(cast, who)).submit(f"{cast.home}/hub/models/{model.id}/{act}", form)


def page(app: Flask, cast: people.Cast, path: str) -> str:
    text = people.browser(app, cast.olivia).get(f"{cast.home}/hub/models{path}").get_data(as_text=True)
    return re.sub(r"\s+", " ", text)


def seen(cast: people.Cast, model: Model) -> Candidate:
    db.session.commit()
    return candidates_of(db.session, cast.organization, {model.id})[model.id]


def facts(candidate: Candidate) -> tuple[object, int | None, int | None]:
    return candidate.capabilities, candidate.context_window, candidate.max_output_tokens


def test_what_an_organization_says_holds_for_it_alone_and_goes_with_one_click(
    app: Flask, acme: people.Cast, rival: people.Cast, model: Model
) -> None:
    said = {"context_window": "200000", "max_output_tokens": "4000", "capabilities": ["tools", "vision"]}
    assert send(app, acme, model, **said).status_code == 200
    assert facts(seen(acme, model)) == ({"tools", "vision"}, 200_000, 4_000)
    assert facts(seen(rival, model)) == ({"chat"}, 8_000, 4_000)
    (kept,) = db.session.scalars(select(Correction).where(Correction.model_id == model.id))
    assert (kept.max_output_tokens, kept.created_by) == (None, acme.olivia.id), "what it says goes on with it"

    mine, theirs = page(app, acme, f"/{model.id}"), page(app, rival, f"/{model.id}")
    assert "200,000 tokens" in mine
    assert "The catalogue says 8,000 tokens." in mine
    assert mine.count(">Yours</span>") == 2
    assert "Yours</span>" not in theirs
    assert "8,000 tokens" in theirs
    wide = f"?provider={model.provider.slug}&context=100000"
    able = f"?provider={model.provider.slug}&capability=vision"
    for query in (wide, able):
        assert "next-1" in page(app, acme, query)
        assert "next-1" not in page(app, rival, query)

    assert send(app, acme, model, "facts/undoing").status_code == 200
    assert facts(seen(acme, model)) == facts(seen(rival, model)) == ({"chat"}, 8_000, 4_000)
    assert "Yours</span>" not in page(app, acme, f"/{model.id}")
    told = select(AuditEvent.action).where(AuditEvent.organization_id == acme.organization.id)
    assert {"model.corrected", "model.correction_undone"} <= set(db.session.scalars(told))


def test_rules_that_are_remembered_go_by_it_at_once(acme: people.Cast, model: Model) -> None:
    def window() -> int | None:
        db.session.commit()
        (rule,) = HubView(db.session, acme.project).rules_for(f"{model.provider.slug}/next-1", ModelType.TEXT)
        db.session.commit()
        return rule.choices[0].candidate.context_window

    assert window() == 8_000
    corrections.correct(model, acme.organization, acme.olivia.id, {"context_window": 32_000})
    assert window() == 32_000
    corrections.undo(model, acme.organization)
    assert window() == 8_000


def test_saying_what_the_catalogue_says_says_nothing(app: Flask, acme: people.Cast, model: Model) -> None:
    assert send(app, acme, model, context_window="8000", max_output_tokens="").status_code == 200
    assert not db.session.scalars(select(Correction).where(Correction.model_id == model.id)).all()


@pytest.mark.parametrize("wrong", ["0", "-1", "many", "999999999999"])
def test_what_cannot_be_is_refused(app: Flask, acme: people.Cast, model: Model, wrong: str) -> None:
    assert send(app, acme, model, context_window=wrong).status_code == 422
    assert not db.session.scalars(select(Correction).where(Correction.model_id == model.id)).all()


def test_only_owners_and_admins_say_so(app: Flask, acme: people.Cast, model: Model) -> None:
    for act in ("facts", "facts/undoing"):
        assert send(app, acme, model, act, "mia", context_window="9000").status_code == 403
    assert seen(acme, model).context_window == 8_000


LINKED = Prompt((Message("user", (TextPart("Read"), FilePart(url="https://x.example/a.pdf"))),))


@pytest.mark.parametrize("prompt", [Prompt((user("Hi"),)), LINKED])
def test_no_limit_is_reckoned_with_less_than_the_catalogue_says(
    acme: people.Cast, model: Model, prompt: Prompt
) -> None:
    """Whoever says that a model answers with a token, or holds one, opens no limit, the operator's least of all."""

    def most(candidate: Candidate) -> tuple[int, int]:
        bound = Bound.of(prompt, candidate, [], [], 0)
        return bound.use.usd, bound.output

    before = most(seen(acme, model))
    corrections.correct(model, acme.organization, None, {"context_window": 1, "max_output_tokens": 1})
    assert most(seen(acme, model)) == before
    corrections.correct(model, acme.organization, None, {"context_window": 90_000, "max_output_tokens": 9_000})
    assert most(seen(acme, model)) > before


def test_where_the_catalogue_says_nothing_the_usual_is_reckoned_with_at_least(acme: people.Cast, model: Model) -> None:
    model.context_window = model.max_output_tokens = None
    before = Bound.of(LINKED, seen(acme, model), [], [], 0)
    corrections.correct(model, acme.organization, None, {"context_window": 1, "max_output_tokens": 1})
    after = Bound.of(LINKED, seen(acme, model), [], [], 0)
    assert (after.use.usd, after.output) == (before.use.usd, OUTPUT_LIMIT)


def test_who_says_that_a_model_does_not_think_pays_for_its_thoughts_all_the_same(
    acme: people.Cast, model: Model
) -> None:
    model.capabilities = ["reasoning"]
    db.session.commit()
    corrections.correct(model, acme.organization, None, {"capabilities": ["tools"]})
    found = seen(acme, model)
    assert found.abilities == {"tools"}
    assert may_think(Prompt((user("Hi"),)), found.abilities_at_most, found.kind)


def test_it_is_in_the_hubs_export_and_comes_in_once(acme: people.Cast, rival: people.Cast, model: Model) -> None:
    corrections.correct(model, acme.organization, acme.olivia.id, {"context_window": 9_000, "capabilities": ["tools"]})
    text = document.write(portable.export(acme.organization))
    wanted = document.read(text)
    wanted.keys = []
    assert [(one.model, one.context_window) for one in wanted.corrections] == [(f"{model.provider.slug}/next-1", 9_000)]
    for what in ("made", "kept"):
        report = importing.bring_in(wanted, rival.organization, rival.olivia)
        assert [line.what for line in report.lines if "next-1" in line.subject] == [what]
    assert facts(seen(rival, model)) == ({"tools"}, 9_000, 4_000)
    wanted.corrections[0].context_window = 9_500
    report = importing.bring_in(wanted, rival.organization, rival.olivia)
    assert [line.what for line in report.lines if "next-1" in line.subject] == ["changed"]
    own = people.own_model(rival, people.own_provider(rival, "https://models.example.com/v1"), "mine")
    wanted.corrections[0].model = f"{own.provider.slug}/mine"
    (left,) = importing.bring_in(wanted, rival.organization, rival.olivia).of("left")
    assert "your own" in left.why
