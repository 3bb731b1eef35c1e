"""files that a run made after its session was moved are where that session is, as those are that were there before"""

from alembic import op

revision = "with_their_session"
down_revision = "granted_of_all"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "UPDATE assets a SET project_id = s.project_id FROM executions e JOIN prompt_sessions s ON s.id = e.session_id"
        " WHERE a.execution_id = e.id AND a.project_id <> s.project_id"
    )


def downgrade() -> None:
    """Where they were nobody knows, and it was wrong."""
