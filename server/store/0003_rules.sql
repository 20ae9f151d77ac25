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
