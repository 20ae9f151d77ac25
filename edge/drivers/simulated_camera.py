"""The simulated camera: draws what the simulated world holds up, as a camera above the gate would see it.

Codes appear as QR codes on the white screen of a dark telephone, tilted, blurred, dimmed and noisy as the scene says; without one there is
the empty lane, or the photograph that the scene names. A picture is drawn once per scene; only the noise changes from frame to frame.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import segno
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from edge.camera_watch import Trouble
from edge.drivers.camera import CameraFault, Frame
from edge.drivers.luma import ImageFault, Pixels, load_luma

if TYPE_CHECKING:
    from edge.drivers.world import Scene, WorldClient

QUIET_MODULES = 4
"""Width of the white border that ISO/IEC 18004 asks for around a code, in modules."""

BLUR_PX = 4.0
"""Radius of the blur at `scene.blur` = 1, in pixels; a code of 4 pixels a module is lost beyond about half of it."""

NOISE_LEVELS = 60.0
"""Standard deviation of the noise at `scene.noise` = 1, in grey levels."""

SENSOR_NOISE = 0.02
"""Noise that is always there, on the scale of `scene.noise`: no camera gives the same frame twice."""

SMALLEST_PHONE = 60
"""Pixels of width or height below which no telephone is drawn."""

STALL_S = 3.0
"""How long a stopped camera takes to say so, in seconds, as the real drivers do."""

MAX_TILT = 75.0
"""Tilt in degrees beyond which a screen shows no code at all; a scene's tilt is held to it."""


class SimulatedCamera:
    """`fps` frames a second of `width` x `height` pixels from the scene of `world`; each change of what it sees is journalled there."""

    def __init__(self, world: WorldClient, width: int, height: int, fps: float) -> None:
        """CameraFault where the scene's camera is unplugged."""
        if world.scene.camera == "unplugged":
            raise CameraFault("simulated camera: there is no such camera", Trouble.MISSING)
        self._world = world
        self._size = (width, height)
        self._period_s = 1.0 / fps
        self._closed = threading.Event()
        random = np.random.default_rng(1)
        self._grain: NDArray[np.float32] = random.standard_normal((height + 64, width + 64), dtype=np.float32)
        self._random = random

    def frames(self) -> Iterator[Frame]:
        """Frames until `close`; CameraFault where the world is gone, or the scene's camera is stopped or unplugged."""
        drawn: Scene | None = None
        picture: Pixels | None = None
        grain: NDArray[np.int16] | None = None
        due = time.monotonic()
        number = 0
        while not self._closed.wait(max(0.0, due - time.monotonic())):
            now = time.monotonic()
            due = max(due + self._period_s, now)
            number += 1
            try:
                self._world.hang_while(lambda scene: scene.camera == "hang")
                scene = self._world.scene
                if scene.camera == "unplugged":
                    raise CameraFault("simulated camera: the camera was unplugged", Trouble.MISSING)
                if scene.camera == "stopped":
                    if self._closed.wait(STALL_S):
                        return
                    raise CameraFault(f"simulated camera: no frame for {STALL_S:.0f} s", Trouble.FROZEN)
                if picture is None or grain is None or drawn is None or _seen(scene) != _seen(drawn):
                    picture = draw(scene, *self._size)
                    grain = (self._grain * (NOISE_LEVELS * (SENSOR_NOISE + min(1.0, max(0.0, scene.noise))))).astype(np.int16)
                    self._world.journal({"frame": number, "shown": [code.id for code in scene.shown], "picture": scene.picture, "at": now})
                    drawn = scene
            except OSError as wrong:
                raise CameraFault(f"simulated camera: {wrong.strerror or wrong}") from None
            yield Frame(add_noise(picture, grain, *self._random.integers(0, 64, size=2)), now)

    def close(self) -> None:
        """Ends `frames` at once."""
        self._closed.set()


def draw(scene: Scene, width: int, height: int) -> Pixels:
    """The picture of `scene` without its noise: the telephones of `scene.shown` side by side in front of the empty lane.

    CameraFault where the scene names a photograph that cannot be read.
    """
    picture = _photograph(Path(scene.picture), width, height) if scene.picture else _lane(width, height)
    shown = scene.shown
    for number, code in enumerate(shown):
        left, right = width * number // len(shown), width * (number + 1) // len(shown)
        phone = _phone(code.text, right - left, height)
        if phone is None:
            continue
        layer, mask = _tilted(phone, right - left, height, scene.tilt)
        picture.paste(layer, (left, 0), mask)
    if scene.blur > 0:
        picture = picture.filter(ImageFilter.GaussianBlur(BLUR_PX * min(1.0, scene.blur)))
    levels: NDArray[np.float32] = np.asarray(picture, dtype=np.float32) * max(0.0, scene.brightness)
    return np.clip(levels, 0, 255).astype(np.uint8)


