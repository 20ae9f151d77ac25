"""A province's keys folder: root, token, list, time and ack keys, and the trust list that the root signs over them.

root.pem, token.pem, list.pem, time.pem and ack.pem are private keys of mode 0600; root.pub.pem goes onto every unit and server;
trust.cbor and trust-head.cbor are what units hold, clock-resets/UNIT.cbor what last reset a unit's clock. A rotation adds
{use}-{kid}.pem (`healthgate.rotation`). Keep root.pem off the server: only this command needs it. Where it is elsewhere, a change of the
trust list becomes trust.request, which is carried to the root, signed there and brought back. Every change of the trust list makes the
next version. Time is a parameter, `at`, in seconds since 1970.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.files import write_atomically
from healthcode import cose, signed, topics
from healthcode.cose import Algorithm, PublicKey, Signer, SoftwareKey
from healthcode.messages import (
    MAX_TRUST,
    BadPayload,
    CertificatePolicy,
    ClockReset,
    IssuerId,
    Message,
    Seconds,
    TrustEntry,
    TrustHead,
    TrustList,
    Uri,
)
from healthcode.signed import SignedFault
from healthcode.terms import Form, Use
from healthcode.trust import KeyRing, entry_for
from healthgate.signers import SignerError, open_signer
from server.keys import CLOCK_MARGIN_S, RESETS_FOLDER, TRUST_FILE, TRUST_HEAD_FILE, USES, KeyFileError, read_signers
from server.sealing import SealError, write_private

ROOT_FILE = "root.pem"
ROOT_PUBLIC_FILE = "root.pub.pem"
REQUEST_FILE = "trust.request"
"""The next trust list, not signed yet: what is carried to a root that is kept elsewhere."""
RECOGNISED_USES = (Use.TOKEN, Use.LIST)
"""What another province's keys may be recognised for: its codes and its lists. Time and acknowledgements are one's own."""
DAY_S = 86_400


class KeysError(ValueError):
    """A keys folder or file that cannot be used, or a change that cannot be made; the text is one line."""


MakeKey = Callable[[Algorithm], SoftwareKey]
"""Makes a fresh key, from the operating system's randomness unless somebody brings another."""


@dataclass(frozen=True)
class Lifetimes:
    """How long things last, in days. A trust list that nobody signs anew stops every gate when it expires, so it lasts long.

    `paper_days` is the longest life of a code, and how long a code still counts after its key has stopped signing.
    """

    keys_days: int = 730
    paper_days: int = 28
    trust_days: int = 400


class PublicEntries(Message, frozen=True):
    """What one province hands to another to be recognised, as JSON: its token and list entries, nothing secret."""

    issuer: IssuerId
    exported_at: Seconds
    entries: Annotated[list[TrustEntry], Meta(min_length=1, max_length=64)]


def init(
    folder: Path,
    issuer: str,
    list_uri: str,
    at: float,
    *,
    algorithm: Algorithm = "ES256",
    lifetimes: Lifetimes = Lifetimes(),
    make_key: MakeKey = SoftwareKey.generate,
) -> TrustList:
    """Makes the keys of `issuer` in `folder` and version 1 of its trust list; KeysError where one of the files is there already."""
    now = int(at)
    entry_type = msgspec.json.Decoder(tuple[IssuerId, Uri])
    try:
        entry_type.decode(msgspec.json.encode((issuer, list_uri)))
    except msgspec.ValidationError as wrong:
        raise KeysError(f"issuer {issuer[:40]!r}, list {list_uri[:120]!r}: {wrong}") from None
    names = (*(f"{name}.pem" for name in ("root", *USES)), ROOT_PUBLIC_FILE, TRUST_FILE, TRUST_HEAD_FILE)
    for name in names:
        if (folder / name).exists():
            raise KeysError(f"{folder / name}: exists already, expected a folder without keys")
    root = make_key(algorithm)
    signers = {use: make_key(algorithm) for use in USES}
    sign_until = now + lifetimes.keys_days * DAY_S
    lifetime_s = lifetimes.paper_days * DAY_S
    entries = [
        entry_for(
            signer,
            issuer=issuer,
            use=use,
            sign_from=now - CLOCK_MARGIN_S,
            sign_until=sign_until,
            verify_until=sign_until + lifetime_s,
            uris=[list_uri] if use in RECOGNISED_USES else [],
            forms=[Form.LIVE, Form.PAPER] if use is Use.TOKEN else [],
            max_lifetime_s=lifetime_s if use is Use.TOKEN else 0,
            epoch=1 if use is Use.LIST else 0,
        )
        for use, signer in signers.items()
    ]
    trust_list = TrustList(version=1, signed_at=now, expires_at=now + lifetimes.trust_days * DAY_S, entries=entries)
    try:
        write_key(folder / ROOT_FILE, root)
        for use, signer in signers.items():
            write_key(folder / f"{use.value}.pem", signer)
        write_root(folder / ROOT_PUBLIC_FILE, root.public_key)
        sign_trust(folder, trust_list, root)
    except KeysError:
        for name in names:  # nobody knows these keys yet, and the next try is to find an empty folder
            (folder / name).unlink(missing_ok=True)
        raise
    return trust_list


