"""Luma planes: what every camera hands on, made from the pixel formats of cameras and from image files.

All functions are pure but `load_luma`, which reads one file. A plane is a (height, width) array of uint8, 0 black, 255 white.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

Pixels: TypeAlias = NDArray[np.uint8]

MAX_PIXELS = 64_000_000
"""Largest image taken from a file: telephones' cameras give up to 50 million pixels; more is refused before it is unpacked."""

IMAGE_ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"})
"""File endings that count as images inside a folder; a file that is named itself may have any."""


@dataclass(frozen=True)
class ImageFault:
    """A file that gives no picture, and why, in one line."""

    path: Path
    detail: str

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}"


class LumaError(ValueError):
    """A buffer that is too short for the picture that it should hold, or is no JPEG; one line."""


def from_plane(data: bytes | memoryview, width: int, height: int, stride: int) -> Pixels:
    """The first plane of `data`: GREY, and the luma of YU12 and NV12, whose rows are `stride` bytes apart."""
    return _rows(data, width, height, stride)[:, :width].copy()


def from_yuyv(data: bytes | memoryview, width: int, height: int, stride: int) -> Pixels:
    """The luma of YUYV (YUY2), two bytes a pixel, luma first; rows are `stride` bytes apart."""
    return _rows(data, 2 * width, height, stride)[:, : 2 * width : 2].copy()


def from_mjpg(data: bytes) -> Pixels:
    """The luma of one JPEG of a motion-JPEG stream; LumaError where the camera sent a broken one."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            image.draft("L", image.size)
            return np.asarray(image.convert("L"))
    except Exception as wrong:  # a camera's bytes can make a decoder raise anything  # noqa: BLE001
        raise LumaError(f"not a JPEG frame: {wrong}") from None


def from_image(image: Image.Image) -> Pixels:
    """The luma of a Pillow image as a viewer would show it: EXIF orientation applied, what is transparent on white, 16 bits to 8."""
    turned = ImageOps.exif_transpose(image)
    if turned.mode.startswith("I"):
        deep = np.asarray(turned).astype(np.int64)
        return (np.clip(deep, 0, 65535) >> 8).astype(np.uint8)
    if turned.has_transparency_data:
        coloured = turned.convert("RGBA")
        turned = Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured)
    return np.asarray(turned.convert("L"))


def load_luma(path: Path) -> Pixels | ImageFault:
    """The luma of the image file `path` (its first picture), or why there is none. Nothing that a file can hold raises."""
    try:
        if not path.exists():
            return ImageFault(path, "there is no such file")
        if not path.is_file():
            return ImageFault(path, "not an image file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    return ImageFault(path, f"{width} x {height} pixels: expected at most {MAX_PIXELS // 1_000_000} million")
                return from_image(image)
    except UnidentifiedImageError:
        return ImageFault(path, "not an image that can be read")
    except Image.DecompressionBombError:
        return ImageFault(path, f"too many pixels: expected at most {MAX_PIXELS // 1_000_000} million")
    except Exception as wrong:  # a broken file can make its decoder raise anything  # noqa: BLE001
        return ImageFault(path, f"broken image: {str(wrong) or type(wrong).__name__}".replace("\n", " "))


def images_in(folder: Path) -> list[Path]:
    """The files under `folder`, at any depth, that have an image's ending, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS and path.is_file())


def _rows(data: bytes | memoryview, row: int, height: int, stride: int) -> Pixels:
    """`data` as `height` rows `stride` bytes apart (0: as long as a row), of which the last may end after `row` bytes."""
    stride = stride or row
    if row <= 0 or height <= 0 or stride < row or len(data) < stride * (height - 1) + row:
        raise LumaError(f"{len(data)} bytes: expected {height} rows of {row} bytes, {stride} apart")
    flat = np.frombuffer(data, dtype=np.uint8)
    if len(flat) >= stride * height:
        return flat[: stride * height].reshape(height, stride)
    padded = np.zeros(stride * height, dtype=np.uint8)
    padded[: len(flat)] = flat
    return padded.reshape(height, stride)
