"""superusers: people switched off, organizations suspended, acting as somebody, and what holds for everybody"""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "admin"
down_revision = "audit"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("users", sa.Column("disabled_at", TIME, nullable=True))
    op.create_index("ix_users_created_at", "users", ["created_at"])
    op.add_column("organizations", sa.Column("suspended_at", TIME, nullable=True))
    op.add_column("sign_ins", sa.Column("acting_as_id", sa.Uuid(), nullable=True))
    op.add_column("sign_ins", sa.Column("acting_until", TIME, nullable=True))
    op.create_foreign_key(
        "fk_sign_ins_acting_as_id", "sign_ins", "users", ["acting_as_id"], ["id"], ondelete="SET NULL"
    )
    table = op.create_table(
        "platform_modes",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column(
            "mode",
            sa.Enum(
                "open", "read_only", "maintenance", name="mode", native_enum=False, create_constraint=True, length=20
            ),
            nullable=False,
        ),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("set_by", sa.Uuid(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["set_by"], ["users.id"], name="fk_platform_modes_set_by", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_platform_modes"),
        sa.UniqueConstraint("name", name="uq_platform_modes_name"),
    )
    times = {"since": sa.func.now(), "created_at": sa.func.now()}
    op.execute(sa.insert(table).values(id=uuid.uuid4(), name="platform", mode="open", words="", **times))


def downgrade() -> None:
    op.drop_table("platform_modes")
    op.drop_constraint("fk_sign_ins_acting_as_id", "sign_ins", type_="foreignkey")
    op.drop_column("sign_ins", "acting_until")
    op.drop_column("sign_ins", "acting_as_id")
    op.drop_column("organizations", "suspended_at")
    op.drop_index("ix_users_created_at", "users")
    op.drop_column("users", "disabled_at")
