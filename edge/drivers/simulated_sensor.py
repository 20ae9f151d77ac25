"""A simulated MLX90614 on a simulated SMBus: registers, not temperatures, so that `edge.thermal` really runs.

The same few methods as smbus2.SMBus. For each read the wire bytes are built with their PEC; what the kernel would do with them follows,
errno and all. What the sensor looks at comes from the world's scene. Every transfer is journalled to the world before its word is
returned.
"""

from __future__ import annotations

import errno
import math
import os
import random
import time
from collections.abc import Callable

from edge.drivers.world import Scene, WorldClient
from edge.mlx90614 import AMBIENT, CALIBRATED_AT_V, KELVIN_PER_COUNT, OBJECT, PARTS, SUPPLY_C_PER_V, ZERO_C, seen_of

ADDRESS = 0x5A
WRITE_BYTE, READ_BYTE = 0xB4, 0xB5
"""The address on the wire with the write and the read bit."""

EEPROM = 0x20
LOCKED_CELLS = frozenset({0x24, 0x2F, 0x39, 0x3C, 0x3D, 0x3E, 0x3F})
IDENTITY = {0x3C: 0x5D21, 0x3D: 0x91C4, 0x3E: 0x4403, 0x3F: 0x1A3F}
OTHER_IDENTITY = {0x3C: 0x77A0, 0x3D: 0x0B12, 0x3E: 0x4403, 0x3F: 0x9C01}

TAUS_TO_SETTLE = 4.6
"""A part's settling time is taken as the time to 1 per cent of a step."""

CASE_TAU_S = 60.0
"""Time constant of the sensor's can, and so of its ambient register: an estimate, never measured."""

NOISE_C = 0.03
COLD_ERROR_C, COLD_TAU_S = -0.8, 400.0
"""A sensor just powered reads low; the error decays over the 30 minutes of warm-up. An estimate, never measured."""

FIRST_DATA_S = 0.25

FAILS = {
    "unplugged": errno.EREMOTEIO,
    "io_error": errno.EIO,
    "timeout": errno.ETIMEDOUT,
    "bus_low": errno.EBUSY,
}
"""With which errno each condition ends a transfer before any word is on the wire; a bus that somebody holds low is busy to its adapter."""


