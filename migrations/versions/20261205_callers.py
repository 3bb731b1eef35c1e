"""who calls the gateway is told by a function, with what says whether it is still as it was"""

from alembic import op

revision = "callers"
down_revision = "left"
branch_labels = None
depends_on = None

CALLER = """
CREATE FUNCTION gateway_caller(hash text) RETURNS TABLE (token uuid, stamp text, mode text, hub bigint)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
-- The token whose hash this is, or was until a moment ago: as long as whoever made it may still run prompts in its
-- project. A stamp that is another with every change of its row, its project's or its organization's; in which mode
-- Dataelan is; how often its hub, or everyone's, was changed.
BEGIN
    RETURN QUERY
    SELECT t.id, concat_ws(' ', t.xmin, p.xmin, o.xmin), (SELECT m.mode::text FROM platform_modes m LIMIT 1),
        (SELECT coalesce(sum(v.version), 0)::bigint FROM hub_versions v
         WHERE v.hub IN (o.id, '00000000-0000-0000-0000-000000000000'))
    FROM gateway_tokens t
    JOIN projects p ON p.id = t.project_id AND p.deleted_at IS NULL
    JOIN organizations o ON o.id = p.organization_id AND o.deleted_at IS NULL
    WHERE (t.token_hash = hash OR t.previous_hash = hash AND t.previous_until > now())
    AND CASE WHEN t.service_account_id IS NULL THEN
        EXISTS (SELECT FROM users u WHERE u.id = t.created_by AND u.disabled_at IS NULL AND u.deleted_at IS NULL)
        AND (
            EXISTS (SELECT FROM memberships m
                    WHERE m.organization_id = o.id AND m.user_id = t.created_by AND m.role <> 'VIEWER')
            OR EXISTS (SELECT FROM collaborators c
                       WHERE c.project_id = p.id AND c.user_id = t.created_by AND c.role = 'EDITOR')
        )
    ELSE
        EXISTS (SELECT FROM service_accounts s WHERE s.id = t.service_account_id AND s.disabled_at IS NULL)
    END;
END $$
"""


def upgrade() -> None:
    op.execute(CALLER)


def downgrade() -> None:
    op.execute("DROP FUNCTION gateway_caller")
