-- The category decides on the endpoints. All integrations were of LMS so far.
ALTER TABLE kombo.sync_integrations ADD COLUMN category text;
UPDATE kombo.sync_integrations SET category = 'lms';
CREATE INDEX sync_integrations_category ON kombo.sync_integrations (category);
