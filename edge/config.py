"""The unit's configuration: one TOML file, frozen, every unknown key, impossible value and pin used twice an error at start.

Units are in the names: `_s` seconds, `_ms` milliseconds, `_c` degrees Celsius, `_v` volts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from healthcode.messages import IssuerId, UnitId
from healthcode.settings import read_toml

Bcm = Annotated[int, Meta(ge=2, le=27)]
Share = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]


SMALLEST_ROI = 0.2
"""Share of the picture's width or height below which no code could be read in it."""


class ConfigError(ValueError):
    """A configuration that cannot be used; the text is one line that names the key and what was expected."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: unknown keys are errors."""


class Camera(Section, frozen=True):
    """Where frames come from. `source` is `picamera2`, `simulated`, a device such as `/dev/video0`, a video, or a file or folder of images.

    `roi` is the part of the picture that is looked at, in fractions: left, top, right, bottom. While nothing moves there, `idle_fps` frames
    a second are decoded, and all of them for `busy_s` after something did. With `bracketing` every second frame is exposed for a quarter of
    the time while something moves, where the camera can. A code that was located in `steady_after` frames and not read asks to hold steady;
    one that is not ours raises an alert after `obstructed_s` in view.
    """

    source: Name = "picamera2"
    width: Annotated[int, Meta(ge=160, le=4096)] = 640
    height: Annotated[int, Meta(ge=120, le=4096)] = 480
    fps: Annotated[float, Meta(ge=1, le=60)] = 15.0
    roi: tuple[Share, Share, Share, Share] = (0.0, 0.0, 1.0, 1.0)
    idle_fps: Annotated[float, Meta(ge=1, le=60)] = 5.0
    busy_s: Annotated[float, Meta(ge=0.5, le=60)] = 2.0
    bracketing: bool = True
    steady_after: Annotated[int, Meta(ge=2, le=100)] = 4
    obstructed_s: Annotated[float, Meta(ge=10, le=3600)] = 60.0
    stages: Annotated[tuple[Literal["zxing_local", "zxing_global", "grid", "zbar"], ...], Meta(min_length=1)] = (
        "zxing_local",
        "zxing_global",
        "grid",
    )


class Sensor(Section, frozen=True):
    """The MLX90614: its bus, what corrects its readings, and how often it is read. Between reads the bus is silent for `settle_s` at least.

    `offset_c` comes from calibration and belongs to the one sensor whose 16 hexadecimal digits are `identity` (empty: any sensor).
    """

    bus: Annotated[int, Meta(ge=0, le=20)] = 1
    address: Annotated[int, Meta(ge=0x08, le=0x77)] = 0x5A
    supply_v: Annotated[float, Meta(ge=2.6, le=5.5)] = 3.3
    calibrated_at_v: Annotated[float, Meta(ge=2.6, le=5.5)] = 3.0
    emissivity: Annotated[float, Meta(ge=0.8, le=1.0)] = 0.98
    settle_s: Annotated[float, Meta(ge=0.05, le=2.0)] = 0.14
    period_s: Annotated[float, Meta(ge=0.02, le=2.0)] = 0.15
    tries: Annotated[int, Meta(ge=1, le=10)] = 3
    retry_pause_s: Annotated[float, Meta(ge=0.001, le=0.2)] = 0.02
    frozen_reads: Annotated[int, Meta(ge=10, le=10_000)] = 40
    offset_c: Annotated[float, Meta(ge=-0.5, le=0.5)] = 0.0
    identity: Annotated[str, Meta(pattern=r"^([0-9a-f]{16})?$")] = ""


class ScreeningPolicy(Section, frozen=True):
    """Thresholds of screening, degrees Celsius of estimated body temperature unless the name says otherwise."""

    fever_c: Annotated[float, Meta(ge=36.5, le=38.0)] = 37.3
    recheck_c: Annotated[float, Meta(ge=36.0, le=38.0)] = 37.0
    too_far_c: Annotated[float, Meta(ge=33.0, le=36.0)] = 35.0
    clear_floor_c: Annotated[float, Meta(ge=34.0, le=36.5)] = 35.5
    disagree_c: Annotated[float, Meta(ge=0.2, le=2.0)] = 1.0
    implausible_c: Annotated[float, Meta(ge=40.0, le=45.0)] = 42.0
    spread_c: Annotated[float, Meta(ge=0.1, le=1.0)] = 0.4
    ambient_low_c: Annotated[float, Meta(ge=0.0, le=20.0)] = 16.0
    ambient_high_c: Annotated[float, Meta(ge=30.0, le=45.0)] = 40.0
    ambient_drift_c_per_min: Annotated[float, Meta(ge=0.02, le=1.0)] = 0.1
    samples: Annotated[int, Meta(ge=3, le=5)] = 3
    warm_up_s: Annotated[float, Meta(ge=0, le=7200)] = 1800.0
    retest_after_s: Annotated[float, Meta(ge=1.0, le=30.0)] = 5.0
    retest_within_s: Annotated[float, Meta(ge=2.0, le=60.0)] = 15.0
    too_far_tries: Annotated[int, Meta(ge=1, le=10)] = 3
    failed_cycles: Annotated[int, Meta(ge=1, le=20)] = 5
    give_up_s: Annotated[float, Meta(ge=1.0, le=60.0)] = 8.0


