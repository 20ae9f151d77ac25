"""Root keys, and how one follows another: a chain of rotations, each signed by the root before and by the root that comes. Pure.

A root is given to a unit at enrolment, or introduced by a rotation. It counts from the trust list version at which it was introduced until
the one from which on, by its own word, its successor alone signs. Versions and not times, because a root must be able to mend a clock
that is wrong, and because a unit's version never goes back: a root that has ended cannot sign anything that a unit in step would take.

A root has one successor, and what it said first stays: whoever steals a root that has ended cannot name another.
So there is always a root that counts, whatever is offered, and rotations may arrive in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from healthcode import cose, signed
from healthcode.cose import PublicKey, Signer
from healthcode.messages import MAX_HEAD, MAX_ROTATIONS, BadPayload, Message, RootRotation, TrustHead, TrustList
from healthcode.signed import Kind, SignedFault

T = TypeVar("T", bound=Message)

ACCEPTED = Kind("healthgate-root+cbor", None, MAX_HEAD)
"""The inner signature, by the root that comes: without it anybody could be made a root whose key nobody holds."""
ROTATION = Kind("healthgate-root-rotation+cbor", None, MAX_HEAD)
"""The outer signature, by the root before, over the inner object."""


class RotationFault(StrEnum):
    """Why a rotation that both roots signed is not taken."""

    OTHER_SUCCESSOR = "OTHER_SUCCESSOR"
    NOT_ITS_TIME = "NOT_ITS_TIME"
    CIRCLE = "CIRCLE"
    FULL = "FULL"


@dataclass(frozen=True)
class Link:
    """A verified rotation and the bytes that prove it."""

    old: PublicKey
    new: PublicKey
    since: int
    until: int | None
    raw: bytes


@dataclass(frozen=True)
class Root:
    """A root key: it signs trust lists from version `since` on and before `until` (None: no end). `by` introduced it (None: enrolment)."""

    key: PublicKey
    since: int
    until: int | None
    by: PublicKey | None


@dataclass(frozen=True)
class Roots:
    """The roots given at enrolment, and what followed them."""

    given: tuple[PublicKey, ...]
    links: tuple[Link, ...] = ()

    def known(self) -> tuple[Root, ...]:
        """Every root that ever counted, those of the enrolment first."""
        first = {_name(key): Root(key, 0, self._end(key), None) for key in self.given}
        for link in sorted(self.links, key=lambda link: (link.since, link.raw)):
            first.setdefault(_name(link.new), Root(link.new, link.since, self._end(link.new), link.old))
        return tuple(first.values())

    def signing(self, version: int) -> tuple[PublicKey, ...]:
        """The roots that may sign the trust list of this version. There is always one."""
        return tuple(root.key for root in self.known() if root.since <= version and (root.until is None or version < root.until))

    def read(self, data: bytes, kind: type[T], held: int) -> T | SignedFault:
        """The rooted message in `data`; SCOPE where a root signed it that does not count at its version.

        What carries no version counts where its root signs at version `held`, that of the trust list held.
        """
        found = signed.read_rooted(data, kind, [root.key for root in self.known()])
        if isinstance(found, SignedFault):
            return found
        version = found.version if isinstance(found, TrustList | TrustHead) else held
        return found if signed.is_by(data, self.signing(version)) else SignedFault.SCOPE

    def offer(self, rotations: Iterable[bytes]) -> tuple[Roots, dict[bytes, SignedFault | RotationFault]]:
        """These roots and all that follow by `rotations`, in whatever order they come; and why others do not count."""
        roots, waiting, faults = self, list(dict.fromkeys(rotations)), dict[bytes, SignedFault | RotationFault]()
        while waiting:
            before = (roots, len(waiting))
            left: list[bytes] = []
            for raw in waiting:
                taken = roots.take(raw)
                if isinstance(taken, Roots):
                    roots = taken
                    faults.pop(raw, None)
                else:
                    faults[raw] = taken
                    left.append(raw)
            waiting = left
            if (roots, len(waiting)) == before:
                break
        return roots, faults

    def take(self, raw: bytes) -> Roots | SignedFault | RotationFault:
        """These roots after one more rotation, the same where it says nothing new."""
        link = self._verify(raw)
        if isinstance(link, SignedFault):
            return link
        before = self._link_of(link.old)
        if before is not None:
            return self._amend(before, link)
        if link.since < min(root.since for root in self.known() if _name(root.key) == _name(link.old)):
            return RotationFault.NOT_ITS_TIME
        if self._leads_to(link.new, link.old):
            return RotationFault.CIRCLE
        return RotationFault.FULL if len(self.links) >= MAX_ROTATIONS else replace(self, links=(*self.links, link))

    def _amend(self, before: Link, link: Link) -> Roots | RotationFault:
        """A root may end itself later in favour of the successor that it has named; nothing else can be said anew."""
        if (_name(before.new), before.since) != (_name(link.new), link.since):
            return RotationFault.OTHER_SUCCESSOR
        if link.until is None or link.until == before.until:
            return self
        if before.until is not None:
            return RotationFault.OTHER_SUCCESSOR
        return replace(self, links=tuple(link if each is before else each for each in self.links))

    def _verify(self, raw: bytes) -> Link | SignedFault:
        outer = signed.parse_as(raw, ROTATION)
        if isinstance(outer, SignedFault):
            return outer
        named = [root.key for root in self.known() if root.key.kid == outer.kid]
        if not named:
            return SignedFault.UNKNOWN_KEY
        old = next((key for key in named if key.algorithm == outer.algorithm and key.verify(outer.signature, outer.signed)), None)
        if old is None:
            return SignedFault.SIGNATURE
        inner = signed.parse_as(outer.payload, ACCEPTED)
        if isinstance(inner, SignedFault):
            return inner
        try:
            said = signed.unpack(inner.payload, RootRotation, ACCEPTED.limit)
            new = PublicKey.from_raw(said.algorithm, said.key)
        except (BadPayload, ValueError):
            return SignedFault.CONTENT
        if inner.kid != new.kid or inner.algorithm != new.algorithm:
            return SignedFault.UNKNOWN_KEY
        if not new.verify(inner.signature, inner.signed):
            return SignedFault.SIGNATURE
        if said.old != old.kid or (said.until is not None and said.until < said.since):
            return SignedFault.CONTENT
        return Link(old, new, said.since, said.until, raw)

    def _link_of(self, key: PublicKey) -> Link | None:
        return next((link for link in self.links if _name(link.old) == _name(key)), None)

    def _end(self, key: PublicKey) -> int | None:
        link = self._link_of(key)
        return None if link is None else link.until

    def _leads_to(self, key: PublicKey, goal: PublicKey) -> bool:
        at: PublicKey | None = key
        while at is not None:
            if _name(at) == _name(goal):
                return True
            link = self._link_of(at)
            at = None if link is None else link.new
        return False


def write_rotation(old: Signer, new: Signer, since: int, until: int | None) -> bytes:
    """`new` follows `old` from trust list version `since` on; from version `until` on (None: not yet decided) `old` signs none."""
    said = RootRotation(old=old.kid, algorithm=new.algorithm, key=new.public, since=since, until=until)
    return cose.sign1(cose.sign1(signed.pack(said), ACCEPTED.typ, new), ROTATION.typ, old)


def describe_root(root: Root) -> str:
    """A root in one line for people."""
    since = "given at enrolment" if root.by is None else f"since trust list {root.since}, introduced by {root.by.kid.hex()}"
    until = "" if root.until is None else f", until trust list {root.until}"
    return f"root {root.key.kid.hex()} ({root.key.algorithm}) {since}{until}"


def proofs(links: Sequence[Link]) -> list[bytes]:
    """The rotations as they are handed on."""
    return [link.raw for link in links]


def _name(key: PublicKey) -> tuple[str, bytes]:
    return key.algorithm, key.raw
