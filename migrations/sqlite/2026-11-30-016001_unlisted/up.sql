-- Full fetches note what they show of every model, not of the listed one only. A fetch under way begins again.
DROP TABLE sync_seen;
CREATE TABLE sync_seen (
    run_id INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    model TEXT NOT NULL,
    ids TEXT NOT NULL,
    PRIMARY KEY (run_id, batch, model)
) STRICT;

-- Rows that a delta removed because the list of their record no longer shows them, and those that it kept because they
-- were suspiciously many.
ALTER TABLE sync_runs ADD COLUMN unlisted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sync_runs ADD COLUMN withheld INTEGER NOT NULL DEFAULT 0;
