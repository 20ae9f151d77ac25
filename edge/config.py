"""The unit's configuration: one TOML file, frozen, every unknown key, impossible value and pin used twice an error at start.

Units are in the names: `_s` seconds, `_ms` milliseconds, `_c` degrees Celsius, `_v` volts. Each key has its bounds beside it and
one sentence about it; what keys must be together stands in edge/config_rules.py. docs/configuration.md is made of both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge.config_rules import RULES, pin_rules
from edge.mlx90614 import PARTS, REFRESH_S, PartName
from healthcode.messages import IssuerId, UnitId
from healthcode.settings import SettingsError, read_toml, why_unread

Bcm = Annotated[int, Meta(ge=2, le=27)]
Share = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
TimeOfDay = Annotated[
    str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z", extra={"form": "a time of day from 00:00 to 23:59, in quotes"})
]


class ConfigError(SettingsError):
    """A configuration that cannot be used; each line of the text names a key and what was expected."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: unknown keys are errors."""


class Camera(Section, frozen=True):
    """Frames and the readers that look for codes in them."""

    source: Annotated[
        Name,
        Meta(description="Source of frames: `picamera2`, `simulated`, a device such as `/dev/video0`, a video, an image or a folder."),
    ] = "picamera2"
    width: Annotated[int, Meta(ge=160, le=4096, description="Width of a frame.", extra={"unit": "px"})] = 640
    height: Annotated[int, Meta(ge=120, le=4096, description="Height of a frame.", extra={"unit": "px"})] = 480
    fps: Annotated[float, Meta(ge=1, le=60, description="Frames that the camera is asked for.")] = 15.0
    roi: Annotated[
        tuple[Share, Share, Share, Share],
        Meta(description="The part of the picture that is looked at, in fractions of it: left, top, right, bottom."),
    ] = (0.0, 0.0, 1.0, 1.0)
    idle_fps: Annotated[float, Meta(ge=1, le=60, description="Frames that are decoded while nothing moves in the picture.")] = 5.0
    busy_s: Annotated[float, Meta(ge=0.5, le=60, description="How long after a movement every frame is decoded.")] = 2.0
    bracketing: Annotated[
        bool,
        Meta(description="Whether every second frame is exposed for a quarter of the time while something moves, where the camera can."),
    ] = True
    steady_after: Annotated[
        int, Meta(ge=2, le=100, description="Frames in which a code was located and not read until the gate asks to hold steady.")
    ] = 4
    obstructed_s: Annotated[
        float, Meta(ge=10, le=3600, description="How long a code that is not ours may be in view until an alert is raised.")
    ] = 60.0
    stages: Annotated[
        tuple[Literal["zxing_local", "zxing_global", "grid", "zbar"], ...],
        Meta(min_length=1, description="The readers that look for a code in a frame, in the order in which they are tried."),
    ] = (
        "zxing_local",
        "zxing_global",
        "grid",
    )


