-- Why an address is valid or not: what a run read and did not take, and "api.why".
-- An older release works on: it leaves what is new here as it is.

-- --- what was read and not taken --------------------------------------------------

-- The rejected addresses of each directory's last complete apply run, held or not: at most 20,000 values, and 4 MiB of them.
-- A row stands under the run that first rejected it so; the last complete run rejects it still.
CREATE TABLE rollcall.ignored (
    tenant_id    integer NOT NULL,
    directory_id integer NOT NULL,
    address      text COLLATE "C" NOT NULL,                -- normal; what is no address as it stood, in lower case, cut at 320
    reason       text COLLATE "C" NOT NULL CHECK (reason IN
        ('no_type', 'malformed', 'catch_all', 'other_domain', 'left_out', 'system', 'kind', 'no_mail')),
    entry        text COLLATE "C" NOT NULL,                -- the DN of an entry that has it
    run_id       uuid NOT NULL,
    seen_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, directory_id, address, reason)
);
CREATE INDEX ignored_by_address ON rollcall.ignored (address);

ALTER TABLE rollcall.directory
    ADD COLUMN rejects_digest   bytea,                     -- of all that run rejected; NULL: nothing was kept yet
    ADD COLUMN rejects_left_out bigint NOT NULL DEFAULT 0; -- how many more there were than are kept

-- --- how an address is looked up --------------------------------------------------

-- What api.lookup answers, and how it came to that: the addresses tried in their order, the way that each is one of the
-- asked, and the place in both of the one that answered (NULL: none did). No search_path of its own: setting one for each
-- call would cost a tenth of a look-up, and both callers set it.
CREATE FUNCTION rollcall.resolve(
    asked text, OUT state text, OUT tenant_id integer, OUT tenant text, OUT domain_id integer,
    OUT tried text[], OUT ways text[], OUT place integer)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    at_sign integer := length(asked) - position('@' in reverse(asked)) + 1;
    local   text;
    name    text;
    owner   rollcall.domain;
    said    text;
    best    text;
BEGIN
    IF asked IS NULL OR position('@' in asked) = 0 THEN
        state := CASE WHEN lower(asked) = 'postmaster' THEN 'valid' ELSE 'not_authoritative' END;
        RETURN;
    END IF;
    local := normalize(lower(normalize(left(asked, at_sign - 1), NFC) COLLATE "und-x-icu"), NFC);
    name := rtrim(lower(normalize(substr(asked, at_sign + 1), NFC) COLLATE "und-x-icu"), '.');
    SELECT d.* INTO owner FROM rollcall.domain d
    WHERE (d.domain = name COLLATE "C" OR d.display = name COLLATE "C") AND d.removed_at IS NULL;
    IF NOT FOUND THEN
        state := 'not_authoritative';
        tried := ARRAY[local || '@' || name];
        ways := ARRAY['itself'];
        RETURN;
    END IF;
    domain_id := owner.domain_id;
    tenant_id := owner.tenant_id;
    SELECT t.tenant INTO tenant FROM rollcall.tenant t WHERE t.tenant_id = owner.tenant_id;
    tried := ARRAY[local || '@' || owner.domain];
    IF local = 'postmaster' THEN
        state := 'valid';
        ways := ARRAY['postmaster'];
        place := 1;
        RETURN;
    END IF;
    ways := ARRAY['itself'];
    IF owner.delimiter <> '' AND position(owner.delimiter in local) > 1 THEN
        tried := tried || (split_part(local, owner.delimiter, 1) || '@' || owner.domain);
        ways := ways || 'sub_address'::text;
    END IF;
    IF owner.alias_of IS NOT NULL THEN
        FOR this IN 1..cardinality(tried) LOOP
            tried := tried || (left(tried[this], -length(owner.domain)) || owner.alias_of);
            ways := ways || CASE this WHEN 1 THEN 'alias_domain' ELSE 'alias_domain_sub_address' END;
        END LOOP;
    END IF;
    FOR this IN 1..cardinality(tried) LOOP
        said := rollcall.state_of(owner.tenant_id, tried[this]);
        IF said = 'valid' OR (said IS NOT NULL AND best IS NULL) THEN
            best := said;
            place := this;
        END IF;
        EXIT WHEN said = 'valid';
    END LOOP;
    state := CASE WHEN best = 'valid' THEN 'valid'
                  WHEN owner.catch_all THEN 'catch_all'
                  WHEN best = 'grace' THEN 'grace'
                  WHEN rollcall.is_authoritative(owner) THEN 'unknown'
                  ELSE 'not_authoritative' END;
END
$$;

