"""Whose signatures count: root keys put on the unit at enrolment, and the key ring that a signed trust list makes.

An entry binds a key to issuer, algorithm, use and scope. Key identifiers collide, so a look-up gives every key that has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from healthcode.cose import PublicKey, Signer
from healthcode.messages import CertificatePolicy, TrustEntry, TrustList
from healthcode.terms import CertificateKind, Form, OperatorRole, Use

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
    """The keys of one trust list, found by identifier and use; `certificates` says which foreign certificates count (None: none)."""

    def __init__(self, version: int, entries: Iterable[TrustEntry], certificates: CertificatePolicy | None = None) -> None:
        self.version = version
        self.entries = tuple(entries)
        self.certificates = certificates
        self._found: dict[tuple[bytes, Use], tuple[Candidate, ...]] = {}
        for entry in self.entries:
            if entry.algorithm == "PS256" and entry.use is not Use.DCC:
                raise ValueError(f"entry {entry.kid.hex()} of {entry.issuer}: PS256 for the use {entry.use.value!r}: expected 'dcc'")
            candidate = Candidate(entry, PublicKey.from_raw(entry.algorithm, entry.key))
            place = (entry.kid, entry.use)
            self._found[place] = (*self._found.get(place, ()), candidate)

    @classmethod
    def of(cls, trust_list: TrustList) -> KeyRing:
        """The key ring of a verified trust list; ValueError where an entry holds no key, or one that its use does not take."""
        return cls(trust_list.version, trust_list.entries, trust_list.certificates)

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
    kinds: Sequence[CertificateKind] = (),
    kid: bytes | None = None,
    name: str = "",
    role: OperatorRole | None = None,
) -> TrustEntry:
    """The trust list entry of a key. Times in seconds since 1970; `max_lifetime_s` bounds exp - nbf of the codes it signs.

    `kid` is the key's own unless it is named: keys for foreign certificates are named by their own certificates. `name` and `role` are an
    operator's.
    """
    return TrustEntry(
        issuer=issuer,
        kid=signer.kid if kid is None else kid,
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
        kinds=list(kinds),
        name=name,
        role=role,
    )
