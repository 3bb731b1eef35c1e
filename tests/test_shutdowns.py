"""Models that end: what needs them, what to use instead, and putting that in their place."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from dataelan_web.executions.execute import execute
from dataelan_web.extensions import db
from dataelan_web.hub.endings.days import end_of
from dataelan_web.hub.endings.dependents import BY_NAME, Group, Named
from dataelan_web.models import (
    NANO,
    APIKey,
    BatchCheck,
    BatchState,
    CheckKind,
    Execution,
    GatewayToken,
    Model,
    ModelType,
    Origin,
    PromptSession,
    RoutingRule,
    RoutingRuleModel,
    ServiceAccount,
    State,
    TemplateLabel,
    TemplateVersion,
    new_id,
    now,
)
from dataelan_web.models.audit import AuditEvent
from dataelan_web.models.records import RunRecord

from . import people
from .test_executions import claimed
from .upstream import upstream


def in_days(number: int) -> str:
    return (now().date() + timedelta(days=number)).isoformat()


@pytest.fixture
def key(acme: people.Cast) -> APIKey:
    return people.own_provider(acme, "https://models.example.com/v1")


@pytest.fixture
def old(acme: people.Cast, key: APIKey) -> Model:
    """A model that ends in 30 days."""
    return people.own_model(acme, key, "old-1", input=2 * NANO, output=8 * NANO, capabilities=["tools", "vision"],
                            context_window=128_000, shutdown_on=in_days(30))  # fmt: skip


def rule(cast: people.Cast, name: str, *models: Model) -> RoutingRule:
    made = RoutingRule(organization_id=cast.organization.id, name=name, model_type=ModelType.TEXT)
    made.models = [
        RoutingRuleModel(model_id=model.id, position=at, weight=7, tags=["fallback"]) for at, model in enumerate(models)
    ]
    db.session.add(made)
    db.session.commit()
    return made


def page(app: Flask, cast: people.Cast, path: str = "/hub/shutdowns", who: str = "olivia") -> str:
    text = people.browser(app, getattr(cast, who)).get(f"{cast.home}{path}").get_data(as_text=True)
    return re.sub(r"\s+", " ", text)


def replace(app: Flask, cast: people.Cast, old: Model, new: Model, rule: RoutingRule, who: str = "olivia"):  # type: ignore[no-untyped-def]
    form = {"model_id": new.id, "rule_id": rule.id}
    url = f"{cast.home}/hub/models/{old.id}/replacement"
    return people.browser(app, getattr(cast, who)).submit(url, form)


def entries(rule: RoutingRule) -> list[tuple[object, int, list[str]]]:
    db.session.rollback()
    query = select(RoutingRuleModel).where(RoutingRuleModel.rule_id == rule.id).order_by(RoutingRuleModel.position)
    rows = db.session.scalars(query.execution_options(populate_existing=True))
    return [(row.model_id, row.weight, row.tags) for row in rows]


# -- days ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "day"),
    [
        ("2026-12-01", date(2026, 12, 1)),
        ("2026-12-01T00:00:00Z", date(2026, 12, 1)),
        ("2026-12-01T23:30:00-05:00", date(2026, 12, 2)),
        ("2026-12-01 08:00:00 UTC", date(2026, 12, 1)),
        ("2026/12/01", date(2026, 12, 1)),
        ("20261201", date(2026, 12, 1)),
        ("1796083200", date(2026, 12, 1)),
        ("December 1, 2026", date(2026, 12, 1)),
        ("2026-12-01 or later", date(2026, 12, 1)),
        ("2026-13-40", None),
        ("next spring", None),
        ("9" * 60, None),
    ],
)
def test_a_day_is_read_however_a_provider_writes_it(said: str, day: date | None) -> None:
    end = end_of(said)
    assert end is not None
    assert end.day == day
    assert str(end) == (f"{day:%-d %b %Y}" if day else said)


def test_no_word_is_no_end() -> None:
    assert end_of(None) is None
    assert end_of("  ") is None


# -- what needs them -------------------------------------------------------------------------------


def test_rules_sessions_and_recent_runs_that_need_a_model_are_named(
    app: Flask, acme: people.Cast, key: APIKey, old: Model
) -> None:
    rule(acme, "Support answers", old)
    for number in range(5):
        session = PromptSession(project=acme.project, title=f"Session {number}", created_by=acme.mia.id)
        session.settings = {"model": f"{key.provider.slug}/old-1" if number else "old-1"}
        db.session.add(session)
    run = Execution(organization_id=acme.organization.id, project_id=acme.project.id, origin=Origin.GATEWAY)
    run.model_id, run.state = old.id, State.COMPLETED
    db.session.add(run)
    db.session.commit()
    text = page(app, acme, who="victor")
    assert "Support answers" in text
    assert "Session 4" in text
    assert "and 2 more" in text
    assert "in 30 days" in text
    assert "Replace in" not in text, "a viewer changes nothing"


def test_the_soonest_comes_first_and_what_nobody_uses_is_not_listed(
    app: Flask, acme: people.Cast, key: APIKey, old: Model
) -> None:
    ended = people.own_model(acme, key, "ended-1", shutdown_on=in_days(-3))
    vague = people.own_model(acme, key, "vague-1", shutdown_on="next spring")
    people.own_model(acme, key, "unused-1", shutdown_on=in_days(1))
    rule(acme, "A rule", vague, old, ended)
    text = page(app, acme)
    assert re.findall(r"<code>(\w+-1)</code></p>", text) == ["ended-1", "old-1", "vague-1"]
    assert "ended 3 days ago" in text
    assert "next spring" in text
    assert "unused-1" not in text


def test_with_nothing_that_ends_the_page_says_so(app: Flask, acme: people.Cast) -> None:
    assert "Nothing you use ends" in page(app, acme)


def test_another_organizations_rules_and_sessions_are_not_told(
    app: Flask, acme: people.Cast, rival: people.Cast, old: Model
) -> None:
    rule(rival, "Secret of the rival", old)
    rival.session.settings = {"model": "old-1"}
    db.session.commit()
    assert "Nothing you use ends" in page(app, acme)


def test_the_hub_warns_of_what_ends_within_60_days_and_is_in_use(
    app: Flask, acme: people.Cast, key: APIKey, old: Model
) -> None:
    far = people.own_model(acme, key, "far-1", shutdown_on=in_days(61))
    words = "What needs it, and what to use instead"
    rule(acme, "A rule", far)
    for path in ("/hub/providers", "/hub/models"):
        assert words not in page(app, acme, path), "what ends later can wait"
    rule(acme, "Another", old)
    for path in ("/hub/providers", "/hub/models"):
        assert words in page(app, acme, path)
        assert f"old-1 ends on {end_of(old.shutdown_on)}" in page(app, acme, path)
    assert f"Ends {end_of(old.shutdown_on)}" in page(app, acme, "/hub/models?q=old-1")
    assert f"It ends on {end_of(old.shutdown_on)}" in page(app, acme, f"/hub/models/{old.id}")


# -- what to use instead ---------------------------------------------------------------------------


def test_the_providers_word_is_taken_whether_we_know_the_model_or_not(
    app: Flask, acme: people.Cast, key: APIKey, old: Model
) -> None:
    old.replacement = "new-1"
    rule(acme, "A rule", old)
    text = page(app, acme)
    assert "<code>new-1</code>" in text
    assert "not in the hub" in text
    assert "Own says to use it instead." in text
    new = people.own_model(acme, key, "new-1")
    text = page(app, acme)
    assert f"/hub/models/{new.id}" in text
    assert "Replace in “A rule”" in text


def test_else_the_nearest_that_lives_longer_and_can_do_the_same_and_why_is_said(
    app: Flask, acme: people.Cast, key: APIKey, old: Model
) -> None:
    able = {"capabilities": ["tools", "vision", "reasoning"], "context_window": 128_000}
    for name, prices, more in (
        ("dear-1", (20, 80), able),
        ("near-1", (1, 4), able | {"context_window": 200_000}),
        ("same-but-blind-1", (2, 8), able | {"capabilities": ["tools"]}),
        ("same-but-ends-1", (2, 8), able | {"shutdown_on": in_days(20)}),
        ("same-but-off-1", (2, 8), able | {"is_enabled": False}),
        ("same-but-draws-1", (2, 8), able | {"model_type": ModelType.IMAGE, "task": "image"}),
    ):
        people.own_model(acme, key, name, input=prices[0] * NANO, output=prices[1] * NANO, **more)
    rule(acme, "A rule", old)
    text = page(app, acme)
    assert (
        "Of 2 chat models of Own that stay and can do the same (tools, vision), the nearest in price and context:"
        " 50 % cheaper, a context of 200,000 tokens instead of 128,000." in text
    )
    assert re.search(r"<dt>Instead</dt><dd><a [^>]+>near-1</a>", text)


def test_where_nothing_fits_that_is_said(app: Flask, acme: people.Cast, old: Model) -> None:
    rule(acme, "A rule", old)
    assert "No other model of Own that we know can do the same." in page(app, acme)


# -- replacing -------------------------------------------------------------------------------------


def test_a_replacement_takes_the_place_in_the_rule_with_weight_and_tags(
    app: Flask, acme: people.Cast, key: APIKey, old: Model
) -> None:
    new, other = people.own_model(acme, key, "new-1"), people.own_model(acme, key, "other-1")
    used = rule(acme, "A rule", other, old)
    answer = replace(app, acme, old, new, used, who="adam")
    assert answer.status_code == 200
    assert "“A rule” now uses new-1." in answer.get_data(as_text=True)
    assert entries(used) == [(other.id, 7, ["fallback"]), (new.id, 7, ["fallback"])]
    event = db.session.scalars(select(AuditEvent).where(AuditEvent.subject_id == used.id)).one()
    assert event.action == "rule.model_replaced"
    assert event.detail == {"old": f"{key.provider.slug}/old-1", "new": f"{key.provider.slug}/new-1"}


def test_what_cannot_be_replaced_says_why_and_stays(app: Flask, acme: people.Cast, key: APIKey, old: Model) -> None:
    drawing = people.own_model(acme, key, "draw-1", model_type=ModelType.IMAGE, task="image")
    other = people.own_model(acme, key, "other-1")
    used = rule(acme, "A rule", old, other)
    before = entries(used)
    for first, second, word in (
        (old, other, "uses other-1 already"),
        (old, drawing, "does not do what old-1 does"),
        (drawing, old, "does not use draw-1 any more"),
    ):
        answer = replace(app, acme, first, second, used)
        assert answer.status_code == 422
        assert word in answer.get_data(as_text=True)
    assert entries(used) == before


def test_only_owners_and_admins_replace_and_only_their_own_models_in_their_own_rules(
    app: Flask, acme: people.Cast, rival: people.Cast, key: APIKey, old: Model
) -> None:
    new = people.own_model(acme, key, "new-1")
    mine, theirs = rule(acme, "Mine", old), rule(rival, "Theirs", old)
    foreign = people.own_model(rival, people.own_provider(rival, "https://x.example.com/v1"), "foreign-1")
    for who in ("mia", "victor", "gina"):
        assert replace(app, acme, old, new, mine, who).status_code == 403
    assert replace(app, acme, old, new, theirs).status_code == 404
    assert replace(app, acme, old, foreign, mine).status_code == 404
    assert entries(theirs) == [(old.id, 7, ["fallback"])]
    assert entries(mine) == [(old.id, 7, ["fallback"])]


def test_another_kind_of_thing_that_names_models_is_a_line_and_is_shown_like_the_others(
    app: Flask, acme: people.Cast, old: Model, key: APIKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def letters_naming(names: set[str]) -> dict[str, Group]:
        assert names == {"old-1", f"{key.provider.slug}/old-1"}
        return {"old-1": Group((Named(acme.session.id, "A letter", "playground.show"),), 4)}

    monkeypatch.setitem(BY_NAME, "letter", letters_naming)
    text = page(app, acme)
    assert "Letters" in text
    assert re.search(rf'href="[^"]*/sessions/{acme.session.id}">A letter</a> and 3 more', text)
    assert "4 letters ask for it by name" in re.sub("<[^>]+>", "", page(app, acme, f"/hub/models/{old.id}"))


def test_saved_prompts_whose_newest_version_asks_for_it_are_named(
    app: Flask, acme: people.Cast, rival: people.Cast, old: Model
) -> None:
    name = old.name
    mine = people.template(acme, "Hello", name="Greeting", requested=name)
    people.template(acme, "Hello", name="Asks for another")
    people.template(acme, "Hello", name="Thrown away", requested=name).discard(acme.mia.id)
    people.template(rival, "Hello", name="Not ours", requested=name)
    db.session.commit()
    shown = page(app, acme, "/hub/shutdowns")
    assert f"/prompts/{mine.id}" in shown
    assert "Greeting" in shown
    assert not [word for word in ("Asks for another", "Thrown away", "Not ours") if word in shown]


def test_a_saved_prompt_that_a_label_keeps_at_an_older_version_is_named_and_once(
    app: Flask, acme: people.Cast, old: Model
) -> None:
    live, moved_on = (
        people.template(acme, "Hello", "Hello again", name=name, requested=old.name) for name in ("Live", "Moved on")
    )
    for made in (live, moved_on):
        newest = TemplateVersion(template_id=made.id, number=3, message="Another model")
        newest.content, newest.digest, newest.author_id = {"requested": "auto"}, f"{made.id}", acme.mia.id
        db.session.add(newest)
        made.newest = 3
    db.session.flush()
    db.session.add_all(
        TemplateLabel(template_id=live.id, name=name, number=number)
        for number, name in enumerate(("production", "staging"), 1)
    )
    db.session.commit()
    shown = page(app, acme, "/hub/shutdowns")
    assert shown.count(f"/prompts/{live.id}") == 1
    assert f"/prompts/{moved_on.id}" not in shown


def token(cast: people.Cast, label: str, *allows: str, **values: object) -> GatewayToken:
    made, _ = GatewayToken.issue(cast.project, cast.olivia.id, label)
    made.allows = list(allows)
    for name, value in values.items():
        setattr(made, name, value)
    db.session.add(made)
    db.session.commit()
    return made


def test_tokens_that_may_ask_for_it_are_named_with_their_service_account(
    app: Flask, acme: people.Cast, rival: people.Cast, old: Model, key: APIKey
) -> None:
    account = ServiceAccount(id=new_id(), organization_id=acme.organization.id, name="Crawler")
    db.session.add(account)
    token(acme, "Website", "everyday", "old-1")
    token(acme, "Nightly", f"{key.provider.slug}/old-1", service_account_id=account.id)
    token(acme, "May ask for all")
    token(acme, "Asks for another", "new-1")
    token(acme, "Was revoked", "old-1", revoked_at=now())
    token(acme, "Is over", "old-1", expires_at=now())
    token(rival, "Not ours", "old-1")
    shown = page(app, acme, who="mia")
    assert re.search(rf'Gateway tokens</dt><dd><a [^>]*href="{acme.home}/projects/{acme.project.id}/tokens">', shown)
    assert "Website" in shown
    assert "Nightly (Crawler)" in shown
    hidden = ("May ask for all", "Asks for another", "Was revoked", "Is over", "Not ours")
    assert not [word for word in hidden if word in shown]
    assert "2 gateway tokens ask for it by name" in re.sub("<[^>]+>", "", page(app, acme, f"/hub/models/{old.id}"))


@pytest.mark.parametrize("state", list(BatchState))
def test_batches_that_have_yet_to_ask_for_it_are_named(
    app: Flask, acme: people.Cast, rival: people.Cast, old: Model, state: BatchState
) -> None:
    mine = people.batch(acme, models=["auto", old.name])
    theirs = people.batch(rival, models=[old.name])
    mine.state = theirs.state = state
    db.session.commit()
    shown = page(app, acme)
    is_over = state in (BatchState.DONE, BatchState.CANCELLED)
    assert (f'Batches</dt><dd><a class="link" href="{acme.home}/batches/{mine.id}">A batch</a>' in shown) != is_over
    assert f"{theirs.id}" not in shown


def test_judges_that_have_yet_to_score_with_it_are_named(app: Flask, acme: people.Cast, old: Model) -> None:
    batch = people.batch(acme, models=["auto"], state=BatchState.RUNNING)
    batch.checks = [BatchCheck(kind=CheckKind.JUDGE, settings={"model": f"{old.provider.slug}/old-1"})]
    db.session.commit()
    judges = f'Judges</dt><dd><a class="link" href="{acme.home}/batches/{batch.id}">A batch</a>'
    assert judges in page(app, acme)
    batch.state = BatchState.DONE
    db.session.commit()
    assert judges not in page(app, acme)


def test_rules_of_the_platform_that_use_it_are_named_where_it_can_be_used_and_replaced_by_their_operator_only(
    app: Flask, acme: people.Cast
) -> None:
    simulated = people.simulated_model("simulated-fast")
    simulated.shutdown_on = in_days(30)
    house, off = rule(acme, "House", simulated), rule(acme, "Switched off", simulated)
    house.organization_id = off.organization_id = None
    off.is_enabled = False
    db.session.commit()
    try:
        shown = page(app, acme)
        assert 'House <span class="soft">(the operator’s)</span>' in shown
        assert "Switched off" not in shown
        assert "Replace in" not in shown
        assert "House" in page(app, acme, f"/hub/models/{simulated.id}")
        simulated.is_enabled = False
        db.session.commit()
        assert "House" not in page(app, acme)
    finally:  # they are everybody's
        simulated.shutdown_on, simulated.is_enabled = None, True
        db.session.delete(house)
        db.session.delete(off)
        db.session.commit()


def test_an_end_that_a_provider_tells_with_its_answers_is_shown(app: Flask, acme: people.Cast) -> None:
    """Gemini's list of models says nothing of it, and its answers do."""
    with upstream() as google:
        said = {"content": {"parts": [{"text": "Hello"}]}, "finishReason": "STOP"}
        status = {"modelStage": "DEPRECATED", "retirementTime": f"{in_days(40)}T00:00:00Z"}
        google.answers({"candidates": [said], "modelStatus": status})
        model = people.own_model(acme, people.own_provider(acme, google.url, "google"), "old-flash")
        execution = claimed(acme, "Hi", requested=f"{model.provider.slug}/old-flash")
        list(execute(RunRecord.of(execution), execution.fence))
    db.session.expire_all()
    assert db.session.get_one(Model, model.id).shutdown_on == status["retirementTime"]
    page = people.browser(app, acme.olivia).get(f"{acme.home}/hub/shutdowns").get_data(as_text=True)
    assert "old-flash" in page
    assert "40 days" in page
