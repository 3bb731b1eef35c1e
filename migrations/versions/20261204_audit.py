"""the audit log: from where, by whom in whose name; append-only, kept as long as each organization says"""

import sqlalchemy as sa
from alembic import op

revision = "audit"
down_revision = "twofactor"
branch_labels = None
depends_on = None

ADDED = (
    ("actor_name", sa.String(200)),
    ("impersonator_name", sa.String(200)),
    ("source", sa.Enum("browser", "command", "worker", name="source", native_enum=False, length=20)),
    ("source_name", sa.String(200)),
)

APPEND_ONLY = """
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
-- A line goes when it is older than its organization keeps them, whoever deletes it; and never for another reason.
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM FROM organizations o
            WHERE o.id = OLD.organization_id
              AND OLD.created_at < now() - make_interval(days => o.audit_kept_days);
        IF FOUND THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: no % of audit_events', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$
"""
TRIGGERS = (
    """CREATE TRIGGER audit_lines_stay BEFORE UPDATE OR DELETE ON audit_events
       FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()""",
    """CREATE TRIGGER audit_stays BEFORE TRUNCATE ON audit_events
       FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()""",
)
RIGHTS = "UPDATE, TRUNCATE ON audit_events"
"""Taken from the owner too: what runs Dataelan would have to give them to itself before it could try."""


def upgrade() -> None:
    op.add_column("organizations", sa.Column("audit_kept_days", sa.Integer(), nullable=True))
    op.create_check_constraint(op.f("ck_organizations_audit_is_kept_a_month"), "organizations", "audit_kept_days >= 30")
    op.add_column("audit_events", sa.Column("impersonator_id", sa.Uuid(), nullable=True))
    for name, kind in ADDED:
        default = "worker" if name == "source" else ""
        op.add_column("audit_events", sa.Column(name, kind, nullable=False, server_default=default))
    op.drop_constraint("fk_audit_events_actor_id", "audit_events", type_="foreignkey")
    op.execute("UPDATE audit_events e SET actor_name = u.name, source = 'browser' FROM users u WHERE u.id = e.actor_id")
    for name, _ in ADDED:
        op.alter_column("audit_events", name, server_default=None)
    op.create_check_constraint(
        op.f("ck_audit_events_source"), "audit_events", "source IN ('browser', 'command', 'worker')"
    )
    op.create_index("ix_audit_events_created_at", "audit_events", ["created_at"])
    for statement in (APPEND_ONLY, *TRIGGERS, f"REVOKE {RIGHTS} FROM PUBLIC, CURRENT_USER"):
        op.execute(statement)


def downgrade() -> None:
    op.execute(f"GRANT {RIGHTS} TO CURRENT_USER")
    op.execute("DROP TRIGGER audit_stays ON audit_events")
    op.execute("DROP TRIGGER audit_lines_stay ON audit_events")
    op.execute("DROP FUNCTION audit_is_append_only")
    op.drop_index("ix_audit_events_created_at", "audit_events")
    op.execute(
        "UPDATE audit_events e SET actor_id = NULL WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = e.actor_id)"
    )
    op.create_foreign_key(
        "fk_audit_events_actor_id", "audit_events", "users", ["actor_id"], ["id"], ondelete="SET NULL"
    )
    for name, _ in reversed(ADDED):
        op.drop_column("audit_events", name)
    op.drop_column("audit_events", "impersonator_id")
    op.drop_column("organizations", "audit_kept_days")
