"""The program behind `edge.scan_child`: a nursery that never sees a frame, and the reader that it forks.

Starting Python and loading the libraries takes a tenth of a second on a PC and several on a small Pi; forking takes milliseconds. So the
nursery loads them once, and whenever the unit asks it ends the reader that there is, says how that one ended, and forks the next. The
reader locks itself in before its first frame. When the unit goes, however it goes, the nursery's connection ends, and with it both.

Messages: the unit sends a Task; the nursery answers with Ready. Each later message of the unit brings two descriptors, the reader's
connection and the frames' memory; the answer is RENEWED. Over its own connection a reader gets HEADERs and answers with Answers.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Callable
from typing import Annotated, NoReturn

import msgspec
from msgspec import Meta

from edge import jail
from edge.drivers.camera import Frame
from edge.drivers.luma import Pixels
from edge.scan import MAX_CHARACTERS, Crowd, Foreign, Glimpse, MissingReader, Reader, Sighting
from edge.shared_frame import map_frame

HEADER = struct.Struct("<IId")
"""Height and width in pixels, and the frame's time."""

RENEWED = struct.Struct("<iI")
"""How the last reader ended, as `subprocess` counts (negative: the signal; 0 where there was none), and the new one's process id."""

MAX_TEXTS = 8
"""Texts of one frame that are told: two make a crowd, the rest says no more."""

MAX_ANSWER = 32 * 1024
"""Bytes of one answer: MAX_TEXTS codes, each character at most three bytes in JSON, and room."""


class Task(msgspec.Struct, frozen=True):
    """The first message to a nursery. `memory`: bytes of address space that a reader may take on top of what it is born with."""

    stages: list[str]
    prefixes: list[str]
    memory: int


class Ready(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The nursery's word about its start: why it cannot, or whether readers will have the filter of system calls."""

    missing: Annotated[str, Meta(max_length=500)] = ""
    filtered: bool = False


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reader's word about one frame."""

    texts: Annotated[list[Annotated[str, Meta(max_length=MAX_CHARACTERS)]], Meta(max_length=MAX_TEXTS)] = []
    reader: Annotated[str, Meta(max_length=20)] = ""
    glimpse: bool = False
    foreign: bool = False
    faults: Annotated[dict[Annotated[str, Meta(max_length=20)], Annotated[int, Meta(ge=0, le=100)]], Meta(max_length=16)] = {}


def answer_of(reader: Reader, frame: Frame) -> Answer:
    """What `reader` says of `frame`, in the form that travels."""
    reader.faults.clear()
    seen = reader.sight(frame)
    faults = dict(reader.faults)
    match seen:
        case Sighting():
            return Answer([seen.text], seen.reader, faults=faults)
        case Crowd():
            return Answer(list(seen.texts[:MAX_TEXTS]), faults=faults)
        case _:
            return Answer(glimpse=isinstance(seen, Glimpse), foreign=isinstance(seen, Foreign), faults=faults)


def serve(connection: socket.socket, memory: Pixels, reader: Reader) -> None:
    """The reader's life: an empty answer when it is ready, then a frame, an answer, until the unit hangs up."""
    encoder = msgspec.json.Encoder()
    connection.send(encoder.encode(Answer()))
    while True:
        request = connection.recv(HEADER.size)
        if not request:
            return
        height, width, at = HEADER.unpack(request)
        connection.send(encoder.encode(answer_of(reader, Frame(memory[: height * width].reshape(height, width), at))))


def tend(control: socket.socket) -> None:
    """The nursery's life: a reader whenever one is asked for, until the unit hangs up."""
    task = msgspec.json.decode(control.recv(1 << 16), type=Task)
    try:
        reader = Reader(task.stages, task.prefixes)
    except MissingReader as wrong:
        control.send(msgspec.json.encode(Ready(missing=str(wrong)[:500])))
        return
    load_filter = jail.make_filter()
    control.send(msgspec.json.encode(Ready(filtered=load_filter is not None)))
    child = 0
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        how = _end(child)
        if not message:
            return
        child = os.fork()
        if child == 0:
            _live(descriptors[0], descriptors[1], reader, task.memory, load_filter)
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(RENEWED.pack(how, child))


def _live(connection: int, frames: int, reader: Reader, memory: int, load_filter: Callable[[], object] | None) -> NoReturn:
    """In the forked process: everything away, then frames, then the end; nothing of the nursery's runs on."""
    try:
        pixels = map_frame(frames)
        jail.keep_only(connection)
        unit = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=0)
        jail.lock_in(memory, load_filter)
        serve(unit, pixels, reader)
    except BaseException:  # noqa: BLE001  an answer would be no better; the unit reads the status
        os._exit(1)
    os._exit(0)


def _end(child: int) -> int:
    """Kills `child`, and says how it ended."""
    if child == 0:
        return 0
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=os.dup(0)) as unit:
        tend(unit)
