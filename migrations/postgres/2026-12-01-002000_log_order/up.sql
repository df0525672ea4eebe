-- The log is in order within an integration. transaction_id tells in which order a reader of all integrations can read it
-- and miss nothing: entries of transactions that are older than every one under way are all visible. 0: written before.
ALTER TABLE kombo.sync_changes ADD COLUMN transaction_id bigint NOT NULL DEFAULT 0;
CREATE INDEX sync_changes_transaction ON kombo.sync_changes (transaction_id, seq);
ALTER TABLE kombo.sync_trimmed ADD COLUMN transaction_id bigint NOT NULL DEFAULT 0;
-- What is added to the server's transaction numbers: another server, to which the tables were moved, begins with lower ones.
CREATE TABLE kombo.sync_transaction_ids (
    id smallint PRIMARY KEY NOT NULL CHECK (id = 1),
    shift bigint NOT NULL
);
INSERT INTO kombo.sync_transaction_ids (id, shift) VALUES (1, 0);
CREATE VIEW kombo.sync_changes_settled AS
SELECT transaction_id, seq, integration_id, model, record_id, kind, cause, fields, run_id, at
FROM kombo.sync_changes
WHERE transaction_id < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    + COALESCE((SELECT shift FROM kombo.sync_transaction_ids), 0);
DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 150000 THEN
        ALTER VIEW kombo.sync_changes_settled SET (security_invoker = true);
    END IF;
END
$$;
-- Transactions that send a notification wait for each other's commits. It is sent after the commit instead.
DROP TRIGGER sync_changes_notify ON kombo.sync_changes;
DROP FUNCTION kombo.sync_changes_notify();
