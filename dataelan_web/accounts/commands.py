"""flask commands about people's accounts."""

from __future__ import annotations

import click

from .. import audit
from ..extensions import db
from ..fields import is_address
from ..models import User
from . import passkeys, two_factor
from .guessing import REFUSED, SHORTEST, is_guessable
from .resetting import link_for
from .sign_up import create_user, find


def whose(email: str) -> User | None:
    """Who has an account with this address; None: nobody yet. Raises ClickException where nobody could sign in."""
    if not all(email.strip().partition("@")):
        raise click.ClickException("This is not an e-mail address.")
    found = find(email)
    if found is not None and (found.disabled_at or found.deleted_at):
        state = "was deleted" if found.deleted_at else "is switched off"
        raise click.ClickException(f"The account {found.email} {state}; take another address.")
    return found


def weakness(password: str, email: str) -> str:
    """Why the form of an account would not take this password; empty: it would."""
    if len(password) < SHORTEST:
        return f"The password needs at least {SHORTEST} characters."
    return REFUSED if is_guessable(password, email) else ""


@click.command("create-superuser")
@click.option("--email", required=True)
@click.option("--password", required=True)
def create_superuser(email: str, password: str) -> None:
    """Make a superuser, or make an existing person one."""
    if not is_address(email.strip()):
        raise click.ClickException("This is not an e-mail address.")
    found = whose(email)
    if weak := weakness(password, email):
        raise click.ClickException(weak)
    user = found or create_user(email, password, email.partition("@")[0])
    kept = "" if user.has_password(password) else " They had an account, and keep the password they have."
    if not user.is_superuser:
        user.is_superuser = True
        audit.record("account.made_superuser", user)
    db.session.commit()
    click.echo(f"{user.email} is a superuser.{kept}")


@click.command("reset-password")
@click.option("--email", required=True)
def reset_password(email: str) -> None:
    """Print a link by which this person sets a new password: once, within an hour."""
    user = find(email)
    if user is None:
        raise click.ClickException("There is no account with this address.")
    click.echo(link_for(user))


@click.command("turn-off-two-factor")
@click.option("--email", required=True)
def turn_off_two_factor(email: str) -> None:
    """For who lost app, passkeys and recovery codes: their password is enough again. Make sure that it is they."""
    user = find(email)
    if user is None:
        raise click.ClickException("There is no account with this address.")
    for passkey in passkeys.of(user):
        passkeys.remove(passkey)
    two_factor.remove(user)
    click.echo(f"{user.email} signs in with their password alone.")


COMMANDS = (create_superuser, reset_password, turn_off_two_factor)
