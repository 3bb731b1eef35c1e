from __future__ import annotations

from typing import Any

from flask import request
from flask_wtf import FlaskForm
from wtforms import EmailField, Field, Form, HiddenField, PasswordField, StringField
from wtforms.validators import DataRequired, Email, Length, StopValidation, ValidationError

from ..fields import lower, trim
from .guessing import SHORTEST, not_guessable

EMAIL: list[Any] = [
    DataRequired("Enter your e-mail address."),
    Email("This is not an e-mail address."),
    Length(max=200),
]
NEW_PASSWORD: list[Any] = [
    DataRequired("Choose a password."),
    Length(min=SHORTEST, max=1000, message="A password needs at least 12 characters. A few words work well."),
    not_guessable,
]


def or_a_passkey(form: Form, field: Field) -> None:
    """A validator: of nothing in it, where a passkey's answer was sent beside it (proving.py)."""
    if not field.data and not request.form.get("credential"):
        raise StopValidation("Enter your password: this could be somebody else at your desk.")


CURRENT: list[Any] = [or_a_passkey, Length(max=1000)]
CODE: list[Any] = [DataRequired("Enter the code."), Length(max=60)]
NAME: list[Any] = [DataRequired("Give it a name by which you know it."), Length(max=100)]


class LoginForm(FlaskForm):
    email = EmailField("E-mail", EMAIL, filters=[lower])
    password = PasswordField("Password", [DataRequired("Enter your password."), Length(max=1000)])


class SignUpForm(FlaskForm):
    name = StringField("Your name", [DataRequired("Tell us what to call you."), Length(max=100)], filters=[trim])
    email = EmailField("E-mail", EMAIL, filters=[lower])
    password = PasswordField("Password", NEW_PASSWORD)

    def __init__(self, *args: object, domains: tuple[str, ...] = (), **options: object):
        """`domains`: those whose addresses may sign up; none: all."""
        super().__init__(*args, **options)
        self.domains = domains

    def validate_email(self, field: EmailField) -> None:
        if self.domains and (field.data or "").rpartition("@")[2] not in self.domains:
            named = " or ".join(self.domains)
            raise ValidationError(f"Sign up with an address of {named}, or ask for an invitation.")


class NameForm(FlaskForm):
    name = StringField("Your name", [DataRequired("Tell us what to call you."), Length(max=100)], filters=[trim])


class ProofForm(FlaskForm):
    current = PasswordField("Your password", CURRENT)


class CodeForm(FlaskForm):
    code = StringField("Code", CODE, filters=[trim])


class OffForm(FlaskForm):
    code = StringField("Code", CODE, filters=[trim], id="off-code")


class AddressForm(FlaskForm):
    email = EmailField("New e-mail", EMAIL, filters=[lower])
    current = PasswordField("Your password", CURRENT, id="address-current")


class ForgottenForm(FlaskForm):
    email = EmailField("E-mail", EMAIL, filters=[lower])


class ResetForm(FlaskForm):
    password = PasswordField("New password", NEW_PASSWORD)


class PasswordForm(FlaskForm):
    password = PasswordField("New password", NEW_PASSWORD)
    current = PasswordField("Your password until now", CURRENT)


class PasskeyForm(FlaskForm):
    name = StringField("Name", NAME, filters=[trim])
    credential = HiddenField()


class PasskeyNameForm(FlaskForm):
    name = StringField("Name", NAME, filters=[trim])


class LeavingForm(FlaskForm):
    """`address` typed again, so that nobody does it by the way."""

    address = StringField("Your e-mail, to be sure", filters=[lower])
    current = PasswordField("Your password", CURRENT, id="leaving-current")

    def __init__(self, *args: object, expected: str, **options: object):
        super().__init__(*args, **options)
        self.expected = expected

    def validate_address(self, field: StringField) -> None:
        if field.data != self.expected:
            raise ValidationError(f"Write “{self.expected}” as it stands here.")
