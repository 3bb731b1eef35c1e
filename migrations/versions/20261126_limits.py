"""limits in money, tokens and requests; increases, rates, notices and their deliveries"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ADDED = (
    ("budget_periods", "opening"),
    ("budget_periods", "alerted"),
    ("budgets", "unit"),
    ("budgets", "alerts"),
    ("ledger_entries", "tokens"),
    ("reservations", "tokens"),
)

APPEND_ONLY = """
CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: no % of ledger_entries; a mistake is mended by a further line', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$
"""
TRIGGERS = (
    """CREATE TRIGGER ledger_lines_stay BEFORE UPDATE OR DELETE ON ledger_entries
       FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only()""",
    """CREATE TRIGGER ledger_stays BEFORE TRUNCATE ON ledger_entries
       FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only()""",
)

# What a call reads and writes of its limits is four functions, for one round trip each, whose plans PostgreSQL keeps:
# always those by an index, since all rows are found by their keys, however few there were when the plan was made.
# Periods are locked in one order everywhere, by budget and start: so no two calls can wait for each other.
# Every statement of a function sees what was committed before it began, so what is checked is what was locked.
# The commit that follows does not wait for the disk, so the locks end with it at once; dataelan_web.quota.commit waits.

LIMITS = """
CREATE FUNCTION quota_limits(organization uuid, subjects uuid[], operators_units text[])
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
                SELECT jsonb_agg(jsonb_build_array(
                    r.id, r.organization_id, r.scope, r.requests_per_minute, r.tokens_per_minute, r.parallel))
                FROM rate_limits r
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

HOLD = """
CREATE FUNCTION quota_hold(
    reservation uuid, attempt uuid, execution uuid, usd bigint, most_tokens bigint, stands interval,
    budget_ids uuid[], starts timestamptz[], ends timestamptz[], period_ids uuid[], new_ids uuid[],
    amounts bigint[], hold_ids uuid[]
) RETURNS TABLE (refusing uuid, most bigint, used bigint)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
-- Hold each of `amounts` against its budget's period, or nothing: then the budgets that refuse, what each allows in
-- all, and what is spent and held of it. A period without an id begins now, or another call has just begun it.
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    IF array_position(period_ids, NULL) IS NOT NULL THEN
        INSERT INTO budget_periods (id, created_at, budget_id, starts_at, ends_at, opening, spent, reserved, alerted)
        SELECT n.id, now(), n.budget_id, n.starts_at, n.ends_at, 0, 0, 0, 0
        FROM unnest(new_ids, budget_ids, starts, ends, period_ids) AS n (id, budget_id, starts_at, ends_at, period_id)
        JOIN budgets b ON b.id = n.budget_id
        WHERE n.period_id IS NULL
        ORDER BY n.budget_id
        ON CONFLICT (budget_id, starts_at) DO NOTHING;
        period_ids := ARRAY(
            SELECT p.id
            FROM unnest(budget_ids, starts) WITH ORDINALITY AS n (budget_id, starts_at, place)
            LEFT JOIN budget_periods p ON p.budget_id = n.budget_id AND p.starts_at = n.starts_at
            ORDER BY n.place
        );
    END IF;

    PERFORM FROM budget_periods p WHERE p.id = ANY (period_ids) ORDER BY p.budget_id, p.starts_at FOR UPDATE;

    RETURN QUERY
        SELECT b.id, b."limit" + more.granted, p.spent + p.reserved
        FROM unnest(period_ids, amounts) AS n (period_id, amount)
        JOIN budget_periods p ON p.id = n.period_id
        JOIN budgets b ON b.id = p.budget_id
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(i.granted), 0)::bigint AS granted
            FROM budget_increases i
            WHERE i.budget_id = b.id AND i.answer = 'approved' AND (i.expires_at IS NULL OR i.expires_at > now())
        ) AS more
        WHERE b.is_hard AND p.spent + p.reserved + n.amount > b."limit" + more.granted;
    IF FOUND THEN
        RETURN;
    END IF;

    INSERT INTO reservations (id, created_at, attempt_id, execution_id, state, amount, tokens, expires_at)
    VALUES (reservation, now(), attempt, execution, 'held', usd, most_tokens, now() + stands);
    INSERT INTO holds (id, created_at, reservation_id, period_id, amount)
    SELECT n.id, now(), reservation, n.period_id, n.amount
    FROM unnest(hold_ids, period_ids, amounts) AS n (id, period_id, amount)
    JOIN budget_periods p ON p.id = n.period_id;  -- a limit that was just deleted counts nothing any more
    UPDATE budget_periods p SET reserved = p.reserved + n.amount
    FROM unnest(period_ids, amounts) AS n (period_id, amount)
    WHERE p.id = n.period_id;
END $$
"""

