-- Into the database under test, before the load begins: a trigger that writes down whenever a commit leaves a hard limit
-- with more spent and held than it allows, and tables for what the load asked and what the provider says.

CREATE SCHEMA faults;

CREATE TABLE faults.asked (mark text PRIMARY KEY, kind text, runs int, is_sure boolean);

CREATE TABLE faults.calls (
    call text PRIMARY KEY, mark text, accepted_at timestamptz, ended_at timestamptz, status int, is_whole boolean,
    input int, output int, early int, reported jsonb, said text
);

CREATE INDEX ON faults.calls (mark);

CREATE TABLE faults.over_limit (at timestamptz, period_id uuid, used numeric, allowed numeric);

CREATE FUNCTION faults.check_period() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE now_used numeric; allowed numeric; hard boolean;
BEGIN
    -- Deferred to the commit: what counts is what the transaction leaves behind, not what it passes through.
    SELECT p.spent::numeric + p.reserved, b.is_hard, b."limit"::numeric + coalesce((
               SELECT sum(i.granted) FROM budget_increases i
               WHERE i.budget_id = b.id AND i.answer = 'approved' AND (i.expires_at IS NULL OR i.expires_at > now())), 0)
      INTO now_used, hard, allowed
      FROM budget_periods p JOIN budgets b ON b.id = p.budget_id WHERE p.id = NEW.id;
    IF hard AND now_used > allowed AND
       (TG_OP = 'INSERT' OR NEW.spent::numeric + NEW.reserved > OLD.spent::numeric + OLD.reserved) THEN
        INSERT INTO faults.over_limit VALUES (clock_timestamp(), NEW.id, now_used, allowed);
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER faults_check_period AFTER INSERT OR UPDATE ON budget_periods
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION faults.check_period();
