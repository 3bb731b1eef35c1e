"""who calls the gateway is found, and what they ask for goes on inside their organization: by the one function"""

from alembic import op

revision = "callers_inside"
down_revision = "all_undone"
branch_labels = None
depends_on = None

INSIDE = """
CREATE FUNCTION gateway_caller_inside(hash text) RETURNS TABLE (token uuid, stamp text, mode text, hub bigint)
LANGUAGE plpgsql AS $$
-- What gateway_caller says; and from now on, to the end of this transaction, only rows of the token's organization.
#variable_conflict use_variable
BEGIN
    SELECT c.token, c.stamp, c.mode, c.hub INTO token, stamp, mode, hub FROM gateway_caller(hash) c;
    IF token IS NOT NULL THEN
        PERFORM stay_inside(p.organization_id, t.created_by)
        FROM gateway_tokens t JOIN projects p ON p.id = t.project_id WHERE t.id = token;
        RETURN NEXT;
    END IF;
END $$
"""
THROUGH = "EXISTS (SELECT FROM executions above WHERE above.id = execution_bodies.id)"
"""As in second_net. A call's run and its words are written by one statement, in which neither sees the other yet. Words
are let in by their id: no run has two of them, and none is without."""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("ALTER POLICY stays_inside ON execution_bodies WITH CHECK (true)")
    op.execute(INSIDE)


def downgrade() -> None:
    op.execute("DROP FUNCTION gateway_caller_inside(text)")
    op.execute(f"ALTER POLICY stays_inside ON execution_bodies WITH CHECK ({THROUGH})")
