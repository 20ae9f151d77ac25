"""The unit's side of configuration from afar, while it runs: takes what is new, watches a trial, starts again, says how it stands.

A configuration comes into force at the next start of the process: whatever it changes is then read where it always is, and nothing runs on
with half of it. The unit ends in order when nobody is in the lane, and its service starts it again. The deciding thread calls `attend`;
the link's thread hands over what it has verified, and looks for faults first: on a small board that takes longer than a verdict may wait.
"""

from __future__ import annotations

import logging
import queue
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from edge import trial
from edge.afar import settable
from edge.feeds import Device
from edge.overrides import Started
from edge.trial import Given, Held, Lost, Passed, Watch
from healthcode.desired import digest_settings
from healthcode.messages import Desired, Reported
from healthcode.terms import SettingsState

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often it is looked whether what waits may be taken."""
AGAIN_S = 5.0
"""After so long what the disk did not take is tried again."""
WHAT = "configuration"
"""The word of the events that tell of it."""


class Governed(Protocol):
    """The unit, as far as it is governed."""

    @property
    def working(self) -> Mapping[str, bool]:
        """What is known of each device: whether it works."""

    def may_end(self, waited_s: float) -> bool:
        """Whether nobody loses by a new start now, for which it was waited for `waited_s`."""

    def note(self, what: str, detail: str) -> None:
        """Records an event of the unit."""


class Releases(Protocol):
    """What knows of releases: they and configurations are never on trial at once (`edge.apart`)."""

    def apart(self) -> AbstractContextManager[str]:
        """Until its end no release goes on trial; gives the release that is, in words, empty for none."""


class Telling(Protocol):
    """The link, as far as it reports."""

    def reported(self, said: Reported) -> None:
        """Publishes it, now or at the next connection."""


@dataclass(frozen=True)
class _Offer:
    """A configuration that has come, and what is wrong with it."""

    given: Given
    faults: tuple[str, ...]


@dataclass(frozen=True)
class _Awaits:
    """The newest version that waits for a release, and why in one line."""

    version: int
    why: str


class Governor:
    """One process's. `hear` may be called by any thread, all else belongs to the deciding one. Times in monotonic seconds."""

    def __init__(self, started: Started, at: float) -> None:
        self._started = started
        self._heard: queue.SimpleQueue[_Offer] = queue.SimpleQueue()
        self._config = started.config.trial
        self._began_at = at
        self._watch: Watch | None = None
        if started.overrides.held.trial is not None:
            self._watch = Watch(at + self._config.length_s)
        self._waiting: deque[_Offer] = deque()
        self._look_at = float("-inf")
        self._awaits: _Awaits | None = None
        self._again_at = float("-inf")
        self._waits_since: float | None = None
        self._told: tuple[Held, _Awaits | None] | None = None
        self.trouble = trial.trouble(started.overrides.held, started.running, "")
        """Why the newest configuration came to nothing, in one line; empty where it did not."""
        self._settings = settable(started.config)
        self._digest = digest_settings(self._settings)

    def hear(self, desired: Desired) -> None:
        """A configuration has come, verified, that names this unit."""
        given = Given(desired.version, desired.settings)
        is_new = given.version > self._started.overrides.held.newest
        self._heard.put(_Offer(given, tuple(self._started.find_faults(given)) if is_new else ()))

    def attend(self, at: float, unit: Governed, link: Telling, releases: Releases) -> bool:
        """What is due at `at`; whether the process is to end now, to be started again."""
        self._take(at, unit, releases)
        self._look(at, unit)
        held = self._started.overrides.held
        if (held, self._awaits) != self._told:
            self._told = (held, self._awaits)
            self.trouble = trial.trouble(held, self._started.running, self.trouble)
            link.reported(self._report(held))
        return self._is_to_end(held, at, unit)

    def _take(self, at: float, unit: Governed, releases: Releases) -> None:
        """Takes in what came and what waits, in the order in which it came: for a disk that did not take it, or for a release on trial."""
        if not self._knows_what_works(at, unit):
            return
        while not self._heard.empty():
            offer = self._heard.get()
            if not self._waiting or offer.given.version > self._waiting[-1].given.version:  # what is retained comes with every connection
                self._waiting.append(offer)
                self._look_at = at
        if not self._waiting or at < self._look_at:
            return
        self._look_at = at + LOOK_S
        with releases.apart() as release:
            while self._waiting and self._offer(self._waiting[0], at, unit, release):
                self._waiting.popleft()
        before, self._awaits = self._awaits, self._find_awaits(release)
        if self._awaits is not None and self._awaits != before:
            log.info("configuration: %s", self._awaits.why)
            unit.note(WHAT, self._awaits.why[:200])

    def _find_awaits(self, release: str) -> _Awaits | None:
        """What waits for `release`."""
        held = self._started.overrides.held
        why = trial.waits(held, self._waiting[-1].given, release) if self._waiting else ""
        return _Awaits(self._waiting[-1].given.version, why) if why else None

    def _knows_what_works(self, at: float, unit: Governed) -> bool:
        """A process that has just begun does not know yet which devices work: a trial that began now would watch over none."""
        return at >= self._began_at + self._config.lost_s or all(unit.working.get(device, False) for device in Device)

    def _offer(self, offer: _Offer, at: float, unit: Governed, release: str) -> bool:
        """What comes of it; False where it waits, for `release` or for the disk."""
        before, given, faults = self._started.overrides.held, offer.given, offer.faults
        if given.version <= before.newest:
            if given.version < before.newest:
                log.warning("configuration %d is not taken: expected a version above %d", given.version, before.newest)
            return True
        working = [device for device, works in unit.working.items() if works]
        if trial.waits(before, given, release) or not self._keep(trial.offered(before, given, faults, working), at):
            return False
        for fault in faults:
            log.warning("configuration %d is rejected: %s", given.version, fault)
        state = self._started.overrides.held.state(self._started.running)
        unit.note(WHAT, f"version {given.version}: {state.value}{': ' + faults[0] if faults else ''}"[:200])
        return True

    def _look(self, at: float, unit: Governed) -> None:
        """Watches the trial that this process runs."""
        held = self._started.overrides.held
        if held.trial is None or held.trial.given.text != self._started.running.text:
            self._watch = None
        if self._watch is None or held.trial is None:
            return
        version = held.trial.given.version
        match trial.look(self._watch, held.trial.worked, unit.working, at, self._config.lost_s):
            case Watch() as watch:
                self._watch = watch
            case Passed() if self._keep(trial.passed(held), at):
                unit.note(WHAT, f"version {version}: applied")
                log.info("configuration %d has passed its trial", version)
            case Lost(device, for_s):
                why = f"the {device} worked before, and {f'has not for {for_s:.0f} s' if for_s else 'does not now'}"
                fallen = trial.fallen(held, why)
                if not self._keep(fallen, at):
                    self._started.overrides.held = fallen  # and a start that cannot be written down takes it back once more
                unit.note(WHAT, f"version {version}: fell back: {why}")
                log.warning("configuration %d is taken back: %s", version, why)
            case Passed():
                pass

    def _keep(self, held: Held, at: float) -> bool:
        """Writes down what counts from now on; whether the disk took it. It is tried again after AGAIN_S."""
        if at < self._again_at:
            return False
        try:
            self._started.overrides.keep(held)
        except OSError as wrong:
            self._again_at = at + AGAIN_S
            log.error("the configuration from afar cannot be stored: %s", wrong.strerror)
            return False
        return True

    def _is_to_end(self, held: Held, at: float, unit: Governed) -> bool:
        if held.current.text == self._started.running.text:
            self._waits_since = None
            return False
        if self._waits_since is None:
            self._waits_since = at
        if not unit.may_end(at - self._waits_since):
            return False
        log.info(
            "starting again with %s", f"configuration {held.current.version}" if held.current.version else "the unit's own configuration"
        )
        return True

    def _report(self, held: Held) -> Reported:
        running, current, awaits = self._started.running, held.current, self._awaits
        return Reported(
            unit=self._started.config.unit,
            version=held.newest if awaits is None else awaits.version,
            state=held.state(running) if awaits is None else SettingsState.WAITING,
            in_force=current.version if current.text == running.text else running.version,
            digest=self._digest,
            settings=self._settings,
            faults=list(held.faults) if awaits is None else [awaits.why],
        )
