"""A plan → a stream of Events: attempts, retries, fallback, polled jobs.

Three rules hold:

* After the first visible event there is no retry and no fallback.
* The same candidate is asked again only when it surely did not take the request: it was never sent, or turned away for
  want of room. One that names a parameter which the model does not take is asked at once without it; one that refuses
  chat completions, in the Responses format. Another model is
  asked also when the provider says that it failed. Silence or a broken line may hide a paid answer: that is the end,
  unless the rule says that another is to be asked all the same (Fate).
* Every call is announced to the journal before it is made and closed after, whatever happens.
"""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from .candidates import Candidate
from .exchange import Line, ask, chunks, fetch, stopped, unsendable, with_key
from .health import KEYS_OWN, kind_for_health
from .parameters import CHAT_COMPLETIONS, has
from .plan import Plan, Step
from .providers import UnknownFormat, adapter, format_for
from .room import Share
from .stop import Stop
from .types import (
    JOB_FAILED,
    OUR_OWN,
    Adapter,
    Advice,
    Again,
    Asset,
    AssetAt,
    Call,
    Decoder,
    Done,
    Embedding,
    Event,
    Failure,
    Fate,
    Kind,
    Progress,
    Prompt,
    Ranked,
    Reasoning,
    Segment,
    Sound,
    Text,
    ToolCall,
    Unsupported,
    Usage,
    Verdict,
)
from .usage import UNKNOWN
from .wire import Clients, Deadlines

NAMED = re.compile(r"([a-z][a-z_.]*): ")
"""How what a format cannot carry says which field that is."""
VISIBLE = (Text, Reasoning, ToolCall, Sound, Asset, AssetAt, Segment, Embedding, Ranked, Verdict)
RETRIES = 2
LONGEST_PAUSE = 20.0
POLL_RETRIES = 5
FETCH_RETRIES = 2
SHORTEST_POLL = 0.2
FIRST_PAUSE, ASKS_AGAIN = 0.5, 1.0
"""Seconds: before the same is asked anew, at most, and twice as long the next time; and before what is there already
is asked for again."""


@dataclass
class Result:
    """How one call ended: a Failure, or None for a whole answer."""

    failure: Failure | None = None
    usage: Usage = UNKNOWN
    done: Done | None = None
    visible: bool = False
    first_token_at: datetime | None = None


@dataclass(frozen=True)
class Job:
    """A call that another worker made, and what to ask next for its answer."""

    step: Step
    number: int
    again: Again


class Journal(Protocol):
    """Who keeps the record. `begin` may lower the prompt's limits, or refuse by raising Failure."""

    leaves_out: frozenset[str]
    """Which parameters does `begin` leave out where the candidate refuses them (parameters.fitted)?"""

    def begin(self, step: Step, number: int, prompt: Prompt) -> Prompt: ...

    def waiting(self, step: Step, number: int, again: Again) -> None:
        """The provider works on it, and `again` will bring the answer: kept, another worker can go on from there."""
        ...

    def end(self, step: Step, number: int, result: Result) -> None: ...


def run(
    plan: Plan,
    prompt: Prompt,
    http: Clients,
    journal: Journal,
    secret: Callable[[Step], str],
    stop: Stop,
    deadlines: Deadlines | None = None,
    job: Job | None = None,
    share: Share | None = None,
) -> Generator[Event, None, None]:
    """Try each step in turn, beginning with the `job` left by another worker. What comes takes its `share` of memory,
    which the caller gives back. Raises the first Failure when all failed; before it one whose fate is unknown; the last
    when something was visible."""
    deadlines, share = deadlines or Deadlines(), share or http.room.share()
    ends_at = time.monotonic() + deadlines.total
    steps, first, number, tries = deque(plan.steps), None, 0, 0
    if job:
        steps = deque([job.step, *(step for step in plan.steps if step.pair != job.step.pair)])
        number = job.number - 1
    elif plan.waits:
        yield Progress(note=f"waiting until {steps[0].candidate.label} has rested")
        if stop.wait(steps[0].wait):
            raise stopped(stop, sent=False)
    while steps and (first is None or time.monotonic() < ends_at):
        step, number = steps[0], number + 1
        result = Result()
        taken_over = job.again if job and job.number == number else None
        try:
            allowed = prompt if taken_over else journal.begin(step, number, prompt)
        except Failure as refusal:
            if refusal.advice is Advice.STOP:
                raise
            first, steps, tries = first or refusal, _after(steps, refusal), 0
            continue
        line = Line(http, step.candidate.is_trusted, step.candidate.base_url, stop, deadlines, ends_at, share)
        try:
            yield from _Attempt(line, step, number, journal, result).events(allowed, secret(step), taken_over)
            return
        except Failure as failure:
            result.failure = _bare(failure)
            if taken_over:  # by its provider, whatever went wrong here
                failure.status, failure.sent = None, True
        except GeneratorExit:
            result.failure = Failure(Kind.ABORTED, "The reader went away.")
            raise
        except Exception:
            result.failure = Failure(Kind.TRANSIENT, "Dataelan itself failed during this call.", code=OUR_OWN)
            raise
        finally:
            journal.end(step, number, result)
        if result.visible or stop.is_cut:
            raise result.failure
        if told := _told(steps, result.failure, allowed, journal.leaves_out):
            steps = told
            continue
        is_unknown = result.failure.fate is Fate.UNKNOWN
        if is_unknown and not plan.goes_on_unheard:
            raise result.failure
        first, tries = result.failure if is_unknown else first or result.failure, tries + 1
        left = _after(steps, result.failure)
        if (pause := _pause(result.failure, tries, others=bool(left))) is not None:
            if stop.wait(pause):
                raise stopped(stop, sent=False)
            continue
        if result.failure.advice is Advice.STOP and not left:
            raise result.failure
        steps, tries = left, 0
    raise first or Failure(plan.problem_kind, plan.problem, code=plan.problem_code, sent=False)


