-- Plans: schedules that a plan stopped, tenants to look at again when their reseller's plan changed, the fleet of a reseller;
-- and how long what happened is kept, and who did it.
-- An older release works on: it knows nothing of a reseller's plan, stops times without saying why, and keeps everything.

-- Why the plan keeps the schedule from running, or NULL. Apart from "paused", which refused sign-ins and people set: each ends by itself.
ALTER TABLE rollcall.directory ADD COLUMN plan_pause text;

-- Tenants whose right may have changed with their reseller's: looked at soon, each in a transaction of its own, since a
-- reseller may have thousands and one transaction would keep the runs of all of them waiting.
CREATE TABLE rollcall.plan_check (
    tenant_id integer PRIMARY KEY REFERENCES rollcall.tenant ON DELETE CASCADE,
    asked_at  timestamptz NOT NULL
);
CREATE INDEX tenant_of_reseller ON rollcall.tenant (reseller) WHERE reseller IS NOT NULL AND deleted_at IS NULL;

-- The plan of a tenant's reseller, NULL if that is no tenant here: what the tenant has is the higher of this and its own.
CREATE FUNCTION rollcall.tier_of(asked text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT t.tier FROM rollcall.tenant t WHERE t.tenant = asked COLLATE "C" AND t.deleted_at IS NULL
$$;

-- --- the fleet ------------------------------------------------------------------

-- What failed since the last good run, without reading through a year of runs that did not.
CREATE INDEX run_failed ON rollcall.run (directory_id, finished_at) WHERE state = 'failed' AND mode = 'apply';

CREATE OR REPLACE VIEW api.directory AS
SELECT t.tenant, i.directory, r.settings ->> 'name' AS name, r.settings ->> 'type' AS type,
    coalesce(r.asked_revision, r.revision) AS revision,
    CASE WHEN coalesce(i.paused, i.plan_pause) IS NOT NULL THEN 'paused' WHEN i.revision_in_force IS NULL THEN 'pending' ELSE 'in_force' END AS state,
    coalesce(i.paused, i.plan_pause) AS paused_reason, i.last_good_run, i.last_good_at, i.next_sync_at
FROM rollcall.directory i
JOIN rollcall.tenant t USING (tenant_id)
JOIN rollcall.directory_revision r
    ON r.directory_id = i.directory_id AND r.revision = coalesce(i.revision_pending, i.revision_in_force)
WHERE i.deleted_at IS NULL AND t.deleted_at IS NULL;

-- How every directory stands; ask for those of a reseller by "reseller", which is NULL where there is none.
CREATE VIEW api.fleet AS
SELECT t.reseller, t.tenant, i.directory, v.settings ->> 'name' AS name, v.settings ->> 'type' AS type,
    CASE WHEN coalesce(i.paused, i.plan_pause) IS NOT NULL THEN 'paused' WHEN i.revision_in_force IS NULL THEN 'pending' ELSE 'in_force' END AS state,
    coalesce(i.paused, i.plan_pause) AS paused_reason, i.last_good_at,
    CASE WHEN o.hold_id IS NULL THEN 0 ELSE (SELECT count(*) FROM rollcall.change_set c WHERE c.set_id = o.hold_id AND NOT c.approved) END AS held,
    o.since AS held_since, bad.since AS failing_since, bad.code AS failing, i.next_sync_at
FROM rollcall.directory i
JOIN rollcall.tenant t USING (tenant_id)
JOIN rollcall.directory_revision v
    ON v.directory_id = i.directory_id AND v.revision = coalesce(i.revision_pending, i.revision_in_force)
LEFT JOIN rollcall.hold o ON o.directory_id = i.directory_id AND o.state = 'open'
CROSS JOIN LATERAL (
    SELECT min(r.finished_at) AS since, (array_agg(r.finding ->> 'code' ORDER BY r.finished_at DESC))[1] AS code
    FROM rollcall.run r
    WHERE r.directory_id = i.directory_id AND r.state = 'failed' AND r.mode = 'apply'
        AND r.finished_at > coalesce(i.last_good_at, '-infinity')
) bad
WHERE i.deleted_at IS NULL AND t.deleted_at IS NULL;

-- --- why --------------------------------------------------------------------------

-- As before, and what the plan stopped is told as paused.
CREATE OR REPLACE FUNCTION rollcall.last_runs_of(asked_tenant integer, asked text, texts text[]) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'directory', i.directory,
        'run', r.run_id,
        'state', r.state,
        'finished_at', r.finished_at,
        'said', CASE WHEN r.run_id IS NULL THEN 'not_read'
                     WHEN shown.entries > 0 THEN 'shown'
                     WHEN ignored.reasons IS NOT NULL THEN 'ignored'
                     ELSE 'not_shown' END,
        'reasons', coalesce(ignored.reasons, '[]'),
        'entries', (r.counts ->> 'entries')::bigint,
        'not_kept', CASE WHEN i.rejects_digest IS NOT NULL THEN i.rejects_left_out END,
        'failed', failed.told,
        'paused', coalesce(i.paused, i.plan_pause),
        'next_sync_at', i.next_sync_at
    ) ORDER BY i.directory), '[]')
    FROM rollcall.directory i
    LEFT JOIN rollcall.run r ON r.run_id = i.last_good_run
    CROSS JOIN LATERAL (
        -- an undo gives back what the run did not show, and lets go what it did
        SELECT count(*) AS entries
        FROM rollcall.holding h
        LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
        WHERE h.tenant_id = asked_tenant AND h.address = asked COLLATE "C" AND h.directory_id = i.directory_id
            AND (d.left_at IS NULL OR d.left_at > r.finished_at OR d.left_at = r.undone_at)
            AND NOT (r.undone_at IS NOT NULL AND d.left_at IS NULL AND EXISTS (
                SELECT FROM rollcall.history w
                WHERE w.tenant_id = asked_tenant AND w.address = asked COLLATE "C" AND w.run_id = r.run_id
                    AND w.change IN ('missing', 'grace', 'removed')))
    ) shown
    CROSS JOIN LATERAL (
        SELECT jsonb_agg(DISTINCT o.reason) AS reasons FROM rollcall.ignored o
        WHERE o.tenant_id = asked_tenant AND o.directory_id = i.directory_id AND o.address = ANY (texts)
    ) ignored
    LEFT JOIN LATERAL (
        SELECT jsonb_build_object('run', f.run_id, 'finished_at', f.finished_at, 'code', f.finding ->> 'code') AS told
        FROM rollcall.run f
        WHERE f.tenant_id = asked_tenant AND f.directory_id = i.directory_id AND f.mode = 'apply' AND f.state = 'failed'
            AND f.finished_at > coalesce(i.last_good_at, '-infinity')
        ORDER BY f.finished_at DESC LIMIT 1
    ) failed ON true
    WHERE i.tenant_id = asked_tenant AND i.deleted_at IS NULL
