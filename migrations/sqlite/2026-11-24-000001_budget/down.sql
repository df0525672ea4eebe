DROP TABLE sync_pacing;
CREATE TABLE sync_pacing (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    next_at TEXT NOT NULL
) STRICT;
