DROP INDEX kombo.sync_deliveries_pending;
ALTER TABLE kombo.sync_deliveries DROP COLUMN is_pending;
