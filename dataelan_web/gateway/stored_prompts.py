"""A request that names a prompt of the project instead of a model.

    {"model": "prompt:summary@production", "messages": [], "prompt": {"variables": {"text": "…"}}}
    {"prompt": {"id": "summary", "version": "3", "variables": {"text": "…"}}, "messages": […]}

Any inbound format may say it. The second is the `prompt` parameter of OpenAI's Responses API; `version` is a version's
number or a label. Without it `production` is meant, or the newest version where nothing is called that. Messages of
the request come after the prompt's own, and what else the request says (`max_tokens`, `tools` …) goes before what the
version says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import Response
from pydantic import Field, model_validator
from sqlalchemy import Select, func, select

from ..executions.submit import Request
from ..extensions import db
from ..models import Execution, ModelType, Project, Template, TemplateLabel, TemplateRun, TemplateVersion
from ..prompts import running
from ..prompts.labels import LATEST, PRODUCTION
from ..prompts.refusals import Refused as NotMade
from ..prompts.running import Source, Unfilled
from ..prompts.usage import PREFIX
from ..router.parameters import OF_CHAT
from .errors import Refused
from .json_body import Strict, checked

MOST_LISTED = 500
OWN = "prompt"
"""As `model` beside a `prompt`: the version's own."""


class PromptIn(Strict):
    id: str = Field(default="", max_length=200)
    version: str | int | None = None
    variables: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def other_words(cls, data: Any) -> Any:
        """`name` for `id` and `label` for `version`, which is what they are called here."""
        return {"id": data.get("name") or "", "version": data.get("label"), **data} if isinstance(data, dict) else data


@dataclass(frozen=True)
class Named:
    """The prompt that a request names, in `model` or as `prompt`."""

    slug: str
    which: str
    """A version's number or a label; empty: not said."""
    variables: Mapping[str, Any]
    other_model: str = ""
    """What is to answer in place of what the version names."""
    goes_on: bool = False
    """The request goes on from an earlier answer, before which the prompt may have been said already."""


def named(body: dict[str, Any], model: Any) -> Named | None:
    """Raises Refused (400) where none is named after all, or two are."""
    in_model = model if isinstance(model, str) and model.startswith(PREFIX) else ""
    said = body.get("prompt")
    if not in_model and not isinstance(said, dict):
        return None
    stored = checked(said if isinstance(said, dict) else {}, PromptIn, "prompt")
    slug, _, which = in_model.removeprefix(PREFIX).partition("@")
    names = {name for name in (slug, stored.id) if name}
    if len(names) != 1:
        word = "Name the prompt, in `model` or as `prompt.id`." if not names else "`model` and `prompt.id` differ."
        raise Refused(400, word, "invalid_value", "prompt.id")
    version = "" if stored.version is None else str(stored.version)
    other = "" if in_model or model in (None, OWN) else str(model)
    return Named(names.pop(), which or version, stored.variables, other)


def names(project: Project) -> list[str]:
    """What its published prompts are called as `model`."""
    query = select(Template.slug).where(Template.project_id == project.id, Template.deleted_at.is_(None))
    slugs = db.session.scalars(query.where(Template.newest > 0).order_by(Template.slug).limit(MOST_LISTED))
    return [f"{PREFIX}{slug}" for slug in slugs]


def filled(wanted: Request, asked: Named) -> Request:
    """The request, with the prompt's messages before its own. Raises Refused: 404 for what there is not, 400 naming
    the variable that is missing or wrong."""
    slug, which = asked.slug, asked.which
    template, version = _find(wanted, slug, which)
    source = Source.of(version)
    try:
        prompt, run = running.made(template, source, asked.variables, goes_on=True)
    except Unfilled as unfilled:
        name, words = next(iter(unfilled.problems.items()))
        message = f"prompt.variables: “{name}” {words}. It is a variable of {slug}, version {version.number}."
        raise Refused(400, message, "invalid_variable", f"prompt.variables.{name}") from None
    except NotMade as refused:
        raise Refused(400, str(refused), "invalid_value", "prompt") from None
    own, said_first = wanted.prompt, prompt.messages
    is_said = asked.goes_on and own.messages[: len(said_first)] == said_first
    messages = own.messages if is_said else (*said_first, *own.messages)
    if all(message.role == "system" for message in messages):
        raise Refused(400, "messages: this prompt waits for a message from the user.", "invalid_value", "messages")
    said = {name: getattr(own, name) for name in ("max_tokens", *OF_CHAT)}
    said = {name: getattr(prompt, name) if value in (None, ()) else value for name, value in said.items()}
    run.template = template
    return replace(
        wanted,
        prompt=replace(own, messages=messages, **said),
        requested=asked.other_model or source.content.requested,
        model_type=ModelType(source.content.model_type),
        made_from=run,
    )


def named_in(response: Response, wanted: Request) -> Response:
    """Which version it was, for whoever asked by a label."""
    if run := wanted.made_from:
        response.headers["x-dataelan-prompt"] = f"{run.template.slug}@{run.number}"
    return response


def _find(wanted: Request, slug: str, which: str) -> tuple[Template, TemplateVersion]:
    """One query, when it is there. Raises Refused (404) saying what is not."""
    pinned = _pinned(wanted, slug)
    found = db.session.execute(_version(wanted.project, slug, str(pinned or which))).first()
    if found:
        return found.Template, found.TemplateVersion
    template = db.session.scalars(_template(wanted.project, slug)).first()
    if template is None:
        raise Refused(404, f"This project has no prompt that is called “{slug}”.", "prompt_not_found", "prompt.id")
    if not template.newest:
        raise Refused(404, f"No version of “{slug}” is published yet.", "prompt_not_found", "prompt.id")
    raise Refused(404, f"“{slug}” has no version or label “{which}”.", "prompt_version_not_found", "prompt.version")


def _template(project: Project, slug: str) -> Select[Template]:
    return select(Template).where(
        Template.project_id == project.id, Template.slug == slug, Template.deleted_at.is_(None)
    )


def _version(project: Project, slug: str, which: str) -> Select[Template, TemplateVersion]:
    label = (
        select(TemplateLabel.number)
        .where(TemplateLabel.template_id == Template.id, TemplateLabel.name == (which or PRODUCTION))
        .scalar_subquery()
    )
    if which.isascii() and which.isdecimal() and len(which) < 9:
        number: Any = int(which)
    elif which == LATEST:
        number = Template.newest
    else:
        number = label if which else func.coalesce(label, Template.newest)
    versions = (TemplateVersion.template_id == Template.id) & (TemplateVersion.number == number)
    return _template(project, slug).join(TemplateVersion, versions).add_columns(TemplateVersion)


def _pinned(wanted: Request, slug: str) -> int | None:
    """The version of a request that came before under the same idempotency key: its label may have moved since."""
    if not wanted.idempotency_key:
        return None
    return db.session.scalar(
        select(TemplateRun.number)
        .join(Execution, Execution.id == TemplateRun.id)
        .join(Template, Template.id == TemplateRun.template_id)
        .where(
            Execution.project_id == wanted.project.id,
            Execution.idempotency_key == wanted.idempotency_key,
            Template.slug == slug,
        )
    )
