"""`healthgate keys inspect`: what a file of ours is, who signed it, and what it says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from healthcode import cbor, cose, signed, token
from healthcode.cose import PublicKey, Sign1, Signer
from healthcode.messages import MAX_CHAIN, MAX_SNAPSHOT, Message, RootChain, RootRotation, TrustList
from healthcode.roots import ACCEPTED, ROTATION, Roots, describe_root
from healthcode.signed import KINDS, Signed, SignedFault
from healthcode.status import SNAPSHOT_TYP, SUB, read_snapshot
from healthcode.trust import KeyRing
from healthgate import keyring_files
from healthgate.errors import one_line_errors
from healthgate.keyring_files import KeysError
from healthgate.keys_shown import Shown, as_dict, show_trust
from healthgate.signers import SignerError, open_signer
from healthgate.times import LATEST, BadTime, moment, rfc3339

NOT_CHECKED = "not checked"
TIMES = frozenset({"signed_at", "expires_at", "as_of", "floor"})
"""Fields in seconds since 1970."""


@dataclass(frozen=True)
class Found:
    """What a file is. `signature` is "good", NOT_CHECKED, a fault's name, or empty where nothing is signed; `says` is for programs."""

    what: str
    signature: str = ""
    kid: str = ""
    algorithm: str = ""
    says: object = None
    trust_list: TrustList | None = None


@dataclass(frozen=True)
class Walls:
    """What to check against: root keys, and a trust list's keys (None: none given) at the time `at`."""

    roots: Sequence[PublicKey]
    ring: KeyRing | None
    at: float


