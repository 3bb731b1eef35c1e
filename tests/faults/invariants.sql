-- What must hold: each query returns what breaks it, and no row is what we want. `always`: at every moment, and so asked
-- after each fault; `at rest`: once nothing is broken any more and nothing is running.
-- Run by verdict.py; `faults.*` are what the load asked, what the provider says, and what watch.sql saw.
--
-- Where the provider was killed in mid-answer, `faults.calls.status` is null: nobody knows then what it would bill.

DROP TABLE IF EXISTS faults.runs, faults.bills;

CREATE TABLE faults.runs AS
    -- One that limits refused outright may give its key back: asked again, it is another run.
    SELECT e.id, e.state, e.origin, e.created_at, e.finished_at, e.cost, e.attempts_made, b.text, b.error,
           e.state = 'failed' AND e.idempotency_key IS NULL AND NOT EXISTS (
               SELECT FROM attempts a WHERE a.execution_id = e.id) AS is_refused,
           substring(b.request -> 'messages' ->> -1 FROM '\[f-[0-9a-z-]+\]') AS mark
    FROM executions e JOIN execution_bodies b ON b.id = e.id;

CREATE INDEX ON faults.runs (mark);
ANALYZE;

CREATE TABLE faults.bills AS
    -- What the provider would bill for one execution's calls, by the price its attempt was held by; the sum of its
    -- ledger; and the most that was held. Exact where every call was whole and said what it used.
    SELECT r.id, r.mark, r.state, c.calls, c.bill, c.early_bill, c.is_exact, c.is_known, l.charged, h.held
    FROM faults.runs r
    JOIN LATERAL (
        SELECT count(*) AS calls, bool_and(coalesce(c.status, 0) <> 0) AS is_known,
               bool_and(c.is_whole AND c.reported IS NOT NULL AND c.output IS NOT NULL
                        AND c.reported ->> 'completion_tokens' = c.output::text
                        AND c.reported ->> 'prompt_tokens' = c.input::text) AS is_exact,
               sum(CASE WHEN c.status >= 400 THEN 0 ELSE ceil(
                   (c.input::numeric * p.input + coalesce(c.output, 0)::numeric * p.output) / 1000000) END) AS bill,
               sum(CASE WHEN c.status >= 400 THEN 0 ELSE ceil(
                   (c.input::numeric * p.input + coalesce(c.early, 0)::numeric * p.output) / 1000000) END) AS early_bill
        FROM faults.calls c
        CROSS JOIN LATERAL (
            SELECT p.input, p.output FROM attempts a JOIN prices p ON p.id = a.price_id
            WHERE a.execution_id = r.id ORDER BY a.number DESC LIMIT 1) p
        WHERE c.mark = r.mark) c ON c.calls > 0
    JOIN LATERAL (
        SELECT coalesce(sum(e.amount), 0) AS charged FROM ledger_entries e JOIN attempts a ON a.id = e.attempt_id
        WHERE a.execution_id = r.id) l ON true
    JOIN LATERAL (SELECT coalesce(sum(s.amount), 0) AS held FROM reservations s WHERE s.execution_id = r.id) h ON true
    WHERE NOT EXISTS (SELECT FROM faults.asked s WHERE s.mark = r.mark AND s.runs > 1);

-- at rest: I1 an execution has not come to an end
SELECT id, state, lease_until, cancel_requested_at FROM executions WHERE state IN ('queued', 'running');

-- at rest: I1 an attempt has not come to an end
SELECT id, execution_id, started_at FROM attempts WHERE outcome = 'sent';

-- at rest: I2 a prompt was lost, or became more runs than were meant
SELECT a.mark, a.kind, a.runs AS meant, a.is_sure, count(r.id) AS found
FROM faults.asked a LEFT JOIN faults.runs r ON r.mark = a.mark
GROUP BY a.mark, a.kind, a.runs, a.is_sure
HAVING count(r.id) FILTER (WHERE NOT r.is_refused) > a.runs OR (a.is_sure AND count(r.id) < a.runs);

