"""limits are read with when they are others by themselves, so that they are remembered until then"""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "until_when"
down_revision = "order_counts"
branch_labels = None
depends_on = None

COLUMN = "spent bigint, reserved bigint"
SOONEST = """p.spent, p.reserved, least((
                SELECT min(i.expires_at) FROM budget_increases i
                WHERE i.budget_id = b.id AND i.answer = 'approved' AND i.expires_at > now()
            ), (
                SELECT min(i.expires_at) FROM rate_limits r JOIN budget_increases i ON i.rate_id = r.id
                WHERE r.subject_id = ANY (subjects) AND i.answer = 'approved' AND i.expires_at > now()
            ))"""
CHANGES = (
    (f"{COLUMN}\n)", f"{COLUMN}, changes_at timestamptz\n)"),
    ("p.spent, p.reserved\n", f"{SOONEST}\n"),
    ("-- the clock,", "-- when what more was granted of it, or of a rate, next ends; the clock,"),
)


def upgrade() -> None:
    made = before()
    for text, instead in CHANGES:
        if made.count(text) != 1:
            raise ValueError(f"quota_limits is not what it was: {text}")
        made = made.replace(text, instead)
    replace(made)


def downgrade() -> None:
    replace(before())


def before() -> str:
    all_undone: Any = op.get_context().script.get_revision("all_undone").module
    made: str = all_undone.functions()["quota_limits"]
    return made


def replace(made: str) -> None:
    """It tells of other columns, so it is another function. Who calls it meanwhile waits for this transaction."""
    op.execute("DROP FUNCTION quota_limits(uuid, uuid[], text[])")
    op.execute(made)
