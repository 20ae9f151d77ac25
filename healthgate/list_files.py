"""What a file of a status list says: a snapshot, a bare claim of the standard, a delta, a head, or the folder of a unit's cache.

Nothing is written and nothing removed: the folder may be of a unit that runs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from edge.cache import follow, load_roots
from edge.listfolder import PART, Base, ListFolder
from healthcode import cbor, cose, signed, status
from healthcode.cose import Sign1
from healthcode.messages import MAX_SNAPSHOT, BadPayload, Delta, Head, TrustList
from healthcode.roots import Roots
from healthcode.signed import KINDS, Signed, SignedFault
from healthcode.status import CHAIN, IAT, SNAPSHOT_TYP, STATUS_LIST, SUB, StatusList, read_snapshot
from healthcode.status_claim import MOST_BYTES, WIDTHS, Entries, read_entries
from healthcode.terms import Status, Use
from healthcode.trust import KeyRing
from healthgate.keyring_files import KeysError, read_file, read_trust
from healthgate.keys_inspect import NOT_CHECKED, Walls, checked

M = TypeVar("M", Head, Delta)

ISS, EXP = 1, 4
"""Claims of a CWT (RFC 8392 section 4)."""
EXPECTED = "expected a snapshot, delta or head of a status list, its claim as CBOR or JSON, or the folder of a unit's cache"
MEANING: dict[SignedFault, str] = {
    SignedFault.SIZE: "longer than such an object may be",
    SignedFault.CBOR: "not the CBOR that was signed",
    SignedFault.COSE: "not the one form of a signed object that counts",
    SignedFault.TYPE: "another kind of object",
    SignedFault.ALGORITHM: "signed with another algorithm than the key's",
    SignedFault.UNKNOWN_KEY: "no key for lists in the trust list has this kid",
    SignedFault.SIGNATURE: "the key did not sign this",
    SignedFault.CONTENT: "truly signed, but no list as a gate takes it",
    SignedFault.SCOPE: "the key may not sign this list, this epoch or at this time",
}
"""What each fault of a signature means to whoever reads it."""


class Unread(ValueError):
    """A file that says nothing about a status list; the text is one line that begins with its path."""


@dataclass(frozen=True)
class Seen:
    """What a file says. `signature` is "good", NOT_CHECKED, a fault's name, or empty where nothing is signed; `wrong` is empty or one line.

    Of `changes` each is an index and its new value; `is_ours` says that a value is a `Status`.
    """

    path: Path
    what: str
    signature: str = ""
    kid: str = ""
    algorithm: str = ""
    issuer: str | None = None
    uri: str | None = None
    epoch: int | None = None
    version: int | None = None
    as_of: int | None = None
    digest: bytes = b""
    entries: Entries | None = None
    changes: Mapping[int, int] | None = None
    is_ours: bool = True
    more: Mapping[str, object] = field(default_factory=dict)
    wrong: str = ""

    def word(self, value: int) -> str:
        """What a value means in this list."""
        return Status(value).name.lower() if self.is_ours else f"status {value}"

    def counts(self) -> dict[str, int] | None:
        """How many entries, or changes, there are of each value; None where the file holds neither."""
        if self.changes is not None:
            found = dict.fromkeys(sorted(set(self.changes.values())), 0)
            for value in self.changes.values():
                found[value] += 1
        elif self.entries is not None:
            found = self.entries.counts()
        else:
            return None
        return {self.word(value): count for value, count in found.items()}

    def at_index(self, index: int) -> str | None:
        """The entry at `index`; None where the file does not say it. Unread where there can be none."""
        if self.entries is not None:
            try:
                return self.word(self.entries.get(index))
            except IndexError as outside:
                raise Unread(f"{self.path}: {outside}") from None
        return self.word(self.changes[index]) if self.changes is not None and index in self.changes else None


def look_at(path: Path, walls: Walls) -> list[Seen]:
    """What the file or folder at `path` says, a list each; Unread where it is nothing of a status list."""
    try:
        if path.is_dir():
            return _folder(path, walls)
        seen = _file(path, read_file(path, MAX_SNAPSHOT), walls)
        expires = seen.more.get("expires_at")
        is_over = isinstance(expires, int) and expires < walls.at
        return [replace(seen, wrong="it has expired: its issuer says to fetch it anew") if is_over and not seen.wrong else seen]
    except OSError as wrong:
        raise Unread(f"{wrong.filename or path}: cannot be read: {wrong.strerror}") from None
    except KeysError as wrong:
        raise Unread(str(wrong)) from None


def _file(path: Path, data: bytes, walls: Walls) -> Seen:
    if data.startswith(b"eyJ"):
        raise Unread(f"{path}: a JWT: {EXPECTED}")
    if data.lstrip()[:1] == b"{":
        return _unsigned(path, _claims_of_json(path, data))
    try:
        sign1 = cose.parse(data, strict=False)
    except cbor.NotCbor as wrong:
        raise Unread(f"{path}: {wrong}: {EXPECTED}") from None
    except cose.NotSign1:
        return _unsigned(path, cbor.load(data, deterministic=False))
    if sign1.typ == SNAPSHOT_TYP:
        return _snapshot(path, data, sign1, walls)
    if sign1.typ == KINDS[Delta].typ:
        return _delta(path, data, sign1, walls)
    if sign1.typ == KINDS[Head].typ:
        return _head(path, data, sign1, walls)
    raise Unread(f"{path}: typ {sign1.typ[:60]!r}: {EXPECTED}")


def _delta(path: Path, data: bytes, sign1: Sign1, walls: Walls) -> Seen:
    delta = _message(path, sign1, Delta)
    seen = _placed(_signed(path, sign1, delta.uri, checked(data, Delta, walls), walls), delta)
    read = status.read_changes(delta, status.CAPACITY)
    changes = None if read is None else dict(zip(read[0], read[1], strict=True))
    wrong = seen.wrong or ("" if changes is not None else "the changes are not what a delta holds")
    return replace(seen, what="delta of a status list", version=delta.to, changes=changes, more={"from": delta.start}, wrong=wrong)


def _head(path: Path, data: bytes, sign1: Sign1, walls: Walls) -> Seen:
    head = _message(path, sign1, Head)
    seen = _placed(_signed(path, sign1, head.uri, checked(data, Head, walls), walls), head)
    ref = head.snapshot
    more = {"oldest": head.oldest, "snapshot_version": ref.version, "snapshot_bytes": ref.size, "snapshot_sha256": ref.sha256.hex()}
    return replace(seen, what="head of a status list", version=head.version, more=more)


def _message(path: Path, sign1: Sign1, kind: type[M]) -> M:
    try:
        return signed.unpack(sign1.payload, kind, KINDS[kind].limit)
    except BadPayload as wrong:
        raise Unread(f"{path}: {wrong}") from None


def _placed(seen: Seen, message: Head | Delta) -> Seen:
    return replace(seen, epoch=message.epoch, as_of=message.as_of, digest=message.digest)


def _signed(path: Path, sign1: Sign1, uri: str | None, signature: str, walls: Walls) -> Seen:
    """What holds for all that is signed; the issuer is who may sign this list, where the signature is good."""
    issuer = None
    if signature == "good" and walls.ring is not None:
        issuer = next((each.entry.issuer for each in walls.ring.find(sign1.kid, Use.LIST) if uri in each.entry.uris), None)
    wrong = "" if signature in ("good", NOT_CHECKED) else f"signature {signature}: {MEANING[SignedFault(signature)]}"
    kid, algorithm = sign1.kid.hex(), sign1.algorithm or "unknown algorithm"
    return Seen(path, "", signature=signature, kid=kid, algorithm=algorithm, issuer=issuer, uri=uri, wrong=wrong)


def _snapshot(path: Path, data: bytes, sign1: Sign1, walls: Walls) -> Seen:
    try:
        claims = cbor.load(sign1.payload, deterministic=False)
    except cbor.NotCbor as none:
        raise Unread(f"{path}: the claims: {none}") from None
    said = _unsigned(path, claims)
    seen = _signed(path, sign1, said.uri, _checked_snapshot(data, sign1, said, walls), walls)
    kept = replace(said, signature=seen.signature, kid=seen.kid, algorithm=seen.algorithm, issuer=seen.issuer or said.issuer)
    return replace(kept, what="snapshot of a status list", more={"bytes": len(data), **said.more}, wrong=seen.wrong or said.wrong)


def _checked_snapshot(data: bytes, sign1: Sign1, said: Seen, walls: Walls) -> str:
    """One of ours is judged as a gate does; another, without a place in a chain, by its key and its uri alone."""
    if walls.ring is None:
        return NOT_CHECKED
    if said.is_ours and said.uri is not None:
        held = read_snapshot(data, said.uri, walls.ring, walls.at)
        return held.value if isinstance(held, SignedFault) else "good"
    signers = signed.verify(sign1, walls.ring.find(sign1.kid, Use.LIST), low_s=False)
    if isinstance(signers, SignedFault):
        return signers.value
    return "good" if any(said.uri in each.entry.uris for each in signers) else SignedFault.SCOPE.value


def _claims_of_json(path: Path, data: bytes) -> object:
    """The claims of the standard's JSON form, under the numbers of its CBOR form."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError) as wrong:
        raise Unread(f"{path}: not JSON: {wrong}") from None
    claim = said.get("status_list", said if "bits" in said else None)
    if isinstance(claim, dict) and isinstance(claim.get("lst"), str):
        try:
            text = claim["lst"]
            claim = {**claim, "lst": base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)}
        except (binascii.Error, ValueError):
            raise Unread(f"{path}: lst: expected base64url") from None
    return {ISS: said.get("iss"), SUB: said.get("sub"), IAT: said.get("iat"), EXP: said.get("exp"), STATUS_LIST: claim}


