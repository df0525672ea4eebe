-- How far the changes of each integration are delivered, what is being tried, and who is at it.
CREATE TABLE sync_deliveries (
    integration_id TEXT PRIMARY KEY NOT NULL,
    delivered_seq INTEGER NOT NULL,
    delivered_at TEXT,
    not_before TEXT NOT NULL,
    parcel_id TEXT,
    parcel_first_seq INTEGER,
    parcel_last_seq INTEGER,
    parcel_entries INTEGER,
    parcel_first_tried_at TEXT,
    parcel_attempts INTEGER,
    parcel_error TEXT,
    lease_token TEXT,
    lease_owner TEXT,
    lease_expires_at TEXT
) STRICT;

-- Where delivery began: one row once it has.
CREATE TABLE sync_delivery_start (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    seq INTEGER NOT NULL
) STRICT;

-- What was given up, with what was to be sent.
CREATE TABLE sync_dead_letters (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    first_tried_at TEXT NOT NULL,
    last_tried_at TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT NOT NULL,
    again INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;
