"""Roots that follow one another: never without one, in whatever order the rotations come, and nothing believed that both did not sign."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from healthcode import cose, signed
from healthcode.cose import SoftwareKey
from healthcode.messages import ClockReset, RootRotation, TrustHead, TrustList
from healthcode.roots import ACCEPTED, ROTATION, Roots, RotationFault, describe_root, write_rotation
from healthcode.signed import SignedFault


def key(name: str) -> SoftwareKey:
    return SoftwareKey(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))


A, B, C, D, EVE = (key(name) for name in "ABCDE")
KEYS = (A, B, C, D, EVE)
ENROLLED = Roots((A.public_key,))
AB, BC, CD = write_rotation(A, B, 10, 10), write_rotation(B, C, 20, 20), write_rotation(C, D, 30, 30)


def follow(*rotations: bytes, roots: Roots = ENROLLED) -> Roots:
    return roots.offer(rotations)[0]


def names(roots: Roots, version: int) -> str:
    return "".join(sorted("ABCDE"[[each.public_key for each in KEYS].index(found)] for found in roots.signing(version)))


def trust(version: int, by: SoftwareKey) -> bytes:
    return signed.write(TrustList(version=version, signed_at=0, expires_at=1, entries=[]), by)


def test_a_unit_that_was_off_line_for_the_whole_of_it_comes_back_in_step() -> None:
    roots = follow(AB, BC, CD)
    assert [names(roots, version) for version in (0, 9, 10, 19, 20, 29, 30, 1000)] == ["A", "A", "B", "B", "C", "C", "D", "D"]
    assert isinstance(roots.read(trust(31, D), TrustList, 3), TrustList)


def test_the_old_root_can_neither_go_on_nor_roll_back() -> None:
    roots = follow(AB)
    assert isinstance(roots.read(trust(9, A), TrustList, 9), TrustList), "the list on the disk still counts at the next start"
    assert roots.read(trust(10, A), TrustList, 9) is SignedFault.SCOPE
    assert roots.read(trust(2**53, A), TrustList, 9) is SignedFault.SCOPE
    assert roots.read(trust(9, B), TrustList, 9) is SignedFault.SCOPE
    head = TrustHead(version=11, size=1, sha256=bytes(32), signed_at=0)
    assert roots.read(signed.write(head, A), TrustHead, 9) is SignedFault.SCOPE
    assert roots.read(signed.write(head, B), TrustHead, 9) == head


@pytest.mark.parametrize(("held", "by_a", "by_b"), [(9, True, False), (10, False, True)])
def test_a_clock_is_reset_by_the_root_of_the_trust_list_held(held: int, by_a: bool, by_b: bool) -> None:
    roots, reset = follow(AB), ClockReset(unit="north", serial=1, floor=0)
    for signer, counts in ((A, by_a), (B, by_b)):
        assert isinstance(roots.read(signed.write(reset, signer), ClockReset, held), ClockReset) is counts


def test_a_root_may_be_kept_beside_its_successor_and_ended_later() -> None:
    kept = write_rotation(A, B, 10, None)
    roots = follow(kept)
    assert [names(roots, version) for version in (9, 10, 99)] == ["A", "AB", "AB"]
    ended = roots.take(write_rotation(A, B, 10, 15))
    assert isinstance(ended, Roots)
    assert [names(ended, version) for version in (9, 10, 14, 15)] == ["A", "AB", "AB", "B"]
    assert ended.take(kept) == ended, "the earlier word takes nothing back"
    assert ended.take(write_rotation(A, B, 10, 40)) is RotationFault.OTHER_SUCCESSOR


def test_a_root_that_has_ended_names_nobody_else() -> None:
    roots = follow(AB)
    for stolen in (write_rotation(A, EVE, 10, 10), write_rotation(A, EVE, 0, None), write_rotation(A, EVE, 50, None)):
        assert roots.take(stolen) is RotationFault.OTHER_SUCCESSOR


def test_two_roots_of_the_enrolment_stand_side_by_side() -> None:
    """A lost root, where a reserve was put on the units: the reserve signs, and may be followed too."""
    roots = Roots((A.public_key, D.public_key))
    assert names(roots, 0) == "AD"
    assert names(follow(AB, roots=roots), 10) == "BD"
    assert names(follow(write_rotation(A, D, 10, 10), roots=roots), 10) == "D"


def test_each_root_is_described_in_one_line() -> None:
    first, second = follow(AB).known()
    assert describe_root(first) == f"root {A.kid.hex()} (Ed25519) given at enrolment, until trust list 10"
    assert describe_root(second) == f"root {B.kid.hex()} (Ed25519) since trust list 10, introduced by {A.kid.hex()}"


def said(old: SoftwareKey = A, new: SoftwareKey = B, since: int = 10, until: int | None = 10) -> RootRotation:
    return RootRotation(old=old.kid, algorithm=new.algorithm, key=new.public, since=since, until=until)


def wrap(message: RootRotation, inner: SoftwareKey, outer: SoftwareKey, typ: str = ACCEPTED.typ, around: str = ROTATION.typ) -> bytes:
    return cose.sign1(cose.sign1(signed.pack(message), typ, inner), around, outer)


class Claimed(SoftwareKey):
    """Eve's key that says that it is another's."""

    def __init__(self, as_of: SoftwareKey) -> None:
        super().__init__(EVE._handle)
        self.public_key = as_of.public_key


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (wrap(said(), B, EVE), SignedFault.UNKNOWN_KEY),
        (wrap(said(), B, Claimed(A)), SignedFault.SIGNATURE),
        (wrap(said(), EVE, A), SignedFault.UNKNOWN_KEY),
        (wrap(said(), Claimed(B), A), SignedFault.SIGNATURE),
        (wrap(said(old=EVE), B, A), SignedFault.CONTENT),
        (wrap(said(since=10, until=9), B, A), SignedFault.CONTENT),
        (wrap(msgspec.structs.replace(said(), algorithm="ES256"), B, A), SignedFault.CONTENT),
        (wrap(said(), B, A, typ=ROTATION.typ), SignedFault.TYPE),
        (wrap(said(), B, A, around=ACCEPTED.typ), SignedFault.TYPE),
        (cose.sign1(signed.pack(said()), ROTATION.typ, A), SignedFault.COSE),
        (trust(9, A), SignedFault.TYPE),
        (b"", SignedFault.CBOR),
        (bytes(1025), SignedFault.SIZE),
        (write_rotation(A, A, 10, 10), RotationFault.CIRCLE),
        (BC, SignedFault.UNKNOWN_KEY),
    ],
)
def test_what_both_roots_did_not_sign_is_not_believed(raw: bytes, fault: SignedFault | RotationFault) -> None:
    assert ENROLLED.take(raw) is fault
    assert ENROLLED.offer([raw]) == (ENROLLED, {raw: fault})


def test_a_root_introduces_nobody_before_its_own_time_and_no_circle_closes() -> None:
    roots = follow(AB)
    assert roots.take(write_rotation(B, C, 9, 9)) is RotationFault.NOT_ITS_TIME
    assert roots.take(write_rotation(B, A, 30, 30)) is RotationFault.CIRCLE
    assert follow(AB, BC).take(write_rotation(C, A, 30, 30)) is RotationFault.CIRCLE


def test_there_is_an_end_to_what_is_kept() -> None:
    chain = [key(f"chain {place}") for place in range(18)]
    raws = [write_rotation(old, new, place, place) for place, (old, new) in enumerate(pairwise(chain), 1)]
    roots, faults = Roots((chain[0].public_key,)).offer(raws)
    assert (len(roots.links), list(faults.values())) == (16, [RotationFault.FULL])


ROTATIONS = st.builds(
    write_rotation,
    st.sampled_from(KEYS),
    st.sampled_from(KEYS),
    st.integers(0, 12),
    st.none() | st.integers(0, 12),
)


@given(st.lists(ROTATIONS, max_size=12), st.sampled_from(KEYS))
def test_there_is_a_root_for_every_version_whatever_the_roots_say(rotations: list[bytes], enrolled: SoftwareKey) -> None:
    roots = Roots((enrolled.public_key,))
    for raw in rotations:
        before = roots
        taken = roots.take(raw)
        roots = taken if isinstance(taken, Roots) else roots
        assert all(roots.signing(version) for version in range(14))
        successors = {link.old.raw: link.new.raw for link in roots.links}
        assert all(successors[link.old.raw] == link.new.raw for link in before.links), "what a root said first stays"


@given(st.permutations([AB, write_rotation(B, C, 20, None), write_rotation(B, C, 20, 25), CD]), st.integers(1, 4))
def test_the_order_of_arrival_does_not_matter(rotations: list[bytes], at_once: int) -> None:
    """In pieces of any size; the whole is retained, so that it comes again with every connection."""
    roots = ENROLLED
    for first in range(0, 4, at_once):
        roots, _ = roots.offer(rotations[first : first + at_once])
    roots, faults = roots.offer(rotations)
    inorder = follow(AB, write_rotation(B, C, 20, None), write_rotation(B, C, 20, 25), CD)
    assert (roots.known(), faults) == (inorder.known(), {})


@given(st.sampled_from([AB, BC]), st.integers(0), st.integers(0, 7))
def test_no_bit_of_a_rotation_can_be_changed(raw: bytes, place: int, bit: int) -> None:
    changed = bytearray(raw)
    changed[place % len(raw)] ^= 1 << bit
    roots = follow(AB) if raw is BC else ENROLLED
    assert not isinstance(roots.take(bytes(changed)), Roots)


def test_a_rotation_is_short() -> None:
    old, new = SoftwareKey.generate("ES256"), SoftwareKey.generate("ES256")
    assert len(write_rotation(old, new, 2**53, 2**53)) < 450
