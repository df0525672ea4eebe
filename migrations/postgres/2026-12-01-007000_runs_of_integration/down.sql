DROP INDEX kombo.sync_runs_integration;
DROP TRIGGER sync_requests_made ON kombo.sync_requests;
DROP TRIGGER sync_requests_let_go ON kombo.sync_requests;
CREATE TRIGGER sync_requests_made AFTER INSERT ON kombo.sync_requests
    FOR EACH ROW WHEN (NEW.lease_token IS NULL) EXECUTE FUNCTION kombo.sync_requests_notify();
CREATE TRIGGER sync_requests_let_go AFTER UPDATE ON kombo.sync_requests
    FOR EACH ROW WHEN (NEW.lease_token IS NULL AND (OLD.lease_token IS NOT NULL OR NEW.not_before < OLD.not_before))
    EXECUTE FUNCTION kombo.sync_requests_notify();
