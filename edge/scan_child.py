"""The cascade of readers in a process of its own, which holds no keys and no pins and can be killed.

zbar has had faults in its memory safety (CVE-2023-40889, CVE-2023-40890) and an endless loop (mchehab/zbar issue 184), and anyone may
hold anything up to the camera. So a child decodes: frames go to it in shared memory, and only texts come back, as JSON, checked again
here. A child that was taken over can say no more than a code held up to the camera could. A child that ends, or takes longer than the
limit, costs its frame; the next is there at once, because a nursery (`edge.nursery`) forks it.
"""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from edge.drivers.camera import Frame
from edge.drivers.luma import MAX_PIXELS
from edge.nursery import HEADER, MAX_ANSWER, RENEWED, Answer, Ready, Task
from edge.scan import PREFIXES, Crowd, Foreign, Glimpse, MissingReader, Sighting
from edge.shared_frame import SharedFrame

FRAME_LIMIT_S = 0.5
"""Seconds that the child may take for one frame: twenty times the worst frame measured (23 ms at 640 x 480, x86, one thread)."""

MEMORY = 256 << 20
"""Bytes of address space that the child may take beyond what it is born with: a frame of 20 million pixels takes about half."""

START_LIMIT_S = 20.0
"""Seconds that the nursery may take to start: a cold SD card is slow. Afterwards, to fork."""

CAPACITY = 640 * 480
"""Pixels that there is room for at first; a larger frame gets a larger room, and a new child that knows it."""

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReaderLost:
    """The child did not live through the frame of `at` (monotonic seconds); `cause` is one line, `back_s` how long until the next one."""

    cause: str
    at: float
    back_s: float


class _Ended(Exception):
    """The child or the nursery has ended, or said something that it cannot say."""


