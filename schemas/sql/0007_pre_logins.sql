-- Quarantine logins: one for each mailbox of a directory that asks for them, known by the entry's stable id.
-- An older release works on: it leaves logins as they are, and the next run of this one settles what it missed.

-- No foreign keys: a first run writes hundreds of thousands of rows, and each would be looked up.
CREATE TABLE rollcall.login (
    login_id     uuid PRIMARY KEY,
    tenant_id    integer NOT NULL,
    directory_id integer NOT NULL,                         -- 0: made, or kept, by hand; no run touches it
    entry_id     uuid,                                     -- NULL: made by hand
    username     text COLLATE "C" NOT NULL,                -- the primary address
    role         text NOT NULL CHECK (role IN ('silent', 'normal')),
    state        text NOT NULL CHECK (state IN ('active', 'deactivated', 'released')),  -- released: without its name, kept for its history
    reason       text CHECK (reason IN ('disabled', 'gone', 'not_wanted', 'decided', 'undone')),  -- why it is not active
    since        timestamptz NOT NULL,                     -- when it came into this state
    approved     boolean NOT NULL DEFAULT false            -- a person let it be deactivated
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX login_of_entry ON rollcall.login (directory_id, entry_id) WHERE directory_id <> 0;
CREATE UNIQUE INDEX login_username ON rollcall.login (tenant_id, username) WHERE state <> 'released';

-- Which login an address leads to: at most one.
CREATE TABLE rollcall.login_address (
    tenant_id integer NOT NULL,
    address   text COLLATE "C" NOT NULL,
    login_id  uuid NOT NULL,
    PRIMARY KEY (tenant_id, address)
);
CREATE INDEX login_address_of_login ON rollcall.login_address (login_id);

-- What entries claim and do not get. Each is looked at again by every complete run.
CREATE TABLE rollcall.login_conflict (
    tenant_id    integer NOT NULL,
    directory_id integer NOT NULL,
    entry_id     uuid NOT NULL,
    address      text COLLATE "C" NOT NULL,
    code         text NOT NULL CHECK (code IN
        ('name_by_hand', 'name_in_use', 'name_kept', 'address_in_use', 'address_shared', 'too_many_addresses')),
    login_id     uuid,                                     -- the login that has it
    seen_at      timestamptz NOT NULL,                     -- by the last run that looked
    PRIMARY KEY (tenant_id, directory_id, entry_id, address)
);

-- What became of logins, and by whom; an undo reads it.
CREATE TABLE rollcall.login_history (
    at           timestamptz NOT NULL,
    tenant_id    integer NOT NULL,
    directory_id integer NOT NULL,
    run_id       uuid,                                     -- NULL: a person's command
    command      bigint,
    login_id     uuid NOT NULL,
    change       text NOT NULL CHECK (change IN ('created', 'renamed', 'changed', 'deactivated', 'reactivated', 'released')),
    was_username text COLLATE "C",                         -- NULL: it was created
    username     text COLLATE "C" NOT NULL,
    was_state    text,
    state        text NOT NULL
);
CREATE INDEX login_history_of_tenant ON rollcall.login_history (tenant_id, at);
CREATE INDEX login_history_age ON rollcall.login_history USING brin (at);

ALTER TABLE rollcall.directory
    ADD COLUMN logins_rule text,                           -- by which settings its logins were settled last; NULL: look at all anew
    ADD COLUMN logins_run  uuid;                           -- the complete run that did; not the last good one: some run did not

-- A hold may also wait for logins to be deactivated.
ALTER TABLE rollcall.change_set DROP CONSTRAINT change_set_change_check;
ALTER TABLE rollcall.change_set ADD CONSTRAINT change_set_change_check
    CHECK (change IN ('added', 'returned', 'missing', 'grace', 'removed', 'deactivated')) NOT VALID;

-- --- api ------------------------------------------------------------------------

-- Those that have a name: one login a name. To be asked for by tenant and user name.
CREATE VIEW api.login AS
SELECT t.tenant, i.directory, l.username,
    ARRAY(SELECT a.address FROM rollcall.login_address a WHERE a.login_id = l.login_id ORDER BY a.address) AS addresses,
    l.role, l.state, l.reason, l.since, l.login_id AS login
FROM rollcall.login l
JOIN rollcall.tenant t USING (tenant_id)
LEFT JOIN rollcall.directory i USING (directory_id)
WHERE t.deleted_at IS NULL AND l.state <> 'released';

-- Which login an address leads to. To be asked for by tenant and address.
CREATE VIEW api.login_address AS
SELECT t.tenant, a.address, l.username, l.state, l.login_id AS login
FROM rollcall.login_address a
JOIN rollcall.tenant t USING (tenant_id)
JOIN rollcall.login l USING (login_id)
WHERE t.deleted_at IS NULL;

CREATE VIEW api.login_conflict AS
SELECT t.tenant, i.directory, c.entry_id AS entry, c.address, c.code, c.login_id AS login, c.seen_at
FROM rollcall.login_conflict c
JOIN rollcall.tenant t USING (tenant_id)
JOIN rollcall.directory i USING (directory_id)
WHERE t.deleted_at IS NULL AND i.deleted_at IS NULL;

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
