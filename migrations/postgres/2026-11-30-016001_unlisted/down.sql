DELETE FROM kombo.sync_seen;
ALTER TABLE kombo.sync_seen DROP CONSTRAINT sync_seen_pkey;
ALTER TABLE kombo.sync_seen DROP COLUMN model;
ALTER TABLE kombo.sync_seen ADD PRIMARY KEY (run_id, batch);

ALTER TABLE kombo.sync_runs DROP COLUMN withheld;
ALTER TABLE kombo.sync_runs DROP COLUMN unlisted;
