"""A prompt asked with values: one execution, that remembers what it was made from."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from flask_login import current_user
from sqlalchemy import func, select

from ..acting import offering
from ..executions.submit import Request, submit
from ..extensions import db
from ..models import Execution, ModelType, Origin, Template, TemplateCase, TemplateRun, TemplateVersion
from ..playground.asking import key_of_form
from ..router.types import Prompt
from .content import LARGEST, Content
from .refusals import Refused
from .variables import fill


@dataclass(frozen=True)
class Source:
    """What is asked: a version, or with `number` None a draft."""

    content: Content
    number: int | None = None

    @classmethod
    def of(cls, version: TemplateVersion) -> Source:
        return cls(Content.of(version.content), version.number)


class Unfilled(Refused):
    """Values are missing or wrong. `problems`: by variable's name."""

    def __init__(self, problems: Mapping[str, str], which: str):
        said = [f"“{name}” {words}" for name, words in problems.items()]
        super().__init__(f"{which} cannot be asked yet: {'; '.join(said[:3])}{' …' if said[3:] else ''}.")
        self.problems = dict(problems)


def ask_all(
    template: Template,
    sources: Sequence[Source],
    given: Mapping[str, object],
    said: str = "",
    *,
    case: TemplateCase | None = None,
    together: uuid.UUID | None = None,
    submission: str = "",
    actions: Collection[str] = (),
) -> list[Execution]:
    """All of these contents with the same values, or none of them. Raises Refused; Unfilled where values are missing
    or wrong. Commits.

    `submission`: a mark of the form that asks, so that sent twice it is asked once. `actions`: ids of the project's
    declared ones that the model is offered; the answers to saved cases are asked for without any.
    """
    together = together if len(sources) > 1 else None
    requests = []
    for source in sources:
        prompt, run = made(template, source, given, said)
        requested, kind = source.content.requested, ModelType(source.content.model_type)
        prompt, offers = offering.offer_only(prompt, template.project, requested, kind, actions)
        run.case_id, run.together = case.id if case else None, together
        sent = (run.digest, run.case_id, run.values, run.said, sorted(actions))
        requests.append(
            Request(
                project=template.project,
                prompt=prompt,
                origin=Origin.PLAYGROUND,
                requested=requested,
                user_id=current_user.id,
                model_type=kind,
                offers=offers,
                idempotency_key=key_of_form("prompt", current_user.id, submission, *sent),
                made_from=run,
            )
        )
    return [submit(request) for request in requests]


def made(
    template: Template, source: Source, given: Mapping[str, object], said: str = "", *, goes_on: bool = False
) -> tuple[Prompt, TemplateRun]:
    """The prompt, and what it was made from. `goes_on`: the caller brings messages of its own. Raises Refused."""
    content = source.content
    which = f"Version {source.number}" if source.number else "The draft"
    if problem := next(iter(content.problems.values()), ""):
        raise Refused(f"{which} cannot be run like this: {problem}")
    filled = fill(content.settled.variables, given)
    if filled.problems:
        raise Unfilled(filled.problems, which)
    said = said if content.needs_word else ""
    if content.needs_word and not said.strip() and not goes_on:
        raise Refused(f"{which} ends without a message from the user: write what a person says.")
    prompt = content.prompt(filled.values, said)
    if prompt.text_bytes > LARGEST:
        raise Refused(f"With these values it has {prompt.text_bytes / 1e6:.1f} MB; the most is 2 MB.")
    run = TemplateRun(template_id=template.id, number=source.number, digest=content.digest)
    run.values, run.said = filled.values, said
    return prompt, run


def usual_cost(template: Template, digests: Sequence[str]) -> int | None:
    """What a run of it came to lately, on average, in nano-USD: of these contents, or else of any. None: unknown."""
    runs = (
        select(Execution.cost)
        .join(TemplateRun, TemplateRun.id == Execution.id)
        .where(TemplateRun.template_id == template.id, Execution.cost.is_not(None))
        .order_by(TemplateRun.created_at.desc())
        .limit(20)
    )
    for which in (runs.where(TemplateRun.digest.in_(digests)), runs):
        if (average := db.session.scalar(select(func.avg(which.subquery().c.cost)))) is not None:
            return int(average)
    return None
