"""The EU Digital COVID Certificate: `HC1:` + base45 + zlib + COSE_Sign1 + CWT, read as a visible row of stages.

The format is the EU's (Implementing Decision (EU) 2021/1073, annex I): ES256 or PS256, kid and alg in the protected header or else in the
other one, the certificate's content as claim -260/1. Here a certificate is judged by its own dates and by the trust list's policy
(`healthcode.dcc_policy`), there is no list to look it up in.

What a gate needs is read and nothing else: no name, no date of birth. What may be shown of it (faults' details) tells nothing that it says.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from healthcode import base45, cbor, cose
from healthcode.cose import KeyAlgorithm, Sign1
from healthcode.terms import CertificateKind, Fault, Use
from healthcode.token import LEEWAY_S, TokenFault
from healthcode.trust import Candidate, KeyRing

PREFIX = "HC1:"
MAX_TEXT = 1099
"""Longest certificate in characters. 650 is the longest seen, with ES256; an RSA key of 2,048 bits adds 290, one of 4,096 bits 670.

The reader's process passes on one character more, so that what it cuts off is too long.
"""
MAX_COSE = 8192
"""How far a certificate is inflated, in bytes; the EU's test data have 426 at most."""

ISS, EXP, IAT, HCERT = 1, 4, 6, -260
"""CWT claim keys (RFC 8392 section 3.1), and the private one of health certificates, whose member 1 is the EU's."""
_CWT_TAG, _SIGN1_TAG = b"\xd8\x3d", b"\xd2"
_ALGORITHMS: dict[object, KeyAlgorithm] = {cose.ALG_IDS["ES256"]: "ES256", cose.PS256_ID: "PS256"}
_KINDS = {"v": CertificateKind.VACCINATION, "t": CertificateKind.TEST, "r": CertificateKind.RECOVERY}


@dataclass(frozen=True)
class Vaccination:
    """The dose `dose` of `series` doses of the medicinal product `product`, given on `day`."""

    product: str
    dose: int
    series: int
    day: date


@dataclass(frozen=True)
class Sample:
    """A test of the type `test` (LOINC) and its result (SNOMED CT); `taken_at` in seconds since 1970."""

    test: str
    result: str
    taken_at: float


@dataclass(frozen=True)
class Recovery:
    """A recovery: the day of the first positive test, and from and until when the issuer lets it count."""

    positive: date
    valid_from: date
    valid_until: date


Content = Vaccination | Sample | Recovery


@dataclass(frozen=True)
class Certificate:
    """What a certificate says that a verdict needs. `repr` shows nothing of it, so that no log can hold it. Times in seconds since 1970.

    `identifier` is the unique certificate identifier; `issuer` is the country of the key that signed it.
    """

    issuer: str = field(repr=False)
    kid: bytes = field(repr=False)
    issued_at: float = field(repr=False)
    expires: float = field(repr=False)
    kind: CertificateKind = field(repr=False)
    agent: str = field(repr=False)
    identifier: str = field(repr=False)
    content: Content = field(repr=False)


@dataclass(frozen=True)
class Claims:
    """The claims of a verified certificate; `said_issuer` is empty where it names none."""

    said_issuer: str = field(repr=False)
    issued_at: float = field(repr=False)
    expires: float = field(repr=False)
    hcert: Mapping[object, object] = field(repr=False)


def read(text: str, keys: KeyRing, at: float) -> Certificate | TokenFault:
    """The certificate in `text`, checked at time `at` (seconds since 1970), or the first stage at which it fails.

    TOO_LONG, PREFIX, BASE45, COMPRESSION, CBOR, COSE, ALGORITHM, UNKNOWN_KEY, SIGNATURE, CLAIMS, NOT_YET_VALID, EXPIRED, ISSUER_SCOPE.
    """
    sign1 = unwrap(text)
    if isinstance(sign1, TokenFault):
        return sign1
    signers = verify(sign1, keys)
    if isinstance(signers, TokenFault):
        return signers
    claims = read_claims(sign1.payload)
    if isinstance(claims, TokenFault):
        return claims
    return check_time(claims.issued_at, claims.expires, at) or read_content(claims, signers, at)


def unwrap(text: str) -> Sign1 | TokenFault:
    """The unverified COSE_Sign1 in `text`: the stages TOO_LONG to COSE."""
    packed = unprefix(text)
    data = packed if isinstance(packed, TokenFault) else decode(packed)
    data = data if isinstance(data, TokenFault) else inflate(data)
    return data if isinstance(data, TokenFault) else parse(data)


