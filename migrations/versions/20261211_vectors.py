"""vectors are kept with their run, where they are to be told again"""

import sqlalchemy as sa
from alembic import op

revision = "vectors"
down_revision = "corrections"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("execution_bodies", sa.Column("vectors", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("execution_bodies", "vectors")
