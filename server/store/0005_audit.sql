-- The log of changes and views: nothing in it is ever changed or deleted. detail: a JSON object of words and numbers, of no person.
-- digest: SHA-256 over the digest before and the entry (server/audit.py).

CREATE TABLE audit (
    entry BIGINT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    account TEXT NOT NULL,
    role TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    digest {binary} NOT NULL
);
CREATE INDEX audit_of_subject ON audit (subject, entry);

-- One row: the last entry that was written, its digest in hexadecimal.
CREATE TABLE audit_tip (
    entry BIGINT NOT NULL,
    digest TEXT NOT NULL
);
INSERT INTO audit_tip (entry, digest) VALUES (0, '0000000000000000000000000000000000000000000000000000000000000000');

-- The signed heads, one a day.
CREATE TABLE audit_heads (
    at_ms BIGINT PRIMARY KEY,
    entry BIGINT NOT NULL,
    body {binary} NOT NULL
);

{sqlite} CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
{sqlite} CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
{sqlite} CREATE TRIGGER audit_heads_no_update BEFORE UPDATE ON audit_heads BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
{sqlite} CREATE TRIGGER audit_heads_no_delete BEFORE DELETE ON audit_heads BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

{postgresql} CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$;
{postgresql} CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
{postgresql} CREATE TRIGGER audit_no_delete BEFORE DELETE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
{postgresql} CREATE TRIGGER audit_heads_no_update BEFORE UPDATE ON audit_heads FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
{postgresql} CREATE TRIGGER audit_heads_no_delete BEFORE DELETE OR TRUNCATE ON audit_heads FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
