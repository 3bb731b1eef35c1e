"""Models: what a list makes of them, finding them, one model's page, and those an organization adds itself."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import event, func, insert, select

from dataelan_web.executions import candidates
from dataelan_web.extensions import db
from dataelan_web.hub.models import catalogue, parameters, purpose
from dataelan_web.hub.providers import listing
from dataelan_web.hub.transfer import portable
from dataelan_web.models import (
    NANO,
    APIKey,
    Execution,
    KeyStrategy,
    Model,
    ModelType,
    Origin,
    Price,
    PromptSession,
    Provider,
    RoutingRule,
    RoutingRuleModel,
    State,
    new_id,
    now,
)
from dataelan_web.models.audit import AuditEvent
from dataelan_web.router.types import ListedModel, Task

from . import people

DAY = timedelta(days=1)


@pytest.fixture
def key(acme: people.Cast) -> APIKey:
    return people.own_provider(acme, "https://models.example.com/v1")


@pytest.fixture
def shared(context: None) -> Iterator[Provider]:
    """A provider everyone has, in the price catalogue, that lists nothing itself."""
    provider = Provider(id=new_id(), slug=f"shared-{uuid.uuid4().hex[:6]}", name="Vendor", kind="unlisted")
    provider.base_url, provider.catalogue = "https://vendor.example.com/v1", "openai"
    db.session.add(provider)
    db.session.commit()
    yield provider
    db.session.rollback()
    db.session.delete(provider)
    db.session.commit()


def page(app: Flask, cast: people.Cast, path: str, who: str = "olivia") -> str:
    return people.browser(app, getattr(cast, who)).get(f"{cast.home}{path}").get_data(as_text=True)


def found(app: Flask, cast: people.Cast, query: str) -> list[str]:
    """The names on the page of models, in order, of the organization's own provider."""
    own = db.session.scalar(select(Provider.slug).where(Provider.organization_id == cast.organization.id))
    return re.findall(r'<code class="truncate">([^<]+)</code>', page(app, cast, f"/hub/models?provider={own}&{query}"))


def post(app: Flask, cast: people.Cast, path: str, who: str = "olivia", **form: object):  # type: ignore[no-untyped-def]
    return people.browser(app, getattr(cast, who)).submit(f"{cast.home}{path}", form)


def rule(cast: people.Cast, name: str, *models: Model) -> RoutingRule:
    made = RoutingRule(organization_id=cast.organization.id, name=name, model_type=ModelType.TEXT)
    made.models = [RoutingRuleModel(model_id=model.id, position=at, weight=3) for at, model in enumerate(models)]
    db.session.add(made)
    db.session.commit()
    return made


# -- what a model is for ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("use", "names"),
    [
        (
            (ModelType.TEXT, Task.CHAT),
            "gpt-4o gpt-5-mini o3 claude-sonnet-4-5 gemini-2.5-pro deepseek-chat mistral-large-latest codestral-latest "
            "llama-3.3-70b-versatile Qwen/Qwen3-Coder-480B-A35B-Instruct gpt-3.5-turbo simulated-fast",
        ),
        (
            (ModelType.IMAGE, Task.IMAGE),
            "gpt-image-1 dall-e-3 gemini-2.5-flash-image imagen-4.0-generate-001 flux-pro sdxl-turbo "
            "nano-banana-pro-preview bytedance/seedream-4 ideogram-v3 recraft-v3",
        ),
        ((ModelType.VIDEO, Task.VIDEO), "sora-2 veo-3.0-generate-001 image-to-video-1"),
        ((ModelType.VOICE, Task.SPEECH), "tts-1-hd gpt-4o-mini-tts orpheus-v1-english text-to-speech-2 voxtral-tts-1"),
        (
            (ModelType.VOICE, Task.TRANSCRIPTION),
            "whisper-1 gpt-4o-transcribe voxtral-mini speech-to-text-1 canary-1b-asr",
        ),
        ((ModelType.VOICE, Task.CHAT), "gpt-4o-audio-preview"),
        ((ModelType.TEXT, Task.EMBEDDING), "text-embedding-3-small gemini-embedding-001 BAAI/bge-m3 mistral-embed"),
        ((ModelType.TEXT, Task.RERANK), "rerank-2 rerank-v3.5 bge-reranker-base BAAI/bge-reranker-v2-m3"),
        ((ModelType.TEXT, Task.MODERATION), "omni-moderation-latest mistral-moderation-2411"),
        (
            None,
            "llama-guard-4 gpt-4o-realtime-preview mistral-ocr "
            "gpt-live-1 babbage-002 davinci-002 gpt-3.5-turbo-instruct gpt-3.5-turbo-instruct-0914 aqa lyria-3",
        ),
    ],
)
def test_where_nobody_says_what_a_model_is_for_its_name_tells(use: purpose.Purpose | None, names: str) -> None:
    for name in names.split():
        assert purpose.task_of(name) == use, name


