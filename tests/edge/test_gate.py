"""The gate as physics: what its lines carry, as the world's journal saw it, and what its contacts report."""

import importlib.util
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import count, groupby
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.config import Config, Pins
from edge.drivers.pi_pins import HEADER_DRIVERS, check_release, find_header, open_pi_pins
from edge.drivers.simulated_pins import HIGH_WHEN, OUTPUTS, SimulatedPins
from edge.drivers.world import WorldClient
from edge.gate import INPUT_OF, NORMALLY_CLOSED, Debounce, Gate, GateFault, open_pins
from edge.lane import Arm, Beam, Fire, Input, Light, Relay, Sound, StaffButton, Tamper
from edge.relay import MARGIN_S
from edge.signals import Signal
from healthgate.world import World
from hw.header import HEADER_PIN

WIRING = Path(__file__).parents[2] / "hw" / "wiring.md"
HELD_S = 0.01


class Bench:
    """A simulated gate on the bench, on a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.at = 50.0
        self.world = World(folder / "w")
        self.client = WorldClient(str(folder / "w"), "north")
        self.inputs: queue.SimpleQueue[Input] = queue.SimpleQueue()
        self.factory = SimulatedPins(Pins(), self.client)
        self.gate = Gate(Pins(), self.factory, self.inputs.put, HELD_S, lambda: self.at)
        self._news = threading.Event()
        self._marks = count()
        self.client.on_change(lambda scene: self._news.set())

    def set(self, **changes: object) -> None:
        self._news.clear()
        self.world.set("north", **changes)
        assert self._news.wait(5)

    def tick(self, seconds: float = 2 * HELD_S) -> None:
        """Lets `seconds` pass; the loop wakes before, as it does for any edge, and after."""
        self.gate.tick(self.at)
        self.at += seconds
        self.gate.tick(self.at)

    def told(self) -> list[Input]:
        found = []
        while not self.inputs.empty():
            found.append(self.inputs.get())
        return found

    def levels(self) -> dict[str, float | None]:
        """What all lines carry, once the world has read everything that was journalled so far."""
        mark = next(self._marks)
        self.client.journal({"mark": mark})
        assert self.world.wait_for("north", lambda entry: entry.get("mark") == mark, 5)
        return {name: self.world.level("north", name) for name in OUTPUTS}

    def close(self) -> None:
        self.gate.close()
        self.client.close()
        self.world.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def quiet(bench: Bench) -> Bench:
    """A bench whose first round of inputs has been told."""
    bench.tick()
    bench.told()
    return bench


def test_a_gate_that_wakes_up_drives_nothing(bench: Bench) -> None:
    assert bench.levels() == dict.fromkeys(OUTPUTS, 0)
    claims = [entry["pin"] for entry in bench.world.entries("north") if entry.get("cause") == "claimed"]
    assert claims[0] == "relay"


def test_the_first_thing_told_is_how_every_contact_stands(bench: Bench) -> None:
    bench.set(fire=True)
    bench.tick()
    told = bench.told()
    assert len(told) == 6
    assert Fire(50.0, True) in told, "at its first edge"
    assert Beam(bench.at, False) in told
    assert StaffButton(bench.at, False) in told


def test_the_relay_follows_its_effect(bench: Bench) -> None:
    bench.gate.apply((Relay(True, None),), bench.at)
    assert bench.levels()["relay"] == 1
    bench.gate.apply((Relay(False),), bench.at)
    assert bench.levels()["relay"] == 0
    entry = bench.world.entries("north")[-2]
    assert (entry["pin"], entry["bcm"], entry["value"]) == ("relay", 23, 0)


@pytest.mark.parametrize(
    ("signal", "red", "green", "blue"),
    [(Signal.PASS, 0, 1, 0), (Signal.RED, 1, 0, 0), (Signal.YELLOW, 1, 1, 0), (Signal.READY, 1, 1, 1), (Signal.MEASURING, 0, 0, 1)],
)
def test_the_light_has_the_signals_colour(bench: Bench, signal: Signal, red: int, green: int, blue: int) -> None:
    bench.gate.apply((Light(signal),), bench.at)
    levels = bench.levels()
    assert (levels["led_red"], levels["led_green"], levels["led_blue"]) == (red, green, blue)
    assert levels["relay"] == 0


def test_yellow_blinks_once_a_second(quiet: Bench) -> None:
    quiet.gate.apply((Light(Signal.YELLOW),), quiet.at)
    lit = []
    for _ in range(20):
        quiet.tick(0.1)
        lit.append(quiet.levels()["led_red"])
    assert lit == [1] * 4 + [0] * 5 + [1] * 5 + [0] * 5 + [1]


def test_a_loop_that_sleeps_as_told_plays_the_rhythm(quiet: Bench) -> None:
    quiet.gate.apply((Light(Signal.ALARM),), quiet.at)
    began, mark = quiet.at, quiet.world.mark("north")
    while quiet.at < began + 1:
        quiet.at += quiet.gate.tick(quiet.at)
    quiet.levels()
    flashes = [entry for entry in quiet.world.entries("north", mark) if entry.get("pin") == "led_red" and entry["value"] == 1]
    assert 4 <= len(flashes) <= 5


def test_a_pass_is_one_long_high_tone(quiet: Bench) -> None:
    quiet.gate.apply((Sound(Signal.PASS),), quiet.at)
    assert quiet.levels()["buzzer"] == 0.5
    assert [entry["hz"] for entry in quiet.world.entries("north") if entry.get("hz")] == [1760]
    quiet.tick(0.61)
    assert quiet.levels()["buzzer"] == 0


def test_every_tone_of_a_tune_is_a_tone_of_the_line(quiet: Bench) -> None:
    """The fever's tune rises in three tones without a pause between them."""
    quiet.gate.apply((Sound(Signal.FEVER),), quiet.at)
    end = quiet.at + 0.5
    while quiet.at < end:
        quiet.at += quiet.gate.tick(quiet.at)
    quiet.levels()
    told = [(entry.get("hz"), bool(entry["value"])) for entry in quiet.world.entries("north") if entry.get("pin") == "buzzer"]
    assert [hz for hz, is_on in told if is_on][:3] == [440, 880, 1760]


