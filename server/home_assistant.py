"""Units as devices of Home Assistant, by its MQTT device discovery: one retained message a unit says all that it has. Pure.

The states are the unit's own topics. Whether it is there, and its alerts, come from what the server says of it (bridge/units/{unit}): a
retained `online` outlives the unit that said it, and an alert that was never raised would be unknown for ever. Buttons are for requests
that change nothing; whatever opens a gate is signed by an operator and has no button.
"""

from __future__ import annotations

from typing import Any

import msgspec

from healthcode import topics
from healthcode.alerts import ALERTS, Weight
from healthcode.messages import Info, Request, encode
from healthcode.terms import LaneMode

PREFIX = "homeassistant"
"""Home Assistant's own, unless somebody has changed it there."""
ONLINE = b"online"
ASKS_BY = "home-assistant"
"""The transaction of what its buttons ask."""
_NUMBERS: dict[str, dict[str, Any]] = {
    "passes": {"name": "Verdicts", "state_class": "total_increasing"},
    "admitted": {"name": "Admitted", "state_class": "total_increasing"},
    "refused": {"name": "Refused", "state_class": "total_increasing"},
    "called_guard": {"name": "Sent to the guard", "state_class": "total_increasing"},
    "ambient_c": {
        "name": "Air at the thermometer",
        "device_class": "temperature",
        "unit_of_measurement": "°C",
        "state_class": "measurement",
    },
    "board_c": {"name": "Processor", "device_class": "temperature", "unit_of_measurement": "°C", "state_class": "measurement"},
    "list_age_s": {"name": "Age of the lists", "device_class": "duration", "unit_of_measurement": "s", "state_class": "measurement"},
    "uptime_s": {"name": "Running for", "device_class": "duration", "unit_of_measurement": "s", "state_class": "measurement"},
    "outbox_pending": {"name": "Events waiting", "state_class": "measurement"},
    "frames_per_s": {"name": "Frames a second", "state_class": "measurement"},
    "disk_free_mb": {"name": "Free on disk", "device_class": "data_size", "unit_of_measurement": "MB", "state_class": "measurement"},
    "certificate_days": {
        "name": "Certificate ends in",
        "device_class": "duration",
        "unit_of_measurement": "d",
        "state_class": "measurement",
    },
}
_DIAGNOSTIC = frozenset({"board_c", "list_age_s", "uptime_s", "outbox_pending", "frames_per_s", "disk_free_mb", "certificate_days"})
_SAID = "(value_json | default({}))"
"""What a message says; nothing where it is empty, as those of a retired unit are."""
_HERE = f"{_SAID}.state == 'online'"
_BUTTONS = {"identify": ("Blink", "identify"), "selftest": ("Self-test", None)}


def config_topic(prefix: str, unit: str) -> str:
    """Where the device of a unit is told."""
    return f"{prefix}/device/healthgate_{unit}/config"


def status_topic(prefix: str) -> str:
    """Where Home Assistant says that it is there: what it is told before, it may have missed."""
    return f"{prefix}/status"


def device(unit: str, info: Info | None, site: str = "") -> bytes:
    """The message that makes a unit a device."""
    told: dict[str, Any] = {
        "dev": {
            "identifiers": [f"healthgate_{unit}"],
            "name": f"Gate {unit}",
            "manufacturer": "healthgate",
            **({"model": info.hardware, "sw_version": info.software} if info is not None else {}),
            **({"suggested_area": site} if site else {}),
        },
        "o": {"name": "healthgate"},
        "availability": [
            {"topic": topics.BRIDGE_STATE},
            {"topic": topics.unit_seen(unit), "value_template": f"{{{{ 'online' if {_HERE} else 'offline' }}}}"},
        ],
        "availability_mode": "all",
        "cmps": {key: {**parts, "unique_id": f"healthgate_{unit}_{key}"} for key, parts in _components(unit).items()},
    }
    return msgspec.json.encode(told)


def _components(unit: str) -> dict[str, dict[str, Any]]:
    seen, lane, status = topics.unit_seen(unit), topics.up(unit, "lane"), topics.up(unit, "status")
    return {
        "there": {
            "p": "binary_sensor",
            "name": "Connection",
            "device_class": "connectivity",
            "state_topic": seen,
            "value_template": f"{{{{ 'ON' if {_HERE} else 'OFF' }}}}",
            "availability": [{"topic": topics.BRIDGE_STATE}],
            "entity_category": "diagnostic",
        },
        "gate": {
            "p": "sensor",
            "name": "Lane",
            "device_class": "enum",
            "options": [mode.value for mode in LaneMode],
            "state_topic": lane,
            "value_template": f"{{{{ {_SAID}.mode | default(none) }}}}",
            "json_attributes_topic": lane,
            "json_attributes_template": f"{{{{ {_SAID} | tojson }}}}",
        },
        "light": {"p": "sensor", "name": "Light", "state_topic": lane, "value_template": f"{{{{ {_SAID}.signal | default(none) }}}}"},
        "fire": {
            "p": "binary_sensor",
            "name": "Fire loop",
            "device_class": "safety",
            "state_topic": lane,
            "value_template": f"{{{{ 'ON' if {_SAID}.fire | default(false) else 'OFF' }}}}",
        },
        **{
            name: {
                "p": "sensor",
                "state_topic": status,
                "value_template": f"{{{{ {_SAID}.{name} | default(none) }}}}",
                **words,
                **({"entity_category": "diagnostic"} if name in _DIAGNOSTIC else {}),
            }
            for name, words in _NUMBERS.items()
        },
        **{
            f"alert_{name}": {
                "p": "binary_sensor",
                "name": words.title,
                "device_class": "safety" if words.weight is Weight.ALARM else "problem",
                "state_topic": seen,
                "value_template": f"{{{{ 'ON' if '{name}' in {_SAID}.alerts | default([]) else 'OFF' }}}}",
                "entity_category": "diagnostic",
            }
            for name, words in ALERTS.items()
        },
        **{
            command: {
                "p": "button",
                "name": title,
                "command_topic": topics.down(unit, "request", command),
                "payload_press": encode(Request(transaction=ASKS_BY)).decode(),
                "qos": 1,
                "entity_category": "diagnostic",
                **({"device_class": kind} if kind else {}),
            }
            for command, (title, kind) in _BUTTONS.items()
        },
    }
