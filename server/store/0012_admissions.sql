-- Units by certificate: which key each was let in with, and the secrets that wait to be used. Of a secret only what checks it is held.

ALTER TABLE units ADD COLUMN retired_ms BIGINT;

CREATE TABLE unit_secrets (
    mark {binary} PRIMARY KEY,
    unit TEXT NOT NULL UNIQUE REFERENCES units (unit),
    public {binary} NOT NULL,
    server {binary} NOT NULL,
    made_ms BIGINT NOT NULL,
    ends_ms BIGINT NOT NULL,
    used_by {binary}
);

-- number counts a unit's enrolments: it is in the name of its account, so that who had the name before has it no more.
CREATE TABLE unit_certificates (
    unit TEXT PRIMARY KEY REFERENCES units (unit),
    number BIGINT NOT NULL,
    spki {binary} NOT NULL,
    certificate {binary} NOT NULL,
    enrolled_ms BIGINT NOT NULL,
    ends_ms BIGINT NOT NULL
);

CREATE TABLE broker_operators (
    name TEXT PRIMARY KEY,
    number BIGINT NOT NULL,
    made_ms BIGINT NOT NULL,
    ends_ms BIGINT NOT NULL,
    ended_ms BIGINT
);
