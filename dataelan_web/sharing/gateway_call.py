"""The call of the gateway that asks once more what a run asked."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from ..executions.prompts import from_json, with_files
from ..extensions import db
from ..models import Asset, Execution
from ..router.types import FilePart, ImagePart, Message, Part, Prompt, Task, TextPart, Tool, ToolResult, ToolUse
from ..storage import storage

TOKEN = "DATAELAN_TOKEN"  # noqa: S105 - the name of a variable
LARGEST_FILES = 1_000_000
"""Bytes of all files that a call may hold; more makes no sense in a program's text."""
PATHS = {
    Task.CHAT: "/v1/chat/completions",
    Task.IMAGE: "/v1/images/generations",
    Task.SPEECH: "/v1/audio/speech",
    Task.TRANSCRIPTION: "/v1/audio/transcriptions",
    Task.EMBEDDING: "/v1/embeddings",
}
_HELD = ("text/", "image/", "audio/", "application/pdf")
_SOUNDS = {"audio/wav": "wav", "audio/mpeg": "mp3"}
"""Those that OpenAI’s chat knows as sound; others go as files."""
_OPTIONS = ("frequency_penalty", "presence_penalty", "verbosity", "parallel_tool_calls")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


@dataclass
class Call:
    """`body`: what is sent as JSON; of a transcript, the fields of its form."""

    body: dict[str, Any]
    left_out: list[str] = field(default_factory=list)
    """What this call cannot hold, or is too large for a program's text: names of files, settings."""
    task: Task = Task.CHAT
    file: str = ""
    """A plain name: of what comes back, where that is saved; of a transcript, of the recording that is sent."""
    of: str = ""
    """The provider that is asked instead (provider_call.py), then at this address and with these headers."""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: {"Authorization": f"Bearer ${TOKEN}"})
    """`$NAME` in one is for a variable that holds the secret."""

    @property
    def path(self) -> str:
        return PATHS[self.task]


def repeats(run: Execution) -> Call | None:
    """None for what the gateway has no call for: films. Raises storage.Unavailable."""
    prompt = from_json(run.body.request)
    if prompt.task not in PATHS:
        return None
    call = Call({"model": _model(run)}, task=prompt.task)
    match prompt.task:
        case Task.IMAGE:
            _picture(call, run, prompt)
        case Task.SPEECH:
            _speech(call, run, prompt)
        case Task.TRANSCRIPTION:
            _transcript(call, prompt)
        case Task.EMBEDDING:
            call.body |= {"input": [one.text for one in prompt.messages], **_given(dict(prompt.media))}
        case _:
            _chat(call, run, prompt)
    return call


def _model(run: Execution) -> str:
    return f"{run.provider.slug}/{run.model.name}" if run.model and run.provider else run.requested


# -- pictures and sound ------------------------------------------------------------------------------


def _picture(call: Call, run: Execution, prompt: Prompt) -> None:
    media = prompt.media
    said = {"n": media.get("count"), "size": media.get("size"), "quality": media.get("quality")}
    said |= {"background": media.get("background"), "output_format": media.get("format")}
    call.body |= {"prompt": prompt.words, **_given(said)}
    call.left_out += [f"the shape {shape}"] if (shape := media.get("aspect_ratio")) else []
    call.left_out += ["a picture to work from"] * len(prompt.images)
    call.file = f"picture.{_ending(run, media.get('format') or 'png')}"


def _speech(call: Call, run: Execution, prompt: Prompt) -> None:
    media = prompt.media
    said = {"voice": media.get("voice"), "response_format": media.get("format")}
    said |= {"speed": media.get("speed"), "instructions": media.get("instructions")}
    call.body |= {"input": prompt.words, **_given(said)}
    call.file = f"speech.{_ending(run, media.get('format') or 'mp3')}"


def _transcript(call: Call, prompt: Prompt) -> None:
    media = prompt.media
    timed, told_apart = media.get("timestamps"), media.get("diarize")
    form = "diarized_json" if told_apart else "verbose_json" if timed else "json"
    said = {"language": media.get("language"), "prompt": prompt.words, "temperature": prompt.temperature}
    said |= {"timestamp_granularities[]": "segment" if timed and told_apart else None}
    call.body |= {"response_format": form, **_given(said)}
    name = prompt.files[0].name if prompt.files else ""
    call.file = name if _PLAIN_NAME.fullmatch(name) else "recording"


