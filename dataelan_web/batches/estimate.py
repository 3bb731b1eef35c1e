"""What a batch may cost, before it begins: per model, as a range, and honest about what is not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flask_login import current_user
from sqlalchemy import func, select

from ..executions.bounds import OUTPUT_LIMIT
from ..executions.candidates import models_named
from ..executions.execute import choose
from ..executions.measures import estimated_tokens
from ..extensions import db
from ..models import Batch, BatchCheck, BatchRow, CheckKind, Execution, ModelType, Origin, State, TemplateRun, new_id
from ..models.records import RunRecord
from ..prompts.content import Content
from ..prompts.refusals import Refused
from ..router import pricing
from ..router.candidates import Candidate
from ..router.parameters import SCHEMA, TOOLS, fitted, has, omitted
from ..router.sizes import tokens_of
from ..router.types import Failure, Prompt, Usage
from . import judging
from .asked import Asker

SAMPLE = 200
"""Rows whose size stands for all."""
PAST = 200
FEWEST_PAST = 5
MOST_SAID = 3
LACKED = {SCHEMA: "JSON schema", TOOLS: "tools"}
"""What is never left out of a prompt."""
SHORT, LONG = 40, 1_000
"""Output tokens of a short and of a long answer, where nothing is known of this prompt's."""


@dataclass(frozen=True)
class Line:
    """Nano-USD of all rows at one model; None: not known. `models`: who would be asked, the first choice first."""

    requested: str
    models: tuple[str, ...] = ()
    low: int | None = None
    high: int | None = None
    problem: str = ""
    is_simulated: bool = False
    is_judge: bool = False
    fitting: tuple[str, ...] = ()
    """What of the prompt's settings these models do not take, in words: the first few."""


@dataclass(frozen=True)
class Estimate:
    lines: tuple[Line, ...]
    rows: int
    """Those that can be asked."""
    unfit: tuple[tuple[int, str], ...]
    """(row, why it cannot be asked), the first few."""
    unfit_count: int
    input_tokens: int
    """Of one row, on average."""
    output: tuple[int, int]
    """Output tokens of an answer, from and to."""
    past: int
    """How many runs that is known from; 0: it is assumed."""

    @property
    def low(self) -> int:
        return sum(line.low or 0 for line in self.lines)

    @property
    def high(self) -> int:
        return sum(line.high or 0 for line in self.lines)

    @property
    def unknown(self) -> list[Line]:
        return [line for line in self.lines if line.high is None and not line.problem]

    @property
    def is_possible(self) -> bool:
        return self.rows > 0 and not any(line.problem for line in self.lines if not line.is_judge)


def of(batch: Batch) -> Estimate:
    """Reads all rows; sends nothing."""
    prompts, unfit, count = _asked(batch)
    fit = batch.rows_count - count
    size = sum(tokens_of(prompt) for prompt in prompts) // max(len(prompts), 1)
    output, past = _outputs(batch, prompts[0] if prompts else None)
    lines = [_line(batch, requested, prompts, size, output, fit) for requested in batch.models] if prompts else []
    lines += [_judge(batch, check, fit * len(batch.models), output) for check in _judges(batch)] if prompts else []
    return Estimate(tuple(lines), fit, tuple(unfit), count, size, output, past)


