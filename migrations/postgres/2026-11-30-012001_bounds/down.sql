DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 150000 THEN
        ALTER VIEW kombo.lms_course_completions RESET (security_invoker);
    END IF;
END
$$;
DROP INDEX kombo.lms_users_work_email;
CREATE INDEX lms_users_work_email ON kombo.lms_users (work_email);
DROP TABLE kombo.sync_trimmed;
