"""Presence: empty frames are skipped, a telephone never is, and time is the frames' own."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edge.config import Camera, ConfigError, parse
from edge.drivers.luma import Pixels
from edge.presence import LEARN_S, Look, Presence, region
from tests.edge.codes import TEXT, qr, sensor_noise

FPS = 15.0
CONFIG = Camera()


class Lane:
    """An empty lane under a camera's noise, in which somebody may hold up a telephone; its frames have their own time."""

    def __init__(self, noise: float = 4.0, fps: float = FPS) -> None:
        self.at = 0.0
        self.presence = Presence(CONFIG)
        self.exposure = 1.0
        self.noise = noise
        self.period_s = 1 / fps
        self.noises = itertools.cycle(sensor_noise())
        self.wall = (np.linspace(110, 150, 480)[:, None] + np.linspace(-15, 15, 640)[None, :]).astype(np.float32)
        self.phone: Pixels | None = None
        self.shift = 0

    def picture(self) -> Pixels:
        scene = self.wall.copy()
        if self.phone is not None:
            height, width = self.phone.shape
            scene[60 : 60 + height, 150 + self.shift : 150 + self.shift + width] = self.phone
        seen: Pixels = np.clip(scene * self.exposure + self.noise * next(self.noises), 0, 255).astype(np.uint8)
        return seen

    def frame(self, bracketed: bool = False) -> Look:
        self.at += self.period_s
        return self.presence.look(self.picture(), self.at, bracketed)

    def watch(self, seconds: float) -> list[Look]:
        return [self.frame() for _ in range(round(seconds / self.period_s))]


@pytest.fixture
def lane() -> Lane:
    lane = Lane()
    lane.watch(LEARN_S)
    return lane


def rate(looks: list[Look]) -> float:
    return sum(look.decode for look in looks) / len(looks) * FPS


@pytest.mark.parametrize("noise", [0.5, 4.0, 6.0])
def test_an_empty_lane_is_decoded_at_five_frames_a_second(noise: float) -> None:
    lane = Lane(noise)
    lane.watch(LEARN_S)
    looks = lane.watch(20.0)
    assert not any(look.busy for look in looks)
    assert 4.5 <= rate(looks) <= 5.5


def test_the_very_first_frame_is_decoded() -> None:
    assert Lane().frame().decode


def test_a_telephone_is_decoded_in_the_frame_in_which_it_appears_and_then_at_full_rate(lane: Lane) -> None:
    lane.phone = qr(TEXT, scale=3)
    looks = lane.watch(3.0)
    assert all(look.decode and look.busy for look in looks)


def test_for_two_seconds_after_the_last_motion_every_frame_is_decoded(lane: Lane) -> None:
    lane.phone = qr(TEXT, scale=3)
    lane.watch(0.2)
    lane.phone = None
    looks = lane.watch(4.0)
    assert all(look.decode for look in looks[: round(1.9 * FPS)])
    assert rate(looks[round(2.2 * FPS) :]) < 6


def test_a_telephone_held_still_for_minutes_is_still_decoded_at_the_low_rate(lane: Lane) -> None:
    lane.phone = qr(TEXT, scale=3)
    lane.watch(120.0)
    looks = lane.watch(20.0)
    assert not any(look.busy for look in looks)
    assert 4.5 <= rate(looks) <= 5.5
    gaps = np.diff([number for number, look in enumerate(looks) if look.decode]) / FPS
    assert gaps.max() <= 0.25


def test_a_hand_that_moves_keeps_the_full_rate(lane: Lane) -> None:
    lane.phone = qr(TEXT, scale=3)
    for number in range(300):
        lane.shift = 6 * (number % 10)
        assert lane.frame().decode


def test_a_screen_that_lights_up_is_enough_where_it_is_small(lane: Lane) -> None:
    lane.phone = np.full((32, 32), 255, np.uint8)
    look = lane.frame()
    assert look.moved < 0.008
    assert look.decode
    assert look.busy


def test_a_light_that_is_switched_on_is_learnt(lane: Lane) -> None:
    lane.wall = lane.wall + 60
    assert lane.frame().busy
    lane.watch(4 * LEARN_S)
    assert not any(look.busy for look in lane.watch(3.0))


def test_alternating_exposures_of_an_empty_lane_are_no_motion(lane: Lane) -> None:
    looks = []
    for number in range(150):
        lane.exposure = 0.25 if number % 2 else 1.0
        looks.append(lane.frame(bracketed=True))
    assert not any(look.busy for look in looks)
    lane.phone = qr(TEXT, scale=3)
    for number in range(10):
        lane.exposure = 0.25 if number % 2 else 1.0
        assert lane.frame(bracketed=True).decode


def test_a_slow_camera_loses_no_frame() -> None:
    lane = Lane(fps=4.0)
    assert all(look.decode for look in lane.watch(20.0))


def test_a_camera_that_changes_its_size_is_looked_at_anew(lane: Lane) -> None:
    look = lane.presence.look(np.full((120, 160), 100, np.uint8), lane.at + 1)
    assert look.decode
    assert not look.same


def test_frames_that_are_the_same_to_the_last_pixel_are_told() -> None:
    presence, picture = Presence(CONFIG), np.full((480, 640), 90, np.uint8)
    assert [presence.look(picture, number / 15).same for number in range(3)] == [False, True, True]
    picture = picture.copy()
    picture[0, 0] += 1
    assert not presence.look(picture, 1.0).same


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (120, 160)])
def test_small_pictures_do_no_harm(shape: tuple[int, int]) -> None:
    presence = Presence(CONFIG)
    assert all(presence.look(np.zeros(shape, np.uint8), float(number)).decode for number in range(4))


def test_the_region_is_a_view_and_the_whole_picture_by_default() -> None:
    picture = np.arange(48, dtype=np.uint8).reshape(6, 8)
    part = region(picture, (0.25, 0.5, 0.75, 1.0))
    assert np.shares_memory(part, picture)
    assert (part == picture[3:6, 2:6]).all()
    assert region(picture, CONFIG.roi).shape == picture.shape


GATE = 'unit = "north"\nhardware = "pi"\ndata = "/var/lib/healthgate"\nroots = ["/etc/healthgate/root.pem"]\n[camera]\n'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("roi = [0.5, 0.0, 0.5, 1.0]", "camera.roi"),
        ("roi = [0.9, 0.0, 0.1, 1.0]", "camera.roi"),
        ("roi = [0.0, 0.0, 1.0, 1.5]", "roi"),
        ("roi = [0.0, 0.0, 1.0]", "roi"),
        ("idle_fps = 30.0", "camera.idle_fps"),
        ("steady_after = 1", "steady_after"),
    ],
)
def test_a_region_or_a_pace_that_cannot_be_is_an_error(line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(GATE + line)


def test_a_region_is_taken_from_the_configuration() -> None:
    assert parse(GATE + "roi = [0.1, 0.2, 0.9, 1.0]").camera.roi == (0.1, 0.2, 0.9, 1.0)
