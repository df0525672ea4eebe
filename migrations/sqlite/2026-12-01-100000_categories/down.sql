DELETE FROM sync_watermarks WHERE endpoint NOT LIKE 'lms/%';
UPDATE sync_watermarks SET endpoint = substr(endpoint, 5);
DELETE FROM sync_requests WHERE endpoint NOT LIKE 'lms/%';
UPDATE sync_requests SET endpoint = substr(endpoint, 5);
DELETE FROM sync_runs WHERE endpoint NOT LIKE 'lms/%';
UPDATE sync_runs SET endpoint = substr(endpoint, 5);
DELETE FROM sync_quarantine WHERE endpoint NOT LIKE 'lms/%';
UPDATE sync_quarantine SET endpoint = substr(endpoint, 5);
