ALTER TABLE kombo.sync_integrations DROP COLUMN category;
