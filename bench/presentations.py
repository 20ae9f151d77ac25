"""Synthetic presentations: people who hold a phone with an HB1 code up to a gate's camera, under conditions that make reading hard.

A presentation is FRAMES frames of 640 x 480 luma with a drifting pose, made from a seed: the same seed and number give the same frames.
The picture is made in linear light, in the order of the world: what the screen emits (dark mode, cracks, its pixels' moire, its dimmer's
bands), what its glass reflects (glare), how it is held (tilt), the lens (focus), the hand (motion), the shutter (exposure), the sensor
(shot and read noise), its gamma. Each presentation has one condition at a drawn strength; the rest is mild. The camera alternates its
exposure as a gate's camera with the control does (EXPOSURES), the same for every reader.

Strengths are chosen so that the peers stand where public measurements put
them (pyzbar near half of the single frames, zxing-cpp near 70 %).
Nothing here was fitted to a camera: the figures compare readers with one another and say nothing about a place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import segno
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from healthcode import token
from healthcode.cose import SoftwareKey
from healthcode.terms import Colour, Form

WIDTH, HEIGHT = 640, 480
FRAMES = 12
FPS = 15.0

CONDITIONS = ("plain", "tilt", "glare", "blur", "motion", "low light", "dark mode", "cracks", "bands", "moire")
"""One for each presentation, in turn."""

EXPOSURES = (1.0, 0.25)
"""The shutter of consecutive frames, as factors of what the automatic exposure chose: as `camera.bracketing` has it."""

TEXEL = 5
"""Pixels of the drawn screen for one module; the camera sees 3.0 to 4.6."""

Light = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Presentation:
    """What was held up, under which condition, and what the camera saw."""

    text: str
    condition: str
    frames: tuple[Pixels, ...]


@dataclass(frozen=True)
class Scene:
    """One presentation's constants. Lengths in camera pixels, angles in radians, light in units of the sensor's clipping at exposure 1."""

    white: float
    black: float
    ambient: float
    full_well: float
    read_noise: float
    focus: float
    motion: float
    heading: float
    glare: float
    glare_size: float
    glare_at: tuple[float, float]
    band_depth: float
    band_period: float
    moire: float
    moire_period: float
    moire_heading: float


def present(seed: int, number: int) -> Presentation:
    """Presentation `number` of the series `seed`."""
    random = np.random.default_rng((seed, number))
    condition = CONDITIONS[number % len(CONDITIONS)]
    text = code_text(seed, number)
    screen = draw_screen(text, random, dark=condition == "dark mode", cracks=int(random.integers(2, 6)) if condition == "cracks" else 0)
    scene = draw_scene(condition, random)
    back = background(seed, int(random.integers(BACKGROUNDS)))
    steep = condition == "tilt"
    modules = screen.shape[1] / TEXEL
    size = random.uniform(3.0, 4.6) * modules / WIDTH if not steep else random.uniform(3.6, 4.8) * modules / WIDTH
    lean = random.uniform(0.3, 0.8) if steep else random.uniform(0.0, 0.3)
    towards = random.uniform(0, 2 * math.pi)
    pose = np.array(
        [
            random.uniform(-0.06, 0.06),  # across, of the frame's width
            random.uniform(-0.04, 0.04),
            size,
            random.normal(0, 0.16),  # turned in the plane of the picture
            lean * math.cos(towards),
            lean * math.sin(towards),
        ]
    )
    drift = random.normal(0, 1, 6) * np.array([0.004, 0.004, 0.004 * size, 0.012, 0.02, 0.02])
    frames = []
    unrest = random.normal()
    for step in range(FRAMES):
        unrest = 0.8 * unrest + 0.6 * random.normal()  # hand, focus and lamps are a little better and worse from frame to frame
        shake = random.normal(0, 1, 6) * np.array([0.002, 0.002, 0.0, 0.004, 0.006, 0.006])
        exposure = EXPOSURES[step % len(EXPOSURES)]
        frames.append(take(screen, back, scene, pose + drift * step + shake, step, math.exp(0.3 * unrest), exposure, random))
    return Presentation(text, condition, tuple(frames))


def empty_frames(seed: int, part: int, count: int) -> Iterator[Pixels]:
    """Part `part` of the series `seed`: `count` frames without a code: people, clothes with checks and stripes, signs, darkness, noise."""
    random = np.random.default_rng((seed, 2**32, part))
    for number in range(count):
        light = background(seed, int(random.integers(BACKGROUNDS))) * random.choice((0.05, 0.4, 1.0, 2.0))
        shift = random.integers(0, (HEIGHT, WIDTH))
        light = np.roll(light, shift, (0, 1))
        if number % 4 == 1:
            light = _clothes(light, random)
        elif number % 4 == 2:
            light = _signs(light, random)
        yield develop(light, 1.0, float(random.choice((300.0, 2000.0, 9000.0))), 0.004 * float(random.choice((1.0, 4.0))), random)


def code_text(seed: int, number: int) -> str:
    """A code as a phone shows it, signed with a key made from the seed."""
    index = (seed * 1_000_003 + number * 7919) % 2**26
    at = 1_760_000_000 + number * 120
    claims = token.Claims("CN-HB", f"https://hb.example/s/{1 + number % 3}", index, Colour.GREEN, Form.LIVE, at - 600, at, at + 120)
    return token.write(claims, _key(seed))


@cache
def _key(seed: int) -> SoftwareKey:
    private = Ed25519PrivateKey.from_private_bytes(seed.to_bytes(32, "big"))
    form = serialization.PrivateFormat.PKCS8
    return SoftwareKey.from_pem(private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))


# ---- the telephone


def draw_screen(text: str, random: np.random.Generator, *, dark: bool, cracks: int) -> Light:
    """The face of a telephone that shows `text`, light emitted between 0 (black) and 1 (white); negative is bezel, which emits nothing."""
    matrix = np.array([list(row) for row in segno.make_qr(text, error="m", boost_error=False).matrix], dtype=np.float32)
    card = np.pad(1 - matrix, 4, constant_values=1.0)
    if dark:
        card = 1 - card
    code = np.kron(card, np.ones((TEXEL, TEXEL), np.float32))
    side = code.shape[0]
    wide, tall = side + 4 * TEXEL, int(1.45 * side)
    shade = 0.0 if dark else float(random.choice((1.0, 1.0, 0.85)))
    face = np.full((tall, wide), shade, np.float32)
    top = (tall - side) // 2
    for row in range(3 * TEXEL, top - 3 * TEXEL, 4 * TEXEL):  # name and clock above the code, a line of advice below
        face[row : row + 2 * TEXEL, 6 * TEXEL : int(wide * random.uniform(0.3, 0.8))] = 0.6 if dark else 0.3
    for row in range(top + side + 3 * TEXEL, tall - 4 * TEXEL, 4 * TEXEL):
        face[row : row + 2 * TEXEL, 6 * TEXEL : int(wide * random.uniform(0.3, 0.8))] = 0.6 if dark else 0.3
    face[top : top + side, 2 * TEXEL : 2 * TEXEL + side] = code
    if cracks:
        face = _cracked(face, cracks, random)
    bezel = 2 * TEXEL
    return np.pad(face, bezel, constant_values=-0.02)


def _cracked(face: Light, cracks: int, random: np.random.Generator) -> Light:
    """Cracks that run from one blow, bright or dark along the edge, and shards that are seen a little displaced."""
    tall, wide = face.shape
    blow = np.array([random.uniform(0.0, wide), random.uniform(0.15 * tall, 0.85 * tall)])
    down, across = np.mgrid[0:tall, 0:wide].astype(np.float32)
    angle = np.arctan2(down - blow[1], across - blow[0])
    edges = np.sort(random.uniform(-math.pi, math.pi, cracks))
    shard = np.searchsorted(edges, angle.ravel()).reshape(angle.shape) % cracks
    shifts = random.normal(0, 0.12 * TEXEL, (cracks, 2))
    rows = np.clip(down + shifts[shard, 0], 0, tall - 1).astype(np.intp)
    columns = np.clip(across + shifts[shard, 1], 0, wide - 1).astype(np.intp)
    picture = Image.fromarray((face[rows, columns] * 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for edge in edges:
        point, heading = blow, float(edge)
        tint = int(random.choice((0, 40, 160, 255)))
        for _ in range(12):
            heading += random.normal(0, 0.12)
            onward = point + 0.1 * tall * np.array([math.cos(heading), math.sin(heading)])
            pen.line((*point, *onward), fill=tint, width=int(random.integers(1, TEXEL + 2)))
            point = onward
    return np.asarray(picture, np.float32) / 255


# ---- the conditions


def draw_scene(condition: str, random: np.random.Generator) -> Scene:
    """The constants of a presentation under `condition`."""

    def only(name: str, low: float, high: float, otherwise: float) -> float:
        drawn = float(random.uniform(low, high))
        return drawn if condition == name else otherwise

    dim = only("low light", 0.05, 0.17, 1.0)
    white = float(random.uniform(0.7, 1.3)) * dim
    return Scene(
        white=white,
        black=white * float(random.uniform(0.01, 0.06)),
        ambient=0.25 * dim,
        full_well=only("low light", 300, 900, 6000.0),
        read_noise=only("low light", 0.003, 0.008, 0.003),
        focus=only("blur", 0.9, 1.9, float(random.uniform(0.3, 0.8))),
        motion=only("motion", 3.0, 8.5, float(random.uniform(0.0, 1.5))),
        heading=float(random.uniform(0, math.pi)),
        glare=only("glare", 0.8, 5.0, float(random.choice((0.0, 0.0, 0.15)))),
        glare_size=float(random.uniform(0.10, 0.26)),
        glare_at=(float(random.uniform(-0.3, 0.3)), float(random.uniform(-0.3, 0.3))),
        band_depth=only("bands", 0.45, 0.9, 0.0),
        band_period=float(random.uniform(40, 160)),
        moire=only("moire", 0.25, 0.6, 0.0),
        moire_period=float(random.uniform(2.5, 14)),
        moire_heading=float(random.uniform(0, math.pi)),
    )


# ---- the camera

_DOWN, _ACROSS = (axis.astype(np.float32) for axis in np.mgrid[0:HEIGHT, 0:WIDTH])
_GAMMA = (255 * np.clip(np.linspace(0, 1, 4096), 0, 1) ** (1 / 2.2)).astype(np.uint8)
_POOL: Light = np.random.default_rng(0).standard_normal(2_000_000, dtype=np.float32)
BACKGROUNDS = 24


def take(
    screen: Light,
    back: Light,
    scene: Scene,
    pose: NDArray[np.float64],
    step: int,
    waver: float,
    exposure: float,
    random: np.random.Generator,
) -> Pixels:
    """The frame that the camera takes of `screen` held in `pose` (x, y, size, roll, yaw, pitch) as the `step`-th with `exposure`."""
    x, y, size, roll, yaw, pitch = (float(value) for value in pose)
    how = _coefficients(screen.shape, x, y, size, roll, yaw, pitch)
    emitted = Image.fromarray(np.where(screen < 0, 0, screen * 255).astype(np.uint8))
    glass = Image.new("L", emitted.size, 255)
    seen = Image.merge("RGB", (emitted, glass, Image.fromarray(np.where(screen < 0, 0, 255).astype(np.uint8))))
    seen = seen.transform((WIDTH, HEIGHT), Image.Transform.PERSPECTIVE, how, Image.Resampling.BICUBIC)
    blur = scene.focus * waver
    if blur > 0.45:
        seen = seen.filter(ImageFilter.GaussianBlur(blur))
    planes = np.asarray(seen, np.float32) / 255
    emission, phone, lit = planes[..., 0], planes[..., 1], planes[..., 2]
    light = scene.black * lit + (scene.white - scene.black) * emission
    if scene.band_depth:
        wave = np.sin(2 * math.pi * (_DOWN[:, :1] / scene.band_period + 0.37 * step))
        light = light * (1 - scene.band_depth * (0.5 + 0.5 * np.clip(2.5 * wave, -1, 1)))
    if scene.moire:
        heading, period = scene.moire_heading + 4 * (roll - 0.1 * step * scene.moire_heading), scene.moire_period * (1 + 4 * yaw * pitch)
        phase = (_ACROSS * math.cos(heading) + _DOWN * math.sin(heading)) * (2 * math.pi / max(2.2, abs(period))) + step
        light = light * (1 - scene.moire * (0.5 + 0.5 * np.sin(phase)))
    if scene.glare:
        across = (_ACROSS - WIDTH * (0.5 + 2 * x + scene.glare_at[0] * size + 0.4 * yaw)) / (scene.glare_size * size * WIDTH)
        down = (_DOWN - HEIGHT / 2 - WIDTH * (2 * y + scene.glare_at[1] * size + 0.4 * pitch)) / (0.7 * scene.glare_size * size * WIDTH)
        light = light + phone * (scene.glare * waver) * np.exp(-np.minimum(across * across + down * down, 30.0))
    light = light + 0.02 * scene.ambient * phone
    light = back * scene.ambient * (1 - phone) + light
    speed = scene.motion * waver * waver
    if speed > 1:
        light = _moved(light, speed * max(0.5, exposure), scene.heading)
    return develop(light, exposure, scene.full_well, scene.read_noise, random)


def develop(light: Light, exposure: float, full_well: float, read_noise: float, random: np.random.Generator) -> Pixels:
    """The luma of `light`: exposure, shot noise (`full_well` electrons at clipping), read noise (of clipping), gamma, eight bits."""
    exposed = light * np.float32(exposure)
    start = int(random.integers(_POOL.size - WIDTH * HEIGHT))
    grain = _POOL[start : start + WIDTH * HEIGHT].reshape(HEIGHT, WIDTH)
    exposed = exposed + grain * np.sqrt(exposed * np.float32(1 / full_well) + np.float32(read_noise * read_noise))
    gained = exposed * np.float32(_gain(light))
    return np.asarray(_GAMMA[np.clip(gained * 4095, 0, 4095).astype(np.uint16)])


def _gain(light: Light) -> float:
    """What the camera's gain makes of a dark place: up to 8, so that the brightest twentieth is not black."""
    bright = float(np.percentile(light[::8, ::8], 95))
    return min(8.0, max(1.0, 0.7 / max(bright, 1e-3)))


