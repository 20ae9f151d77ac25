-- Who may sign in. The name is found by its keyed hash and read with the seal; of a session only the hash of its token is held.

CREATE TABLE accounts (
    account TEXT PRIMARY KEY,
    name_hash {binary} NOT NULL UNIQUE,
    sealed {binary} NOT NULL,
    role TEXT NOT NULL,
    password TEXT NOT NULL,
    added_ms BIGINT NOT NULL,
    password_ms BIGINT NOT NULL,
    disabled_ms BIGINT
);

CREATE TABLE sessions (
    session {binary} PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (account),
    began_ms BIGINT NOT NULL,
    used_ms BIGINT NOT NULL,
    idle_ms BIGINT NOT NULL,
    ends_ms BIGINT NOT NULL
);
CREATE INDEX sessions_of_account ON sessions (account);
CREATE INDEX sessions_by_end ON sessions (ends_ms);

-- Attempts to sign in or to register, under keyed hashes of account, address or browser.
CREATE TABLE throttles (
    name {binary} PRIMARY KEY,
    attempts BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL
);
CREATE INDEX throttles_by_time ON throttles (last_ms);
