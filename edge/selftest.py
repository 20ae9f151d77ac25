"""A selftest: within a second and a bit every part of the unit is looked at, and what was found is answered in figures.

It opens nothing: the relay is only read back, and what its line carries must be what the lane's state says. Light and buzzer are tried with
the signal by which a unit is found, and only while nobody is at the gate; while somebody is they are told as not tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge.cache import Cache
from edge.clock import Clock
from edge.feeds import CameraFeed, Device, SensorFeed
from edge.gate import Gate
from edge.linkwords import Requested
from edge.outbox import Outbox
from edge.signals import DARK, Rgb, Signal
from edge.thermal import Reading, SensorFaultKind
from edge.transitions import Stage
from edge.unit import Unit
from healthcode import topics
from healthcode.messages import Response
from healthcode.terms import ClockState, CommandName

LASTS_S = 1.3
"""The signal that is tried has shown all it has by then, and a camera of one frame a second has given one."""
PATIENCE_S = 4.0
"""How long the broker's acknowledgement is waited for: less than the time from one selftest to the next (`edge.dialogue`)."""
AT_REST = (Stage.LOCKED, Stage.OUT_OF_SERVICE)
MOST_LISTS = 16
"""Lists whose versions are told; an answer has room for a hundred figures."""
Figure = str | int | float | bool | None


@dataclass(frozen=True)
class Tested:
    """What is looked at; `round_trip_ms` gives how long the broker took since a monotonic time, None where it has not answered."""

    cache: Cache
    outbox: Outbox
    clock: Clock
    gate: Gate
    camera: CameraFeed
    sensor: SensorFeed
    round_trip_ms: Callable[[float], float | None]


