"""what happened is noted on charts"""

import sqlalchemy as sa
from alembic import op

revision = "annotations"
down_revision = "savedviews"
branch_labels = None
depends_on = None

HAPPENINGS = ("incident", "deploy", "price", "other")


def upgrade() -> None:
    kind = sa.Enum(*HAPPENINGS, name="happening", native_enum=False, create_constraint=True, length=20)
    op.create_table(
        "annotations",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", kind, nullable=False),
        sa.Column("text", sa.String(200), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_annotations_organization_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_annotations_user_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_annotations"),
    )
    op.create_index("ix_annotations_organization_id_at", "annotations", ["organization_id", "at"])


def downgrade() -> None:
    op.drop_table("annotations")
