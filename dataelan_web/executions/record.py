"""The record of one execution's attempts: the router's journal, kept in PostgreSQL.

An attempt's row, and the reservation of the most it can cost, are committed before its request is sent; the
true cost, the ledger's line and the attempt's outcome are written together. The last attempt's are committed
with the execution's final state, by whoever closes it.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, update
from sqlalchemy.exc import SQLAlchemyError

from .. import quota
from ..extensions import db
from ..models import APIKey, Attempt, Execution, LedgerEntry, Outcome, Payer, new_id, now
from ..models.executions import may_go_on
from ..router import pricing
from ..router.candidates import token_bound, tokens_of
from ..router.plan import Step
from ..router.run import Result, limited
from ..router.types import Failure, Kind, Prompt, Usage
from ..secrets import Place, Unreadable, keyring
from .answer import Answer
from .candidates import rates_of
from .prompts import from_json

log = logging.getLogger(__name__)

OUTPUT_LIMIT = 8192
"""Output tokens assumed, and asked for, where a limit applies and neither person nor model names one."""
COUNTERS = ("tokens_input", "tokens_cache_read", "tokens_cache_write", "tokens_output", "tokens_reasoning")
FEWEST = 16
"""Under so many affordable output tokens an answer is not worth starting."""


class Record:
    def __init__(self, execution: Execution, fence: int, answer: Answer):
        self.execution, self.fence, self.answer = execution, fence, answer
        self.attempts: list[dict[str, Any]] = []
        self.notice = self.finish = ""
        self.last: Attempt | None = None
        self._secret = ""
        self._input_tokens = 0
        self._ended: tuple[Step, Result, dict[str, Any]] | None = None
        self._is_written = True

    # -- the router's journal ------------------------------------------------------------------

    def begin(self, step: Step, number: int, prompt: Prompt) -> Prompt:
        """Announce a call: the attempt and its reservation, committed. Raises Failure to refuse it."""
        attempt = self._attempt(step, number)
        try:
            self.catch_up()
            if not may_go_on(db.session, self.execution.id, self.fence):
                raise Failure(Kind.ABORTED, "Stopped.", sent=False)
            self._secret = self._open(step)
            db.session.add(attempt)
            allowed = self._reserve(attempt, step, prompt)
            db.session.commit()
            # From here on a plain record, written by statements: a streamed gateway answer outlives the
            # database session in which its attempt began.
            db.session.expunge(attempt)
        except (Failure, quota.OverLimit) as refusal:
            db.session.rollback()
            self._refused(step, number, str(refusal))
            raise _refusal(refusal) from refusal
        except SQLAlchemyError as error:
            log.exception("attempt %s could not be recorded, so it is not made", attempt.id)
            self._take_back(attempt.id)
            message = "Dataelan's database could not record this call, so it was not made. Try again."
            self._refused(step, number, message)
            raise Failure(Kind.TRANSIENT, message, sent=False) from error
        self.last, self._input_tokens = attempt, tokens_of(allowed)
        return allowed

    def end(self, step: Step, number: int, result: Result) -> None:
        attempt, failure = self._begun(), result.failure
        usage, estimated = self._usage(result)
        cost = pricing.cost(usage, step.candidate.rates) if usage else 0
        self._ended = (step, result, self._values(attempt, result, usage, estimated, cost))
        self._is_written = False
        self.finish = result.done.finish.value if result.done else ""
        self.attempts.append(_receipt(step, number, attempt))
        try:
            self.catch_up()
            if failure and not result.visible:
                db.session.commit()  # others may follow, after a pause; hold no lock meanwhile
        except SQLAlchemyError:
            log.exception("the end of attempt %s could not be written yet", attempt.id)
            self.roll_back()

    def catch_up(self) -> None:
        """Write how the last call ended, unless that is done. Safe to run twice: it finds nothing open then."""
        if self._is_written or self._ended is None:
            return
        step, result, values = self._ended
        if self._close(self._begun(), values):
            self._charge(self._begun(), values["cost"], sent=_is_owed(result))
            self._note_key(step, result.failure)
        self._is_written = True

    def roll_back(self) -> None:
        """Forget what this transaction wrote, to write it again later."""
        with contextlib.suppress(SQLAlchemyError):
            db.session.rollback()
        self._is_written = self._ended is None

    def secret(self, step: Step) -> str:
        return self._secret

    # -- inside ----------------------------------------------------------------------------------

    def _take_back(self, attempt_id: uuid.UUID) -> None:
        """Nothing was sent, though the commit that announced it may have succeeded unheard."""
        self.roll_back()
        unsent = update(Attempt).where(Attempt.id == attempt_id, Attempt.outcome == Outcome.SENT)
        try:
            db.session.execute(unsent.values(outcome=Outcome.FAILED, ended_at=func.now(), cost=0))
            quota.void(db.session, attempt_id)
            db.session.commit()
        except SQLAlchemyError:
            log.exception("attempt %s is left to the sweeper", attempt_id)
            self.roll_back()

    def _open(self, step: Step) -> str:
        if step.key.id is None:
            return ""
        key = db.session.get(APIKey, step.key.id)
        if key is None:
            raise Failure(Kind.CREDENTIAL, "The key was deleted meanwhile.", sent=False)
        place = Place(key.organization_id, key.id, "ciphertext", key.provider.origin)
        try:
            return keyring().decrypt(key.ciphertext, place)
        except Unreadable as error:
            message = f"The key “{key.label}” cannot be read ({error}). Enter it again in the Model Hub."
            raise Failure(Kind.CREDENTIAL, message, sent=False) from error

    def _begun(self) -> Attempt:
        if self.last is None:
            raise LookupError("no attempt was begun")
        return self.last

    def _attempt(self, step: Step, number: int) -> Attempt:
        return Attempt(
            id=new_id(),
            execution_id=self.execution.id,
            number=self.execution.attempts_made + number,
            provider_id=step.candidate.provider_id,
            model_id=step.candidate.model_id,
            api_key_id=step.key.id,
            price_id=step.candidate.price_id,
            model_name=step.candidate.model,
            provider_name=step.candidate.provider,
            payer=Payer(step.key.payer),
        )

    def _reserve(self, attempt: Attempt, step: Step, prompt: Prompt) -> Prompt:
        """Hold the most this call can cost; where that is more than is left, lower the output to what can be paid."""
        rates = step.candidate.rates
        if rates is not None and rates.is_free:
            return prompt
        budgets = quota.applicable(db.session, self._subjects(step))
        if not budgets:
            return prompt
        if rates is None:
            raise Failure(
                Kind.BILLING,
                f"The price of {step.candidate.label} is unknown and a limit applies, so its cost cannot be held to it."
                " Set a price, or choose a priced model.",
                sent=False,
            )
        given = prompt.max_tokens or min(step.candidate.max_output_tokens or OUTPUT_LIMIT, OUTPUT_LIMIT)
        size = token_bound(prompt)
        allowed = given
        for _ in range(3):  # what is left may shrink while we look
            try:
                with db.session.begin_nested():
                    amount = pricing.upper_bound(size, allowed, rates)
                    quota.reserve(db.session, budgets, self.execution.id, attempt.id, amount)
                break
            except quota.OverLimit as over:
                affordable = pricing.affordable_output(size, over.left, rates)
                if affordable is None or min(affordable, allowed) < min(FEWEST, given) or affordable >= allowed:
                    raise
                allowed, last = affordable, over
        else:
            raise last
        if allowed < given:
            self.notice = f"The answer is limited to {allowed:,} tokens: more could not be paid. {last.message}"
        return limited(prompt, allowed)

    def _subjects(self, step: Step) -> quota.Subjects:
        execution = self.execution
        return quota.Subjects(
            execution.organization_id,
            execution.project_id,
            execution.user_id,
            execution.token_id,
            step.key.id,
            step.candidate.provider_id,
            step.candidate.model_id,
            Payer(step.key.payer),
        )

    def _usage(self, result: Result) -> tuple[Usage | None, bool]:
        """(tokens to charge, estimated?). None: the provider refused or never saw the request; nothing is owed."""
        if not _is_owed(result):
            return None, False
        reported = result.usage
        if result.failure is None and reported.input is not None and reported.output is not None:
            return reported, False
        said = estimated_tokens(self.answer.said)
        counted = Usage(
            input=reported.input if reported.input is not None else self._input_tokens,
            cache_read=reported.cache_read,
            cache_write=reported.cache_write,
            output=max(reported.output_total, said) - (reported.reasoning or 0),
            reasoning=reported.reasoning,
        )
        return counted, True

    def _values(
        self, attempt: Attempt, result: Result, usage: Usage | None, estimated: bool, cost: int | None
    ) -> dict[str, Any]:
        """How a call ended, as columns of its attempt, which gets them too."""
        failure, done = result.failure, result.done
        values: dict[str, Any] = {
            "outcome": _outcome(result),
            "ended_at": now(),
            "first_token_at": result.first_token_at,
            "cost": cost,
            "usage_is_estimated": estimated,
        }
        if failure:
            values |= {"error_kind": failure.kind.value, "error": failure.message, "status": failure.status}
        if done:
            values |= {"response_id": done.response_id[:200], "response_model": done.model[:200]}
        if usage:
            values |= dict(zip(COUNTERS, usage.counters, strict=True))
        for name, value in values.items():
            setattr(attempt, name, value)
        return values

    def _close(self, attempt: Attempt, values: dict[str, Any]) -> bool:
        """False: the sweeper thought us dead and has closed it."""
        closed = db.session.scalar(
            update(Attempt)
            .where(Attempt.id == attempt.id, Attempt.outcome == Outcome.SENT)
            .values(**values)
            .returning(Attempt.id)
            .execution_options(synchronize_session=False)
        )
        return closed is not None

    def _charge(self, attempt: Attempt, cost: int | None, *, sent: bool) -> None:
        if not sent:
            quota.void(db.session, attempt.id)
            return
        entry = LedgerEntry(
            organization_id=self.execution.organization_id,
            kind="charge",
            payer=attempt.payer,
            amount=cost or 0,
            price_id=attempt.price_id,
            note="estimated" if attempt.usage_is_estimated else "",
        )
        quota.settle(db.session, attempt.id, entry if cost else None)

    def _note_key(self, step: Step, failure: Failure | None) -> None:
        """The key's health: its last use (to the minute) and what last went wrong with it."""
        if step.key.id is None:
            return
        if failure and failure.kind in (Kind.CREDENTIAL, Kind.BILLING, Kind.RATE_LIMIT):
            values: dict[str, Any] = {"last_error": failure.message, "last_error_at": func.now()}
            fresh = True
        elif failure is None:
            values = {"last_used_at": func.now(), "last_error": ""}
            fresh = _is_stale(db.session.get(APIKey, step.key.id))
        else:
            return
        if fresh:
            db.session.execute(update(APIKey).where(APIKey.id == step.key.id).values(**values))

    def _refused(self, step: Step, number: int, reason: str) -> None:
        refused = {"number": number, "model": step.candidate.label, "key": step.key.label, "outcome": "refused"}
        self.attempts.append(refused | {"error": reason})


