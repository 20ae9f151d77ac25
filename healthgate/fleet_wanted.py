"""How what a unit is to have, and what it has, is said to people and to programs."""

from __future__ import annotations

from healthcode.setting_keys import show
from healthgate.times import rfc3339
from server.desired import Standing, Wanted

SAID = {
    Standing.REJECTED: "✘ rejected",
    Standing.FELL_BACK: "✘ fell back",
    Standing.AHEAD: "! was given a later version than this server knows",
    Standing.UNHEARD: "… has not taken it yet",
    Standing.WAITING: "… waits for its lane, or for a release on trial",
    Standing.TRIAL: "… on trial",
    Standing.APPLIED: "✔ applied",
    Standing.OWN: "· its own file",
}
"""How a unit stands, with a shape for each kind."""


def describe(row: Wanted) -> list[str]:
    """How a unit stands, in one line, and then a line for each key that is not as it is to be and for each fault."""
    if row.standing is Standing.OWN:
        return ["its own file"]
    held = "nothing was heard" if row.reported is None else f"{number(row.reported.in_force)} in force"
    keys = [f"{key} = {show(held)}, is to be {show(wanted)}" for key, (wanted, held) in row.differences.items()]
    faults = [] if row.reported is None else row.reported.faults
    return [f"{SAID[row.standing]}: {number(row.version)} wanted, {held}", *keys, *faults]


def number(version: int) -> str:
    """A version as it is spoken of."""
    return f"version {version}" if version else "its own file"


def as_dict(row: Wanted) -> dict[str, object]:
    """A unit's line for programs."""
    desired, said = row.desired, row.reported
    return {
        "unit": row.unit,
        "state": row.standing.value,
        "desired": None if desired is None else desired.version,
        "settings": None if desired is None else desired.settings,
        "set_by": None if desired is None else desired.set_by,
        "set_at": None if desired is None else rfc3339(desired.set_ms / 1000),
        "reason": None if desired is None else desired.reason,
        "reported": None if said is None else said.version,
        "in_force": None if said is None else said.in_force,
        "digest": None if said is None else said.digest,
        "heard_at": None if row.heard_ms is None else rfc3339(row.heard_ms / 1000),
        "faults": [] if said is None else said.faults,
        "differences": {key: {"wanted": wanted, "in_force": held} for key, (wanted, held) in row.differences.items()},
    }
