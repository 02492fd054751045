-- The spine: tenants, directories, commands, runs, leases, holdings, departures, holds, history, outbox,
-- and the schema "api", the only part that others may rely on.
--
-- Numbers stand for names inside (tenant_id, directory_id); names come back in the views.
-- Text that is compared is COLLATE "C": equality and order are bytes, as in the code.

CREATE SCHEMA rollcall;
CREATE SCHEMA api;

-- --- tenants and their domains ------------------------------------------------

CREATE TABLE rollcall.tenant (
    tenant_id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant          text COLLATE "C" NOT NULL CHECK (tenant ~ '^[A-Za-z0-9_-]{1,64}$'),
    tier            text NOT NULL CHECK (tier IN ('basic', 'standard', 'enterprise', 'reseller')),
    reseller        text COLLATE "C",
    revision        bigint,                                -- the platform's, of the last tenant.save
    domain_revision bigint NOT NULL DEFAULT 1,             -- ours, moves when the domains change
    epoch           integer NOT NULL DEFAULT 1,
    sequence        bigint NOT NULL DEFAULT 0,             -- of the last state event
    created_at      timestamptz NOT NULL,
    deleted_at      timestamptz,
    purged_at       timestamptz                            -- nothing but this row, and so the epoch, is left
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE UNIQUE INDEX tenant_living ON rollcall.tenant (tenant) WHERE deleted_at IS NULL;
CREATE INDEX tenant_by_name ON rollcall.tenant (tenant);

CREATE TABLE rollcall.turn (                               -- fairness: whose run was claimed last, resellers 'r:', tenants 't:'
    fair_key       text COLLATE "C" PRIMARY KEY,
    last_served_at timestamptz NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE rollcall.domain (
    domain_id  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id  integer NOT NULL REFERENCES rollcall.tenant,
    domain     text COLLATE "C" NOT NULL,                  -- lower-case A-label
    display    text COLLATE "C" NOT NULL,                  -- lower-case U-label, the same name for people
    catch_all  boolean NOT NULL,
    alias_of   text COLLATE "C",
    delimiter  text,
    by_hand    boolean NOT NULL,
    recipients bigint NOT NULL DEFAULT 0,                  -- valid ones; kept by every change, checked by tests
    added_at   timestamptz NOT NULL,
    removed_at timestamptz
);
CREATE UNIQUE INDEX domain_living ON rollcall.domain (domain) WHERE removed_at IS NULL;
CREATE INDEX domain_display ON rollcall.domain (display) WHERE removed_at IS NULL;
CREATE INDEX domain_of_tenant ON rollcall.domain (tenant_id);

-- --- directories --------------------------------------------------------------

CREATE TABLE rollcall.directory (
    directory_id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id          integer NOT NULL REFERENCES rollcall.tenant,
    directory          text COLLATE "C" NOT NULL CHECK (directory ~ '^[A-Za-z0-9_-]{1,64}$'),
    last_revision      bigint NOT NULL,                    -- ours: counts the saves
    asked_revision     bigint,                             -- the platform's, of the last directory.save that carried one
    revision_in_force  bigint,
    revision_pending   bigint,
    paused             text,                               -- why scheduled runs stand still, or NULL
    digest             bytea,                              -- of the last applied snapshot, its scope and the domains
    wire_digest        bytea,                              -- of the same run's entries as they came from the wire
    applied_rows       bigint,
    applied_ignored    jsonb,                              -- what that run left out, by reason
    scope              text,                               -- of the last applied run
    applied_addresses  bigint,                             -- distinct addresses the last applied run held
    applied_started_at timestamptz,                        -- when the last applied complete run began to read
    last_good_run      uuid,
    last_good_at       timestamptz,
    next_sync_at       timestamptz,
    deleted_at         timestamptz
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX directory_living ON rollcall.directory (tenant_id, directory) WHERE deleted_at IS NULL;

CREATE TABLE rollcall.directory_revision (
    directory_id      integer NOT NULL REFERENCES rollcall.directory,
    revision          bigint NOT NULL,
    asked_revision    bigint,
    settings          jsonb NOT NULL,                      -- the form without its secrets
    password_sealed   bytea,
    client_key_sealed bytea,
    saved_at          timestamptz NOT NULL,
    PRIMARY KEY (directory_id, revision)
);

-- Sign-ins, counted per tenant and bind name over all hosts; recorded before the bind is sent.
CREATE TABLE rollcall.sign_in (
    sign_in_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   integer NOT NULL REFERENCES rollcall.tenant,
    bind_name   text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,                            -- keyed; tells that a password is the same, not what it is
    at          timestamptz NOT NULL,
    outcome     text NOT NULL DEFAULT 'pending' CHECK (outcome IN ('pending', 'accepted', 'refused', 'broken'))
);
CREATE INDEX sign_in_of_name ON rollcall.sign_in (tenant_id, bind_name, at DESC);

-- --- commands -----------------------------------------------------------------

CREATE TABLE rollcall.command (
    number         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- the stored order
    source         text COLLATE "C" NOT NULL,
    id             text COLLATE "C" NOT NULL,
    tenant         text COLLATE "C" NOT NULL,
    name           text NOT NULL,
    body           jsonb,                                  -- secrets sealed; NULL once carried out
    digest         bytea NOT NULL,                         -- keyed, of what was received
    reply_to       text,
    correlation_id text,
    traceparent    text,
    state          text NOT NULL DEFAULT 'stored' CHECK (state IN ('stored', 'done', 'rejected')),
    received_at    timestamptz NOT NULL,
    try_after      timestamptz NOT NULL,                   -- later than received_at while it waits for its tenant
    done_at        timestamptz,
    UNIQUE (source, id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE INDEX command_waiting ON rollcall.command (tenant, number) WHERE state = 'stored';
CREATE INDEX command_due ON rollcall.command (try_after, number) WHERE state = 'stored';
CREATE INDEX command_age ON rollcall.command (received_at);

-- The outcome of a command as it was sent, to be sent again when the command comes again.
CREATE TABLE rollcall.command_outcome (
    number      bigint NOT NULL REFERENCES rollcall.command ON DELETE CASCADE,
    event_id    uuid NOT NULL,
    type        text NOT NULL,
    routing_key text NOT NULL,
    body        text NOT NULL,
    PRIMARY KEY (number, event_id)
);

-- Where else answers go: the reply queues named by repeats that came before the outcome.
CREATE TABLE rollcall.command_reply (
    number         bigint NOT NULL REFERENCES rollcall.command ON DELETE CASCADE,
    reply_to       text NOT NULL,
    correlation_id text,
    UNIQUE NULLS NOT DISTINCT (number, reply_to, correlation_id)
);

CREATE TABLE rollcall.parked (
    parked_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL,
    source    text,
    id        text,
    tenant    text,
    type      text,
    reason    jsonb NOT NULL,                              -- a list of field, code, message
    size      integer NOT NULL,                            -- bytes
    digest    bytea NOT NULL                               -- keyed; the body itself is never kept
);

-- --- runs and leases ----------------------------------------------------------

CREATE TABLE rollcall.run (
    run_id          uuid PRIMARY KEY,
    tenant_id       integer NOT NULL REFERENCES rollcall.tenant,
    directory_id    integer NOT NULL REFERENCES rollcall.directory,
    revision        bigint NOT NULL,
    pending         boolean NOT NULL,                      -- the revision was pending when the run was queued
    trigger         text NOT NULL CHECK (trigger IN ('manual', 'scheduled')),
    mode            text NOT NULL CHECK (mode IN ('apply', 'preview')),
    state           text NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'held', 'previewed', 'failed', 'cancelled')),
    attempt         integer NOT NULL DEFAULT 0,            -- scheduled runs try three times
    restarts        integer NOT NULL DEFAULT 0,            -- begun again under new settings
    crashes         integer NOT NULL DEFAULT 0,            -- workers that died while they held it
    run_after       timestamptz NOT NULL,
    queued_at       timestamptz NOT NULL,
    started_at      timestamptz,
    finished_at     timestamptz,
    cancel_reason   text,                                  -- set while it runs: it is to end as cancelled
    verdict         text CHECK (verdict IN ('apply', 'hold')),
    reasons         jsonb NOT NULL DEFAULT '[]',
    counts          jsonb,
    seconds         jsonb,
    finding         jsonb,
    detail          text,                                  -- a server's own words; for operators only
    hold_id         uuid,
    traceparent     text
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE UNIQUE INDEX run_queued_once ON rollcall.run (directory_id, mode, pending) WHERE state = 'queued';
CREATE INDEX run_queued ON rollcall.run (run_after) WHERE state = 'queued';
CREATE INDEX run_running ON rollcall.run (tenant_id) WHERE state = 'running';
CREATE INDEX run_of_directory ON rollcall.run (tenant_id, directory_id, queued_at DESC);

CREATE TABLE rollcall.run_cause (
    run_id     uuid NOT NULL REFERENCES rollcall.run ON DELETE CASCADE,
    number     bigint NOT NULL,                            -- of the command, which may be purged before the run
    command_id text NOT NULL,
    PRIMARY KEY (run_id, number)
);

CREATE TABLE rollcall.lease (
    directory_id integer PRIMARY KEY REFERENCES rollcall.directory,
    tenant_id    integer NOT NULL,
    token        bigint NOT NULL,                          -- the fencing token: who holds an older one writes nothing
    owner        text NOT NULL,
    run_id       uuid NOT NULL,
    expires_at   timestamptz NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE INDEX lease_of_run ON rollcall.lease (run_id);

-- --- what is held -------------------------------------------------------------

-- What each source last said: one row an address and entry. directory_id 0 is "by hand".
CREATE TABLE rollcall.holding (
    tenant_id    integer NOT NULL,
    address      text COLLATE "C" NOT NULL,
    directory_id integer NOT NULL,
    entry_id     uuid NOT NULL,
    since        timestamptz NOT NULL,
    kind         smallint NOT NULL,                        -- 0 mailbox, 1 group, 2 contact, 3 public folder
    is_primary   boolean NOT NULL,
    enabled      boolean NOT NULL,
    name         text,
    PRIMARY KEY (tenant_id, address, directory_id, entry_id)
) WITH (fillfactor = 90);
CREATE INDEX holding_by_hand ON rollcall.holding (tenant_id) WHERE directory_id = 0;

-- The way out of the list: one row for an address that its directory does not show any more.
CREATE TABLE rollcall.departure (
    tenant_id    integer NOT NULL,
    address      text COLLATE "C" NOT NULL,
    directory_id integer NOT NULL,
    step         text NOT NULL CHECK (step IN ('missing', 'grace', 'removed')),
    left_at      timestamptz NOT NULL,                     -- begin of the first complete run without it, or the decision
    grace_until  timestamptz,
    removed_at   timestamptz,
    decided      boolean NOT NULL DEFAULT false,           -- a person took it away: goes by the clock alone
    approved     boolean NOT NULL DEFAULT false,           -- a person let this removal happen
    PRIMARY KEY (tenant_id, address, directory_id)
);
CREATE INDEX departure_of_directory ON rollcall.departure (tenant_id, directory_id, step);
CREATE INDEX departure_by_clock ON rollcall.departure (grace_until) WHERE decided AND step = 'grace';

CREATE TABLE rollcall.hold (
    hold_id      uuid PRIMARY KEY,
    tenant_id    integer NOT NULL REFERENCES rollcall.tenant,
    directory_id integer NOT NULL REFERENCES rollcall.directory,
    version      integer NOT NULL,                         -- of its set of addresses
    since        timestamptz NOT NULL,
    run_id       uuid NOT NULL,                            -- the run that last refreshed it
    reasons      jsonb NOT NULL,
    state        text NOT NULL CHECK (state IN ('open', 'ended')),
    ended_at     timestamptz
);
CREATE UNIQUE INDEX hold_open ON rollcall.hold (directory_id) WHERE state = 'open';

-- Changes that were computed and not applied: of a hold (set_id is the hold) or a preview (set_id is the run).
CREATE TABLE rollcall.change_set (
    set_id     uuid NOT NULL,
    tenant_id  integer NOT NULL,
    address    text COLLATE "C" NOT NULL,
    change     text NOT NULL CHECK (change IN ('added', 'returned', 'missing', 'grace', 'removed')),
    kind       smallint NOT NULL,
    is_primary boolean NOT NULL,
    approved   boolean NOT NULL DEFAULT false,
    expires_at timestamptz,                                -- NULL: as long as the hold is open
    PRIMARY KEY (set_id, address)
);
CREATE INDEX change_set_expiry ON rollcall.change_set (expires_at) WHERE expires_at IS NOT NULL;

-- --- what happened ------------------------------------------------------------

CREATE TABLE rollcall.history (
    at           timestamptz NOT NULL,
    tenant_id    integer NOT NULL,
    directory_id integer,                                  -- NULL: by hand
    run_id       uuid,                                     -- NULL: a person's command, or the clock
    command      bigint,
    address      text COLLATE "C" NOT NULL,
    change       text NOT NULL CHECK (change IN ('added', 'returned', 'missing', 'grace', 'removed'))
) PARTITION BY RANGE (at);
CREATE INDEX history_of_address ON rollcall.history (tenant_id, address, at);
CREATE INDEX history_of_run ON rollcall.history (run_id);

-- Makes the monthly partitions from the month of "moment" to three months ahead; gives how many are new.
-- There is no default partition: with one, a month could not be detached without locking the rest.
CREATE FUNCTION rollcall.make_history_partitions(moment timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first date;
    made  integer := 0;
BEGIN
    FOR ahead IN 0..3 LOOP
        first := (date_trunc('month', moment AT TIME ZONE 'UTC') + make_interval(months => ahead))::date;
        IF to_regclass('rollcall.history_' || to_char(first, 'YYYY_MM')) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE rollcall.%I PARTITION OF rollcall.history FOR VALUES FROM (%L) TO (%L)',
                'history_' || to_char(first, 'YYYY_MM'),
                to_char(first, 'YYYY-MM-DD') || ' 00:00:00+00',
                to_char(first + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00');
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END
$$;
SELECT rollcall.make_history_partitions(now());

CREATE TABLE rollcall.outbox (
    number         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id       uuid NOT NULL,
    tenant         text COLLATE "C" NOT NULL,
    type           text NOT NULL,
    routing_key    text,                                   -- NULL: a reply only
    reply_to       text,                                   -- a queue that gets it instead of the exchange
    correlation_id text,
    traceparent    text,
    body           text NOT NULL,                          -- the whole CloudEvent, as it goes out
    created_at     timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

CREATE TABLE rollcall.service_lease (                      -- one relay, one housekeeper
    service    text PRIMARY KEY,
    owner      text NOT NULL,
    token      bigint NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 70);

-- --- api ----------------------------------------------------------------------

-- A domain may call an address unknown only if all that could know it has spoken (see api.domain).
-- What an alias domain holds is what its target holds, so the target must have been read as well.
CREATE FUNCTION rollcall.is_authoritative(asked rollcall.domain) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT asked.by_hand OR (
        EXISTS (SELECT FROM rollcall.domain d
                WHERE d.tenant_id = asked.tenant_id AND d.removed_at IS NULL AND d.recipients > 0
                  AND d.domain IN (asked.domain, asked.alias_of))
        AND EXISTS (SELECT FROM rollcall.directory i
                    WHERE i.tenant_id = asked.tenant_id AND i.deleted_at IS NULL AND i.revision_in_force IS NOT NULL)
        AND NOT EXISTS (SELECT FROM rollcall.directory i JOIN rollcall.domain d USING (tenant_id)
                        WHERE i.tenant_id = asked.tenant_id AND i.deleted_at IS NULL AND i.revision_in_force IS NOT NULL
                          AND d.removed_at IS NULL AND d.domain IN (asked.domain, asked.alias_of)
                          AND (i.applied_started_at IS NULL OR i.applied_started_at <= d.added_at)))
$$;

-- The state of one address of one tenant: 'valid', 'grace' or NULL. One index look-up.
CREATE FUNCTION rollcall.state_of(asked_tenant integer, asked text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN bool_or(d.step IS NULL OR d.step = 'missing') THEN 'valid'
                WHEN bool_or(d.step = 'grace') THEN 'grace' END
    FROM rollcall.holding h
    LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
    WHERE h.tenant_id = asked_tenant AND h.address = asked COLLATE "C"
$$;

-- The best that any source but one says of an address: 'valid', 'grace', 'removed' or NULL.
CREATE FUNCTION rollcall.state_elsewhere(asked_tenant integer, asked text, but_directory integer) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN bool_or(d.step IS NULL OR d.step = 'missing') THEN 'valid'
                WHEN bool_or(d.step = 'grace') THEN 'grace'
                WHEN bool_or(d.step = 'removed') THEN 'removed' END
    FROM rollcall.holding h
    LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
    WHERE h.tenant_id = asked_tenant AND h.address = asked COLLATE "C" AND h.directory_id <> but_directory
$$;

-- Since when an address is valid, NULL if it is not.
CREATE FUNCTION rollcall.valid_since(asked_tenant integer, asked text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT min(h.since)
    FROM rollcall.holding h
    LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
    WHERE h.tenant_id = asked_tenant AND h.address = asked COLLATE "C" AND coalesce(d.step, 'missing') = 'missing'
$$;

-- What SMTP asks: valid, grace, catch_all, unknown or not_authoritative, and whose it is.
-- The address is tried as it stands, without its sub-address, and each of these in the target of an alias domain.
CREATE FUNCTION api.lookup(address text, OUT state text, OUT tenant text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    at_sign  integer;
    local    text;
    name     text;
    asked    rollcall.domain;
    locals   text[];
    said     text;
    best     text;
BEGIN
    at_sign := length(address) - position('@' in reverse(address)) + 1;
    IF address IS NULL OR position('@' in address) = 0 THEN
        state := CASE WHEN lower(address) = 'postmaster' THEN 'valid' ELSE 'not_authoritative' END;
        RETURN;
    END IF;
    local := normalize(lower(normalize(left(address, at_sign - 1), NFC) COLLATE "und-x-icu"), NFC);
    name := rtrim(lower(normalize(substr(address, at_sign + 1), NFC) COLLATE "und-x-icu"), '.');
    SELECT d.* INTO asked FROM rollcall.domain d
    WHERE (d.domain = name COLLATE "C" OR d.display = name COLLATE "C") AND d.removed_at IS NULL;
    IF NOT FOUND THEN
        state := 'not_authoritative';
        RETURN;
    END IF;
    SELECT t.tenant INTO tenant FROM rollcall.tenant t WHERE t.tenant_id = asked.tenant_id;
    IF local = 'postmaster' THEN
        state := 'valid';
        RETURN;
    END IF;
    locals := ARRAY[local];
    IF asked.delimiter <> '' AND position(asked.delimiter in local) > 1 THEN
        locals := locals || split_part(local, asked.delimiter, 1);
    END IF;
    <<search>>
    FOR place IN 1..2 LOOP
        FOREACH local IN ARRAY locals LOOP
            said := rollcall.state_of(asked.tenant_id, local || '@' || CASE place WHEN 1 THEN asked.domain ELSE asked.alias_of END);
            IF said = 'valid' THEN
                best := said;
                EXIT search;
            END IF;
            best := coalesce(best, said);
        END LOOP;
        EXIT WHEN asked.alias_of IS NULL;
    END LOOP;
    state := CASE WHEN best = 'valid' THEN 'valid'
                  WHEN asked.catch_all THEN 'catch_all'
                  WHEN best = 'grace' THEN 'grace'
                  WHEN rollcall.is_authoritative(asked) THEN 'unknown'
                  ELSE 'not_authoritative' END;
END
$$;

CREATE VIEW api.recipient AS
SELECT DISTINCT ON (t.tenant, h.address)
    t.tenant,
    h.address,
    CASE WHEN coalesce(d.step, 'missing') = 'missing' THEN 'valid' ELSE 'grace' END AS state,
    (ARRAY['mailbox', 'group', 'contact', 'public_folder'])[h.kind + 1] AS kind,
    h.name AS display_name,
    h.since
FROM rollcall.tenant t
JOIN rollcall.holding h USING (tenant_id)
LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
WHERE t.deleted_at IS NULL AND coalesce(d.step, 'missing') <> 'removed'
ORDER BY t.tenant, h.address, (coalesce(d.step, 'missing') = 'missing') DESC, h.is_primary DESC, h.since, h.directory_id, h.entry_id;

CREATE VIEW api.domain AS
SELECT t.tenant, d.domain, d.catch_all, d.alias_of, rollcall.is_authoritative(d) AS authoritative, d.added_at AS since
FROM rollcall.domain d JOIN rollcall.tenant t USING (tenant_id)
WHERE d.removed_at IS NULL AND t.deleted_at IS NULL;

CREATE VIEW api.directory AS
SELECT t.tenant, i.directory, r.settings ->> 'name' AS name, r.settings ->> 'type' AS type,
    coalesce(r.asked_revision, r.revision) AS revision,
    CASE WHEN i.paused IS NOT NULL THEN 'paused' WHEN i.revision_in_force IS NULL THEN 'pending' ELSE 'in_force' END AS state,
    i.paused AS paused_reason, i.last_good_run, i.last_good_at, i.next_sync_at
FROM rollcall.directory i
JOIN rollcall.tenant t USING (tenant_id)
JOIN rollcall.directory_revision r
    ON r.directory_id = i.directory_id AND r.revision = coalesce(i.revision_pending, i.revision_in_force)
WHERE i.deleted_at IS NULL AND t.deleted_at IS NULL;

CREATE VIEW api.run AS
SELECT t.tenant, i.directory, r.run_id AS run, r.trigger, r.mode, r.state, r.verdict, r.reasons, r.counts, r.seconds, r.finding,
    r.attempt, r.hold_id AS hold, r.queued_at, r.started_at, r.finished_at
FROM rollcall.run r
JOIN rollcall.tenant t USING (tenant_id)
JOIN rollcall.directory i USING (directory_id)
WHERE t.deleted_at IS NULL;

CREATE VIEW api.history AS
SELECT t.tenant, i.directory, h.run_id AS run, h.at, h.address, h.change
FROM rollcall.history h
JOIN rollcall.tenant t USING (tenant_id)
LEFT JOIN rollcall.directory i USING (directory_id)
WHERE t.deleted_at IS NULL;

CREATE VIEW api.hold AS
SELECT t.tenant, i.directory, o.hold_id AS hold, o.version, o.since, o.reasons, c.address, coalesce(c.approved, false) AS approved
FROM rollcall.hold o
JOIN rollcall.tenant t USING (tenant_id)
JOIN rollcall.directory i USING (directory_id)
LEFT JOIN rollcall.change_set c ON c.set_id = o.hold_id
WHERE o.state = 'open' AND t.deleted_at IS NULL;

CREATE VIEW api.parked AS
SELECT at, source, id, type, reason, size FROM rollcall.parked;

-- --- roles --------------------------------------------------------------------

-- Least rights: the owner migrates, rollcall_run works, rollcall_read sees "api" only. Where the owner may
-- not make roles, an administrator makes them and grants the same.
DO $$
BEGIN
    IF (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        BEGIN CREATE ROLE rollcall_run NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
        BEGIN CREATE ROLE rollcall_read NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rollcall_run') THEN
        GRANT USAGE ON SCHEMA rollcall, api TO rollcall_run;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rollcall TO rollcall_run;
        GRANT SELECT ON ALL TABLES IN SCHEMA api TO rollcall_run;
        GRANT SELECT ON public.rollcall_migration TO rollcall_run; -- a worker starts on this release's schema only
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rollcall_read') THEN
        GRANT USAGE ON SCHEMA api TO rollcall_read;
        GRANT SELECT ON ALL TABLES IN SCHEMA api TO rollcall_read;
        GRANT EXECUTE ON FUNCTION api.lookup(text) TO rollcall_read;
    END IF;
END
$$;
