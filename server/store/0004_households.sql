-- Families: which account looks after which resident (relation: self, child, elder, other), and how that changes hands.

CREATE TABLE charges (
    resident TEXT NOT NULL REFERENCES residents (resident),
    account TEXT NOT NULL REFERENCES accounts (account),
    relation TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    PRIMARY KEY (account, resident)
);
CREATE INDEX charges_of_resident ON charges (resident);
CREATE UNIQUE INDEX charges_self_of_resident ON charges (resident) WHERE relation = 'self';
CREATE UNIQUE INDEX charges_self_of_account ON charges (account) WHERE relation = 'self';

-- Somebody registered a number that is known already. state: open, granted, refused, withdrawn; holder: what those who look after
-- the resident say, yes or no; sealed: the name as it was typed.
CREATE TABLE claims (
    claim {serial},
    resident TEXT NOT NULL REFERENCES residents (resident),
    account TEXT NOT NULL REFERENCES accounts (account),
    relation TEXT NOT NULL,
    sealed {binary} NOT NULL,
    asked_ms BIGINT NOT NULL,
    state TEXT NOT NULL,
    holder TEXT NOT NULL DEFAULT '',
    decided_ms BIGINT,
    decided_by TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX claims_open ON claims (account, resident) WHERE state = 'open';
CREATE INDEX claims_of_resident ON claims (resident, state);

-- One-time codes by which a resident goes over to another account. purpose: self or share. Only the keyed hash of a code is held.
CREATE TABLE hand_overs (
    code_hash {binary} PRIMARY KEY,
    resident TEXT NOT NULL REFERENCES residents (resident),
    account TEXT NOT NULL REFERENCES accounts (account),
    purpose TEXT NOT NULL,
    ends_ms BIGINT NOT NULL
);
CREATE INDEX hand_overs_of_resident ON hand_overs (resident);

-- Every report that was taken, under the id that the sender gave it: the same id again is the same report.
CREATE TABLE submissions (
    account TEXT NOT NULL,
    submission TEXT NOT NULL,
    resident TEXT NOT NULL REFERENCES residents (resident),
    kind TEXT NOT NULL,
    hash {binary} NOT NULL,
    at_ms BIGINT NOT NULL,
    corrects_ms BIGINT,
    outcome TEXT NOT NULL,
    PRIMARY KEY (account, submission)
);
CREATE INDEX submissions_of_resident ON submissions (resident, at_ms);

-- Answers that were begun and not sent yet, sealed.
CREATE TABLE drafts (
    account TEXT NOT NULL REFERENCES accounts (account),
    resident TEXT NOT NULL,
    kind TEXT NOT NULL,
    sealed {binary} NOT NULL,
    saved_ms BIGINT NOT NULL,
    PRIMARY KEY (account, resident, kind)
);
CREATE INDEX drafts_by_time ON drafts (saved_ms);

-- Reviews of declarations and claims beside those of fevers. why: words, one space between; state: open, passed, closed.
ALTER TABLE reviews ADD COLUMN kind TEXT NOT NULL DEFAULT 'fever';
ALTER TABLE reviews ADD COLUMN claim BIGINT;
ALTER TABLE reviews ADD COLUMN state TEXT NOT NULL DEFAULT 'open';
ALTER TABLE reviews ADD COLUMN decided_ms BIGINT;
ALTER TABLE reviews ADD COLUMN decided_by TEXT NOT NULL DEFAULT '';
CREATE INDEX reviews_open ON reviews (kind, received_ms) WHERE state = 'open';
CREATE INDEX reviews_of_resident ON reviews (resident, state);

-- Where residents live now, for figures by district: a code of GB/T 2260 or `outside`, empty before the first declaration.
ALTER TABLE residents ADD COLUMN district TEXT NOT NULL DEFAULT '';
