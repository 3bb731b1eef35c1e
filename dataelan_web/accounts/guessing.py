"""Passwords that would be among the first to be tried: leaked ones, and what people make of them, of words and of keys.

Nobody is asked: the 30,000 passwords most often found in leaks come with zxcvbn, which knows the usual ways of making
them longer (`Password2026!`, `qwertyuiop123`) as well.
"""

from __future__ import annotations

import re
from typing import Any

from flask_login import current_user
from wtforms import Field, Form
from wtforms.validators import ValidationError

SHORTEST = 12
ENOUGH = 10**6
"""Guesses: more than anybody has at a page that counts them (throttle.py)."""
ENOUGH_BARE = 10**4
"""Of the same without the signs and spaces that people put into it: `password-password`."""
LOOKED_AT = 64
"""Characters: to look at more takes long, and a password of more is safe by its length unless these repeat."""
REFUSED = (
    "This password, or one much like it, is in lists of leaked ones, and would be tried first."
    " A few words of your own work well."
)


def is_guessable(password: str, *about: str) -> bool:
    """`about`: what is known of the person, such as their name."""
    from zxcvbn import zxcvbn  # here, as its lists take a twentieth of a second, and few requests choose a password

    parts = (word for text in about for word in re.split(r"[@.\s]+", text))
    known, said = ["dataelan", *about, *parts], password[:LOOKED_AT]
    bare = re.sub(r"[\W_]", "", said) or said

    def guesses(of: str) -> int:
        return int(zxcvbn(of, user_inputs=known)["guesses"])

    return guesses(said) < ENOUGH or guesses(bare) < ENOUGH_BARE


def not_guessable(form: Form, field: Field) -> None:
    """A validator, after those of the length."""
    about = [str(form[name].data or "") for name in ("email", "name") if name in form]
    person: Any = current_user
    if person.is_authenticated:
        about += [person.email, person.name]
    if field.data and not field.errors and is_guessable(field.data, *about):
        raise ValidationError(REFUSED)
