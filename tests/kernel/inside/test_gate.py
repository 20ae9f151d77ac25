"""The gate's outputs and inputs through gpiozero and lgpio on the kernel's own GPIO code, timed by the kernel."""

from __future__ import annotations

import queue
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from edge.__main__ import LONGEST_WAIT_S
from edge.config import Pins
from edge.drivers.pi_pins import open_pi_pins
from edge.gate import INPUT_OF, NORMALLY_CLOSED, Gate
from edge.lane import Fire, Input, Light, Relay, Sound
from edge.loudness import duty_of
from edge.signals import SILENT, TABLE, Pattern, Signal
from tests.kernel.analyser import Phase, duty, heard, pitch, promised, seen
from tests.kernel.header import Header

V = TypeVar("V")

PINS = Pins()
LAMPS = (PINS.led_red, PINS.led_green, PINS.led_blue)
TOLERANCE = 0.1
SHORT_S = 1.5
LIMIT_S = 5.0
ROUNDS = 5
AUDIBLE_S = 0.05
"""A tone that is shorter has too few periods to tell its height."""
BEYOND_S = 0.04
"""How long a signal is watched beyond the end of its pattern, so that what follows is seen to begin."""


class Bench:
    """A gate on the header's pins, with all contacts as they are while all is well. It is given time only by `run`."""

    def __init__(self, factory: Any, header: Header, debounce_s: float = 0.01, volume: float = 1.0) -> None:
        self.header = header
        self.inputs: queue.SimpleQueue[Input] = queue.SimpleQueue()
        self.gate = Gate(PINS, factory, self.inputs.put, debounce_s, loudness=lambda signal: volume)
        for name in INPUT_OF:
            self.put(name, False)
        self.run(0.1)
        header.changes()

    def put(self, name: str, active: bool) -> None:
        """Makes an input report `active`: opens a normally closed contact, closes a button."""
        self.header.pull(getattr(PINS, name), int(active is (name in NORMALLY_CLOSED)))

    def run(self, seconds: float) -> list[Input]:
        """The loop of a unit for so long; what the inputs told in that time."""
        end = time.monotonic() + seconds
        told = []
        while (at := time.monotonic()) < end:
            try:
                told.append(self.inputs.get(timeout=min(LONGEST_WAIT_S, self.gate.tick(at))))
            except queue.Empty:
                continue
        return told


@pytest.fixture(scope="session")
def factory(header: Header) -> Any:
    """One for all: a second one would find lgpio's thread, which tells of edges, ended by the first one's close."""
    return open_pi_pins()


@pytest.fixture
def bench(factory: Any, header: Header, request: pytest.FixtureRequest) -> Iterator[Bench]:
    made = Bench(factory, header, getattr(request, "param", 0.01))
    yield made
    made.gate.close()


def length(pattern: Pattern[Any]) -> float:
    """How long a pattern must be watched to be known, seconds: a short one twice."""
    once = sum(seconds for _, seconds in pattern.steps)
    if len(pattern.steps) == 1 and pattern.repeat:
        return 0.0
    return 2 * once if pattern.repeat and once < SHORT_S else once


class Rounds(Generic[V]):
    """What was seen, or heard, of one pattern each time that it was played."""

    def __init__(self, pattern: Pattern[V], seconds: float) -> None:
        self._wanted = promised(pattern, seconds)
        self._whole: list[list[Phase[V]]] = []
        self._other: list[list[V]] = []

    def add(self, phases: list[Phase[V]]) -> None:
        """One more time. Where the host was busy a short step may be missing: such a round says nothing about the others."""
        values = [phase.value for phase in phases]
        if values == [phase.value for phase in self._wanted]:
            self._whole.append(phases)
        else:
            self._other.append(values)

    def wrong(self) -> str:
        """What is not as promised, in the middle of all turns of each step; "" for nothing."""
        if not self._whole:
            return f"{self._other}: expected {[phase.value for phase in self._wanted]}"
        shares: dict[int, list[float]] = defaultdict(list)
        for phases in self._whole:
            for phase, promise in zip(phases[:-1], self._wanted[:-1], strict=True):
                shares[promise.step].append(phase.seconds / promise.seconds - 1)
        middle = {step: round(statistics.median(each), 3) for step, each in shares.items()}
        return str(middle) if any(abs(share) > TOLERANCE for share in middle.values()) else ""


