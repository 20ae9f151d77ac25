"""What the Melexis MLX90614 is: its parts, its registers and the physics that its own arithmetic leaves to us. Pure.

Facts from the datasheet, revision 13, where nothing else is said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

AMBIENT, OBJECT = 0x06, 0x07
"""Registers in RAM; kelvin are 0.02 times the word."""
IDENTITY = (0x3C, 0x3D, 0x3E, 0x3F)
ERROR_FLAG = 0x8000
KELVIN_PER_COUNT = 0.02
ZERO_C = 273.15

SUPPLY_C_PER_V = 0.6
"""Both temperatures rise by this much per volt of supply above the one the part was calibrated at."""
CALIBRATED_AT_V = 3.0
"""The supply at which the maker calibrates the B and D parts."""

SKIN_EMISSIVITY = 0.98

REFRESH_S = 0.14
"""How long a part takes at most for a new word. With its IIR filter off a part has settled after one, and the fastest settles in this."""

PartName = Literal["DCI", "DCC", "DAA", "BCI", "BCC", "BAA"]


@dataclass(frozen=True, slots=True)
class Part:
    """One option code: view in degrees, distances in centimetres at which a forehead fills it, and what its words are worth.

    `settle_s` is the time to a step's end at the filter setting that the part leaves the factory with; `accuracy_c` the largest error of
    the object's temperature, in degrees Celsius, for a body in a temperate room.
    """

    name: PartName
    view_deg: int
    near_cm: int
    far_cm: int
    settle_s: float
    accuracy_c: float

    @property
    def grade(self) -> str:
        """The accuracy in words."""
        return "medical" if self.name.startswith("D") else "standard"


MEDICAL_C, STANDARD_C = 0.2, 0.5
"""Largest error: D parts for 36 to 38 C in 16 to 40 C of air, the others."""

PARTS: dict[PartName, Part] = {
    part.name: part
    for part in (
        Part("DCI", 5, 10, 30, 0.65, MEDICAL_C),
        Part("DCC", 35, 3, 5, 0.14, MEDICAL_C),
        Part("DAA", 90, 1, 2, 0.14, MEDICAL_C),
        Part("BCI", 5, 10, 30, 0.65, STANDARD_C),
        Part("BCC", 35, 3, 5, 0.14, STANDARD_C),
        Part("BAA", 90, 1, 2, 0.14, STANDARD_C),
    )
}
"""The 3 V parts with one zone. A B part is taken to settle as the D part with the same optics does."""


def celsius_of(word: int) -> float:
    """What a RAM word says, before any correction."""
    return word * KELVIN_PER_COUNT - ZERO_C


def correct_emissivity(seen_c: float, ambient_c: float, emissivity: float) -> float:
    """The temperature of a surface of `emissivity` that a sensor set to 1.0 sees as `seen_c`, by Stefan and Boltzmann; degrees Celsius."""
    seen, ambient = seen_c + ZERO_C, ambient_c + ZERO_C
    radiated = (seen**4 - (1.0 - emissivity) * ambient**4) / emissivity
    return math.sqrt(math.sqrt(max(0.0, radiated))) - ZERO_C


def seen_of(surface_c: float, ambient_c: float, emissivity: float) -> float:
    """What a sensor set to 1.0 sees of a surface of `emissivity` at `surface_c`: the inverse of `correct_emissivity`; degrees Celsius."""
    surface, ambient = surface_c + ZERO_C, ambient_c + ZERO_C
    radiated = emissivity * surface**4 + (1.0 - emissivity) * ambient**4
    return math.sqrt(math.sqrt(radiated)) - ZERO_C
