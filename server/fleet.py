"""The units that the server knows: added by name. What another unit sends is refused. How they are: `server.fleet_watch`."""

from __future__ import annotations

from collections.abc import Callable

from healthcode.topics import check_id
from server.store import Store, events, to_ms
from server.store.events import UnitRow


class Fleet:
    """The known units. `now` gives seconds since 1970."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now

    def add(self, unit: str, note: str = "", site: str = "") -> bool:
        """Makes a unit known; False where it already is. Units of one `site` are a few steps apart.

        ValueError for a name that cannot stand in a topic.
        """
        check_id(unit)
        with self._store.write() as tx:
            return events.add_unit(tx, unit, note, to_ms(self._now()), site)

    def list_units(self) -> list[UnitRow]:
        """Every known unit by name."""
        with self._store.read() as tx:
            return events.list_units(tx)

    def is_in_service(self, unit: str) -> bool:
        """Whether the unit is known and not retired."""
        with self._store.read() as tx:
            return bool(events.known_units(tx, [unit]))
