"""From a frame to the text of a code: the stages of edge/stages.py, in the order that the configuration names.

zxing-cpp's two binarizers come first; what they locate or overlook is read module by module, over several frames; zbar comes last, at the
places that are left. What a frame shows can make a library raise (a Structured Append code does in pyzbar): that costs the stage its say
on that frame, is counted, and nothing more.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge.drivers.camera import Frame
from edge.drivers.luma import Pixels
from edge.places import Box, Found, merged
from edge.stages import STAGES, MissingReader, open_stages

__all__ = ["STAGES", "Crowd", "Foreign", "Glimpse", "MissingReader", "Reader", "Reading", "Sighting", "read_all"]

PREFIXES = ("HB1:", "HC1:")
"""What the codes that concern a gate begin with: ours, and the EU's digital certificates."""

MAX_CHARACTERS = 1100
"""Characters of a code that are passed on: ours have 300 at most, EU certificates 1,099. One that is cut off is still too long."""

log = logging.getLogger(__name__)


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


class Reader:
    """The cascade of a unit. `faults` counts, by stage, the frames on which it raised."""

    def __init__(self, stages: Sequence[str], prefixes: Sequence[str] = PREFIXES) -> None:
        """Opens the named stages; MissingReader where that is not possible."""
        self._stages = open_stages(stages)
        self._prefixes = tuple(prefixes)
        self.faults: Counter[str] = Counter()

    def sight(self, frame: Frame) -> Sighting | Crowd | Glimpse | Foreign | None:
        """What of concern the frame shows. Codes without a known prefix count only where there is nothing else; nothing shown raises."""
        codes, located, reader = self._cascade(frame, lambda text: text.startswith(self._prefixes))
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
        codes, located, reader = self._cascade(Frame(pixels, -math.inf), bool)  # of no time: nothing is remembered
        nested = {inner.text for inner in codes for outer in codes if _inside(inner, outer)}
        texts = tuple(dict.fromkeys(code.text for code in codes if code.text and code.text not in nested))
        return Reading(texts, reader, len(located), tuple(sorted(nested)))

    def _cascade(self, frame: Frame, wanted: Callable[[str], bool]) -> tuple[tuple[Found, ...], tuple[Box, ...], str | None]:
        """Stage after stage, until a wanted text is read and no located code is left unread; and the first stage that read a wanted one."""
        pixels = frame.pixels
        if pixels.ndim != 2 or pixels.size == 0 or pixels.dtype != np.uint8:
            return (), (), None
        picture = Frame(np.ascontiguousarray(pixels), frame.at)
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
                located = merged([*(located or ()), *look.located])
            if located is not None:
                located = [box for box in located if not any(code.box.covers(box) for code in found)]
            if reader is not None and not located:
                break
        return tuple(found), tuple(located or ()), reader


def read_all(pixels: Pixels, stages: Sequence[str]) -> Reading:
    """Everything that the cascade of the named stages reads in one picture; MissingReader as for Reader."""
    return Reader(stages).read_all(pixels)


def _inside(inner: Found, outer: Found) -> bool:
    """Whether `inner` is another code, printed within `outer`."""
    return inner.text != outer.text and outer.box.covers(inner.box) and 2 * inner.box.area < outer.box.area