-- What SMTP asks: valid, grace, catch_all, unknown or not_authoritative, and whose it is.
-- The address is tried as it stands, without its sub-address, and each of these in the target of an alias domain.
CREATE OR REPLACE FUNCTION api.lookup(address text, OUT state text, OUT tenant text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT r.state, r.tenant INTO state, tenant FROM rollcall.resolve(address) r;
END
$$;

-- --- why -------------------------------------------------------------------------

-- The form under which a text that is no address is kept when it is rejected.
CREATE FUNCTION rollcall.text_asked_for(asked text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT translate(left(normalize(lower(normalize(btrim(asked, E' \t\r\n\u00a0'), NFC) COLLATE "und-x-icu"), NFC), 320), E'\t\n\r', '   ')
$$;

-- Every source that holds an address or held it, those that make it valid first.
CREATE FUNCTION rollcall.sources_of(asked_tenant integer, asked text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'directory', i.directory,
        'deleted', i.deleted_at IS NOT NULL,
        'hand', h.hand,
        'entry', CASE WHEN h.directory_id <> 0 THEN h.entry_id END,
        'kind', (ARRAY['mailbox', 'group', 'contact', 'public_folder'])[h.kind + 1],
        'primary', h.is_primary,
        'enabled', h.enabled,
        'name', h.name,
        'since', h.since,
        'step', coalesce(d.step, 'present'),
        'left_at', d.left_at,
        'grace_until', d.grace_until,
        'removed_at', d.removed_at,
        'decided', coalesce(d.decided, false),
        'approved', coalesce(d.approved, false)
    ) ORDER BY array_position(ARRAY['present', 'missing', 'grace', 'removed'], coalesce(d.step, 'present')),
        h.is_primary DESC, h.since, h.directory_id, h.entry_id), '[]')
    FROM rollcall.holding h
    LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
    LEFT JOIN rollcall.directory i ON i.directory_id = h.directory_id
    WHERE h.tenant_id = asked_tenant AND h.address = asked COLLATE "C"
$$;

-- What the last complete run of a tenant's directories (of all tenants' without one) read and did not take, the first 20.
CREATE FUNCTION rollcall.ignored_of(asked_tenant integer, asked text[]) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'tenant', g.tenant, 'directory', g.directory, 'address', g.address, 'reason', g.reason, 'entry', g.entry,
        'run', g.run_id, 'seen_at', g.seen_at, 'last_run', g.last_good_run, 'last_run_at', g.last_good_at
    ) ORDER BY g.tenant, g.directory, g.address, g.reason), '[]')
    FROM (
        SELECT t.tenant, i.directory, o.address, o.reason, o.entry, o.run_id, o.seen_at, i.last_good_run, i.last_good_at
        FROM rollcall.ignored o
        JOIN rollcall.directory i USING (tenant_id, directory_id)
        JOIN rollcall.tenant t USING (tenant_id)
        WHERE o.address = ANY (asked) AND (asked_tenant IS NULL OR o.tenant_id = asked_tenant)
            AND i.deleted_at IS NULL AND t.deleted_at IS NULL
        ORDER BY t.tenant, i.directory, o.address, o.reason LIMIT 20
    ) g
$$;

-- What the last complete apply run of each directory said of an address: shown, ignored, not_shown; not_read if there was none.
-- And what is in the way of the next.
CREATE FUNCTION rollcall.last_runs_of(asked_tenant integer, asked text, texts text[]) RETURNS jsonb
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
        'paused', i.paused,
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

-- What happens next to an address that every source lets go, one step a source; NULL if it simply stays as it is.
-- The times are those of the rules: two complete runs 30 minutes apart, the grace of the directory, 30 days.
CREATE FUNCTION rollcall.next_of(asked_tenant integer, asked text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH source AS (
        SELECT DISTINCT h.directory_id, d.step, d.left_at, d.grace_until, d.removed_at, d.decided, d.approved
        FROM rollcall.holding h
        LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
        WHERE h.tenant_id = asked_tenant AND h.address = asked COLLATE "C"
    ), going AS (
        SELECT s.*, i.directory, i.paused, i.next_sync_at, o.hold_id, o.version,
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

-- The last ten changes of an address, as the tenant's list saw it.
CREATE FUNCTION rollcall.history_of(asked_tenant integer, asked text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'at', w.at, 'change', w.change, 'directory', w.directory, 'run', w.run_id, 'by_command', w.command IS NOT NULL) ORDER BY w.at DESC), '[]')
    FROM (
        SELECT c.at, c.change, i.directory, c.run_id, c.command
        FROM rollcall.history c LEFT JOIN rollcall.directory i USING (directory_id)
        WHERE c.tenant_id = asked_tenant AND c.address = asked COLLATE "C"
        ORDER BY c.at DESC LIMIT 10
    ) w
$$;