@dataclass
class _Attempt:
    """One call to one provider, with the further ones of a polled job."""

    line: Line
    step: Step
    number: int
    journal: Journal
    result: Result
    decode: Decoder = field(init=False)

    def events(self, prompt: Prompt, key: str, again: Again | None) -> Iterator[Event]:
        candidate = self.step.candidate
        self.line.share.begin(prompt.task)
        try:
            kind = _format_of(candidate, prompt)
            format = adapter(kind, candidate.base_url, prompt.task)
            prompt = prompt.as_sent_to(kind).as_heard_by(format.options)
            if prompt.options and (unknown := prompt.options.keys() - format.options):
                raise Unsupported(f"{', '.join(sorted(unknown))}: its API has no such parameter.")
            first = format.call(prompt, candidate.model, key)
        except (UnknownFormat, Unsupported) as error:
            named = NAMED.match(str(error))
            param = named[1] if named else ""
            raise Failure(Kind.BAD_REQUEST, f"{candidate.label}: {error}", sent=False, param=param) from error
        except ValueError as error:  # such as half an IPv6 address
            raise unsendable() from error
        self.decode = format.decoder()
        asked = again
        try:
            if not again:
                asked = again = yield from self._answer(first, first, format)
            while again:
                asked = again
                self._wait(again)
                again = yield from self._answer(with_key(again.call, first, self.line), first, format)
        except Failure as failure:
            if asked and asked.cancel and failure.code != JOB_FAILED and not self.line.stop.is_lost:
                self._cancel(asked.cancel, first, format)
            raise

    def _answer(self, call: Call, first: Call, format: Adapter) -> Generator[Event, None, Again | None]:
        """One answer's events with the files they announce. Returns what is to be asked next. Asking how a job stands
        is harmless, so that is tried again when the line fails; but the job itself was taken, and may have been paid
        for, so it is never begun anew."""
        is_poll, again, share, result = call is not first, None, self.line.share, self.result
        for left in range(POLL_RETRIES if is_poll else 0, -1, -1):
            seen, heads = False, list[Mapping[str, str]]()
            try:
                for chunk, is_last in chunks(self.line, call, format.failure, heads):
                    if heads and (used := format.told(heads.pop())) != UNKNOWN:
                        self._note(used)
                        yield used
                    for event in joined(self.decode(chunk, is_last)):
                        seen = True
                        share.became(event)
                        if not (result.visible and isinstance(event, Text)):  # of more words there is nothing to note
                            if isinstance(event, Again):
                                again = event
                                continue
                            if isinstance(event, AssetAt):
                                event = self._fetched(event, first, format)
                            self._note(event)
                        yield event
                return again
            except Failure as failure:
                if is_poll:
                    failure.status, failure.sent = None, True
                if seen or not left or not self._has_paused(failure):
                    raise
                self.decode = format.decoder()  # half an answer may be left in the old one
        return None

    def _fetched(self, at: AssetAt, first: Call, format: Adapter) -> Asset:
        """The file was made and may have been paid for, so one that is lost on its way is asked for again."""
        for _ in range(FETCH_RETRIES):
            try:
                return fetch(self.line, at, first.headers, format.failure)
            except Failure as failure:
                if not self._has_paused(failure):
                    raise
        return fetch(self.line, at, first.headers, format.failure)

    def _has_paused(self, failure: Failure) -> bool:
        """Before asking again for what is there already. False: this failure does not pass, or the time is over."""
        passing = failure.kind in (Kind.TRANSIENT, Kind.RATE_LIMIT) and failure.code != JOB_FAILED
        if not passing or time.monotonic() > self.line.ends_at:
            return False
        if self.line.stop.wait(min(failure.after or ASKS_AGAIN, LONGEST_PAUSE)):
            raise stopped(self.line.stop) from failure
        return True

    def _wait(self, again: Again) -> None:
        """Until it is time to ask again."""
        self.journal.waiting(self.step, self.number, again)
        if time.monotonic() > self.line.ends_at:
            raise Failure(Kind.TRANSIENT, f"The job took longer than {self.line.deadlines.total:.0f} seconds.")
        if self.line.stop.wait(max(again.delay, SHORTEST_POLL)):
            raise stopped(self.line.stop)

    def _cancel(self, cancel: Call, first: Call, format: Adapter) -> None:
        """A job that is given up, for whatever reason, is ended at the provider too: nobody will fetch its work."""
        with contextlib.suppress(Failure):
            ask(self.line.client_for(cancel.url), with_key(cancel, first, self.line), format.failure, seconds=5)

    def _note(self, event: Event) -> None:
        result = self.result
        if isinstance(event, VISIBLE):
            if not result.visible:
                result.first_token_at, result.visible = datetime.now(UTC), True
        elif isinstance(event, Usage):
            result.usage = result.usage.updated(event)
        elif isinstance(event, Done):
            result.done = event


