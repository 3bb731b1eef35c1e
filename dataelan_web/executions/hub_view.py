"""The rules a prompt may go by, remembered for as long as nothing of the hub has changed.

The database counts changes of an organization's hub and of everyone's, whoever makes them (migration hubversions), and
each prompt asks for that count first: so a change holds at once, in every process. What changes by itself, as a price
that begins tomorrow, is read anew then.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, select

from ..extensions import one_of_each
from ..models import APIKey, ModelType, Price, Project
from ..models.base import NIL, DbSession
from ..models.hub import HUB_VERSIONS as COUNT
from ..router.rules import Rule
from ..router.types import Task
from ..turns import Turns
from . import candidates

MOST = 20_000
"""Choices in all rules that a process remembers; one takes some 2 KB."""
READS = 4
"""… of the same, where the hub goes on changing under it. What the last one found is used."""

_COUNTED = COUNT.c.hub.in_([bindparam("here"), NIL])
_VERSION = select(
    func.coalesce(func.sum(COUNT.c.version), 0),
    func.coalesce(func.bool_or(COUNT.c.transaction == func.txid_current_if_assigned()), False),
).where(_COUNTED)
_NOW = func.now()
_NEXT = select(
    func.extract(
        "epoch",
        func.least(
            select(func.min(Price.effective_at)).where(Price.effective_at > _NOW).scalar_subquery(),
            select(func.min(Price.ends_at)).where(Price.ends_at > _NOW).scalar_subquery(),
            select(func.min(APIKey.expires_at)).where(APIKey.expires_at > _NOW).scalar_subquery(),
        )
        - func.clock_timestamp(),
    )
)
"""Seconds until something of some hub begins or ends; None: nothing will."""


@dataclass(frozen=True)
class _Read:
    version: int
    until: float
    rules: tuple[Rule, ...]

    @property
    def weight(self) -> int:
        return 1 + sum(len(rule.choices) for rule in self.rules)


class Memory:
    """What a process remembers: (project, what was asked, …) → rules. The longest unused goes first."""

    def __init__(self) -> None:
        self._read: OrderedDict[tuple[Any, ...], _Read] = OrderedDict()
        self._weight = 0
        self._lock = threading.Lock()
        self.reading = Turns()

    def find(self, key: tuple[Any, ...], version: int) -> tuple[Rule, ...] | None:
        with self._lock:
            found = self._read.get(key)
            if found is None or found.version != version or time.monotonic() >= found.until:
                return None
            self._read.move_to_end(key)
            return found.rules

    def keep(self, key: tuple[Any, ...], read: _Read) -> None:
        with self._lock:
            self._drop(key)
            self._read[key], self._weight = read, self._weight + read.weight
            while self._weight > MOST:
                self._drop(next(iter(self._read)))

    def _drop(self, key: tuple[Any, ...]) -> None:
        if gone := self._read.pop(key, None):
            self._weight -= gone.weight


class HubView:
    """One project's view of the hub at this moment: see executions.candidates for what its methods mean."""

    def __init__(self, session: DbSession, project: Project, version: int | None = None):
        """`version`: the count, where it was just asked for, by who changes nothing of the hub."""
        self._session, self._project = session, project
        self._version: int
        self._is_being_changed: bool
        if version is None:
            self._version, self._is_being_changed = self._count()
        else:
            self._version, self._is_being_changed = version, False

    def rules_for(self, requested: str, model_type: ModelType) -> list[Rule]:
        def read() -> list[Rule]:
            return candidates.rules_for(self._session, self._project, requested, model_type)

        return self._remembered((requested, model_type), read)

    def last_rule(self, model_type: ModelType, task: Task) -> Rule:
        def read() -> list[Rule]:
            return [candidates.last_rule(self._session, self._project, model_type, task)]

        (rule,) = self._remembered((model_type, task), read)
        return rule

    def _remembered(self, asked: tuple[Any, ...], read: Callable[[], list[Rule]]) -> list[Rule]:
        if self._is_being_changed:  # by this very transaction, which may still be taken back
            return read()
        project = self._project
        here = project.organization
        key = (project.id, project.allows_platform_keys, here.key_strategy, tuple(here.allowed_providers), *asked)
        if (found := _memory().find(key, self._version)) is not None:
            return list(found)
        with _memory().reading.alone(key):  # else all who ask just after a change would read it all
            if (found := _memory().find(key, self._version)) is not None:
                return list(found)
            until, rules = self._undivided(read)
            _memory().keep(key, _Read(self._version, until, tuple(rules)))
            return rules

    def _undivided(self, read: Callable[[], list[Rule]]) -> tuple[float, list[Rule]]:
        """(until when, the rules). Rules, models and keys are read one after the other, and each as it is then. A
        provider that is deleted between would seem to be there and to have no keys, which nobody ever saw: then all are
        read once more, and asked what begins or ends next."""
        until, rules = self._until(), read()
        for _ in range(READS - 1):
            version, _ = self._count()
            if version == self._version:
                break
            self._version, until, rules = version, self._until(), read()
        return until, rules

    def _until(self) -> float:
        """By time.monotonic: when something begins or ends by itself."""
        asked_at, seconds = time.monotonic(), self._session.scalar(_NEXT)
        return float("inf") if seconds is None else asked_at + float(seconds)

    def _count(self) -> tuple[int, bool]:
        """(of changes, whether one of them is this transaction's)"""
        version, is_ours = self._session.connection().execute(_VERSION, {"here": self._project.organization_id}).one()
        return version, is_ours


@one_of_each("dataelan_hub_memory")
def _memory() -> Memory:
    """This application's."""
    return Memory()
