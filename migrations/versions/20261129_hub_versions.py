"""changes of the hub are counted, so that what was read of it may be remembered until the next"""

import sqlalchemy as sa
from alembic import op

revision = "hubversions"
down_revision = "actions"
branch_labels = None
depends_on = None

# Whoever changes the hub, by whatever way, counts: once a transaction, for the organization whose row it is, or for
# everyone's (the nil id). Each count has 16 parts, and a connection has one of them: two who change the same hub at the
# same time should not wait for each other, let alone in two orders.
CHANGED = """
CREATE FUNCTION hub_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed jsonb := to_jsonb(coalesce(NEW, OLD));
    owner uuid := changed ->> 'organization_id';
BEGIN
    IF TG_TABLE_NAME = 'routing_rule_models' THEN
        SELECT organization_id INTO owner FROM routing_rules WHERE id = (changed ->> 'rule_id')::uuid;
    END IF;
    INSERT INTO hub_versions AS mine (hub, part, version, transaction)
    VALUES (coalesce(owner, '00000000-0000-0000-0000-000000000000'), pg_backend_pid() % 16, 1, txid_current())
    ON CONFLICT (hub, part) DO UPDATE SET version = mine.version + 1, transaction = excluded.transaction
    WHERE mine.transaction <> excluded.transaction;
    RETURN NULL;
END $$
"""
KEY = "label, last_four, is_default, weight, is_enabled, expires_at, listed_models, allowed_models, archived_at"
"""What is written of a key's use at every turn is no change of the hub."""
CHANGES = {
    "providers": "UPDATE",
    "models": "UPDATE",
    "prices": "UPDATE",
    "routing_rules": "UPDATE",
    "routing_rule_models": "UPDATE",
    "api_keys": f"UPDATE OF provider_id, organization_id, {KEY}",
}


def upgrade() -> None:
    op.create_table(
        "hub_versions",
        sa.Column("hub", sa.Uuid(), nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hub", "part", name=op.f("pk_hub_versions")),
    )
    op.execute(CHANGED)
    for table, change in CHANGES.items():
        op.execute(
            f"CREATE TRIGGER {table}_are_counted AFTER INSERT OR DELETE OR {change} ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION hub_changed()"
        )


def downgrade() -> None:
    for table in CHANGES:
        op.execute(f"DROP TRIGGER {table}_are_counted ON {table}")
    op.execute("DROP FUNCTION hub_changed")
    op.drop_table("hub_versions")
