"""Notices and webhooks in a browser: the bell, reading, and a webhook from its making to its end."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from playwright.sync_api import Page, expect
from sqlalchemy import func, select, update

from dataelan_web.extensions import db
from dataelan_web.models import Notice, Webhook, now
from dataelan_web.notices.lists import PAGE
from dataelan_web.notify import tell
from tests import people
from tests.conftest import wait_until
from tests.receiver import receiver

from . import steps
from .test_pages import assert_fine, look  # noqa: F401 (a fixture)

Look = Callable[..., Page]
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def say(cast: people.Cast, *titles: str, kind: str = "limit.reached", path: str = "") -> None:
    to, why = (cast.organization.id, [cast.olivia.id]), f"Because of {EVIL}."
    for title in titles:
        tell(db.session, *to, uuid.uuid4().hex, kind, title, why, path)
    db.session.commit()


def unread(cast: people.Cast) -> int:
    db.session.rollback()
    mine = Notice.user_id == cast.olivia.id, Notice.read_at.is_(None)
    return db.session.scalars(select(func.count()).select_from(Notice).where(*mine)).one()


def test_the_bell_rings_and_what_is_followed_is_read(look: Look, acme: people.Cast) -> None:  # noqa: F811
    page = look(acme.olivia, locale="en-US")  # not kept: a clock cannot be taken out of a page again
    page.clock.install()
    page.goto(f"{acme.home}/notices")
    expect(page.get_by_role("heading", name="Nothing to tell")).to_be_visible()
    assert_fine(page, "no notices")
    page.set_viewport_size({"width": 1440, "height": 900})

    say(acme, f"Project {EVIL} has used 80 % of its $50.00 for November", path=f"{acme.home}/hub/models")
    say(acme, "Mia asks for $25.00 more for Project Alpha", kind="increase.asked")
    page.goto(f"{acme.home}/")
    bell = page.get_by_role("link", name="Notices")
    expect(bell).to_have_accessible_name("Notices, 2 unread")
    expect(page.locator("#content")).to_have_js_property("offsetTop", 0)  # beside the sidebar, as ever
    assert steps.in_view(bell)
    say(acme, "Another limit")
    page.clock.run_for(65_000)
    expect(bell).to_have_accessible_name("Notices, 3 unread")
    expect(page.locator("#announcer")).to_have_text("Notices, 3 unread")
    bell.click()
    page.wait_for_url("**/notices")
    assert_fine(page, "notices")
    assert page.title() != "owned"

    rows = page.locator(".told")
    rows.nth(0).get_by_role("button", name="Mark read").click()
    expect(bell).to_have_accessible_name("Notices, 2 unread")
    rows.nth(0).get_by_role("button", name="Mark unread").click()
    expect(bell).to_have_accessible_name("Notices, 3 unread")
    page.get_by_label("Kind").select_option("Requests for more")
    expect(rows).to_have_count(1)
    assert page.url.endswith("kind=increase.asked")
    page.get_by_label("Kind").select_option("Limits")
    expect(rows).to_have_count(2)
    rows.filter(has_text="has used 80 %").get_by_role("link").click()
    page.wait_for_url("**/hub/models")
    wait_until(lambda: unread(acme) == 2)  # the page that said it is gone: its answer is nobody's to see
    page.goto(f"{acme.home}/notices")
    expect(bell).to_have_accessible_name("Notices, 2 unread")
    page.get_by_role("button", name="Mark all read").click()
    expect(bell).to_have_accessible_name("Notices")
    expect(page.get_by_role("heading", name="Unread")).to_have_count(0)


def test_older_notices_come_as_one_scrolls(look: Look, acme: people.Cast) -> None:  # noqa: F811
    say(acme, *(f"Number {number}" for number in range(2 * PAGE + 3)))
    mine = (Notice.user_id == acme.olivia.id, Notice.title.in_([f"Number {number}" for number in range(PAGE)]))
    db.session.execute(update(Notice).where(*mine).values(read_at=now()))
    db.session.commit()
    page = look(acme.olivia)
    page.goto(f"{acme.home}/notices")
    rows = page.locator(".told")
    expect(rows).to_have_count(PAGE)
    for count in (2 * PAGE, 2 * PAGE + 3):
        page.mouse.wheel(0, 20_000)
        expect(rows).to_have_count(count)
    expect(page.locator(".load-more")).to_have_count(0)
    assert page.locator(".told-group").all_inner_texts() == ["Unread", "Earlier"]


def test_a_webhook_from_its_making_to_its_end(look: Look, acme: people.Cast) -> None:  # noqa: F811
    page = look(acme.olivia)
    with receiver() as there:
        page.goto(f"{acme.home}/")
        page.get_by_role("link", name="Webhooks").click()
        page.get_by_label("Name", exact=True).fill(EVIL)
        page.get_by_label("Address").fill("nowhere")
        page.get_by_label("Address").press("Enter")
        expect(page.locator("#url-error")).to_contain_text("Enter an address such as")
        expect(page.get_by_label("Name", exact=True)).to_have_value(EVIL)
        assert_fine(page, "a refused webhook")
        page.get_by_label("Address").fill(there.url)
        page.get_by_label("Answers to requests").uncheck()
        page.get_by_role("button", name="Create webhook").click()
        secret = page.locator("#secret").inner_text()
        assert secret.startswith("whsec_")
        assert_fine(page, "a webhook's secret")

        page.get_by_role("link", name="Send a test from its page").click()
        page.get_by_role("button", name="Send a test").click()
        expect(page.get_by_text("It was delivered")).to_be_visible()
        assert there.got[0].verified(secret)["type"] == "webhook.test"
        assert page.title() != "owned"
        there.answers, there.body = [500], b"down"
        page.get_by_role("button", name="Send a test").click()
        expect(page.get_by_text("It answered 500: down").first).to_be_visible()
        sent = page.locator("details.sent")
        expect(sent).to_have_count(2)
        sent.first.locator("summary").press("Enter")
        expect(sent.first.get_by_text('"type": "webhook.test"')).to_be_visible()
        assert_fine(page, "a failed delivery")
        sent.first.get_by_role("button", name="Try again now").click()
        expect(page.get_by_text("The receiver answered 204.")).to_be_visible()

        page.get_by_role("button", name="Rotate the secret").click()
        page.locator("#confirm-ok").click()
        expect(page.get_by_text("The one before signs too until")).to_be_visible()
        assert page.locator("#secret").inner_text() != secret
        page.get_by_role("button", name="Switch off").click()
        expect(page.get_by_text("It is told nothing until it is switched on again.")).to_be_visible()
        page.reload()
        assert "whsec_" not in page.content()
    page.goto(f"{acme.home}/webhooks")
    assert_fine(page, "webhooks")
    page.get_by_role("link", name="<img").click()
    page.get_by_role("button", name="Delete").click()
    page.locator("#confirm-ok").click()
    expect(page.get_by_role("heading", name="No webhooks yet")).to_be_visible()
    db.session.rollback()
    webhook = db.session.scalars(select(Webhook).where(Webhook.organization_id == acme.organization.id)).one()
    assert (webhook.deleted_by, webhook.is_told) == (acme.olivia.id, False), "it is in the trash"