def unprefix(text: str) -> str | TokenFault:
    """The stages TOO_LONG and PREFIX: what follows the prefix."""
    if len(text) > MAX_TEXT:
        return TokenFault(Fault.TOO_LONG, f"{len(text)} characters: expected at most {MAX_TEXT}")
    if not text.startswith(PREFIX):
        return TokenFault(Fault.PREFIX, f"begins with {text[:4]!r}: expected {PREFIX!r}")
    return text[len(PREFIX) :]


def decode(text: str) -> bytes | TokenFault:
    """The stage BASE45."""
    try:
        return base45.decode(text)
    except ValueError as wrong:
        return TokenFault(Fault.BASE45, str(wrong))


def inflate(data: bytes) -> bytes | TokenFault:
    """The stage COMPRESSION: at most MAX_COSE bytes come out, however many there would be.

    Bits that only fill up a byte mean nothing; they must be zero, as every compressor leaves them, so that no bit can be changed.
    """
    out = _inflate(data)
    if out is None:
        return TokenFault(Fault.COMPRESSION, f"no zlib stream of at most {MAX_COSE} bytes")
    if _has_idle_bits(data, out):
        return TokenFault(Fault.COMPRESSION, "bits that mean nothing are set in the zlib stream")
    return out


def parse(data: bytes) -> Sign1 | TokenFault:
    """The stages CBOR and COSE. The tags of a CWT and of a COSE_Sign1 may be there or not; the encoding need not be deterministic."""
    data = data.removeprefix(_CWT_TAG)
    if data and 0x80 <= data[0] <= 0x9F:
        data = _SIGN1_TAG + data
    try:
        return cose.parse(data, strict=False)
    except cbor.NotCbor:
        return TokenFault(Fault.CBOR, "not one whole CBOR item")
    except cose.NotSign1 as wrong:
        return TokenFault(Fault.COSE, str(wrong))


def header(sign1: Sign1, label: int) -> object:
    """A header parameter: that of the protected header, and only where it has none that of the other."""
    return sign1.header[label] if label in sign1.header else sign1.unprotected.get(label)


def verify(sign1: Sign1, keys: KeyRing) -> tuple[Candidate, ...] | TokenFault:
    """The stages ALGORITHM, UNKNOWN_KEY and SIGNATURE: those of all keys with the object's identifier that really signed it."""
    said, kid = header(sign1, cose.ALG), header(sign1, cose.KID)
    algorithm = _ALGORITHMS.get(said) if type(said) is int else None
    if algorithm is None:
        return TokenFault(Fault.ALGORITHM, "expected ES256 (-7) or PS256 (-37)")
    candidates = keys.find(kid, Use.DCC) if isinstance(kid, bytes) else ()
    if not candidates:
        return TokenFault(Fault.UNKNOWN_KEY, "no key of the trust list that signs certificates has this identifier")
    fitting = [candidate for candidate in candidates if candidate.key.algorithm == algorithm]
    if not fitting:
        return TokenFault(Fault.ALGORITHM, "the key signs with another algorithm than the certificate says")
    signers = tuple(candidate for candidate in fitting if candidate.key.verify(sign1.signature, sign1.signed, low_s=False))
    return signers or TokenFault(Fault.SIGNATURE, "no key with this identifier made the signature")


def read_claims(payload: bytes) -> Claims | TokenFault:
    """The stage CLAIMS, its first half: issuer, dates, and a health certificate of the EU."""
    found = load_payload(payload)
    if isinstance(found, TokenFault):
        return found
    times, said = read_times(found), found.get(ISS)
    match found.get(HCERT):
        case {1: Mapping() as hcert} if times is not None and (said is None or isinstance(said, str)):
            return Claims(said or "", *times, hcert)
    return TokenFault(Fault.CLAIMS, "expected exp, iat and hcert of the right types")


def load_payload(payload: bytes) -> Mapping[object, object] | TokenFault:
    """The claims of a payload, whatever they are."""
    try:
        found = cbor.load(payload, deterministic=False, dates=True)
    except cbor.NotCbor:
        return TokenFault(Fault.CLAIMS, "the payload is not one whole CBOR item")
    return found if isinstance(found, Mapping) else TokenFault(Fault.CLAIMS, "the payload is not a map of claims")


def read_times(claims: Mapping[object, object]) -> tuple[float, float] | None:
    """iat and exp among the claims, in seconds since 1970; None where they are not both there and in range."""
    match claims.get(IAT), claims.get(EXP):
        case (int() | float() as issued_at, int() | float() as expires) if bool not in (type(issued_at), type(expires)):
            return (float(issued_at), float(expires)) if 0 <= issued_at < 2**40 and 0 <= expires < 2**40 else None
    return None