-- at rest: I2 a run that nobody asked for
SELECT r.id, r.mark FROM faults.runs r
WHERE r.mark IS NOT NULL AND NOT EXISTS (SELECT FROM faults.asked a WHERE a.mark = r.mark);

-- at rest: I2 the provider took more calls than attempts were written down before
SELECT c.mark, count(DISTINCT c.call) AS calls, (
    SELECT count(*) FROM faults.runs r JOIN attempts a ON a.execution_id = r.id WHERE r.mark = c.mark) AS attempts
FROM faults.calls c WHERE c.mark <> '' GROUP BY c.mark
HAVING count(DISTINCT c.call) > (
    SELECT count(*) FROM faults.runs r JOIN attempts a ON a.execution_id = r.id WHERE r.mark = c.mark);

-- at rest: I2 a call was made again although the one before may have been paid
SELECT c.mark, count(*) FILTER (WHERE c.status < 400 OR c.status IS NULL) AS taken,
       (SELECT count(*) FROM faults.runs r WHERE r.mark = c.mark) AS runs
FROM faults.calls c WHERE c.mark <> '' GROUP BY c.mark
HAVING count(*) FILTER (WHERE c.status < 400 OR c.status IS NULL) > (
    SELECT count(*) FROM faults.runs r WHERE r.mark = c.mark);

-- always: I3 what a limit counts as spent is not what the ledger says
SELECT p.id, b.scope, b.unit, p.spent, p.opening, sum(l.amount) AS ledger
FROM budget_periods p JOIN budgets b ON b.id = p.budget_id
LEFT JOIN holds h ON h.period_id = p.id
LEFT JOIN reservations s ON s.id = h.reservation_id
LEFT JOIN LATERAL (
    SELECT sum(CASE b.unit WHEN 'usd' THEN e.amount WHEN 'tokens' THEN e.tokens
               ELSE (e.kind = 'charge')::int END) AS amount
    FROM ledger_entries e WHERE e.attempt_id = s.attempt_id) l ON true
GROUP BY p.id, b.scope, b.unit HAVING p.spent <> p.opening + coalesce(sum(l.amount), 0);

-- always: I3 what a limit counts as held is not what is held
SELECT p.id, b.scope, p.reserved, coalesce(sum(h.amount) FILTER (WHERE s.state = 'held'), 0) AS held
FROM budget_periods p JOIN budgets b ON b.id = p.budget_id
LEFT JOIN holds h ON h.period_id = p.id LEFT JOIN reservations s ON s.id = h.reservation_id
GROUP BY p.id, b.scope
HAVING p.reserved <> coalesce(sum(h.amount) FILTER (WHERE s.state = 'held'), 0);

-- at rest: I4 something is still held
SELECT id, execution_id, amount, expires_at FROM reservations WHERE state = 'held';

-- at rest: I4 a limit still counts something as held
SELECT id, reserved FROM budget_periods WHERE reserved <> 0;

-- always: I5 a commit left more spent and held than a hard limit allows
SELECT * FROM faults.over_limit;

-- always: I6 an attempt was charged more than once, or less than nothing
SELECT attempt_id, count(*), min(amount) FROM ledger_entries WHERE kind = 'charge'
GROUP BY attempt_id HAVING count(*) > 1 OR min(amount) < 0;

-- always: I6 what an attempt cost is not what was charged for it
SELECT a.id, a.outcome, a.cost, coalesce(sum(e.amount), 0) AS charged
FROM attempts a LEFT JOIN ledger_entries e ON e.attempt_id = a.id
GROUP BY a.id HAVING coalesce(a.cost, 0) <> coalesce(sum(e.amount), 0);

-- always: I6 what a run cost is not what its attempts cost
-- Once it has ended: a call that failed unheard is settled at once, and another may follow it.
SELECT e.id, e.state, e.cost, sum(a.cost) AS attempts
FROM executions e LEFT JOIN attempts a ON a.execution_id = e.id
WHERE e.state NOT IN ('queued', 'running')
GROUP BY e.id HAVING coalesce(e.cost, 0) <> coalesce(sum(a.cost), 0);