class Sensor(Section, frozen=True):
    """The MLX90614: its bus, which part it is, what corrects its readings. Between two readings the bus is silent."""

    bus: Annotated[int, Meta(ge=0, le=20, description="Number of the I2C bus, the one in /dev/i2c-1.")] = 1
    address: Annotated[
        int, Meta(ge=0x08, le=0x77, description="Address of the thermometer on its bus; 90 is 0x5A, as it leaves the factory.")
    ] = 0x5A
    part: Annotated[
        PartName,
        Meta(description="Option code of the part: how wide it looks, how near a person stands, how fast and how true it is."),
    ] = "DCC"
    supply_v: Annotated[
        float, Meta(ge=2.6, le=3.6, description="Supply measured at the thermometer's can; both temperatures shift by 0.6 °C a volt.")
    ] = 3.3
    emissivity: Annotated[float, Meta(ge=0.8, le=1.0, description="Emissivity of what is measured; 0.98 is skin.")] = 0.98
    settle_s: Annotated[
        float, Meta(ge=0, le=2.0, description="Settling time, for a part whose filters somebody changed; 0 for that of `sensor.part`.")
    ] = 0.0
    tries: Annotated[int, Meta(ge=1, le=10, description="Tries until a reading counts as failed.")] = 3
    retry_pause_s: Annotated[float, Meta(ge=0.001, le=0.2, description="Pause between two tries.")] = 0.02
    frozen_reads: Annotated[int, Meta(ge=10, le=10_000, description="Equal words in a row that make the thermometer count as frozen.")] = 40
    calibration: Annotated[
        str,
        Meta(max_length=400, description="File that holds the calibration; empty for calibration.json in the folder `data`."),
    ] = ""
    calibration_due_days: Annotated[
        float, Meta(ge=1, le=1100, description="How long a calibration lasts; an older one is refused and the guard measures.")
    ] = 365.0

    @property
    def settling_s(self) -> float:
        """How long the sensor takes to the end of a step, in seconds."""
        return self.settle_s or PARTS[self.part].settle_s

    @property
    def quiet_s(self) -> float:
        """How long the bus is silent before each reading, in seconds: its traffic couples into the sensor (datasheet 8.4.9)."""
        return self.settling_s + REFRESH_S

    @property
    def cycle_s(self) -> float:
        """From one reading to the next, in seconds."""
        return self.quiet_s + self.retry_pause_s


class ScreeningPolicy(Section, frozen=True):
    """Thresholds of screening, degrees Celsius of estimated body temperature unless the name says otherwise."""

    fever_c: Annotated[float, Meta(ge=36.5, le=38.0, description="Estimated body temperature from which a fever is suspected.")] = 37.3
    recheck_c: Annotated[
        float,
        Meta(ge=36.0, le=38.0, description="Estimated body temperature from which a second measurement is made before the lane opens."),
    ] = 37.0
    too_far_c: Annotated[
        float, Meta(ge=33.0, le=36.0, description="Estimated body temperature below which the person is taken to stand too far away.")
    ] = 35.0
    clear_floor_c: Annotated[
        float, Meta(ge=34.0, le=36.5, description="Estimate below which a second measurement clears nobody of a suspected fever.")
    ] = 35.5
    disagree_c: Annotated[
        float, Meta(ge=0.2, le=2.0, description="Difference of two measurements above which the second clears nobody.")
    ] = 1.0
    implausible_c: Annotated[
        float, Meta(ge=40.0, le=45.0, description="Estimated body temperature above which a reading is taken for an error.")
    ] = 42.0
    spread_c: Annotated[float, Meta(ge=0.1, le=1.0, description="Spread of the samples above which the person is asked to hold still.")] = (
        0.4
    )
    ambient_low_c: Annotated[
        float, Meta(ge=0.0, le=20.0, description="Ambient temperature below which nobody passes by screening alone.")
    ] = 16.0
    ambient_high_c: Annotated[
        float, Meta(ge=30.0, le=45.0, description="Ambient temperature above which nobody passes by screening alone.")
    ] = 40.0
    ambient_drift_c_per_min: Annotated[
        float, Meta(ge=0.02, le=1.0, description="Change of the ambient temperature above which the sensor counts as warming up.")
    ] = 0.1
    samples: Annotated[int, Meta(ge=3, le=5, description="Samples in one measurement, of which the median counts.")] = 3
    warm_up_s: Annotated[float, Meta(ge=0, le=7200, description="Time from the sensor's power on until its readings count.")] = 1800.0
    retest_after_s: Annotated[float, Meta(ge=1.0, le=30.0, description="Time from a suspected fever to the second measurement.")] = 5.0
    retest_within_s: Annotated[
        float,
        Meta(
            ge=2.0, le=60.0, description="Time from a suspected fever until the second measurement must be made; later the guard measures."
        ),
    ] = 15.0
    too_far_tries: Annotated[int, Meta(ge=1, le=10, description="Measurements from too far away until the guard is called.")] = 3
    failed_cycles: Annotated[int, Meta(ge=1, le=20, description="Cycles without a measurement until the guard is called.")] = 5
    give_up_s: Annotated[float, Meta(ge=1.0, le=60.0, description="Time without a measurement until the guard is called.")] = 8.0


