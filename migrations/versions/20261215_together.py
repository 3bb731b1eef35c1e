"""plain runs that begin or end at the same moment are written together, and who calls is looked up so"""

from alembic import op

revision = "together"
down_revision = "proven"
branch_labels = None
depends_on = None

# What run_begins and run_ends did ("at_once"), of any number of runs (executions/at_once.py). A statement costs PostgreSQL
# more than a row: it opens seventeen indexes, reads the checks of their table and locks them all anew. All of them are
# written or none. Whoever asked then asks alone, or goes the long way.
# Rows are found by their keys, whatever a plan took the tables' sizes for when they were new.
BEGIN = """
CREATE FUNCTION runs_begin(calls jsonb, holding jsonb, lease interval, stands interval) RETURNS timestamptz
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
-- Write runs with what they ask, and the call of each that is about to be made; and hold what that may use (see
-- quota_hold), each of `holding` against its budget's period. When they began. Where a budget refuses, it fails with
-- DL001. It is committed without waiting for the disk (see dataelan_web.quota.holds.commit): its caller waits after.
DECLARE
    begun timestamptz := clock_timestamp();
    commits text := set_config('synchronous_commit', 'off', true);
BEGIN
    WITH call AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(calls) AS c (
            id uuid, organization_id uuid, project_id uuid, user_id uuid, token_id uuid, origin text, model_type text,
            requested text, labels jsonb, lease_owner text, asked jsonb,
            attempt uuid, provider_id uuid, model_id uuid, api_key_id uuid, price_id uuid, model_name text,
            provider_name text, payer text,
            reservation uuid, usd bigint, tokens bigint
        )
    ), run AS (
        INSERT INTO executions (
            id, created_at, organization_id, project_id, user_id, token_id, origin, model_type, requested, labels,
            state, fence, lease_owner, lease_until, started_at, attempts_made, measures
        )
        SELECT c.id, begun, c.organization_id, c.project_id, c.user_id, c.token_id, c.origin, c.model_type, c.requested,
            c.labels, 'running', 1, c.lease_owner, now() + lease, begun, 0, '{}'
        FROM call c
    ), body AS (
        INSERT INTO execution_bodies
            (id, created_at, request, text, reasoning, tool_calls, segments, receipt, error, notice)
        SELECT c.id, begun, c.asked, '', '', '[]', '[]', '{}', '', '' FROM call c
    ), reserved AS (
        INSERT INTO reservations (id, created_at, attempt_id, execution_id, state, amount, tokens, expires_at)
        SELECT c.reservation, now(), c.attempt, c.id, 'held', c.usd, c.tokens, now() + stands
        FROM call c WHERE c.reservation IS NOT NULL
    )
    INSERT INTO attempts (
        id, created_at, execution_id, number, provider_id, model_id, api_key_id, price_id, model_name, provider_name,
        payer, outcome, started_at, error, response_id, response_model, measures, usage_is_estimated
    )
    SELECT c.attempt, begun, c.id, 1, c.provider_id, c.model_id, c.api_key_id, c.price_id, c.model_name,
        c.provider_name, c.payer, 'sent', begun, '', '', '', '{}', false
    FROM call c;

    IF jsonb_array_length(holding) = 0 THEN
        RETURN begun;
    END IF;
    PERFORM FROM budget_periods p
    WHERE p.id IN (SELECT h.period FROM jsonb_to_recordset(holding) AS h (period uuid))
    ORDER BY p.budget_id, p.starts_at FOR NO KEY UPDATE;
    PERFORM FROM (
        SELECT h.period, sum(h.amount) AS amount
        FROM jsonb_to_recordset(holding) AS h (period uuid, amount bigint) GROUP BY h.period
    ) AS n
    JOIN budget_periods p ON p.id = n.period
    JOIN budgets b ON b.id = p.budget_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(i.granted), 0)::bigint AS granted
        FROM budget_increases i
        WHERE i.budget_id = b.id AND i.answer = 'approved' AND (i.expires_at IS NULL OR i.expires_at > now())
    ) AS more
    WHERE b.is_hard AND p.spent + p.reserved + n.amount > b."limit" + more.granted;
    IF FOUND THEN
        RAISE EXCEPTION 'more than a limit has left' USING ERRCODE = 'DL001';
    END IF;
    UPDATE budget_periods p SET reserved = p.reserved + n.amount
    FROM (
        SELECT h.period, sum(h.amount) AS amount
        FROM jsonb_to_recordset(holding) AS h (period uuid, amount bigint) GROUP BY h.period
    ) AS n
    WHERE p.id = n.period;
    INSERT INTO holds (id, created_at, reservation_id, period_id, amount)
    SELECT h.id, now(), h.reservation, h.period, h.amount
    FROM jsonb_to_recordset(holding) AS h (id uuid, reservation uuid, period uuid, amount bigint)
    JOIN budget_periods p ON p.id = h.period;  -- a limit that was just deleted counts nothing any more
    RETURN begun;
END $$
"""
END = """
CREATE FUNCTION runs_end(ends jsonb) RETURNS boolean[]
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
-- Bring runs that completed to their end, the call of each with it; and settle what was held for those that have a line
-- for the ledger (see quota_settle). Of each, in their order: was a hard limit charged with more than was held? Where a
-- run or its call is not this process's any more, or was settled already, it fails with DL002.
DECLARE
    given integer := jsonb_array_length(ends);
    written integer;
    attempt uuid[];
    is_over boolean[];
    is_charged boolean[];
    commits text := set_config('synchronous_commit', 'off', true);
BEGIN
    UPDATE executions e SET
        state = 'completed', rule_id = run.rule_id, provider_id = run.provider_id, model_id = run.model_id,
        api_key_id = run.api_key_id, payer = run.payer, finish = run.finish, error_kind = NULL, attempts_made = 1,
        first_token_at = run.first_token_at, tokens_input = run.tokens_input,
        tokens_cache_read = run.tokens_cache_read, tokens_cache_write = run.tokens_cache_write,
        tokens_output = run.tokens_output, tokens_reasoning = run.tokens_reasoning, measures = run.measures,
        cost = run.cost, finished_at = clock_timestamp(), lease_until = NULL, lease_owner = NULL
    FROM jsonb_to_recordset(ends) AS run (
        id uuid, fence integer, rule_id uuid, provider_id uuid, model_id uuid, api_key_id uuid, payer text,
        finish text, first_token_at timestamptz, tokens_input integer, tokens_cache_read integer,
        tokens_cache_write integer, tokens_output integer, tokens_reasoning integer, measures jsonb, cost bigint
    )
    -- So told that it is found by its id: the index of open runs is full of those that just ended.
    WHERE e.id = run.id AND e.fence = CASE e.state WHEN 'running' THEN run.fence END;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written < given THEN
        RAISE EXCEPTION 'a run is not this process’s any more' USING ERRCODE = 'DL002';
    END IF;
    UPDATE execution_bodies b SET
        text = run.text, reasoning = run.reasoning, tool_calls = run.tool_calls, segments = run.segments,
        receipt = run.receipt, error = '', notice = run.notice
    FROM jsonb_to_recordset(ends) AS run (
        id uuid, text text, reasoning text, tool_calls jsonb, segments jsonb, receipt jsonb, notice text
    )
    WHERE b.id = run.id;
    UPDATE attempts a SET
        outcome = 'completed', first_token_at = run.first_token_at, ended_at = run.ended_at,
        response_id = run.response_id, response_model = run.response_model, tokens_input = run.tokens_input,
        tokens_cache_read = run.tokens_cache_read, tokens_cache_write = run.tokens_cache_write,
        tokens_output = run.tokens_output, tokens_reasoning = run.tokens_reasoning, measures = run.measures,
        usage_is_estimated = run.usage_is_estimated, cost = run.cost, job = NULL
    FROM jsonb_to_recordset(ends) AS run (
        attempt uuid, first_token_at timestamptz, ended_at timestamptz, response_id text, response_model text,
        tokens_input integer, tokens_cache_read integer, tokens_cache_write integer, tokens_output integer,
        tokens_reasoning integer, measures jsonb, usage_is_estimated boolean, cost bigint
    )
    WHERE a.id = run.attempt AND a.outcome = 'sent';
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written < given THEN
        RAISE EXCEPTION 'a call was closed by somebody else' USING ERRCODE = 'DL002';
    END IF;

    attempt := ARRAY(
        SELECT run.attempt FROM jsonb_to_recordset(ends) AS run (attempt uuid, line uuid) WHERE run.line IS NOT NULL
    );
    IF cardinality(attempt) = 0 THEN
        RETURN array_fill(false, ARRAY[given]);
    END IF;
    PERFORM FROM reservations r WHERE r.attempt_id = ANY (attempt) ORDER BY r.attempt_id FOR UPDATE;
    PERFORM FROM reservations r WHERE r.attempt_id = ANY (attempt) AND r.state <> 'held';
    IF FOUND THEN
        RAISE EXCEPTION 'what was held for a call was settled by somebody else' USING ERRCODE = 'DL002';
    END IF;
    SELECT array_agg(used.is_over ORDER BY used.place), array_agg(used.is_charged ORDER BY used.place)
    INTO is_over, is_charged
    FROM (
        SELECT run.place, run.line IS NOT NULL AND (run.usd <> 0 OR coalesce(bool_or(b.unit <> 'usd'), false)) AS is_charged,
            coalesce(bool_or(b.is_hard AND h.amount <
                CASE b.unit WHEN 'usd' THEN run.usd WHEN 'tokens' THEN run.tokens ELSE 1 END), false) AS is_over
        FROM ROWS FROM (jsonb_to_recordset(ends) AS (attempt uuid, line uuid, usd bigint, tokens bigint))
            WITH ORDINALITY AS run (attempt, line, usd, tokens, place)
        LEFT JOIN reservations r ON r.attempt_id = run.attempt AND run.line IS NOT NULL
        LEFT JOIN holds h ON h.reservation_id = r.id
        LEFT JOIN budget_periods p ON p.id = h.period_id
        LEFT JOIN budgets b ON b.id = p.budget_id
        GROUP BY run.place, run.line, run.usd
    ) AS used;

    INSERT INTO ledger_entries
        (id, created_at, organization_id, attempt_id, price_id, kind, payer, amount, tokens, note)
    SELECT run.line, now(), run.organization, run.attempt, run.price, 'charge', run.payer, run.usd, run.tokens,
        concat_ws(', ', nullif(run.remark, ''), CASE WHEN is_over[run.place] THEN 'overrun' END)
    FROM ROWS FROM (jsonb_to_recordset(ends) AS
            (line uuid, organization uuid, attempt uuid, price uuid, payer text, usd bigint, tokens bigint, remark text))
        WITH ORDINALITY AS run (line, organization, attempt, price, payer, usd, tokens, remark, place)
    WHERE is_charged[run.place]
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written < cardinality(array_positions(is_charged, true)) THEN
        RAISE EXCEPTION 'a call was charged already' USING ERRCODE = 'DL002';
    END IF;
    UPDATE reservations r SET state = 'settled' WHERE r.attempt_id = ANY (attempt);

    PERFORM FROM budget_periods p
    WHERE p.id IN (SELECT h.period_id FROM reservations r JOIN holds h ON h.reservation_id = r.id
                   WHERE r.attempt_id = ANY (attempt))
    ORDER BY p.budget_id, p.starts_at FOR NO KEY UPDATE;
    UPDATE budget_periods p SET reserved = p.reserved - n.held, spent = p.spent + n.used
    FROM (
        SELECT h.period_id, sum(h.amount) AS held,
            sum(CASE b.unit WHEN 'usd' THEN run.usd WHEN 'tokens' THEN run.tokens ELSE 1 END) AS used
        FROM jsonb_to_recordset(ends) AS run (attempt uuid, line uuid, usd bigint, tokens bigint)
        JOIN reservations r ON r.attempt_id = run.attempt
        JOIN holds h ON h.reservation_id = r.id
        JOIN budget_periods of_hold ON of_hold.id = h.period_id
        JOIN budgets b ON b.id = of_hold.budget_id
        WHERE run.line IS NOT NULL
        GROUP BY h.period_id
    ) AS n
    WHERE p.id = n.period_id;
    RETURN is_over;
END $$
"""


def upgrade() -> None:
    """A process of the last version, which asks for the functions that go, takes the long way then."""
    op.execute(BEGIN)
    op.execute(END)
    op.execute("DROP FUNCTION run_ends")
    op.execute("DROP FUNCTION run_begins")


def downgrade() -> None:
    before = op.get_context().script.get_revision("at_once").module
    op.execute(before.BEGINS)
    op.execute(before.ENDS)
    op.execute("DROP FUNCTION runs_end")
    op.execute("DROP FUNCTION runs_begin")
