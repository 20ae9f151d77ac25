"""Migrations, transactions, sealing, key files, configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from server.config import ConfigError, load, parse
from server.office import Office
from server.sealing import Seal, SealError, create_seal, load_seal
from server.store import Migration, Store, StoreError, list_migrations, schema_version, split_sql
from tests.server.office import Town

FIRST = Migration(1, "first", "CREATE TABLE one (id {serial}, body {binary});\n-- a word; with a semicolon\nCREATE TABLE two (id BIGINT);")
SECOND = Migration(2, "second", "ALTER TABLE two ADD COLUMN name TEXT;")
BROKEN = Migration(2, "broken", "ALTER TABLE two ADD COLUMN name TEXT;\nALTER TABLE three ADD COLUMN name TEXT;")


def _open(folder: Path) -> Store:
    return Store.open(f"sqlite:///{folder / 'x.sqlite'}")


def test_migrations_are_applied_once_and_in_order(tmp_path: Path) -> None:
    store = _open(tmp_path)
    assert store.migrate(1, [FIRST]) == ["first"]
    assert store.migrate(2, [FIRST, SECOND]) == ["second"]
    assert store.migrate(3, [FIRST, SECOND]) == []
    with store.read() as tx:
        assert schema_version(tx) == 2
        assert tx.execute(text("SELECT count(*) FROM two WHERE name IS NULL")).scalar_one() == 0
    store.close()


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    store = _open(tmp_path)
    store.migrate(1, [FIRST])
    with pytest.raises(Exception, match="three"):
        store.migrate(2, [FIRST, BROKEN])
    assert store.migrate(3, [FIRST, SECOND]) == ["second"]
    store.close()


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    store = _open(tmp_path)
    store.migrate(1, [FIRST, SECOND])
    with pytest.raises(StoreError, match="schema 2: this program knows 1"):
        store.migrate(2, [FIRST])
    store.close()


def test_the_programs_own_migrations_apply_and_are_without_a_gap(tmp_path: Path) -> None:
    store = _open(tmp_path)
    assert store.migrate(1) == [step.name for step in list_migrations()]
    with store.read() as tx:
        assert tx.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert tx.execute(text("PRAGMA synchronous")).scalar_one() == 2
    store.close()


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_no_placeholder_is_left_for_any_database(dialect: str) -> None:
    for step in list_migrations():
        for statement in split_sql(step.sql, dialect):
            assert "{" not in statement
            assert statement.startswith(("CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE"))


def test_a_write_that_raises_is_rolled_back(tmp_path: Path) -> None:
    store = _open(tmp_path)
    store.migrate(1, [FIRST])
    with pytest.raises(RuntimeError), store.write() as tx:
        tx.execute(text("INSERT INTO two (id) VALUES (1)"))
        raise RuntimeError
    with store.read() as tx:
        assert tx.execute(text("SELECT count(*) FROM two")).scalar_one() == 0
    store.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite:////proc/no/such/x.sqlite"])
def test_a_database_that_cannot_be_opened_is_one_line(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        Store.open(url)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").write_bytes(b"no database " * 1000)
    with pytest.raises(StoreError, match="not a database") as caught:
        Store.open(f"sqlite:///{tmp_path / 'x.sqlite'}")
    assert "\n" not in str(caught.value)


def test_an_error_does_not_say_what_was_to_be_written(tmp_path: Path) -> None:
    store = _open(tmp_path)
    with pytest.raises(OperationalError) as caught, store.write() as tx:
        tx.execute(text("INSERT INTO nothing (name) VALUES (:name)"), {"name": "Resident One"})
    assert "Resident One" not in str(caught.value)
    store.close()


@given(st.binary(max_size=200), st.text(max_size=20), st.integers(0, 300))
def test_sealing_opens_only_what_was_sealed(plain: bytes, context: str, place: int) -> None:
    seal = Seal(bytes(32))
    sealed = seal.close(plain, context)
    assert seal.open(sealed, context) == plain
    assert plain not in sealed or len(plain) < 4
    flipped = bytearray(sealed)
    flipped[place % len(sealed)] ^= 1
    for wrong, where in ((bytes(flipped), context), (sealed, context + "x"), (sealed[:5], context), (b"", context)):
        with pytest.raises(SealError):
            seal.open(wrong, where)


def test_key_files_are_private_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "seal.key"
    create_seal(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_seal(path).fingerprint("a") == load_seal(path).fingerprint("a") != load_seal(path).fingerprint("b")
    with pytest.raises(SealError, match="exists already"):
        create_seal(path)
    path.chmod(0o640)
    with pytest.raises(SealError, match="expected 0600"):
        load_seal(path)
    path.chmod(0o600)
    path.write_text("no key")
    with pytest.raises(SealError, match="64 hexadecimal digits"):
        load_seal(path)
    with pytest.raises(SealError, match="cannot be read"):
        load_seal(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("issuer = 'CN-HB'", "uri is missing: expected text of 1 to 120 characters"),
        ("issuer = 'CN-HB'\nuri = 'u'\ncolor = 1", "unknown key color: expected one of issuer, uri, further_uris, data"),
        (
            "issuer = 'CN-HB'\nuri = 'u'\n[codes]\nslots = 1",
            r"unknown key codes.slots \(did you mean codes.slot_s\?\): expected one of slot_s, overlap_s",
        ),
        ("issuer = 'CN HB'\nuri = 'u'", "issuer"),
        ("issuer = 'CN-HB'\nuri = 'u'\n[broker]\nport = 0", "port"),
        ("issuer = ", "end of document.: expected TOML, key = value"),
    ],
)
def test_a_wrong_configuration_is_one_line_that_names_the_key(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse(text, "server.toml")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("server.toml:")


@pytest.mark.sqlite
def test_paths_are_relative_to_the_file(town: Town) -> None:
    config = load(town.configure())
    assert config.keys == str(town.folder / "keys")
    assert config.database_url == f"sqlite:///{town.folder / 'data' / 'registry.sqlite'}"
    assert load(town.configure('database = "sqlite:////x/y"')).database_url == "sqlite:////x/y"


DELETED = {
    "claims": "(resident, account, relation, sealed, asked_ms, state) VALUES ('r', 'a', 'self', :sealed, 0, 'granted')",
    "codes_issued": "(resident, uri, idx, form, ruling, codes, not_before, expires, issued_ms) VALUES ('r', 'u', 1, 'live', 1, 1, 0, 0, 0)",
    "quarantine": "(why, topic, unit, boot_id, seq, received_ms, body) VALUES ('', '', '', '', 1, 0, :sealed)",
}
"""Tables whose rows are deleted some day and whose numbers others know."""


@pytest.mark.parametrize("table", DELETED)
def test_the_number_of_a_row_that_is_gone_names_no_other(office: Office, table: str) -> None:
    key = {"claims": "claim", "codes_issued": "issue", "quarantine": "entry"}[table]
    with office.store.write() as tx:
        tx.execute(text("INSERT INTO residents (resident, sealed, added_ms, uri, idx) VALUES ('r', :sealed, 0, 'u', 1)"), {"sealed": b""})
        tx.execute(
            text(
                "INSERT INTO accounts (account, name_hash, sealed, role, password, added_ms, password_ms)"
                " VALUES ('a', :sealed, :sealed, 'resident', '', 0, 0)"
            ),
            {"sealed": b""},
        )

    def insert() -> int:
        with office.store.write() as tx:
            return int(tx.execute(text(f"INSERT INTO {table} {DELETED[table]} RETURNING {key}"), {"sealed": b""}).scalar_one())

    seen = [insert() for _ in range(3)]
    with office.store.write() as tx:
        tx.execute(text(f"DELETE FROM {table}"))
    assert insert() > max(seen)


@pytest.mark.sqlite
def test_claims_of_an_older_database_go_on_beyond_what_its_reviews_name(tmp_path: Path) -> None:
    """A claim that was purged before the step: its review still names it, and no later claim may have its number."""
    store = _open(tmp_path)
    steps = list_migrations()
    place = next(place for place, step in enumerate(steps) if step.name == "numbers_and_groups")
    store.migrate(1, steps[:place])
    with store.write() as tx:
        tx.execute(text("INSERT INTO residents (resident, sealed, added_ms, uri, idx) VALUES ('r', '', 0, 'u', 1)"))
        account = "INSERT INTO accounts (account, name_hash, sealed, role, password, added_ms, password_ms)"
        tx.execute(text(account + " VALUES ('a', 'n', '', 'resident', '', 0, 0)"))
        for number, state in ((1, "open"), (4, "granted")):
            values = {"number": number, "state": state}
            claim = "INSERT INTO claims (claim, resident, account, relation, sealed, asked_ms, state)"
            tx.execute(text(claim + " VALUES (:number, 'r', 'a', 'self', '', 0, :state)"), values)
        review = "INSERT INTO reviews (kind, why, unit, boot_id, seq, resident, at_ms, received_ms, claim)"
        tx.execute(text(review + " VALUES ('claim', '', '', '', 0, 'r', 0, 0, 9)"))
    store.migrate(2, steps)
    with store.write() as tx:
        assert tx.execute(text("SELECT claim, state FROM claims ORDER BY claim")).all() == [(1, "open"), (4, "granted")]
        claim = "INSERT INTO claims (resident, account, relation, sealed, asked_ms, state) VALUES ('r', 'a', 'other', '', 0, 'refused')"
        assert tx.execute(text(claim + " RETURNING claim")).scalar_one() == 10
        assert tx.execute(text("SELECT count(*) FROM sqlite_master WHERE name IN ('claims_open', 'claims_of_resident')")).scalar_one() == 2
    store.close()


def test_a_new_connection_does_not_wait_for_who_writes(tmp_path: Path) -> None:
    writer, other = _open(tmp_path), _open(tmp_path)
    writer.migrate(1, [FIRST])
    other.engine.dispose()
    with writer.write() as tx:
        tx.execute(text("INSERT INTO two (id) VALUES (1)"))
        with other.read() as seen:  # by a connection that is opened now
            assert seen.execute(text("SELECT count(*) FROM two")).scalar_one() == 0
            assert seen.execute(text("PRAGMA auto_vacuum")).scalar_one() == 2
    writer.close()
    other.close()
