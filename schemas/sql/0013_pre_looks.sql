-- What is looked for has an index that leads to it alone. An older release works on: it asks for the same rows.

-- Who holds an address by hand: the one by the tenant alone was the smaller, and by it each look read all that the tenant holds by hand.
DROP INDEX rollcall.holding_by_hand;
CREATE INDEX holding_by_hand ON rollcall.holding (tenant_id, address) WHERE directory_id = 0;

-- The logins of a tenant, those without a name among them: most tenants have none, and to know that read everybody's.
CREATE INDEX login_of_tenant ON rollcall.login (tenant_id, entry_id);

-- The directories of a tenant, deleted ones among them: every run asks whether there is another.
CREATE INDEX directory_of_tenant ON rollcall.directory (tenant_id);