def add_noise(picture: Pixels, grain: NDArray[np.int16], down: int, right: int) -> Pixels:
    """`picture` with the part of `grain` that begins `down` rows and `right` columns in."""
    height, width = picture.shape
    noisy = picture.astype(np.int16)
    noisy += grain[down : down + height, right : right + width]
    return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)


def _seen(scene: Scene) -> tuple[object, ...]:
    """What of a scene a camera sees."""
    return scene.shown, scene.picture, scene.tilt, scene.blur, scene.noise, scene.brightness


def _photograph(path: Path, width: int, height: int) -> Image.Image:
    """A photograph as large as fits, with black beside it."""
    found = load_luma(path)
    if isinstance(found, ImageFault):
        raise CameraFault(f"simulated camera: {found}")
    return ImageOps.pad(Image.fromarray(found), (width, height))


def _lane(width: int, height: int) -> Image.Image:
    """The empty lane: a wall above, a darker floor below, and the posts of the barrier."""
    shades = np.linspace(150, 110, height)[:, None] + np.linspace(-15, 15, width)[None, :]
    lane = Image.fromarray(shades.astype(np.uint8))
    pen = ImageDraw.Draw(lane)
    pen.rectangle((0, height * 3 // 4, width, height), fill=80)
    for x in (width // 12, width * 11 // 12):
        pen.rectangle((x - 6, height // 3, x + 6, height), fill=60)
    return lane


def _phone(text: str, width: int, height: int) -> Image.Image | None:
    """A telephone that fits `width` x `height` with `text` as a QR code of level M on its screen; None where that cannot be.

    Whole pixels a module, as telephones draw them. A text too long for level M is drawn at level L.
    """
    code = _encode(text)
    if code is None or min(width, height) < SMALLEST_PHONE:
        return None
    matrix = np.array([list(row) for row in code.matrix], dtype=np.uint8)
    modules = len(matrix) + 2 * QUIET_MODULES
    room = int(min(width * 0.84, height * 0.66))
    scale = room // modules
    dark = np.pad(matrix, QUIET_MODULES)
    drawn = Image.fromarray(np.where(dark == 0, 245, 12).astype(np.uint8))
    side = modules * scale if scale >= 1 else max(1, room)
    drawn = drawn.resize((side, side), Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX)
    bezel = max(4, width // 50)
    wide = min(width - 4, side + 2 * bezel)
    tall = min(int(height * 0.9), int(wide * 1.7))
    phone = Image.new("L", (wide, tall), 20)
    pen = ImageDraw.Draw(phone)
    pen.rectangle((bezel, bezel, wide - bezel - 1, tall - bezel - 1), fill=245)
    phone.paste(drawn, ((wide - side) // 2, (tall - side) // 2))
    return phone


def _encode(text: str) -> segno.QRCode | None:
    for level in ("m", "l"):
        try:
            return segno.make_qr(text, error=level, boost_error=False)
        except ValueError:
            continue
    return None


def _tilted(phone: Image.Image, width: int, height: int, tilt: float) -> tuple[Image.Image, Image.Image]:
    """`phone` in the middle of a `width` x `height` layer, turned `tilt` degrees about its upright axis, and the mask of where it is.

    The pinhole stands 2.5 telephone heights away: what is turned away is smaller than what is turned near.
    """
    angle = math.radians(max(-MAX_TILT, min(MAX_TILT, tilt)))
    wide, tall = phone.size
    away = 2.5 * tall
    corners = []
    for x, y in ((-wide / 2, -tall / 2), (wide / 2, -tall / 2), (wide / 2, tall / 2), (-wide / 2, tall / 2)):
        depth = away / (away + x * math.sin(angle))
        corners.append((width / 2 + x * math.cos(angle) * depth, height / 2 + y * depth))
    source = ((0.0, 0.0), (float(wide), 0.0), (float(wide), float(tall)), (0.0, float(tall)))
    how = _perspective(corners, source)
    layer = phone.transform((width, height), Image.Transform.PERSPECTIVE, how, Image.Resampling.BICUBIC)
    mask = Image.new("L", phone.size, 255).transform((width, height), Image.Transform.PERSPECTIVE, how, Image.Resampling.BILINEAR)
    return layer, mask


def _perspective(seen: list[tuple[float, float]], source: tuple[tuple[float, float], ...]) -> list[float]:
    """The eight coefficients with which Pillow finds, for a point of the picture, the point of the source: seen[i] comes from source[i]."""
    rows, values = [], []
    for (x, y), (u, v) in zip(seen, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows), np.array(values))]
