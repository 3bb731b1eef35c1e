from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from flask_wtf import FlaskForm
from wtforms import PasswordField, SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length, ValidationError

from ..accounts.forms import NEW_PASSWORD
from ..fields import is_address, offered, trim
from ..models import ProjectRole, Role

MOST = 50
"""Addresses in one form."""
ROLES = {
    Role.VIEWER: "Viewer: sees everything, changes nothing",
    Role.MEMBER: "Member: runs prompts and works in every project",
    Role.ADMIN: "Admin: people, keys, rules and limits too",
    Role.OWNER: "Owner: everything, also to delete the organization",
}
PROJECT_ROLES = {
    ProjectRole.EDITOR: "Editor: runs prompts and changes things here",
    ProjectRole.VIEWER: "Viewer: sees this project",
}


class InviteForm(FlaskForm):
    emails = TextAreaField(
        "E-mail addresses", [DataRequired("Whom do you invite? Write an address."), Length(max=8000)], filters=[trim]
    )
    role = SelectField("Role")

    def __init__(self, *args: Any, roles: Iterable[tuple[str, str]], **options: Any):
        super().__init__(*args, **options)
        self.role.choices = offered(roles)

    @property
    def addresses(self) -> list[str]:
        """Each once, in the order they were written: apart by commas, semicolons, spaces or lines."""
        words = re.split(r"[\s,;]+", (self.emails.data or "").replace("<", " ").replace(">", " "))
        return list(dict.fromkeys(word.lower() for word in words if "@" in word))

    def validate_emails(self, field: TextAreaField) -> None:
        if not self.addresses:
            raise ValidationError("There is no e-mail address in this.")
        if len(self.addresses) > MOST:
            raise ValidationError(f"Invite {MOST} people at a time at most.")
        wrong = [address for address in self.addresses if not is_address(address)]
        if wrong:
            raise ValidationError(f"{', '.join(wrong[:3])}: not an e-mail address.")


class JoinForm(FlaskForm):
    name = StringField("Your name", [DataRequired("Tell us what to call you."), Length(max=100)], filters=[trim])
    password = PasswordField("Password", NEW_PASSWORD)
