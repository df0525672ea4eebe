-- A commit that tells waits for all others that do. So nothing is told that workers know: a request that waits goes on
-- waiting, whatever else of it changes, unless it is due earlier.

DROP TRIGGER sync_requests_notify ON kombo.sync_requests;
CREATE TRIGGER sync_requests_made AFTER INSERT ON kombo.sync_requests
    FOR EACH ROW WHEN (NEW.lease_token IS NULL) EXECUTE FUNCTION kombo.sync_requests_notify();
CREATE TRIGGER sync_requests_let_go AFTER UPDATE ON kombo.sync_requests
    FOR EACH ROW WHEN (NEW.lease_token IS NULL AND (OLD.lease_token IS NOT NULL OR NEW.not_before < OLD.not_before))
    EXECUTE FUNCTION kombo.sync_requests_notify();
