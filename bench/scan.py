"""How much the reader reads, and what it costs, against its peers on the same frames in the same run. docs/decisions/0010 says why.

Photographs and empty frames are timed in this process, alone, every reader in turn on each picture, the order rotated. Presentations and
the search for false reads, where only texts count, are spread over the processors.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import numpy as np

from bench.peers import FRAME_PEERS, PEERS
from bench.presentations import CONDITIONS, FPS, empty_frames, present
from edge.config import Camera
from edge.drivers.camera import Frame
from edge.drivers.luma import Pixels, load_luma
from edge.scan import Crowd, Reader, Sighting

STAGES = Camera().stages
WITHIN = (1, 3, 5, 8)
"""Frames within which a presentation is to be read."""

ROUNDS = 3
"""How often every photograph is read; the shortest time counts."""

TIMED = 400
"""Empty frames on which all readers are timed."""

CHUNK = 200
"""Empty frames that one task takes."""

Step = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


@dataclass
class Tally:
    """What one reader made of a set of photographs: pictures whose texts are just those expected, other texts, milliseconds a picture."""

    read: int = 0
    wrong: int = 0
    ms: float = 0.0


@dataclass
class Outcome:
    """Everything measured. `reads` holds, by reader and condition, which frames of every presentation were read."""

    photos: dict[str, Tally] = field(default_factory=dict)
    photo_total: int = 0
    reads: dict[str, dict[str, list[list[bool]]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    empty_ms: dict[str, float] = field(default_factory=dict)
    empty_total: int = 0
    false_reads: int = 0

    def within(self, reader: str, frames: int, condition: str | None = None) -> int:
        """Presentations that `reader` read within `frames`, under `condition` or all."""
        return sum(any(frame[:frames]) for frame in self._presentations(reader, condition))

    def single(self, reader: str, condition: str | None = None) -> float:
        """The part of single frames that `reader` read."""
        frames = [read for frame in self._presentations(reader, condition) for read in frame]
        return sum(frames) / len(frames) if frames else 0.0

    def total(self, condition: str | None = None) -> int:
        """Presentations shown."""
        return len(self._presentations("ours", condition))

    def _presentations(self, reader: str, condition: str | None) -> list[list[bool]]:
        chosen = CONDITIONS if condition is None else (condition,)
        return [frames for one in chosen for frames in self.reads[reader][one]]

    def as_json(self) -> str:
        """One line of JSON. Counts are pictures and presentations; times are milliseconds a picture."""
        ours = self.photos.get("ours", Tally())
        photos = {"total": self.photo_total, "read": ours.read, "wrong": ours.wrong, "ms": round(ours.ms, 3)}
        peers = {
            name: {"read": one.read, "wrong": one.wrong, "ms": round(one.ms, 3)} for name, one in self.photos.items() if name != "ours"
        }
        shown = {"total": self.total(), "within": self._all_within("ours")}
        others = {name: {"single": round(self.single(name), 4), "within": self._all_within(name)} for name in FRAME_PEERS}
        empty = {name: round(ms, 3) for name, ms in self.empty_ms.items()}
        return json.dumps(
            {
                "photos": {**photos, "peers": peers},
                "presentations": {**shown, "peers": others},
                "empty_frame_ms": {"ours": empty.pop("ours", 0.0), "peers": empty},
                "false_reads": self.false_reads,
            }
        )

    def _all_within(self, reader: str) -> dict[str, int]:
        return {str(frames): self.within(reader, frames) for frames in WITHIN}


class NoIndex(ValueError):
    """A folder of photographs without an index of what they show: one line."""


def run(photos: Path | None, presentations: int, empty: int, seed: int, step: Step) -> Outcome:
    """The whole benchmark; NoIndex where `photos` is no folder of photographs with their index.json."""
    outcome = Outcome()
    if photos is not None:
        _photographs(outcome, photos, step)
    _time_empty(outcome, min(empty, TIMED), seed, step)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context) as pool:
        for done, (condition, reads, false) in enumerate(pool.map(partial(_presented, seed), range(presentations), chunksize=2), 1):
            for name, frames in reads.items():
                outcome.reads[name][condition].append(frames)
            outcome.false_reads += false
            step("presentations", done, presentations)
        sizes = [min(CHUNK, empty - start) for start in range(0, empty, CHUNK)]
        for done, false in enumerate(pool.map(partial(_false_reads, seed), range(len(sizes)), sizes), 1):
            outcome.false_reads += false
            step("empty frames", done, len(sizes))
    outcome.empty_total = empty
    return outcome


# ---- photographs


def _photographs(outcome: Outcome, folder: Path, step: Step) -> None:
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        expected = {entry["file"]: {_plain(text) for text in entry["expect"]} for entry in index}
    except (OSError, ValueError, KeyError, TypeError) as wrong:
        raise NoIndex(f'{folder}: expected index.json, a list of {{"file", "expect": [texts]}}: {wrong}') from None
    reader = Reader(STAGES)
    readers: Mapping[str, Callable[[Pixels], Sequence[str]]] = {"ours": lambda pixels: reader.read_all(pixels).texts, **PEERS}
    outcome.photos = {name: Tally() for name in readers}
    outcome.photo_total = sum(1 for texts in expected.values() if texts)
    for done, (name, texts) in enumerate(expected.items(), 1):
        pixels = load_luma(folder / name)
        if not isinstance(pixels, np.ndarray):
            raise NoIndex(str(pixels))
        best: dict[str, float] = {}
        for turn in range(ROUNDS):
            for reader_name, read in _rotated(readers, done + turn):
                begun = time.perf_counter()
                seen = {_plain(text) for text in read(pixels)}
                taken = time.perf_counter() - begun
                best[reader_name] = min(taken, best.get(reader_name, taken))
                if turn == 0:
                    outcome.photos[reader_name].read += bool(texts) and seen == texts
                    outcome.photos[reader_name].wrong += len(seen - texts)
        for reader_name, taken in best.items():
            outcome.photos[reader_name].ms += 1000 * taken / len(expected)
        step("photographs", done, len(expected))


def _plain(text: str) -> str:
    """`text` without what the index leaves out at its ends."""
    return text.strip()


# ---- empty frames


def _time_empty(outcome: Outcome, count: int, seed: int, step: Step) -> None:
    taken: dict[str, float] = defaultdict(float)
    readers: dict[str, Callable[[Frame], object]] = {"ours": Reader(STAGES).sight}
    for name, peer in PEERS.items():
        readers[name] = partial(_on_pixels, peer)
    for number, pixels in enumerate(empty_frames(seed, 0, count)):
        frame = Frame(pixels, number / FPS)
        for name, read in _rotated(readers, number):
            begun = time.perf_counter()
            read(frame)
            taken[name] += time.perf_counter() - begun
        step("timing", number + 1, count)
    outcome.empty_ms = {name: 1000 * taken[name] / count for name in readers} if count else {}


def _on_pixels(peer: Callable[[Pixels], list[str]], frame: Frame) -> list[str]:
    return peer(frame.pixels)


def _false_reads(seed: int, chunk: int, count: int) -> int:
    """Texts that our reader sees in `count` empty frames."""
    reader = _reader()
    false = 0
    for number, pixels in enumerate(empty_frames(seed, chunk, count)):
        false += len(reader.read_all(pixels).texts)
        false += isinstance(reader.sight(Frame(pixels, number / FPS)), Sighting | Crowd)
    return false


# ---- presentations


def _presented(seed: int, number: int) -> tuple[str, dict[str, list[bool]], int]:
    """The condition of presentation `number`, which of its frames each reader read, and how many false texts ours gave."""
    shown = present(seed, number)
    reader = _reader()
    reads: dict[str, list[bool]] = defaultdict(list)
    false = 0
    for step, pixels in enumerate(shown.frames):
        seen = reader.sight(Frame(pixels, 100.0 * number + step / FPS))
        reads["ours"].append(isinstance(seen, Sighting) and seen.text == shown.text)
        false += isinstance(seen, Sighting | Crowd) and not reads["ours"][-1]
        for name in FRAME_PEERS:
            reads[name].append(shown.text in PEERS[name](pixels))
    return shown.condition, dict(reads), false


@cache
def _reader() -> Reader:
    return Reader(STAGES)


def _rotated(readers: Mapping[str, Callable[..., object]], turn: int) -> Iterator[tuple[str, Callable[..., Sequence[str]]]]:
    """The readers, beginning with another one each turn."""
    names = list(readers)
    for index in range(len(names)):
        name = names[(index + turn) % len(names)]
        yield name, readers[name]  # type: ignore[misc]