class Pins(Section, frozen=True):
    """BCM numbers of the header; hw/wiring.md says what hangs on each."""

    led_red: Annotated[Bcm, Meta(description="The light's red.")] = 17
    led_green: Annotated[Bcm, Meta(description="The light's green.")] = 27
    led_blue: Annotated[Bcm, Meta(description="The light's blue.")] = 22
    buzzer: Annotated[Bcm, Meta(description="The buzzer, driven with PWM.")] = 18
    relay: Annotated[Bcm, Meta(description="The barrier's relay: high opens.")] = 23
    beam: Annotated[Bcm, Meta(description="The light beam in the passage: high is broken.")] = 24
    arm: Annotated[Bcm, Meta(description="The contact that a person moves in passing: high is away from rest.")] = 26
    fire: Annotated[Bcm, Meta(description="The monitor contact of the fire loop: high is alarm.")] = 25
    staff: Annotated[Bcm, Meta(description="The button beside the guard: low is pressed.")] = 16
    tamper: Annotated[Bcm, Meta(description="The lid's switch: high is open.")] = 20
    exit: Annotated[Bcm, Meta(description="The way out's button, second contact: low is pressed.")] = 21


class Lane(Section, frozen=True):
    """How the barrier is driven and what counts as a passage."""

    pulse_s: Annotated[float, Meta(ge=0.1, le=5.0, description="How long the relay is energised for a grant or a staff release.")] = 0.5
    window_s: Annotated[float, Meta(ge=1.0, le=60.0, description="Time to pass after a grant; then it is given back, unused.")] = 5.0
    accessible_window_s: Annotated[
        float, Meta(ge=1.0, le=60.0, description="Time to pass after a release by the staff, also on top of a grant: wheelchairs, prams.")
    ] = 15.0
    held_open_s: Annotated[float, Meta(ge=2.0, le=600.0, description="How long the passage may be occupied until an alarm.")] = 30.0
    alert_s: Annotated[
        float, Meta(ge=10, le=86400, description="How long an alert is raised for somebody who forced, tailgated or held the passage open.")
    ] = 300.0
    alarm_s: Annotated[float, Meta(ge=0.5, le=60.0, description="How long the alarm sounds.")] = 3.0
    replay_s: Annotated[float, Meta(ge=0, le=86400, description="How long after a used passage the same code is refused.")] = 300.0
    debounce_s: Annotated[
        float, Meta(ge=0.0, le=0.2, description="How long a contact must stand still to count; the fire loop counts at once.")
    ] = 0.01


class Sound(Section, frozen=True):
    """How loud the buzzer is, and when it is quiet. While the clock is not trusted it is day."""

    volume: Annotated[Share, Meta(description="Sound pressure as a share of the buzzer's loudest; half of it is 6 dB less.")] = 1.0
    night_volume: Annotated[Share, Meta(description="The same at night; 0 is silent.")] = 0.2
    alarm_volume: Annotated[
        float, Meta(ge=0.3, le=1, description="What an alarm has at least, day and night: forced, tailgate, held open, tamper.")
    ] = 1.0
    night_from: Annotated[TimeOfDay, Meta(description="When the night begins, local time; as `sound.night_until` for none.")] = "22:00"
    night_until: Annotated[TimeOfDay, Meta(description="When the night ends, local time.")] = "06:00"
    zone: Annotated[Name, Meta(description="The time zone of those hours, as the IANA names it.")] = "Asia/Shanghai"


