"""what programs and workers ran is put into the search index a moment later, many runs at once"""

import sqlalchemy as sa
from alembic import op

revision = "unhurried_search"
down_revision = "together"
branch_labels = None
depends_on = None

# What search_index did ("finding"), of any number of runs in one statement: for one run that was a quarter of all that
# PostgreSQL did of a program's call. Where one of them cannot be indexed, each is tried alone.
INDEX_ALL = r"""
CREATE FUNCTION search_index_all(runs uuid[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one uuid;
BEGIN
    INSERT INTO search_slices (id, created_at, organization_id, starts_at)
    SELECT gen_random_uuid(), now(), home.organization_id, '1000-01-01 00:00:00+00'
    FROM (SELECT DISTINCT e.organization_id FROM executions e WHERE e.id = ANY (runs)) AS home
    WHERE NOT EXISTS (SELECT FROM search_slices s WHERE s.organization_id = home.organization_id)
    ON CONFLICT DO NOTHING;

    INSERT INTO search_documents (id, created_at, slice_id, session_id, words)
    SELECT run.id, run.created_at, slice.id, run.session_id,
        array_to_tsvector(array_remove(ARRAY[
            U&'\0001s' || replace(slice.id::text, '-', ''),
            U&'\0001p' || replace(coalesce(session.project_id, run.project_id)::text, '-', ''),
            U&'\0001t' || run.model_type,
            U&'\0001a' || replace(run.user_id::text, '-', ''),
            CASE WHEN run.state IN ('failed', 'interrupted') THEN U&'\0001e' END
        ], NULL))
        || search_words(coalesce(left(CASE WHEN prompt.id IS NOT NULL THEN prompt.text ELSE (
            SELECT string_agg(part ->> 'text', ' ')
            FROM jsonb_array_elements(body.request -> 'messages' -> -1 -> 'parts') part WHERE part ->> 'type' = 'text'
        ) END, 20000), ''))
        || search_words(left(body.text, 60000))
    FROM executions run
    JOIN execution_bodies body ON body.id = run.id
    LEFT JOIN prompts prompt ON prompt.id = run.prompt_id
    LEFT JOIN prompt_sessions session ON session.id = run.session_id
    CROSS JOIN LATERAL (
        SELECT s.id FROM search_slices s
        WHERE s.organization_id = run.organization_id AND s.starts_at <= run.created_at
        ORDER BY s.starts_at DESC LIMIT 1
    ) AS slice
    WHERE run.id = ANY (runs)
    ON CONFLICT (id) DO UPDATE
        SET words = excluded.words, slice_id = excluded.slice_id, session_id = excluded.session_id;

    -- The newest slice is counted now and then, as often as if each run had come alone.
    INSERT INTO search_slices (id, created_at, organization_id, starts_at)
    SELECT gen_random_uuid(), now(), newest.organization_id, clock_timestamp() + interval '1 minute'
    FROM (
        SELECT e.organization_id, max(s.starts_at) AS starts_at, count(DISTINCT e.id) AS runs
        FROM executions e JOIN search_slices s ON s.organization_id = e.organization_id
        WHERE e.id = ANY (runs) GROUP BY e.organization_id
    ) AS newest
    JOIN search_slices slice ON slice.organization_id = newest.organization_id AND slice.starts_at = newest.starts_at
    WHERE random() < newest.runs * 0.0156 AND slice.starts_at <= clock_timestamp()
        AND (SELECT count(*) FROM search_documents d WHERE d.slice_id = slice.id) >= 2048
    ON CONFLICT DO NOTHING;
EXCEPTION WHEN OTHERS THEN
    IF cardinality(runs) = 1 THEN
        RAISE WARNING 'run % is not in the search index: %', runs[1], SQLERRM;
        RETURN;
    END IF;
    FOREACH one IN ARRAY runs LOOP
        PERFORM search_index_all(ARRAY[one]);
    END LOOP;
END $$
"""
INDEX = """
CREATE OR REPLACE FUNCTION search_index(run_id uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM search_index_all(ARRAY[run_id]);
END $$
"""
# What a person asked in the playground is found at once, as before.
TRIGGER = """
CREATE OR REPLACE FUNCTION search_index_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.origin IN ('gateway', 'batch', 'judge') THEN
        INSERT INTO search_queue (execution_id) VALUES (NEW.id);
    ELSE
        PERFORM search_index(NEW.id);
    END IF;
    RETURN NULL;
END $$
"""
AT_ONCE = """
CREATE OR REPLACE FUNCTION search_index_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM search_index(NEW.id);
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "search_queue",
        sa.Column("id", sa.BigInteger(), nullable=False, autoincrement=True),
        sa.Column("execution_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_queue")),
    )
    op.execute(INDEX_ALL)
    op.execute(INDEX)
    op.execute(TRIGGER)


def downgrade() -> None:
    op.execute("SELECT search_index_all(array_agg(execution_id)) FROM search_queue HAVING count(*) > 0")
    op.execute(AT_ONCE)
    before = op.get_context().script.get_revision("finding").module
    op.execute(before.DOCUMENT.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    op.execute("DROP FUNCTION search_index_all")
    op.drop_table("search_queue")
