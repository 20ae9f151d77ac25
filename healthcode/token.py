"""The signed code: `HB1:` + base45 + COSE_Sign1 + CWT (RFC 8392), written and read as a visible row of stages.

A code is a bearer token. Nothing keys on its text: (list, index) names the person.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import cbor2
import msgspec

from healthcode import base45, cbor, cose, signed
from healthcode.cose import Signer
from healthcode.messages import TrustEntry
from healthcode.signed import SignedFault
from healthcode.terms import STATUS_OF_COLOUR, Colour, Fault, Form, Use
from healthcode.trust import Candidate, KeyRing

PREFIX = "HB1:"
MAX_TEXT = 300
"""Longest code in characters; QR version 10 at level M holds 311 alphanumeric ones (ISO/IEC 18004 table 7)."""
TYP = "hc+cwt"
LEEWAY_S = 5
"""How far ahead of the reader's clock an issuer's clock may be, in seconds."""
MAX_INDEX = 2**26 - 1

ISS, EXP, NBF, IAT = 1, 4, 5, 6
"""CWT claim keys (RFC 8392 section 3.1)."""
STATUS = 65535
"""The claim `status` of the IETF Token Status List, as requested from IANA."""
COLOUR = -65537
"""Private claim: the colour, in the values of the status list."""
FORM = -65538
"""Private claim: 1 live, 2 paper."""
_FORMS = {1: Form.LIVE, 2: Form.PAPER}
_COLOURS = {int(status): colour for colour, status in STATUS_OF_COLOUR.items()}
_FORM_VALUES = {form: value for value, form in _FORMS.items()}


class Claims(msgspec.Struct, frozen=True):
    """What a code says. Times in whole seconds since 1970.

    `ruled_at` (iat) is the time of the ruling that the registry knew when it signed, the same in every code of one pack;
    `not_before` and `expires` cut the slot in which the code is good.
    """

    issuer: str
    uri: str
    index: int
    colour: Colour
    form: Form
    ruled_at: int
    not_before: int
    expires: int

    @property
    def person(self) -> tuple[str, int]:
        """(list, index): who is meant, whatever the code's text."""
        return (self.uri, self.index)


class HealthCode(Claims, frozen=True):
    """A code that was read and found valid; `kid` names the key that signed it."""

    kid: bytes


@dataclass(frozen=True)
class TokenFault:
    """Why a text is not a valid code: the stage, and one line for people."""

    fault: Fault
    detail: str


_STAGE_OF_SIGNED_FAULT = {
    SignedFault.UNKNOWN_KEY: TokenFault(Fault.UNKNOWN_KEY, "no key of the trust list that signs codes has this identifier"),
    SignedFault.ALGORITHM: TokenFault(Fault.ALGORITHM, "the key signs with another algorithm than the code says"),
    SignedFault.SIGNATURE: TokenFault(Fault.SIGNATURE, "no key with this identifier made the signature"),
}


_CLAIMS: Callable[[Any], tuple[Any, ...]] = itemgetter(ISS, EXP, NBF, IAT, STATUS, COLOUR, FORM)
_PLACE: Callable[[Any], tuple[Any, ...]] = itemgetter("idx", "uri")
_WRONG_TYPES = TokenFault(Fault.CLAIMS, "expected iss, exp, nbf, iat, status, colour and form of the right types")

_TEXT, _NUMBER = 0x60, b"\x1a"
"""CBOR heads (RFC 8949, appendix B): a text of no bytes, and a number of four."""
_START, _MIDDLE, _END = b"\xa7\x01", struct.Struct(">2sI2sI2sI22sI"), struct.Struct(">5sB5sB")
"""Claims as `write` orders them: seven, iss first; after its text exp, nbf, iat and idx; after the uri colour and form."""
_KEYS = (
    *(cbor2.dumps(key) + _NUMBER for key in (EXP, NBF, IAT)),
    cbor2.dumps(STATUS) + b"\xa1" + cbor2.dumps("status_list") + b"\xa2" + cbor2.dumps("idx") + _NUMBER,
    cbor2.dumps(COLOUR),
    cbor2.dumps(FORM),
)
"""What stands before each of those numbers."""
_URI_HEADS = {4 + len(text): b"curi" + text[: len(text) - size] for size in range(256) for text in [cbor2.dumps("x" * size)]}
"""What stands before a uri's text, by how long key, head and text are together."""


