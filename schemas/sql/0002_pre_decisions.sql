-- What people decide: holds approved and discarded, runs undone, addresses by hand; and the fleet's own hold.
-- An older release works on: all that is new may be absent.

-- --- holds ----------------------------------------------------------------------

ALTER TABLE rollcall.hold
    ADD COLUMN ended_how         text CHECK (ended_how IN ('approved', 'resolved', 'deleted', 'undone')),
    ADD COLUMN discarded_version integer,                  -- the set that a person wants to hear no more of
    ADD COLUMN scope             text,                     -- of the run that last refreshed it: the baseline once approved
    ADD COLUMN addresses         bigint,                   -- distinct ones of that run
    ADD COLUMN read_at           timestamptz,              -- when that run began to read
    ADD COLUMN canaries          text[] COLLATE "C" NOT NULL DEFAULT '{}';  -- that it did not find

ALTER TABLE rollcall.directory
    ADD COLUMN accepted_canaries text[] COLLATE "C" NOT NULL DEFAULT '{}';  -- missing by a person's approval, until they are seen again

-- --- runs -----------------------------------------------------------------------

ALTER TABLE rollcall.run
    ADD COLUMN scope     text,                             -- what it read, as the baseline keeps it
    ADD COLUMN undone_at timestamptz;
CREATE INDEX run_finished ON rollcall.run (finished_at) WHERE finished_at IS NOT NULL AND mode = 'apply';

-- --- by hand --------------------------------------------------------------------

-- Of directory 0 ("by hand") only: NULL stays until a person ends it, 'adopt' until a directory shows it too,
-- 'protect' like NULL, and a later import does not change that.
ALTER TABLE rollcall.holding ADD COLUMN hand text;
-- not valid: the rows there are have none, and are not read through while others wait
ALTER TABLE rollcall.holding ADD CONSTRAINT holding_hand_check CHECK (hand IN ('adopt', 'protect')) NOT VALID;

-- --- the fleet ------------------------------------------------------------------

CREATE TABLE rollcall.fleet_hold (
    fleet_hold_id uuid PRIMARY KEY,
    since         timestamptz NOT NULL,
    figures       jsonb NOT NULL,
    released_at   timestamptz
);
CREATE UNIQUE INDEX fleet_hold_open ON rollcall.fleet_hold ((true)) WHERE released_at IS NULL;

-- --- api ------------------------------------------------------------------------

CREATE OR REPLACE VIEW api.hold AS
SELECT t.tenant, i.directory, o.hold_id AS hold, o.version, o.since, o.reasons, c.address, coalesce(c.approved, false) AS approved,
    o.discarded_version IS NOT DISTINCT FROM o.version AS discarded
FROM rollcall.hold o
JOIN rollcall.tenant t USING (tenant_id)
JOIN rollcall.directory i USING (directory_id)
LEFT JOIN rollcall.change_set c ON c.set_id = o.hold_id
WHERE o.state = 'open' AND t.deleted_at IS NULL;

-- What was computed and not applied: of a preview (kept a day), and of an open hold.
CREATE VIEW api.change AS
SELECT t.tenant, i.directory, s.run, s.hold, s.version, c.address, c.change,
    (ARRAY['mailbox', 'group', 'contact', 'public_folder'])[c.kind + 1] AS kind, c.is_primary AS "primary", c.approved, c.expires_at
FROM (
    SELECT run_id AS set_id, tenant_id, directory_id, run_id AS run, NULL::uuid AS hold, NULL::integer AS version
    FROM rollcall.run WHERE state = 'previewed'
    UNION ALL
    SELECT hold_id, tenant_id, directory_id, run_id, hold_id, version FROM rollcall.hold WHERE state = 'open'
) s
JOIN rollcall.change_set c USING (set_id)
JOIN rollcall.tenant t ON t.tenant_id = s.tenant_id
JOIN rollcall.directory i ON i.directory_id = s.directory_id
WHERE t.deleted_at IS NULL;

CREATE OR REPLACE VIEW api.run AS
SELECT t.tenant, i.directory, r.run_id AS run, r.trigger, r.mode, r.state, r.verdict, r.reasons, r.counts, r.seconds, r.finding,
    r.attempt, r.hold_id AS hold, r.queued_at, r.started_at, r.finished_at, r.undone_at
FROM rollcall.run r
JOIN rollcall.tenant t USING (tenant_id)
JOIN rollcall.directory i USING (directory_id)
WHERE t.deleted_at IS NULL;

-- The list as it is told whole: like api.recipient, with what a receiver of changes knows besides.
CREATE VIEW rollcall.recipient_line AS
SELECT DISTINCT ON (h.tenant_id, h.address)
    h.tenant_id,
    h.address,
    CASE WHEN coalesce(d.step, 'missing') = 'missing' THEN 'valid' ELSE 'grace' END AS state,
    d.grace_until,
    (ARRAY['mailbox', 'group', 'contact', 'public_folder'])[h.kind + 1] AS kind,
    h.is_primary
FROM rollcall.holding h
LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
WHERE coalesce(d.step, 'missing') <> 'removed'
ORDER BY h.tenant_id, h.address, (coalesce(d.step, 'missing') = 'missing') DESC, d.grace_until DESC NULLS LAST,
    h.is_primary DESC, h.since, h.directory_id, h.entry_id;

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
