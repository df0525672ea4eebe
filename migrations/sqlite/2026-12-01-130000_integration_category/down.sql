DROP INDEX sync_integrations_category;
ALTER TABLE sync_integrations DROP COLUMN category;
