-- Apps that act for people. Of secrets and tokens only hashes are held; scopes are words with a space between.

CREATE TABLE apps (
    app TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    secret_hash {binary} NOT NULL,
    old_secret_hash {binary},
    old_ends_ms BIGINT,
    added_ms BIGINT NOT NULL,
    rotated_ms BIGINT NOT NULL,
    disabled_ms BIGINT
);

CREATE TABLE app_tokens (
    token {binary} PRIMARY KEY,
    app TEXT NOT NULL REFERENCES apps (app),
    scopes TEXT NOT NULL,
    ends_ms BIGINT NOT NULL
);
CREATE INDEX app_tokens_of_app ON app_tokens (app);
CREATE INDEX app_tokens_by_end ON app_tokens (ends_ms);

-- An account for each person whom an app has identified, by which it looks after residents as any account does.
CREATE TABLE app_people (
    account TEXT PRIMARY KEY REFERENCES accounts (account),
    app TEXT NOT NULL REFERENCES apps (app),
    number_hash {binary} NOT NULL,
    added_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX app_people_of_app ON app_people (app, number_hash);
CREATE INDEX app_people_by_account ON app_people (app, account);

-- Answers to requests that may come again under one key, sealed; dropped after a day.
CREATE TABLE app_answers (
    app TEXT NOT NULL REFERENCES apps (app),
    key_hash {binary} NOT NULL,
    hash {binary} NOT NULL,
    status BIGINT NOT NULL,
    sealed {binary} NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (app, key_hash)
);
CREATE INDEX app_answers_by_time ON app_answers (at_ms);
