"""what the explorer of runs looks up: indexes of runs that ended, and exports that a worker writes"""

import sqlalchemy as sa
from alembic import op

revision = "explorer"
down_revision = "instructions"
branch_labels = None
depends_on = None

DAY = "((executions.created_at AT TIME ZONE 'UTC')::date)"
COST = "(coalesce(executions.cost, -1))"
LATENCY = "((extract(epoch FROM executions.finished_at - executions.created_at) * 1000::numeric)::bigint)"
ENDED = "finished_at IS NOT NULL"
INDEXES = {
    "project_id": (("project_id", "created_at"), ENDED),
    "user_id": (("organization_id", "user_id", "created_at"), ENDED),
    "model_id": (("organization_id", "model_id", "created_at"), ENDED),
    "fallen_back": (("organization_id", "created_at"), f"{ENDED} AND attempts_made > 1"),
    "problems": (("organization_id", "created_at"), f"{ENDED} AND state IN ('failed', 'interrupted')"),
    "cost": (("organization_id", sa.text(DAY), sa.text(COST), "id"), ENDED),
    "latency": (("organization_id", sa.text(DAY), sa.text(LATENCY), "id"), ENDED),
}


def upgrade() -> None:
    for name, (columns, where) in INDEXES.items():
        op.create_index(f"ix_executions_ended_{name}", "executions", list(columns), postgresql_where=sa.text(where))
    op.create_table(
        "run_exports",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("form", sa.String(200), nullable=False),
        sa.Column("address", sa.dialects.postgresql.JSONB(), nullable=False),
        sa.Column("wanted", sa.dialects.postgresql.JSONB(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("expected", sa.BigInteger(), nullable=False),
        sa.Column("written", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("storage_key", sa.String(200), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'expired')",
            name=op.f("ck_run_exports_exportstate"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_run_exports_organization_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_run_exports_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_exports")),
    )
    op.create_index("ix_run_exports_organization_id", "run_exports", ["organization_id"])
    op.create_index("ix_run_exports_user_id", "run_exports", ["user_id"])
    op.create_index(
        "ix_run_exports_unfinished",
        "run_exports",
        ["lease_until"],
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_index(
        "ix_run_exports_expires_at", "run_exports", ["expires_at"], postgresql_where=sa.text("state = 'done'")
    )


def downgrade() -> None:
    op.drop_table("run_exports")
    for name in INDEXES:
        op.drop_index(f"ix_executions_ended_{name}", "executions")