def _unsigned(path: Path, claims: object) -> Seen:
    """What claims say, whoever made them: the standard's map, or its `status_list` alone."""
    if isinstance(claims, dict) and "bits" in claims:
        claims = {STATUS_LIST: claims}
    if not isinstance(claims, dict) or not isinstance(claims.get(STATUS_LIST), dict):
        raise Unread(f"{path}: no claim status_list: {EXPECTED}")
    entries = read_entries(claims[STATUS_LIST])
    wrong = "" if entries is not None else f"status_list: expected bits of {WIDTHS} and lst in zlib, at most {MOST_BYTES} bytes"
    seen = Seen(
        path,
        "claim of a status list, not signed",
        issuer=_text(claims.get(ISS)),
        uri=_text(claims.get(SUB)),
        as_of=_whole(claims.get(IAT)),
        entries=entries,
        is_ours=False,
        more={} if _whole(claims.get(EXP)) is None else {"expires_at": _whole(claims.get(EXP))},
        wrong=wrong,
    )
    match claims.get(CHAIN):
        case [int(epoch), int(version), bytes(digest), int(capacity)]:
            if entries is not None and (entries.bits, len(entries)) != (status.BITS, capacity):
                wrong = f"{len(entries)} entries of {entries.bits} bits: the list says {capacity} of {status.BITS}"
                return replace(seen, wrong=wrong)
            return replace(seen, is_ours=True, epoch=epoch, version=version, digest=digest)
    return seen


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _folder(path: Path, walls: Walls) -> list[Seen]:
    """Each list of a unit's cache, or the one list of which this is the folder. A cache's own trust list counts where none is named."""
    if ListFolder(path).bases():
        return [_held(path, walls)]
    folders = sorted(each for each in path.iterdir() if each.is_dir() and ListFolder(each).bases())
    if not folders:
        raise Unread(f"{path}: holds no list: {EXPECTED}")
    trust = path / "trust"
    if walls.ring is None and trust.exists():
        walls = replace(walls, ring=_own_ring(path, trust, walls))
    return [_held(each, walls) for each in folders]