def _asked(batch: Batch) -> tuple[list[Prompt], list[tuple[int, str]], int]:
    """(a sample of what is asked, the first rows that cannot be, how many those are)"""
    asker, prompts, unfit, count = Asker(batch), list[Prompt](), list[tuple[int, str]](), 0
    every = max(batch.rows_count // SAMPLE, 1)
    rows = select(BatchRow).where(BatchRow.batch_id == batch.id).order_by(BatchRow.position)
    for row in db.session.scalars(rows.execution_options(yield_per=1_000)):
        try:
            prompt, _ = asker.prompt(row)
        except Refused as refused:
            count += 1
            unfit += [(row.line, str(refused))] if len(unfit) < 5 else []
            continue
        if row.position % every == 0 or len(prompts) < 3:
            prompts.append(prompt)
    return prompts, unfit, count


def _outputs(batch: Batch, prompt: Prompt | None) -> tuple[tuple[int, int], int]:
    """(tokens of an answer from and to, known from so many runs of the same words, or else of the same prompt)"""
    used = func.coalesce(Execution.tokens_output, 0) + func.coalesce(Execution.tokens_reasoning, 0)
    runs = (
        select(used.label("used"))
        .join(TemplateRun, TemplateRun.id == Execution.id)
        .where(
            TemplateRun.template_id == batch.template_id,
            Execution.state == State.COMPLETED,
            Execution.tokens_output.is_not(None),
        )
        .order_by(TemplateRun.created_at.desc())
        .limit(PAST)
    )
    digest = Content.of(batch.content).digest
    for which in (runs.where(TemplateRun.digest == digest), runs):
        found = which.subquery()
        share = [func.percentile_cont(part).within_group(found.c.used) for part in (0.1, 0.9)]
        count, low, high = db.session.execute(select(func.count(), *share).select_from(found)).one()
        if count >= FEWEST_PAST:
            return (int(low), max(int(high), int(low) + 1)), count
    most = prompt.max_tokens if prompt and prompt.max_tokens else LONG
    return (min(SHORT, most), most), 0


def _line(
    batch: Batch, requested: str, prompts: Sequence[Prompt], size: int, output: tuple[int, int], rows: int
) -> Line:
    candidates, problem = _candidates(batch, requested, prompts[0], Origin.BATCH)
    if not candidates:
        return Line(requested, problem=problem)
    low, high = _cost(candidates, size, output)
    names = tuple(candidate.label for candidate in candidates)
    fitting = dict.fromkeys(said for candidate in candidates if (said := fitted(prompts[0], candidate)[1]))
    return Line(
        requested,
        names,
        _times(low, rows),
        _times(high, rows),
        is_simulated=candidates[0].is_simulated,
        fitting=tuple(fitting)[:MOST_SAID],
    )


def _judges(batch: Batch) -> list[BatchCheck]:
    return [check for check in batch.checks if check.kind is CheckKind.JUDGE]


def _judge(batch: Batch, check: BatchCheck, answers: int, output: tuple[int, int]) -> Line:
    requested = check.settings["model"]
    prompt = judging.prompt(check, (), "", "")
    candidates, problem = _candidates(batch, requested, prompt, Origin.JUDGE)
    if not candidates:
        return Line(requested, problem=problem, is_judge=True)
    asked = tokens_of(prompt) + estimated_tokens(str(batch.content["messages"]))
    low, _ = _cost(candidates, asked + output[0], judging.USUAL_OUTPUT)
    _, high = _cost(candidates, asked + output[1], judging.USUAL_OUTPUT)
    names, is_simulated = (candidates[0].label,), candidates[0].is_simulated
    return Line(requested, names, _times(low, answers), _times(high, answers), "", is_simulated, is_judge=True)


def _times(cost: int | None, count: int) -> int | None:
    return None if cost is None else cost * count


def _candidates(batch: Batch, requested: str, prompt: Prompt, origin: Origin) -> tuple[list[Candidate], str]:
    """Who would be asked as things stand now, in order; or why nobody."""
    asked = RunRecord(
        id=new_id(),
        organization_id=batch.project.organization_id,
        project_id=batch.project_id,
        project=batch.project,
        user_id=current_user.id,
        token_id=None,
        origin=origin,
        model_type=ModelType(batch.content["model_type"]),
        requested=requested,
    )
    try:
        steps = choose(asked, replace(prompt, max_tokens=prompt.max_tokens or OUTPUT_LIMIT)).steps
    except Failure as failure:
        return [], failure.message
    if not steps:
        return [], _why_nobody(batch, requested, prompt)
    return list({step.candidate.model_id: step.candidate for step in steps}.values()), ""


def _why_nobody(batch: Batch, requested: str, prompt: Prompt) -> str:
    named = next(iter(models_named(db.session, batch.project, requested)), None)
    lacking = omitted(named) if named else frozenset()
    words = [f"no {word}" for name, word in LACKED.items() if name in lacking and has(prompt, name)]
    if named and words:
        return f"{named.model} takes {' and '.join(words)}: it cannot be asked this prompt. Choose another model."
    return "No model can be asked for it now: it may be switched off, or a key is missing."


def _cost(candidates: Sequence[Candidate], size: int, output: tuple[int, int]) -> tuple[int | None, int | None]:
    """Of one row. The first of them usually answers; the dearest may. None where its price is not known."""
    low = pricing.cost(Usage(input=size, output=output[0]), candidates[0].rates)
    costs = [pricing.cost(Usage(input=size, output=output[1]), one.rates) for one in candidates]
    high = None if low is None else max(cost for cost in costs if cost is not None)
    return low, high
