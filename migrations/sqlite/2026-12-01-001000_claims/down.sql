DROP INDEX sync_requests_leased;
DROP INDEX sync_requests_due;
