"""The reader's process: the same answers as the reader itself, and a child that dies or hangs costs its frame only."""

import ctypes
import io
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import segno
from PIL import Image

from edge import jail
from edge.drivers.camera import Frame
from edge.drivers.file_camera import FileCamera
from edge.scan import STAGES, Crowd, Foreign, Glimpse, MissingReader, Reader, Sighting
from edge.scan_child import ReaderLost, ReaderProcess
from tests.edge.codes import TEXT, bad_eci, beside, cracked, empty_qr, long_code, picture, qr

OTHER = TEXT[:-1] + "Z"
EMPTY = np.full((480, 640), 128, np.uint8)
PATIENT_S = 10.0
"""A limit that no busy machine reaches."""
TURNS = 3
"""The best of them is how fast it is; what else runs on the machine only adds to it."""


@pytest.fixture
def reader() -> Iterator[ReaderProcess]:
    process = ReaderProcess(list(STAGES), frame_limit_s=PATIENT_S)
    yield process
    process.close()


def pid_of(reader: ReaderProcess) -> int:
    assert reader.pid is not None
    return reader.pid


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.mark.parametrize(
    "said", [b'{"texts":["\x80"]}', b"\x80", b"[]", b'{"texts":["%s"]}' % (b"1" * 1101), b'{"faults":{"grid":-1}}', b" " * 40_000]
)
def test_a_reader_that_was_taken_over_and_says_what_is_no_answer_costs_its_frame(reader: ReaderProcess, said: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        assert reader._connection is not None
        reader._connection.close()
        reader._connection = ours
        theirs.send(said)
        lost = reader.sight(Frame(qr(TEXT), 1.0))
    assert isinstance(lost, ReaderLost)
    assert lost.cause.startswith(("it said what is no answer", "an answer of over"))
    assert reader.sight(Frame(qr(TEXT), 2.0)) == Sighting(TEXT, 2.0, "zxing_local")


def test_it_says_what_the_reader_says(reader: ReaderProcess) -> None:
    here = Reader(list(STAGES))
    shown = [
        qr(TEXT),
        EMPTY,
        beside(qr(TEXT), qr(OTHER)),
        qr("https://pay.example"),
        cracked(qr(OTHER), 20),
        qr(TEXT)[:150],
        np.zeros((0, 0), np.uint8),
    ]
    shown.append(np.zeros((1, 1), np.uint8))
    answers = [reader.sight(Frame(pixels, float(number))) for number, pixels in enumerate(shown)]
    assert answers == [here.sight(Frame(pixels, float(number))) for number, pixels in enumerate(shown)]
    assert [type(answer) for answer in answers[:5]] == [Sighting, type(None), Crowd, Foreign, Sighting]
    assert not reader.faults


def test_two_long_codes_that_differ_beyond_the_cut_are_a_crowd(reader: ReaderProcess) -> None:
    both = beside(qr("HB1:" + "A" * 1200 + "B", error="l"), qr("HB1:" + "A" * 1200 + "C", error="l"))
    assert isinstance(reader.sight(Frame(both, 1.0)), Crowd)


def test_a_stage_that_raises_is_counted_here() -> None:
    reader = ReaderProcess(["zbar"], frame_limit_s=PATIENT_S)
    part = segno.make_sequence(TEXT, version=5, error="m")[0]
    assert reader.sight(Frame(picture(part), 1.0)) is None
    assert reader.sight(Frame(picture(part), 2.0)) is None
    assert reader.faults == {"zbar": 2}
    reader.close()


def test_a_glimpse_comes_through() -> None:
    reader = ReaderProcess(["zxing_local"], frame_limit_s=PATIENT_S)
    assert reader.sight(Frame(cracked(qr(OTHER), 20), 3.0)) == Glimpse(3.0)
    reader.close()


def test_frames_are_read_from_views_with_any_strides(reader: ReaderProcess) -> None:
    framed = np.pad(qr(TEXT), 40, constant_values=255)
    assert reader.sight(Frame(framed[20:-20, 20:-20], 1.0)) == Sighting(TEXT, 1.0, "zxing_local")
    assert reader.sight(Frame(np.repeat(qr(TEXT), 2, axis=1)[:, ::2], 2.0)) == Sighting(TEXT, 2.0, "zxing_local")
    assert isinstance(reader.sight(Frame(np.flipud(np.fliplr(qr(TEXT))), 3.0)), Sighting)


def test_a_larger_frame_gets_a_larger_room_and_a_small_one_after_it_is_not_mixed_up_with_it(reader: ReaderProcess) -> None:
    large = np.full((1200, 1600), 200, np.uint8)
    code = qr(OTHER)
    large[700 : 700 + code.shape[0], 900 : 900 + code.shape[1]] = code
    assert reader.sight(Frame(large, 1.0)) == Sighting(OTHER, 1.0, "zxing_local")
    assert reader.sight(Frame(qr(TEXT), 2.0)) == Sighting(TEXT, 2.0, "zxing_local")
    assert reader.sight(Frame(EMPTY, 3.0)) is None
    assert not reader.faults


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGKILL, "it ended"), (signal.SIGSEGV, "it ended, SIGSEGV"), (signal.SIGABRT, "SIGABRT")]
)
def test_a_child_that_dies_costs_one_frame_and_the_next_is_there_at_once(reader: ReaderProcess, number: signal.Signals, word: str) -> None:
    back_s = []
    for turn in range(1, TURNS + 1):
        first = pid_of(reader)
        os.kill(first, number)
        lost = reader.sight(Frame(qr(TEXT), 1.0))
        assert isinstance(lost, ReaderLost)
        assert word in lost.cause
        back_s.append(lost.back_s)
        assert reader.sight(Frame(qr(TEXT), 2.0)) == Sighting(TEXT, 2.0, "zxing_local")
        assert reader.faults == {"child": turn}
        assert pid_of(reader) != first
    assert min(back_s) < 0.3


