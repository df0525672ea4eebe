CREATE FUNCTION kombo.sync_changes_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('syncd_changes', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER sync_changes_notify AFTER INSERT ON kombo.sync_changes
    FOR EACH STATEMENT EXECUTE FUNCTION kombo.sync_changes_notify();
DROP VIEW kombo.sync_changes_settled;
DROP TABLE kombo.sync_transaction_ids;
ALTER TABLE kombo.sync_trimmed DROP COLUMN transaction_id;
ALTER TABLE kombo.sync_changes DROP COLUMN transaction_id;
