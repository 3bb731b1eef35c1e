"""Forms that were sent, and what they ask was done: so that it is not done twice (dataelan_web/once.py)."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Delete, Uuid, bindparam, delete, func, select

from .base import Base

KEPT = timedelta(days=7)
LATELY = timedelta(seconds=10)
"""Whoever sent it may still be answered."""


class SentForm(Base):
    """One that somebody sent, committed with what it did. Its id is a digest of who sent what where, under which mark,
    and tells nothing of it."""

    __tablename__ = "sent_forms"


_id = bindparam("id", type_=Uuid)

CLAIM = select(func.claim_form(_id))
"""By `id`. True: it is this transaction's to do. False: it was done. None: another transaction is at it, and has not
ended within some seconds."""
WAS_LATELY = select(SentForm.created_at > func.now() - LATELY).where(SentForm.id == _id)
RELEASE = delete(SentForm).where(SentForm.id == _id)


def forget() -> Delete:
    return delete(SentForm).where(SentForm.created_at < func.now() - KEPT)
