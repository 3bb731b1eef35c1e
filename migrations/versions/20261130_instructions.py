"""a project has instructions, which its new conversations begin with"""

import sqlalchemy as sa
from alembic import op

revision = "instructions"
down_revision = "votes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("projects", sa.Column("instructions", sa.Text(), server_default="", nullable=False))
    op.alter_column("projects", "instructions", server_default=None)


def downgrade() -> None:
    op.drop_column("projects", "instructions")
