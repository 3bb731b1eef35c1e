"""A prompt as it stands in the composer → what running it would cost, take, and meet."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random

from ...executions import conversation
from ...executions.candidates import AUTO
from ...executions.foresight import Foresight, foresee
from ...executions.health import health
from ...executions.measures import film_seconds, images_of
from ...models import Origin, PromptSession, new_id
from ...models.records import RunRecord
from ...router import pricing
from ...router.candidates import Candidate
from ...router.health import work_of
from ...router.plan import Step
from ...router.prompt import FilePart, ImagePart, Message, Part, Prompt, Task, TextPart
from ...router.sizes import tokens_of
from ...router.usage import Usage
from .. import uploads
from ..forms import PromptForm
from . import past
from .past import BYTES_A_SECOND, Length, Run
from .where import Where

INPUT_IS_WITHIN = (0.75, 1.35)
"""Of our count of input tokens (four bytes a token), what tokenizers make of it."""


@dataclass(frozen=True)
class Wait:
    """Seconds from pressing Run."""

    first_token: float | None
    total: float | None
    source: str


@dataclass(frozen=True)
class Reckoning:
    """`low`, `high`: nano-USD, both None where nobody can say. Nothing but `foresight` where nothing can be called."""

    foresight: Foresight
    input_tokens: tuple[int, int] = (0, 0)
    length: Length | None = None
    low: int | None = None
    high: int | None = None
    wait: Wait | None = None

    @property
    def step(self) -> Step | None:
        return self.foresight.step

    @property
    def candidate(self) -> Candidate | None:
        return self.step.candidate if self.step else None

    @property
    def is_free(self) -> bool:
        return self.candidate is not None and self.candidate.rates is not None and self.candidate.rates.is_free

    @property
    def may_be_another(self) -> int:
        """Models among which the rule draws."""
        shares = [one for one in self.foresight.plan.receipt.get("candidates", ()) if one.get("share")]
        return len(shares) if len(shares) > 1 else 0


def files_of(told: Sequence[str]) -> list[tuple[str, int]]:
    """(media type, bytes) of the files that will come along, as the browser tells them: `image/png 12345`."""
    pairs = [one.rpartition(" ") for one in told[: uploads.MOST]]
    return [(kind, min(int(size), uploads.LARGEST)) for kind, _, size in pairs if size.isdecimal() and len(size) < 12]


def is_whole(form: PromptForm, files: Sequence[tuple[str, int]]) -> bool:
    """Could it be run as it stands? Until then there is nothing to reckon; pressing Run says what is wrong."""
    valid = form.validate()
    has_words = bool((form.text.data or "").strip())
    only_files_missing = set(form.errors) <= {"text"} and bool(files) and not form.NEEDS_TEXT
    return (valid and has_words) or (valid and bool(form.referenced)) or only_files_missing


def prompt_of(session: PromptSession, form: PromptForm, files: Sequence[tuple[str, int]]) -> Prompt:
    """As it would be sent, with stand-ins of the same size for files, of which only type and size are known."""
    return form.prompt(*parts_of(session, form, files))


def parts_of(
    session: PromptSession, form: PromptForm, files: Sequence[tuple[str, int]]
) -> tuple[list[Part], tuple[Message, ...]]:
    """(the files that come along, the conversation before)"""
    kinds = [*files, *((asset.media_type, asset.size) for asset in form.referenced)]
    earlier = conversation.so_far(session, form.continued) if conversation.continues(session) else ()
    return list(map(_stand_in, kinds)), earlier


def _stand_in(file: tuple[str, int]) -> Part:
    media_type, size = file
    if media_type.startswith("image/"):
        return ImagePart(media_type)
    if media_type.startswith("text/"):
        return TextPart(" " * size)
    return FilePart(media_type, "A" * (size * 4 // 3))


def reckon(
    where: Where,
    prompt: Prompt,
    requested: str,
    user_id: uuid.UUID,
    runs: Sequence[Run] | None = None,
) -> Reckoning:
    """`runs`: what past.runs gave, where several are reckoned at once."""
    project = where.project
    asked = RunRecord(
        id=new_id(),
        organization_id=project.organization_id,
        project_id=project.id,
        project=project,
        user_id=user_id,
        token_id=None,
        origin=Origin.PLAYGROUND,
        model_type=where.model_type,
        requested=requested or AUTO,
    )
    foresight = foresee(asked, prompt, Random(where.id.int))  # while one writes, a rule that draws draws the same
    if foresight.step is None:
        return Reckoning(foresight)
    runs = past.runs(where) if runs is None else runs
    chosen = foresight.step.candidate
    length = _within(past.length(runs, where, user_id, chosen, prompt), prompt, foresight)
    size = tokens_of(prompt)
    low, high = (round(size * share) for share in INPUT_IS_WITHIN)
    costs = [_cost(prompt, chosen, tokens, end) for tokens, end in zip((low, high), _ends(length, prompt), strict=True)]
    known = [cost for cost in costs if cost is not None]
    return Reckoning(
        foresight,
        (low, high),
        length,
        min(known) if len(known) == len(costs) else None,
        max(known) if len(known) == len(costs) else None,
        _wait(prompt, foresight.step, length, past.of_model(runs, chosen.model_id)),
    )


def _within(length: Length, prompt: Prompt, foresight: Foresight) -> Length:
    """No longer than is asked for, than the model can, and than limits let it."""
    if prompt.task is not Task.CHAT or foresight.step is None:
        return length
    caps = (prompt.max_tokens, foresight.step.candidate.max_output_tokens, foresight.most_output)
    most = min((cap for cap in caps if cap is not None), default=length.high)
    return replace(length, low=min(length.low, most), high=min(length.high, most))


def _ends(length: Length, prompt: Prompt) -> Iterator[tuple[int, int]]:
    """(output tokens, bytes of a recorded second) at the low end and at the high one."""
    yield length.low, BYTES_A_SECOND[1]
    yield length.high, BYTES_A_SECOND[0]


def _cost(prompt: Prompt, chosen: Candidate, input_tokens: int, end: tuple[int, int]) -> int | None:
    return pricing.cost(_usage(prompt, input_tokens, *end), chosen.rates, prompt.media)


def _usage(prompt: Prompt, input_tokens: int, output: int, bytes_a_second: int) -> Usage:
    match prompt.task:
        case Task.IMAGE:
            count = images_of(prompt)
            return Usage(input=input_tokens, output=output * count, output_image=output * count, images=count)
        case Task.SPEECH:
            characters = len(prompt.words)
            return Usage(input=input_tokens, output=output, output_audio=output, characters=characters)
        case Task.TRANSCRIPTION:
            seconds = Decimal(sum(-(-file.size // bytes_a_second) for file in prompt.files))
            return Usage(input=input_tokens, output=output, seconds=seconds)
        case Task.VIDEO:
            return Usage(input=input_tokens, output=output, seconds=film_seconds(prompt) * images_of(prompt))
    return Usage(input=input_tokens, output=output)


def _wait(prompt: Prompt, step: Step, length: Length, mine: Sequence[Run]) -> Wait | None:
    """From this model's last answers here, else from what its health says."""
    first, speed = past.first_word(mine), past.speed(mine)
    if first is not None and speed and prompt.task is Task.CHAT:
        return Wait(first, first + length.middle / speed, f"this model’s last {len(mine)} answers here")
    if prompt.task is not Task.CHAT and len(mine) >= past.ENOUGH:
        total = sorted(run.total for run in mine)[len(mine) // 2]
        return Wait(None, total, f"this model’s last {len(mine)} answers here")
    vital = health().read([step.pair]).get(step.pair)
    if vital is None or vital.latency is None:
        return None
    first_token = vital.first_token_ms / 1000 if vital.first_token_ms is not None else None
    units = work_of(length.middle if prompt.task is Task.CHAT else None)
    total = max(vital.latency * units, first_token or 0.0) + step.wait
    return Wait(first_token, total, "how fast it lately answered, measured over all its calls")
