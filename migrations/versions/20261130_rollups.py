"""sums over runs for dashboards, and the queue of what still has to be counted"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "rollups"
down_revision = "swiftlimits"
branch_labels = None
depends_on = None

# A run is counted when it ends, a line of the ledger when it is written; what is imported was paid elsewhere. A cost
# that was unknown can be told by a correction. Whoever writes them, by whatever way, is seen here.
RUN_ENDED = """
CREATE FUNCTION rollup_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR OLD.state IN ('queued', 'running') THEN
        INSERT INTO rollup_queue (execution_id, runs, unpriced) VALUES (NEW.id, 1, (NEW.cost IS NULL)::int);
    ELSE
        INSERT INTO rollup_queue (execution_id, unpriced)
        VALUES (NEW.id, (NEW.cost IS NULL)::int - (OLD.cost IS NULL)::int);
    END IF;
    RETURN NULL;
END $$
"""
LINE_WRITTEN = """
CREATE FUNCTION rollup_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rollup_queue (execution_id, entry_id)
    SELECT execution_id, NEW.id FROM attempts WHERE id = NEW.attempt_id;
    RETURN NULL;
END $$
"""
# A histogram is an array of bin << 40 | count. Merged, each bin is there once, in order.
MERGE = """
CREATE FUNCTION rollup_merge(bins bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg((bin << 40) | n ORDER BY bin), '{}')
    FROM (SELECT one >> 40 AS bin, sum(one & 1099511627775)::bigint AS n FROM unnest(bins) AS one GROUP BY 1) AS merged
$$
"""
TRIGGERS = (
    "CREATE TRIGGER runs_are_counted AFTER INSERT ON executions FOR EACH ROW"
    " WHEN (NEW.state NOT IN ('queued', 'running') AND NEW.origin <> 'import') EXECUTE FUNCTION rollup_run()",
    "CREATE TRIGGER ends_are_counted AFTER UPDATE OF state, cost ON executions FOR EACH ROW"
    " WHEN (NEW.state NOT IN ('queued', 'running') AND NEW.origin <> 'import' AND"
    " (OLD.state IN ('queued', 'running') OR (OLD.cost IS NULL) <> (NEW.cost IS NULL))) EXECUTE FUNCTION rollup_run()",
    "CREATE TRIGGER lines_are_counted AFTER INSERT ON ledger_entries FOR EACH ROW EXECUTE FUNCTION rollup_line()",
)
IDS = ("project_id", "user_id", "provider_id", "model_id", "api_key_id")
WORDS = ("payer", "model_type", "origin", "outcome", "error")
TOKENS = ("tokens_input", "tokens_cache_read", "tokens_cache_write", "tokens_output", "tokens_reasoning")
COUNTERS = ("runs", "attempts", "unpriced", *TOKENS, "cost", "streamed_tokens", "streamed_ms")


def upgrade() -> None:
    op.create_table(
        "rollup_queue",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("execution_id", sa.Uuid(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=True),
        sa.Column("runs", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("unpriced", sa.SmallInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollup_queue")),
    )
    organization = sa.ForeignKey("organizations.id", ondelete="CASCADE", name="fk_rollup_keys_organization_id")
    op.create_table(
        "rollup_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), organization, nullable=False),
        sa.Column("cut", sa.SmallInteger(), nullable=False),
        *(sa.Column(name, sa.Uuid(), nullable=False) for name in IDS),
        *(sa.Column(name, sa.String(30), nullable=False) for name in WORDS),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollup_keys")),
    )
    op.create_index("ix_rollup_keys_organization_id_cut", "rollup_keys", ["organization_id", "cut"])
    organization = sa.ForeignKey("organizations.id", ondelete="CASCADE", name="fk_rollups_organization_id")
    op.create_table(
        "rollups",
        sa.Column("organization_id", sa.Uuid(), organization, nullable=False),
        sa.Column("cut", sa.SmallInteger(), nullable=False),
        sa.Column("grain", sa.SmallInteger(), nullable=False),
        sa.Column("bucket", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTERS),
        *(sa.Column(name, ARRAY(sa.BigInteger()), nullable=False) for name in ("first_token", "total")),
        sa.PrimaryKeyConstraint("organization_id", "cut", "grain", "bucket", "key_id", name=op.f("pk_rollups")),
    )
    for statement in (RUN_ENDED, LINE_WRITTEN, MERGE, *TRIGGERS):
        op.execute(statement)
    # What there was before is counted like what comes.
    op.execute(
        "INSERT INTO rollup_queue (execution_id, runs, unpriced) SELECT id, 1, (cost IS NULL)::int FROM executions"
        " WHERE state NOT IN ('queued', 'running') AND origin <> 'import'"
    )
    op.execute(
        "INSERT INTO rollup_queue (execution_id, entry_id)"
        " SELECT a.execution_id, l.id FROM ledger_entries l JOIN attempts a ON a.id = l.attempt_id"
    )


def downgrade() -> None:
    for name, table in (
        ("runs_are_counted", "executions"),
        ("ends_are_counted", "executions"),
        ("lines_are_counted", "ledger_entries"),
    ):
        op.execute(f"DROP TRIGGER {name} ON {table}")
    for function in ("rollup_run()", "rollup_line()", "rollup_merge(bigint[])"):
        op.execute(f"DROP FUNCTION {function}")
    for name in ("rollups", "rollup_keys", "rollup_queue"):
        op.drop_table(name)
