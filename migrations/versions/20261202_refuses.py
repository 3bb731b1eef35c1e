"""the parameters that a model answers 400 to"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "refuses"
down_revision = "inbound"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("models", sa.Column("refuses", JSONB, nullable=True))


def downgrade() -> None:
    op.drop_column("models", "refuses")
