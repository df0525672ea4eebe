DROP INDEX sync_deliveries_pending;
ALTER TABLE sync_deliveries DROP COLUMN is_pending;
