"""nothing is held against a window that is over by the database's clock, however long a process remembered it"""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "windows_over"
down_revision = "votes_gone"
branch_labels = None
depends_on = None

CHANGES = (
    ("Where a budget refuses, it fails with\n-- DL001.", "Where a budget refuses, or its period is over, it\n-- fails with DL001."),
    ('WHERE b.is_hard AND p.spent + p.reserved + n.amount > b."limit" + more.granted;',
     'WHERE p.ends_at <= now() OR b.is_hard AND p.spent + p.reserved + n.amount > b."limit" + more.granted;'),
)  # fmt: skip


def upgrade() -> None:
    made = _begin()
    for text, instead in CHANGES:
        if made.count(text) != 1:
            raise ValueError(f"runs_begin is not what it was: {text}")
        made = made.replace(text, instead)
    op.execute(made)


def downgrade() -> None:
    op.execute(_begin())


def _begin() -> str:
    together: Any = op.get_context().script.get_revision("together").module
    made: str = together.BEGIN
    return made.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
