"""The record of one execution's attempts: the router's journal, kept in PostgreSQL.

An attempt's row, and the reservation of the most it can use, are committed before its request is sent; the
true cost, the ledger's line and the attempt's outcome are written together. The last attempt's are committed
with the execution's final state, by whoever closes it. What is held and settled is written last before each
commit, for it locks the rows of limits that others wait for.
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from flask import current_app
from psycopg2.errors import ForeignKeyViolation
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from .. import quota, traces
from ..extensions import db
from ..models import Attempt, Origin, journal
from ..models.records import AttemptRecord, RunRecord
from ..router.parameters import REFUSABLE, UNTOLD, fitted
from ..router.plan import Step
from ..router.run import Result
from ..router.types import OUR_OWN, Again, Failure, Kind, Prompt
from . import at_once, behind, jobs, outcomes, remembered
from .abandoned import take_back
from .allowance import Allowance, Unpriced, reserve, take_over
from .answer import Answer
from .at_once import Ending
from .behind import BRIEF, Put
from .bill import Bill, line_for, note_overrun
from .health import health
from .key_use import KeyUse
from .lessons import Lessons
from .outcomes import Ended
from .refused import REFUSALS, Refusal, facts_of, failure_of

log = logging.getLogger(__name__)

KEPT_FOR = 300.0
"""Seconds after which a job that goes on is written down anew, and its hold prolonged."""
UNRECORDED = "Dataelan's database could not record this call, so it was not made. Try again."
GONE = "The key or the model of this call was deleted just now, so it was not made. Try again."
OVERRUN = "The provider counted more than was held for this prompt: {}. It is charged in full."
NO_KEY, NONE_YET = KeyUse(), Allowance(Prompt(()))


class Record:
    notice = finish = ""
    last: AttemptRecord | None = None
    _key, _allowance = NO_KEY, NONE_YET
    _since = _kept_until = 0.0
    _ended: Ended | None = None
    _is_written = _is_settled = True
    _is_at_once = False

    def __init__(self, execution: RunRecord, fence: int, answer: Answer):
        self.execution, self.fence, self.answer = execution, fence, answer
        self.attempts: list[dict[str, Any]] = []
        self.trace, self._lessons = traces.of_run(execution), Lessons()
        self._unpriced = Unpriced.of(execution.project.organization)
        # A program gets what its provider says to what it sent: nothing in an answer could tell it of less.
        self.leaves_out = UNTOLD if execution.origin is Origin.GATEWAY else frozenset(REFUSABLE)
        self.is_there = execution.is_there
        """Is the execution's own row committed? That of a run that its caller runs itself comes with its first call."""
        self._made: list[AttemptRecord] = []
        self._unsent: list[uuid.UUID] = []
        self._is_lost = not execution.is_announced
        """Is the run's own row to be written, with whatever is written next?"""

    # -- the router's journal ------------------------------------------------------------------

    def begin(self, step: Step, number: int, prompt: Prompt) -> Prompt:
        """Announce a call: the attempt and its reservation, committed. Raises Failure to refuse it."""
        prompt, left_out = fitted(prompt, step.candidate, self.leaves_out)
        attempt, allowance = outcomes.announced(self.execution, step, number), NONE_YET
        try:
            if not self._is_settled:
                self.write()
                self.commit()
            if (plain := self._begun_at_once(attempt, step, prompt)) is not None:
                allowance = plain
            else:
                self.announce()
                begun = journal.begin(db.session, attempt, self.fence)
                if begun is None:
                    raise Failure(Kind.ABORTED, "Stopped.", sent=False)
                self._key = KeyUse.of(step.key.id, begun)
                allowance = reserve(self.execution, attempt.id, step, prompt, self._unpriced)
                if not allowance.is_held:  # else that is committed with what is held
                    db.session.commit()
                run = self.execution
                remembered.keys().keep(run.organization_id, step.key.id, run.hub_version, begun)
            self.is_there = True
        except (Failure, *REFUSALS) as refusal:
            self._forget(attempt)
            self._refuse(step, number, refusal)
            raise failure_of(refusal) from refusal
        except SQLAlchemyError as error:
            is_gone = isinstance(error, DBAPIError) and isinstance(error.orig, ForeignKeyViolation)
            say = log.warning if is_gone else log.exception
            say("attempt %s could not be recorded, so it is not made", attempt.id)
            self._take_back(attempt.id)
            allowance.end(None)
            failure = Failure(Kind.TRANSIENT, GONE if is_gone else UNRECORDED, sent=False)
            self._refuse(step, number, failure)
            raise failure from error
        self.last, self._ended, self._allowance, self._since = attempt, None, allowance, time.monotonic()
        self._made.append(attempt)
        self._tell_caller(allowance.left_usd, is_known=self.fence == 1)  # else others may have begun some too
        notices = left_out, self._lessons.notice(step.candidate), allowance.notice
        self.notice = " ".join(filter(None, notices))
        health().begin(step.pair, attempt.id)
        self.trace.begin(step, attempt, allowance.prompt)
        return allowance.prompt

    def take_over(self, row: Attempt, step: Step, number: int, prompt: Prompt) -> None:
        """Go on with an attempt that another worker began; those before it are told of as it would have."""
        earlier = select(Attempt).where(Attempt.execution_id == row.execution_id, Attempt.id != row.id)
        self.tell(db.session.scalars(earlier.order_by(Attempt.number)).all())
        attempt = AttemptRecord.of(row)
        self.last, self._allowance = attempt, take_over(self.execution, attempt.id, step, prompt)
        lasted = db.session.scalars(select(func.clock_timestamp())).one() - attempt.started_at
        self._since = time.monotonic() - lasted.total_seconds()
        self.trace.begin(step, attempt, prompt, taken_over=True)
        try:
            self._key = KeyUse.of(step.key.id, journal.key_of(db.session, step.key.id))
        except Failure as failure:
            failure.sent, failure.code = True, OUR_OWN  # its provider has long taken the job
            self.end(step, number, Result(failure=failure))
            raise
        health().begin(step.pair, attempt.id)

    def waiting(self, step: Step, number: int, again: Again) -> None:
        """Keep how to ask for the answer, and what is held for it, so that any worker can go on. Commits."""
        attempt, job = self._begun(), jobs.to_json(again)
        if attempt.job == job and time.monotonic() < self._kept_until:
            return
        try:
            journal.amend(db.session, attempt, self.fence, {"job": job})
            quota.prolong(db.session, attempt.id)
            db.session.commit()
            attempt.job, self._kept_until = job, time.monotonic() + KEPT_FOR
        except SQLAlchemyError:
            log.exception("the job of attempt %s could not be kept", attempt.id)
            self.roll_back()

    def end(self, step: Step, number: int, result: Result) -> None:
        attempt, failure, seconds = self._begun(), result.failure, self.seconds
        bill = Bill.of(result, self._allowance, self.answer, step, seconds)
        self._ended = Ended(step.candidate, result, outcomes.ended(attempt, result, bill, seconds), bill.tokens)
        told = outcomes.observed(attempt, step, result, bill.usage, self._allowance.prompt.task, seconds)
        health().end(step.pair, attempt.id, told)
        note = self._lessons.of_format(step.candidate)
        self._lessons.heard(step.candidate, failure)
        self._allowance.end(bill.tokens)
        self._is_written = self._is_settled = False
        self.finish = result.done.finish.value if result.done else ""
        self.attempts.append(outcomes.told(attempt, step.key.label) | ({"note": note} if note else {}))
        self.trace.ended(attempt, result, self.answer)
        try:
            if failure and not result.visible:
                self.write()
                self.commit()  # others may follow, after a pause; hold no lock meanwhile
        except SQLAlchemyError:
            log.exception("the end of attempt %s could not be written yet", attempt.id)
            self.roll_back()

    @property
    def unwritten(self) -> AttemptRecord | None:
        """The last call, where how it ended is yet to be written."""
        return None if self._is_written else self.last

    def write(self) -> None:
        """How the last call ended, unless that is written. Safe to run twice: it finds nothing open then."""
        if self._ended and (attempt := self.unwritten):
            self.wrote(is_ours=journal.amend(db.session, attempt, self.fence, self._ended.values))

    def wrote(self, *, is_ours: bool) -> None:
        """It is written now; not ours: by whoever closed it, a sweeper that thought us dead, or another worker."""
        if self._is_written or self._ended is None:
            return
        self._is_written = True
        if is_ours:
            self._key.note(self._ended.result.failure, self.execution.organization_id)
            self._lessons.keep(self._ended.candidate, self._ended.result)
        else:
            self._is_settled, self.execution.is_known = True, False

    def commit(self) -> None:
        """… and what it used: last, for others may wait for a limit's row until the commit."""
        if self._is_settled or self._ended is None:
            db.session.commit()
            return
        self._is_settled = True
        attempt, is_held, tokens = self._begun(), self._allowance.is_held, self._ended.tokens
        if tokens is not None and (attempt.cost or is_held):
            line = line_for(self.execution.organization_id, attempt, tokens)
            self._settled(attempt, tokens, quota.settle_at_last(db.session, attempt.id, line))
        elif is_held:
            quota.void(db.session, attempt.id)
            quota.commit(db.session)
            self.execution.is_known = False
        else:
            db.session.commit()

    @property
    def is_plain(self) -> bool:
        """It began at once, its only call completed, and there is nothing to learn of it."""
        ended = self._ended
        if ended is None or self._is_written or not self._is_at_once or len(self.attempts) != 1:
            return False
        return not self._lessons.has_any(ended.candidate, ended.result)

    def end_at_once(self, columns: Mapping[str, Any], said: Mapping[str, Any], again: Callable[[], None]) -> bool:
        """All that `write` and `commit` do, with the run's own end: its columns, and those of its body. False: that was
        not plain after all, and nothing is written. `again`: by what it is written the long way, where it was put
        behind the answer and that failed."""
        attempt, tokens, line = self._begun(), (self._ended and self._ended.tokens) or 0, None
        if attempt.cost or self._allowance.is_held:
            line = line_for(self.execution.organization_id, attempt, tokens)
        ending = at_once.ending(attempt, self.fence, columns, said, line)
        if self._is_behind(ending, partial(self._overran, attempt, tokens), again):
            return True
        settled = at_once.end(ending)
        if settled is None:
            return False
        self._is_written = self._is_settled = True
        if line:
            self._settled(attempt, tokens, settled)
        return True

    def roll_back(self) -> None:
        """Forget what this transaction wrote, to write it again later."""
        with contextlib.suppress(SQLAlchemyError):
            db.session.rollback()
        self._is_written = self._is_settled = self._ended is None
        self._is_lost = not self.is_there

    def plan_is_made(self) -> None:
        """Commits, with the row of a run that its caller runs itself; no connection is held while it waits."""
        self.announce()
        db.session.commit()
        self.is_there = True

    def take_back_unsent(self) -> None:
        """What was held for calls that were not made is owed to nobody, when the database is back, whoever called: that
        they still may was to be said with the message that was lost. Commits."""
        if not self._unsent:
            return
        caller = self.execution.caller
        with caller.unasked() if caller else contextlib.nullcontext():
            while self._unsent:
                take_back(self._unsent[-1])
                self._unsent.pop()

    def announce(self) -> None:
        """Write the run's own row, if it is not written yet, or a rollback took it: then it was never committed."""
        if self._is_lost:
            journal.announce(db.session, self.execution)
            self._is_lost = False

    def secret(self, step: Step) -> str:
        return self._key.secret

    @property
    def seconds(self) -> float:
        """Since the last call began, whichever worker made it. No clock that is set meanwhile changes that."""
        return time.monotonic() - self._since if self.last else 0.0

    @property
    def is_open(self) -> bool:
        """Did nothing end since the last call began, this worker's or another's?"""
        return self._ended is None

    def tell(self, made: Sequence[Attempt]) -> None:
        """Attempts that were closed elsewhere, all there are so far, for the receipt and the sums."""
        if made:
            known = [AttemptRecord.of(attempt) for attempt in made]
            self.attempts, self.last = [outcomes.told(attempt) for attempt in known], known[-1]

    # -- inside ----------------------------------------------------------------------------------

    def _begun_at_once(self, attempt: AttemptRecord, step: Step, prompt: Prompt) -> Allowance | None:
        """Its first call, with its own row, in one message; None: it is to begin the long way."""
        if not self._is_lost or attempt.number != 1:
            return None
        begun = at_once.begin(self.execution, attempt, step, prompt, self._unpriced, behind.wait)
        if begun is None:
            return None
        attempt.started_at = begun.at
        self.execution.created_at = begun.at
        self._key, self._is_lost, self._is_at_once = begun.key, False, True
        return begun.allowance

    def _is_behind(self, ending: Ending, overran: Callable[[], None], again: Callable[[], None]) -> bool:
        """Is its end to be written behind its answer? Then what is left is what was, with what it did not use."""
        run, ends = self.execution, behind.of(current_app)
        if run.is_awaited or ends is None or self.seconds > BRIEF:
            return False
        run.is_awaited = True  # should it be written again
        if not ends.put(Put(ending._replace(is_told=False), overran, again)):
            return False
        begun = self._allowance
        if begun.left_usd is not None:
            run.left_usd = max(0, begun.left_usd + (begun.held or 0) - (self._begun().cost or 0))
        return True

    def _settled(self, attempt: AttemptRecord, tokens: int, settled: quota.Settled) -> None:
        """Commits, where there is more to tell of it than what is left."""
        self._is_settled, self.execution.left_usd = True, settled.left_usd
        if settled.is_over:
            self._overran(attempt, tokens)

    def _overran(self, attempt: AttemptRecord, tokens: int) -> None:
        """Commits what is to be said of a call that came to more than was held."""
        note_overrun(attempt, tokens)
        self.notice = f"{self.notice} {OVERRUN.format(quota.usd(attempt.cost or 0))}".strip()
        try:
            journal.say(db.session, self.execution, notice=self.notice)
            db.session.commit()
        except SQLAlchemyError:
            log.exception("execution %s does not say that it came to more than was held", self.execution.id)
            db.session.rollback()

    def _forget(self, attempt: AttemptRecord) -> None:
        """A call that was refused was none, but the run whose row came with it is there, and its key is taken."""
        try:
            if self.is_there:
                self.roll_back()
                return
            journal.take_back(db.session, attempt)
            db.session.commit()
            self.is_there = True
        except SQLAlchemyError:
            log.exception("execution %s could not be recorded yet", self.execution.id)
            self.roll_back()

    def _take_back(self, attempt_id: uuid.UUID) -> None:
        self.roll_back()
        self._unsent.append(attempt_id)
        try:
            self.take_back_unsent()
        except SQLAlchemyError:
            log.exception("attempt %s could not be taken back yet", attempt_id)
            self.roll_back()

    def _begun(self) -> AttemptRecord:
        if self.last is None:
            raise LookupError("no attempt was begun")
        return self.last

    def _refuse(self, step: Step, number: int, refusal: Failure | Refusal) -> None:
        refused = {"number": number, "model": step.candidate.label, "key": step.key.label, "outcome": "refused"}
        self.attempts.append(refused | {"error": str(refusal)} | facts_of(refusal))
        self.trace.refused(step, type(refusal).__name__)
        self._tell_caller(None, is_known=False)  # which limit it was, and what it has left

    def _tell_caller(self, left_usd: int | None, *, is_known: bool) -> None:
        """Whoever runs it need not ask the database what is known here."""
        run = self.execution
        run.left_usd, run.is_known, run.made = left_usd, is_known, self._made
