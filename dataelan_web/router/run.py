"""A plan → a stream of Events: attempts, retries, fallback, deadlines.

The only file that touches the wire, and the only one that catches. Three rules hold:

* After the first visible event there is no retry and no fallback.
* The same candidate is asked again only when it surely did not take the request: it was never sent, or it was
  answered with an error. Silence or a broken line may hide a paid answer, so that goes on to the next model.
* Every call is announced to the journal before it is made and closed after, whatever happens.
"""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

import httpx2

from .plan import Plan, Step
from .providers import adapter
from .types import (
    Advice,
    Again,
    Asset,
    Call,
    Done,
    Event,
    Failure,
    Kind,
    Prompt,
    Reasoning,
    Text,
    ToolCall,
    Usage,
)
from .wire import MAX_ANSWER_BYTES, Deadlines, Stop

VISIBLE = (Text, Reasoning, ToolCall, Asset)
RETRIES = 2
LONGEST_PAUSE = 20.0


@dataclass
class Result:
    """How one call ended: a Failure, or None for a whole answer."""

    failure: Failure | None = None
    usage: Usage = field(default_factory=Usage)
    done: Done | None = None
    visible: bool = False
    first_token_at: datetime | None = None


class Journal(Protocol):
    """Who keeps the record. `begin` may lower the prompt's limits, or refuse by raising Failure."""

    def begin(self, step: Step, number: int, prompt: Prompt) -> Prompt: ...

    def end(self, step: Step, number: int, result: Result) -> None: ...


def run(
    plan: Plan,
    prompt: Prompt,
    http: httpx2.Client,
    journal: Journal,
    secret: Callable[[Step], str],
    stop: Stop,
    deadlines: Deadlines | None = None,
) -> Generator[Event, None, None]:
    """Try each step in turn. Raises the first Failure when all failed, the last when something was visible."""
    deadlines = deadlines or Deadlines()
    ends_at = time.monotonic() + deadlines.total
    steps, first, number, tries = deque(plan.steps), None, 0, 0
    while steps and (first is None or time.monotonic() < ends_at):
        step, number = steps[0], number + 1
        result = Result()
        try:
            allowed = journal.begin(step, number, prompt)
        except Failure as refusal:
            if refusal.advice is Advice.STOP:
                raise
            first, steps, tries = first or refusal, _after(steps, refusal), 0
            continue
        try:
            yield from _attempt(step, allowed, http, secret, stop, deadlines, ends_at, result)
            return
        except Failure as failure:
            result.failure = failure
        except GeneratorExit:
            result.failure = Failure(Kind.ABORTED, "The reader went away.")
            raise
        except Exception:
            result.failure = Failure(Kind.TRANSIENT, "Dataelan itself failed during this call.")
            raise
        finally:
            journal.end(step, number, result)
        if result.visible or result.failure.advice is Advice.STOP:
            raise result.failure
        first, tries = first or result.failure, tries + 1
        if (pause := _pause(result.failure, tries, others=len(steps) > 1)) is not None:
            if stop.wait(pause):
                raise _stopped()
            continue
        steps, tries = _after(steps, result.failure), 0
    raise first or Failure(plan.problem_kind, plan.problem, code=plan.problem_code, sent=False)


def ask(http: httpx2.Client, call: Call, failure: Callable[[int, bytes], Failure], seconds: float = 15) -> bytes:
    """One short question, such as a list of models. Raises Failure."""
    deadlines = Deadlines(connect=3, first_byte=seconds, idle=seconds, total=seconds)
    ends_at = time.monotonic() + seconds
    request = _request(http, call, deadlines, ends_at)
    try:
        response = http.send(request, stream=True)
        try:
            _now_idle(request, deadlines, ends_at)
            body = _read_all(response, ends_at)
        finally:
            response.close()
    except httpx2.HTTPError as error:
        raise _unreachable(error) from error
    if response.status_code >= 300:
        raise _answered(response, body, failure)
    return body


def _attempt(
    step: Step,
    prompt: Prompt,
    http: httpx2.Client,
    secret: Callable[[Step], str],
    stop: Stop,
    deadlines: Deadlines,
    ends_at: float,
    result: Result,
) -> Iterator[Event]:
    key = secret(step)
    try:
        format = adapter(step.candidate.kind, step.candidate.base_url)
        call: Call | None = format.call(prompt, step.candidate.model, key)
    except ValueError as error:  # such as half an IPv6 address
        raise _unsendable() from error
    decode = format.decoder()
    while call:
        again: Again | None = None
        for chunk, is_last in _chunks(http, call, format.failure, stop, deadlines, ends_at):
            for event in decode(chunk, is_last):
                if isinstance(event, Again):
                    again = event
                    continue
                _note(event, result)
                yield event
        if again and stop.wait(again.delay):
            raise _stopped()
        call = again.call if again else None


def _note(event: Event, result: Result) -> None:
    if isinstance(event, VISIBLE):
        if not result.visible:
            result.first_token_at = datetime.now(UTC)
        result.visible = True
    elif isinstance(event, Usage):
        result.usage = result.usage.updated(event)
    elif isinstance(event, Done):
        result.done = event


