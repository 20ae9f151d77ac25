"""Reads every golden file. A change here that these files do not survive is a change of the wire."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from healthcode import base45, cbor, cose, messages, signed, token
from healthcode.cose import PublicKey
from healthcode.messages import Delta, TrustList
from healthcode.roots import Roots
from healthcode.signed import KINDS, Signed, SignedFault
from healthcode.status import DeltaFault, StatusList, read_snapshot
from healthcode.terms import Colour, Fault, Form, Status
from healthcode.token import HealthCode, TokenFault
from healthcode.trust import KeyRing
from tests.vectors.make import in_hex

HERE = Path(__file__).parent
ROOTS = (PublicKey.from_pem((HERE / "root.pub.pem").read_bytes()),)
CODES: list[dict[str, Any]] = json.loads((HERE / "codes.json").read_text())
SIGNED: list[dict[str, Any]] = json.loads((HERE / "signed.json").read_text())
CHAIN: dict[str, Any] = json.loads((HERE / "roots.json").read_text())
LIST: dict[str, Any] = json.loads((HERE / "list.json").read_text())


def key_ring(name: str) -> KeyRing:
    """The key ring of a golden trust list."""
    trust_list = signed.read_rooted((HERE / name).read_bytes(), TrustList, ROOTS)
    assert isinstance(trust_list, TrustList)
    return KeyRing.of(trust_list)


@pytest.mark.parametrize("vector", CODES, ids=[vector["name"] for vector in CODES])
def test_code(vector: dict[str, Any]) -> None:
    stages = {Fault(stage): passes for stage, passes in vector["stages"].items()}
    text = vector["text"]
    assert (len(text) <= token.MAX_TEXT) is stages[Fault.TOO_LONG]
    if stages[Fault.TOO_LONG]:
        assert text.startswith(token.PREFIX) is stages[Fault.PREFIX]
    if stages[Fault.BASE45]:
        assert base45.decode(text[4:]).hex() == vector["bytes"]
    if stages[Fault.COSE]:
        sign1 = cose.parse(bytes.fromhex(vector["bytes"]))
        assert (sign1.kid.hex(), sign1.header[1], sign1.typ) == (vector["kid"], vector["alg"], vector["typ"])
        assert sign1.payload.hex() == vector["payload"]
    if stages[Fault.CLAIMS]:
        claims = token.read_claims(bytes.fromhex(vector["payload"]))
        assert not isinstance(claims, TokenFault)
        assert msgspec.structs.asdict(claims) == vector["claims"]
    found = token.read(text, key_ring(vector["trust"]), vector["at"])
    if isinstance(found, TokenFault):
        assert found.fault == vector["fault"]
        assert not stages[found.fault]
        assert found.detail
        return
    assert vector["fault"] is None
    assert all(stages.values())
    assert msgspec.structs.asdict(found) == vector["claims"] | {"kid": bytes.fromhex(vector["kid"])}


def test_there_is_a_code_for_every_fault_form_colour_and_algorithm() -> None:
    assert {vector["fault"] for vector in CODES} == {*Fault, None} - {Fault.COMPRESSION}, "our own codes are not compressed"
    good = [(v["claims"]["form"], v["claims"]["colour"], v["alg"]) for v in CODES if v["fault"] is None]
    assert set(good) >= {(form, colour, alg) for form in Form for colour in Colour for alg in (-7, -8)}


@pytest.mark.parametrize("vector", SIGNED, ids=[vector["name"] for vector in SIGNED])
def test_signed_object(vector: dict[str, Any]) -> None:
    kind = getattr(messages, vector["kind"])
    data = bytes.fromhex(vector["data"])
    if KINDS[kind].use is None:
        found = signed.read_rooted(data, kind, ROOTS)
    else:
        read = signed.read(data, kind, key_ring(vector["trust"]), vector["at"])
        found = read.message if isinstance(read, Signed) else read
    if isinstance(found, SignedFault):
        assert found == vector["fault"]
        return
    assert vector["fault"] is None
    assert in_hex(cbor.load(signed.pack(found))) == vector["says"]


def test_there_is_a_signed_object_for_every_kind_and_fault() -> None:
    assert {vector["fault"] for vector in SIGNED} == {*SignedFault, None}
    assert {vector["kind"] for vector in SIGNED if vector["fault"] is None} == {kind.__name__ for kind in KINDS}


def read_delta(data: str) -> Delta:
    """A golden delta, its signature checked."""
    read = signed.read(bytes.fromhex(data), Delta, key_ring(LIST["trust"]), LIST["at"])
    assert isinstance(read, Signed)
    return read.message


def test_the_status_list_step_by_step() -> None:
    held = StatusList.empty(LIST["uri"], LIST["epoch"], LIST["capacity"])
    for step in LIST["steps"]:
        assert held.apply(read_delta(step["delta"])) is None
        assert (held.version, held.digest.hex(), held.as_of) == (step["version"], step["digest"], step["as_of"])
    for fault, data in LIST["refused"].items():
        assert held.apply(read_delta(data)) is DeltaFault(fault)
    entries = {index: Status[name] for index, name in LIST["entries"].items()}
    assert all(held.get(index) is entries.get(str(index), Status.GREEN) for index in range(LIST["capacity"]))

    keys = key_ring(LIST["trust"])
    snapshot = read_snapshot(bytes.fromhex(LIST["snapshot"]), LIST["uri"], keys, LIST["at"])
    assert isinstance(snapshot, StatusList)
    assert snapshot.packed[:] == held.packed[:]
    assert (snapshot.version, snapshot.digest, snapshot.epoch, snapshot.as_of) == (held.version, held.digest, held.epoch, LIST["at"] + 10)
    strangers = bytes.fromhex(LIST["snapshot_by_a_stranger"])
    assert read_snapshot(strangers, LIST["uri"], keys, LIST["at"]) is SignedFault.UNKNOWN_KEY


def test_a_golden_code_is_a_health_code() -> None:
    assert isinstance(token.read(CODES[0]["text"], key_ring("trust.cbor"), CODES[0]["at"]), HealthCode)


def test_roots_follow_one_another() -> None:
    held = Roots(ROOTS)
    for step in CHAIN["steps"]:
        taken = held.take(bytes.fromhex(step["data"]))
        assert isinstance(taken, Roots)
        held = taken
        assert {version: [key.kid.hex() for key in held.signing(int(version))] for version in step["signing"]} == step["signing"]
    for refused in CHAIN["refused"].values():
        taken = held.take(bytes.fromhex(refused["data"]))
        assert not isinstance(taken, Roots)
        assert taken.value == refused["fault"]
