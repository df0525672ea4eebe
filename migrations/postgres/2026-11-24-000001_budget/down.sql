DROP TABLE kombo.sync_pacing;
CREATE TABLE kombo.sync_pacing (
    id smallint PRIMARY KEY NOT NULL CHECK (id = 1),
    next_at timestamptz NOT NULL
);
