"""trash, archive, tags, stars, forks, prompts that wait their turn, and the index of search"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "finding"
down_revision = "templates"
branch_labels = None
depends_on = None

# Accents are folded where PostgreSQL has `unaccent` (a trusted extension that comes with it); else they tell apart.
CONFIGURATION = """
CREATE TEXT SEARCH CONFIGURATION dataelan (COPY = pg_catalog.simple);
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS unaccent;
    ALTER TEXT SEARCH CONFIGURATION dataelan
        ALTER MAPPING FOR word, numword, hword, numhword, hword_part, hword_numpart WITH unaccent, simple;
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'search tells accents apart: %', SQLERRM;
END $$;
"""

# Punctuation becomes space, so that code and addresses are found by their parts; Chinese and Japanese, which have no
# spaces, are indexed sign by sign. dataelan_web/search/words.py does the same to what is searched for.
WORDS = r"""
CREATE FUNCTION search_words(said text) RETURNS tsvector LANGUAGE plpgsql STABLE AS $$
BEGIN
    said := translate(said, $p$!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~$p$, repeat(' ', 32));
    IF said ~ '[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]' THEN
        said := regexp_replace(said, '([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])', ' \1 ', 'g');
    END IF;
    RETURN to_tsvector('dataelan', said);
END $$;
"""

# A search never loses an answer: whatever goes wrong here is told to the log, and the run is recorded all the same.
DOCUMENT = r"""
CREATE FUNCTION search_index(run_id uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    run executions%ROWTYPE;
    asked text;
    said text;
    home uuid;
    slice search_slices%ROWTYPE;
    facets text[];
BEGIN
    SELECT * INTO run FROM executions WHERE id = run_id;
    SELECT left(body.text, 60000), coalesce(session.project_id, run.project_id),
        left(CASE WHEN prompt.id IS NOT NULL THEN prompt.text ELSE (
            SELECT string_agg(part ->> 'text', ' ')
            FROM jsonb_array_elements(body.request -> 'messages' -> -1 -> 'parts') part WHERE part ->> 'type' = 'text'
        ) END, 20000)
    INTO said, home, asked
    FROM execution_bodies body
    LEFT JOIN prompts prompt ON prompt.id = run.prompt_id
    LEFT JOIN prompt_sessions session ON session.id = run.session_id
    WHERE body.id = run_id;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    SELECT * INTO slice FROM search_slices
    WHERE organization_id = run.organization_id AND starts_at <= run.created_at ORDER BY starts_at DESC LIMIT 1;
    IF NOT FOUND THEN
        INSERT INTO search_slices (id, created_at, organization_id, starts_at)
        VALUES (gen_random_uuid(), now(), run.organization_id, '1000-01-01 00:00:00+00') ON CONFLICT DO NOTHING;
        SELECT * INTO slice FROM search_slices
        WHERE organization_id = run.organization_id AND starts_at <= run.created_at ORDER BY starts_at DESC LIMIT 1;
    END IF;

    facets := ARRAY[
        U&'\0001s' || replace(slice.id::text, '-', ''),
        U&'\0001p' || replace(home::text, '-', ''),
        U&'\0001t' || run.model_type
    ];
    IF run.user_id IS NOT NULL THEN
        facets := array_append(facets, U&'\0001a' || replace(run.user_id::text, '-', ''));
    END IF;
    IF run.state IN ('failed', 'interrupted') THEN
        facets := array_append(facets, U&'\0001e');
    END IF;
    INSERT INTO search_documents (id, created_at, slice_id, session_id, words)
    VALUES (run_id, run.created_at, slice.id, run.session_id,
        array_to_tsvector(facets) || search_words(coalesce(asked, '')) || search_words(coalesce(said, '')))
    ON CONFLICT (id) DO UPDATE
        SET words = excluded.words, slice_id = excluded.slice_id, session_id = excluded.session_id;

    -- The newest slice is counted now and then. The next begins in a minute, when whatever ends now is in this one.
    IF random() < 0.0156 AND (SELECT count(*) FROM search_documents WHERE slice_id = slice.id) >= 2048
        AND NOT EXISTS (SELECT FROM search_slices
            WHERE organization_id = run.organization_id AND starts_at > slice.starts_at) THEN
        INSERT INTO search_slices (id, created_at, organization_id, starts_at)
        VALUES (gen_random_uuid(), now(), run.organization_id, clock_timestamp() + interval '1 minute')
        ON CONFLICT DO NOTHING;
    END IF;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'run % is not in the search index: %', run_id, SQLERRM;
END $$;
"""

# Deferred to the commit: a run's state is written before its text.
TRIGGERS = """
CREATE FUNCTION search_index_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM search_index(NEW.id);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER search_run_ends AFTER UPDATE OF state ON executions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.state IN ('queued', 'running') AND NEW.state NOT IN ('queued', 'running'))
    EXECUTE FUNCTION search_index_run();
