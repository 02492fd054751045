-- Makes reference.address equal to what was staged, and writes a history row a change. Unchanged rows are not written.
-- An address of several entries is one row: the lowest kind, then entry.
ANALYZE staging;
CREATE TEMP TABLE wanted ON COMMIT DROP AS
    SELECT DISTINCT ON (address) tenant_id, address, kind, entry_id
    FROM staging ORDER BY address, kind, entry_id;
ANALYZE wanted;
WITH gone AS (
    DELETE FROM reference.address a WHERE a.tenant_id = :tenant
        AND NOT EXISTS (SELECT FROM wanted w WHERE w.address = a.address)
    RETURNING address
)
INSERT INTO reference.history SELECT now(), :tenant, :'run', address, 'removed' FROM gone;
UPDATE reference.address a SET kind = w.kind, entry_id = w.entry_id
    FROM wanted w WHERE a.tenant_id = :tenant AND a.address = w.address
    AND (a.kind, a.entry_id) IS DISTINCT FROM (w.kind, w.entry_id);
WITH new AS (
    INSERT INTO reference.address SELECT w.* FROM wanted w
        LEFT JOIN reference.address a ON a.tenant_id = :tenant AND a.address = w.address WHERE a.address IS NULL
    RETURNING address
)
INSERT INTO reference.history SELECT now(), :tenant, :'run', address, 'added' FROM new;
