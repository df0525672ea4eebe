-- The columns keep their collation: programs before this one do not notice it.
DROP INDEX kombo.sync_changes_at;
