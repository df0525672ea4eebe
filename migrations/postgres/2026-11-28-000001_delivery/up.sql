-- How far the changes of each integration are delivered, what is being tried, and who is at it.
CREATE TABLE kombo.sync_deliveries (
    integration_id text COLLATE "C" PRIMARY KEY NOT NULL,
    delivered_seq bigint NOT NULL,
    delivered_at timestamptz,
    not_before timestamptz NOT NULL,
    parcel_id text,
    parcel_first_seq bigint,
    parcel_last_seq bigint,
    parcel_entries bigint,
    parcel_first_tried_at timestamptz,
    parcel_attempts integer,
    parcel_error text,
    lease_token text,
    lease_owner text,
    lease_expires_at timestamptz
);

-- Where delivery began: one row once it has.
CREATE TABLE kombo.sync_delivery_start (
    id smallint PRIMARY KEY NOT NULL CHECK (id = 1),
    seq bigint NOT NULL
);

-- What was given up, with what was to be sent.
CREATE TABLE kombo.sync_dead_letters (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    entries bigint NOT NULL,
    first_tried_at timestamptz NOT NULL,
    last_tried_at timestamptz NOT NULL,
    attempts integer NOT NULL,
    error text NOT NULL,
    again boolean NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (integration_id, id)
);

-- Tells whoever listens to syncd_changes that the change log grew: once for each transaction, when it commits.
CREATE FUNCTION kombo.sync_changes_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('syncd_changes', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER sync_changes_notify AFTER INSERT ON kombo.sync_changes
    FOR EACH STATEMENT EXECUTE FUNCTION kombo.sync_changes_notify();