SETTLE = """
CREATE FUNCTION quota_settle(
    line uuid, organization uuid, attempt uuid, price uuid, payer text, usd bigint, used_tokens bigint, remark text
) RETURNS boolean
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
-- End what is held for an attempt with what it used, and write the ledger's line; the first such line counts and no
-- further one, whenever it comes. True: a hard limit was charged with more than was held.
DECLARE
    held reservations%ROWTYPE;
    is_over boolean := false;
    is_counted boolean := false;
    is_written boolean := false;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT * INTO held FROM reservations r WHERE r.attempt_id = attempt FOR UPDATE;
    IF FOUND THEN
        PERFORM FROM budget_periods p
        WHERE p.id IN (SELECT h.period_id FROM holds h WHERE h.reservation_id = held.id)
        ORDER BY p.budget_id, p.starts_at FOR UPDATE;
        SELECT coalesce(bool_or(b.unit <> 'usd'), false), coalesce(bool_or(b.is_hard AND h.amount <
                CASE b.unit WHEN 'usd' THEN usd WHEN 'tokens' THEN used_tokens ELSE 1 END), false)
        INTO is_counted, is_over
        FROM holds h JOIN budget_periods p ON p.id = h.period_id JOIN budgets b ON b.id = p.budget_id
        WHERE h.reservation_id = held.id;
    END IF;

    IF usd <> 0 OR is_counted THEN
        INSERT INTO ledger_entries
            (id, created_at, organization_id, attempt_id, price_id, kind, payer, amount, tokens, note)
        VALUES (line, now(), organization, attempt, price, 'charge', payer, usd, used_tokens,
                concat_ws(', ', nullif(remark, ''), CASE WHEN is_over THEN 'overrun' END))
        ON CONFLICT DO NOTHING;
        is_written := FOUND;
    END IF;

    IF is_written OR held.state = 'held' THEN
        UPDATE budget_periods p SET
            reserved = p.reserved - CASE held.state WHEN 'held' THEN h.amount ELSE 0 END,
            spent = p.spent + CASE WHEN NOT is_written THEN 0
                    ELSE CASE b.unit WHEN 'usd' THEN usd WHEN 'tokens' THEN used_tokens ELSE 1 END END
        FROM holds h, budgets b
        WHERE h.reservation_id = held.id AND p.id = h.period_id AND b.id = p.budget_id;
        UPDATE reservations r SET state = 'settled' WHERE r.id = held.id;
    END IF;
    RETURN is_over AND is_written;
END $$
"""

