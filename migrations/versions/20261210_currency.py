"""in which currency an organization's people see amounts, and what a US dollar is in it"""

import sqlalchemy as sa
from alembic import op

revision = "currency"
down_revision = "ways"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("organizations", sa.Column("currency", sa.String(3), nullable=True))
    op.add_column("organizations", sa.Column("currency_rate", sa.Numeric(20, 10), nullable=True))
    op.add_column("organizations", sa.Column("currency_set_on", sa.Date(), nullable=True))


def downgrade() -> None:
    for column in ("currency_set_on", "currency_rate", "currency"):
        op.drop_column("organizations", column)