def _own_ring(path: Path, trust: Path, walls: Walls) -> KeyRing:
    """The keys of the cache's trust list, signed by a root named, or by one that followed it."""
    if not walls.roots:
        return KeyRing.of(read_trust(trust, None))
    found = load_roots(path, Roots(tuple(walls.roots))).read(trust.read_bytes(), TrustList, 0)
    if isinstance(found, SignedFault):
        raise Unread(
            f"{trust}: {found.value}: expected a trust list signed by the root {walls.roots[0].kid.hex()}, or one that followed it"
        )
    return KeyRing.of(found)


def _held(path: Path, walls: Walls) -> Seen:
    """The list as the unit would load it: its newest snapshot, the deltas after it, and the head."""
    folder = ListFolder(path)
    base = folder.bases()[0]
    data = folder.snapshot(base)
    seen = _file(path, data, walls)
    records = folder.deltas(base)
    part = path / PART
    more: dict[str, object] = {**seen.more, "snapshot_version": base.version, "log_records": len(records)}
    if part.exists():
        more["part_bytes"] = part.stat().st_size
    seen = replace(seen, what="list of a unit's cache", more=more, wrong=seen.wrong or _misplaced(folder, base, seen, records))
    held = read_snapshot(data, seen.uri or "", walls.ring, walls.at) if walls.ring is not None else None
    if walls.ring is None or not isinstance(held, StatusList):
        return seen
    applied, fault = follow(held, records, walls.ring, walls.at)
    more["log_applied"] = len(applied)
    wrong = seen.wrong or (f"the log's delta after version {held.version}: {fault.value}: the unit goes on from there" if fault else "")
    if (path / "head").exists():
        head = signed.read(folder.head(), Head, walls.ring, walls.at)
        if isinstance(head, Signed):
            more["head_version"] = head.message.version
            held.adopt(head.message)
        else:
            wrong = wrong or f"head: signature {head.value}: {MEANING[head]}"
    entries = Entries(status.BITS, held.packed[:])
    return replace(seen, version=held.version, digest=held.digest, as_of=held.as_of, entries=entries, more=more, wrong=wrong)


def _misplaced(folder: ListFolder, base: Base, seen: Seen, records: Sequence[bytes]) -> str:
    """What does not agree between names and contents: one line, or empty."""
    if seen.uri is not None and folder.folder.name != hashlib.sha256(seen.uri.encode()).hexdigest()[:32]:
        return "the folder is not named for this list: the unit does not look here"
    if (seen.epoch, seen.version) != (base.epoch, base.version):
        return f"the snapshot is named for epoch {base.epoch}, version {base.version}"
    rest = folder.behind(base, records)
    return f"the log is damaged after {len(records)} deltas: {rest} bytes do not count" if rest else ""
