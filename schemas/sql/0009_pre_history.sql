-- How long what happened is kept, and who did it. An older release works on: it keeps everything.

-- As before, without locking anybody out: "CREATE TABLE … PARTITION OF" would wait for every reader of history to end and keep every
-- writer waiting behind it; attaching a table that is there waits for neither.
CREATE OR REPLACE FUNCTION rollcall.make_history_partitions(moment timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first date;
    part  text;
    made  integer := 0;
BEGIN
    FOR ahead IN 0..3 LOOP
        first := (date_trunc('month', moment AT TIME ZONE 'UTC') + make_interval(months => ahead))::date;
        part := 'history_' || to_char(first, 'YYYY_MM');
        IF to_regclass('rollcall.' || part) IS NULL THEN
            EXECUTE format('CREATE TABLE rollcall.%I (LIKE rollcall.history INCLUDING ALL)', part);
            EXECUTE format(
                'ALTER TABLE rollcall.history ATTACH PARTITION rollcall.%I FOR VALUES FROM (%L) TO (%L)', part,
                to_char(first, 'YYYY-MM-DD') || ' 00:00:00+00',
                to_char(first + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00');
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END
$$;

-- Drops the oldest month of history if all of it is older than "moment"; gives its name, or NULL if there is none or somebody
-- reads or writes history just now. It asks for the lock a tenth of a second long, for whoever comes meanwhile waits behind it.
-- Not detached concurrently: that is no part of any transaction, so of no function, and only the owner of the table may.
CREATE FUNCTION rollcall.drop_history_before(moment timestamptz) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
    oldest text;
BEGIN
    SELECT c.relname INTO oldest
    FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
    WHERE h.inhparent = 'rollcall.history'::regclass AND c.relname ~ '^history_[0-9]{4}_[0-9]{2}$'
        AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= moment AT TIME ZONE 'UTC'
    ORDER BY c.relname LIMIT 1;
    IF oldest IS NOT NULL THEN
        EXECUTE format('DROP TABLE rollcall.%I', oldest);
    END IF;
    RETURN oldest;
EXCEPTION WHEN lock_not_available THEN
    RETURN NULL;
END
$$;

-- Who changed an address: a run, a person's command, or the clock (what was decided is over).
CREATE OR REPLACE VIEW api.history AS
SELECT t.tenant, i.directory, h.run_id AS run, h.at, h.address, h.change,
    CASE WHEN h.run_id IS NOT NULL THEN 'run' WHEN h.command IS NOT NULL THEN 'person' ELSE 'clock' END AS by
FROM rollcall.history h
JOIN rollcall.tenant t USING (tenant_id)
LEFT JOIN rollcall.directory i USING (directory_id)
WHERE t.deleted_at IS NULL;
