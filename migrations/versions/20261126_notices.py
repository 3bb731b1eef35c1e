"""a webhook's secret before, a delivery's key, what people want by mail, and what the alerts of limits look for"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "notices"
down_revision = "archive"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("previous_ciphertext", sa.Text(), nullable=False, server_default=""))
    op.add_column("webhooks", sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("deliveries", sa.Column("key", sa.String(length=200), nullable=True))
    op.execute("UPDATE deliveries SET key = id::text")
    op.alter_column("deliveries", "key", nullable=False)
    op.create_index("uq_deliveries_key", "deliveries", ["webhook_id", "key"], unique=True)
    op.add_column(
        "users",
        sa.Column("mail_choices", postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default="{}"),
    )
    op.create_index("ix_budget_periods_ends_at", "budget_periods", ["ends_at"], unique=False)
    op.create_index(
        "ix_executions_refused_by",
        "executions",
        ["refused_by"],
        unique=False,
        postgresql_where=sa.text("refused_by IS NOT NULL"),
    )

    for table, column in (("webhooks", "previous_ciphertext"), ("users", "mail_choices")):
        op.alter_column(table, column, server_default=None)  # the models give their own


def downgrade() -> None:
    op.drop_index(
        "ix_executions_refused_by", table_name="executions", postgresql_where=sa.text("refused_by IS NOT NULL")
    )
    op.drop_index("ix_budget_periods_ends_at", table_name="budget_periods")
    op.drop_column("users", "mail_choices")
    op.drop_index("uq_deliveries_key", table_name="deliveries")
    op.drop_column("deliveries", "key")
    op.drop_column("webhooks", "rotated_at")
    op.drop_column("webhooks", "previous_ciphertext")
