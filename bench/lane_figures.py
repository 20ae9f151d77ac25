"""From what the witnesses saw of people at a gate to figures. Pure: journal entries and the events on the gate's disk come in.

What is measured, for each person who was admitted (docs/benchmarks.md explains it):

- `first_at`: the first frame, by the camera's journal, in which the code could be read: by our own reader, asked afterwards about the same
  picture, or by the unit itself where it read the code earlier than that. Who holds up the code while somebody else is still in the beam
  waits for the lane: then it is the moment in which the beam is whole again.
- `sample_at`: when the thermometer's second register was read for the deciding sample, the last one before the relay rose.
- `relay_at`: when the relay's line rose, by the journal of the pins.

The sensor's settling time is `samples` times the bus's silence: the rule asks for so many samples after the code's first sighting, and
before each the bus is silent for as long as the part takes to settle. It comes from the configuration alone and is the same for everybody.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from edge.config import Config
from edge.mlx90614 import AMBIENT, OBJECT
from healthcode.messages import AnyEvent, PassageEvent, PassEvent
from healthcode.terms import Decision, PassageOutcome
from healthgate.witness import LIGHTS, word_of_levels
from healthgate.world import Entry

EARLIER_S = 0.02
"""By how much the unit's own first sighting must lie before the first readable frame to count as earlier: a commit to disk lies between."""

ONE_AFTER_ANOTHER_S = 0.005
"""How long the light's three lines take at most to change."""
RAM = (OBJECT, AMBIENT)
"""The two registers that make a sample."""
ROUNDED_S = 1e-4
"""An event tells its time to a tenth of a millisecond."""

Spread = dict[str, float | None]


@dataclass(frozen=True)
class Turn:
    """One person at the gate. `readable` is the id of the first picture that can be read; times are monotonic seconds."""

    index: int
    readable: str | None
    relay_at: float | None


@dataclass(frozen=True)
class Times:
    """What one admission took, in seconds; None where the witnesses do not say."""

    whole: float
    sensor: float
    beyond_sample: float
    to_frame: float | None
    to_light: float | None
    sample_to_decided: float | None
    decided_to_relay: float | None


@dataclass
class Series:
    """People under one condition. `cpu_s` is what the unit's processes took in `lasted_s` seconds."""

    turns: list[Turn] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    events: list[AnyEvent] = field(default_factory=list)
    blocks: list[list[float]] = field(default_factory=list)
    """For each block of people without a pause between them, when the relay rose for each who was let in."""
    cpu_s: float = 0.0
    lasted_s: float = 0.0


def settling_s(config: Config) -> float:
    """The sensor's settling time for one screening."""
    return config.screening.samples * config.sensor.quiet_s


def summary(series: Series, config: Config) -> dict[str, Any]:
    """The figures of `series`, ready for JSON: counts, people an hour, and times in milliseconds."""
    admitted: dict[int, int] = {}
    reasons: dict[str, int] = {}
    grants: dict[int, int] = {}
    for event in series.events:
        match event:
            case PassEvent(decision=Decision.ADMIT, index=int(index)):
                admitted[index] = admitted.get(index, 0) + 1
                grants[event.seq] = index
            case PassEvent():
                reasons[event.reason.value] = reasons.get(event.reason.value, 0) + 1
            case _:
                pass
    passages = [event for event in series.events if isinstance(event, PassageEvent)]
    used = [event.index for event in passages if event.outcome is PassageOutcome.USED]
    rises = sum(1 for entry in series.entries if entry.get("pin") == "relay" and entry["value"])
    times = timings(series, config.camera.steady_after)
    beyond = [one.whole - settling_s(config) for one in times]
    intervals = sum(len(block) - 1 for block in series.blocks if block)
    took = sum(block[-1] - block[0] for block in series.blocks if block)
    return {
        "read_to_relay_ms": spread(beyond),
        "presentations": len(series.turns),
        "people_per_hour": round(3600 * intervals / took, 1) if took else None,
        "admitted": len(admitted),
        "used": len(set(used)),
        "not_used": sum(event.outcome is PassageOutcome.NOT_USED for event in passages),
        "lost": sum(turn.index not in admitted for turn in series.turns),
        "twice": sum(count > 1 for count in admitted.values()) + (len(used) - len(set(used))) + max(0, rises - len(grants)),
        "other_passages": sum(event.outcome not in (PassageOutcome.USED, PassageOutcome.NOT_USED) for event in passages),
        "other_verdicts": reasons,
        "with_settling_ms": spread([one.whole for one in times]),
        "sensor_wait_ms": spread([one.sensor for one in times]),
        "beyond_sample_ms": spread([one.beyond_sample for one in times]),
        "phases_ms": {
            "pose_to_frame": spread([one.to_frame for one in times]),
            "frame_to_light": spread([one.to_light for one in times]),
            "sample_to_decided": spread([one.sample_to_decided for one in times]),
            "decided_to_relay": spread([one.decided_to_relay for one in times]),
        },
        "unit_cpu_percent": round(100 * series.cpu_s / series.lasted_s, 1) if series.lasted_s else 0.0,
    }