-- A domain as it bears on an address: a tenant's own, or one that was taken off a tenant.
CREATE FUNCTION rollcall.domain_of(asked rollcall.domain) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object('domain', asked.domain, 'catch_all', asked.catch_all, 'alias_of', asked.alias_of, 'by_hand', asked.by_hand,
        'authoritative', asked.removed_at IS NULL AND rollcall.is_authoritative(asked), 'added_at', asked.added_at, 'removed_at', asked.removed_at,
        'restored_at', (SELECT max(restored_at) FROM rollcall.restore))
    WHERE asked.domain_id IS NOT NULL
$$;

-- Since when an address is in the state that look-ups tell, as far as a source says so.
CREATE FUNCTION rollcall.state_since(asked_tenant integer, asked text) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE rollcall.state_of(asked_tenant, asked)
        WHEN 'valid' THEN rollcall.valid_since(asked_tenant, asked)
        WHEN 'grace' THEN (SELECT max(c.at) FROM rollcall.history c
                           WHERE c.tenant_id = asked_tenant AND c.address = asked COLLATE "C" AND c.change = 'grace')
        ELSE (SELECT max(d.removed_at) FROM rollcall.departure d WHERE d.tenant_id = asked_tenant AND d.address = asked COLLATE "C")
    END
$$;

-- Why an address is valid or not: what api.lookup says of it, by which way and since when; every source; what the last complete run
-- of each directory said; what happens next and when; what was read and not taken; and its last changes.
-- What directories rejected is told of the tenant that has the domain (or had it last), of "of_tenant" if one is named, and of all
-- tenants where nobody has the domain.
CREATE FUNCTION api.why(
    asked text, of_tenant text DEFAULT NULL,
    OUT tenant text, OUT address text, OUT state text, OUT via text, OUT since timestamptz, OUT domain jsonb, OUT sources jsonb,
    OUT last_run jsonb, OUT next jsonb, OUT ignored jsonb, OUT history jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    looked  record;
    owner  rollcall.domain;
    reader integer;
    texts  text[];
    place  integer;
BEGIN
    SELECT r.* INTO looked FROM rollcall.resolve(asked) r;
    SELECT d.* INTO owner FROM rollcall.domain d WHERE d.domain_id = looked.domain_id;
    IF NOT FOUND AND looked.tried IS NOT NULL THEN
        SELECT d.* INTO owner FROM rollcall.domain d JOIN rollcall.tenant t USING (tenant_id)
        WHERE split_part(looked.tried[1], '@', -1) IN (d.domain, d.display) AND t.deleted_at IS NULL
        ORDER BY d.removed_at DESC LIMIT 1;
        looked.tried[1] := coalesce(left(looked.tried[1], -length(split_part(looked.tried[1], '@', -1))) || owner.domain, looked.tried[1]);
    END IF;
    SELECT t.tenant INTO tenant FROM rollcall.tenant t WHERE t.tenant_id = owner.tenant_id;
    -- what was held once says more than what was never known
    place := coalesce(looked.place, (
        SELECT min(n) FROM generate_subscripts(looked.tried, 1) n
        WHERE EXISTS (SELECT FROM rollcall.holding h WHERE h.tenant_id = owner.tenant_id AND h.address = looked.tried[n] COLLATE "C")));
    texts := looked.tried || rollcall.text_asked_for(asked);
    reader := CASE WHEN of_tenant IS NULL THEN owner.tenant_id
                   ELSE coalesce((SELECT t.tenant_id FROM rollcall.tenant t WHERE t.tenant = of_tenant COLLATE "C" AND t.deleted_at IS NULL), 0) END;
    state := looked.state;
    address := coalesce(looked.tried[coalesce(place, 1)], rollcall.text_asked_for(asked));
    via := CASE WHEN state = 'catch_all' THEN 'catch_all'
                WHEN looked.tried IS NULL AND state = 'valid' THEN 'postmaster'
                ELSE looked.ways[place] END;
    since := CASE WHEN via IS DISTINCT FROM 'catch_all' THEN rollcall.state_since(owner.tenant_id, address) END;
    domain := rollcall.domain_of(owner);
    sources := rollcall.sources_of(owner.tenant_id, address);
    last_run := rollcall.last_runs_of(reader, address, texts);
    next := rollcall.next_of(owner.tenant_id, address);
    ignored := rollcall.ignored_of(reader, texts);
    history := rollcall.history_of(owner.tenant_id, address);
END
$$;

-- --- roles ----------------------------------------------------------------------

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rollcall_run') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rollcall TO rollcall_run;
        GRANT EXECUTE ON FUNCTION api.why(text, text) TO rollcall_run;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rollcall_read') THEN
        GRANT EXECUTE ON FUNCTION api.why(text, text) TO rollcall_read;
    END IF;
END
$$;
