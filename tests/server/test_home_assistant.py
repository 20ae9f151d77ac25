"""Units as devices of Home Assistant, and as the server sees them: topics that are theirs, values that its templates find, no ghosts."""

from __future__ import annotations

import json
from typing import Any

import jinja2
import pytest

from healthcode import topics
from healthcode.alerts import ALERTS
from healthcode.messages import Alert, Info, Lane, Request, UnitSeen, UnitStatus, decode, encode, stamp
from healthcode.terms import LaneMode
from server.admissions import Admissions
from server.fleet import Fleet
from server.fleet_state import SILENT_MS
from server.home_assistant import ASKS_BY, config_topic, device
from server.intake import Intake
from server.lists import Publication
from server.office import Office
from server.seen_units import AT_ONCE, LOOK_EVERY_S, SeenUnits
from tests.server.office import Clock, Town
from tests.server.reports import BOOT
from tests.server.test_fleet_watch import say

INFO = Info(unit="north", boot_id=BOOT, software="0.1.0", hardware="pi aarch64", started_at=stamp(0))
STATUS = UnitStatus(uptime_s=60, outbox_pending=3, lists_held=1, list_age_s=4.5, board_c=48.3, ambient_c=21.4, passes=9)
LANE = Lane(since=stamp(0), mode=LaneMode.FREE, stage="free", signal="pass", fire=True)
SEEN = UnitSeen(unit="north", state="online", since=stamp(0), alerts=["disk", "forced"])
SAID: dict[str, UnitStatus | Lane | UnitSeen] = {
    topics.up("north", "status"): STATUS,
    topics.up("north", "lane"): LANE,
    topics.unit_seen("north"): SEEN,
}


def told(info: Info | None = INFO) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(device("north", info, "station"))
    return found


def value(template: str, message: UnitStatus | Lane | UnitSeen | None) -> str:
    """What Home Assistant would make of a message, or of an empty one: its templates are Jinja's."""
    said = {} if message is None else {"value_json": json.loads(encode(message))}
    return jinja2.Environment(autoescape=False).from_string(template).render(said)


@pytest.mark.parametrize(
    ("component", "expected"),
    [
        ("gate", "free"),
        ("light", "pass"),
        ("fire", "ON"),
        ("board_c", "48.3"),
        ("ambient_c", "21.4"),
        ("list_age_s", "4.5"),
        ("passes", "9"),
        ("disk_free_mb", "None"),
        ("there", "ON"),
        ("alert_disk", "ON"),
        ("alert_forced", "ON"),
        ("alert_sensor", "OFF"),
    ],
)
def test_what_it_shows_is_what_the_unit_says(component: str, expected: str) -> None:
    parts = told()["cmps"][component]
    assert value(parts["value_template"], SAID[parts["state_topic"]]) == expected


@pytest.mark.parametrize(
    ("state", "expected"), [("online", "online"), ("offline", "offline"), ("silent", "offline"), ("unknown", "offline")]
)
def test_a_unit_that_is_not_heard_is_not_there(state: Any, expected: str) -> None:
    bridge, unit = told()["availability"]
    assert (bridge["topic"], unit["topic"], told()["availability_mode"]) == (topics.BRIDGE_STATE, topics.unit_seen("north"), "all")
    seen = UnitSeen(unit="north", state=state, since=stamp(0))
    assert value(unit["value_template"], seen) == expected
    assert value(told()["cmps"]["there"]["value_template"], seen) == {"online": "ON", "offline": "OFF"}[expected]


def test_what_is_cleared_as_a_unit_is_retired_shows_nothing_and_breaks_nothing() -> None:
    nothing = {"binary_sensor": "OFF", "sensor": "None"}
    components = [parts for parts in told()["cmps"].values() if parts["p"] in nothing]
    assert [value(parts["value_template"], None) for parts in components] == [nothing[parts["p"]] for parts in components]
    assert value(told()["cmps"]["gate"]["json_attributes_template"], None) == "{}"
    assert value(told()["availability"][1]["value_template"], None) == "offline"


def test_every_topic_is_one_of_ours_and_every_component_has_a_name_of_its_own() -> None:
    components = told()["cmps"]
    for parts in components.values():
        topic = parts.get("state_topic") or parts["command_topic"]
        assert topics.parse(topic) is not None
        assert "north" in topic
    assert len({parts["unique_id"] for parts in components.values()}) == len(components)
    assert len({parts["name"] for parts in components.values()}) == len(components)
    assert {name for name in components if name.startswith("alert_")} == {f"alert_{name}" for name in ALERTS}
    fields = set(UnitStatus.__struct_fields__)
    assert {name for name, parts in components.items() if parts.get("state_topic", "").endswith("/up/status")} <= fields


