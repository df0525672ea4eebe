-- The latest runs of an integration, however many runs there are.
CREATE INDEX sync_runs_integration ON kombo.sync_runs (integration_id, id);
-- Commits that send a notification wait for each other. Requests that are due later send none: workers look every two seconds.
DROP TRIGGER sync_requests_made ON kombo.sync_requests;
DROP TRIGGER sync_requests_let_go ON kombo.sync_requests;
CREATE TRIGGER sync_requests_made AFTER INSERT ON kombo.sync_requests
    FOR EACH ROW WHEN (NEW.lease_token IS NULL AND NEW.not_before <= now() + interval '2 seconds')
    EXECUTE FUNCTION kombo.sync_requests_notify();
CREATE TRIGGER sync_requests_let_go AFTER UPDATE ON kombo.sync_requests
    FOR EACH ROW WHEN (NEW.lease_token IS NULL AND NEW.not_before <= now() + interval '2 seconds'
        AND (OLD.lease_token IS NOT NULL OR NEW.not_before < OLD.not_before))
    EXECUTE FUNCTION kombo.sync_requests_notify();