$$;

-- As before, and what the plan stopped is told as paused.
CREATE OR REPLACE FUNCTION rollcall.next_of(asked_tenant integer, asked text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH source AS (
        SELECT DISTINCT h.directory_id, d.step, d.left_at, d.grace_until, d.removed_at, d.decided, d.approved
        FROM rollcall.holding h
        LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
        WHERE h.tenant_id = asked_tenant AND h.address = asked COLLATE "C"
    ), going AS (
        SELECT s.*, i.directory, coalesce(i.paused, i.plan_pause) AS paused, i.next_sync_at, o.hold_id, o.version,
            coalesce(o.discarded_version = o.version, false) AS discarded, f.fleet_hold_id,
            CASE WHEN s.step = 'removed' THEN 'forgotten'
                 WHEN s.decided THEN 'removed'
                 WHEN v.settings -> 'removals' ->> 'policy' = 'never' THEN 'never'
                 WHEN NOT s.approved AND (o.hold_id IS NOT NULL OR f.fleet_hold_id IS NOT NULL) THEN 'held'
                 WHEN s.step = 'missing' THEN 'grace'
                 ELSE 'removed' END AS what
        FROM source s
        LEFT JOIN rollcall.directory i USING (directory_id)
        LEFT JOIN rollcall.directory_revision v
            ON v.directory_id = i.directory_id AND v.revision = coalesce(i.revision_in_force, i.revision_pending)
        LEFT JOIN rollcall.hold o ON o.directory_id = s.directory_id AND o.state = 'open'
        LEFT JOIN rollcall.fleet_hold f ON f.released_at IS NULL
        WHERE s.step <> 'removed' OR NOT EXISTS (SELECT FROM source WHERE step <> 'removed')
    )
    SELECT jsonb_agg(jsonb_build_object(
        'directory', directory,
        'what', what,
        'not_before', CASE what WHEN 'forgotten' THEN removed_at + interval '30 days'
                                WHEN 'removed' THEN grace_until
                                WHEN 'grace' THEN left_at + interval '30 minutes' END,
        'by', CASE WHEN what = 'held' THEN 'person'
                   WHEN what = 'forgotten' OR decided THEN 'clock'
                   WHEN what <> 'never' THEN 'complete_run' END,
        'hold', CASE what WHEN 'held' THEN hold_id END,
        'version', CASE what WHEN 'held' THEN version END,
        'discarded', what = 'held' AND discarded,
        'fleet', what = 'held' AND hold_id IS NULL,
        'paused', paused,
        'next_sync_at', next_sync_at
    ) ORDER BY directory)
    FROM going
    WHERE NOT EXISTS (SELECT FROM source WHERE step IS NULL)
$$;

-- --- what happened ------------------------------------------------------------------

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

-- --- roles ----------------------------------------------------------------------

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rollcall_run') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rollcall TO rollcall_run;
        GRANT SELECT ON ALL TABLES IN SCHEMA api TO rollcall_run;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rollcall_read') THEN
        GRANT SELECT ON ALL TABLES IN SCHEMA api TO rollcall_read;
    END IF;
END
$$;
