-- What is due stands at the front of its part, however many requests wait. Leased requests are as many as there are workers.
CREATE INDEX sync_requests_due ON kombo.sync_requests (kind, endpoint, (attempts > 0), not_before) WHERE lease_token IS NULL;
CREATE INDEX sync_requests_leased ON kombo.sync_requests (lease_expires_at) WHERE lease_token IS NOT NULL;
