-- An index entry of a b-tree takes 2,704 bytes at most. A hash takes values of any length, and mail addresses are looked up
-- whole.
DROP INDEX kombo.lms_users_work_email;
CREATE INDEX lms_users_work_email ON kombo.lms_users USING hash (work_email);

-- The view shows what its reader may see of the tables, row-level security included. PostgreSQL 14 cannot do that.
DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 150000 THEN
        ALTER VIEW kombo.lms_course_completions SET (security_invoker = true);
    END IF;
END
$$;

-- The number of the last change log entry that was there when entries were removed: one row once that happened.
CREATE TABLE kombo.sync_trimmed (
    id smallint PRIMARY KEY NOT NULL CHECK (id = 1),
    seq bigint NOT NULL
);
