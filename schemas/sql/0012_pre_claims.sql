-- Whose the claims are: an entry's id alone tells an admin nothing. An older release works on: it does not ask.

-- The mailboxes that meet in an address: those that show it, and the one whose login has it. Each by its name and the user name of its
-- login as far as it has them, else by its entry; the one that has it first, five at most. Each look is by a whole key.
CREATE FUNCTION rollcall.claimants(asked_tenant integer, asked text, holder uuid) RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT ARRAY(
        SELECT coalesce(e.name || ' (' || l.username || ')', e.name, l.username, e.entry_id::text)
        FROM (
            SELECT entry.directory_id, entry.entry_id, max(entry.name) AS name, bool_or(entry.has_it) AS has_it
            FROM (
                SELECT h.directory_id, h.entry_id, h.name, false AS has_it FROM rollcall.holding h
                WHERE h.tenant_id = asked_tenant AND h.address = asked COLLATE "C" AND h.directory_id <> 0 AND coalesce((
                    SELECT d.step FROM rollcall.departure d
                    WHERE d.tenant_id = asked_tenant AND d.address = h.address AND d.directory_id = h.directory_id), 'missing') = 'missing'
                UNION ALL
                SELECT u.directory_id, u.entry_id, (
                    SELECT max((
                        SELECT h.name FROM rollcall.holding h
                        WHERE h.tenant_id = u.tenant_id AND h.address = a.address AND h.directory_id = u.directory_id AND h.entry_id = u.entry_id))
                    FROM rollcall.login_address a WHERE a.login_id = u.login_id), true
                FROM rollcall.login u WHERE u.login_id = holder AND u.directory_id <> 0
            ) entry
            GROUP BY 1, 2
        ) e
        LEFT JOIN LATERAL (
            SELECT o.username FROM rollcall.login o
            WHERE o.directory_id = e.directory_id AND o.entry_id = e.entry_id AND o.directory_id <> 0 AND o.state <> 'released' LIMIT 1
        ) l ON true
        ORDER BY e.has_it DESC, l.username, e.entry_id LIMIT 5)
$$;

CREATE OR REPLACE VIEW api.login_conflict AS
SELECT t.tenant, i.directory, c.entry_id AS entry, c.address, c.code, c.login_id AS login, c.seen_at,
    rollcall.claimants(c.tenant_id, c.address, c.login_id) AS mailboxes
FROM rollcall.login_conflict c
JOIN rollcall.tenant t USING (tenant_id)
JOIN rollcall.directory i USING (directory_id)
WHERE t.deleted_at IS NULL AND i.deleted_at IS NULL;
