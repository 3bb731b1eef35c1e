"""organizations choose summaries of weeks and months, and each is sent once"""

import sqlalchemy as sa
from alembic import op

revision = "summaries"
down_revision = "shelf"
branch_labels = None
depends_on = None

CHOICES = ("none", "weekly", "monthly", "both")


def upgrade() -> None:
    kind = sa.Enum(*CHOICES, name="summaries", native_enum=False, create_constraint=True, length=20)
    op.add_column("organizations", sa.Column("summaries", kind, server_default="none", nullable=False))
    op.alter_column("organizations", "summaries", server_default=None)
    op.add_column("organizations", sa.Column("week_told", sa.Date(), nullable=True))
    op.add_column("organizations", sa.Column("month_told", sa.Date(), nullable=True))


def downgrade() -> None:
    op.drop_column("organizations", "month_told")
    op.drop_column("organizations", "week_told")
    op.drop_column("organizations", "summaries")