def withdraw(folder: Path, kid: bytes, at: float) -> TrustList:
    """Drops every entry with the identifier `kid`; whatever those keys signed counts no more. KeysError where there is none,
    or where a use of one's own would be left without any.

    A list whose key is withdrawn begins the next epoch under the keys that are left: what the key signed is part of its history.
    """
    root, held = open_trust(folder)
    gone = [entry for entry in held.entries if entry.kid == kid]
    own = own_issuer(folder, held)
    lists = {uri for entry in gone if entry.use is Use.LIST and entry.issuer == own for uri in entry.uris}
    left = [
        msgspec.structs.replace(entry, epoch=entry.epoch + 1) if entry.use is Use.LIST and lists & set(entry.uris) else entry
        for entry in held.entries
        if entry.kid != kid
    ]
    if not gone:
        known = ", ".join(entry.kid.hex() for entry in held.entries) or "none"
        raise KeysError(f"{folder / TRUST_FILE}: no entry with the kid {kid.hex() or 'of no bytes'}: expected one of {known}")
    for entry in gone:
        if entry.issuer == own and entry.use in USES and not any((other.issuer, other.use) == (own, entry.use) for other in left):
            use = entry.use.value
            raise KeysError(f"{kid.hex()} is the last {use} key of {own}: make the next one first, `keys rotate {folder} {use} --now`")
    return write_next(folder, root, held, left, at)


def recognise(folder: Path, entries: Sequence[TrustEntry], at: float) -> TrustList:
    """Adds another province's token and list entries, or renews them; what is held already changes nothing.

    KeysError where an entry would let a stranger sign as an issuer, or for a list, that is held for somebody else.
    """
    root, held = open_trust(folder)
    own = own_issuer(folder, held)
    for entry in entries:
        fault = find_conflict(held, own, entry)
        if fault:
            raise KeysError(fault)
    fresh = {(entry.key, entry.use): entry for entry in entries}
    left = [fresh.pop((entry.key, entry.use), entry) for entry in held.entries]
    together = [*left, *fresh.values()]
    if together == held.entries:
        return held
    return write_next(folder, root, held, together, at)


def trust_signers(folder: Path, entries: Sequence[TrustEntry], at: float) -> TrustList:
    """Adds the entries of foreign certificates' signers; KeysError where the trust list would be too long."""
    root, held = open_trust(folder)
    return write_next(folder, root, held, [*held.entries, *entries], at) if entries else held


def set_policy(folder: Path, policy: CertificatePolicy | None, at: float) -> TrustList:
    """Says which foreign certificates count from now on (None: none); what is so already changes nothing."""
    root, held = open_trust(folder)
    if policy == held.certificates:
        return held
    return write_next(folder, root, msgspec.structs.replace(held, certificates=policy), held.entries, at)


def find_conflict(held: TrustList, own: str, entry: TrustEntry) -> str | None:
    """Why the trust list of the issuer `own` may not take `entry` from another province, in one line; None where it may."""
    name = f"entry {entry.kid.hex()} of {entry.issuer}"
    if entry.use not in RECOGNISED_USES:
        return f"{name}: use {entry.use.value!r}: expected token or list"
    if entry.issuer == own:
        return f"{name}: that is this province itself, expected another"
    try:
        key = PublicKey.from_raw(entry.algorithm, entry.key)
    except ValueError as wrong:
        return f"{name}: {wrong}"
    if key.kid != entry.kid:
        return f"{name}: its key has the kid {key.kid.hex()}"
    for other in held.entries:
        if other.issuer != entry.issuer and set(other.uris) & set(entry.uris):
            return f"{name}: its list is held for {other.issuer}: expected one of its own"
        if other.issuer != entry.issuer and other.key == entry.key:
            return f"{name}: the key is held for {other.issuer}"
        if (other.key, other.use) == (entry.key, entry.use) and entry.epoch < other.epoch:
            return f"{name}: epoch {entry.epoch}: epoch {other.epoch} is held, expected that or a later one"
    return None


