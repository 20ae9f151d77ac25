"""Daily counts by district and colour: counted once a day and at changes, and no page counts everybody; charts as SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import date, timedelta

import pytest
from fastapi import FastAPI

from healthcode.terms import Colour
from server.actors import Role
from server.colours import PENDING
from server.facts import HandReason
from server.office import Office
from server.persons import Person, put_person
from server.registry import Resident
from server.web import charts
from tests.server.desk_house import hire, sit_down
from tests.server.office import Clock, Town, set_colour
from tests.server.web import make_app, quick

DAY = 86_400


@pytest.fixture
def clock() -> Clock:
    return Clock(1_790_035_200.0)


def settle(office: Office, district: str, colour: Colour = Colour.GREEN) -> str:
    reason = {Colour.GREEN: HandReason.REVIEWED, Colour.YELLOW: HandReason.CLOSE_CONTACT, Colour.RED: HandReason.CONFIRMED}[colour]
    added = office.registry.add(Person("居民"), colour=colour, reason=reason)
    assert isinstance(added, Resident), added
    with office.store.write() as tx:
        put_person(tx, office.seal, added.resident, Person("居民", district=district))
    return added.resident


def test_a_day_keeps_its_last_count(office: Office, clock: Clock) -> None:
    today = date(2026, 9, 22)
    somebody = settle(office, "420106")
    settle(office, "420111", Colour.RED)
    assert office.counts.newest() is None
    assert office.counts.refresh()
    assert not office.counts.refresh(), "nothing is new"
    newest = office.counts.newest()
    assert newest is not None
    assert (newest.day, newest.at) == (today, clock.at)
    assert newest.people == {("420106", "green"): 1, ("420111", "red"): 1}
    clock.at += 60
    set_colour(office, somebody, Colour.YELLOW, HandReason.CLOSE_CONTACT)
    assert office.counts.refresh(), "a ruling is new"
    clock.at += DAY
    settle(office, "420106")
    assert office.counts.refresh(), "a day is new"
    both = office.counts.series(today, today + timedelta(days=1), ["420106"])
    assert both.days == (today, today + timedelta(days=1))
    assert both.people == {(today, "yellow"): 1, (both.days[1], "yellow"): 1, (both.days[1], "green"): 1}
    assert office.counts.series(today, today).people == {(today, "yellow"): 1, (today, "red"): 1}


def test_who_moves_is_counted_elsewhere_within_an_hour(office: Office, clock: Clock) -> None:
    somebody = settle(office, "420106")
    office.counts.refresh()
    with office.store.write() as tx:
        put_person(tx, office.seal, somebody, Person("居民", district="429004"))
    clock.at += 1800
    assert not office.counts.refresh()
    clock.at += 1800
    assert office.counts.refresh()
    newest = office.counts.newest()
    assert newest is not None
    assert newest.people == {("429004", "green"): 1}


@pytest.mark.parametrize(("most", "end"), [(0, 4), (4, 4), (5, 5), (6, 10), (100, 100), (101, 200), (5_000_001, 10_000_000)])
def test_an_axis_ends_where_people_expect_it(most: int, end: int) -> None:
    assert charts.ceiling(most) == end


def test_lines_break_where_no_day_was_counted() -> None:
    days = [date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 5)]
    drawn = ET.fromstring(charts.lines([charts.Panel("red", "<red>", [(day, 7) for day in days])], "Title", "People", "Day"))
    line = next(each for each in drawn.iter("path") if each.get("stroke-width") == "2")
    assert (line.attrib["d"].count("M"), line.attrib["d"].count("L")) == (2, 1)
    texts = ["".join(each.itertext()) for each in drawn.iter("text")]
    assert {"<red>", "People", "Day", "2026-03-05", "7"} <= set(texts)


def test_bars_are_as_long_as_they_say_and_differ_in_grey() -> None:
    words = {colour: colour for colour in ("red", "yellow", PENDING)}
    row = charts.Bar("Wuchang", [("red", 10), ("yellow", 20), (PENDING, 5)])
    drawn = ET.fromstring(charts.bars([row, charts.Bar("Hanyang", [("red", 0), ("yellow", 0), (PENDING, 1)])], "T", "People", words))
    boxes = [each for each in drawn if each.tag == "rect" and each.get("height") == "18.0"]
    assert [each.get("fill") for each in boxes] == ["url(#fill-red)", "url(#fill-yellow)", "url(#fill-pending)", "url(#fill-pending)"]
    widths = [float(each.attrib["width"]) for each in boxes]
    assert widths[1] == pytest.approx(2 * widths[0], rel=0.01)
    assert widths[2] == pytest.approx(widths[0] / 2, rel=0.02)


def test_the_page_says_the_same_in_charts_and_tables(town: Town, office: Office, clock: Clock) -> None:
    quickly = quick(office, clock)
    hire(quickly)
    app: FastAPI = make_app(town, quickly)
    operator = sit_down(app, Role.OPERATOR)
    assert "Nothing was counted yet" in operator.get("/desk/numbers").text
    for district, colour in (("420106", Colour.GREEN), ("420106", Colour.RED), ("429004", Colour.YELLOW), ("outside", Colour.GREEN)):
        settle(office, district, colour)
    office.counts.refresh()
    page = operator.get("/desk/numbers").text
    assert page.count('<svg class="chart"') == 2
    assert "style=" not in page, "the pages' policy forbids styles"
    assert '<th scope="row">2026-09-22</th><td class="number">2</td><td class="number">1</td><td class="number">1</td>' in page
    assert '<a href="/desk/numbers?place=4201&days=30">Wuhan</a>' in page
    page = operator.get("/desk/numbers?place=4201&days=7").text
    assert '<a href="/desk/numbers?place=420106&days=7">Wuchang' in page
    assert "Xiantao" not in page.split("</form>")[1]
    assert operator.get("/desk/numbers?place=x&days=y").status_code == 200
