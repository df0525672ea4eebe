-- When the schedule looks at an integration next: at those first whose fetches are due, however many there are.
ALTER TABLE kombo.sync_integrations ADD COLUMN next_look_at timestamptz NOT NULL DEFAULT '1970-01-01T00:00:00Z';
CREATE INDEX sync_integrations_next_look ON kombo.sync_integrations (next_look_at);
