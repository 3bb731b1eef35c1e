"""a project keeps files of its own"""

import sqlalchemy as sa
from alembic import op

revision = "shelf"
down_revision = "sums"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("assets", sa.Column("is_kept", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.alter_column("assets", "is_kept", server_default=None)
    op.create_index("ix_assets_kept", "assets", ["project_id", "id"], postgresql_where=sa.text("is_kept"))


def downgrade() -> None:
    op.drop_index("ix_assets_kept", table_name="assets", postgresql_where=sa.text("is_kept"))
    op.drop_column("assets", "is_kept")
