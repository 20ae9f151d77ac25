"""Pictures of QR codes for tests."""

import functools
import io
from typing import Any

import numpy as np
import segno
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from segno import encoder

from edge.drivers.luma import Pixels

TEXT = "HB1:" + "6BF2S0$%K3 W.EX*R7:QJ/-+" * 10


@functools.cache
def sensor_noise() -> NDArray[np.float32]:
    """31 frames of a sensor's noise, in units of its deviation, to be shown again and again: drawing it anew costs more than reading."""
    return np.random.default_rng(1).standard_normal((31, 480, 640), np.float32)


def picture(code: segno.QRCode, scale: int = 4) -> Pixels:
    """`code` as a clean black and white picture with its quiet zone."""
    target = io.BytesIO()
    code.save(target, kind="png", scale=scale, border=4)
    target.seek(0)
    with Image.open(target) as image:
        return np.asarray(image.convert("L"))


def qr(text: str | bytes, scale: int = 4, error: str = "m") -> Pixels:
    """The picture of a QR code that says `text`."""
    return picture(segno.make_qr(text, error=error, boost_error=False), scale)


def beside(*pictures: Pixels) -> Pixels:
    """The pictures next to one another on white."""
    height = max(one.shape[0] for one in pictures)
    padded = [np.pad(one, ((0, height - one.shape[0]), (0, 20)), constant_values=255) for one in pictures]
    return np.hstack(padded)


def empty_qr() -> Pixels:
    """A QR code without a payload: terminator and padding only. segno's public functions refuse to make one."""
    inside: Any = encoder
    code = inside._encode(inside.Segments(), error=inside.consts.ERROR_LEVEL_M, version=1, mask=None, eci=False, boost_error=False)
    make: Any = segno.QRCode
    return picture(make(code))


def bad_eci(text: str, number: int) -> Pixels:
    """A QR code whose text claims the encoding `number` (eight bits): one that does not exist, or not the text's own."""
    inside: Any = encoder
    true = inside.get_eci_assignment_number
    inside.get_eci_assignment_number = lambda encoding: number
    try:
        return picture(segno.make_qr(text, encoding="utf-8", eci=True, error="m", boost_error=False))
    finally:
        inside.get_eci_assignment_number = true


def long_code() -> Pixels:
    """The largest QR code there is: 7,000 characters that begin as ours do."""
    make: Any = segno.make_qr
    return picture(make(["HB1:", "7" * 6996], error="l", boost_error=False), 3)


def cracked(pixels: Pixels, seed: int) -> Pixels:
    """`pixels` with one to five cracks across, and sometimes out of focus."""
    random = np.random.default_rng(seed)
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    side = pixels.shape[0]
    for _ in range(random.integers(1, 6)):
        ends = [tuple(int(at) for at in random.integers(0, side, 2)) for _ in range(2)]
        pen.line(ends, fill=int(random.integers(0, 255)), width=int(random.integers(1, 6)))
    if random.random() < 0.6:
        image = image.filter(ImageFilter.GaussianBlur(float(random.uniform(0.5, 2.5))))
    return np.asarray(image)
