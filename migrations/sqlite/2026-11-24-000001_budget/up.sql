-- When requests to Kombo may be sent: one row, from which every process takes its places (next_at) and its part of
-- what Kombo says is left of its own limit. It is known anew within a request, so nothing is carried over.
DROP TABLE sync_pacing;
CREATE TABLE sync_pacing (
    id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
    next_at TEXT,
    budget_limit INTEGER,
    budget_left INTEGER,
    budget_until TEXT
) STRICT;
INSERT INTO sync_pacing (id) VALUES (1);
