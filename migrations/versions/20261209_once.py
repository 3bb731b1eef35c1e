"""a form that is sent twice is done once: what was sent is noted with what it did"""

import sqlalchemy as sa
from alembic import op

revision = "once"
down_revision = "drift"
branch_labels = None
depends_on = None

CLAIM = """
CREATE FUNCTION claim_form(form uuid) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '5s' AS $$
-- True: it is the caller's, until its transaction is rolled back. False: somebody committed it. Who else is at it is
-- waited for; NULL: in vain.
BEGIN
    INSERT INTO sent_forms (id, created_at) VALUES (form, now()) ON CONFLICT DO NOTHING;
    RETURN FOUND;
EXCEPTION WHEN lock_not_available THEN
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "sent_forms",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sent_forms"),
    )
    op.execute(CLAIM)


def downgrade() -> None:
    op.execute("DROP FUNCTION claim_form(uuid)")
    op.drop_table("sent_forms")
