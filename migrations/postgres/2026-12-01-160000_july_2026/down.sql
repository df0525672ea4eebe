DROP TABLE kombo.hris_join_staffing_entities_skills;
ALTER TABLE kombo.ats_application_stages DROP COLUMN custom_fields;
