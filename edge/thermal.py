"""The MLX90614 infrared thermometer over SMBus: words in, corrected temperatures or a fault out; a fault is never a temperature.

Facts from the Melexis MLX90614 datasheet, revision 13. Every word is protected by a PEC byte, which the kernel computes and checks once
`bus.pec = 1`; a wrong one comes back as errno 74. An adapter that cannot do that is refused: one flipped bit makes 36.05 of 38.60.
Nothing here writes to the sensor, whose EEPROM emissivity is among the cells that must not be altered; supply, emissivity and calibration
are corrected in this module.

The bus's own traffic couples into the reading, so it is silent for `Sensor.quiet_s` before each. The object's word is read first, because
it is the one that counts; the ambient's follows after the pause without which some Pis fail with errno 121 (dotnet/iot issue 832).

The bus is anything with the few methods of `smbus2.SMBus` below: the real one (`open_bus`) or registers of a simulated sensor.
"""

from __future__ import annotations

import errno
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Protocol, cast

from edge.calibration import Applied, Kept, Refused, judge
from edge.config import Sensor
from edge.mlx90614 import AMBIENT, CALIBRATED_AT_V, ERROR_FLAG, IDENTITY, OBJECT, SUPPLY_C_PER_V, celsius_of, correct_emissivity
from edge.screening import Reading, SensorFault, SensorFaultKind, SensorState
from edge.sensor_files import Power, PowerFile

__all__ = ["Bus", "Reading", "SensorFault", "SensorFaultKind", "SensorState", "Thermometer", "open_bus"]

AMBIENT_SPAN_C = (-40.0, 125.0)
OBJECT_SPAN_C = (-70.0, 380.0)

ABSENT_S = 2.0
"""A sensor that was silent for so long counts as unplugged: its warm-up starts again with its first answer."""

DRIFT_WINDOW_S = 60.0
DRIFT_AFTER_S = 20.0

KIND_OF_ERRNO = {
    errno.EBADMSG: SensorFaultKind.BAD_PEC,
    errno.EREMOTEIO: SensorFaultKind.NO_ANSWER,
    errno.ENXIO: SensorFaultKind.NO_ANSWER,
    errno.ENODEV: SensorFaultKind.NO_BUS,
    errno.ETIMEDOUT: SensorFaultKind.TIMEOUT,
    errno.EAGAIN: SensorFaultKind.TIMEOUT,
}


class Bus(Protocol):
    """What is used of smbus2.SMBus. Reads raise OSError as the kernel does: 74 wrong PEC, 121 or 6 no answer, 110 time-out, 5 bus error."""

    pec: int

    def read_word_data(self, i2c_addr: int, register: int, /) -> int:
        """The word of `register`."""
        ...

    def close(self) -> None:
        """Gives the bus back."""
        ...


def open_bus(number: int) -> Bus | SensorFault:
    """Bus `number` of this Pi, without PEC as yet; a NO_BUS fault (at 0.0) where there is none or it may not be opened."""
    import smbus2

    try:
        return cast(Bus, smbus2.SMBus(number))
    except OSError as wrong:
        return SensorFault(SensorFaultKind.NO_BUS, f"/dev/i2c-{number}: {wrong.strerror or wrong}; is dtparam=i2c_arm=on set?", 0.0)