def renew(folder: Path, at: float, *, lifetimes: Lifetimes = Lifetimes()) -> TrustList:
    """Signs the same entries anew as the next version, good for `lifetimes.trust_days` from `at`."""
    root, held = open_trust(folder)
    return write_next(folder, root, held, held.entries, at, lifetimes.trust_days * DAY_S)


def reset_clock(folder: Path, unit: str, to: int) -> tuple[ClockReset, Path]:
    """Signs that the time of `unit` is `to` (seconds since 1970) or later, whatever it was told before; the reset and its file.

    Its serial is one above that of the unit's last reset, which is read from the file that the new one replaces.
    """
    root = open_root(folder / ROOT_FILE)
    try:
        path = folder / RESETS_FOLDER / f"{topics.check_id(unit)}.cbor"
    except ValueError as wrong:
        raise KeysError(str(wrong)) from None
    last = 0
    if path.exists():
        held = signed.read_rooted(read_file(path, MAX_TRUST), ClockReset, known_roots(folder))
        if isinstance(held, SignedFault):
            raise KeysError(f"{path}: {held.value}: expected the unit's last reset, signed by the root {root.kid.hex()}")
        last = held.serial
    reset = ClockReset(unit=unit, serial=last + 1, floor=to)
    try:
        write_atomically(path, signed.write(reset, root))
    except (OSError, ValueError) as wrong:
        raise KeysError(f"{path}: cannot be written: {wrong}") from None
    return reset, path


def export(folder: Path, at: float) -> PublicEntries:
    """What another province needs to recognise this one: the token and list entries of its own issuer."""
    held = read_trust(folder / TRUST_FILE, known_roots(folder))
    own = own_issuer(folder, held)
    entries = [entry for entry in held.entries if entry.issuer == own and entry.use in RECOGNISED_USES]
    if not entries:
        raise KeysError(f"{folder / TRUST_FILE}: no token or list entry of {own} is left to export")
    return PublicEntries(issuer=own, exported_at=int(at), entries=entries)


def write_public(entries: PublicEntries) -> bytes:
    """Public entries as the JSON of an entries file, for people to read and to compare identifiers by."""
    return msgspec.json.format(msgspec.json.encode(entries), indent=2) + b"\n"


def load_public(path: Path, at: float) -> PublicEntries:
    """The public entries in a file that `export` made, or of another keys folder; KeysError says what is wrong with it."""
    if path.is_dir():
        return export(path, at)
    data = read_file(path, MAX_TRUST)
    try:
        found = msgspec.json.decode(data, type=PublicEntries)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise KeysError(f"{path}: {wrong}: expected a file that `keys export` made") from None
    for entry in found.entries:
        if entry.issuer != found.issuer:
            raise KeysError(f"{path}: holds an entry of {entry.issuer}: expected entries of {found.issuer} alone")
    return found


def own_issuer(folder: Path, held: TrustList) -> str:
    """Whose folder it is: the issuer of the entries whose private keys lie in it."""
    mine = set()
    for use in USES:
        if any(folder.glob(f"{use.value}*.pem")):
            mine |= {signer.public for signer in own_signers(folder, use)}
    issuers = sorted({entry.issuer for entry in held.entries if entry.key in mine})
    if len(issuers) != 1:
        raise KeysError(f"{folder}: its keys belong to {', '.join(issuers) or 'no entry of the trust list'}: expected one issuer")
    return issuers[0]


def own_signers(folder: Path, use: Use) -> list[SoftwareKey]:
    """The private keys of a use in the folder."""
    try:
        return read_signers(folder, use)
    except KeyFileError as wrong:
        raise KeysError(str(wrong)) from None


def read_root(path: Path) -> PublicKey:
    """The public root key in the PEM file `path`."""
    try:
        return PublicKey.from_pem(read_file(path, MAX_TRUST))
    except KeysError:
        raise
    except ValueError as wrong:
        raise KeysError(f"{path}: {wrong}") from None


def read_trust(path: Path, roots: Sequence[PublicKey] | None) -> TrustList:
    """The trust list in the file `path`, signed by one of `roots`; with None whoever signed it, which proves nothing."""
    data = read_file(path, MAX_TRUST)
    if roots is not None:
        trust_list = signed.read_rooted(data, TrustList, roots)
        if isinstance(trust_list, SignedFault):
            raise KeysError(f"{path}: {trust_list.value}: expected a trust list signed by the root {roots[0].kid.hex()}")
        return trust_list
    try:
        sign1 = cose.parse(data)
        unchecked = signed.unpack(sign1.payload, TrustList, MAX_TRUST)
        KeyRing.of(unchecked)
    except (BadPayload, ValueError) as wrong:
        raise KeysError(f"{path}: {wrong}: expected a signed trust list") from None
    if sign1.typ != signed.KINDS[TrustList].typ:
        raise KeysError(f"{path}: typ {sign1.typ[:60]!r}: expected a signed trust list")
    return unchecked