def _given(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if value not in (None, "")}


def _ending(run: Execution, usual: str) -> str:
    """As the run's own file had it: a model may have a form of its own."""
    found = run.assets[0].name.rpartition(".")[2] if run.assets else ""
    return found if found.isascii() and found.isalnum() and len(found) < 6 else usual


# -- chats -------------------------------------------------------------------------------------------


def _chat(call: Call, run: Execution, prompt: Prompt) -> None:
    prompt = with_files(prompt, reader(run))
    call.body["messages"] = [said for message in prompt.messages for said in _message(message, call.left_out)]
    call.body |= _parameters(prompt)
    call.left_out += [f"top_k {prompt.options['top_k']}"] if "top_k" in prompt.options else []
    call.left_out += [f"a budget of {prompt.thinking_budget} tokens to think"] if prompt.thinking_budget else []


def reader(run: Execution) -> Callable[[str], bytes]:
    """Of the organization's own files; nothing for what is gone, too large, or of a kind that no chat takes."""
    left = [LARGEST_FILES]

    def read(id: str) -> bytes:
        asset = db.session.scalars(
            select(Asset).where(
                Asset.id == uuid.UUID(id), Asset.organization_id == run.organization_id, Asset.deleted_at.is_(None)
            )
        ).first()
        if asset is None or asset.size > left[0] or not asset.media_type.startswith(_HELD):
            return b""
        left[0] -= asset.size
        return storage().get(asset.storage_key)

    return read


def _parameters(prompt: Prompt) -> dict[str, Any]:
    plain = ("max_tokens", "temperature", "top_p", "seed", "reasoning_effort")
    found: dict[str, Any] = {name: value for name in plain if (value := getattr(prompt, name)) is not None}
    found |= {name: prompt.options[name] for name in _OPTIONS if name in prompt.options}
    if prompt.stop:
        found["stop"] = list(prompt.stop)
    if prompt.tools:
        found["tools"] = list(_tools(prompt.tools))
    if choice := prompt.tool_choice:
        is_word = choice in ("auto", "none", "required")
        found["tool_choice"] = choice if is_word else {"type": "function", "function": {"name": choice}}
    if prompt.schema is not None:
        schema = {"name": "answer", "schema": dict(prompt.schema)}
        found["response_format"] = {"type": "json_schema", "json_schema": schema}
    return found


def _tools(tools: Iterable[Tool]) -> Iterable[dict[str, Any]]:
    for tool in tools:
        said = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
        strict = {} if tool.is_strict is None else {"strict": tool.is_strict}
        yield {"type": "function", "function": said | strict}


def _message(message: Message, left_out: list[str]) -> list[dict[str, Any]]:
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    if results:
        return [{"role": "tool", "tool_call_id": part.id, "content": part.text} for part in results]
    content = [said for part in message.parts if (said := _part(part, left_out))]
    made: dict[str, Any] = {"role": message.role}
    if all(said["type"] == "text" for said in content):
        made["content"] = "".join(said["text"] for said in content) or None
    else:
        made["content"] = content
    calls = [part for part in message.parts if isinstance(part, ToolUse)]
    if calls:
        made["tool_calls"] = [
            {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": use.arguments}}
            for use in calls
        ]
    return [made] if content or calls else []


def _part(part: Part, left_out: list[str]) -> dict[str, Any] | None:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, ImagePart) and (part.data or part.url):
        url = part.url or f"data:{part.media_type};base64,{part.data}"
        return {"type": "image_url", "image_url": {"url": url}}
    if isinstance(part, FilePart) and part.data:
        if part.media_type in _SOUNDS:
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": _SOUNDS[part.media_type]}}
        inline = f"data:{part.media_type};base64,{part.data}"
        return {"type": "file", "file": {"filename": part.name, "file_data": inline}}
    if isinstance(part, ImagePart | FilePart):
        left_out.append(getattr(part, "name", "") or "a picture")
    return None
