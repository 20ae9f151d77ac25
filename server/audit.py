"""The log of every change, every view of a person and every export: append-only, each entry chained to the one before.

An entry says who (account and role), what, about whom or what, with which reason and when, in words and ids: nothing of a person. Its
digest is SHA-256 over the digest before it and the entry, so that nothing in it can be changed, dropped or put in another place
without every later digest changing; signed heads (server.audit_heads) that others keep say what the digests were. An entry is written
in the transaction of what it tells of: neither is there without the other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from sqlalchemy import Connection

from healthcode.messages import AuditHead
from server.actors import Who
from server.store import audit as rows
from server.store import to_ms
from server.store.audit import EntryRow, Said

AT_ONCE = 5000
"""Entries that are read at a time."""
_WORD = re.compile(r"[A-Za-z0-9_./: -]{0,80}")
_NUMBER = re.compile(r"\d{11}")
"""So many digits in a row are a telephone number or an identity number."""

Detail = Mapping[str, str | int]


class Action(StrEnum):
    """What was done. Stable words: stored."""

    FACT = "fact"
    COLOUR = "colour"
    RESIDENT_ADDED = "resident.added"
    RESIDENT_EDITED = "resident.edited"
    RESIDENT_IDENTITY = "resident.identity"
    RESIDENT_VIEWED = "resident.viewed"
    RESIDENTS_LISTED = "residents.listed"
    RESIDENT_EXPORTED = "resident.exported"
    CODES_ISSUED = "codes.issued"
    CODES_REVOKED = "codes.revoked"
    CHARGE_BEGAN = "charge.began"
    CHARGE_ENDED = "charge.ended"
    HAND_OVER_OFFERED = "hand_over.offered"
    CLAIM_MADE = "claim.made"
    CLAIM_ANSWERED = "claim.answered"
    CLAIM_DECIDED = "claim.decided"
    REVIEW_CLOSED = "review.closed"
    REVIEWS_CLOSED = "reviews.closed"
    ACCOUNT_ADDED = "account.added"
    ACCOUNT_PASSWORD = "account.password"  # noqa: S105
    ACCOUNT_DISABLED = "account.disabled"
    ACCOUNT_ENABLED = "account.enabled"
    ACCOUNT_CLOSED = "account.closed"
    SIGNED_IN = "account.signed_in"
    SIGNED_OUT = "account.signed_out"
    SIGN_IN_REFUSED = "account.sign_in_refused"
    NUMBER_PROPOSED = "number.proposed"
    PROPOSAL_MADE = "proposal.made"
    PROPOSAL_APPROVED = "proposal.approved"
    PROPOSAL_REFUSED = "proposal.refused"
    PROPOSAL_WITHDRAWN = "proposal.withdrawn"
    PROPOSAL_REVOKED = "proposal.revoked"
    PROPOSAL_EXPIRED = "proposal.expired"
    PROPOSAL_IN_FORCE = "proposal.in_force"
    APPEAL_MADE = "appeal.made"
    APPEAL_PAPER_READ = "appeal.paper_read"
    APPEAL_ANSWERED = "appeal.answered"
    IMPORTED = "imported"
    IMPORT_WITHDRAWN = "import.withdrawn"
    POLICY = "policy"
    POLICY_PROPOSED = "policy.proposed"
    POLICY_APPROVED = "policy.approved"
    POLICY_REFUSED = "policy.refused"
    POLICY_WITHDRAWN = "policy.withdrawn"
    POLICY_REVOKED = "policy.revoked"
    POLICY_EXPIRED = "policy.expired"
    POLICY_OVERTAKEN = "policy.overtaken"
    OUTAGE_BEGAN = "outage.began"
    OUTAGE_ENDED = "outage.ended"
    AUDIT_SHOWN = "audit.shown"
    PURGED = "purged"
    APP_ADDED = "app.added"
    APP_SECRET = "app.secret"  # noqa: S105
    APP_DISABLED = "app.disabled"
    APP_ENABLED = "app.enabled"
    APP_PERSON = "app.person"
    APP_PERSON_ENDED = "app.person_ended"
    UNIT_EXPECTED = "unit.expected"
    UNIT_ENROLLED = "unit.enrolled"
    UNIT_RETIRED = "unit.retired"
    OPERATOR_ADDED = "operator.added"
    OPERATOR_ENDED = "operator.ended"


@dataclass(frozen=True)
class Entry:
    """What is to be written: `subject` from `about`, `detail` a few words and numbers, `reason` among them where there is one."""

    who: Who
    action: Action
    subject: str
    detail: Detail


@dataclass(frozen=True)
class Sound:
    """The log holds together: how many entries, the digest of the last, and how many heads agree with it."""

    entries: int
    digest: bytes
    heads: int


@dataclass(frozen=True)
class Broken:
    """The first entry that does not hold, and why, in one line."""

    entry: int
    why: str


def about(kind: str, name: str | int) -> str:
    """The subject of an entry: `resident/abk8zad4`, `proposal/12`."""
    return f"{kind}/{name}"


def is_word(text: str) -> bool:
    """Whether a subject or a value may stand in the log: a word of up to 80 letters, or an id, and no telephone or identity number."""
    return bool(_WORD.fullmatch(text)) and not _NUMBER.search(text)


def in_groups(digest: bytes) -> str:
    """A digest in hexadecimal as a value of the log: eight letters at a time, so that no number of a person's can be in it."""
    return digest.hex("-", 4)