-- at rest: I7 a run that failed or broke off does not say why
SELECT id, state FROM faults.runs WHERE state IN ('failed', 'interrupted') AND error = '';

-- at rest: I7 the text of a run is not what the provider said, or only a part of it where it was whole
SELECT r.id, r.mark, r.state, left(r.text, 80) AS kept, left(c.said, 80) AS said, length(r.text), length(c.said)
FROM faults.runs r JOIN faults.calls c ON c.mark = r.mark
WHERE c.status = 200 AND c.reported IS NOT NULL AND position('�' IN r.text) = 0 AND r.text <> ''
  AND NOT EXISTS (SELECT FROM faults.asked s WHERE s.mark = r.mark AND s.runs > 1)
  AND NOT CASE WHEN r.state = 'completed' THEN r.text = c.said ELSE starts_with(c.said, r.text) END;

-- at rest: I7 a run is complete without an attempt that is
SELECT r.id FROM faults.runs r WHERE r.state = 'completed'
  AND NOT EXISTS (SELECT FROM attempts a WHERE a.execution_id = r.id AND a.outcome = 'completed');

-- at rest: I8 a whole answer was not charged exactly
SELECT id, mark, state, bill, charged, held FROM faults.bills
WHERE state = 'completed' AND is_exact AND bill <> charged;

-- at rest: I8 a cut answer was charged much less than the provider would bill
-- Without what it said in the second before it was cut, which may have been on its way, or before its reader stood
-- still: then its provider may have gone on where nobody could hear it. With what it thought, which nobody hears.
SELECT id, mark, state, bill, early_bill, charged, held FROM faults.bills
WHERE is_known AND NOT (state = 'completed' AND is_exact) AND charged < early_bill * 0.9;

-- at rest: I8 the runs of one prompt together were charged much less than the provider would bill, or more than was held
-- By the lowest of their prices: the provider does not know which run a call was for.
SELECT m.mark, l.charged, h.held, c.input * p.input + c.early * p.output AS early_bill
FROM faults.asked m
JOIN LATERAL (
    SELECT bool_and(coalesce(c.status, 0) <> 0) AS is_known, sum(c.input::numeric) AS input,
           sum(coalesce(c.early, 0)::numeric) AS early
    FROM faults.calls c WHERE c.mark = m.mark AND coalesce(c.status, 0) < 400) c ON c.is_known
JOIN LATERAL (
    SELECT min(p.input) AS input, min(p.output) AS output
    FROM faults.runs r JOIN attempts a ON a.execution_id = r.id JOIN prices p ON p.id = a.price_id
    WHERE r.mark = m.mark) p ON true
JOIN LATERAL (
    SELECT coalesce(sum(e.amount), 0) AS charged FROM faults.runs r JOIN attempts a ON a.execution_id = r.id
    JOIN ledger_entries e ON e.attempt_id = a.id WHERE r.mark = m.mark) l ON true
JOIN LATERAL (
    SELECT coalesce(sum(s.amount), 0) AS held FROM faults.runs r JOIN reservations s ON s.execution_id = r.id
    WHERE r.mark = m.mark) h ON true
WHERE m.runs > 1 AND (l.charged < 0.9 * (c.input * p.input + c.early * p.output) / 1000000
                      OR (h.held > 0 AND l.charged > h.held));

-- at rest: I8 more was charged than was held
SELECT id, mark, state, bill, charged, held FROM faults.bills WHERE held > 0 AND charged > held;

-- always: I8 more tokens were counted than were held
SELECT e.attempt_id, e.tokens, h.amount FROM ledger_entries e
JOIN reservations s ON s.attempt_id = e.attempt_id JOIN holds h ON h.reservation_id = s.id
JOIN budget_periods p ON p.id = h.period_id JOIN budgets b ON b.id = p.budget_id
WHERE b.unit = 'tokens' AND e.kind = 'charge' AND e.tokens > h.amount;

-- always: a claim was made again after a call, other than for a job
SELECT e.id, e.fence, e.state FROM executions e
WHERE e.fence > 5;