def _is_owed(result: Result) -> bool:
    """Nothing is, where the provider refused or never saw the request."""
    failure = result.failure
    refused = failure is not None and (not failure.sent or failure.status is not None)
    return not refused or result.visible or result.usage.known


def estimated_tokens(text: str) -> int:
    """Four bytes a token, rounded up."""
    return -(-len(text.encode()) // 4)


def _is_stale(key: APIKey | None) -> bool:
    if key is None:
        return False
    return bool(key.last_error) or key.last_used_at is None or (now() - key.last_used_at).total_seconds() > 60


def _refusal(refusal: Failure | quota.OverLimit) -> Failure:
    if isinstance(refusal, Failure):
        return refusal
    return Failure(Kind.BILLING, refusal.message, code="over_limit", sent=False)


def _outcome(result: Result) -> Outcome:
    if result.failure is None:
        return Outcome.COMPLETED
    if result.failure.kind is Kind.ABORTED:
        return Outcome.CANCELLED
    return Outcome.INTERRUPTED if result.visible else Outcome.FAILED


def _receipt(step: Step, number: int, attempt: Attempt) -> dict[str, Any]:
    """One attempt as the decision receipt shows it. Cost in nano-USD."""
    return {
        "number": number,
        "model": step.candidate.label,
        "key": step.key.label,
        "payer": attempt.payer.value,
        "outcome": attempt.outcome.value,
        "error": attempt.error,
        "status": attempt.status,
        "seconds": attempt.seconds,
        "cost": attempt.cost,
        "estimated": attempt.usage_is_estimated,
    }


def summary(last: Attempt | None, costs: Sequence[int | None]) -> dict[str, Any]:
    """The narrow row's share: the last attempt speaks for speed and tokens, the cost is of all of them."""
    if last is None:
        return {"cost": 0}
    names = ("provider_id", "model_id", "api_key_id", "payer", "first_token_at", *COUNTERS)
    known = [cost for cost in costs if cost is not None]
    return {name: getattr(last, name) for name in names} | {"cost": sum(known) if len(known) == len(costs) else None}


def close_abandoned(execution: Execution, text: str) -> None:
    """Settle what a dead worker left open, by estimate: the request may have reached the provider."""
    for attempt in db.session.query(Attempt).filter_by(execution_id=execution.id, outcome=Outcome.SENT):
        attempt.outcome, attempt.ended_at, attempt.usage_is_estimated = Outcome.INTERRUPTED, now(), True
        attempt.error = "The worker that ran it stopped."
        attempt.tokens_input = tokens_of(from_json(execution.body.request))
        attempt.tokens_output = estimated_tokens(text)
        usage = Usage(input=attempt.tokens_input, output=attempt.tokens_output)
        attempt.cost = pricing.cost(usage, rates_of(attempt.price) if attempt.price else None)
        db.session.flush()
        entry = LedgerEntry(
            organization_id=execution.organization_id,
            kind="charge",
            payer=attempt.payer,
            amount=attempt.cost or 0,
            price_id=attempt.price_id,
            note="estimated after a worker stopped",
        )
        quota.settle(db.session, attempt.id, entry if attempt.cost else None)
