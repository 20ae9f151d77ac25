"""Decoding and verifying one signed code: by the `cwt` package, by cbor2 with cryptography, and the bare signature check, in one run.

`cwt` 3.3.0 needs cbor2 below 6 and healthcode needs 6.3, so this file stands alone and runs in a virtual environment of its own:

    python3 -m venv build/cwt && build/cwt/bin/pip install cwt==3.3.0 && build/cwt/bin/python bench/cose_library.py

It prints one JSON object: microseconds for one code, the median of RUNS runs, and what each says to objects that are not well made.
docs/decisions/0050-cose-library.md is the record.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import statistics
import sys
import timeit
from collections.abc import Callable
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

RUNS, REPEAT = 9, 3000
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
NOW = 1_584_345_600
CLAIMS = {
    1: "CN-HB",
    4: NOW + 120,
    5: NOW,
    6: NOW,
    65535: {"status_list": {"idx": 1_234_567, "uri": "https://hb.example/s/1"}},
    -65537: 0,
    -65538: 1,
}
KID = b"\x01\x02\x03\x04\x05\x06\x07\x08"
HEADER = {1: -7, 4: KID, 16: "hc+cwt"}
ECDSA = ec.ECDSA(hashes.SHA256())


def dumps(value: object) -> bytes:
    """`value` as deterministic CBOR."""
    return cbor2.dumps(value, canonical=True)


def structure(protected: bytes, payload: bytes) -> bytes:
    """The Sig_structure of a COSE_Sign1."""
    return dumps(["Signature1", protected, b"", payload])


def der(signature: bytes) -> bytes:
    """A COSE signature as OpenSSL wants it."""
    return encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))


def median_us(call: Callable[[], object]) -> float:
    """The median time of one call in microseconds."""
    return round(statistics.median(timeit.repeat(call, number=REPEAT, repeat=RUNS)) / REPEAT * 1e6, 1)


def answer(call: Callable[[], object]) -> str:
    """What a reader says: accepted, or the name of what it raises."""
    try:
        call()
    except Exception as wrong:  # noqa: BLE001  whatever it raises is the answer
        return f"{type(wrong).__name__}: {str(wrong)[:60]}"
    return "accepted"


def main() -> None:
    """Measures and prints."""
    import cwt  # type: ignore[import-not-found,unused-ignore]

    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    protected, payload = dumps(HEADER), dumps(CLAIMS)
    r, s = decode_dss_signature(key.sign(structure(protected, payload), ECDSA))
    low, high = (r.to_bytes(32, "big") + half.to_bytes(32, "big") for half in sorted((s, ORDER - s)))

    def wrap(signature: bytes, unprotected: dict[int, Any] | None = None) -> bytes:
        return dumps(cbor2.CBORTag(18, [protected, unprotected or {}, payload, signature]))

    data = wrap(low)
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    cwt_key: Any = cwt.COSEKey.from_pem(pem, kid=KID)
    reader = cwt.COSE.new()

    def bare() -> None:
        public.verify(der(low), structure(protected, payload), ECDSA)

    def by_hand() -> object:
        parts = cbor2.loads(data).value
        public.verify(der(parts[3]), structure(parts[0], parts[2]), ECDSA)
        return cbor2.loads(parts[2])

    def by_cwt(given: bytes = data) -> object:
        return cbor2.loads(reader.decode(given, cwt_key))

    us = {"bare_verify": median_us(bare), "cbor2_cryptography": median_us(by_hand), "cwt": median_us(by_cwt)}
    odd = {
        "cut short": data[:-1],
        "a byte after the end": data + b"\0",
        "a number": b"\x01",
        "no tag": data[1:],
        "signature changed": data[:-1] + bytes([data[-1] ^ 1]),
        "signature (r, n - s)": wrap(high),
        "unprotected header": wrap(low, {99: 1}),
    }
    versions = {name: importlib.metadata.version(name) for name in ("cwt", "cbor2", "cryptography")}
    out = {
        "us": us,
        "times_bare": {name: round(value / us["bare_verify"], 2) for name, value in us.items()},
        "cwt_says": {name: answer(lambda given=given: by_cwt(given)) for name, given in odd.items()},  # type: ignore[misc]
        "python": platform.python_version(),
        "machine": platform.machine(),
        **versions,
    }
    sys.stdout.write(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
