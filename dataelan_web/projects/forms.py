from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import SelectField, StringField, TextAreaField
from wtforms.validators import DataRequired, Length

from ..fields import offered, trim
from ..models import Project
from . import tokens


class ProjectForm(FlaskForm):
    name = StringField("Name", [DataRequired("A project needs a name."), Length(max=200)], filters=[trim])
    description = TextAreaField("What is it for?", [Length(max=2000)], filters=[trim])


class ChangeForm(ProjectForm):
    instructions = TextAreaField(
        "Instructions", [Length(max=100_000, message="Instructions hold 100,000 characters at most.")], filters=[trim]
    )


class GatewayForm(FlaskForm):
    """What the gateway does for all programs of a project."""

    cache_seconds = SelectField(
        "Stored answers",
        choices=offered(
            [
                ("0", "Off: every call is sent"),
                ("600", "For 10 minutes"),
                ("3600", "For an hour"),
                ("86400", "For a day"),
                ("604800", "For a week"),
            ]
        ),
    )
    reads_on = SelectField(
        "When a program goes away",
        choices=offered(
            [("no", "End the call, and charge what came by estimate"), ("yes", "Read its answer to the end")]
        ),
    )


class TokenForm(FlaskForm):
    label = StringField("What is it for?", [DataRequired("Name the program."), Length(max=200)], filters=[trim])
    expires_in = SelectField(
        "Expires", choices=offered([("", "Never"), ("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year")])
    )
    allows = StringField("Models and rules it may ask for", [Length(max=4000)], filters=[trim])

    @property
    def names(self) -> list[str]:
        """Each once, apart by commas; empty: all."""
        written = (name.strip() for name in (self.allows.data or "").split(","))
        return list(dict.fromkeys(name for name in written if name))

    @property
    def days(self) -> int | None:
        return int(self.expires_in.data) if self.expires_in.data else None

    def knows(self, project: Project) -> bool:
        """Is everything that it may ask for there? Says what is not."""
        missing = tokens.unknown(project, self.names)
        if missing:
            nothing = ", ".join(f"“{name}”" for name in missing[:3])
            self.allows.errors = [f"In this project no model or rule is called {nothing}."]
        return not missing
