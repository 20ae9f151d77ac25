"""`healthgate code conform`: a folder of the EU's public test data for digital COVID certificates, stage by stage at each file's own clock.

A file holds the QR text (PREFIX), the signer's certificate and the clock (TESTCTX), and what each stage must say (EXPECTEDRESULTS). It goes
through the very functions that a gate uses, with a trust list of that one certificate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from healthcode import dcc
from healthcode.cose import Sign1
from healthcode.terms import CertificateKind
from healthcode.token import TokenFault
from healthcode.trust import FOREVER, KeyRing
from healthgate import certificates
from healthgate.certificates import Signer

COMPARED = ("EXPECTEDUNPREFIX", "EXPECTEDB45DECODE", "EXPECTEDCOMPRESSION", "EXPECTEDVERIFY", "EXPECTEDEXPIRATIONCHECK")
"""The stages that are judged. The others of the test data are about encoding, the picture, and the JSON form, which no gate has."""
MAX_FILE = 1024 * 1024


class NotAVector(ValueError):
    """A file that is no test vector; the text says why."""


@dataclass(frozen=True)
class Outcome:
    """What a file's stages gave and should have given, by the names of the test data. None: the file gives no clock to judge by."""

    file: str
    got: dict[str, bool | None]
    expected: dict[str, bool]

    @property
    def different(self) -> list[str]:
        """The compared stages in which the two differ."""
        return [name for name in COMPARED if name in self.expected and self.got[name] is not self.expected[name]]


def run(folder: Path) -> Iterator[Outcome | NotAVector]:
    """The outcome of each file below `folder`, in the order of their names; of what is no vector why."""
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder).as_posix()
        try:
            yield judge(name, _load(path))
        except NotAVector as wrong:
            yield NotAVector(f"{name}: {wrong}")


def judge(file: str, vector: dict[str, object]) -> Outcome:
    """What the stages say about one vector; NotAVector where it is none."""
    match vector:
        case {"PREFIX": str(text), "TESTCTX": dict(context), "EXPECTEDRESULTS": dict(expected)}:
            pass
        case _:
            raise NotAVector("expected PREFIX, TESTCTX and EXPECTEDRESULTS")
    got: dict[str, bool | None] = dict.fromkeys(COMPARED, False)
    wanted = {str(name): value for name, value in expected.items() if isinstance(value, bool)}
    plain = dcc.unprefix(text)
    got["EXPECTEDUNPREFIX"] = not isinstance(plain, TokenFault)
    packed = plain if isinstance(plain, TokenFault) else dcc.decode(plain)
    got["EXPECTEDB45DECODE"] = not isinstance(packed, TokenFault)
    data = packed if isinstance(packed, TokenFault) else dcc.inflate(packed)
    got["EXPECTEDCOMPRESSION"] = not isinstance(data, TokenFault)
    sign1 = data if isinstance(data, TokenFault) else dcc.parse(data)
    if isinstance(sign1, TokenFault):
        return Outcome(file, got, wanted)
    got["EXPECTEDVERIFY"] = not isinstance(dcc.verify(sign1, _ring(context.get("CERTIFICATE"))), TokenFault)
    got["EXPECTEDEXPIRATIONCHECK"] = _in_time(sign1, context.get("VALIDATIONCLOCK"))
    return Outcome(file, got, wanted)


def _ring(certificate: object) -> KeyRing:
    """A trust list of the one certificate, good for all times: the test data judge dates by the claims alone. Empty without one."""
    if not isinstance(certificate, str):
        return KeyRing(0, ())
    try:
        plain = certificate.encode()
        der = certificates.from_file(plain)[0] if "BEGIN CERTIFICATE" in certificate else certificates.from_base64(plain)
        key = certificates.read_key(der)
    except ValueError:
        return KeyRing(0, ())
    signer = Signer(certificates.kid_of(der), key, "", 0, FOREVER, None)
    return KeyRing(1, [certificates.trust_entry(signer, "EU", tuple(CertificateKind))])


def _in_time(sign1: Sign1, clock: object) -> bool | None:
    claims = dcc.load_payload(sign1.payload)
    times = None if isinstance(claims, TokenFault) else dcc.read_times(claims)
    if times is None:
        return False
    if not isinstance(clock, str):
        return None
    try:
        at = datetime.fromisoformat(clock)
    except ValueError:
        return None
    return dcc.check_time(*times, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) is None


def _load(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_size > MAX_FILE:
            raise NotAVector(f"{path.stat().st_size} bytes: expected at most {MAX_FILE}")
        found = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as wrong:
        raise NotAVector(f"cannot be read: {wrong.strerror}") from None
    except (ValueError, RecursionError) as wrong:
        raise NotAVector(f"no JSON: {str(wrong)[:120]}") from None
    if not isinstance(found, dict):
        raise NotAVector("expected a JSON object")
    return found
