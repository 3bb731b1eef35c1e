"""an increase that is over is written down once: those that are over by now have been for long"""

import sqlalchemy as sa
from alembic import op

revision = "ends"
down_revision = "vectors"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("budget_increases", sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE budget_increases SET ended_at = expires_at WHERE answer = 'approved' AND expires_at <= now()")
    op.create_index(
        "ix_budget_increases_in_force",
        "budget_increases",
        ["expires_at"],
        postgresql_where=sa.text("answer = 'approved' AND ended_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_budget_increases_in_force", table_name="budget_increases")
    op.drop_column("budget_increases", "ended_at")