def test_the_providers_word_goes_before_the_catalogues_and_that_before_the_name() -> None:
    spoken = catalogue.Known("x", None, None, task=Task.SPEECH)
    assert purpose.task_of("whisper-image", Task.VIDEO, ["tools"], spoken) == (ModelType.VIDEO, Task.VIDEO)
    assert purpose.task_of("whisper-image", None, ["tools"], spoken) == (ModelType.TEXT, Task.CHAT)
    assert purpose.task_of("whisper-image", None, ["chat"], spoken) == (ModelType.VOICE, Task.SPEECH)
    assert purpose.task_of("whisper", None, ["embeddings"]) == (ModelType.TEXT, Task.EMBEDDING)
    assert purpose.task_of("moderation", Task.CHAT) == (ModelType.TEXT, Task.CHAT)


def test_what_is_paid_by_the_character_speaks_and_by_the_hour_of_sound_listens() -> None:
    known = dict(catalogue.models_of("openai")) | dict(catalogue.models_of("groq"))
    for task, column in ((Task.SPEECH, "per_character"), (Task.TRANSCRIPTION, "per_second")):
        told = [model for model in known.values() if model.task is task]
        assert told, task
        assert all(model.price and getattr(model.price, column) for model in told)


# -- what a list makes of them ---------------------------------------------------------------------


def test_a_list_says_what_each_model_makes_when_it_ends_and_what_comes_instead(key: APIKey, acme: people.Cast) -> None:
    listed = [
        ListedModel("drawing", task=Task.IMAGE, shutdown_at="2030-01-02T00:00:00Z", replacement="drawing-2"),
        ListedModel("talking", capabilities=("chat", "tools", "audio"), context_window=5),
        ListedModel("embed-1"),
        ListedModel("guard-1"),
    ]
    kept = {model.name: model for model in listing.keep(key.provider, listed, acme.organization.id)}
    db.session.commit()
    assert set(kept) == {"drawing", "talking", "embed-1"}
    drawing, talking, embed = kept["drawing"], kept["talking"], kept["embed-1"]
    assert (drawing.model_type, drawing.task) == (ModelType.IMAGE, "image")
    assert (drawing.shutdown_on, drawing.replacement) == ("2030-01-02T00:00:00Z", "drawing-2")
    assert talking.capabilities == ["audio_in", "chat", "tools"]
    assert (embed.model_type, embed.task) == (ModelType.TEXT, "embedding")
    again = [ListedModel("drawing"), ListedModel("embed-1", task=Task.CHAT)]
    listing.keep(key.provider, again, acme.organization.id)
    assert drawing.shutdown_on == "2030-01-02T00:00:00Z", "what was said once is not forgotten"
    assert drawing.task == "image"
    assert embed.task == "chat", "now it says so"