class Thermometer:
    """One sensor on one bus. Not thread-safe: one thread reads."""

    def __init__(
        self,
        bus: Bus | SensorFault,
        config: Sensor,
        at: float,
        powered_s: float,
        pause: Callable[[float], None] = time.sleep,
        *,
        calibration: Kept = None,
        wall: Callable[[], float] = time.time,
        power: PowerFile | None = None,
    ) -> None:
        """`powered_s` is how long the sensor has had power at `at`: on a Pi, which feeds it, the time since boot.

        `pause` waits between tries. `wall` tells the time in seconds since 1970, by which the calibration may be overdue. `power` knows
        whether the sensor was pulled since, and learns when it is.
        """
        self.warning = ""
        """What somebody should know about the calibration, one line; "" for nothing."""
        self.identity = ""
        """The 16 hexadecimal digits of the sensor that was read last; "" for none yet."""
        self.words: tuple[int | None, int | None] = (None, None)
        """The raw words of the last cycle: ambient and object, None where it did not come to that."""
        self.errors: Counter[SensorFaultKind] = Counter()
        """How many tries failed since the start, by what was wrong."""
        self.offset_c = 0.0
        """What the calibration added to the last reading."""
        self._config = config
        self._pause = pause
        self._calibration = calibration
        self._wall = wall
        self._power = power
        self._bus: Bus | None = None
        self._unusable: SensorFault | None = None
        self._powered_from = at - powered_s
        self._silent_from: float | None = None
        self._absent = False
        noted = power.load() if power else None
        if noted and noted.since is None:
            self._absent = True
        elif noted and noted.since is not None:
            self._powered_from = max(self._powered_from, noted.since)
        self._word = -1
        self._same = 0
        self._ambient: deque[tuple[float, float]] = deque(maxlen=600)
        if isinstance(bus, SensorFault):
            self._unusable = bus
            return
        self._bus = bus
        try:
            bus.pec = 1
        except OSError as wrong:
            detail = f"bus {config.bus}: this adapter cannot check PEC ({wrong}); expected one that can"
            self._unusable = SensorFault(SensorFaultKind.NO_PEC, detail, at)

    def read(self, at: float) -> Reading | SensorFault:
        """One cycle at `at`: both registers, each up to `tries` times. The bus must have been silent for `quiet_s` before.

        Takes up to 0.1 s of pauses where the sensor does not answer, and `quiet_s` more where it had to be identified first.
        """
        if self._unusable or self._bus is None:
            assert self._unusable
            return SensorFault(self._unusable.kind, self._unusable.detail, at)
        found = self._cycle(self._bus, at)
        match found:
            case SensorFault(kind=SensorFaultKind.NO_ANSWER | SensorFaultKind.TIMEOUT | SensorFaultKind.BUS_ERROR):
                self.identity = ""
                self._silent_from = at if self._silent_from is None else self._silent_from
                if at - self._silent_from >= ABSENT_S and not self._absent:
                    self._absent = True
                    self._note(Power(None))
            case SensorFault():
                self._silent_from = None
            case Reading():
                if self._absent:
                    self._powered_from = at
                    self._ambient.clear()
                    self._note(Power(at))
                self._silent_from, self._absent = None, False
                if not self._ambient or at - self._ambient[-1][0] >= DRIFT_WINDOW_S / 600:
                    self._ambient.append((at, found.ambient_c))
        return found

    def state(self, at: float) -> SensorState:
        """How long the sensor has had power and how fast its ambient reading moves."""
        return SensorState(max(0.0, at - self._powered_from), self._drift(at))

    def use(self, calibration: Kept) -> None:
        """The next readings are corrected by this calibration. Any thread may call."""
        self._calibration = calibration

    def close(self) -> None:
        """Gives the bus back."""
        if self._bus:
            self._bus.close()

    def _note(self, power: Power) -> None:
        if self._power:
            self._power.save(power)

    def _cycle(self, bus: Bus, at: float) -> Reading | SensorFault:
        self.words = (None, None)
        if not self.identity:
            fault = self._identify(bus, at)
            if fault:
                return fault
        seen = self._temperature(bus, OBJECT, OBJECT_SPAN_C, at)
        if isinstance(seen, SensorFault):
            return seen
        self._pause(self._config.retry_pause_s)
        ambient = self._temperature(bus, AMBIENT, AMBIENT_SPAN_C, at)
        if isinstance(ambient, SensorFault):
            return ambient
        if self._same >= self._config.frozen_reads:
            detail = f"the same word 0x{self._word:04X} {self._same} times: expected at least the noise of a live sensor"
            return SensorFault(SensorFaultKind.FROZEN, detail, at)
        match judge(self._calibration, self.identity, self._wall(), self._config.calibration_due_days):
            case Refused(detail=detail, other_sensor=other):
                return SensorFault(SensorFaultKind.WRONG_SENSOR if other else SensorFaultKind.CALIBRATION, detail, at)
            case Applied(offset_c=offset, warning=warning):
                self.warning, self.offset_c = warning, offset
        return Reading(correct_emissivity(seen, ambient, self._config.emissivity) + offset, ambient, at)

    def _identify(self, bus: Bus, at: float) -> SensorFault | None:
        """Reads the factory's identity, to which the calibration belongs, and lets the bus come to rest again."""
        words = []
        for register in IDENTITY:
            word = self._word_of(bus, register, at)
            if isinstance(word, SensorFault):
                return word
            words.append(word)
            self._pause(self._config.retry_pause_s)
        identity = "".join(f"{word:04x}" for word in words)
        if set(words) <= {0x0000, 0xFFFF}:
            detail = f"the sensor's identity is {identity}: expected one that is not blank"
            return SensorFault(SensorFaultKind.WRONG_SENSOR, detail, at)
        self.identity = identity
        self._pause(self._config.quiet_s)
        return None

    def _temperature(self, bus: Bus, register: int, span: tuple[float, float], at: float) -> float | SensorFault:
        word = self._word_of(bus, register, at)
        if isinstance(word, SensorFault):
            return word
        if register == OBJECT:
            self._same = self._same + 1 if word == self._word else 1
            self._word = word
        celsius = celsius_of(word)
        if not span[0] <= celsius <= span[1]:
            detail = f"register 0x{register:02X}: 0x{word:04X} is {celsius:.1f} C, expected {span[0]:.0f} to {span[1]:.0f}"
            return SensorFault(SensorFaultKind.OUT_OF_SPAN, detail, at)
        return celsius - SUPPLY_C_PER_V * (self._config.supply_v - CALIBRATED_AT_V)

    def _word_of(self, bus: Bus, register: int, at: float) -> int | SensorFault:
        """The word of `register` in up to `tries` tries."""
        fault = SensorFault(SensorFaultKind.NO_ANSWER, "never tried", at)
        for number in range(self._config.tries):
            if number:
                self._pause(self._config.retry_pause_s)
            try:
                word = bus.read_word_data(self._config.address, register)
            except OSError as wrong:
                kind = KIND_OF_ERRNO.get(wrong.errno or 0, SensorFaultKind.BUS_ERROR)
                fault = SensorFault(kind, f"register 0x{register:02X}: {wrong}", at)
                self.errors[kind] += 1
                continue
            if register in IDENTITY:
                return word
            self.words = (self.words[0], word) if register == OBJECT else (word, self.words[1])
            if word in (0x0000, 0xFFFF):
                fault = SensorFault(SensorFaultKind.NO_WORD, f"register 0x{register:02X}: 0x{word:04X} is no temperature", at)
            elif word & ERROR_FLAG:
                fault = SensorFault(SensorFaultKind.ERROR_FLAG, f"register 0x{register:02X}: 0x{word:04X} carries the error flag", at)
            else:
                return word
            self.errors[fault.kind] += 1
        return fault

    def _drift(self, at: float) -> float:
        """The slope of a straight line through the last minute's ambient readings; 0.0 while they span under 20 s."""
        points = [(when, celsius) for when, celsius in self._ambient if at - when <= DRIFT_WINDOW_S]
        if not points or points[-1][0] - points[0][0] < DRIFT_AFTER_S:
            return 0.0
        middle_t = sum(when for when, _ in points) / len(points)
        middle_c = sum(celsius for _, celsius in points) / len(points)
        over = sum((when - middle_t) * (celsius - middle_c) for when, celsius in points)
        return abs(over / sum((when - middle_t) ** 2 for when, _ in points)) * 60.0
