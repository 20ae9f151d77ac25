from __future__ import annotations

import hashlib
import resource
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcode import cbor, cose, status
from healthcode.messages import MAX_CHANGES, Delta, Head, SnapshotRef
from healthcode.signed import SignedFault, pack, unpack
from healthcode.status import CAPACITY, DeltaFault, StatusList, chain, genesis, read_snapshot
from healthcode.status_claim import read_entries
from healthcode.terms import Status, Use
from healthcode.trust import KeyRing
from tests.healthcode.keys import NOW, OTHER_URI, RING, SIGNERS, STRANGER, URI, entry

SIZE = 256
LIST_KEY = SIGNERS[Use.LIST]
changes = st.dictionaries(st.integers(0, SIZE - 1), st.sampled_from(Status), min_size=1, max_size=40)


def held(*steps: dict[int, Status], capacity: int = SIZE) -> StatusList:
    """A list after these deltas."""
    made = StatusList.empty(URI, 1, capacity)
    for number, step in enumerate(steps):
        assert made.apply(made.make_delta(step, NOW + number)) is None
    return made


def everything(made: StatusList) -> tuple[bytes, int, bytes, int]:
    """All that a list holds."""
    return made.packed[:], made.version, made.digest, made.as_of


@given(st.lists(changes, max_size=12))
def test_any_deltas_lead_where_a_plain_dict_leads(steps: list[dict[int, Status]]) -> None:
    model: dict[int, Status] = {}
    ours, theirs = StatusList.empty(URI, 1, SIZE), StatusList.empty(URI, 1, SIZE)
    for number, step in enumerate(steps):
        delta = unpack(pack(ours.make_delta(step, NOW + number)), Delta, 10**6)
        assert ours.apply(delta) is None
        assert theirs.apply(delta) is None
        model.update(step)
    assert [ours.get(index) for index in range(SIZE)] == [model.get(index, Status.GREEN) for index in range(SIZE)]
    assert everything(ours) == everything(theirs)
    assert ours.version == len(steps)
    again = read_snapshot(ours.snapshot(LIST_KEY, NOW), URI, RING, NOW)
    assert isinstance(again, StatusList)
    assert (again.packed[:], again.version, again.digest) == everything(ours)[:3]


