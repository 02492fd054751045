-- Tests of directories (directory.test), and sign-ins counted over all names of an account.
-- An older release works on: it takes no test, and counts each name by itself.

-- A test that is asked for and not answered yet, one a command. It goes when it is answered, and its secrets with it; what was
-- answered stays with the command.
CREATE TABLE rollcall.directory_test (
    number            bigint PRIMARY KEY REFERENCES rollcall.command ON DELETE CASCADE,
    tenant_id         integer NOT NULL REFERENCES rollcall.tenant,
    directory_id      integer REFERENCES rollcall.directory ON DELETE CASCADE, -- NULL: of a form that names none
    is_saved          boolean NOT NULL,                    -- the settings are the directory's own; else a form
    settings          jsonb NOT NULL,                      -- the form without its secrets
    password_sealed   bytea,
    client_key_sealed bytea,
    asked_at          timestamptz NOT NULL,                -- when the command was stored
    attempts          integer NOT NULL DEFAULT 0,          -- workers that began it and did not give it back
    token             bigint NOT NULL DEFAULT 0,           -- the fencing token: who holds an older one writes nothing
    leased_until      timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE INDEX directory_test_of_tenant ON rollcall.directory_test (tenant_id);

-- Whom a sign-in asks: two names of different spelling that go to a common host may be one account.
ALTER TABLE rollcall.sign_in
    ADD COLUMN hosts    text[] COLLATE "C" NOT NULL DEFAULT '{}',
    ADD COLUMN is_trial boolean NOT NULL DEFAULT false;    -- made with a form that was not saved: it stops no schedule
CREATE INDEX sign_in_of_tenant ON rollcall.sign_in (tenant_id, at DESC);

-- --- roles ----------------------------------------------------------------------

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rollcall_run') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rollcall TO rollcall_run;
    END IF;
END
$$;
