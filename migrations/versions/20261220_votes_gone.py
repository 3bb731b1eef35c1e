"""a blind vote that goes for good, with its session, is a change of the hub as one that is cast"""

from alembic import op

revision = "votes_gone"
down_revision = "until_when"
branch_labels = None
depends_on = None

# Its session is gone by then, and with it whose vote it was: so it counts as a change for everyone.
TRIGGER = (
    "CREATE TRIGGER comparisons_gone_are_counted AFTER DELETE ON comparisons FOR EACH ROW"
    " WHEN (OLD.blind_choice_id IS NOT NULL) EXECUTE FUNCTION hub_changed()"
)


def upgrade() -> None:
    op.execute(TRIGGER)


def downgrade() -> None:
    op.execute("DROP TRIGGER comparisons_gone_are_counted ON comparisons")
