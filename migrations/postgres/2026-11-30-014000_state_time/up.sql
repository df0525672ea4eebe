-- Kombo's time of the latest change of state that was applied: webhooks may arrive in another order.

ALTER TABLE kombo.sync_integrations ADD COLUMN state_updated_at TIMESTAMPTZ;
