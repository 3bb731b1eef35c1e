"""saved cases go to the trash, comments are in it with who deleted them, and a dropped draft can be taken back"""

import sqlalchemy as sa
from alembic import op

revision = "undone"
down_revision = "currency"
branch_labels = None
depends_on = None

LIVING, GONE = sa.text("deleted_at IS NULL"), sa.text("deleted_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("template_drafts", sa.Column("dropped_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("template_cases", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    for table in ("template_cases", "comments"):
        op.add_column(table, sa.Column("deleted_by", sa.Uuid(), nullable=True))
        op.create_foreign_key(
            op.f(f"fk_{table}_deleted_by"), table, "users", ["deleted_by"], ["id"], ondelete="SET NULL"
        )
        op.create_index(f"ix_{table}_deleted_at", table, ["deleted_at"], postgresql_where=GONE)
    op.create_index(op.f("ix_template_cases_template_id"), "template_cases", ["template_id"])
    op.create_index(
        "uq_template_cases_name", "template_cases", ["template_id", "name"], unique=True, postgresql_where=LIVING
    )
    op.drop_constraint(op.f("uq_template_cases_template_id_name"), "template_cases", type_="unique")


def downgrade() -> None:
    op.execute("DELETE FROM template_drafts WHERE dropped_at IS NOT NULL")
    op.drop_column("template_drafts", "dropped_at")
    op.execute("DELETE FROM template_cases WHERE deleted_at IS NOT NULL")
    op.create_unique_constraint(op.f("uq_template_cases_template_id_name"), "template_cases", ["template_id", "name"])
    op.drop_index("uq_template_cases_name", "template_cases")
    op.drop_index(op.f("ix_template_cases_template_id"), "template_cases")
    for table in ("comments", "template_cases"):
        op.drop_index(f"ix_{table}_deleted_at", table)
        op.drop_constraint(op.f(f"fk_{table}_deleted_by"), table, type_="foreignkey")
        op.drop_column(table, "deleted_by")
    op.drop_column("template_cases", "deleted_at")
