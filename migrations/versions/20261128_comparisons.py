"""comparisons of models: which executions belong together, and which answer was chosen"""

import sqlalchemy as sa
from alembic import op

revision = "comparisons"
down_revision = "quotes"
branch_labels = None
depends_on = None

REFERENCES = {
    "prompt_id": "prompts", "user_id": "users", "chosen_id": "executions", "chosen_by": "users",
    "blind_choice_id": "executions", "shown_id": "executions", "continued_id": "executions",
}  # fmt: skip


AT_COMMIT = {"deferrable": True, "initially": "DEFERRED"}
"""It is written before the execution, in one transaction."""


def _checked(name: str) -> dict[str, object]:
    return AT_COMMIT if name == "shown_id" else {}


def upgrade() -> None:
    op.create_table(
        "comparisons",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        *(sa.Column(name, sa.Uuid(), nullable=True) for name in REFERENCES),
        sa.Column("submission", sa.String(200), nullable=False),
        sa.Column("is_blind", sa.Boolean(), nullable=False),
        sa.Column("repeats", sa.Integer(), nullable=False),
        sa.Column("chosen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["prompt_sessions.id"], name=op.f("fk_comparisons_session_id"), ondelete="CASCADE"
        ),
        *(
            sa.ForeignKeyConstraint(
                [name], [f"{table}.id"], name=op.f(f"fk_comparisons_{name}"), ondelete="SET NULL", **_checked(name)
            )
            for name, table in REFERENCES.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comparisons")),
        sa.UniqueConstraint("session_id", "submission", name=op.f("uq_comparisons_session_id_submission")),
    )
    for name in ("shown_id", "continued_id"):
        op.create_index(op.f(f"ix_comparisons_{name}"), "comparisons", [name])
    op.create_table(
        "comparison_runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("comparison_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("requested", sa.String(200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["id"], ["executions.id"], name=op.f("fk_comparison_runs_id"), ondelete="CASCADE", **AT_COMMIT
        ),
        sa.ForeignKeyConstraint(
            ["comparison_id"], ["comparisons.id"], name=op.f("fk_comparison_runs_comparison_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comparison_runs")),
    )
    op.create_index(op.f("ix_comparison_runs_comparison_id"), "comparison_runs", ["comparison_id"])


def downgrade() -> None:
    op.drop_table("comparison_runs")
    op.drop_table("comparisons")
