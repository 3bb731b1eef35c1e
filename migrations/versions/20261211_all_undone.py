"""limits, rates, rules, webhooks, checks of batches, saved views and notes go to the trash, with who and when"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "all_undone"
down_revision = "lines"
branch_labels = None
depends_on = None

LIVING, GONE = sa.text("deleted_at IS NULL"), sa.text("deleted_at IS NOT NULL")
TABLES = "annotations batch_checks budgets rate_limits routing_rules saved_views webhooks".split()
OWNER = sa.text("coalesce(organization_id, '00000000-0000-0000-0000-000000000000')")
PLACES = {
    "budgets": [OWNER, "scope", "subject_id", "window", "unit"],
    "rate_limits": [OWNER, "scope", "subject_id"],
}
"""Of which there is one limit: what is in the trash leaves room for another."""
COLUMNS = """
ALTER TABLE {table}
    ADD COLUMN IF NOT EXISTS deleted_at timestamptz,
    ADD COLUMN IF NOT EXISTS deleted_by uuid
        CONSTRAINT fk_{table}_deleted_by REFERENCES users (id) ON DELETE SET NULL
"""


def upgrade() -> None:
    # Each statement by itself: what runs meanwhile waits for one table at a time, and never in a circle with this. Should
    # it be cut off, it goes on when it is run again.
    with op.get_context().autocommit_block():
        for table in TABLES:
            op.execute(COLUMNS.format(table=table))
            op.create_index(f"ix_{table}_deleted_at", table, ["deleted_at"], postgresql_where=GONE, if_not_exists=True)
        for table, place in PLACES.items():
            op.create_index(
                f"uq_{table}_living", table, place, unique=True, postgresql_where=LIVING, if_not_exists=True
            )
            op.drop_index(f"uq_{table}_subject", table, if_exists=True)
        op.execute("ALTER TABLE budget_periods ADD COLUMN IF NOT EXISTS counted_at timestamptz")
    for statement in functions().values():
        op.execute(statement)


def downgrade() -> None:
    before = functions(as_before=True)
    for statement in before.values():
        op.execute(statement)
    op.drop_column("budget_periods", "counted_at")
    for table in TABLES:
        op.execute(sa.delete(sa.table(table, sa.column("deleted_at"))).where(GONE))
    for table, place in PLACES.items():
        op.create_index(f"uq_{table}_subject", table, place, unique=True)
        op.drop_index(f"uq_{table}_living", table)
    for table in reversed(TABLES):
        op.drop_index(f"ix_{table}_deleted_at", table)
        op.drop_constraint(op.f(f"fk_{table}_deleted_by"), table, type_="foreignkey")
        op.drop_column(table, "deleted_by")
        op.drop_column(table, "deleted_at")


def functions(*, as_before: bool = False) -> dict[str, str]:
    """The functions of limits as they were made, but that nobody is held up, and told how much is left, by what is in
    the trash; and that a window which begins waits for who deletes its limit, instead of failing at it."""
    rates, swift, left = (_made_by(revision) for revision in ("rates", "swiftlimits", "left"))
    made = {
        "quota_limits": rates.LIMITS.format(rates=rates.RAISED),
        "quota_hold": swift.HOLD.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"),
        "quota_left": left.LEFT.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"),
    }
    changes = () if as_before else CHANGES
    for name, text, instead in changes:
        if made[name].count(text) != 1:
            raise ValueError(f"{name} is not what it was: {text}")
        made[name] = made[name].replace(text, instead)
    return made


def _made_by(revision: str) -> Any:
    return op.get_context().script.get_revision(revision).module


CHANGES = (
    (
        "quota_limits",
        "WHERE r.subject_id = ANY (subjects)",
        "WHERE r.subject_id = ANY (subjects) AND r.deleted_at IS NULL",
    ),
    (
        "quota_limits",
        "LEFT JOIN budgets b ON b.subject_id = ANY (subjects)",
        "LEFT JOIN budgets b ON b.subject_id = ANY (subjects) AND b.deleted_at IS NULL",
    ),
    (
        "quota_hold",
        "        ORDER BY n.budget_id\n",
        "        ORDER BY n.budget_id\n        FOR KEY SHARE OF b  -- who deletes it comes first, and then it is not there\n",
    ),
    ("quota_hold", "WHERE b.is_hard AND p.spent", "WHERE b.is_hard AND b.deleted_at IS NULL AND p.spent"),
    ("quota_left", "AND b.unit = 'usd' AND b.is_hard", "AND b.unit = 'usd' AND b.is_hard AND b.deleted_at IS NULL"),
)
"""(function, text, what stands there instead)"""
