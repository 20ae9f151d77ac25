"""Configuration from afar on the server's side: what each unit is to have, what it says that it has, and the signed word that goes out.

A unit's versions only go up, here and there: the next is above the last one that was set and above the last one that the unit reports, so
that a database restored from a backup does not begin to say what no unit listens to. Whether values are any good is for others to ask
first (the command line, which knows the units' rules) and for the unit to decide.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from healthcode import topics
from healthcode.cose import Signer
from healthcode.desired import read_settings
from healthcode.messages import Desired, Reported
from healthcode.signed import write
from healthcode.terms import SettingsState
from server.lists import Publication
from server.store import Store, desired, events, to_ms
from server.store.desired import DesiredRow

log = logging.getLogger(__name__)

ANEW_EVERY_S = 86_400.0
"""How often everything is signed anew: what is retained must not outlive the key that signed it."""
_REPORTED: msgspec.json.Decoder[Reported] = msgspec.json.Decoder(Reported)


class Standing(StrEnum):
    """How what is in force at a unit stands to what it is to have, the worst first."""

    REJECTED = "rejected"
    FELL_BACK = "fell_back"
    AHEAD = "ahead"
    UNHEARD = "unheard"
    WAITING = "waiting"
    TRIAL = "trial"
    APPLIED = "applied"
    OWN = "own"


@dataclass(frozen=True)
class Wanted:
    """A unit: the version that it is to have (None: its own file alone), what it said last (None: nothing yet), and when."""

    unit: str
    desired: DesiredRow | None
    reported: Reported | None
    heard_ms: int | None

    @property
    def version(self) -> int:
        """The newest version that was set, 0 for none."""
        return 0 if self.desired is None else self.desired.version

    @property
    def next_version(self) -> int:
        """Above all that the unit was ever given."""
        return max(self.version, 0 if self.reported is None else self.reported.version) + 1

    @property
    def standing(self) -> Standing:
        """How the unit stands to what it is to have."""
        said = 0 if self.reported is None else self.reported.version
        if said > self.version:
            return Standing.AHEAD
        if not self.version:
            return Standing.OWN
        if self.reported is None or said < self.version:
            return Standing.UNHEARD
        return Standing(self.reported.state.value)

    @property
    def differences(self) -> dict[str, tuple[object, object]]:
        """The keys of which another value is in force than the one that is wanted: wanted, and in force."""
        if self.desired is None or self.reported is None:
            return {}
        wanted, held = read_settings(self.desired.settings), self.reported.settings
        return {key: (value, held.get(key)) for key, value in wanted.items() if held.get(key) != value}


class ChangedMeanwhile(ValueError):
    """Somebody else has set a unit's configuration since it was looked at; nothing was set. One line."""


@dataclass(frozen=True)
class Wish:
    """What `unit` is to have from now on: all its settings, as TOML. `after` is the version that it was to have when that was decided."""

    unit: str
    settings: str
    after: int


class Desires:
    """What units are to have and have. `now` gives seconds since 1970."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now

    def see(self) -> dict[str, Wanted]:
        """Every unit in service by its name."""
        with self._store.read() as tx:
            units, wanted, said = events.units_in_service(tx), desired.newest(tx), desired.list_reported(tx)
        return {
            unit: Wanted(
                unit,
                wanted.get(unit),
                _REPORTED.decode(said[unit].body) if unit in said else None,
                said[unit].heard_ms if unit in said else None,
            )
            for unit in units
        }

    def find(self, unit: str) -> Wanted:
        """One unit."""
        with self._store.read() as tx:
            wanted, said = desired.history(tx, unit, 1), desired.find_reported(tx, unit)
        return Wanted(
            unit,
            wanted[0] if wanted else None,
            None if said is None else _REPORTED.decode(said.body),
            None if said is None else said.heard_ms,
        )

    def base(self, wanted: Wanted) -> tuple[int, Mapping[str, object]]:
        """The version upon which a change builds, and its settings: the newest, or the one in force where the newest came to nothing."""
        row = wanted.desired
        came_to_nothing = wanted.standing in (Standing.REJECTED, Standing.FELL_BACK)
        if came_to_nothing and wanted.reported is not None:
            with self._store.read() as tx:
                row = desired.find(tx, wanted.unit, wanted.reported.in_force)
        return (0, {}) if row is None else (row.version, read_settings(row.settings))

    def set(self, wishes: Sequence[Wish], by: str, reason: str) -> dict[str, int]:
        """Writes down what units are to have; the version of each. ChangedMeanwhile where somebody was quicker; nothing is then set."""
        set_ms, versions = to_ms(self._now()), {}
        with self._store.write() as tx:
            newest, said = desired.newest(tx), desired.list_reported(tx)
            for wish in wishes:
                before = newest.get(wish.unit)
                now = Wanted(wish.unit, before, _REPORTED.decode(said[wish.unit].body) if wish.unit in said else None, None)
                if now.version != wish.after:
                    who = "" if before is None else f" by {before.set_by}: {before.reason}"
                    raise ChangedMeanwhile(f"{wish.unit} is to have version {now.version} meanwhile{who}: nothing was set, look again")
                versions[wish.unit] = now.next_version
                desired.insert_desired(tx, DesiredRow(0, wish.unit, now.next_version, wish.settings, set_ms, by, reason))
        return versions

    def history(self, unit: str, limit: int = 20) -> list[DesiredRow]:
        """The last versions that a unit was to have, the newest first."""
        with self._store.read() as tx:
            return desired.history(tx, unit, limit)


class DesiredTopics:
    """The newest version of each unit on its way to the unit's retained topic, signed anew each time by the key that signs now."""

    def __init__(self, store: Store, key: Callable[[], Signer | None], now: Callable[[], float]) -> None:
        """`key` gives the key for configurations, None where the keys folder has none: nothing is published then, and the log says so."""
        self._store = store
        self._key = key
        self._now = now
        self._seen = 0
        self._anew_at = float("-inf")
        self._complained = False

    def due(self, at: float) -> list[Publication]:
        """What was set since the last look, and once a day all of it, at the monotonic time `at`."""
        if at >= self._anew_at:
            self._anew_at = at + ANEW_EVERY_S
            self._seen = 0
        with self._store.read() as tx:
            rows = desired.newest_after(tx, self._seen)
        if not rows:
            return []
        key = self._key()
        if key is None:
            if not self._complained:
                log.warning("configurations are not published: there is no key for them: `healthgate keys rotate FOLDER config`")
            self._complained = True
            return []
        self._complained = False
        self._seen = rows[-1].wish
        at_ms = to_ms(self._now())
        return [
            Publication(
                topics.down(row.unit, "desired"),
                write(Desired(unit=row.unit, version=row.version, at_ms=at_ms, settings=row.settings), key),
                retain=True,
            )
            for row in rows
        ]

    def again(self) -> None:
        """All of them at the next asking: the broker may have forgotten them, or another key signs now."""
        self._seen = 0


def is_over(reported: Reported | None, version: int) -> bool | None:
    """Whether a unit has come through its trial of `version`, or it came to nothing; None while that is open."""
    if reported is None or reported.version < version:
        return None
    if reported.version > version or reported.state in (SettingsState.REJECTED, SettingsState.FELL_BACK):
        return False
    return True if reported.state is SettingsState.APPLIED else None
