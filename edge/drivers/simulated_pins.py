"""Simulated pins: gpiozero's own mock pins, wired as hw/wiring.md says, to the world instead of to a barrier.

Every change of an output is journalled to the world; every input follows the scene through the polarity of its wiring. When the world ends,
the simulated contacts open and no button is pressed, as with a cut cable, and an output that is driven fails.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

from gpiozero.pins.mock import MockFactory, MockPWMPin

from edge.config import Pins
from edge.drivers.world import WorldClient, WorldLost

OUTPUTS = ("relay", "led_red", "led_green", "led_blue", "buzzer")

HIGH_WHEN: dict[str, bool] = {"beam": True, "arm": True, "fire": True, "tamper": True, "staff": False, "exit": False}
"""Whether an input's line is high while what it reports is so. Normally closed contacts to ground read high when open; buttons pull low."""


class SimulatedPin(MockPWMPin):  # type: ignore[misc]  # gpiozero has no types
    """One line of the header."""

    _state: float

    def __init__(self, factory: SimulatedPins, info: Any) -> None:
        super().__init__(factory, info)
        self.bcm = int(info.name.removeprefix("GPIO"))
        self.line = factory.names.get(self.bcm)

    def _set_function(self, value: str) -> None:
        was_output = self._function == "output"
        super()._set_function(value)
        if value == "output" and not was_output:
            self._tell(float(self._state), "claimed")
        if value == "input" and was_output:
            self._state = 0.0
            self._tell(0.0, "released")

    def _change_state(self, value: float) -> bool:
        if self.line == "relay" and self._function == "output" and value != self._state:
            with suppress(WorldLost):
                self._factory.world.hang_while(lambda scene: scene.relay == "hang")
        changed = bool(super()._change_state(value))
        if changed and self._function == "output":
            self._tell(float(value), None)
        return changed

    def _set_frequency(self, value: float | None) -> None:
        is_other = value is not None and value != self._frequency
        super()._set_frequency(value)
        if is_other and self._state:  # another tone without a pause
            self._tell(float(self._state), None)

    def _tell(self, value: float, cause: str | None) -> None:
        """Journals what the line carries now: 0, 1 or a duty cycle, and at which frequency. Without a world only 0 can be carried."""
        entry: dict[str, Any] = {"pin": self.line, "bcm": self.bcm, "value": int(value) if value in (0, 1) else value}
        if self._frequency and value:
            entry["hz"] = self._frequency
        if cause:
            entry["cause"] = cause
        try:
            self._factory.world.journal({**entry, "at": time.monotonic()})
        except WorldLost:
            if value:
                raise


class SimulatedPins(MockFactory):  # type: ignore[misc]
    """gpiozero's factory for `hardware = "simulated"`."""

    def __init__(self, pins: Pins, world: WorldClient) -> None:
        self.names = {getattr(pins, name): name for name in (*OUTPUTS, *HIGH_WHEN)}
        self.world = world
        self._lock = threading.RLock()
        super().__init__(pin_class=SimulatedPin)
        world.on_change(lambda scene: self.settle())
        world.on_lost(self.settle)

    def pin(self, name: Any, pin_class: Any = None, **kwargs: Any) -> Any:
        """The line `name`. All lines can be pulsed, so gpiozero's choice between classes does not arise."""
        return super().pin(name, **kwargs)

    def settle(self) -> None:
        """Brings every input in line with the scene as it is now; with all cables cut where there is no world: then the pull-ups win."""
        with self._lock:
            for pin in tuple(self.pins.values()):
                if pin.line in HIGH_WHEN and pin.function == "input":
                    (pin.drive_high if self._is_high(pin.line) else pin.drive_low)()

    def _is_high(self, name: str) -> bool:
        try:
            return getattr(self.world.scene, name) is HIGH_WHEN[name]
        except WorldLost:
            return True
