DROP TRIGGER sync_changes_notify ON kombo.sync_changes;
DROP FUNCTION kombo.sync_changes_notify();
DROP TABLE kombo.sync_dead_letters;
DROP TABLE kombo.sync_delivery_start;
DROP TABLE kombo.sync_deliveries;