def write(claims: Claims, signer: Signer) -> str:
    """The signed code of `claims`; ValueError where no reader would take them, or where it would be longer than MAX_TEXT."""
    payload = cbor2.dumps(
        {
            ISS: claims.issuer,
            EXP: claims.expires,
            NBF: claims.not_before,
            IAT: claims.ruled_at,
            STATUS: {"status_list": {"idx": claims.index, "uri": claims.uri}},
            COLOUR: int(STATUS_OF_COLOUR[claims.colour]),
            FORM: _FORM_VALUES[claims.form],
        },
        canonical=True,
    )
    fault = read_claims(payload)
    if isinstance(fault, TokenFault):
        raise ValueError(f"claims that no reader takes: {fault.detail}")
    text = PREFIX + base45.encode(cose.sign1(payload, TYP, signer))
    if len(text) > MAX_TEXT:
        raise ValueError(f"code of {len(text)} characters: expected at most {MAX_TEXT}, shorten the list's uri or the issuer's name")
    return text


def read(text: str, keys: KeyRing, at: float) -> HealthCode | TokenFault:
    """The code in `text`, checked at time `at` (seconds since 1970), or the first stage at which it fails.

    TOO_LONG, PREFIX, BASE45, CBOR, COSE, ALGORITHM, UNKNOWN_KEY, SIGNATURE, CLAIMS, NOT_YET_VALID, EXPIRED, ISSUER_SCOPE.
    """
    sign1 = unwrap(text)
    if isinstance(sign1, TokenFault):
        return sign1
    signers = signed.verify(sign1, keys.find(sign1.kid, Use.TOKEN))
    if isinstance(signers, SignedFault):
        return _STAGE_OF_SIGNED_FAULT[signers]
    claims = read_claims(sign1.payload)
    if isinstance(claims, TokenFault):
        return claims
    return check_time(claims, at) or check_scope(claims, signers, at)


def unwrap(text: str) -> cose.Sign1 | TokenFault:
    """The unverified COSE_Sign1 in `text`: the stages TOO_LONG to ALGORITHM."""
    if len(text) > MAX_TEXT:
        return TokenFault(Fault.TOO_LONG, f"{len(text)} characters: expected at most {MAX_TEXT}")
    if not text.startswith(PREFIX):
        return TokenFault(Fault.PREFIX, f"begins with {text[:4]!r}: expected {PREFIX!r}")
    try:
        sign1 = cose.parse(base45.decode(text[len(PREFIX) :]))
    except cbor.NotCbor as wrong:
        return TokenFault(Fault.CBOR, str(wrong))
    except cose.NotSign1 as wrong:
        return TokenFault(Fault.COSE, str(wrong))
    except ValueError as wrong:
        return TokenFault(Fault.BASE45, str(wrong))
    if sign1.typ != TYP or len(sign1.kid) != 8:
        return TokenFault(Fault.COSE, f"typ {sign1.typ[:40]!r}, kid of {len(sign1.kid)} bytes: expected {TYP!r} and 8 bytes")
    if sign1.algorithm is None:
        return TokenFault(Fault.ALGORITHM, f"algorithm {str(sign1.header.get(cose.ALG))[:20]}: expected ES256 (-7) or Ed25519 (-8)")
    return sign1


def read_claims(payload: bytes) -> Claims | TokenFault:
    """The claims in a verified payload: the stage CLAIMS. Unknown claims are passed over, as RFC 8392 section 3 asks."""
    return read_plain_claims(payload) or read_any_claims(payload)


