"""Runs in Home Assistant's own environment, which has none of ours: reads a device's message, says what its schemas find wrong.

Home Assistant 2024.3 is the last that Python 3.11 takes. It knows every component, the device and the origin, but not yet the one message
that holds them all (2024.12), nor the abbreviations cmps and p; what that message must have is checked here as that later schema says it:
`dev`, `o`, `cmps`, and of every component a platform that there is and a unique id.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import voluptuous as vol
from homeassistant.components.mqtt import binary_sensor, button, sensor
from homeassistant.components.mqtt.abbreviations import ABBREVIATIONS, DEVICE_ABBREVIATIONS, ORIGIN_ABBREVIATIONS
from homeassistant.const import Platform

SCHEMAS = {"binary_sensor": binary_sensor.DISCOVERY_SCHEMA, "button": button.DISCOVERY_SCHEMA, "sensor": sensor.DISCOVERY_SCHEMA}


def spelt_out(told: Mapping[str, Any], abbreviations: Mapping[str, str]) -> dict[str, Any]:
    """`told` with the long names of its options."""
    return {abbreviations.get(key, key): value for key, value in told.items()}


def faults(told: Mapping[str, Any]) -> Iterator[str]:
    """A line for each thing that a schema refuses or does not know."""
    for missing in {"dev", "o", "cmps"} - told.keys():
        yield f"{missing}: expected"
    shared = {key: value for key, value in told.items() if key not in ("dev", "o", "cmps")}
    shared["device"] = spelt_out(told["dev"], DEVICE_ABBREVIATIONS)
    shared["origin"] = spelt_out(told["o"], ORIGIN_ABBREVIATIONS)
    for name, component in told["cmps"].items():
        platform = component.get("p")
        if platform not in SCHEMAS or platform not in list(Platform):
            yield f"{name}: platform {platform!r}: expected one of {sorted(SCHEMAS)}"
            continue
        if "unique_id" not in component:
            yield f"{name}: expected a unique id"
        given = {**shared, **spelt_out({key: value for key, value in component.items() if key != "p"}, ABBREVIATIONS)}
        options = given.pop("options", None)  # of an enum; sensors by MQTT have them since 2024.12
        if options is not None and given.get("device_class") != "enum":
            yield f"{name}: options are for an enum alone"
        try:
            taken = SCHEMAS[platform](given)
        except vol.Invalid as wrong:
            yield f"{name}: {wrong}"
            continue
        for dropped in given.keys() - taken.keys():
            yield f"{name}: {dropped}: there is no such option"


print(json.dumps([fault for line in sys.stdin for fault in faults(json.loads(line))]))
