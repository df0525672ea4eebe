DROP TRIGGER sync_requests_made ON kombo.sync_requests;
DROP TRIGGER sync_requests_let_go ON kombo.sync_requests;
CREATE TRIGGER sync_requests_notify AFTER INSERT OR UPDATE ON kombo.sync_requests
    FOR EACH ROW WHEN (NEW.lease_token IS NULL) EXECUTE FUNCTION kombo.sync_requests_notify();
