"""The unit's process: the one place that wires real or simulated hardware, as the configuration says and never otherwise."""

from __future__ import annotations

import faulthandler
import logging
import os
import platform
import resource
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from random import Random

from edge import overrides
from edge.board import open_board
from edge.cache import Cache
from edge.clock import Clock, FloorFile, ResetLetter, is_synchronised
from edge.config import Config, ConfigError
from edge.dialogue import Dialogue
from edge.door import Door
from edge.drivers.camera import CameraFault, open_camera
from edge.drivers.simulated_sensor import SimulatedBus
from edge.drivers.world import WorldClient, WorldLost
from edge.feeds import CameraFeed, CameraStuck, Device, SensorFeed
from edge.files import keep_secret, measure_disk
from edge.foreign import KEY_BYTES
from edge.gate import Gate, GateFault, open_pins
from edge.governor import Governor
from edge.hours import Hours
from edge.identity import check_identity, open_identity
from edge.link import Link
from edge.logring import LogRing
from edge.loudness import volume_of
from edge.modes import Modes
from edge.oncefile import OnceFile
from edge.orders import Orders, Tools
from edge.outbox import Outbox, OutboxFault
from edge.overrides import Started
from edge.parts import Inbox, Keeps
from edge.releasedoor import ReleaseDoor, wish
from edge.renewal import fetch_from
from edge.rootfiles import load_roots
from edge.scan import MissingReader
from edge.scan_child import ReaderProcess
from edge.selftest import Selftest, Tested
from edge.sensor_files import SensorHeld, SensorLock, calibration_path, open_power_file, read_calibration
from edge.status import Reporter
from edge.thermal import Bus, SensorFault, Thermometer, open_bus
from edge.thresholds import find_hole
from edge.unit import Unit
from edge.watchdog import Backstop, Loop, Notifier, Watchdog
from healthcode.cose import PublicKey
from healthcode.messages import Info, stamp
from healthcode.settings import why_unread

log = logging.getLogger("edge")

STARTING_ERRORS = (ConfigError, GateFault, CameraFault, MissingReader, WorldLost, OutboxFault, SensorHeld)
"""What can be wrong before anything runs; the text of each is one line for people."""
BOOT_FILE = Path("/proc/uptime")
LONGEST_WAIT_S = 0.02
TURN = 20
"""Inputs that are worked off before light, sound and deadlines have their turn."""


@dataclass(frozen=True)
class Hardware:
    """The devices, real or simulated; `powered_s` is how long the thermometer has had power."""

    world: WorldClient | None
    bus: Bus | SensorFault
    powered_s: float
    lock: SensorLock

    def close(self) -> None:
        """Gives the thermometer back to others, and ends the connection to the world."""
        self.lock.release()
        if self.world is not None:
            self.world.close()


def check_password(config: Config) -> None:
    """ConfigError where the broker's password is to be in a file that cannot be read: such a unit would never come on line."""
    file = config.link.password_file
    try:
        if file:
            Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigError(f"link.password_file: {file}: {why_unread(wrong)}: expected a file with the broker's password") from None


def check_thresholds(config: Config) -> None:
    """ConfigError where somebody with a high fever could pass by these thresholds and this part."""
    hole = find_hole(config.screening, config.sensor)
    if hole:
        raise ConfigError(hole)


def check(config: Config) -> tuple[PublicKey, ...]:
    """The root keys, once all is well that can be known before a device is touched; ConfigError says what is not."""
    roots = load_roots(config)
    check_password(config)
    check_identity(config)
    check_thresholds(config)
    return roots


def open_hardware(config: Config, user: str) -> Hardware:
    """What `config.hardware` names, for `user` alone: SensorHeld where another process uses it.

    On a Pi the thermometer is fed by the header, so its power is as old as the boot.
    """
    try:
        lock = SensorLock(Path(config.data), user)
    except OSError as wrong:
        raise ConfigError(f"data: {config.data}: {wrong.strerror}: expected a folder that this unit may write") from None
    if config.hardware == "simulated":
        world = WorldClient(config.world, config.unit)
        bus = SimulatedBus(world, seed=len(config.unit), settle_s=config.sensor.settling_s)
        return Hardware(world, bus, world.scene.powered_s, lock)
    return Hardware(None, open_bus(config.sensor.bus), float(BOOT_FILE.read_text(encoding="ascii").split()[0]), lock)


