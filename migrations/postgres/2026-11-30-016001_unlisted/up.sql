-- Full fetches note what they show of every model, not of the listed one only. A fetch under way begins again.
DELETE FROM kombo.sync_seen;
ALTER TABLE kombo.sync_seen ADD COLUMN model text COLLATE "C" NOT NULL;
ALTER TABLE kombo.sync_seen DROP CONSTRAINT sync_seen_pkey;
ALTER TABLE kombo.sync_seen ADD PRIMARY KEY (run_id, batch, model);

-- Rows that a delta removed because the list of their record no longer shows them, and those that it kept because they
-- were suspiciously many.
ALTER TABLE kombo.sync_runs ADD COLUMN unlisted bigint NOT NULL DEFAULT 0;
ALTER TABLE kombo.sync_runs ADD COLUMN withheld bigint NOT NULL DEFAULT 0;
