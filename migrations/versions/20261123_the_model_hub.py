"""the model hub: price book, keys, media, assets"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ADDED = (
    ("api_keys", "allowed_models"),
    ("api_keys", "last_error_kind"),
    ("assets", "position"),
    ("assets", "note"),
    ("attempts", "measures"),
    ("execution_bodies", "segments"),
    ("executions", "measures"),
    ("models", "task"),
    ("models", "replacement"),
    ("organizations", "unknown_price"),
    ("projects", "allows_platform_keys"),
    ("providers", "is_trusted"),
    ("providers", "needs_address"),
    ("providers", "model_types"),
    ("providers", "is_enabled"),
)


def upgrade() -> None:
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("allowed_models", postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default="[]")
        )
        batch_op.add_column(sa.Column("last_error_kind", sa.String(length=200), nullable=False, server_default=""))

    with op.batch_alter_table("assets", schema=None) as batch_op:
        batch_op.add_column(sa.Column("project_id", sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("prompt_id", sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("user_id", sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("position", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("note", sa.Text(), nullable=False, server_default=""))
        batch_op.create_index(batch_op.f("ix_assets_project_id"), ["project_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_assets_prompt_id"), ["prompt_id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_assets_prompt_id"), "prompts", ["prompt_id"], ["id"], ondelete="CASCADE"
        )
        batch_op.create_foreign_key(batch_op.f("fk_assets_user_id"), "users", ["user_id"], ["id"], ondelete="SET NULL")
        batch_op.create_foreign_key(
            batch_op.f("fk_assets_project_id"), "projects", ["project_id"], ["id"], ondelete="CASCADE"
        )

    op.execute("UPDATE assets SET project_id = e.project_id FROM executions e WHERE e.id = assets.execution_id")
    op.execute("DELETE FROM assets WHERE project_id IS NULL")  # of no execution, and so nowhere to be seen
    op.alter_column("assets", "project_id", nullable=False)

    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("measures", postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default="{}")
        )
        batch_op.add_column(sa.Column("job", postgresql.JSONB(astext_type=sa.Text()), nullable=True))

    with op.batch_alter_table("execution_bodies", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("segments", postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default="[]")
        )

    with op.batch_alter_table("executions", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("measures", postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default="{}")
        )

    with op.batch_alter_table("models", schema=None) as batch_op:
        batch_op.add_column(sa.Column("task", sa.String(length=200), nullable=False, server_default="chat"))
        batch_op.add_column(sa.Column("replacement", sa.String(length=200), nullable=False, server_default=""))

    with op.batch_alter_table("organizations", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "unknown_price",
                sa.Enum(
                    "refuse",
                    "ceiling",
                    "allow",
                    name="unknownprice",
                    native_enum=False,
                    create_constraint=True,
                    length=20,
                ),
                nullable=False,
                server_default="refuse",
            )
        )
        batch_op.add_column(sa.Column("unknown_price_ceiling", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("prices", schema=None) as batch_op:
        batch_op.add_column(sa.Column("organization_id", sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("input_audio", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("input_image", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("output_audio", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("output_image", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("per_image", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("per_second", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("per_character", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("created_by", sa.Uuid(), nullable=True))
        batch_op.create_index(batch_op.f("ix_prices_organization_id"), ["organization_id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_prices_organization_id"), "organizations", ["organization_id"], ["id"], ondelete="CASCADE"
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_prices_created_by"), "users", ["created_by"], ["id"], ondelete="SET NULL"
        )

    with op.batch_alter_table("projects", schema=None) as batch_op:
        batch_op.add_column(sa.Column("allows_platform_keys", sa.Boolean(), nullable=False, server_default="true"))

    with op.batch_alter_table("providers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("is_trusted", sa.Boolean(), nullable=False, server_default="false"))
        batch_op.add_column(sa.Column("needs_address", sa.Boolean(), nullable=False, server_default="false"))
        batch_op.add_column(
            sa.Column("model_types", postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default="[]")
        )
        batch_op.add_column(sa.Column("is_enabled", sa.Boolean(), nullable=False, server_default="true"))

    with op.batch_alter_table("routing_rules", schema=None) as batch_op:
        batch_op.add_column(sa.Column("created_by", sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_routing_rules_created_by"), "users", ["created_by"], ["id"], ondelete="SET NULL"
        )

    # Rows that are there already get these values; new ones are told by the models.
    for table, column in ADDED:
        op.alter_column(table, column, server_default=None)
    # What was connected before was connected by someone who might name a private address.
    op.execute("UPDATE providers SET is_trusted = true WHERE is_simulated OR organization_id IS NOT NULL")


def downgrade() -> None:
    with op.batch_alter_table("routing_rules", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_routing_rules_created_by"), type_="foreignkey")
        batch_op.drop_column("updated_at")
        batch_op.drop_column("created_by")

    with op.batch_alter_table("providers", schema=None) as batch_op:
        batch_op.drop_column("is_enabled")
        batch_op.drop_column("model_types")
        batch_op.drop_column("needs_address")
        batch_op.drop_column("is_trusted")

    with op.batch_alter_table("projects", schema=None) as batch_op:
        batch_op.drop_column("allows_platform_keys")

    with op.batch_alter_table("prices", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_prices_created_by"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_prices_organization_id"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_prices_organization_id"))
        batch_op.drop_column("created_by")
        batch_op.drop_column("per_character")
        batch_op.drop_column("per_second")
        batch_op.drop_column("per_image")
        batch_op.drop_column("output_image")
        batch_op.drop_column("output_audio")
        batch_op.drop_column("input_image")
        batch_op.drop_column("input_audio")
        batch_op.drop_column("ends_at")
        batch_op.drop_column("organization_id")

    with op.batch_alter_table("organizations", schema=None) as batch_op:
        batch_op.drop_column("unknown_price_ceiling")
        batch_op.drop_column("unknown_price")

    with op.batch_alter_table("models", schema=None) as batch_op:
        batch_op.drop_column("replacement")
        batch_op.drop_column("task")

    with op.batch_alter_table("executions", schema=None) as batch_op:
        batch_op.drop_column("measures")

    with op.batch_alter_table("execution_bodies", schema=None) as batch_op:
        batch_op.drop_column("segments")

    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_column("job")
        batch_op.drop_column("measures")

    with op.batch_alter_table("assets", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_assets_project_id"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_assets_user_id"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_assets_prompt_id"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_assets_prompt_id"))
        batch_op.drop_index(batch_op.f("ix_assets_project_id"))
        batch_op.drop_column("note")
        batch_op.drop_column("position")
        batch_op.drop_column("user_id")
        batch_op.drop_column("prompt_id")
        batch_op.drop_column("project_id")

    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.drop_column("last_error_kind")
        batch_op.drop_column("allowed_models")
