"""Reading module by module: the layout of every version, the grid on codes that are tilted, cut and blurred, and frames added up."""

import numpy as np
import pytest
import segno
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from edge.drivers.camera import Frame
from edge.drivers.luma import Pixels
from edge.finders import find_corners
from edge.grid import View, fit, follow
from edge.modules import picture_of, values
from edge.places import Box, busy
from edge.qr_layout import layout
from edge.scan import Glimpse, Reader, Sighting
from tests.edge.codes import TEXT, qr

SIDE = 480
LANE = np.full((SIDE, 640), 150, np.uint8)


def modules_of(text: str) -> NDArray[np.bool_]:
    return np.array([list(row) for row in segno.make_qr(text, error="m", boost_error=False).matrix], np.bool_)


def held_up(code: Pixels, tilt: float = 0.0, turn: float = 0.0, at: tuple[int, int] = (140, 80)) -> Pixels:
    """`code` on a lane, nearer on the right by `tilt`, turned by `turn` degrees."""
    height, width = code.shape
    size = (round(width / (1 - tilt)), round(height / (1 - tilt)))
    how = (1, 0, 0, 0, 1, 0, tilt / width, tilt / height / 2)
    card = Image.fromarray(code).transform(size, Image.Transform.PERSPECTIVE, how, Image.Resampling.BICUBIC, fillcolor=255)
    lane = Image.fromarray(LANE)
    lane.paste(card.rotate(turn, Image.Resampling.BICUBIC, fillcolor=255), at)
    return np.asarray(lane)


@pytest.mark.parametrize("version", range(1, 41))
def test_the_layout_is_what_every_code_of_the_version_shares(version: int) -> None:
    plan = layout(version)
    for mask in (0, 5):
        code = np.array([list(row) for row in segno.make_qr("A", version=version, mask=mask, boost_error=False).matrix]) != 0
        assert code.shape == (plan.size, plan.size)
        assert np.array_equal(code[plan.known], plan.dark[plan.known])


@pytest.mark.parametrize(("tilt", "turn"), [(0.0, 0.0), (0.1, 5.0), (0.15, 0.0), (0.0, 100.0)])
@pytest.mark.parametrize("light", [False, True])
def test_every_module_of_a_tilted_code_is_known(tilt: float, turn: float, light: bool) -> None:
    pixels = held_up(qr(TEXT), tilt, turn)
    if light:
        pixels = np.bitwise_not(pixels)
    grid = fit(View(pixels), find_corners(pixels, 8))
    assert grid is not None
    assert grid.light == light
    assert np.mean((values(pixels, grid) < 0) != modules_of(TEXT)) < 0.005


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0)])
def test_a_code_with_a_crack_through_a_finder_is_read(corner: tuple[int, int]) -> None:
    pixels = held_up(qr(TEXT), 0.02).copy()
    down, across = 96 + corner[0] * 188, 156 + corner[1] * 188
    pixels[down : down + 30, across + 11 : across + 16] = 230
    pixels[down + 12 : down + 17, across : across + 30] = 230
    reader = Reader(["zxing_local", "zxing_global", "grid"])
    assert reader.sight(Frame(pixels, 1.0)) == Sighting(TEXT, 1.0, "grid")


def test_a_code_is_followed_while_it_moves() -> None:
    first, then = held_up(qr(TEXT), 0.02, 4.0), held_up(qr(TEXT), 0.025, 5.0, (152, 71))
    grid = fit(View(first), find_corners(first, 8))
    assert grid is not None
    moved = follow(View(then), grid)
    assert moved is not None
    assert np.mean((values(then, moved) < 0) != modules_of(TEXT)) < 0.005
    assert follow(View(LANE), grid) is None


def test_frames_show_together_what_none_of_them_shows() -> None:
    """Each frame hides another part of the code; no one of them leaves enough for the error correction."""
    frames = []
    for top in (120, 170, 220):
        frames.append(held_up(qr(TEXT), 0.01, 3.0).copy())
        frames[-1][top : top + 50, 190:340] = 150
    assert [Reader(["grid"]).sight(Frame(pixels, 1.0)) for pixels in frames] == [Glimpse(1.0)] * 3
    together = Reader(["grid"])
    seen = [together.sight(Frame(pixels, float(at))) for at, pixels in zip((1.0, 1.1, 1.2), frames, strict=True)]
    assert seen[0] == Glimpse(1.0)
    assert seen[2] == Sighting(TEXT, 1.2, "grid")


def test_a_code_that_was_forgotten_does_not_mix_with_the_next() -> None:
    reader = Reader(["grid"])
    other = TEXT[:-1] + "Z"
    hidden = held_up(qr(TEXT), 0.01, 3.0).copy()
    hidden[140:300, 190:340] = 150
    assert reader.sight(Frame(hidden, 1.0)) == Glimpse(1.0)
    assert reader.sight(Frame(held_up(qr(other), 0.01, 3.0), 1.1)) == Sighting(other, 1.1, "grid")


def test_the_equaliser_undoes_what_is_out_of_focus() -> None:
    pixels = np.asarray(Image.fromarray(held_up(qr(TEXT, scale=3))).filter(ImageFilter.GaussianBlur(1.6)))
    assert Reader(["zxing_local", "zxing_global"]).sight(Frame(pixels, 1.0)) is None
    assert Reader(["grid"]).sight(Frame(pixels, 1.0)) == Sighting(TEXT, 1.0, "grid")


def test_a_clean_drawing_of_the_modules_is_that_code() -> None:
    drawn = picture_of(np.where(modules_of(TEXT), -1.0, 1.0).astype(np.float32))
    assert Reader(["zxing_local"]).read_all(drawn).texts == (TEXT,)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_nothing_busy_in_an_empty_lane(level: int) -> None:
    random = np.random.default_rng(level)
    noise = np.clip(random.normal(level, 6, LANE.shape), 0, 255).astype(np.uint8)
    assert busy(noise) is None
    stripes = np.tile(np.repeat(np.array([40, 200], np.uint8), 4), (SIDE, 80))
    assert busy(stripes) is None


def test_where_a_code_is_it_is_busy() -> None:
    box = busy(held_up(qr(TEXT)))
    assert box is not None
    assert box.covers(Box(190, 120, 340, 280))
