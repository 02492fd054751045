-- Every statement the worker sends, by name; parameters are written :so. One sentence each.

-- name: now
-- The time that decides, from one clock for all workers.
SELECT clock_timestamp() AS now

-- name: plan_for_many
-- In this transaction only: sort and hash in memory, and never join row by row. Statistics that have not seen a tenant yet promise
-- one row of it; a plan for one compares each of its hundred thousand with all of a temporary table, which has no index.
SELECT set_config('work_mem', '64MB', true), set_config('enable_nestloop', 'off', true)

-- name: plan_for_few
-- Back to joining row by row, for what is about one run: without it each row is found by reading a whole table of all tenants.
SELECT set_config('enable_nestloop', 'on', true)

-- ============================================================================
-- the one final transaction: stage, compare, judge, record
-- ============================================================================

-- name: make_stage
-- One row an address and entry of the snapshot; kept per connection, so that the catalog does not bloat.
CREATE TEMP TABLE IF NOT EXISTS stage (
    address    text COLLATE "C" NOT NULL,
    entry_id   uuid NOT NULL,
    kind       smallint NOT NULL,
    is_primary boolean NOT NULL,
    enabled    boolean NOT NULL,
    name       text
) ON COMMIT DELETE ROWS

-- name: make_diff
-- Where snapshot and store differ: n new, c changed in detail, g gone.
CREATE TEMP TABLE IF NOT EXISTS diff (
    side       "char" NOT NULL,
    address    text COLLATE "C" NOT NULL,
    entry_id   uuid NOT NULL,
    kind       smallint NOT NULL,
    is_primary boolean NOT NULL,
    enabled    boolean NOT NULL,
    name       text
) ON COMMIT DELETE ROWS

-- name: make_touched
-- One row an address of this directory that takes a step: what it was, what it becomes, what the tenant's list sees of it.
CREATE TEMP TABLE IF NOT EXISTS touched (
    address     text COLLATE "C" NOT NULL,
    was         text,             -- NULL: unknown to this directory; present, missing, grace, removed
    becomes     text NOT NULL,
    elsewhere   text,             -- the best that another source says: valid, grace, removed, NULL
    kind        smallint NOT NULL,
    is_primary  boolean NOT NULL,
    left_at     timestamptz,
    grace_until timestamptz,
    approved    boolean NOT NULL DEFAULT false,
    change      text              -- NULL: the tenant's list does not change
) ON COMMIT DELETE ROWS

-- name: make_undone
-- One row an address that the run to be undone had changed: what becomes of it, and how it stands.
CREATE TEMP TABLE IF NOT EXISTS undone (
    address    text COLLATE "C" NOT NULL,
    fate       text NOT NULL,
    was        text,              -- NULL: nothing of it is left
    elsewhere  text,
    kind       smallint,
    is_primary boolean
) ON COMMIT DELETE ROWS

-- name: make_rejected
-- One row a value that became no recipient, as far as they are kept.
CREATE TEMP TABLE IF NOT EXISTS rejected (
    address text COLLATE "C" NOT NULL,
    reason  text NOT NULL,
    entry   text NOT NULL
) ON COMMIT DELETE ROWS

-- name: ids_of_run
-- Where a run belongs, so that the locks can be taken in their order.
SELECT tenant_id, directory_id FROM rollcall.run WHERE run_id = :run_id

-- name: lock_tenant
-- First lock: serialises all that changes one tenant's recipients or takes its sequence numbers.
SELECT tenant, tier, rollcall.tier_of(reseller) AS reseller_tier, epoch, domain_revision, deleted_at IS NOT NULL AS is_deleted
FROM rollcall.tenant WHERE tenant_id = :tenant_id FOR NO KEY UPDATE

-- name: lock_directory
-- Second lock: the directory as it stands now, against a save or delete that came meanwhile.
SELECT directory, revision_in_force, revision_pending, digest, scope, applied_addresses, accepted_canaries, rejects_digest,
    CASE WHEN logins_run = last_good_run THEN logins_rule END AS logins_rule, -- else a run went by that did not look at logins
    deleted_at IS NOT NULL AS is_deleted,
    EXISTS (SELECT FROM rollcall.fleet_hold WHERE released_at IS NULL) AS fleet_is_held
FROM rollcall.directory WHERE tenant_id = :tenant_id AND directory_id = :directory_id FOR NO KEY UPDATE

-- name: lock_lease
-- Third lock: the fencing token; no row means that another worker holds the directory, and nothing is written.
SELECT 1 AS held FROM rollcall.lease
WHERE directory_id = :directory_id AND token = :token AND run_id = :run_id FOR NO KEY UPDATE

-- name: lock_run
-- The run's own row, with what was asked of it meanwhile.
SELECT state, cancel_reason, restarts FROM rollcall.run WHERE run_id = :run_id FOR NO KEY UPDATE

-- name: is_shared
-- Whether anything but this directory may hold addresses of the tenant (if not, nobody need be asked), and whether anything
-- is known of the tenant's addresses at all.
SELECT EXISTS (SELECT FROM rollcall.directory WHERE tenant_id = :tenant_id AND directory_id <> :directory_id)
    OR EXISTS (SELECT FROM rollcall.holding WHERE tenant_id = :tenant_id AND directory_id = 0) AS shared,
    EXISTS (SELECT FROM rollcall.holding WHERE tenant_id = :tenant_id)
    OR EXISTS (SELECT FROM rollcall.departure WHERE tenant_id = :tenant_id) AS known

-- name: analyze_stage
-- Autovacuum never looks at temporary tables; without this the planner guesses.
ANALYZE stage (address, entry_id)

-- name: analyze_diff
-- As above.
ANALYZE diff (address, side)

-- name: analyze_touched
-- As above: taken for a handful, a hundred thousand rows would be joined one by one.
ANALYZE touched

-- name: count_sides
-- How many rows differ in which way: a statement that would find none is not sent.
SELECT count(*) FILTER (WHERE side = 'n') AS fresh, count(*) FILTER (WHERE side = 'c') AS changed, count(*) FILTER (WHERE side = 'g') AS gone
FROM diff

-- name: fill_diff
-- One full join of snapshot and store; equal rows fall out here and cost nothing more.
INSERT INTO diff (side, address, entry_id, kind, is_primary, enabled, name)
SELECT CASE WHEN h.address IS NULL THEN 'n' WHEN s.address IS NULL THEN 'g' ELSE 'c' END,
    coalesce(s.address, h.address), coalesce(s.entry_id, h.entry_id), coalesce(s.kind, h.kind),
    coalesce(s.is_primary, h.is_primary), coalesce(s.enabled, h.enabled), CASE WHEN s.address IS NULL THEN h.name ELSE s.name END
FROM stage s
FULL JOIN (SELECT * FROM rollcall.holding WHERE tenant_id = :tenant_id AND directory_id = :directory_id) h
    ON h.address = s.address AND h.entry_id = s.entry_id
WHERE h.address IS NULL OR s.address IS NULL
   OR h.kind <> s.kind OR h.is_primary <> s.is_primary OR h.enabled <> s.enabled OR h.name IS DISTINCT FROM s.name

-- name: count_addresses
-- Distinct addresses of the snapshot.
SELECT count(*) AS addresses FROM (SELECT FROM stage GROUP BY address) AS once

-- name: touch_arrivals
-- Addresses that this directory never showed before.
INSERT INTO touched (address, was, becomes, elsewhere, kind, is_primary, change)
SELECT DISTINCT ON (f.address) f.address, NULL, 'present',
    CASE WHEN :shared THEN rollcall.state_elsewhere(:tenant_id, f.address, :directory_id) END, f.kind, f.is_primary, 'added'
FROM diff f
WHERE f.side = 'n' AND NOT EXISTS (
    SELECT FROM rollcall.holding h
    WHERE h.tenant_id = :tenant_id AND h.directory_id = :directory_id AND h.address = f.address)
ORDER BY f.address, f.is_primary DESC, f.kind, f.entry_id

-- name: touch_all
-- All of the snapshot, when nothing is known of the tenant yet: there is nothing to compare it with.
INSERT INTO touched (address, becomes, kind, is_primary, change)
SELECT DISTINCT ON (address) address, 'present', kind, is_primary, 'added'
FROM stage
ORDER BY address, is_primary DESC, kind, entry_id

-- name: touch_returns
-- Addresses on their way out that the snapshot shows again.
INSERT INTO touched (address, was, becomes, elsewhere, kind, is_primary)
SELECT DISTINCT ON (d.address) d.address, d.step, 'present',
    CASE WHEN :shared THEN rollcall.state_elsewhere(:tenant_id, d.address, :directory_id) END, s.kind, s.is_primary
FROM rollcall.departure d
JOIN stage s ON s.address = d.address
WHERE d.tenant_id = :tenant_id AND d.directory_id = :directory_id
ORDER BY d.address, s.is_primary DESC, s.kind, s.entry_id

-- name: touch_absent
-- Addresses that the directory held and the snapshot does not show, however far they are on their way out.
INSERT INTO touched (address, was, becomes, elsewhere, kind, is_primary, left_at, grace_until, approved)
SELECT DISTINCT ON (g.address) g.address, coalesce(d.step, 'present'), coalesce(d.step, 'missing'),
    CASE WHEN :shared THEN rollcall.state_elsewhere(:tenant_id, g.address, :directory_id) END,
    g.kind, g.is_primary, coalesce(d.left_at, :read_at), d.grace_until, coalesce(d.approved, false)
FROM diff g
LEFT JOIN rollcall.departure d
    ON d.tenant_id = :tenant_id AND d.directory_id = :directory_id AND d.address = g.address
WHERE g.side = 'g' AND NOT EXISTS (SELECT FROM stage s WHERE s.address = g.address)
    AND coalesce(d.step, 'present') <> 'removed' AND NOT coalesce(d.decided, false)
ORDER BY g.address, g.is_primary DESC, g.kind, g.entry_id

-- name: touch_departures
-- The same when the snapshot equals the last applied one: whoever was on the way out still is. One look-up each, for they are few.
INSERT INTO touched (address, was, becomes, elsewhere, kind, is_primary, left_at, grace_until, approved)
SELECT d.address, d.step, d.step,
    CASE WHEN :shared THEN rollcall.state_elsewhere(:tenant_id, d.address, :directory_id) END,
    best.kind, best.is_primary, d.left_at, d.grace_until, d.approved
FROM rollcall.departure d
CROSS JOIN LATERAL (
    SELECT h.kind, h.is_primary FROM rollcall.holding h
    WHERE h.tenant_id = :tenant_id AND h.directory_id = :directory_id AND h.address = d.address
    ORDER BY h.is_primary DESC, h.kind, h.entry_id LIMIT 1
) best
WHERE d.tenant_id = :tenant_id AND d.directory_id = :directory_id AND d.step IN ('missing', 'grace') AND NOT d.decided

-- name: count_leaving
-- For the guard: by domain, valid recipients of the tenant, what leaves it now, what left it in the window before, and what has been
-- in grace for longer than that; domains that only lost before count too, for the total. While a hold stands, who became valid since it began is left out
-- of the recipients: strangers that a held run let in must not make those who vanished look few.
WITH leaving AS (
    SELECT split_part(address, '@', 2) AS domain,
        count(*) FILTER (WHERE was IN ('present', 'missing') OR left_at > :window_from) AS leaving,
        count(*) FILTER (WHERE was = 'grace' AND left_at > :window_from) AS not_counted_as_valid,
        count(*) FILTER (WHERE was = 'grace' AND left_at <= :window_from) AS lingering,
        (array_agg(address ORDER BY address))[1:20] AS sample
    FROM touched
    WHERE becomes <> 'present' AND NOT approved AND elsewhere IS DISTINCT FROM 'valid'
    GROUP BY 1
), gone AS (
    SELECT split_part(d.address, '@', 2) AS domain, count(*) AS gone
    FROM rollcall.departure d
    WHERE d.tenant_id = :tenant_id AND d.directory_id = :directory_id AND d.step = 'removed'
        AND d.removed_at > :window_from AND NOT d.decided AND NOT d.approved
        AND NOT (:shared AND rollcall.state_elsewhere(:tenant_id, d.address, :directory_id) IS NOT DISTINCT FROM 'valid')
    GROUP BY 1
), newcomers AS (
    SELECT split_part(n.address, '@', 2) AS domain, count(*) AS newcomers
    FROM (
        SELECT h.address FROM rollcall.holding h
        LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
        WHERE :held_since::timestamptz IS NOT NULL AND h.tenant_id = :tenant_id AND coalesce(d.step, 'missing') = 'missing'
        GROUP BY h.address HAVING min(h.since) >= :held_since
    ) n
    WHERE NOT EXISTS (SELECT FROM touched t WHERE t.address = n.address AND t.becomes <> 'present')
    GROUP BY 1
)
SELECT j.domain, coalesce(m.recipients, 0) - coalesce(n.newcomers, 0) + coalesce(j.not_counted_as_valid, 0) AS recipients,
    coalesce(j.leaving, 0) AS leaving, coalesce(j.gone, 0) AS gone, coalesce(j.sample, '{}') AS sample,
    coalesce(j.lingering, 0) AS lingering
FROM (leaving FULL JOIN gone USING (domain)) AS j
LEFT JOIN newcomers n USING (domain)
LEFT JOIN rollcall.domain m ON m.domain = j.domain AND m.tenant_id = :tenant_id AND m.removed_at IS NULL
WHERE j.leaving > 0 OR j.gone > 0 OR j.lingering > 0
ORDER BY j.domain COLLATE "C"

-- name: count_discarded
-- Those still absent of a hold that a person discarded, also if its set has changed since; not those of whom only a login waited.
SELECT count(*) AS kept, coalesce((array_agg(t.address ORDER BY t.address))[1:20], '{}') AS sample
FROM touched t JOIN rollcall.change_set c ON c.set_id = :hold_id AND c.address = t.address AND NOT c.approved AND c.change <> 'deactivated'
WHERE t.becomes IN ('missing', 'grace') AND NOT t.approved AND t.elsewhere IS DISTINCT FROM 'valid'

-- name: count_replaced
-- What directories deleted lately held, in domains that are still the tenant's, and how much of it nobody shows now.
WITH departed AS (
    SELECT DISTINCT d.address
    FROM rollcall.departure d
    JOIN rollcall.directory i ON i.directory_id = d.directory_id AND i.deleted_at > :window_from
    JOIN rollcall.domain m ON m.tenant_id = :tenant_id AND m.domain = split_part(d.address, '@', 2) AND m.removed_at IS NULL
    WHERE d.tenant_id = :tenant_id AND d.decided
), missed AS (
    SELECT address FROM departed p
    WHERE NOT EXISTS (SELECT FROM stage s WHERE s.address = p.address)
        AND rollcall.state_elsewhere(:tenant_id, p.address, :directory_id) IS DISTINCT FROM 'valid'
)
SELECT (SELECT count(*) FROM departed) AS held, (SELECT count(*) FROM missed) AS missing,
    coalesce((SELECT (array_agg(address ORDER BY address))[1:20] FROM missed), '{}') AS sample

-- name: canaries_not_staged
-- Canaries that the snapshot does not show.
SELECT asked AS address FROM unnest(:canaries::text[]) AS asked
WHERE NOT EXISTS (SELECT FROM stage s WHERE s.address = asked COLLATE "C")

-- name: canaries_not_held
-- The same when the snapshot equals the last applied one.
SELECT asked AS address FROM unnest(:canaries::text[]) AS asked
WHERE NOT EXISTS (
    SELECT FROM rollcall.holding h
    WHERE h.tenant_id = :tenant_id AND h.directory_id = :directory_id AND h.address = asked COLLATE "C"
        AND NOT EXISTS (SELECT FROM rollcall.departure d WHERE (d.tenant_id, d.address, d.directory_id) = (h.tenant_id, h.address, h.directory_id)))

-- name: step_to_grace
-- Absent in two complete runs far enough apart, and nothing holds it back: grace begins.
UPDATE touched SET becomes = 'grace', grace_until = :now::timestamptz + :grace::interval
WHERE was = 'missing' AND becomes = 'missing' AND left_at <= :read_at::timestamptz - :apart::interval AND (approved OR NOT :held)

-- name: step_to_removed
-- A complete run after the grace ended: removed.
UPDATE touched SET becomes = 'removed'
WHERE was = 'grace' AND becomes = 'grace' AND grace_until <= :read_at AND (approved OR NOT :held)

-- name: name_changes
-- What the tenant's list as a whole sees of each step; nothing where another source still holds the address.
UPDATE touched SET change = CASE
    WHEN elsewhere = 'valid' THEN NULL
    WHEN becomes = 'present' THEN CASE WHEN was IS NULL AND elsewhere IS NULL THEN 'added' ELSE 'returned' END
    WHEN becomes = 'missing' AND was = 'present' THEN 'missing'
    WHEN becomes = 'grace' AND was = 'missing' THEN 'grace'
    WHEN becomes = 'removed' AND was = 'grace' AND elsewhere IS DISTINCT FROM 'grace' THEN 'removed'
END
WHERE elsewhere IS NOT NULL OR becomes <> 'present' OR was IS NOT NULL

-- name: count_changes
-- The counts of the outcome.
SELECT
    count(*) FILTER (WHERE change = 'added') AS added,
    count(*) FILTER (WHERE change = 'returned') AS returned,
    count(*) FILTER (WHERE change = 'missing') AS missing,
    count(*) FILTER (WHERE change = 'grace') AS grace,
    count(*) FILTER (WHERE change = 'removed') AS removed,
    count(*) FILTER (WHERE becomes IN ('missing', 'grace') AND NOT approved AND elsewhere IS DISTINCT FROM 'valid') AS waiting,
    count(change) AS changes
FROM touched

-- name: drop_replaced
-- Entries that gave an address up while another entry of the directory holds it.
DELETE FROM rollcall.holding h USING diff g
WHERE g.side = 'g' AND h.tenant_id = :tenant_id AND h.directory_id = :directory_id
    AND h.address = g.address AND h.entry_id = g.entry_id
    AND EXISTS (SELECT FROM stage s WHERE s.address = g.address)

-- name: change_details
-- New name, kind, primary or enabled of an entry that already held the address.
UPDATE rollcall.holding h SET kind = c.kind, is_primary = c.is_primary, enabled = c.enabled, name = c.name
FROM diff c
WHERE c.side = 'c' AND h.tenant_id = :tenant_id AND h.directory_id = :directory_id
    AND h.address = c.address AND h.entry_id = c.entry_id

-- name: insert_arrivals
-- New holders; an entry that a server gave twice is one. "since" is when the tenant's address became valid: the directory
-- may hold it by another entry already (before drop_replaced, which may end that one), or another source may.
INSERT INTO rollcall.holding (tenant_id, address, directory_id, entry_id, since, kind, is_primary, enabled, name)
SELECT DISTINCT ON (n.address, n.entry_id) :tenant_id, n.address, :directory_id, n.entry_id,
    CASE WHEN :shared OR NOT EXISTS (SELECT FROM touched t WHERE t.address = n.address AND t.was IS NULL)
         THEN coalesce(rollcall.valid_since(:tenant_id, n.address), :now) ELSE :now END,
    n.kind, n.is_primary, n.enabled, n.name
FROM diff n
WHERE n.side = 'n'
ORDER BY n.address, n.entry_id

-- name: insert_all
-- The same when nothing is known of the tenant yet.
INSERT INTO rollcall.holding (tenant_id, address, directory_id, entry_id, since, kind, is_primary, enabled, name)
SELECT DISTINCT ON (address, entry_id) :tenant_id, address, :directory_id, entry_id, :now, kind, is_primary, enabled, name
FROM stage
ORDER BY address, entry_id

-- name: end_departures
-- Who is back is on no way out.
DELETE FROM rollcall.departure d USING touched b
WHERE b.becomes = 'present' AND b.was IS NOT NULL
    AND d.tenant_id = :tenant_id AND d.directory_id = :directory_id AND d.address = b.address

-- name: adopt
-- What people let directories take over, and this one shows: the source by hand ends, kept like one removed for an undo.
INSERT INTO rollcall.departure AS d (tenant_id, address, directory_id, step, left_at, removed_at)
SELECT h.tenant_id, h.address, 0, 'removed', :now::timestamptz, :now::timestamptz
FROM rollcall.holding h
WHERE h.tenant_id = :tenant_id AND h.directory_id = 0 AND h.hand = 'adopt' AND EXISTS (SELECT FROM stage s WHERE s.address = h.address)
ON CONFLICT (tenant_id, address, directory_id) DO NOTHING

