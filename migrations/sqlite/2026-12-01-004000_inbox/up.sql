-- Webhooks that are stored and not planned yet. A webhook is answered once it is here.
CREATE TABLE sync_webhook_inbox (
    -- The order of planning.
    arrival INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    integration_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    received_at TEXT NOT NULL,
    -- What planning needs of the webhook, as JSON.
    hint TEXT NOT NULL
);
CREATE UNIQUE INDEX sync_webhook_inbox_event ON sync_webhook_inbox (integration_id, event_id);
CREATE INDEX sync_webhook_inbox_arrival ON sync_webhook_inbox (integration_id, arrival);