class ReaderProcess:
    """`Reader`'s `sight`, in a child. `faults` counts by stage, and under "child" the frames that cost a child. For one thread."""

    def __init__(
        self, stages: Sequence[str], prefixes: Sequence[str] = PREFIXES, frame_limit_s: float = FRAME_LIMIT_S, memory: int = MEMORY
    ) -> None:
        """Starts the child; MissingReader where it cannot open the stages."""
        self.faults: Counter[str] = Counter()
        self.pid: int | None = None
        """The child's process id, None while there is none."""
        self.filtered = False
        """Whether the child may make no system calls but those that it needs; where not, the other limits hold."""
        self._stages = frozenset(stages)
        self._prefixes = tuple(prefixes)
        self._task = msgspec.json.encode(Task(list(stages), list(prefixes), memory))
        self._limit_s = frame_limit_s
        self._frames = SharedFrame(CAPACITY)
        self._nursery: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._connection: socket.socket | None = None
        self._closed = False
        try:
            self._open_nursery()
            self._renew()
        except (OSError, _Ended) as wrong:
            self.close()
            raise MissingReader(f"the reader's process did not start: {wrong}") from None
        except MissingReader:
            self.close()
            raise
        if not self.filtered:
            log.warning("no filter of system calls on this machine: the reader's process is held by its limits alone")

    def sight(self, frame: Frame) -> Sighting | Crowd | Glimpse | Foreign | ReaderLost | None:
        """What of concern the frame shows, as `Reader.sight`; ReaderLost where the child did not live to say."""
        pixels = frame.pixels
        if self._closed or pixels.ndim != 2 or not 0 < pixels.size <= MAX_PIXELS:
            return None
        try:
            if pixels.size > self._frames.capacity:
                self._frames.close()
                self._frames = SharedFrame(pixels.size)
                self._renew()
            if self._connection is None:
                self._renew()
            self._frames.write(pixels)
            answer = self._ask(HEADER.pack(*pixels.shape, frame.at))
        except TimeoutError:
            return self._replace(f"no answer within {self._limit_s * 1000:.0f} ms", frame.at)
        except ConnectionError:
            return self._replace("it ended", frame.at)
        except (OSError, _Ended, MissingReader) as wrong:
            return self._replace(str(wrong), frame.at)
        self.faults.update({stage: count for stage, count in answer.faults.items() if stage in self._stages})
        texts = tuple(dict.fromkeys(text for text in answer.texts if text.startswith(self._prefixes)))
        if len(texts) > 1 or (texts and len(answer.texts) > len(texts)):
            return Crowd(texts, frame.at)
        if texts:
            return Sighting(texts[0], frame.at, answer.reader if answer.reader in self._stages else "")
        if answer.glimpse:
            return Glimpse(frame.at)
        return Foreign(frame.at) if answer.foreign else None

    def close(self) -> None:
        """Ends the child and its nursery."""
        self._closed = True
        self._end()
        self._frames.close()

    def _ask(self, question: bytes) -> Answer:
        if self._connection is None:
            raise _Ended("there is none")
        self._connection.send(question)
        return self._hear(self._limit_s)

    def _hear(self, limit_s: float) -> Answer:
        """The child's next word, waited for up to `limit_s`."""
        if self._connection is None:
            raise _Ended("there is none")
        self._connection.settimeout(limit_s)
        said = self._connection.recv(MAX_ANSWER + 1)
        if not said:
            raise _Ended("it ended")
        if len(said) > MAX_ANSWER:
            raise _Ended(f"an answer of over {MAX_ANSWER} bytes")
        return _understood(said, Answer)

    def _replace(self, cause: str, at: float) -> ReaderLost:
        """Puts another child in the place of the one that failed."""
        begun = time.monotonic()
        self.faults["child"] += 1
        try:
            how = self._renew()
            if how not in (0, -signal.SIGKILL):
                cause = f"{cause}, {_told(how)}"
        except (OSError, _Ended, MissingReader) as wrong:
            cause = f"{cause}; the next did not start: {wrong}"
            self._end()
            log.warning("the reader's process: %s", cause)
        back_s = time.monotonic() - begun
        log.info("the reader's process was replaced in %.0f ms: %s", back_s * 1000, cause)
        return ReaderLost(cause, at, back_s)

    def _renew(self) -> int:
        """Has the nursery end the child that there is and fork another; how the old one ended. A nursery that died is started anew."""
        if self._control is not None:
            try:
                return self._fork(self._control)
            except (OSError, _Ended) as wrong:
                log.warning("the reader's nursery is started anew: %s", wrong)
                self._end()
        self._fork(self._open_nursery())
        return 0

    def _fork(self, control: socket.socket) -> int:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._hang_up()
            self._connection = ours
            socket.send_fds(control, [b"N"], [theirs.fileno(), self._frames.descriptor])
        said = control.recv(RENEWED.size)
        if len(said) != RENEWED.size:
            raise _Ended("the nursery ended")
        how, self.pid = RENEWED.unpack(said)
        self._hear(START_LIMIT_S)
        return int(how)

    def _open_nursery(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        with theirs:
            self._nursery = subprocess.Popen(
                [sys.executable, "-m", "edge.nursery"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=Path(__file__).resolve().parent.parent,
                env={"OPENBLAS_NUM_THREADS": "1"},  # numpy's threads would not live through a fork
                start_new_session=True,
            )
        ours.settimeout(START_LIMIT_S)
        ours.send(self._task)
        said = ours.recv(1 << 12)
        if not said:
            raise _Ended("the nursery ended")
        ready = _understood(said, Ready)
        if ready.missing:
            raise MissingReader(ready.missing)
        self.filtered = ready.filtered
        return ours

    def _hang_up(self) -> None:
        connection, self._connection, self.pid = self._connection, None, None
        if connection is not None:
            connection.close()

    def _end(self) -> None:
        """Ends child and nursery: the child dies with the nursery."""
        self._hang_up()
        control, self._control = self._control, None
        if control is not None:
            control.close()
        nursery, self._nursery = self._nursery, None
        if nursery is not None:
            nursery.kill()
            nursery.wait()


def _understood(said: bytes, kind: type[T]) -> T:
    """What was said; _Ended where it is no `kind`. Of bytes that are no UTF-8 msgspec raises an error of its own or Python's."""
    try:
        return msgspec.json.decode(said, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise _Ended(f"it said what is no {kind.__name__.lower()}: {wrong}") from None


def _told(how: int) -> str:
    """A process's end in words."""
    return f"exit status {how}" if how >= 0 else signal.Signals(-how).name