@pytest.mark.parametrize("signal", Signal)
def test_a_signal_is_shown_and_heard_as_the_table_promises(bench: Bench, signal: Signal) -> None:
    """Played until it is right, a few times at most: a busy host disturbs one round or two, a gate that is wrong is wrong in all."""
    row = TABLE[signal]
    seconds = max(length(row.light), length(row.sound)) + BEYOND_S
    lights, sounds = Rounds(row.light, seconds), Rounds(row.sound, seconds)
    pitches: dict[int, list[float]] = {tone: [] for tone, _ in row.sound.steps if tone != SILENT}
    for _ in range(ROUNDS):
        levels = {bcm: bench.header.level(bcm) for bcm in LAMPS}
        began = time.monotonic()
        bench.gate.apply([Light(signal), Sound(signal)], began)
        bench.run(seconds)
        changes = bench.header.changes()
        lights.add(seen(changes, LAMPS, levels, began, began + seconds))
        tones = heard(changes, PINS.buzzer, began, began + seconds)
        sounds.add(tones)
        for phase in tones:
            if phase.value in pitches and phase.seconds > AUDIBLE_S:
                pitches[phase.value].append(pitch(changes, PINS.buzzer, phase) / phase.value - 1)
        heights = {tone: round(statistics.median(each), 3) if each else None for tone, each in pitches.items()}
        wrong = [lights.wrong(), sounds.wrong()]
        wrong += [f"{tone} Hz: {share}" for tone, share in heights.items() if share is None or abs(share) > TOLERANCE]
        if not any(wrong):
            return
    assert not any(wrong), wrong


@pytest.mark.parametrize("volume", [0.0, 0.2, 0.5, 1.0])
def test_a_quieter_buzzer_has_shorter_pulses_and_a_silent_one_none(factory: Any, header: Header, volume: float) -> None:
    bench = Bench(factory, header, volume=volume)
    expected = pytest.approx(duty_of(volume), rel=TOLERANCE)
    found: list[float] = []
    while len(found) < ROUNDS and (not found or statistics.median(found) != expected):  # a busy host lengthens single pauses
        bench.gate.apply([Sound(Signal.INVALID)], time.monotonic())
        bench.run(0.7)
        found.append(duty(header.changes(), PINS.buzzer))
    bench.gate.close()
    assert statistics.median(found) == expected, found


@pytest.mark.parametrize("bench", [0.0], indirect=True)
@pytest.mark.parametrize("name", INPUT_OF)
def test_an_input_tells_of_both_its_edges_by_itself(bench: Bench, name: str) -> None:
    """Nothing but the kernel's own events: the loop, which would ask the lines, does not run."""
    for active in (True, False, True, False):
        put_at = time.monotonic()
        bench.put(name, active)
        told = bench.inputs.get(timeout=LIMIT_S)
        assert told == INPUT_OF[name](told.at, active)
        assert 0 <= told.at - put_at < 0.05
    assert bench.inputs.empty()


def test_a_level_that_does_not_hold_is_told_to_nobody_and_one_that_does_once(bench: Bench) -> None:
    for _ in range(3):
        bench.put("beam", True)
        bench.put("beam", False)
    assert bench.run(0.1) == []
    bench.put("beam", True)
    (told,) = bench.run(0.1)
    assert told == INPUT_OF["beam"](told.at, True)


def test_the_relay_s_line_follows_and_falls_at_the_end_of_its_time_without_the_loop(bench: Bench) -> None:
    for _ in range(3):
        bench.gate.apply([Relay(True, 0.5)], time.monotonic())
        rise = bench.header.wait_for(PINS.relay, 1, LIMIT_S)
        assert bench.header.level(PINS.relay) == 1
        fall = bench.header.wait_for(PINS.relay, 0, LIMIT_S)
        assert fall.at - rise.at == pytest.approx(0.6, rel=TOLERANCE), "the pulse, and the relay's own margin of 0.1 s"
    assert bench.gate.cut == 3


def test_an_open_fire_loop_lets_the_relay_fall_on_the_pins_own_thread(bench: Bench) -> None:
    bench.gate.apply([Relay(True, None)], time.monotonic())
    assert bench.header.wait_for(PINS.relay, 1, LIMIT_S)
    opened_at = time.monotonic()
    bench.put("fire", True)
    assert bench.header.wait_for(PINS.relay, 0, LIMIT_S).at - opened_at < 0.05
    assert bench.inputs.get(timeout=LIMIT_S).__class__ is Fire
    bench.gate.apply([Relay(True, 1.0)], time.monotonic())
    assert bench.header.level(PINS.relay) == 0


def test_all_outputs_are_low_when_the_gate_is_given_back(factory: Any, header: Header) -> None:
    bench = Bench(factory, header)
    bench.gate.apply([Relay(True, None), Light(Signal.READY), Sound(Signal.ALARM)], time.monotonic())
    bench.run(0.1)
    assert [header.level(bcm) for bcm in (PINS.relay, *LAMPS)] == [1, 1, 1, 1]
    bench.gate.close()
    assert [header.level(bcm) for bcm in (PINS.relay, PINS.buzzer, *LAMPS)] == [0] * 5


def test_the_header_is_found_by_its_label_and_no_other_chip_is_touched(bench: Bench) -> None:
    assert (bench.header.other, bench.header.chip) == ("gpiochip0", "gpiochip1")
    kernel = Path("/sys/kernel/debug/gpio").read_text()
    assert "gpio-" not in kernel.split("gpiochip0: ")[1].split("gpiochip1: ")[0].replace("gpio-of", "").replace("gpio-sim", "")
