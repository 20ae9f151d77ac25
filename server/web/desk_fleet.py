"""The operators' pages: the table of gates as they are now, one gate, and what the hours counted. Live by server-sent events.

They show and change nothing: a gate obeys an operator's own key, which is not here, so each page says what to type.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import Response

from server.fleet_hours import HOUR_MS, Hour, start_of
from server.fleet_state import Presence
from server.fleet_watch import Seen, Unit
from server.store import to_ms
from server.web import fleet_charts, fleet_telling
from server.web.desk_pages import show_desk
from server.web.desk_rules import StaffSession, add
from server.web.fleet_live import News, follow
from server.web.fleet_rows import ANY, Order, Wanted, choose, count_presences, list_alerts, urgency
from server.web.pages import render
from server.web.services import Services, services_of
from server.web.visitors import Seen as Visiting

House = Annotated[Services, Depends(services_of)]
PATH = "/desk/fleet"
PASSES = 20
LINES = 30
"""How many of a unit's last verdicts, and of all else that happened, are shown."""
SPANS = (24, 72, 168, 336)
"""Hours that charts may be of."""
OTHER_KINDS = ("passage", "release", "lane", "unit")


def add_routes(router: APIRouter) -> None:
    """The table, its stream, the charts, a unit and its stream."""
    add(router, "GET", PATH, fleet_page)
    add(router, "GET", PATH + "/live", fleet_stream)
    add(router, "GET", PATH + "/hours", hours_page)
    add(router, "GET", PATH + "/units/{unit}", unit_page)
    add(router, "GET", PATH + "/units/{unit}/live", unit_stream)


def fleet_page(request: Request, services: House, session: StaffSession) -> Response:
    """Every gate, or those that the address asks for."""
    wanted = Wanted.read(request.query_params)
    seen = services.office.watch.see()
    return show_desk(
        request,
        session,
        "desk_fleet.html",
        "fleet",
        200,
        wanted=wanted,
        live=_live(f"{PATH}/live", wanted.query, seen.token),
        units=choose(seen.units, wanted),
        alerts=[ANY, *list_alerts(seen.units)],
        presences=[presence.value for presence in Presence],
        orders=[order.value for order in Order],
        **_frame(seen),
    )


def fleet_stream(request: Request, services: House, _: StaffSession, token: str = "") -> Response:
    """The rows that changed, as they are to be shown; null for one that fits the filters no more."""
    wanted = Wanted.read(request.query_params)
    held: dict[str, Unit] = {}

    def look(token: str) -> News:
        seen = services.office.watch.see(token)
        if not seen.units and not seen.is_whole:
            return News(seen.token, None)
        if seen.is_whole:
            held.clear()
        fresh = seen.units if held or seen.is_whole else services.office.watch.see().units
        held.update((unit.unit, unit) for unit in fresh)
        head = render(request, "desk_fleet_head.html", **_frame(replace(seen, units=tuple(held.values()))))
        rows = {unit.unit: _row(request, unit) if wanted.fits(unit) else None for unit in seen.units}
        return News(seen.token, {"whole": seen.is_whole, "head": head, "rows": rows})

    return follow(request, services, token, look)


def unit_page(request: Request, services: House, session: StaffSession, unit: str) -> Response:
    """One gate: its lane now, its alerts and numbers, who passed without names, what else happened."""
    seen = _find(services, unit)
    return show_desk(
        request,
        session,
        "desk_unit.html",
        "fleet",
        200,
        live=_live(f"{PATH}/units/{unit}/live", "", _token_of(services, seen)),
        **_unit(services, seen),
    )


def unit_stream(request: Request, services: House, _: StaffSession, unit: str, token: str = "") -> Response:
    """The unit's page anew, whenever the unit said something."""
    _find(services, unit)

    def look(token: str) -> News:
        seen = services.office.watch.find(unit)
        now = "" if seen is None else _token_of(services, seen)
        if seen is None or now == token:
            return News(now, None)
        return News(now, {"parts": render(request, "desk_unit_now.html", **_unit(services, seen))})

    return follow(request, services, token, look)


def hours_page(request: Request, services: House, visitor: Visiting, session: StaffSession, unit: str = "", hours: str = "") -> Response:
    """Passes, reasons, temperatures and the lists' age by the hour, of all gates or of one."""
    span = int(hours) if hours in {str(each) for each in SPANS} else SPANS[0]
    if unit:
        _find(services, unit)
    until_ms = start_of(to_ms(services.office.now())) + HOUR_MS
    counted = services.office.watch.hours(until_ms - span * HOUR_MS, until_ms, [unit] if unit else None)
    begins = range(until_ms - span * HOUR_MS, until_ms, HOUR_MS)
    series = [(at, counted.get(at, Hour())) for at in begins]
    return show_desk(
        request,
        session,
        "desk_fleet_hours.html",
        "fleet",
        unit=unit,
        units=[each.unit for each in services.office.watch.see().units],
        span=span,
        spans=SPANS,
        is_empty=not counted,
        charts=fleet_charts.draw(visitor.words, series, is_one=bool(unit)),
    )


def _find(services: Services, unit: str) -> Unit:
    found = services.office.watch.find(unit)
    if found is None:
        raise HTTPException(404)
    return found


def _frame(seen: Seen) -> dict[str, object]:
    return {
        "listening": seen.listening_ms is not None,
        "at": seen.at_ms / 1000,
        "counts": count_presences(seen.units),
        "total": len(seen.units),
        "troubled": sum(bool(unit.state.alerts) for unit in seen.units),
        "telling": fleet_telling,
        "urgency": urgency,
    }


def _row(request: Request, unit: Unit) -> str:
    return render(request, "desk_fleet_row.html", unit=unit, telling=fleet_telling, urgency=urgency)


def _live(path: str, query: str, token: str) -> str:
    """Where the stream is that goes on from what the page shows."""
    return f"{path}?{query}{'&' if query else ''}token={token}"


def _token_of(services: Services, unit: Unit) -> str:
    """What stands for all that a unit's page shows: another where any of it is."""
    state = unit.state
    last = [(each.received_ms, each.seq) for each in services.office.watch.last_events(unit.unit, 1)]
    wanted = services.office.desires.find(unit.unit)
    told = services.office.watch.server_alerts(unit.unit)
    shown = (state.presence, state.since_ms, state.status_ms, state.lane, sorted(state.alerts.items()), state.info, last, wanted, told)
    return hashlib.blake2s(repr(shown).encode(), digest_size=8).hexdigest()


def _unit(services: Services, seen: Unit) -> dict[str, object]:
    watch = services.office.watch
    return {
        "unit": seen,
        "telling": fleet_telling,
        "passes": watch.last_events(seen.unit, PASSES, ["pass"]),
        "told": watch.server_alerts(seen.unit),
        "others": watch.last_events(seen.unit, LINES, OTHER_KINDS),
        "wanted": services.office.desires.find(seen.unit),
    }
