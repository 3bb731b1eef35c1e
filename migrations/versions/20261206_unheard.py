"""a rule may ask the next model when one took the prompt and fell silent"""

import sqlalchemy as sa
from alembic import op

revision = "unheard"
down_revision = "sso"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "routing_rules", sa.Column("goes_on_unheard", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    op.drop_column("routing_rules", "goes_on_unheard")
