"""Heads, deltas, watermarks, time answers, trust lists and all else that is signed as COSE_Sign1, each kind with a `typ` of its own.

`write` signs, `read` checks against a key ring and `read_rooted` against root keys. A reader says which kind it expects; any other is TYPE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

import cbor2
import msgspec

from healthcode import cbor, cose
from healthcode.cose import PublicKey, Signer
from healthcode.messages import (
    MAX_DESIRED,
    MAX_HEAD,
    MAX_SIGNED,
    MAX_TRUST,
    AuditHead,
    BadPayload,
    ClockReset,
    Command,
    Delta,
    Desired,
    Head,
    Message,
    Release,
    TimeAnswer,
    TrustEntry,
    TrustHead,
    TrustList,
    Watermark,
)
from healthcode.terms import Use
from healthcode.trust import Candidate, KeyRing

T = TypeVar("T", bound=Message)


class SignedFault(StrEnum):
    """Why a signed object is not accepted, in the order in which it is checked."""

    SIZE = "SIZE"
    CBOR = "CBOR"
    COSE = "COSE"
    TYPE = "TYPE"
    ALGORITHM = "ALGORITHM"
    UNKNOWN_KEY = "UNKNOWN_KEY"
    SIGNATURE = "SIGNATURE"
    CONTENT = "CONTENT"
    SCOPE = "SCOPE"


@dataclass(frozen=True)
class Signed(Generic[T]):
    """A verified message and the trust entry of the key that signed it."""

    message: T
    entry: TrustEntry


@dataclass(frozen=True)
class Kind:
    """What goes with a message class: its `typ`, the use that a key needs to sign it (None: a root key), its longest form in bytes."""

    typ: str
    use: Use | None
    limit: int


KINDS: dict[type[Message], Kind] = {
    Head: Kind("healthgate-head+cbor", Use.LIST, MAX_HEAD),
    Delta: Kind("healthgate-delta+cbor", Use.LIST, MAX_SIGNED),
    Watermark: Kind("healthgate-watermark+cbor", Use.ACK, MAX_SIGNED),
    TimeAnswer: Kind("healthgate-time+cbor", Use.TIME, MAX_HEAD),
    AuditHead: Kind("healthgate-audit-head+cbor", Use.ACK, MAX_HEAD),
    Release: Kind("healthgate-release+cbor", Use.RELEASE, MAX_HEAD),
    Desired: Kind("healthgate-desired+cbor", Use.CONFIG, MAX_DESIRED),
    TrustList: Kind("healthgate-trust+cbor", None, MAX_TRUST),
    TrustHead: Kind("healthgate-trust-head+cbor", None, MAX_HEAD),
    ClockReset: Kind("healthgate-clock-reset+cbor", None, MAX_HEAD),
    Command: Kind("healthgate-command+cbor", Use.COMMAND, MAX_HEAD),
}


def pack(message: Message) -> bytes:
    """`message` as deterministic CBOR."""
    return cbor2.dumps(msgspec.to_builtins(message, builtin_types=(bytes,)), canonical=True)


def unpack(data: bytes, kind: type[T], limit: int) -> T:
    """CBOR `data` as a `kind`; BadPayload where it is longer than `limit`, no deterministic CBOR or no such message."""
    if len(data) > limit:
        raise BadPayload(f"{len(data)} bytes: expected at most {limit}")
    try:
        return msgspec.convert(cbor.load(data), type=kind, builtin_types=(bytes,))
    except (cbor.NotCbor, msgspec.ValidationError, RecursionError) as wrong:
        raise BadPayload(f"{wrong}: expected {getattr(kind, '__name__', kind)}") from None


def write(message: Message, signer: Signer) -> bytes:
    """`message`, signed. ValueError where it comes out longer than its kind may be, or no reader would take it."""
    kind = KINDS[type(message)]
    payload = pack(message)
    unpack(payload, type(message), kind.limit)
    data = cose.sign1(payload, kind.typ, signer)
    if len(data) > kind.limit:
        raise ValueError(f"{type(message).__name__} of {len(data)} bytes: expected at most {kind.limit}")
    return data


def read(data: bytes, kind: type[T], keys: KeyRing, at: float) -> Signed[T] | SignedFault:
    """The message in `data`, signed by a key of the ring that may sign such a message now.

    For heads and deltas the uri and the epoch must be those of the entry; `at` is the time of checking, seconds since 1970.
    """
    what = KINDS[kind]
    if what.use is None:
        raise TypeError(f"{kind.__name__} is signed by a root key: use read_rooted")
    sign1 = parse_as(data, what)
    if isinstance(sign1, SignedFault):
        return sign1
    verified = verify(sign1, keys.find(sign1.kid, what.use))
    if isinstance(verified, SignedFault):
        return verified
    try:
        message = unpack(sign1.payload, kind, what.limit)
    except BadPayload:
        return SignedFault.CONTENT
    for candidate in verified:
        if in_scope(message, candidate.entry, at):
            return Signed(message, candidate.entry)
    return SignedFault.SCOPE


def read_rooted(data: bytes, kind: type[T], roots: Sequence[PublicKey]) -> T | SignedFault:
    """The trust list, trust head or clock reset in `data`, signed by one of the root keys. Whether it is too old the caller must ask."""
    what = KINDS[kind]
    sign1 = parse_as(data, what)
    if isinstance(sign1, SignedFault):
        return sign1
    if what.use is not None:
        raise TypeError(f"{kind.__name__} is not signed by a root key: use read")
    if all(root.kid != sign1.kid for root in roots):
        return SignedFault.UNKNOWN_KEY
    if not _is_by(sign1, roots):
        return SignedFault.SIGNATURE
    try:
        message = unpack(sign1.payload, kind, what.limit)
        if isinstance(message, TrustList):
            KeyRing.of(message)
    except ValueError:
        return SignedFault.CONTENT
    return message


def is_by(data: bytes, roots: Sequence[PublicKey]) -> bool:
    """Whether one of these keys signed the object in `data`, which has been read before."""
    return _is_by(cose.parse(data), roots)


def _is_by(sign1: cose.Sign1, roots: Sequence[PublicKey]) -> bool:
    named = (root for root in roots if (root.kid, root.algorithm) == (sign1.kid, sign1.algorithm))
    return any(root.verify(sign1.signature, sign1.signed) for root in named)


def verify(sign1: cose.Sign1, candidates: Sequence[Candidate], *, low_s: bool = True) -> tuple[Candidate, ...] | SignedFault:
    """Those of the keys that share the object's identifier which really signed it."""
    if not candidates:
        return SignedFault.UNKNOWN_KEY
    fitting = [candidate for candidate in candidates if candidate.key.algorithm == sign1.algorithm]
    if not fitting:
        return SignedFault.ALGORITHM
    signers = [candidate for candidate in fitting if candidate.key.verify(sign1.signature, sign1.signed, low_s=low_s)]
    return tuple(signers) or SignedFault.SIGNATURE


