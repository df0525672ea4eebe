-- What the daemon knows and does.

CREATE TABLE sync_integrations (
    id TEXT PRIMARY KEY NOT NULL,
    tool TEXT,
    status TEXT NOT NULL,
    status_since TEXT NOT NULL,
    reason TEXT,
    registered_at TEXT NOT NULL
) STRICT;

-- What is known of each endpoint of an integration. The watermark is what the next delta sends as updated_after.
CREATE TABLE sync_watermarks (
    integration_id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    watermark TEXT,
    loaded_at TEXT,
    last_delta_at TEXT,
    last_full_at TEXT,
    next_full_at TEXT,
    last_blind_full_at TEXT,
    status TEXT NOT NULL,
    status_since TEXT,
    reason TEXT,
    pending_removals INTEGER,
    PRIMARY KEY (integration_id, endpoint)
) STRICT;

-- Wishes for fetches, at most one for each target; who works on one holds its lease.
CREATE TABLE sync_requests (
    integration_id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    kind TEXT NOT NULL,
    cause TEXT NOT NULL,
    requested_at TEXT NOT NULL,
    not_before TEXT NOT NULL,
    generation INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    approved_removals INTEGER,
    lease_token TEXT,
    lease_owner TEXT,
    lease_expires_at TEXT,
    lease_generation INTEGER,
    PRIMARY KEY (integration_id, endpoint, kind)
) STRICT;

-- Fetches, with the checkpoint from which an unfinished one goes on.
CREATE TABLE sync_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    integration_id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    updated_after TEXT,
    fetch_started_at TEXT,
    first_load INTEGER NOT NULL CHECK (first_load IN (0, 1)),
    phase TEXT NOT NULL,
    page_cursor TEXT,
    batches INTEGER NOT NULL,
    pages INTEGER NOT NULL,
    records INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    restored INTEGER NOT NULL,
    unchanged INTEGER NOT NULL,
    indirect INTEGER NOT NULL,
    stale INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    error TEXT
) STRICT;
CREATE INDEX sync_runs_target ON sync_runs (integration_id, endpoint, kind, id);

-- Webhooks as they came: an event that is here already is not acted on again.
CREATE TABLE sync_webhook_events (
    id TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    integration_id TEXT,
    received_at TEXT NOT NULL,
    models TEXT NOT NULL,
    result TEXT NOT NULL
) STRICT;
CREATE INDEX sync_webhook_events_received_at ON sync_webhook_events (received_at);

-- Records that could not be read or stored.
CREATE TABLE sync_quarantine (
    integration_id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    record_id TEXT NOT NULL,
    json TEXT NOT NULL,
    path TEXT NOT NULL,
    reason TEXT NOT NULL,
    observed_at TEXT NOT NULL,
    run_id INTEGER NOT NULL,
    PRIMARY KEY (integration_id, endpoint, record_id)
) STRICT;

-- What changed. seq is in the order of commits: a reader that remembers the last seq it saw misses nothing.
CREATE TABLE sync_changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    integration_id TEXT NOT NULL,
    model TEXT NOT NULL,
    record_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    cause TEXT NOT NULL,
    fields TEXT NOT NULL,
    run_id INTEGER NOT NULL,
    at TEXT NOT NULL
) STRICT;
CREATE INDEX sync_changes_integration ON sync_changes (integration_id, seq);
CREATE INDEX sync_changes_record ON sync_changes (integration_id, record_id, seq);

-- Which ids a running full fetch has shown, a row for each batch.
CREATE TABLE sync_seen (
    run_id INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    ids TEXT NOT NULL,
    PRIMARY KEY (run_id, batch)
) STRICT;

-- From when on requests to Kombo may be sent: one row, from which every replica takes its places.
CREATE TABLE sync_pacing (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    next_at TEXT NOT NULL
) STRICT;
