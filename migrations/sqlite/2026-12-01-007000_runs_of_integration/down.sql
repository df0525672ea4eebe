DROP INDEX sync_runs_integration;
