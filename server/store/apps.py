"""Queries about apps, their tokens, the people they act for and the answers they were given. Each works in the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from server.store.sql import text


@dataclass(frozen=True)
class AppRow:
    """An app. `scopes`: words with a space between; after a rotation the secret before is good until `old_ends_ms`."""

    app: str
    name: str
    scopes: str
    secret_hash: bytes
    old_secret_hash: bytes | None
    old_ends_ms: int | None
    added_ms: int
    rotated_ms: int
    disabled_ms: int | None


@dataclass(frozen=True)
class TokenRow:
    """A bearer token and its app; `person_of` is the app of the account that was asked about, empty where it is no app's."""

    app: str
    scopes: str
    ends_ms: int
    disabled_ms: int | None
    person_of: str


@dataclass(frozen=True)
class AnswerRow:
    """An answer under an idempotency key. `status` is 0 while the request that has the key is being answered."""

    hash: bytes
    status: int
    sealed: bytes
    at_ms: int


_APP = "SELECT app, name, scopes, secret_hash, old_secret_hash, old_ends_ms, added_ms, rotated_ms, disabled_ms FROM apps "
_TOKEN = text(
    "SELECT t.app, t.scopes, t.ends_ms, a.disabled_ms, "
    " coalesce((SELECT p.app FROM app_people p WHERE p.account = :account), '') AS person_of"
    " FROM app_tokens t JOIN apps a ON a.app = t.app WHERE t.token = :token"
)


def insert_app(tx: Connection, app: str, name: str, scopes: str, secret_hash: bytes, at_ms: int) -> None:
    """A new app."""
    tx.execute(
        text(
            "INSERT INTO apps (app, name, scopes, secret_hash, added_ms, rotated_ms)"
            " VALUES (:app, :name, :scopes, :secret_hash, :at_ms, :at_ms)"
        ),
        {"app": app, "name": name, "scopes": scopes, "secret_hash": secret_hash, "at_ms": at_ms},
    )


def find_app(tx: Connection, app: str) -> AppRow | None:
    """The app with this id."""
    row = tx.execute(text(_APP + "WHERE app = :app"), {"app": app}).one_or_none()
    return None if row is None else _app(row._mapping)


def find_app_named(tx: Connection, name: str) -> AppRow | None:
    """The app of this name."""
    row = tx.execute(text(_APP + "WHERE name = :name"), {"name": name}).one_or_none()
    return None if row is None else _app(row._mapping)


def list_apps(tx: Connection) -> list[AppRow]:
    """Every app in the order in which they were added."""
    return [_app(row._mapping) for row in tx.execute(text(_APP + "ORDER BY added_ms, app"))]


def set_secret(tx: Connection, app: str, secret_hash: bytes, at_ms: int, old_ends_ms: int) -> None:
    """Another secret; the one in use until now is good until `old_ends_ms`."""
    tx.execute(
        text(
            "UPDATE apps SET old_secret_hash = secret_hash, old_ends_ms = :old_ends_ms, secret_hash = :secret_hash, rotated_ms = :at_ms"
            " WHERE app = :app"
        ),
        {"app": app, "secret_hash": secret_hash, "at_ms": at_ms, "old_ends_ms": old_ends_ms},
    )


def set_disabled(tx: Connection, app: str, disabled_ms: int | None) -> None:
    """Since when the app may do nothing; None: it may."""
    tx.execute(text("UPDATE apps SET disabled_ms = :disabled_ms WHERE app = :app"), {"app": app, "disabled_ms": disabled_ms})


def insert_token(tx: Connection, token: bytes, app: str, scopes: str, ends_ms: int) -> None:
    """A new bearer token under its hash."""
    tx.execute(
        text("INSERT INTO app_tokens (token, app, scopes, ends_ms) VALUES (:token, :app, :scopes, :ends_ms)"),
        {"token": token, "app": app, "scopes": scopes, "ends_ms": ends_ms},
    )


def find_token(tx: Connection, token: bytes, account: str) -> TokenRow | None:
    """The token with this hash, ended or not, and whose `account` is."""
    row = tx.execute(_TOKEN, {"token": token, "account": account}).one_or_none()
    return None if row is None else TokenRow(**row._mapping)


def end_tokens(tx: Connection, app: str) -> None:
    """No token of the app is good any more."""
    tx.execute(text("DELETE FROM app_tokens WHERE app = :app"), {"app": app})


def insert_person(tx: Connection, account: str, app: str, number_hash: bytes, name_hash: bytes, sealed: bytes, at_ms: int) -> None:
    """An account of the app's for one person whom it has identified. Nobody can sign in to it: it has no password and is disabled."""
    tx.execute(
        text(
            "INSERT INTO accounts (account, name_hash, sealed, role, password, added_ms, password_ms, disabled_ms)"
            " VALUES (:account, :name_hash, :sealed, 'app', '', :at_ms, :at_ms, :at_ms)"
        ),
        {"account": account, "name_hash": name_hash, "sealed": sealed, "at_ms": at_ms},
    )
    tx.execute(
        text("INSERT INTO app_people (account, app, number_hash, added_ms) VALUES (:account, :app, :number_hash, :at_ms)"),
        {"account": account, "app": app, "number_hash": number_hash, "at_ms": at_ms},
    )


def find_person(tx: Connection, app: str, number_hash: bytes) -> str | None:
    """The app's account for the person with this number."""
    found = tx.execute(
        text("SELECT account FROM app_people WHERE app = :app AND number_hash = :number_hash"), {"app": app, "number_hash": number_hash}
    ).scalar()
    return None if found is None else str(found)


