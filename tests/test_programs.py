"""Tokens with a scope, a limit and a second secret for a while; accounts that belong to no person."""

from __future__ import annotations

import re
from datetime import timedelta

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from dataelan_web.extensions import db
from dataelan_web.models import Budget, Execution, GatewayToken, Membership, Scope, ServiceAccount, State, Window, now

from . import people

SECRET = re.compile(r"dlan_[\w-]{40,}")
MODEL = "simulated/simulated-instant"


def account(client: FlaskClient, cast: people.Cast, name: str = "Billing") -> str:
    """The address of a new service account."""
    return str(client.submit(f"{cast.home}/service-accounts", {"name": name}).headers["HX-Redirect"])


def issue(client: FlaskClient, url: str, cast: people.Cast, **more: str) -> str:
    form = {"label": "Production", "project": str(cast.project.id), "expires_in": "", **more}
    answer = client.submit(f"{url}/tokens", form)
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return SECRET.findall(answer.get_data(as_text=True))[0]


def ask(secret: str, app: Flask, model: str = MODEL, **more: object) -> tuple[int, str]:
    """(status, code of the error)"""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **more}
    answer = people.browser(app).post("/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {secret}"})
    return answer.status_code, (answer.json.get("error") or {}).get("code")  # type: ignore[union-attr]


def token_of(secret: str) -> GatewayToken:
    db.session.rollback()
    query = select(GatewayToken).where(GatewayToken.token_hash == GatewayToken.digest(secret))
    return db.session.scalars(query.execution_options(populate_existing=True)).one()


def test_a_service_account_goes_on_when_whoever_made_it_leaves_and_stops_when_switched_off(
    app: Flask, acme: people.Cast, simulated: str
) -> None:
    adam, olivia = people.browser(app, acme.adam), people.browser(app, acme.olivia)
    url = account(adam, acme)
    secret = issue(adam, url, acme)
    own = people.browser(app, acme.adam).submit(
        f"{acme.home}/projects/{acme.project.id}/tokens", {"label": "His own", "expires_in": ""}
    )
    his = SECRET.findall(own.get_data(as_text=True))[0]
    here = select(Membership.id).where(
        Membership.organization_id == acme.organization.id, Membership.user_id == acme.adam.id
    )
    olivia.submit(f"{acme.home}/members/{db.session.scalar(here)}/removal")
    assert ask(secret, app) == (200, None)
    assert ask(his, app)[0] == 401
    run = db.session.scalars(select(Execution).where(Execution.token_id == token_of(secret).id)).one()
    assert run.user_id is None, "nobody's own spend"
    olivia.submit(f"{url}/state", {"is_enabled": "no"})
    assert ask(secret, app)[0] == 401
    olivia.submit(f"{url}/state", {"is_enabled": "yes"})
    assert ask(secret, app)[0] == 200
    assert "Last used" in olivia.get(url).get_data(as_text=True)
    olivia.submit(f"{url}/deletion")
    assert ask(secret, app)[0] == 401
    assert db.session.get_one(Execution, run.id, populate_existing=True).token_id is None


def test_a_token_asks_for_what_it_may_and_is_told_what_that_is(app: Flask, acme: people.Cast, simulated: str) -> None:
    olivia = people.browser(app, acme.olivia)
    url = account(olivia, acme)
    form = {"label": "Scoped", "project": str(acme.project.id), "expires_in": "", "allows": "no-such-model"}
    wrong = olivia.submit(f"{url}/tokens", form)
    assert wrong.status_code == 422
    assert "no model or rule is called “no-such-model”" in wrong.get_data(as_text=True)
    secret = issue(olivia, url, acme, allows=f"{MODEL}, {MODEL} ,", budget="12.50", expires_in="30")
    token = token_of(secret)
    assert token.allows == [MODEL]
    assert token.expires_at
    assert abs(token.expires_at - now() - timedelta(days=30)) < timedelta(minutes=1)
    budget = db.session.scalars(select(Budget).where(Budget.subject_id == token.id)).one()
    assert (budget.scope, budget.window, budget.limit) == (Scope.TOKEN, Window.MONTH, 12_500_000_000)
    assert ask(secret, app) == (200, None)
    for other in ("auto", "simulated-instant", "simulated/simulated-slow", MODEL.upper()):
        assert ask(secret, app, other) == (403, "model_not_allowed")
    listed = people.browser(app).get("/v1/models", headers={"Authorization": f"Bearer {secret}"}).json
    assert [one["id"] for one in listed["data"]] == [MODEL]  # type: ignore[index]
    stored = people.template(acme, "Hello", requested="auto")
    assert ask(secret, app, f"prompt:{stored.slug}")[0] == 403, "nor by way of a saved prompt"
    token.expires_at = now() - timedelta(seconds=1)
    db.session.commit()
    assert ask(secret, app)[0] == 401


