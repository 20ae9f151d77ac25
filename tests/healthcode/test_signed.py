from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcode import base45, cose, signed, token
from healthcode.cose import PublicKey, SoftwareKey
from healthcode.messages import (
    AuditHead,
    BadPayload,
    BootMark,
    ClockReset,
    Command,
    Delta,
    Desired,
    Head,
    Message,
    OpenOrder,
    Release,
    SnapshotRef,
    TimeAnswer,
    TrustHead,
    TrustList,
    Watermark,
)
from healthcode.signed import KINDS, Signed, SignedFault
from healthcode.status import StatusList, read_snapshot
from healthcode.terms import Status, Use
from healthcode.token import TokenFault
from healthcode.trust import KeyRing
from tests.healthcode.keys import NOW, OTHER_URI, RING, ROOT, SIGNERS, STRANGER, URI, code, entry

ROOTS = (ROOT.public_key,)
DIGEST = bytes(range(32))
DELTA = StatusList.empty(URI, 1, 1024).make_delta({7: Status.RED, 600: Status.YELLOW}, NOW)
MESSAGES: dict[type[Message], Message] = {
    Head: Head(uri=URI, epoch=1, version=3, digest=DIGEST, oldest=1, snapshot=SnapshotRef(version=2, size=99, sha256=DIGEST), as_of=NOW),
    Delta: DELTA,
    Watermark: Watermark(unit="north", at_ms=NOW * 1000, boots=[BootMark(boot_id="0" * 32, up_to=9, missing=[4])]),
    AuditHead: AuditHead(issuer="CN-HB", entry=7, digest=bytes(32), at_ms=NOW * 1000),
    Release: Release(version="0.2.0", after="0.1.0", size=99, sha256=DIGEST, platforms=["cp311-aarch64"], signed_at=NOW),
    TimeAnswer: TimeAnswer(unit="north", nonce="f" * 32, at_ms=NOW * 1000),
    TrustList: TrustList(version=1, signed_at=NOW, expires_at=NOW + 9, entries=list(RING.entries)),
    TrustHead: TrustHead(version=1, size=99, sha256=DIGEST, signed_at=NOW),
    ClockReset: ClockReset(unit="north", serial=3, floor=NOW),
    Command: Command(unit="north", transaction="7c" * 16, signed_at=NOW, expires_at=NOW + 30, why="a pram", order=OpenOrder()),
    Desired: Desired(unit="north", version=3, at_ms=NOW * 1000, settings="[sound]\nvolume = 0.5\n"),
}
KEY_NAMES: dict[str, SoftwareKey] = {"root": ROOT, "stranger": STRANGER} | {use.value: signer for use, signer in SIGNERS.items()}
RIGHT_KEY = {
    Head: "list",
    Delta: "list",
    Watermark: "ack",
    AuditHead: "ack",
    Release: "release",
    TimeAnswer: "time",
    TrustList: "root",
    TrustHead: "root",
    ClockReset: "root",
    Command: "command",
    Desired: "config",
}
EVERY_KEY_ROOT = tuple(key.public_key for key in KEY_NAMES.values())

CODE = code()
SNAPSHOT = StatusList.empty(URI, 1, 1024).snapshot(SIGNERS[Use.LIST], NOW)
Reader = Callable[[bytes], bool]


def read_message(kind: type[Message]) -> Reader:
    """Whether a reader that expects `kind` accepts some bytes."""
    if KINDS[kind].use is None:
        return lambda data: not isinstance(signed.read_rooted(data, kind, ROOTS), SignedFault)
    return lambda data: isinstance(signed.read(data, kind, RING, NOW), Signed)


READERS: dict[str, Reader] = {kind.__name__: read_message(kind) for kind in MESSAGES} | {
    "snapshot": lambda data: isinstance(read_snapshot(data, URI, RING, NOW), StatusList),
    "code": lambda data: not isinstance(token.read(token.PREFIX + base45.encode(data), RING, NOW), TokenFault),
}
OBJECTS: dict[str, bytes] = {kind.__name__: signed.write(message, KEY_NAMES[RIGHT_KEY[kind]]) for kind, message in MESSAGES.items()} | {
    "snapshot": SNAPSHOT,
    "code": base45.decode(CODE.removeprefix(token.PREFIX)),
}


@pytest.mark.parametrize(("offered", "expected"), list(itertools.product(OBJECTS, READERS)))
def test_each_object_is_accepted_in_its_own_place_alone(offered: str, expected: str) -> None:
    assert READERS[expected](OBJECTS[offered]) is (offered == expected)


