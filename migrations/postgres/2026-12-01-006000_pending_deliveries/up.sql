-- Deliveries with something left to deliver, those first that are due, however many there are.
ALTER TABLE kombo.sync_deliveries ADD COLUMN is_pending boolean NOT NULL DEFAULT true;
CREATE INDEX sync_deliveries_pending ON kombo.sync_deliveries ((COALESCE(parcel_attempts, 0) > 0), not_before) WHERE is_pending;
