"""From a frame to the text of a code: a cascade of readers, in the order that the configuration names.

The stages are functions of one form. Each takes the picture and the places that the stages before it located but could not read (None
where no stage before it locates), and says what it read and what it located. zxing-cpp's two binarizers come first; zbar only looks again,
in both polarities, as they are and enlarged, at the places that they located. A stage's library is imported where the stage is named, and
nowhere else: there is no zxing-cpp for a 32-bit Pi. What a frame shows can make a library raise (a Structured Append code does in pyzbar):
that costs the stage its say on that frame, is counted, and nothing more.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image

from edge.drivers.camera import Frame
from edge.drivers.luma import Pixels

if TYPE_CHECKING:
    import zxingcpp

PREFIXES = ("HB1:", "HC1:")
"""What the codes that concern a gate begin with: ours, and the EU's digital certificates."""

MAX_CHARACTERS = 1100
"""Characters of a code that are passed on: ours have 300 at most, EU certificates about 650. What is cut off cannot be valid any more."""

MAX_CROPS = 4
"""Places of one frame that zbar looks at again, the largest first: a bound on what one frame can cost."""

MAX_ENLARGED = 1_000_000
"""Pixels up to which a picture is enlarged for zbar; a larger one has enough of them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Box:
    """Where a code is, upright, in pixels: left, top, right, bottom."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        """In square pixels, at least 1."""
        return max(1, self.right - self.left) * max(1, self.bottom - self.top)

    def covers(self, other: Box) -> bool:
        """Whether the middle of `other` lies in this box."""
        x, y = (other.left + other.right) / 2, (other.top + other.bottom) / 2
        return self.left <= x <= self.right and self.top <= y <= self.bottom

    def touches(self, other: Box) -> bool:
        """Whether the two have a point in common."""
        return self.left <= other.right and other.left <= self.right and self.top <= other.bottom and other.top <= self.bottom

    def joined(self, other: Box) -> Box:
        """The smallest box around both."""
        return Box(min(self.left, other.left), min(self.top, other.top), max(self.right, other.right), max(self.bottom, other.bottom))


@dataclass(frozen=True)
class Found:
    """A code that was read."""

    text: str
    box: Box


@dataclass(frozen=True)
class Look:
    """What one stage made of a picture: the codes read, and the places of codes that were not read (None: this stage cannot tell)."""

    found: tuple[Found, ...] = ()
    located: tuple[Box, ...] | None = None


Stage: TypeAlias = Callable[[Pixels, "Sequence[Box] | None"], Look]


class MissingReader(ValueError):
    """A stage was named that does not exist, or whose library is not installed: one line."""


@dataclass(frozen=True)
class Sighting:
    """One code with a known prefix: its text, the frame's time (monotonic seconds), and the stage that read it."""

    text: str
    at: float
    reader: str


@dataclass(frozen=True)
class Crowd:
    """Two or more different codes with a known prefix in one frame: nobody can say whose turn it is."""

    texts: tuple[str, ...]
    at: float


@dataclass(frozen=True)
class Glimpse:
    """A code that was located and could not be read: "hold steady"."""

    at: float


@dataclass(frozen=True)
class Foreign:
    """Codes were read and none has a known prefix: a payment poster, say. Of no concern unless it stays."""

    at: float


@dataclass(frozen=True)
class Reading:
    """Everything read in one picture, each text once and whole; the first stage that read one; how many more were located.

    `nested` holds the texts of codes printed inside another code that was read: they are that code's ornament, not a further code.
    """

    texts: tuple[str, ...]
    reader: str | None
    located: int
    nested: tuple[str, ...] = ()


def zxing_local() -> Stage:
    """zxing-cpp with LocalAverage, its default: best in low light, under glare and for inverted codes."""
    return _zxing("LocalAverage")


def zxing_global() -> Stage:
    """zxing-cpp with GlobalHistogram: reads what moved, which LocalAverage often misses."""
    return _zxing("GlobalHistogram")


def zbar() -> Stage:
    """zbar through pyzbar, both polarities: reads cracked screens that zxing-cpp only locates. Its text counts only where it is ASCII.

    Alone it takes the whole frame; after stages that locate, only what they located: as it is, then at twice the size.
    """
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

    def look(pixels: Pixels, located: Sequence[Box] | None) -> Look:
        if located is None:
            height, width = pixels.shape
            texts, unsure = read(pixels)
            return Look(tuple(Found(text, box) for text, box in texts), (Box(0, 0, width, height),) if unsure and not texts else None)
        found: list[Found] = []
        for box in sorted(located, key=lambda box: -box.area)[:MAX_CROPS]:
            crop = np.ascontiguousarray(_crop(pixels, box))
            texts = read(crop)[0] or read(_enlarged(crop))[0]
            found += [Found(text, box) for text, _ in texts]
        return Look(tuple(found))

    return look


