"""flask commands and the settings: what an operator types, and what comes of it."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import create_engine, func, select, text

from dataelan_web import create_app
from dataelan_web.acting import declaring
from dataelan_web.config import ConfigError, Settings, load
from dataelan_web.extensions import db
from dataelan_web.hub.keys.rotation import place_of
from dataelan_web.models import (
    ActionReceiver,
    APIKey,
    Delivery,
    GatewayToken,
    Membership,
    Model,
    Organization,
    Price,
    Project,
    Provider,
    Role,
    RoutingRule,
    User,
    Webhook,
    now,
)
from dataelan_web.notify import letters, webhooks
from dataelan_web.secrets import keyring

from . import acting, people
from .upstream import Upstream, upstream

OLD, NEW = ("k1", b"0123456789" * 3 + b"01"), ("k2", b"9876543210" * 3 + b"98")
ANSWER = {
    "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}


@pytest.fixture(scope="module")
def settings(environment: dict[str, str]) -> Iterator[Settings]:
    """A database of its own: these commands are about everything that is in one."""
    plain = load(environment)
    name = f"cli_{uuid.uuid4().hex[:8]}"
    engine = create_engine(plain.database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = engine.url.set(database=name).render_as_string(hide_password=False)
    settings = replace(plain, database_url=url, keys=(OLD,))
    with create_app(settings).app_context():
        upgrade()
        db.engine.dispose()
    yield settings
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def operator(settings: Settings) -> Iterator[Flask]:
    app = create_app(settings)
    with app.app_context():
        yield app
        db.session.rollback()


@pytest.fixture
def provider() -> Iterator[Upstream]:
    with upstream() as provider:
        provider.answers(ANSWER)
        yield provider


def run(app: Flask, *args: str) -> Result:
    db.session.rollback()
    return app.test_cli_runner().invoke(args=list(args))


def bootstrap(app: Flask, *more: str, email: str = "op@example.com", org: str = "Works") -> dict[str, Any]:
    who = ("--email", email, "--password", "a long password", "--org", org, "--project", "First")
    result = run(app, "bootstrap", *who, *more)
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    made: dict[str, Any] = json.loads(line)
    return made


def offer(url: str, model: str = "mock-model", key: str = "sk-mock-0123456789", kind: str = "openai") -> list[str]:
    return ["--provider-kind", kind, "--provider-url", url, "--provider-key", key, "--model", model]


def ask(app: Flask, token: str, model: str = "auto", **more: object) -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], **more}
    return app.test_client().post("/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {token}"})


def rows(*tables: type[Any]) -> list[int]:
    db.session.rollback()
    return [db.session.scalar(select(func.count()).select_from(table)) for table in tables]


# -- bootstrap -------------------------------------------------------------------------------------


def test_bootstrap_prints_one_line_and_its_token_works(operator: Flask, provider: Upstream) -> None:
    made = bootstrap(operator, *offer(provider.url))
    assert set(made) == {"user", "organization", "project", "rule", "token", "models"}
    assert made["user"] == "op@example.com"
    assert made["models"] == ["mock-model"]
    for name in ("auto", "mock-model", made["rule"]):
        answer = ask(operator, made["token"], name)
        assert answer.json["choices"][0]["message"]["content"] == "Hello"
        assert answer.headers["x-dataelan-model"] == "mock-model"
        assert answer.headers["x-dataelan-cost-usd"] == "0"  # a private address: a server of one's own
    assert {sent["headers"]["Authorization"] for sent in provider.requests} == {"Bearer sk-mock-0123456789"}


def test_bootstrap_twice_makes_nothing_new_but_the_token(operator: Flask, provider: Upstream) -> None:
    tables = (User, Organization, Membership, Project, Provider, APIKey, Model, Price, RoutingRule)
    args = ["--budget", "5", *offer(provider.url), *offer(provider.url, "second-model")]
    first = bootstrap(operator, *args, org="Twice")
    before, tokens = rows(*tables), rows(GatewayToken)[0]
    second = bootstrap(operator, *args, org="Twice")
    assert rows(*tables) == before
    assert rows(GatewayToken)[0] == tokens + 1
    assert second.pop("token") != first.pop("token")
    assert second == first
    assert ask(operator, bootstrap(operator, *args, org="Twice")["token"]).status_code == 200


def test_bootstrap_with_another_key_replaces_the_key(operator: Flask, provider: Upstream) -> None:
    bootstrap(operator, *offer(provider.url, key="sk-old-0123456789"), org="Rekeyed")
    made = bootstrap(operator, *offer(provider.url, key="sk-new-0123456789"), org="Rekeyed")
    assert ask(operator, made["token"]).status_code == 200
    assert provider.requests[-1]["headers"]["Authorization"] == "Bearer sk-new-0123456789"


def test_bootstrap_takes_several_providers_and_one_without_a_key(operator: Flask, provider: Upstream) -> None:
    with upstream() as other:
        other.answers({"type": "message", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"})
        args = [*offer(provider.url, "one", key=""), *offer(other.url, "two", kind="anthropic")]
        made = bootstrap(operator, *args, org="Several")
        assert made["models"] == ["one", "two"]
        assert ask(operator, made["token"], "one").json["choices"][0]["message"]["content"] == "Hello"
        assert ask(operator, made["token"], "two").json["choices"][0]["message"]["content"] == "Hi"
        assert "Authorization" not in provider.requests[-1]["headers"]
        assert other.requests[-1]["headers"]["x-api-key"] == "sk-mock-0123456789"


def test_bootstrap_without_a_provider_gives_a_token_all_the_same(operator: Flask) -> None:
    made = bootstrap(operator, org="Bare")
    assert made["rule"] is None
    assert made["models"] == []
    assert ask(operator, made["token"]).status_code in (400, 404)


def test_the_budget_holds(operator: Flask, provider: Upstream) -> None:
    """gpt-4o has a price in the catalogue, so its cost can be held to a budget."""
    made = bootstrap(operator, "--budget", "0.01", *offer(provider.url, "gpt-4o"), org="Thrifty")
    answer = ask(operator, made["token"])
    assert answer.status_code == 200
    assert float(answer.headers["x-dataelan-cost-usd"]) > 0
    made = bootstrap(operator, "--budget", "0.000001", *offer(provider.url, "gpt-4o"), org="Thrifty")
    sent = len(provider.requests)
    assert ask(operator, made["token"]).status_code == 402
    assert len(provider.requests) == sent


def test_a_wrong_bootstrap_is_refused_with_a_word_and_makes_nothing(operator: Flask) -> None:
    before = rows(User, Provider)
    who = ["--email", "nobody@example.com", "--password", "a long password", "--org", "X", "--project", "Y"]
    wrong = [
        (["--provider-kind", "openai", "--provider-url", "http://127.0.0.1:1/v1"], "the same number of times"),
        ([*offer("http://127.0.0.1:1/v1"), "--model", "second"], "the same number of times"),
        (["--budget", "much"], "not an amount"),
        (["--budget", "-1"], "must not be negative"),
        (["--budget", "NaN"], "must not be negative"),
        (["--budget", "1e30"], "$1,000,000,000 is the most"),
        (["--email", "nobody"], "not an e-mail address"),
        (["--org", " "], "a name has 1 to 100 characters"),
        (["--project", "P" * 201], "a name has 1 to 200 characters"),
        (offer("http://127.0.0.1:1/v1", kind="telepathy"), "telepathy"),
        (offer("ftp://127.0.0.1/v1"), "Enter an address"),
        (offer("http://user:password@127.0.0.1/v1"), "Enter an address"),
    ]
    for args, word in wrong:
        result = run(operator, "bootstrap", *who, *args)
        assert result.exit_code in (1, 2), args
        assert word in result.output
        assert isinstance(result.exception, SystemExit)  # and no traceback
    assert rows(User, Provider) == before


def test_a_bootstrap_warns_of_a_password_that_no_form_would_take(operator: Flask) -> None:
    who = ("--email", "tries@localhost", "--password", "short", "--org", "Tries", "--project", "First")
    made = run(operator, "bootstrap", *who)
    assert made.exit_code == 0
    assert made.stderr.startswith("Warning: The password needs at least 12 characters.")
    assert json.loads(made.stdout)["organization"]


def test_a_bootstrap_finds_neither_who_cannot_sign_in_nor_what_was_deleted(operator: Flask) -> None:
    first = bootstrap(operator, email="gone@example.com", org="Gone")
    home = db.session.scalars(select(Organization).where(Organization.slug == first["organization"])).one()
    home.deleted_at = now()
    db.session.commit()
    assert bootstrap(operator, email="gone@example.com", org="Gone")["organization"] != first["organization"]
    gone = db.session.scalars(select(User).where(User.email == "gone@example.com")).one()
    gone.disabled_at = now()
    db.session.commit()
    who = ("--email", gone.email, "--password", "a long password", "--org", "Gone", "--project", "First")
    assert "is switched off" in run(operator, "bootstrap", *who).output


# -- the other commands ----------------------------------------------------------------------------


def test_an_organization_that_is_none_is_told_and_not_found_in_order(operator: Flask) -> None:
    for does in ("verify", "rebuild"):
        result = run(operator, "rollups", does, "--org", "nowhere")
        assert (result.exit_code, result.output) == (1, "Error: There is no organization 'nowhere'.\n")


def test_a_file_that_is_no_text_is_told_of(operator: Flask, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for command in (("rules", "import"), ("keys", "add", "--provider", "openai", "--key-file")):
        assert "binary is not a text file." in run(operator, *command, str(tmp_path / "binary")).output


@pytest.mark.parametrize(("option", "value"), [("--seed", "9" * 20), ("--email", "nobody"), ("--org", "")])
def test_a_demo_of_nobody_or_by_no_seed_is_refused(operator: Flask, option: str, value: str) -> None:
    result = run(operator, "seed-demo", "--executions", "1", "--days", "1", option, value)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.output.splitlines()[-1].startswith("Error: ")


def test_create_superuser_makes_one_or_raises_one(operator: Flask) -> None:
    args = ("create-superuser", "--email", "Root@Example.com", "--password", "a long password")
    for _ in range(2):
        assert run(operator, *args).output == "root@example.com is a superuser.\n"
    assert "keep the password they have" in run(operator, *args[:-1], "another long password").output
    root = db.session.scalars(select(User).where(User.email == "root@example.com")).one()
    assert root.is_superuser
    assert root.has_password("a long password")
    assert run(operator, *args[:-1], "short").exit_code == 1
    for nothing in ("", "root", "root@", f"{'r' * 250}@example.com"):
        assert "not an e-mail address" in run(operator, *args[:2], nothing, *args[3:]).output
    root.is_superuser, root.disabled_at = False, now()
    db.session.commit()
    assert "is switched off; take another address" in run(operator, *args).output
    assert not db.session.get_one(User, root.id, populate_existing=True).is_superuser


def test_loading_providers_twice_changes_nothing(operator: Flask) -> None:
    first = run(operator, "load-providers")
    assert first.exit_code == 0
    assert " providers." in first.output
    before = rows(Provider, Model, Price)
    assert before[0] >= 12
    assert run(operator, "load-providers").output == first.output
    assert rows(Provider, Model, Price) == before


# -- encryption keys -------------------------------------------------------------------------------


def test_keys_are_rotated_online_and_the_old_one_can_then_be_retired(operator: Flask, settings: Settings) -> None:
    cast = people.cast("Rotating")
    secrets = [f"sk-rotate-{number}-0123456789" for number in range(5)]
    ids = [people.own_provider(cast, "https://models.example.com/v1", secret=secret).id for secret in secrets]
    hook, before = webhooks.create(cast.organization, None, "Ops", "http://127.0.0.1:9/", [])
    hook_secrets = [webhooks.rotate(hook), before]
    action, first = declaring.create(cast.project, acting.draft("http://127.0.0.1:9/"), cast.olivia.id)
    action_secrets = [declaring.rotate(action), first]
    letters.about_account("ada@example.com", "A new password", "Here:", "/reset/secret", is_secret=True)
    db.session.commit()
    total = rows(APIKey)[0] + 5
    assert run(operator, "keys", "status").output == f"k1: {total}\n"
    both = create_app(replace(settings, keys=(NEW, OLD)))
    with both.app_context():
        assert "All secrets can be read." in run(both, "keys", "verify").output
        assert f"{total} secrets still need k1" in run(both, "keys", "retire", "k1").output
        assert "k2 is the key that encrypts" in run(both, "keys", "retire", "k2").output
        assert run(both, "keys", "rotate").output == f"{total} secrets were sealed anew.\n"
        assert run(both, "keys", "rotate").output == "0 secrets were sealed anew.\n"
        assert run(both, "keys", "status").output == f"k2: {total}\n"
        assert run(both, "keys", "retire", "k1").exit_code == 0
        assert "DATAELAN_KEYS has no k9. It has: k2, k1." in run(both, "keys", "retire", "k9").output
        db.session.rollback()
        for id, secret in zip(ids, secrets, strict=True):
            key = db.session.get_one(APIKey, id)
            assert keyring().decrypt(key.ciphertext, place_of(key)) == secret
        assert webhooks.secrets_of(db.session.get_one(Webhook, hook.id)) == hook_secrets
        receiver = db.session.get_one(ActionReceiver, action.version.receiver_id)
        assert declaring.secrets_of(receiver) == action_secrets
        waiting = db.session.scalars(select(Delivery).where(Delivery.address == "ada@example.com")).one()
        assert waiting.payload["sealed_path"].startswith("dk2.k2."), "it may be sent days after its key was taken out"
        assert letters.opened(waiting)["path"] == "/reset/secret"
    verified = run(operator, "keys", "verify")  # whose process has the old key only
    assert verified.exit_code == 1
    assert verified.output.count("not in DATAELAN_KEYS") == total
    back = create_app(replace(settings, keys=(OLD, NEW)))
    with back.app_context():
        assert run(back, "keys", "rotate").exit_code == 0


def test_rotation_goes_past_a_key_that_cannot_be_read_and_says_so(operator: Flask, settings: Settings) -> None:
    cast = people.cast("Damaged")
    damaged = people.own_provider(cast, "https://models.example.com/v1")
    damaged.ciphertext = damaged.ciphertext[:-3] + "AAA"
    sound = people.own_provider(cast, "https://other.example.com/v1")
    db.session.commit()
    both = create_app(replace(settings, keys=(NEW, OLD)))
    with both.app_context():
        result = run(both, "keys", "rotate")
        assert result.exit_code == 1
        assert "1 could not be" in result.output
        assert str(damaged.id) in run(both, "keys", "verify").output
        assert db.session.get_one(APIKey, sound.id).ciphertext.startswith("dk2.k2.")
        db.session.delete(db.session.get_one(APIKey, damaged.id))
        db.session.commit()
    with create_app(replace(settings, keys=(OLD, NEW))).app_context() as context:
        assert run(context.app, "keys", "rotate").exit_code == 0


# -- settings --------------------------------------------------------------------------------------

GOOD = {
    "DATABASE_URL": "postgresql://user:secret-password@localhost/dataelan",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "SECRET_KEY": "x" * 32,
    "DATAELAN_KEYS": "k1:" + base64.b64encode(OLD[1]).decode(),
    "DATAELAN_MAIL_URL": "smtp://user:secret-password%40home@mail.example.com",
    "DATAELAN_MAIL_FROM": "Dataelan, the workbench <no-reply@example.com>",
}


def test_good_settings_are_typed_and_do_not_show_their_secrets() -> None:
    settings = load(GOOD | {"DATAELAN_OPEN_SIGN_UP": "No", "DATAELAN_WORKER_CONCURRENCY": "7"})
    assert settings.keys == (OLD,)
    assert settings.open_sign_up is False
    assert settings.private_addresses is False
    assert settings.reachable_hosts == ()
    listed = "API.openai.com *.example.com 127.0.0.1 fd00::1"
    assert load(GOOD | {"DATAELAN_REACHABLE_HOSTS": listed}).reachable_hosts == tuple(listed.lower().split())
    assert settings.worker_concurrency == 7
    assert settings.public_url == "http://127.0.0.1:8000"
    assert settings.mail
    assert (settings.mail.host, settings.mail.port, settings.mail.tls) == ("mail.example.com", 587, "starttls")
    assert (settings.mail.user, settings.mail.password) == ("user", "secret-password@home")
    assert settings.mail.sender == "no-reply@example.com"
    for secret in ("secret-password", GOOD["SECRET_KEY"], "0123456789"):
        assert secret not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "sqlite:///x.db"),
        ("DATABASE_URL", "not an address"),
        ("DATABASE_URL", "postgresql://localhost:port/x"),
        ("REDIS_URL", ""),
        ("REDIS_URL", "http://localhost"),
        ("REDIS_URL", "redis://localhost:port/0"),
        ("PORT", "70000"),
        ("PORT", "http"),
        ("DATAELAN_STORAGE_URL", "s3:///files"),
        ("DATAELAN_LOCAL_SERVERS", "http://127.0.0.1:11434/v1 localhost"),
        ("DATAELAN_SIMULATED_URL", "simulated:9000"),
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "too short"),
        ("DATAELAN_KEYS", ""),
        ("DATAELAN_KEYS", "k1"),
        ("DATAELAN_KEYS", "k1:"),
        ("DATAELAN_KEYS", "k1:not base64!"),
        ("DATAELAN_KEYS", "k1:schlüssel"),
        ("DATAELAN_KEYS", "k1:c2hvcnQ="),
        ("DATAELAN_KEYS", GOOD["DATAELAN_KEYS"].replace("k1", "k.1")),
        ("DATAELAN_KEYS", GOOD["DATAELAN_KEYS"].replace("k1:", ":")),
        ("DATAELAN_KEYS", f"{GOOD['DATAELAN_KEYS']},{GOOD['DATAELAN_KEYS']}"),
        ("DATAELAN_KEYS", f"{GOOD['DATAELAN_KEYS']},"),
        ("DATAELAN_OPEN_SIGN_UP", "perhaps"),
        ("DATAELAN_SIGN_UP_DOMAINS", "@example.com"),
        ("DATAELAN_SIGN_UP_DOMAINS", "example.com,example.org"),
        ("DATAELAN_SECURE_COOKIES", "2"),
        ("DATAELAN_PRIVATE_ADDRESSES", "maybe"),
        ("DATAELAN_REACHABLE_HOSTS", "api.openai.com https://example.com"),
        ("DATAELAN_REACHABLE_HOSTS", "api.*.com"),
        ("DATAELAN_TRUSTED_HOSTS", "https://dataelan.example.com"),
        ("DATAELAN_TRUSTED_HOSTS", "web:8000"),
        ("DATAELAN_TRUSTED_PROXIES", "-1"),
        ("DATAELAN_TRUSTED_PROXIES", "many"),
        ("DATAELAN_WORKER_CONCURRENCY", "0"),
        ("DATAELAN_WORKER_CONCURRENCY", "1e3"),
        ("DATAELAN_WORKER_CONCURRENCY", "9" * 5000),
        ("DATAELAN_LOG_LEVEL", "LOUD"),
        ("DATAELAN_PUBLIC_URL", "dataelan.example.com"),
        ("DATAELAN_PUBLIC_URL", "https://dataelan.example.com/?x=1"),
        ("DATAELAN_MAIL_FROM", "nobody"),
        ("DATAELAN_MAIL_FROM", "Eve\nBcc: all@example.com <eve@example.com>"),
        ("DATAELAN_MAIL_URL", "mail.example.com:587"),
        ("DATAELAN_MAIL_URL", "https://mail.example.com"),
        ("DATAELAN_MAIL_URL", "smtp://user:secret-password@"),
        ("DATAELAN_MAIL_URL", "smtp://user:secret-password@mail.example.com:0"),
        ("DATAELAN_MAIL_URL", "smtp://user:secret-password@mail.example.com?tls=off"),
        ("DATAELAN_MAIL_URL", "smtp://mail.example.com?tls=maybe"),
        ("DATAELAN_MAIL_URL", "smtps://mail.example.com?tls=off"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name) as error:
        load(GOOD | {name: value})
    assert OLD[1].decode() not in str(error.value)
    assert "secret-password" not in str(error.value)


def test_domains_that_may_sign_up_are_named_only_where_addresses_are_confirmed() -> None:
    named = {"DATAELAN_SIGN_UP_DOMAINS": "Example.com example.org"}
    assert load(GOOD | named).sign_up_domains == ("example.com", "example.org")
    with pytest.raises(ConfigError, match="needs DATAELAN_MAIL_URL"):
        load(GOOD | named | {"DATAELAN_MAIL_URL": ""})


def test_every_setting_can_come_from_a_file(tmp_path: Path) -> None:
    environ = {}
    for name, value in GOOD.items():
        (tmp_path / name).write_text(f"{value}\n")
        environ[f"{name}_FILE"] = str(tmp_path / name)
    assert load(environ) == load(GOOD)
    assert load(environ | {"SECRET_KEY": "y" * 32}).secret_key == "y" * 32  # the value itself goes first


def test_a_folder_that_cannot_be_used_stops_the_start_and_is_named(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(ConfigError, match=r"DATAELAN_STORAGE_URL .* no files can be kept at file:///"):
        create_app(replace(settings, storage_url=(tmp_path / "taken").as_uri()))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in ("missing", "binary", "."):
        with pytest.raises(ConfigError, match="SECRET_KEY_FILE"):
            load({**GOOD, "SECRET_KEY": "", "SECRET_KEY_FILE": str(tmp_path / path)})


def test_a_dotenv_file_is_read_and_the_environment_goes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*GOOD, "DATAELAN_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    lines = [f'{name}="{value}"' for name, value in GOOD.items()]
    (tmp_path / ".env").write_text("\n".join([*lines, "DATAELAN_LOG_LEVEL=debug  # loud"]))
    assert load().secret_key == GOOD["SECRET_KEY"]
    (tmp_path / "key").write_text("f" * 32)
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "key"))
    assert load().secret_key == "f" * 32, "a file that the environment names goes before it too"
    monkeypatch.delenv("SECRET_KEY_FILE")
    assert load().log_level == "DEBUG"
    monkeypatch.setenv("DATAELAN_LOG_LEVEL", "ERROR")
    assert load().log_level == "ERROR"


def test_the_owner_that_bootstrap_makes_can_sign_in(operator: Flask) -> None:
    made = bootstrap(operator, email="owner@example.com", org="Signed")
    user = db.session.scalars(select(User).where(User.email == made["user"])).one()
    assert user.has_password("a long password")
    assert [membership.role for membership in user.memberships] == [Role.OWNER]
