-- Restores of the database from an older backup: what was answered and told since the backup is lost, and others know it.
-- An older release works on: it neither asks nor tells of restores.

-- One row each time "rollcall restored" was run.
CREATE TABLE rollcall.restore (
    restore_id  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    restored_at timestamptz NOT NULL,                      -- what was read before says nothing about who is missing
    epoch       integer NOT NULL                           -- where every tenant's order begins again, and a new one's begins
);

-- When people last said that the domain is as it stands (tenant.save with its domains): of one by hand, its authority.
ALTER TABLE rollcall.domain ADD COLUMN confirmed_at timestamptz;   -- NULL: when it was added

-- As before, and no run counts that began to read before the last restore: who joined since the backup is missing here.
-- Likewise the word of people counts again when they have given it again.
CREATE OR REPLACE FUNCTION rollcall.is_authoritative(asked rollcall.domain) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT (asked.by_hand AND coalesce(asked.confirmed_at, asked.added_at)
                > coalesce((SELECT max(restored_at) FROM rollcall.restore), '-infinity')) OR (
        EXISTS (SELECT FROM rollcall.domain d
                WHERE d.tenant_id = asked.tenant_id AND d.removed_at IS NULL AND d.recipients > 0
                  AND d.domain IN (asked.domain, asked.alias_of))
        AND EXISTS (SELECT FROM rollcall.directory i
                    WHERE i.tenant_id = asked.tenant_id AND i.deleted_at IS NULL AND i.revision_in_force IS NOT NULL)
        AND NOT EXISTS (SELECT FROM rollcall.directory i JOIN rollcall.domain d USING (tenant_id)
                        WHERE i.tenant_id = asked.tenant_id AND i.deleted_at IS NULL AND i.revision_in_force IS NOT NULL
                          AND d.removed_at IS NULL AND d.domain IN (asked.domain, asked.alias_of)
                          AND (i.applied_started_at IS NULL
                               OR i.applied_started_at <= greatest(d.added_at, (SELECT max(restored_at) FROM rollcall.restore)))))
$$;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rollcall_run') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rollcall TO rollcall_run;
    END IF;
END
$$;
