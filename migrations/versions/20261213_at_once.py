"""a plain run is begun by one function and ended by another; changes of limits are counted as those of the hub are"""

from alembic import op

revision = "at_once"
down_revision = "unconfirmed"
branch_labels = None
depends_on = None

# Of a run that its caller runs itself, and whose first call is its last (executions/at_once.py). What is said of it
# comes as one object, which is read with less effort than a word for each column.
BEGINS = """
CREATE FUNCTION run_begins(
    said jsonb, asked jsonb, lease interval,
    reservation uuid, usd bigint, most_tokens bigint, stands interval, budget_ids uuid[], starts timestamptz[],
    ends timestamptz[], period_ids uuid[], new_ids uuid[], amounts bigint[], hold_ids uuid[]
) RETURNS timestamptz LANGUAGE plpgsql AS $$
-- Write a run with what it asks, and the call that is about to be made; and hold what that may use (see quota_hold),
-- where there are budgets. When it began.
DECLARE
    run record;
    begun timestamptz := clock_timestamp();
BEGIN
    SELECT * INTO run FROM jsonb_to_record(said) AS x (
        id uuid, organization_id uuid, project_id uuid, user_id uuid, token_id uuid, origin text, model_type text,
        requested text, labels jsonb, lease_owner text,
        attempt uuid, provider_id uuid, model_id uuid, api_key_id uuid, price_id uuid, model_name text,
        provider_name text, payer text
    );
    INSERT INTO executions (
        id, created_at, organization_id, project_id, user_id, token_id, origin, model_type, requested, labels, state,
        fence, lease_owner, lease_until, started_at, attempts_made, measures
    ) VALUES (
        run.id, begun, run.organization_id, run.project_id, run.user_id, run.token_id, run.origin, run.model_type,
        run.requested, run.labels, 'running', 1, run.lease_owner, now() + lease, begun, 0, '{}'
    );
    INSERT INTO execution_bodies
        (id, created_at, request, text, reasoning, tool_calls, segments, receipt, error, notice)
    VALUES (run.id, begun, asked, '', '', '[]', '[]', '{}', '', '');
    INSERT INTO attempts (
        id, created_at, execution_id, number, provider_id, model_id, api_key_id, price_id, model_name, provider_name,
        payer, outcome, started_at, error, response_id, response_model, measures, usage_is_estimated
    ) VALUES (
        run.attempt, begun, run.id, 1, run.provider_id, run.model_id, run.api_key_id, run.price_id, run.model_name,
        run.provider_name, run.payer, 'sent', begun, '', '', '', '{}', false
    );
    IF budget_ids IS NOT NULL THEN
        PERFORM quota_hold(reservation, run.attempt, run.id, usd, most_tokens, stands, budget_ids, starts, ends,
                           period_ids, new_ids, amounts, hold_ids);
    END IF;
    RETURN begun;
END $$
"""
ENDS = """
CREATE FUNCTION run_ends(
    said jsonb, answer text, thought text, calls jsonb, parts jsonb, why jsonb, told text,
    line uuid, organization uuid, price uuid, usd bigint, used_tokens bigint, remark text
) RETURNS boolean LANGUAGE plpgsql AS $$
-- Bring a run that completed to its end, its call with it; and settle what was held for that (see quota_settle), where
-- a line is given. True: a hard limit was charged with more than was held. Where the run or its call is not this
-- process's any more, nothing is written: it fails with DL002.
DECLARE
    run record;
BEGIN
    SELECT * INTO run FROM jsonb_to_record(said) AS x (
        id uuid, fence integer, rule_id uuid, provider_id uuid, model_id uuid, api_key_id uuid, payer text,
        finish text, first_token_at timestamptz, ended_at timestamptz, tokens_input integer, tokens_cache_read integer,
        tokens_cache_write integer, tokens_output integer, tokens_reasoning integer, measures jsonb, cost bigint,
        attempt uuid, response_id text, response_model text, usage_is_estimated boolean
    );
    UPDATE executions e SET
        state = 'completed', rule_id = run.rule_id, provider_id = run.provider_id, model_id = run.model_id,
        api_key_id = run.api_key_id, payer = run.payer, finish = run.finish, error_kind = NULL, attempts_made = 1,
        first_token_at = run.first_token_at, tokens_input = run.tokens_input,
        tokens_cache_read = run.tokens_cache_read, tokens_cache_write = run.tokens_cache_write,
        tokens_output = run.tokens_output, tokens_reasoning = run.tokens_reasoning, measures = run.measures,
        cost = run.cost, finished_at = clock_timestamp(), lease_until = NULL, lease_owner = NULL
    WHERE e.id = run.id AND e.fence = run.fence AND e.state = 'running';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this run is not this process’s any more' USING ERRCODE = 'DL002';
    END IF;
    UPDATE execution_bodies b SET
        text = answer, reasoning = thought, tool_calls = calls, segments = parts, receipt = why, error = '',
        notice = told
    WHERE b.id = run.id;
    UPDATE attempts a SET
        outcome = 'completed', first_token_at = run.first_token_at, ended_at = run.ended_at,
        response_id = run.response_id, response_model = run.response_model, tokens_input = run.tokens_input,
        tokens_cache_read = run.tokens_cache_read, tokens_cache_write = run.tokens_cache_write,
        tokens_output = run.tokens_output, tokens_reasoning = run.tokens_reasoning, measures = run.measures,
        usage_is_estimated = run.usage_is_estimated, cost = run.cost, job = NULL
    WHERE a.id = run.attempt AND a.outcome = 'sent';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this call was closed by somebody else' USING ERRCODE = 'DL002';
    END IF;
    IF line IS NULL THEN
        RETURN false;
    END IF;
    RETURN quota_settle(line, organization, run.attempt, price, run.payer, usd, used_tokens, remark);
END $$
"""
# What is written of a key's use at every turn is no change; its ciphertext is one, as processes remember it.
KEY = (
    "provider_id, organization_id, label, last_four, is_default, weight, is_enabled, expires_at, listed_models,"
    " allowed_models, archived_at"
)
COUNTED = {"budgets": "UPDATE", "rate_limits": "UPDATE", "budget_increases": "UPDATE"}
TRIGGER = (
    "CREATE TRIGGER {table}_are_counted AFTER INSERT OR DELETE OR {change} ON {table}"
    " FOR EACH ROW EXECUTE FUNCTION hub_changed()"
)


def upgrade() -> None:
    op.execute(BEGINS)
    op.execute(ENDS)
    for table, change in COUNTED.items():
        op.execute(TRIGGER.format(table=table, change=change))
    op.execute("DROP TRIGGER api_keys_are_counted ON api_keys")
    op.execute(TRIGGER.format(table="api_keys", change=f"UPDATE OF ciphertext, {KEY}"))


def downgrade() -> None:
    op.execute("DROP TRIGGER api_keys_are_counted ON api_keys")
    op.execute(TRIGGER.format(table="api_keys", change=f"UPDATE OF {KEY}, goes_first"))
    for table in COUNTED:
        op.execute(f"DROP TRIGGER {table}_are_counted ON {table}")
    op.execute("DROP FUNCTION run_ends")
    op.execute("DROP FUNCTION run_begins")