def test_buttons_ask_for_nothing_that_opens_a_gate() -> None:
    buttons = {name: parts for name, parts in told()["cmps"].items() if parts["p"] == "button"}
    assert buttons.keys() == {"identify", "selftest"}
    for name, parts in buttons.items():
        assert parts["command_topic"] == topics.down("north", "request", name)
        assert decode(parts["payload_press"].encode(), Request) == Request(transaction=ASKS_BY)
        assert "retain" not in parts, "a button that is remembered would be pressed at each connection"


def test_a_unit_that_was_never_heard_is_a_device_too() -> None:
    assert "model" not in told(None)["dev"]
    assert told()["dev"]["model"] == "pi aarch64"
    assert len(device("north", INFO)) < 16_000


class Publisher:
    """What would be on the broker."""

    def __init__(self, office: Office, prefix: str = "homeassistant") -> None:
        self.units = SeenUnits(office.watch, prefix)
        self.at = 0.0
        self.retained: dict[str, bytes] = {}

    def turn(self) -> list[Publication]:
        self.at += LOOK_EVERY_S
        said = self.units.due(self.at)
        assert all(each.retain for each in said)
        self.retained |= {each.topic: each.payload for each in said}
        return said

    def seen(self, unit: str) -> UnitSeen:
        return decode(self.retained[topics.unit_seen(unit)], UnitSeen)


@pytest.fixture
def intake(office: Office, town: Town, clock: Clock) -> Intake:
    Fleet(office.store, clock).add("north")
    Fleet(office.store, clock).add("south")
    office.watch.beat(clock() - 3600)
    return Intake(office.store, office.registry, town.ring, clock, 3)


def test_third_parties_hear_what_changed_and_that_once(intake: Intake, office: Office, clock: Clock) -> None:
    broker = Publisher(office)
    assert len(broker.turn()) == 4
    assert broker.turn() == []
    alert = Alert(name="sensor", since=stamp(clock()), detail="gone")
    intake.take([say("north", "status", STATUS), say("north", "alert", alert, "sensor")])
    assert [each.topic for each in broker.turn()] == [topics.unit_seen("north")]
    assert (broker.seen("north").state, broker.seen("north").alerts) == ("online", ["sensor"])
    intake.take([say("north", "status", STATUS)])
    assert broker.turn() == [], "numbers are the unit's own topic"
    intake.take([say("north", "info", INFO)])
    assert [each.topic for each in broker.turn()] == [config_topic("homeassistant", "north")]


def test_a_unit_that_died_without_a_will_is_said_to_be_silent(intake: Intake, office: Office, clock: Clock) -> None:
    broker, listening = Publisher(office), clock() - 3600
    intake.take([say("north", "state", b"online"), say("north", "status", STATUS)])
    broker.turn()
    clock.at += SILENT_MS / 1000
    office.watch.beat(listening)
    broker.turn()
    assert broker.seen("north").state == "silent"


def test_a_retired_unit_leaves_no_ghost(intake: Intake, office: Office, clock: Clock) -> None:
    broker = Publisher(office)
    intake.take([say("north", "status", STATUS)])
    broker.turn()
    Admissions(office.store, clock).retire("north")
    broker.turn()
    assert broker.retained[topics.unit_seen("north")] == b""
    assert broker.retained[config_topic("homeassistant", "north")] == b""
    assert broker.retained[config_topic("homeassistant", "south")] != b""


def test_all_is_told_again_to_a_new_broker_and_devices_to_a_new_home_assistant(intake: Intake, office: Office) -> None:
    broker = Publisher(office)
    first = broker.turn()
    broker.units.again()
    assert broker.turn() == first
    broker.units.tell_devices()
    assert {each.topic for each in broker.turn()} == {config_topic("homeassistant", unit) for unit in ("north", "south")}


def test_a_large_fleet_is_told_in_pieces(intake: Intake, office: Office, clock: Clock) -> None:
    for number in range(2 * AT_ONCE):
        Fleet(office.store, clock).add(f"lane-{number}")
    broker = Publisher(office)
    counts = [sum("/device/" in each.topic for each in broker.turn()) for _ in range(4)]
    assert counts == [AT_ONCE, AT_ONCE, 2, 0]


def test_without_the_switch_there_are_no_devices(intake: Intake, office: Office) -> None:
    broker = Publisher(office, "")
    assert {each.topic for each in broker.turn()} == {topics.unit_seen("north"), topics.unit_seen("south")}
    broker.units.tell_devices()
    assert broker.turn() == []
