"""limits that do not agree with the ledger are remembered, from when they are found until they are mended"""

import sqlalchemy as sa
from alembic import op

revision = "drift"
down_revision = "unheard"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ledger_drifts",
        sa.Column("period_id", sa.Uuid(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("spent_by_the_ledger", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("opening", sa.BigInteger(), nullable=False),
        sa.Column("opening_by_the_ledger", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["period_id"],
            ["budget_periods.id"],
            name=op.f("fk_ledger_drifts_period_id_budget_periods"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_drifts")),
        sa.UniqueConstraint("period_id", name=op.f("uq_ledger_drifts_period_id")),
    )


def downgrade() -> None:
    op.drop_table("ledger_drifts")
