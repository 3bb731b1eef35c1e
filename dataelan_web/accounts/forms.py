from __future__ import annotations

from typing import Any

from flask_wtf import FlaskForm
from wtforms import EmailField, PasswordField, StringField
from wtforms.validators import DataRequired, Email, Length

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
CURRENT: list[Any] = [DataRequired("Enter your password: this could be somebody else at your desk."), Length(max=1000)]
CODE: list[Any] = [DataRequired("Enter the code."), Length(max=60)]


class LoginForm(FlaskForm):
    email = EmailField("E-mail", EMAIL, filters=[lower])
    password = PasswordField("Password", [DataRequired("Enter your password."), Length(max=1000)])


class SignUpForm(FlaskForm):
    name = StringField("Your name", [DataRequired("Tell us what to call you."), Length(max=100)], filters=[trim])
    email = EmailField("E-mail", EMAIL, filters=[lower])
    password = PasswordField("Password", NEW_PASSWORD)


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
