"""What people do on a session's page, and what they then see."""

from __future__ import annotations

import uuid

from playwright.sync_api import Locator, Page, expect

from dataelan_web.extensions import db
from dataelan_web.models import Execution

PATIENCE = 60_000
OVER = "[data-state=completed], [data-state=failed], [data-state=cancelled], [data-state=interrupted]"

expect.set_options(timeout=PATIENCE)


def ask(page: Page, text: str, model: str | None = None) -> Locator:
    """Write a prompt and press Run. The new run's card, running."""
    before = page.locator(".run").count()
    if model:
        page.locator("#composer select[name=model]").select_option(model)
    expect(page.locator("#composer.htmx-request")).to_have_count(0)  # nobody is quicker than the form before
    page.locator("#text").fill(text)
    page.get_by_role("button", name="Run", exact=True).click()
    return card(page, before)


def card(page: Page, number: int = 0) -> Locator:
    """The card of the run at this place, in whatever state: the live one is replaced when it is over."""
    found = page.locator(".run").nth(number)
    found.wait_for()
    return found


def finished(run: Locator) -> Locator:
    run.locator(f":scope:is({OVER})").wait_for(state="attached")  # looks more often than `expect` does
    return run


def live_text(run: Locator) -> str:
    """What has arrived so far, as far as it is shown: its blocks that are whole have lost their marks. All of the
    answer's source once it is whole."""
    return str(
        run.evaluate(
            "async run => run.querySelector('.live-words')?.textContent"
            " ?? (await fetch(run.querySelector('[data-fetched]').dataset.fetched)).text()"
        )
    )


def letters(text: str) -> str:
    """Of Markdown, and of what is made of it, they are the same; the number of an item is no text of a page."""
    return "".join(filter(str.isalpha, text))


def wait_for_text(page: Page, longer_than: int = 0) -> int:
    """Until the answer being written is longer than this. Its length. One that is over before is a failure at once."""
    handle = page.wait_for_function(
        "([least, over]) => { const last = [...document.querySelectorAll('.run')].at(-1);"
        " const length = last?.querySelector('.live-words')?.textContent.length ?? 0;"
        " return (length > least && length) || (last?.matches(over) && last.innerText) }",
        arg=[longer_than, OVER],
        polling=50,  # milliseconds: at every frame, it would make the frames
    )
    found = handle.json_value()
    assert isinstance(found, int), f"the answer was over before: {found}"
    return found


def id_of(run: Locator) -> uuid.UUID:
    return uuid.UUID((run.get_attribute("id") or "").removeprefix("run-"))


def stored(run: Locator) -> Execution:
    """The execution behind a card, as the database has it now."""
    db.session.rollback()
    return db.session.get_one(Execution, id_of(run), populate_existing=True)


def in_view(element: Locator) -> bool:
    return bool(
        element.evaluate(
            "e => { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0 && r.left >= 0"
            " && r.right <= innerWidth + 1 && r.top >= 0 && r.bottom <= innerHeight + 1 }"
        )
    )


def has_passkeys(page: Page) -> None:
    """Its device makes passkeys and uses them, and its person says yes every time."""
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    told = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    device.send("WebAuthn.addVirtualAuthenticator", {"options": told})
