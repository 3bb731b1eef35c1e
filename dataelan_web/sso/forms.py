from __future__ import annotations

from typing import Any

from flask_wtf import FlaskForm
from wtforms import PasswordField, SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length, ValidationError

from ..accounts.forms import CODE, CURRENT
from ..fields import offered, trim
from ..models import IdentityProvider, Role
from ..notify.posting import AddressRefused, check_address
from . import domains
from .settings import Wanted

MOST_GROUPS = 100
GROUPS = {"admins": Role.ADMIN, "members": Role.MEMBER, "viewers": Role.VIEWER}
"""Fields of groups, and what they make of who is in one."""


class SettingsForm(FlaskForm):
    """`found`: what is stored, if something is; `is_enforced`: is it the only way in?"""

    issuer = StringField("Issuer", [DataRequired("Enter the provider’s issuer."), Length(max=200)], filters=[trim])
    client_id = StringField("Client ID", [DataRequired("Enter the client ID."), Length(max=200)], filters=[trim])
    secret = PasswordField("Client secret", [Length(max=1000)], filters=[trim])
    groups_claim = StringField("Claim that holds the groups", [Length(max=100)], filters=[trim], default="groups")
    admins = TextAreaField("Groups of admins", [Length(max=8000)])
    members = TextAreaField("Groups of members", [Length(max=8000)])
    viewers = TextAreaField("Groups of viewers", [Length(max=8000)])
    default_role = SelectField(
        "Who is in none of these",
        choices=offered(
            [("MEMBER", "Comes in as a member"), ("VIEWER", "Comes in as a viewer"), ("", "Does not come in")]
        ),
    )

    def __init__(self, *args: Any, found: IdentityProvider | None, is_enforced: bool, **options: Any):
        self.found, self.is_enforced = found, is_enforced
        super().__init__(*args, **options)

    @classmethod
    def of(cls, found: IdentityProvider | None, is_enforced: bool) -> SettingsForm:
        """Filled with what is stored, but for the secret."""
        if found is None:
            return cls(formdata=None, found=None, is_enforced=is_enforced)
        groups = {
            name: "\n".join(g for g, given in found.roles.items() if given == role) for name, role in GROUPS.items()
        }
        default = found.default_role.value if found.default_role else ""
        return cls(
            formdata=None, obj=found, data={**groups, "default_role": default}, found=found, is_enforced=is_enforced
        )

    def validate_issuer(self, field: StringField) -> None:
        is_other = self.found is None or field.data != self.found.issuer
        if is_other and self.is_enforced:
            raise ValidationError("Single sign-on is the only way in. Stop enforcing it before you move it.")
        try:
            check_address(str(field.data))
        except AddressRefused as problem:
            words = str(problem).replace("https://hooks.example.com/dataelan", "https://login.example.com")
            raise ValidationError(words) from problem
        if "?" in str(field.data):
            raise ValidationError("An issuer has no question mark in it.")

    def validate_secret(self, field: PasswordField) -> None:
        is_kept = self.found is not None and self.found.issuer == self.issuer.data
        if not field.data and not is_kept:
            raise ValidationError(
                "Enter the client secret: what was stored is for another issuer."
                if self.found
                else "Enter the client secret."
            )

    def validate_viewers(self, field: TextAreaField) -> None:
        named = [group for name in GROUPS for group in _lines(self[name].data)]
        if len(named) > MOST_GROUPS:
            raise ValidationError(f"{MOST_GROUPS} groups at most.")
        if twice := next((group for group in named if named.count(group) > 1), ""):
            raise ValidationError(f"{twice} is named twice. What is its role?")
        if named and not self.groups_claim.data:
            raise ValidationError("Say which claim holds the groups.")
        if not named and not self.default_role.data:
            raise ValidationError("Nobody could come in: name a group, or let in who is in none.")

    def wanted(self) -> Wanted:
        roles = {group: role.value for name, role in GROUPS.items() for group in _lines(self[name].data)}
        return Wanted(
            issuer=str(self.issuer.data),
            client_id=str(self.client_id.data),
            secret=self.secret.data or "",
            groups_claim=self.groups_claim.data or "",
            roles=roles,
            default_role=Role(self.default_role.data) if self.default_role.data else None,
        )


class DomainForm(FlaskForm):
    domain = StringField("Domain", [DataRequired("Enter a domain such as example.com.")], filters=[trim])

    def validate_domain(self, field: StringField) -> None:
        if not domains.written(str(field.data)):
            raise ValidationError("This is no domain. Enter what follows the @ in your addresses, such as example.com.")


class WhoForm(FlaskForm):
    who = StringField(
        "Your e-mail, or your organization’s address", [DataRequired("Who are you?"), Length(max=200)], filters=[trim]
    )


class LinkForm(FlaskForm):
    current = PasswordField("Your Dataelan password", CURRENT)


class LinkWithCodeForm(LinkForm):
    code = StringField("The code of your authenticator app", CODE, filters=[trim])


class BesideForm(FlaskForm):
    current = PasswordField("Your Dataelan password", CURRENT)


class AnewForm(FlaskForm):
    current = PasswordField("Your password", CURRENT, id="anew-current")


def _lines(text: str | None) -> list[str]:
    return [line.strip()[:200] for line in (text or "").splitlines() if line.strip()]
