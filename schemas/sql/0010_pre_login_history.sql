-- What became of logins can be asked for. An older release works on: it asks for nothing of it.

-- --- api ------------------------------------------------------------------------

-- What became of logins, and who did it: "causes" are the ids of the commands that the run answered, or of the person's command, as far as
-- they are still kept; "was" is the user name before, NULL where there was none. To be asked for by tenant.
CREATE VIEW api.login_history AS
SELECT t.tenant, i.directory, h.login_id AS login, h.username, nullif(h.was_username, h.username) AS was, h.change, h.state, h.at, h.run_id AS run,
    CASE WHEN h.run_id IS NOT NULL THEN 'run' WHEN h.command IS NOT NULL THEN 'person' ELSE 'clock' END AS by,
    CASE WHEN h.run_id IS NOT NULL
         THEN ARRAY(SELECT k.command_id FROM rollcall.run_cause k WHERE k.run_id = h.run_id ORDER BY k.number)
         ELSE ARRAY(SELECT m.id::text FROM rollcall.command m WHERE m.number = h.command) END AS causes
FROM rollcall.login_history h
JOIN rollcall.tenant t USING (tenant_id)
LEFT JOIN rollcall.directory i USING (directory_id)
WHERE t.deleted_at IS NULL;

-- --- roles ----------------------------------------------------------------------

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rollcall_run') THEN
        GRANT SELECT ON ALL TABLES IN SCHEMA api TO rollcall_run;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rollcall_read') THEN
        GRANT SELECT ON ALL TABLES IN SCHEMA api TO rollcall_read;
    END IF;
END
$$;
