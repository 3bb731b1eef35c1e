"""From a composer's form to a run: its files kept, its prompt and its execution recorded in one commit."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import replace

from ..acting import offering
from ..executions import conversation, waiting
from ..executions.prompts import from_json
from ..executions.submit import Offer, Request, earlier, submit
from ..extensions import db
from ..models import Asset, Execution, ModelType, Origin, Project, Prompt, PromptSession, new_id
from ..router.types import Message, TextPart, ToolResult, ToolUse, assistant
from ..router.types import Prompt as AskedPrompt
from . import uploads
from .forms import PromptForm, SessionForm

UNNAMED = ("First session", "New session")


def new_session(project: Project, form: SessionForm, user_id: uuid.UUID) -> PromptSession:
    """To be committed: with its first prompt, if it has one, so that neither is there twice."""
    session = begun(project, form, user_id)
    db.session.add(session)
    db.session.flush()
    return session


def begun(project: Project, form: SessionForm, user_id: uuid.UUID) -> PromptSession:
    """As it would begin; nothing is written."""
    session = PromptSession(id=new_id(), project=project, created_by=user_id)
    session.title = form.title.data or title_of(form.text.data or "")
    session.model_type = ModelType(form.model_type.data or "TEXT")
    is_chat = session.model_type in (ModelType.TEXT, ModelType.CODE)
    model = (form.model.data if is_chat else "") or "auto"
    session.settings = {**project.first_settings(session.model_type), "model": model}
    return session


def ask(session: PromptSession, form: PromptForm, user_id: uuid.UUID, *, is_first: bool = False) -> Execution:
    """Run what the form says. Raises storage.Unavailable or waiting.Full before anything is recorded.

    `is_first`: it came with the session, from a form that has the prompt and nothing else.
    """
    assets = uploads.keep(form.uploads, form.referenced, session, user_id)
    text = str(form.text.data or "")
    session.remember(**({} if is_first else form.settings))
    if session.title in UNNAMED:
        session.title = title_of(text or (assets[0].name if assets else ""))
    before = form.continued if conversation.continues(session) else None
    waits_for = waiting.open_before(before)
    said = conversation.so_far(session, before) if conversation.continues(session) and not waits_for else ()
    sent = (form.submission.data, text, form.settings, [asset.sha256 for asset in assets])
    key = key_of_form("form", user_id, *sent)
    if waiting.is_full(session) and earlier(session.project, key) is None:  # one that is sent again may be among them
        raise waiting.Full
    requested = str(session.settings["model"]) if is_first else form.requested
    prompt = form.prompt([uploads.part_of(asset) for asset in assets], said)
    offers: list[Offer] = []
    if conversation.continues(session):
        unwanted = session.settings.get("actions_off") or ()
        prompt, offers = offering.offer(prompt, session.project, requested, session.model_type, unwanted)
    return submit(
        Request(
            project=session.project,
            prompt=prompt,
            offers=offers,
            origin=Origin.PLAYGROUND,
            requested=requested,
            user_id=user_id,
            session=session,
            asked=Prompt(session_id=session.id, author_id=user_id, text=text, assets=assets),
            model_type=session.model_type,
            idempotency_key=key,
            waits_for_id=waits_for,
            continues_id=before,
        )
    )


def again(
    first: Execution,
    project: Project,
    session: PromptSession | None,
    user_id: uuid.UUID,
    submission: str,
    id: uuid.UUID | None = None,
) -> Execution:
    """The same prompt once more, as it was asked, with its files and the conversation that came before it: another
    answer in the first one's place."""
    prompt, waits_for = waiting.in_place_of(first, from_json(first.body.request))
    return submit(
        Request(
            id=id,
            project=project,
            prompt=replace(prompt, stream=True),
            origin=Origin.PLAYGROUND,
            requested=first.requested,
            user_id=user_id,
            session=session,
            asked=first.prompt,
            model_type=first.model_type,
            idempotency_key=key_of_form("retry", user_id, submission, first.id),
            waits_for_id=waits_for,
            continues_id=first.continues_id,
            offers=offering.again(first, project),
            made_from=first.template_run.again() if first.template_run else None,
        )
    )