def timings(series: Series, steady_after: int) -> list[Times]:
    """What each admission took, in the order of the people. After `steady_after` glimpses the light was blue before the code was read."""
    events = {event.index: event for event in series.events if isinstance(event, PassEvent) and event.decision is Decision.ADMIT}
    frames = {entry["shown"][0]: float(entry["at"]) for entry in series.entries if entry.get("shown")}
    samples = [float(entry["at"]) for entry in series.entries if entry.get("register") in RAM and entry["error"] is None]
    lights = _turns_blue(series.entries)
    posed = {entry["scene"]["shown"][0]["id"]: float(entry["seen_at"]) for entry in series.entries if entry.get("scene", {}).get("shown")}
    free = [float(entry["seen_at"]) for entry in series.entries if "scene" in entry and entry["scene"].get("beam") is False]
    journal = _Journal(posed, frames, samples, lights, free)
    found = []
    for turn in series.turns:
        event = events.get(turn.index)
        if event is not None and turn.relay_at is not None:
            seen = journal if event.glimpses < steady_after else replace(journal, lights=())
            found.append(_times(turn, turn.relay_at, event, seen))
    return found


def _turns_blue(entries: Sequence[Entry]) -> list[float]:
    """When the light turned blue and nothing else, for longer than its three lines take to change one after another."""
    lines = [entry for entry in entries if entry.get("pin") in LIGHTS]
    level = dict.fromkeys(LIGHTS, 0.0)
    found = []
    for entry, after in zip_longest(lines, lines[1:]):
        level[entry["pin"]] = float(entry["value"])
        stands = after is None or after["at"] - entry["at"] > ONE_AFTER_ANOTHER_S
        if stands and word_of_levels(level) == "blue":
            found.append(float(entry["at"]))
    return found


@dataclass(frozen=True)
class _Journal:
    """When each happened, monotonic seconds: poses and frames by the id of the picture, samples, blue lights, beams whole again."""

    posed: Mapping[str, float]
    frames: Mapping[str, float]
    samples: Sequence[float]
    lights: Sequence[float]
    free: Sequence[float]


def _times(turn: Turn, relay_at: float, event: PassEvent, journal: _Journal) -> Times:
    """The times of one person."""
    took = (event.ms or 0.0) / 1000
    drawn_at = math.inf if turn.readable is None else journal.frames.get(turn.readable, math.inf)
    first_at = drawn_at
    own = relay_at - took
    if own < first_at - EARLIER_S:
        first_at = own
    first_at = max(first_at, max((at for at in journal.free if at < relay_at), default=first_at))
    sample_at = max((at for at in journal.samples if at < relay_at), default=first_at)
    posed_at = journal.posed.get(turn.readable or "")
    light_at = next((at for at in journal.lights if first_at <= at < relay_at), None)
    decided_at = drawn_at + took if sample_at - ROUNDED_S <= drawn_at + took <= relay_at + ROUNDED_S else None
    return Times(
        relay_at - first_at,
        max(0.0, sample_at - first_at),
        relay_at - max(first_at, sample_at),
        None if posed_at is None or drawn_at == math.inf else drawn_at - posed_at,
        None if light_at is None else light_at - first_at,
        None if decided_at is None else decided_at - sample_at,
        None if decided_at is None else relay_at - decided_at,
    )


def spread(values: Sequence[float | None]) -> Spread:
    """Median, 99th percentile (nearest rank) and count of `values` in seconds, as milliseconds; None among them do not count."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return {"p50": None, "p99": None, "n": 0}
    return {"p50": _rank(known, 0.5), "p99": _rank(known, 0.99), "n": len(known)}


def _rank(known: Sequence[float], share: float) -> float:
    return round(1000 * known[max(0, math.ceil(share * len(known)) - 1)], 1)


def ratio(of: Spread, to: Spread) -> Spread:
    """Each percentile of `of` over that of `to`; None where there is none."""
    return {name: _over(of[name], to[name]) for name in ("p50", "p99")}


def _over(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None or other == 0 else round(one / other, 3)