def test_a_child_that_hangs_is_killed_and_the_next_is_there_at_once() -> None:
    reader = ReaderProcess(["zxing_local"])
    took_s = []
    for _ in range(TURNS):
        first = pid_of(reader)
        os.kill(first, signal.SIGSTOP)
        begun = time.monotonic()
        lost = reader.sight(Frame(qr(TEXT), 1.0))
        took_s.append(time.monotonic() - begun)
        assert isinstance(lost, ReaderLost)
        assert lost.cause == "no answer within 500 ms"
        assert pid_of(reader) != first
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
    assert 0.5 <= min(took_s) < 0.8
    reader.close()


def test_a_child_that_dies_again_and_again_is_replaced_each_time(reader: ReaderProcess) -> None:
    for _ in range(20):
        os.kill(pid_of(reader), signal.SIGKILL)
        assert isinstance(reader.sight(Frame(EMPTY, 1.0)), ReaderLost)
    assert reader.sight(Frame(qr(TEXT), 2.0)) == Sighting(TEXT, 2.0, "zxing_local")


def test_a_nursery_that_dies_takes_its_child_along_and_is_replaced(reader: ReaderProcess) -> None:
    child = pid_of(reader)
    nursery = int(status_of(child)["PPid"])
    end = os.pidfd_open(child)
    os.kill(nursery, signal.SIGKILL)
    assert wait_readable(end, 10.0)
    os.close(end)
    assert isinstance(reader.sight(Frame(EMPTY, 1.0)), ReaderLost)
    assert reader.sight(Frame(qr(TEXT), 2.0)) == Sighting(TEXT, 2.0, "zxing_local")


@pytest.mark.slow
def test_when_the_unit_is_killed_nursery_and_child_end() -> None:
    program = (
        "import time; from edge.scan_child import ReaderProcess; reader = ReaderProcess(['zxing_local'])\n"
        "print(reader.pid, flush=True); time.sleep(60)"
    )
    unit = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert unit.stdout is not None
    child = int(unit.stdout.readline())
    nursery = int(status_of(child)["PPid"])
    ends = [os.pidfd_open(pid) for pid in (child, nursery)]
    unit.kill()
    unit.communicate()
    for end in ends:
        assert wait_readable(end, 10.0)
        os.close(end)


