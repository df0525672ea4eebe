DELETE FROM kombo.sync_watermarks WHERE endpoint NOT LIKE 'lms/%';
UPDATE kombo.sync_watermarks SET endpoint = substr(endpoint, 5);
DELETE FROM kombo.sync_requests WHERE endpoint NOT LIKE 'lms/%';
UPDATE kombo.sync_requests SET endpoint = substr(endpoint, 5);
DELETE FROM kombo.sync_runs WHERE endpoint NOT LIKE 'lms/%';
UPDATE kombo.sync_runs SET endpoint = substr(endpoint, 5);
DELETE FROM kombo.sync_quarantine WHERE endpoint NOT LIKE 'lms/%';
UPDATE kombo.sync_quarantine SET endpoint = substr(endpoint, 5);