class Statements(Section, frozen=True):
    """How old the issuer's newest statement about a colour may be."""

    warn_s: Annotated[float, Meta(ge=60, le=604800, description="Age of the issuer's newest statement from which an alert is raised.")] = (
        86400.0
    )
    limit_s: Annotated[
        float, Meta(ge=60, le=604800, description="Age of the issuer's newest statement from which every code calls the guard.")
    ] = 259200.0


class Link(Section, frozen=True):
    """The MQTT broker, and whose lists this unit holds."""

    host: Annotated[Name, Meta(description="Name or address of the MQTT broker.")] = "localhost"
    port: Annotated[int, Meta(ge=1, le=65535, description="Port of the broker.")] = 1883
    username: Annotated[str, Meta(max_length=64, description="The unit's account at the broker; empty for none.")] = ""
    password_file: Annotated[str, Meta(max_length=400, description="File that holds the account's password; empty for none.")] = ""
    ca: Annotated[
        str, Meta(max_length=400, description="File with the certificate that the broker's is signed by, PEM; empty for no TLS.")
    ] = ""
    certificate: Annotated[
        str, Meta(max_length=400, description="The unit's own certificate, PEM, by which the broker knows it; renewed by itself.")
    ] = ""
    key: Annotated[str, Meta(max_length=400, description="The private key of that certificate, PEM.")] = ""
    keepalive_s: Annotated[
        int, Meta(ge=5, le=600, description="Silence after which the broker and the unit ask each other whether they are there.")
    ] = 30
    backoff_max_s: Annotated[float, Meta(ge=1, le=600, description="Longest pause between two attempts to connect.")] = 8.0
    resend_s: Annotated[
        float, Meta(ge=1, le=600, description="Time without the server's confirmation after which events are sent again.")
    ] = 30.0
    status_period_s: Annotated[
        float, Meta(ge=1, le=60, description="Time from one status message to the next; who says nothing for 80 s counts as silent.")
    ] = 60.0
    issuers: Annotated[
        tuple[IssuerId, ...],
        Meta(description="Issuers whose lists this unit must hold; empty for ours and others up to `link.most_lists`."),
    ] = ()
    most_lists: Annotated[int, Meta(ge=1, le=64, description="How many lists are held at most where no issuers are named.")] = 8


class Board(Section, frozen=True):
    """What is watched of the board itself, where its kernel tells it, and when it is an alert."""

    temperature: Annotated[Name, Meta(description="File with the processor's temperature in thousandths of a degree.")] = (
        "/sys/class/thermal/thermal_zone0/temp"
    )
    hwmon: Annotated[
        Name, Meta(description="Folder of the kernel's sensors; the one named rpi_volt says whether the supply is too low.")
    ] = "/sys/class/hwmon"
    hot_c: Annotated[float, Meta(ge=40, le=110, description="Temperature of the processor that is an alert; a Pi slows down from 80.")] = (
        80.0
    )
    disk_free_mb: Annotated[
        float, Meta(ge=10, le=1_000_000, description="Room in the folder `data` below which there is an alert.", extra={"unit": "MB"})
    ] = 500.0
    backlog: Annotated[int, Meta(ge=10, le=400_000, description="Events waiting for the server that are an alert.")] = 5000
    certificate_days: Annotated[
        float, Meta(ge=0.01, le=90, description="How long before its end the unit's certificate is an alert; it should have been renewed.")
    ] = 5.0


class Watchdog(Section, frozen=True):
    """How long each of the unit's loops may take to come round before the unit ends, with the relay off, to be started again."""

    decision_s: Annotated[float, Meta(ge=2, le=600, description="The loop that decides; a slow card may hold it up for seconds.")] = 10.0
    camera_s: Annotated[float, Meta(ge=5, le=600, description="The camera's loop, once it has given a frame.")] = 30.0
    sensor_s: Annotated[float, Meta(ge=2, le=600, description="The thermometer's loop, all tries of one reading included.")] = 30.0
    link_s: Annotated[float, Meta(ge=2, le=600, description="The loop of the link; a network that does not answer does not count.")] = 60.0
    relay_s: Annotated[float, Meta(ge=2, le=600, description="The thread that limits the relay's time.")] = 5.0


