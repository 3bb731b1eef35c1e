"""One notice as a letter: plain text and simple HTML of the same words, handed to the operator's mail server."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from flask import current_app
from markupsafe import Markup

from ..config import MailServer
from ..models import now
from ..text import visible
from .result import Result

SECONDS = 20.0
"""For each step of the conversation."""


def letter(id: str, address: str, said: Mapping[str, Any]) -> EmailMessage:
    """`said`: title, body, path, organization, slug, name; `why`, where there is nothing to choose by whoever gets it;
    of a summary also `summary`, and the same as `text`. `id` stays the same however often it is sent."""
    settings = current_app.extensions["dataelan_settings"]
    server: MailServer = settings.mail
    choices = f"{settings.public_url}/o/{said['slug']}/notices#by-mail"
    words = {
        "title": plain(said["title"]),
        "body": visible(said.get("text") or said["body"]),
        "url": settings.public_url + (said["path"] or f"/o/{said['slug']}/notices"),
        "why": said.get("why") or f"You get this mail because you belong to {plain(said['organization'])} on Dataelan.",
        "choices": "" if "why" in said else choices,
    }
    message = EmailMessage()
    message["From"] = Address(plain(server.sender_name), addr_spec=server.sender)
    message["To"] = Address(plain(said["name"]), addr_spec=address)
    message["Subject"] = words["title"]
    message["Date"] = format_datetime(now())
    message["Message-ID"] = f"<{id}@{server.sender.rpartition('@')[2]}>"
    if words["choices"]:
        message["List-Unsubscribe"] = f"<{choices}>"
    message["Auto-Submitted"] = "auto-generated"
    chosen = "Choose what comes by mail: {choices}\n" if words["choices"] else ""
    message.set_content(("{title}\n\n{body}\n\n{url}\n\n-- \n{why}\n" + chosen).format(**words))
    message.add_alternative(_html(words, said), subtype="html")
    return message


def send(message: EmailMessage) -> Result:
    """Hand it over and say what came of it. The caller holds no database connection."""
    server: MailServer = current_app.extensions["dataelan_settings"].mail
    try:
        with _connection(server) as connection:
            if server.user:
                connection.login(server.user, server.password)
            connection.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        return _refused(code, said)
    except smtplib.SMTPAuthenticationError as error:
        return Result(error.smtp_code, "The mail server did not accept Dataelan’s user name and password.")
    except smtplib.SMTPResponseException as error:
        return _refused(error.smtp_code, error.smtp_error)
    except smtplib.SMTPNotSupportedError as error:
        return Result(error=f"The mail server cannot do what is needed: {error}", is_final=True)
    except ssl.SSLCertVerificationError:
        return Result(error="The mail server’s certificate is not valid.")
    except (OSError, smtplib.SMTPException) as error:
        return Result(error=f"The mail server cannot be reached: {type(error).__name__}.")
    return Result(250)


def _html(words: Mapping[str, str], said: Mapping[str, Any]) -> str:
    templates = current_app.jinja_env
    if "summary" not in said:
        return templates.get_template("mail/notice.html").render(words)
    # The page's own report, and its styles put into the letter: nothing is loaded from elsewhere.
    styles = Markup((Path(current_app.static_folder or "") / "summary.css").read_text(encoding="utf-8"))  # noqa: S704
    base = current_app.extensions["dataelan_settings"].public_url
    return templates.get_template("mail/summary.html").render(words, summary=said["summary"], base=base, styles=styles)


def plain(text: str) -> str:
    """One line that a header can hold: a line break in a name would begin another header."""
    return " ".join(visible(text).split())


def _connection(server: MailServer) -> smtplib.SMTP:
    verified = ssl.create_default_context()
    if server.tls == "implicit":
        return smtplib.SMTP_SSL(server.host, server.port, timeout=SECONDS, context=verified)
    connection = smtplib.SMTP(server.host, server.port, timeout=SECONDS)
    if server.tls == "starttls":
        try:
            connection.starttls(context=verified)
        except BaseException:
            connection.close()
            raise
    return connection


def _refused(code: int, said: bytes | str) -> Result:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return Result(code, f"The mail server answered {code}: {plain(text)[:300]}", is_final=500 <= code < 600)