def open_thermometer(config: Config, hardware: Hardware, wall: Callable[[], float]) -> Thermometer:
    """The thermometer, with what this unit's folder knows of its calibration and its power; `wall` gives seconds since 1970."""
    return Thermometer(
        hardware.bus,
        config.sensor,
        time.monotonic(),
        hardware.powered_s,
        calibration=read_calibration(calibration_path(config)),
        wall=wall,
        power=open_power_file(Path(config.data)),
    )


def own_software() -> str:
    """Which release this is."""
    try:
        return version("healthgate")
    except PackageNotFoundError:
        return "source checkout"


def describe(config: Config, boot_id: str, started_at: float) -> Info:
    """What up/info says."""
    hardware = f"{config.hardware} {platform.machine()}"
    return Info(unit=config.unit, boot_id=boot_id, software=own_software(), hardware=hardware, started_at=stamp(started_at))


@dataclass(frozen=True)
class Parts:
    """What runs once the unit is up."""

    unit: Unit
    inbox: Inbox
    gate: Gate
    camera: CameraFeed
    sensor: SensorFeed
    link: Link
    reporter: Reporter
    door: Door
    releases: ReleaseDoor
    orders: Orders
    governor: Governor


class _End:
    """How a command ends the process: in order, as SIGTERM does, with `status`."""

    def __init__(self, stop: threading.Event) -> None:
        self.status = 0
        self._stop = stop

    def __call__(self, status: int) -> None:
        self.status = status
        self._stop.set()


def run(started: Started, stop: threading.Event, notifier: Notifier, ring: LogRing) -> int:
    """Runs the unit until `stop` is set; the process's exit status, REBOOT where a command wants the machine to start anew.

    Raises one of STARTING_ERRORS where it cannot begin; whatever ends it, the relay is off.

    A loop that no longer comes round ends the process from within (`edge.watchdog`).
    """
    config = started.config
    roots = check(config)
    data = Path(config.data)
    boot_id = secrets.token_hex(16)
    watchdog = Watchdog(notifier, backstop=Backstop())
    with ExitStack() as undo:
        undo.callback(watchdog.close)
        hardware = open_hardware(config, f"gate {config.unit}")
        undo.callback(hardware.close)
        inbox = Inbox()
        clock = Clock(
            FloorFile(data / "floor"),
            monotonic=time.monotonic,
            system=time.time,
            draw=lambda: secrets.token_hex(16),
            synchronised=is_synchronised,
        )
        gate = Gate(
            config.pins,
            open_pins(config, hardware.world),
            inbox.put,
            config.lane.debounce_s,
            loudness=lambda signal: volume_of(signal, config.sound, clock.now(), clock.state()),
        )
        undo.callback(gate.close)
        outbox = Outbox(data / "outbox.sqlite", boot_id)
        undo.callback(outbox.close)
        cache = Cache(data / "cache", roots, config.link.issuers, most_lists=config.link.most_lists)
        undo.callback(cache.close)
        cache.load(clock.now())
        random = Random(secrets.randbits(64))
        info = describe(config, boot_id, clock.now())
        governor = Governor(started, time.monotonic())
        identity = open_identity(config)
        dialogue = Dialogue(
            info,
            cache=cache,
            outbox=outbox,
            clock=clock,
            random=random,
            at=time.monotonic(),
            resend_s=config.link.resend_s,
            letter=ResetLetter(data),
            identity=identity,
            once=OnceFile(data / "commands"),
            disk=lambda: measure_disk(data),
            desired=governor.hear,
        )
        link = Link(config.unit, config.link, dialogue, post=inbox.news, random=random, fetch=fetch_from(identity, config.updates.server))
        certificate_key = keep_secret(data / "certificate.key", lambda: secrets.token_bytes(KEY_BYTES))
        keeps = Keeps(cache, outbox, clock, gate, Modes(data / "mode"), time.monotonic, link.wake, link.respond, certificate_key)
        unit = Unit(config, keeps)
        reader = ReaderProcess(config.camera.stages)
        undo.callback(reader.close)
        camera = CameraFeed(lambda: open_camera(config.camera, hardware.world), reader, inbox.feed, config=config.camera)
        undo.callback(camera.stop)
        sensor = SensorFeed(open_thermometer(config, hardware, clock.now), config.sensor.quiet_s, inbox.feed)
        undo.callback(sensor.stop)
        undo.callback(link.stop)
        board, hours = open_board(config), Hours(data / "hours.json")
        reporter = Reporter(config, unit, cache, outbox, clock, camera, board, hours, lambda: governor.trouble, time.monotonic())
        releases = ReleaseDoor(data, config.updates.folder, config.updates.run, time.monotonic())
        end = _End(stop)
        tools = Tools(
            clock.now,
            link.respond,
            end,
            ring.lines,
            link.refresh,
            sensor,
            calibration_path(config),
            reboot=lambda: None if hardware.world is None else hardware.world.journal({"reboot": True}),
            update=lambda release, transaction, by: wish(data, config.updates, release, transaction, by) or "",
        )
        tested = Tested(cache, outbox, clock, gate, camera, sensor, link.round_trip_ms)
        orders = Orders(config, unit, tools, Selftest(unit, tested, link.respond))
        parts = Parts(unit, inbox, gate, camera, sensor, link, reporter, Door(data), releases, orders, governor)
        unit.start(info.software if outbox.damaged is None else f"{info.software}; a damaged outbox was set aside at {outbox.damaged}")
        undo.callback(watchdog.ending)
        undo.callback(gate.close)  # before all that may take its time to end
        serve(config, parts, watchdog, stop)
    log.info("gate %s is down, relay off", config.unit)
    return end.status


