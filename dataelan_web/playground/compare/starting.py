"""From the form to running executions: one comparison a submission, however often it comes."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from ... import audit
from ...executions import conversation
from ...executions.submit import Request, unsaved, wake
from ...extensions import db
from ...models import Comparison, ComparisonRun, Execution, Origin, Prompt, PromptSession, new_id
from ...router.types import Prompt as RouterPrompt
from .. import uploads
from ..asking import UNNAMED, again, key_of_form, title_of
from .forms import ColumnForm, CompareForm


def compare(session: PromptSession, form: CompareForm, user_id: uuid.UUID) -> Comparison:
    """Run what the form says. Commits. Raises storage.Unavailable before anything is recorded."""
    assets = uploads.keep(form.uploads, form.referenced, session, user_id)
    text = str(form.text.data or "")
    sent = (text, form.remembered, form.repeats.data, form.is_blind.data, [asset.sha256 for asset in assets])
    submission = key_of_form("compare", user_id, form.submission.data, *sent) or uuid.uuid4().hex
    if earlier := _earlier(session, submission):
        return earlier
    session.remember(**form.remembered)
    if session.title in UNNAMED:
        session.title = title_of(text or assets[0].name)
    asked = Prompt(id=new_id(), session_id=session.id, author_id=user_id, text=text, assets=assets)
    parts = [uploads.part_of(asset) for asset in assets]
    before = form.continued if conversation.continues(session) else None
    earlier_turns = conversation.so_far(session, before)
    prompts = [form.prompt_for(column, parts, earlier_turns) for column in form.columns]
    made = Comparison(id=new_id(), session=session, prompt=asked, user_id=user_id, submission=submission)
    made.is_blind, made.repeats = bool(form.is_blind.data), int(form.repeats.data or 1)
    made.runs = list(_runs(made, _placed(made, form.columns, prompts), asked, before))
    made.shown_id = made.runs[0].id
    db.session.add(made)
    audit.record("comparison.started", made, session.project.organization_id, models=len(form.columns))
    try:
        db.session.commit()  # all answers or none: who dies here leaves no comparison that lacks some
    except IntegrityError:  # the other click was quicker
        db.session.rollback()
        if (earlier := _earlier(session, submission)) is None:
            raise
        return earlier
    for run in made.runs:
        wake(run.execution)
    return made


def _earlier(session: PromptSession, submission: str) -> Comparison | None:
    query = select(Comparison).where(Comparison.session_id == session.id, Comparison.submission == submission)
    return db.session.scalars(query).first()


def _placed(
    made: Comparison, columns: Sequence[ColumnForm], prompts: Sequence[RouterPrompt]
) -> list[tuple[str, RouterPrompt]]:
    """(model or rule, prompt) in the order of the columns: a blind comparison's is nobody's to guess."""
    pairs = [(column.model.data or "auto", prompt) for column, prompt in zip(columns, prompts, strict=True)]
    if made.is_blind:
        random.SystemRandom().shuffle(pairs)
    return pairs


def _runs(
    made: Comparison, pairs: Sequence[tuple[str, RouterPrompt]], asked: Prompt, before: uuid.UUID | None
) -> Iterator[ComparisonRun]:
    """In the order of their ids, which is that in which they are shown."""
    session = made.session
    for turn in range(made.repeats):
        for place, (requested, prompt) in enumerate(pairs):
            request = Request(
                project=session.project,
                prompt=prompt,
                origin=Origin.PLAYGROUND,
                requested=requested,
                user_id=made.user_id,
                session=session,
                asked=asked,
                model_type=session.model_type,
                continues_id=before,
                idempotency_key=f"compare:{made.id}:{place}:{turn}",
            )
            run = unsaved(request)
            yield ComparisonRun(id=run.id, place=place, turn=turn, requested=requested, execution=run)


def retry(made: Comparison, run: ComparisonRun, user_id: uuid.UUID, submission: str) -> Execution:
    """The same once more, in its place; what stood there is kept, and no longer shown here. Sent twice it is one.
    Commits."""
    id, earlier = new_id(), run.execution
    db.session.add(ComparisonRun(id=id, comparison_id=made.id, place=run.place, turn=run.turn, requested=run.requested))
    return again(earlier, made.session.project, made.session, user_id, submission, id=id)