def test_the_buzzer_is_as_loud_as_whoever_knows_the_hour_says(tmp_path: Path) -> None:
    world = World(tmp_path / "w")
    client = WorldClient(str(tmp_path / "w"), "north")
    volume = {Signal.PASS: 1.0, Signal.RED: 0.5, Signal.INVALID: 0.0, Signal.ALARM: 1.0}
    gate = Gate(Pins(), SimulatedPins(Pins(), client), lambda given: None, HELD_S, lambda: 50.0, volume.__getitem__)
    try:
        for signal in volume:
            gate.apply((Sound(signal),), 50.0)
        client.journal({"mark": 1})
        assert world.wait_for("north", lambda entry: entry.get("mark") == 1, 5)
        played = [entry["value"] for entry in world.entries("north") if entry.get("pin") == "buzzer" and entry.get("cause") is None]
        levels = [level for level, _ in groupby(played)]  # a tone changes before its loudness does
        assert levels == [0.5, pytest.approx(1 / 6), 0, 0.5], "half the sound pressure is a sixth of the time: sin(30 degrees) is one half"
    finally:
        gate.close()
        client.close()
        world.close()


def test_a_call_for_the_guard_that_goes_on_into_the_night_becomes_quieter(tmp_path: Path) -> None:
    world = World(tmp_path / "w")
    client = WorldClient(str(tmp_path / "w"), "north")
    at, volume = 50.0, 1.0
    gate = Gate(Pins(), SimulatedPins(Pins(), client), lambda given: None, HELD_S, lambda: at, lambda _: volume)
    try:
        gate.apply((Sound(Signal.GUARD),), at)
        while at < 60:
            volume = 1.0 if at < 53 else 0.5
            at += gate.tick(at)
        client.journal({"mark": 1})
        assert world.wait_for("north", lambda entry: entry.get("mark") == 1, 5)
        played = [entry["value"] for entry in world.entries("north") if entry.get("pin") == "buzzer" and entry["value"]]
        assert played == [0.5, 0.5, pytest.approx(1 / 6), pytest.approx(1 / 6)]
    finally:
        gate.close()
        client.close()
        world.close()


def test_a_new_signal_ends_the_old_one(quiet: Bench) -> None:
    quiet.gate.apply((Light(Signal.ALARM), Sound(Signal.ALARM)), quiet.at)
    quiet.gate.apply((Light(Signal.PASS), Sound(Signal.READY)), quiet.at)
    assert quiet.levels() == {"relay": 0, "led_red": 0, "led_green": 1, "led_blue": 0, "buzzer": 0}


