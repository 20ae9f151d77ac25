"""What is fuzzed: for each parser that strangers or the network reach, a function of bytes that raises where something is wrong.

Nothing but what the parser promises may come out, and nothing may be believed that is not among the golden files: a fuzzer cannot sign.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cbor2

from edge import scan_child
from edge.nursery import Answer
from healthcode import base45, cbor, cose, dcc, messages, signed, status, status_claim, token, topics
from healthcode.cose import PublicKey
from healthcode.messages import MAX_BATCH, MAX_SIGNED, BadPayload, Delta, Message, SyncAnswer, TrustList
from healthcode.roots import Roots
from healthcode.signed import KINDS, Signed, SignedFault
from healthcode.status import StatusList
from healthcode.terms import Use
from healthcode.token import TokenFault
from healthcode.trust import KeyRing

VECTORS = Path(__file__).parents[1] / "vectors"
CODES: list[dict[str, Any]] = json.loads((VECTORS / "codes.json").read_text())
SIGNED: list[dict[str, Any]] = json.loads((VECTORS / "signed.json").read_text())
LIST: dict[str, Any] = json.loads((VECTORS / "list.json").read_text())
ENTRIES: list[dict[str, Any]] = json.loads((VECTORS / "token_status_list.json").read_text())["vectors"]
CERTIFICATES: list[dict[str, Any]] = [json.loads(path.read_text()) for path in sorted((VECTORS / "dcc").glob("*.json"))]
ROOTS = (PublicKey.from_pem((VECTORS / "root.pub.pem").read_bytes()),)
AT = CODES[0]["at"]
JSON_KINDS = (messages.EventBatch, messages.Info, messages.UnitStatus, messages.Alert, messages.Request, messages.Response)


def _ring() -> KeyRing:
    trust = signed.read_rooted((VECTORS / "trust.cbor").read_bytes(), TrustList, ROOTS)
    assert isinstance(trust, TrustList)
    return KeyRing.of(trust)


RING = _ring()
GOOD_CODES = frozenset(vector["text"] for vector in CODES)
GOOD_SIGNED = frozenset(bytes.fromhex(vector["data"]) for vector in SIGNED)

CHAIN: dict[str, Any] = json.loads((VECTORS / "roots.json").read_text())
GOOD_ROTATIONS = frozenset(bytes.fromhex(each["data"]) for each in (*CHAIN["steps"], *CHAIN["refused"].values()))
"""What the roots of the golden files signed; the refused among them are refused for what was said before."""


@dataclass(frozen=True)
class Target:
    """One parser: `run` raises on any finding; `seeds` are what it starts from."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def code_text(data: bytes) -> None:
    """The text of a code, as a reader hands it on."""
    text = data.decode("latin-1")
    found = token.read(text, RING, AT)
    assert isinstance(found, TokenFault) or text in GOOD_CODES
    assert not isinstance(found, TokenFault) or "\n" not in found.detail


def code_bytes(data: bytes) -> None:
    """What a code's text holds."""
    text = token.PREFIX + base45.encode(data)
    assert base45.decode(text[len(token.PREFIX) :]) == data
    assert isinstance(token.read(text, RING, AT), TokenFault) or text in GOOD_CODES


def code_claims(data: bytes) -> None:
    """The payload of a code whose signature is good: an issuer may be hostile, too."""
    claims, plain = token.read_any_claims(data), token.read_plain_claims(data)
    assert plain is None or plain == claims
    if not isinstance(claims, TokenFault):
        token.check_time(claims, AT)
        assert cbor2.dumps(cbor2.loads(data), canonical=True) == data


