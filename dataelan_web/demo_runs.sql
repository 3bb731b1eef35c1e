-- Runs of the demo, a part at a time (demo_runs.py). Each statement is one step; all read the temporary table of the
-- first. dice (i, n) is the n-th number between 0 and 1 that is drawn for run i, the same for the same seed.

CREATE OR REPLACE FUNCTION pg_temp.dice(i bigint, n bigint) RETURNS float8 LANGUAGE sql IMMUTABLE
    RETURN (hashint8extended(i, n) & 4294967295)::float8 / 4294967296;

CREATE TEMPORARY TABLE demo_runs ON COMMIT DROP AS
WITH stretches AS (
    SELECT * FROM unnest(CAST(:numbers AS bigint[]), CAST(:starts AS timestamptz[]), CAST(:seconds AS float8[]),
        CAST(:counts AS int[]), CAST(:days AS int[]), CAST(:hours AS int[]))
        AS stretch (first, starts_at, seconds, runs, day, hour)
),
asked AS (  -- evenly over the hour, each a little off
    SELECT first + k AS i, day, hour,
        starts_at + (k + pg_temp.dice(first + k, :seed)) / runs * seconds * interval '1 second' AS at
    FROM stretches, generate_series(0, runs - 1) AS k
),
offers AS (
    SELECT * FROM json_to_recordset(CAST(:offers AS json)) AS offer (
        place int, provider_id uuid, model_id uuid, api_key_id uuid, model_type text, provider text, model text,
        price_before uuid, price_after uuid, input_before bigint, input_after bigint, output_before bigint,
        output_after bigint, changed timestamptz, first_seconds float8, tokens_a_second float8)
),
chosen AS (  -- which model first, by whom; three of ten runs come from programs
    SELECT *, (CAST(:shares AS int[]))[1 + floor(pg_temp.dice(i, :seed + 1) * cardinality(CAST(:shares AS int[])))::int]
            AS first_choice,
        CASE WHEN pg_temp.dice(i, :seed + 2) < 0.7 THEN floor(power(pg_temp.dice(i, :seed + 3), 1.3)
            * cardinality(CAST(:people AS uuid[])))::int END AS person,
        power(pg_temp.dice(i, :seed + 4), 2.5) AS elsewhere, pg_temp.dice(i, :seed + 5) AS luck
    FROM asked
),
met AS (  -- each provider has a bad afternoon now and then: half of its runs go on to another model; some ask it again
    SELECT *, (day * 7 + first_choice) % 19 = 0 AND hour BETWEEN 13 AND 16 AS is_bad, luck BETWEEN 0.6 AND 0.63 AS asked_again,
        luck < CASE WHEN (day * 7 + first_choice) % 19 = 0 AND hour BETWEEN 13 AND 16 THEN 0.5 ELSE 0.02 END AS fell_back
    FROM chosen
),
used AS (
    SELECT met.*, place, provider_id, model_id, api_key_id, model_type, provider, model,
        CASE WHEN at < changed THEN price_before ELSE price_after END AS price_id,
        CASE WHEN at < changed THEN input_before ELSE input_after END AS input_price,
        CASE WHEN at < changed THEN output_before ELSE output_after END AS output_price,
        (80 * exp(3.4 * pg_temp.dice(i, :seed + 6)))::int AS input,
        (30 * exp(3.1 * pg_temp.dice(i, :seed + 7)))::int AS output,
        CASE WHEN pg_temp.dice(i, :seed + 8) < 0.35 THEN (60 * exp(3 * pg_temp.dice(i, :seed + 6)))::int ELSE 0 END AS cached,
        first_seconds * exp(1.1 * (pg_temp.dice(i, :seed + 9) + pg_temp.dice(i, :seed + 10) - 1))
            * CASE WHEN is_bad THEN 3.5 ELSE 1 END + CASE WHEN fell_back OR asked_again THEN 1.4 ELSE 0 END AS waited,
        tokens_a_second * (0.7 + 0.6 * pg_temp.dice(i, :seed + 11)) AS speed
    FROM met JOIN offers ON place = CASE WHEN fell_back
        THEN (first_choice + 1) % (SELECT count(*) FROM offers) ELSE first_choice END
),
ended AS (
    SELECT *, md5(:unique || i) AS mark,
        CASE WHEN luck > CASE WHEN is_bad THEN 0.78 ELSE 0.988 END THEN 'failed' WHEN luck BETWEEN 0.7 AND 0.708 THEN 'cancelled'
            ELSE 'completed' END AS state
    FROM used
)
SELECT i, at, state, is_bad, fell_back OR asked_again AS went_on, first_choice, provider_id, model_id, api_key_id, model_type, provider, model, price_id,
    -- as of new_id(): milliseconds, version 7, and what nobody else draws
    (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(mark, 1, 3) || '8'
        || substr(mark, 4, 15))::uuid AS id,
    (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(mark, 18, 3) || '9'
        || substr(mark, 4, 15))::uuid AS attempt_id,
    (CAST(:projects AS uuid[]))[1 + (coalesce(person, 0) + floor(elsewhere * cardinality(CAST(:projects AS uuid[])))::int)
        % cardinality(CAST(:projects AS uuid[]))] AS project_id,
    (CAST(:people AS uuid[]))[1 + person] AS user_id,
    CASE WHEN pg_temp.dice(i, :seed + 12) < 0.7 THEN (CAST(:rules AS uuid[]))[1 + first_choice] END AS rule_id,
    CASE WHEN person IS NULL THEN CASE  -- programs say what they are
        WHEN pg_temp.dice(i, :seed + 13) < 0.2 THEN '{}' WHEN pg_temp.dice(i, :seed + 13) < 0.32 THEN '{staging}'
        WHEN hour < 7 THEN '{nightly,prod}' WHEN pg_temp.dice(i, :seed + 13) < 0.72 THEN '{eu,prod}'
        ELSE '{prod,us}' END ELSE '{}' END::text[] AS tags,
    CASE WHEN state = 'failed' THEN CASE WHEN is_bad THEN 'transient' WHEN i % 2 = 0 THEN 'rate_limit'
        ELSE 'content_policy' END END AS error_kind,
    CASE WHEN state <> 'failed' THEN at + waited * interval '1 second' END AS first_at,
    at + (waited + CASE WHEN state <> 'failed' THEN output / speed ELSE 0 END) * interval '1 second' AS ended_at,
    CASE WHEN state <> 'failed' THEN input END AS input, CASE WHEN state <> 'failed' THEN cached END AS cached,
    CASE WHEN state <> 'failed' THEN output END AS output,
    CASE WHEN state = 'failed' THEN 0  -- rounded up, as bills are
        ELSE (input * input_price + cached * input_price / 10 + output * output_price + 999999) / 1000000 END AS cost
