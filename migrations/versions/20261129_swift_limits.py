"""a limit that everyone shares is locked for its last statement only, and a hold that is refused undoes itself"""

from alembic import op

revision = "swiftlimits"
down_revision = "hubversions"
branch_labels = None
depends_on = None

# As in 0003, with what nobody else waits for first, so that periods are locked for a moment: the commit comes in the same
# message (dataelan_web.quota.holds). They are locked in one order everywhere, by budget and start; when a hold ends, one
# alone is locked by the statement that changes it. FOR NO KEY UPDATE: a further hold's foreign key is no reason to wait.
# Every statement of a function sees what was committed before it began, so what is checked is what was locked.

HOLD = """
CREATE FUNCTION quota_hold(
    reservation uuid, attempt uuid, execution uuid, usd bigint, most_tokens bigint, stands interval,
    budget_ids uuid[], starts timestamptz[], ends timestamptz[], period_ids uuid[], new_ids uuid[],
    amounts bigint[], hold_ids uuid[]
) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
-- Hold each of `amounts` against its budget's period, or nothing: where a budget refuses, it fails with DL001, whose
-- detail says [[budget, what it allows in all, what is spent and held of it], …]; its caller has a savepoint. A period
-- without an id begins now, or another call has just begun it.
DECLARE
    refusing jsonb;
    commits text;
BEGIN
    commits := set_config('synchronous_commit', 'off', true);
    INSERT INTO reservations (id, created_at, attempt_id, execution_id, state, amount, tokens, expires_at)
    VALUES (reservation, now(), attempt, execution, 'held', usd, most_tokens, now() + stands);

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

    PERFORM FROM budget_periods p WHERE p.id = ANY (period_ids) ORDER BY p.budget_id, p.starts_at FOR NO KEY UPDATE;
    SELECT jsonb_agg(jsonb_build_array(b.id, b."limit" + more.granted, p.spent + p.reserved))
    INTO refusing
    FROM unnest(period_ids, amounts) AS n (period_id, amount)
    JOIN budget_periods p ON p.id = n.period_id
    JOIN budgets b ON b.id = p.budget_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(i.granted), 0)::bigint AS granted
        FROM budget_increases i
        WHERE i.budget_id = b.id AND i.answer = 'approved' AND (i.expires_at IS NULL OR i.expires_at > now())
    ) AS more
    WHERE b.is_hard AND p.spent + p.reserved + n.amount > b."limit" + more.granted;
    IF refusing IS NOT NULL THEN
        RAISE EXCEPTION 'more than a limit has left' USING ERRCODE = 'DL001', DETAIL = refusing::text;
    END IF;

    UPDATE budget_periods p SET reserved = p.reserved + n.amount
    FROM unnest(period_ids, amounts) AS n (period_id, amount)
    WHERE p.id = n.period_id;
    INSERT INTO holds (id, created_at, reservation_id, period_id, amount)
    SELECT n.id, now(), reservation, n.period_id, n.amount
    FROM unnest(hold_ids, period_ids, amounts) AS n (id, period_id, amount)
    JOIN budget_periods p ON p.id = n.period_id;  -- a limit that was just deleted counts nothing any more
END $$
"""

SETTLE = """
CREATE OR REPLACE FUNCTION quota_settle(
    line uuid, organization uuid, attempt uuid, price uuid, payer text, usd bigint, used_tokens bigint, remark text
) RETURNS boolean
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
-- End what is held for an attempt with what it used, and write the ledger's line; the first such line counts and no
-- further one, whenever it comes. True: a hard limit was charged with more than was held.
DECLARE
    held reservations%ROWTYPE;
    periods bigint := 0;
    is_over boolean := false;
    is_counted boolean := false;
    is_written boolean := false;
    commits text;
BEGIN
    commits := set_config('synchronous_commit', 'off', true);
    SELECT * INTO held FROM reservations r WHERE r.attempt_id = attempt FOR UPDATE;
    IF FOUND THEN
        SELECT count(*), coalesce(bool_or(b.unit <> 'usd'), false), coalesce(bool_or(b.is_hard AND h.amount <
                CASE b.unit WHEN 'usd' THEN usd WHEN 'tokens' THEN used_tokens ELSE 1 END), false)
        INTO periods, is_counted, is_over
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
        UPDATE reservations r SET state = 'settled' WHERE r.id = held.id;
        IF periods > 1 THEN
            PERFORM FROM budget_periods p
            WHERE p.id IN (SELECT h.period_id FROM holds h WHERE h.reservation_id = held.id)
            ORDER BY p.budget_id, p.starts_at FOR NO KEY UPDATE;
        END IF;
        UPDATE budget_periods p SET
            reserved = p.reserved - CASE held.state WHEN 'held' THEN h.amount ELSE 0 END,
            spent = p.spent + CASE WHEN NOT is_written THEN 0
                    ELSE CASE b.unit WHEN 'usd' THEN usd WHEN 'tokens' THEN used_tokens ELSE 1 END END
        FROM holds h, budgets b
        WHERE h.reservation_id = held.id AND p.id = h.period_id AND b.id = p.budget_id;
    END IF;
    RETURN is_over AND is_written;
END $$
"""


def upgrade() -> None:
    op.execute("DROP FUNCTION quota_hold")
    op.execute(HOLD)
    op.execute(SETTLE)
    # Room on its page for a row that changes all the time.
    op.execute("ALTER TABLE budget_periods SET (fillfactor = 50)")


def downgrade() -> None:
    before = op.get_context().script.get_revision("0003").module
    op.execute("ALTER TABLE budget_periods RESET (fillfactor)")
    for name, statement in (("quota_settle", before.SETTLE), ("quota_hold", before.HOLD)):
        op.execute(f"DROP FUNCTION {name}")
        op.execute(statement)