def in_scope(message: Message, entry: TrustEntry, at: float) -> bool:
    """Whether the entry lets its key sign this message: its own time within the signing window, the check not after verify_until."""
    match message:
        case Head() | Delta():
            fits = message.uri in entry.uris and message.epoch == entry.epoch
            said_at = float(message.as_of)
        case Watermark() | TimeAnswer() | Desired():
            fits = True
            said_at = message.at_ms / 1000
        case AuditHead():
            fits = message.issuer == entry.issuer
            said_at = message.at_ms / 1000
        case Release():
            fits = True
            said_at = float(message.signed_at)
        case Command():
            fits = entry.role is not None
            said_at = float(message.signed_at)
        case _:
            return False
    return fits and entry.sign_from <= said_at <= entry.sign_until and at <= entry.verify_until


def parse_as(data: bytes, what: Kind) -> cose.Sign1 | SignedFault:
    """The unverified object of this kind in `data`: the stages SIZE to ALGORITHM."""
    if len(data) > what.limit:
        return SignedFault.SIZE
    try:
        sign1 = cose.parse(data)
    except cbor.NotCbor:
        return SignedFault.CBOR
    except cose.NotSign1:
        return SignedFault.COSE
    if sign1.typ != what.typ:
        return SignedFault.TYPE
    if sign1.algorithm is None:
        return SignedFault.ALGORITHM
    return sign1
