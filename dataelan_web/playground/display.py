"""How a run's files, measures and transcript read: the filters of its card."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from ..formats import count, duration
from ..models import Asset, Attempt, Execution, ModelType
from .chat_form import EFFORTS, stops_typed
from .media_types import kind_of, plain
from .uploads import TAKES

KINDS = ("image", "audio", "video", "file")


def by_kind(assets: Iterable[Asset]) -> dict[str, list[Asset]]:
    """{image: […], audio: […], video: […], file: […]}: what is drawn, what is played, and what is only saved."""
    groups: dict[str, list[Asset]] = {kind: [] for kind in KINDS}
    for asset in assets:
        groups[kind_of(asset)].append(asset)
    return groups


def used(execution: Execution | Attempt) -> list[tuple[str, str]]:
    """What was used beside plain tokens, as (name, amount): (“Pictures”, “2”)."""
    measures, facts = execution.measures or {}, []
    if (pictures := measures.get("images")) is not None:
        facts.append(("Pictures", count(pictures)))
    if (seconds := measures.get("seconds")) is not None:
        facts.append(("Length", _length(Decimal(seconds))))
    if (characters := measures.get("characters")) is not None:
        facts.append(("Characters", count(characters)))
    for name, label in (("audio", "Sound tokens"), ("image", "Picture tokens")):
        pair = [measures.get(f"input_{name}"), measures.get(f"output_{name}")]
        if any(pair):
            facts.append((label, " → ".join(count(number) for number in pair)))
    return facts


def _length(seconds: Decimal) -> str:
    """Of sound or film: 4 s, 12.5 s, then 2m 5s."""
    return f"{seconds.normalize():f} s" if seconds < 60 else duration(float(seconds))


def timecode(seconds: float) -> str:
    """A place in a recording: 0:07, 12:34, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(number: int) -> str:
    """Of a file: 512 B, 3.4 KB, 1.2 MB."""
    if number < 1000:
        return f"{number} B"
    return f"{number / 1e3:.0f} KB" if number < 1_000_000 else f"{number / 1e6:.1f} MB"


def usable_in(asset: Asset, model_type: ModelType) -> bool:
    """Can a session of this type take it as a file of its next prompt?"""
    return plain(asset.media_type) in TAKES[model_type].types


def varied_of(asset: Asset, execution: Execution) -> bool:
    """Is it a picture of this run's, which was asked for with words, so that the same can be asked again from it?"""
    is_made = asset.execution_id is not None and asset.execution_id == execution.id
    return is_made and execution.model_type is ModelType.IMAGE and kind_of(asset) == "image" and bool(execution.prompt)


def results(execution: Execution) -> list[dict[str, str]]:
    """What tools answered, where that is what was asked: [{id, name, text}]."""
    asked = execution.body.asked or {"parts": []}
    return [part for part in asked["parts"] if part["type"] == "result"]


def settings_said(request: dict[str, Any]) -> list[str]:
    """What a chat was told beside its prompt, shortly. `request`: as executions/prompts.py writes it."""
    numbers = (
        ("Temperature", request.get("temperature")),
        ("Top P", request.get("top_p")),
        ("Seed", request.get("seed")),
        ("At most", request.get("max_tokens")),
    )
    said = [f"{name} {value:.12g}" for name, value in numbers if value is not None]
    said += [f"Stops at {stops_typed([one])}" for one in request.get("stop") or ()]
    effort = request.get("reasoning_effort")
    said += [f"Thinking {EFFORTS.get(effort, effort).lower()}"] if effort else []
    has = {"System prompt": any(one["role"] == "system" for one in request.get("messages") or ())}
    has |= {"JSON schema": bool(request.get("schema")), "Tools": bool(request.get("tools"))}
    return said + [name for name, is_there in has.items() if is_there]


FILTERS = {
    "settings_said": settings_said,
    "by_kind": by_kind,
    "kind_of": kind_of,
    "used": used,
    "timecode": timecode,
    "size": size,
    "tool_results": results,
}