VOID = """
CREATE FUNCTION quota_void(attempt uuid) RETURNS void LANGUAGE plpgsql AS $$
-- Give back all that is held for an attempt.
DECLARE
    ended uuid;
BEGIN
    UPDATE reservations r SET state = 'voided' WHERE r.attempt_id = attempt AND r.state = 'held'
    RETURNING r.id INTO ended;
    IF FOUND THEN
        PERFORM FROM budget_periods p
        WHERE p.id IN (SELECT h.period_id FROM holds h WHERE h.reservation_id = ended)
        ORDER BY p.budget_id, p.starts_at FOR UPDATE;
        UPDATE budget_periods p SET reserved = p.reserved - h.amount
        FROM holds h WHERE h.reservation_id = ended AND p.id = h.period_id;
    END IF;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "notices",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=200), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_notices_organization_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_notices_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
        sa.UniqueConstraint("user_id", "key", name=op.f("uq_notices_user_id_key")),
    )
    op.create_index(op.f("ix_notices_organization_id"), "notices", ["organization_id"], unique=False)
    op.create_index(
        "ix_notices_unread", "notices", ["user_id"], unique=False, postgresql_where=sa.text("read_at IS NULL")
    )
    op.create_index("ix_notices_user_id_created_at", "notices", ["user_id", "created_at"], unique=False)
    op.create_table(
        "rate_limits",
        sa.Column("organization_id", sa.Uuid(), nullable=True),
        sa.Column(
            "scope",
            sa.Enum(
                "platform",
                "organization",
                "project",
                "member",
                "key",
                "token",
                "provider",
                "model",
                name="scope",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("requests_per_minute", sa.Integer(), nullable=True),
        sa.Column("tokens_per_minute", sa.BigInteger(), nullable=True),
        sa.Column("parallel", sa.Integer(), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("parallel > 0", name=op.f("ck_rate_limits_parallel_is_positive")),
        sa.CheckConstraint("requests_per_minute > 0", name=op.f("ck_rate_limits_requests_are_positive")),
        sa.CheckConstraint("tokens_per_minute > 0", name=op.f("ck_rate_limits_tokens_are_positive")),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name=op.f("fk_rate_limits_created_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_rate_limits_organization_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rate_limits")),
    )
    op.create_index("ix_rate_limits_subject_id", "rate_limits", ["subject_id"], unique=False)
    op.create_index(
        "uq_rate_limits_subject",
        "rate_limits",
        [sa.literal_column("coalesce(organization_id, '00000000-0000-0000-0000-000000000000')"), "scope", "subject_id"],
        unique=True,
    )
    op.create_table(
        "webhooks",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("ciphertext", sa.Text(), nullable=False),
        sa.Column("events", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_webhooks_created_by"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_webhooks_organization_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_index(op.f("ix_webhooks_organization_id"), "webhooks", ["organization_id"], unique=False)
    op.create_table(
        "budget_increases",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("budget_id", sa.Uuid(), nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Uuid(), nullable=True),
        sa.Column(
            "answer",
            sa.Enum(
                "asked",
                "approved",
                "declined",
                "withdrawn",
                name="answer",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("answer_note", sa.Text(), nullable=False),
        sa.Column("answered_by", sa.Uuid(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("granted", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("asked > 0", name=op.f("ck_budget_increases_asked_is_positive")),
        sa.CheckConstraint("granted > 0", name=op.f("ck_budget_increases_granted_is_positive")),
        sa.ForeignKeyConstraint(
            ["answered_by"], ["users.id"], name=op.f("fk_budget_increases_answered_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["asked_by"], ["users.id"], name=op.f("fk_budget_increases_asked_by"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["budget_id"], ["budgets.id"], name=op.f("fk_budget_increases_budget_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_budget_increases_organization_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budget_increases")),
    )
    op.create_index(
        "ix_budget_increases_budget_id_expires_at", "budget_increases", ["budget_id", "expires_at"], unique=False
    )
    op.create_index(op.f("ix_budget_increases_organization_id"), "budget_increases", ["organization_id"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("webhook_id", sa.Uuid(), nullable=True),
        sa.Column("address", sa.String(length=200), nullable=False),
        sa.Column("event", sa.String(length=200), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "waiting",
                "delivered",
                "failed",
                name="deliverystate",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_deliveries_organization_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_deliveries_webhook_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    op.create_index(
        "ix_deliveries_organization_id_created_at", "deliveries", ["organization_id", "created_at"], unique=False
    )
    op.create_index(
        "ix_deliveries_waiting", "deliveries", ["next_at"], unique=False, postgresql_where=sa.text("state = 'waiting'")
    )
    op.create_index(op.f("ix_deliveries_webhook_id"), "deliveries", ["webhook_id"], unique=False)
    op.add_column("budget_periods", sa.Column("opening", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("budget_periods", sa.Column("alerted", sa.Integer(), nullable=False, server_default="0"))
    op.add_column(
        "budgets",
        sa.Column(
            "unit",
            sa.Enum("usd", "tokens", "requests", name="unit", native_enum=False, create_constraint=True, length=20),
            nullable=False,
            server_default="usd",
        ),
    )
    op.add_column(
        "budgets",
        sa.Column("alerts", postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default="[50, 80, 100]"),
    )
    op.add_column("budgets", sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_constraint(op.f("uq_budgets_scope_subject_id_window"), "budgets", type_="unique")
    op.create_index(
        "uq_budgets_subject",
        "budgets",
        [
            sa.literal_column("coalesce(organization_id, '00000000-0000-0000-0000-000000000000')"),
            "scope",
            "subject_id",
            "window",
            "unit",
        ],
        unique=True,
    )
    op.add_column("executions", sa.Column("refused_by", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_executions_refused_by"), "executions", "budgets", ["refused_by"], ["id"], ondelete="SET NULL"
    )
    op.add_column("holds", sa.Column("amount", sa.BigInteger(), nullable=True))
    op.execute("UPDATE holds SET amount = r.amount FROM reservations r WHERE r.id = holds.reservation_id")
    op.alter_column("holds", "amount", nullable=False)
    op.add_column("ledger_entries", sa.Column("tokens", sa.BigInteger(), nullable=False, server_default="0"))
    op.drop_constraint(op.f("fk_ledger_entries_price_id"), "ledger_entries", type_="foreignkey")
    op.create_foreign_key(op.f("fk_ledger_entries_price_id"), "ledger_entries", "prices", ["price_id"], ["id"])
    op.add_column("ledger_entries", sa.Column("created_by", sa.Uuid(), nullable=True))
    op.create_index("ix_ledger_entries_attempt_id", "ledger_entries", ["attempt_id"], unique=False)
    op.add_column("reservations", sa.Column("tokens", sa.BigInteger(), nullable=False, server_default="0"))

    for table, column in ADDED:  # the models give their own
        op.alter_column(table, column, server_default=None)
    for statement in (APPEND_ONLY, *TRIGGERS, LIMITS, HOLD, SETTLE, VOID):
        op.execute(statement)


def downgrade() -> None:
    for name in ("quota_limits", "quota_hold", "quota_settle", "quota_void"):
        op.execute(f"DROP FUNCTION {name}")
    op.execute("DROP FUNCTION ledger_is_append_only CASCADE")  # with its triggers
    op.drop_column("reservations", "tokens")
    op.drop_index("ix_ledger_entries_attempt_id", table_name="ledger_entries")
    op.drop_column("ledger_entries", "created_by")
    op.drop_constraint(op.f("fk_ledger_entries_price_id"), "ledger_entries", type_="foreignkey")
    op.create_foreign_key(
        op.f("fk_ledger_entries_price_id"), "ledger_entries", "prices", ["price_id"], ["id"], ondelete="SET NULL"
    )
    op.drop_column("ledger_entries", "tokens")
    op.drop_column("holds", "amount")
    op.drop_constraint(op.f("fk_executions_refused_by"), "executions", type_="foreignkey")
    op.drop_column("executions", "refused_by")
    op.drop_index("uq_budgets_subject", table_name="budgets")
    op.execute("DELETE FROM budgets WHERE unit <> 'usd'")  # the older version counts money only
    op.create_unique_constraint(
        op.f("uq_budgets_scope_subject_id_window"), "budgets", ["scope", "subject_id", "window"]
    )
    op.drop_column("budgets", "updated_at")
    op.drop_column("budgets", "alerts")
    op.drop_column("budgets", "unit")
    op.drop_column("budget_periods", "alerted")
    op.drop_column("budget_periods", "opening")
    op.drop_index(op.f("ix_deliveries_webhook_id"), table_name="deliveries")
    op.drop_index("ix_deliveries_waiting", table_name="deliveries", postgresql_where=sa.text("state = 'waiting'"))
    op.drop_index("ix_deliveries_organization_id_created_at", table_name="deliveries")
    op.drop_table("deliveries")
    op.drop_index(op.f("ix_budget_increases_organization_id"), table_name="budget_increases")
    op.drop_index("ix_budget_increases_budget_id_expires_at", table_name="budget_increases")
    op.drop_table("budget_increases")
    op.drop_index(op.f("ix_webhooks_organization_id"), table_name="webhooks")
    op.drop_table("webhooks")
    op.drop_index("uq_rate_limits_subject", table_name="rate_limits")
    op.drop_index("ix_rate_limits_subject_id", table_name="rate_limits")
    op.drop_table("rate_limits")
    op.drop_index("ix_notices_user_id_created_at", table_name="notices")
    op.drop_index("ix_notices_unread", table_name="notices", postgresql_where=sa.text("read_at IS NULL"))
    op.drop_index(op.f("ix_notices_organization_id"), table_name="notices")
    op.drop_table("notices")
