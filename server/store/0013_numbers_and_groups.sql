-- Numbers of rows that are deleted some day, and that others know: SQLite gave the number of the last row again once that was gone.
-- {never_again}: a number is used once.
{sqlite} CREATE TABLE claims_kept (
{sqlite}     claim {never_again},
{sqlite}     resident TEXT NOT NULL REFERENCES residents (resident),
{sqlite}     account TEXT NOT NULL REFERENCES accounts (account),
{sqlite}     relation TEXT NOT NULL,
{sqlite}     sealed {binary} NOT NULL,
{sqlite}     asked_ms BIGINT NOT NULL,
{sqlite}     state TEXT NOT NULL,
{sqlite}     holder TEXT NOT NULL DEFAULT '',
{sqlite}     decided_ms BIGINT,
{sqlite}     decided_by TEXT NOT NULL DEFAULT ''
{sqlite} );
{sqlite} INSERT INTO claims_kept SELECT claim, resident, account, relation, sealed, asked_ms, state, holder, decided_ms, decided_by FROM claims;
{sqlite} DROP TABLE claims;
{sqlite} ALTER TABLE claims_kept RENAME TO claims;
{sqlite} CREATE UNIQUE INDEX claims_open ON claims (account, resident) WHERE state = 'open';
{sqlite} CREATE INDEX claims_of_resident ON claims (resident, state);
-- Claims that are gone by now are named by the reviews that were made of them.
{sqlite} DELETE FROM sqlite_sequence WHERE name = 'claims';
{sqlite} INSERT INTO sqlite_sequence (name, seq) SELECT 'claims',
{sqlite}     max((SELECT coalesce(max(claim), 0) FROM claims), (SELECT coalesce(max(claim), 0) FROM reviews));

{sqlite} CREATE TABLE codes_issued_kept (
{sqlite}     issue {never_again},
{sqlite}     resident TEXT NOT NULL REFERENCES residents (resident),
{sqlite}     uri TEXT NOT NULL,
{sqlite}     idx BIGINT NOT NULL,
{sqlite}     form TEXT NOT NULL,
{sqlite}     ruling BIGINT NOT NULL,
{sqlite}     codes BIGINT NOT NULL,
{sqlite}     not_before BIGINT NOT NULL,
{sqlite}     expires BIGINT NOT NULL,
{sqlite}     issued_ms BIGINT NOT NULL
{sqlite} );
{sqlite} INSERT INTO codes_issued_kept SELECT issue, resident, uri, idx, form, ruling, codes, not_before, expires, issued_ms FROM codes_issued;
{sqlite} DROP TABLE codes_issued;
{sqlite} ALTER TABLE codes_issued_kept RENAME TO codes_issued;
{sqlite} CREATE INDEX codes_issued_of_resident ON codes_issued (resident, issue);

{sqlite} CREATE TABLE quarantine_kept (
{sqlite}     entry {never_again},
{sqlite}     why TEXT NOT NULL,
{sqlite}     topic TEXT NOT NULL,
{sqlite}     unit TEXT NOT NULL,
{sqlite}     boot_id TEXT NOT NULL,
{sqlite}     seq BIGINT NOT NULL,
{sqlite}     received_ms BIGINT NOT NULL,
{sqlite}     body {binary} NOT NULL
{sqlite} );
{sqlite} INSERT INTO quarantine_kept SELECT entry, why, topic, unit, boot_id, seq, received_ms, body FROM quarantine;
{sqlite} DROP TABLE quarantine;
{sqlite} ALTER TABLE quarantine_kept RENAME TO quarantine;

-- Which import a contradiction came with: those of one import with one contradiction wait together, as one line of the queue.
ALTER TABLE reviews ADD COLUMN import BIGINT;
DROP INDEX reviews_open;
CREATE INDEX reviews_open ON reviews (kind, received_ms) WHERE state = 'open' AND import IS NULL;
CREATE INDEX reviews_of_import ON reviews (import, why, review) WHERE state = 'open' AND import IS NOT NULL;
