"""Who holds the root: changes the keys folder as people do, with what `healthgate keys` does, and at random.

Keys are Ed25519 keys drawn from the seed: their signatures are the same at each run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from healthcode.cose import Algorithm, PublicKey, SoftwareKey
from healthcode.messages import MAX_ROTATIONS, TrustEntry, TrustList
from healthcode.terms import Use
from healthgate import keyring_files, own_lists, root_rotation, rotation
from healthgate.simulation.schedule import Schedule, Trace
from server.keys import read_chain

NOON = 1_583_323_200
"""Virtual second 0, in seconds since 1970."""
ISSUER = "CN-HB"
USES = (Use.LIST, Use.TIME, Use.ACK)
"""Whose keys change: nobody shows codes in this town."""
MOST_KEYS = 3
"""Keys of a use at once; of more the oldest is withdrawn."""


def drawn_key(random: Random) -> SoftwareKey:
    """A key from the seed."""
    return SoftwareKey(Ed25519PrivateKey.from_private_bytes(random.randbytes(32)))


class Keyholder:
    """The keys folder and the people before it, whose clocks are right."""

    def __init__(self, folder: Path, schedule: Schedule, random: Random, trace: Trace, uris: Sequence[str]) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.signed: dict[int, TrustList] = {}
        """Every trust list that a root signed, by its version."""
        self._schedule = schedule
        self._random = random
        self._trace = trace
        self._begins = dict.fromkeys(USES, 0)
        self._keys: dict[Use, list[bytes]] = {}
        self._kept_roots: list[bytes] = []
        self._now(keyring_files.init(folder, ISSUER, uris[0], NOON, algorithm="Ed25519", make_key=self._make))
        for uri in uris[1:]:
            self._now(own_lists.open_list(folder, uri, NOON))
        for entry in self.newest.entries:
            self._keys.setdefault(entry.use, []).append(entry.kid)
        self.first_root = PublicKey.from_pem((folder / keyring_files.ROOT_PUBLIC_FILE).read_bytes())

    @property
    def newest(self) -> TrustList:
        """The trust list that was signed last."""
        return self.signed[max(self.signed)]

    def renew(self) -> None:
        """The same entries again."""
        self._now(keyring_files.renew(self.folder, self._at))

    def raise_epoch(self) -> None:
        """A new epoch of our lists."""
        self._now(own_lists.raise_epoch(self.folder, self._at))

    def recognise(self, entries: Sequence[TrustEntry]) -> None:
        """Another issuer's keys."""
        self._now(keyring_files.recognise(self.folder, entries, self._at))

    def rotate(self) -> None:
        """The next key of a use, unless one is on its way."""
        use = self._random.choice(USES)
        if self._begins[use] > self._at:
            return
        if len(self._keys[use]) >= MOST_KEYS:
            self._withdraw(use, self._keys[use][0])
        overlap = rotation.Overlap(self._random.choice([0, 20, 120]), self._random.choice([60, 600]))
        done = rotation.rotate(self.folder, use, self._at, overlap=overlap, make_key=self._make)
        self._begins[use] = done.begins
        self._keys[use].append(done.new.kid)
        self._now(done.trust_list, f"the {use.value} key {done.new.kid.hex()} signs from {done.begins - NOON}")

    def withdraw(self) -> None:
        """A key that has been followed by another counts no more."""
        use = self._random.choice(USES)
        if len(self._keys[use]) > 1 and self._begins[use] <= self._at:
            self._withdraw(use, self._random.choice(self._keys[use][:-1]))

    def rotate_root(self) -> None:
        """The next root; or the end of one that was kept beside its successor."""
        if self._kept_roots and self._random.random() < 0.5:
            self._now(root_rotation.end_root(self.folder, self._kept_roots.pop(0), self._at).trust_list, "ends a root")
        elif len(read_chain(self.folder)[1].rotations) < MAX_ROTATIONS:
            keep = self._random.random() < 0.5
            done = root_rotation.rotate_root(self.folder, self._at, keep_old=keep, make_key=self._make)
            if keep:
                self._kept_roots.append(done.old.kid)
            self._now(done.trust_list, f"root {done.new.kid.hex()} follows")

    def reset_clocks(self, units: Iterable[str]) -> None:
        """Units whose clocks were led astray are told what time it is."""
        for unit in units:
            reset, _ = keyring_files.reset_clock(self.folder, unit, self._at - self._random.randrange(60))
            self._trace.note(self._schedule.now, "root", f"resets the clock of {unit}, serial {reset.serial}")

    @property
    def _at(self) -> int:
        return NOON + int(self._schedule.now)

    def _withdraw(self, use: Use, kid: bytes) -> None:
        self._keys[use].remove(kid)
        trust_list = keyring_files.withdraw(self.folder, kid, self._at)
        for path in self.folder.glob(f"{use.value}*.pem"):
            if SoftwareKey.from_pem(path.read_bytes()).kid == kid:
                path.unlink()
        self._now(trust_list, f"the {use.value} key {kid.hex()} is withdrawn")

    def _make(self, _algorithm: Algorithm) -> SoftwareKey:
        return drawn_key(self._random)

    def _now(self, trust_list: TrustList, what: str = "") -> None:
        self.signed[trust_list.version] = trust_list
        epochs = sorted({entry.epoch for entry in trust_list.entries if entry.use is Use.LIST})
        self._trace.note(self._schedule.now, "root", f"signs trust list {trust_list.version}, epochs {epochs} {what}")
