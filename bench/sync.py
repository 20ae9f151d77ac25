"""Many units in step with one server over a bad network: the real Dialogue, Cache and Outbox of each, the real Publisher and Answers.

Three parts, in virtual time: a storm (messages lost, units off line at random, half of them with an empty disk) until all agree; a quiet
time; and twice a quiet time in which every unit fetches the snapshot of another list, first in turns (`server.turns`), then all at once,
as it was without them. Meanwhile the first list changes twice a second.

What is modelled, and what is not:

- The server's and the units' processors do one thing after another and take the processor time that the real code took here, a unit's
  `slowness` times as long. No Pi was measured; lists are as long as a province's snapshot on the wire and smaller in memory (3.4 million
  entries), so that taking one over is some 20 ms cheaper here than the real one would be.
- The broker is beside the server and does one thing after another, as long for each as mosquitto did in measurements.
- The server's line is one queue for all units, first come, first served; behind it each unit has its own. Latency is drawn.
- A lost message is lost in silence, as by a full queue of the broker; one of those that a broker sends on subscribing takes the
  connection with it. Messages of one connection arrive in the order in which its line carried them.
- Disks are not waited for. There are no events, and nobody passes a gate.
- No snapshot is compacted meanwhile: a unit that was away catches up by deltas, one with an empty disk by a snapshot and deltas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.sync_links import Link
from bench.sync_server import URIS
from bench.sync_town import Plan, Town, Version
from healthgate.simulation.town import quiet as quiet_log
from server.config import Lists

SETTLE_S = 300.0
"""How long it may take until all agree."""
AT_ONCE_MBIT = 1e6

Tell = Callable[[str, int, int], None]
"""Told what is being done, how much of it, and of how much."""


def measure(plan: Plan, folder: Path, tell: Tell) -> dict[str, Any]:
    """The figures; `folder` is for the disks of server and units. Milliseconds of virtual time, bytes, shares."""
    with quiet_log(), closing(Town(plan, folder)) as town:  # what is lost and asked for again is counted, not logged
        storm = _storm(town, tell)
        quiet = _quiet(town, tell)
        turns = _fetching(town, URIS[1], Lists().fetch_mbit, "fetched in turns", tell)
        at_once = _fetching(town, URIS[2], AT_ONCE_MBIT, "fetched at once", tell)
    for found in (turns, at_once):
        found["ratio_to_quiet"] = _over(found["to_all_ms"]["p99"], quiet["to_all_ms"]["p99"])
        found["on_the_way_ratio_to_quiet"] = _over(found["on_the_way_ms"]["p99"], quiet["on_the_way_ms"]["p99"])
    return {
        "links": plan.units,
        "converged": storm["agree"],
        "bytes_per_unit_over_needed": storm["bytes_over_needed"],
        "change_to_all_p99_ms": storm["to_all_ms"]["p99"],
        "quiet_change_to_all_p99_ms": quiet["to_all_ms"]["p99"],
        "snapshot_for_all_ratio": turns["ratio_to_quiet"],
        "snapshot_bytes": len(town.server.snapshots[URIS[0]]),
        "server_mbit": plan.server_mbit,
        "fetch_mbit": Lists().fetch_mbit,
        "unit_mbit": plan.unit_mbit,
        "unit_slowness": plan.slowness,
        "lost": plan.lost,
        "storm": storm,
        "quiet": quiet,
        "snapshot_in_turns": turns,
        "snapshot_at_once": at_once,
    }


def _storm(town: Town, tell: Tell) -> dict[str, Any]:
    storm_s = town.plan.storm_s
    town.lost, town.is_stormy = town.plan.lost, True
    town.change_until(storm_s)
    _pass(town, storm_s, "storm", tell)
    town.is_stormy = False
    for link in town.links:
        town.turn_on(link)
    settled_at = _settle(town, URIS[0], "all agree", tell)
    town.lost = 0.0
    return {
        "agree": town.agreed(URIS[0]),
        "settled_s": round(settled_at - storm_s, 1),
        "bytes_over_needed": _bytes_ratio(town.links),
        "bytes_over_needed_of_empty_disks": _bytes_ratio([link for link in town.links if link.is_fresh]),
        "bytes_over_needed_of_lists_held": _bytes_ratio([link for link in town.links if not link.is_fresh]),
        "held_back_by_budget": sum(link.dialogue.counts["sync_SPENT"] for link in town.links),
        **_delays(town.versions),
    }


def _quiet(town: Town, tell: Tell) -> dict[str, Any]:
    town.run(5.0)
    known = len(town.versions)
    town.change_until(town.now + town.plan.quiet_s)
    _pass(town, town.plan.quiet_s, "quiet", tell)
    _settle(town, URIS[0], "quiet", tell)
    return _delays(town.versions[known:])


def _fetching(town: Town, uri: str, mbit: float, what: str, tell: Tell) -> dict[str, Any]:
    """While all units fetch the snapshot of another list."""
    known, begun = len(town.versions), town.now
    town.server.fetch_at(mbit)
    town.change_until(begun + SETTLE_S)
    town.server.publish_list(uri)
    fetched_at = _settle(town, uri, what, tell)
    town.change_until(town.now)
    agree = town.agreed(uri)
    _settle(town, URIS[0], what, tell)
    ways = [way for way in town.versions[known:] if way.changed_at < fetched_at]
    return {"fetched_by": agree, "took_s": round(fetched_at - begun, 1), **_delays(ways)}


def _pass(town: Town, seconds: float, what: str, tell: Tell) -> None:
    whole = math.ceil(seconds)
    for second in range(whole):
        tell(what, second, whole)
        town.run(seconds / whole)


def _settle(town: Town, uri: str, what: str, tell: Tell) -> float:
    """Goes on until every unit holds what the server holds; the time then, or when patience ended."""
    until = town.now + SETTLE_S
    town.run(1.0)
    while (agreed := town.agreed(uri)) < len(town.links) and town.now < until:
        tell(what, agreed, len(town.links))
        town.run(0.2)
    return town.now


def _delays(ways: Sequence[Version]) -> dict[str, Any]:
    """From a commit until the last unit on line had it; from the publication on; and until each one had it.

    A version that a unit never had, because the connection ended before, is not counted for that unit.
    """
    done = [way for way in ways if way.reached and not way.waiting]
    each = [at - way.changed_at for way in ways for at in way.reached]
    return {
        "changes": len(ways),
        "still_on_their_way": sum(bool(way.waiting) for way in ways),
        "to_all_ms": _percentiles([max(way.reached) - way.changed_at for way in done]),
        "on_the_way_ms": _percentiles([max(way.reached) - way.published_at for way in done]),
        "to_each_ms": _percentiles(each),
        "within_a_second": _over(sum(delay <= 1.0 for delay in each), len(each), 4),
    }


def _percentiles(seconds: Sequence[float]) -> dict[str, float | None]:
    """Milliseconds by nearest rank; None of nothing."""
    order = sorted(seconds)
    ranks = {"p50": 0.5, "p99": 0.99}
    return {name: round(order[math.ceil(rank * len(order)) - 1] * 1000, 1) if order else None for name, rank in ranks.items()}


def _bytes_ratio(links: Sequence[Link]) -> float | None:
    return _over(sum(link.served for link in links), sum(link.needed for link in links), 3)


def _over(one: float | None, other: float | None, digits: int = 2) -> float | None:
    return None if one is None or not other else round(one / other, digits)
