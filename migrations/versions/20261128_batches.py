"""batches: a prompt asked with many rows of values, and how good the answers are"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "batches"
down_revision = "branches"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("template_id", sa.Uuid(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("file_name", sa.String(length=200), nullable=False),
        sa.Column("columns", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("left_out", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("rows_count", sa.Integer(), nullable=False),
        sa.Column("mapping", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("said_column", sa.String(length=200), nullable=False),
        sa.Column("expected_column", sa.String(length=200), nullable=False),
        sa.Column("models", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("at_once", sa.Integer(), nullable=False),
        sa.Column("estimate", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "draft",
                "running",
                "paused",
                "done",
                "cancelled",
                name="batchstate",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("refused_by", sa.Uuid(), nullable=True),
        sa.Column("failures_in_a_row", sa.Integer(), nullable=False),
        sa.Column("rests_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("turn_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("started_by", sa.Uuid(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_by", sa.Uuid(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_batches_created_by"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["deleted_by"], ["users.id"], name=op.f("fk_batches_deleted_by"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_batches_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["refused_by"], ["budgets.id"], name=op.f("fk_batches_refused_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["started_by"], ["users.id"], name=op.f("fk_batches_started_by"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            ["template_id"], ["templates.id"], name=op.f("fk_batches_template_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
    )
    op.create_index(
        "ix_batches_deleted_at",
        "batches",
        ["deleted_at"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_index(op.f("ix_batches_project_id"), "batches", ["project_id"], unique=False)
    op.create_index(
        "ix_batches_running", "batches", ["id"], unique=False, postgresql_where=sa.text("state = 'running'")
    )
    op.create_index(op.f("ix_batches_template_id"), "batches", ["template_id"], unique=False)
    op.create_table(
        "batch_checks",
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "contains",
                "regex",
                "schema",
                "equal",
                "judge",
                name="checkkind",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("settings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name=op.f("fk_batch_checks_batch_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_batch_checks_created_by"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_checks")),
    )
    op.create_index(op.f("ix_batch_checks_batch_id"), "batch_checks", ["batch_id"], unique=False)
    op.create_table(
        "batch_rows",
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("values", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_batch_rows_batch_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_rows")),
        sa.UniqueConstraint("batch_id", "position", name=op.f("uq_batch_rows_batch_id_position")),
    )
    op.create_table(
        "batch_cells",
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("row_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("model", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "waiting",
                "running",
                "done",
                "failed",
                "cancelled",
                "unfit",
                name="cellstate",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("execution_id", sa.Uuid(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("passed", sa.Boolean(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_batch_cells_batch_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.id"], name=op.f("fk_batch_cells_execution_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["row_id"], ["batch_rows.id"], name=op.f("fk_batch_cells_row_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_cells")),
        sa.UniqueConstraint("batch_id", "position", "model", name=op.f("uq_batch_cells_batch_id_position_model")),
    )
    op.create_index(op.f("ix_batch_cells_execution_id"), "batch_cells", ["execution_id"], unique=False)
    op.create_index(op.f("ix_batch_cells_row_id"), "batch_cells", ["row_id"], unique=False)
    op.create_index(
        "ix_batch_cells_running",
        "batch_cells",
        ["batch_id"],
        unique=False,
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index("ix_batch_cells_state", "batch_cells", ["batch_id", "state"], unique=False)
    op.create_table(
        "batch_scores",
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("cell_id", sa.Uuid(), nullable=False),
        sa.Column("check_id", sa.Uuid(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("execution_id", sa.Uuid(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name=op.f("fk_batch_scores_batch_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["cell_id"], ["batch_cells.id"], name=op.f("fk_batch_scores_cell_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["check_id"], ["batch_checks.id"], name=op.f("fk_batch_scores_check_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.id"], name=op.f("fk_batch_scores_execution_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_batch_scores_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_scores")),
        sa.UniqueConstraint("cell_id", "check_id", name=op.f("uq_batch_scores_cell_id_check_id")),
        sa.UniqueConstraint("cell_id", "user_id", name=op.f("uq_batch_scores_cell_id_user_id")),
    )
    op.create_index(op.f("ix_batch_scores_check_id"), "batch_scores", ["check_id"], unique=False)
    op.create_index(op.f("ix_batch_scores_execution_id"), "batch_scores", ["execution_id"], unique=False)
    op.create_index(
        "ix_batch_scores_open",
        "batch_scores",
        ["batch_id"],
        unique=False,
        postgresql_where=sa.text("value IS NULL AND problem = ''"),
    )
    op.create_index(op.f("ix_batch_scores_user_id"), "batch_scores", ["user_id"], unique=False)
    op.add_column("executions", sa.Column("batch_id", sa.Uuid(), nullable=True))
    op.create_index(
        "ix_executions_batch_id",
        "executions",
        ["batch_id"],
        unique=False,
        postgresql_where=sa.text("batch_id IS NOT NULL"),
    )
    op.create_foreign_key(
        op.f("fk_executions_batch_id"), "executions", "batches", ["batch_id"], ["id"], ondelete="SET NULL"
    )
    op.drop_constraint(op.f("ck_executions_origin"), "executions", type_="check")
    op.create_check_constraint(
        op.f("ck_executions_origin"), "executions", "origin IN ('playground', 'gateway', 'import', 'batch', 'judge')"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_executions_origin"), "executions", type_="check")
    op.execute("UPDATE executions SET origin = 'playground' WHERE origin IN ('batch', 'judge')")
    op.create_check_constraint(
        op.f("ck_executions_origin"), "executions", "origin IN ('playground', 'gateway', 'import')"
    )
    op.drop_constraint(op.f("fk_executions_batch_id"), "executions", type_="foreignkey")
    op.drop_index("ix_executions_batch_id", table_name="executions", postgresql_where=sa.text("batch_id IS NOT NULL"))
    op.drop_column("executions", "batch_id")
    op.drop_index(op.f("ix_batch_scores_user_id"), table_name="batch_scores")
    op.drop_index(
        "ix_batch_scores_open", table_name="batch_scores", postgresql_where=sa.text("value IS NULL AND problem = ''")
    )
    op.drop_index(op.f("ix_batch_scores_execution_id"), table_name="batch_scores")
    op.drop_index(op.f("ix_batch_scores_check_id"), table_name="batch_scores")
    op.drop_table("batch_scores")
    op.drop_index("ix_batch_cells_state", table_name="batch_cells")
    op.drop_index("ix_batch_cells_running", table_name="batch_cells", postgresql_where=sa.text("state = 'running'"))
    op.drop_index(op.f("ix_batch_cells_row_id"), table_name="batch_cells")
    op.drop_index(op.f("ix_batch_cells_execution_id"), table_name="batch_cells")
    op.drop_table("batch_cells")
    op.drop_table("batch_rows")
    op.drop_index(op.f("ix_batch_checks_batch_id"), table_name="batch_checks")
    op.drop_table("batch_checks")
    op.drop_index(op.f("ix_batches_template_id"), table_name="batches")
    op.drop_index("ix_batches_running", table_name="batches", postgresql_where=sa.text("state = 'running'"))
    op.drop_index(op.f("ix_batches_project_id"), table_name="batches")
    op.drop_index("ix_batches_deleted_at", table_name="batches", postgresql_where=sa.text("deleted_at IS NOT NULL"))
    op.drop_table("batches")
