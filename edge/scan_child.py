"""The cascade of readers in a process of its own, which holds no keys and no pins and can be killed.

zbar has had faults in its memory safety (CVE-2023-40889, CVE-2023-40890) and an endless loop (mchehab/zbar issue 184), and anyone may
hold anything up to the camera. So frames go to a child over a socket pair, and only texts come back, as JSON, checked again here: a child
that was taken over can say no more than a code held up to the camera could. A child that ends, or takes longer than the limit, costs its
frame and is started anew.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from edge.drivers.camera import Frame
from edge.scan import MAX_CHARACTERS, PREFIXES, Crowd, Foreign, Glimpse, MissingReader, Reader, Sighting

FRAME_LIMIT_S = 2.0
"""Seconds that the child may take for one frame: near a hundred times the worst frame measured (23 ms at 640 x 480, x86, one thread)."""

MEMORY_LIMIT = 1 << 30
"""Bytes of address space that the child may have; it takes 150 MB on x86. Beyond, it ends, and a new one begins."""

START_LIMIT_S = 20.0
"""Seconds that the child may take to start: a cold SD card is slow."""

MAX_ANSWER = 256 * 1024
"""Bytes of one answer."""

HEADER = struct.Struct("<IId")
"""Height and width in pixels, and the frame's time; height * width bytes of luma follow."""

LENGTH = struct.Struct("<I")

log = logging.getLogger(__name__)


class _Task(msgspec.Struct, frozen=True):
    """The first message to a child."""

    stages: list[str]
    prefixes: list[str]
    frame_limit_s: float


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A child's word about one frame, or, first of all, about its start."""

    texts: Annotated[list[Annotated[str, Meta(max_length=MAX_CHARACTERS)]], Meta(max_length=64)] = []
    reader: Annotated[str, Meta(max_length=20)] = ""
    glimpse: bool = False
    foreign: bool = False
    faults: dict[str, int] = {}
    missing: Annotated[str, Meta(max_length=500)] = ""


class ReaderProcess:
    """`Reader`'s `sight`, in a child. `faults` counts by stage, and under "child" the frames that cost a child. For one thread."""

    def __init__(self, stages: Sequence[str], prefixes: Sequence[str] = PREFIXES, frame_limit_s: float = FRAME_LIMIT_S) -> None:
        """Starts the child; MissingReader where it cannot open the stages."""
        self._task = msgspec.json.encode(_Task(list(stages), list(prefixes), frame_limit_s))
        self._prefixes = tuple(prefixes)
        self._limit_s = frame_limit_s
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False
        self.faults: Counter[str] = Counter()
        self._start()

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is none."""
        return self._child.pid if self._child else None

    def sight(self, frame: Frame) -> Sighting | Crowd | Glimpse | Foreign | None:
        """What of concern the frame shows, as `Reader.sight`; None where the child did not live to say."""
        if self._closed:
            return None
        try:
            if self._child is None:
                self._start()
            height, width = frame.pixels.shape
            self._socket.settimeout(self._limit_s)
            self._socket.sendall(HEADER.pack(height, width, frame.at))
            self._socket.sendall(frame.pixels.tobytes())
            answer = self._receive(self._limit_s)
        except (OSError, EOFError, ValueError, msgspec.DecodeError, MissingReader) as wrong:
            self.faults["child"] += 1
            log.warning("the reader's process is started anew: %s: %s", type(wrong).__name__, wrong)
            self._end()
            return None
        self.faults.update(answer.faults)
        texts = tuple(dict.fromkeys(text for text in answer.texts if text.startswith(self._prefixes)))
        if len(texts) > 1 or (texts and len(answer.texts) > len(texts)):
            return Crowd(texts, frame.at)
        if texts:
            return Sighting(texts[0], frame.at, answer.reader)
        if answer.glimpse:
            return Glimpse(frame.at)
        return Foreign(frame.at) if answer.foreign else None

    def close(self) -> None:
        """Ends the child."""
        self._closed = True
        self._end()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._socket = ours
            self._child = subprocess.Popen(
                [sys.executable, "-m", "edge.scan_child"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=Path(__file__).resolve().parent.parent,
                env={"PATH": os.defpath},
                start_new_session=True,
            )
        try:
            self._socket.settimeout(START_LIMIT_S)
            self._socket.sendall(LENGTH.pack(len(self._task)) + self._task)
            answer = self._receive(START_LIMIT_S)
        except (OSError, EOFError, ValueError, msgspec.DecodeError) as wrong:
            self._end()
            raise MissingReader(f"the reader's process did not start: {wrong}") from None
        if answer.missing:
            self._end()
            raise MissingReader(answer.missing)

    def _receive(self, limit_s: float) -> _Answer:
        until = time.monotonic() + limit_s
        (size,) = LENGTH.unpack(_exactly(self._socket, LENGTH.size, until))
        if size > MAX_ANSWER:
            raise ValueError(f"an answer of {size} bytes: expected at most {MAX_ANSWER}")
        return msgspec.json.decode(_exactly(self._socket, size, until), type=_Answer)

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        self._socket.close()
        child.kill()
        child.wait()


def _exactly(connection: socket.socket, size: int, until: float | None) -> bytes:
    """`size` bytes, by `until` (monotonic seconds) where that is given; EOFError where the other side has gone."""
    parts = bytearray()
    while len(parts) < size:
        if until is not None:
            connection.settimeout(max(0.001, until - time.monotonic()))
        part = connection.recv(min(size - len(parts), 1 << 20))
        if not part:
            raise EOFError("it has ended")
        parts += part
    return bytes(parts)


def serve(connection: socket.socket) -> None:
    """The child's side: reads frames until the parent hangs up.

    The alarm ends the process even where a library loops for ever and the parent was killed meanwhile.
    """
    (size,) = LENGTH.unpack(_exactly(connection, LENGTH.size, None))
    task = msgspec.json.decode(_exactly(connection, size, None), type=_Task)
    try:
        reader = Reader(task.stages, task.prefixes)
    except MissingReader as wrong:
        _answer(connection, _Answer(missing=str(wrong)[:500]))
        return
    _answer(connection, _Answer())
    while True:
        try:
            height, width, at = HEADER.unpack(_exactly(connection, HEADER.size, None))
        except EOFError:
            return
        pixels = np.frombuffer(_exactly(connection, height * width, None), dtype=np.uint8).reshape(height, width)
        signal.setitimer(signal.ITIMER_REAL, 2 * task.frame_limit_s)
        reader.faults.clear()
        seen = reader.sight(Frame(pixels, at))
        faults = dict(reader.faults)
        match seen:
            case Sighting():
                answer = _Answer([seen.text], seen.reader, faults=faults)
            case Crowd():
                answer = _Answer(list(seen.texts[:64]), faults=faults)
            case _:
                answer = _Answer(glimpse=isinstance(seen, Glimpse), foreign=isinstance(seen, Foreign), faults=faults)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _answer(connection, answer)


def _answer(connection: socket.socket, answer: _Answer) -> None:
    data = msgspec.json.encode(answer)
    connection.sendall(LENGTH.pack(len(data)) + data)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with socket.socket(fileno=os.dup(0)) as parent:
        serve(parent)
