"""Routing rules in the browser: written with the sentence in view, ordered by keyboard and pointer, tried, undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import select

from dataelan_web.extensions import db
from dataelan_web.hub.rules import drafts
from dataelan_web.hub.rules.drafts import Draft, Entry
from dataelan_web.models import NANO, APIKey, Model, RoutingRule, Strategy
from tests import people
from tests.test_rehearsal import made

from .test_pages import PHONE, assert_fine, look  # noqa: F401  (a fixture)

Look = Callable[..., Page]
Opener = Callable[..., Page]
LOOKED_AT = "**/hub/rules/preview"
"""The answer to what was written: whoever waits for it need not look at the page again and again, ever more seldom."""


@pytest.fixture
def key(acme: people.Cast) -> APIKey:
    return people.own_provider(acme, "http://127.0.0.1:9/v1")


@pytest.fixture
def models(acme: people.Cast, key: APIKey) -> dict[str, Model]:
    names = {"alpha": 1, "beta": 5, "gamma": 20}
    return {
        name: people.own_model(acme, key, name, input=price * NANO, output=2 * price * NANO, context_window=128_000)
        for name, price in names.items()
    }


def saved(cast: people.Cast, name: str, *models: Model, **values: Any) -> RoutingRule:
    draft = Draft(name, tuple(Entry(model.id) for model in models), **values)
    return drafts.save(draft, cast.organization, cast.olivia.id)


def rules_of(cast: people.Cast) -> list[RoutingRule]:
    db.session.rollback()
    db.session.expire_all()
    query = select(RoutingRule).filter_by(organization_id=cast.organization.id, deleted_at=None)
    return list(db.session.scalars(query.order_by(RoutingRule.priority)))


def words(page: Page) -> Locator:
    return page.locator(".said-words")


def add(page: Page, name: str) -> None:
    page.get_by_label("Search for models to add").fill(name)
    page.get_by_role("button", name=f"Add {name} of Own").click()
    expect(page.locator(".pick", has_text=name)).to_have_count(1)


def add_condition(page: Page, label: str) -> None:
    page.get_by_label("Condition to add").select_option(label=label)
    page.get_by_role("button", name="Add condition").click()


def bodies(page: Page) -> list[str]:
    """What is asked about the form from now on."""
    said: list[str] = []
    page.on("request", lambda one: said.append(one.post_data) if one.url.endswith("/hub/rules/preview") else None)
    return said


def picks(page: Page) -> list[str]:
    return page.locator(".pick-main strong").evaluate_all(
        "all => all.filter(e => e.closest('.picks')).map(e => e.textContent)"
    )


def test_a_rule_is_written_while_its_sentence_tells_what_it_says(
    look: Look,  # noqa: F811
    acme: people.Cast,
    models: dict[str, Model],
) -> None:
    page = look(acme.olivia)
    page.goto(f"{acme.home}/hub/rules")
    page.get_by_role("link", name="Write the first rule").click()
    expect(words(page)).to_have_text("Text prompts go nowhere yet.")
    expect(page.locator("#said")).to_contain_text("Give it a name.")
    page.get_by_label("Name", exact=True).fill("Everyday")
    expect(page.locator("#said")).not_to_contain_text("Give it a name.")
    add(page, "alpha")
    expect(words(page)).to_have_text("Text prompts go to alpha.")
    expect(page.get_by_label("Search for models to add")).to_be_focused()
    expect(page.get_by_label("Search for models to add")).to_have_value("")
    add(page, "beta")
    add(page, "gamma")
    page.get_by_label("Weight of alpha").fill("7")
    page.get_by_label("Weight of beta").fill("2")
    expect(words(page)).to_contain_text("70 % to alpha, 20 % to beta and 10 % to gamma")
    expect(page.locator(f"#share-{models['alpha'].id}")).to_have_text("70 %")
    assert_fine(page, "a rule with models")

    page.get_by_label("Weight of gamma").fill("-1")
    expect(page.locator(f"#said-model-{models['gamma'].id}")).to_contain_text("A weight is a whole number")
    expect(page.get_by_label("Weight of gamma")).to_be_focused()
    page.get_by_label("Weight of gamma").fill("")
    page.locator(".pick", has_text="gamma").get_by_text("When it comes, and tags").click()
    page.locator(".pick", has_text="gamma").get_by_text("Fallback", exact=False).first.click()
    expect(words(page)).to_contain_text("78 % to alpha and 22 % to beta, then gamma when they fail")

    add_condition(page, "Price at most")
    expect(page.locator("#condition-max_cost")).to_be_focused()
    page.keyboard.type("0.00001")
    expect(page.locator("#said")).to_contain_text("These conditions shut out every model of the rule")
    assert_fine(page, "a rule that contradicts itself")
    with page.expect_response(LOOKED_AT):
        page.locator("#condition-max_cost").fill("20")
    expect(words(page)).to_contain_text("of models at most $20 per 1M tokens")
    expect(page.locator(f"#said-model-{models['gamma'].id}")).to_contain_text("The conditions shut it out")
    add_condition(page, "Only when")
    asked = bodies(page)
    with page.expect_response(LOOKED_AT):
        page.locator("#condition-expression").fill("prompt.smell > 3")
    expect(page.locator("#said-condition-expression")).to_contain_text("There is no “prompt.smell”")
    with page.expect_response(LOOKED_AT):
        page.locator("#condition-expression").fill("prompt.token > 3 and true")
    expect(page.locator("#said-condition-expression")).to_contain_text("Did you mean “&&”? (column 18)")
    with page.expect_response(LOOKED_AT):
        page.locator("#condition-expression").fill("prompt.tokens > 10 && prompt.tokens < 5")
    expect(page.locator("#said-condition-expression")).to_contain_text(
        "“prompt.tokens > 10” and “prompt.tokens < 5” contradict each other."
    )
    expect(page.locator("#said")).to_contain_text("It cannot be saved like this")
    assert_fine(page, "a rule with an expression that contradicts itself")
    with page.expect_response(LOOKED_AT):
        page.locator("#condition-expression").fill("prompt.tokens >= 0")
    expect(page.locator("#said")).to_contain_text("It is always true, and shuts out no prompt.")
    page.get_by_role("button", name="Long prompts").click()
    expect(words(page)).to_contain_text("Text prompts when prompt.tokens > 20000 go")
    page.get_by_text("What an expression can ask").click()
    assert_fine(page, "a rule with an expression")
    assert len(asked) == len(set(asked)) >= 5, "what is written is looked at once, not again when its field is left"

    page.get_by_role("button", name="Save rule").click()
    expect(page.locator(".rule", has_text="Everyday")).to_be_visible()
    (rule,) = rules_of(acme)
    assert rule.conditions == {"max_cost": 0.02, "expression": "prompt.tokens > 20000"}
    assert [(entry.weight, entry.tags) for entry in rule.models] == [(7, []), (2, []), (1, ["fallback"])]


def test_what_is_missing_is_gone_to_on_a_phone(open_page: Opener, acme: people.Cast, models: dict[str, Model]) -> None:
    page = open_page(acme.olivia, viewport=PHONE)
    page.goto(f"{acme.home}/hub/rules/new")
    save = page.get_by_role("button", name="Save rule")
    said, foot = page.locator("#said").bounding_box(), save.bounding_box()
    assert said
    assert foot
    assert 0 < foot["y"] - said["y"] - said["height"] < 40, "what is still to do is directly above the button"
    save.click()
    name = page.get_by_label("Name", exact=True)
    expect(name).to_be_focused()
    expect(name).to_be_in_viewport()
    name.fill("Everyday")
    save.click()
    expect(page.get_by_label("Search for models to add")).to_be_focused()
    expect(page.locator("#said-models .field-error")).to_be_in_viewport()
    add(page, "alpha")
    add_condition(page, "Able to do")
    able = page.locator("#condition-capabilities-row input[type=checkbox]").first
    expect(able).to_be_focused()
    save.click()
    expect(page.locator("#said-condition-capabilities .field-error")).to_be_in_viewport()
    expect(able).to_be_focused()


def test_models_of_a_rule_are_ordered_by_keyboard_and_by_pointer(
    open_page: Opener, acme: people.Cast, models: dict[str, Model]
) -> None:
    rule = saved(acme, "Ordered", *models.values(), strategy=Strategy.ORDERED)
    page = open_page(acme.olivia)
    page.goto(f"{acme.home}/hub/rules/{rule.id}")
    up = page.get_by_role("button", name="Move gamma up")
    up.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert picks(page) == ["gamma", "alpha", "beta"], "two presses count, however fast"
    expect(up).to_be_focused()
    expect(words(page)).to_contain_text("go to gamma, alpha or beta: in this order")
    drag(page, page.locator(".pick", has_text="alpha"), page.locator(".pick", has_text="gamma"))
    assert picks(page) == ["alpha", "gamma", "beta"]
    expect(words(page)).to_contain_text("go to alpha, gamma or beta")
    page.get_by_role("button", name="Save rule").click()
    expect(page.locator(".rule", has_text="Ordered")).to_be_visible()
    assert [entry.model_id for entry in rules_of(acme)[0].models] == [models[n].id for n in ("alpha", "gamma", "beta")]


def drag(page: Page, item: Locator, to: Locator) -> None:
    """By its handle, to just above another."""
    start, end = item.locator("[data-handle]").bounding_box(), to.bounding_box()
    assert start
    assert end
    page.mouse.move(start["x"] + 4, start["y"] + 6)
    page.mouse.down()
    page.mouse.move(start["x"] + 4, end["y"] + end["height"] / 2, steps=4)
    page.mouse.move(start["x"] + 4, end["y"] + 2, steps=4)
    page.mouse.up()


def names(page: Page) -> Locator:
    return page.locator(".rules .rule-name")


def test_rules_are_ordered_by_keyboard_and_by_pointer_and_the_button_keeps_the_focus(
    open_page: Opener, acme: people.Cast, models: dict[str, Model]
) -> None:
    for name in ("One", "Two", "Three"):
        saved(acme, name, models["alpha"])
    page = open_page(acme.olivia)
    page.goto(f"{acme.home}/hub/rules")
    up = page.get_by_role("button", name="Move Three up")
    up.focus()
    page.keyboard.press("Enter")
    expect(names(page)).to_have_text(["One", "Three", "Two"])
    expect(up).to_be_focused()
    expect(page.get_by_role("status").filter(has_text="“Three” is number 2 of 3 now.")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(names(page)).to_have_text(["Three", "One", "Two"])
    expect(up).to_be_focused()
    page.keyboard.press("Enter")  # at the top it stays
    drag(page, page.locator(".rule", has_text="Two"), page.locator(".rule", has_text="Three"))
    expect(page.get_by_role("status").filter(has_text="“Two” is number 1 of 3 now.")).to_have_count(1)
    expect(names(page)).to_have_text(["Two", "Three", "One"])
    assert [(rule.name, rule.priority) for rule in rules_of(acme)] == [("Two", 10), ("Three", 20), ("One", 30)]


def test_a_rule_is_switched_off_deleted_and_brought_back(
    open_page: Opener, acme: people.Cast, models: dict[str, Model]
) -> None:
    saved(acme, "Keep", models["alpha"])
    saved(acme, "Mistake", models["alpha"], models["beta"], conditions={"max_cost": 0.5})
    page = open_page(acme.olivia)
    page.goto(f"{acme.home}/hub/rules")
    switch = page.get_by_role("switch", name="Mistake is in use")
    expect(switch).to_be_checked()
    switch.press("Space")
    expect(switch).not_to_be_checked()
    expect(switch).to_be_focused()
    page.get_by_label("More for Mistake").click()
    page.get_by_role("button", name="Delete").click()
    page.locator("#confirm-ok").click()
    expect(page.get_by_text("“Mistake” is in the trash.")).to_be_visible()
    expect(names(page)).to_have_text(["Keep"])
    assert len(rules_of(acme)) == 1
    page.get_by_role("button", name="Undo").click()
    expect(names(page)).to_have_text(["Keep", "Mistake"])
    again = rules_of(acme)[1]
    assert (again.is_enabled, again.conditions, len(again.models)) == (False, {"max_cost": 0.5}, 2)


def test_a_rehearsal_and_a_dry_run_tell_what_would_happen(
    look: Look,  # noqa: F811
    acme: people.Cast,
    models: dict[str, Model],
) -> None:
    made(acme, 30)
    made(acme, 4, requested="own/beta")
    rule = saved(acme, "Everyday", models["alpha"])
    page = look(acme.olivia)
    page.goto(f"{acme.home}/hub/rules/{rule.id}")
    add(page, "gamma")
    page.get_by_label("Weight of alpha").fill("0")
    page.get_by_role("button", name="Try it").click()
    expect(page.locator(".rehearsal-sums")).to_contain_text("30")
    row = page.locator(".rehearsal tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("gamma")
    expect(page.locator(".reach")).to_contain_text("4 asked for a model or another rule by name")
    assert_fine(page, "a rehearsal")
    page.get_by_label("How they asked").select_option(label="That asked for its name")
    page.get_by_role("button", name="Try it").click()
    expect(page.locator(".rehearsal")).to_contain_text("The filter leaves none of them.")
    page.get_by_label("How they asked").select_option(label="However asked")
    page.get_by_role("button", name="Try it").click()
    expect(row).to_have_count(1)
    page.set_viewport_size({"width": 1440, "height": 900})
    with page.context.expect_page() as opened:
        row.get_by_role("link").first.click()
    expect(opened.value.locator(".run")).to_be_visible()
    assert len(rules_of(acme)[0].models) == 1, "nothing is saved"

    page.goto(f"{acme.home}/hub/rules")
    page.get_by_label("Prompt", exact=True).fill("Summarize this contract")
    page.get_by_role("button", name="Plan it").click()
    expect(page.locator(".dry-run-plan")).to_contain_text("Own / alpha: Everyday.")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("Summarize this contract")
    assert_fine(page, "the list of rules with a dry run")


def test_a_rule_is_written_without_javascript(open_page: Opener, acme: people.Cast, models: dict[str, Model]) -> None:
    page = open_page(acme.olivia, java_script_enabled=False)
    page.goto(f"{acme.home}/hub/rules/new")
    page.get_by_label("Name", exact=True).fill("By hand")
    page.get_by_label("Name", exact=True).press("Enter")
    assert rules_of(acme) == [], "Enter never saves"
    for name in ("alpha", "beta"):
        page.get_by_role("button", name=f"Add {name} of Own").click()
    page.get_by_role("button", name="Move beta up").click()
    page.get_by_label("Condition to add").select_option(label="Price at most")
    page.get_by_role("button", name="Add condition").click()
    page.locator("#condition-max_cost").fill("500")
    page.get_by_label("Weight of beta").fill("3")
    page.get_by_role("button", name="Save rule").click()
    assert page.url.endswith("/hub/rules")
    (rule,) = rules_of(acme)
    assert (rule.name, rule.conditions) == ("By hand", {"max_cost": 0.5})
    assert [(entry.model_id, entry.weight) for entry in rule.models] == [
        (models["beta"].id, 3),
        (models["alpha"].id, 1),
    ]
    page.get_by_role("button", name="Plan it").click()
    assert "By hand" in page.locator(".dry-run-plan").inner_text()


def test_a_member_reads_the_rules(look: Look, acme: people.Cast, models: dict[str, Model]) -> None:  # noqa: F811
    saved(acme, "Readable", models["alpha"], models["beta"])
    page = look(acme.mia)
    page.goto(f"{acme.home}/hub/rules")
    expect(page.locator(".rule", has_text="Readable")).to_contain_text("50 % to alpha and 50 % to beta")
    expect(page.get_by_role("switch")).to_have_count(0)
    assert_fine(page, "rules, for a member")