def _moved(light: Light, length: float, heading: float) -> Light:
    """`light` smeared over `length` pixels in the direction `heading`."""
    steps = max(2, round(length))
    total = np.zeros_like(light)
    for part in np.linspace(-length / 2, length / 2, steps):
        total += np.roll(light, (round(part * math.sin(heading)), round(part * math.cos(heading))), (0, 1))
    return total / np.float32(steps)


def _coefficients(shape: tuple[int, ...], x: float, y: float, size: float, roll: float, yaw: float, pitch: float) -> list[float]:
    """The eight coefficients with which Pillow finds, for a point of the frame, the point of the screen. Focal length: a frame's width."""
    tall, wide = shape
    turn = _rotation(roll, yaw, pitch)
    far = 1 / size  # at this distance, in screen widths, the screen is `size` of the frame's width
    rows, values = [], []
    for u, v in ((0, 0), (wide, 0), (wide, tall), (0, tall)):
        point = turn @ np.array([u / wide - 0.5, (v - tall / 2) / wide, 0.0])
        depth = far + point[2]
        across = WIDTH * (0.5 + x + point[0] / depth)
        down = HEIGHT / 2 + WIDTH * (y + point[1] / depth)
        rows += [[across, down, 1, 0, 0, 0, -u * across, -u * down], [0, 0, 0, across, down, 1, -v * across, -v * down]]
        values += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows, float), np.array(values, float))]