@one_line_errors("healthgate keys", KeysError, SignerError, BadTime)
def inspect(
    file: Annotated[Path, typer.Argument(help="A signed object, a request or a key in PEM.", show_default=False)],
    root: Annotated[list[Path] | None, typer.Option(help="A root's public key.", show_default=False)] = None,
    trust: Annotated[Path | None, typer.Option(help="The trust list whose keys count.", show_default=False)] = None,
    at: Annotated[str, typer.Option(help="The time to judge at, ISO 8601.", show_default="now")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say what FILE is, who signed it and what it says.

    Trust lists and heads, list heads, deltas, snapshots, watermarks, time answers, clock resets, operators' commands, rotations of roots,
    requests, keys.
    Exit status 1 where a signature was checked and does not count. A private key is named, never shown.
    """
    roots = tuple(keyring_files.read_root(path) for path in root or ())
    ring = None if trust is None else KeyRing.of(keyring_files.read_trust(trust, roots or None))
    if trust is not None and not roots:
        typer.echo("healthgate keys: the trust list's own signature is not checked: name the root's public key with --root", err=True)
    found = look_at(file, Walls(roots, ring, moment(at, "--at", time.time())))
    if as_json:
        shown = {"path": str(file), "what": found.what, "signature": found.signature, "kid": found.kid, "algorithm": found.algorithm}
        typer.echo(json.dumps(shown | {"says": found.says}))
    else:
        by = f"{', by' if found.signature else ''} {found.kid} ({found.algorithm})" if found.kid else ""
        said = f", signature {found.signature if found.signature == 'good' else found.signature.upper()}" if found.signature else ""
        typer.echo(f"{file}: {found.what}{by}{said}")
        if found.trust_list is not None:
            show_trust(Shown(file, found.trust_list, found.signature == "good", not found.signature), as_json=False)
        elif isinstance(found.says, dict):
            for name, value in found.says.items():
                typer.echo(f"  {name}: {value if isinstance(value, str) else json.dumps(value)}")
    if found.signature not in ("", "good", NOT_CHECKED):
        raise typer.Exit(1)


def look_at(file: Path, walls: Walls) -> Found:
    """What the file is; KeysError where it is nothing of ours."""
    data = keyring_files.read_file(file, MAX_SNAPSHOT)
    if data.startswith(b"-----BEGIN"):
        return _key(file, data)
    if data.startswith(token.PREFIX.encode()):
        raise KeysError(f"{file}: the text of a code: `healthgate code read` reads those")
    try:
        sign1 = cose.parse(data)
    except cbor.NotCbor as wrong:
        raise KeysError(f"{file}: {wrong}: expected a signed object, a request or a key in PEM") from None
    except cose.NotSign1 as wrong:
        return _unsigned(file, data, str(wrong), walls)
    return _signed(file, data, sign1, walls)


def _key(file: Path, data: bytes) -> Found:
    if b"PRIVATE" in data:
        signer: Signer = open_signer(str(file))
        return Found("private key", kid=signer.kid.hex(), algorithm=signer.algorithm, says={"public": signer.public.hex()})
    public = keyring_files.read_root(file)
    return Found("public key", kid=public.kid.hex(), algorithm=public.algorithm, says={"public": public.raw.hex()})


def _unsigned(file: Path, data: bytes, why: str, walls: Walls) -> Found:
    try:
        return _chain(signed.unpack(data, RootChain, MAX_CHAIN), walls)
    except ValueError:  # no chain, or one of what are no rotations
        pass
    try:
        request = keyring_files.read_request(file)
    except KeysError:
        raise KeysError(f"{file}: {why}: expected a signed object, a request or a key in PEM") from None
    says = as_dict(Shown(file, request, checked=False, is_request=True))
    return Found(f"request for trust list {request.version}, not signed", says=says, trust_list=request)


def _rotation(data: bytes, sign1: Sign1, roots: Sequence[PublicKey]) -> Found:
    """A rotation is good where it follows one of the roots named, and the new root has signed it too."""
    inner = signed.parse_as(sign1.payload, ACCEPTED)
    says = {} if isinstance(inner, SignedFault) else _readable(signed.unpack(inner.payload, RootRotation, ACCEPTED.limit))
    taken = Roots(tuple(roots)).take(data)
    signature = NOT_CHECKED if not roots else "good" if isinstance(taken, Roots) else taken.value
    return Found("rotation of a root", signature, sign1.kid.hex(), sign1.algorithm or "", says)


def _chain(chain: RootChain, walls: Walls) -> Found:
    after, faults = Roots(tuple(walls.roots)).offer(chain.rotations)
    signature = NOT_CHECKED if not walls.roots else next((fault.value for fault in faults.values()), "good")
    said = [_readable(signed.unpack(cose.parse(cose.parse(raw).payload).payload, RootRotation, ACCEPTED.limit)) for raw in chain.rotations]
    says = {"rotations": said, "roots": [describe_root(root) for root in after.known()]}
    return Found(f"chain of {len(said)} rotations of roots", signature, says=says)


def _signed(file: Path, data: bytes, sign1: Sign1, walls: Walls) -> Found:
    kid, algorithm = sign1.kid.hex(), sign1.algorithm or "unknown algorithm"
    if sign1.typ == ROTATION.typ:
        return _rotation(data, sign1, walls.roots)
    if sign1.typ == SNAPSHOT_TYP:
        return _snapshot(file, data, kid, algorithm, walls)
    kind = next((kind for kind, what in KINDS.items() if what.typ == sign1.typ), None)
    if kind is None:
        if sign1.typ == token.TYP:
            raise KeysError(f"{file}: a code: `healthgate code read` reads those")
        raise KeysError(f"{file}: typ {sign1.typ[:60]!r}: expected one of {', '.join(what.typ for what in KINDS.values())}")
    try:
        message = signed.unpack(sign1.payload, kind, KINDS[kind].limit)
    except ValueError as wrong:
        raise KeysError(f"{file}: {wrong}") from None
    signature = checked(data, kind, walls)
    trust_list = message if isinstance(message, TrustList) else None
    says = _readable(message) if trust_list is None else as_dict(Shown(file, trust_list, signature == "good"))
    return Found(NAMES[kind.__name__], signature, kid, algorithm, says, trust_list)


def checked(data: bytes, kind: type[Message], walls: Walls) -> str:
    """What comes of the signature of a message of this kind: "good", NOT_CHECKED where there is nothing to check by, or the fault."""
    if KINDS[kind].use is None:
        return _word(lambda: signed.read_rooted(data, kind, walls.roots)) if walls.roots else NOT_CHECKED
    ring = walls.ring
    return NOT_CHECKED if ring is None else _word(lambda: signed.read(data, kind, ring, walls.at))


def _word(read: Callable[[], Message | Signed[Message] | SignedFault]) -> str:
    found = read()
    return found.value if isinstance(found, SignedFault) else "good"


def _snapshot(file: Path, data: bytes, kid: str, algorithm: str, walls: Walls) -> Found:
    """Its uri, version and place are within the signed claims, and are judged against the entry of the list that it says it is of."""
    uri = cbor.load(cose.parse(data).payload)
    named = uri.get(SUB) if isinstance(uri, dict) else None
    if not isinstance(named, str):
        raise KeysError(f"{file}: a status list without the name of its list")
    if walls.ring is None:
        return Found("snapshot of a status list", NOT_CHECKED, kid, algorithm, {"uri": named, "bytes": len(data)})
    held = read_snapshot(data, named, walls.ring, walls.at)
    if isinstance(held, SignedFault):
        return Found("snapshot of a status list", held.value, kid, algorithm, {"uri": named, "bytes": len(data)})
    says = {"uri": named, "bytes": len(data), "epoch": held.epoch, "version": held.version, "as_of": rfc3339(held.as_of)}
    return Found("snapshot of a status list", "good", kid, algorithm, says | {"digest": held.digest.hex(), "entries": held.capacity})


def _readable(message: Message) -> dict[str, object]:
    found: dict[str, object] = msgspec.to_builtins(message, builtin_types=(bytes,))
    for name, value in found.items():
        if name in TIMES and isinstance(value, int) and value <= LATEST:
            found[name] = rfc3339(value)
        elif name == "at_ms" and isinstance(value, int):
            found[name] = rfc3339(value / 1000)
        elif name in ("gaps", "values") and isinstance(value, bytes):
            found[name] = f"{len(value)} bytes"
    result: dict[str, object] = json.loads(json.dumps(found, default=lambda data: data.hex()))
    return result


NAMES = {
    "Head": "head of a status list",
    "Delta": "changes of a status list",
    "Watermark": "watermark",
    "AuditHead": "head of the audit log",
    "Release": "release",
    "TimeAnswer": "time answer",
    "TrustList": "trust list",
    "TrustHead": "head of the trust list",
    "ClockReset": "reset of a clock",
    "Command": "command of an operator",
    "Desired": "configuration of a unit",
}
"""What people call each kind."""
