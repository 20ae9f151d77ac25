"""A new key in the place of an old one, with a time in which both count, so that no gate that was off line stands without.

    before BEGINS           the old key signs; gates learn of the new one
    BEGINS to its end       the new key signs (`server.keys.Signers` changes over by itself); the old one may still
    a code's life longer    what the old key signed still counts

Times are whole seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from healthcode.cose import Algorithm, Signer, SoftwareKey
from healthcode.messages import TrustEntry, TrustList
from healthcode.terms import Use
from healthcode.trust import GRACE_S, entry_for
from healthgate.keyring_files import DAY_S, KeysError, Lifetimes, MakeKey, open_trust, own_issuer, own_signers, write_key, write_next
from healthgate.times import rfc3339
from server.keys import CLOCK_MARGIN_S, WARNING_S

KEPT_S = 28 * DAY_S
"""How long what a key signed counts beyond its last signature, at least: gates keep lists on disk, and may be off line for weeks."""


@dataclass(frozen=True)
class Overlap:
    """`lead_s`: how long gates have to learn of the new key before it signs. `both_s`: how long the old one may sign after that."""

    lead_s: int
    both_s: int = DAY_S


OVERLAPS: Mapping[Use, Overlap] = {
    Use.TOKEN: Overlap(DAY_S),  # a gate that is off line for less meets no code whose key it does not know
    Use.LIST: Overlap(3600),
    Use.TIME: Overlap(3600),
    Use.ACK: Overlap(3600),
    Use.CONFIG: Overlap(3600),
}
"""What holds unless somebody says otherwise. What all but token keys sign reaches a gate over the link, as the trust list does."""


@dataclass(frozen=True)
class Rotated:
    """What a rotation did: `begins` is when the new key signs, `old` what is left of the keys before it."""

    trust_list: TrustList
    path: Path
    begins: int
    new: TrustEntry
    old: tuple[TrustEntry, ...]


def rotate(
    folder: Path,
    use: Use,
    at: float,
    *,
    overlap: Overlap | None = None,
    algorithm: Algorithm | None = None,
    keys_days: int = Lifetimes.keys_days,
    make_key: MakeKey = SoftwareKey.generate,
) -> Rotated:
    """Makes the next key of a use and the trust list in which both count; KeysError where there is none to follow, or one is on its way.

    The key for configurations is the one use that may begin here: folders that are older have none.

    The scope is that of the key before. A code counts until its own end: verify_until outlasts the longest that the old key may sign.
    """
    now, overlap = int(at), overlap or OVERLAPS[use]
    root, held = open_trust(folder)
    own = own_issuer(folder, held)
    if use is Use.CONFIG and not any(folder.glob(f"{use.value}*.pem")):
        return _begin_config(folder, root, held, own, at, keys_days, make_key)
    mine = {signer.public for signer in own_signers(folder, use)}
    ours = [entry for entry in held.entries if entry.issuer == own and entry.use is use and entry.key in mine]
    if not ours:
        raise KeysError(f"{folder}: no {use.value} key of {own} is in the trust list: expected one to follow")
    before = max(reversed(ours), key=lambda entry: (entry.epoch, entry.sign_from))
    if before.sign_from + CLOCK_MARGIN_S > now and overlap.lead_s:
        began = rfc3339(before.sign_from + CLOCK_MARGIN_S)
        raise KeysError(f"the {use.value} key {before.kid.hex()} begins to sign at {began}: expected a time after it, or --now")
    begins = now + overlap.lead_s
    signer = make_key(algorithm or _algorithm_of(before))
    new = _entry(signer, before, begins, begins + keys_days * DAY_S)
    old = {entry.key: _shorten(entry, begins + overlap.both_s) for entry in ours}
    entries = [old.get(entry.key, entry) if entry in ours else entry for entry in held.entries]
    path = folder / f"{use.value}-{signer.kid.hex()}.pem"
    write_key(path, signer)
    try:
        made = write_next(folder, root, held, [*(entry for entry in entries if entry.verify_until >= now), new], at)
    except KeysError:
        path.unlink()
        raise
    return Rotated(made, path, begins, new, tuple(entry for entry in old.values() if entry.verify_until >= now))


def _begin_config(folder: Path, root: Signer | None, held: TrustList, own: str, at: float, keys_days: int, make_key: MakeKey) -> Rotated:
    """The first key for configurations, in a folder that is older than they are. It signs at once: no gate waits for it."""
    now = int(at)
    like = next(entry for entry in held.entries if (entry.issuer, entry.use) == (own, Use.ACK))
    signer = make_key(_algorithm_of(like))
    sign_until = now + keys_days * DAY_S
    new = entry_for(
        signer,
        issuer=own,
        use=Use.CONFIG,
        sign_from=now - CLOCK_MARGIN_S,
        sign_until=sign_until,
        verify_until=sign_until + KEPT_S,
    )
    path = folder / f"{Use.CONFIG.value}.pem"
    write_key(path, signer)
    try:
        made = write_next(folder, root, held, [*held.entries, new], at)
    except KeysError:
        path.unlink()
        raise
    return Rotated(made, path, now, new, ())


def find_warnings(trust_list: TrustList, at: float) -> list[str]:
    """What ends within thirty days of `at`, one line each: the trust list, and keys that no later one of the same use follows."""
    lines = []
    left = trust_list.expires_at - at
    if left < WARNING_S:
        what = "gates go on for 30 days after its end" if -left <= GRACE_S else "gates call the guard for every code"
        ended = f"ended {-left / DAY_S:.0f} days ago: {what}"
        ends = f"ends in {left / DAY_S:.0f} days" if left > 0 else ended
        lines.append(f"the trust list {ends}: `keys renew`")
    own = {entry.issuer for entry in trust_list.entries if entry.use is Use.ACK}
    groups: dict[tuple[str, Use], list[TrustEntry]] = {}
    for entry in trust_list.entries:
        if entry.use not in (Use.DCC, Use.COMMAND):
            groups.setdefault((entry.issuer, entry.use), []).append(entry)
    for (issuer, use), keys in groups.items():
        last = max(keys, key=lambda key: key.sign_until)
        if not any(key.sign_from <= at <= key.sign_until for key in keys):
            anew = ": `keys release-key`" if use is Use.RELEASE else ": `keys rotate --now`"
            lines.append(f"no {use.value} key of {issuer} may sign now{anew if issuer in own else ''}")
        elif last.sign_until - at < WARNING_S:
            next_own = "`keys release-key`" if use is Use.RELEASE else "`keys rotate`"
            todo = next_own if issuer in own else "`keys add` when they send the next"
            days = (last.sign_until - at) / DAY_S
            lines.append(f"the {use.value} key {last.kid.hex()} of {issuer} signs for {days:.0f} days more: {todo}")
    ending = [entry for entry in trust_list.entries if entry.use is Use.COMMAND and entry.sign_until - at < WARNING_S]
    for name, left_s in {entry.name: entry.sign_until - at for entry in ending}.items():
        end = f"signs for {left_s / DAY_S:.0f} days more" if left_s > 0 else f"ended {-left_s / DAY_S:.0f} days ago"
        lines.append(f"the key of the operator {name} {end}: `keys operator add`, or `keys withdraw`")
    return lines


def _entry(signer: Signer, before: TrustEntry, begins: int, sign_until: int) -> TrustEntry:
    return entry_for(
        signer,
        issuer=before.issuer,
        use=before.use,
        sign_from=begins - CLOCK_MARGIN_S,
        sign_until=sign_until,
        verify_until=sign_until + _kept_s(before),
        uris=before.uris,
        forms=before.forms,
        max_lifetime_s=before.max_lifetime_s,
        epoch=before.epoch,
    )


def _shorten(entry: TrustEntry, end: int) -> TrustEntry:
    sign_until = min(entry.sign_until, end)
    return msgspec.structs.replace(entry, sign_until=sign_until, verify_until=min(entry.verify_until, sign_until + _kept_s(entry)))


def _kept_s(entry: TrustEntry) -> int:
    return max(entry.max_lifetime_s, KEPT_S)


def _algorithm_of(entry: TrustEntry) -> Algorithm:
    return "Ed25519" if entry.algorithm == "Ed25519" else "ES256"
