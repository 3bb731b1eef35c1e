"""A span for each run, and in it one for each call of a model. Where nothing is traced, all of this does nothing."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from ..models import NANO, Origin
from ..models.records import AttemptRecord, RunRecord
from ..router.plan import Plan, Step
from ..router.run import Result
from ..router.types import Failure, Prompt
from . import names, words
from .tracer import holds_words, tracer

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer


MOST_REJECTED = 20
"""Models that a span tells of; the receipt has all of them."""


class Answered(Protocol):
    @property
    def text(self) -> Sequence[str]: ...


class RunTrace:
    """Nothing is traced."""

    def decided(self, chosen: Plan) -> None:
        """What may answer, and why."""

    def begin(self, step: Step, attempt: AttemptRecord, prompt: Prompt, *, taken_over: bool = False) -> None:
        """A call of a model is about to be made, or gone on with."""

    def refused(self, step: Step, why: str) -> None:
        """A limit, or something of our own, let no call be made."""

    def ended(self, attempt: AttemptRecord, result: Result, answer: Answered) -> None:
        """The call has ended, and the attempt says how."""

    def end(self, execution: RunRecord, failure: Failure | None) -> None:
        """So has the run."""


def of_run(execution: RunRecord) -> RunTrace:
    """A part of the trace that is current here."""
    found = tracer()
    return RunTrace() if found is None else _Traced(found, execution)


class _Traced(RunTrace):
    def __init__(self, found: Tracer, execution: RunRecord):
        from opentelemetry.trace import SpanKind, set_span_in_context

        kind = SpanKind.INTERNAL if execution.origin is Origin.GATEWAY else SpanKind.CONSUMER  # of a message
        about = {
            names.EXECUTION: str(execution.id),
            names.ORGANIZATION: str(execution.organization_id),
            names.PROJECT: str(execution.project_id),
            names.ORIGIN: execution.origin.value,
            names.REQUESTED: execution.requested,
        }
        if execution.session_id:
            about[names.CONVERSATION] = str(execution.session_id)
        self._tracer = found
        self._run = found.start_span(names.RUN, kind=kind, attributes=about)
        self._inside = set_span_in_context(self._run)
        self._call: Span | None = None

    def decided(self, chosen: Plan) -> None:
        rejected = [f"{one.choice.candidate.label}: {one.reason}" for one in chosen.rejected[:MOST_REJECTED]]
        about = {
            names.RULE: chosen.rule.name if chosen.rule else None,
            names.WHY: chosen.receipt.get("summary") or None,
            names.REJECTED: rejected or None,
        }
        self._run.add_event(names.DECIDED, _known(about))

    def begin(self, step: Step, attempt: AttemptRecord, prompt: Prompt, *, taken_over: bool = False) -> None:
        from opentelemetry.trace import SpanKind

        candidate = step.candidate
        url, operation = urlsplit(candidate.base_url), names.OPERATIONS[prompt.task]
        about: dict[str, Any] = {
            names.OPERATION: operation,
            names.PROVIDER: names.provider_of(url.hostname or "", candidate.provider),
            names.REQUEST_MODEL: candidate.model,
            names.SERVER: url.hostname,
            names.PORT: url.port or (443 if url.scheme == "https" else 80),
            names.ATTEMPT: attempt.number,
            names.MAX_TOKENS: prompt.max_tokens,
            names.TEMPERATURE: prompt.temperature,
            names.TOP_P: prompt.top_p,
            names.REASONING_LEVEL: prompt.reasoning_effort,
            names.STREAM: prompt.stream or None,
            names.TAKEN_OVER: taken_over or None,
        }
        if holds_words():
            about[names.INPUT_MESSAGES] = words.asked(prompt)
        name = f"{operation} {candidate.model}"
        self._call = self._tracer.start_span(name, self._inside, kind=SpanKind.CLIENT, attributes=_known(about))

    def refused(self, step: Step, why: str) -> None:
        self._run.add_event(names.REFUSED, {names.REQUEST_MODEL: step.candidate.model, "reason": why})

    def ended(self, attempt: AttemptRecord, result: Result, answer: Answered) -> None:
        if (span := self._call) is None:
            return
        self._call, done = None, result.done
        finish = names.FINISHES[done.finish] if done else ""
        counted = (attempt.tokens_input, attempt.tokens_cache_read, attempt.tokens_cache_write)
        written = (attempt.tokens_output, attempt.tokens_reasoning)
        about = {
            names.OUTCOME: attempt.outcome.value,
            names.RESPONSE_MODEL: attempt.response_model or None,
            names.RESPONSE_ID: attempt.response_id or None,
            names.FINISH: [finish] if finish else None,
            names.FIRST_CHUNK: attempt.first_token_seconds,
            names.INPUT: _sum(counted),
            names.OUTPUT: _sum(written),
            names.CACHE_READ: attempt.tokens_cache_read,
            names.CACHE_WRITE: attempt.tokens_cache_write,
            names.REASONING: attempt.tokens_reasoning,
            names.ESTIMATED: attempt.usage_is_estimated or None,
            names.COST: _usd(attempt.cost),
        }
        if holds_words() and answer.text:
            about[names.OUTPUT_MESSAGES] = words.answered("".join(answer.text), finish or "error")
        span.set_attributes(_known(about))
        _close(span, result.failure)

    def end(self, execution: RunRecord, failure: Failure | None) -> None:
        if self._call is not None:  # another worker, or a sweeper, has written how it ended
            self._call.end()
        self._run.set_attributes(_known({names.STATE: execution.state.value, names.COST: _usd(execution.cost)}))
        _close(self._run, failure)


def _known(about: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in about.items() if value is not None}


def _sum(counts: tuple[int | None, ...]) -> int | None:
    """The conventions count all input as input, and all output as output; None: nothing was reported."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _usd(nano: int | None) -> float | None:
    return None if nano is None else float(Decimal(nano) / NANO)


def _close(span: Span, failure: Failure | None) -> None:
    if failure is not None:
        from opentelemetry.trace import StatusCode

        span.set_attribute(names.ERROR, failure.kind.value)
        span.set_status(StatusCode.ERROR)  # its message may quote a prompt
    span.end()
