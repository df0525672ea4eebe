DROP INDEX sync_integrations_next_look;
ALTER TABLE sync_integrations DROP COLUMN next_look_at;
