-- Epidemic data. A fact is about whoever has the number with this keyed hash, registered or not; `name` is a hash of what it says, so that
-- it is there once however often it is reported. It counts while an import in force says it. {clustered}: the key is the table.

CREATE TABLE epidemic_facts (
    fact {serial},
    number_hash {binary} NOT NULL,
    name {binary} NOT NULL,
    kind TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE UNIQUE INDEX epidemic_facts_by_number ON epidemic_facts (number_hash, name);

-- state: staging and discarded (count for nothing), in_force, withdrawn. ruled_fact: rulings have followed up to this fact, the ruled_count-th, and
-- is_ruled: to the last.
-- changed: how many went from which colour to which, as JSON.
CREATE TABLE epidemic_imports (
    import {serial},
    kind TEXT NOT NULL,
    file TEXT NOT NULL,
    digest {binary} NOT NULL,
    source TEXT NOT NULL,
    state TEXT NOT NULL,
    begun_ms BIGINT NOT NULL,
    touched_ms BIGINT NOT NULL,
    made_by TEXT NOT NULL,
    row_count BIGINT NOT NULL DEFAULT 0,
    left_out BIGINT NOT NULL DEFAULT 0,
    fact_count BIGINT NOT NULL DEFAULT 0,
    new_count BIGINT NOT NULL DEFAULT 0,
    in_force_ms BIGINT,
    withdrawn_ms BIGINT,
    withdrawn_by TEXT NOT NULL DEFAULT '',
    withdrawn_why TEXT NOT NULL DEFAULT '',
    ruled_fact BIGINT NOT NULL DEFAULT 0,
    ruled_count BIGINT NOT NULL DEFAULT 0,
    is_ruled BIGINT NOT NULL DEFAULT 1,
    changed TEXT NOT NULL DEFAULT '',
    flagged BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX epidemic_imports_unruled ON epidemic_imports (import) WHERE is_ruled = 0;

-- Which import says which fact.
CREATE TABLE epidemic_rows (
    import BIGINT NOT NULL,
    fact BIGINT NOT NULL,
    PRIMARY KEY (import, fact)
) {clustered};
CREATE INDEX epidemic_rows_of_fact ON epidemic_rows (fact, import);
