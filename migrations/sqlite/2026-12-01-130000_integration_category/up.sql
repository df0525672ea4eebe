-- The category decides on the endpoints. All integrations were of LMS so far.
ALTER TABLE sync_integrations ADD COLUMN category text;
UPDATE sync_integrations SET category = 'lms';
CREATE INDEX sync_integrations_category ON sync_integrations (category);
