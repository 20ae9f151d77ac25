"""Runs in Home Assistant's own environment: a Home Assistant that has its MQTT integration and nothing else, on the broker of argv[1].

It writes a line of JSON for each state that changes ({"id", "state"}; a state of null is gone) and for each warning or error ({"fault"}).
Each line that it reads is the id of a button to press; at the end of its input it stops.
"""

import asyncio
import json
import logging
import sys
import tempfile
from pathlib import Path
from types import MappingProxyType

from homeassistant import bootstrap, loader
from homeassistant.config_entries import SOURCE_USER, ConfigEntries, ConfigEntry
from homeassistant.const import EVENT_STATE_CHANGED
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers import entity_registry


def tell(**said: str | None) -> None:
    print(json.dumps(said), flush=True)


class Faults(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "homeassistant.helpers.frame":  # how its own parts call one another
            tell(fault=record.getMessage())


async def main(port: int, folder: str) -> None:
    """One life of it."""
    (Path(folder) / "configuration.yaml").touch()
    hass = HomeAssistant(folder)
    loader.async_setup(hass)
    hass.config.skip_pip = True  # all of it is here
    hass.config_entries = ConfigEntries(hass, {})
    await bootstrap.async_load_base_functionality(hass)
    hass.config.components |= {"http", "file_upload"}  # MQTT wants them for its forms alone: no port is opened
    logging.getLogger("homeassistant").addHandler(Faults(logging.WARNING))
    known = entity_registry.async_get(hass)
    ids: dict[str, str] = {}

    def on_change(event: Event) -> None:
        entity, state = event.data["entity_id"], event.data["new_state"]
        if found := known.async_get(entity):
            ids[entity] = found.unique_id
        tell(id=ids[entity], state=state.state if state else None)

    hass.bus.async_listen(EVENT_STATE_CHANGED, callback(on_change))  # in the loop itself: one after another
    broker = ConfigEntry(
        data={"broker": "127.0.0.1", "port": port},
        discovery_keys=MappingProxyType({}),
        domain="mqtt",
        minor_version=2,
        options={},
        source=SOURCE_USER,
        subentries_data=None,
        title="broker",
        unique_id=None,
        version=1,
    )
    await hass.config_entries.async_add(broker)
    await hass.async_start()
    while line := await asyncio.to_thread(sys.stdin.readline):
        button = known.async_get_entity_id("button", "mqtt", line.strip())
        await hass.services.async_call("button", "press", {"entity_id": button}, blocking=True)
    await hass.async_stop()


with tempfile.TemporaryDirectory() as configuration:
    asyncio.run(main(int(sys.argv[1]), configuration))