def reworded(first: Execution, session: PromptSession, text: str, user_id: uuid.UUID, submission: str) -> Execution:
    """Another prompt in the place of one, with the same files, model and settings: a branch beside it. Raises
    storage.Unavailable."""
    files = first.prompt.assets if first.prompt else []
    return _beside(first, session, text, files, user_id, key_of_form("reworded", user_id, submission, first.id, text))


def varied(picture: Asset, first: Execution, session: PromptSession, user_id: uuid.UUID, submission: str) -> Execution:
    """What a picture was made with once more, and itself to work from. Raises storage.Unavailable."""
    text = first.prompt.text if first.prompt else ""
    return _beside(first, session, text, [picture], user_id, key_of_form("varied", user_id, submission, picture.id))


def _beside(
    first: Execution, session: PromptSession, text: str, files: Sequence[Asset], user_id: uuid.UUID, key: str | None
) -> Execution:
    """The first one's last message, said otherwise: these words, these files."""
    assets = uploads.keep([], files, session, user_id)
    prompt, waits_for = waiting.in_place_of(first, otherwise(first, text, assets))
    session.remember()
    return submit(
        Request(
            project=session.project,
            prompt=prompt,
            origin=Origin.PLAYGROUND,
            requested=first.requested,
            user_id=user_id,
            session=session,
            asked=Prompt(session_id=session.id, author_id=user_id, text=text, assets=assets),
            model_type=first.model_type,
            idempotency_key=key,
            waits_for_id=waits_for,
            continues_id=first.continues_id,
            offers=offering.again(first, session.project),
        )
    )


def otherwise(first: Execution, text: str, files: Sequence[Asset]) -> AskedPrompt:
    """What a run asked, with other words and files in its last message."""
    asked = from_json(first.body.request)
    *before, last = asked.messages
    parts = (*map(uploads.part_of, files), TextPart(text))
    return replace(asked, messages=(*before, replace(last, parts=parts)), stream=True)


def answer_tools(answered: Execution, session: PromptSession, results: Sequence[str], user_id: uuid.UUID) -> Execution:
    """Go on from an answer that called tools, with what they answered: one text a call, in their order.

    The same results for the same answer are one execution, however often they come.
    """
    calls, asked = answered.body.tool_calls, from_json(answered.body.request)
    said = assistant(answered.body.text).parts if answered.body.text else ()
    uses = tuple(ToolUse(call["id"], call["name"], call["arguments"]) for call in calls)
    answers = tuple(ToolResult(call["id"], text, call["name"]) for call, text in zip(calls, results, strict=True))
    turns = (Message("assistant", (*said, *uses)), Message("tool", answers))
    session.remember()
    return submit(
        Request(
            project=session.project,
            prompt=replace(asked, messages=(*asked.messages, *turns), stream=True),
            origin=Origin.PLAYGROUND,
            requested=answered.requested,
            user_id=user_id,
            session=session,
            asked=Prompt(session_id=session.id, author_id=user_id, text="\n\n".join(results)),
            model_type=answered.model_type,
            idempotency_key=key_of_form("tools", user_id, answered.id, results),
            continues_id=answered.id,
            offers=offering.again(answered, session.project),
        )
    )


def key_of_form(kind: str, user_id: uuid.UUID, submission: object, *content: object) -> str | None:
    """What is sent twice is one execution; but a form that is sent again with other content is another."""
    if not submission:
        return None
    said = json.dumps([str(submission), *content], default=str)
    return f"{kind}:{user_id}:{hashlib.sha256(said.encode()).hexdigest()[:48]}"


def title_of(text: str) -> str:
    """The first words of a prompt."""
    line = " ".join(text.split())
    return (line[:60].rsplit(" ", 1)[0] + "…" if len(line) > 60 else line) or "New session"
