"""What somebody should look at, by a stable name: raised while it lasts, cleared by itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edge.config import Board, Statements
from healthcode.alerts import ALERTS
from healthcode.messages import TrustList

NAMES = tuple(ALERTS)
"""Every alert that a unit can raise; those not raised are cleared at each connection, so that none outlives its cause."""
TRUST_WARNING_S = 30 * 86_400
"""How long before its end a trust list is warned of."""
COOLER_C = 5.0
"""A board that was too hot is too hot until it is cooler by so much."""
ROOMIER = 1.2
"""A disk that was nearly full is so until it has room for so many times what is wanted."""


@dataclass(frozen=True)
class Condition:
    """What alerts are found in. `troubles` is what devices report, by the name of its alert; `as_of` is when each list held was last
    stated (wall seconds). `left_out` are lists that are recognised and not wanted, because they would be too many. `lately` are alarms of
    the lane and counts that are unusual, each with its line; `configuration` is why the newest one from afar came to nothing. What a board
    does not tell is None; `certificate_ends` is in wall seconds.
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
    lately: Mapping[str, str] = field(default_factory=dict)
    configuration: str = ""
    waiting: int = 0
    board_c: float | None = None
    under_voltage: bool = False
    disk_free_mb: float | None = None
    certificate_ends: float | None = None
    certificate_unread: str = ""


def find_alerts(found: Condition, statements: Statements, board: Board, at: float, raised: frozenset[str] = frozenset()) -> dict[str, str]:
    """The alerts that stand at `at` (seconds since 1970), each with one line on what is wrong; `raised` are those that stood before."""
    alerts = {**found.troubles, **found.lately, **_of_board(found, board, at, raised)}
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
    elif found.waiting >= board.backlog / (2 if "outbox" in raised else 1):
        alerts["outbox"] = f"{found.waiting} events wait for the server"
    if found.tamper:
        alerts["tamper"] = "the housing is open"
    if found.configuration:
        alerts["configuration"] = found.configuration
    return {name: detail[:200] for name, detail in alerts.items()}


def _of_board(found: Condition, board: Board, at: float, raised: frozenset[str]) -> dict[str, str]:
    """Each with a distance between where it is raised and where it is over."""
    alerts: dict[str, str] = {}
    if found.board_c is not None and found.board_c >= board.hot_c - (COOLER_C if "board_hot" in raised else 0):
        alerts["board_hot"] = f"the processor has {found.board_c:.0f} °C, {board.hot_c:.0f} °C is too much"
    if found.under_voltage:
        alerts["under_voltage"] = "the supply is too low: a stronger one, or a shorter cable"
    if found.disk_free_mb is not None and found.disk_free_mb < board.disk_free_mb * (ROOMIER if "disk" in raised else 1):
        alerts["disk"] = f"{found.disk_free_mb:.0f} MB are free, {board.disk_free_mb:.0f} MB are wanted"
    if found.certificate_unread:
        alerts["certificate"] = found.certificate_unread
    elif found.certificate_ends is not None and found.certificate_ends - at < board.certificate_days * 86_400:
        days = (found.certificate_ends - at) / 86_400
        alerts["certificate"] = f"the certificate ends in {days:.0f} days" if days > 0 else f"the certificate ended {-days:.0f} days ago"
    return alerts