def read_plain_claims(payload: bytes) -> Claims | None:
    """The claims where `payload` is, byte for byte, what `write` nearly always makes; None where `read_any_claims` has to look.

    That is the seven claims alone, an issuer of at most 23 bytes, and times and index in four bytes each: above 0xFFFF, so that this is
    their shortest form. Then every field has its place.
    """
    try:
        place, end = 3 + payload[2] - _TEXT, len(payload) - _END.size
        row = _MIDDLE.unpack_from(payload, place) + _END.unpack_from(payload, end)
        expires, not_before, ruled_at, index, colour, form = row[1::2]
        uri = payload[place + _MIDDLE.size : end]
        head = _URI_HEADS[len(uri)]
        if (
            row[::2] != _KEYS
            or not payload.startswith(_START)
            or not 3 < place <= 3 + 23
            or not uri.startswith(head)
            or min(not_before, ruled_at, index) <= 0xFFFF
            or index > MAX_INDEX
            or expires <= not_before
        ):
            return None
        said = (payload[3:place].decode(), uri[len(head) :].decode(), index, _COLOURS[colour], _FORMS[form])
        return Claims(*said, ruled_at, not_before, expires)
    except (struct.error, IndexError, KeyError, UnicodeDecodeError):
        return None


def read_any_claims(payload: bytes) -> Claims | TokenFault:
    """The claims in any deterministic CBOR: the long way, which names what is wrong."""
    try:
        found = cbor.load(payload)
    except cbor.NotCbor as wrong:
        return TokenFault(Fault.CLAIMS, str(wrong))
    try:
        issuer, expires, not_before, ruled_at, status, colour, form = _CLAIMS(found)
        index, uri = _PLACE(status["status_list"])
    except (KeyError, TypeError, IndexError):
        issuer = uri = None
    if type(issuer) is not str or type(uri) is not str:
        return _WRONG_TYPES
    numbers = (expires, not_before, ruled_at, index, colour, form)
    if set(map(type, numbers)) != {int}:
        return _WRONG_TYPES
    if min(numbers) < 0 or max(numbers) >= 2**40:
        return TokenFault(Fault.CLAIMS, "a number among the claims is out of range")
    if index > MAX_INDEX or colour not in _COLOURS or form not in _FORMS or not 0 < len(issuer) <= 32:
        return TokenFault(Fault.CLAIMS, "index, colour, form or issuer out of range")
    if expires <= not_before:
        return TokenFault(Fault.CLAIMS, "expires before it begins")
    return Claims(issuer, uri, index, _COLOURS[colour], _FORMS[form], ruled_at, not_before, expires)


def check_time(claims: Claims, at: float) -> TokenFault | None:
    """The stages NOT_YET_VALID and EXPIRED at `at`, seconds since 1970; None where the code is within its time."""
    begins = max(claims.not_before, claims.ruled_at)
    if not begins <= at + LEEWAY_S:
        return TokenFault(Fault.NOT_YET_VALID, f"begins in {begins - at:.0f} s")
    if not at < claims.expires:
        return TokenFault(Fault.EXPIRED, f"ended {at - claims.expires:.0f} s ago")
    return None


def check_scope(claims: Claims, signers: tuple[Candidate, ...], at: float) -> HealthCode | TokenFault:
    """The stage ISSUER_SCOPE: whether one of the keys that signed may sign such a code."""
    outside = ""
    for candidate in signers:
        outside = outside_scope(claims, candidate.entry, at)
        if not outside:
            return HealthCode(**msgspec.structs.asdict(claims), kid=candidate.entry.kid)
    return TokenFault(Fault.ISSUER_SCOPE, outside)


def outside_scope(claims: Claims, entry: TrustEntry, at: float) -> str:
    """What of the claims lies outside the entry, in one line; empty where nothing does."""
    if claims.issuer != entry.issuer:
        return f"says issuer {claims.issuer!r}: the key belongs to {entry.issuer!r}"
    if claims.uri not in entry.uris:
        return f"list {claims.uri!r}: the key may sign for {', '.join(entry.uris) or 'none'}"
    if claims.form not in entry.forms:
        return f"form {claims.form.value}: the key may sign {', '.join(entry.forms) or 'none'}"
    if claims.expires - claims.not_before > entry.max_lifetime_s:
        return f"lasts {claims.expires - claims.not_before} s: the key may sign for {entry.max_lifetime_s} s"
    if not entry.sign_from <= claims.not_before <= entry.sign_until:
        return "begins outside the time in which the key may sign"
    if not at <= entry.verify_until:
        return "the key no longer counts"
    return ""
