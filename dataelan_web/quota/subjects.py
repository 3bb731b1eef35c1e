"""Whom a call is counted against, and whose limits count it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import NamedTuple

from ..models import Payer, Scope, Unit
from ..models.base import NIL

OPERATORS: Mapping[Payer, tuple[Unit, ...]] = {
    Payer.PLATFORM: tuple(Unit),
    Payer.NOBODY: (Unit.TOKENS, Unit.REQUESTS),
    Payer.ORGANIZATION: (),
}
"""Which of the operator's limits count a call, by who pays for it. What an organization does with keys of its own is
its own business; what nobody pays for has no place in a limit of money."""


class Subjects(NamedTuple):
    """Whom a call is counted against."""

    organization_id: uuid.UUID
    project_id: uuid.UUID
    user_id: uuid.UUID | None
    token_id: uuid.UUID | None
    key_id: uuid.UUID | None
    provider_id: uuid.UUID | None
    model_id: uuid.UUID | None
    payer: Payer

    @property
    def named(self) -> dict[uuid.UUID, Scope]:
        """Each subject's scope, by its id: no id is of two kinds."""
        all_ = {
            NIL: Scope.PLATFORM,
            self.organization_id: Scope.ORGANIZATION,
            self.project_id: Scope.PROJECT,
            self.user_id: Scope.MEMBER,
            self.token_id: Scope.TOKEN,
            self.key_id: Scope.KEY,
            self.provider_id: Scope.PROVIDER,
            self.model_id: Scope.MODEL,
        }
        return {id: scope for id, scope in all_.items() if id is not None}