class Updates(Section, frozen=True):
    """Where releases come from and where they are kept. The updater is a process of its own beside the gate."""

    folder: Annotated[str, Meta(max_length=400, description="Folder of the releases; empty for a unit that is not updated from afar.")] = ""
    server: Annotated[
        str,
        Meta(
            pattern=r"^$|^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?\Z",
            max_length=200,
            description="Address of the server's pages, from which releases are fetched, and a certificate where the unit's own has ended.",
            extra={"form": "https:// with a name or an address, such as https://code.example.org, or nothing"},
        ),
    ] = ""
    ca: Annotated[str, Meta(max_length=400, description="Certificates that vouch for that address, a file; empty for the system's.")] = ""
    run: Annotated[
        Name, Meta(description="Folder in memory in which the gate tells the updater how it is; empty again after each boot.")
    ] = "/run/healthgate"


class Commands(Section, frozen=True):
    """What operators may have this unit do from afar, beyond what every unit does."""

    reboot: Annotated[
        bool,
        Meta(
            description="Whether the command `reboot` ends the unit with status 77, upon which its service starts the machine anew; "
            "only where the service does that, as that of `deploy/` does."
        ),
    ] = False


class Trial(Section, frozen=True):
    """The watch over a configuration that was set from afar: it falls back to the last good one where a device that worked is lost."""

    length_s: Annotated[
        float, Meta(ge=5, le=3600, description="How long a configuration from afar is on trial before it counts as good.")
    ] = 300.0
    lost_s: Annotated[
        float,
        Meta(ge=1, le=600, description="How long a camera or thermometer that worked before may be gone in a trial."),
    ] = 30.0


class Config(Section, frozen=True):
    """The whole of a unit's configuration."""

    unit: Annotated[
        UnitId,
        Meta(description="Name of this unit, one of a kind in the fleet.", examples=["north"]),
    ]
    hardware: Annotated[
        Literal["pi", "simulated"],
        Meta(description="`pi` for real pins and a real sensor, `simulated` for those of a world in `world`.", examples=["pi"]),
    ]
    data: Annotated[
        Name, Meta(description="Folder of what the unit keeps: lists, events, the clock's floor.", examples=["/var/lib/healthgate"])
    ]
    roots: Annotated[
        tuple[Name, ...],
        Meta(
            min_length=1,
            max_length=4,
            description="Files with the root's public keys, PEM; whoever holds a root key says whom the unit trusts.",
            examples=[["/etc/healthgate/root.pub.pem"]],
        ),
    ]
    world: Annotated[str, Meta(max_length=100, description="Socket of the simulated world; empty on real hardware.")] = ""
    camera: Camera = Camera()
    sensor: Sensor = Sensor()
    screening: ScreeningPolicy = ScreeningPolicy()
    pins: Pins = Pins()
    lane: Lane = Lane()
    sound: Sound = Sound()
    statements: Statements = Statements()
    link: Link = Link()
    board: Board = Board()
    watchdog: Watchdog = Watchdog()
    updates: Updates = Updates()
    commands: Commands = Commands()
    trial: Trial = Trial()


PIN_NAMES = tuple(f"pins.{field.name}" for field in msgspec.structs.fields(Pins))


ALL_RULES = (*pin_rules(PIN_NAMES), *RULES)
"""What keys must be together."""


def parse(text: str, name: str = "configuration") -> Config:
    """The configuration in `text`, TOML; ConfigError says all that is wrong with it."""
    try:
        return read_toml(text, Config, name, ALL_RULES)
    except SettingsError as wrong:
        raise ConfigError(str(wrong)) from None


def load(path: Path) -> Config:
    """The configuration in the file `path`; ConfigError names the file and all that is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigError(f"{path}: cannot be read: {why_unread(wrong)}") from None
    return parse(text, str(path))