@pytest.mark.parametrize("name", INPUT_OF)
def test_every_contact_is_heard(quiet: Bench, name: str) -> None:
    kind, began = INPUT_OF[name], quiet.at
    quiet.set(**{name: True})
    quiet.tick()
    assert quiet.told() == [kind(began if name == "fire" else quiet.at, True)]
    quiet.set(**{name: False})
    quiet.tick()
    assert quiet.told() == [kind(quiet.at, False)]


def test_a_bounce_is_not_a_press() -> None:
    told: list[tuple[float, bool]] = []
    contact = Debounce(0.01, lambda at, level: told.append((at, level)))
    contact.edge(0.0, False)
    contact.tick(0.02)
    for number in range(8):
        contact.edge(0.1 + number * 0.001, number % 2 == 0)
    contact.edge(0.108, False)
    contact.tick(0.2)
    assert told == [(0.02, False)]
    for number in range(9):
        contact.edge(0.3 + number * 0.001, number % 2 == 0)
    contact.tick(0.317)
    assert told == [(0.02, False)]
    contact.tick(0.319)
    assert told == [(0.02, False), (0.319, True)]


def test_a_beam_broken_between_two_ticks_is_not_missed() -> None:
    told: list[tuple[float, bool]] = []
    beam = Debounce(0.01, lambda at, level: told.append((at, level)))
    beam.edge(0.0, False)
    beam.tick(0.05)
    beam.edge(0.06, True)
    beam.edge(0.08, False)
    beam.tick(0.10)
    assert told == [(0.05, False), (0.08, True), (0.10, False)]


def test_a_cut_cable_is_a_fire_alarm_and_an_open_housing_but_no_button(quiet: Bench) -> None:
    gone = threading.Event()
    quiet.client.on_lost(gone.set)
    quiet.world.close()
    assert gone.wait(5)
    began = quiet.at
    quiet.tick()
    told = {type(one): one for one in quiet.told()}
    assert told == {
        Beam: Beam(quiet.at, True),
        Arm: Arm(quiet.at, True),
        Fire: Fire(began, True),
        Tamper: Tamper(quiet.at, True),
    }


def test_a_gate_whose_hardware_is_gone_says_so(quiet: Bench) -> None:
    quiet.world.close()
    gone = threading.Event()
    quiet.client.on_lost(gone.set)
    assert gone.wait(5)
    with pytest.raises(GateFault, match="does not answer"):
        quiet.gate.apply((Light(Signal.FIRE),), quiet.at)
    quiet.gate.apply((Relay(True, None),), quiet.at)
    assert not quiet.gate._relay.value, "the fire loop is cut, too"
    quiet.gate.apply((Relay(False),), quiet.at)


FALLS_WITHIN_S = 0.2
"""What hw/wiring.md's reader may rely on, whatever the loop is doing."""