def cose_object(data: bytes) -> None:
    """COSE in our profile, read in two ways, and in anybody's."""
    ours: cose.Sign1 | None = None
    plain = cose.parse_plain(data)
    assert plain is None or plain == cose.parse_any(data, strict=True)
    for strict in (True, False):
        try:
            found = cose.parse(data, strict=strict)
        except (cbor.NotCbor, cose.NotSign1):
            continue
        ours = found if strict else ours
        assert found.typ is not None
        assert found.kid is not None
    if ours is not None:
        again = cbor2.loads(data)
        assert list(again.value) == [ours.protected, {}, ours.payload, ours.signature]
        assert cbor2.dumps(again, canonical=True) == data
        assert isinstance(signed.verify(ours, RING.find(ours.kid, Use.TOKEN)), SignedFault | tuple)


def certificate_text(data: bytes) -> None:
    """The text of a foreign certificate: none of them is by a key of this ring."""
    assert isinstance(dcc.read(data.decode("latin-1"), RING, AT), TokenFault)


def certificate_bytes(data: bytes) -> None:
    """What its text holds, compressed or not."""
    inflated = dcc.inflate(data)
    if not isinstance(inflated, TokenFault):
        dcc.parse(inflated)
    dcc.parse(data)


def certificate_claims(data: bytes) -> None:
    """The payload of a certificate whose signature is good."""
    claims = dcc.read_claims(data)
    if not isinstance(claims, TokenFault):
        dcc.read_content(claims, (), AT)


def signed_object(data: bytes) -> None:
    """Lists, heads, watermarks, time answers: whatever the network says is signed."""
    for kind, what in KINDS.items():
        found: object
        if what.use is None:
            found = signed.read_rooted(data, kind, ROOTS)
        else:
            read = signed.read(data, kind, RING, AT)
            found = read.message if isinstance(read, Signed) else read
        assert isinstance(found, SignedFault) or data in GOOD_SIGNED


def root_rotation(data: bytes) -> None:
    """A root that is said to follow another."""
    assert not isinstance(Roots(ROOTS).take(data), Roots) or data in GOOD_ROTATIONS


def root_chain(data: bytes) -> None:
    """The chain of them that the network hands on: some root counts whatever is in it."""
    try:
        chain = signed.unpack(data, messages.RootChain, messages.MAX_CHAIN)
    except BadPayload:
        return
    roots, _ = Roots(ROOTS).offer(chain.rotations)
    assert {link.raw for link in roots.links} <= GOOD_ROTATIONS
    assert all(roots.signing(version) for version in (0, 9, 10, 14, 15, 19, 20, 2**53))


def signed_payload(data: bytes) -> None:
    """What such an object holds."""
    for kind in (*KINDS, cast("type[Message]", SyncAnswer)):
        try:
            found = signed.unpack(data, kind, MAX_SIGNED)
        except BadPayload:
            continue
        assert signed.unpack(signed.pack(found), kind, MAX_SIGNED) == found


def snapshot(data: bytes) -> None:
    """A whole status list."""
    found = status.read_snapshot(data, LIST["uri"], RING, AT)
    assert isinstance(found, SignedFault) or data.hex() == LIST["snapshot"]


def list_claims(data: bytes) -> None:
    """The claims of a list whose signature is good."""
    held = status._read_list(data, LIST["uri"])
    assert held is None or isinstance(held, StatusList)
    try:
        entries = status_claim.read_entries(cbor.load(data, deterministic=False), 2**20)
    except cbor.NotCbor:
        return
    if entries is not None:
        entries.get(len(entries) - 1)


def delta(data: bytes) -> None:
    """A delta's changes: the gaps, and as many bytes of values as the first byte says."""
    held = StatusList.empty(LIST["uri"], 1, 1024)
    before = held.packed[:]
    cut = data[0] if data else 0
    change = Delta(uri=held.uri, epoch=1, start=0, to=1, as_of=AT, gaps=data[1 + cut :], values=data[1 : 1 + cut], digest=bytes(32))
    assert held.apply(change) is not None
    assert held.packed[:] == before


