-- Skills of staffing entities, and custom fields of application stages: Kombo has them since July 2026.

CREATE TABLE hris_join_staffing_entities_skills (
    integration_id TEXT NOT NULL,
    staffing_entity_id TEXT NOT NULL,
    skill_id TEXT NOT NULL,
    proficiency_scale TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, staffing_entity_id, skill_id)
) STRICT;
CREATE INDEX hris_join_staffing_entities_skills_skill_id ON hris_join_staffing_entities_skills (skill_id);

ALTER TABLE ats_application_stages ADD COLUMN custom_fields TEXT;
