-- The first schema. Times: *_ms milliseconds, ruled_at and as_of seconds, since 1970. {binary} and {serial} stand for what the database calls them.

CREATE TABLE lists (
    uri TEXT PRIMARY KEY,
    issuer TEXT NOT NULL,
    capacity BIGINT NOT NULL,
    next_position BIGINT NOT NULL
);

CREATE TABLE residents (
    resident TEXT PRIMARY KEY,
    sealed {binary} NOT NULL,
    number_hash {binary} UNIQUE,
    added_ms BIGINT NOT NULL,
    uri TEXT NOT NULL,
    idx BIGINT NOT NULL,
    ruling BIGINT
);

CREATE TABLE assignments (
    uri TEXT NOT NULL,
    idx BIGINT NOT NULL,
    resident TEXT NOT NULL REFERENCES residents (resident),
    assigned_ms BIGINT NOT NULL,
    revoked_ms BIGINT,
    PRIMARY KEY (uri, idx)
);
CREATE INDEX assignments_of_resident ON assignments (resident);

CREATE TABLE facts (
    fact {serial},
    resident TEXT NOT NULL REFERENCES residents (resident),
    kind TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    recorded_ms BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX facts_of_resident ON facts (resident, at_ms);

CREATE TABLE rulings (
    ruling {serial},
    resident TEXT NOT NULL REFERENCES residents (resident),
    uri TEXT NOT NULL,
    idx BIGINT NOT NULL,
    colour TEXT NOT NULL,
    rule TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    why TEXT NOT NULL,
    ruled_at BIGINT NOT NULL,
    made_ms BIGINT NOT NULL
);
CREATE INDEX rulings_of_resident ON rulings (resident, ruling);

CREATE TABLE codes_issued (
    issue {serial},
    resident TEXT NOT NULL REFERENCES residents (resident),
    uri TEXT NOT NULL,
    idx BIGINT NOT NULL,
    form TEXT NOT NULL,
    ruling BIGINT NOT NULL,
    codes BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    issued_ms BIGINT NOT NULL
);

-- What the next delta has to say: written with the ruling, taken out with the delta, in one transaction each.
CREATE TABLE list_changes (
    change {serial},
    uri TEXT NOT NULL,
    idx BIGINT NOT NULL,
    status BIGINT NOT NULL,
    ruled_at BIGINT NOT NULL
);

CREATE TABLE deltas (
    uri TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    from_version BIGINT NOT NULL,
    to_version BIGINT NOT NULL,
    body {binary} NOT NULL,
    PRIMARY KEY (uri, epoch, from_version)
);

CREATE TABLE heads (
    uri TEXT PRIMARY KEY,
    issuer TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    version BIGINT NOT NULL,
    as_of BIGINT NOT NULL,
    is_ours BIGINT NOT NULL,
    body {binary} NOT NULL
);

CREATE TABLE snapshots (
    uri TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    version BIGINT NOT NULL,
    sha256 {binary} NOT NULL,
    size BIGINT NOT NULL,
    made_ms BIGINT NOT NULL,
    body {binary} NOT NULL,
    PRIMARY KEY (uri, epoch, version)
);

CREATE TABLE trust_lists (
    version BIGINT PRIMARY KEY,
    seen_ms BIGINT NOT NULL,
    body {binary} NOT NULL
);

CREATE TABLE units (
    unit TEXT PRIMARY KEY,
    note TEXT NOT NULL,
    added_ms BIGINT NOT NULL,
    state TEXT NOT NULL,
    software TEXT NOT NULL,
    last_seen_ms BIGINT,
    watermark_ms BIGINT NOT NULL
);

-- Which seqs of a boot are held: all up to up_to but those in missing (a JSON list).
CREATE TABLE boots (
    unit TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    up_to BIGINT NOT NULL,
    missing TEXT NOT NULL,
    touched_ms BIGINT NOT NULL,
    PRIMARY KEY (unit, boot_id)
);
CREATE INDEX boots_by_time ON boots (unit, touched_ms);

CREATE TABLE events (
    unit TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    kind TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    received_ms BIGINT NOT NULL,
    hash {binary} NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (unit, boot_id, seq)
);
CREATE INDEX events_by_time ON events (at_ms);

CREATE TABLE quarantine (
    entry {serial},
    why TEXT NOT NULL,
    topic TEXT NOT NULL,
    unit TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    received_ms BIGINT NOT NULL,
    body {binary} NOT NULL
);

-- Fevers that did not become facts: somebody has to look at them.
CREATE TABLE reviews (
    review {serial},
    why TEXT NOT NULL,
    unit TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    resident TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    received_ms BIGINT NOT NULL
);

-- Fevers of a unit in the last hour are counted here, whether they became facts or not.
CREATE TABLE fevers (
    unit TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    resident TEXT NOT NULL,
    received_ms BIGINT NOT NULL,
    PRIMARY KEY (unit, boot_id, seq)
);
CREATE INDEX fevers_by_time ON fevers (unit, received_ms);

CREATE TABLE alerts (
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    times BIGINT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (name, unit)
);
