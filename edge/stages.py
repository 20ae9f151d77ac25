"""The stages of the cascade, as functions of one form, and the one list of them.

Each takes a frame and the places that the stages before it located but could not read (None where no stage before it locates), and says
what it read and what it located. A stage's library is imported where the stage is named, and nowhere else: there is no zxing-cpp for a
32-bit Pi.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image

from edge.drivers.camera import Frame
from edge.drivers.luma import Pixels
from edge.fusion import Fusion
from edge.modules import picture_of
from edge.places import Box, Found, Look
from edge.qr_layout import layout

if TYPE_CHECKING:
    import zxingcpp

MAX_CROPS = 4
"""Places of one frame that zbar looks at again, the largest first: a bound on what one frame can cost."""

MAX_ENLARGED = 1_000_000
"""Pixels up to which a picture is enlarged for zbar; a larger one has enough of them."""

Stage: TypeAlias = Callable[[Frame, "Sequence[Box] | None"], Look]


class MissingReader(ValueError):
    """A stage was named that does not exist, or whose library is not installed: one line."""


def zxing_local() -> Stage:
    """zxing-cpp with LocalAverage, its default: best in low light, under glare and for inverted codes."""
    return _zxing("LocalAverage")


def zxing_global() -> Stage:
    """zxing-cpp with GlobalHistogram: reads what moved, which LocalAverage often misses."""
    return _zxing("GlobalHistogram")


def grid() -> Stage:
    """Our own: finds the code by what of its finders is left, reads it module by module, and adds up frames (edge/fusion.py).

    The text comes out of a clean drawing of the modules, read by zxing-cpp, and by zbar where that is not installed.
    """
    try:
        import zxingcpp
    except ImportError:
        read = _zbar()
        return _rehearsed(Fusion(lambda clean: next((text for text, _ in read(clean)[0]), "")))
    formats = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCodeModel2])

    def decode(clean: Pixels) -> str:
        codes = zxingcpp.read_barcodes(
            clean, formats=formats, binarizer=zxingcpp.Binarizer.FixedThreshold, text_mode=zxingcpp.TextMode.Plain, try_invert=False
        )
        return next((code.text for code in codes if code.valid), "")

    return _rehearsed(Fusion(decode))


def zbar() -> Stage:
    """zbar through pyzbar, both polarities: reads cracked screens that zxing-cpp only locates. Its text counts only where it is ASCII.

    Alone it takes the whole frame; after stages that locate, only what they located: as it is, then at twice the size.
    """
    read = _zbar()

    def look(frame: Frame, located: Sequence[Box] | None) -> Look:
        pixels = frame.pixels
        if located is None:
            height, width = pixels.shape
            texts, unsure = read(pixels)
            return Look(tuple(Found(text, box) for text, box in texts), (Box(0, 0, width, height),) if unsure and not texts else None)
        found: list[Found] = []
        for box in sorted(located, key=lambda box: -box.area)[:MAX_CROPS]:
            crop = box.grown(0.2, pixels).cut(pixels)
            texts = read(crop)[0] or read(_enlarged(crop))[0]
            found += [Found(text, box) for text, _ in texts]
        return Look(tuple(found))

    return look


STAGES: Mapping[str, Callable[[], Stage]] = {"zxing_local": zxing_local, "zxing_global": zxing_global, "grid": grid, "zbar": zbar}
"""The cascade, in its usual order; `camera.stages` names those that a unit uses."""


def open_stages(names: Sequence[str]) -> tuple[tuple[str, Stage], ...]:
    """The named stages, ready to read; MissingReader where one does not exist or its library is not installed."""
    stages = []
    for name in names:
        if name not in STAGES:
            raise MissingReader(f"stage {name}: expected one of {', '.join(STAGES)}")
        stages.append((name, STAGES[name]()))
    if not stages:
        raise MissingReader(f"no stage named: expected some of {', '.join(STAGES)}")
    return tuple(stages)


def _rehearsed(stage: Stage) -> Stage:
    """`stage` after a picture of a code without a text: what libraries load at first use is loaded before a reader locks itself in."""
    plan = layout(2)
    clean = picture_of(np.where(plan.known, np.where(plan.dark, -1.0, 1.0), 1.0).astype(np.float32))
    stage(Frame(clean, -math.inf), ())
    return stage


def _zxing(binarizer: str) -> Stage:
    try:
        import zxingcpp
    except ImportError as wrong:
        raise MissingReader(f"stage with zxing-cpp: {wrong}: expected the package zxing-cpp, which has no wheel for 32-bit Pis") from None
    how = zxingcpp.Binarizer.__members__[binarizer]
    formats = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCodeModel2])

    def look(frame: Frame, located: Sequence[Box] | None) -> Look:
        codes = zxingcpp.read_barcodes(
            frame.pixels,
            formats=formats,
            binarizer=how,
            text_mode=zxingcpp.TextMode.Plain,  # the default escapes control characters
            return_errors=True,
        )
        found = tuple(Found(code.text, _box(code.position)) for code in codes if code.valid)
        return Look(found, tuple(_box(code.position) for code in codes if not code.valid))

    return look


def _box(position: zxingcpp.Position) -> Box:
    corners = (position.top_left, position.top_right, position.bottom_right, position.bottom_left)
    across, down = [corner.x for corner in corners], [corner.y for corner in corners]
    return Box(min(across), min(down), max(across), max(down))


def _zbar() -> Callable[[Pixels], tuple[list[tuple[str, Box]], bool]]:
    """What zbar reads in a picture, in either polarity, and whether it read something whose text cannot be trusted."""
    try:
        from pyzbar.pyzbar import ZBarSymbol, decode
    except ImportError as wrong:
        raise MissingReader(f"stage zbar: {wrong}: expected the package pyzbar and Debian's libzbar0") from None

    def read(picture: Pixels) -> tuple[list[tuple[str, Box]], bool]:
        texts, unsure = [], False
        for polarity in (picture, 255 - picture):
            for symbol in decode(polarity, symbols=[ZBarSymbol.QRCODE]):
                # Bytes of 0x80 and above come out of zbar as other text than went in, by a guess at the encoding.
                if symbol.data.isascii():
                    left, top, width, height = symbol.rect
                    texts.append((symbol.data.decode("ascii"), Box(left, top, left + width, top + height)))
                else:
                    unsure = True
            if texts:
                break
        return texts, unsure

    return read


def _enlarged(pixels: Pixels) -> Pixels:
    """`pixels` at twice the size, unless that is large already."""
    if pixels.size > MAX_ENLARGED:
        return pixels
    height, width = pixels.shape
    return np.asarray(Image.fromarray(pixels).resize((2 * width, 2 * height), Image.Resampling.BICUBIC))
