-- The schedule: when each directory is due by itself, and the triggers on their way to the broker.
-- An older release works on: it sets no time, and triggers nothing.

-- "next_sync_at" is the time itself; these are what it was worked out from.
ALTER TABLE rollcall.directory
    ADD COLUMN scheduled_from  timestamptz,                -- the last trigger, or when its schedule began
    ADD COLUMN scheduled_hours integer,                    -- the interval it was counted by
    ADD COLUMN failed_in_a_row integer NOT NULL DEFAULT 0; -- scheduled runs since the last complete one
CREATE INDEX directory_due ON rollcall.directory (next_sync_at) WHERE next_sync_at IS NOT NULL;

-- A trigger that was decided and is not yet confirmed by the broker; of a directory one at most. Not in the outbox: that is
-- told to others in each tenant's order, by a relay that may be of an older release and knows one exchange only.
CREATE TABLE rollcall.trigger (
    directory_id integer PRIMARY KEY REFERENCES rollcall.directory ON DELETE CASCADE,
    trigger_id   uuid NOT NULL,                            -- the id of its message: published twice, it counts once
    due_at       timestamptz NOT NULL,
    decided_at   timestamptz NOT NULL,
    taken_until  timestamptz NOT NULL DEFAULT '-infinity'  -- a worker publishes it; later that worker has died
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

-- --- roles ----------------------------------------------------------------------

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rollcall_run') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rollcall TO rollcall_run;
    END IF;
END
$$;