def pec(data: bytes) -> int:
    """The SMBus packet error code over `data`: CRC-8, polynomial 0x07, initial 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1) ^ 0x07 if crc & 0x80 else crc << 1
        crc &= 0xFF
    return crc


def wire_read(register: int, word: int) -> bytes:
    """What a read of `register` puts on the wire after the command: low byte, high byte, PEC."""
    low, high = word & 0xFF, word >> 8
    return bytes((low, high, pec(bytes((WRITE_BYTE, register, READ_BYTE, low, high)))))


class _Lag:
    """A first-order response: follows its target with time constant `tau_s`, exactly, however seldom it is asked."""

    def __init__(self, value: float, tau_s: float, at: float) -> None:
        self._value, self._tau_s, self._at, self.target = value, tau_s, at, value

    def step(self, target: float, at: float) -> float:
        """The value at `at`; from then on it goes towards `target`."""
        self._value = self.target + (self._value - self.target) * math.exp(-max(0.0, at - self._at) / self._tau_s)
        self._at, self.target = at, target
        return self._value


class SimulatedBus:
    """The bus with the one sensor on it."""

    def __init__(
        self,
        world: WorldClient,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        settle_s: float = PARTS["DCC"].settle_s,
    ) -> None:
        """`seed` fixes the noise; `clock` gives monotonic seconds; `settle_s` is the part's settling time."""
        self.pec = 0
        self._world = world
        self._clock = clock
        self._random = random.Random(seed)
        scene = world.scene
        now = clock()
        self._powered_from = now - scene.powered_s
        self._case = _Lag(scene.ambient_c, CASE_TAU_S, now)
        self._object = _Lag(_target(scene), settle_s / TAUS_TO_SETTLE, now)
        self._held: dict[int, int] = {}
        self._eeprom = {0x20: 0x9993, 0x21: 0x62E3, 0x22: 0x0201, 0x23: 0xF71C, 0x24: 0xFFFF, 0x25: 0x9FB4, 0x2E: 0xBE5A}
        self._was = scene
        world.on_change(self._follow)

    def read_word_data(self, i2c_addr: int, register: int, /) -> int:
        """The word of `register` as the kernel hands it over, or OSError as it fails."""
        self._world.hang_while(lambda scene: scene.sensor == "hang")
        scene = self._world.scene
        at = self._clock()
        code = self._refusal(scene, i2c_addr, register, at)
        if code:
            raise self._fail(register, code, at)
        word = self._word(scene, register, at)
        wire = bytearray(wire_read(register, word))
        if scene.sensor == "floating":
            wire = bytearray(b"\xff\xff\xff")
        elif scene.sensor == "all_ones":
            wire = bytearray(wire_read(register, 0xFFFF))
        elif scene.sensor == "bad_pec":
            wire[0] ^= 0x80
        word = wire[0] | wire[1] << 8
        if self.pec and wire[2] != pec(bytes((WRITE_BYTE, register, READ_BYTE, wire[0], wire[1]))):
            raise self._fail(register, errno.EBADMSG, at)
        self._world.journal({"register": register, "word": word, "error": None, "at": at})
        return word

    def write_word_data(self, i2c_addr: int, register: int, value: int, /) -> None:
        """Writes an EEPROM cell; RAM and the cells that the maker locked do not acknowledge."""
        at = self._clock()
        code = self._refusal(self._world.scene, i2c_addr, register, at)
        if code or not EEPROM <= register <= 0x3F or register in LOCKED_CELLS:
            raise self._fail(register, code or errno.EREMOTEIO, at)
        self._eeprom[register] = value & 0xFFFF
        self._world.journal({"register": register, "written": value, "error": None, "at": at})

    def close(self) -> None:
        """Gives the bus back; there is nothing to give."""

    def _follow(self, scene: Scene) -> None:
        """A new scene starts a new step response, from where the old one had come to."""
        at = self._clock()
        if self._was.sensor == "unplugged" and scene.sensor != "unplugged":
            self._powered_from = at
        if scene.sensor != "stuck":
            self._held.clear()
        self._was = scene
        self._case.step(scene.ambient_c, at)
        self._object.step(_target(scene), at)

    def _refusal(self, scene: Scene, address: int, register: int, at: float) -> int:
        """The errno with which a transfer fails before any word is on the wire; 0 where it does not."""
        if address != ADDRESS or register > 0x3F:
            return errno.EREMOTEIO
        return FAILS.get(scene.sensor, 0)

    def _fail(self, register: int, code: int, at: float) -> OSError:
        self._world.journal({"register": register, "word": None, "error": code, "at": at})
        return OSError(code, os.strerror(code))

    def _word(self, scene: Scene, register: int, at: float) -> int:
        if register >= EEPROM:
            identity = OTHER_IDENTITY if scene.sensor == "wrong_id" else IDENTITY
            return identity.get(register, self._eeprom.get(register, 0x0000))
        if register not in (AMBIENT, OBJECT) or scene.sensor == "zero":
            return 0x0000
        if scene.sensor == "stuck" and register in self._held:
            return self._held[register]
        word = self._held[register] = self._measure(scene, register, at)
        return word | 0x8000 if scene.sensor == "error_flag" and register == OBJECT else word

    def _measure(self, scene: Scene, register: int, at: float) -> int:
        """What the sensor's own arithmetic arrives at: it assumes emissivity 1 and the supply of its calibration."""
        powered_s = at - self._powered_from
        if powered_s < FIRST_DATA_S:
            return 0x0000
        ambient = self._case.step(scene.ambient_c, at)
        celsius = ambient
        if register == OBJECT:
            surface = self._object.step(_target(scene), at)
            emissivity = scene.emissivity if scene.skin_c is not None else 1.0
            celsius = seen_of(surface, ambient, emissivity) + COLD_ERROR_C * math.exp(-powered_s / COLD_TAU_S) + scene.error_c
        noise = self._random.gauss(0.0, NOISE_C * (30 if scene.sensor == "noisy" else 1))
        kelvin = celsius + noise + SUPPLY_C_PER_V * (scene.supply_v - CALIBRATED_AT_V) + ZERO_C
        return min(0x7FFF, max(1, round(kelvin / KELVIN_PER_COUNT)))


def _target(scene: Scene) -> float:
    return scene.ambient_c if scene.skin_c is None else scene.skin_c
