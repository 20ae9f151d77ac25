"""One root after another, in a keys folder: the chain of rotations, and the first trust list by the root that comes.

root.pem and root.pub.pem are the root that signs now; root-{kid}.pem and root-{kid}.pub.pem those before it; roots.cbor is the chain that
the server hands to the units. Written in an order in which a change that was cut off is finished by the next call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.files import write_atomically
from healthcode import signed
from healthcode.cose import PublicKey, Signer, SoftwareKey
from healthcode.messages import MAX_ROTATIONS, RootChain, TrustList
from healthcode.roots import Link, Roots, write_rotation
from healthgate.keyring_files import (
    ROOT_FILE,
    ROOT_PUBLIC_FILE,
    KeysError,
    MakeKey,
    known_roots,
    open_root,
    open_trust,
    write_key,
    write_next,
    write_root,
)
from server.keys import ROOTS_FILE, KeyFileError, read_chain


@dataclass(frozen=True)
class RootRotated:
    """What a rotation did: the trust list from which on `new` signs; `old` counts beside it unless `is_over`."""

    trust_list: TrustList
    old: PublicKey
    new: PublicKey
    is_over: bool


def rotate_root(folder: Path, at: float, *, keep_old: bool = False, make_key: MakeKey = SoftwareKey.generate) -> RootRotated:
    """Makes the next root, signed by both, and has it sign the next trust list, from which on the old one signs none (unless kept)."""
    root, held = _open(folder)
    old = _public(root)
    chain = _chain(folder)
    links = _links(folder, chain)
    begun = next((link for link in links if link.old == old), None)
    if begun is not None:
        new = open_root(_file(folder, begun.new))
        is_over = begun.until is not None
    else:
        if len(chain) >= MAX_ROTATIONS:
            raise KeysError(f"{folder / ROOTS_FILE}: holds {len(chain)} rotations, the most: enrol units anew with the root of today")
        fresh = make_key(root.algorithm)
        new, is_over, since = fresh, not keep_old, held.version + 1
        write_key(_file(folder, fresh.public_key), fresh)
        write_root(_file(folder, fresh.public_key, ".pub.pem"), fresh.public_key)
        write_root(_file(folder, old, ".pub.pem"), old)
        _write_chain(folder, [*chain, write_rotation(root, fresh, since, since if is_over else None)])
    trust_list = write_next(folder, new, held, held.entries, at)
    write_root(folder / ROOT_PUBLIC_FILE, _public(new))
    if not _file(folder, old).exists():
        _file(folder, old).hardlink_to(folder / ROOT_FILE)  # so that root.pem is there at every moment
    _file(folder, _public(new)).replace(folder / ROOT_FILE)
    return RootRotated(trust_list, old, _public(new), is_over)


def end_root(folder: Path, kid: bytes, at: float) -> RootRotated:
    """Ends a root that was kept beside its successor: it signs no trust list from the next one on."""
    root, held = _open(folder)
    chain = _chain(folder)
    link = next((link for link in _links(folder, chain) if link.old.kid == kid and link.until is None), None)
    if link is None:
        raise KeysError(f"{folder / ROOTS_FILE}: no root {kid.hex()} that was kept beside its successor: expected one that still counts")
    old, new = open_root(_file(folder, link.old)), root
    if _public(new) != link.new:
        new = open_root(_file(folder, link.new))
    ended = write_rotation(old, new, link.since, held.version + 1)
    _write_chain(folder, [ended if each == link.raw else each for each in chain])
    return RootRotated(write_next(folder, root, held, held.entries, at), link.old, link.new, is_over=True)


def _open(folder: Path) -> tuple[Signer, TrustList]:
    root, held = open_trust(folder)
    if root is None:
        raise KeysError(f"{folder / ROOT_FILE}: is not here: expected it for a rotation, which both roots sign")
    return root, held


def _chain(folder: Path) -> list[bytes]:
    try:
        return read_chain(folder)[1].rotations
    except KeyFileError as wrong:
        raise KeysError(str(wrong)) from None


def _links(folder: Path, chain: Sequence[bytes]) -> tuple[Link, ...]:
    return Roots(known_roots(folder)).offer(chain)[0].links


def _write_chain(folder: Path, rotations: list[bytes]) -> None:
    try:
        write_atomically(folder / ROOTS_FILE, signed.pack(RootChain(rotations=rotations)))
    except OSError as wrong:
        raise KeysError(f"{folder / ROOTS_FILE}: cannot be written: {wrong.strerror}") from None


def _file(folder: Path, key: PublicKey, ending: str = ".pem") -> Path:
    return folder / f"root-{key.kid.hex()}{ending}"


def _public(signer: Signer) -> PublicKey:
    return PublicKey.from_raw(signer.algorithm, signer.public)
