-- Skills of staffing entities, and custom fields of application stages: Kombo has them since July 2026.

CREATE TABLE kombo.hris_join_staffing_entities_skills (
    integration_id text COLLATE "C" NOT NULL,
    staffing_entity_id text COLLATE "C" NOT NULL,
    skill_id text COLLATE "C" NOT NULL,
    proficiency_scale jsonb,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, staffing_entity_id, skill_id)
) WITH (fillfactor = 85);
CREATE INDEX hris_join_staffing_entities_skills_skill_id ON kombo.hris_join_staffing_entities_skills (skill_id);

ALTER TABLE kombo.ats_application_stages ADD COLUMN custom_fields jsonb;
