"""Which form a session's composer is, filled as the last prompt left it, and what it offers to choose from."""

from __future__ import annotations

from typing import Any

from ..acting.offering import on_offer
from ..models import ModelType, PromptSession
from ..router.types import Task
from . import shelf
from .chat_form import ChatForm
from .forms import PromptForm
from .media_forms import LANGUAGES, VOICES, ImageForm, VideoForm, VoiceForm
from .options import model_options, values_of
from .starts import STARTS
from .uploads import LARGEST, TAKES

FORMS: dict[ModelType, type[PromptForm]] = {
    ModelType.TEXT: ChatForm,
    ModelType.CODE: ChatForm,
    ModelType.IMAGE: ImageForm,
    ModelType.VOICE: VoiceForm,
    ModelType.VIDEO: VideoForm,
}


def submitted(session: PromptSession) -> PromptForm:
    """What was sent, to be checked."""
    return FORMS[session.model_type](session)


def first(session: PromptSession) -> PromptForm:
    """What was sent where a session begins, by a form that has the prompt and nothing else."""
    form = submitted(session)
    if isinstance(form, ChatForm):
        form.system.data = session.settings.get("system", "")
    return form


def filled(session: PromptSession) -> PromptForm:
    """An empty prompt, with the settings of the one before."""
    form = FORMS[session.model_type]
    known = {name: session.settings[name] for name in form.REMEMBERED if session.settings.get(name) is not None}
    return form(session, formdata=None, data=known)


def context(session: PromptSession, form: PromptForm) -> dict[str, Any]:
    """What the composer's template needs."""
    main, *others = tasks_of(session.model_type)
    options = model_options(session.project, session.model_type, main)
    values: dict[str, Any] = {
        "form": form,
        "model_options": options,
        "chosen": form.model.data or "auto",
        "takes": TAKES[session.model_type],
        "largest": LARGEST,
        "start": STARTS[session.model_type],
        "has_files": shelf.has_files(session.project_id),
    }
    if isinstance(form, ChatForm):
        off = form.settings.get("actions_off", session.settings.get("actions_off")) or ()
        values["actions"] = [(one, str(one.action_id) not in off) for one in on_offer(session.project_id)]
    if isinstance(form, VoiceForm):
        listeners = model_options(session.project, session.model_type, others[0])
        values |= {"listener_options": listeners, "voices": VOICES, "languages": LANGUAGES}
        values["listener"] = form.listener.data or "auto"
        if values["chosen"] in values_of(listeners) - values_of(
            options
        ):  # a session opened to try a model that listens
            values["chosen"], values["listener"] = "auto", values["chosen"]
    return values


def tasks_of(model_type: ModelType) -> tuple[Task, ...]:
    """What a session of this type can ask for, the usual one first."""
    return {
        ModelType.IMAGE: (Task.IMAGE,),
        ModelType.VOICE: (Task.SPEECH, Task.TRANSCRIPTION),
        ModelType.VIDEO: (Task.VIDEO,),
    }.get(model_type, (Task.CHAT,))
