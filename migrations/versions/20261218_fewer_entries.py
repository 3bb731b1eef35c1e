"""a run that a program asked for has no entry in the indexes by session and by prompt, which it would be given twice"""

import sqlalchemy as sa
from alembic import op

revision = "fewer_entries"
down_revision = "said_at_once"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_executions_session_id_created_at": ["session_id", "created_at"],
    "ix_executions_prompt_id": ["prompt_id"],
}


def upgrade() -> None:
    for name, columns in INDEXES.items():
        op.drop_index(name, "executions")
        op.create_index(name, "executions", columns, postgresql_where=sa.text(f"{columns[0]} IS NOT NULL"))


def downgrade() -> None:
    for name, columns in INDEXES.items():
        op.drop_index(name, "executions")
        op.create_index(name, "executions", columns)
