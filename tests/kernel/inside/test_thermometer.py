"""The thermometer through smbus2, on a bus whose PEC the kernel computes and checks: what is read, and what comes of what goes wrong."""

from __future__ import annotations

import queue
import time

import pytest

from edge.config import Sensor
from edge.feeds import Device, DeviceBack, DeviceLost, Fed, Sample, SensorFeed
from edge.screening import Reading, SensorFault, SensorFaultKind
from edge.thermal import Bus, Thermometer, open_bus
from tests.kernel import sensor
from tests.kernel.sensor import Fault

pytestmark = pytest.mark.usefixtures("thermometer")

EXACT = Sensor(bus=sensor.BUS, supply_v=3.0, emissivity=1.0)
"""Nothing to correct: what the registers hold is what is read."""
LIMIT_S = 5.0
UNPLUGGED_S = 5.0


def opened(config: Sensor = EXACT) -> Thermometer:
    bus = open_bus(config.bus)
    assert not isinstance(bus, SensorFault), bus
    return Thermometer(bus, config, time.monotonic(), powered_s=3600.0)


@pytest.mark.parametrize(("word", "skin_c"), [(0x3AD2, 28.01), (0x3C7A, 36.49), (0x3CA2, 37.29), (0x3CC5, 37.99)])
def test_words_come_through_with_their_checksum(word: int, skin_c: float) -> None:
    """The words whose checksums the reference lists. A word and its checksum that do not fit would be no reading."""
    sensor.set_noise(False)
    sensor.show(0x3A26, word)
    thermometer = opened()
    found = thermometer.read(time.monotonic())
    thermometer.close()
    assert isinstance(found, Reading)
    assert found.skin_c == pytest.approx(skin_c, abs=0.005)
    assert found.ambient_c == pytest.approx(0x3A26 / 50 - 273.15)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.UNPLUGGED, SensorFaultKind.NO_ANSWER),
        (Fault.WRONG_PEC, SensorFaultKind.BAD_PEC),
        (Fault.TIMEOUT, SensorFaultKind.TIMEOUT),
        (Fault.ERROR_FLAG, SensorFaultKind.ERROR_FLAG),
    ],
)
def test_what_goes_wrong_is_a_fault_after_three_tries_and_never_a_temperature(fault: Fault, kind: SensorFaultKind) -> None:
    thermometer = opened()
    assert isinstance(thermometer.read(time.monotonic()), Reading)
    sensor.break_with(fault)
    before = sensor.transfers()
    found = thermometer.read(time.monotonic())
    assert isinstance(found, SensorFault)
    assert found.kind is kind
    assert sensor.transfers() - before == EXACT.tries
    sensor.break_with(Fault.NONE)
    assert isinstance(thermometer.read(time.monotonic()), Reading)
    thermometer.close()


def test_without_pec_the_kernel_hands_over_a_damaged_word_and_with_it_none() -> None:
    """What the checksum is for: the same damaged transfer, asked without and with it."""
    bus: Bus | SensorFault = open_bus(sensor.BUS)
    assert not isinstance(bus, SensorFault)
    sensor.break_with(Fault.WRONG_PEC)
    assert bus.read_word_data(EXACT.address, 0x06) == sensor.word(23.0)
    bus.pec = 1
    with pytest.raises(OSError, match="Errno 74"):
        bus.read_word_data(EXACT.address, 0x06)
    bus.close()


def test_a_word_that_never_moves_is_a_frozen_sensor() -> None:
    sensor.set_noise(False)
    bus = open_bus(sensor.BUS)
    thermometer = Thermometer(bus, EXACT, time.monotonic(), powered_s=3600.0, pause=lambda seconds: None)
    found = [thermometer.read(time.monotonic()) for _ in range(EXACT.frozen_reads)]
    thermometer.close()
    assert all(isinstance(each, Reading) for each in found[:-1])
    assert isinstance(found[-1], SensorFault)
    assert found[-1].kind is SensorFaultKind.FROZEN


def test_a_sensor_that_was_unplugged_for_five_seconds_is_lost_then_back_and_cold() -> None:
    told: queue.SimpleQueue[Fed] = queue.SimpleQueue()
    feed = SensorFeed(opened(), EXACT.quiet_s, told.put)
    feed.start()
    try:
        assert until(told, DeviceBack, LIMIT_S)
        unplugged_at = time.monotonic()
        sensor.break_with(Fault.UNPLUGGED)
        lost = until(told, DeviceLost, LIMIT_S)
        assert isinstance(lost, DeviceLost)
        assert lost.device is Device.SENSOR
        assert "no_answer" in lost.detail.lower()
        assert lost.at - unplugged_at < 1.0
        samples = []
        while time.monotonic() < unplugged_at + UNPLUGGED_S:
            item = told.get(timeout=LIMIT_S)
            assert isinstance(item, Sample), item
            samples.append(item)
        assert len(samples) >= 15, "it is asked again and again"
        assert all(isinstance(sample.found, SensorFault) for sample in samples)
        sensor.break_with(Fault.NONE)
        plugged_at = time.monotonic()
        assert isinstance(until(told, DeviceBack, LIMIT_S), DeviceBack)
        back = until(told, Sample, LIMIT_S)
        assert isinstance(back, Sample)
        assert isinstance(back.found, Reading)
        assert back.found.at - plugged_at < 1.0
        assert back.sensor.powered_s < 1.0, "its warm-up starts again: it had no power"
    finally:
        feed.stop()


def until(told: queue.SimpleQueue[Fed], kind: type[Fed], limit_s: float) -> Fed:
    """The next item of a kind."""
    limit = time.monotonic() + limit_s
    while not isinstance(item := told.get(timeout=max(0.001, limit - time.monotonic())), kind):
        pass
    return item
