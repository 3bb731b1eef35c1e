from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import DataRequired, Length, Regexp

from ..fields import trim

# It travels in an HTTP header, which holds nothing else.
PLAIN = Regexp(r"[!-~]*\Z", message="A key has plain letters, digits and signs only: something else was pasted along.")


class KeyForm(FlaskForm):
    provider_id = StringField("Provider", [DataRequired("Choose a provider.")])
    session_id = StringField("Session")
    label = StringField("Label", [Length(max=200)], filters=[trim])
    key = PasswordField("Key", [DataRequired("Paste the key."), Length(max=1000), PLAIN], filters=[trim])


class ServerForm(FlaskForm):
    name = StringField("Name", [DataRequired("Give it a name."), Length(max=200)], filters=[trim])
    base_url = StringField("Address", [DataRequired("Enter its address."), Length(max=500)], filters=[trim])
    key = PasswordField("Key", [Length(max=1000), PLAIN], filters=[trim])
    session_id = StringField("Session")
