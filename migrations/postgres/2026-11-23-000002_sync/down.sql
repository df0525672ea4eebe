DROP TABLE kombo.sync_seen;
DROP TABLE kombo.sync_changes;
DROP TABLE kombo.sync_quarantine;
DROP TABLE kombo.sync_webhook_events;
DROP TABLE kombo.sync_runs;
DROP TABLE kombo.sync_requests;
DROP TABLE kombo.sync_watermarks;
DROP TABLE kombo.sync_integrations;
