"""a blind vote changes what rules go by, and so counts as a change of the hub"""

from alembic import op

revision = "votes"
down_revision = "rollups"
branch_labels = None
depends_on = None

OF_A_VOTE = """
    IF TG_TABLE_NAME = 'comparisons' THEN
        SELECT organization_id INTO owner FROM projects
        WHERE id = (SELECT project_id FROM prompt_sessions WHERE id = (changed ->> 'session_id')::uuid);
    END IF;"""
CHANGED = """
CREATE OR REPLACE FUNCTION hub_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed jsonb := to_jsonb(coalesce(NEW, OLD));
    owner uuid := changed ->> 'organization_id';
BEGIN
    IF TG_TABLE_NAME = 'routing_rule_models' THEN
        SELECT organization_id INTO owner FROM routing_rules WHERE id = (changed ->> 'rule_id')::uuid;
    END IF;{of_a_vote}
    INSERT INTO hub_versions AS mine (hub, part, version, transaction)
    VALUES (coalesce(owner, '00000000-0000-0000-0000-000000000000'), pg_backend_pid() % 16, 1, txid_current())
    ON CONFLICT (hub, part) DO UPDATE SET version = mine.version + 1, transaction = excluded.transaction
    WHERE mine.transaction <> excluded.transaction;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.execute(CHANGED.format(of_a_vote=OF_A_VOTE))
    op.execute(
        "CREATE TRIGGER comparisons_are_counted AFTER UPDATE OF blind_choice_id ON comparisons FOR EACH ROW"
        " WHEN (NEW.blind_choice_id IS DISTINCT FROM OLD.blind_choice_id) EXECUTE FUNCTION hub_changed()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER comparisons_are_counted ON comparisons")
    op.execute(CHANGED.format(of_a_vote=""))
