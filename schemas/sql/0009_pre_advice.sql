-- Advice: how ready a list is to be trusted; and warnings ahead. An older release works on: it counts no runs, so nothing is
-- advised too early, and warns of nothing.

ALTER TABLE rollcall.directory ADD COLUMN complete_in_a_row integer NOT NULL DEFAULT 0;  -- applied runs since one failed, was held or undone
ALTER TABLE rollcall.domain
    ADD COLUMN stable_since timestamptz,                   -- when much of its list changed at once the last time; NULL: when it was added
    ADD COLUMN kinds        jsonb;                         -- valid addresses by kind, kept by runs; NULL: to be counted when that is wanted
ALTER TABLE rollcall.run ADD COLUMN advice jsonb NOT NULL DEFAULT '[]';

CREATE OR REPLACE VIEW api.run AS
SELECT t.tenant, i.directory, r.run_id AS run, r.trigger, r.mode, r.state, r.verdict, r.reasons, r.counts, r.seconds, r.finding,
    r.attempt, r.hold_id AS hold, r.queued_at, r.started_at, r.finished_at, r.undone_at, r.advice
FROM rollcall.run r
JOIN rollcall.tenant t USING (tenant_id)
JOIN rollcall.directory i USING (directory_id)
WHERE t.deleted_at IS NULL;

-- Counts by kind, and what came and went of each.
CREATE FUNCTION rollcall.add_kinds(counted jsonb, gained jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN counted IS NOT NULL THEN coalesce((
        SELECT jsonb_object_agg(kind, addresses)
        FROM (
            SELECT key AS kind, sum(value::bigint) AS addresses
            FROM (SELECT * FROM jsonb_each_text(counted) UNION ALL SELECT * FROM jsonb_each_text(gained)) each
            GROUP BY key HAVING sum(value::bigint) <> 0
        ) summed), '{}') END
$$;

-- Valid addresses of a domain by kind; one that several entries hold is of the kind of its primary one.
CREATE FUNCTION rollcall.kinds_of(asked_tenant integer, asked text) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(jsonb_object_agg(kind, addresses), '{}')
    FROM (
        SELECT (ARRAY['mailbox', 'group', 'contact', 'public_folder'])[kind + 1] AS kind, count(*) AS addresses
        FROM (
            SELECT h.address, min(CASE WHEN h.is_primary THEN 0 ELSE 4 END + h.kind) % 4 AS kind
            FROM rollcall.holding h
            WHERE h.tenant_id = asked_tenant AND split_part(h.address, '@', 2) = asked AND NOT EXISTS (
                SELECT FROM rollcall.departure d
                WHERE d.tenant_id = asked_tenant AND d.address = h.address AND d.directory_id = h.directory_id AND d.step <> 'missing')
            GROUP BY 1
        ) once
        GROUP BY kind
    ) counted
$$;

-- How far the list of each domain can be trusted: complete runs in a row of every directory in force, since when no run and no person changed
-- much of it at once, its addresses, and these by kind. Ask for one tenant: what is not known by kind is counted for its row.
CREATE VIEW api.readiness AS
SELECT t.tenant, d.domain, d.catch_all, read.automatic, read.complete_runs,
    greatest(d.added_at, d.stable_since, a.stable_since) AS stable_since,
    d.recipients + coalesce(a.recipients, 0) AS addresses, coalesce(CASE WHEN d.alias_of IS NULL THEN d.kinds ELSE a.kinds END, rollcall.kinds_of(d.tenant_id, coalesce(d.alias_of, d.domain))) AS kinds
FROM rollcall.domain d
JOIN rollcall.tenant t USING (tenant_id)
LEFT JOIN rollcall.domain a ON a.tenant_id = d.tenant_id AND a.domain = d.alias_of AND a.removed_at IS NULL
CROSS JOIN LATERAL (
    SELECT coalesce(min(i.complete_in_a_row), 0) AS complete_runs,
        coalesce(bool_and((v.settings -> 'schedule' ->> 'automatic')::boolean AND i.paused IS NULL AND i.plan_pause IS NULL), false) AS automatic
    FROM rollcall.directory i
    JOIN rollcall.directory_revision v ON v.directory_id = i.directory_id AND v.revision = i.revision_in_force
    WHERE i.tenant_id = d.tenant_id AND i.deleted_at IS NULL
) read
WHERE d.removed_at IS NULL AND t.deleted_at IS NULL;

-- --- warnings ---------------------------------------------------------------------

ALTER TABLE rollcall.directory
    ADD COLUMN certificate_until timestamptz,              -- of its server, as the last complete run saw it; NULL: not known
    ADD COLUMN password_until    timestamptz,              -- of its bind account, likewise
    ADD COLUMN expected_since    timestamptz;              -- when its schedule began as it stands; NULL: not synced by itself

-- What a customer was warned of and is not over.
CREATE TABLE rollcall.warning (
    directory_id integer NOT NULL REFERENCES rollcall.directory ON DELETE CASCADE,
    cause        text NOT NULL,
    at           timestamptz NOT NULL,                     -- until when a thing is valid, or since when nothing succeeded
    told_at      timestamptz NOT NULL,
    PRIMARY KEY (directory_id, cause)
);

CREATE VIEW api.warning AS
SELECT t.tenant, i.directory, w.cause AS code, w.at, w.told_at AS since
FROM rollcall.warning w
JOIN rollcall.directory i USING (directory_id)
JOIN rollcall.tenant t USING (tenant_id)
WHERE i.deleted_at IS NULL AND t.deleted_at IS NULL;

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