def test_whoever_makes_a_token_sees_its_first_call_come(app: Flask, acme: people.Cast, simulated: str) -> None:
    olivia, tokens = people.browser(app, acme.olivia), f"{acme.home}/projects/{acme.project.id}/tokens"
    page = olivia.submit(tokens, {"label": "Nightly", "expires_in": ""}).get_data(as_text=True)
    secret = SECRET.findall(page)[0]
    url = f"{tokens}/{token_of(secret).id}/first-call"
    assert f'hx-get="{url}"' in page, "the page asks by itself"

    def told() -> str:
        return " ".join(olivia.get(url).get_data(as_text=True).split())

    assert "Waiting for its first call" in told()
    people.browser(app).get("/v1/models", headers={"Authorization": f"Bearer {secret}"})
    assert "has run nothing yet" in told()
    assert ask(secret, app, "none<b>")[0] == 404
    assert "“none&lt;b&gt;” can be used here" in told()
    assert "Waiting for the next one" in told()
    assert "hx-get" in told()
    assert ask(secret, app) == (200, None)
    assert "Its first call: simulated-instant answered in" in told()
    completed = Execution.token_id == token_of(secret).id, Execution.state == State.COMPLETED
    run = db.session.scalars(select(Execution).where(*completed)).one()
    assert f'href="{acme.home}/executions/{run.id}"' in told()
    assert " for $0." in told()
    run.cost = None
    db.session.commit()
    assert " for " not in told(), "nobody knows its price"
    assert "hx-get" not in told(), "and no more"
    form = {"label": "Production", "project": str(acme.project.id), "expires_in": ""}
    page = olivia.submit(f"{account(olivia, acme)}/tokens", form).get_data(as_text=True)
    assert "Waiting for its first call" in page, "also of a service account"


def test_a_first_call_is_not_waited_for_for_ever(app: Flask, acme: people.Cast) -> None:
    token, _ = GatewayToken.issue(acme.project, acme.olivia.id, "Never used")
    token.created_at = now() - timedelta(minutes=11)
    db.session.add(token)
    db.session.commit()
    url = f"{acme.home}/projects/{acme.project.id}/tokens/{token.id}/first-call"
    told = people.browser(app, acme.olivia).get(url).get_data(as_text=True)
    assert "No call has come yet." in told
    assert "hx-get" not in told


def test_what_a_token_may_ask_for_is_listed_as_it_may_be_named(app: Flask, acme: people.Cast, simulated: str) -> None:
    token, secret = GatewayToken.issue(acme.project, acme.olivia.id, "Narrow")
    token.allows = ["simulated/simulated-instant"]
    db.session.add(token)
    db.session.commit()
    headers = {"Authorization": f"Bearer {secret}", "anthropic-version": "2023-06-01"}
    listed = people.browser(app).get("/v1/models", headers=headers).json
    assert [one["id"] for one in listed["data"]] == token.allows  # type: ignore[index]
    token.allows = ["nothing/here"]
    db.session.commit()
    assert people.browser(app).get("/v1/models", headers=headers).json["first_id"] is None  # type: ignore[index]


def test_a_rotated_token_takes_both_secrets_for_its_grace_and_then_one(app: Flask, acme: people.Cast) -> None:
    olivia = people.browser(app, acme.olivia)
    url = account(olivia, acme)
    first = issue(olivia, url, acme)
    models = {"url": "/v1/models"}

    def is_taken(secret: str) -> bool:
        return people.browser(app).get(models["url"], headers={"Authorization": f"Bearer {secret}"}).status_code == 200

    id = token_of(first).id
    page = olivia.submit(f"{url}/tokens/{id}/rotation", {"grace": "24"}).get_data(as_text=True)
    (second,) = SECRET.findall(page)
    assert "the old secret is taken until" in page
    assert is_taken(first)
    assert is_taken(second)
    assert second not in olivia.get(url).get_data(as_text=True)
    db.session.get_one(GatewayToken, id, populate_existing=True).previous_until = now()
    db.session.commit()
    assert not is_taken(first)
    assert is_taken(second)
    (third,) = SECRET.findall(olivia.submit(f"{url}/tokens/{id}/rotation", {"grace": "0"}).get_data(as_text=True))
    assert [is_taken(one) for one in (first, second, third)] == [False, False, True]
    assert olivia.submit(f"{url}/tokens/{id}/rotation", {"grace": "9999"}).status_code == 422
    olivia.submit(f"{url}/tokens/{id}/revocation")
    assert not is_taken(third)
    assert olivia.submit(f"{url}/tokens/{id}/rotation", {"grace": "0"}).status_code == 422, "revoked is for ever"


def test_a_members_token_is_rotated_by_its_maker_and_a_service_accounts_by_admins(
    app: Flask, acme: people.Cast
) -> None:
    mia, gina = people.browser(app, acme.mia), people.browser(app, acme.gina)
    tokens = f"{acme.home}/projects/{acme.project.id}/tokens"
    made = mia.submit(tokens, {"label": "Hers", "expires_in": "", "allows": ""}).get_data(as_text=True)
    hers = token_of(SECRET.findall(made)[0]).id
    assert gina.submit(f"{tokens}/{hers}/rotation", {"grace": "24"}).status_code == 403, "it would carry Mia's right"
    assert mia.submit(f"{tokens}/{hers}/rotation", {"grace": "24"}).status_code == 200
    olivia = people.browser(app, acme.olivia)
    service = token_of(issue(olivia, account(olivia, acme), acme)).id
    for act in ("rotation", "revocation"):
        assert mia.submit(f"{tokens}/{service}/{act}", {"grace": "24"}).status_code == 403
    assert mia.submit(f"{tokens}/{hers}/rotation", {"grace": "9999"}).status_code == 422
    assert "Billing" in mia.get(tokens).get_data(as_text=True)


def test_two_service_accounts_are_not_called_the_same(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    olivia = people.browser(app, acme.olivia)
    url = account(olivia, acme)
    assert olivia.submit(f"{acme.home}/service-accounts", {"name": "Billing"}).status_code == 422
    account(people.browser(app, rival.olivia), rival)
    other = account(olivia, acme, "Search")
    assert "has this name" in olivia.submit(other, {"name": "Billing"}).get_data(as_text=True)
    assert "Saved." in olivia.submit(url, {"name": "Invoices", "description": "Writes them"}).get_data(as_text=True)
    names = select(ServiceAccount.name).where(ServiceAccount.organization_id == acme.organization.id)
    assert set(db.session.scalars(names)) == {"Invoices", "Search"}
