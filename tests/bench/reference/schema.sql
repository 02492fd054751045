-- What the reference keeps: one row an address, and a history row a change.
-- History has the product's two indexes, (tenant, address, at) and (run); it is not partitioned, and its change is as short a text.
-- The address table has its primary key alone, as the product's holdings do for a tenant without addresses by hand.
CREATE SCHEMA reference;
CREATE TABLE reference.address (
    tenant_id integer NOT NULL,
    address   text COLLATE "C" NOT NULL,
    kind      smallint NOT NULL,        -- 0 primary, 1 other
    entry_id  uuid NOT NULL,
    PRIMARY KEY (tenant_id, address)
);
CREATE TABLE reference.history (
    at        timestamptz NOT NULL,
    tenant_id integer NOT NULL,
    run_id    uuid NOT NULL,
    address   text COLLATE "C" NOT NULL,
    change    text NOT NULL
);
CREATE INDEX ON reference.history (tenant_id, address, at);
CREATE INDEX ON reference.history (run_id);