@given(st.sets(st.integers(0, CAPACITY - 1), min_size=1, max_size=60) | st.just({0}) | st.just({CAPACITY - 1}), st.data())
def test_gaps_and_values_come_back(indices: set[int], data: st.DataObject) -> None:
    order = sorted(indices)
    assert status.read_gaps(status.write_gaps(order), CAPACITY) == order
    values = bytes(data.draw(st.lists(st.integers(0, 3), min_size=len(order), max_size=len(order))))
    packed = status.write_values(values)
    assert len(packed) == -(-len(values) // 4)
    assert status.read_values(packed, len(values)) == values


@given(st.binary(max_size=30))
def test_gaps_that_are_read_are_the_only_ones_for_their_indices(data: bytes) -> None:
    read = status.read_gaps(data, CAPACITY)
    if read is not None:
        assert status.write_gaps(read) == data


@given(st.binary(max_size=200), st.binary(max_size=60))
def test_no_delta_raises_or_half_applies(gaps: bytes, values: bytes) -> None:
    made = held({3: Status.RED})
    before = everything(made)
    for packed in (gaps, zlib.compress(gaps)):
        delta = Delta(uri=URI, epoch=1, start=1, to=2, as_of=NOW, gaps=packed, values=values, digest=bytes(32))
        assert made.apply(delta) in (DeltaFault.CONTENT, DeltaFault.DIGEST)
    assert everything(made) == before


def faulty() -> list[tuple[str, Delta, DeltaFault]]:
    """Deltas that do not lead on from `held({3: RED}, {9: YELLOW})`, version 2."""
    made = held({3: Status.RED}, {9: Status.YELLOW})
    good = made.make_delta({5: Status.REVOKED, 6: Status.RED}, NOW)

    def but(**changes: Any) -> Delta:
        return msgspec.structs.replace(good, **changes)

    def chained(gaps: bytes, values: bytes) -> Delta:
        return but(gaps=zlib.compress(gaps), values=values, digest=chain(made.digest, 3, gaps, values))

    ahead = held({3: Status.RED}, {9: Status.YELLOW}, {5: Status.RED})
    other_chain = held({4: Status.RED}, {9: Status.YELLOW})
    return [
        ("another list", but(uri=OTHER_URI, epoch=9), DeltaFault.URI),
        ("a later epoch", but(epoch=2, to=1), DeltaFault.EPOCH),
        ("an earlier epoch", but(epoch=0), DeltaFault.EPOCH),
        ("the first again", held().make_delta({3: Status.RED}, NOW), DeltaFault.OLD),
        ("the last again", held({3: Status.RED}).make_delta({9: Status.YELLOW}, NOW), DeltaFault.OLD),
        ("one too far", ahead.make_delta({8: Status.RED}, NOW), DeltaFault.GAP),
        ("two versions at once", but(to=4), DeltaFault.GAP),
        ("from an earlier version", but(start=1), DeltaFault.GAP),
        ("gaps cut short", but(gaps=good.gaps[:-1]), DeltaFault.CONTENT),
        ("gaps with more behind them", but(gaps=good.gaps + b"\0"), DeltaFault.CONTENT),
        ("gaps that are not compressed", but(gaps=b"\x05\x00"), DeltaFault.CONTENT),
        ("no gaps", but(gaps=b""), DeltaFault.CONTENT),
        ("no changes", chained(b"", b""), DeltaFault.CONTENT),
        ("a gap that is not whole", chained(b"\x05\x80", b"\x09"), DeltaFault.CONTENT),
        ("a gap in a longer form", chained(b"\x85\x00\x00", b"\x09"), DeltaFault.CONTENT),
        ("a gap of five bytes", chained(b"\x80\x80\x80\x80\x01\x00", b"\x09"), DeltaFault.CONTENT),
        ("an index outside the list", chained(b"\xff\x01\x00", b"\x09"), DeltaFault.CONTENT),
        ("too few values", but(values=b""), DeltaFault.CONTENT),
        ("too many values", but(values=good.values + b"\0"), DeltaFault.CONTENT),
        ("values filled up with ones", but(values=bytes([good.values[0] | 0xF0])), DeltaFault.CONTENT),
        ("too many changes", chained(bytes(MAX_CHANGES + 1), bytes(MAX_CHANGES // 4 + 1)), DeltaFault.CONTENT),
        ("a bomb", but(gaps=zlib.compress(bytes(50_000_000), 9)), DeltaFault.CONTENT),
        ("other values", but(values=bytes([good.values[0] ^ 1])), DeltaFault.DIGEST),
        ("a digest of its own", but(digest=hashlib.sha256(b"").digest()), DeltaFault.DIGEST),
        ("another chain", other_chain.make_delta({5: Status.REVOKED, 6: Status.RED}, NOW), DeltaFault.DIGEST),
    ]


@pytest.mark.parametrize(("delta", "fault"), [pytest.param(*case[1:], id=case[0]) for case in faulty()])
def test_a_faulty_delta_changes_nothing(delta: Delta, fault: DeltaFault) -> None:
    made = held({3: Status.RED}, {9: Status.YELLOW})
    before = everything(made)
    assert made.apply(delta) is fault
    assert everything(made) == before


def test_every_fault_of_a_delta_has_a_case() -> None:
    assert {fault for _, _, fault in faulty()} == set(DeltaFault)


def test_a_full_delta_at_full_capacity() -> None:
    made = StatusList.empty(URI, 1)
    step = {index * 3355 + index % 7: Status(index % 4) for index in range(MAX_CHANGES)}
    delta = made.make_delta(step, NOW)
    assert made.apply(unpack(pack(delta), Delta, 256 * 1024)) is None
    assert all(made.get(index) is value for index, value in step.items())


@pytest.mark.parametrize("step", [{-1: Status.RED}, {SIZE: Status.RED}])
def test_a_change_outside_the_list(step: dict[int, Status]) -> None:
    with pytest.raises(IndexError, match=str(SIZE - 1)):
        held().make_delta(step, NOW)


@pytest.mark.parametrize("index", [-1, SIZE, CAPACITY])
def test_an_entry_outside_the_list(index: int) -> None:
    with pytest.raises(IndexError, match=str(SIZE - 1)):
        held().get(index)


@pytest.mark.parametrize("count", [0, MAX_CHANGES + 1])
def test_too_few_and_too_many_changes(count: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 20000"):
        StatusList.empty(URI, 1, 2**15).make_delta(dict.fromkeys(range(count), Status.RED), NOW)


@pytest.mark.parametrize("capacity", [0, 3, -4, CAPACITY + 4])
def test_an_impossible_capacity(capacity: int) -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        StatusList.empty(URI, 1, capacity)


def test_two_bits_an_entry_least_significant_first() -> None:
    made = held({0: Status.REVOKED, 1: Status.RED, 3: Status.YELLOW, 4: Status.REVOKED})
    assert made.packed[:2] == bytes([0b11_00_10_01, 0b01])
    assert held().digest == genesis(URI, 1) == hashlib.sha256(b"https://hb.example/s/1\n1").digest()


def test_only_a_head_that_states_what_is_held_moves_as_of() -> None:
    made = held({3: Status.RED})
    ref = SnapshotRef(version=0, size=1, sha256=bytes(32))
    head = Head(uri=URI, epoch=1, version=1, digest=made.digest, oldest=0, snapshot=ref, as_of=NOW + 50)
    for changed in ({"uri": OTHER_URI}, {"epoch": 2}, {"version": 2}, {"digest": bytes(32)}):
        assert not made.adopt(msgspec.structs.replace(head, **changed))
        assert made.as_of == NOW
    assert made.adopt(head)
    assert made.as_of == NOW + 50
    assert made.adopt(msgspec.structs.replace(head, as_of=NOW))
    assert made.as_of == NOW + 50


def snapshot_saying(**changes: Any) -> bytes:
    """A truly signed snapshot of `held({3: RED})` whose claims are changed; None takes one away."""
    made = held({3: Status.RED})
    said: dict[Any, Any] = cbor2.loads(cose.parse(made.snapshot(LIST_KEY, NOW)).payload)
    numbers = {"sub": 2, "iat": 6, "list": 65533, "chain": -65539, "more": 99}
    for name, value in changes.items():
        if value is None:
            del said[numbers[name]]
        else:
            said[numbers[name]] = value
    return cose.sign1(cbor2.dumps(said, canonical=True), status.SNAPSHOT_TYP, LIST_KEY)


def zipped(size: int) -> dict[str, object]:
    """A status list of `size` bytes of zeros."""
    return {"bits": 2, "lst": zlib.compress(bytes(size), 9)}


WHOLE = held({3: Status.RED}).snapshot(LIST_KEY, NOW)
CHAIN = [1, 1, held({3: Status.RED}).digest, SIZE]
SNAPSHOTS: list[tuple[str, bytes, SignedFault]] = [
    ("cut short", WHOLE[:-1], SignedFault.CBOR),
    ("bytes behind it", WHOLE + b"\0", SignedFault.CBOR),
    ("nothing", b"", SignedFault.CBOR),
    ("a number", b"\x01", SignedFault.COSE),
    ("another typ", cose.sign1(cose.parse(WHOLE).payload, "application/cwt", LIST_KEY), SignedFault.TYPE),
    ("a stranger's", held().snapshot(STRANGER, NOW), SignedFault.UNKNOWN_KEY),
    ("a code key's", held().snapshot(SIGNERS[Use.TOKEN], NOW), SignedFault.UNKNOWN_KEY),
    ("changed", WHOLE[:-1] + bytes([WHOLE[-1] ^ 1]), SignedFault.SIGNATURE),
    ("another list", snapshot_saying(sub=OTHER_URI), SignedFault.CONTENT),
    ("no time", snapshot_saying(iat=None), SignedFault.CONTENT),
    ("no chain", snapshot_saying(chain=None), SignedFault.CONTENT),
    ("a short digest", snapshot_saying(chain=[1, 1, b"", SIZE]), SignedFault.CONTENT),
    ("one bit an entry", snapshot_saying(list={"bits": 1, "lst": zlib.compress(bytes(SIZE // 4))}), SignedFault.CONTENT),
    ("a list that is too short", snapshot_saying(list=zipped(SIZE // 4 - 1)), SignedFault.CONTENT),
    ("a list that is too long", snapshot_saying(list=zipped(SIZE // 4 + 1)), SignedFault.CONTENT),
    ("a capacity of zero", snapshot_saying(chain=[*CHAIN[:3], 0], list=zipped(0)), SignedFault.CONTENT),
    ("a capacity beyond the largest", snapshot_saying(chain=[*CHAIN[:3], CAPACITY + 4]), SignedFault.CONTENT),
    ("a list that is no zlib", snapshot_saying(list={"bits": 2, "lst": b"\x78\xda\xff"}), SignedFault.CONTENT),
    ("another epoch", snapshot_saying(chain=[2, *CHAIN[1:]]), SignedFault.SCOPE),
    ("from before the key", snapshot_saying(iat=1), SignedFault.SCOPE),
]


@pytest.mark.parametrize(("data", "fault"), [pytest.param(*case[1:], id=case[0]) for case in SNAPSHOTS])
def test_a_faulty_snapshot(data: bytes, fault: SignedFault) -> None:
    assert read_snapshot(data, URI, RING, NOW) is fault


def test_a_snapshot_of_a_list_that_the_key_may_not_sign() -> None:
    made = StatusList.empty(OTHER_URI, 1, SIZE)
    assert read_snapshot(made.snapshot(LIST_KEY, NOW), OTHER_URI, RING, NOW) is SignedFault.SCOPE


def test_a_snapshot_with_claims_of_a_later_standard() -> None:
    assert isinstance(read_snapshot(snapshot_saying(more="x"), URI, RING, NOW), StatusList)


def test_a_snapshot_that_is_a_bomb_takes_no_more_memory_than_the_list() -> None:
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(1024)) + packer.flush()
    data = snapshot_saying(list={"bits": 2, "lst": bomb})
    assert len(data) > 10**6
    tracemalloc.start()
    try:
        assert read_snapshot(data, URI, RING, NOW) is SignedFault.CONTENT
        assert tracemalloc.get_traced_memory()[1] < 10 * len(data)
    finally:
        tracemalloc.stop()


def resident() -> int:
    """Bytes that this process has in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def test_a_list_that_is_replaced_gives_its_memory_back() -> None:
    size = CAPACITY // 4
    data = StatusList.empty(URI, 1).snapshot(LIST_KEY, NOW, lambda plain: zlib.compress(plain, 1))
    before = resident()
    made = read_snapshot(data, URI, RING, NOW)
    assert resident() - before > 0.9 * size
    for _ in range(4):
        made = read_snapshot(data, URI, RING, NOW)
    assert resident() - before < 1.5 * size
    assert isinstance(made, StatusList)


DRAFT_EXAMPLE = (
    "d2845820a2012610781a6170706c69636174696f6e2f7374617475736c6973742b637774a1044231325850a502782168747470733a2f2f6578616d706c652e"
    "636f6d2f7374617475736c697374732f31061a648c5bea041a8898dfea19fffe19a8c019fffda2646269747301636c73744a78dadbb918000217015d5840"
)
"""The example of a Status List Token in CWT format of draft-ietf-oauth-status-list, as far as its signature, which is zeros here."""


def test_the_example_of_the_standard_has_our_claim_keys() -> None:
    sign1 = cose.parse(bytes.fromhex(DRAFT_EXAMPLE) + bytes(64), strict=False)
    assert sign1.typ == status.SNAPSHOT_TYP
    assert sign1.algorithm == "ES256"
    claims = cbor.load(sign1.payload, deterministic=False)
    assert isinstance(claims, dict)
    assert claims[status.SUB] == "https://example.com/statuslists/1"
    assert claims[status.IAT] == 1686920170
    assert claims[status.TTL] == 43200
    assert claims[status.STATUS_LIST]["bits"] == 1
    entries = read_entries(claims[status.STATUS_LIST])
    assert entries is not None
    assert entries.packed == bytes([0xB9, 0xA3])
    assert read_snapshot(bytes.fromhex(DRAFT_EXAMPLE) + bytes(64), URI, RING, NOW) is SignedFault.UNKNOWN_KEY


def test_our_snapshot_has_the_standards_claims() -> None:
    made = held({0: Status.RED, 5: Status.REVOKED})
    claims = cbor.load(cose.parse(made.snapshot(LIST_KEY, NOW)).payload)
    assert isinstance(claims, dict)
    assert (claims[2], claims[6], claims[65533]["bits"]) == (URI, NOW, 2)
    assert zlib.decompress(claims[65533]["lst"])[:2] == bytes([0b10, 0b01_00])


def test_the_newest_epoch_names_the_list() -> None:
    old, new = entry(LIST_KEY, Use.LIST), entry(STRANGER, Use.LIST, epoch=2)
    for entries in ([old, new], [new, old]):
        assert KeyRing(1, entries).list_entries() == {URI: new}
