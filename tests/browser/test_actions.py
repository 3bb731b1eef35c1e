"""An action is declared, tried, called by a model, repaired, approved and delivered; another is declined."""

from __future__ import annotations

import json
from collections.abc import Callable

from playwright.sync_api import Page, expect

from dataelan_web.extensions import db
from dataelan_web.models import ActionCall
from tests import acting, people
from tests.receiver import receiver

from . import steps
from .test_pages import assert_fine, look  # noqa: F401  (a fixture)

Opener = Callable[..., Page]


def test_an_action_goes_the_whole_way_from_its_declaration_to_its_receiver(
    look: Opener,  # noqa: F811
    acme: people.Cast,
) -> None:
    with receiver() as program:
        admin = look(acme.adam)
        admin.goto(f"{acme.home}/projects/{acme.project.id}")
        admin.get_by_role("link", name="Actions", exact=True).click()
        expect(admin.get_by_role("heading", name="No actions yet")).to_be_visible()
        assert_fine(admin, "no-actions")
        admin.get_by_role("link", name="Declare an action").click()

        # The form says beside the fields what is wrong while it is typed.
        admin.get_by_label("Arguments, as a JSON Schema").fill('{"type": "object"')
        expect(admin.locator("#checked-schema")).to_contain_text("This is not JSON")
        admin.get_by_label("Arguments, as a JSON Schema").fill(json.dumps(acting.SCHEMA, indent=2))
        expect(admin.locator("#checked-schema")).to_contain_text("can be used")
        expect(admin.locator("#checked-sample")).to_contain_text("The sample fits it")
        admin.get_by_label("Name", exact=True).fill("create_ticket")
        admin.get_by_role("button", name="Declare action").click()
        expect(admin.get_by_text("Say what it does")).to_be_visible()
        assert_fine(admin, "action-form")
        admin.get_by_label("What it does").fill("Opens a ticket at the service desk.")
        admin.get_by_label("Address").fill(program.url)
        admin.get_by_role("button", name="Declare action").click()
        expect(admin.locator("#secret")).to_contain_text("whsec_")
        secret = admin.locator("#secret").inner_text()
        admin.get_by_role("button", name="Send the sample").click()
        expect(admin.get_by_text("The test was delivered")).to_be_visible()
        assert program.got[0].verified(secret)["type"] == "action.test"
        assert_fine(admin, "action")

        # Mia's model asks for it, at first with arguments that do not fit.
        page = look(acme.mia)
        page.goto(acme.session_url)
        page.locator("#offer > summary").click()
        expect(page.get_by_role("checkbox", name="create_ticket")).to_be_checked()
        assert_fine(page, "offer")
        page.locator("#offer > summary").click()
        text = "!simulate broken=1\nCreate a ticket about the Printer"
        steps.finished(steps.ask(page, text, "simulated/simulated-instant"))
        call = page.locator(".call")
        expect(call).to_have_attribute("data-state", "waiting")
        expect(call).to_contain_text("1 repair")
        expect(call.locator(".arguments")).to_contain_text("priority")
        assert_fine(page, "waiting-call")

        # Adam reads it where approvals are, and agrees; Mia's card hears of it by itself.
        admin.goto(f"{acme.home}/projects/{acme.project.id}/approvals")
        expect(admin.locator(".page-tabs .tab-count")).to_contain_text("1")
        assert_fine(admin, "approvals")
        admin.get_by_role("button", name="Approve").click()
        expect(call).to_have_attribute("data-state", "delivered")
        expect(call).to_contain_text("Approved by Adam")
        assert_fine(page, "delivered-call")
        stored = db.session.query(ActionCall).filter_by(organization_id=acme.organization.id).one()
        assert program.got[1].id == str(stored.id)
        assert program.got[1].verified(secret)["data"]["arguments"] == stored.arguments
        call.get_by_role("link", name="create_ticket").click()
        expect(page.get_by_role("heading", name="Deliveries")).to_be_visible()
        page.locator(".sent > summary").click()
        assert_fine(page, "call")

        # The next is declined, with the reason; by keyboard.
        page.goto(acme.session_url)
        steps.finished(steps.ask(page, "Create a ticket once more", "simulated/simulated-instant"))
        second = page.locator(".call").last
        expect(second).to_have_attribute("data-state", "waiting")
        second.locator(".call-decline > summary").press("Enter")
        second.get_by_label("Reason").fill("One is enough")
        page.keyboard.press("Enter")
        expect(second).to_have_attribute("data-state", "declined")
        expect(second).to_contain_text("One is enough")
        admin.goto(f"{acme.home}/projects/{acme.project.id}/calls")
        expect(admin.locator("tbody tr")).to_have_count(2)
        assert_fine(admin, "calls")
        assert len(program.got) == 2
