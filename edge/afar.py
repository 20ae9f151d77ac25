"""What of a unit's configuration may be set from afar, and how that stands above the unit's own file. Pure.

FROM_AFAR is the one list. What is not on it is known at the unit alone: its pins, parts and folders, what stands in its calibration, whose
keys it trusts, who it is at the broker, and what ends it when it hangs. Nobody who holds the key for configurations can make a gate
another one, or have it believe somebody else.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from edge.config import ALL_RULES, Config, ConfigError
from edge.thresholds import find_hole
from healthcode.desired import read_settings, write_settings
from healthcode.messages import Setting
from healthcode.settings import Layer, Rule, SettingsError, read_layers

FROM_AFAR: tuple[str, ...] = (
    "camera.source",
    "camera.width",
    "camera.height",
    "camera.fps",
    "camera.roi",
    "camera.idle_fps",
    "camera.busy_s",
    "camera.bracketing",
    "camera.steady_after",
    "camera.obstructed_s",
    "camera.stages",
    "sensor.tries",
    "sensor.retry_pause_s",
    "sensor.frozen_reads",
    "sensor.calibration_due_days",
    "screening.fever_c",
    "screening.recheck_c",
    "screening.too_far_c",
    "screening.clear_floor_c",
    "screening.disagree_c",
    "screening.implausible_c",
    "screening.spread_c",
    "screening.ambient_low_c",
    "screening.ambient_high_c",
    "screening.ambient_drift_c_per_min",
    "screening.samples",
    "screening.warm_up_s",
    "screening.retest_after_s",
    "screening.retest_within_s",
    "screening.too_far_tries",
    "screening.failed_cycles",
    "screening.give_up_s",
    "lane.pulse_s",
    "lane.window_s",
    "lane.accessible_window_s",
    "lane.held_open_s",
    "lane.alert_s",
    "lane.alarm_s",
    "lane.replay_s",
    "sound.volume",
    "sound.night_volume",
    "sound.alarm_volume",
    "sound.night_from",
    "sound.night_until",
    "sound.zone",
    "statements.warn_s",
    "statements.limit_s",
    "link.keepalive_s",
    "link.backoff_max_s",
    "link.resend_s",
    "link.status_period_s",
    "board.hot_c",
    "board.disk_free_mb",
    "board.backlog",
    "board.certificate_days",
)
"""The keys that may be set from afar, in the order of the configuration."""

OTHERWISE = "this key is set at the unit alone: expected one that docs/configuration.md marks as from afar"
CAMERA = Rule(
    ("camera.source",),
    "from afar picamera2, simulated or a device such as /dev/video0",
    "because pictures in a file or a folder would open the gate to whoever put them there",
    lambda c: c.camera.source in ("picamera2", "simulated") or c.camera.source.startswith("/dev/video"),
)
"""Holds of a source that is set from afar; at the unit a file may be one."""


def name_of(version: int) -> str:
    """What a configuration from afar is called in the places of its faults."""
    return f"desired {version}"


def lay_over(own: Layer, text: str, version: int) -> Config:
    """The configuration that the unit's `own` file and, above it, the `text` of a `version` from afar make; ConfigError says all faults."""
    over = Layer(text, name_of(version), frozenset(FROM_AFAR), OTHERWISE)
    try:
        says_source = "camera.source" in read_settings(text, over.name)
        config = read_layers([own, over], Config, (*ALL_RULES, CAMERA) if says_source else ALL_RULES)
    except SettingsError as wrong:
        raise ConfigError(str(wrong)) from None
    hole = find_hole(config.screening, config.sensor)
    if hole:
        raise ConfigError(f"{over.name}: {hole}")
    return config


def find_faults(text: str, version: int, known: Mapping[str, object]) -> list[str]:
    """What is certainly wrong with the `text` of a `version` for a unit of which the keys in `known` are all that is known, a line each.

    Rules and thresholds that touch what only the unit knows are left to it. `known` may be empty, or what a unit reported.
    """
    said = {path: value for path, value in known.items() if path in FROM_AFAR}
    stranger = 'unit = "x"\nhardware = "pi"\ndata = "x"\nroots = ["x"]\n'
    over = Layer(text, name_of(version), frozenset(FROM_AFAR), OTHERWISE)
    try:
        certain = {*said, *read_settings(text, over.name)}
        rules = [rule for rule in (*ALL_RULES, CAMERA) if certain.issuperset(rule.keys)]
        read_layers([Layer(stranger + write_settings(said), "reported"), over], Config, rules)
    except SettingsError as wrong:
        return [line for line in str(wrong).splitlines() if line.startswith(f"{over.name}:")]
    return []


def settable(config: Config) -> dict[str, Setting]:
    """The keys that may be set from afar with their values in `config`, as a message carries them."""
    sections = msgspec.to_builtins(config)
    return {path: _value(sections, path) for path in FROM_AFAR}


def _value(sections: dict[str, dict[str, Setting | tuple[float | str, ...]]], path: str) -> Setting:
    section, _, name = path.partition(".")
    value = sections[section][name]
    return list(value) if isinstance(value, tuple) else value
