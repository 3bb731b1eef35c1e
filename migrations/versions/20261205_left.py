"""what is left of the limits that counted a call is told by a function, which plans its query once a connection"""

from alembic import op

revision = "left"
down_revision = "passkeys"
branch_labels = None
depends_on = None

LEFT = """
CREATE FUNCTION quota_left(attempt uuid) RETURNS bigint
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
-- Nano-USD that are left of the hard limit that has least, of those which an attempt is or was held against; NULL: no
-- limit of money counted it.
BEGIN
    RETURN (
        SELECT min(greatest(b."limit" + more.granted - p.spent - p.reserved, 0))
        FROM reservations r
        JOIN holds h ON h.reservation_id = r.id
        JOIN budget_periods p ON p.id = h.period_id
        JOIN budgets b ON b.id = p.budget_id
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(i.granted), 0)::bigint AS granted
            FROM budget_increases i
            WHERE i.budget_id = b.id AND i.answer = 'approved' AND (i.expires_at IS NULL OR i.expires_at > now())
        ) AS more
        WHERE r.attempt_id = attempt AND b.unit = 'usd' AND b.is_hard
    );
END $$
"""


def upgrade() -> None:
    op.execute(LEFT)


def downgrade() -> None:
    op.execute("DROP FUNCTION quota_left")
