"""passkeys; sign-ins by two factors, and organizations that want them; people who delete their account"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "passkeys"
down_revision = "admin"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "passkeys",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("credential_id", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("transports", JSONB(), nullable=False),
        sa.Column("is_synced", sa.Boolean(), nullable=False),
        sa.Column("used_at", TIME, nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_passkeys_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_passkeys"),
        sa.UniqueConstraint("credential_id", name="uq_passkeys_credential_id"),
    )
    op.create_index("ix_passkeys_user_id", "passkeys", ["user_id"])
    op.create_table(
        "spent_challenges",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_spent_challenges"),
    )
    op.add_column("sign_ins", _no("is_two_factor"))
    op.execute(
        "UPDATE sign_ins SET is_two_factor = true FROM authenticators a"
        " WHERE a.user_id = sign_ins.user_id AND a.confirmed_at IS NOT NULL"
    )
    op.add_column("organizations", _no("needs_two_factor"))
    for table, column in (("sign_ins", "is_two_factor"), ("organizations", "needs_two_factor")):
        op.alter_column(table, column, server_default=None)
    op.add_column("users", sa.Column("deleted_at", TIME, nullable=True))
    op.add_column("users", sa.Column("purged_at", TIME, nullable=True))
    there = sa.text("deleted_at IS NOT NULL")
    op.create_index("ix_users_deleted_at", "users", ["deleted_at"], postgresql_where=there)


def _no(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())


def downgrade() -> None:
    op.drop_index("ix_users_deleted_at", "users")
    for table, column in (
        ("users", "purged_at"),
        ("users", "deleted_at"),
        ("organizations", "needs_two_factor"),
        ("sign_ins", "is_two_factor"),
    ):
        op.drop_column(table, column)
    op.drop_table("spent_challenges")
    op.drop_table("passkeys")