def wait_readable(descriptor: int, limit_s: float) -> bool:
    return bool(select.select([descriptor], [], [], limit_s)[0])


def test_the_child_has_one_descriptor_no_environment_of_ours_and_no_way_to_more(reader: ReaderProcess) -> None:
    os.environ["HEALTHGATE_TEST_SECRET"] = "of the unit"
    try:
        assert reader.sight(Frame(qr(TEXT), 1.0)) is not None
        pid = pid_of(reader)
        (only,) = Path(f"/proc/{pid}/fd").iterdir()
        assert only.name == "0"
        assert str(only.readlink()).startswith("socket:")
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert [entry for entry in environment if entry] == [b"OPENBLAS_NUM_THREADS=1"]
    finally:
        del os.environ["HEALTHGATE_TEST_SECRET"]
    status = status_of(pid)
    assert (status["NoNewPrivs"], status["Threads"]) == ("1", "1")
    assert status["Seccomp"] == ("2" if reader.filtered else "0")
    soft = {line[:26].strip(): line[26:].split()[0] for line in Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines()[1:]}
    none = ("Max core file size", "Max file size", "Max processes", "Max locked memory", "Max msgqueue size")
    assert {soft[name] for name in none} == {"0"}
    assert soft["Max open files"] == "1"
    assert int(soft["Max address space"]) < 1 << 30


def test_memory_beyond_the_limit_costs_the_frame_only() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (4000, 5000), dtype=np.uint8)
    reader = ReaderProcess(["zbar"], frame_limit_s=PATIENT_S, memory=8 << 20)
    seen = reader.sight(Frame(noise, 1.0))
    assert isinstance(seen, ReaderLost) or reader.faults == {"zbar": 1}
    assert reader.sight(Frame(qr(TEXT), 2.0)) == Sighting(TEXT, 2.0, "zbar")
    reader.close()


INSIDE: dict[str, Callable[[], object]] = {
    "open a file": lambda: Path("/etc/hostname").read_bytes(),
    "open a socket": socket.socket,
    "open a unix socket": lambda: socket.socket(socket.AF_UNIX),
    "fork": os.fork,
    "start a program": lambda: os.execv("/bin/true", ["true"]),
    "signal its parent": lambda: os.kill(os.getppid(), 0),
    "signal itself": lambda: os.kill(os.getpid(), 0),
    "list a folder": lambda: list(Path("/").iterdir()),
    "raise a limit": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    "trace its parent": lambda: _libc("ptrace", 16, os.getppid(), 0, 0),
    "map memory that can be run": lambda: __import__("mmap").mmap(-1, 4096, prot=7),
}
"""What a process that was taken over would try."""


def _libc(name: str, *arguments: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)


@pytest.mark.parametrize("name", INSIDE)
def test_inside_the_jail_nothing_can_be_reached(name: str) -> None:
    """In a forked process, locked in as the reader is; it says over its one descriptor whether it was stopped."""
    wall = jail.make_filter()
    if wall is None:
        pytest.skip("this machine has no filter of system calls")
    ctypes.CDLL(None)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        jail.keep_only(theirs.fileno())
        jail.lock_in(64 << 20, wall)
        try:
            INSIDE[name]()
        except OSError as wrong:
            os.write(0, str(wrong.errno).encode())
        except ValueError:  # what Python makes of a limit that may not be raised
            os.write(0, b"1")
        else:
            os.write(0, b"not stopped")
        os._exit(0)
    theirs.close()
    ours.settimeout(10.0)
    said = ours.recv(100).decode()
    ours.close()
    os.waitpid(child, 0)
    assert said in ("1", "24"), said  # EPERM, EMFILE


