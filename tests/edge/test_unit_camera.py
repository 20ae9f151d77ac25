"""What the unit makes of a camera's news: hold steady, quality figures, restarts of the reader, and alerts by name."""

from __future__ import annotations

from edge.feeds import Device, DeviceBack, DeviceLost, Obstructed
from edge.scan import Glimpse
from edge.scan_child import ReaderLost
from edge.signals import Signal
from healthcode.messages import UnitEvent
from healthcode.terms import Decision, Reason, Status
from tests.edge.unit_bench import Bench

ASHA, BO = 7, 8
PASSED = (Decision.ADMIT, Reason.GREEN)


def glimpse(bench: Bench, frames: int, gap_s: float = 0.07) -> None:
    for _ in range(frames):
        bench.at += gap_s
        bench.give(Glimpse(bench.at))


def test_a_code_that_is_located_and_not_read_asks_to_hold_steady(bench: Bench) -> None:
    after = bench.config.camera.steady_after
    glimpse(bench, after - 1)
    lights = [bench.unit.state.light]
    glimpse(bench, 1)
    assert [*lights, bench.unit.state.light] == [Signal.READY, Signal.MEASURING]
    assert bench.verdicts() == []
    assert bench.pulses() == 0


def test_glimpses_with_pauses_between_them_ask_for_nothing(bench: Bench) -> None:
    glimpse(bench, 20, gap_s=1.5)
    assert bench.unit.state.light is Signal.READY


def test_what_is_glimpsed_for_ever_asks_once(bench: Bench) -> None:
    glimpse(bench, 400)
    assert bench.unit.state.light is Signal.READY


def test_the_event_tells_how_many_frames_it_took(bench: Bench) -> None:
    glimpse(bench, 6)
    bench.see(bench.code(ASHA))
    bench.measure(samples=2)
    bench.see(bench.code(ASHA))
    bench.measure(samples=1)
    bench.walk()
    bench.leave()
    bench.show(bench.code(BO))
    bench.leave()
    first, second = bench.passes()
    assert (first.frames, first.glimpses) == (8, 6)
    assert (second.frames, second.glimpses) == (1, 0)


def test_glimpses_of_long_ago_are_not_this_person_s(bench: Bench) -> None:
    glimpse(bench, 6)
    bench.wait(2.0)
    bench.show(bench.code(ASHA))
    (event,) = bench.passes()
    assert (event.frames, event.glimpses) == (1, 0)


def test_a_red_light_is_not_painted_over_by_glimpses(bench: Bench) -> None:
    bench.change(ASHA, Status.RED)
    bench.see(bench.code(ASHA))
    glimpse(bench, 20, gap_s=0.05)
    assert bench.unit.state.light is Signal.RED


def test_the_next_person_s_code_is_held_up_all_the_while_and_taken_up_when_the_grant_is_over(bench: Bench) -> None:
    bench.show(bench.code(ASHA))
    for _ in range(10):
        bench.see(bench.code(ASHA))
        bench.see(bench.code(BO))
        bench.sample()
    assert bench.verdicts() == [PASSED]
    bench.walk()
    for _ in range(10):
        bench.see(bench.code(BO))
        bench.sample()
    assert bench.verdicts() == [PASSED, PASSED]
    assert [passed.index for passed in bench.passes()] == [ASHA, BO]


def test_a_reader_that_was_replaced_is_an_event(bench: Bench) -> None:
    bench.give(ReaderLost("no answer within 500 ms", bench.at, 0.003))
    (event,) = [event for event in bench.disk.events() if isinstance(event, UnitEvent) and event.what == "reader_restarted"]
    assert event.detail == "no answer within 500 ms"
    bench.show(bench.code(ASHA))
    assert bench.verdicts() == [PASSED]


def test_what_is_wrong_with_the_camera_has_a_name(bench: Bench) -> None:
    bench.give(DeviceBack(Device.CAMERA, bench.at))
    assert bench.unit.troubles == {}
    bench.give(DeviceLost(Device.CAMERA, "the camera is in use by another program", bench.at, "camera_busy"))
    assert bench.unit.troubles == {"camera_busy": "the camera is in use by another program"}
    bench.give(DeviceLost(Device.CAMERA, "there is no such camera", bench.at, "camera_missing"))
    assert bench.unit.troubles == {"camera_missing": "there is no such camera"}
    bench.give(DeviceLost(Device.SENSOR, "NO_ANSWER: no answer", bench.at))
    assert set(bench.unit.troubles) == {"camera_missing", "sensor"}
    bench.give(DeviceBack(Device.CAMERA, bench.at))
    bench.give(DeviceBack(Device.SENSOR, bench.at))
    assert bench.unit.troubles == {}
    events = [event.what for event in bench.disk.events() if isinstance(event, UnitEvent)]
    assert events == ["started", "camera_lost", "sensor_lost", "camera_back", "sensor_back"]


def test_a_poster_in_the_way_is_an_alert_and_people_pass_all_the_same(bench: Bench) -> None:
    bench.give(Obstructed(True, bench.at))
    assert list(bench.unit.troubles) == ["obstructed"]
    bench.show(bench.code(ASHA))
    assert bench.verdicts() == [PASSED]
    bench.give(Obstructed(False, bench.at))
    assert bench.unit.troubles == {}
