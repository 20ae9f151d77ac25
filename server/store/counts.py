"""Queries about how many residents have which colour, by district and day. Every function works inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam

from server.store.sql import text

_OF_ALL = text("SELECT day, colour, sum(people) FROM daily_counts WHERE day BETWEEN :since AND :until GROUP BY day, colour")
_OF_DISTRICTS = text(
    "SELECT day, colour, sum(people) FROM daily_counts WHERE day BETWEEN :since AND :until AND district IN :districts GROUP BY day, colour"
).bindparams(bindparam("districts", expanding=True))


@dataclass(frozen=True)
class CountedRow:
    """A day that was counted: when, and which ruling was the newest then."""

    day: str
    counted_ms: int
    ruling: int


def count_everybody(connection: Connection) -> tuple[int, dict[tuple[str, str], int]]:
    """(the newest ruling, how many residents have which (district, colour)). Reads everybody: a second or two for a million."""
    found = connection.execute(
        text("SELECT r.district, g.colour, count(*) FROM residents r JOIN rulings g ON g.ruling = r.ruling GROUP BY r.district, g.colour")
    )
    return newest_ruling(connection), {(str(district), str(colour)): int(people) for district, colour, people in found}


def newest_ruling(connection: Connection) -> int:
    """The number of the newest ruling, 0 for none."""
    return int(connection.execute(text("SELECT coalesce(max(ruling), 0) FROM rulings")).scalar_one())


def find_counted(connection: Connection, day: str) -> CountedRow | None:
    """When and up to where a day was counted."""
    row = connection.execute(text("SELECT day, counted_ms, ruling FROM counted_days WHERE day = :day"), {"day": day}).one_or_none()
    return None if row is None else CountedRow(*row)


def newest_counted(connection: Connection) -> CountedRow | None:
    """The last day that was counted."""
    row = connection.execute(text("SELECT day, counted_ms, ruling FROM counted_days ORDER BY day DESC LIMIT 1")).one_or_none()
    return None if row is None else CountedRow(*row)


def put_day(connection: Connection, counted: CountedRow, people: Mapping[tuple[str, str], int]) -> None:
    """Keeps a day's counts in place of those counted earlier on that day."""
    connection.execute(text("DELETE FROM daily_counts WHERE day = :day"), {"day": counted.day})
    if people:
        connection.execute(
            text("INSERT INTO daily_counts (day, district, colour, people) VALUES (:day, :district, :colour, :people)"),
            [{"day": counted.day, "district": district, "colour": colour, "people": count} for (district, colour), count in people.items()],
        )
    connection.execute(
        text(
            "INSERT INTO counted_days (day, counted_ms, ruling) VALUES (:day, :counted_ms, :ruling)"
            " ON CONFLICT (day) DO UPDATE SET counted_ms = excluded.counted_ms, ruling = excluded.ruling"
        ),
        vars(counted),
    )


def list_days(connection: Connection, since: str, until: str) -> list[str]:
    """The days that were counted from `since` to `until`, in order."""
    found = connection.execute(
        text("SELECT day FROM counted_days WHERE day BETWEEN :since AND :until ORDER BY day"), {"since": since, "until": until}
    )
    return [str(day) for (day,) in found]


def sum_by_day(connection: Connection, since: str, until: str, districts: Collection[str]) -> dict[tuple[str, str], int]:
    """How many have which colour on which day, as (day, colour), in these districts together; in all where none are named."""
    values: dict[str, object] = {"since": since, "until": until}
    if districts:
        values["districts"] = list(districts)
    found = connection.execute(_OF_DISTRICTS if districts else _OF_ALL, values)
    return {(str(day), str(colour)): int(people) for day, colour, people in found}


def list_day(connection: Connection, day: str) -> dict[tuple[str, str], int]:
    """How many have which (district, colour) on a day."""
    found = connection.execute(text("SELECT district, colour, people FROM daily_counts WHERE day = :day"), {"day": day})
    return {(str(district), str(colour)): int(people) for district, colour, people in found}
