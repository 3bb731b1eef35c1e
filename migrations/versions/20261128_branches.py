"""Conversations become trees: each run knows the one that it continues. What there is becomes one line a session.

Revision ID: branches
Revises: comparisons
"""

import sqlalchemy as sa
from alembic import op

revision = "branches"
down_revision = "comparisons"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("executions", sa.Column("continues_id", sa.Uuid(), nullable=True))
    op.execute(
        """
        UPDATE executions SET continues_id = line.before
        FROM (
            SELECT id, lag(id) OVER (PARTITION BY session_id ORDER BY id) AS before
            FROM executions WHERE session_id IS NOT NULL AND model_type IN ('TEXT', 'CODE')
        ) AS line
        WHERE line.id = executions.id AND line.before IS NOT NULL
        """
    )
    op.create_foreign_key(
        op.f("fk_executions_continues_id_executions"),
        "executions",
        "executions",
        ["continues_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.create_index(
        "ix_executions_continues_id",
        "executions",
        ["continues_id"],
        postgresql_where=sa.text("continues_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_executions_continues_id", table_name="executions")
    op.drop_constraint(op.f("fk_executions_continues_id_executions"), "executions", type_="foreignkey")
    op.drop_column("executions", "continues_id")
