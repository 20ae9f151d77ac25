"""Whose signatures count: root keys put on the unit at enrolment, and the key ring that a signed trust list makes.

An entry binds a key to issuer, algorithm, use and scope. Key identifiers collide, so a look-up gives every key that has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from healthcode.cose import PublicKey, Signer
from healthcode.messages import TrustEntry, TrustList
from healthcode.terms import Form, Use

GRACE_S = 30 * 86_400.0
"""How long a trust list counts after its expiry. Visible long before; an unsigned two days must never stop a fleet."""
FOREVER = 2**40 - 1
"""The latest time an entry can name, in seconds since 1970."""


@dataclass(frozen=True)
class Candidate:
    """A key that an object may be signed with, ready for use, and what it may do."""

    entry: TrustEntry
    key: PublicKey


class KeyRing:
    """The keys of one trust list, found by identifier and use."""

    def __init__(self, version: int, entries: Iterable[TrustEntry]) -> None:
        self.version = version
        self.entries = tuple(entries)
        self._found: dict[tuple[bytes, Use], tuple[Candidate, ...]] = {}
        for entry in self.entries:
            candidate = Candidate(entry, PublicKey.from_raw(entry.algorithm, entry.key))
            place = (entry.kid, entry.use)
            self._found[place] = (*self._found.get(place, ()), candidate)

    @classmethod
    def of(cls, trust_list: TrustList) -> KeyRing:
        """The key ring of a verified trust list; ValueError where an entry holds no key."""
        return cls(trust_list.version, trust_list.entries)

    def find(self, kid: bytes, use: Use) -> tuple[Candidate, ...]:
        """Every key with this identifier and use, in the order of the trust list."""
        return self._found.get((kid, use), ())

    def list_entries(self) -> dict[str, TrustEntry]:
        """For each list uri the entry that signs it with the highest epoch: what to hold, and whose it is."""
        newest: dict[str, TrustEntry] = {}
        for entry in self.entries:
            if entry.use is Use.LIST:
                for uri in entry.uris:
                    if uri not in newest or entry.epoch > newest[uri].epoch:
                        newest[uri] = entry
        return newest


def entry_for(
    signer: Signer | PublicKey,
    *,
    issuer: str,
    use: Use,
    sign_from: int,
    sign_until: int = FOREVER,
    verify_until: int = FOREVER,
    uris: Sequence[str] = (),
    forms: Sequence[Form] = (),
    max_lifetime_s: int = 0,
    epoch: int = 0,
) -> TrustEntry:
    """The trust list entry of a key. Times in seconds since 1970; `max_lifetime_s` bounds exp - nbf of the codes it signs."""
    return TrustEntry(
        issuer=issuer,
        kid=signer.kid,
        algorithm=signer.algorithm,
        key=signer.public if not isinstance(signer, PublicKey) else signer.raw,
        use=use,
        sign_from=sign_from,
        sign_until=sign_until,
        verify_until=verify_until,
        uris=list(uris),
        forms=list(forms),
        max_lifetime_s=max_lifetime_s,
        epoch=epoch,
    )
