"""How long a transaction may keep what others wait for."""

import uuid

from sqlalchemy import Text, func, literal_column, select

from .accounts import Organization
from .base import DbSession

ALIVE = literal_column("set_config('idle_in_transaction_session_timeout', '10s', true)", Text)
"""Selected beside what locks a run's row or a limit's: where its process then stands still for so long, the database
ends the transaction, and the sweeper can end what that process left."""

IMPATIENT = func.set_config("lock_timeout", "2s", True)
"""… beside the first of a transaction that would rather not wait for a row that somebody else has locked."""

THE_PLATFORMS = 0x5255_4C45
"""The advisory lock on the platform's rules, which belong to no row."""


def one_at_a_time(session: DbSession, organization_id: uuid.UUID | None) -> None:
    """Until the transaction ends nobody else changes these rules, so that names stay unique and places whole. Without
    an organization: the platform's."""
    if organization_id is None:
        session.execute(select(func.pg_advisory_xact_lock(THE_PLATFORMS)))
        return
    mine = select(Organization.id).where(Organization.id == organization_id)
    session.execute(mine.with_for_update(key_share=True))
