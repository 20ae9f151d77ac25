"""Queries about how units are let in: secrets, certificates, operators' accounts. Inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from server.fleet_state import UnitState, retire
from server.store import fleet
from server.store.sql import text


@dataclass(frozen=True)
class SecretRow:
    """A secret that was given out: `public` checks it, `server` is the fingerprint that it carries, `used_by` that of the key it let in."""

    mark: bytes
    unit: str
    public: bytes
    server: bytes
    ends_ms: int
    used_by: bytes | None


@dataclass(frozen=True)
class CertificateRow:
    """A unit's newest certificate (DER), and the key (SubjectPublicKeyInfo) and number of its enrolment."""

    unit: str
    number: int
    spki: bytes
    certificate: bytes
    ends_ms: int


def find_retired(connection: Connection, unit: str) -> int | None:
    """When the unit was retired; None where it was not, or is not known."""
    found = connection.execute(text("SELECT retired_ms FROM units WHERE unit = :unit"), {"unit": unit}).scalar_one_or_none()
    return None if found is None else int(found)


def put_secret(connection: Connection, row: SecretRow, at_ms: int) -> None:
    """Keeps what checks a new secret; the unit's last one ends with it."""
    drop_secret(connection, row.unit)
    connection.execute(
        text(
            "INSERT INTO unit_secrets (mark, unit, public, server, made_ms, ends_ms)"
            " VALUES (:mark, :unit, :public, :server, :at_ms, :ends_ms)"
        ),
        {**vars(row), "at_ms": at_ms},
    )


def find_secret(connection: Connection, mark: bytes) -> SecretRow | None:
    """The secret with this mark."""
    row = connection.execute(
        text("SELECT mark, unit, public, server, ends_ms, used_by FROM unit_secrets WHERE mark = :mark"), {"mark": mark}
    ).one_or_none()
    if row is None:
        return None
    used_by = None if row.used_by is None else bytes(row.used_by)
    return SecretRow(bytes(row.mark), str(row.unit), bytes(row.public), bytes(row.server), int(row.ends_ms), used_by)


def use_secret(connection: Connection, mark: bytes, used_by: bytes) -> None:
    """The secret has let a key with this fingerprint in."""
    connection.execute(text("UPDATE unit_secrets SET used_by = :used_by WHERE mark = :mark"), {"mark": mark, "used_by": used_by})


def find_expected(connection: Connection, unit: str, at_ms: int) -> int | None:
    """Until when a secret waits for the unit at `at_ms`; None where none does that nobody has used."""
    query = text("SELECT max(ends_ms) FROM unit_secrets WHERE unit = :unit AND used_by IS NULL AND ends_ms > :at_ms")
    found = connection.execute(query, {"unit": unit, "at_ms": at_ms}).scalar_one()
    return None if found is None else int(found)


def drop_secret(connection: Connection, unit: str) -> None:
    """No secret waits for the unit any more."""
    connection.execute(text("DELETE FROM unit_secrets WHERE unit = :unit"), {"unit": unit})


def find_certificate(connection: Connection, unit: str) -> CertificateRow | None:
    """What the unit was let in with."""
    row = connection.execute(
        text("SELECT unit, number, spki, certificate, ends_ms FROM unit_certificates WHERE unit = :unit"), {"unit": unit}
    ).one_or_none()
    return None if row is None else _certificate(row)


def list_certificates(connection: Connection) -> list[CertificateRow]:
    """Those of every unit that is not retired, by name."""
    rows = connection.execute(
        text(
            "SELECT c.unit, c.number, c.spki, c.certificate, c.ends_ms FROM unit_certificates c JOIN units u ON u.unit = c.unit"
            " WHERE u.retired_ms IS NULL ORDER BY c.unit"
        )
    )
    return [_certificate(row) for row in rows]


def put_certificate(connection: Connection, row: CertificateRow, at_ms: int) -> None:
    """Keeps a unit's newest certificate."""
    connection.execute(
        text(
            "INSERT INTO unit_certificates (unit, number, spki, certificate, enrolled_ms, ends_ms)"
            " VALUES (:unit, :number, :spki, :certificate, :at_ms, :ends_ms)"
            " ON CONFLICT (unit) DO UPDATE SET number = excluded.number, spki = excluded.spki, certificate = excluded.certificate,"
            " ends_ms = excluded.ends_ms, enrolled_ms = CASE WHEN unit_certificates.number = excluded.number"
            " THEN unit_certificates.enrolled_ms ELSE excluded.enrolled_ms END"
        ),
        {**vars(row), "at_ms": at_ms},
    )


def set_retired(connection: Connection, unit: str, at_ms: int) -> None:
    """The unit is retired."""
    connection.execute(text("UPDATE units SET retired_ms = :at_ms WHERE unit = :unit"), {"unit": unit, "at_ms": at_ms})
    state = fleet.find_states(connection, [unit]).get(unit, UnitState(unit))
    fleet.put_states(connection, [retire(state, at_ms)])


def set_in_service(connection: Connection, unit: str, at_ms: int) -> None:
    """Another device has the name of a unit that was retired; nothing is known of it yet."""
    query = text("UPDATE units SET retired_ms = NULL WHERE unit = :unit AND retired_ms IS NOT NULL")
    if connection.execute(query, {"unit": unit}).rowcount:
        fleet.put_states(connection, [UnitState(unit, since_ms=at_ms, word_ms=at_ms)])


@dataclass(frozen=True)
class OperatorRow:
    """An operator's account at the broker; `ended_ms` where it was taken away."""

    name: str
    number: int
    ends_ms: int
    ended_ms: int | None


def put_operator(connection: Connection, name: str, at_ms: int, ends_ms: int) -> int:
    """An operator has an account, whose certificate ends then; its number, one above that of the account before."""
    return int(
        connection.execute(
            text(
                "INSERT INTO broker_operators (name, number, made_ms, ends_ms) VALUES (:name, 1, :at_ms, :ends_ms)"
                " ON CONFLICT (name) DO UPDATE SET number = broker_operators.number + 1, made_ms = excluded.made_ms,"
                " ends_ms = excluded.ends_ms, ended_ms = NULL RETURNING number"
            ),
            {"name": name, "at_ms": at_ms, "ends_ms": ends_ms},
        ).scalar_one()
    )


def end_operator(connection: Connection, name: str, at_ms: int) -> bool:
    """The operator has no account any more; False where there was none."""
    query = text("UPDATE broker_operators SET ended_ms = :at_ms WHERE name = :name AND ended_ms IS NULL")
    return connection.execute(query, {"name": name, "at_ms": at_ms}).rowcount > 0


def list_operators(connection: Connection) -> list[OperatorRow]:
    """Every operator by name."""
    rows = connection.execute(text("SELECT name, number, ends_ms, ended_ms FROM broker_operators ORDER BY name"))
    return [OperatorRow(**row._mapping) for row in rows]


def _certificate(row: Row[Any]) -> CertificateRow:
    return CertificateRow(str(row.unit), int(row.number), bytes(row.spki), bytes(row.certificate), int(row.ends_ms))
