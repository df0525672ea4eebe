-- The latest runs of an integration, however many runs there are.
CREATE INDEX sync_runs_integration ON sync_runs (integration_id, id);
