"""What becomes of the configurations that a unit is given from afar, as values and steps between them. Pure: `at` is monotonic seconds.

    offered      a version above all before it: rejected with every fault, or on trial from the next start on
    begun        a process starts: a trial counts its starts, before anything else is done
    look         while it runs: passed when its time is over, lost when a device that worked before works no more
    passed       it is the last good one now
    fallen       the last good one counts again

The number of a version is used up by being offered, whatever becomes of it: what was rejected or taken back never comes again by itself.
A trial wants its whole time in one piece. A start too many ends it, and a power cut is a start: three of them in one trial look like a
configuration with which a unit does not stay up, and are treated so. A network that is gone is none of the reasons: whoever
can cut it must not be able to take a configuration back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
from msgspec import Meta

from healthcode.terms import SettingsState

MOST_STARTS = 3
"""How often a unit may be started in one trial, the start that begins it among them."""
MOST_FAULTS, LONGEST_FAULT = 50, 600
"""What is kept and reported of a long list of faults, and of a long fault (healthcode.messages.Reported)."""


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of what stands in the file."""


class Given(_Kept, frozen=True):
    """A configuration from afar: its version (0: none) and its TOML."""

    version: Annotated[int, Meta(ge=0)] = 0
    text: str = ""


class Trial(_Kept, frozen=True):
    """A configuration on trial. `worked` are the devices that worked before it, `last_words` say why a start failed."""

    given: Given
    worked: tuple[str, ...] = ()
    starts: Annotated[int, Meta(ge=0)] = 0
    last_words: str = ""


class Held(_Kept, frozen=True):
    """All that a unit remembers of configurations from afar. `newest` is the highest version that it was offered.

    `refused` says what became of that one where it is not, and will not be, in force; `faults` says why.
    """

    newest: Annotated[int, Meta(ge=0)] = 0
    good: Given = Given()
    trial: Trial | None = None
    refused: SettingsState | None = None
    faults: tuple[str, ...] = ()

    @property
    def current(self) -> Given:
        """The one that a process that starts now starts with."""
        return self.good if self.trial is None else self.trial.given

    def state(self, running: Given) -> SettingsState:
        """What became of the newest one, in a unit that runs with `running`."""
        if self.refused is not None:
            return self.refused
        if self.current.text != running.text:
            return SettingsState.WAITING
        return SettingsState.APPLIED if self.trial is None else SettingsState.TRIAL


def trouble(held: Held, running: Given, before: str) -> str:
    """Why the newest configuration came to nothing, in one line, in a unit that runs with `running`; empty where it did not.

    What was said `before` stands while a later one waits: it is over when that one is in force, on trial or not.
    """
    match held.state(running):
        case SettingsState.REJECTED:
            return ": ".join([f"version {held.newest} was rejected", *held.faults[:1]])
        case SettingsState.FELL_BACK:
            return "".join(held.faults[:1]) or f"version {held.newest} was taken back"
        case SettingsState.WAITING:
            return before
        case _:
            return ""


def waits(held: Held, given: Given, release: str) -> str:
    """Why `given` is not taken yet, in one line; empty where it may be, or is none above the newest. `release` says which one is on trial.

    Even one with faults waits: it would use up the versions of those before it.
    """
    return f"version {given.version} waits: {release}" if release and given.version > held.newest else ""


def offered(held: Held, given: Given, faults: Sequence[str], working: Sequence[str]) -> Held:
    """`given` has come while `working` devices work, and has `faults`; `held` itself where its version is none above the newest.

    What asks for nothing else than what is in force needs no trial, and neither does what was good before.
    """
    if given.version <= held.newest:
        return held
    if faults:
        return msgspec.structs.replace(held, newest=given.version, refused=SettingsState.REJECTED, faults=_bounded(faults))
    held = msgspec.structs.replace(held, newest=given.version, refused=None, faults=())
    if given.text == held.good.text:
        return msgspec.structs.replace(held, good=given, trial=None)
    if held.trial is not None and given.text == held.trial.given.text:
        return msgspec.structs.replace(held, trial=msgspec.structs.replace(held.trial, given=given))
    before = () if held.trial is None else held.trial.worked  # what is on trial may be why one of them does not work now
    return msgspec.structs.replace(held, trial=Trial(given, tuple(sorted({*before, *working}))))


def begun(held: Held) -> Held:
    """A process starts. One start too many ends a trial."""
    if held.trial is None:
        return held
    if held.trial.starts >= MOST_STARTS:
        why = held.trial.last_words or "it ended each time without a word"
        return fallen(held, f"the unit was started {MOST_STARTS} times and never came to the end of the trial: {why}")
    return msgspec.structs.replace(held, trial=msgspec.structs.replace(held.trial, starts=held.trial.starts + 1))


def failed(held: Held, last_words: str) -> Held:
    """The process ends without having come up; `last_words` is why, one line."""
    if held.trial is None:
        return held
    return msgspec.structs.replace(held, trial=msgspec.structs.replace(held.trial, last_words=last_words[:LONGEST_FAULT]))


def passed(held: Held) -> Held:
    """The trial is over, and well."""
    return held if held.trial is None else msgspec.structs.replace(held, good=held.trial.given, trial=None)


def fallen(held: Held, *why: str) -> Held:
    """The configuration on trial is taken back, and the last good one counts; without a trial, no configuration from afar does.

    `why` is added to what is wrong with a newer one that was rejected meanwhile.
    """
    gone = held.current
    told = [f"version {gone.version} was taken back: {line}" for line in why]
    is_newest = gone.version == held.newest
    return msgspec.structs.replace(
        held,
        good=Given() if held.trial is None else held.good,
        trial=None,
        refused=SettingsState.FELL_BACK if is_newest else held.refused,
        faults=_bounded(told if is_newest else [*held.faults, *told]),
    )


@dataclass(frozen=True)
class Watch:
    """A trial in a process that runs. `lost` says since when each device that worked before does not."""

    ends_at: float
    lost: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Passed:
    """The time is over, and all that worked before works."""


@dataclass(frozen=True)
class Lost:
    """A device that worked before works no more."""

    device: str
    for_s: float


def look(watch: Watch, worked: Sequence[str], works: Mapping[str, bool], at: float, lost_s: float) -> Watch | Passed | Lost:
    """A look at the devices: one that says that it does not work may do so for less than `lost_s`, and one that has not said anything yet
    is starting; but when the time is over all must work.
    """
    lost = {device: watch.lost.get(device, at) for device in worked if works.get(device) is False}
    gone = [device for device, since in lost.items() if at - since >= lost_s]
    is_over = at >= watch.ends_at
    missing = gone or [device for device in worked if is_over and not works.get(device)]
    if missing:
        return Lost(missing[0], at - lost.get(missing[0], at))
    return Passed() if is_over else Watch(watch.ends_at, lost)


def _bounded(faults: Sequence[str]) -> tuple[str, ...]:
    lines = [line[:LONGEST_FAULT] for line in faults]
    if len(lines) > MOST_FAULTS:
        lines = [*lines[: MOST_FAULTS - 1], f"and {len(lines) - MOST_FAULTS + 1} more"]
    return tuple(lines)