FROM ended;

INSERT INTO executions (id, created_at, organization_id, project_id, user_id, origin, model_type, requested, state, fence,
    rule_id, labels, tags, started_at, first_token_at, finished_at, provider_id, model_id, api_key_id, payer, finish, error_kind, attempts_made,
    tokens_input, tokens_cache_read, tokens_output, measures, cost)
SELECT id, at, :organization, project_id, user_id, CASE WHEN user_id IS NULL THEN 'gateway' ELSE 'playground' END,
    model_type, CASE WHEN rule_id IS NULL THEN model ELSE 'auto' END, state, 1,
    rule_id, CASE WHEN cardinality(tags) > 0 THEN jsonb_build_object('tags', to_jsonb(tags)) END, tags, at, first_at, ended_at, provider_id, model_id, api_key_id, 'organization',
    CASE state WHEN 'completed' THEN 'stop' END, error_kind, 1 + went_on::int, input, cached, output, '{}', cost
FROM demo_runs;

INSERT INTO execution_bodies (id, created_at, request, text, reasoning, tool_calls, segments, receipt, error, notice)
SELECT id, at, request, CASE WHEN state = 'failed' THEN '' ELSE answer END, '', '[]', '[]', '{}',
    CASE WHEN state = 'failed' THEN 'The provider answered with an error.' ELSE '' END, ''
FROM demo_runs JOIN jsonb_to_recordset(CAST(:topics AS jsonb)) AS topic (project uuid, request jsonb, answer text)
    ON project = project_id;

-- the one that failed first
INSERT INTO attempts (id, created_at, execution_id, number, provider_id, model_id, api_key_id, model_name, provider_name,
    payer, outcome, started_at, ended_at, error_kind, error, response_id, response_model, measures, usage_is_estimated, cost)
SELECT md5(:unique || 'first' || i)::uuid, at, id, 1, offer.provider_id, offer.model_id, offer.api_key_id, offer.model,
    offer.provider, 'organization', 'failed', at, at + interval '1.4 seconds', CASE WHEN is_bad OR i % 5 < 2
        THEN 'transient' ELSE 'rate_limit' END, '', '', offer.model, '{}', false, 0
FROM demo_runs JOIN json_to_recordset(CAST(:offers AS json))
    AS offer (place int, provider_id uuid, model_id uuid, api_key_id uuid, provider text, model text) ON place = first_choice
WHERE went_on;

INSERT INTO attempts (id, created_at, execution_id, number, provider_id, model_id, api_key_id, price_id, model_name,
    provider_name, payer, outcome, started_at, first_token_at, ended_at, error_kind, error, response_id, response_model,
    tokens_input, tokens_cache_read, tokens_output, measures, usage_is_estimated, cost)
SELECT attempt_id, at, id, 1 + went_on::int, provider_id, model_id, api_key_id, price_id, model, provider, 'organization',
    state, CASE WHEN went_on THEN at + interval '1.4 seconds' ELSE at END, first_at, ended_at, error_kind, '', '', model,
    input, cached, output, '{}', false, cost
FROM demo_runs;

INSERT INTO ledger_entries (id, created_at, organization_id, attempt_id, price_id, kind, payer, amount, tokens, note)
SELECT overlay(attempt_id::text PLACING 'a' FROM 20)::uuid, ended_at, :organization, attempt_id, price_id, 'charge',
    'organization', cost, input + cached + output, ''
FROM demo_runs WHERE cost > 0;

DROP TABLE demo_runs