def _chunks(
    http: httpx2.Client,
    call: Call,
    failure: Callable[[int, bytes], Failure],
    stop: Stop,
    deadlines: Deadlines,
    ends_at: float,
) -> Iterator[tuple[bytes, bool]]:
    """The answer's bytes as they come, closed by (b"", True)."""
    if stop.requested:
        raise _stopped(sent=False)
    request = _request(http, call, deadlines, ends_at)
    try:
        with stop.watching():
            response = http.send(request, stream=True)
    except httpx2.HTTPError as error:
        stop.unwatch()
        unreachable = _unreachable(error)
        raise _stopped(sent=unreachable.sent) if stop.requested else unreachable from error
    try:
        _now_idle(request, deadlines, ends_at)
        if response.status_code >= 300:
            raise _answered(response, _read_all(response, ends_at), failure)
        _refuse_compressed(response)
        size = 0
        for chunk in response.iter_raw():
            size += len(chunk)
            if stop.requested:
                raise _stopped()
            if time.monotonic() > ends_at:
                raise Failure(Kind.TRANSIENT, f"The answer took longer than {deadlines.total:.0f} seconds.")
            if size > MAX_ANSWER_BYTES:
                raise Failure(Kind.TRANSIENT, "The answer is larger than Dataelan accepts (64 MB).")
            yield chunk, False
        if stop.requested:
            raise _stopped()
        yield b"", True
    except (httpx2.HTTPError, OSError) as error:
        raise _stopped() if stop.requested else _broken(error) from error
    finally:
        stop.unwatch()
        response.close()


def _request(http: httpx2.Client, call: Call, deadlines: Deadlines, ends_at: float) -> httpx2.Request:
    first_byte = min(deadlines.first_byte, max(ends_at - time.monotonic(), 0.001))
    try:
        return http.build_request(
            call.method,
            call.url,
            json=call.body,
            headers=dict(call.headers),
            timeout=httpx2.Timeout(first_byte, connect=deadlines.connect, pool=deadlines.connect),
        )
    except (httpx2.InvalidURL, ValueError, TypeError, RecursionError) as error:
        raise _unsendable() from error


def _now_idle(request: httpx2.Request, deadlines: Deadlines, ends_at: float) -> None:
    """httpx's read timeout is per read: up to the answer's head it was the first byte's, from here the idle one.
    It is not shortened again, so a silence that begins just before the total's end may outlast it by `idle`."""
    request.extensions["timeout"]["read"] = min(deadlines.idle, max(ends_at - time.monotonic(), 0.001))


def _read_all(response: httpx2.Response, ends_at: float, limit: int = 4 * 1024 * 1024) -> bytes:
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > limit or time.monotonic() > ends_at:
            break
    return bytes(body[:limit])


def _refuse_compressed(response: httpx2.Response) -> None:
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding not in ("", "identity"):
        raise Failure(Kind.TRANSIENT, f"The provider compressed its answer ({encoding}) though asked not to.")


# -- failures of the wire, in our words ----------------------------------------------------------


def _answered(response: httpx2.Response, body: bytes, failure: Callable[[int, bytes], Failure]) -> Failure:
    if response.is_redirect:
        return Failure(
            Kind.BAD_REQUEST,
            "The provider's address redirects elsewhere. Keys are never sent on; correct the base URL.",
            status=response.status_code,
        )
    refused = failure(response.status_code, body)
    refused.status = response.status_code
    if refused.after is None:
        refused.after = retry_after(response.headers.get("retry-after", ""))
    return refused


def _unreachable(error: httpx2.HTTPError) -> Failure:
    if isinstance(error, httpx2.ConnectTimeout):
        return Failure(Kind.TRANSIENT, "The provider did not accept a connection in time.", sent=False)
    if isinstance(error, httpx2.ConnectError):
        return Failure(Kind.TRANSIENT, "The provider cannot be reached: no connection to its address.", sent=False)
    if isinstance(error, httpx2.PoolTimeout):
        return Failure(Kind.TRANSIENT, "Too many calls are in flight from this process.", sent=False)
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
        return _unsendable()
    if isinstance(error, httpx2.ReadTimeout):
        return Failure(Kind.TRANSIENT, "The provider took the request but did not answer in time.")
    return Failure(Kind.TRANSIENT, "The connection broke before the provider answered.")


def _broken(error: Exception) -> Failure:
    if isinstance(error, httpx2.ReadTimeout):
        return Failure(Kind.TRANSIENT, "The provider stopped sending before the answer was whole.")
    return Failure(Kind.TRANSIENT, "The provider cut the connection before the answer was whole.")


def _unsendable() -> Failure:
    message = "The provider's address, key or this prompt holds characters that cannot be sent. Correct it."
    return Failure(Kind.BAD_REQUEST, message, sent=False)


def _stopped(*, sent: bool = True) -> Failure:
    return Failure(Kind.ABORTED, "Stopped.", sent=sent)


# -- what to do after a failure ------------------------------------------------------------------


def _pause(failure: Failure, tries: int, *, others: bool) -> float | None:
    """Seconds to wait before asking the same candidate again, or None: do not."""
    surely_refused = failure.status is not None or not failure.sent
    retryable = failure.kind is Kind.TRANSIENT or (failure.kind is Kind.RATE_LIMIT and not others)
    if not (surely_refused and retryable) or tries > RETRIES:
        return None
    backoff = random.uniform(0.5, 1.0) * 0.5 * 2 ** (tries - 1)
    pause = max(failure.after or 0.0, backoff)
    return pause if pause <= LONGEST_PAUSE else None


def _after(steps: deque[Step], failure: Failure) -> deque[Step]:
    """What is left to try: another key where the key was the trouble, else another model."""
    model = steps[0].candidate.model_id
    rest = list(steps)[1:]
    if failure.advice is not Advice.NEXT_KEY:
        rest = [step for step in rest if step.candidate.model_id != model]
    return deque(rest)


def retry_after(header: str) -> float | None:
    """Seconds a Retry-After header asks for: a number or an HTTP date (RFC 9110 §10.2.3)."""
    try:
        seconds = float(header)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def limited(prompt: Prompt, max_tokens: int) -> Prompt:
    """The same prompt with a lower output limit."""
    return replace(prompt, max_tokens=max_tokens)