def find_number_of(tx: Connection, app: str, account: str) -> bytes | None:
    """The hash of the number of the person whose account of the app this is."""
    found = tx.execute(
        text("SELECT number_hash FROM app_people WHERE app = :app AND account = :account"), {"app": app, "account": account}
    ).scalar()
    return None if found is None else bytes(found)


def list_identified(tx: Connection, resident: str, number_hash: bytes) -> list[tuple[str, str]]:
    """(app, account) of the apps that act for the resident as the person of this number."""
    rows = tx.execute(
        text(
            "SELECT p.app, p.account FROM app_people p JOIN charges c ON c.account = p.account"
            " WHERE p.number_hash = :number_hash AND c.resident = :resident ORDER BY p.account"
        ),
        {"number_hash": number_hash, "resident": resident},
    )
    return [(str(app), str(account)) for app, account in rows]


def put_number(tx: Connection, account: str, number_hash: bytes) -> None:
    """The app's person of this account is known by another number from now on; no other of the app's may have it."""
    tx.execute(
        text("UPDATE app_people SET number_hash = :number_hash WHERE account = :account"), {"account": account, "number_hash": number_hash}
    )


def list_people(tx: Connection, app: str, after: str, most: int) -> list[str]:
    """The app's accounts in the order of their ids, those after `after`."""
    rows = tx.execute(
        text("SELECT account FROM app_people WHERE app = :app AND account > :after ORDER BY account LIMIT :most"),
        {"app": app, "after": after, "most": most},
    )
    return [str(row.account) for row in rows]


def count_waiting(tx: Connection, app: str) -> int:
    """How many claims of the app's people nobody has decided yet."""
    return int(
        tx.execute(
            text("SELECT count(*) FROM claims c JOIN app_people p ON p.account = c.account WHERE p.app = :app AND c.state = 'open'"),
            {"app": app},
        ).scalar_one()
    )


def was_refused(tx: Connection, account: str) -> bool:
    """Whether a claim of this account was refused: it is not asked again."""
    found = tx.execute(text("SELECT 1 FROM claims WHERE account = :account AND state = 'refused' LIMIT 1"), {"account": account})
    return found.first() is not None


def delete_person(tx: Connection, account: str) -> None:
    """The app acts for this person no more: charges, codes and drafts end, open claims are withdrawn, the account stays as a name."""
    who = {"account": account}
    for table in ("charges", "hand_overs", "drafts", "app_people"):
        tx.execute(text(f"DELETE FROM {table} WHERE account = :account"), who)  # noqa: S608
    tx.execute(
        text(
            "UPDATE reviews SET state = 'closed' WHERE state = 'open'"
            " AND claim IN (SELECT claim FROM claims WHERE account = :account AND state = 'open')"
        ),
        who,
    )
    tx.execute(text("UPDATE claims SET state = 'withdrawn' WHERE account = :account AND state = 'open'"), who)


def name_of_app(tx: Connection, account: str) -> str:
    """The name of the app whose account this is; empty where it is nobody's."""
    found = tx.execute(
        text("SELECT a.name FROM app_people p JOIN apps a ON a.app = p.app WHERE p.account = :account"), {"account": account}
    ).scalar()
    return "" if found is None else str(found)


def list_links(tx: Connection, account: str) -> list[tuple[str, str, str, int]]:
    """(resident, the app's name, the app's account, since when in ms) of apps that act for anybody whom `account` looks after."""
    rows = tx.execute(
        text(
            "SELECT c.resident, a.name, c.account, c.since_ms FROM charges mine JOIN charges c ON c.resident = mine.resident"
            " JOIN app_people p ON p.account = c.account JOIN apps a ON a.app = p.app"
            " WHERE mine.account = :account AND c.account <> :account ORDER BY a.name, c.resident, c.account"
        ),
        {"account": account},
    )
    return [(str(row[0]), str(row[1]), str(row[2]), int(row[3])) for row in rows]


def find_answer(tx: Connection, app: str, key_hash: bytes) -> AnswerRow | None:
    """What was answered under the key."""
    row = tx.execute(
        text("SELECT hash, status, sealed, at_ms FROM app_answers WHERE app = :app AND key_hash = :key_hash"),
        {"app": app, "key_hash": key_hash},
    ).one_or_none()
    return None if row is None else AnswerRow(bytes(row.hash), int(row.status), bytes(row.sealed), int(row.at_ms))


def put_answer(tx: Connection, app: str, key_hash: bytes, row: AnswerRow) -> None:
    """Notes the answer under the key."""
    tx.execute(
        text(
            "INSERT INTO app_answers (app, key_hash, hash, status, sealed, at_ms) VALUES (:app, :key_hash, :hash, :status, :sealed, :at_ms)"
            " ON CONFLICT (app, key_hash) DO UPDATE SET hash = :hash, status = :status, sealed = :sealed, at_ms = :at_ms"
        ),
        {"app": app, "key_hash": key_hash, **vars(row)},
    )


def delete_answer(tx: Connection, app: str, key_hash: bytes) -> None:
    """The key is free again."""
    tx.execute(text("DELETE FROM app_answers WHERE app = :app AND key_hash = :key_hash"), {"app": app, "key_hash": key_hash})


def drop_ended(tx: Connection, at_ms: int, answers_before_ms: int) -> None:
    """Forgets tokens that have ended and answers that are older."""
    tx.execute(text("DELETE FROM app_tokens WHERE ends_ms <= :at_ms"), {"at_ms": at_ms})
    tx.execute(text("DELETE FROM app_answers WHERE at_ms <= :before"), {"before": answers_before_ms})


def _app(found: object) -> AppRow:
    values = dict(found)  # type: ignore[call-overload]
    old = values["old_secret_hash"]
    return AppRow(**{**values, "secret_hash": bytes(values["secret_hash"]), "old_secret_hash": None if old is None else bytes(old)})
