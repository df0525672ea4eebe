DROP INDEX kombo.sync_requests_leased;
DROP INDEX kombo.sync_requests_due;
