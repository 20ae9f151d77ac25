"""The reader's process: the same answers as the reader itself, and a child that dies or hangs costs its frame only."""

import os
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest
import segno

from edge.drivers.camera import Frame
from edge.scan import STAGES, Crowd, Foreign, Glimpse, MissingReader, Reader, Sighting
from edge.scan_child import ReaderProcess
from tests.edge.codes import TEXT, beside, cracked, picture, qr

OTHER = TEXT[:-1] + "Z"
EMPTY = np.full((480, 640), 128, np.uint8)


@pytest.fixture
def reader() -> Iterator[ReaderProcess]:
    process = ReaderProcess(list(STAGES))
    yield process
    process.close()


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
    reader = ReaderProcess(["zbar"])
    part = segno.make_sequence(TEXT, version=5, error="m")[0]
    assert reader.sight(Frame(picture(part), 1.0)) is None
    assert reader.sight(Frame(picture(part), 2.0)) is None
    assert reader.faults == {"zbar": 2}
    reader.close()


def test_a_glimpse_comes_through() -> None:
    reader = ReaderProcess(["zxing_local"])
    assert reader.sight(Frame(cracked(qr(OTHER), 20), 3.0)) == Glimpse(3.0)
    reader.close()


def test_a_child_that_dies_costs_one_frame(reader: ReaderProcess) -> None:
    first = reader.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert reader.sight(Frame(qr(TEXT), 1.0)) is None
    assert reader.sight(Frame(qr(TEXT), 2.0)) == Sighting(TEXT, 2.0, "zxing_local")
    assert reader.faults == {"child": 1}
    assert reader.pid != first


def test_a_child_that_hangs_is_killed() -> None:
    reader = ReaderProcess(["zxing_local"], frame_limit_s=0.2)
    first = reader.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    begun = time.monotonic()
    assert reader.sight(Frame(qr(TEXT), 1.0)) is None
    assert time.monotonic() - begun < 5
    assert reader.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    reader.close()


def test_a_missing_stage_is_told_at_the_start() -> None:
    with pytest.raises(MissingReader, match="stage wechat: expected one of"):
        ReaderProcess(["wechat"])


def test_after_close_nothing_is_started_again(reader: ReaderProcess) -> None:
    reader.close()
    assert reader.sight(Frame(qr(TEXT), 1.0)) is None
    assert reader.pid is None
