-- Deliveries with something left to deliver, those first that are due, however many there are.
ALTER TABLE sync_deliveries ADD COLUMN is_pending INTEGER NOT NULL DEFAULT 1;
CREATE INDEX sync_deliveries_pending ON sync_deliveries ((COALESCE(parcel_attempts, 0) > 0), not_before) WHERE is_pending;
