"""who signs up where mail is sent confirms their address: those who are there by now were not asked"""

import sqlalchemy as sa
from alembic import op

revision = "unconfirmed"
down_revision = "callers_inside"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("unconfirmed_since", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("users", "unconfirmed_since")
