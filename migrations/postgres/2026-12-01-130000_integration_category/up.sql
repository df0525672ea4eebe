-- The category decides on the endpoints. Integrations with loaded endpoints are of LMS; Kombo is asked for the others.
ALTER TABLE kombo.sync_integrations ADD COLUMN category text;
UPDATE kombo.sync_integrations SET category = 'lms'
WHERE id IN (SELECT integration_id FROM kombo.sync_watermarks WHERE loaded_at IS NOT NULL);
CREATE INDEX sync_integrations_category ON kombo.sync_integrations (category);
