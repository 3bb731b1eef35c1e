"""Notices by mail, through a real mail server: the right words to the right people, and nothing smuggled in."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask import Flask
from sqlalchemy import delete, select, update

from dataelan_web.config import MailServer
from dataelan_web.extensions import db
from dataelan_web.models import Delivery, DeliveryState, Membership, Notice, now
from dataelan_web.notify import deliver, mail, tell

from . import people
from .conftest import free_port, wait_until

PASSWORD = "pass-CANARY-71c2"


@dataclass
class Postman:
    """A mail server on loopback: what was handed in, and whom it refuses."""

    got: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)
    """Address → answer."""
    signed_in: list[str] = field(default_factory=list)

    def to(self, cast: people.Cast) -> list[EmailMessage]:
        """What was handed in for these people; what other tests left in the outbox comes too."""
        theirs = {user.email for user in cast.people.values()}
        return [message for addresses, message in self.got if theirs & set(addresses)]

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        message = message_from_bytes(envelope.content, policy=policy.default)
        self.got.append((envelope.rcpt_tos, message))  # type: ignore[arg-type]
        return "250 taken"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        self.signed_in.append(data.login.decode())
        return AuthResult(success=data.password.decode() == PASSWORD, handled=False)


@pytest.fixture
def postman(app: Flask) -> Iterator[Postman]:
    us = Postman()
    with serving(app, us):
        yield us


class serving:  # noqa: N801 (reads as a verb)
    """Mail goes to this server, for as long as a `with` block."""

    def __init__(self, app: Flask, us: Postman, *, tls: str = "off", user: str = "", **options: Any):
        self.app, self.tls, self.user = app, tls, user
        self.controller = Controller(us, hostname="127.0.0.1", port=free_port(), **options)

    def __enter__(self) -> None:
        self.controller.start()
        self.kept = self.app.extensions["dataelan_settings"]
        server = MailServer(
            "127.0.0.1", self.controller.port, self.tls, self.user, PASSWORD, "no-reply@dataelan.example", "Dataelan"
        )
        self.app.extensions["dataelan_settings"] = replace(
            self.kept, mail=server, public_url="https://dataelan.example"
        )

    def __exit__(self, *_: object) -> None:
        self.app.extensions["dataelan_settings"] = self.kept
        self.controller.stop(no_assert=True)


def say(cast: people.Cast, title: str = "A title", *, to: str = "olivia", key: str = "k") -> None:
    path = f"{cast.home}/limits/1"
    tell(db.session, cast.organization.id, [cast.people[to].id], key, "limit.reached", title, "Two words.", path)
    db.session.commit()


def mails(cast: people.Cast) -> list[Delivery]:
    db.session.rollback()
    mine = (Delivery.organization_id == cast.organization.id, Delivery.webhook_id.is_(None))
    query = select(Delivery).where(*mine).order_by(Delivery.id).execution_options(populate_existing=True)
    return list(db.session.scalars(query))


def test_a_notice_comes_by_mail_in_words_and_as_a_page_without_pictures(
    app: Flask, acme: people.Cast, postman: Postman
) -> None:
    say(acme, "Project Alpha has used 80 % of its $50.00 for November")
    wait_until(lambda: (deliver.due(app) and False) or postman.to(acme))
    (letter,) = postman.to(acme)
    assert letter["Subject"] == "Project Alpha has used 80 % of its $50.00 for November"
    assert letter["From"] == "Dataelan <no-reply@dataelan.example>"
    assert letter["To"] == f"Olivia <{acme.olivia.email}>"
    assert letter["List-Unsubscribe"] == f"<https://dataelan.example{acme.home}/notices#by-mail>"
    assert letter["Message-ID"] == f"<{deliver.message_id(mails(acme)[0])}@dataelan.example>"
    text = letter.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    html = letter.get_body(("html",)).get_content()  # type: ignore[union-attr]
    for form in (text, html):
        assert "Project Alpha has used 80 % of its $50.00 for November" in form
        assert "Two words." in form
        assert f"https://dataelan.example{acme.home}/limits/1" in form
        assert "because you belong to Acme on Dataelan" in form
        assert f"https://dataelan.example{acme.home}/notices#by-mail" in form
    for word in ("<img", "<script", "src=", "url(", "@import", "<link"):
        assert word not in html
    assert mails(acme)[0].state is DeliveryState.DELIVERED
    assert mails(acme)[0].status == 250


def test_mail_goes_to_who_wants_this_kind(app: Flask, acme: people.Cast, postman: Postman) -> None:
    acme.olivia.mail_choices = {"limit.reached": False, "mail.failed": True}
    acme.adam.mail_choices = {"increase.asked": False}
    db.session.commit()
    both = [acme.olivia.id, acme.adam.id]
    for kind in ("limit.reached", "increase.asked", "mail.failed", "a.kind_of_later"):
        tell(db.session, acme.organization.id, both, kind, kind, kind)
    db.session.commit()
    assert {(delivery.event, delivery.payload["name"]) for delivery in mails(acme)} == {
        ("limit.reached", "Adam"),
        ("increase.asked", "Olivia"),
        ("mail.failed", "Olivia"),
        ("a.kind_of_later", "Olivia"),
        ("a.kind_of_later", "Adam"),
    }
    tell(db.session, acme.organization.id, both, "limit.reached", "limit.reached", "told before")
    assert len(mails(acme)) == 5


@pytest.mark.parametrize("how", ["removed", "off", "gone"])
def test_who_has_left_or_was_switched_off_gets_no_letter(
    app: Flask, acme: people.Cast, postman: Postman, how: str
) -> None:
    """Somebody else goes on with what they began, such as a proposal, a batch or a comment."""
    if how == "removed":
        db.session.execute(delete(Membership).where(Membership.user_id == acme.mia.id))
    else:
        setattr(acme.mia, "disabled_at" if how == "off" else "deleted_at", now())
    db.session.commit()
    say(acme, to="mia")
    assert mails(acme) == []
    heard = select(Notice.id).where(Notice.user_id == acme.mia.id)
    assert bool(db.session.scalars(heard).all()) is (how != "removed"), "who comes back reads what was told meanwhile"


def test_without_a_mail_server_no_mail_is_written(app: Flask, acme: people.Cast) -> None:
    assert app.extensions["dataelan_settings"].mail is None
    say(acme)
    assert mails(acme) == []


def test_no_name_smuggles_in_a_header_or_a_tag(app: Flask, acme: people.Cast, postman: Postman) -> None:
    evil = "Eve\r\nBcc: everybody@evil.example\r\n\r\n<img src=x onerror=alert(1)>\u202e"
    acme.olivia.name = acme.organization.name = evil
    db.session.commit()
    say(acme, f"Project {evil} has used 80 %")
    tell(db.session, acme.organization.id, [acme.olivia.id], "k2", "limit.reached", "t", f"{evil}\n.\nQUIT")
    db.session.commit()
    wait_until(lambda: (deliver.due(app) and False) or len(postman.to(acme)) == 2)
    assert not any("everybody@evil.example" in addresses for addresses, _ in postman.got)
    for letter in postman.to(acme):
        assert letter["Bcc"] is None
        assert "Bcc: everybody@evil.example <img" in letter["To"]
        assert "⟨U+202E⟩" in str(letter["To"]), "what the eye cannot see is shown"
        html = letter.get_body(("html",)).get_content()  # type: ignore[union-attr]
        assert "<img" not in html
        assert "&lt;img src=x onerror=alert(1)&gt;" in html


def test_a_mailbox_that_is_not_there_is_given_up_and_one_that_is_full_is_tried_again(
    app: Flask, acme: people.Cast, postman: Postman
) -> None:
    postman.refuses = {acme.mia.email: "550 5.1.1 No such user", acme.victor.email: "452 4.2.2 Mailbox full"}
    say(acme, to="mia", key="a")
    say(acme, to="mia", key="b")
    say(acme, to="victor", key="c")
    wait_until(lambda: (deliver.due(app) and False) or all(d.error for d in mails(acme)))
    first, second, full = mails(acme)
    assert (first.state, first.status, second.state) == (DeliveryState.FAILED, 550, DeliveryState.FAILED)
    assert first.error == "The mail server answered 550: 5.1.1 No such user"
    assert (full.state, full.status) == (DeliveryState.WAITING, 452)
    assert full.next_at > now()
    query = select(Notice).where(Notice.organization_id == acme.organization.id, Notice.kind == "mail.failed")
    notices = db.session.scalars(query).all()
    assert {notice.user_id for notice in notices} == {acme.olivia.id, acme.adam.id}
    assert len(notices) == 2, "once, until something is delivered there"
    assert acme.mia.email in notices[0].title
    assert len(mails(acme)) == 3, "a failing mail makes no mail"
    postman.refuses = {}
    db.session.execute(update(Delivery).where(Delivery.id == full.id).values(next_at=now() - timedelta(seconds=1)))
    db.session.commit()
    wait_until(lambda: (deliver.due(app) and False) or postman.to(acme))
    wait_until(lambda: mails(acme)[2].state is DeliveryState.DELIVERED)


def test_mail_that_waited_for_days_is_not_sent_any_more(app: Flask, acme: people.Cast, postman: Postman) -> None:
    say(acme)
    db.session.execute(
        update(Delivery)
        .where(Delivery.organization_id == acme.organization.id)
        .values(created_at=now() - timedelta(days=4))
    )
    db.session.commit()
    wait_until(lambda: (deliver.due(app) and False) or mails(acme)[0].state is DeliveryState.FAILED)
    assert postman.to(acme) == []


def test_tls_is_verified_before_anything_is_said(
    app: Flask, acme: people.Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    us, tls = Postman(), certificate(tmp_path)
    options = {"tls_context": tls, "authenticator": us.authenticate, "auth_required": True, "require_starttls": True}
    with serving(app, us, tls="starttls", user="dataelan", **options):
        say(acme)
        wait_until(lambda: (deliver.due(app) and False) or mails(acme)[0].error)
        assert mails(acme)[0].error == "The mail server’s certificate is not valid."
        assert us.signed_in == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        letter = mail.letter("msg_1", acme.olivia.email, mails(acme)[0].payload)
        assert mail.send(letter).is_delivered
        assert us.signed_in == ["dataelan"]
        settings = app.extensions["dataelan_settings"]
        wrong = replace(settings, mail=replace(settings.mail, password="another"))
        app.extensions["dataelan_settings"] = wrong
        result = mail.send(letter)
        assert result.error == "The mail server did not accept Dataelan’s user name and password."
        assert not result.is_final
        app.extensions["dataelan_settings"] = replace(settings, mail=replace(settings.mail, tls="off"))
        assert mail.send(letter).error, "a server that wants TLS gets no mail without"
    assert PASSWORD not in caplog.text + str([vars(delivery) for delivery in mails(acme)]) + repr(settings)


def test_a_server_that_cannot_do_tls_or_is_not_there_gets_nothing(
    app: Flask, acme: people.Cast, postman: Postman
) -> None:
    say(acme)
    settings = app.extensions["dataelan_settings"]
    letter = mail.letter("msg_1", acme.olivia.email, mails(acme)[0].payload)
    for changed in ({"tls": "starttls"}, {"tls": "implicit"}, {"port": 9}):
        app.extensions["dataelan_settings"] = replace(settings, mail=replace(settings.mail, **changed))
        assert mail.send(letter).error, changed
    assert postman.to(acme) == []


def certificate(folder: Path) -> ssl.SSLContext:
    """For 127.0.0.1, signed by itself."""
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = folder / "key.pem"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, private)
    return context
