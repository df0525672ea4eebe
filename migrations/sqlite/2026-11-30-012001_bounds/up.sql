-- SQLite's indexes take values of any length, and it has no row-level security.

-- The number of the last change log entry that was there when entries were removed: one row once that happened.
CREATE TABLE sync_trimmed (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    seq INTEGER NOT NULL
) STRICT;
