"""tags of runs; sums by them; and calls that were tried again, left for another model, or refused for their rate"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "tags"
down_revision = "callers"
branch_labels = None
depends_on = None

# A run has the tags that its program said, and those of its session: kept with it, in order, each once.
TAGS_OF = """
CREATE FUNCTION tags_of_run(labels jsonb, session uuid) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(DISTINCT tag ORDER BY tag), '{}') FROM (
        SELECT jsonb_array_elements_text(labels->'tags') COLLATE "C"
        WHERE jsonb_typeof(labels->'tags') = 'array'
        UNION ALL
        SELECT jsonb_array_elements_text(tags) COLLATE "C" FROM prompt_sessions WHERE id = session
    ) AS said (tag)
$$
"""
TAGGED = """
CREATE FUNCTION run_is_tagged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.tags := tags_of_run(NEW.labels, NEW.session_id);
    RETURN NEW;
END $$
"""
RETAGGED = """
CREATE FUNCTION session_is_retagged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rollup_retags (session_id, asked_at) VALUES (NEW.id, clock_timestamp())
    ON CONFLICT (session_id) DO UPDATE SET asked_at = excluded.asked_at;
    RETURN NULL;
END $$
"""
TRIGGERS = (
    "CREATE TRIGGER run_is_tagged BEFORE INSERT ON executions FOR EACH ROW"
    " WHEN (NEW.session_id IS NOT NULL OR NEW.labels IS NOT NULL) EXECUTE FUNCTION run_is_tagged()",
    "CREATE TRIGGER session_is_retagged AFTER UPDATE OF tags ON prompt_sessions FOR EACH ROW"
    " WHEN (OLD.tags <> NEW.tags) EXECUTE FUNCTION session_is_retagged()",
)
BEFORE = """
UPDATE executions SET tags = tags_of_run(labels, session_id)
WHERE labels ? 'tags' OR session_id IN (SELECT id FROM prompt_sessions WHERE tags <> '[]')
"""
# A count may be taken away, as 2^40 - n: what is left of it is added up modulo 2^40.
MERGE = """
CREATE OR REPLACE FUNCTION rollup_merge(bins bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg((bin << 40) | n ORDER BY bin) FILTER (WHERE n <> 0), '{}')
    FROM (
        SELECT one >> 40 AS bin, sum(one & 1099511627775)::bigint & 1099511627775 AS n FROM unnest(bins) AS one GROUP BY 1
    ) AS merged
$$
"""
MERGED_BEFORE = """
CREATE OR REPLACE FUNCTION rollup_merge(bins bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg((bin << 40) | n ORDER BY bin), '{}')
    FROM (SELECT one >> 40 AS bin, sum(one & 1099511627775)::bigint AS n FROM unnest(bins) AS one GROUP BY 1) AS merged
$$
"""
COUNTERS = ("retries", "fallbacks", "rate_limited")
ANEW = """
INSERT INTO rollup_recounts SELECT id, now() FROM organizations
ON CONFLICT (organization_id) DO UPDATE SET asked_at = excluded.asked_at
"""


def upgrade() -> None:
    op.add_column("executions", sa.Column("tags", ARRAY(sa.Text()), nullable=False, server_default="{}"))
    op.create_table(
        "rollup_retags",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["prompt_sessions.id"], name=op.f("fk_rollup_retags_session_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_rollup_retags")),
    )
    for statement in (TAGS_OF, TAGGED, RETAGGED, BEFORE, *TRIGGERS, MERGE):
        op.execute(statement)
    op.create_index(
        "ix_executions_ended_tagged",
        "executions",
        ["organization_id", "created_at"],
        postgresql_where=sa.text("finished_at IS NOT NULL AND tags <> '{}'"),
    )
    op.add_column("rollup_keys", sa.Column("tags", ARRAY(sa.Text()), nullable=False, server_default="{}"))
    op.alter_column("rollup_keys", "tags", server_default=None)
    for name in COUNTERS:
        op.add_column("rollups", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
        op.alter_column("rollups", name, server_default=None)
    op.execute(ANEW)


def downgrade() -> None:
    for name in COUNTERS:
        op.drop_column("rollups", name)
    op.drop_column("rollup_keys", "tags")
    op.drop_index("ix_executions_ended_tagged", "executions")
    op.execute("DROP TRIGGER session_is_retagged ON prompt_sessions")
    op.execute("DROP TRIGGER run_is_tagged ON executions")
    for function in ("session_is_retagged()", "run_is_tagged()", "tags_of_run(jsonb, uuid)"):
        op.execute(f"DROP FUNCTION {function}")
    op.execute(MERGED_BEFORE)
    op.drop_table("rollup_retags")
    op.drop_column("executions", "tags")
    op.execute(ANEW)
