"""Numbers by district and colour over time: charts and the tables that say the same, from counts made in the background."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from server.colours import PENDING
from server.counts import DayCount, Series
from server.identity import day_of
from server.web import charts
from server.web.desk_pages import show_desk
from server.web.desk_places import choose_districts, list_choices, tell_place
from server.web.desk_rules import StaffSession, add
from server.web.language import Words
from server.web.places import OUTSIDE, list_places
from server.web.services import Services, services_of
from server.web.visitors import Seen

House = Annotated[Services, Depends(services_of)]
COLOURS = ("green", "yellow", "red", PENDING)
DRAWN = ("red", "yellow", PENDING)
"""What the bars are of: green people are so many that nothing else would show."""
SPANS = (7, 30, 90, 365)
"""Days that may be chosen."""
NOWHERE = ""
"""The district of those who have not declared yet."""


def add_routes(router: APIRouter) -> None:
    """The page of numbers."""
    add(router, "GET", "/desk/numbers", numbers_page)


def numbers_page(request: Request, services: House, visitor: Seen, session: StaffSession, place: str = "", days: str = "30") -> Response:
    """The colours of all, of a prefecture or of a district, over some days; and how they spread over places."""
    words = visitor.words
    span = int(days) if days in {str(each) for each in SPANS} else SPANS[1]
    districts = choose_districts(words, place)
    chosen = place if districts else ""
    name = tell_place(words, chosen) if chosen else words("numbers.everywhere")
    until = day_of(services.office.now())
    series = services.office.counts.series(until - timedelta(days=span - 1), until, districts)
    newest = services.office.counts.newest()
    rows = [] if newest is None else _rows(words, newest, chosen)
    return show_desk(
        request,
        session,
        "desk_numbers.html",
        "numbers",
        place=chosen,
        name=name,
        places=list_choices(words),
        span=span,
        spans=SPANS,
        colours=COLOURS,
        counted=None if newest is None else newest.at,
        over_time=_draw_series(words, series, name),
        table=[(day, [series.people.get((day, colour), 0) for colour in COLOURS]) for day in reversed(series.days)],
        by_place=_draw_rows(words, rows),
        rows=rows,
    )


def _rows(words: Words, newest: DayCount, chosen: str) -> list[tuple[str, str, list[int]]]:
    """(what to choose to see more of it, its name, people by colour): prefectures, or the districts of the one that is chosen."""
    places: list[tuple[str, str, tuple[str, ...]]]
    if chosen == OUTSIDE:
        return []
    if chosen:
        prefecture = next(each for each in list_places(words.language) if each.codes[0].startswith(chosen[:4]))
        places = [(each.code, each.name, (each.code,)) for each in prefecture.places]
    else:
        places = [(each.codes[0][:4], each.name, each.codes) for each in list_places(words.language)]
        places.append((OUTSIDE, words("place.outside"), (OUTSIDE,)))
        places.append((NOWHERE, words("numbers.nowhere"), (NOWHERE,)))
    rows = [
        (code, name, [sum(newest.people.get((each, colour), 0) for each in codes) for colour in COLOURS]) for code, name, codes in places
    ]
    return [row for row in rows if sum(row[2])]


def _draw_series(words: Words, series: Series, name: str) -> str:
    if not series.days:
        return ""
    panels = [
        charts.Panel(colour, words(f"colour.{colour}.word"), [(day, series.people.get((day, colour), 0)) for day in series.days])
        for colour in COLOURS
    ]
    return charts.lines(panels, words("numbers.over_time", place=name), words("numbers.people"), words("numbers.day"))


def _draw_rows(words: Words, rows: list[tuple[str, str, list[int]]]) -> str:
    if not rows:
        return ""
    drawn = [charts.Bar(name, [(colour, people[COLOURS.index(colour)]) for colour in DRAWN]) for _, name, people in rows]
    drawn.sort(key=lambda bar: -bar.total)
    legend = {colour: words(f"colour.{colour}.word") for colour in DRAWN}
    return charts.bars(drawn, words("numbers.by_place"), words("numbers.people"), legend)
