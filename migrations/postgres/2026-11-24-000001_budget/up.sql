-- When requests to Kombo may be sent: one row, from which every replica takes its places (next_at) and its part of
-- what Kombo says is left of its own limit. It is known anew within a request, so nothing is carried over.
DROP TABLE kombo.sync_pacing;
CREATE TABLE kombo.sync_pacing (
    id smallint PRIMARY KEY NOT NULL CHECK (id = 1),
    next_at timestamptz,
    budget_limit bigint,
    budget_left bigint,
    budget_until timestamptz
);
INSERT INTO kombo.sync_pacing (id) VALUES (1);
