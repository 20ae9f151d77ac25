"""The thermometer as physics: registers behind a simulated bus, corrected to temperatures, and never a number from a fault."""

import errno
import statistics
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.calibration import Calibration, Kept, Unreadable
from edge.config import ConfigError, Sensor, parse
from edge.drivers.simulated_sensor import IDENTITY, SimulatedBus, pec, wire_read
from edge.drivers.world import WorldClient
from edge.mlx90614 import AMBIENT, OBJECT, PARTS, PartName, correct_emissivity, seen_of
from edge.sensor_files import PowerFile
from edge.thermal import Reading, SensorFault, SensorFaultKind, Thermometer, open_bus
from healthgate.world import World

VECTORS = [(0x07, 0x3AD2, 0x30), (0x07, 0x3C7A, 0x92), (0x07, 0x3CA2, 0x80), (0x07, 0x3CC5, 0x1E), (0x06, 0x3A26, 0x66)]
"""Register, word, PEC: computed from the polynomial, the first from the datasheet's example."""


@pytest.mark.parametrize(("register", "word", "code"), VECTORS)
def test_the_packet_error_code_of_known_words(register: int, word: int, code: int) -> None:
    assert wire_read(register, word) == bytes((word & 0xFF, word >> 8, code))


def test_a_floating_bus_has_the_wrong_packet_error_code() -> None:
    assert wire_read(0x07, 0xFFFF)[2] == 0x22


def test_the_sleep_command_of_the_datasheet() -> None:
    assert pec(bytes((0xB4, 0xFF))) == 0xE8