class Selftest:
    """One at a time, driven by the deciding thread. Times in monotonic seconds."""

    def __init__(self, unit: Unit, tested: Tested, respond: Callable[[str, Response], None]) -> None:
        self._unit = unit
        self._tested = tested
        self._respond = respond
        self._asked: Requested | None = None
        self._began = 0.0
        self._frames = 0
        self._tries_signals = False
        self._was_dark = False
        self._lit: Rgb = DARK
        self._loudest = 0.0

    def begin(self, asked: Requested, at: float) -> None:
        """Somebody asks for one; the one before is over (`edge.dialogue.TEST_EVERY_S`)."""
        self._asked, self._began, self._frames = asked, at, self._tested.camera.frames
        self._was_dark, self._lit, self._loudest = False, DARK, 0.0
        self._tries_signals = False
        if self._unit.is_idle and self._unit.state.stage in AT_REST:
            self._unit.identify(at)
            self._tries_signals = self._unit.state.light is Signal.IDENTIFY  # an open housing shows its alarm

    def attend(self, at: float) -> None:
        """Looks at the lines, and answers when all has been seen."""
        if self._asked is None:
            return
        levels = self._tested.gate.levels
        red, green, blue = (was or now for was, now in zip(self._lit, levels.light, strict=True))
        self._lit = (red, green, blue)
        self._was_dark |= levels.light == DARK
        self._loudest = max(self._loudest, levels.buzzer)
        lasted_s = at - self._began
        if lasted_s < LASTS_S or (self._tested.round_trip_ms(self._asked.at) is None and lasted_s < PATIENCE_S):
            return
        figures = self._figures(self._asked, at)
        failed = [name.removesuffix("_ok") for name, found in figures.items() if name.endswith("_ok") and found is False]
        outcome: dict[str, Figure] = {"passed": not failed, "failed": ", ".join(failed)}
        answer = Response(status="ok", transaction=self._asked.transaction, data=outcome | figures)
        self._respond(CommandName.SELFTEST.value, answer)
        self._asked = None

    def _figures(self, asked: Requested, at: float) -> dict[str, Figure]:
        return {
            **self._camera(at),
            **self._sensor(at),
            **self._lines(),
            **self._disk(asked),
            **self._clock(),
            **self._lists(),
            **self._broker(asked),
        }

    def _camera(self, at: float) -> dict[str, Figure]:
        age_s, seen = self._tested.camera.frame_age_s(at), self._tested.camera.frames - self._frames
        return {
            "camera_ok": self._unit.devices.works.get(Device.CAMERA, False),
            "camera_frames_per_s": round(seen / max(1e-3, at - self._began), 1),
            "camera_frame_age_s": None if age_s is None else round(age_s, 2),
        }

    def _sensor(self, at: float) -> dict[str, Figure]:
        thermometer, newest = self._tested.sensor.thermometer, self._unit.newest_readings(1)
        last = newest[0] if newest else None
        return {
            "sensor_ok": self._unit.devices.works.get(Device.SENSOR, False),
            "sensor_ambient_c": round(last.ambient_c, 2) if isinstance(last, Reading) else None,
            "sensor_reading_age_s": round(max(0.0, at - last.at), 2) if isinstance(last, Reading) else None,
            "sensor_bad_pec": thermometer.errors[SensorFaultKind.BAD_PEC],
            "sensor_errors": sum(thermometer.errors.values()),
        }

    def _lines(self) -> dict[str, Figure]:
        """Each line of the light must have carried both levels, the buzzer's a tone, unless it is to be silent at this hour."""
        levels, gate = self._tested.gate.levels, self._tested.gate
        expected = self._unit.state.relay
        audible = gate.loudness(Signal.IDENTIFY) > 0
        return {
            "relay_ok": levels.relay is expected,
            "relay_on": levels.relay,
            "relay_cut": gate.cut,
            "light_ok": all(self._lit) and self._was_dark if self._tries_signals else None,
            "light_seen": " ".join(name for name, lit in zip(("red", "green", "blue"), self._lit, strict=True) if lit),
            "buzzer_ok": self._loudest > 0 if self._tries_signals and audible else None,
            "buzzer_driven": round(self._loudest, 3),
            "signals": "" if self._tries_signals else "not tried: the gate shows something else",
        }

    def _disk(self, asked: Requested) -> dict[str, Figure]:
        waiting = self._tested.outbox.waiting
        if asked.disk is None:
            return {"disk_ok": not self._unit.unsaved, "outbox_waiting": waiting}
        found = asked.disk
        return {
            "disk_ok": not found.error and not self._unit.unsaved and not self._tested.cache.disk_error,
            "disk_free_mb": found.free_mb,
            "disk_fsync_ms": found.fsync_ms,
            "disk_error": found.error or self._tested.cache.disk_error,
            "outbox_waiting": waiting,
        }

    def _clock(self) -> dict[str, Figure]:
        clock, state = self._tested.clock, self._tested.clock.state()
        return {
            "clock_ok": state is not ClockState.UNTRUSTED,
            "clock_state": state.value,
            "clock_doubt": clock.doubt(),
            "clock_system_ahead_s": round(clock.system_ahead_s, 3),
        }

    def _lists(self) -> dict[str, Figure]:
        cache, now = self._tested.cache, self._tested.clock.now()
        held, wanted = dict(cache.lists), cache.wanted()
        found: dict[str, Figure] = {
            "lists_ok": cache.trust is not None and wanted.keys() <= held.keys(),
            "lists_held": len(held),
            "lists_wanted": len(wanted),
            "trust_version": None if cache.trust is None else cache.trust.version,
        }
        for uri, each in sorted(held.items())[:MOST_LISTS]:
            mark = topics.list_mark(uri)
            found |= {f"list_{mark}_version": each.version, f"list_{mark}_age_s": round(now - each.as_of, 1)}
        return found

    def _broker(self, asked: Requested) -> dict[str, Figure]:
        took_ms = self._tested.round_trip_ms(asked.at)
        return {"broker_ok": took_ms is not None, "broker_round_trip_ms": None if took_ms is None else round(took_ms, 1)}
