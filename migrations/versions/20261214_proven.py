"""a sign-in says when it was last proven whose it is"""

import sqlalchemy as sa
from alembic import op

revision = "proven"
down_revision = "at_once"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """None, as of all that are there: when it began."""
    op.add_column("sign_ins", sa.Column("proven_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("sign_ins", "proven_at")
