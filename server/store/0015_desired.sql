-- Configuration from afar: every version that a unit was to have, by whom and why, and what each unit said last of its own.

CREATE TABLE desired (
    wish {serial},
    unit TEXT NOT NULL REFERENCES units (unit),
    version BIGINT NOT NULL,
    settings TEXT NOT NULL,
    set_ms BIGINT NOT NULL,
    set_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    UNIQUE (unit, version)
);

CREATE TABLE reported (
    unit TEXT PRIMARY KEY REFERENCES units (unit),
    heard_ms BIGINT NOT NULL,
    body TEXT NOT NULL
);