@pytest.mark.parametrize(("offered", "expected"), list(itertools.permutations(KINDS, 2)))
def test_the_typ_tells_even_where_every_key_may_sign_everything(offered: type[Message], expected: type[Message]) -> None:
    signer = SIGNERS[Use.LIST]
    keys = KeyRing(1, [entry(signer, use, uris=[URI], epoch=1) for use in Use])
    data = signed.write(MESSAGES[offered], signer)
    use = KINDS[expected].use
    found = signed.read_rooted(data, expected, (signer.public_key,)) if use is None else signed.read(data, expected, keys, NOW)
    assert found in (SignedFault.TYPE, SignedFault.SIZE)


@pytest.mark.parametrize(("kind", "name"), list(itertools.product(MESSAGES, KEY_NAMES)))
def test_only_a_key_of_the_right_use_may_sign(kind: type[Message], name: str) -> None:
    data = signed.write(MESSAGES[kind], KEY_NAMES[name])
    assert read_message(kind)(data) is (name == RIGHT_KEY[kind])


@pytest.mark.parametrize("name", [name for name in KEY_NAMES if name not in ("list", "token")])
def test_keys_of_other_uses_sign_neither_snapshots_nor_codes(name: str) -> None:
    assert read_snapshot(StatusList.empty(URI, 1, 1024).snapshot(KEY_NAMES[name], NOW), URI, RING, NOW) is SignedFault.UNKNOWN_KEY
    assert isinstance(token.read(code(KEY_NAMES[name]), RING, NOW), TokenFault)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read(kind: type[Message]) -> None:
    data = OBJECTS[kind.__name__]
    if KINDS[kind].use is None:
        assert signed.read_rooted(data, kind, ROOTS) == MESSAGES[kind]
        return
    found = signed.read(data, kind, RING, NOW)
    assert isinstance(found, Signed)
    assert found.message == MESSAGES[kind]
    assert found.entry.use is KINDS[kind].use


def forged(kind: type[Message], payload: object, signer: SoftwareKey, **header: Any) -> bytes:
    """An object of this kind with any payload, truly signed; `header` changes alg, kid, typ or the parts of the COSE_Sign1."""
    body = payload if isinstance(payload, bytes) else cbor2.dumps(payload, canonical=True)
    return cose.sign1(body, header.get("typ", KINDS[kind].typ), signer)


def fields(message: Message) -> dict[str, Any]:
    """A message as the map that is signed."""
    found: dict[str, Any] = msgspec.to_builtins(message, builtin_types=(bytes,))
    return found


LIST_KEY = SIGNERS[Use.LIST]
HEAD = fields(MESSAGES[Head])
STAGES: list[tuple[str, bytes, SignedFault]] = [
    ("too long", bytes(1025), SignedFault.SIZE),
    ("nothing", b"", SignedFault.CBOR),
    ("a byte too much", OBJECTS["Head"] + b"\0", SignedFault.CBOR),
    ("no COSE_Sign1", b"\x01", SignedFault.COSE),
    ("another typ", forged(Head, HEAD, LIST_KEY, typ="application/cwt"), SignedFault.TYPE),
    ("a stranger's", forged(Head, HEAD, STRANGER), SignedFault.UNKNOWN_KEY),
    ("changed", OBJECTS["Head"][:-1] + bytes([OBJECTS["Head"][-1] ^ 1]), SignedFault.SIGNATURE),
    ("no map", forged(Head, 1, LIST_KEY), SignedFault.CONTENT),
    ("no CBOR inside", forged(Head, b"\xff", LIST_KEY), SignedFault.CONTENT),
    ("a field too many", forged(Head, HEAD | {"more": 1}, LIST_KEY), SignedFault.CONTENT),
    ("a field missing", forged(Head, {k: v for k, v in HEAD.items() if k != "oldest"}, LIST_KEY), SignedFault.CONTENT),
    ("a digest in base64", forged(Head, HEAD | {"digest": "A" * 43 + "="}, LIST_KEY), SignedFault.CONTENT),
    ("a short digest", forged(Head, HEAD | {"digest": DIGEST[:31]}, LIST_KEY), SignedFault.CONTENT),
    ("a version below zero", forged(Head, HEAD | {"version": -1}, LIST_KEY), SignedFault.CONTENT),
    ("a version that is a fraction", forged(Head, HEAD | {"version": 1.5}, LIST_KEY), SignedFault.CONTENT),
    ("not in order", forged(Head, cbor2.dumps(dict(reversed(HEAD.items()))), LIST_KEY), SignedFault.CONTENT),
    ("another list", forged(Head, HEAD | {"uri": OTHER_URI}, LIST_KEY), SignedFault.SCOPE),
    ("another epoch", forged(Head, HEAD | {"epoch": 2}, LIST_KEY), SignedFault.SCOPE),
    ("from before the key", forged(Head, HEAD | {"as_of": 1}, LIST_KEY), SignedFault.SCOPE),
    ("from after the key", forged(Head, HEAD | {"as_of": NOW * 2}, LIST_KEY), SignedFault.SCOPE),
]


