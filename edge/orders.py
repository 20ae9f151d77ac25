"""What the deciding thread does with the commands that were verified: it carries each out, says who asked and why, and answers.

The lane's commands go through the same pure steps as the staff's button and the local door. Restart and reboot end the process in order,
when nobody is being let through.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from edge.calibration import Point, Refused, conclude, find_cold, take_point, without_correction
from edge.config import Config
from edge.door import Asked
from edge.feeds import SensorFeed
from edge.linkwords import CommandRefused, Ordered, Requested
from edge.selftest import Selftest
from edge.sensor_files import write_calibration
from edge.thermal import Reading
from edge.transitions import OPENING
from edge.unit import Unit
from healthcode.messages import (
    CalibrateOrder,
    LogsOrder,
    ModeOrder,
    OpenOrder,
    RebootOrder,
    Response,
    RestartOrder,
    SyncOrder,
    UpdateOrder,
)
from healthcode.terms import CommandFault, LaneMode

log = logging.getLogger(__name__)

REBOOT = 77
"""The exit status upon which the service starts the whole machine anew (deploy/healthgate-edge.service)."""
CALIBRATED_BY = 20
"""Readings that make a point of a calibration."""
Figure = str | int | float | bool | None


@dataclass(frozen=True)
class NotDone:
    """Why a command that counts is not carried out, in one line."""

    detail: str
    fault: CommandFault = CommandFault.NOT_DONE


@dataclass(frozen=True)
class Tools:
    """What commands reach beyond the lane. `wall` gives seconds since 1970; `end` ends the process in order, with an exit status.

    `lines` gives the last lines of the log, `sync` asks for heads and lists now, `reboot` says that the machine is about to start anew.
    `update` hands a release's version, the transaction and who asked to whoever updates the unit, and gives why not, empty where it is
    seen to; OSError where the disk takes no wish.
    """

    wall: Callable[[], float]
    respond: Callable[[str, Response], None]
    end: Callable[[int], None]
    lines: Callable[[int], list[str]]
    sync: Callable[[], None]
    sensor: SensorFeed
    calibration: Path
    reboot: Callable[[], None]
    update: Callable[[str, str, str], str]


class Orders:
    """One unit's. `attend` is called in the deciding thread's loop, in monotonic seconds."""

    def __init__(self, config: Config, unit: Unit, tools: Tools, selftest: Selftest) -> None:
        self._config = config
        self._unit = unit
        self._tools = tools
        self._selftest = selftest

    def attend(self, at: float) -> None:
        """Takes what was asked since the last turn."""
        while self._unit.asked:
            match self._unit.asked.popleft():
                case Requested() as request:
                    self._selftest.begin(request, at)
                case CommandRefused(detail=detail):
                    self._unit.note("command_refused", detail)
                case Ordered() as ordered:
                    self._obey(ordered, at)
        self._selftest.attend(at)

    def _obey(self, ordered: Ordered, at: float) -> None:
        command = ordered.command
        note = f"operator {ordered.by}: {command.why}"
        log.info("command %s by %s", command.name.value, note)
        done = self._carry_out(ordered, note, at)
        if isinstance(done, NotDone):
            log.warning("command %s of %s is not carried out: %s", command.name.value, ordered.by, done.detail)
            self._unit.note("command_not_done", f"{command.name.value} by {note}: {done.detail}")
            data: dict[str, Figure] = {"fault": done.fault.value}
            answer = Response(status="error", transaction=command.transaction, data=data, error=f"{done.fault.value}: {done.detail}"[:200])
        else:
            answer = Response(status="ok", transaction=command.transaction, data=dict(done))
        self._tools.respond(command.name.value, answer)

    def _carry_out(self, ordered: Ordered, note: str, at: float) -> Mapping[str, Figure] | NotDone:
        """Does it; the figures of the answer. That it was done is an event: the lane's own, or one of the unit with the command's name."""
        match ordered.command.order:
            case OpenOrder():
                return self._open(note)
            case ModeOrder() as order:
                return self._set_mode(order, note, at)
            case CalibrateOrder() as order:
                return self._calibrate(order, ordered.by, note)
            case RestartOrder():
                return self._end("restart", note, 0)
            case RebootOrder():
                return self._reboot(note)
            case UpdateOrder(release=release):
                return self._update(release, ordered, note)
            case SyncOrder():
                self._unit.note("command", f"sync by {note}")
                self._tools.sync()
                return {}
            case LogsOrder(lines=count):
                self._unit.note("command", f"logs by {note}")
                return {f"{number:02d}": line for number, line in enumerate(self._tools.lines(count), 1)}

    def _open(self, note: str) -> Mapping[str, Figure] | NotDone:
        if not self._unit.release(note):
            return NotDone(f"the lane is {self._unit.state.stage.value}, where a release does nothing")
        return self._lane()

    def _set_mode(self, order: ModeOrder, note: str, at: float) -> Mapping[str, Figure] | NotDone:
        before = self._unit.state
        answered = self._unit.ask_mode(Asked(order.mode, at, order.for_s, note))
        if answered.refused:
            return NotDone(answered.refused)
        if (before.mode, before.free_until) == (self._unit.state.mode, self._unit.state.free_until):
            self._unit.note("command", f"mode {order.mode.value} by {note}: it was that already")
        end = self._unit.state.free_until - self._unit.state.at
        return self._lane() | ({"free_for_s": round(end)} if order.mode is LaneMode.FREE else {})

    def _lane(self) -> dict[str, Figure]:
        return {"mode": self._unit.state.mode.value, "stage": self._unit.state.stage.value}

    def _calibrate(self, order: CalibrateOrder, by: str, note: str) -> Mapping[str, Figure] | NotDone:
        """An offset from the last readings, which must be those of the black body that somebody holds before the sensor."""
        thermometer, worn = self._tools.sensor.thermometer, self._config.sensor
        readings = self._unit.newest_readings(CALIBRATED_BY)
        if not all(isinstance(each, Reading) for each in readings) or not readings:
            return NotDone("the thermometer gave no reading just now")
        taken = [
            without_correction(each, thermometer.offset_c, worn.emissivity, order.emissivity)
            for each in readings
            if isinstance(each, Reading)
        ]
        cold = find_cold(self._unit.sensor, taken[-1].ambient_c, self._config.screening)
        if cold is not None:
            return NotDone(cold.detail)
        point = take_point(order.black_body_c, taken, CALIBRATED_BY)
        if not isinstance(point, Point):
            return NotDone(point.detail or f"{point.done} of {CALIBRATED_BY} readings of the black body so far")
        ambient_c, before_c = fmean(each.ambient_c for each in taken), thermometer.offset_c
        found = conclude([point], thermometer.identity, ambient_c, worn.supply_v, self._tools.wall(), by)
        if isinstance(found, Refused):
            return NotDone(found.detail)
        try:
            write_calibration(self._tools.calibration, found)
        except OSError as wrong:
            return NotDone(f"{self._tools.calibration}: {wrong.strerror}: it is not kept")
        thermometer.use(found)
        self._unit.forget_readings()
        self._unit.note("command", f"calibrate by {note}: offset {found.offset_c:+.2f} C, was {before_c:+.2f}")
        figures: dict[str, Figure] = {"offset_c": found.offset_c, "before_c": before_c, "read_c": point.read_c}
        return figures | {"spread_c": point.spread_c, "sensor": found.sensor}

    def _reboot(self, note: str) -> Mapping[str, Figure] | NotDone:
        if not self._config.commands.reboot:
            return NotDone("commands.reboot is false in this unit's configuration: its service cannot do that")
        done = self._end("reboot", note, REBOOT)
        if not isinstance(done, NotDone):
            self._tools.reboot()
        return done

    def _end(self, what: str, note: str, status: int) -> Mapping[str, Figure] | NotDone:
        if self._unit.state.stage in OPENING:
            return NotDone("somebody is being let through: ask again in a few seconds", CommandFault.BUSY)
        self._unit.note("command", f"{what} by {note}")
        self._tools.end(status)
        return {}

    def _update(self, release: str, ordered: Ordered, note: str) -> Mapping[str, Figure] | NotDone:
        try:
            refused = self._tools.update(release, ordered.command.transaction, ordered.by)
        except OSError as wrong:
            refused = f"the disk does not take it: {wrong.strerror}"
        if refused:
            return NotDone(refused)
        self._unit.note("command", f"update to {release} by {note}")
        return {"release": release}
