DROP INDEX sync_changes_at;
