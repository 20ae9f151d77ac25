-- Colours set by hand, as proposals. state: open, approved (waits until force_ms), in_force, refused, withdrawn, revoked, expired.

CREATE TABLE proposals (
    proposal {serial},
    colour TEXT NOT NULL,
    reason TEXT NOT NULL,
    people BIGINT NOT NULL,
    account TEXT NOT NULL,
    role TEXT NOT NULL,
    made_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    appeal BIGINT,
    state TEXT NOT NULL,
    decided_account TEXT NOT NULL DEFAULT '',
    decided_role TEXT NOT NULL DEFAULT '',
    decided_ms BIGINT,
    force_ms BIGINT
);
CREATE INDEX proposals_by_state ON proposals (state, proposal);
CREATE INDEX proposals_of_account ON proposals (account, made_ms);

CREATE TABLE proposal_residents (
    proposal BIGINT NOT NULL REFERENCES proposals (proposal),
    resident TEXT NOT NULL REFERENCES residents (resident),
    PRIMARY KEY (proposal, resident)
);
CREATE INDEX proposals_of_resident ON proposal_residents (resident);

-- Requests for conversion. sealed: what the person wrote; state: open, answered. answer and reason: words of server/appeals.py.
CREATE TABLE appeals (
    appeal {serial},
    resident TEXT NOT NULL REFERENCES residents (resident),
    account TEXT NOT NULL,
    sealed {binary} NOT NULL,
    colour TEXT NOT NULL,
    asked_ms BIGINT NOT NULL,
    due_ms BIGINT NOT NULL,
    state TEXT NOT NULL,
    answer TEXT NOT NULL DEFAULT '',
    decided_account TEXT NOT NULL DEFAULT '',
    decided_role TEXT NOT NULL DEFAULT '',
    decided_ms BIGINT,
    proposal BIGINT
);
CREATE UNIQUE INDEX appeals_open ON appeals (resident) WHERE state = 'open';
CREATE INDEX appeals_by_due ON appeals (due_ms, appeal) WHERE state = 'open';
CREATE INDEX appeals_of_resident ON appeals (resident, appeal);

-- Papers that came with them, sealed; kind: jpeg, png, pdf, as the first bytes say.
CREATE TABLE appeal_papers (
    appeal BIGINT NOT NULL REFERENCES appeals (appeal),
    paper BIGINT NOT NULL,
    kind TEXT NOT NULL,
    size BIGINT NOT NULL,
    sealed {binary} NOT NULL,
    PRIMARY KEY (appeal, paper)
);