-- name: renew_since
-- Who is back from grace or removal is valid since now.
UPDATE rollcall.holding h SET since = :now
FROM touched b
WHERE b.becomes = 'present' AND b.change = 'returned' AND b.was IN ('grace', 'removed')
    AND h.tenant_id = :tenant_id AND h.directory_id = :directory_id AND h.address = b.address

-- name: write_departures
-- The steps taken on the way out.
INSERT INTO rollcall.departure AS d (tenant_id, address, directory_id, step, left_at, grace_until, removed_at, approved)
SELECT :tenant_id, o.address, :directory_id, o.becomes, o.left_at, o.grace_until,
    CASE o.becomes WHEN 'removed' THEN :now::timestamptz END, o.approved
FROM touched o
WHERE o.becomes <> 'present' AND o.becomes <> o.was
ON CONFLICT (tenant_id, address, directory_id) DO UPDATE
    SET step = excluded.step, grace_until = excluded.grace_until, removed_at = excluded.removed_at

-- name: write_history
-- One history row a change, naming the run.
INSERT INTO rollcall.history (at, tenant_id, directory_id, run_id, address, change)
SELECT :now, :tenant_id, :directory_id, :run_id, address, change FROM touched WHERE change IS NOT NULL

-- name: count_recipients
-- Keep the number of valid recipients of each domain, by kind too if what was touched tells all of that; and since when its list is
-- stable: much at once, and it is not.
UPDATE rollcall.domain m SET recipients = m.recipients + w.gained,
    kinds = CASE WHEN :kinds_follow THEN rollcall.add_kinds(CASE m.recipients WHEN 0 THEN '{}' ELSE m.kinds END, w.kinds) END,
    stable_since = CASE WHEN w.changes > greatest(:unstable_count::bigint, :unstable_share::float8 * m.recipients) THEN :now ELSE m.stable_since END
FROM (
    SELECT domain, sum(gained) AS gained, sum(changes) AS changes,
        jsonb_object_agg((ARRAY['mailbox', 'group', 'contact', 'public_folder'])[kind + 1], gained) AS kinds
    FROM (
        SELECT split_part(address, '@', 2) AS domain, kind,
            sum(CASE WHEN change = 'added' THEN 1
                     WHEN change = 'returned' AND was IS DISTINCT FROM 'missing' THEN 1
                     WHEN change = 'grace' THEN -1 ELSE 0 END) AS gained,
            count(*) AS changes
        FROM touched WHERE change IS NOT NULL GROUP BY 1, 2
    ) of_kind
    GROUP BY 1
) w
WHERE m.tenant_id = :tenant_id AND m.domain = w.domain AND m.removed_at IS NULL
    AND (w.gained <> 0 OR w.changes > greatest(:unstable_count::bigint, :unstable_share::float8 * m.recipients))

-- name: kinds_moved
-- Whether an address may be of another kind now without having come or gone: an entry has become another, or an
-- address got an entry more or less.
SELECT EXISTS (
    SELECT FROM diff c JOIN rollcall.holding h
        ON h.tenant_id = :tenant_id AND h.directory_id = :directory_id AND h.address = c.address AND h.entry_id = c.entry_id
    WHERE c.side = 'c' AND (h.kind, h.is_primary) <> (c.kind, c.is_primary))
    OR EXISTS (SELECT FROM diff g WHERE g.side = 'g' AND EXISTS (SELECT FROM stage s WHERE s.address = g.address))
    OR :fresh::bigint <> (SELECT count(*) FROM touched WHERE was IS NULL) AS moved

-- name: recount_kinds
-- What was touched does not tell how many there are of each kind.
UPDATE rollcall.domain SET kinds = NULL WHERE tenant_id = :tenant_id AND kinds IS NOT NULL

-- name: count_kinds
-- By kind, where that is wanted (a domain of the tenant has catch-all) and not counted yet: all of its domains at once.
UPDATE rollcall.domain m SET kinds = coalesce(k.kinds, '{}')
FROM rollcall.domain w
LEFT JOIN (
    SELECT domain, jsonb_object_agg((ARRAY['mailbox', 'group', 'contact', 'public_folder'])[kind + 1], addresses) AS kinds
    FROM (
        SELECT split_part(address, '@', 2) AS domain, kind, count(*) AS addresses
        FROM (
            SELECT h.address, min(CASE WHEN h.is_primary THEN 0 ELSE 4 END + h.kind) % 4 AS kind
            FROM rollcall.holding h
            WHERE h.tenant_id = :tenant_id AND coalesce((
                SELECT d.step FROM rollcall.departure d
                WHERE d.tenant_id = :tenant_id AND d.address = h.address AND d.directory_id = h.directory_id), 'missing') = 'missing'
            GROUP BY 1
        ) once
        GROUP BY 1, 2
    ) counted
    GROUP BY 1
) k ON k.domain = w.domain
WHERE m.domain_id = w.domain_id AND w.tenant_id = :tenant_id AND w.removed_at IS NULL AND w.kinds IS NULL

-- name: readiness
-- How far the lists of a tenant's domains with catch-all can be trusted; of an alias domain, that of its target.
SELECT d.domain, read.complete_runs, greatest(d.added_at, d.stable_since, a.stable_since) AS stable_since,
    d.recipients + coalesce(a.recipients, 0) AS addresses, read.automatic, CASE WHEN d.alias_of IS NULL THEN d.kinds ELSE a.kinds END AS kinds
FROM rollcall.domain d
LEFT JOIN rollcall.domain a ON a.tenant_id = d.tenant_id AND a.domain = d.alias_of AND a.removed_at IS NULL
CROSS JOIN (
    SELECT coalesce(min(i.complete_in_a_row), 0) AS complete_runs,
        coalesce(bool_and((v.settings -> 'schedule' ->> 'automatic')::boolean AND i.paused IS NULL AND i.plan_pause IS NULL), false) AS automatic
    FROM rollcall.directory i
    JOIN rollcall.directory_revision v ON v.directory_id = i.directory_id AND v.revision = i.revision_in_force
    WHERE i.tenant_id = :tenant_id AND i.deleted_at IS NULL
) read
WHERE d.tenant_id = :tenant_id AND d.removed_at IS NULL AND d.catch_all
ORDER BY d.domain

-- name: break_row
-- A run failed or was undone: complete ones are counted anew.
UPDATE rollcall.directory SET complete_in_a_row = 0 WHERE directory_id = :directory_id AND complete_in_a_row <> 0

-- name: report_readiness
-- How far the list of each domain of a tenant can be trusted.
SELECT domain, catch_all, automatic, complete_runs, stable_since, addresses, kinds FROM api.readiness WHERE tenant = :tenant ORDER BY domain

-- name: drop_ignored
-- What the directory rejected before, and does not now or in another entry.
DELETE FROM rollcall.ignored i
WHERE i.tenant_id = :tenant_id AND i.directory_id = :directory_id AND NOT EXISTS (
    SELECT FROM rejected r WHERE r.address = i.address AND r.reason = i.reason AND r.entry = i.entry)

-- name: keep_ignored
-- What it rejects now; of several entries with the same value the first by name.
INSERT INTO rollcall.ignored (tenant_id, directory_id, address, reason, entry, run_id, seen_at)
SELECT DISTINCT ON (address, reason) :tenant_id, :directory_id, address, reason, entry, :run_id, :now
FROM rejected ORDER BY address, reason, entry
ON CONFLICT (tenant_id, directory_id, address, reason) DO NOTHING

-- name: note_ignored
-- Which rejects are kept, and how many are not.
UPDATE rollcall.directory SET rejects_digest = :digest, rejects_left_out = :left_out WHERE directory_id = :directory_id

-- name: forget_ignored
-- A deleted directory's rejects: nobody asks for them any more.
DELETE FROM rollcall.ignored WHERE tenant_id = :tenant_id AND directory_id = :directory_id

-- name: take_sequence
-- The next numbers of the tenant, without gaps: the first of them.
UPDATE rollcall.tenant SET sequence = sequence + :count WHERE tenant_id = :tenant_id
RETURNING tenant, epoch, sequence - :count + 1 AS first