def test_what_is_no_longer_listed_stays_and_is_marked(app: Flask, key: APIKey, acme: people.Cast) -> None:
    listing.keep(key.provider, [ListedModel("old-1"), ListedModel("new-1")], acme.organization.id)
    key.listed_models = ["old-1", "new-1"]
    db.session.commit()
    assert "No longer listed" not in page(app, acme, "/hub/models?q=-1")
    listing.keep(key.provider, [ListedModel("new-1")], acme.organization.id)
    key.listed_models = ["new-1"]
    db.session.commit()
    assert found(app, acme, "q=-1") == ["new-1", "old-1"]
    rows = page(app, acme, f"/hub/models?provider={key.provider.slug}").split("<tr")
    assert ["No longer listed" in row for row in rows if "-1</code>" in row] == [False, True]
    old = db.session.scalars(select(Model).where(Model.name == "old-1", Model.provider_id == key.provider_id)).one()
    assert "Own no longer lists it" in page(app, acme, f"/hub/models/{old.id}")


def test_what_anothers_key_does_not_see_is_not_gone_for_those_whose_key_does(
    app: Flask, shared: Provider, acme: people.Cast, rival: people.Cast
) -> None:
    listing.keep(shared, [ListedModel("gpt-4o"), ListedModel("gpt-4.1")], acme.organization.id)
    key = APIKey(provider_id=shared.id, organization_id=acme.organization.id, label="k", ciphertext="x", last_four="")
    key.listed_models = ["gpt-4o", "gpt-4.1"]
    db.session.add(key)
    db.session.commit()
    listing.keep(shared, [ListedModel("gpt-4.1")], rival.organization.id)
    db.session.commit()
    assert "No longer listed" not in page(app, acme, f"/hub/models?provider={shared.slug}")
    assert "No longer listed" in page(app, rival, f"/hub/models?provider={shared.slug}")


def test_a_provider_without_a_list_changes_nothing(key: APIKey, acme: people.Cast) -> None:
    people.own_model(acme, key, "typed-in")
    assert listing.keep(key.provider, None, acme.organization.id) == []
    assert key.provider.models_listed_at is None


# -- finding models --------------------------------------------------------------------------------


