"""organizations say by which ways of signing in people come in, and sign-ins by which they came"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "ways"
down_revision = "rates"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, column in (("organizations", "allowed_ways"), ("sign_ins", "ways")):
        op.add_column(table, sa.Column(column, JSONB(), nullable=False, server_default="[]"))
    # Of the others it is not known whether it was a passkey, or a code beside the password.
    op.execute("UPDATE sign_ins SET ways = '[\"password\"]' WHERE through_id IS NULL AND NOT is_two_factor")


def downgrade() -> None:
    op.drop_column("sign_ins", "ways")
    op.drop_column("organizations", "allowed_ways")