CREATE CONSTRAINT TRIGGER search_run_is_kept AFTER INSERT ON executions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.state NOT IN ('queued', 'running'))
    EXECUTE FUNCTION search_index_run();
"""

BACKFILL = """
INSERT INTO search_slices (id, created_at, organization_id, starts_at)
SELECT gen_random_uuid(), now(), organization_id,
    CASE WHEN place = 1 THEN timestamptz '1000-01-01 00:00:00+00' ELSE created_at END
FROM (SELECT organization_id, created_at, row_number() OVER (PARTITION BY organization_id ORDER BY created_at) AS place
    FROM executions WHERE state NOT IN ('queued', 'running')) ended
WHERE place % 2048 = 1
ON CONFLICT DO NOTHING;
SELECT count(search_index(id)) FROM executions WHERE state NOT IN ('queued', 'running');
"""


def upgrade() -> None:
    op.create_table(
        "leftovers",
        sa.Column("storage_key", sa.String(length=200), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leftovers")),
        sa.UniqueConstraint("storage_key", name=op.f("uq_leftovers_storage_key")),
    )
    op.create_table(
        "search_slices",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_search_slices_organization_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_slices")),
        sa.UniqueConstraint("organization_id", "starts_at", name=op.f("uq_search_slices_organization_id_starts_at")),
    )
    op.create_table(
        "stars",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["prompt_sessions.id"], name=op.f("fk_stars_session_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_stars_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stars")),
        sa.UniqueConstraint("user_id", "session_id", name=op.f("uq_stars_user_id_session_id")),
    )
    op.create_index(op.f("ix_stars_session_id"), "stars", ["session_id"], unique=False)
    op.create_table(
        "copied_answers",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("prompt_id", sa.Uuid(), nullable=False),
        sa.Column("execution_id", sa.Uuid(), nullable=True),
        sa.Column("asked", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("tool_calls", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("model_name", sa.String(length=200), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.id"], name=op.f("fk_copied_answers_execution_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["prompt_id"], ["prompts.id"], name=op.f("fk_copied_answers_prompt_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["prompt_sessions.id"], name=op.f("fk_copied_answers_session_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_copied_answers")),
        sa.UniqueConstraint("prompt_id", name=op.f("uq_copied_answers_prompt_id")),
    )
    op.create_index(op.f("ix_copied_answers_execution_id"), "copied_answers", ["execution_id"], unique=False)
    op.create_index(op.f("ix_copied_answers_session_id"), "copied_answers", ["session_id"], unique=False)
    op.create_table(
        "search_documents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slice_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("words", postgresql.TSVECTOR(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["id"], ["executions.id"], name=op.f("fk_search_documents_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["session_id"], ["prompt_sessions.id"], name=op.f("fk_search_documents_session_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["slice_id"], ["search_slices.id"], name=op.f("fk_search_documents_slice_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_documents")),
    )
    op.create_index(op.f("ix_search_documents_session_id"), "search_documents", ["session_id"], unique=False)
    op.create_index(op.f("ix_search_documents_slice_id"), "search_documents", ["slice_id"], unique=False)
    op.create_index(
        "ix_search_documents_words",
        "search_documents",
        ["words"],
        unique=False,
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.add_column("assets", sa.Column("copied_answer_id", sa.Uuid(), nullable=True))
    op.add_column("assets", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("assets", sa.Column("deleted_by", sa.Uuid(), nullable=True))
    op.create_index(op.f("ix_assets_copied_answer_id"), "assets", ["copied_answer_id"], unique=False)
    op.create_index(
        "ix_assets_deleted_at",
        "assets",
        ["deleted_at"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_index("ix_assets_storage_key", "assets", ["storage_key"], unique=False)
    op.create_foreign_key(op.f("fk_assets_deleted_by"), "assets", "users", ["deleted_by"], ["id"], ondelete="SET NULL")
    op.create_foreign_key(
        op.f("fk_assets_copied_answer_id"), "assets", "copied_answers", ["copied_answer_id"], ["id"], ondelete="CASCADE"
    )
    op.add_column("executions", sa.Column("waits_for_id", sa.Uuid(), nullable=True))
    op.add_column("executions", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("executions", sa.Column("deleted_by", sa.Uuid(), nullable=True))
    op.create_index(
        "ix_executions_deleted_at",
        "executions",
        ["deleted_at"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_index(
        "ix_executions_waits_for_id",
        "executions",
        ["waits_for_id"],
        unique=False,
        postgresql_where=sa.text("waits_for_id IS NOT NULL"),
    )
    op.create_foreign_key(
        op.f("fk_executions_waits_for_id"), "executions", "executions", ["waits_for_id"], ["id"], ondelete="SET NULL"
    )
    op.create_foreign_key(
        op.f("fk_executions_deleted_by"), "executions", "users", ["deleted_by"], ["id"], ondelete="SET NULL"
    )
    op.add_column("projects", sa.Column("purged_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("projects", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("projects", sa.Column("deleted_by", sa.Uuid(), nullable=True))
    op.create_index(
        "ix_projects_deleted_at",
        "projects",
        ["deleted_at"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_foreign_key(
        op.f("fk_projects_deleted_by"), "projects", "users", ["deleted_by"], ["id"], ondelete="SET NULL"
    )
    op.add_column("prompt_sessions", sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "prompt_sessions",
        sa.Column("tags", postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default="[]"),
    )
    op.add_column("prompt_sessions", sa.Column("forked_from_id", sa.Uuid(), nullable=True))
    op.add_column("prompt_sessions", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("prompt_sessions", sa.Column("deleted_by", sa.Uuid(), nullable=True))
    op.create_index(
        "ix_prompt_sessions_deleted_at",
        "prompt_sessions",
        ["deleted_at"],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_foreign_key(
        op.f("fk_prompt_sessions_deleted_by"), "prompt_sessions", "users", ["deleted_by"], ["id"], ondelete="SET NULL"
    )
    op.create_foreign_key(
        op.f("fk_prompt_sessions_forked_from_id"),
        "prompt_sessions",
        "prompt_sessions",
        ["forked_from_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.alter_column("prompt_sessions", "tags", server_default=None)
    for statements in (CONFIGURATION, WORDS, DOCUMENT, TRIGGERS, BACKFILL):
        op.execute(sa.text(statements.replace(":", "\\:")))


def downgrade() -> None:
    op.execute("DROP TRIGGER search_run_is_kept ON executions")
    op.execute("DROP TRIGGER search_run_ends ON executions")
    op.execute("DROP FUNCTION search_index_run()")
    op.execute("DROP FUNCTION search_index(uuid)")
    op.execute("DROP FUNCTION search_words(text)")
    op.execute("DROP TEXT SEARCH CONFIGURATION dataelan")

    op.drop_constraint(op.f("fk_prompt_sessions_forked_from_id"), "prompt_sessions", type_="foreignkey")
    op.drop_constraint(op.f("fk_prompt_sessions_deleted_by"), "prompt_sessions", type_="foreignkey")
    op.drop_index(
        "ix_prompt_sessions_deleted_at",
        table_name="prompt_sessions",
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.drop_column("prompt_sessions", "deleted_by")
    op.drop_column("prompt_sessions", "deleted_at")
    op.drop_column("prompt_sessions", "forked_from_id")
    op.drop_column("prompt_sessions", "tags")
    op.drop_column("prompt_sessions", "archived_at")
    op.drop_constraint(op.f("fk_projects_deleted_by"), "projects", type_="foreignkey")
    op.drop_index("ix_projects_deleted_at", table_name="projects", postgresql_where=sa.text("deleted_at IS NOT NULL"))
    op.drop_column("projects", "deleted_by")
    op.drop_column("projects", "deleted_at")
    op.drop_column("projects", "purged_at")
    op.drop_constraint(op.f("fk_executions_deleted_by"), "executions", type_="foreignkey")
    op.drop_constraint(op.f("fk_executions_waits_for_id"), "executions", type_="foreignkey")
    op.drop_index(
        "ix_executions_waits_for_id", table_name="executions", postgresql_where=sa.text("waits_for_id IS NOT NULL")
    )
    op.drop_index(
        "ix_executions_deleted_at", table_name="executions", postgresql_where=sa.text("deleted_at IS NOT NULL")
    )
    op.drop_column("executions", "deleted_by")
    op.drop_column("executions", "deleted_at")
    op.drop_column("executions", "waits_for_id")
    op.drop_constraint(op.f("fk_assets_copied_answer_id"), "assets", type_="foreignkey")
    op.drop_constraint(op.f("fk_assets_deleted_by"), "assets", type_="foreignkey")
    op.drop_index("ix_assets_storage_key", table_name="assets")
    op.drop_index("ix_assets_deleted_at", table_name="assets", postgresql_where=sa.text("deleted_at IS NOT NULL"))
    op.drop_index(op.f("ix_assets_copied_answer_id"), table_name="assets")
    op.drop_column("assets", "deleted_by")
    op.drop_column("assets", "deleted_at")
    op.drop_column("assets", "copied_answer_id")
    op.drop_index(
        "ix_search_documents_words",
        table_name="search_documents",
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.drop_index(op.f("ix_search_documents_slice_id"), table_name="search_documents")
    op.drop_index(op.f("ix_search_documents_session_id"), table_name="search_documents")
    op.drop_table("search_documents")
    op.drop_index(op.f("ix_copied_answers_session_id"), table_name="copied_answers")
    op.drop_index(op.f("ix_copied_answers_execution_id"), table_name="copied_answers")
    op.drop_table("copied_answers")
    op.drop_index(op.f("ix_stars_session_id"), table_name="stars")
    op.drop_table("stars")
    op.drop_table("search_slices")
    op.drop_table("leftovers")