def open_trust(folder: Path) -> tuple[Signer | None, TrustList]:
    """The root's signer (None: it is elsewhere) and the trust list to change: the one in the folder, or the request made since."""
    is_elsewhere = (folder / ROOT_PUBLIC_FILE).exists() and not (folder / ROOT_FILE).exists()
    root = None if is_elsewhere else open_root(folder / ROOT_FILE)
    held = read_trust(folder / TRUST_FILE, known_roots(folder))
    waiting = read_request(folder / REQUEST_FILE) if (folder / REQUEST_FILE).exists() else None
    return root, held if waiting is None or waiting.version <= held.version else waiting


def write_next(
    folder: Path, root: Signer | None, held: TrustList, entries: Sequence[TrustEntry], at: float, lasting_s: int | None = None
) -> TrustList:
    """The trust list after `held`, with these entries, signed at `at`; without the root it becomes a request, still to be signed."""
    now = max(int(at), held.signed_at)
    lasting = held.expires_at - held.signed_at if lasting_s is None else lasting_s
    trust_list = msgspec.structs.replace(held, version=held.version + 1, signed_at=now, expires_at=now + lasting, entries=list(entries))
    if root is not None:
        sign_trust(folder, trust_list, root)
        return trust_list
    try:
        data = signed.pack(trust_list)
        signed.unpack(data, TrustList, MAX_TRUST)
        write_atomically(folder / REQUEST_FILE, data)
    except BadPayload as wrong:
        raise KeysError(f"{folder / REQUEST_FILE}: {wrong}") from None
    except OSError as wrong:
        raise KeysError(f"{folder / REQUEST_FILE}: cannot be written: {wrong.strerror}") from None
    return trust_list


def read_request(path: Path) -> TrustList:
    """The trust list in a request; KeysError where it is none."""
    data = read_file(path, MAX_TRUST)
    try:
        request = signed.unpack(data, TrustList, MAX_TRUST)
        KeyRing.of(request)
    except ValueError as wrong:
        raise KeysError(f"{path}: {wrong}: expected a request that a change without the root left") from None
    return request


def sign_trust(folder: Path, trust_list: TrustList, root: Signer) -> None:
    """Writes the trust list and its head, signed by `root`, into `folder`. A request that it answers is done with."""
    try:
        data = signed.write(trust_list, root)
    except ValueError as wrong:
        raise KeysError(f"{folder / TRUST_FILE}: cannot be signed: {wrong}") from None
    head = TrustHead(version=trust_list.version, size=len(data), sha256=hashlib.sha256(data).digest(), signed_at=trust_list.signed_at)
    try:
        write_atomically(folder / TRUST_FILE, data)
        write_atomically(folder / TRUST_HEAD_FILE, signed.write(head, root))
        (folder / REQUEST_FILE).unlink(missing_ok=True)
    except OSError as wrong:
        raise KeysError(f"{folder / TRUST_FILE}: cannot be written: {wrong.strerror}") from None


def open_root(path: Path) -> Signer:
    """The private root key in the file `path`."""
    try:
        return open_signer(str(path))
    except SignerError as wrong:
        raise KeysError(str(wrong)) from None


def known_roots(folder: Path) -> tuple[PublicKey, ...]:
    """The root of a keys folder and those before it, root-*.pub.pem: whose signatures its own files may bear."""
    return tuple(read_root(path) for path in (folder / ROOT_PUBLIC_FILE, *sorted(folder.glob("root-*.pub.pem"))))


def read_file(path: Path, most: int) -> bytes:
    """What is in a file of at most `most` bytes; KeysError where it cannot be read or is longer."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as wrong:
        raise KeysError(f"{path}: cannot be read: {wrong.strerror}") from None
    if len(data) > most:
        raise KeysError(f"{path}: too long: expected at most {most} bytes")
    return data


def write_root(path: Path, root: PublicKey) -> None:
    """A root's public key as PEM; KeysError where it cannot be written."""
    try:
        write_atomically(path, root.to_pem())
    except OSError as wrong:
        raise KeysError(f"{path}: cannot be written: {wrong.strerror}") from None


def write_key(path: Path, key: SoftwareKey) -> None:
    """The private key into a file of its own, of mode 0600; KeysError where it exists already or cannot be written."""
    try:
        write_private(path, key.to_pem())
    except SealError as wrong:
        raise KeysError(str(wrong)) from None
    except OSError as wrong:
        raise KeysError(f"{path}: cannot be written: {wrong.strerror}") from None