def append(tx: Connection, who: Who, action: Action, subject: str, detail: Detail, at: float) -> int:
    """Writes an entry at `at`, seconds since 1970, in the caller's transaction; its number."""
    return append_many(tx, [Entry(who, action, subject, detail)], at)


def append_many(tx: Connection, entries: Sequence[Entry], at: float) -> int:
    """Writes entries in their order; the number of the last. The transaction must be one of `Store.write`."""
    tip = rows.find_tip(tx)
    number, digest, at_ms = tip.entry, tip.digest, to_ms(at)
    made = []
    for entry in entries:
        number += 1
        if not is_word(entry.subject):
            raise ValueError("subject: expected a word or an id: the log holds nothing of a person")
        told = (number, at_ms, entry.who.account, entry.who.role.value, entry.action.value, entry.subject, _body(entry.detail))
        digest = digest_after(told, digest)
        made.append(EntryRow(*told, digest))
    if made:
        rows.insert_entries(tx, made)
        rows.move_tip(tx, tip, rows.Tip(number, digest))
    return number


def digest_after(said: Said, before: bytes) -> bytes:
    """The digest of an entry that comes after one with the digest `before`: SHA-256 of that and of the entry as a JSON array."""
    return hashlib.sha256(before + _ENCODER.encode(said)).digest()


def verify(
    tx: Connection, heads: Sequence[AuditHead] = (), progress: Callable[[int, int], None] = lambda _done, _all: None
) -> Sound | Broken:
    """Reads the whole log and computes every digest anew; `heads` are signed ones that were checked before.

    `progress` is told how many entries of how many are read.
    """
    if not rows.is_guarded(tx):
        return Broken(0, "the triggers that refuse changes to the log are missing")
    tip = rows.find_tip(tx)
    expected: dict[int, set[bytes]] = {}
    for head in heads:
        expected.setdefault(head.entry, set()).add(head.digest)
    digest, number = rows.GENESIS, 0
    for row in _walk(tx):
        number += 1
        if row.entry != number:
            return Broken(number, f"entry {number} is missing: entry {row.entry} is next")
        digest = digest_after(row.said, digest)
        if digest != row.digest:
            return Broken(number, f"entry {number} is not what was written, or not in its place: its digest does not hold")
        if expected.pop(number, {digest}) != {digest}:
            return Broken(number, f"entry {number} is not the one that a signed head names: the log was rewritten up to there")
        if number % AT_ONCE == 0:
            progress(number, tip.entry)
    progress(number, max(number, tip.entry))
    if expected.pop(0, {rows.GENESIS}) != {rows.GENESIS}:
        return Broken(0, "a signed head from before the first entry is of another log")
    if expected:
        return Broken(number + 1, f"entries {number + 1} to {max(expected)} are missing: a signed head names the last of them")
    if (tip.entry, tip.digest) != (number, digest):
        return Broken(number + 1, f"the log ends with entry {number}: expected entry {tip.entry}, the last that was written")
    return Sound(number, digest, len(heads))


def _walk(tx: Connection) -> Iterator[EntryRow]:
    after = 0
    while part := rows.list_after(tx, after, AT_ONCE):
        yield from part
        after = part[-1].entry


_ENCODER = msgspec.json.Encoder()
_SORTED = msgspec.json.Encoder(order="sorted")


def _body(detail: Detail) -> str:
    """The detail as JSON. ValueError where it holds more than words and numbers: names and numbers of people have no place in the log."""
    for name, value in detail.items():
        if isinstance(value, str) and not is_word(value):
            raise ValueError(f"{name}: expected a word of up to 80 letters or an id: the log holds nothing of a person")
    return _SORTED.encode(detail).decode()