def _rotation(roll: float, yaw: float, pitch: float) -> NDArray[np.float64]:
    rolled = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    yawed = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    pitched = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    return np.asarray(pitched @ yawed @ rolled)


# ---- the lane


@cache
def background(seed: int, number: int) -> Light:
    """A lane: walls, lamps, posts and people out of focus; light about 0.05 to 3."""
    random = np.random.default_rng((seed, 2**33, number))
    picture = Image.new("L", (WIDTH // 4, HEIGHT // 4), int(random.integers(20, 90)))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(random.integers(6, 24))):
        x, y = random.uniform(0, WIDTH / 4), random.uniform(0, HEIGHT / 4)
        a, b = random.uniform(4, 50), random.uniform(4, 70)
        draw = pen.ellipse if random.random() < 0.5 else pen.rectangle
        draw((x - a / 2, y - b / 2, x + a / 2, y + b / 2), fill=int(random.integers(5, 230)))
    blurred = picture.filter(ImageFilter.GaussianBlur(float(random.uniform(0.3, 2)))).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    return np.asarray(blurred, np.float32) / 85


def _clothes(light: Light, random: np.random.Generator) -> Light:
    """Checks and stripes of a shirt in the middle: edges everywhere, and squares in squares, as in a code."""
    period, heading = random.uniform(4, 30), random.uniform(0, math.pi)
    along = np.sin(2 * math.pi / period * (_ACROSS * math.cos(heading) + _DOWN * math.sin(heading)))
    over = np.sin(2 * math.pi / period * (_DOWN * math.cos(heading) - _ACROSS * math.sin(heading)))
    weave = np.sign(along) * (np.sign(over) if random.random() < 0.6 else 1)
    shirt = (np.abs(_ACROSS - WIDTH / 2) < 200) & (_DOWN > 120)
    return np.where(shirt, 0.45 + 0.4 * weave, light).astype(np.float32)


def _signs(light: Light, random: np.random.Generator) -> Light:
    """Squares in squares and random modules without finders: what looks like part of a code."""
    light = light.copy()
    for _ in range(int(random.integers(1, 4))):
        pitch = int(random.integers(2, 7))
        count = int(random.integers(7, 40))
        top, left = int(random.integers(0, HEIGHT - 60)), int(random.integers(0, WIDTH - 60))
        modules = random.integers(0, 2, (count, count)).astype(np.float32)
        if random.random() < 0.5:
            modules[0:7, 0:7] = 0
            modules[1:6, 1:6] = 1
            modules[2:5, 2:5] = 0
        patch = np.kron(modules, np.ones((pitch, pitch), np.float32))[: HEIGHT - top, : WIDTH - left]
        light[top : top + patch.shape[0], left : left + patch.shape[1]] = 0.05 + 0.9 * patch
    return light