-- name: write_changed_events
-- All recipients.changed of a run, rendered in bulk; :per_part keeps each under 256 KiB whatever the addresses are.
INSERT INTO rollcall.outbox (event_id, tenant, type, routing_key, traceparent, body, created_at)
SELECT e.event_id, :tenant, 'rollcall.recipients.changed.v1', 'recipients.changed.' || :tenant, :traceparent,
    '{"specversion":"1.0","id":"' || e.event_id || '","source":"rollcall","type":"rollcall.recipients.changed.v1","subject":' ||
    to_json(:tenant::text) || ',"time":"' || to_char(:now::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"' ||
    coalesce(',"traceparent":' || to_json(:traceparent::text), '') ||
    ',"datacontenttype":"application/json","data":{"run":' || coalesce(to_json(:run_id::uuid)::text, 'null') ||
    ',"directory":' || coalesce(to_json(:directory::text)::text, 'null') ||
    ',"causes":' || :causes || ',"part":' || e.part + 1 || ',"parts":' || :parts::integer || ',"epoch":' || :epoch::integer ||
    ',"sequence":' || :first::bigint + e.part || ',"changes":[' || e.changes || ']}}',
    :now
FROM (
    SELECT gen_random_uuid() AS event_id, part,
        string_agg(
            '{"address":' || to_json(address) || ',"change":"' || change ||
            '","state":' || CASE becomes WHEN 'grace' THEN '"grace"' WHEN 'removed' THEN '"removed"' ELSE '"valid"' END ||
            ',"grace_until":' || CASE WHEN becomes = 'grace' THEN '"' || to_char(grace_until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || '"' ELSE 'null' END ||
            ',"kind":"' || (ARRAY['mailbox', 'group', 'contact', 'public_folder'])[kind + 1] ||
            '","primary":' || is_primary || '}', ',' ORDER BY ordinal) AS changes
    FROM (
        SELECT *, row_number() OVER (ORDER BY address) AS ordinal, (row_number() OVER (ORDER BY address) - 1) / :per_part::bigint AS part
        FROM touched WHERE change IS NOT NULL
    ) numbered
    GROUP BY part
) e
ORDER BY e.part
RETURNING number

-- name: write_event
-- One rendered event to the outbox.
INSERT INTO rollcall.outbox (event_id, tenant, type, routing_key, reply_to, correlation_id, traceparent, body, created_at)
VALUES (:event_id, :tenant, :type, :routing_key, :reply_to, :correlation_id, :traceparent, :body, :now)

-- ============================================================================
-- runs: claim, keep, end
-- ============================================================================

-- name: claim_runs
-- Due runs, manual first, then in turns: resellers, their tenants, a tenant's runs; one a directory. Caps count what runs
-- anywhere. A run is left to others (SKIP LOCKED, and then the next is looked at) or to later (its directory's lease
-- is held).
WITH busy AS (
    SELECT r.tenant_id, coalesce('r:' || t.reseller, 't:' || t.tenant_id) AS fair_key
    FROM rollcall.run r JOIN rollcall.tenant t USING (tenant_id)
    WHERE r.state = 'running'
), ready AS (
    SELECT DISTINCT ON (r.directory_id) r.run_id, r.directory_id, r.tenant_id, r.run_after, (r.trigger = 'scheduled') AS later,
        coalesce('r:' || t.reseller, 't:' || t.tenant_id) AS fair_key
    FROM rollcall.run r
    JOIN rollcall.tenant t USING (tenant_id)
    WHERE r.state = 'queued' AND r.run_after <= :now
        AND NOT EXISTS (SELECT FROM rollcall.lease l WHERE l.directory_id = r.directory_id AND l.expires_at > clock_timestamp())
    ORDER BY r.directory_id, (r.trigger = 'scheduled'), r.run_after, r.run_id
), of_tenants AS (
    SELECT ready.*, served.last_served_at AS tenant_served_at,
        row_number() OVER (PARTITION BY later, ready.tenant_id ORDER BY run_after, run_id) AS of_tenant
    FROM ready LEFT JOIN rollcall.turn served ON served.fair_key = 't:' || ready.tenant_id
), of_keys AS (
    SELECT of_tenants.*,
        row_number() OVER (PARTITION BY later, fair_key ORDER BY of_tenant, tenant_served_at NULLS FIRST, tenant_id) AS of_key
    FROM of_tenants
), chosen AS (
    SELECT of_keys.run_id, of_keys.fair_key,
        row_number() OVER (ORDER BY later, of_key, served.last_served_at NULLS FIRST, fair_key COLLATE "C") AS place
    FROM of_keys LEFT JOIN rollcall.turn served USING (fair_key)
    WHERE of_tenant + (SELECT count(*) FROM busy WHERE busy.tenant_id = of_keys.tenant_id) <= :per_tenant
        AND of_key + (SELECT count(*) FROM busy WHERE busy.fair_key = of_keys.fair_key) <= :per_reseller
)
SELECT r.run_id, r.directory_id, r.tenant_id, chosen.fair_key
FROM rollcall.run r JOIN chosen USING (run_id)
WHERE r.state = 'queued'
ORDER BY chosen.place
LIMIT :most
FOR NO KEY UPDATE OF r SKIP LOCKED

-- name: take_lease
-- The directory's lease under a new fencing token, unless somebody holds it.
INSERT INTO rollcall.lease AS l (directory_id, tenant_id, token, owner, run_id, expires_at)
VALUES (:directory_id, :tenant_id, 1, :owner, :run_id, clock_timestamp() + :length::interval)
ON CONFLICT (directory_id) DO UPDATE
    SET token = l.token + 1, owner = excluded.owner, run_id = excluded.run_id, expires_at = excluded.expires_at
    WHERE l.expires_at <= clock_timestamp()
RETURNING token

-- name: begin_run
-- The claimed run, with its settings as they stand: a manual run of a pending revision reads the pending one.
WITH begun AS (
    UPDATE rollcall.run r SET state = 'running', attempt = r.attempt + 1, started_at = coalesce(r.started_at, :now),
        revision = CASE WHEN r.pending THEN coalesce(i.revision_pending, i.revision_in_force, r.revision) ELSE coalesce(i.revision_in_force, r.revision) END
    FROM rollcall.directory i
    WHERE r.run_id = :run_id AND i.directory_id = r.directory_id
    RETURNING r.*, i.directory, i.paused, i.deleted_at, i.digest, i.applied_rows, i.applied_ignored,
        CASE WHEN i.rejects_digest IS NOT NULL THEN i.wire_digest END AS wire_digest, -- else what it rejects is still to be kept
        CASE WHEN i.logins_run = i.last_good_run THEN i.logins_rule END AS logins_rule
)
SELECT begun.run_id, begun.trigger, begun.mode, begun.attempt, begun.restarts, begun.revision, begun.queued_at, begun.directory, begun.paused,
    begun.traceparent, begun.run_after, begun.cancel_reason, t.tenant, t.tier, rollcall.tier_of(t.reseller) AS reseller_tier, t.domain_revision,
    begun.deleted_at IS NOT NULL OR t.deleted_at IS NOT NULL AS is_deleted,
    v.settings, v.password_sealed, v.client_key_sealed, v.saved_at,
    begun.digest, begun.wire_digest, begun.applied_rows, begun.applied_ignored, begun.logins_rule,
    ARRAY(SELECT command_id FROM rollcall.run_cause c WHERE c.run_id = begun.run_id ORDER BY number) AS causes,
    ARRAY(SELECT domain FROM rollcall.domain d WHERE d.tenant_id = begun.tenant_id AND d.removed_at IS NULL ORDER BY domain) AS domains
FROM begun
JOIN rollcall.tenant t USING (tenant_id)
JOIN rollcall.directory_revision v ON v.directory_id = begun.directory_id AND v.revision = begun.revision

-- name: serve_turns
-- Whose turn it was last; in one order, so that two workers never wait for each other.
INSERT INTO rollcall.turn (fair_key, last_served_at)
SELECT DISTINCT key, clock_timestamp() FROM unnest(:fair_keys::text[]) AS key ORDER BY key
ON CONFLICT (fair_key) DO UPDATE SET last_served_at = excluded.last_served_at

-- name: lazily
-- A renewal or a progress row lost in a crash costs nothing.
SET LOCAL synchronous_commit = off

-- name: renew_lease
-- Keep the lease; no row: it is lost, or the run was queued again because its lease had lapsed.
UPDATE rollcall.lease SET expires_at = clock_timestamp() + :length::interval
WHERE run_id = :run_id AND token = :token
    AND (SELECT state FROM rollcall.run WHERE run_id = :run_id) = 'running'
RETURNING (SELECT cancel_reason FROM rollcall.run WHERE run_id = :run_id) AS cancel_reason

-- name: tell_progress
-- How far a run has come, for those who look at it; its outcome replaces it.
UPDATE rollcall.run SET counts = jsonb_build_object('entries', :entries::bigint, 'addresses', :addresses::bigint) WHERE run_id = :run_id AND state = 'running'

-- name: end_lease
-- Give the lease back: it lapses now, its token stays.
UPDATE rollcall.lease SET expires_at = '-infinity' WHERE directory_id = :directory_id AND token = :token

-- name: queue_again
-- Hand a running run back to the queue; one already queued for the same takes its causes instead.
UPDATE rollcall.run SET state = 'queued', run_after = :run_after, restarts = restarts + :restarts, attempt = attempt - :unattempt
WHERE run_id = :run_id AND state = 'running'

-- name: find_queued
-- The queued run that a new request for the same joins.
SELECT run_id FROM rollcall.run
WHERE directory_id = :directory_id AND mode = :mode AND pending = :pending AND state = 'queued' FOR NO KEY UPDATE

-- name: find_twin
-- A queued run that stands for the same as this one, and who asked for this one.
SELECT q.run_id, r.trigger FROM rollcall.run r
JOIN rollcall.run q ON q.directory_id = r.directory_id AND q.mode = r.mode AND q.pending = r.pending AND q.state = 'queued'
WHERE r.run_id = :run_id AND q.run_id <> r.run_id
FOR NO KEY UPDATE OF q

-- name: move_causes
-- All causes of one run to another that stands for both.
WITH moved AS (DELETE FROM rollcall.run_cause WHERE run_id = :from_run RETURNING number, command_id)
INSERT INTO rollcall.run_cause (run_id, number, command_id) SELECT :to_run, number, command_id FROM moved ON CONFLICT DO NOTHING

-- name: drop_run
-- A run whose causes all went to another.
DELETE FROM rollcall.run WHERE run_id = :run_id

-- name: lapsed_runs
-- Runs whose worker is gone: running, and their lease has lapsed or belongs to another run. Takes no lock: each is
-- looked at again under the locks of an ending, taken in their order.
SELECT r.run_id, r.tenant_id, r.directory_id
FROM rollcall.run r
LEFT JOIN rollcall.lease l USING (directory_id)
WHERE r.state = 'running' AND (l.run_id IS DISTINCT FROM r.run_id OR l.expires_at <= clock_timestamp())
ORDER BY r.run_id LIMIT :most

-- name: lock_any_lease
-- Third lock, whoever holds it: a worker that is alive after all cannot renew meanwhile.
SELECT 1 AS held FROM rollcall.lease WHERE directory_id = :directory_id FOR NO KEY UPDATE

-- name: lock_lapsed
-- The run, if its worker is still gone.
SELECT r.crashes, r.cancel_reason, i.directory
FROM rollcall.run r
JOIN rollcall.directory i USING (directory_id)
LEFT JOIN rollcall.lease l USING (directory_id)
WHERE r.run_id = :run_id AND r.state = 'running' AND (l.run_id IS DISTINCT FROM r.run_id OR l.expires_at <= clock_timestamp())
FOR NO KEY UPDATE OF r

-- name: requeue_lapsed
-- What a dead worker left begins again, at once.
UPDATE rollcall.run SET state = 'queued', run_after = :now, crashes = crashes + 1, attempt = attempt - 1 WHERE run_id = :run_id

-- name: finish_run
-- The recorded outcome. A run that never began has no start.
UPDATE rollcall.run SET state = :state, finished_at = :now, verdict = :verdict, reasons = :reasons, counts = :counts,
    seconds = :seconds, finding = :finding, detail = :detail, hold_id = :hold_id, advice = :advice
WHERE run_id = :run_id
RETURNING trigger, mode, attempt, queued_at, started_at, traceparent

-- name: causes_of_run
-- Whom a run's outcome answers, and where each wants it besides the exchange.
SELECT c.number, c.command_id, m.reply_to, m.correlation_id
FROM rollcall.run_cause c LEFT JOIN rollcall.command m ON m.number = c.number
WHERE c.run_id = :run_id ORDER BY c.number

-- name: keep_outcome
-- What a command was answered, to be answered again.
INSERT INTO rollcall.command_outcome (number, event_id, type, routing_key, body)
SELECT :number, :event_id, :type, :routing_key, :body WHERE EXISTS (SELECT FROM rollcall.command WHERE number = :number)
ON CONFLICT DO NOTHING

-- name: reply_to_repeats
-- An answer to the queues that repeats of its command named.
INSERT INTO rollcall.outbox (event_id, tenant, type, routing_key, reply_to, correlation_id, traceparent, body, created_at)
SELECT :event_id, :tenant, :type, NULL, r.reply_to, r.correlation_id, :traceparent, :body, :now
FROM rollcall.command_reply r WHERE r.number = :number

-- name: apply_directory
-- The new baseline after an applied run; a held one keeps the old.
UPDATE rollcall.directory SET digest = :digest, wire_digest = :wire_digest, applied_rows = :rows, applied_ignored = :ignored, scope = :scope, applied_addresses = :addresses, applied_started_at = :read_at
WHERE directory_id = :directory_id

-- name: accept_canaries
-- The canaries whose absence a person accepted; who is seen again is awaited again.
UPDATE rollcall.directory SET accepted_canaries = :canaries WHERE directory_id = :directory_id AND accepted_canaries <> :canaries

-- name: note_scope
-- What a run read: the baseline to go back to when a later one is undone.
UPDATE rollcall.run SET scope = :scope WHERE run_id = :run_id

-- name: good_run
-- A complete apply run, held or not: its revision comes into force, older secrets are erased.
WITH d AS (
    UPDATE rollcall.directory SET last_good_run = :run_id, last_good_at = :now,
        certificate_until = :certificate_until, password_until = :password_until, complete_in_a_row = CASE WHEN :is_applied THEN complete_in_a_row + 1 ELSE 0 END,
        revision_in_force = CASE WHEN revision_pending = :revision THEN :revision ELSE revision_in_force END,
        revision_pending = CASE WHEN revision_pending = :revision THEN NULL ELSE revision_pending END
    WHERE directory_id = :directory_id
    RETURNING directory_id, revision_in_force, revision_pending
)
UPDATE rollcall.directory_revision v SET password_sealed = NULL, client_key_sealed = NULL
FROM d
WHERE v.directory_id = d.directory_id AND v.revision < d.revision_in_force AND v.revision IS DISTINCT FROM d.revision_pending
    AND (v.password_sealed IS NOT NULL OR v.client_key_sealed IS NOT NULL)

-- ============================================================================
-- holds
-- ============================================================================

-- name: open_hold
-- The directory's standing hold.
SELECT hold_id, version, since, reasons, discarded_version FROM rollcall.hold WHERE directory_id = :directory_id AND state = 'open' FOR NO KEY UPDATE

-- name: hold_differs
-- Whether what waits in the set of a standing hold is not what would be held now; and whether the set is to be written
-- anew: for that also those count who were approved before, and are back. Logins that waited do so no more where nobody looks after them.
WITH before AS (
    SELECT address, approved, change = 'deactivated' AS is_login FROM rollcall.change_set WHERE set_id = :hold_id
), after AS (
    SELECT address, approved, false AS is_login FROM touched WHERE becomes IN ('missing', 'grace') AND elsewhere IS DISTINCT FROM 'valid'
), differing AS (
    (TABLE before EXCEPT TABLE after) UNION ALL (TABLE after EXCEPT TABLE before)
)
SELECT count(*) FILTER (WHERE NOT approved) > 0 AS differs, count(*) > 0 AS is_old FROM differing

-- name: empty_set
-- A set that is written anew.
DELETE FROM rollcall.change_set WHERE set_id = :set_id

-- name: fill_hold_set
-- The exact addresses that wait for a person, and those on their way out that a person approved before.
INSERT INTO rollcall.change_set (set_id, tenant_id, address, change, kind, is_primary, approved)
SELECT :set_id, :tenant_id, address, 'removed', kind, is_primary, approved
FROM touched
WHERE becomes IN ('missing', 'grace') AND elsewhere IS DISTINCT FROM 'valid'

-- name: fill_preview_set
-- What a run would have changed.
INSERT INTO rollcall.change_set (set_id, tenant_id, address, change, kind, is_primary, expires_at)
SELECT :set_id, :tenant_id, address, change, kind, is_primary, :expires_at FROM touched WHERE change IS NOT NULL

-- name: write_hold
-- Open or refresh a hold.
INSERT INTO rollcall.hold AS o (hold_id, tenant_id, directory_id, version, since, run_id, reasons, state, scope, addresses, read_at, canaries)
VALUES (:hold_id, :tenant_id, :directory_id, :version, :now, :run_id, :reasons, 'open', :scope, :addresses, :read_at, :canaries)
ON CONFLICT (hold_id) DO UPDATE SET version = excluded.version, run_id = excluded.run_id, reasons = excluded.reasons,
    scope = excluded.scope, addresses = excluded.addresses, read_at = excluded.read_at, canaries = excluded.canaries

-- name: end_hold
-- Decided, or resolved by a snapshot that no longer trips the guard: there is nothing left to wait for.
WITH o AS (
    UPDATE rollcall.hold SET state = 'ended', ended_at = :now, ended_how = :how WHERE directory_id = :directory_id AND state = 'open' RETURNING hold_id
)
DELETE FROM rollcall.change_set c WHERE c.set_id = ANY(ARRAY(SELECT hold_id FROM o))

-- name: find_hold
-- A hold of a tenant, and its directory, locked.
SELECT o.hold_id, o.directory_id, i.directory, o.version, o.state, o.ended_how, o.discarded_version
FROM rollcall.hold o JOIN rollcall.directory i USING (directory_id)
WHERE o.tenant_id = :tenant_id AND o.hold_id = :hold_id FOR NO KEY UPDATE OF i, o

-- name: removals_of_directory
-- How departures of a directory are treated, by the settings in force.
SELECT v.settings FROM rollcall.directory i
JOIN rollcall.directory_revision v ON v.directory_id = i.directory_id AND v.revision = coalesce(i.revision_in_force, i.revision_pending)
WHERE i.directory_id = :directory_id

-- name: touch_approved
-- The addresses of a hold's set that are still on their way out of its directory: who was missing enters grace now.
-- Not those of whom only a login waited: a word on a login is none on the address of that name, missing here and held elsewhere.
WITH others AS (
    SELECT h.address, CASE WHEN bool_or(d.step IS NULL OR d.step = 'missing') THEN 'valid'
                           WHEN bool_or(d.step = 'grace') THEN 'grace'
                           WHEN bool_or(d.step = 'removed') THEN 'removed' END AS elsewhere
    FROM rollcall.holding h LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
    WHERE h.tenant_id = :tenant_id AND h.directory_id <> :directory_id
    GROUP BY 1
)
INSERT INTO touched (address, was, becomes, elsewhere, kind, is_primary, left_at, grace_until, approved)
SELECT c.address, d.step, 'grace', o.elsewhere, c.kind, c.is_primary,
    d.left_at, coalesce(d.grace_until, :now::timestamptz + :grace::interval), true
FROM rollcall.change_set c
JOIN rollcall.departure d ON d.tenant_id = :tenant_id AND d.directory_id = :directory_id AND d.address = c.address
LEFT JOIN others o ON o.address = c.address
WHERE c.set_id = :hold_id AND NOT c.approved AND c.change <> 'deactivated' AND d.step IN ('missing', 'grace') AND NOT d.decided

-- name: approve_departures
-- They go on by themselves, under whatever hold comes later.
UPDATE rollcall.departure d SET step = a.becomes, grace_until = a.grace_until, approved = true
FROM touched a
WHERE d.tenant_id = :tenant_id AND d.directory_id = :directory_id AND d.address = a.address

-- name: accept_baseline
-- What the approved hold's last run read is what the next one is measured by: snapshot, scope, and who was not found.
UPDATE rollcall.directory i SET scope = coalesce(o.scope, i.scope), applied_addresses = coalesce(o.addresses, i.applied_addresses),
    applied_started_at = coalesce(o.read_at, i.applied_started_at),
    accepted_canaries = ARRAY(SELECT unnest(i.accepted_canaries) UNION SELECT unnest(o.canaries) ORDER BY 1)
FROM rollcall.hold o
WHERE o.hold_id = :hold_id AND i.directory_id = o.directory_id

-- name: discard_hold
-- Nobody wants to hear of this set again.
UPDATE rollcall.hold SET discarded_version = version WHERE hold_id = :hold_id

-- name: count_set
-- How many addresses wait in a set.
SELECT count(*) AS waiting FROM rollcall.change_set WHERE set_id = :set_id AND NOT approved

-- ============================================================================
-- undo
-- ============================================================================

-- name: find_run_to_undo
-- A run of a tenant, and its directory, locked.
SELECT r.run_id, r.directory_id, i.directory, r.state, r.mode, r.finished_at, i.paused, r.undone_at IS NOT NULL AS is_undone, i.deleted_at IS NOT NULL AS is_deleted
FROM rollcall.run r JOIN rollcall.directory i USING (directory_id)
WHERE r.tenant_id = :tenant_id AND r.run_id = :run_id FOR NO KEY UPDATE OF i, r

-- name: fill_undone
-- What becomes of each address that the run had changed: the rule of domain.undo. In sets: it may be a whole first sync.
WITH changed AS (
    SELECT DISTINCT address, change FROM rollcall.history WHERE tenant_id = :tenant_id AND run_id = :run_id AND at = :at
), here AS (
    SELECT DISTINCT ON (address) address, kind, is_primary FROM rollcall.holding
    WHERE tenant_id = :tenant_id AND directory_id = :directory_id
    ORDER BY address, is_primary DESC, kind, entry_id
), others AS (
    SELECT h.address, CASE WHEN bool_or(d.step IS NULL OR d.step = 'missing') THEN 'valid'
                           WHEN bool_or(d.step = 'grace') THEN 'grace'
                           WHEN bool_or(d.step = 'removed') THEN 'removed' END AS elsewhere
    FROM rollcall.holding h LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
    WHERE h.tenant_id = :tenant_id AND h.directory_id <> :directory_id
    GROUP BY 1
)
INSERT INTO undone (address, fate, was, elsewhere, kind, is_primary)
SELECT c.address,
    CASE WHEN c.change IN ('missing', 'grace', 'removed') THEN
             CASE WHEN h.kind IS NULL THEN 'forgotten' WHEN d.decided THEN 'decided' WHEN d.step IS NULL THEN 'came_back' ELSE 'given_back' END
         WHEN h.kind IS NULL OR d.step IS NOT NULL THEN 'left_since'
         WHEN o.elsewhere = 'valid' THEN 'held_elsewhere'
         ELSE 'leaving' END,
    CASE WHEN h.kind IS NOT NULL THEN coalesce(d.step, 'present') END, o.elsewhere, h.kind, h.is_primary
FROM changed c
LEFT JOIN here h USING (address)
LEFT JOIN others o USING (address)
LEFT JOIN rollcall.departure d ON d.tenant_id = :tenant_id AND d.directory_id = :directory_id AND d.address = c.address

-- name: count_undone
-- How many met which fate, and the first of them.
SELECT fate, count(*) AS addresses, (array_agg(address ORDER BY address))[1:20] AS sample FROM undone GROUP BY fate

-- name: touch_undone
-- The steps of an undo: given back is present again; what is let go is missing from now on, and still valid.
INSERT INTO touched (address, was, becomes, elsewhere, kind, is_primary, left_at)
SELECT address, was, CASE fate WHEN 'given_back' THEN 'present' ELSE 'missing' END, elsewhere, kind, is_primary,
    CASE fate WHEN 'leaving' THEN :now::timestamptz END
FROM undone WHERE fate IN ('given_back', 'leaving')

-- name: touch_adopted
-- What the run took over from "by hand" people hold again.
INSERT INTO touched (address, was, becomes, elsewhere, kind, is_primary)
SELECT d.address, 'removed', 'present', rollcall.state_elsewhere(:tenant_id, d.address, 0), h.kind, h.is_primary
FROM rollcall.departure d JOIN rollcall.holding h USING (tenant_id, address, directory_id)
WHERE d.tenant_id = :tenant_id AND d.directory_id = 0 AND d.step = 'removed' AND NOT d.decided AND d.removed_at = :at

-- name: drop_from_hold
-- Who was given back waits in no hold; that an address is back says nothing of a login of that name.
DELETE FROM rollcall.change_set c USING touched t, rollcall.hold o
WHERE o.directory_id = :directory_id AND o.state = 'open' AND c.set_id = o.hold_id AND t.becomes = 'present' AND c.address = t.address AND c.change <> 'deactivated'

-- name: drop_logins_from_hold
-- Nor does a login whose end an undo brought about itself.
DELETE FROM rollcall.change_set c USING rollcall.hold o
WHERE o.directory_id = :directory_id AND o.state = 'open' AND c.set_id = o.hold_id AND c.change = 'deactivated'
    AND NOT EXISTS (
        SELECT FROM rollcall.login l
        WHERE l.tenant_id = o.tenant_id AND l.username = c.address AND l.directory_id = o.directory_id AND l.state = 'active')

-- name: renumber_hold
-- A hold whose set was changed by an undo: another version.
UPDATE rollcall.hold SET version = version + 1 WHERE directory_id = :directory_id AND state = 'open' RETURNING hold_id

-- name: mark_undone
-- A run is undone once.
UPDATE rollcall.run SET undone_at = :now WHERE run_id = :run_id

-- name: await_canaries
-- Whom the hold of an undone run did not show: that a person accepted it is void with the run, and they are awaited again.
UPDATE rollcall.directory i
SET accepted_canaries = ARRAY(SELECT unnest(i.accepted_canaries) EXCEPT SELECT unnest(o.canaries) ORDER BY 1)
FROM rollcall.run r JOIN rollcall.hold o USING (hold_id)
WHERE r.run_id = :run_id AND i.directory_id = r.directory_id

-- name: restore_baseline
-- If the undone run was the last that counted, what counts is the last applied run before it that stands.
UPDATE rollcall.directory i SET scope = b.scope, applied_addresses = b.addresses, applied_started_at = b.started_at
FROM (SELECT directory_id, finished_at FROM rollcall.run WHERE run_id = :run_id) r
LEFT JOIN LATERAL (
    SELECT p.scope, (p.counts ->> 'addresses')::bigint AS addresses, p.started_at FROM rollcall.run p
    WHERE p.tenant_id = :tenant_id AND p.directory_id = r.directory_id AND p.mode = 'apply' AND p.state = 'completed'
        AND p.undone_at IS NULL AND p.finished_at < r.finished_at
    ORDER BY p.finished_at DESC LIMIT 1
) b ON true
WHERE i.directory_id = r.directory_id AND NOT EXISTS (
    SELECT FROM rollcall.run later
    WHERE later.tenant_id = :tenant_id AND later.directory_id = r.directory_id AND later.mode = 'apply' AND later.state = 'completed'
        AND later.undone_at IS NULL AND later.finished_at > r.finished_at)
    AND NOT EXISTS ( -- nor has a person approved a later one, which counts since then
    SELECT FROM rollcall.hold o JOIN rollcall.run held ON held.run_id = o.run_id
    WHERE o.directory_id = r.directory_id AND o.ended_how = 'approved' AND o.ended_at > r.finished_at AND held.undone_at IS NULL)

-- ============================================================================
-- quarantine logins, where a directory asks for them
-- ============================================================================

-- name: make_ending
-- One row an active login that the snapshot gives no right to any more; "counted": nothing else of its person is counted as leaving.
CREATE TEMP TABLE IF NOT EXISTS ending (
    login_id uuid NOT NULL,
    username text COLLATE "C" NOT NULL,
    counted  boolean NOT NULL
) ON COMMIT DELETE ROWS

-- name: make_login_candidate
-- Entries whose login may not be what it should be.
CREATE TEMP TABLE IF NOT EXISTS login_candidate (
    entry_id uuid NOT NULL
) ON COMMIT DELETE ROWS

-- name: make_login_shown
-- The valid addresses of these.
CREATE TEMP TABLE IF NOT EXISTS login_shown (
    address    text COLLATE "C" NOT NULL,
    entry_id   uuid NOT NULL,
    kind       smallint NOT NULL,
    is_primary boolean NOT NULL,
    enabled    boolean NOT NULL,
    present    boolean NOT NULL   -- else missing: valid, and on its way out
) ON COMMIT DELETE ROWS

-- name: make_login_entry
-- One row each of these that has a login or is to have one: what it has, and what it is to be.
CREATE TEMP TABLE IF NOT EXISTS login_entry (
    entry_id     uuid NOT NULL,
    login_id     uuid NOT NULL,
    was_username text COLLATE "C",          -- NULL: to be created
    was_state    text,
    was_role     text,
    taken_over   boolean NOT NULL,          -- from "by hand" or a deleted directory
    leads        boolean NOT NULL,          -- of a kind that is wanted, with a valid address
    addresses    bigint NOT NULL,
    becomes      text NOT NULL,             -- active, deactivated
    reason       text,
    claim        text COLLATE "C",          -- the user name it is to have; NULL: the one it has
    conflict     text,                      -- why it does not get it
    holder       uuid,                      -- the login that has it
    readdressed  boolean NOT NULL DEFAULT false
) ON COMMIT DELETE ROWS

-- name: make_login_step
-- One row a login that was changed: what it was.
CREATE TEMP TABLE IF NOT EXISTS login_step (
    login_id     uuid NOT NULL,
    change       text NOT NULL,
    was_username text COLLATE "C",
    was_state    text
) ON COMMIT DELETE ROWS

-- name: fill_ending
-- Active logins whose entry the snapshot shows as disabled, or of a kind not asked for, or not at all although other entries, or other
-- sources, have its addresses now. Who is gone with an address goes by that address, as long as it waits itself; one in grace since the window
-- began still stands for its person among those counted, and one that was let go by a person or is removed explains nothing any more.
WITH shown AS (
    SELECT entry_id, bool_or(enabled) AS enabled, min(kind) AS kind FROM stage GROUP BY entry_id
), leaving AS (
    SELECT h.entry_id, bool_or(t.becomes = 'missing') AS goes_by_it FROM touched t
    JOIN rollcall.holding h ON h.tenant_id = :tenant_id AND h.directory_id = :directory_id AND h.address = t.address
    WHERE (t.becomes = 'missing' OR (t.becomes = 'grace' AND t.left_at > :window_from)) AND NOT t.approved AND t.elsewhere IS DISTINCT FROM 'valid'
    GROUP BY 1
)
INSERT INTO ending (login_id, username, counted)
SELECT l.login_id, l.username, g.entry_id IS NULL
FROM rollcall.login l
LEFT JOIN shown s USING (entry_id)
LEFT JOIN leaving g USING (entry_id)
WHERE l.directory_id = :directory_id AND l.state = 'active'
    AND ((s.entry_id IS NULL AND g.goes_by_it IS NOT TRUE) OR NOT s.enabled OR NOT s.kind = ANY(:kinds::smallint[]))

-- name: count_ending
-- For the guard, by the domain of the user name: logins that would be deactivated now, and those that runs deactivated in the window
-- before, as far as they are not counted by an address that left.
WITH leaving AS (
    SELECT split_part(username, '@', 2) AS domain, count(*) AS leaving, (array_agg(username ORDER BY username))[1:20] AS sample
    FROM ending WHERE counted GROUP BY 1
), gone AS (
    SELECT split_part(l.username, '@', 2) AS domain, count(*) AS gone
    FROM rollcall.login l
    WHERE l.directory_id = :directory_id AND l.state = 'deactivated' AND l.reason IN ('disabled', 'not_wanted', 'gone')
        AND l.since > :window_from AND NOT l.approved
        AND NOT EXISTS (SELECT FROM touched t WHERE t.address = l.username AND t.becomes <> 'present' AND t.elsewhere IS DISTINCT FROM 'valid')
        AND NOT EXISTS (SELECT FROM rollcall.departure d
                        WHERE d.tenant_id = :tenant_id AND d.directory_id = :directory_id AND d.address = l.username
                            AND rollcall.state_elsewhere(:tenant_id, d.address, :directory_id) IS DISTINCT FROM 'valid')
    GROUP BY 1
)
SELECT j.domain, coalesce(m.recipients, 0) AS recipients, coalesce(j.leaving, 0) AS leaving, coalesce(j.gone, 0) AS gone,
    coalesce(j.sample, '{}') AS sample
FROM (leaving FULL JOIN gone USING (domain)) AS j
LEFT JOIN rollcall.domain m ON m.domain = j.domain AND m.tenant_id = :tenant_id AND m.removed_at IS NULL
ORDER BY j.domain COLLATE "C"

-- name: count_discarded_logins
-- Those that would still be deactivated of a hold that a person discarded, also if it was the address that waited then and is not absent now.
SELECT count(*) AS kept, coalesce((array_agg(e.username ORDER BY e.username))[1:20], '{}') AS sample
FROM ending e JOIN rollcall.change_set c ON c.set_id = :hold_id AND c.address = e.username AND NOT c.approved
WHERE c.change = 'deactivated' OR NOT EXISTS (
    SELECT FROM touched t
    WHERE t.address = e.username AND t.becomes IN ('missing', 'grace') AND NOT t.approved AND t.elsewhere IS DISTINCT FROM 'valid')

-- name: count_ending_only
-- Of the logins that wait, those whose user name does not wait as an address.
SELECT count(*) AS waiting FROM ending e
WHERE NOT EXISTS (
    SELECT FROM touched t
    WHERE t.address = e.username AND t.becomes IN ('missing', 'grace') AND NOT t.approved AND t.elsewhere IS DISTINCT FROM 'valid')

-- name: hold_differs_with_logins
-- As hold_differs, with the logins that wait: an address that came back, or was approved, of which only a login waits now, is another set.
WITH before AS (
    SELECT address, approved, change = 'deactivated' AS is_login FROM rollcall.change_set WHERE set_id = :hold_id
), leaving AS (
    SELECT address, approved FROM touched WHERE becomes IN ('missing', 'grace') AND elsewhere IS DISTINCT FROM 'valid'
), after AS (
    SELECT address, approved, false AS is_login FROM leaving l WHERE NOT (l.approved AND EXISTS (SELECT FROM ending e WHERE e.username = l.address))
    UNION ALL SELECT username, false, true FROM ending e WHERE NOT EXISTS (SELECT FROM leaving l WHERE l.address = e.username AND NOT l.approved)
), differing AS (
    (TABLE before EXCEPT TABLE after) UNION ALL (TABLE after EXCEPT TABLE before)
)
SELECT count(*) FILTER (WHERE NOT approved) > 0 AS differs, count(*) > 0 AS is_old FROM differing

-- name: fill_hold_logins
-- The logins that wait for a person with it, by their user names. Where the address of that name waits as well that one line is for both; one
-- that was approved before needs no line of its own.
INSERT INTO rollcall.change_set AS c (set_id, tenant_id, address, change, kind, is_primary)
SELECT :set_id, :tenant_id, username, 'deactivated', 0, true FROM ending
ON CONFLICT (set_id, address) DO UPDATE SET change = excluded.change, kind = excluded.kind, is_primary = excluded.is_primary, approved = false
WHERE c.approved

-- name: all_login_candidates
-- Every entry that is there, or has a login.
INSERT INTO login_candidate (entry_id)
SELECT entry_id FROM rollcall.holding WHERE tenant_id = :tenant_id AND directory_id = :directory_id
UNION SELECT entry_id FROM rollcall.login WHERE directory_id = :directory_id

-- name: changed_login_candidates
-- Entries of which a run changed something, and those that did not get what they claim.
INSERT INTO login_candidate (entry_id)
SELECT entry_id FROM diff
UNION SELECT h.entry_id FROM touched t
    JOIN rollcall.holding h ON h.tenant_id = :tenant_id AND h.directory_id = :directory_id AND h.address = t.address
    WHERE t.becomes IS DISTINCT FROM t.was
UNION SELECT entry_id FROM rollcall.login_conflict WHERE tenant_id = :tenant_id AND directory_id = :directory_id

-- name: analyze_login_candidate
-- As for the other temporary tables: without it the planner guesses.
ANALYZE login_candidate

-- name: fill_login_shown
-- Their valid addresses.
INSERT INTO login_shown (address, entry_id, kind, is_primary, enabled, present)
SELECT h.address, h.entry_id, h.kind, h.is_primary, h.enabled, d.step IS NULL
FROM login_candidate c
JOIN rollcall.holding h ON h.tenant_id = :tenant_id AND h.directory_id = :directory_id AND h.entry_id = c.entry_id
LEFT JOIN rollcall.departure d ON d.tenant_id = :tenant_id AND d.directory_id = :directory_id AND d.address = h.address
WHERE coalesce(d.step, 'missing') = 'missing'

-- name: analyze_login_shown
-- As above.
ANALYZE login_shown

-- name: fill_login_entries
-- The rule of domain.logins, first half: who has a login or is to have one, whether it is active, and by which name. The primary address is the
-- one that the directory calls so; of several the one that is the user name already, else the first by its bytes; without any all are asked.
-- Where it is not told, but guessed, the user name stays as long as it is shown.
-- A login is known by its entry's id, also one that the same entry had in a directory that is deleted, or that stayed by hand.
-- One whose end waits in a hold keeps its name: that is what it waits by. Who is not active becomes so by being shown: what is missing was not.
WITH own AS (
    SELECT DISTINCT ON (c.entry_id) c.entry_id, l.login_id, l.username, l.state, l.role, l.directory_id <> :directory_id AS taken_over
    FROM login_candidate c
    JOIN rollcall.login l ON l.tenant_id = :tenant_id AND l.entry_id = c.entry_id
    LEFT JOIN rollcall.directory i ON i.tenant_id = :tenant_id AND i.directory_id = l.directory_id
    WHERE l.directory_id IN (:directory_id, 0) OR i.deleted_at IS NOT NULL
    ORDER BY c.entry_id, (l.directory_id = :directory_id) DESC, (l.state = 'active') DESC, l.since DESC, l.login_id
), seen AS (
    SELECT s.entry_id, bool_or(s.present) AS present, count(*) AS addresses,
        coalesce(min(s.kind) FILTER (WHERE s.present), min(s.kind)) AS kind,
        coalesce(bool_or(s.enabled) FILTER (WHERE s.present), bool_or(s.enabled)) AS enabled,
        substr(min(CASE WHEN NOT s.is_primary AND :told THEN '1' ELSE '0' END || CASE WHEN s.address = o.username THEN '0' ELSE '1' END
            || CASE WHEN s.is_primary THEN '0' ELSE '1' END || s.address) FILTER (WHERE s.present), 4) AS claim
    FROM login_shown s LEFT JOIN own o USING (entry_id)
    GROUP BY s.entry_id
), judged AS (
    SELECT entry_id, o.login_id, o.username, o.state, o.role, o.taken_over, coalesce(s.present, false) AS present, s.claim,
        coalesce(s.addresses, 0) AS addresses, s.kind IS NOT NULL AND s.kind = ANY(:kinds::smallint[]) AS leads,
        CASE WHEN s.kind IS NULL THEN 'gone' WHEN NOT s.kind = ANY(:kinds::smallint[]) THEN 'not_wanted' WHEN NOT s.enabled THEN 'disabled' END AS reason
    FROM own o FULL JOIN seen s USING (entry_id)
)
INSERT INTO login_entry (entry_id, login_id, was_username, was_state, was_role, taken_over, leads, addresses, becomes, reason, claim)
SELECT entry_id, coalesce(login_id, gen_random_uuid()), username, state, role, coalesce(taken_over, false), leads, addresses,
    CASE WHEN reason IS NULL AND (present OR state = 'active') THEN 'active'
         WHEN state = 'active' AND (NOT :deactivates OR :held) THEN 'active'
         ELSE 'deactivated' END,
    reason, CASE WHEN present AND leads AND (claim IS DISTINCT FROM username OR state = 'released')
            AND NOT (:held AND :deactivates AND state IS NOT DISTINCT FROM 'active' AND reason IS NOT NULL) THEN claim END
FROM judged
WHERE (login_id IS NOT NULL OR (present AND reason IS NULL)) AND NOT (taken_over IS TRUE AND reason IS NOT NULL)

-- name: analyze_login_entry
-- As above.
ANALYZE login_entry

-- name: drop_lost_addresses
-- What an entry does not show any more leads to its login no longer.
WITH gone AS (
    DELETE FROM rollcall.login_address a USING login_entry e
    WHERE a.tenant_id = :tenant_id AND a.login_id = e.login_id
        AND NOT (e.leads AND EXISTS (SELECT FROM login_shown s WHERE s.entry_id = e.entry_id AND s.address = a.address))
    RETURNING a.login_id
)
UPDATE login_entry e SET readdressed = true FROM (SELECT DISTINCT login_id FROM gone) g WHERE e.login_id = g.login_id

-- name: release_names
-- A name that someone claims and that belonged to somebody who has been gone for long enough: the old login gives it up.
WITH freed AS (
    UPDATE rollcall.login u SET state = 'released', since = :now
    FROM login_entry e
    WHERE u.tenant_id = :tenant_id AND u.username = e.claim AND u.login_id <> e.login_id
        AND u.state = 'deactivated' AND u.directory_id <> 0 AND u.since <= :now::timestamptz - :kept::interval
        AND NOT EXISTS (SELECT FROM rollcall.login_address a WHERE a.login_id = u.login_id)
        AND NOT EXISTS (SELECT FROM login_entry x WHERE x.login_id = u.login_id AND x.becomes = 'active')
    RETURNING u.login_id, u.username
), told AS (
    DELETE FROM login_entry x USING freed WHERE x.login_id = freed.login_id
)
INSERT INTO login_step (login_id, change, was_username, was_state) SELECT DISTINCT login_id, 'released', username, 'deactivated' FROM freed

-- name: name_conflicts
-- Who does not get the name it claims: nobody takes one that another login has, or an address that leads to another; of two that
-- claim one at once neither gets it.
WITH shared AS (
    SELECT s.address FROM login_shown s JOIN login_entry e USING (entry_id) WHERE e.leads AND s.present GROUP BY s.address HAVING count(*) > 1
), found AS (
    SELECT e.entry_id,
        CASE WHEN u.directory_id = 0 THEN 'name_by_hand'
             WHEN u.login_id IS NOT NULL AND coalesce(x.becomes, u.state) = 'deactivated'
                AND NOT EXISTS (SELECT FROM rollcall.login_address k WHERE k.login_id = u.login_id) THEN 'name_kept'
             WHEN u.login_id IS NOT NULL THEN 'name_in_use'
             WHEN a.login_id <> e.login_id THEN 'address_in_use'
             WHEN a.login_id IS NULL AND h.address IS NOT NULL THEN 'address_shared' END AS conflict,
        coalesce(u.login_id, a.login_id) AS holder
    FROM login_entry e
    LEFT JOIN rollcall.login u ON u.tenant_id = :tenant_id AND u.username = e.claim AND u.state <> 'released' AND u.login_id <> e.login_id
    LEFT JOIN login_entry x ON x.login_id = u.login_id
    LEFT JOIN rollcall.login_address a ON a.tenant_id = :tenant_id AND a.address = e.claim
    LEFT JOIN shared h ON h.address = e.claim
    WHERE e.claim IS NOT NULL AND (u.login_id IS NOT NULL OR a.login_id IS NOT NULL OR h.address IS NOT NULL)
)
UPDATE login_entry e SET conflict = f.conflict, holder = f.holder FROM found f WHERE f.entry_id = e.entry_id AND f.conflict IS NOT NULL

-- name: trim_addresses
-- Of an entry with very many addresses the first by their bytes lead to its login; what is over leads nowhere.
DELETE FROM login_shown s USING (
    SELECT o.entry_id, o.address, o.present, row_number() OVER (PARTITION BY o.entry_id ORDER BY o.address = coalesce(e.claim, e.was_username) DESC, o.address) AS place
    FROM login_shown o JOIN login_entry e USING (entry_id) WHERE e.addresses > :most
) over WHERE s.entry_id = over.entry_id AND s.address = over.address AND over.place > :most

-- name: lead_addresses
-- Every address of an entry leads to its login, unless it leads elsewhere, another entry claims it at the same time, or people made a login of that name.
WITH claimed AS (
    SELECT s.address, e.login_id, count(*) OVER (PARTITION BY s.address) AS claims
    FROM login_shown s
    JOIN login_entry e USING (entry_id)
    WHERE e.leads AND (e.was_state IN ('active', 'deactivated') OR (e.becomes = 'active' AND e.claim IS NOT NULL AND e.conflict IS NULL))
), fresh AS (
    INSERT INTO rollcall.login_address (tenant_id, address, login_id)
    SELECT :tenant_id, c.address, c.login_id FROM claimed c
    WHERE c.claims = 1
        AND NOT EXISTS (SELECT FROM rollcall.login_address a WHERE a.tenant_id = :tenant_id AND a.address = c.address)
        AND NOT EXISTS (SELECT FROM rollcall.login u WHERE u.tenant_id = :tenant_id AND u.directory_id = 0 AND u.username = c.address AND u.login_id <> c.login_id)
    RETURNING login_id
)
UPDATE login_entry e SET readdressed = true FROM (SELECT DISTINCT login_id FROM fresh) f WHERE e.login_id = f.login_id AND e.was_username IS NOT NULL

-- name: step_logins
-- What becomes of each, if anything does.
INSERT INTO login_step (login_id, change, was_username, was_state)
SELECT login_id,
    CASE WHEN was_username IS NULL THEN 'created'
         WHEN becomes = 'active' AND was_state <> 'active' THEN 'reactivated'
         WHEN becomes = 'deactivated' AND was_state = 'active' THEN 'deactivated'
         WHEN claim IS NOT NULL AND conflict IS NULL AND claim <> was_username THEN 'renamed'
         ELSE 'changed' END,
    was_username, was_state
FROM login_entry
WHERE (was_username IS NULL AND conflict IS NULL)
    OR (was_state = 'released' AND becomes = 'active' AND claim IS NOT NULL AND conflict IS NULL)
    OR (was_state IN ('active', 'deactivated') AND (becomes <> was_state OR (claim IS NOT NULL AND conflict IS NULL) OR readdressed OR taken_over OR was_role <> :role))

-- name: create_logins
-- Those that are new.
INSERT INTO rollcall.login (login_id, tenant_id, directory_id, entry_id, username, role, state, since)
SELECT e.login_id, :tenant_id, :directory_id, e.entry_id, e.claim, :role, 'active', :now
FROM login_entry e JOIN login_step USING (login_id)
WHERE e.was_username IS NULL

-- name: change_logins
-- The others, as they are from now on.
UPDATE rollcall.login l SET directory_id = :directory_id, role = :role, state = e.becomes,
    username = CASE WHEN e.conflict IS NULL THEN coalesce(e.claim, l.username) ELSE l.username END,
    reason = CASE e.becomes WHEN 'active' THEN NULL ELSE CASE WHEN l.state = 'active' THEN e.reason ELSE coalesce(l.reason, e.reason) END END,
    since = CASE WHEN l.state <> e.becomes THEN :now ELSE l.since END,
    approved = l.approved AND e.becomes = l.state
FROM login_entry e JOIN login_step USING (login_id)
WHERE l.tenant_id = :tenant_id AND l.login_id = e.login_id AND e.was_username IS NOT NULL

-- name: drop_login_conflicts
-- What was claimed before by those looked at now.
DELETE FROM rollcall.login_conflict o
WHERE o.tenant_id = :tenant_id AND o.directory_id = :directory_id AND (:everything OR EXISTS (SELECT FROM login_candidate c WHERE c.entry_id = o.entry_id))

-- name: keep_login_conflicts
-- What they claim now and do not get, and which login has it.
INSERT INTO rollcall.login_conflict (tenant_id, directory_id, entry_id, address, code, login_id, seen_at)
SELECT :tenant_id, :directory_id, e.entry_id, e.claim, e.conflict, e.holder, :now FROM login_entry e WHERE e.conflict IS NOT NULL
UNION ALL
SELECT DISTINCT ON (e.entry_id, s.address) :tenant_id::integer, :directory_id::integer, e.entry_id, s.address,
    CASE WHEN u.login_id IS NOT NULL THEN 'name_by_hand' WHEN a.login_id IS NOT NULL THEN 'address_in_use' ELSE 'address_shared' END,
    coalesce(u.login_id, a.login_id), :now::timestamptz
FROM login_entry e
JOIN login_shown s USING (entry_id)
LEFT JOIN rollcall.login_address a ON a.tenant_id = :tenant_id AND a.address = s.address
LEFT JOIN rollcall.login u ON u.tenant_id = :tenant_id AND u.directory_id = 0 AND u.username = s.address
WHERE e.leads AND (e.was_state IN ('active', 'deactivated') OR (e.becomes = 'active' AND e.claim IS NOT NULL AND e.conflict IS NULL))
    AND a.login_id IS DISTINCT FROM e.login_id
    AND NOT (e.conflict IS NOT NULL AND s.address = e.claim)
UNION ALL
SELECT :tenant_id::integer, :directory_id::integer, e.entry_id, coalesce(e.claim, e.was_username), 'too_many_addresses', e.login_id, :now::timestamptz
FROM login_entry e WHERE e.leads AND e.addresses > :most AND e.conflict IS NULL AND coalesce(e.claim, e.was_username) IS NOT NULL
ON CONFLICT (tenant_id, directory_id, entry_id, address) DO NOTHING

-- name: count_login_conflicts
-- How many claims of a directory's entries are not met.
SELECT count(*) AS conflicts FROM rollcall.login_conflict WHERE tenant_id = :tenant_id AND directory_id = :directory_id

-- name: first_login_conflicts
-- The first addresses of which they are: each once, however many claim it, with the mailboxes that meet there.
SELECT told.address, told.code, rollcall.claimants(:tenant_id, told.address, told.holder) AS mailboxes
FROM (
    SELECT address, code, (array_agg(login_id))[1] AS holder FROM rollcall.login_conflict
    WHERE tenant_id = :tenant_id AND directory_id = :directory_id GROUP BY address, code ORDER BY address, code LIMIT :most
) told
ORDER BY told.address, told.code

-- name: count_login_entries
-- Whether there is anything to look at, and whether an entry has very many addresses.
SELECT count(*) AS entries, coalesce(max(addresses), 0) AS most_addresses FROM login_entry

-- name: count_login_steps
-- The counts of the outcome, and the size in bytes of what is to be told.
SELECT count(*) AS changes, count(*) FILTER (WHERE change = 'created') AS created,
    count(*) FILTER (WHERE s.was_username IS NOT NULL AND l.username <> s.was_username) AS renamed,
    count(*) FILTER (WHERE change = 'deactivated') AS deactivated, count(*) FILTER (WHERE change = 'reactivated') AS reactivated
FROM login_step s JOIN rollcall.login l USING (login_id)
WHERE l.tenant_id = :tenant_id

-- name: write_login_history
-- One row a change, naming the run or the person's command.
INSERT INTO rollcall.login_history (at, tenant_id, directory_id, run_id, command, login_id, change, was_username, username, was_state, state)
SELECT :now, :tenant_id, l.directory_id, :run_id, :command, s.login_id, s.change, s.was_username, l.username, s.was_state, l.state
FROM login_step s JOIN rollcall.login l USING (login_id)
WHERE l.tenant_id = :tenant_id

-- name: note_logins
-- By which rule, and by which run, the logins of a directory are what they should be.
UPDATE rollcall.directory SET logins_rule = :rule, logins_run = :run_id WHERE directory_id = :directory_id

-- name: make_login_line
-- One row a change as it is told, and the part that tells it.
CREATE TEMP TABLE IF NOT EXISTS login_line (
    part integer NOT NULL,
    line text NOT NULL
) ON COMMIT DELETE ROWS

-- name: fill_login_lines
-- What became of each login, rendered; a part ends when it has so many bytes, so a part is never larger than that and one line more.
INSERT INTO login_line (part, line)
SELECT (sum(octet_length(line)) OVER (ORDER BY username, login_id) - octet_length(line)) / :part_bytes::bigint, line
FROM (
    SELECT l.username, l.login_id,
        '{"login":"' || l.login_id || '","directory":' || coalesce(to_json(i.directory)::text, 'null') || ',"change":"' || s.change ||
        '","username":' || to_json(l.username) || ',"was":' || CASE WHEN s.was_username <> l.username THEN to_json(s.was_username)::text ELSE 'null' END ||
        ',"addresses":' || coalesce(a.addresses::text, '[]') ||
        ',"role":"' || l.role || '","state":"' || l.state || '","reason":' || coalesce(to_json(l.reason)::text, 'null') || '}' AS line
    FROM login_step s
    JOIN rollcall.login l USING (login_id)
    LEFT JOIN rollcall.directory i ON i.tenant_id = :tenant_id AND i.directory_id = l.directory_id
    LEFT JOIN (
        SELECT o.login_id, json_agg(o.address ORDER BY o.address) AS addresses
        FROM login_step m JOIN rollcall.login_address o USING (login_id) WHERE o.tenant_id = :tenant_id GROUP BY 1
    ) a USING (login_id)
    WHERE l.tenant_id = :tenant_id
) rendered

-- name: count_login_parts
-- How many parts they make: their numbers may have gaps.
SELECT count(DISTINCT part) AS parts FROM login_line

-- name: write_login_events
-- All logins.changed of a run or a command, rendered in bulk.
INSERT INTO rollcall.outbox (event_id, tenant, type, routing_key, traceparent, body, created_at)
SELECT e.event_id, :tenant, 'rollcall.logins.changed.v1', 'logins.changed.' || :tenant, :traceparent,
    '{"specversion":"1.0","id":"' || e.event_id || '","source":"rollcall","type":"rollcall.logins.changed.v1","subject":' ||
    to_json(:tenant::text) || ',"time":"' || to_char(:now::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"' ||
    coalesce(',"traceparent":' || to_json(:traceparent::text), '') ||
    ',"datacontenttype":"application/json","data":{"run":' || coalesce(to_json(:run_id::uuid)::text, 'null') ||
    ',"directory":' || coalesce(to_json(:directory::text)::text, 'null') ||
    ',"causes":' || :causes || ',"part":' || e.place || ',"parts":' || :parts::integer || ',"epoch":' || :epoch::integer ||
    ',"sequence":' || :first::bigint + e.place - 1 || ',"changes":[' || e.changes || ']}}',
    :now
FROM (
    SELECT gen_random_uuid() AS event_id, row_number() OVER (ORDER BY part) AS place, string_agg(line, ',') AS changes
    FROM login_line GROUP BY part
) e
ORDER BY e.place

-- name: has_logins
-- Whether a tenant has any login: most have none, and need no more statements.
SELECT EXISTS (SELECT FROM rollcall.login WHERE tenant_id = :tenant_id) AS has_logins

-- name: drop_decided_addresses
-- Addresses that a decision let go, of logins whose entry shows them nowhere else; of one by hand, if nobody holds the address any more.
WITH gone AS (
    DELETE FROM rollcall.login_address a USING touched t, rollcall.login l
    WHERE t.becomes IN ('grace', 'removed') AND a.tenant_id = :tenant_id AND a.address = t.address AND l.login_id = a.login_id
        AND NOT EXISTS (
            SELECT FROM rollcall.holding h LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
            WHERE h.tenant_id = :tenant_id AND h.address = a.address AND (l.directory_id = 0 OR (h.directory_id = l.directory_id AND h.entry_id = l.entry_id))
                AND coalesce(d.step, 'missing') = 'missing')
    RETURNING a.login_id
)
INSERT INTO login_step (login_id, change, was_username, was_state)
SELECT l.login_id, 'changed', l.username, l.state FROM (SELECT DISTINCT login_id FROM gone) g JOIN rollcall.login l USING (login_id)

-- name: step_directory_logins
-- All logins of a directory that is deleted, as far as they are still active or lead anywhere.
INSERT INTO login_step (login_id, change, was_username, was_state)
SELECT l.login_id, 'changed', l.username, l.state FROM rollcall.login l
WHERE l.directory_id = :directory_id AND (l.state = 'active' OR EXISTS (SELECT FROM rollcall.login_address a WHERE a.login_id = l.login_id))

-- name: end_directory_logins
-- They are deactivated, and lead from nowhere.
WITH gone AS (
    DELETE FROM rollcall.login_address a USING rollcall.login l WHERE l.directory_id = :directory_id AND a.tenant_id = :tenant_id AND a.login_id = l.login_id
), conflicts AS (
    DELETE FROM rollcall.login_conflict WHERE tenant_id = :tenant_id AND directory_id = :directory_id
)
UPDATE rollcall.login SET state = 'deactivated', reason = 'decided', since = :now WHERE directory_id = :directory_id AND state = 'active'

-- name: step_kept_logins
-- All logins of a directory that is deleted and hands its addresses over to "by hand".
INSERT INTO login_step (login_id, change, was_username, was_state)
SELECT login_id, 'changed', username, state FROM rollcall.login WHERE directory_id = :directory_id AND state = 'active'

-- name: keep_logins_by_hand
-- They stay as they are, and no run touches them.
WITH conflicts AS (
    DELETE FROM rollcall.login_conflict WHERE tenant_id = :tenant_id AND directory_id = :directory_id
)
UPDATE rollcall.login SET directory_id = 0 WHERE directory_id = :directory_id AND state = 'active'

-- name: step_approved_logins
-- The logins of a hold's set that are still active.
INSERT INTO login_step (login_id, change, was_username, was_state)
SELECT l.login_id, 'deactivated', l.username, l.state
FROM rollcall.change_set c
JOIN rollcall.login l ON l.tenant_id = :tenant_id AND l.username = c.address AND l.state = 'active' AND l.directory_id = :directory_id
WHERE c.set_id = :hold_id AND c.change = 'deactivated' AND NOT c.approved

-- name: step_approved_names
-- Those whose name was in the set as an address of theirs, as far as nothing that their entry shows gives them a right: the line was for both.
INSERT INTO login_step (login_id, change, was_username, was_state)
SELECT l.login_id, 'deactivated', l.username, l.state
FROM rollcall.change_set c
JOIN rollcall.login l ON l.tenant_id = :tenant_id AND l.username = c.address AND l.state = 'active' AND l.directory_id = :directory_id
WHERE c.set_id = :hold_id AND c.change <> 'deactivated' AND NOT c.approved
    AND EXISTS (
        SELECT FROM rollcall.holding h
        WHERE h.tenant_id = :tenant_id AND h.address = l.username AND h.directory_id = :directory_id AND h.entry_id = l.entry_id)
    AND l.entry_id NOT IN (
        SELECT h.entry_id FROM rollcall.holding h LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
        WHERE h.tenant_id = :tenant_id AND h.directory_id = :directory_id AND h.enabled AND h.kind = ANY(:kinds::smallint[]) AND d.step IS NULL)

-- name: end_approved_logins
-- They are deactivated by a person's word, and do not count again.
UPDATE rollcall.login l SET state = 'deactivated', since = :now, approved = true,
    reason = CASE WHEN p.enabled IS NULL THEN 'gone' WHEN p.enabled THEN 'not_wanted' ELSE 'disabled' END
FROM login_step s
JOIN rollcall.login m USING (login_id)
LEFT JOIN (
    SELECT h.entry_id, bool_or(h.enabled) AS enabled
    FROM rollcall.holding h LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
    WHERE h.tenant_id = :tenant_id AND h.directory_id = :directory_id AND d.step IS NULL GROUP BY 1
) p USING (entry_id)
WHERE s.login_id = l.login_id AND s.change = 'deactivated'

-- name: end_lost_logins
-- Those of entries that have no valid address any more are deactivated; "approved" where a person let it happen. Not who has one that leads to
-- nobody, since others show it: a run would make that login active again.
UPDATE rollcall.login l SET state = 'deactivated', since = :now, reason = :reason, approved = true
FROM login_step s
WHERE s.login_id = l.login_id AND s.change = 'changed' AND l.state = 'active' AND l.directory_id <> 0
    AND NOT EXISTS (
        SELECT FROM rollcall.holding h LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
        WHERE h.tenant_id = :tenant_id AND h.directory_id = l.directory_id AND h.entry_id = l.entry_id AND coalesce(d.step, 'missing') = 'missing')

-- name: name_login_steps
-- What a decision changed, by what came of it; one row a login.
WITH told AS (
    DELETE FROM login_step RETURNING login_id, was_username, was_state
)
INSERT INTO login_step (login_id, change, was_username, was_state)
SELECT DISTINCT ON (t.login_id) t.login_id,
    CASE WHEN l.state = 'active' AND t.was_state <> 'active' THEN 'reactivated'
         WHEN l.state <> 'active' AND t.was_state = 'active' THEN 'deactivated'
         WHEN l.username <> t.was_username THEN 'renamed' ELSE 'changed' END, t.was_username, t.was_state
FROM told t JOIN rollcall.login l USING (login_id)
ORDER BY t.login_id

-- name: clear_login_steps
-- Ready for the next decision of the same transaction.
DELETE FROM login_step

-- name: clear_login_lines
-- The same of what was rendered.
DELETE FROM login_line

-- name: step_returned_logins
-- Logins that are gone since a run, by itself or whatever followed it, of entries that have an address back by its undo.
INSERT INTO login_step (login_id, change, was_username, was_state)
SELECT l.login_id, 'changed', l.username, l.state
FROM rollcall.login l
WHERE l.tenant_id = :tenant_id AND l.directory_id = :directory_id AND l.state = 'deactivated' AND l.reason = 'gone' AND l.since >= :at
    AND l.entry_id IN (
        SELECT h.entry_id FROM touched t
        JOIN rollcall.holding h ON h.tenant_id = :tenant_id AND h.directory_id = :directory_id AND h.address = t.address
        WHERE t.becomes = 'present' AND h.enabled)

-- name: return_logins
-- With the address they are back.
UPDATE rollcall.login l SET state = 'active', reason = NULL, since = :now, approved = false FROM login_step s WHERE s.login_id = l.login_id

-- name: step_undone_logins
-- Logins that a run changed and that are still as it left them. Nobody is let in again who has no valid address by now, and whose name
-- is none that another entry had by then: it may be a successor's.
INSERT INTO login_step (login_id, change, was_username, was_state)
SELECT l.login_id, 'changed', l.username, l.state
FROM rollcall.login_history w JOIN rollcall.login l USING (login_id)
WHERE w.tenant_id = :tenant_id AND w.at = :at AND w.run_id = :run_id AND w.change IN ('created', 'renamed', 'deactivated', 'reactivated')
    AND l.directory_id = :directory_id AND l.state = w.state AND l.username = w.username
    AND NOT EXISTS (SELECT FROM login_step s WHERE s.login_id = l.login_id)
    AND (w.state = 'active' OR l.entry_id IN (
        SELECT h.entry_id FROM rollcall.holding h LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
        WHERE h.tenant_id = :tenant_id AND h.directory_id = :directory_id AND coalesce(d.step, 'missing') = 'missing'
    ) OR EXISTS (
        SELECT FROM rollcall.holding h LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
        WHERE h.tenant_id = :tenant_id AND h.directory_id = :directory_id AND h.address = l.username AND h.since <= :at
            AND coalesce(d.step, 'missing') = 'missing'))

-- name: undo_logins
-- They are what they were before: whom it deactivated is active, whom it created or let return is not, and a name goes back unless somebody has it,
-- or gets the mail of that address. Who had released it had none; and who waits in a hold keeps the name that is waited by.
UPDATE rollcall.login l SET
    username = CASE WHEN w.was_username IS NULL OR w.was_state = 'released' OR EXISTS (
            SELECT FROM rollcall.change_set c
            WHERE c.set_id = (SELECT o.hold_id FROM rollcall.hold o WHERE o.directory_id = l.directory_id AND o.state = 'open')
                AND c.address = l.username AND c.change = 'deactivated')
        OR EXISTS (
            SELECT FROM rollcall.login u
            WHERE u.tenant_id = :tenant_id AND u.username = w.was_username AND u.state <> 'released' AND u.login_id <> l.login_id)
        OR EXISTS (
            SELECT FROM rollcall.login_address a
            WHERE a.tenant_id = :tenant_id AND a.address = w.was_username AND a.login_id <> l.login_id)
        THEN l.username ELSE w.was_username END,
    state = CASE WHEN w.was_state = 'active' THEN 'active' ELSE 'deactivated' END,
    reason = CASE WHEN w.was_state = 'active' THEN NULL WHEN l.state = 'active' THEN 'undone' ELSE l.reason END,
    since = CASE WHEN (coalesce(w.was_state, '') = 'active') <> (l.state = 'active') THEN :now ELSE l.since END,
    approved = false
FROM login_step s, rollcall.login_history w
WHERE s.login_id = l.login_id AND w.login_id = l.login_id AND w.tenant_id = :tenant_id AND w.at = :at AND w.run_id = :run_id
    AND w.change IN ('created', 'renamed', 'deactivated', 'reactivated')

-- name: lead_again
-- The addresses that an undo gave back lead to the logins that it gave back, as far as they lead nowhere, and the entry of no other login
-- shows them: of two that do neither gets one, as in a run.
WITH valid AS (
    SELECT h.address, l.login_id, l.username FROM rollcall.login l
    JOIN rollcall.holding h ON h.tenant_id = l.tenant_id AND h.directory_id = l.directory_id AND h.entry_id = l.entry_id
    LEFT JOIN rollcall.departure d ON d.tenant_id = h.tenant_id AND d.directory_id = h.directory_id AND d.address = h.address
    WHERE l.tenant_id = :tenant_id AND l.state <> 'released' AND h.tenant_id = :tenant_id AND coalesce(d.step, 'missing') = 'missing'
), placed AS (
    SELECT v.address, v.login_id, count(*) OVER (PARTITION BY v.address) AS claims,
        row_number() OVER (PARTITION BY v.login_id ORDER BY v.address = v.username DESC, v.address) AS place
    FROM valid v
)
INSERT INTO rollcall.login_address (tenant_id, address, login_id)
SELECT :tenant_id::integer, p.address, p.login_id
FROM placed p
JOIN login_step s USING (login_id)
JOIN rollcall.login l ON l.login_id = p.login_id AND l.state = 'active'
WHERE p.claims = 1 AND p.place <= :most::bigint
    AND NOT EXISTS (SELECT FROM rollcall.login u WHERE u.tenant_id = :tenant_id AND u.directory_id = 0 AND u.username = p.address)
ON CONFLICT (tenant_id, address) DO NOTHING

-- name: count_undone_logins
-- What an undo did to logins.
SELECT count(*) FILTER (WHERE change = 'reactivated') AS reactivated, count(*) FILTER (WHERE change = 'deactivated') AS deactivated,
    count(*) FILTER (WHERE l.username <> s.was_username) AS renamed
FROM login_step s JOIN rollcall.login l USING (login_id)

-- ============================================================================
-- by hand
-- ============================================================================

-- name: touch_added
-- Addresses that people hold from now on and did not hold, or let go.
INSERT INTO touched (address, was, becomes, elsewhere, kind, is_primary, change)
SELECT a.address, CASE WHEN h.address IS NOT NULL THEN d.step END, 'present', rollcall.state_elsewhere(:tenant_id, a.address, 0), 0, true, 'added'
FROM unnest(:addresses::text[]) AS a (address)
LEFT JOIN rollcall.holding h ON h.tenant_id = :tenant_id AND h.address = a.address COLLATE "C" AND h.directory_id = 0
LEFT JOIN rollcall.departure d ON d.tenant_id = :tenant_id AND d.address = a.address COLLATE "C" AND d.directory_id = 0
WHERE h.address IS NULL OR d.step IS NOT NULL

-- name: hold_by_hand
-- The source by hand of each; a protected one stays protected.
INSERT INTO rollcall.holding AS h (tenant_id, address, directory_id, entry_id, since, kind, is_primary, enabled, hand)
SELECT :tenant_id, a.address, 0, '00000000-0000-0000-0000-000000000000', coalesce(rollcall.valid_since(:tenant_id, a.address), :now), 0, true, true, :hand
FROM unnest(:addresses::text[]) AS a (address)
ON CONFLICT (tenant_id, address, directory_id, entry_id) DO UPDATE
    SET hand = CASE WHEN h.hand = 'protect' THEN h.hand ELSE excluded.hand END

-- name: not_by_hand
-- Which of these nobody holds by hand.
SELECT a.address FROM unnest(:addresses::text[]) AS a (address)
WHERE coalesce((SELECT NOT d.decided FROM rollcall.departure d WHERE d.tenant_id = :tenant_id AND d.address = a.address COLLATE "C" AND d.directory_id = 0),
    (SELECT h.address IS NULL FROM rollcall.holding h WHERE h.tenant_id = :tenant_id AND h.address = a.address COLLATE "C" AND h.directory_id = 0 LIMIT 1), true)

-- name: checksum_of_list
-- How many recipients a tenant has, and a sum over them: each address, a space, its state and a line feed, in the order of bytes.
SELECT count(*) AS recipients,
    'sha256:' || encode(sha256(coalesce(string_agg(convert_to(address || ' ' || state || E'\n', 'UTF8'), NULL ORDER BY address), ''::bytea)), 'hex') AS checksum
FROM rollcall.recipient_line WHERE tenant_id = :tenant_id

-- name: write_snapshot_events
-- All recipients.snapshot of a tenant, rendered in bulk; an empty list is one part.
INSERT INTO rollcall.outbox (event_id, tenant, type, routing_key, traceparent, body, created_at)
SELECT e.event_id, :tenant, 'rollcall.recipients.snapshot.v1', 'recipients.snapshot.' || :tenant, :traceparent,
    '{"specversion":"1.0","id":"' || e.event_id || '","source":"rollcall","type":"rollcall.recipients.snapshot.v1","subject":' ||
    to_json(:tenant::text) || ',"time":"' || to_char(:now::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"' ||
    coalesce(',"traceparent":' || to_json(:traceparent::text), '') ||
    ',"datacontenttype":"application/json","data":{"causes":' || :causes || ',"part":' || e.part + 1 || ',"parts":' || :parts::integer ||
    ',"epoch":' || :epoch::integer || ',"sequence":' || :first::bigint + e.part || ',"true_for":' || :first::bigint - 1 ||
    ',"count":' || :recipients::bigint || ',"checksum":"' || :checksum || '","recipients":[' || coalesce(e.recipients, '') || ']}}',
    :now
FROM (
    SELECT gen_random_uuid() AS event_id, every.part::integer AS part, string_agg(l.line, ',' ORDER BY l.ordinal) AS recipients
    FROM generate_series(0, :parts::integer - 1) AS every (part)
    LEFT JOIN (
        SELECT (ordinal - 1) / :per_part::bigint AS part, ordinal,
            '{"address":' || to_json(address) || ',"state":"' || state ||
            '","grace_until":' || CASE WHEN state = 'grace' AND grace_until IS NOT NULL
                THEN '"' || to_char(grace_until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || '"' ELSE 'null' END ||
            ',"kind":"' || kind || '","primary":' || is_primary || '}' AS line
        FROM (
            SELECT v.*, row_number() OVER (ORDER BY v.address) AS ordinal
            FROM rollcall.recipient_line v WHERE v.tenant_id = :tenant_id
        ) numbered
    ) l ON l.part = every.part
    GROUP BY every.part
) e
ORDER BY e.part
RETURNING number

-- name: keep_parts
-- The parts that answer a command, to be sent again when it comes again.
INSERT INTO rollcall.command_outcome (number, event_id, type, routing_key, body)
SELECT :number, o.event_id, o.type, o.routing_key, o.body FROM rollcall.outbox o WHERE o.number = ANY(:parts::bigint[])

-- name: reply_with_parts
-- The same parts to the queue that the command names.
INSERT INTO rollcall.outbox (event_id, tenant, type, routing_key, reply_to, correlation_id, traceparent, body, created_at)
SELECT o.event_id, o.tenant, o.type, NULL, :reply_to, :correlation_id, o.traceparent, o.body, o.created_at
FROM rollcall.outbox o WHERE o.number = ANY(:parts::bigint[]) AND :reply_to::text IS NOT NULL ORDER BY o.number

-- name: reply_with_parts_to_repeats
-- And to the queues that repeats of it named.
INSERT INTO rollcall.outbox (event_id, tenant, type, routing_key, reply_to, correlation_id, traceparent, body, created_at)
SELECT o.event_id, o.tenant, o.type, NULL, r.reply_to, r.correlation_id, o.traceparent, o.body, o.created_at
FROM rollcall.outbox o CROSS JOIN rollcall.command_reply r
WHERE o.number = ANY(:parts::bigint[]) AND r.number = :number ORDER BY r.reply_to, o.number

-- ============================================================================
-- after a restore
-- ============================================================================

-- name: begin_restore
-- An epoch that no lost time can have used: seconds of the clock, which went on while the database went back; counted from
-- 2020, so that an integer holds them for 68 years. From now on no domain is authoritative by what was read before.
INSERT INTO rollcall.restore (restored_at, epoch)
SELECT :now, greatest(
    floor(extract(epoch FROM :now::timestamptz - timestamptz '2020-01-01 00:00:00+00'))::integer,
    coalesce((SELECT max(epoch) FROM rollcall.tenant), 0) + 1,
    coalesce((SELECT max(epoch) FROM rollcall.restore), 0) + 1)
RETURNING epoch

-- name: end_all_leases
-- Who held these is gone, or writes nothing any more under them.
UPDATE rollcall.lease SET expires_at = '-infinity' WHERE expires_at > clock_timestamp()

-- name: end_all_services
-- The same of the relay and the housekeeper.
UPDATE rollcall.service_lease SET expires_at = '-infinity' WHERE expires_at > clock_timestamp()

-- name: tenants_of_old
-- The next living tenants whose order has not begun again, in a bounded bite.
SELECT tenant_id FROM rollcall.tenant
WHERE deleted_at IS NULL AND epoch < :epoch AND tenant_id > :after ORDER BY tenant_id LIMIT :most

-- name: begin_epoch
-- A tenant's order begins again, and its row is locked; no row: it was deleted meanwhile, or has begun.
UPDATE rollcall.tenant SET epoch = :epoch, sequence = 0
WHERE tenant_id = :tenant_id AND deleted_at IS NULL AND epoch < :epoch RETURNING tenant

-- name: count_by_hand
-- Domains that are authoritative by a person's word, which has to be given again.
SELECT count(*) AS domains FROM rollcall.domain m JOIN rollcall.tenant t USING (tenant_id)
WHERE m.by_hand AND m.removed_at IS NULL AND t.deleted_at IS NULL

-- ============================================================================
-- the fleet
-- ============================================================================

-- name: fleet_figures
-- How many directories had a run in the window, and how many of them, of how many tenants, are newly in trouble: shrink, or
-- failed last and had been good before.
WITH seen AS (
    SELECT r.directory_id, r.tenant_id,
        bool_or((r.counts ->> 'missing')::bigint >= greatest(:shrink_count::bigint,
            :shrink_share::float8 * ((r.counts ->> 'addresses')::bigint + (r.counts ->> 'missing')::bigint))) AS shrinks,
        (array_agg(r.state ORDER BY r.finished_at DESC))[1] = 'failed' AS failed_last,
        (array_agg(r.finding ->> 'code' ORDER BY r.finished_at DESC))[1] AS code
    FROM rollcall.run r
    WHERE r.mode = 'apply' AND r.finished_at > :window_from AND r.state IN ('completed', 'held', 'failed')
    GROUP BY 1, 2
), judged AS (
    SELECT s.tenant_id, s.code, coalesce(s.shrinks, false) AS shrinks,
        s.failed_last AND NOT coalesce(s.shrinks, false) AND i.last_good_at IS NOT NULL AND NOT EXISTS (
            SELECT FROM rollcall.run b
            WHERE b.tenant_id = s.tenant_id AND b.directory_id = s.directory_id AND b.mode = 'apply' AND b.state = 'failed'
                AND b.finished_at <= :window_from AND b.finished_at > i.last_good_at) AS fails
    FROM seen s JOIN rollcall.directory i USING (directory_id)
)
SELECT count(*) AS directories, count(*) FILTER (WHERE fails) AS failing, count(*) FILTER (WHERE shrinks) AS shrinking,
    count(DISTINCT tenant_id) FILTER (WHERE fails OR shrinks) AS customers,
    coalesce((SELECT jsonb_object_agg(code, number) FROM (
        SELECT code, count(*) AS number FROM judged WHERE fails AND code IS NOT NULL GROUP BY code ORDER BY 2 DESC, 1 LIMIT 10) c), '{}') AS codes
FROM judged

-- name: fleet_released_at
-- Since when the fleet is looked at anew, if a hold of it was ever released; and whether one stands.
SELECT max(released_at) AS released_at, count(*) FILTER (WHERE released_at IS NULL) > 0 AS is_held FROM rollcall.fleet_hold

-- name: hold_fleet
-- Removals of all are held; no row: another worker was faster.
INSERT INTO rollcall.fleet_hold (fleet_hold_id, since, figures)
SELECT gen_random_uuid(), :now, :figures WHERE NOT EXISTS (SELECT FROM rollcall.fleet_hold WHERE released_at IS NULL)
ON CONFLICT DO NOTHING RETURNING since

-- name: release_fleet
-- The operator has looked.
UPDATE rollcall.fleet_hold SET released_at = :now WHERE released_at IS NULL RETURNING since

-- name: standing_fleet_hold
-- The hold over all directories, if one stands.
SELECT since, figures FROM rollcall.fleet_hold WHERE released_at IS NULL

-- ============================================================================
-- the schedule
-- ============================================================================

-- name: standing_directories
-- The living directories of a tenant, or one of them, as their schedules see them; locked, in one order.
SELECT i.directory_id, t.tenant, t.tier, rollcall.tier_of(t.reseller) AS reseller_tier, i.directory, i.paused IS NOT NULL AS is_paused,
    (v.settings -> 'schedule' ->> 'automatic')::boolean AS automatic, (v.settings -> 'schedule' ->> 'every_hours')::integer AS every_hours,
    i.failed_in_a_row, i.next_sync_at, i.scheduled_from, i.scheduled_hours, i.plan_pause
FROM rollcall.directory i
JOIN rollcall.tenant t USING (tenant_id)
LEFT JOIN rollcall.directory_revision v ON v.directory_id = i.directory_id AND v.revision = i.revision_in_force
WHERE i.tenant_id = :tenant_id AND (:directory_id::integer IS NULL OR i.directory_id = :directory_id) AND i.deleted_at IS NULL
ORDER BY i.directory_id
FOR NO KEY UPDATE OF i

-- name: due_directories
-- Those whose time has come, the longest due first, a bounded bite. Who is locked is in another scheduler's hand, or is just
-- being changed, and is left for the next turn: nobody is waited for, and nobody is taken twice.
SELECT i.directory_id, t.tenant, t.tier, rollcall.tier_of(t.reseller) AS reseller_tier, i.directory, i.paused IS NOT NULL AS is_paused,
    (v.settings -> 'schedule' ->> 'automatic')::boolean AS automatic, (v.settings -> 'schedule' ->> 'every_hours')::integer AS every_hours,
    i.failed_in_a_row, i.next_sync_at, i.scheduled_from, i.scheduled_hours
FROM rollcall.directory i
JOIN rollcall.tenant t USING (tenant_id)
LEFT JOIN rollcall.directory_revision v ON v.directory_id = i.directory_id AND v.revision = i.revision_in_force
WHERE i.next_sync_at <= :now AND i.deleted_at IS NULL
ORDER BY i.next_sync_at, i.directory_id LIMIT :most
FOR NO KEY UPDATE OF i SKIP LOCKED

-- name: unarranged_directories
-- Those that are to be synced by themselves and have no time yet: they were saved under a release without a schedule.
SELECT i.directory_id, t.tenant, t.tier, rollcall.tier_of(t.reseller) AS reseller_tier, i.directory, i.paused IS NOT NULL AS is_paused,
    (v.settings -> 'schedule' ->> 'automatic')::boolean AS automatic, (v.settings -> 'schedule' ->> 'every_hours')::integer AS every_hours,
    i.failed_in_a_row, i.next_sync_at, i.scheduled_from, i.scheduled_hours
FROM rollcall.directory i
JOIN rollcall.tenant t USING (tenant_id)
JOIN rollcall.directory_revision v ON v.directory_id = i.directory_id AND v.revision = i.revision_in_force
WHERE i.next_sync_at IS NULL AND i.deleted_at IS NULL AND i.paused IS NULL AND (t.tier = ANY(:tiers::text[]) OR rollcall.tier_of(t.reseller) = ANY(:tiers::text[]))
    AND (v.settings -> 'schedule' ->> 'automatic')::boolean
ORDER BY i.directory_id LIMIT :most
FOR NO KEY UPDATE OF i SKIP LOCKED

-- name: ask_unsaid_pauses
-- Tenants with a directory that is to be synced by itself, that the plan has stopped, and of which nobody was told: an older release
-- stops it without saying why.
INSERT INTO rollcall.plan_check (tenant_id, asked_at)
SELECT DISTINCT i.tenant_id, :now::timestamptz
FROM rollcall.directory i
JOIN rollcall.tenant t USING (tenant_id)
JOIN rollcall.directory_revision v ON v.directory_id = i.directory_id AND v.revision = i.revision_in_force
WHERE i.next_sync_at IS NULL AND i.plan_pause IS NULL AND i.deleted_at IS NULL AND t.deleted_at IS NULL
    AND NOT t.tier = ANY(:tiers::text[]) AND NOT coalesce(rollcall.tier_of(t.reseller) = ANY(:tiers::text[]), false)
    AND (v.settings -> 'schedule' ->> 'automatic')::boolean
ORDER BY i.tenant_id
ON CONFLICT (tenant_id) DO NOTHING

-- name: write_appointments
-- When each is due next; who is not due by itself any more has no trigger on its way either.
WITH told AS (
    SELECT * FROM unnest(:directory_ids::integer[], :nexts::timestamptz[], :froms::timestamptz[], :hours::integer[], :failures::integer[])
        AS w (directory_id, next_sync_at, scheduled_from, scheduled_hours, failed_in_a_row)
), dropped AS (
    DELETE FROM rollcall.trigger g USING told WHERE g.directory_id = told.directory_id AND told.next_sync_at IS NULL
)
UPDATE rollcall.directory i SET next_sync_at = told.next_sync_at, scheduled_from = told.scheduled_from,
    scheduled_hours = told.scheduled_hours, failed_in_a_row = told.failed_in_a_row,
    expected_since = CASE WHEN told.next_sync_at IS NULL THEN NULL
                          WHEN i.scheduled_hours IS DISTINCT FROM told.scheduled_hours THEN told.scheduled_from
                          ELSE coalesce(i.expected_since, told.scheduled_from) END
FROM told WHERE i.directory_id = told.directory_id

-- name: write_triggers
-- One trigger each, in the transaction that moves its time; one that is still on its way stands for both.
INSERT INTO rollcall.trigger (directory_id, trigger_id, due_at, decided_at)
SELECT w.directory_id, gen_random_uuid(), w.due_at, :now
FROM unnest(:directory_ids::integer[], :dues::timestamptz[]) AS w (directory_id, due_at)
ON CONFLICT (directory_id) DO NOTHING

-- name: take_triggers
-- Triggers to publish now, the longest due first; whoever took them before and did not say that they were confirmed has died.
WITH waiting AS (
    SELECT directory_id FROM rollcall.trigger WHERE taken_until <= clock_timestamp()
    ORDER BY due_at, directory_id LIMIT :most FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE rollcall.trigger g SET taken_until = clock_timestamp() + :length::interval
    FROM waiting WHERE g.directory_id = waiting.directory_id
    RETURNING g.directory_id, g.trigger_id, g.due_at, g.decided_at
)
SELECT taken.directory_id, taken.trigger_id, taken.decided_at, t.tenant, i.directory
FROM taken JOIN rollcall.directory i USING (directory_id) JOIN rollcall.tenant t USING (tenant_id)
ORDER BY taken.due_at, taken.directory_id

-- name: forget_triggers
-- What the broker has confirmed.
DELETE FROM rollcall.trigger WHERE trigger_id = ANY(:trigger_ids::uuid[])

-- name: write_plan_pause
-- The plan stops its schedule, or lets it go on.
UPDATE rollcall.directory SET plan_pause = :reason WHERE directory_id = :directory_id

-- name: ask_plan_checks
-- A reseller's plan may have changed: what its tenants have is to be looked at again.
INSERT INTO rollcall.plan_check (tenant_id, asked_at)
SELECT tenant_id, :now FROM rollcall.tenant WHERE reseller = :reseller AND deleted_at IS NULL AND tenant_id <> :tenant_id
ORDER BY tenant_id
ON CONFLICT (tenant_id) DO UPDATE SET asked_at = excluded.asked_at

-- name: take_plan_check
-- One tenant to look at; another worker takes another. In the transaction that looks: killed in it, it is looked at again.
DELETE FROM rollcall.plan_check WHERE tenant_id = (
    SELECT tenant_id FROM rollcall.plan_check ORDER BY asked_at, tenant_id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING tenant_id

-- name: pause_refused
-- Sign-ins were refused: nothing automatic sends that password again. No row: it is paused already, or gone.
UPDATE rollcall.directory SET paused = :reason
WHERE directory_id = :directory_id AND paused IS NULL AND deleted_at IS NULL RETURNING plan_pause IS NOT NULL AS is_told

-- name: resume_refused
-- Over when the settings change or a sign-in succeeds; what people paused stays paused.
UPDATE rollcall.directory SET paused = NULL WHERE directory_id = :directory_id AND paused = :reason RETURNING plan_pause IS NOT NULL AS is_told

-- ============================================================================
-- intake
-- ============================================================================

-- name: store_commands
-- A batch of commands, each once by source and id; gives the numbers of the new ones.
INSERT INTO rollcall.command (source, id, tenant, name, body, digest, reply_to, correlation_id, traceparent, received_at, try_after)
SELECT source, id, tenant, name, body::jsonb, digest, reply_to, correlation_id, traceparent, :now, :now
FROM unnest(:sources::text[], :ids::text[], :tenants::text[], :names::text[], :bodies::text[], :digests::bytea[],
    :reply_tos::text[], :correlation_ids::text[], :traceparents::text[])
    WITH ORDINALITY AS c (source, id, tenant, name, body, digest, reply_to, correlation_id, traceparent, place)
ORDER BY place
ON CONFLICT (source, id) DO NOTHING
RETURNING source, id

-- name: find_command
-- A command known already. Locked, so that its outcome is recorded before (and is sent again now) or after
-- (and then goes to the queue that the repeat names).
SELECT number, digest FROM rollcall.command WHERE source = :source AND id = :id FOR UPDATE

-- name: answer_again
-- The recorded outcome of a repeated command, once more, to the exchange; parts in the order they had.
INSERT INTO rollcall.outbox (event_id, tenant, type, routing_key, body, created_at)
SELECT o.event_id, m.tenant, o.type, o.routing_key, o.body, :now
FROM rollcall.command_outcome o JOIN rollcall.command m USING (number)
WHERE o.number = :number
ORDER BY (o.body::jsonb -> 'data' ->> 'sequence')::bigint NULLS FIRST, o.event_id

-- name: reply_again
-- The same to the queue that the repeat names.
INSERT INTO rollcall.outbox (event_id, tenant, type, routing_key, reply_to, correlation_id, body, created_at)
SELECT o.event_id, m.tenant, o.type, NULL, :reply_to, :correlation_id, o.body, :now
FROM rollcall.command_outcome o JOIN rollcall.command m USING (number)
WHERE o.number = :number AND :reply_to::text IS NOT NULL
ORDER BY (o.body::jsonb -> 'data' ->> 'sequence')::bigint NULLS FIRST, o.event_id

-- name: reply_later
-- A repeat that names another queue is answered there too by what is still to come.
INSERT INTO rollcall.command_reply (number, reply_to, correlation_id)
SELECT m.number, :reply_to, :correlation_id FROM rollcall.command m
WHERE m.number = :number AND :reply_to::text IS NOT NULL
  AND (m.reply_to, m.correlation_id) IS DISTINCT FROM (:reply_to, :correlation_id)
ON CONFLICT DO NOTHING

-- name: park
-- What cannot become a command: the reason, never the body.
INSERT INTO rollcall.parked (at, source, id, tenant, type, reason, size, digest)
VALUES (:now, :source, :id, :tenant, :type, :reason, :size, :digest)

-- name: park_command
-- A command that was understood and may not be carried out.
INSERT INTO rollcall.parked (at, source, id, tenant, type, reason, size, digest)
SELECT :now, source, id, tenant, name, :reason, coalesce(octet_length(body::text), 0), digest FROM rollcall.command WHERE number = :number

-- ============================================================================
-- carrying out
-- ============================================================================

-- name: due_commands
-- The next due command of those tenants that have waited longest. Looked for among the first that are due, not among all, so
-- that a command of a burst of ten thousand costs what a single one does; later ones of a tenant wait their turn unless
-- the earlier one itself waits for its tenant or directory.
WITH waiting AS (
    SELECT c.tenant, row_number() OVER (ORDER BY c.try_after, c.number) AS place
    FROM rollcall.command c
    WHERE c.state = 'stored' AND c.try_after <= :now
    ORDER BY c.try_after, c.number LIMIT :window
), first AS (
    SELECT tenant, min(place) AS place FROM waiting GROUP BY tenant ORDER BY 2 LIMIT :most
)
SELECT head.number, first.tenant
FROM first CROSS JOIN LATERAL (
    SELECT c.number FROM rollcall.command c
    WHERE c.state = 'stored' AND c.tenant = first.tenant AND c.try_after <= :now ORDER BY c.number LIMIT 1
) head
ORDER BY first.place

-- name: due_elsewhere
-- The same of any tenants, stepping from each tenant to the next: for when others have in hand the tenants that waited longest.
WITH RECURSIVE tenants AS (
    (SELECT c.tenant FROM rollcall.command c WHERE c.state = 'stored' ORDER BY c.tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT c.tenant FROM rollcall.command c WHERE c.state = 'stored' AND c.tenant > t.tenant ORDER BY c.tenant LIMIT 1)
    FROM tenants t WHERE t.tenant IS NOT NULL
)
SELECT head.number, t.tenant
FROM tenants t CROSS JOIN LATERAL (
    SELECT c.number FROM rollcall.command c
    WHERE c.state = 'stored' AND c.tenant = t.tenant AND c.try_after <= :now ORDER BY c.number LIMIT 1
) head
WHERE NOT t.tenant = ANY(:but::text[])
LIMIT :most

-- name: take_command
-- One of them, with its tenant's row; none if another worker has either: a tenant whose run is being recorded holds up nobody.
WITH t AS (
    SELECT tenant_id FROM rollcall.tenant WHERE tenant = :tenant AND deleted_at IS NULL FOR NO KEY UPDATE SKIP LOCKED
)
SELECT c.number, c.source, c.id, c.tenant, c.name, c.body, c.reply_to, c.correlation_id, c.traceparent, c.received_at
FROM rollcall.command c
WHERE c.number = :number AND c.state = 'stored'
    AND (EXISTS (SELECT FROM t) OR NOT EXISTS (SELECT FROM rollcall.tenant WHERE tenant = :tenant AND deleted_at IS NULL))
FOR NO KEY UPDATE OF c SKIP LOCKED

-- name: wait_for_its_tenant
-- Look at a command again later: what it names may yet come.
UPDATE rollcall.command SET try_after = :try_after WHERE number = :number

-- name: wake_waiting
-- What a tenant's commands waited for may have come.
UPDATE rollcall.command SET try_after = received_at WHERE tenant = :tenant AND state = 'stored' AND try_after > :now

-- name: finish_command
-- Carried out or rejected; its body, which may hold a sealed secret, goes.
UPDATE rollcall.command SET state = :state, done_at = :now, body = NULL WHERE number = :number

-- name: find_tenant
-- A living tenant, locked: all that is carried out for it is in turn.
SELECT tenant_id, tenant, tier, rollcall.tier_of(reseller) AS reseller_tier, reseller, revision, domain_revision, epoch FROM rollcall.tenant
WHERE tenant = :tenant AND deleted_at IS NULL FOR NO KEY UPDATE

-- name: next_epoch
-- Where a new tenant's order begins: after that of the last tenant of its name, and not before the last restore, since
-- a tenant that the backup did not know may have told others of an order that is lost.
SELECT greatest(
    coalesce((SELECT max(epoch) FROM rollcall.tenant WHERE tenant = :tenant), 0) + 1,
    coalesce((SELECT max(epoch) FROM rollcall.restore), 1)) AS epoch

-- name: insert_tenant
-- A new tenant.
INSERT INTO rollcall.tenant (tenant, tier, reseller, revision, epoch, created_at)
VALUES (:tenant, :tier, :reseller, :revision, :epoch, :now) RETURNING tenant_id

-- name: update_tenant
-- The plan, the reseller, and whether its domains changed.
UPDATE rollcall.tenant SET tier = :tier, reseller = :reseller, revision = coalesce(:revision, revision),
    domain_revision = domain_revision + :domains_changed WHERE tenant_id = :tenant_id

-- name: domains_of_tenant
-- Its living domains.
SELECT domain, catch_all, alias_of, delimiter, by_hand FROM rollcall.domain
WHERE tenant_id = :tenant_id AND removed_at IS NULL ORDER BY domain

-- name: lock_domains
-- One tenant at a time asks whether these are free and takes them; in one order, so that two never wait for each other.
SELECT pg_advisory_xact_lock(hashtextextended(domain, 8))
FROM (SELECT DISTINCT domain FROM unnest(:domains::text[]) AS domain ORDER BY domain) AS sorted

-- name: domains_taken
-- Which of these another tenant has.
SELECT domain FROM rollcall.domain WHERE domain = ANY(:domains::text[]) AND removed_at IS NULL AND tenant_id <> :tenant_id

-- name: add_domain
-- A domain of a tenant; an address in it becomes valid when the next run shows it. No run so far has seen it, whatever the clock
-- says: where the clock was put back, it was added no earlier than the last run began, or that run would give it authority.
INSERT INTO rollcall.domain (tenant_id, domain, display, catch_all, alias_of, delimiter, by_hand, added_at, recipients)
VALUES (:tenant_id, :domain, :display, :catch_all, :alias_of, :delimiter, :by_hand,
    greatest(:now::timestamptz, (SELECT max(applied_started_at) FROM rollcall.directory WHERE tenant_id = :tenant_id)),
    (SELECT count(DISTINCT h.address) FROM rollcall.holding h LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
     WHERE h.tenant_id = :tenant_id AND split_part(h.address, '@', 2) = :domain AND coalesce(d.step, 'missing') = 'missing'))

-- name: change_domain
-- Its settings.
UPDATE rollcall.domain SET catch_all = :catch_all, alias_of = :alias_of, delimiter = :delimiter, by_hand = :by_hand
WHERE tenant_id = :tenant_id AND domain = :domain AND removed_at IS NULL

-- name: confirm_domains
-- People have said what a tenant's domains are: those by hand are authoritative by that word.
UPDATE rollcall.domain SET confirmed_at = :now WHERE tenant_id = :tenant_id AND removed_at IS NULL

-- name: take_off_domain
-- A domain taken off; who had an address in it departs by decision.
UPDATE rollcall.domain SET removed_at = :now, recipients = 0 WHERE tenant_id = :tenant_id AND domain = :domain AND removed_at IS NULL

-- name: touch_put_back
-- What people held in a domain when it was last taken off this tenant: with the domain they hold it again, for no run would bring it
-- back. What they had let go, or a directory had taken over, before stays as it was.
INSERT INTO touched (address, was, becomes, elsewhere, kind, is_primary)
SELECT d.address, d.step, 'present', rollcall.state_elsewhere(:tenant_id, d.address, 0), h.kind, h.is_primary
FROM rollcall.departure d
JOIN rollcall.holding h USING (tenant_id, address, directory_id)
WHERE d.tenant_id = :tenant_id AND d.directory_id = 0 AND d.decided AND split_part(d.address, '@', 2) = :domain
    AND d.left_at = (SELECT max(m.removed_at) FROM rollcall.domain m WHERE m.tenant_id = :tenant_id AND m.domain = :domain)

-- name: forget_digests
-- A change that the next run must compare against: no snapshot counts as equal, and logins are looked at anew.
UPDATE rollcall.directory SET digest = NULL, logins_rule = NULL WHERE tenant_id = :tenant_id AND (:directory_id::integer IS NULL OR directory_id = :directory_id)

-- name: touch_decided
-- The addresses that a decision about one domain or one directory concerns, as far as they are valid now.
INSERT INTO touched (address, was, becomes, kind, is_primary, grace_until)
SELECT DISTINCT ON (h.address) h.address, 'missing', 'grace', h.kind, h.is_primary, :now::timestamptz + :grace::interval
FROM rollcall.holding h
LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
WHERE h.tenant_id = :tenant_id
    AND (:domain::text IS NULL OR split_part(h.address, '@', 2) = :domain)
    AND (:directory_id::integer IS NULL OR h.directory_id = :directory_id)
    AND (:addresses::text[] IS NULL OR h.address = ANY(:addresses::text[]))
    AND coalesce(d.step, 'missing') = 'missing'
ORDER BY h.address, h.is_primary DESC, h.kind

-- name: shrink_baseline
-- What a person takes off is not missed by the guard: the last applied run counts as if it had not held it.
UPDATE rollcall.directory i SET applied_addresses = greatest(0, i.applied_addresses - gone.addresses)
FROM (
    SELECT h.directory_id, count(DISTINCT h.address) AS addresses
    FROM rollcall.holding h
    LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
    WHERE h.tenant_id = :tenant_id AND split_part(h.address, '@', 2) = :domain AND d.step IS NULL
    GROUP BY 1
) gone
WHERE i.tenant_id = :tenant_id AND i.directory_id = gone.directory_id

-- name: decide_departures
-- Departures by decision: grace at once, then the clock alone.
INSERT INTO rollcall.departure AS d (tenant_id, address, directory_id, step, left_at, grace_until, decided)
SELECT DISTINCT h.tenant_id, h.address, h.directory_id, 'grace', :now::timestamptz, :now::timestamptz + :grace::interval, true
FROM rollcall.holding h
WHERE h.tenant_id = :tenant_id
    AND (:domain::text IS NULL OR split_part(h.address, '@', 2) = :domain)
    AND (:directory_id::integer IS NULL OR h.directory_id = :directory_id)
    AND (:addresses::text[] IS NULL OR h.address = ANY(:addresses::text[]))
ON CONFLICT (tenant_id, address, directory_id) DO UPDATE
    SET decided = true, step = CASE d.step WHEN 'missing' THEN 'grace' ELSE d.step END,
        grace_until = CASE d.step WHEN 'missing' THEN excluded.grace_until ELSE d.grace_until END

-- name: name_decided
-- What the tenant's list sees of it: grace where nothing else holds the address.
UPDATE touched SET elsewhere = rollcall.state_of(:tenant_id, address),
    change = CASE WHEN rollcall.state_of(:tenant_id, address) = 'grace' THEN 'grace' END

-- name: touch_lapsed
-- Decided departures of one tenant whose grace the clock has ended, a bounded bite of them.
INSERT INTO touched (address, was, becomes, kind, is_primary)
SELECT DISTINCT ON (d.address) d.address, 'grace', 'removed', h.kind, h.is_primary
FROM (
    SELECT * FROM rollcall.departure
    WHERE tenant_id = :tenant_id AND decided AND step = 'grace' AND grace_until <= :now ORDER BY address LIMIT :most
) d
JOIN rollcall.holding h USING (tenant_id, address, directory_id)
ORDER BY d.address, h.is_primary DESC, h.kind

-- name: lapse_departures
-- The clock removes them.
UPDATE rollcall.departure d SET step = 'removed', removed_at = :now
FROM touched WHERE d.tenant_id = :tenant_id AND d.address = touched.address AND d.decided AND d.step = 'grace' AND d.grace_until <= :now

-- name: name_lapsed
-- Removed from the tenant's list where nothing else knows the address.
UPDATE touched SET change = CASE WHEN rollcall.state_of(:tenant_id, address) IS NULL THEN 'removed' END

-- name: tenants_with_lapsed
-- Living tenants that have decided departures whose grace is over; of a deleted one nothing is told any more.
SELECT DISTINCT tenant_id FROM rollcall.departure JOIN rollcall.tenant USING (tenant_id)
WHERE decided AND step = 'grace' AND grace_until <= :now AND deleted_at IS NULL LIMIT :most

-- name: write_decision_history
-- One history row a change, naming the person's command; none where the clock alone did it.
INSERT INTO rollcall.history (at, tenant_id, directory_id, command, address, change)
SELECT :now, :tenant_id, :directory_id, :command, address, change FROM touched WHERE change IS NOT NULL

-- name: keep_by_hand
-- What a deleted directory held and hands over to "by hand".
INSERT INTO rollcall.holding (tenant_id, address, directory_id, entry_id, since, kind, is_primary, enabled, name)
SELECT DISTINCT ON (h.address) h.tenant_id, h.address, 0, '00000000-0000-0000-0000-000000000000', h.since, h.kind, h.is_primary, h.enabled, h.name
FROM rollcall.holding h
LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
WHERE h.tenant_id = :tenant_id AND h.directory_id = :directory_id AND coalesce(d.step, 'missing') = 'missing'
ORDER BY h.address, h.is_primary DESC, h.kind
ON CONFLICT DO NOTHING

-- name: stay_by_hand
-- Who was held by hand before and had departed stays now, too.
DELETE FROM rollcall.departure o
WHERE o.tenant_id = :tenant_id AND o.directory_id = 0 AND EXISTS (
    SELECT FROM rollcall.holding h
    LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
    WHERE h.tenant_id = o.tenant_id AND h.address = o.address AND h.directory_id = :directory_id
        AND coalesce(d.step, 'missing') = 'missing')

-- name: delete_handed_over
-- What a directory held and "by hand" holds now.
WITH handed AS (
    SELECT h.address, h.entry_id FROM rollcall.holding h
    LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
    WHERE h.tenant_id = :tenant_id AND h.directory_id = :directory_id AND coalesce(d.step, 'missing') = 'missing'
), d AS (
    DELETE FROM rollcall.departure d USING handed
    WHERE d.tenant_id = :tenant_id AND d.directory_id = :directory_id AND d.address = handed.address
)
DELETE FROM rollcall.holding h USING handed
WHERE h.tenant_id = :tenant_id AND h.directory_id = :directory_id AND h.address = handed.address AND h.entry_id = handed.entry_id

-- name: clear_touched
-- Ready for the next decision of the same transaction.
DELETE FROM touched

-- name: find_directory
-- A living directory of a tenant, locked.
SELECT i.directory_id, i.last_revision, i.asked_revision, i.revision_in_force, i.revision_pending, i.paused, v.settings, v.password_sealed, v.client_key_sealed
FROM rollcall.directory i
JOIN rollcall.directory_revision v ON v.directory_id = i.directory_id AND v.revision = coalesce(i.revision_pending, i.revision_in_force)
WHERE i.tenant_id = :tenant_id AND i.directory = :directory AND i.deleted_at IS NULL
FOR NO KEY UPDATE OF i

-- name: insert_directory
-- A new directory.
INSERT INTO rollcall.directory (tenant_id, directory, last_revision, asked_revision, revision_in_force, revision_pending)
VALUES (:tenant_id, :directory, :revision, :asked_revision, :in_force, :pending) RETURNING directory_id

-- name: save_directory
-- A new revision, pending or in force.
UPDATE rollcall.directory SET last_revision = :revision, asked_revision = coalesce(:asked_revision, asked_revision),
    revision_in_force = coalesce(:in_force, revision_in_force), revision_pending = :pending
WHERE directory_id = :directory_id

-- name: insert_revision
-- The form as saved; a secret left out is carried over from the revision before it.
INSERT INTO rollcall.directory_revision (directory_id, revision, asked_revision, settings, password_sealed, client_key_sealed, saved_at)
VALUES (:directory_id, :revision, :asked_revision, :settings, :password_sealed, :client_key_sealed, :now)

-- name: pause_directory
-- Stop, or let go on, its scheduled runs.
UPDATE rollcall.directory SET paused = :reason WHERE directory_id = :directory_id

-- name: delete_directory
-- Gone for everyone; its secrets are erased.
WITH d AS (
    UPDATE rollcall.directory SET deleted_at = :now, digest = NULL, next_sync_at = NULL WHERE directory_id = :directory_id RETURNING directory_id
), g AS (
    DELETE FROM rollcall.trigger WHERE directory_id = :directory_id
)
UPDATE rollcall.directory_revision v SET password_sealed = NULL, client_key_sealed = NULL FROM d WHERE v.directory_id = d.directory_id

-- name: directories_of_tenant
-- Its living directories.
SELECT directory_id, directory FROM rollcall.directory WHERE tenant_id = :tenant_id AND deleted_at IS NULL ORDER BY directory_id FOR NO KEY UPDATE

-- name: delete_tenant
-- Hidden at once; the rows are purged later.
WITH t AS (UPDATE rollcall.tenant SET deleted_at = :now WHERE tenant_id = :tenant_id RETURNING tenant_id)
UPDATE rollcall.domain d SET removed_at = :now FROM t WHERE d.tenant_id = t.tenant_id AND d.removed_at IS NULL

-- name: insert_run
-- A run in the queue.
INSERT INTO rollcall.run (run_id, tenant_id, directory_id, revision, pending, trigger, mode, state, run_after, queued_at, traceparent)
VALUES (:run_id, :tenant_id, :directory_id, :revision, :pending, :trigger, :mode, 'queued', :now, :now, :traceparent)

-- name: join_run
-- A request joins the queued run; a manual one makes it manual and due now.
UPDATE rollcall.run SET trigger = CASE WHEN :manual THEN 'manual' ELSE trigger END,
    run_after = CASE WHEN :manual THEN least(run_after, :now) ELSE run_after END,
    attempt = CASE WHEN :manual AND trigger = 'scheduled' THEN 0 ELSE attempt END
WHERE run_id = :run_id

-- name: add_cause
-- One more command that this run answers.
INSERT INTO rollcall.run_cause (run_id, number, command_id) VALUES (:run_id, :number, :command_id) ON CONFLICT DO NOTHING

-- name: find_run
-- A run of a tenant, locked.
SELECT r.run_id, r.directory_id, r.state, i.directory FROM rollcall.run r JOIN rollcall.directory i USING (directory_id)
WHERE r.tenant_id = :tenant_id AND r.run_id = :run_id FOR NO KEY UPDATE OF r

-- name: open_runs
-- Runs of a directory that have not ended.
SELECT run_id, state FROM rollcall.run WHERE directory_id = :directory_id AND state IN ('queued', 'running') ORDER BY run_id FOR NO KEY UPDATE

-- name: ask_to_cancel
-- A running run ends as cancelled as soon as its worker sees this, at the latest in its final transaction.
UPDATE rollcall.run SET cancel_reason = coalesce(cancel_reason, :reason) WHERE run_id = :run_id

-- ============================================================================
-- tests of directories
-- ============================================================================

-- name: insert_test
-- A test that a command asks for: the settings as they are now, and their secrets, sealed; unless so many wait already.
INSERT INTO rollcall.directory_test (number, tenant_id, directory_id, is_saved, settings, password_sealed, client_key_sealed, asked_at)
SELECT :number, :tenant_id, :directory_id, :is_saved, :settings, :password_sealed, :client_key_sealed, :asked_at
WHERE (SELECT count(*) FROM rollcall.directory_test WHERE tenant_id = :tenant_id) < :most

-- name: claim_tests
-- Tests that nobody is at, in turns: the first of each tenant, then the second; no more of a tenant at once than it may have.
-- What another worker takes just now is left to it (SKIP LOCKED), and does not count anew: its place is taken.
WITH busy AS (
    SELECT tenant_id, count(*) AS tests FROM rollcall.directory_test WHERE leased_until > clock_timestamp() GROUP BY tenant_id
), ready AS (
    SELECT d.number, row_number() OVER (PARTITION BY d.tenant_id ORDER BY d.number) + coalesce(busy.tests, 0) AS place
    FROM rollcall.directory_test d LEFT JOIN busy USING (tenant_id)
    WHERE d.leased_until <= clock_timestamp()
), chosen AS (
    SELECT d.number FROM rollcall.directory_test d JOIN ready USING (number)
    WHERE ready.place <= :per_tenant AND d.leased_until <= clock_timestamp()
    ORDER BY ready.place, d.number LIMIT :most
    FOR NO KEY UPDATE OF d SKIP LOCKED
), begun AS (
    UPDATE rollcall.directory_test d
    SET attempts = d.attempts + 1, token = d.token + 1, leased_until = clock_timestamp() + :length::interval
    FROM chosen WHERE d.number = chosen.number
    RETURNING d.*
)
SELECT begun.number, begun.token, begun.attempts, begun.is_saved, begun.settings, begun.password_sealed, begun.client_key_sealed, begun.asked_at,
    t.tenant, i.directory, c.id AS command_id, c.traceparent,
    ARRAY(SELECT m.domain FROM rollcall.domain m WHERE m.tenant_id = begun.tenant_id AND m.removed_at IS NULL ORDER BY m.domain) AS domains
FROM begun
JOIN rollcall.tenant t USING (tenant_id)
JOIN rollcall.command c USING (number)
LEFT JOIN rollcall.directory i USING (directory_id)
ORDER BY begun.number

-- name: renew_test
-- Keep it; no row: it is another worker's, or gone.
UPDATE rollcall.directory_test SET leased_until = clock_timestamp() + :length::interval
WHERE number = :number AND token = :token RETURNING number

-- name: release_test
-- Another worker may have it at once, and it counts as not begun.
UPDATE rollcall.directory_test SET leased_until = '-infinity', attempts = attempts - 1 WHERE number = :number AND token = :token

-- name: end_test
-- Answered: it goes, and its secrets with it. No row: it is another worker's, or gone.
DELETE FROM rollcall.directory_test d USING rollcall.command c
WHERE d.number = :number AND d.token = :token AND c.number = d.number
RETURNING c.reply_to, c.correlation_id

-- name: stop_tests
-- The tests of a deleted tenant, or of one directory of it, with the commands that asked for them.
DELETE FROM rollcall.directory_test d USING rollcall.command c
WHERE d.tenant_id = :tenant_id AND (:directory_id::integer IS NULL OR d.directory_id = :directory_id) AND c.number = d.number
RETURNING c.number, c.source, c.id, c.tenant, c.name, c.reply_to, c.correlation_id, c.traceparent

-- ============================================================================
-- sign-ins
-- ============================================================================

-- name: lock_sign_ins
-- One sign-in decision at a time for a tenant, over all workers: its names may stand for one account. The second lock is that of
-- an older release, which tells them apart.
SELECT pg_advisory_xact_lock(hashtextextended(:tenant::text, 7)),
    pg_advisory_xact_lock(hashtextextended(:tenant::text || ' ' || :bind_name::text, 7))

-- name: recent_sign_ins
-- What became of the last sign-ins, the youngest first.
SELECT s.at, s.outcome, s.is_trial FROM rollcall.sign_in s JOIN rollcall.tenant t USING (tenant_id)
WHERE t.tenant = :tenant AND t.deleted_at IS NULL AND s.bind_name = :bind_name AND s.outcome <> 'broken'
ORDER BY s.at DESC, s.sign_in_id DESC LIMIT 20

-- name: sign_ins_nearby
-- The same of all other names of a tenant, as far back as they can matter.
SELECT s.bind_name, s.hosts, s.at, s.outcome FROM rollcall.sign_in s JOIN rollcall.tenant t USING (tenant_id)
WHERE t.tenant = :tenant AND t.deleted_at IS NULL AND s.at > :since AND s.bind_name <> :bind_name AND s.outcome <> 'broken'
ORDER BY s.at DESC, s.sign_in_id DESC LIMIT 1000

-- name: is_known_refused
-- Whether this very password was refused and never accepted since.
SELECT coalesce((
    SELECT s.outcome = 'refused' FROM rollcall.sign_in s JOIN rollcall.tenant t USING (tenant_id)
    WHERE t.tenant = :tenant AND t.deleted_at IS NULL AND s.bind_name = :bind_name AND s.fingerprint = ANY(:fingerprints::bytea[])
        AND s.outcome IN ('accepted', 'refused')
    ORDER BY s.at DESC, s.sign_in_id DESC LIMIT 1), false) AS refused

-- name: record_sign_in
-- The attempt, before it is made.
INSERT INTO rollcall.sign_in (tenant_id, bind_name, hosts, is_trial, fingerprint, at)
SELECT tenant_id, :bind_name, :hosts, :is_trial, :fingerprint, :now FROM rollcall.tenant WHERE tenant = :tenant AND deleted_at IS NULL
RETURNING sign_in_id

-- name: settle_sign_in
-- What the server said.
UPDATE rollcall.sign_in SET outcome = :outcome WHERE sign_in_id = :sign_in_id

-- ============================================================================
-- the relay and the housekeeper
-- ============================================================================

-- name: hold_service
-- One worker at a time does a service; the token fences.
INSERT INTO rollcall.service_lease AS l (service, owner, token, expires_at)
VALUES (:service, :owner, 1, clock_timestamp() + :length::interval)
ON CONFLICT (service) DO UPDATE
    SET owner = excluded.owner, token = l.token + (l.owner <> excluded.owner)::integer, expires_at = excluded.expires_at
    WHERE l.owner = excluded.owner OR l.expires_at <= clock_timestamp()
RETURNING token

-- name: release_service
-- Let the next worker have it at once.
UPDATE rollcall.service_lease SET expires_at = '-infinity' WHERE service = :service AND owner = :owner

-- name: next_outbox
-- The oldest events up to so many and so many bytes; a tenant's are in the order of its sequence, because its row is
-- locked while they are written.
SELECT number, event_id, tenant, type, routing_key, reply_to, correlation_id, traceparent, body
FROM (
    SELECT oldest.*, sum(octet_length(body)) OVER (ORDER BY number) - octet_length(body) AS bytes_before
    FROM (SELECT * FROM rollcall.outbox ORDER BY number LIMIT :most) oldest
) weighed
WHERE bytes_before < :most_bytes ORDER BY number

-- name: delete_outbox
-- What the broker has confirmed.
DELETE FROM rollcall.outbox WHERE number = ANY(:numbers::bigint[])

-- name: backlog
-- What waits, and for how long.
SELECT o.outbox_rows, o.outbox_age_s, r.manual_ready, r.scheduled_ready, r.run_age_s, q.tests_ready, q.test_age_s
FROM (
    SELECT count(*) AS outbox_rows, coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS outbox_age_s
    FROM rollcall.outbox
) o, (
    SELECT count(*) FILTER (WHERE trigger = 'manual') AS manual_ready, count(*) FILTER (WHERE trigger = 'scheduled') AS scheduled_ready,
        coalesce(extract(epoch FROM clock_timestamp() - min(run_after)), 0)::float8 AS run_age_s
    FROM rollcall.run WHERE state = 'queued' AND run_after <= clock_timestamp()
) r, (
    SELECT count(*) AS tests_ready, coalesce(extract(epoch FROM clock_timestamp() - min(asked_at)), 0)::float8 AS test_age_s
    FROM rollcall.directory_test WHERE leased_until <= clock_timestamp()
) q

-- name: watched_directories
-- A page of the living directories with settings in force, with what warnings go by and what was warned of.
SELECT i.directory_id, i.tenant_id, i.directory, i.certificate_until, i.password_until, i.last_good_at, i.expected_since, i.scheduled_hours, i.failed_in_a_row,
    coalesce((v.settings -> 'schedule' ->> 'automatic')::boolean, false) AS is_automatic,
    coalesce(v.settings -> 'notify', '[]')::text AS notify, ARRAY(SELECT cause FROM rollcall.warning w WHERE w.directory_id = i.directory_id ORDER BY cause) AS standing,
    ARRAY(SELECT at FROM rollcall.warning w WHERE w.directory_id = i.directory_id ORDER BY cause) AS standing_at
FROM rollcall.directory i
JOIN rollcall.tenant t USING (tenant_id)
JOIN rollcall.directory_revision v ON v.directory_id = i.directory_id AND v.revision = i.revision_in_force
WHERE i.directory_id > :after AND i.deleted_at IS NULL AND t.deleted_at IS NULL
ORDER BY i.directory_id LIMIT :most

-- name: write_warning
-- Told once, until it is over.
INSERT INTO rollcall.warning (directory_id, cause, at, told_at) VALUES (:directory_id, :cause, :at, :now)

-- name: move_warning
-- It stands, by another time: a certificate or password that was renewed, and is about to expire again.
UPDATE rollcall.warning SET at = :at WHERE directory_id = :directory_id AND cause = :cause

-- name: clear_warning
-- It is over.
DELETE FROM rollcall.warning WHERE directory_id = :directory_id AND cause = :cause

-- name: partitions_ahead
-- History's months to come.
SELECT rollcall.make_history_partitions(:now) AS made

-- name: drop_old_history
-- The oldest month of history, if all of it is past its time; NULL if not, or if somebody uses history just now.
SELECT rollcall.drop_history_before(:now::timestamptz - make_interval(months => :months::integer)) AS dropped

-- name: purge_old_runs
-- Runs past their time with whom they answered, a bounded bite. Of each directory there stay the two complete ones that an undo may
-- need to measure by, however old they are, and what an open hold goes back to.
DELETE FROM rollcall.run WHERE run_id IN (
    SELECT r.run_id FROM rollcall.run r
    WHERE r.finished_at < :now::timestamptz - make_interval(months => :months::integer)
        AND (r.mode <> 'apply' OR r.state <> 'completed' OR 2 = (
            SELECT count(*) FROM (
                SELECT FROM rollcall.run y
                WHERE y.tenant_id = r.tenant_id AND y.directory_id = r.directory_id AND y.queued_at > r.queued_at
                    AND y.mode = 'apply' AND y.state = 'completed' AND y.undone_at IS NULL LIMIT 2) younger))
        AND NOT EXISTS (SELECT FROM rollcall.directory i WHERE i.directory_id = r.directory_id AND i.last_good_run = r.run_id)
        AND NOT EXISTS (SELECT FROM rollcall.hold o WHERE o.directory_id = r.directory_id AND o.state = 'open' AND o.run_id = r.run_id)
    ORDER BY r.finished_at LIMIT :most
    FOR UPDATE SKIP LOCKED)

-- name: purge_old_holds
-- Holds that ended before the time that is kept, a bounded bite; their sets went when they ended.
DELETE FROM rollcall.hold WHERE hold_id IN (
    SELECT hold_id FROM rollcall.hold
    WHERE state = 'ended' AND ended_at < :now::timestamptz - make_interval(months => :months::integer) LIMIT :most)

-- name: purge_parked
-- What was refused is kept as long as the command could come again; the oldest, a bounded bite, known by their numbers.
DELETE FROM rollcall.parked WHERE at < :before AND parked_id IN (SELECT parked_id FROM rollcall.parked ORDER BY parked_id LIMIT :most)

-- name: purge_commands
-- The idempotency keys are kept 30 days; a bounded bite.
DELETE FROM rollcall.command WHERE number IN (
    SELECT number FROM rollcall.command WHERE received_at < :before AND state <> 'stored' ORDER BY received_at LIMIT :most)

-- name: purge_removed
-- Removed addresses are kept 30 days for a return with their history; a bounded bite. Under the lock of their tenant, for a run or an
-- undo may be giving back just these: what belongs to a tenant that another has locked waits for the next bite.
WITH old AS (
    SELECT o.tenant_id, o.address, o.directory_id
    FROM rollcall.departure o JOIN rollcall.tenant t USING (tenant_id)
    WHERE o.step = 'removed' AND o.removed_at < :before LIMIT :most
    FOR NO KEY UPDATE OF t, o SKIP LOCKED
), d AS (
    DELETE FROM rollcall.departure d USING old WHERE (d.tenant_id, d.address, d.directory_id) = (old.tenant_id, old.address, old.directory_id)
)
DELETE FROM rollcall.holding h USING old WHERE (h.tenant_id, h.address, h.directory_id) = (old.tenant_id, old.address, old.directory_id)

-- name: purge_sets
-- Previews are kept a day; a bounded bite.
DELETE FROM rollcall.change_set WHERE (set_id, address) IN (
    SELECT set_id, address FROM rollcall.change_set WHERE expires_at < :now ORDER BY expires_at LIMIT :most)

-- name: purge_sign_ins
-- Old sign-ins, a bounded bite; the last of each password stays, it says whether that password was refused.
DELETE FROM rollcall.sign_in WHERE sign_in_id IN (
    SELECT s.sign_in_id FROM rollcall.sign_in s WHERE s.at < :before AND EXISTS (
        SELECT FROM rollcall.sign_in n WHERE n.tenant_id = s.tenant_id AND n.bind_name = s.bind_name AND n.fingerprint = s.fingerprint
            AND n.sign_in_id > s.sign_in_id)
    LIMIT :most)

-- name: tenants_to_purge
-- Tenants deleted 30 days ago that something may be left of.
SELECT tenant_id FROM rollcall.tenant WHERE deleted_at < :before AND purged_at IS NULL ORDER BY deleted_at LIMIT :most

-- name: purge_holdings
-- A bounded bite of what a deleted tenant's directories held.
WITH old AS (
    SELECT tenant_id, address, directory_id, entry_id FROM rollcall.holding WHERE tenant_id = :tenant_id LIMIT :most
), d AS (
    DELETE FROM rollcall.departure d USING old WHERE (d.tenant_id, d.address, d.directory_id) = (old.tenant_id, old.address, old.directory_id)
)
DELETE FROM rollcall.holding h USING old
WHERE (h.tenant_id, h.address, h.directory_id, h.entry_id) = (old.tenant_id, old.address, old.directory_id, old.entry_id)

-- name: purge_ignored
-- A bounded bite of what a deleted tenant's directories rejected.
DELETE FROM rollcall.ignored WHERE (tenant_id, directory_id, address, reason) IN (
    SELECT tenant_id, directory_id, address, reason FROM rollcall.ignored WHERE tenant_id = :tenant_id LIMIT :most)

-- name: purge_logins
-- A bounded bite of a deleted tenant's logins, with what leads to them.
WITH old AS (SELECT login_id FROM rollcall.login WHERE tenant_id = :tenant_id LIMIT :most), a AS (
    DELETE FROM rollcall.login_address a USING old WHERE a.login_id = old.login_id
)
DELETE FROM rollcall.login l USING old WHERE l.login_id = old.login_id

-- name: purge_login_conflicts
-- A bounded bite of what a deleted tenant's entries claimed.
DELETE FROM rollcall.login_conflict WHERE (tenant_id, directory_id, entry_id, address) IN (
    SELECT tenant_id, directory_id, entry_id, address FROM rollcall.login_conflict WHERE tenant_id = :tenant_id LIMIT :most)

-- name: purge_login_history
-- A bounded bite of what became of a deleted tenant's logins.
DELETE FROM rollcall.login_history WHERE ctid IN (SELECT ctid FROM rollcall.login_history WHERE tenant_id = :tenant_id LIMIT :most)

-- name: purge_old_login_history
-- What became of logins before the time that is kept; a bounded bite.
DELETE FROM rollcall.login_history WHERE ctid IN (
    SELECT ctid FROM rollcall.login_history WHERE at < :now::timestamptz - make_interval(months => :months::integer) LIMIT :most)

-- name: purge_history
-- A bounded bite of a deleted tenant's history.
DELETE FROM rollcall.history WHERE tenant_id = :tenant_id AND (tableoid, ctid) IN (
    SELECT tableoid, ctid FROM rollcall.history WHERE tenant_id = :tenant_id LIMIT :most)

-- name: purge_holds
-- A deleted tenant's holds with their sets.
WITH old AS (SELECT hold_id FROM rollcall.hold WHERE tenant_id = :tenant_id LIMIT :most), c AS (
    DELETE FROM rollcall.change_set c USING old WHERE c.set_id = old.hold_id
)
DELETE FROM rollcall.hold o USING old WHERE o.hold_id = old.hold_id

-- name: purge_runs
-- A bounded bite of a deleted tenant's runs.
DELETE FROM rollcall.run WHERE run_id IN (SELECT run_id FROM rollcall.run WHERE tenant_id = :tenant_id LIMIT :most)

-- name: purge_tenant_sign_ins
-- A bounded bite of a deleted tenant's sign-ins.
DELETE FROM rollcall.sign_in WHERE sign_in_id IN (SELECT sign_in_id FROM rollcall.sign_in WHERE tenant_id = :tenant_id LIMIT :most)

-- name: purge_revisions
-- A bounded bite of a deleted tenant's forms.
DELETE FROM rollcall.directory_revision WHERE (directory_id, revision) IN (
    SELECT v.directory_id, v.revision FROM rollcall.directory_revision v JOIN rollcall.directory i USING (directory_id)
    WHERE i.tenant_id = :tenant_id LIMIT :most)

-- name: purge_directories
-- A deleted tenant's directories, once nothing refers to them.
WITH old AS (SELECT directory_id FROM rollcall.directory WHERE tenant_id = :tenant_id LIMIT :most), l AS (
    DELETE FROM rollcall.lease l USING old WHERE l.directory_id = old.directory_id
)
DELETE FROM rollcall.directory i USING old WHERE i.directory_id = old.directory_id

-- name: purge_domains
-- A deleted tenant's domains.
DELETE FROM rollcall.domain WHERE domain_id IN (SELECT domain_id FROM rollcall.domain WHERE tenant_id = :tenant_id LIMIT :most)

-- name: tenant_purged
-- Nothing is left but the row that keeps the epoch.
UPDATE rollcall.tenant SET purged_at = :now WHERE tenant_id = :tenant_id

-- ============================================================================
-- what people look at
-- ============================================================================

-- name: report_runs
-- Runs of a tenant, the newest first; all of them if "most" is NULL.
SELECT r.run, r.directory, r.trigger, r.mode, r.state, r.verdict, r.attempt, r.counts, r.seconds, r.reasons, r.finding, r.advice,
    r.hold, r.queued_at, r.started_at, r.finished_at
FROM api.run r
WHERE r.tenant = :tenant AND (:directory::text IS NULL OR r.directory = :directory) AND (:run::uuid IS NULL OR r.run = :run)
ORDER BY r.queued_at DESC, r.run LIMIT :most

-- name: report_changes
-- What became of addresses of a tenant, the newest first; all of it if "most" is NULL.
SELECT h.at, h.directory, h.run, h.address, h.change, h.by
FROM api.history h
WHERE h.tenant = :tenant AND (:directory::text IS NULL OR h.directory = :directory)
    AND (:run::uuid IS NULL OR h.run = :run) AND (:address::text IS NULL OR h.address = :address)
ORDER BY h.at DESC, h.address LIMIT :most

-- name: report_login_changes
-- What became of logins of a tenant, the newest first; with an address, of those that it leads to or that ever had its name.
SELECT h.at, h.directory, h.run, h.login, h.username, h.was, h.change, h.state, h.by, h.causes
FROM api.login_history h
WHERE h.tenant = :tenant AND (:directory::text IS NULL OR h.directory = :directory) AND (:run::uuid IS NULL OR h.run = :run)
    AND (:address::text IS NULL OR h.login IN (
        SELECT a.login FROM api.login_address a WHERE a.tenant = :tenant AND a.address = :address
        UNION ALL
        SELECT o.login FROM api.login_history o WHERE o.tenant = :tenant AND :address IN (o.username, o.was)))
ORDER BY h.at DESC, h.username, h.login LIMIT :most

-- name: report_directories
-- Directories of one tenant, of a reseller's tenants or of all, those in trouble first.
SELECT t.tenant, i.directory, v.settings ->> 'name' AS name, v.settings ->> 'type' AS type,
    CASE WHEN coalesce(i.paused, i.plan_pause) IS NOT NULL THEN 'paused' WHEN i.revision_in_force IS NULL THEN 'pending' ELSE 'in_force' END AS state,
    coalesce(i.paused, i.plan_pause) AS paused, i.last_good_at, i.next_sync_at, bad.since AS failing_since, bad.code AS failing,
    (SELECT count(*) FROM rollcall.run r WHERE r.directory_id = i.directory_id AND r.state = 'queued') AS queued,
    (SELECT count(*) FROM rollcall.run r WHERE r.tenant_id = i.tenant_id AND r.directory_id = i.directory_id AND r.state = 'running') AS running,
    coalesce(o.held, 0) AS held, o.since AS held_since,
    ARRAY(SELECT w.cause FROM rollcall.warning w WHERE w.directory_id = i.directory_id ORDER BY w.cause) AS warnings,
    t.tier, rollcall.tier_of(t.reseller) AS reseller_tier, coalesce((v.settings -> 'logins' ->> 'create')::boolean, false) AS asks_logins
FROM rollcall.directory i
JOIN rollcall.tenant t USING (tenant_id)
JOIN rollcall.directory_revision v
    ON v.directory_id = i.directory_id AND v.revision = coalesce(i.revision_pending, i.revision_in_force)
CROSS JOIN LATERAL (
    SELECT min(r.finished_at) AS since, (array_agg(r.finding ->> 'code' ORDER BY r.finished_at DESC))[1] AS code
    FROM rollcall.run r
    WHERE r.directory_id = i.directory_id AND r.state = 'failed' AND r.mode = 'apply'
        AND r.finished_at > coalesce(i.last_good_at, '-infinity')
) bad
LEFT JOIN LATERAL (
    SELECT h.since, (SELECT count(*) FROM rollcall.change_set c WHERE c.set_id = h.hold_id AND NOT c.approved) AS held
    FROM rollcall.hold h WHERE h.directory_id = i.directory_id AND h.state = 'open'
) o ON true
WHERE i.deleted_at IS NULL AND t.deleted_at IS NULL AND (:tenant::text IS NULL OR t.tenant = :tenant)
    AND (:reseller::text IS NULL OR t.reseller = :reseller)
ORDER BY (bad.since IS NULL AND o.since IS NULL), t.tenant, i.directory LIMIT :most

-- name: report_why
-- All that is known of one address, as one document.
SELECT (jsonb_build_object('asked', :asked::text) || to_jsonb(w) || jsonb_build_object('next', coalesce(w.next, '[]')))::text AS told
FROM api.why(:asked, :tenant) w

-- name: report_logins
-- Quarantine logins of a tenant, by user name.
SELECT l.login, l.directory, l.username, l.addresses, l.role, l.state, l.reason, l.since FROM api.login l
WHERE l.tenant = :tenant AND (:directory::text IS NULL OR l.directory = :directory)
ORDER BY l.username, l.since DESC, l.login LIMIT :most

-- name: report_logins_of_address
-- The logins that an address leads to, or that have its name.
SELECT l.login, l.directory, l.username, l.addresses, l.role, l.state, l.reason, l.since FROM api.login l
WHERE l.tenant = :tenant AND (l.username = :address OR l.login IN (
    SELECT a.login FROM api.login_address a WHERE a.tenant = :tenant AND a.address = :address))
ORDER BY l.username, l.since DESC, l.login

-- name: report_claims
-- What a tenant's entries claim for their logins and do not get.
SELECT c.directory, c.entry, c.address, c.code, c.mailboxes FROM api.login_conflict c
WHERE c.tenant = :tenant AND (:directory::text IS NULL OR c.directory = :directory)
ORDER BY c.address, c.directory, c.entry LIMIT :most

-- name: report_tenant
-- Whether there is such a tenant.
SELECT EXISTS (SELECT FROM rollcall.tenant WHERE tenant = :tenant AND deleted_at IS NULL) AS known

-- name: report_directory
-- Whether a tenant has such a directory, or had one whose runs are kept.
SELECT EXISTS (
    SELECT FROM rollcall.directory i JOIN rollcall.tenant t USING (tenant_id)
    WHERE t.tenant = :tenant AND t.deleted_at IS NULL AND i.directory = :directory) AS known

-- name: report_answers
-- The events that answered a command, in their order.
SELECT substring(o.type FROM '^rollcall[.](.*)[.]v[0-9]+$') AS name, (o.body::jsonb -> 'data')::text AS data
FROM rollcall.command m JOIN rollcall.command_outcome o USING (number)
WHERE m.source = :source AND m.id = :id ORDER BY (o.body::jsonb -> 'data' ->> 'sequence')::bigint NULLS FIRST, o.event_id

-- name: report_holds
-- The open holds of a tenant, the oldest first.
SELECT h.hold, h.version, h.directory, h.since, h.discarded, h.reasons,
    count(h.address) FILTER (WHERE NOT h.approved) AS waiting, count(h.address) FILTER (WHERE h.approved) AS approved,
    (SELECT count(*) FROM rollcall.change_set c WHERE c.set_id = h.hold AND c.change = 'deactivated' AND NOT c.approved) AS logins
FROM api.hold h WHERE h.tenant = :tenant
GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY h.since, h.hold

-- name: report_set
-- What waits in a hold, or what a preview would have changed.
SELECT c.address, c.change, c.kind, c."primary", c.approved FROM api.change c
WHERE c.tenant = :tenant AND coalesce(c.hold, c.run) = :of::uuid ORDER BY c.address LIMIT :most

-- name: report_command
-- What became of a command, and the run that answers it: its own, or one it joined that was queued up to a day before.
SELECT m.state, p.reason, c.run_id,
    EXISTS (SELECT FROM rollcall.run b WHERE b.directory_id = c.directory_id AND b.state = 'running' AND b.run_id <> c.run_id) AS is_behind
FROM rollcall.command m
LEFT JOIN LATERAL (
    SELECT parked.reason FROM rollcall.parked
    WHERE m.state = 'rejected' AND parked.source = m.source AND parked.id = m.id ORDER BY parked.at DESC LIMIT 1
) p ON true
LEFT JOIN LATERAL (
    SELECT r.run_id, r.directory_id
    FROM rollcall.tenant t
    JOIN rollcall.run r ON r.tenant_id = t.tenant_id AND r.queued_at > m.received_at - interval '1 day'
    JOIN rollcall.run_cause k ON k.run_id = r.run_id AND k.number = m.number
    WHERE t.tenant = m.tenant AND t.deleted_at IS NULL LIMIT 1
) c ON true
WHERE m.source = :source AND m.id = :id

-- ============================================================================
-- sealing again
-- ============================================================================

-- name: sealed_secrets
-- The next revisions with a secret, in a bounded bite.
SELECT directory_id, revision, password_sealed, client_key_sealed FROM rollcall.directory_revision
WHERE (directory_id, revision) > (:directory_id::integer, :revision::bigint)
    AND (password_sealed IS NOT NULL OR client_key_sealed IS NOT NULL)
ORDER BY directory_id, revision LIMIT :most

-- name: seal_again
-- The same secrets under the newest key, unless a worker erased or replaced them meanwhile.
UPDATE rollcall.directory_revision SET password_sealed = :password_sealed, client_key_sealed = :client_key_sealed
WHERE directory_id = :directory_id AND revision = :revision
    AND password_sealed IS NOT DISTINCT FROM :old_password AND client_key_sealed IS NOT DISTINCT FROM :old_client_key
