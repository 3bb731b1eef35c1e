"""what an organization says itself of everyone's models; and its default key goes before others, where it wants that"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "corrections"
down_revision = "second_net"
branch_labels = None
depends_on = None

HERE = "nullif(organization_id = (SELECT current_setting('dataelan.organization')::uuid), false) IS NOT NULL"
"""As in the migration second_net."""
KEY = "label, last_four, is_default, weight, is_enabled, expires_at, listed_models, allowed_models, archived_at"
COUNTED = """
DROP TRIGGER api_keys_are_counted ON api_keys;
CREATE TRIGGER api_keys_are_counted
AFTER INSERT OR DELETE OR UPDATE OF provider_id, organization_id, {} ON api_keys
FOR EACH ROW EXECUTE FUNCTION hub_changed()
"""


def upgrade() -> None:
    op.create_table(
        "model_corrections",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("capabilities", postgresql.JSONB(), nullable=True),
        sa.Column("context_window", sa.Integer(), nullable=True),
        sa.Column("max_output_tokens", sa.Integer(), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("context_window > 0", name=op.f("ck_model_corrections_context_window_is_positive")),
        sa.CheckConstraint("max_output_tokens > 0", name=op.f("ck_model_corrections_max_output_tokens_is_positive")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], op.f("fk_model_corrections_organization_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], op.f("fk_model_corrections_model_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], op.f("fk_model_corrections_created_by"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_corrections")),
        sa.UniqueConstraint("organization_id", "model_id", name=op.f("uq_model_corrections_organization_id_model_id")),
    )
    op.create_index("ix_model_corrections_model_id", "model_corrections", ["model_id"])
    op.execute(
        "CREATE TRIGGER model_corrections_are_counted AFTER INSERT OR DELETE OR UPDATE ON model_corrections"
        " FOR EACH ROW EXECUTE FUNCTION hub_changed()"
    )
    op.execute(f"CREATE POLICY stays_inside ON model_corrections USING ({HERE}) WITH CHECK ({HERE})")
    op.execute("ALTER TABLE model_corrections ENABLE ROW LEVEL SECURITY")
    op.add_column("api_keys", sa.Column("goes_first", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.execute(COUNTED.format(f"{KEY}, goes_first"))


def downgrade() -> None:
    op.execute(COUNTED.format(KEY))
    op.drop_column("api_keys", "goes_first")
    op.drop_table("model_corrections")