STAGES: Mapping[str, Callable[[], Stage]] = {"zxing_local": zxing_local, "zxing_global": zxing_global, "zbar": zbar}
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


class Reader:
    """The cascade of a unit. `faults` counts, by stage, the frames on which it raised."""

    def __init__(self, stages: Sequence[str], prefixes: Sequence[str] = PREFIXES) -> None:
        """Opens the named stages; MissingReader where that is not possible."""
        self._stages = open_stages(stages)
        self._prefixes = tuple(prefixes)
        self.faults: Counter[str] = Counter()

    def sight(self, frame: Frame) -> Sighting | Crowd | Glimpse | Foreign | None:
        """What of concern the frame shows. Codes without a known prefix count only where there is nothing else; nothing shown raises."""
        codes, located, reader = self._cascade(frame.pixels, lambda text: text.startswith(self._prefixes))
        known = {code.text: None for code in codes if code.text.startswith(self._prefixes)}
        if len(known) > 1:
            return Crowd(tuple(text[:MAX_CHARACTERS] for text in known), frame.at)
        for text in known:
            return Sighting(text[:MAX_CHARACTERS], frame.at, reader or "")
        if located:
            return Glimpse(frame.at)
        return Foreign(frame.at) if codes else None

    def read_all(self, pixels: Pixels) -> Reading:
        """Everything that the whole cascade reads in one picture, whatever it begins with."""
        codes, located, reader = self._cascade(pixels, bool)
        nested = {inner.text for inner in codes for outer in codes if _inside(inner, outer)}
        texts = tuple(dict.fromkeys(code.text for code in codes if code.text and code.text not in nested))
        return Reading(texts, reader, len(located), tuple(sorted(nested)))

    def _cascade(self, pixels: Pixels, wanted: Callable[[str], bool]) -> tuple[tuple[Found, ...], tuple[Box, ...], str | None]:
        """Stage after stage, until a wanted text is read and no located code is left unread; and the first stage that read a wanted one."""
        if pixels.ndim != 2 or pixels.size == 0 or pixels.dtype != np.uint8:
            return (), (), None
        picture = np.ascontiguousarray(pixels)
        found: list[Found] = []
        located: list[Box] | None = None
        reader = None
        for name, stage in self._stages:
            try:
                look = stage(picture, located)
            except Exception as wrong:  # a stranger's picture must not end the unit, whatever the library makes of it  # noqa: BLE001
                self.faults[name] += 1
                log.info("%s: %s: %s", name, type(wrong).__name__, wrong)
                continue
            found += look.found
            if reader is None and any(wanted(code.text) for code in look.found):
                reader = name
            if look.located is not None:
                located = _merged([*(located or ()), *look.located])
            if located is not None:
                located = [box for box in located if not any(code.box.covers(box) for code in found)]
            if reader is not None and not located:
                break
        return tuple(found), tuple(located or ()), reader


def read_all(pixels: Pixels, stages: Sequence[str]) -> Reading:
    """Everything that the cascade of the named stages reads in one picture; MissingReader as for Reader."""
    return Reader(stages).read_all(pixels)


def _zxing(binarizer: str) -> Stage:
    try:
        import zxingcpp
    except ImportError as wrong:
        raise MissingReader(f"stage with zxing-cpp: {wrong}: expected the package zxing-cpp, which has no wheel for 32-bit Pis") from None
    how = zxingcpp.Binarizer.__members__[binarizer]

    def look(pixels: Pixels, located: Sequence[Box] | None) -> Look:
        codes = zxingcpp.read_barcodes(
            pixels,
            formats=zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCodeModel2]),
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


def _merged(boxes: Sequence[Box]) -> list[Box]:
    """`boxes` with those that touch made one: zxing-cpp often locates one code several times, by different corners."""
    merged: list[Box] = []
    for box in boxes:
        whole = box
        apart = []
        for other in merged:
            if whole.touches(other):
                whole = whole.joined(other)
            else:
                apart.append(other)
        merged = [*apart, whole]
    return merged


def _crop(pixels: Pixels, box: Box) -> Pixels:
    """The part of `pixels` in `box` with a fifth of its size around: the quiet zone, and what the locating missed."""
    height, width = pixels.shape
    margin = 8 + max(box.right - box.left, box.bottom - box.top) // 5
    top, left = max(0, box.top - margin), max(0, box.left - margin)
    return pixels[top : min(height, box.bottom + margin), left : min(width, box.right + margin)]


def _enlarged(pixels: Pixels) -> Pixels:
    """`pixels` at twice the size, unless that is large already."""
    if pixels.size > MAX_ENLARGED:
        return pixels
    height, width = pixels.shape
    return np.asarray(Image.fromarray(pixels).resize((2 * width, 2 * height), Image.Resampling.BICUBIC))


def _inside(inner: Found, outer: Found) -> bool:
    """Whether `inner` is another code, printed within `outer`."""
    return inner.text != outer.text and outer.box.covers(inner.box) and 2 * inner.box.area < outer.box.area
