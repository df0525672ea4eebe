-- When the schedule looks at an integration next: at those first whose fetches are due, however many there are.
ALTER TABLE sync_integrations ADD COLUMN next_look_at TEXT NOT NULL DEFAULT '1970-01-01T00:00:00.000Z';
CREATE INDEX sync_integrations_next_look ON sync_integrations (next_look_at);