def hostile() -> dict[str, np.ndarray[tuple[int, int], np.dtype[np.uint8]]]:
    """Pictures that somebody may hold up, by name."""
    random = np.random.default_rng(7)
    big = np.full((4000, 5000), 200, np.uint8)
    big[1000 : 1000 + qr(TEXT).shape[0], 3000 : 3000 + qr(TEXT).shape[1]] = qr(TEXT)
    return {
        "structured append": picture(segno.make_sequence(TEXT, version=5, error="m")[0]),
        "an encoding that does not exist": bad_eci("HB1:é", 127),
        "an encoding's number cut off": bad_eci("HB1:é", 0xFF),
        "an encoding of another script": bad_eci("HB1:é", 29),
        "control characters": qr(bytes(range(32))),
        "empty payload": empty_qr(),
        "7,000 characters": qr("7" * 7000, error="l", scale=3),
        "7,000 characters with our prefix": long_code(),
        "one pixel": np.zeros((1, 1), np.uint8),
        "one row": np.zeros((1, 5000), np.uint8),
        "noise": random.integers(0, 256, (480, 640), dtype=np.uint8),
        "noise in black and white": (random.integers(0, 2, (480, 640)) * 255).astype(np.uint8),
        "checks": np.kron(np.indices((160, 160)).sum(axis=0) % 2, np.full((3, 3), 255)).astype(np.uint8),
        "finders everywhere": np.tile(qr("A", scale=3)[12:33, 12:33], (20, 20)),
        "20 million pixels": big,
        "20 million pixels of noise": random.integers(0, 256, (4000, 5000), dtype=np.uint8),
    }


def test_hostile_pictures_cost_at_most_their_frame() -> None:
    reader = ReaderProcess(list(STAGES), frame_limit_s=PATIENT_S)
    try:
        for name, pixels in hostile().items():
            seen = reader.sight(Frame(pixels, 1.0))
            texts = [seen.text] if isinstance(seen, Sighting) else list(seen.texts) if isinstance(seen, Crowd) else []
            assert all(len(text) <= 1100 for text in texts), name
            assert not isinstance(seen, ReaderLost), f"{name}: {seen}"
            assert reader.sight(Frame(qr(TEXT), 2.0)) == Sighting(TEXT, 2.0, "zxing_local"), name
    finally:
        reader.close()


def test_hostile_files_are_passed_over_and_the_next_one_is_read(tmp_path: Path) -> None:
    noise = np.random.default_rng(5).integers(0, 256, 200_000, dtype=np.uint8).tobytes()
    with zipfile.ZipFile(tmp_path / "a-zip-of-noise.png", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("noise", noise)
        archive.writestr("zeros", bytes(50_000_000))
    whole = io.BytesIO()
    Image.fromarray(qr(TEXT)).save(whole, "JPEG")
    (tmp_path / "b-truncated.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (tmp_path / "c-noise.jpg").write_bytes(whole.getvalue()[:300] + noise)
    Image.new("1", (9000, 9000)).save(tmp_path / "d-81-million-pixels.png")
    Image.new("L", (1, 1)).save(tmp_path / "e-one-pixel.png")
    Image.fromarray(qr(TEXT)).save(tmp_path / "f.png")
    reader = ReaderProcess(list(STAGES), frame_limit_s=PATIENT_S)
    try:
        seen = [reader.sight(frame) for frame in FileCamera(sorted(tmp_path.iterdir()), 1000.0, repeat=False).frames()]
    finally:
        reader.close()
    assert isinstance(seen[-1], Sighting)
    assert seen[:-1] in ([None], [None, None])  # of the broken ones Pillow gives nothing, or part of a picture
    assert not reader.faults


def test_a_missing_stage_is_told_at_the_start() -> None:
    with pytest.raises(MissingReader, match="stage wechat: expected one of"):
        ReaderProcess(["wechat"])


def test_after_close_nothing_is_started_again(reader: ReaderProcess) -> None:
    reader.close()
    assert reader.sight(Frame(qr(TEXT), 1.0)) is None
    assert reader.pid is None