@given(st.integers(0, 0xFFFF), st.integers(0, 23))
def test_every_flipped_bit_changes_the_packet_error_code(word: int, bit: int) -> None:
    wire = bytearray(wire_read(0x07, word))
    wire[bit // 8] ^= 1 << bit % 8
    assert wire[2] != pec(bytes((0xB4, 0x07, 0xB5, wire[0], wire[1])))


@pytest.mark.parametrize(("ambient", "expected"), [(25.0, 0.18), (5.0, 0.51)])
def test_skin_is_not_quite_black(ambient: float, expected: float) -> None:
    assert correct_emissivity(34.0, ambient, 0.98) - 34.0 == pytest.approx(expected, abs=0.01)


@given(st.floats(20, 45), st.floats(-10, 45), st.floats(0.8, 1.0))
def test_what_is_seen_of_a_surface_leads_back_to_it(surface: float, ambient: float, emissivity: float) -> None:
    assert correct_emissivity(seen_of(surface, ambient, emissivity), ambient, emissivity) == pytest.approx(surface, abs=1e-6)


NOW = 1_600_000_000.0
DAY_S = 86_400.0
WORDS = "".join(f"{word:04x}" for word in IDENTITY.values())


def calibration(sensor: str = WORDS, offset_c: float = 0.3, days_ago: float = 10) -> Calibration:
    return Calibration(sensor, offset_c, 24.0, 3.3, datetime.fromtimestamp(NOW - days_ago * DAY_S, UTC), "Guard Wang")


class Stage:
    """A world with one unit, its sensor on a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.world = World(folder / "w")
        self.client = WorldClient(str(folder / "w"), "north")
        self.news = threading.Event()
        self.bus = SimulatedBus(self.client, seed=7, clock=lambda: self.now)
        self.client.on_change(lambda scene: self.news.set())

    def thermometer(self, kept: Kept = None, power: PowerFile | None = None, **changes: object) -> Thermometer:
        config = Sensor(**changes)  # type: ignore[arg-type]
        powered_s = self.client.scene.powered_s
        return Thermometer(self.bus, config, self.now, powered_s, self.pass_time, calibration=kept, wall=lambda: NOW, power=power)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    def set(self, **changes: object) -> None:
        self.news.clear()
        self.world.set("north", **changes)
        assert self.news.wait(5)

    def close(self) -> None:
        self.client.close()
        self.world.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


def read(stage: Stage, thermometer: Thermometer, after: float = 0.28) -> Reading | SensorFault:
    stage.pass_time(after)
    return thermometer.read(stage.now)


def skin(stage: Stage, thermometer: Thermometer) -> float:
    readings = [read(stage, thermometer) for _ in range(20)]
    return statistics.mean(one.skin_c for one in readings if isinstance(one, Reading))


def fault(stage: Stage, thermometer: Thermometer) -> SensorFaultKind:
    found = read(stage, thermometer)
    assert isinstance(found, SensorFault), found
    return found.kind


def test_a_forehead_is_read_as_warm_as_it_is(stage: Stage) -> None:
    thermometer = stage.thermometer()
    stage.set(skin_c=34.5, ambient_c=25.0)
    stage.pass_time(1)
    assert skin(stage, thermometer) == pytest.approx(34.5, abs=0.05)


@pytest.mark.parametrize("supply", [2.8, 3.0, 3.3, 3.6])
def test_the_supply_shifts_the_words_and_is_taken_out(stage: Stage, supply: float) -> None:
    thermometer = stage.thermometer(supply_v=supply)
    stage.set(skin_c=34.5, supply_v=supply)
    stage.pass_time(1)
    assert skin(stage, thermometer) == pytest.approx(34.5, abs=0.05)


def test_a_supply_that_is_not_what_was_configured_shows(stage: Stage) -> None:
    thermometer = stage.thermometer(supply_v=3.0)
    stage.set(skin_c=34.5, supply_v=3.3)
    stage.pass_time(1)
    assert skin(stage, thermometer) == pytest.approx(34.68, abs=0.05)


def test_calibration_shifts_the_skin(stage: Stage) -> None:
    thermometer = stage.thermometer(calibration(offset_c=0.3))
    stage.set(skin_c=34.5)
    stage.pass_time(1)
    assert skin(stage, thermometer) == pytest.approx(34.8, abs=0.05)
    assert thermometer.warning == ""


def test_without_a_calibration_it_reads_on_and_says_so(stage: Stage) -> None:
    thermometer = stage.thermometer(None)
    stage.set(skin_c=34.5)
    stage.pass_time(1)
    assert skin(stage, thermometer) == pytest.approx(34.5, abs=0.05)
    assert "not calibrated" in thermometer.warning


@pytest.mark.parametrize(
    ("kept", "kind", "words"),
    [
        (calibration("77a00b1244039c01"), SensorFaultKind.WRONG_SENSOR, f"that of sensor 77a00b1244039c01, expected {WORDS}"),
        (calibration(offset_c=0.51), SensorFaultKind.CALIBRATION, "offset is +0.51 C, expected at most 0.5 C"),
        (calibration(days_ago=366), SensorFaultKind.CALIBRATION, "1 days overdue, expected one in 365 days"),
        (calibration(days_ago=-2), SensorFaultKind.CALIBRATION, "expected a day that has come"),
        (Unreadable("calibration.json: no JSON"), SensorFaultKind.CALIBRATION, "calibration.json"),
    ],
)
def test_a_calibration_that_does_not_hold_is_refused_and_never_a_temperature(
    stage: Stage, kept: Kept, kind: SensorFaultKind, words: str
) -> None:
    thermometer = stage.thermometer(kept)
    stage.set(skin_c=34.5)
    found = read(stage, thermometer)
    assert isinstance(found, SensorFault)
    assert found.kind is kind
    assert words in found.detail


def test_a_calibration_ends_while_the_unit_runs(stage: Stage) -> None:
    today = [NOW]
    config = Sensor(calibration_due_days=10)
    kept = calibration(days_ago=9)
    thermometer = Thermometer(stage.bus, config, stage.now, 7200.0, stage.pass_time, calibration=kept, wall=lambda: today[0])
    assert isinstance(read(stage, thermometer), Reading)
    assert "ends in 1 days" in thermometer.warning
    today[0] += 2 * DAY_S
    assert fault(stage, thermometer) is SensorFaultKind.CALIBRATION


@pytest.mark.parametrize("name", PARTS)
def test_a_step_settles_as_fast_as_the_part_does(stage: Stage, name: PartName) -> None:
    settle_s = PARTS[name].settle_s
    stage.bus = SimulatedBus(stage.client, seed=7, clock=lambda: stage.now, settle_s=settle_s)
    stage.client.on_change(lambda scene: stage.news.set())
    thermometer = stage.thermometer(part=name, retry_pause_s=0.001)
    read(stage, thermometer)
    stage.set(skin_c=35.0)
    early = read(stage, thermometer, after=settle_s / 10)
    late = read(stage, thermometer, after=settle_s)
    assert isinstance(early, Reading)
    assert isinstance(late, Reading)
    assert 27 < early.skin_c < 32
    assert late.skin_c == pytest.approx(35.0, abs=0.2)


def test_the_part_says_how_long_the_bus_is_silent() -> None:
    assert Sensor(part="DCI").quiet_s > 0.65
    assert 0.14 < Sensor(part="DCC").quiet_s < Sensor(part="DCI").quiet_s
    assert Sensor(part="DCI", settle_s=0.3).settling_s == 0.3


def transfers(stage: Stage, mark: int = 0) -> list[tuple[int, float]]:
    """Register and time of every transfer after `mark`."""
    stage.client.journal({"mark": (done := object().__hash__())})
    assert stage.world.wait_for("north", lambda e: e.get("mark") == done, 5)
    return [(entry["register"], entry["at"]) for entry in stage.world.entries("north", mark) if "register" in entry]


def test_the_bus_is_silent_before_the_word_that_counts(stage: Stage) -> None:
    thermometer = stage.thermometer(part="DCI")
    quiet_s = Sensor(part="DCI").quiet_s
    for _ in range(3):
        assert isinstance(read(stage, thermometer, after=quiet_s), Reading)
    seen = transfers(stage)
    before = [at - seen[place - 1][1] for place, (register, at) in enumerate(seen) if register == OBJECT]
    assert len(before) == 3
    assert min(before) >= quiet_s - 1e-6, "also after the four words of the identity"
    assert [register for register, _ in seen[-2:]] == [OBJECT, AMBIENT]


def test_nobody_there_is_as_warm_as_the_room(stage: Stage) -> None:
    found = read(stage, stage.thermometer(emissivity=1.0))
    assert isinstance(found, Reading)
    assert found.skin_c == pytest.approx(found.ambient_c, abs=0.3)


@pytest.mark.parametrize(
    ("condition", "kind"),
    [
        ("unplugged", SensorFaultKind.NO_ANSWER),
        ("bad_pec", SensorFaultKind.BAD_PEC),
        ("floating", SensorFaultKind.BAD_PEC),
        ("io_error", SensorFaultKind.BUS_ERROR),
        ("timeout", SensorFaultKind.TIMEOUT),
        ("bus_low", SensorFaultKind.BUS_ERROR),
        ("all_ones", SensorFaultKind.NO_WORD),
        ("error_flag", SensorFaultKind.ERROR_FLAG),
        ("zero", SensorFaultKind.NO_WORD),
    ],
)
def test_each_way_to_fail_has_its_name_and_a_cure(stage: Stage, condition: str, kind: SensorFaultKind) -> None:
    thermometer = stage.thermometer()
    stage.set(skin_c=34.0)
    assert isinstance(read(stage, thermometer), Reading)
    stage.set(sensor=condition)
    assert fault(stage, thermometer) is kind
    stage.set(sensor="ok")
    assert isinstance(read(stage, thermometer), Reading)


def test_a_read_is_tried_three_times_twenty_milliseconds_apart(stage: Stage) -> None:
    thermometer = stage.thermometer()
    stage.set(sensor="bad_pec")
    mark, before = stage.world.mark("north"), stage.now
    found = thermometer.read(before)
    assert isinstance(found, SensorFault)
    assert stage.now - before == pytest.approx(0.04)
    assert stage.world.wait_for("north", lambda e: e["n"] >= mark + 3, 5)
    tries = [(entry["register"], entry["error"]) for entry in stage.world.entries("north", mark) if "register" in entry]
    assert tries == [(0x3C, errno.EBADMSG)] * 3


def test_a_reading_is_as_old_as_the_beginning_of_its_cycle(stage: Stage) -> None:
    thermometer = stage.thermometer()
    begun = stage.now
    found = thermometer.read(begun)
    assert isinstance(found, Reading)
    assert stage.now - begun > Sensor().quiet_s, "identity and silence"
    assert found.at == begun, "whoever came meanwhile was not there when it began"


def test_one_lost_transfer_is_not_noticed(stage: Stage) -> None:
    thermometer = stage.thermometer()
    assert isinstance(read(stage, thermometer), Reading)
    real, left = stage.bus.read_word_data, [1]

    def drop_one(address: int, register: int, /) -> int:
        if left:
            left.pop()
            raise OSError(errno.EREMOTEIO, "Remote I/O error")
        return real(address, register)

    stage.bus.read_word_data = drop_one  # type: ignore[method-assign]
    assert isinstance(read(stage, thermometer), Reading)


def test_a_sensor_without_noise_is_a_frozen_one(stage: Stage) -> None:
    thermometer = stage.thermometer()
    stage.set(skin_c=36.5)
    assert isinstance(read(stage, thermometer), Reading)
    stage.set(sensor="stuck", skin_c=None)
    found = [read(stage, thermometer) for _ in range(45)]
    assert isinstance(found[10], Reading)
    assert isinstance(found[-1], SensorFault)
    assert found[-1].kind is SensorFaultKind.FROZEN


def test_another_sensor_in_its_place_is_refused_when_calibrated(stage: Stage) -> None:
    thermometer = stage.thermometer(calibration())
    assert isinstance(read(stage, thermometer), Reading)
    stage.set(sensor="unplugged")
    assert fault(stage, thermometer) is SensorFaultKind.NO_ANSWER
    stage.set(sensor="wrong_id")
    assert fault(stage, thermometer) is SensorFaultKind.WRONG_SENSOR


@pytest.mark.parametrize(("code", "kind"), [(errno.EIO, "BUS_ERROR"), (errno.EREMOTEIO, "NO_ANSWER"), (errno.ETIMEDOUT, "TIMEOUT")])
def test_the_numbers_of_the_kernel_s_errors(stage: Stage, code: int, kind: str) -> None:
    conditions = {errno.EIO: "io_error", errno.EREMOTEIO: "unplugged", errno.ETIMEDOUT: "timeout"}
    stage.set(sensor=conditions[code])
    with pytest.raises(OSError, match=r"Errno") as raised:
        stage.bus.read_word_data(0x5A, OBJECT)
    assert raised.value.errno == code
    assert fault(stage, stage.thermometer()).value == kind


def test_a_bus_without_packet_error_codes_is_refused(stage: Stage) -> None:
    class Plain(SimulatedBus):
        @property
        def pec(self) -> int:
            return 0

        @pec.setter
        def pec(self, value: int) -> None:
            if value:
                raise OSError("SMBUS_PEC is not a feature")

    found = Thermometer(Plain(stage.client), Sensor(), stage.now, 7200.0, stage.pass_time).read(stage.now)
    assert isinstance(found, SensorFault)
    assert found.kind is SensorFaultKind.NO_PEC


def test_without_packet_error_codes_a_flipped_bit_would_be_a_temperature(stage: Stage) -> None:
    stage.set(sensor="bad_pec", skin_c=34.0)
    assert stage.bus.read_word_data(0x5A, 0x07)
    stage.bus.pec = 1
    with pytest.raises(OSError, match="Bad message"):
        stage.bus.read_word_data(0x5A, 0x07)


def test_a_missing_bus_is_a_fault_with_a_remedy() -> None:
    missing = open_bus(19)
    assert isinstance(missing, SensorFault)
    found = Thermometer(missing, Sensor(), 0.0, 0.0).read(5.0)
    assert isinstance(found, SensorFault)
    assert found.kind is SensorFaultKind.NO_BUS
    assert found.at == 5.0
    assert "dtparam=i2c_arm=on" in found.detail


def test_ram_is_read_only_and_the_emissivity_cell_is_locked(stage: Stage) -> None:
    for register in (0x06, 0x07, 0x24, 0x3C):
        with pytest.raises(OSError, match="Remote I/O"):
            stage.bus.write_word_data(0x5A, register, 0x1234)
    stage.bus.write_word_data(0x5A, 0x2E, 0x1234)
    assert stage.bus.read_word_data(0x5A, 0x2E) == 0x1234


def test_the_wiring_page_has_every_part_as_the_code_knows_it() -> None:
    page = (Path(__file__).parents[2] / "hw" / "wiring.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith(("| `D", "| `B"))]
    told = {row[0].strip("`"): row[2:6] for row in rows if row[0].strip("`") in PARTS}
    expected = {
        name: [f"{part.view_deg}°", f"{part.near_cm} to {part.far_cm} cm", f"{part.settle_s} s", f"±{part.accuracy_c} °C"]
        for name, part in PARTS.items()
    }
    assert told == expected


UNIT = 'unit = "north"\nhardware = "pi"\ndata = "/d"\nroots = ["r"]\n[sensor]\n'


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('part = "DXX"', "sensor.part"),
        ("supply_v = 5.0", "sensor.supply_v"),
        ("calibration_due_days = 0", "sensor.calibration_due_days"),
        ('part = "DCI"\n[screening]\nsamples = 5\ngive_up_s = 3.0', "screening.give_up_s"),
        ('part = "DCI"\n[screening]\nretest_within_s = 7.0', "screening.retest_within_s"),
    ],
)
def test_a_configuration_that_cannot_measure_is_refused(line: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        parse(UNIT + line)


def test_nobody_answers_at_another_address(stage: Stage) -> None:
    assert fault(stage, stage.thermometer(address=0x5B)) is SensorFaultKind.NO_ANSWER


def test_every_word_that_was_read_can_be_counted(stage: Stage) -> None:
    thermometer = stage.thermometer()
    readings = [read(stage, thermometer) for _ in range(10)]
    assert all(isinstance(one, Reading) for one in readings)
    assert stage.world.wait_for("north", lambda e: e["n"] >= 1 + len(IDENTITY) + 20 and "register" in e, 5)
    words = [entry for entry in stage.world.entries("north") if entry.get("register") in (0x06, 0x07) and entry["word"]]
    assert len(words) == 20


def test_power_counts_from_the_sensors_own_plug(stage: Stage) -> None:
    thermometer = stage.thermometer()
    read(stage, thermometer)
    assert thermometer.state(stage.now).powered_s > 7200
    stage.set(sensor="unplugged")
    for _ in range(20):
        assert fault(stage, thermometer) is SensorFaultKind.NO_ANSWER
    stage.set(sensor="ok")
    stage.pass_time(0.01)
    assert stage.bus.read_word_data(0x5A, OBJECT) == 0x0000, "the first quarter second after power"
    assert isinstance(read(stage, thermometer, after=0.01), Reading), "the silence after its identity is longer"
    assert thermometer.state(stage.now).powered_s < 1


def test_a_restarted_process_knows_that_the_sensor_was_pulled(stage: Stage, tmp_path: Path) -> None:
    power = PowerFile(tmp_path / "power", "boot 1")
    thermometer = stage.thermometer(power=power)
    read(stage, thermometer)
    stage.set(sensor="unplugged")
    for _ in range(20):
        fault(stage, thermometer)
    stage.set(sensor="ok")
    read(stage, thermometer, after=0.3)
    stage.pass_time(300)
    restarted = stage.thermometer(power=power)
    assert restarted.state(stage.now).powered_s == pytest.approx(300, abs=2)
    read(stage, restarted)
    assert restarted.state(stage.now).powered_s == pytest.approx(300, abs=2)
    after_a_boot = stage.thermometer(power=PowerFile(tmp_path / "power", "boot 2"))
    assert after_a_boot.state(stage.now).powered_s == pytest.approx(7200)


def test_a_process_restarted_while_the_sensor_is_out_starts_its_warm_up_at_the_first_answer(stage: Stage, tmp_path: Path) -> None:
    power = PowerFile(tmp_path / "power", "boot 1")
    thermometer = stage.thermometer(power=power)
    read(stage, thermometer)
    stage.set(sensor="unplugged")
    for _ in range(20):
        fault(stage, thermometer)
    restarted = stage.thermometer(power=power)
    stage.set(sensor="ok")
    stage.pass_time(1)
    assert isinstance(read(stage, restarted), Reading), "it was back before the new process missed it"
    assert restarted.state(stage.now).powered_s < 1


def test_a_restarted_process_need_not_wait(stage: Stage, tmp_path: Path) -> None:
    power = PowerFile(tmp_path / "power", "boot 1")
    read(stage, stage.thermometer(power=power))
    restarted = stage.thermometer(power=power)
    read(stage, restarted)
    assert restarted.state(stage.now).powered_s > 7200


def test_one_silent_cycle_is_not_a_new_warm_up(stage: Stage) -> None:
    thermometer = stage.thermometer()
    read(stage, thermometer)
    stage.set(sensor="timeout")
    fault(stage, thermometer)
    stage.set(sensor="ok")
    read(stage, thermometer)
    assert thermometer.state(stage.now).powered_s > 7200


def test_a_room_that_warms_shows_as_drift(stage: Stage) -> None:
    thermometer = stage.thermometer()
    for _ in range(200):
        read(stage, thermometer)
    assert thermometer.state(stage.now).ambient_drift_c_per_min < 0.05
    stage.set(ambient_c=28.0)
    for _ in range(200):
        read(stage, thermometer)
    assert thermometer.state(stage.now).ambient_drift_c_per_min > 0.5


def test_a_cold_start_reads_low_which_is_what_warm_up_is_for(stage: Stage, tmp_path: Path) -> None:
    with World(tmp_path / "c") as world:
        world.set("south", powered_s=5.0, skin_c=34.5)
        client = WorldClient(str(tmp_path / "c"), "south")
        stage.bus = SimulatedBus(client, seed=7, clock=lambda: stage.now)
        thermometer = Thermometer(stage.bus, Sensor(), stage.now, 5.0, stage.pass_time)
        assert skin(stage, thermometer) < 34.0
        stage.pass_time(1800)
        assert skin(stage, thermometer) == pytest.approx(34.5, abs=0.1)
        client.close()


def test_when_the_world_ends_the_sensor_does_not_answer(stage: Stage) -> None:
    thermometer = stage.thermometer()
    lost = threading.Event()
    stage.client.on_lost(lost.set)
    stage.world.close()
    assert lost.wait(5)
    assert fault(stage, thermometer) is SensorFaultKind.NO_ANSWER


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_no_word_at_all_becomes_an_impossible_temperature(ambient: int, seen: int) -> None:
    class Words:
        pec = 0

        def read_word_data(self, address: int, register: int, /) -> int:
            return {0x06: ambient, 0x07: seen}.get(register, 0x1234)

        def close(self) -> None: ...

    found = Thermometer(Words(), Sensor(), 0.0, 7200.0, lambda seconds: None).read(1.0)
    if isinstance(found, Reading):
        assert -41 <= found.ambient_c <= 126
        assert -80 <= found.skin_c <= 390
        assert not seen & 0x8000
