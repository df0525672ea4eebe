DROP TABLE sync_seen;
DROP TABLE sync_changes;
DROP TABLE sync_quarantine;
DROP TABLE sync_webhook_events;
DROP TABLE sync_runs;
DROP TABLE sync_requests;
DROP TABLE sync_watermarks;
DROP TABLE sync_integrations;
