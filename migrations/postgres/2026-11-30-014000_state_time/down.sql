ALTER TABLE kombo.sync_integrations DROP COLUMN state_updated_at;
