"""From a code's text to the verdict on it, against the bare signature check of the same code, for ES256 and Ed25519.

All of a unit's work between the reader and the relay that is no device: base45, CBOR, COSE, key ring, signature, claims, scope, the look-up
in a list of full length, and `decide`. The bare check is `cryptography`'s verify of the same signature, ready in the form it takes.
Both take turns in one run, and the best turn of each counts: what disturbs a turn only makes it longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import TypeVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from edge.config import Statements
from edge.verdict import Health, Lane, decide, standing
from healthcode import cose, token
from healthcode.cose import Algorithm, SoftwareKey
from healthcode.status import CAPACITY, StatusList
from healthcode.terms import ClockState, Colour, Decision, Form, LaneMode, Screening, Use
from healthcode.token import Claims, HealthCode
from healthcode.trust import KeyRing, entry_for

NOW = 1_584_345_600
"""16 March 2020, 08:00 UTC."""
DAY_S = 86_400
URI = "https://hb.example/s/1"
CODES = 200
"""Different codes, so that nothing is read twice in a row."""
TURN_S = 0.02
"""Seconds of a turn."""

_LANE, _HEALTH, _STATEMENTS = Lane(LaneMode.CONTROLLED), Health(ClockState.TRUSTED), Statements()

Progress = Callable[[str, int, int], None]
"""Told what is measured, which turn this is, and of how many."""
T = TypeVar("T")


def measure(turns: int, step: Progress) -> dict[str, dict[str, float]]:
    """By algorithm: checks a second, bare verifications a second, and their ratio."""
    return {algorithm: _measure(algorithm, turns, step) for algorithm in ("ES256", "Ed25519")}


def _measure(algorithm: Algorithm, turns: int, step: Progress) -> dict[str, float]:
    key = SoftwareKey.generate(algorithm)
    year = 365 * DAY_S
    entry = entry_for(
        key,
        issuer="CN-HB",
        use=Use.TOKEN,
        sign_from=NOW - year,
        sign_until=NOW + year,
        verify_until=NOW + year,
        uris=[URI],
        forms=[Form.LIVE],
        max_lifetime_s=DAY_S,
    )
    keys = KeyRing(1, [entry])
    lists = {URI: StatusList.empty(URI, 1, as_of=NOW)}
    texts = [
        token.write(Claims("CN-HB", URI, index * 7919 % CAPACITY, Colour.GREEN, Form.LIVE, NOW - 60, NOW, NOW + 120), key)
        for index in range(CODES)
    ]
    codes, bare = cycle(texts), cycle([_bare(key, text) for text in texts])
    checks = verifies = 0.0
    for turn in range(turns):
        step(algorithm, turn, turns)
        checks = max(checks, _rate(codes, lambda text: check(text, keys, lists)))
        verifies = max(verifies, _rate(bare, lambda verify: verify()))
    return {"checks_per_s": round(checks), "bare_verifies_per_s": round(verifies), "ratio": round(checks / verifies, 3)}


def check(text: str, keys: KeyRing, lists: dict[str, StatusList]) -> None:
    """A code's way to its verdict; AssertionError where it is not let in, for then something else was measured."""
    code = token.read(text, keys, NOW + 1)
    assert isinstance(code, HealthCode)
    verdict = decide(
        standing(code, lists),
        Screening.NORMAL,
        _LANE,
        None,
        _HEALTH,
        at=NOW + 1,
        statements=_STATEMENTS,
        replay_s=300,
    )
    assert verdict.decision is Decision.ADMIT


def _bare(key: SoftwareKey, text: str) -> Callable[[], None]:
    sign1 = token.unwrap(text)
    assert isinstance(sign1, cose.Sign1)
    data, handle = cose.signed_bytes(sign1.protected, sign1.payload), key.public_key.handle
    if isinstance(handle, ed25519.Ed25519PublicKey):
        return lambda: handle.verify(sign1.signature, data)
    assert isinstance(handle, ec.EllipticCurvePublicKey)
    signature = encode_dss_signature(int.from_bytes(sign1.signature[:32], "big"), int.from_bytes(sign1.signature[32:], "big"))
    method = ec.ECDSA(hashes.SHA256())
    return lambda: handle.verify(signature, data, method)


def _rate(items: Iterator[T], call: Callable[[T], None]) -> float:
    """Calls a second in one turn."""
    count, begun = 0, time.perf_counter()
    while (taken := time.perf_counter() - begun) < TURN_S:
        for _ in range(10):
            call(next(items))
        count += 10
    return count / taken