@pytest.mark.parametrize(("data", "fault"), [pytest.param(*case[1:], id=case[0]) for case in STAGES])
def test_each_stage_refuses(data: bytes, fault: SignedFault) -> None:
    assert signed.read(data, Head, RING, NOW) is fault


def test_the_algorithm_is_that_of_the_key() -> None:
    class Mislabelled(SoftwareKey):
        @property
        def algorithm(self) -> cose.Algorithm:
            return "Ed25519"

    signer = Mislabelled(SIGNERS[Use.LIST]._handle)
    assert signed.read(cose.sign1(signed.pack(MESSAGES[Head]), KINDS[Head].typ, signer), Head, RING, NOW) is SignedFault.ALGORITHM


def test_a_key_that_no_longer_counts() -> None:
    later = RING.entries[0].verify_until
    assert isinstance(signed.read(OBJECTS["Head"], Head, RING, later), Signed)
    assert signed.read(OBJECTS["Head"], Head, RING, later + 1) is SignedFault.SCOPE


def test_a_trust_list_whose_key_is_no_point_of_the_curve() -> None:
    first, *others = RING.entries
    broken = TrustList(version=1, signed_at=NOW, expires_at=NOW, entries=[msgspec.structs.replace(first, key=b"\x04" * 65), *others])
    assert signed.read_rooted(signed.write(broken, ROOT), TrustList, ROOTS) is SignedFault.CONTENT


def test_a_key_of_the_other_algorithms_length() -> None:
    compressed = b"\x02" + SIGNERS[Use.LIST].public[1:33]
    for algorithm, raw in (("ES256", bytes(32)), ("Ed25519", bytes(65)), ("ES256", compressed)):
        with pytest.raises(ValueError, match=r"bytes|point"):
            PublicKey.from_raw("ES256" if algorithm == "ES256" else "Ed25519", raw)


def test_what_no_reader_would_take_is_not_written() -> None:
    with pytest.raises(ValueError, match="uri"):
        signed.write(msgspec.structs.replace(DELTA, uri="u" * 121), LIST_KEY)
    with pytest.raises(ValueError, match="1024"):
        signed.write(TimeAnswer(unit="n" * 2000, nonce="f" * 32, at_ms=1), LIST_KEY)


def test_a_reader_is_told_which_kind_it_expects() -> None:
    with pytest.raises(TypeError, match="read_rooted"):
        signed.read(OBJECTS["TrustList"], TrustList, RING, NOW)
    with pytest.raises(TypeError, match="root key"):
        signed.read_rooted(OBJECTS["Head"], Head, ROOTS)


@pytest.mark.parametrize("name", ["Head", "TimeAnswer"])
def test_no_single_bit_may_change(name: str) -> None:
    data = OBJECTS[name]
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        assert not READERS[name](bytes(changed)), bit


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    for accepts in READERS.values():
        assert not accepts(data)
    with pytest.raises(BadPayload):
        signed.unpack(data, Head, 1024)


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519"])
def test_keys_come_back_from_their_files(algorithm: cose.Algorithm) -> None:
    key = SoftwareKey.generate(algorithm)
    again = SoftwareKey.from_pem(key.to_pem())
    assert (again.kid, again.public, again.algorithm) == (key.kid, key.public, algorithm)
    assert PublicKey.from_pem(key.public_key.to_pem()).raw == key.public
    assert key.public_key.verify(again.sign(b"x"), b"x")


@pytest.mark.parametrize("pem", [b"", b"nothing", ROOT.public_key.to_pem(), ROOT.to_pem()[:-40]])
def test_what_is_no_private_key(pem: bytes) -> None:
    with pytest.raises(ValueError, match="private key"):
        SoftwareKey.from_pem(pem)


@pytest.mark.parametrize("pem", [b"", b"nothing", ROOT.to_pem()])
def test_what_is_no_public_key(pem: bytes) -> None:
    with pytest.raises(ValueError, match="public key"):
        PublicKey.from_pem(pem)