def serve(config: Config, parts: Parts, watchdog: Watchdog, stop: threading.Event) -> None:
    """From the start of all threads until `stop` is set; then the relay is off."""
    for part in (parts.link, parts.camera, parts.sensor):
        part.start()
    log.info("gate %s is up", config.unit)
    turned_at = time.monotonic()
    limits = config.watchdog
    loops = (
        Loop("decision", threading.current_thread().name, limits.decision_s, lambda: turned_at),
        Loop("camera", "camera", limits.camera_s, lambda: parts.camera.last_turn),
        Loop("sensor", "sensor", limits.sensor_s, lambda: parts.sensor.last_turn),
        Loop("link", f"link-{config.unit}", limits.link_s, lambda: parts.link.last_turn),
        Loop("relay", "relay", limits.relay_s, lambda: parts.gate.relay_turn),
    )

    def look_after(at: float) -> None:
        nonlocal turned_at
        turned_at = at
        parts.camera.check(at)
        parts.door.attend(at, parts.unit.ask_mode)
        parts.orders.attend(at)
        parts.reporter.report(at, parts.link)
        works = parts.unit.devices.works
        for news in parts.releases.attend(at, camera=works.get(Device.CAMERA, False), sensor=works.get(Device.SENSOR, False)):
            parts.unit.note(*news)
        is_to_end = parts.governor.attend(at, parts.unit, parts.link, parts.releases)
        if is_to_end or parts.releases.is_to_end(at, parts.unit.may_end):
            stop.set()
        watchdog.say(parts.reporter.summary)

    watchdog.start(loops, parts.gate.let_fall)
    loop(parts.unit, parts.inbox, parts.gate, stop, look_after)
    parts.gate.close()
    parts.unit.stop()


def loop(unit: Unit, inbox: Inbox, gate: Gate, stop: threading.Event, report: Callable[[float], None]) -> None:
    """The deciding thread: one input after another, and time in between."""
    wait_s = LONGEST_WAIT_S
    while not stop.is_set():
        for _ in range(TURN):
            item = inbox.get(wait_s)
            if item is None:
                break
            unit.handle(item)
            wait_s = 0.0
        unit.tick()
        at = time.monotonic()
        wait_s = min(LONGEST_WAIT_S, gate.tick(at))
        report(at)


def main(path: Path) -> int:
    """The process: configuration from `path`, log to the standard error, an orderly end on SIGTERM and SIGINT. Its exit status.

    It also ends in order to begin anew with another configuration from afar: whoever runs it starts it again.

    Whatever it writes is for its account alone: the outbox holds who passed and with which fever. No core is dumped, whatever ends it:
    what a certificate says is in the memory and is not to reach a disk.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable(sys.__stderr__ or sys.stderr)  # systemd's SIGABRT, too, leaves in the log where all threads stand
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    ring = LogRing()
    logging.getLogger().addHandler(ring)
    notifier = Notifier.from_environment(os.environ, os.getpid())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    started = None
    try:
        started = overrides.start(path)
        return run(started, stop, notifier, ring)
    except STARTING_ERRORS as wrong:
        for line in str(wrong).splitlines():
            log.error("%s", line)
        if started is not None:
            started.overrides.fail(str(wrong))
        return 2
    except CameraStuck as wrong:
        log.error("%s: the service is to start the unit again", wrong)
        return 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m edge CONFIG\n")
        sys.exit(2)
    sys.exit(main(Path(sys.argv[1])))