def joined(events: Iterable[Event]) -> Iterator[Event]:
    """Words that came at once go on as one, so that the more there is to do, the less each costs."""
    words: list[Text] = []
    try:
        for event in events:
            if type(event) is Text and not event.logprobs:
                words.append(event)
            else:
                if words:
                    yield _one(words)
                    words.clear()
                yield event
    except Failure:
        if words:
            yield _one(words)
        raise
    if words:
        yield _one(words)


def _one(words: Sequence[Text]) -> Text:
    if len(words) == 1:
        return words[0]
    pieces = tuple(word.delta for word in words)
    return Text("".join(pieces), pieces=pieces)


# -- what to do after a failure ------------------------------------------------------------------


def _bare(failure: Failure) -> Failure:
    """Without what it came through: frames hold the whole answer, and an exception that is kept would keep them."""
    failure.__traceback__ = failure.__cause__ = failure.__context__ = None
    return failure


def _told(steps: deque[Step], failure: Failure, sent: Prompt, leaves_out: Collection[str]) -> deque[Step] | None:
    """The same steps, of which those of this model know now what it does not take, so that it is asked again without
    that, or in the other format: nothing was begun, and nothing billed. None: that was not why."""
    tried, name = steps[0].candidate, failure.refused
    if not name or name in tried.refuses:
        return None
    if name == CHAT_COMPLETIONS:
        is_why = tried.kind == "openai" == _format_of(tried, sent)
    else:
        is_why = name in leaves_out and has(sent, name)
    if not is_why:
        return None
    return deque(_knowing(one, name) if one.candidate.model_id == tried.model_id else one for one in steps)


def _format_of(candidate: Candidate, prompt: Prompt) -> str:
    refuses_chat, seals = CHAT_COMPLETIONS in candidate.refuses, bool(prompt.seals)
    which = candidate.kind, candidate.base_url, candidate.model, prompt.task
    return format_for(*which, refuses_chat=refuses_chat, seals=seals)


def _knowing(step: Step, refused: str) -> Step:
    """Each at its own price, which may be another with another key."""
    return replace(step, candidate=replace(step.candidate, refuses=step.candidate.refuses | {refused}))


def _pause(failure: Failure, tries: int, *, others: bool) -> float | None:
    """Seconds to wait before asking the same candidate again, or None: do not."""
    retryable = failure.kind is Kind.TRANSIENT or (failure.kind is Kind.RATE_LIMIT and not others)
    if failure.fate is not Fate.NOT_TAKEN or not retryable or tries > RETRIES:
        return None
    backoff = random.uniform(0.5, 1.0) * FIRST_PAUSE * 2 ** (tries - 1)
    pause = max(failure.after or 0.0, backoff)
    return pause if pause <= LONGEST_PAUSE else None


def _after(steps: deque[Step], failure: Failure) -> deque[Step]:
    """What is left to try: another key where the key was the trouble, a model kept for this kind of failure (from
    now on a model like any other), or simply the next one. Models kept for another kind wait for theirs."""
    tried, rest = steps[0], list(steps)[1:]
    kept = [replace(step, only_after=None, also_after=frozenset()) for step in rest if _is_for(failure, step, tried)]
    if failure.advice is Advice.STOP:
        return deque(kept)
    if failure.sent and kind_for_health(failure) in KEYS_OWN:  # refused, it is so for every model
        rest = [step for step in rest if step.key.id is None or step.key.id != tried.key.id]
    if failure.advice is not Advice.NEXT_KEY:
        rest = [step for step in rest if step.candidate.model_id != tried.candidate.model_id]
    ready = [step for step in rest if step.only_after is None and failure.kind not in step.also_after]
    others = [step for step in rest if step.only_after not in (None, failure.kind)]
    return deque([*kept, *ready, *others]) if kept or ready else deque()


def _is_for(failure: Failure, step: Step, tried: Step) -> bool:
    """Is it for after this kind of failure, and another model than the one that failed?"""
    is_kept = step.only_after is failure.kind or failure.kind in step.also_after
    return is_kept and step.candidate.model_id != tried.candidate.model_id


def limited(prompt: Prompt, max_tokens: int) -> Prompt:
    """The same prompt with a lower output limit."""
    return prompt if prompt.max_tokens == max_tokens else replace(prompt, max_tokens=max_tokens)
