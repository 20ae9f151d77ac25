"""The gate's hardware through gpiozero: barrier relay, light, buzzer and inputs. It does what effects say and decides nothing.

Inputs are debounced here, not in the driver, so that simulated and real pins take the same path: a level counts once it has held for
`debounce_s`; fire counts at its first edge, and the relay falls with it, on the pins' own thread. Patterns are played by `tick`, without
threads of their own. Nothing here waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gpiozero import DigitalInputDevice, DigitalOutputDevice, GPIOZeroError, PWMOutputDevice

from edge.config import Config, Pins
from edge.drivers.pi_pins import GateFault, open_pi_pins
from edge.drivers.simulated_pins import SimulatedPins
from edge.drivers.world import WorldClient
from edge.lane import Arm, Beam, Effect, ExitRequest, Fire, Input, Light, Relay, Sound, StaffButton, Tamper
from edge.loudness import duty_of
from edge.relay import GuardedRelay
from edge.signals import DARK, SILENT, TABLE, Pattern, Rgb, Signal

__all__ = ["Debounce", "Gate", "GateFault", "open_pins"]

NORMALLY_CLOSED = frozenset({"beam", "arm", "fire", "tamper"})
"""Contacts that are closed while all is well, so that a cut cable is noticed. Buttons are normally open: a cut cable opens nothing."""

INPUT_OF: dict[str, Callable[[float, bool], Input]] = {
    "beam": Beam,
    "arm": Arm,
    "fire": Fire,
    "staff": StaffButton,
    "tamper": Tamper,
    "exit": ExitRequest,
}

SOONEST_S = 0.001


def open_pins(config: Config, world: WorldClient | None) -> Any:
    """The factory that `config.hardware` names, and no other; GateFault where it cannot be had."""
    if config.hardware == "simulated":
        if world is None:
            raise GateFault('hardware = "simulated": expected a connection to the world')
        return SimulatedPins(config.pins, world)
    return open_pi_pins()


@dataclass(frozen=True, slots=True)
class Levels:
    """What lines carry: the relay's, the light's three, and for how much of the time the buzzer is driven, 0 to 1."""

    relay: bool
    light: Rgb
    buzzer: float


class Debounce:
    """Turns a line's edges into levels that held for `hold_s`. Thread-safe: edges come from the pins' threads."""

    def __init__(self, hold_s: float, tell: Callable[[float, bool], None], at_once: bool | None = None) -> None:
        """`tell(at, level)` is called for each new stable level, the first one included. The level `at_once` need not hold to count."""
        self._hold_s = hold_s
        self._at_once = at_once
        self._tell = tell
        self._lock = threading.Lock()
        self._stable: bool | None = None
        self._level: bool | None = None
        self._since = 0.0

    def edge(self, at: float, level: bool) -> None:
        """The line carries `level` from `at` on."""
        with self._lock:
            self._settle(at)
            if level is not self._level:
                self._level, self._since = level, max(at, self._since)
                self._settle(at)

    def tick(self, at: float) -> None:
        """Time went by."""
        with self._lock:
            self._settle(at)

    def _settle(self, at: float) -> None:
        if self._level is None or self._level is self._stable:
            return
        if self._level is self._at_once or at - self._since >= self._hold_s:
            self._stable = self._level
            self._tell(at, self._level)


class _Player:
    """One pattern at a time on one output."""

    def __init__(self, write: Callable[[Any], None], rest: Any) -> None:
        self._write = write
        self._pattern: Pattern[Any] = Pattern((), rest, repeat=False)
        self._from = 0.0
        self._shown: Any = rest

    def start(self, pattern: Pattern[Any], at: float) -> None:
        """Begins; the first value is written even if it is shown already: the same tone may now be another volume."""
        self._pattern, self._from, self._shown = pattern, at, None
        self.tick(at)

    def tick(self, at: float) -> float | None:
        """Shows what is due at `at`; in how many seconds the next change is due."""
        value = self._pattern.value(max(0.0, at - self._from))
        if value != self._shown:
            self._write(value)
            self._shown = value
        return self._pattern.next_change(max(0.0, at - self._from))


class Gate:
    """Barrier relay, light, buzzer and inputs of one lane. The unit's loop calls `apply` and `tick`; pins' threads only note edges.

    The relay falls at the end of its time and at fire even where the loop is held up.
    """

    def __init__(
        self,
        pins: Pins,
        factory: Any,
        on_input: Callable[[Input], None],
        debounce_s: float = 0.01,
        clock: Callable[[], float] = time.monotonic,
        loudness: Callable[[Signal], float] = lambda _: 1.0,
    ) -> None:
        """Claims all pins, the relay first and off; GateFault where one cannot be had. `on_input` only enqueues: any thread calls.

        `loudness` says how loud a signal is now, 0 to 1; it is asked at the beginning of each tone, for some sound all night.
        """
        self._factory = factory
        self._errors: tuple[type[Exception], ...] = (GPIOZeroError, OSError, *getattr(factory, "errors", ()))
        self._on_input = on_input
        self._clock = clock
        self._loudness = loudness
        self._sounding = Signal.READY
        self._outputs: list[Any] = []
        self._inputs: dict[str, Any] = {}
        self._debounces: dict[str, Debounce] = {}
        try:
            self._relay = GuardedRelay(self._claim(DigitalOutputDevice, pins.relay), self._errors, clock)
            self._outputs[0] = self._relay
            self._lamps = tuple(self._claim(DigitalOutputDevice, pin) for pin in (pins.led_red, pins.led_green, pins.led_blue))
            self._buzzer = self._claim(PWMOutputDevice, pins.buzzer)
            for name, kind in INPUT_OF.items():
                self._listen(name, getattr(pins, name), kind, debounce_s)
        except self._errors as wrong:
            self.close()
            raise GateFault(f"the gate's pins cannot be used: {wrong}") from None
        except BaseException:
            self.close()
            raise
        self._light = _Player(self._show, DARK)
        self._sound = _Player(self._play, SILENT)

    @property
    def cut(self) -> int:
        """How often the relay fell at the end of its time because the loop did not let it fall."""
        return self._relay.cut

    @property
    def barred(self) -> int:
        """How often the relay was to be energised while the fire loop was open."""
        return self._relay.barred

    @property
    def relay_turn(self) -> float:
        """When the thread that limits the relay's time last came round."""
        return self._relay.last_turn

    @property
    def levels(self) -> Levels:
        """What the lines of relay, light and buzzer carry now, read back from them. GateFault where the hardware refuses."""
        try:
            red, green, blue = (bool(lamp.value) for lamp in self._lamps)
            return Levels(self._relay.value, (red, green, blue), float(self._buzzer.value))
        except self._errors as wrong:
            raise self._fail(wrong) from None

    def loudness(self, signal: Signal) -> float:
        """How loud a signal is now, 0 to 1."""
        return self._loudness(signal)

    def let_fall(self) -> None:
        """Switches the relay off and nothing else; any thread may call. Never raises."""
        with suppress(*self._errors):
            self._relay.off()

    def apply(self, effects: Iterable[Effect], at: float) -> None:
        """Carries out `effects` in their order. GateFault where the hardware refuses; the relay is then let go as far as may be."""
        try:
            for effect in effects:
                match effect:
                    case Relay(on=True, limit_s=limit_s):
                        self._look_for_fire(at)
                        self._relay.on(at, limit_s)
                    case Relay():
                        self._relay.off()
                    case Light(signal):
                        self._light.start(TABLE[signal].light, at)
                    case Sound(signal):
                        self._sounding = signal
                        self._sound.start(TABLE[signal].sound, at)
        except self._errors as wrong:
            raise self._fail(wrong) from None

    def tick(self, at: float) -> float:
        """Plays what is due and settles the inputs; in how many seconds (at most 0.05) the next call is due. GateFault as `apply`."""
        try:
            for name, device in self._inputs.items():
                self._debounces[name].edge(at, self._truth(name, device))
                self._debounces[name].tick(at)
            changes = (self._light.tick(at), self._sound.tick(at))
        except self._errors as wrong:
            raise self._fail(wrong) from None
        return max(SOONEST_S, min(0.05, *(change for change in changes if change is not None), 0.05))

    def close(self) -> None:
        """Lets the relay go, then everything else. The pins float afterwards: the external pull-downs hold them."""
        for device in self._outputs:
            with suppress(*self._errors):
                device.off()
        for device in (*self._outputs, *self._inputs.values()):
            with suppress(*self._errors):
                device.close()
        self._outputs.clear()
        self._inputs.clear()

    def _claim(self, kind: Callable[..., Any], pin: int) -> Any:
        device = kind(pin, initial_value=False, pin_factory=self._factory)
        self._outputs.append(device)
        return device

    def _listen(self, name: str, pin: int, kind: Callable[[float, bool], Input], debounce_s: float) -> None:
        device = DigitalInputDevice(pin, pull_up=True, pin_factory=self._factory)
        self._inputs[name] = device
        if name == "fire":
            debounce = Debounce(debounce_s, self._tell_fire, at_once=True)
        else:
            debounce = Debounce(debounce_s, lambda at, level: self._on_input(kind(at, level)))
        self._debounces[name] = debounce
        settle = getattr(self._factory, "settle", None)
        if settle:
            settle()
        device.when_activated = lambda: debounce.edge(self._clock(), name not in NORMALLY_CLOSED)
        device.when_deactivated = lambda: debounce.edge(self._clock(), name in NORMALLY_CLOSED)

    def _tell_fire(self, at: float, active: bool) -> None:
        """Fire began or is over. The relay first, so that the loop cannot come in between."""
        if active:
            self._relay.bar()
        else:
            self._relay.allow()
        self._on_input(Fire(at, active))

    def _look_for_fire(self, at: float) -> None:
        """Takes in an open fire loop whose edge has not been told yet."""
        loop = self._inputs.get("fire")
        if loop is not None and self._truth("fire", loop):
            self._debounces["fire"].edge(at, True)

    def _truth(self, name: str, device: Any) -> bool:
        """What the input reports. gpiozero calls a pulled-up line active when it is low, which is a closed contact."""
        return bool(device.value) is not (name in NORMALLY_CLOSED)

    def _show(self, colour: Rgb) -> None:
        for lamp, on in zip(self._lamps, colour, strict=True):
            lamp.value = on

    def _play(self, hertz: int) -> None:
        if hertz == SILENT:
            self._buzzer.value = 0
        else:
            self._buzzer.frequency = hertz
            self._buzzer.value = duty_of(self._loudness(self._sounding))

    def _fail(self, wrong: Exception) -> GateFault:
        with suppress(*self._errors):
            self._relay.off()
        return GateFault(f"the gate's hardware does not answer: {wrong}")