def json_message(data: bytes) -> None:
    """What units send, at the server; what operators send, at a unit."""
    for kind in JSON_KINDS:
        try:
            found = messages.decode(data, kind, MAX_BATCH)
        except BadPayload:
            continue
        assert messages.decode(messages.encode(found), kind, 2 * MAX_BATCH) == found
    try:
        messages.decode_sync_request(data)
    except BadPayload:
        return


def topic(data: bytes) -> None:
    """A topic's name."""
    topics.parse(data.decode("utf-8", "replace"))


def reader_answer(data: bytes) -> None:
    """What the reader's process says, which may have been taken over."""
    try:
        answer = scan_child._understood(data, Answer)
    except scan_child._Ended:
        return
    assert all(len(text) <= 1100 for text in answer.texts)


def _texts(texts: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(text.encode("latin-1", "replace") for text in texts)


def _payload_of(data: bytes) -> bytes:
    """What a golden object holds; the object itself where it is none."""
    try:
        return cose.parse(data, strict=False).payload
    except (cbor.NotCbor, cose.NotSign1):
        return data


def _packed() -> tuple[bytes, ...]:
    found = []
    for vector in CERTIFICATES:
        try:
            found.append(base45.decode(str(vector.get("PREFIX", ""))[4:]))
        except ValueError:
            continue
    return tuple(found)


_PAYLOADS = tuple(bytes.fromhex(vector["payload"]) for vector in CODES if vector.get("payload"))
_RAW = tuple(bytes.fromhex(vector["bytes"]) for vector in CODES if vector.get("bytes"))
_CLAIM = tuple(cbor2.dumps({"bits": vector["bits"], "lst": b"x"}) for vector in ENTRIES)
_GOLDEN = tuple(GOOD_SIGNED)
_EVENTS = (
    b'{"unit":"north","boot_id":"0123456789abcdef0123456789abcdef","events":[]}',
    b'{"transaction":"a1"}',
    b'{"kind":"range","uri":"https://hb.example/s/1","epoch":1,"from_version":0,"to_version":3}',
)


def _chain() -> tuple[bytes, ...]:
    return (signed.pack(messages.RootChain(rotations=[bytes.fromhex(each["data"]) for each in CHAIN["steps"]])),)


TARGETS: dict[str, Target] = {
    "code_text": Target(code_text, _texts(GOOD_CODES)),
    "code_bytes": Target(code_bytes, _RAW),
    "code_claims": Target(code_claims, _PAYLOADS),
    "cose_object": Target(cose_object, (*_RAW, *_GOLDEN)),
    "certificate_text": Target(certificate_text, _texts(str(vector.get("PREFIX", "")) for vector in CERTIFICATES)),
    "certificate_bytes": Target(certificate_bytes, _packed()),
    "certificate_claims": Target(certificate_claims, _PAYLOADS),
    "signed_object": Target(signed_object, _GOLDEN),
    "root_rotation": Target(root_rotation, tuple(sorted(GOOD_ROTATIONS))),
    "root_chain": Target(
        root_chain, (signed.pack(messages.RootChain(rotations=[bytes.fromhex(each["data"]) for each in CHAIN["steps"]])),)
    ),
    "signed_payload": Target(signed_payload, tuple(map(_payload_of, _GOLDEN))),
    "snapshot": Target(snapshot, (bytes.fromhex(LIST["snapshot"]), bytes.fromhex(LIST["snapshot_by_a_stranger"]))),
    "list_claims": Target(list_claims, (_payload_of(bytes.fromhex(LIST["snapshot"])), *_CLAIM)),
    "delta": Target(delta, (b"\x01\x02x\x9c\x03\x00\x00\x00\x00\x01",)),
    "json_message": Target(json_message, _EVENTS),
    "topic": Target(topic, (topics.up("north", "events").encode(), topics.list_topic("CN-HB", "u", "head").encode())),
    "reader_answer": Target(reader_answer, (b'{"texts":["HB1:A"],"reader":"grid"}',)),
}
"""By name; `python -m tests.fuzz.run NAME` runs one."""
