"""A whole issuer in a folder: root, keys of mode 0600, trust list, seal, configuration. Real files, real keys, small lists."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from healthcode.cose import SoftwareKey
from healthcode.messages import TrustEntry, TrustHead, TrustList
from healthcode.signed import write
from healthcode.terms import Colour, Form, Use
from healthcode.trust import KeyRing, entry_for
from server.actors import AT_CONSOLE
from server.config import Config, load
from server.facts import HandReason, SetByHand
from server.office import Office, open_office
from server.registry import Resident
from server.sealing import create_seal
from server.store import Store

ISSUER, URI = "CN-HB", "https://hb.example/s/1"
FOREIGN, FOREIGN_URI = "CN-HN", "https://hn.example/s/1"
CAPACITY = 4096
USES = (Use.TOKEN, Use.LIST, Use.TIME, Use.ACK)
PACK_S, PAPER_S = 86_400, 100 * 86_400


@cache
def new_database() -> bytes:
    """SQLite's file of a registry as it is before its first resident: the migrations are made once in a process of the tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "registry.sqlite"
        store = Store.open(f"sqlite:///{path}")
        store.migrate(0)
        store.close()
        return path.read_bytes()


class Clock:
    """Time that a test moves; seconds since 1970."""

    def __init__(self, at: float = 1_700_000_000.5) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def entry(key: SoftwareKey, use: Use, issuer: str = ISSUER, uri: str = URI, epoch: int = 1) -> TrustEntry:
    """What the root says of a key: everything that its use needs."""
    return entry_for(
        key,
        issuer=issuer,
        use=use,
        sign_from=0,
        uris=[uri] if use in (Use.TOKEN, Use.LIST) else [],
        forms=[Form.LIVE, Form.PAPER] if use is Use.TOKEN else [],
        max_lifetime_s=PAPER_S if use is Use.TOKEN else 0,
        epoch=epoch if use is Use.LIST else 0,
    )


@dataclass
class Town:
    """The folder of one issuer."""

    folder: Path
    root: SoftwareKey = field(default_factory=SoftwareKey.generate)
    keys: dict[Use, SoftwareKey] = field(default_factory=dict)
    entries: list[TrustEntry] = field(default_factory=list)
    version: int = 0
    database: str = ""
    """The URL of its database, whose tables are there; empty: SQLite in the folder."""

    def __post_init__(self) -> None:
        keys = self.folder / "keys"
        keys.mkdir(parents=True)
        (keys / "root.pub.pem").write_bytes(self.root.public_key.to_pem())
        for use in USES:
            self.keys[use] = SoftwareKey.generate()
            self._private(keys / f"{use.value}.pem", self.keys[use].to_pem())
        create_seal(keys / "seal.key")
        if not self.database:
            (self.folder / "data").mkdir()
            (self.folder / "data" / "registry.sqlite").write_bytes(new_database())
        self.publish([entry(key, use) for use, key in self.keys.items()])

    def publish(self, entries: Sequence[TrustEntry]) -> None:
        """A new signed trust list and head in the keys folder."""
        self.version += 1
        self.entries = list(entries)
        trust_list = TrustList(version=self.version, signed_at=0, expires_at=2**40 - 1, entries=self.entries)
        body = write(trust_list, self.root)
        head = TrustHead(version=self.version, size=len(body), sha256=hashlib.sha256(body).digest(), signed_at=0)
        for name, content in (("trust.cbor", body), ("trust-head.cbor", write(head, self.root))):
            fresh = self.folder / "keys" / f"{name}.new"
            fresh.write_bytes(content)
            fresh.replace(self.folder / "keys" / name)

    def ring(self) -> KeyRing:
        """The trust list in force."""
        return KeyRing(self.version, self.entries)

    def configure(self, extra: str = "", port: int = 1883) -> Path:
        """Writes the configuration; its path."""
        path = self.folder / "server.toml"
        top = [f'issuer = "{ISSUER}"', f'uri = "{URI}"', *([f'database = "{self.database}"'] if self.database else []), extra]
        path.write_text("\n".join([*top, "[broker]", f"port = {port}", "backoff_max_s = 1", ""]))
        return path

    def config(self, extra: str = "", port: int = 1883) -> Config:
        """The configuration, read."""
        return load(self.configure(extra, port))

    def open(self, clock: Clock) -> Office:
        """Store and registry with a small list."""
        return open_office(self.config(), clock, CAPACITY)

    @staticmethod
    def _private(path: Path, content: bytes) -> None:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(content)


def set_colour(office: Office, resident: str, colour: Colour, reason: HandReason) -> Resident:
    """A colour set by hand as if two officers had agreed on it: what the rules, the lists and the gates make of it is tested elsewhere."""
    registry = office.registry
    with office.store.write() as tx:
        at = registry.moment_after(tx, [resident])
        registry.record(tx, resident, SetByHand(at, colour, reason, "officers"), at, AT_CONSOLE)
    found = registry.find(resident)
    assert found is not None
    return found