def check_time(issued_at: float, expires: float, at: float) -> TokenFault | None:
    """The stages NOT_YET_VALID and EXPIRED at `at`, all in seconds since 1970; None where the certificate is within its time."""
    if not issued_at <= at + LEEWAY_S:
        return TokenFault(Fault.NOT_YET_VALID, "issued in the future")
    if not at < expires:
        return TokenFault(Fault.EXPIRED, "the certificate's time is over")
    return None


def read_content(claims: Claims, signers: tuple[Candidate, ...], at: float) -> Certificate | TokenFault:
    """The second half of CLAIMS: just one vaccination, test or recovery, of which everything is said that a verdict needs; ISSUER_SCOPE."""
    groups = [(kind, claims.hcert[name]) for name, kind in _KINDS.items() if claims.hcert.get(name)]
    match groups:
        case [(kind, [Mapping() as said] | (Mapping() as said,))]:
            pass
        case _:
            return TokenFault(Fault.CLAIMS, "expected one vaccination, test or recovery")
    content = _content(kind, said)
    agent, identifier = said.get("tg"), said.get("ci")
    if content is None or not (_is_text(agent) and _is_text(identifier)):
        return TokenFault(Fault.CLAIMS, f"the {kind.value} lacks something, or it is not of the right type")
    outside = ""
    for signer in signers:
        outside = _outside_scope(claims, kind, signer, at)
        if not outside:
            entry = signer.entry
            return Certificate(entry.issuer, entry.kid, claims.issued_at, claims.expires, kind, str(agent), str(identifier), content)
    return TokenFault(Fault.ISSUER_SCOPE, outside)


def _outside_scope(claims: Claims, kind: CertificateKind, signer: Candidate, at: float) -> str:
    entry = signer.entry
    if claims.said_issuer and claims.said_issuer != entry.issuer:
        return "says another issuer than the key belongs to"
    if kind not in entry.kinds:
        return "the key may not sign certificates of this kind"
    if not entry.sign_from <= claims.issued_at <= entry.sign_until:
        return "issued outside the time in which the key may sign"
    if not at <= entry.verify_until:
        return "the key no longer counts"
    return ""


def _content(kind: CertificateKind, said: Mapping[object, object]) -> Content | None:
    match kind, said:
        case CertificateKind.VACCINATION, {"mp": str(product), "dn": int(dose), "sd": int(series), "dt": given}:
            day = _day(given)
            counted = bool not in (type(dose), type(series)) and 0 < dose < 100 and 0 < series < 100
            return Vaccination(product, dose, series, day) if day and counted else None
        case CertificateKind.TEST, {"tt": str(test), "tr": str(result), "sc": taken}:
            taken_at = _moment(taken)
            return None if taken_at is None else Sample(test, result, taken_at)
        case CertificateKind.RECOVERY, {"fr": first, "df": begins, "du": ends}:
            days = _day(first), _day(begins), _day(ends)
            return Recovery(days[0], days[1], days[2]) if days[0] and days[1] and days[2] else None
    return None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200


def _day(value: object) -> date | None:
    """A date as RFC 3339 has it; of a date with a time the date."""
    if not isinstance(value, str) or len(value) > 40 or value[10:11] not in ("", "T"):
        return None
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        return None


def _moment(value: object) -> float | None:
    """A time with its zone as RFC 3339 has it, in seconds since 1970."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return None if moment.tzinfo is None else moment.astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def _has_idle_bits(data: bytes, out: bytes) -> bool:
    """Whether bits are set that fill up a byte (RFC 1951 sections 3.2.4 and 3.2.3): after the head of a first block that is stored, and
    at the very end. There the highest bit that is set means nothing where the same comes out without it."""
    if data[2] & 0b110 == 0 and data[2] >> 3:
        return True
    last = len(data) - 5  # the last byte before the checksum
    highest = 1 << data[last].bit_length() >> 1
    return highest > 0 and _inflate(data[:last] + bytes([data[last] ^ highest]) + data[last + 1 :]) == out


def _inflate(data: bytes) -> bytes | None:
    inflater = zlib.decompressobj()
    try:
        out = inflater.decompress(data, MAX_COSE + 1)
    except zlib.error:
        return None
    return out if len(out) <= MAX_COSE and inflater.eof and not inflater.unused_data else None
