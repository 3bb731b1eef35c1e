"""more of a rate is asked for and granted as more of a budget is, and counts while it lasts"""

import sqlalchemy as sa
from alembic import op

revision = "rates"
down_revision = "once"
branch_labels = None
depends_on = None

# As it was made by the migration limits, but for the rates, to which what more is granted of them is added.
LIMITS = """
CREATE OR REPLACE FUNCTION quota_limits(organization uuid, subjects uuid[], operators_units text[])
RETURNS TABLE (
    now timestamptz, time_zone varchar, rates jsonb, id uuid, organization_id uuid, scope varchar, subject_id uuid,
    "window" varchar, unit varchar, is_hard boolean, "limit" bigint, increased bigint, period_id uuid,
    starts_at timestamptz, ends_at timestamptz, spent bigint, reserved bigint
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
-- Every budget that counts these subjects, with its latest window, in the order in which all are locked; beside each
-- the clock, the organization's time zone, and the rates. One row at least: without a budget, of the latter only.
BEGIN
    RETURN QUERY
        SELECT now(), o.time_zone, (
                SELECT jsonb_agg(jsonb_build_array({rates}
                WHERE r.subject_id = ANY (subjects)
                  AND (r.organization_id = organization OR r.organization_id IS NULL)
            ), b.id, b.organization_id, b.scope, b.subject_id, b."window", b.unit, b.is_hard, b."limit", (
                SELECT coalesce(sum(i.granted), 0)::bigint
                FROM budget_increases i
                WHERE i.budget_id = b.id AND i.answer = 'approved' AND (i.expires_at IS NULL OR i.expires_at > now())
            ), p.id, p.starts_at, p.ends_at, p.spent, p.reserved
        FROM organizations o
        LEFT JOIN budgets b ON b.subject_id = ANY (subjects)
            AND (b.organization_id = organization OR (b.organization_id IS NULL AND b.unit = ANY (operators_units)))
        LEFT JOIN LATERAL (
            SELECT * FROM budget_periods p
            WHERE p.budget_id = b.id AND p.starts_at <= now()
            ORDER BY p.starts_at DESC
            LIMIT 1
        ) AS p ON true
        WHERE o.id = organization
        ORDER BY b.id;
END $$
"""
BARE = """
                    r.id, r.organization_id, r.scope, r.requests_per_minute, r.tokens_per_minute, r.parallel))
                FROM rate_limits r"""
RAISED = """
                    r.id, r.organization_id, r.scope, r.requests_per_minute + more.requests,
                    r.tokens_per_minute + more.tokens, r.parallel + more.parallel))
                FROM rate_limits r
                CROSS JOIN LATERAL (
                    SELECT coalesce(sum(i.granted) FILTER (WHERE i.pace = 'requests'), 0)::bigint AS requests,
                           coalesce(sum(i.granted) FILTER (WHERE i.pace = 'tokens'), 0)::bigint AS tokens,
                           coalesce(sum(i.granted) FILTER (WHERE i.pace = 'parallel'), 0)::bigint AS parallel
                    FROM budget_increases i
                    WHERE i.rate_id = r.id AND i.answer = 'approved' AND (i.expires_at IS NULL OR i.expires_at > now())
                ) AS more"""


def upgrade() -> None:
    op.alter_column("budget_increases", "budget_id", nullable=True)
    op.add_column("budget_increases", sa.Column("rate_id", sa.Uuid(), nullable=True))
    paces = sa.Enum("requests", "tokens", "parallel", name="pace", native_enum=False, create_constraint=True, length=20)
    op.add_column("budget_increases", sa.Column("pace", paces, nullable=True))
    op.create_foreign_key(
        op.f("fk_budget_increases_rate_id"),
        "budget_increases",
        "rate_limits",
        ["rate_id"],
        ["id"],
        ondelete="CASCADE",
    )
    op.create_check_constraint(
        op.f("ck_budget_increases_is_of_one_limit"), "budget_increases", "num_nonnulls(budget_id, rate_id) = 1"
    )
    op.create_check_constraint(
        op.f("ck_budget_increases_a_rate_has_a_pace"), "budget_increases", "(rate_id IS NULL) = (pace IS NULL)"
    )
    op.create_index(
        "ix_budget_increases_rate_id_expires_at",
        "budget_increases",
        ["rate_id", "expires_at"],
        postgresql_where=sa.text("rate_id IS NOT NULL"),
    )
    op.execute(LIMITS.format(rates=RAISED))


def downgrade() -> None:
    op.execute(LIMITS.format(rates=BARE))
    op.execute("DELETE FROM budget_increases WHERE budget_id IS NULL")
    op.drop_index("ix_budget_increases_rate_id_expires_at", table_name="budget_increases")
    op.drop_constraint(op.f("ck_budget_increases_a_rate_has_a_pace"), "budget_increases")
    op.drop_constraint(op.f("ck_budget_increases_is_of_one_limit"), "budget_increases")
    op.drop_constraint(op.f("fk_budget_increases_rate_id"), "budget_increases", type_="foreignkey")
    op.drop_column("budget_increases", "pace")
    op.drop_column("budget_increases", "rate_id")
    op.alter_column("budget_increases", "budget_id", nullable=False)
