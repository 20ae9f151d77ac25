"""Runs in Home Assistant's own environment, which has none of ours: says what its discovery finds wrong with each device's message.

A message goes the way it goes there: as a whole through its parser of device messages, then each component, with what all of them share,
through the schema of its platform. That schema drops an option which it does not know without a word: here that is a fault, and so is
whatever is told as a warning.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import voluptuous as vol
from homeassistant.components.mqtt import discovery
from homeassistant.core import HomeAssistant


class Warnings(logging.Handler):
    """What Home Assistant warns of, a line each: the schema's own reason where it has one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        reasons = [each for each in record.args or () if isinstance(each, vol.Invalid)]
        self.lines.append(str(reasons[0]) if reasons else record.getMessage())

    def taken(self) -> list[str]:
        """What has come since the last asking."""
        lines, self.lines = self.lines, []
        return lines


def dropped(given: Any, taken: Any, path: str) -> Iterator[str]:
    """Where in `given` there are options that a schema has not taken."""
    if isinstance(given, dict) and isinstance(taken, dict):
        for key, value in given.items():
            yield from dropped(value, taken[key], f"{path}: {key}") if key in taken else [f"{path}: {key}: there is no such option"]
    elif isinstance(given, list) and isinstance(taken, list):
        for one, other in zip(given, taken, strict=True):
            yield from dropped(one, other, path)


def faults(hass: HomeAssistant, message: str, warnings: Warnings) -> Iterator[str]:
    """A line for each thing that is refused, dropped or warned of."""
    device = discovery._parse_device_payload(hass, message, "unit", None)
    yield from warnings.taken()
    for name, component in device.get("components", {}).items():
        platform = component.pop("platform")
        told = discovery.MQTTDiscoveryPayload({**component, "device": device["device"], "origin": device["origin"]})
        discovery._merge_common_device_options(told, device)
        try:
            taken = import_module(f"homeassistant.components.mqtt.{platform}").DISCOVERY_SCHEMA(told)
        except vol.Invalid as wrong:
            yield f"{name}: {wrong}"
        else:
            yield from dropped(told, taken, name)
        yield from (f"{name}: {line}" for line in warnings.taken())


async def main() -> None:
    """Answers a message a line with a list of lists. Templates are parsed for a Home Assistant that is there; this one does nothing."""
    hass = HomeAssistant("")
    heard = Warnings()
    logging.getLogger("homeassistant").addHandler(heard)
    print(json.dumps([list(faults(hass, line.rstrip("\n"), heard)) for line in sys.stdin]))
    await hass.async_stop(force=True)


asyncio.run(main())
