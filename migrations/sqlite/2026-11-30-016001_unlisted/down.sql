DROP TABLE sync_seen;
CREATE TABLE sync_seen (
    run_id INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    ids TEXT NOT NULL,
    PRIMARY KEY (run_id, batch)
) STRICT;

ALTER TABLE sync_runs DROP COLUMN withheld;
ALTER TABLE sync_runs DROP COLUMN unlisted;
