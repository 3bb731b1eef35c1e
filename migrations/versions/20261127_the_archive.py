"""providers, models and keys that were used are archived instead of deleted, and attempts hold on to them; prices of
hour-long cache writes, and of pictures and films by what is asked for"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "archive"
down_revision = "0003"
branch_labels = None
depends_on = None

ARCHIVED = ("providers", "models", "api_keys")
NAMED = {"provider_id": "providers", "model_id": "models", "api_key_id": "api_keys", "price_id": "prices"}
"""What an attempt was made with: its column → the other table."""


def upgrade() -> None:
    for table in ARCHIVED:
        op.add_column(table, sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True))
    _hold(ondelete=None)
    op.add_column("prices", sa.Column("cache_write_1h", sa.BigInteger(), nullable=True))
    variants = sa.Column("variants", postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default="[]")
    op.add_column("prices", variants)
    op.alter_column("prices", "variants", server_default=None)  # the models give their own


def downgrade() -> None:
    op.drop_column("prices", "variants")
    op.drop_column("prices", "cache_write_1h")
    _hold(ondelete="SET NULL")
    op.execute("DELETE FROM api_keys WHERE archived_at IS NOT NULL")  # they are empty
    op.execute(
        "UPDATE models SET is_enabled = false WHERE archived_at IS NOT NULL"
    )  # the older version knows no archive
    op.execute("UPDATE providers SET is_enabled = false WHERE archived_at IS NOT NULL")
    for table in ARCHIVED:
        op.drop_column(table, "archived_at")


def _hold(ondelete: str | None) -> None:
    for column, table in NAMED.items():
        name = op.f(f"fk_attempts_{column}")
        op.drop_constraint(name, "attempts", type_="foreignkey")
        op.create_foreign_key(name, "attempts", table, [column], ["id"], ondelete=ondelete)
