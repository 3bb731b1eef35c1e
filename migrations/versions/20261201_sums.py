"""sums by fewer dimensions and longer buckets, time zones that are known, who is counted anew, and how long things are kept"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "sums"
down_revision = "explorer"
branch_labels = None
depends_on = None

# Days are counted in the organization's time zone, so it has to be one that PostgreSQL knows; when it changes, days
# begin at another time, and all is counted anew.
KNOWN = """
CREATE FUNCTION time_zone_is_known() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM now() AT TIME ZONE NEW.time_zone;
    RETURN NEW;
END $$
"""
CHANGED = """
CREATE FUNCTION time_zone_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rollup_recounts (organization_id, asked_at) VALUES (NEW.id, clock_timestamp())
    ON CONFLICT (organization_id) DO UPDATE SET asked_at = excluded.asked_at;
    RETURN NULL;
END $$
"""
UNKNOWN_TO_UTC = """
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT id, time_zone FROM organizations LOOP
        BEGIN
            PERFORM now() AT TIME ZONE one.time_zone;
        EXCEPTION WHEN invalid_parameter_value THEN
            UPDATE organizations SET time_zone = 'UTC' WHERE id = one.id;
        END;
    END LOOP;
END $$
"""
TRIGGERS = (
    "CREATE TRIGGER time_zone_is_known BEFORE INSERT OR UPDATE OF time_zone ON organizations FOR EACH ROW"
    " EXECUTE FUNCTION time_zone_is_known()",
    "CREATE TRIGGER time_zone_changed AFTER UPDATE OF time_zone ON organizations FOR EACH ROW"
    " WHEN (OLD.time_zone <> NEW.time_zone) EXECUTE FUNCTION time_zone_changed()",
)
ANEW = (
    "DELETE FROM rollup_keys",
    "DELETE FROM rollup_queue",
    "INSERT INTO rollup_queue (execution_id, runs, unpriced) SELECT id, 1, (cost IS NULL)::int FROM executions"
    " WHERE state NOT IN ('queued', 'running') AND origin <> 'import'",
    "INSERT INTO rollup_queue (execution_id, entry_id)"
    " SELECT a.execution_id, l.id FROM ledger_entries l JOIN attempts a ON a.id = l.attempt_id",
)
TOKENS = ("tokens_input", "tokens_cache_read", "tokens_cache_write", "tokens_output", "tokens_reasoning")
COUNTERS = ("runs", "failed", "attempts", "unpriced", *TOKENS, "cost", "streamed_tokens", "streamed_ms")


def upgrade() -> None:
    op.execute("DELETE FROM rollup_keys")
    op.drop_table("rollups")
    op.create_table(
        "rollups",
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("grain", sa.SmallInteger(), nullable=False),
        sa.Column("bucket", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTERS),
        *(sa.Column(name, ARRAY(sa.BigInteger()), nullable=False) for name in ("first_token", "total")),
        sa.ForeignKeyConstraint(["key_id"], ["rollup_keys.id"], name=op.f("fk_rollups_key_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key_id", "grain", "bucket", name=op.f("pk_rollups")),
    )
    op.create_table(
        "rollup_recounts",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_rollup_recounts_organization_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_rollup_recounts")),
    )
    for name in ("words", "runs"):
        op.add_column("organizations", sa.Column(f"{name}_kept_days", sa.Integer(), nullable=True))
        op.add_column("organizations", sa.Column(f"{name}_gone_until", sa.DateTime(timezone=True), nullable=True))
    for statement in (UNKNOWN_TO_UTC, KNOWN, CHANGED, *TRIGGERS):
        op.execute(statement)
    op.execute("INSERT INTO rollup_recounts SELECT id, now() FROM organizations")


def downgrade() -> None:
    for name in ("time_zone_changed", "time_zone_is_known"):
        op.execute(f"DROP TRIGGER {name} ON organizations")
        op.execute(f"DROP FUNCTION {name}()")
    for name in ("words_kept_days", "words_gone_until", "runs_kept_days", "runs_gone_until"):
        op.drop_column("organizations", name)
    op.drop_table("rollup_recounts")
    op.drop_table("rollups")
    organization = sa.ForeignKey("organizations.id", ondelete="CASCADE", name="fk_rollups_organization_id")
    op.create_table(
        "rollups",
        sa.Column("organization_id", sa.Uuid(), organization, nullable=False),
        *(sa.Column(name, sa.SmallInteger(), nullable=False) for name in ("cut", "grain")),
        sa.Column("bucket", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTERS if name != "failed"),
        *(sa.Column(name, ARRAY(sa.BigInteger()), nullable=False) for name in ("first_token", "total")),
        sa.PrimaryKeyConstraint("organization_id", "cut", "grain", "bucket", "key_id", name=op.f("pk_rollups")),
    )
    for statement in ANEW:
        op.execute(statement)
