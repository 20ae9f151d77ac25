"""Who is let in at the broker: units by a secret that counts once, their certificates and their end; operators' accounts.

What the access rules say follows from the database alone (`members`), so whoever changes it has them written anew.
A request may come again: the power may have failed before the answer was kept. The same key gets the same certificate until the secret
ends; another key gets nothing, and that is an alert, because somebody else had the secret first.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection

from healthcode.admission import KEY_BYTES, EnrolAnswer, EnrolRequest, Secret, fingerprint, mark_of_roots, mark_of_server, proves
from healthcode.cose import PublicKey
from healthcode.topics import check_id
from server import audit, throttle
from server.actors import AT_CONSOLE, BY_STRANGER, Who
from server.audit import Action
from server.authority import UNIT_DAYS, Authority, NotACsr, der, ends, is_due, operator_account, pem, read_csr, spki, unit_account
from server.mosquitto import Member
from server.store import Store, admissions, events, to_ms
from server.store.admissions import CertificateRow, SecretRow
from server.throttle import Limits

log = logging.getLogger(__name__)

SECRET_S = 86_400.0
"""How long a secret is good."""
OF_ADDRESS = Limits(free=20, base_s=1, ceiling_s=60, forget_s=3600)
"""Requests with a secret that fail all the same, by address: this keeps a flood from the database's log."""
OPERATOR_DAYS = 365
ALERT = "enrolment"
"""The alert of a secret that was used a second time: until the unit is retired, or enrolled anew."""


class EnrolFault(StrEnum):
    """Why something was not done. Stable words: programs read them."""

    BAD_REQUEST = "bad_request"
    UNKNOWN = "unknown"
    ENDED = "ended"
    USED = "used"
    WAIT = "wait"
    BAD_NAME = "bad_name"
    ENROLLED = "enrolled"
    RETIRED = "retired"
    NO_SUCH_UNIT = "no_such_unit"


@dataclass(frozen=True)
class Refused:
    """What was not done: the fault, one line for people, and with `WAIT` how many seconds."""

    fault: EnrolFault
    detail: str
    wait_s: float = 0.0


@dataclass(frozen=True)
class Expected:
    """A unit may come: `secret` is shown this once, and is good until `ends` (seconds since 1970)."""

    unit: str
    secret: Secret
    ends: float


@dataclass(frozen=True)
class Retired:
    """A unit is shut out; `account` is the one that it had at the broker, empty where it had none by certificate."""

    unit: str
    account: str


