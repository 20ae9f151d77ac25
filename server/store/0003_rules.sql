-- The rules in force, and when the colour of a resident has to be looked at again because of time alone (due_ms; none: never).

ALTER TABLE residents ADD COLUMN due_ms BIGINT;
CREATE INDEX residents_due ON residents (due_ms) WHERE due_ms IS NOT NULL;

-- Which policy a ruling was made by. `why` is from here on a sentence's key and values as JSON.
ALTER TABLE rulings ADD COLUMN policy BIGINT NOT NULL DEFAULT 0;

CREATE TABLE policies (
    version BIGINT PRIMARY KEY,
    body TEXT NOT NULL,
    since_ms BIGINT NOT NULL
);

-- Times in which nobody could check in; ended_ms is null while one lasts.
CREATE TABLE outages (
    outage {serial},
    began_ms BIGINT NOT NULL,
    ended_ms BIGINT,
    note TEXT NOT NULL,
    recorded_by TEXT NOT NULL
);

-- One row: goes up whenever policies or outages change, so that every process sees it with the resident that it rules on.
CREATE TABLE rulebook (
    revision BIGINT NOT NULL
);
INSERT INTO rulebook (revision) VALUES (1);

-- Where a unit stands, in a word: units of one site are a few steps apart.
ALTER TABLE units ADD COLUMN site TEXT NOT NULL DEFAULT '';

-- Whose code was read where and when: each pass event that names a list's entry. Goes when its event goes.
CREATE TABLE passes (
    unit TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    uri TEXT NOT NULL,
    idx BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (unit, boot_id, seq)
);
CREATE INDEX passes_of_code ON passes (uri, idx, at_ms);
CREATE INDEX passes_by_time ON passes (at_ms);
