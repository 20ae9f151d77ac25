"""The cascade of readers: what a gate reads, what it ignores, and that nothing which can be shown ends it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.drivers.camera import Frame
from edge.drivers.luma import Pixels, load_luma
from edge.places import Box
from edge.scan import MAX_CHARACTERS, STAGES, Crowd, Foreign, Glimpse, MissingReader, Reader, Reading, Sighting, read_all
from tests.edge.codes import TEXT, beside, cracked, empty_qr, picture, qr

ALL = tuple(STAGES)
OTHER = TEXT[:-1] + "Z"


def sight(pixels: Pixels, *stages: str) -> Sighting | Crowd | Glimpse | Foreign | None:
    return Reader(stages or ALL).sight(Frame(pixels, 12.5))


@pytest.mark.parametrize("stage", ALL)
@pytest.mark.parametrize("inverted", [False, True])
def test_each_stage_alone_reads_a_clean_code_in_both_polarities(stage: str, inverted: bool) -> None:
    pixels = qr(TEXT)
    assert sight(np.bitwise_not(pixels) if inverted else pixels, stage) == Sighting(TEXT, 12.5, stage)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_code_is_read(turns: int) -> None:
    assert sight(np.rot90(qr(TEXT), turns)) == Sighting(TEXT, 12.5, "zxing_local")


def test_an_empty_lane_shows_nothing() -> None:
    assert sight(np.full((480, 640), 128, np.uint8)) is None


def test_the_same_code_twice_is_one_sighting() -> None:
    assert sight(beside(qr(TEXT), qr(TEXT))) == Sighting(TEXT, 12.5, "zxing_local")


@pytest.mark.parametrize("stage", [stage for stage in ALL if stage != "grid"])  # grid follows one code
def test_two_different_codes_are_a_crowd(stage: str) -> None:
    seen = sight(beside(qr(TEXT), qr(OTHER)), stage)
    assert isinstance(seen, Crowd)
    assert set(seen.texts) == {TEXT, OTHER}


def test_a_code_within_a_code_is_a_crowd_at_a_gate() -> None:
    outer = qr("HC1:" + "A" * 20, scale=24, error="h")
    inner = qr("HB1:B", scale=3)
    top, left = (np.array(outer.shape) - inner.shape) // 2
    outer = outer.copy()
    outer[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    assert isinstance(sight(outer), Crowd)
    assert read_all(outer, ALL) == Reading(("HC1:" + "A" * 20,), "zxing_local", 0, ("HB1:B",))


@pytest.mark.parametrize(("seed", "stage"), [(13, "zxing_global"), (20, "grid")])
def test_a_damaged_code_is_read_by_a_later_stage(seed: int, stage: str) -> None:
    damaged = cracked(qr(OTHER), seed)
    assert sight(damaged, "zxing_local") == Glimpse(12.5)
    assert sight(damaged) == Sighting(OTHER, 12.5, stage)


@pytest.mark.parametrize("seed", [13, 20])
def test_a_clean_code_does_not_end_the_search_while_another_is_located(seed: int) -> None:
    both = beside(qr(TEXT), cracked(qr(OTHER), seed))
    assert sight(both, "zxing_local") == Sighting(TEXT, 12.5, "zxing_local")
    seen = sight(both)
    assert isinstance(seen, Crowd)
    assert set(seen.texts) == {TEXT, OTHER}


def test_a_foreign_code_is_told_of_and_not_its_text() -> None:
    assert sight(qr("https://pay.example/shop/7")) == Foreign(12.5)


def test_a_foreign_code_beside_ours_is_ignored() -> None:
    assert sight(beside(qr("https://pay.example/shop/7"), qr(TEXT))) == Sighting(TEXT, 12.5, "zxing_local")


def test_a_prefix_counts_only_at_the_beginning() -> None:
    assert sight(qr(" " + TEXT)) == Foreign(12.5)
    assert sight(qr("hb1:ABC")) == Foreign(12.5)


def test_a_torn_code_is_a_glimpse() -> None:
    torn = qr(TEXT).copy()
    height, width = torn.shape
    torn[height // 3 : height * 2 // 3, width // 3 :] = 128
    assert sight(torn) == Glimpse(12.5)


def test_a_long_payload_is_cut_for_the_gate_and_whole_for_the_command() -> None:
    long = "HB1:" + "A" * 3000
    seen = sight(qr(long, error="l"))
    assert seen == Sighting(long[:MAX_CHARACTERS], 12.5, "zxing_local")
    assert read_all(qr(long, error="l"), ALL).texts == (long,)


@pytest.mark.parametrize("stage", ALL)
def test_a_structured_append_code_costs_at_most_its_frame(stage: str) -> None:
    reader = Reader([stage])
    for part in segno.make_sequence(TEXT, version=5, error="m"):
        reader.sight(Frame(picture(part), 1.0))
        reader.read_all(picture(part))
    assert reader.sight(Frame(qr(TEXT), 2.0)) == Sighting(TEXT, 2.0, stage)


def test_zbar_raising_is_counted() -> None:
    reader = Reader(["zbar"])
    part = segno.make_sequence(TEXT, version=5, error="m")[0]
    assert reader.sight(Frame(picture(part), 1.0)) is None
    assert reader.faults == {"zbar": 1}


@pytest.mark.parametrize("stage", ALL)
@pytest.mark.parametrize("payload", [b"\x00", bytes(range(32)), bytes(range(128, 256)), b"HB1:" + bytes(range(128, 200)), b"%s%n\x1b[2J"])
def test_odd_payloads_do_no_harm(stage: str, payload: bytes) -> None:
    reader = Reader([stage])
    reader.sight(Frame(qr(payload), 1.0))
    reader.read_all(qr(payload))
    assert not reader.faults


def test_control_characters_come_as_they_are() -> None:
    assert read_all(qr(b"\x01\x10AD:SUB"), ALL).texts == ("\x01\x10AD:SUB",)


@pytest.mark.parametrize("stage", ALL)
def test_an_empty_payload_is_no_text(stage: str) -> None:
    assert read_all(empty_qr(), [stage]).texts == ()
    assert read_all(empty_qr(), ALL) == Reading((), None, 0)
    assert sight(empty_qr()) is None


def test_zbar_is_not_trusted_with_what_is_not_ascii() -> None:
    """zbar guesses at encodings: what was written as Latin-1 comes out as another text."""
    payload = "HB1:Grün für alle Häuser".encode("latin-1")
    assert sight(qr(payload), "zbar") == Glimpse(12.5)
    assert read_all(qr(payload), ["zbar"]).texts == ()


@pytest.mark.parametrize("shape", [(1, 1), (1, 640), (480, 1), (2, 3), (0, 0), (0, 640)])
@pytest.mark.parametrize("stage", ALL)
def test_tiny_pictures_do_no_harm(shape: tuple[int, int], stage: str) -> None:
    reader = Reader([stage])
    assert reader.sight(Frame(np.zeros(shape, np.uint8), 1.0)) is None
    assert not reader.faults


def test_a_huge_picture_is_read() -> None:
    pixels = np.full((4000, 5000), 200, np.uint8)
    code = qr(TEXT)
    pixels[1000 : 1000 + code.shape[0], 3000 : 3000 + code.shape[1]] = code
    assert sight(pixels) == Sighting(TEXT, 12.5, "zxing_local")


def test_a_read_only_slice_with_a_stride_is_read() -> None:
    code = qr(TEXT)
    wide = np.hstack([code, np.zeros((code.shape[0], 13), np.uint8)])
    wide.setflags(write=False)
    assert sight(wide[:, : code.shape[1]]) == Sighting(TEXT, 12.5, "zxing_local")


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.integers(1, 200), st.booleans())
def test_noise_is_never_a_text(seed: int, height: int, width: int, binary: bool) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    reader = Reader(ALL)
    seen = reader.sight(Frame(np.bitwise_and(noise, np.uint8(128)) if binary else noise, 1.0))
    assert seen is None or isinstance(seen, Glimpse)
    assert not reader.faults


@settings(max_examples=40)
@given(st.binary(min_size=1, max_size=200))
def test_any_payload_leaves_the_reader_working(payload: bytes) -> None:
    reader = Reader(ALL)
    reader.sight(Frame(qr(payload), 1.0))
    assert reader.sight(Frame(qr(TEXT), 2.0)) == Sighting(TEXT, 2.0, "zxing_local")


def test_an_unknown_stage_is_named() -> None:
    with pytest.raises(MissingReader, match=r"stage wechat: expected one of zxing_local, zxing_global, grid, zbar"):
        Reader(["wechat"])
    with pytest.raises(MissingReader, match="no stage named"):
        Reader([])


@pytest.mark.parametrize(
    ("stages", "missing", "message"),
    [(["zbar"], "pyzbar", "libzbar0"), (["zxing_local"], "zxingcpp", "zxing-cpp"), (["zxing_global", "zbar"], "pyzbar", "libzbar0")],
)
def test_a_missing_library_is_an_error_only_where_its_stage_is_named(stages: list[str], missing: str, message: str) -> None:
    """In a process of its own in which the library cannot be imported, as on a machine without it."""
    program = f"import sys; sys.modules[{missing!r}] = None; from edge.scan import Reader, MissingReader\ntry:\n    Reader({stages!r})"
    program += "\nexcept MissingReader as wrong:\n    print(wrong)"
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert message in outcome.stdout
    others = [stage for stage in ALL if ("zbar" in stage) != ("zbar" in missing)]
    program = f"import sys; sys.modules[{missing!r}] = None; from edge.scan import Reader; Reader({others!r}); print('opened')"
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert outcome.stdout == "opened\n"


def test_boxes() -> None:
    box = Box(10, 10, 30, 30)
    assert box.covers(Box(20, 20, 24, 24))
    assert not box.covers(Box(28, 28, 60, 60))
    assert box.touches(Box(30, 30, 40, 40))
    assert not box.touches(Box(31, 10, 40, 30))
    assert box.joined(Box(0, 20, 15, 50)) == Box(0, 10, 30, 50)


def test_public_photographs() -> None:
    """At least 70 of the 83 codes, and no text that is not there. The folder is HEALTHGATE_PHOTOS."""
    named = os.environ.get("HEALTHGATE_PHOTOS")
    if not named:
        pytest.skip("HEALTHGATE_PHOTOS is not set: expected the folder of photographs and their index.json")
    folder = Path(named)
    expected = {entry["file"]: {text.strip() for text in entry["expect"]} for entry in json.loads((folder / "index.json").read_text())}
    right, wrong = 0, []
    for name, texts in expected.items():
        pixels = load_luma(folder / name)
        assert isinstance(pixels, np.ndarray), pixels
        read = {text.strip() for text in read_all(pixels, ALL).texts}
        if read and read == texts:
            right += 1
        elif read:
            wrong.append((name, read))
    assert wrong == []
    assert right >= 73
