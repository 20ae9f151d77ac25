"""The operators' pages: words for all that gates say, filters in the address, nothing that names anybody, charts that count right."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI

from edge.alerts import NAMES
from edge.signals import DARK, TABLE, Signal
from edge.transitions import Stage
from healthcode.messages import Alert, Reported, UnitStatus, stamp
from healthcode.terms import Decision, LaneMode, PassageOutcome, SettingsState
from server.actors import Role
from server.admissions import Admissions
from server.desired import Desires, Standing, Wish
from server.fleet_state import SILENT_MS, Presence
from server.fleet_watch import SERVER_ALERTS
from server.intake import Intake
from server.office import Office
from server.sentences import Language, sentences
from server.store import events
from server.web.fleet_rows import Order, Wanted
from server.web.fleet_telling import LIGHTS
from tests.server.desk_house import hire, sit_down
from tests.server.gates import SECRETS, lane, open_gates, say, status
from tests.server.office import Clock, Town
from tests.server.web import Browser, make_app, quick

COLOURS = {
    (True, True, True): "white",
    (False, False, True): "blue",
    (False, True, False): "green",
    (True, True, False): "yellow",
    (True, False, False): "red",
}


@pytest.fixture
def intake(office: Office, town: Town, clock: Clock) -> Intake:
    return Intake(office.store, office.registry, town.ring, clock, 3)


@pytest.fixture
def app(town: Town, office: Office, clock: Clock, intake: Intake) -> FastAPI:
    quickly = quick(office, clock)
    hire(quickly)
    open_gates(office, intake, clock())
    return make_app(town, quickly)


def units_on(page: str) -> list[str]:
    return re.findall(r'<tr id="unit-(\w+)"', page)


@pytest.mark.parametrize("language", list(Language))
def test_all_that_gates_say_has_words(language: Language) -> None:
    words = sentences(language)
    wanted = {
        "signal": [signal.value for signal in Signal],
        "stage": [stage.value for stage in Stage],
        "mode": [mode.value for mode in LaneMode],
        "presence": [presence.value for presence in Presence],
        "passage": [outcome.value for outcome in PassageOutcome],
        "decision": [decision.value for decision in Decision],
        "order": [order.value for order in Order],
        "alert": ["any", *NAMES],
        "number": list(UnitStatus.__struct_fields__),
        "server_alert": list(SERVER_ALERTS),
        "standing": [standing.value for standing in Standing],
    }
    assert [f"fleet.{kind}.{word}" for kind, found in wanted.items() for word in found if f"fleet.{kind}.{word}" not in words] == []


def test_the_light_has_the_colour_that_the_gate_shows() -> None:
    shown = {signal.value: COLOURS[next(rgb for rgb, _ in row.light.steps if rgb != DARK)] for signal, row in TABLE.items()}
    assert shown == LIGHTS


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ["south", "east", "north", "west"]),
        ("order=name", ["east", "north", "south", "west"]),
        ("order=site", ["north", "west", "east", "south"]),
        ("order=heard", ["east", "north", "south", "west"]),
        ("order=nonsense&presence=nonsense", ["south", "east", "north", "west"]),
        ("presence=online", ["north", "west"]),
        ("presence=offline", ["south"]),
        ("alert=any", ["south"]),
        ("alert=sensor", ["south"]),
        ("alert=camera", []),
        ("find=TH", ["south", "north"]),
        ("find=square", ["north", "west"]),
        ("find=lane+n", ["north"]),
        ("find=*st", ["east", "west"]),
        ("find=[", []),
        ("find=th&presence=online", ["north"]),
    ],
)
def test_filters_stand_in_the_address(app: FastAPI, query: str, shown: list[str]) -> None:
    page = sit_down(app, Role.OPERATOR).get(f"/desk/fleet?{query}").text
    assert units_on(page) == shown
    assert "data-live=" in page


def test_whoever_admits_nobody_stands_before_many_small_alerts(app: FastAPI, intake: Intake, clock: Clock) -> None:
    for unit, names in (("north", ("calibration", "disk", "board_hot")), ("west", ("camera_missing", "calibration"))):
        intake.take([say(unit, "alert", Alert(name=name, since=stamp(clock()), detail="x"), name) for name in names])
    page = sit_down(app, Role.OPERATOR).get("/desk/fleet").text
    assert units_on(page) == ["south", "west", "north", "east"]
    row = page[page.index('id="unit-west"') :]
    assert row.index("Camera missing") < row.index("Calibration"), "the worst first"
    assert '<span class="alert stops"><span aria-hidden="true">✖</span> Camera missing' in row
    assert '<span class="alert warns"><span aria-hidden="true">!</span> Calibration' in row


def test_what_the_server_says_of_a_gate_is_on_its_page_and_names_nobody(app: FastAPI, office: Office, clock: Clock) -> None:
    with office.store.write() as tx:
        events.raise_alert(tx, "enrolment", "north", "used again by a second one", round(clock() * 1000))
        events.raise_alert(tx, "copied", "north", "entry 4711 at north and south within 2.0 s", round(clock() * 1000))
    operator = sit_down(app, Role.OPERATOR)
    page = operator.get("/desk/fleet/units/north").text
    assert "Secret used twice" in page
    assert "used again by a second one" in page
    assert "4711" not in page
    assert "What the server says of it" not in operator.get("/desk/fleet/units/south").text


def test_a_retired_gate_is_not_said_to_be_away_and_nothing_is_to_be_done_there(app: FastAPI, office: Office, clock: Clock) -> None:
    Admissions(office.store, clock).retire("north")
    page = sit_down(app, Role.OPERATOR).get("/desk/fleet/units/north").text
    assert "It was retired" in page
    assert "Nothing was heard of it yet" not in page
    assert "fleet run" not in page
    assert "RED" in page, "what happened there stays"


def test_a_filter_comes_back_out_of_its_address() -> None:
    wanted = Wanted.read({"find": " a&b=c ", "presence": "silent", "alert": "sensor", "order": "name", "other": "x"})
    assert wanted == Wanted("a&b=c", "silent", "sensor", "name")
    assert wanted.query == "find=a%26b%3Dc&presence=silent&alert=sensor&order=name"
    assert Wanted().query == ""


def test_who_falls_silent_or_cannot_be_heard_does_not_look_alive(app: FastAPI, office: Office, clock: Clock) -> None:
    operator = sit_down(app, Role.OPERATOR)
    began = clock()
    clock.at += SILENT_MS / 1000 + 1
    office.watch.beat(began)
    page = operator.get("/desk/fleet").text
    assert page.count('<span class="presence silent"') == 2
    assert '<span class="presence online"' not in page
    assert "does not listen" not in page
    clock.at += 60
    page = operator.get("/desk/fleet").text
    assert "does not listen" in page
    assert "It is not there now" in operator.get("/desk/fleet/units/north").text


def test_a_gate_s_page_says_how_it_is_and_who_did_what_without_names(app: FastAPI) -> None:
    operator = sit_down(app, Role.OPERATOR)
    page = operator.get("/desk/fleet/units/north").text
    for shown in (
        "Green, steady: pass",
        "Free",
        "Guard",
        "op.he: queue",
        "pram",
        "FEBRILE",
        "body 38.1 °C (estimated)",
        "EXPIRED",
        "0.1.0",
    ):
        assert shown in page, shown
    assert "its clock was not trusted" in page
    assert [secret for secret in SECRETS if secret in page] == []
    south = operator.get("/desk/fleet/units/south").text
    assert "no answer on the bus" in south
    assert "It is not there now" in south
    west = operator.get("/desk/fleet/units/west").text
    assert "a_stage_of_tomorrow" in west
    assert "lamp dark" in west
    chinese = sit_down(app, Role.AUDITOR, language="zh-CN").get("/desk/fleet/units/north").text
    assert "绿色常亮：请通行" in chinese
    for path in ("/desk/fleet/units/nowhere", "/desk/fleet/units/nowhere/live", "/desk/fleet/hours?unit=nowhere"):
        assert operator.get(path).status_code == 404, path


def test_charts_and_tables_count_the_same(app: FastAPI) -> None:
    operator = sit_down(app, Role.OPERATOR)
    page = operator.get("/desk/fleet/hours").text
    admitted = [int(number) for number in re.findall(r'<th scope="row">[^<]+</th><td>(\d+)</td><td>\d+</td><td>\d+</td>', page)]
    assert (len(admitted), sum(admitted)) == (24, 39)
    for reason in ("RED", "FEBRILE", "EXPIRED"):
        assert re.search(rf'<th scope="row">{reason}</th><td>[^<]+</td><td>1</td>', page)
    assert re.search(r'<th scope="row">36\.6-36\.8</th><td>39</td>', page)
    assert page.count('class="chart"') == 4
    assert "Nothing was counted" in operator.get("/desk/fleet/hours?unit=east&hours=72").text
    assert operator.get("/desk/fleet/hours?unit=north&hours=336").status_code == 200


def test_a_stream_is_for_who_asks_for_one(app: FastAPI) -> None:
    operator = sit_down(app, Role.OPERATOR)
    assert operator.get("/desk/fleet/live").status_code == 406
    assert operator.get("/desk/fleet/units/north/live").status_code == 406


def test_looking_on_is_no_use_of_a_session(app: FastAPI, clock: Clock) -> None:
    operator: Browser = sit_down(app, Role.OPERATOR)
    clock.at += 1000
    ask = {"accept": "text/event-stream, application/json"}
    assert operator.http.get("/desk/fleet/units/nowhere", headers=ask).status_code == 404
    clock.at += 1000
    assert operator.http.get("/desk/fleet/units/nowhere", headers=ask).status_code == 401


def test_what_is_said_now_is_on_the_next_look(app: FastAPI, intake: Intake, clock: Clock) -> None:
    operator = sit_down(app, Role.OPERATOR)
    intake.take([say("east", "status", status(1234)), say("east", "lane", lane(clock(), LaneMode.CONTROLLED, "passing", "pass"))])
    page = operator.get("/desk/fleet?find=east").text
    assert "1,234" in page
    assert "somebody passes" in page


def test_a_gate_s_page_says_what_it_is_to_have_and_has(app: FastAPI, office: Office, intake: Intake, clock: Clock) -> None:
    operator = sit_down(app, Role.OPERATOR)
    assert "its own file alone counts" in operator.get("/desk/fleet/units/north").text
    desires = Desires(office.store, clock)
    desires.set([Wish("north", "[sound]\nvolume = 0.5\n", 0)], "operator.he", "neighbours")
    page = operator.get("/desk/fleet/units/north").text
    assert "has not taken it yet" in page
    assert "neighbours" in page
    said = Reported(
        unit="north",
        version=1,
        state=SettingsState.REJECTED,
        in_force=0,
        digest="0" * 64,
        settings={"sound.volume": 0.8},
        faults=["sound.volume = 0.5: expected something else"],
    )
    assert intake.take([say("north", "reported", said)]).refused == 0
    page = operator.get("/desk/fleet/units/north").text
    for shown in ("Rejected by the gate", "expected something else", '<th scope="row">sound.volume</th><td>0.5</td><td>0.8</td>'):
        assert shown in page
