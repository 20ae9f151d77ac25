"""Bugs for the simulation to find: each breaks a unit, or the disk under it, from outside. No product module knows of any."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from edge import cache as cache_module
from edge.files import write_atomically
from edge.linkwords import Saying
from edge.listfolder import ListFolder
from edge.outbox import Outbox
from edge.sync import Sync
from edge.syncwords import TRUST, Adopt, Apply, Ignored, Output, Swap, Why
from healthcode import cose, status, topics
from healthcode.messages import ChunkAnswer, Delta, EventBatch, Head, decode
from healthcode.signed import Signed, SignedFault
from healthcode.status import DeltaFault, StatusList
from healthcode.trust import KeyRing
from healthgate.simulation.gate import Gate


@dataclass(frozen=True)
class Plant:
    """How a bug is planted: what is patched, and which unit is run."""

    patch: Callable[[pytest.MonkeyPatch], None] = lambda monkeypatch: None
    make_gate: type[Gate] = Gate
    rare: bool = False
    """Shows in one seed of ten or fewer: the search takes a while."""


class ForgetsOnPuback(Gate):
    """Takes the broker's word for the server's."""

    def taken_by_broker(self, topic: str, payload: bytes) -> None:
        if topic == topics.up(self.name, "events"):
            self._do(lambda: self._forget(decode(payload, EventBatch)))

    def _forget(self, batch: EventBatch) -> list[Saying]:
        with self.outbox._lock, self.outbox._transaction() as connection:
            connection.executemany(
                "DELETE FROM events WHERE seq = ? AND boot = (SELECT number FROM boots WHERE boot_id = ?)",
                [(event.seq, batch.boot_id) for event in batch.events],
            )
            self.outbox._pending = connection.execute("SELECT count(*) FROM events WHERE state = 0").fetchone()[0]
        return []


class CountsItsBoots(Gate):
    """Makes its boot_id of a number on its card instead of drawing it: on a new card it begins anew."""

    def draw_boot_id(self) -> str:
        path = self.disk.files / "boots"
        number = int(path.read_text()) + 1 if path.exists() else 1
        write_atomically(path, str(number).encode(), self.disk.calls)
        return hashlib.sha256(f"{self.name} {number}".encode()).hexdigest()[:32]


class LosesFiles(Gate):
    """fsync does nothing."""

    def start(self) -> None:
        self.disk.syncs_files = False
        super().start()


class LosesCommits(Gate):
    """The outbox's database is not synced."""

    def start(self) -> None:
        self.disk.syncs_database = False
        super().start()


def apply_on_any_version(monkeypatch: pytest.MonkeyPatch) -> None:
    really_delta = Sync.delta

    def delta(sync: Sync, delta: Signed[Delta], raw: bytes, at: float) -> list[Output]:
        outputs = really_delta(sync, delta, raw, at)
        return [Apply(delta, raw)] if outputs == [Ignored(delta.message.uri, Why.KEPT)] else outputs

    def apply(held: StatusList, delta: Delta) -> DeltaFault | None:
        changes = status.read_changes(delta, held.capacity)
        if held.epoch != delta.epoch or held.version >= delta.to or changes is None:
            return DeltaFault.GAP
        held._set(changes[0], changes[1])
        held.version, held.digest, held.as_of = delta.to, delta.digest, max(held.as_of, delta.as_of)
        return None

    monkeypatch.setattr(Sync, "delta", delta)
    monkeypatch.setattr(StatusList, "apply", apply)


def swap_unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    really_chunk = Sync.chunk

    def chunk(sync: Sync, chunk: ChunkAnswer, at: float) -> list[Output]:
        mine = sync._lists.get(chunk.uri)
        before = b"" if mine is None or mine.fetch is None else bytes(mine.fetch.data)
        outputs = really_chunk(sync, chunk, at)
        if chunk.uri != TRUST and Ignored(chunk.uri, Why.DIGEST) in outputs:
            return [Swap(chunk.uri, before + chunk.body)]
        return outputs

    def read_snapshot(data: bytes, uri: str, keys: KeyRing, at: float) -> StatusList | SignedFault:
        del keys, at
        try:
            return status._read_list(cose.parse(data, strict=False).payload, uri) or SignedFault.CONTENT
        except ValueError:
            return SignedFault.COSE

    monkeypatch.setattr(Sync, "chunk", chunk)
    monkeypatch.setattr(cache_module, "read_snapshot", read_snapshot)


def adopt_any_head(monkeypatch: pytest.MonkeyPatch) -> None:
    really_head = Sync.head

    def head(sync: Sync, head: Signed[Head], raw: bytes, at: float) -> list[Output]:
        outputs = really_head(sync, head, raw, at)
        return [Adopt(head, raw)] if outputs == [Ignored(head.message.uri, Why.AHEAD)] else outputs

    def adopt(held: StatusList, head: Head) -> bool:
        held.as_of = max(held.as_of, head.as_of)
        return True

    monkeypatch.setattr(Sync, "head", head)
    monkeypatch.setattr(StatusList, "adopt", adopt)


def sync_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trusts a second sync where the first has failed."""
    really_flush = ListFolder.flush

    def flush(folder: ListFolder) -> None:
        if folder._log is None or folder._is_whole or folder._snapshot is not None:
            really_flush(folder)
        else:
            folder._sync()

    monkeypatch.setattr(ListFolder, "flush", flush)


def write_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes an event for lost when its commit gives an error."""
    monkeypatch.setattr(Outbox, "_landed", lambda *_: 0)


PLANTS: dict[str, Plant] = {
    "forgets events on PUBACK": Plant(make_gate=ForgetsOnPuback, rare=True),
    "applies a delta on the wrong version": Plant(apply_on_any_version),
    "swaps a snapshot before its digest is checked": Plant(swap_unchecked, rare=True),
    "uses a boot_id again": Plant(make_gate=CountsItsBoots),
    "adopts as_of from a head whose digest differs": Plant(adopt_any_head),
    "loses files that it said it had synced": Plant(make_gate=LosesFiles),
    "loses commits of the outbox that it said it had synced": Plant(make_gate=LosesCommits),
    "syncs again what a sync that failed has lost": Plant(sync_again, rare=True),
    "writes events again that are on disk though their commit gave an error": Plant(write_again),
}
