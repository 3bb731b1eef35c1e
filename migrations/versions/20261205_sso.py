"""single sign-on: an organization's provider, its proven domains, who is whom there, and which way each sign-in came"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "sso"
down_revision = "tags"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def _enum(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=20)


def upgrade() -> None:
    op.create_table(
        "identity_providers",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sa.String(200), nullable=False),
        sa.Column("client_id", sa.String(200), nullable=False),
        sa.Column("ciphertext", sa.Text(), nullable=False),
        sa.Column("groups_claim", sa.String(200), nullable=False),
        sa.Column("roles", postgresql.JSONB(), nullable=False),
        sa.Column("default_role", _enum("role", "OWNER", "ADMIN", "MEMBER", "VIEWER"), nullable=True),
        sa.Column("worked_at", TIME, nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint("default_role <> 'OWNER'", name=op.f("ck_identity_providers_makes_no_owners")),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name="fk_identity_providers_created_by", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_identity_providers_organization_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_identity_providers"),
        sa.UniqueConstraint("organization_id", name="uq_identity_providers_organization_id"),
    )
    op.create_table(
        "claimed_domains",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("domain", sa.String(200), nullable=False),
        sa.Column("challenge", sa.String(200), nullable=False),
        sa.Column("proven_at", TIME, nullable=True),
        sa.Column("proven_by", _enum("provenby", "zone", "operator"), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_claimed_domains_organization_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_claimed_domains"),
        sa.UniqueConstraint("organization_id", "domain", name="uq_claimed_domains_organization_id_domain"),
    )
    is_proven = sa.text("proven_at IS NOT NULL")
    op.create_index("uq_claimed_domains_proven", "claimed_domains", ["domain"], unique=True, postgresql_where=is_proven)
    op.create_table(
        "identities",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("last_used_at", TIME, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["identity_providers.id"], name="fk_identities_provider_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_identities_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_identities"),
        sa.UniqueConstraint("provider_id", "subject", name="uq_identities_provider_id_subject"),
        sa.UniqueConstraint("provider_id", "user_id", name="uq_identities_provider_id_user_id"),
    )
    op.create_index("ix_identities_user_id", "identities", ["user_id"])
    op.add_column(
        "organizations", sa.Column("enforces_sso", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )
    op.alter_column("organizations", "enforces_sso", server_default=None)
    for name in ("through_id", "beside_id"):
        op.add_column("sign_ins", sa.Column(name, sa.Uuid(), nullable=True))
        op.create_foreign_key(f"fk_sign_ins_{name}", "sign_ins", "organizations", [name], ["id"], ondelete="CASCADE")
    op.create_index("ix_sign_ins_through_id", "sign_ins", ["through_id"])
    op.add_column("sign_ins", sa.Column("beside_until", TIME, nullable=True))
    op.add_column("users", sa.Column("made_through_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        "fk_users_made_through_id", "users", "organizations", ["made_through_id"], ["id"], ondelete="SET NULL"
    )


def downgrade() -> None:
    op.drop_constraint("fk_users_made_through_id", "users", type_="foreignkey")
    op.drop_column("users", "made_through_id")
    op.execute("DELETE FROM sign_ins WHERE through_id IS NOT NULL")  # which led to one place only
    op.drop_column("sign_ins", "beside_until")
    op.drop_index("ix_sign_ins_through_id", "sign_ins")
    for name in ("beside_id", "through_id"):
        op.drop_constraint(f"fk_sign_ins_{name}", "sign_ins", type_="foreignkey")
        op.drop_column("sign_ins", name)
    op.drop_column("organizations", "enforces_sso")
    op.drop_table("identities")
    op.drop_table("claimed_domains")
    op.drop_table("identity_providers")
