-- SQLite compares all texts byte by byte, and its indexes fit. Entries of a day are found by their time.
CREATE INDEX sync_changes_at ON sync_changes (at);