@pytest.fixture
def many(acme: people.Cast, key: APIKey) -> None:
    """One model of each kind."""
    people.own_model(acme, key, "chat-big", input=3 * NANO, output=15 * NANO, context_window=1_000_000,
                     capabilities=["tools", "vision"])  # fmt: skip
    people.own_model(acme, key, "chat-free", input=0, output=0, context_window=8_000)
    people.own_model(acme, key, "chat-unknown", display_name="Zeta")
    people.own_model(acme, key, "embed", input=NANO // 50, output=0, task="embedding")
    people.own_model(acme, key, "say", model_type=ModelType.VOICE, task="speech")
    draw = people.own_model(acme, key, "draw", model_type=ModelType.IMAGE, task="image")
    draw.prices = [Price(source="test", input=0, output=0, per_image=40_000_000)]
    draw.shutdown_on = (now() + 5 * DAY).date().isoformat()
    people.own_model(acme, key, "off", is_enabled=False).shutdown_on = "2999-01-01"
    db.session.commit()


FOUND = (
    ("", "chat-big chat-free draw embed off say chat-unknown"),
    ("q=CHAT", "chat-big chat-free chat-unknown"),
    ("q=zeta", "chat-unknown"),
    ("q=%25", ""),
    ("type=IMAGE", "draw"),
    ("type=nonsense", "chat-big chat-free draw embed off say chat-unknown"),
    ("task=embedding", "embed"),
    ("capability=tools", "chat-big"),
    ("capability=streaming", "chat-big chat-free off chat-unknown"),
    ("capability=flying", ""),
    ("context=100000", "chat-big"),
    ("context=8000", "chat-big chat-free"),
    (f"context={10**30}", ""),
    ("price=free", "chat-free"),
    ("price=unknown", "off say chat-unknown"),
    ("price=priced", "chat-big draw embed"),
    ("most=3", "chat-free draw embed"),
    ("most=0.01", "chat-free"),
    ("most=NaN", "chat-big chat-free draw embed off say chat-unknown"),
    ("most=-1", "chat-big chat-free draw embed off say chat-unknown"),
    ("usable=yes", "chat-big chat-free draw embed say chat-unknown"),
    ("ending=yes", "draw"),
    ("sort=price", "chat-free draw embed chat-big off say chat-unknown"),
    ("sort=context&price=priced", "chat-big draw embed"),
    ("sort=newest", "off draw say embed chat-unknown chat-free chat-big"),
)
"""What is asked for of `many` → the names that are found, in order."""


@pytest.mark.usefixtures("many")
def test_models_are_found_by_what_one_asks_for(app: Flask, acme: people.Cast, subtests: pytest.Subtests) -> None:
    for query, names in FOUND:
        with subtests.test(query):
            assert found(app, acme, query) == names.split(), query


@pytest.mark.usefixtures("many")
def test_what_costs_only_in_some_sizes_is_not_found_among_the_free(app: Flask, acme: people.Cast) -> None:
    draw = db.session.scalars(select(Model).where(Model.organization_id == acme.organization.id, Model.name == "draw"))
    large = {"when": ["1024x1792"], "per_image": 80_000_000}
    draw.one().prices = [Price(source="test", input=0, output=0, variants=[large])]
    db.session.commit()
    assert found(app, acme, "price=free") == ["chat-free"]
    assert found(app, acme, "price=priced") == ["chat-big", "draw", "embed"]


@pytest.mark.usefixtures("many")
def test_unknown_is_said_and_free_is_said_and_neither_is_a_dash(app: Flask, acme: people.Cast) -> None:
    rows = {row[0]: row[1] for row in re.findall(r'truncate">([a-z-]+)</code>.*?((?:<td class="num" ?.*?</td>)+)',
                                                 page(app, acme, "/hub/models"), re.S)}  # fmt: skip
    assert "unknown" in rows["chat-unknown"]
    assert ">free<" in rows["chat-free"]
    assert "$0.04 <small>/image" in rows["draw"]
    assert '$3.00 <small class="wide-only">/1M' in rows["chat-big"]
    assert 'title="$15 per 1M tokens"' in rows["chat-big"]


def test_usable_means_a_key_that_may_and_can(app: Flask, acme: people.Cast, key: APIKey) -> None:
    people.own_model(acme, key, "m", listed_at=now())
    assert found(app, acme, "usable=yes") == ["m"]
    for change in (
        {"listed_models": ["another"]},
        {"allowed_models": ["another"]},
        {"is_enabled": False},
        {"expires_at": now() - DAY},
    ):
        before = {name: getattr(key, name) for name in change}
        for name, value in change.items():
            setattr(key, name, value)
        db.session.commit()
        assert found(app, acme, "usable=yes") == [], change
        assert "No key" in page(app, acme, "/hub/models?q=m")
        for name, value in before.items():
            setattr(key, name, value)
    acme.organization.key_strategy = KeyStrategy.DATAELAN
    db.session.commit()
    assert found(app, acme, "usable=yes") == []


def test_a_page_of_many_models_takes_few_queries_and_the_next_page_goes_on(
    app: Flask, acme: people.Cast, key: APIKey
) -> None:
    whose = {"provider_id": key.provider_id, "organization_id": acme.organization.id}
    names = {new_id(): f"m{number:04}" for number in range(1500)}
    db.session.execute(
        insert(Model), [{"id": id, "name": name, "display_name": name, **whose} for id, name in names.items()]
    )
    priced = [(id, amount) for number, id in enumerate(names) for amount in (number, 1)]
    prices = [{"model_id": id, "source": "test", "input": amount, "output": amount} for id, amount in priced]
    db.session.execute(insert(Price), prices)
    db.session.commit()
    path = f"/hub/models?provider={key.provider.slug}&price=priced"
    statements: list[str] = []
    engine = db.engine
    event.listen(engine, "before_cursor_execute", lambda *details: statements.append(details[2]))
    first = page(app, acme, path)
    assert len(statements) < 25, "\n".join(statements)
    assert "1 to 50 of 1,500 models" in re.sub(r"\s+", " ", first)
    following = page(app, acme, f"{path}&page=2")
    assert "m0050" in following
    assert "m0049" not in following
    assert f"provider={key.provider.slug}" in re.search(r'href="([^"]+)" rel="next"', following)[1]  # type: ignore[index]
    assert "1,451 to 1,500 of 1,500" in page(app, acme, f"{path}&page=99999999999")


def test_the_filter_swaps_the_results_alone(app: Flask, acme: people.Cast, key: APIKey) -> None:
    people.own_model(acme, key, "m")
    answer = people.browser(app, acme.mia).get(f"{acme.home}/hub/models?q=m", headers={"HX-Request": "true"})
    assert answer.get_data(as_text=True).lstrip().startswith('<div id="results"')


# -- one model -------------------------------------------------------------------------------------


def test_the_page_of_a_model_says_what_it_is_what_it_costs_and_what_it_did(
    app: Flask, acme: people.Cast, key: APIKey, rival: people.Cast
) -> None:
    model = people.own_model(acme, key, "chat-1", input=3 * NANO, output=15 * NANO, capabilities=["tools"],
                             context_window=200_000)  # fmt: skip
    rule(acme, "Support answers", model)
    for state, cost in ((State.COMPLETED, 2_000_000), (State.COMPLETED, None), (State.FAILED, None)):
        run = Execution(organization_id=acme.organization.id, project_id=acme.project.id, origin=Origin.GATEWAY)
        run.model_id, run.state, run.cost, run.finished_at = model.id, state, cost, now() + timedelta(seconds=3)
        db.session.add(run)
    db.session.commit()
    text = page(app, acme, f"/hub/models/{model.id}", "mia")
    for word in ("$3.00", "$15.00", "200,000 tokens", "tools", "Support answers", "3, 1 failed", "$0.002", "3.0s",
                 "without 1 of unknown price", "In force", "Try it"):  # fmt: skip
        assert word in text, word
    assert "Set a price of your own" not in text
    assert "Delete this model" not in text
    assert "Set a price of your own" in page(app, acme, f"/hub/models/{model.id}")
    assert people.browser(app, rival.olivia).get(f"{rival.home}/hub/models/{model.id}").status_code == 404
    assert "Try it" not in page(app, acme, f"/hub/models/{model.id}", "victor")


def test_trying_a_model_opens_a_session_that_asks_it(app: Flask, acme: people.Cast, key: APIKey) -> None:
    model = people.own_model(acme, key, "drawing", model_type=ModelType.IMAGE, task="image")
    answer = post(app, acme, f"/hub/models/{model.id}/sessions", "mia", project_id=acme.project.id)
    id = uuid.UUID(answer.headers["HX-Redirect"].split("/")[-1])
    session = db.session.get_one(PromptSession, id)
    assert session.settings == {"model": f"{key.provider.slug}/drawing"}
    assert session.model_type is ModelType.IMAGE
    assert session.created_by == acme.mia.id


def test_an_embedding_model_is_not_for_trying_or_choosing(app: Flask, acme: people.Cast, key: APIKey) -> None:
    model = people.own_model(acme, key, "embed-me", task="embedding", input=0, output=0)
    people.own_model(acme, key, "chat-me", input=1, output=1)
    assert "Try it" not in page(app, acme, f"/hub/models/{model.id}")
    session = page(app, acme, f"/sessions/{acme.session.id}")
    assert "chat-me" in session
    assert "embed-me" not in session


# -- models of one's own ---------------------------------------------------------------------------

BY_HAND = {"purpose": "IMAGE/image", "name": "my-drawing-1", "state": "priced", "price_per_image": "0.04"}


def test_a_model_is_typed_in_with_its_price(app: Flask, acme: people.Cast, key: APIKey) -> None:
    form = BY_HAND | {"provider_id": key.provider_id, "context_window": "5000", "capabilities": ["vision", "tools"]}
    answer = post(app, acme, "/hub/models", "adam", **form)
    model = db.session.get_one(Model, uuid.UUID(answer.headers["HX-Redirect"].split("/")[-1]))
    assert (model.name, model.display_name, model.model_type) == ("my-drawing-1", "my-drawing-1", ModelType.IMAGE)
    assert (model.task, model.context_window, model.capabilities) == ("image", 5000, ["vision", "tools"])
    assert model.organization_id == acme.organization.id
    (price,) = model.prices
    assert (price.per_image, price.input, price.organization_id) == (40_000_000, 0, acme.organization.id)
    events = db.session.scalars(select(AuditEvent.action).where(AuditEvent.organization_id == acme.organization.id))
    assert {"model.added", "price.set"} <= set(events)


def test_an_unknown_price_is_no_price_and_free_is_one(app: Flask, acme: people.Cast, key: APIKey) -> None:
    for state, count in (("unknown", 0), ("free", 1)):
        form = BY_HAND | {"provider_id": key.provider_id, "name": f"m-{state}", "state": state}
        assert post(app, acme, "/hub/models", **form).status_code == 204
        model = db.session.scalars(
            select(Model).where(Model.name == f"m-{state}", Model.provider_id == key.provider_id)
        )
        assert len(model.one().prices) == count


NONSENSE: tuple[tuple[dict[str, object], str], ...] = (
    ({"name": ""}, "Enter the name that requests carry."),
    ({"name": "two words"}, "has no spaces"),
    ({"name": "x" * 201}, "longer than 200"),
    ({"name": "there-already"}, "has a model “there-already” already"),
    ({"context_window": "0"}, "From 1 to 100,000,000 tokens"),
    ({"context_window": "many"}, "Not a valid integer"),
    ({"capabilities": ["flying"]}, "not a valid choice"),
    ({"purpose": "IMAGE/dance"}, "Not a valid choice"),
    ({"price_per_image": "-1"}, "cannot be negative"),
    ({"price_per_image": ""}, "Enter at least one price, or choose Free."),
)
"""What is changed in BY_HAND → what is said of it."""


def test_a_model_that_makes_no_sense_is_refused_with_a_reason(
    app: Flask, acme: people.Cast, key: APIKey, subtests: pytest.Subtests
) -> None:
    people.own_model(acme, key, "there-already")
    count = select(func.count()).select_from(Model).where(Model.organization_id == acme.organization.id)
    for form, word in NONSENSE:
        with subtests.test(word):
            answer = post(app, acme, "/hub/models", **(BY_HAND | {"provider_id": key.provider_id} | form))
            text = answer.get_data(as_text=True)
            assert answer.status_code == 422
            assert word in text
            assert text.lstrip().startswith('<div class="split" id="new"')
            assert db.session.scalar(count) == 1


def test_models_come_from_the_price_catalogue_where_a_provider_lists_none(
    app: Flask, shared: Provider, acme: people.Cast, rival: people.Cast
) -> None:
    text = page(app, acme, f"/hub/models/new?provider={shared.slug}")
    assert "gpt-4o-mini" in text
    assert "omni-moderation" not in text
    form = {"provider_id": shared.id, "name": ["gpt-4o-mini", "text-embedding-3-small", "no-such-model"]}
    assert post(app, acme, "/hub/models/catalogue", **form).status_code == 204
    rows = {m.name: m for m in db.session.scalars(select(Model).where(Model.provider_id == shared.id))}
    assert set(rows) == {"gpt-4o-mini", "text-embedding-3-small"}
    assert rows["text-embedding-3-small"].task == "embedding"
    assert all(model.prices and model.organization_id is None for model in rows.values())
    assert 'value="gpt-4o-mini"' not in page(app, rival, f"/hub/models/new?provider={shared.slug}")
    assert post(app, acme, "/hub/models/catalogue", provider_id=shared.id).status_code == 422


def test_a_model_of_ones_own_is_switched_off_and_on_and_everyones_is_not(
    app: Flask, acme: people.Cast, key: APIKey
) -> None:
    model = people.own_model(acme, key, "mine")
    assert post(app, acme, f"/hub/models/{model.id}/enablement", is_enabled="no").status_code == 200
    db.session.refresh(model)
    assert not model.is_enabled
    assert post(app, acme, f"/hub/models/{model.id}/enablement", is_enabled="yes").status_code == 200
    db.session.refresh(model)
    assert model.is_enabled
    everyones = people.simulated_model()
    for path in ("enablement", "deletion"):
        assert post(app, acme, f"/hub/models/{everyones.id}/{path}").status_code == 403
        assert post(app, acme, f"/hub/models/{model.id}/{path}", "mia").status_code == 403


def test_a_model_that_rules_use_is_not_deleted_and_the_rules_are_named(
    app: Flask, acme: people.Cast, key: APIKey
) -> None:
    model = people.own_model(acme, key, "mine", input=1, output=1)
    used = [rule(acme, "Support answers", model), rule(acme, "Cheap first", model)]
    answer = post(app, acme, f"/hub/models/{model.id}/deletion")
    assert answer.status_code == 422
    assert "2 rules use it: “Cheap first”, “Support answers”" in answer.get_data(as_text=True)
    for one in used:
        db.session.delete(one)
    db.session.commit()
    id = model.id
    assert "HX-Redirect" in post(app, acme, f"/hub/models/{model.id}/deletion").headers
    db.session.rollback()
    db.session.expire_all()
    assert db.session.scalars(select(Model).where(Model.id == id)).one().archived_at, (
        "from where it can be brought back"
    )


# -- what a model does not take ----------------------------------------------------------------------


def test_an_admin_corrects_what_is_known_of_a_model_of_their_own(app: Flask, acme: people.Cast, key: APIKey) -> None:
    model = people.own_model(acme, key, "deep")
    path = f"/hub/models/{model.id}/facts"
    known = {
        "purpose": "CODE/chat",
        "context_window": "64000",
        "capabilities": ["tools", "reasoning"],
        "refuses": ["temperature"],
    }
    answer = post(app, acme, path, **known)
    assert (answer.status_code, "Takes no" in answer.text) == (200, True)
    refused = post(app, acme, path, **known | {"context_window": "0"})
    assert (refused.status_code, "From 1 to" in refused.text) == (422, True)
    assert post(app, acme, path, refuses=["sleep"]).status_code == 422
    db.session.refresh(model)
    assert (model.model_type, model.task) == (ModelType.CODE, "chat")
    assert (model.context_window, model.capabilities, model.refuses) == (
        64_000,
        ["tools", "reasoning"],
        ["temperature"],
    )


def test_what_nobody_says_of_a_model_its_name_tells(app: Flask, acme: people.Cast, key: APIKey) -> None:
    model = people.own_model(acme, key, "gpt-6-sol")
    people.own_model(acme, key, "gpt-6-deaf", capabilities=["audio_in"])
    assert found(app, acme, "capability=tools") == ["gpt-6-sol"]
    shown = page(app, acme, f"/hub/models/{model.id}")
    assert "going by its name; no more is known" in shown
    assert "JSON schema" in shown


def test_the_operator_says_what_a_model_of_everyones_can(app: Flask, shared: Provider) -> None:
    model = Model(id=new_id(), provider_id=shared.id, name="new", display_name="New")
    db.session.add(model)
    db.session.commit()
    try:
        done = app.test_cli_runner().invoke(args=["models", "can", f"{shared.slug}/new", "vision", "tools"])
        assert done.output == f"{shared.slug}/new can: tools, vision.\n"
        db.session.refresh(model)
        assert model.capabilities == ["tools", "vision"]
        unknown = app.test_cli_runner().invoke(args=["models", "can", f"{shared.slug}/old", "vision"])
        assert "No model of everyone's is called" in unknown.output
    finally:
        db.session.delete(model)
        db.session.commit()


def test_what_a_name_tells_counts_until_somebody_says_more(acme: people.Cast, key: APIKey) -> None:
    model = people.own_model(acme, key, "o3-mini")

    def refused() -> frozenset[str]:
        return candidates.candidates_of(db.session, acme.organization, [model.id])[model.id].refuses

    assert (model.refuses, parameters.refused_by(model), refused()) == (
        None,
        ["temperature", "top_p"],
        {"temperature", "top_p"},
    )
    parameters.set_refused(model, [])
    assert (parameters.refused_by(model), refused()) == ([], frozenset())
    (entry,) = [one for one in portable.export(acme.organization).models if one.name == "o3-mini"]
    assert entry.refuses == []
