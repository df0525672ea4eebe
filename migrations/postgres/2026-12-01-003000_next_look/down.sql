ALTER TABLE kombo.sync_integrations DROP COLUMN next_look_at;
