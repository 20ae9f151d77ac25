-- Other rules that are proposed at the desk. state: open, approved (waits until force_ms), in_force, refused, withdrawn, revoked,
-- expired, overtaken. body: the policy, JSON; tried: what a trial on everybody said before it was proposed, JSON.
CREATE TABLE policy_proposals (
    proposal {serial},
    version BIGINT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    reason TEXT NOT NULL,
    tried TEXT NOT NULL,
    account TEXT NOT NULL,
    role TEXT NOT NULL,
    made_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    not_before_ms BIGINT NOT NULL,
    state TEXT NOT NULL,
    decided_account TEXT NOT NULL DEFAULT '',
    decided_role TEXT NOT NULL DEFAULT '',
    decided_ms BIGINT,
    force_ms BIGINT
);
CREATE INDEX policy_proposals_by_state ON policy_proposals (state, proposal);