class Pins(Section, frozen=True):
    """BCM numbers of the header; hw/wiring.md says what hangs on each."""

    led_red: Bcm = 17
    led_green: Bcm = 27
    led_blue: Bcm = 22
    buzzer: Bcm = 18
    relay: Bcm = 23
    beam: Bcm = 24
    arm: Bcm = 26
    fire: Bcm = 25
    staff: Bcm = 16
    tamper: Bcm = 20
    exit: Bcm = 21


class Lane(Section, frozen=True):
    """How the barrier is driven and what counts as a passage."""

    pulse_s: Annotated[float, Meta(ge=0.1, le=5.0)] = 0.5
    window_s: Annotated[float, Meta(ge=1.0, le=60.0)] = 5.0
    held_open_s: Annotated[float, Meta(ge=2.0, le=600.0)] = 30.0
    alarm_s: Annotated[float, Meta(ge=0.5, le=60.0)] = 3.0
    replay_s: Annotated[float, Meta(ge=0, le=86400)] = 300.0
    debounce_s: Annotated[float, Meta(ge=0.0, le=0.2)] = 0.01


class Statements(Section, frozen=True):
    """How old the issuer's newest statement about a colour may be."""

    warn_s: Annotated[float, Meta(ge=60, le=604800)] = 86400.0
    limit_s: Annotated[float, Meta(ge=60, le=604800)] = 259200.0


class Link(Section, frozen=True):
    """The MQTT broker, and whose lists this unit holds: all of the issuers named, or, where none is, ours and others up to `most_lists`."""

    host: Name = "localhost"
    port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    username: Annotated[str, Meta(max_length=64)] = ""
    password_file: Annotated[str, Meta(max_length=400)] = ""
    keepalive_s: Annotated[int, Meta(ge=5, le=600)] = 30
    backoff_max_s: Annotated[float, Meta(ge=1, le=600)] = 30.0
    resend_s: Annotated[float, Meta(ge=1, le=600)] = 30.0
    status_period_s: Annotated[float, Meta(ge=1, le=3600)] = 60.0
    issuers: tuple[IssuerId, ...] = ()
    most_lists: Annotated[int, Meta(ge=1, le=64)] = 8


class Config(Section, frozen=True):
    """The whole of a unit's configuration."""

    unit: UnitId
    hardware: Literal["pi", "simulated"]
    data: Name
    roots: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=4)]
    world: Annotated[str, Meta(max_length=100)] = ""
    camera: Camera = Camera()
    sensor: Sensor = Sensor()
    screening: ScreeningPolicy = ScreeningPolicy()
    pins: Pins = Pins()
    lane: Lane = Lane()
    statements: Statements = Statements()
    link: Link = Link()


def parse(text: str, name: str = "configuration") -> Config:
    """The configuration in `text`, TOML; ConfigError where it is not TOML, has an unknown key, an impossible value or a pin used twice."""
    try:
        config = read_toml(text, Config)
    except ValueError as wrong:
        raise ConfigError(f"{name}: {wrong}") from None
    fault = find_contradiction(config)
    if fault:
        raise ConfigError(f"{name}: {fault}")
    return config


def load(path: Path) -> Config:
    """The configuration in the file `path`; ConfigError names the file and what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigError(f"{path}: cannot be read: {wrong}") from None
    return parse(text, str(path))


def find_contradiction(config: Config) -> str | None:
    """What in `config` cannot be true together, in one line; None where nothing is."""
    by_pin: dict[int, str] = {}
    for signal, pin in msgspec.structs.asdict(config.pins).items():
        if pin in (2, 3):
            return f"pins.{signal} = {pin}: expected another pin, 2 and 3 are the sensor's bus"
        if pin in by_pin:
            return f"pins.{signal} = {pin}: already used by pins.{by_pin[pin]}, expected one signal a pin"
        by_pin[pin] = signal
    if config.pins.relay <= 8 or config.pins.relay == 14:
        return f"pins.relay = {config.pins.relay}: expected a pin that powers up low, not 0 to 8 or 14"
    left, top, right, bottom = config.camera.roi
    if right - left < SMALLEST_ROI or bottom - top < SMALLEST_ROI:
        return f"camera.roi: expected left, top, right, bottom as fractions, and at least {SMALLEST_ROI} of the picture each way"
    if config.camera.idle_fps > config.camera.fps:
        return f"camera.idle_fps = {config.camera.idle_fps}: expected at most camera.fps = {config.camera.fps}"
    if config.sensor.period_s <= config.sensor.settle_s:
        return f"sensor.period_s = {config.sensor.period_s}: expected more than sensor.settle_s = {config.sensor.settle_s}"
    if config.sensor.offset_c and not config.sensor.identity:
        return "sensor.identity: expected the identity of the sensor to which sensor.offset_c belongs"
    if config.screening.recheck_c > config.screening.fever_c:
        return f"screening.recheck_c = {config.screening.recheck_c}: expected at most screening.fever_c = {config.screening.fever_c}"
    if config.screening.retest_within_s <= config.screening.retest_after_s:
        return "screening.retest_within_s: expected more than screening.retest_after_s"
    if config.statements.warn_s > config.statements.limit_s:
        return "statements.warn_s: expected at most statements.limit_s"
    if config.hardware == "simulated" and not config.world:
        return 'world: expected the path of the simulated world\'s socket, because hardware = "simulated"'
    if config.hardware == "pi" and (config.world or config.camera.source == "simulated"):
        return 'hardware = "pi": expected no world and a real camera.source'
    return None
