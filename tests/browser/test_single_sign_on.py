"""All the way from signing up to signing in at one's organization's provider, which is a real one: every page of it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect
from sqlalchemy import select

from dataelan_web.extensions import db
from dataelan_web.models import ClaimedDomain, ProvenBy
from dataelan_web.sso import domains
from tests.test_sso import CLIENT, SECRET, issuer, known_at  # noqa: F401  (a fixture)

from .test_pages import assert_fine, look  # noqa: F401  (a fixture)

PASSWORD = "correct horse battery"


def test_from_signing_up_to_the_single_sign_on_of_an_enterprise(
    look: Callable[..., Page],  # noqa: F811
    context: None,
    issuer: str,  # noqa: F811
) -> None:
    mark = uuid.uuid4().hex[:8]
    domain = f"d{mark}.example"
    owner, ada, ben = look(), look(), look()

    owner.goto("/signup")
    owner.get_by_label("Your name").fill("Olivia")
    owner.get_by_label("E-mail").fill(f"olivia@{domain}")
    owner.get_by_label("Password").fill(PASSWORD)
    owner.get_by_role("button", name="Create account").click()
    owner.wait_for_url("**/o/**")
    assert_fine(owner, "the first page of who signed up")

    owner.goto("/organizations/new")
    owner.get_by_label("Name").fill(f"Acme {mark}")
    owner.get_by_role("button", name="Create organization").click()
    owner.get_by_role("button", name="Invite people").click()
    home = re.sub(r"/members.*", "", urlsplit(owner.url).path)
    owner.get_by_label("E-mail addresses").fill(f"ada@{domain}")
    owner.get_by_role("button", name="Invite", exact=True).click()
    link = re.search(r"/join/[\w-]{40,}", owner.locator("#link-1").inner_text())
    assert link
    ada.goto(link[0])
    ada.get_by_label("Your name").fill("Ada")
    ada.get_by_label("Password").fill(PASSWORD)
    ada.get_by_role("button", name="Create account and join").click()
    expect(ada.locator("#toasts")).to_contain_text(f"Welcome to Acme {mark}")
    owner.goto(f"{home}/members")
    owner.get_by_label("Role of Ada").select_option("ADMIN")
    expect(owner.locator("#toasts")).to_contain_text("Ada is an admin now.")

    owner.goto(f"{home}/settings/single-sign-on")
    expect(owner.get_by_text("Single sign-on is for enterprises")).to_be_visible()
    assert_fine(owner, "single sign-on, of a team")
    owner.get_by_role("link", name="Kinds of organizations").click()
    owner.get_by_role("button", name="Make it an enterprise").click()
    expect(owner.get_by_role("button", name="Make it a team")).to_be_visible()

    # Ada, who is an admin now, sets it up.
    ada.goto(f"{home}/settings/single-sign-on")
    assert_fine(ada, "single sign-on, not set up")
    ada.get_by_label("Issuer").fill(issuer)
    ada.get_by_label("Client ID").fill(CLIENT)
    ada.get_by_label("Client secret").fill(SECRET)
    ada.get_by_label("Groups of admins").fill("chiefs")
    ada.get_by_label("Groups of members").fill("staff\nguests")
    ada.get_by_role("button", name="Test the connection").click()
    expect(ada.locator("#sso-tested")).to_contain_text(issuer)
    assert_fine(ada, "single sign-on, tested")
    ada.get_by_role("button", name="Save").click()
    expect(ada.locator("#toasts")).to_contain_text("Single sign-on is saved.")
    ada.get_by_label("Domain", exact=True).fill(domain)
    ada.get_by_role("button", name="Add", exact=True).click()
    expect(ada.get_by_text("Not proven")).to_be_visible()
    claimed = db.session.scalars(select(ClaimedDomain).where(ClaimedDomain.domain == domain)).one()
    domains.prove(claimed, ProvenBy.OPERATOR)
    ada.reload()
    expect(ada.get_by_text("Proven", exact=True)).to_be_visible()
    assert_fine(ada, "single sign-on, set up")

    # Ben has no account: only the provider knows him.
    subject = f"ben-{mark}"
    known_at(issuer, subject, email=f"ben@{domain}", email_verified=True, name="Ben", groups=["staff"])
    provider_is_plain(ben)
    ben.goto("/login")
    ben.get_by_role("link", name="Continue with single sign-on").click()
    assert_fine(ben, "whose single sign-on?")
    ben.get_by_label("organization").fill(f"ben@nowhere-{domain}")
    ben.get_by_role("button", name="Continue").click()
    expect(ben.get_by_text("No organization here signs people in by this.")).to_be_visible()
    assert_fine(ben, "nobody's single sign-on")
    ben.get_by_label("organization").fill(f"ben@{domain}")
    ben.get_by_role("button", name="Continue").click()
    ben.wait_for_url(f"{issuer}/**")
    ben.get_by_role("button", name="Deny").click()
    expect(ben.get_by_text("broke off")).to_be_visible()
    only_the_provider_was_asked(ben, issuer)
    assert_fine(ben, "broken off at the provider")
    ben.goto(f"/login?next={home}/members")
    ben.get_by_role("link", name="Continue with single sign-on").click()
    ben.wait_for_url(f"{issuer}/**")  # it is known where he is going
    ben.get_by_placeholder("sub").fill(subject)
    ben.get_by_role("button", name="Authorize").click()
    ben.wait_for_url(f"**{home}/members")
    only_the_provider_was_asked(ben, issuer)
    assert_fine(ben, "inside, by single sign-on")
    ben.goto(f"{home}/help/roles")
    expect(ben.get_by_text("You are a member here")).to_be_visible()
    ben.goto("/account")
    assert_fine(ben, "the account of who came by it")

    ada.reload()
    expect(ada.get_by_role("table", name="Who came by it")).to_contain_text(f"ben@{domain}")
    assert_fine(ada, "who came by it")


def provider_is_plain(page: Page) -> None:
    """Its page asks another site for its looks, which no test is to reach."""
    page.route("https://cdn.jsdelivr.net/**", lambda route: route.fulfill(body="", content_type="text/css"))


def only_the_provider_was_asked(page: Page, issuer: str) -> None:  # noqa: F811
    elsewhere = page.watch.elsewhere  # type: ignore[attr-defined]
    assert [url for url in elsewhere if not url.startswith((f"{issuer}/", "https://cdn.jsdelivr.net/"))] == []
    elsewhere.clear()
