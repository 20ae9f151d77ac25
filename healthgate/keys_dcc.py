"""`healthgate keys import-dsc` and `keys policy`: whose digital COVID certificates count, and which of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from healthcode.messages import CertificatePolicy, TrustEntry
from healthcode.terms import CertificateKind, Use
from healthgate import certificates, keyring_files
from healthgate.keyring_files import KeysError
from healthgate.times import rfc3339
from server.keys import TRUST_FILE

MAX_FILE = 1024 * 1024
ISSUER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


@dataclass(frozen=True)
class Refused:
    """A certificate that makes no entry, in one line."""

    line: str


def import_signers(
    paths: Sequence[Path], at: float, held: Sequence[TrustEntry] = (), issuer: str = "", kinds: Sequence[CertificateKind] = ()
) -> tuple[list[TrustEntry], list[Refused]]:
    """The entries of the certificates in `paths`, and those refused: unreadable, expired at `at`, in `held` already or given twice.

    `issuer` and `kinds` stand in for what the certificates say. One whose extensions cannot be read needs `kinds` to be named.
    """
    entries: list[TrustEntry] = []
    refused: list[Refused] = []
    for name, der in _certificates(paths):
        made = _entry(name, der, at, issuer, kinds) if isinstance(der, bytes) else der
        if isinstance(made, Refused):
            refused.append(made)
        elif _is_among(made, held):
            refused.append(Refused(f"{name}: {made.kid.hex()} of {made.issuer} is in the trust list already"))
        elif _is_among(made, entries):
            refused.append(Refused(f"{name}: {made.kid.hex()} of {made.issuer} is given twice"))
        else:
            entries.append(made)
    return entries, refused


def read_policy(path: Path) -> CertificatePolicy:
    """The policy in a TOML file; KeysError says in one line what is wrong with it."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise KeysError(f"{path}: {path.stat().st_size} bytes: expected at most {MAX_FILE}")
        policy = msgspec.toml.decode(path.read_bytes(), type=CertificatePolicy)
    except OSError as wrong:
        raise KeysError(f"{path}: cannot be read: {wrong.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise KeysError(f"{path}: {wrong}: expected a policy for certificates in TOML") from None
    for rule in (policy.vaccination, policy.recovery):
        if rule is not None and rule.until_days < rule.from_days:
            raise KeysError(f"{path}: until_days = {rule.until_days}: expected at least from_days = {rule.from_days}")
    if policy.test is not None and policy.test.naa_hours is None and policy.test.rat_hours is None:
        raise KeysError(f"{path}: test: expected naa_hours or rat_hours")
    return policy


def policy_lines(policy: CertificatePolicy | None) -> str:
    """A policy as the TOML that `read_policy` takes."""
    if policy is None:
        return "# no policy: no certificate counts\n"
    said: dict[str, object] = msgspec.to_builtins(policy)
    lines = [f"agents = {json.dumps(said.pop('agents'))}"]
    for table, rule in said.items():
        if isinstance(rule, dict):
            lines += ["", f"[{table}]", *(f"{name} = {json.dumps(value)}" for name, value in rule.items())]
    return "\n".join(lines) + "\n"


def describe(entry: TrustEntry) -> str:
    """An entry in one line."""
    until = rfc3339(entry.sign_until)[:10]
    return f"{entry.issuer} {entry.use.value} {entry.kid.hex()} {entry.algorithm} until {until}: {', '.join(entry.kinds)}"


def as_dict(entry: TrustEntry) -> dict[str, object]:
    """An entry for programs."""
    found: dict[str, object] = msgspec.to_builtins(entry, builtin_types=(bytes,))
    times = {name: rfc3339(getattr(entry, name)) for name in ("sign_from", "sign_until", "verify_until")}
    return found | times | {"kid": entry.kid.hex(), "key": entry.key.hex()}


def held_entries(folder: Path) -> list[TrustEntry]:
    """The entries of the trust list in a keys folder."""
    root = keyring_files.read_root(folder / keyring_files.ROOT_PUBLIC_FILE)
    return keyring_files.read_trust(folder / TRUST_FILE, (root,)).entries


def _certificates(paths: Sequence[Path]) -> Iterator[tuple[str, bytes | Refused]]:
    """Every certificate in the files, named by its file and, where that holds several, its place in it."""
    for path in paths:
        try:
            if path.stat().st_size > MAX_FILE:
                raise ValueError(f"{path.stat().st_size} bytes: expected at most {MAX_FILE}")
            found = certificates.from_file(path.read_bytes())
        except OSError as wrong:
            yield str(path), Refused(f"{path}: cannot be read: {wrong.strerror}")
        except ValueError as wrong:
            yield str(path), Refused(f"{path}: {wrong}")
        else:
            yield from ((str(path) if len(found) == 1 else f"{path} ({place})", der) for place, der in enumerate(found, 1))


def _entry(name: str, der: bytes, at: float, issuer: str, kinds: Sequence[CertificateKind]) -> TrustEntry | Refused:
    try:
        signer = certificates.read_signer(der)
    except ValueError as wrong:
        return Refused(f"{name}: {wrong}")
    if signer.valid_until <= at:
        return Refused(f"{name}: expired on {rfc3339(signer.valid_until)[:10]}")
    country = issuer or signer.country
    if not ISSUER.fullmatch(country):
        return Refused(f"{name}: names no country: say --issuer")
    allowed = tuple(kinds) or signer.kinds
    if allowed is None:
        return Refused(f"{name}: its extensions cannot be read, so nobody knows what it may sign: say --kind")
    return certificates.trust_entry(signer, country, allowed)


def _is_among(entry: TrustEntry, entries: Sequence[TrustEntry]) -> bool:
    return any((other.use, other.kid, other.key) == (Use.DCC, entry.kid, entry.key) for other in entries)
