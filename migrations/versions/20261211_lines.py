"""everybody's lines of the ledger are found by their time: a limit of the operator's reads them piece by piece"""

from alembic import op

revision = "lines"
down_revision = "ends"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():  # calls go on being charged meanwhile
        op.create_index(
            "ix_ledger_entries_created_at",
            "ledger_entries",
            ["created_at"],
            postgresql_using="brin",
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    op.drop_index("ix_ledger_entries_created_at", table_name="ledger_entries")
