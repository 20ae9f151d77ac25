"""Makes the certificates in dcc/: `python -m tests.vectors.make_dcc`. Done once; the files are kept, for signatures differ each time.

Laid out as the EU's public test data are, so that `healthgate code conform` runs them. FAULT is our own: the stage at which a gate stops
that trusts the file's certificate, null where it reads it. The signers' keys are thrown away; the people do not exist.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from healthcode import base45, cose, dcc
from healthcode.cose import P256_ORDER
from healthcode.terms import CertificateKind, Fault
from healthgate import certificates
from healthgate.conform import COMPARED
from tests.certificates import DAY_S, NOW, a_recovery, a_test, a_vaccination, claims, headers, make_dsc, sign, sign1, text_of

FOLDER = Path(__file__).parent / "dcc"
STAGES = (Fault.PREFIX, Fault.BASE45, Fault.COMPRESSION, Fault.SIGNATURE, Fault.EXPIRED)
"""The last of our stages that each of COMPARED spans."""
ORDER = list(Fault)


def vector(text: str, dsc: bytes, fault: Fault | None, *, at: int = NOW, in_time: bool = True) -> dict[str, Any]:
    """One file. `in_time` is said where it does not follow from the stage of the fault."""
    reached = len(ORDER) if fault is None else ORDER.index(fault)
    expected = {name: ORDER.index(stage) < reached for name, stage in zip(COMPARED, STAGES, strict=True)}
    is_parsed = fault is None or reached > ORDER.index(Fault.COSE)
    expected["EXPECTEDEXPIRATIONCHECK"] = is_parsed and in_time
    return {
        "PREFIX": text,
        "TESTCTX": {
            "VERSION": 1,
            "CERTIFICATE": base64.b64encode(dsc).decode(),
            "VALIDATIONCLOCK": datetime.fromtimestamp(at, UTC).isoformat(),
        },
        "EXPECTEDRESULTS": expected,
        "FAULT": fault,
    }


def vectors() -> dict[str, dict[str, Any]]:
    """Every file by its name."""
    seed = int.from_bytes(hashlib.sha256(b"healthgate TEST DSC, worthless").digest(), "big")
    key, other = ec.derive_private_key(seed % P256_ORDER, ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    long = rsa.generate_private_key(65537, 2048)
    dsc, rsa_dsc = make_dsc(key), make_dsc(long)
    loose, tests_only = make_dsc(key, is_strict=False), make_dsc(key, kinds=(CertificateKind.TEST,))
    kid = certificates.kid_of(dsc)
    good = claims(a_vaccination())
    data = sign1(key, good, headers(key, dsc))
    packed = zlib.compress(data, 9)
    bare = bytearray(packed)
    bare[-5] |= 0x80
    assert zlib.decompress(bytes(bare)) == data, "the last bit of the compressed data happens to mean something: make it anew"

    def signed(payload: bytes, protected: dict[int, Any] | None = None, unprotected: dict[int, Any] | None = None) -> str:
        return text_of(sign1(key, payload, headers(key, dsc) if protected is None else protected, unprotected))

    said = sign(key, cose.signed_bytes(b"", good))
    unprotected = cbor2.dumps(cbor2.CBORTag(18, [b"", {1: -7, 4: kid}, good, said]))
    made = {
        "vaccination": vector(text_of(data), dsc, None),
        "test": vector(signed(claims(a_test())), dsc, None),
        "recovery": vector(signed(claims(a_recovery())), dsc, None),
        "rsa": vector(text_of(sign1(long, good, headers(long, rsa_dsc))), rsa_dsc, None),
        "loose extensions": vector(text_of(sign1(key, good, headers(key, loose))), loose, None),
        "kid unprotected": vector(signed(good, {1: -7}, {4: kid}), dsc, None),
        "all unprotected": vector(signed(good, {}, {1: -7, 4: kid}), dsc, None),
        "no protected header": vector(text_of(unprotected), dsc, None),
        "tagged dates": vector(signed(claims(a_vaccination(dt=cbor2.CBORTag(1004, "2021-05-01")))), dsc, None),
        "protected kid wins": vector(signed(good, None, {4: bytes(8), 1: -37}), dsc, None),
        "wrong protected kid wins": vector(signed(good, {1: -7, 4: bytes(8)}, {4: kid}), dsc, Fault.UNKNOWN_KEY),
        "no kid": vector(signed(good, {1: -7}), dsc, Fault.UNKNOWN_KEY),
        "no tag": vector(text_of(data[1:]), dsc, None),
        "tag of a CWT": vector(text_of(b"\xd8\x3d" + data), dsc, None),
        "no issuer": vector(signed(claims(a_vaccination(), said={1: None})), dsc, None),
        "fractions of seconds": vector(signed(claims(a_vaccination(), said={4: NOW + 9.5})), dsc, None),
        "last second": vector(text_of(data), dsc, None, at=NOW + 300 * DAY_S - 1),
        "too long": vector(text_of(data) + "0" * 1600, dsc, Fault.TOO_LONG),
        "another prefix": vector("HC2:" + text_of(data)[4:], dsc, Fault.PREFIX),
        "lower case": vector(dcc.PREFIX + text_of(data)[4:].lower(), dsc, Fault.BASE45),
        "not compressed": vector(dcc.PREFIX + base45.encode(data), dsc, Fault.COMPRESSION),
        "bomb": vector(dcc.PREFIX + base45.encode(zlib.compress(bytes(700_000), 9)), dsc, Fault.COMPRESSION),
        "cut short": vector(dcc.PREFIX + base45.encode(packed[:-1]), dsc, Fault.COMPRESSION),
        "more after the end": vector(dcc.PREFIX + base45.encode(packed + b"\0"), dsc, Fault.COMPRESSION),
        "idle bit": vector(dcc.PREFIX + base45.encode(bytes(bare)), dsc, Fault.COMPRESSION),
        "no CBOR": vector(text_of(data[:-1]), dsc, Fault.CBOR),
        "no COSE": vector(text_of(good), dsc, Fault.COSE),
        "crit": vector(signed(good, headers(key, dsc) | {2: [99]}), dsc, Fault.COSE),
        "ES384": vector(signed(good, {1: -35, 4: kid}), dsc, Fault.ALGORITHM),
        "PS256 by a key of ES256": vector(signed(good, {1: cose.PS256_ID, 4: kid}), dsc, Fault.ALGORITHM),
        "another signer": vector(text_of(sign1(other, good, headers(key, dsc))), dsc, Fault.SIGNATURE),
        "changed": vector(text_of(data.replace(b"EU/1/20/1528", b"EU/1/20/1507")), dsc, Fault.SIGNATURE),
        "no expiry": vector(signed(claims(a_vaccination(), said={4: None})), dsc, Fault.CLAIMS, in_time=False),
        "no hcert": vector(signed(claims(a_vaccination(), said={-260: {2: {}}})), dsc, Fault.CLAIMS),
        "two kinds": vector(signed(claims(a_vaccination() | a_recovery())), dsc, Fault.CLAIMS),
        "two doses apart": vector(signed(claims(a_vaccination() | {"v": a_vaccination()["v"] * 2})), dsc, Fault.CLAIMS),
        "no identifier": vector(signed(claims(a_vaccination(ci=""))), dsc, Fault.CLAIMS),
        "sample without a zone": vector(signed(claims(a_test(sc="2021-06-01T08:00:00"))), dsc, Fault.CLAIMS),
        "issued later": vector(text_of(data), dsc, Fault.NOT_YET_VALID, at=NOW - DAY_S - 6, in_time=False),
        "ended": vector(text_of(data), dsc, Fault.EXPIRED, at=NOW + 300 * DAY_S, in_time=False),
        "another issuer": vector(signed(claims(a_vaccination(), said={1: "YY"})), dsc, Fault.ISSUER_SCOPE),
        "a key for tests": vector(text_of(sign1(key, good, headers(key, tests_only))), tests_only, Fault.ISSUER_SCOPE),
        "issued before its key": vector(signed(claims(a_vaccination(), said={6: NOW - 31 * DAY_S})), dsc, Fault.ISSUER_SCOPE),
    }
    beyond_signature = {Fault.CLAIMS, Fault.NOT_YET_VALID, Fault.EXPIRED, Fault.ISSUER_SCOPE, None}
    for each in made.values():
        each["EXPECTEDRESULTS"]["EXPECTEDVERIFY"] = each["FAULT"] in beyond_signature
    return made


def main() -> None:
    """Writes every file anew."""
    FOLDER.mkdir(exist_ok=True)
    for name, content in vectors().items():
        (FOLDER / f"{name.replace(' ', '-')}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
