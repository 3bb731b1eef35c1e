"""a message of runs that begin or end is one statement, which PostgreSQL has planned; a begin says who is presumed to call"""

from alembic import op

revision = "said_at_once"
down_revision = "leaner_ends"
branch_labels = None
depends_on = None

# Each is two transactions, as dataelan_web.quota.holds has them: the first is not flushed, so that what it locked is
# free, and the second is flushed with it.
LEFT = """ARRAY(
        SELECT CASE WHEN one.is_told THEN quota_left(one.attempt) END
        FROM unnest(attempts, told) WITH ORDINALITY AS one (attempt, is_told, place)
        ORDER BY one.place
    )"""
BEGIN = f"""
CREATE PROCEDURE say_runs_begin(
    callers jsonb, calls jsonb, holding jsonb, lease interval, stands interval,
    locked text, attempts uuid[], told boolean[], INOUT begun timestamptz, INOUT remaining bigint[]
)
LANGUAGE plpgsql AS $$
-- See runs_begin. Where one of the callers is not who is presumed (see gateway_caller), it fails with DL003.
BEGIN
    PERFORM set_config('lock_timeout', locked, true);
    PERFORM FROM jsonb_to_recordset(callers) AS presumed (hash text, token uuid, stamp text, mode text, hub bigint)
    LEFT JOIN LATERAL gateway_caller(presumed.hash) AS c ON true
    WHERE (c.token, c.stamp, c.mode, c.hub)
        IS DISTINCT FROM (presumed.token, presumed.stamp, presumed.mode, presumed.hub);
    IF FOUND THEN
        RAISE EXCEPTION 'a caller is not who was remembered' USING ERRCODE = 'DL003';
    END IF;
    begun := runs_begin(calls, holding, lease, stands);
    COMMIT;
    remaining := {LEFT};
    PERFORM pg_logical_emit_message(true, 'dataelan', '');
END $$
"""
END = f"""
CREATE PROCEDURE say_runs_end(
    ends jsonb, locked text, attempts uuid[], told boolean[], INOUT is_over boolean[], INOUT remaining bigint[]
)
LANGUAGE plpgsql AS $$
-- See runs_end.
BEGIN
    PERFORM set_config('lock_timeout', locked, true);
    is_over := runs_end(ends);
    COMMIT;
    remaining := {LEFT};
    PERFORM pg_logical_emit_message(true, 'dataelan', '');
END $$
"""


def upgrade() -> None:
    op.execute(BEGIN)
    op.execute(END)


def downgrade() -> None:
    op.execute("DROP PROCEDURE say_runs_end")
    op.execute("DROP PROCEDURE say_runs_begin")