class Admissions:
    """The book of who is let in. `now` gives seconds since 1970; `random` so many random bytes."""

    def __init__(self, store: Store, now: Callable[[], float], random: Callable[[int], bytes] = os.urandom) -> None:
        self._store = store
        self._now = now
        self._random = random

    def expect(
        self, unit: str, roots: Sequence[PublicKey], server: x509.Certificate, *, note: str = "", site: str = "", again: bool = False
    ) -> Expected | Refused:
        """A secret for `unit`; the one given out before ends. `server` is the certificate that the unit will meet.

        A unit that is enrolled or was retired needs `again`. What it has stays until another key comes with the secret; where it stands
        is from now on what `note` and `site` say, where they say anything.
        """
        try:
            check_id(unit)
        except ValueError as wrong:
            return Refused(EnrolFault.BAD_NAME, str(wrong))
        shown = server.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        secret = Secret(self._random(KEY_BYTES), mark_of_roots([spki_of_root(root) for root in roots]), mark_of_server(shown))
        at = self._now()
        with self._store.write() as tx:
            retired_ms = admissions.find_retired(tx, unit)
            if retired_ms is not None and not again:
                return Refused(EnrolFault.RETIRED, f"{unit} was retired: expected a name that was never used, or --again")
            if admissions.find_certificate(tx, unit) is not None and not again:
                return Refused(
                    EnrolFault.ENROLLED, f"{unit} is enrolled: expected another name, or --again where a new device takes its place"
                )
            if not events.add_unit(tx, unit, note, to_ms(at), site):
                events.place_unit(tx, unit, note, site)
            row = SecretRow(secret.mark, unit, secret.public, fingerprint(shown), to_ms(at + SECRET_S), None)
            admissions.put_secret(tx, row, to_ms(at))
            audit.append(tx, AT_CONSOLE, Action.UNIT_EXPECTED, audit.about("unit", unit), {"again": int(again)}, at)
        return Expected(unit, secret, at + SECRET_S)

    def expected_until(self, unit: str) -> float | None:
        """Until when a secret that was given out waits for the unit (seconds since 1970); None where none does."""
        with self._store.read() as tx:
            ends_ms = admissions.find_expected(tx, unit, to_ms(self._now()))
        return None if ends_ms is None else ends_ms / 1000

    def admit(
        self, request: EnrolRequest, address: str, authority: Authority, roots: Sequence[PublicKey], host: str, port: int
    ) -> EnrolAnswer | Refused:
        """A unit asks from `address`: its certificate, or why it gets none. `host` and `port` are the broker's.

        Who has no secret is refused without a write: strangers, however many, hold up nobody who writes, nor a unit behind their address.
        """
        with self._store.read() as tx:
            row = admissions.find_secret(tx, request.mark)
        unknown = Refused(EnrolFault.UNKNOWN, "the secret is not known here, or the request was made for another server")
        if row is None or not proves(row.public, request.proof, request.csr, row.server):
            return unknown
        keys = [(b"enrol " + address.encode(), OF_ADDRESS)]
        at = self._now()
        with self._store.write() as tx:
            wait_s = throttle.attempt(tx, keys, at)
            if wait_s:
                return Refused(EnrolFault.WAIT, f"too many requests that failed: wait {wait_s:.0f} s", wait_s)
            row = admissions.find_secret(tx, request.mark)
            if row is None:  # another one was given out in between
                return unknown
            if to_ms(at) >= row.ends_ms:
                return Refused(EnrolFault.ENDED, "the secret has ended: type healthgate fleet enrol for another")
            try:
                key = read_csr(request.csr)
            except NotACsr as wrong:
                return Refused(EnrolFault.BAD_REQUEST, str(wrong))
            mark = fingerprint(spki(key))
            if row.used_by not in (None, mark):
                detail = "the secret has let another key in"
                events.raise_alert(tx, ALERT, row.unit, f"{detail}, and was used again by a second one", to_ms(at))
                return Refused(EnrolFault.USED, f"{detail}: whose? Retire {row.unit} and enrol it again")
            throttle.succeeded(tx, keys, at, cleared=keys[0][0])
            certificate = self._let_in(tx, row, key, authority, at)
        return EnrolAnswer(
            unit=row.unit,
            certificate=pem(certificate),
            ca=authority.pem,
            roots=[root.to_pem().decode() for root in roots],
            host=host,
            port=port,
        )

    def _let_in(self, tx: Connection, row: SecretRow, key: ec.EllipticCurvePublicKey, authority: Authority, at: float) -> x509.Certificate:
        """The certificate of a key that has proved the secret; the one that it has, where the request comes again."""
        held = admissions.find_certificate(tx, row.unit)
        if row.used_by is not None and held is not None and held.spki == spki(key):
            return x509.load_der_x509_certificate(held.certificate)
        number = 1 if held is None else held.number + 1
        certificate = authority.client(key, unit_account(row.unit, number), at, UNIT_DAYS)
        _keep(tx, row.unit, number, key, certificate, at)
        admissions.use_secret(tx, row.mark, fingerprint(spki(key)))
        events.end_alert(tx, ALERT, row.unit)
        admissions.set_in_service(tx, row.unit, to_ms(at))
        audit.append(tx, BY_STRANGER, Action.UNIT_ENROLLED, audit.about("unit", row.unit), {"number": number}, at)
        log.info("unit %s is enrolled (%d)", row.unit, number)
        return certificate

    def retire(self, unit: str, who: Who = AT_CONSOLE) -> Retired | Refused:
        """The unit is none of ours any more, and no secret lets it in. A second time changes nothing, and is no fault."""
        at = self._now()
        with self._store.write() as tx:
            held = admissions.find_certificate(tx, unit)
            if unit not in {known.unit for known in events.list_units(tx)}:
                return Refused(EnrolFault.NO_SUCH_UNIT, f"{unit}: no such unit: `healthgate server unit list`")
            if admissions.find_retired(tx, unit) is None:
                admissions.set_retired(tx, unit, to_ms(at))
                audit.append(tx, who, Action.UNIT_RETIRED, audit.about("unit", unit), {}, at)
            admissions.drop_secret(tx, unit)
            events.end_alert(tx, ALERT, unit)
        return Retired(unit, "" if held is None else unit_account(unit, held.number))

    def renew(self, authority: Authority) -> list[CertificateRow]:
        """Makes the certificates anew of which two thirds are over; the newest of every enrolled unit.

        That of a unit which has not been on line since its certificate ended, too: whether it is one of ours, `retire` says, and no date.
        It fetches the new one from the pages (`find_newest`).
        """
        at = self._now()
        with self._store.read() as tx:
            rows = admissions.list_certificates(tx)
        due = [row for row in rows if is_due(x509.load_der_x509_certificate(row.certificate), at)]
        if not due:
            return rows
        with self._store.write() as tx:
            held = {row.unit: row for row in admissions.list_certificates(tx)}
            for row in due:
                if held.get(row.unit) == row:  # else retired or enrolled anew meanwhile
                    key = serialization.load_der_public_key(row.spki)
                    assert isinstance(key, ec.EllipticCurvePublicKey)
                    made = authority.client(key, unit_account(row.unit, row.number), at, UNIT_DAYS)
                    _keep(tx, row.unit, row.number, key, made, at)
            return admissions.list_certificates(tx)

    def find_newest(self, mark: bytes) -> bytes | None:
        """The newest certificate (DER) of the unit in service whose key has this fingerprint; None where there is none."""
        with self._store.read() as tx:
            found = [row.certificate for row in admissions.list_certificates(tx) if fingerprint(row.spki) == mark]
        return found[0] if found else None

    def members(self) -> tuple[list[Member], list[str]]:
        """Who may do something at the broker: units with their accounts, and operators' accounts."""
        with self._store.read() as tx:
            units = [Member(unit_account(row.unit, row.number), row.unit) for row in admissions.list_certificates(tx)]
            operators = [operator_account(row.name, row.number) for row in admissions.list_operators(tx) if row.ended_ms is None]
        return units, operators

    def add_operator(self, name: str, days: float = OPERATOR_DAYS) -> tuple[str, float] | Refused:
        """An account at the broker for an operator, in place of the one before; its name, and when its certificate is to end."""
        try:
            check_id(name, "operator")
        except ValueError as wrong:
            return Refused(EnrolFault.BAD_NAME, str(wrong))
        at = self._now()
        with self._store.write() as tx:
            number = admissions.put_operator(tx, name, to_ms(at), to_ms(at + days * 86_400))
            audit.append(tx, AT_CONSOLE, Action.OPERATOR_ADDED, audit.about("operator", name), {"number": number}, at)
        return operator_account(name, number), at + days * 86_400

    def ending_operators(self, within_s: float) -> list[tuple[str, float]]:
        """Operators whose account ends within so long, or has ended by itself; when, in seconds since 1970."""
        before_ms = to_ms(self._now() + within_s)
        with self._store.read() as tx:
            rows = admissions.list_operators(tx)
        return [(row.name, row.ends_ms / 1000) for row in rows if row.ended_ms is None and row.ends_ms < before_ms]

    def end_operator(self, name: str) -> bool:
        """Takes an operator's account away; False where there was none."""
        at = self._now()
        with self._store.write() as tx:
            is_ended = admissions.end_operator(tx, name, to_ms(at))
            if is_ended:
                audit.append(tx, AT_CONSOLE, Action.OPERATOR_ENDED, audit.about("operator", name), {}, at)
        return is_ended


def spki_of_root(root: PublicKey) -> bytes:
    """A root key as the DER of its SubjectPublicKeyInfo: what its fingerprint is of."""
    return root.handle.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _keep(tx: Connection, unit: str, number: int, key: ec.EllipticCurvePublicKey, certificate: x509.Certificate, at: float) -> None:
    row = CertificateRow(unit, number, spki(key), der(certificate), to_ms(ends(certificate)))
    admissions.put_certificate(tx, row, to_ms(at))
