"""What somebody should look at, by a stable name: raised while it lasts, cleared by itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge.config import Statements
from healthcode.messages import TrustList

NAMES = (
    "camera",
    "camera_missing",
    "camera_busy",
    "camera_black",
    "camera_frozen",
    "obstructed",
    "sensor",
    "calibration",
    "clock",
    "trust",
    "lists_missing",
    "lists_left_out",
    "lists_stale",
    "outbox",
    "tamper",
    "lane_mode",
)
"""Every alert that a unit can raise; those not raised are cleared at each connection, so that none outlives its cause."""
TRUST_WARNING_S = 30 * 86_400
"""How long before its end a trust list is warned of."""


@dataclass(frozen=True)
class Condition:
    """What alerts are found in. `troubles` is what devices report, by the name of its alert; `as_of` is when each list held was last
    stated (wall seconds). `left_out` are lists that are recognised and not wanted, because they would be too many.
    """

    troubles: Mapping[str, str]
    doubt: str
    floor_error: str
    trust: TrustList | None
    wanted: frozenset[str]
    left_out: Sequence[str]
    as_of: Mapping[str, int]
    unsaved: int
    disk_error: str
    tamper: bool


def find_alerts(found: Condition, statements: Statements, at: float) -> dict[str, str]:
    """The alerts that stand at `at` (seconds since 1970), each with one line that says what is wrong."""
    alerts = dict(found.troubles)
    if found.doubt:
        alerts["clock"] = f"the time is not certain, no automatic pass: {found.doubt}"
    elif found.floor_error:
        alerts["clock"] = found.floor_error
    if found.trust is None:
        alerts["trust"] = "no trust list is held"
    elif at > found.trust.expires_at - TRUST_WARNING_S:
        days = (found.trust.expires_at - at) / 86_400
        alerts["trust"] = f"the trust list ends in {days:.0f} days" if days > 0 else f"the trust list ended {-days:.0f} days ago"
    missing = sorted(found.wanted - found.as_of.keys())
    if missing:
        alerts["lists_missing"] = f"not held: {', '.join(missing)}"
    if found.left_out:
        alerts["lists_left_out"] = f"{len(found.left_out)} more than link.most_lists: {', '.join(found.left_out)}"
    stale = {uri: at - as_of for uri, as_of in found.as_of.items() if at - as_of >= statements.warn_s}
    if stale:
        oldest = max(stale, key=lambda uri: stale[uri])
        alerts["lists_stale"] = f"{oldest} is {stale[oldest] / 3600:.0f} h old, the guard is called at {statements.limit_s / 3600:.0f} h"
    if found.unsaved or found.disk_error:
        alerts["outbox"] = found.disk_error or f"{found.unsaved} events could not be stored"
    if found.tamper:
        alerts["tamper"] = "the housing is open"
    return {name: detail[:200] for name, detail in alerts.items()}