class HeldUp:
    """A gate on the real clock whose loop does nothing at all."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder / "w")
        self.client = WorldClient(str(folder / "w"), "north")
        self.inputs: queue.SimpleQueue[Input] = queue.SimpleQueue()
        self.gate = Gate(Pins(), SimulatedPins(Pins(), self.client), self.inputs.put, HELD_S)

    def energise(self, limit_s: float | None) -> None:
        self.gate.apply((Relay(True, limit_s),), time.monotonic())

    def fall(self, limit_s: float) -> dict[str, Any] | None:
        """The journal's line of the relay's fall, if it comes within `limit_s`."""

        def falls(entry: dict[str, Any]) -> bool:
            return entry.get("pin") == "relay" and entry["value"] == 0 and "cause" not in entry

        return self.world.wait_for("north", falls, limit_s)

    def close(self) -> None:
        self.gate.close()
        self.client.close()
        self.world.close()


@pytest.fixture
def held_up(tmp_path: Path) -> Iterator[HeldUp]:
    held_up = HeldUp(tmp_path)
    yield held_up
    held_up.close()


@pytest.mark.parametrize("limit_s", [0.1, 5.0, None])
def test_the_relay_falls_at_fire_while_the_loop_is_held_up(held_up: HeldUp, limit_s: float | None) -> None:
    held_up.energise(limit_s)
    began = time.monotonic()
    held_up.world.set("north", fire=True)
    fell = held_up.fall(5)
    assert fell is not None
    assert fell["at"] - began < FALLS_WITHIN_S
    assert isinstance(held_up.inputs.get(timeout=5), Fire)


def test_a_pulse_ends_while_the_loop_is_held_up(held_up: HeldUp) -> None:
    began = time.monotonic()
    held_up.energise(0.3)
    fell = held_up.fall(5)
    assert fell is not None
    lasted = fell["at"] - began
    assert 0.3 <= lasted < 0.3 + MARGIN_S + FALLS_WITHIN_S
    assert held_up.gate.cut == 1


def test_a_second_grant_within_the_pulse_makes_it_longer_and_free_has_no_end(held_up: HeldUp) -> None:
    held_up.energise(0.1)
    held_up.energise(0.5)
    assert held_up.fall(0.4) is None
    held_up.energise(None)
    assert held_up.fall(0.8) is None
    held_up.gate.apply((Relay(False),), time.monotonic())
    assert held_up.fall(5) is not None
    assert held_up.gate.cut == 0


def test_a_limit_that_was_forgotten_is_no_time_at_all(held_up: HeldUp) -> None:
    held_up.gate.apply((Relay(True),), time.monotonic())
    assert held_up.fall(5) is not None


def test_nothing_energises_the_relay_while_the_fire_loop_is_open(quiet: Bench) -> None:
    quiet.set(fire=True)
    quiet.gate.apply((Relay(True, None),), quiet.at)
    quiet.set(fire=False)
    quiet.gate.apply((Relay(True, None),), quiet.at)
    assert quiet.levels()["relay"] == 0, "the loop has not seen the end of the fire yet"
    assert quiet.gate.barred == 2
    quiet.tick()
    assert quiet.told() == [Fire(50.02, True), Fire(quiet.at, False)]
    quiet.gate.apply((Relay(True, None),), quiet.at)
    assert quiet.levels()["relay"] == 1


def test_a_fire_loop_that_is_open_from_the_start_bars_the_relay(tmp_path: Path) -> None:
    with World(tmp_path / "p") as world:
        world.set("north", fire=True)
        client = WorldClient(str(tmp_path / "p"), "north")
        gate = Gate(Pins(), SimulatedPins(Pins(), client), lambda given: None)
        gate.apply((Relay(True, None),), 0.0)
        assert gate.barred == 1
        gate.close()
        client.close()


def test_a_fire_loop_that_opens_for_less_than_a_bounce_is_fire_all_the_same() -> None:
    told: list[tuple[float, bool]] = []
    loop = Debounce(0.01, lambda at, level: told.append((at, level)), at_once=True)
    loop.edge(0.0, False)
    loop.tick(0.02)
    for at, level in ((0.1, True), (0.101, False), (0.105, True), (0.106, False), (0.115, False)):
        loop.edge(at, level)
    assert told == [(0.02, False), (0.1, True)]
    loop.tick(0.117)
    assert told == [(0.02, False), (0.1, True), (0.117, False)]


def test_closing_lets_the_relay_fall_first(bench: Bench) -> None:
    bench.gate.apply((Light(Signal.PASS), Sound(Signal.PASS), Relay(True, None)), bench.at)
    mark = bench.world.mark("north")
    bench.gate.close()
    assert bench.levels() == dict.fromkeys(OUTPUTS, 0)
    falls = [entry["pin"] for entry in bench.world.entries("north", mark) if entry.get("value") == 0 and "cause" not in entry]
    assert falls[0] == "relay"
    bench.gate.close()


def test_pins_may_be_others_than_the_usual(tmp_path: Path) -> None:
    with World(tmp_path / "p") as world:
        client = WorldClient(str(tmp_path / "p"), "north")
        pins = Pins(relay=12, beam=19)
        gate = Gate(pins, SimulatedPins(pins, client), lambda given: None)
        gate.apply((Relay(True, None),), 0.0)
        entry = world.wait_for("north", lambda one: one.get("pin") == "relay" and one["value"] == 1, 5)
        assert entry is not None
        assert entry["bcm"] == 12
        gate.close()
        client.close()


def test_a_pin_that_is_taken_leaves_the_relay_off(tmp_path: Path) -> None:
    with World(tmp_path / "p") as world:
        client = WorldClient(str(tmp_path / "p"), "north")
        with pytest.raises(GateFault, match="GPIO23"):
            Gate(Pins(beam=23), SimulatedPins(Pins(), client), lambda given: None)
        assert world.wait_for("north", lambda one: one.get("cause") == "released", 5)
        assert world.level("north", "relay") == 0
        client.close()


def test_the_wiring_of_the_simulation_and_of_the_gate_agree() -> None:
    assert set(HIGH_WHEN) == set(INPUT_OF)
    assert {name for name, high in HIGH_WHEN.items() if high} == NORMALLY_CLOSED


def test_simulated_pins_are_never_a_fallback() -> None:
    simulated = Config(unit="north", hardware="simulated", data="/d", roots=("r",), world="/w")
    with pytest.raises(GateFault, match="expected a connection to the world"):
        open_pins(simulated, None)


CHIPS = [(0, "pinctrl-rp1"), (10, "gpio-brcmstb@107d508500"), (11, "gpio-brcmstb@107d517c00")]


def test_the_header_is_found_by_its_label_wherever_the_kernel_put_it() -> None:
    assert find_header(CHIPS) == 0
    assert find_header([(4, "pinctrl-rp1"), (0, "gpio-brcmstb@107d508500")]) == 4
    assert find_header([(0, "pinctrl-bcm2711"), (1, "raspberrypi-exp-gpio")]) == 0


@pytest.mark.parametrize("labels", [[], CHIPS[1:], [(0, "pinctrl-rp1"), (4, "pinctrl-rp1")]])
def test_a_header_that_is_not_found_locks_the_gate(labels: list[tuple[int, str]]) -> None:
    with pytest.raises(GateFault, match="expected one chip labelled pinctrl-bcm2711 or"):
        find_header(labels)


@pytest.mark.parametrize("driver", HEADER_DRIVERS)
def test_a_kernel_that_leaves_a_killed_units_relay_on_locks_the_gate(tmp_path: Path, driver: str) -> None:
    check_release(tmp_path)
    file = tmp_path / driver / "parameters" / "persist_gpio_outputs"
    file.parent.mkdir(parents=True)
    file.write_text("N\n")
    check_release(tmp_path)
    file.write_text("Y\n")
    with pytest.raises(GateFault, match="expected dtparam=strict_gpiod in config"):
        check_release(tmp_path)


needs_lgpio = pytest.mark.skipif(importlib.util.find_spec("lgpio") is None, reason="lgpio is not installed for this Python")


@needs_lgpio
def test_a_machine_that_is_no_pi_says_so() -> None:
    with pytest.raises(GateFault, match="no gpiochip at all"):
        open_pi_pins(labels=lambda lgpio: [])


IMPORT_LGPIO = """
import os
from edge.drivers.pi_pins import import_lgpio
print(import_lgpio().__name__, os.getcwd(), os.environ.get("LG_WD"))
"""


@needs_lgpio
def test_importing_lgpio_leaves_no_pipe_and_no_other_directory(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", IMPORT_LGPIO],
        cwd=tmp_path,
        env={"PYTHONPATH": str(WIRING.parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["lgpio", str(tmp_path), "None"]
    assert list(tmp_path.iterdir()) == []


def test_the_wiring_page_has_the_pins_of_the_configuration() -> None:
    rows = [line.split("|")[1:-1] for line in WIRING.read_text().splitlines() if line.startswith("| `")]
    table = {row[0].strip().strip("`"): row[1].strip() for row in rows if row[1].strip().split()[0].isdigit()}
    assert table == {signal: f"{bcm} ({HEADER_PIN[bcm]})" for signal, bcm in msgspec.structs.asdict(Pins()).items()}


def test_the_firmware_holds_the_relay_low_and_the_kernel_lets_go_of_it() -> None:
    lines = (WIRING.parents[1] / "deploy" / "config.txt").read_text().splitlines()
    assert f"gpio={Pins().relay}=op,dl" in lines
    assert "dtparam=strict_gpiod" in lines
    page = set(re.findall(r"^\| `([^`]+)` \| [^|]+ \|$", WIRING.read_text(), re.MULTILINE))
    assert {line for line in lines if line and not line.startswith("#")} <= page


def test_the_wiring_page_has_the_polarity_of_the_gate() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in WIRING.read_text().splitlines() if line.startswith("| `")]
    contacts = {row[0].strip("`"): row[2] for row in rows if row[0].strip("`") in INPUT_OF}
    assert {name for name, what in contacts.items() if what.startswith("in, normally closed")} == NORMALLY_CLOSED
    assert {name for name, what in contacts.items() if what.startswith("in, normally open")} == set(INPUT_OF) - NORMALLY_CLOSED
