"""what programs say of their calls; a project's cache, and what becomes of a call whose program goes away"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "inbound"
down_revision = "annotations"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("executions", sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("projects", sa.Column("cache_seconds", sa.Integer(), server_default="0", nullable=False))
    op.alter_column("projects", "cache_seconds", server_default=None)
    op.add_column("projects", sa.Column("reads_on", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.alter_column("projects", "reads_on", server_default=None)


def downgrade() -> None:
    op.drop_column("projects", "reads_on")
    op.drop_column("projects", "cache_seconds")
    op.drop_column("executions", "labels")
