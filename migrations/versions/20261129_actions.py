"""declared actions, their calls, repairs and deliveries"""

import sqlalchemy as sa
from alembic import op

revision = "actions"
down_revision = "batches"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "declared_actions",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_by", sa.Uuid(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_declared_actions_created_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["deleted_by"], ["users.id"], name=op.f("fk_declared_actions_deleted_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_declared_actions_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_declared_actions")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_declared_actions_project_id_name")),
    )
    op.create_index(
        "ix_declared_actions_deleted_at",
        "declared_actions",
        ["deleted_at"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_table(
        "action_receivers",
        sa.Column("action_id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("ciphertext", sa.Text(), nullable=False),
        sa.Column("previous_ciphertext", sa.Text(), nullable=False),
        sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["action_id"], ["declared_actions.id"], name=op.f("fk_action_receivers_action_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_action_receivers_organization_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_action_receivers")),
    )
    op.create_index(op.f("ix_action_receivers_action_id"), "action_receivers", ["action_id"], unique=False)
    op.create_table(
        "action_versions",
        sa.Column("action_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("schema", sa.JSON(), nullable=False),
        sa.Column("sample", sa.JSON(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("receiver_id", sa.Uuid(), nullable=True),
        sa.Column(
            "approval",
            sa.Enum(
                "nobody", "editors", "admins", name="approval", native_enum=False, create_constraint=True, length=20
            ),
            nullable=False,
        ),
        sa.Column("most_repairs", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["action_id"], ["declared_actions.id"], name=op.f("fk_action_versions_action_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_action_versions_created_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["receiver_id"], ["action_receivers.id"], name=op.f("fk_action_versions_receiver_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_action_versions")),
        sa.UniqueConstraint("action_id", "number", name=op.f("uq_action_versions_action_id_number")),
    )
    op.create_table(
        "action_calls",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("execution_id", sa.Uuid(), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("tool_call_id", sa.String(length=200), nullable=False),
        sa.Column(
            "how",
            sa.Enum("tool", "schema", "not", name="how", native_enum=False, create_constraint=True, length=20),
            nullable=False,
        ),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "received",
                "repairing",
                "invalid",
                "waiting",
                "declined",
                "accepted",
                "delivering",
                "delivered",
                "failed",
                name="callstate",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("repairs_made", sa.Integer(), nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["decided_by"], ["users.id"], name=op.f("fk_action_calls_decided_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.id"], name=op.f("fk_action_calls_execution_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_action_calls_organization_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["version_id"], ["action_versions.id"], name=op.f("fk_action_calls_version_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_action_calls")),
        sa.UniqueConstraint("execution_id", "position", name=op.f("uq_action_calls_execution_id_position")),
    )
    op.create_index(
        "ix_action_calls_in_hand",
        "action_calls",
        ["state", "next_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('received', 'repairing', 'delivering')"),
    )
    op.create_index(op.f("ix_action_calls_version_id"), "action_calls", ["version_id"], unique=False)
    op.create_index(
        "ix_action_calls_waiting",
        "action_calls",
        ["organization_id"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "offered_actions",
        sa.Column("execution_id", sa.Uuid(), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column(
            "how",
            sa.Enum("tool", "schema", "not", name="how", native_enum=False, create_constraint=True, length=20),
            nullable=False,
        ),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.id"], name=op.f("fk_offered_actions_execution_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["version_id"], ["action_versions.id"], name=op.f("fk_offered_actions_version_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_offered_actions")),
        sa.UniqueConstraint("execution_id", "version_id", name=op.f("uq_offered_actions_execution_id_version_id")),
    )
    op.create_index(op.f("ix_offered_actions_version_id"), "offered_actions", ["version_id"], unique=False)
    op.create_table(
        "action_attempts",
        sa.Column("action_id", sa.Uuid(), nullable=False),
        sa.Column("call_id", sa.Uuid(), nullable=True),
        sa.Column("message_id", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["action_id"], ["declared_actions.id"], name=op.f("fk_action_attempts_action_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["call_id"], ["action_calls.id"], name=op.f("fk_action_attempts_call_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_action_attempts_user_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_action_attempts")),
    )
    op.create_index(op.f("ix_action_attempts_action_id"), "action_attempts", ["action_id"], unique=False)
    op.create_index(op.f("ix_action_attempts_call_id"), "action_attempts", ["call_id"], unique=False)
    op.create_table(
        "action_repairs",
        sa.Column("call_id", sa.Uuid(), nullable=False),
        sa.Column("execution_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["call_id"], ["action_calls.id"], name=op.f("fk_action_repairs_call_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.id"], name=op.f("fk_action_repairs_execution_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_action_repairs")),
        sa.UniqueConstraint("call_id", "number", name=op.f("uq_action_repairs_call_id_number")),
        sa.UniqueConstraint("execution_id", name=op.f("uq_action_repairs_execution_id")),
    )
    op.add_column("executions", sa.Column("repairs_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_executions_repairs_id"), "executions", "executions", ["repairs_id"], ["id"], ondelete="SET NULL"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("fk_executions_repairs_id"), "executions", type_="foreignkey")
    op.drop_column("executions", "repairs_id")
    op.drop_table("action_repairs")
    op.drop_index(op.f("ix_action_attempts_call_id"), table_name="action_attempts")
    op.drop_index(op.f("ix_action_attempts_action_id"), table_name="action_attempts")
    op.drop_table("action_attempts")
    op.drop_index(op.f("ix_offered_actions_version_id"), table_name="offered_actions")
    op.drop_table("offered_actions")
    op.drop_index("ix_action_calls_waiting", table_name="action_calls", postgresql_where=sa.text("state = 'waiting'"))
    op.drop_index(op.f("ix_action_calls_version_id"), table_name="action_calls")
    op.drop_index(
        "ix_action_calls_in_hand",
        table_name="action_calls",
        postgresql_where=sa.text("state IN ('received', 'repairing', 'delivering')"),
    )
    op.drop_table("action_calls")
    op.drop_table("action_versions")
    op.drop_index(op.f("ix_action_receivers_action_id"), table_name="action_receivers")
    op.drop_table("action_receivers")
    op.drop_index(
        "ix_declared_actions_deleted_at",
        table_name="declared_actions",
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.drop_table("declared_actions")
