-- Old records that a ruling need not read one by one (server/folding.py): folded is 1 for those, and `folds` has what is left of them.
ALTER TABLE facts ADD COLUMN folded BIGINT NOT NULL DEFAULT 0;
DROP INDEX facts_of_resident;
CREATE INDEX facts_of_resident ON facts (resident, folded, at_ms);

-- basis: by which figures of the policy; until_ms: when the newest folded one happened; kept: how many facts up to then are not folded (one
-- more, and all is read again); heard_ms: when the newest folded one was recorded; runs: [[first, last], ...] in seconds, as JSON.
CREATE TABLE folds (
    resident TEXT PRIMARY KEY REFERENCES residents (resident),
    basis TEXT NOT NULL,
    until_ms BIGINT NOT NULL,
    kept BIGINT NOT NULL,
    heard_ms BIGINT NOT NULL,
    runs TEXT NOT NULL
);
