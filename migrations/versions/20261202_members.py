"""invitations, service accounts, scoped and rotated tokens; organizations that can be deleted, and keep an owner"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "members"
down_revision = "summaries"
branch_labels = None
depends_on = None

# Checked when the transaction ends, one after the other: whoever comes second sees what the first one did.
KEPT = """
CREATE FUNCTION an_owner_is_left() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.role <> 'OWNER' THEN
        RETURN NULL;
    END IF;
    PERFORM 1 FROM organizations WHERE id = OLD.organization_id AND purged_at IS NULL FOR NO KEY UPDATE;
    IF FOUND AND NOT EXISTS (
        SELECT 1 FROM memberships WHERE organization_id = OLD.organization_id AND role = 'OWNER'
    ) THEN
        RAISE EXCEPTION 'an organization keeps an owner' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$
"""
TRIGGER = """
CREATE CONSTRAINT TRIGGER an_owner_is_left AFTER UPDATE OR DELETE ON memberships
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION an_owner_is_left()
"""


def upgrade() -> None:
    op.create_table(
        "invitations",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("email", sa.String(length=200), nullable=False),
        sa.Column("role", _enum("role", "OWNER", "ADMIN", "MEMBER", "VIEWER"), nullable=True),
        sa.Column("project_role", _enum("projectrole", "EDITOR", "VIEWER"), nullable=True),
        sa.Column("secret_hash", sa.String(length=200), nullable=False),
        sa.Column("invited_by", sa.Uuid(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_by", sa.Uuid(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("email = lower(email)", name=op.f("ck_invitations_email_is_lower_case")),
        sa.CheckConstraint("(project_id IS NULL) = (role IS NOT NULL)", name=op.f("ck_invitations_is_for_one_of_both")),
        sa.CheckConstraint(
            "(project_id IS NULL) = (project_role IS NULL)", name=op.f("ck_invitations_a_guest_has_a_role")
        ),
        *(
            sa.ForeignKeyConstraint([name], [target], name=op.f(f"fk_invitations_{name}"), ondelete=how)
            for name, target, how in (
                ("organization_id", "organizations.id", "CASCADE"),
                ("project_id", "projects.id", "CASCADE"),
                ("invited_by", "users.id", "SET NULL"),
                ("accepted_by", "users.id", "SET NULL"),
            )
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_invitations_secret_hash")),
    )
    op.create_index(op.f("ix_invitations_organization_id"), "invitations", ["organization_id"])
    op.create_index(op.f("ix_invitations_project_id"), "invitations", ["project_id"])
    op.create_index(
        "uq_invitations_open",
        "invitations",
        ["organization_id", "email", sa.text("coalesce(project_id, '00000000-0000-0000-0000-000000000000')")],
        unique=True,
        postgresql_where=sa.text("accepted_at IS NULL AND revoked_at IS NULL"),
    )
    op.create_table(
        "service_accounts",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("description", sa.String(length=200), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_service_accounts_organization_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_service_accounts_created_by"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_accounts")),
        sa.UniqueConstraint("organization_id", "name", name=op.f("uq_service_accounts_organization_id_name")),
    )
    op.add_column("gateway_tokens", sa.Column("service_account_id", sa.Uuid(), nullable=True))
    op.add_column("gateway_tokens", sa.Column("allows", postgresql.JSONB(), server_default="[]", nullable=False))
    op.alter_column("gateway_tokens", "allows", server_default=None)
    op.add_column("gateway_tokens", sa.Column("previous_hash", sa.String(length=200), nullable=True))
    op.add_column("gateway_tokens", sa.Column("previous_until", sa.DateTime(timezone=True), nullable=True))
    op.create_unique_constraint(op.f("uq_gateway_tokens_previous_hash"), "gateway_tokens", ["previous_hash"])
    op.create_index(op.f("ix_gateway_tokens_service_account_id"), "gateway_tokens", ["service_account_id"])
    op.create_foreign_key(
        op.f("fk_gateway_tokens_service_account_id"),
        "gateway_tokens",
        "service_accounts",
        ["service_account_id"],
        ["id"],
        ondelete="CASCADE",
    )
    _token_maker("SET NULL", nullable=True)
    op.add_column("organizations", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("organizations", sa.Column("deleted_by", sa.Uuid(), nullable=True))
    op.add_column("organizations", sa.Column("purged_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("organizations", sa.Column("default_rule_id", sa.Uuid(), nullable=True))
    op.add_column(
        "organizations", sa.Column("allowed_providers", postgresql.JSONB(), server_default="[]", nullable=False)
    )
    op.alter_column("organizations", "allowed_providers", server_default=None)
    op.create_index(
        "ix_organizations_deleted_at",
        "organizations",
        ["deleted_at"],
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    for name, target in (("deleted_by", "users"), ("default_rule_id", "routing_rules")):
        op.create_foreign_key(
            op.f(f"fk_organizations_{name}"), "organizations", target, [name], ["id"], ondelete="SET NULL"
        )
    op.execute(KEPT)
    op.execute(TRIGGER)


def downgrade() -> None:
    op.execute("DROP TRIGGER an_owner_is_left ON memberships")
    op.execute("DROP FUNCTION an_owner_is_left()")
    op.drop_index("ix_organizations_deleted_at", table_name="organizations")
    for name in ("allowed_providers", "default_rule_id", "purged_at", "deleted_by", "deleted_at"):
        op.drop_column("organizations", name)
    op.execute("DELETE FROM gateway_tokens WHERE created_by IS NULL")
    _token_maker("CASCADE", nullable=False)
    for name in ("previous_until", "previous_hash", "allows", "service_account_id"):
        op.drop_column("gateway_tokens", name)
    op.drop_table("service_accounts")
    op.drop_table("invitations")


def _token_maker(how: str, *, nullable: bool) -> None:
    """What becomes of a token when whoever made it is deleted."""
    op.alter_column("gateway_tokens", "created_by", existing_type=sa.Uuid(), nullable=nullable)
    op.drop_constraint(op.f("fk_gateway_tokens_created_by"), "gateway_tokens", type_="foreignkey")
    op.create_foreign_key(
        op.f("fk_gateway_tokens_created_by"), "gateway_tokens", "users", ["created_by"], ["id"], ondelete=how
    )


def _enum(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, length=20, create_constraint=True)
