"""What really happened at a simulated gate, as two witnesses tell it: the journal of its pins, and the rows in the server's database.

Nothing here asks the unit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from healthgate.town import Town
from healthgate.world import Entry

RELAY = "relay"
LIGHTS = ("led_red", "led_green", "led_blue")
COLOUR_WORDS = {
    (0, 0, 0): "off",
    (1, 0, 0): "red",
    (0, 1, 0): "green",
    (0, 0, 1): "blue",
    (1, 1, 0): "yellow",
    (1, 0, 1): "magenta",
    (0, 1, 1): "cyan",
    (1, 1, 1): "white",
}


@dataclass(frozen=True)
class Row:
    """An event in the server's database; `received_ms` is when the server took it."""

    unit: str
    boot_id: str
    seq: int
    kind: str
    received_ms: int
    body: dict[str, Any]

    @property
    def key(self) -> tuple[str, int]:
        """(boot_id, seq)."""
        return (self.boot_id, self.seq)


def rows_of(town: Town, unit: str) -> list[Row]:
    """Every event of `unit` in the database, oldest first."""
    with town.store.read() as tx:
        found = tx.execute(
            text("SELECT boot_id, seq, kind, received_ms, body FROM events WHERE unit = :unit ORDER BY received_ms, seq"), {"unit": unit}
        ).all()
    return [Row(unit, str(boot), int(seq), str(kind), int(received), json.loads(body)) for boot, seq, kind, received, body in found]


@dataclass(frozen=True)
class Mark:
    """A place in both testimonies, to look at what came after it, and what the light's lines carried there."""

    journal: int
    rows: frozenset[tuple[str, int]]
    light: Mapping[str, float]


def mark(town: Town, unit: str) -> Mark:
    """Now, at gate `unit`."""
    return Mark(town.world.mark(unit), frozenset(row.key for row in rows_of(town, unit)), light_levels(town, unit))


def light_levels(town: Town, unit: str) -> dict[str, float]:
    """What the lines of the light carry now, 0 to 1."""
    return {line: town.world.level(unit, line) or 0.0 for line in LIGHTS}


def rows_since(town: Town, unit: str, since: Mark, kind: str | None = None) -> list[Row]:
    """The rows of `unit` that came after `since`, of one kind or of all."""
    return [row for row in rows_of(town, unit) if row.key not in since.rows and kind in (None, row.kind)]


def relay_pulses(entries: Sequence[Entry]) -> int:
    """How often the relay line rose in these entries."""
    levels = [entry["value"] for entry in entries if entry.get("pin") == RELAY]
    return sum(1 for before, after in zip([0, *levels], levels, strict=False) if after and not before)


def light_colours(entries: Sequence[Entry], before: Mapping[str, float]) -> list[str]:
    """The colours that the light took in these entries, one after another; lines that change within 5 ms are one change.

    `before` is what its lines carried when the entries began: a line that stays as it is has no entry.
    """
    level = dict(before)
    colours: list[str] = []
    changed_at: float | None = None
    for entry in entries:
        if entry.get("pin") not in LIGHTS:
            continue
        if changed_at is not None and entry["at"] - changed_at > 0.005:
            colours.append(word_of_levels(level))
        level[entry["pin"]] = float(entry["value"])
        changed_at = entry["at"]
    if changed_at is not None:
        colours.append(word_of_levels(level))
    return [colour for before, colour in zip(["", *colours], colours, strict=False) if colour != before]


def word_of_levels(level: Mapping[str, float]) -> str:
    """The colour of the light at these levels of its three lines (0 to 1), as a word."""
    red, green, blue = (int(level[line] > 0.05) for line in LIGHTS)
    return COLOUR_WORDS[red, green, blue]


def wait_for_row(
    town: Town, unit: str, since: Mark, wanted: Callable[[Row], bool], limit_s: float, give_up: Callable[[], bool] = lambda: False
) -> Row | None:
    """The first row of `unit` after `since` that is `wanted`; None where none came within `limit_s` or before `give_up`."""

    def look() -> tuple[Row | None] | None:
        found = next((row for row in rows_since(town, unit, since) if wanted(row)), None)
        return (found,) if found is not None or give_up() else None

    found = town.poll(look, limit_s)
    return found[0] if found is not None else None
