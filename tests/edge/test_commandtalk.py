"""Commands as they arrive at a unit: what counts is remembered and handed on, and everything else is answered with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import cbor2
import pytest

from edge.cache import Cache
from edge.clock import Clock, FloorFile
from edge.dialogue import TEST_EVERY_S, Dialogue
from edge.files import CALLS, Calls, measure_disk
from edge.linkwords import CommandRefused, Ordered, Publish, Requested, Resubscribe, Saying
from edge.oncefile import OnceFile
from edge.outbox import Outbox
from healthcode import cose, topics
from healthcode.messages import (
    CalibrateOrder,
    Info,
    ModeOrder,
    OpenOrder,
    Request,
    Response,
    RestartOrder,
    SyncRequest,
    TimeAnswer,
    TimeAnswerEnvelope,
    TimeRequest,
    UpdateOrder,
    decode,
    decode_sync_request,
    encode,
    stamp,
)
from healthcode.signed import KINDS, pack, write
from healthcode.terms import CommandFault, LaneMode
from tests.edge.operators import CHEN, CONFIG_KEY, OPERATORS, TRUST, WANG, WU, command, sign
from tests.edge.province import NOON, ROOT, ROOTS, STRANGER, TIME_KEY, Province, list_entry, time_answer, trust_list

BOOT = "0" * 31 + "1"
KIND = KINDS[type(command())]


Heard = tuple[Ordered | CommandRefused | None, Response | None]


class Unit:
    """One unit's dialogue with the server, on a clock that the test moves; it knows the time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mono = 0.0
        self.system_off_s = 0.0
        self.full = False
        self.province = Province(trust=TRUST)
        self.begin()
        self.tell_time()

    def begin(self) -> None:
        """The process starts, with what the disk holds."""
        self.cache = Cache(self.folder / "cache", ROOTS)
        self.province.fill(self.cache)
        self.outbox = Outbox(self.folder / "outbox.db", f"{Random().getrandbits(128):032x}")
        draws = Random(1)
        self.clock = Clock(
            FloorFile(self.folder / "floor"),
            monotonic=lambda: self.mono,
            system=lambda: NOON + self.mono + self.system_off_s,
            draw=lambda: f"{draws.getrandbits(128):032x}",
            synchronised=lambda: True,
        )
        self.dialogue = Dialogue(
            Info(unit="north", boot_id=BOOT, software="0", hardware="simulated", started_at=stamp(NOON)),
            cache=self.cache,
            outbox=self.outbox,
            clock=self.clock,
            random=Random(0),
            at=self.mono,
            once=OnceFile(self.folder / "commands", Calls(fsync=self.fsync)),
            disk=lambda: measure_disk(self.folder),
        )

    def fsync(self, file: int) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        CALLS.fsync(file)

    def tell_time(self) -> None:
        """A time key answers the unit's question."""
        said = self.dialogue.connected(self.mono)
        (nonce,) = (each.nonce for each in map(sync_request, said) if isinstance(each, TimeRequest))
        answer = TimeAnswer(unit="north", nonce=nonce, at_ms=round((NOON + self.mono) * 1000))
        self.dialogue.message(topics.down("north", "sync"), pack(TimeAnswerEnvelope(body=time_answer(answer, TIME_KEY))), self.mono)
        self.dialogue.news.clear()

    def restart(self) -> None:
        self.close()
        self.begin()
        self.tell_time()

    def close(self) -> None:
        self.outbox.close()
        self.cache.close()

    def send(
        self, payload: bytes, name: str = "open", *, is_retained: bool = False
    ) -> tuple[Ordered | CommandRefused | None, Response | None]:
        """Somebody publishes it: what the deciding thread hears of, and what is answered at once."""
        said = self.dialogue.message(topics.down("north", "request", name), payload, self.mono, is_retained=is_retained)
        news, self.dialogue.news = self.dialogue.news, []
        assert len(news) <= 1
        assert len(said) <= 1
        answers = [decode(each.payload, Response) for each in said if isinstance(each, Publish)]
        assert all(isinstance(each, Publish) and each.topic == topics.up("north", "response", name) for each in said)
        heard = news[0] if news else None
        assert heard is None or isinstance(heard, Ordered | CommandRefused)
        return heard, answers[0] if answers else None


def sync_request(said: Saying) -> SyncRequest | None:
    """What the unit asks the server for, if that is what it says."""
    is_one = isinstance(said, Publish) and said.topic == topics.up("north", "sync")
    return decode_sync_request(said.payload) if is_one and isinstance(said, Publish) else None


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    with closing(Unit(tmp_path)) as unit:
        yield unit


def refused(unit: Unit, payload: bytes, fault: CommandFault, name: str = "open") -> tuple[CommandRefused, Response]:
    """It does nothing, is answered with this fault, and becomes an event that names it."""
    heard, answer = unit.send(payload, name)
    assert isinstance(heard, CommandRefused)
    assert answer is not None
    assert (answer.status, answer.data["fault"]) == ("error", fault.value)
    assert answer.error.startswith(f"{fault.value}: ")
    assert fault.value in heard.detail
    return heard, answer


def test_a_good_command_is_handed_on_once_with_its_operators_name(unit: Unit) -> None:
    asked = command()
    heard, answer = unit.send(sign(asked, CHEN))
    assert heard == Ordered(asked, "chen", unit.mono)
    assert answer is None, "the deciding thread answers"


@pytest.mark.parametrize(("wait_s", "between"), [(0.0, False), (5.0, False), (0.0, True), (20.0, True)])
def test_a_command_that_is_sent_again_does_nothing_after_a_restart_too(unit: Unit, wait_s: float, between: bool) -> None:
    raw = sign(asked := command())
    assert isinstance(unit.send(raw)[0], Ordered)
    unit.mono += wait_s
    if between:
        unit.restart()
    _, answer = refused(unit, raw, CommandFault.REPEATED)
    assert answer.transaction == asked.transaction


def truly_signed(payload: object, typ: str = KIND.typ, key: Any = WANG) -> bytes:
    return cose.sign1(cbor2.dumps(payload, canonical=True), typ, key)


GOOD = cbor2.loads(pack(command()))
MADE: dict[str, tuple[Callable[[], bytes], CommandFault]] = {
    "nothing signed": (lambda: pack(command()), CommandFault.COSE),
    "a request without signature": (lambda: encode(Request(transaction="7c1d")), CommandFault.CBOR),
    "rubbish": (lambda: b"\xff" * 40, CommandFault.CBOR),
    "too long": (lambda: b"\x00" * 2000, CommandFault.SIZE),
    "another kind": (lambda: time_answer(TimeAnswer(unit="north", nonce="0" * 32, at_ms=NOON * 1000)), CommandFault.TYPE),
    "by a stranger": (lambda: sign(command(), STRANGER), CommandFault.UNKNOWN_KEY),
    "by a key for configuration": (lambda: sign(command(), CONFIG_KEY), CommandFault.UNKNOWN_KEY),
    "by a key for the time": (lambda: sign(command(), TIME_KEY), CommandFault.UNKNOWN_KEY),
    "changed": (lambda: sign(command())[:-1] + b"\x00", CommandFault.SIGNATURE),
    "no such order": (lambda: truly_signed(GOOD | {"order": {"command": "explode"}}), CommandFault.CONTENT),
    "an unknown field": (lambda: truly_signed(GOOD | {"more": 1}), CommandFault.CONTENT),
    "for another unit": (lambda: sign(command(unit="south")), CommandFault.UNIT),
    "under another name": (lambda: sign(command(ModeOrder(mode=LaneMode.LOCKED))), CommandFault.COMMAND),
    "expired": (lambda: sign(command(at=NOON - 31)), CommandFault.EXPIRED),
    "not yet": (lambda: sign(command(at=NOON + 20)), CommandFault.NOT_YET_VALID),
    "too long a life": (lambda: sign(command(expires_at=NOON + 61)), CommandFault.TOO_LONG_LIVED),
    "for ever": (lambda: sign(command(expires_at=2**40)), CommandFault.TOO_LONG_LIVED),
    "the wrong role": (lambda: sign(command(), WU), CommandFault.ROLE),
}


@pytest.mark.parametrize("name", MADE)
def test_what_does_not_count_does_nothing_and_says_why(unit: Unit, name: str) -> None:
    make, fault = MADE[name]
    heard, _ = refused(unit, make(), fault)
    if fault is CommandFault.ROLE:
        assert "by operator wu" in heard.detail
    assert isinstance(unit.send(sign(command()))[0], Ordered), "and a good one counts after it"


@pytest.mark.parametrize(
    ("order", "name", "key", "fault"),
    [
        (RestartOrder(), "restart", CHEN, CommandFault.ROLE),
        (RestartOrder(), "restart", WU, None),
        (CalibrateOrder(black_body_c=37.0), "calibrate", CHEN, CommandFault.ROLE),
        (UpdateOrder(release="0.2.0"), "update", WANG, None),
        (ModeOrder(mode=LaneMode.FREE, for_s=60), "mode", CHEN, None),
        (ModeOrder(mode=LaneMode.FREE, for_s=60), "mode", WU, CommandFault.ROLE),
        (ModeOrder(mode=LaneMode.FREE), "mode", CHEN, CommandFault.CONTENT),
    ],
)
def test_the_role_decides_at_the_unit(unit: Unit, order: Any, name: str, key: Any, fault: CommandFault | None) -> None:
    if fault is None:
        assert isinstance(unit.send(sign(command(order), key), name)[0], Ordered)
    else:
        refused(unit, sign(command(order), key), fault, name)


@pytest.mark.parametrize("name", ["release", "OPEN", "x"])
def test_a_command_that_there_is_not_is_answered_too(unit: Unit, name: str) -> None:
    _, answer = refused(unit, sign(command()), CommandFault.COMMAND, name)
    assert "expected identify, selftest, open" in answer.error


def test_a_unit_whose_clock_is_in_doubt_or_was_never_told_obeys_nothing(unit: Unit) -> None:
    unit.system_off_s = 600.0
    refused(unit, sign(command()), CommandFault.CLOCK_UNTRUSTED)
    unit.system_off_s = 0.0
    assert isinstance(unit.send(sign(command()))[0], Ordered)
    unit.close()
    unit.begin()
    unit.dialogue.connected(unit.mono)
    unit.dialogue.news.clear()
    refused(unit, sign(command()), CommandFault.CLOCK_UNTRUSTED)


def test_a_key_that_was_withdrawn_commands_nothing_from_then_on(unit: Unit) -> None:
    assert isinstance(unit.send(sign(command(), CHEN))[0], Ordered)
    left = write(trust_list(2, list_entry(), *OPERATORS[1:]), ROOT)
    assert not isinstance(unit.cache.accept_trust(left, NOON), str)
    refused(unit, sign(command(), CHEN), CommandFault.UNKNOWN_KEY)
    assert isinstance(unit.send(sign(command(), WANG))[0], Ordered)


def test_a_disk_that_is_full_carries_out_nothing(unit: Unit) -> None:
    raw = sign(command())
    unit.full = True
    refused(unit, raw, CommandFault.DISK)
    unit.full = False
    assert isinstance(unit.send(raw)[0], Ordered), "it was never carried out"


def test_a_retained_command_is_not_even_looked_at(unit: Unit) -> None:
    assert unit.send(sign(command()), is_retained=True) == (None, None)
    assert unit.dialogue.counts["unexpected_topic"] == 1


def test_a_flood_is_answered_and_recorded_within_bounds_and_says_how_much_was_left_out(unit: Unit) -> None:
    told = [unit.send(sign(command(), STRANGER)) for _ in range(200)]
    assert sum(heard is not None for heard, _ in told) == sum(answer is not None for _, answer in told) == 30
    assert isinstance(unit.send(sign(command()))[0], Ordered), "an operator is heard in the midst of it"
    unit.mono += 10.0
    heard, _ = unit.send(sign(command(at=NOON + 10), STRANGER))
    assert isinstance(heard, CommandRefused)
    assert heard.detail.endswith("; 170 more before it")


@pytest.mark.parametrize(
    ("payload", "said"),
    [(encode(Request(transaction="7c1d")), "7c1d"), (b"{}", ""), (b"", None), (sign(command(transaction="ab" * 16), STRANGER), "ab" * 16)],
)
def test_the_answer_names_the_transaction_that_it_can_read(unit: Unit, payload: bytes, said: str | None) -> None:
    _, answer = unit.send(payload)
    assert (answer and answer.transaction) == said


def test_a_selftest_measures_the_disk_and_times_the_broker_and_is_made_every_five_seconds_at_most(unit: Unit) -> None:
    topic, payload = topics.down("north", "request", "selftest"), encode(Request(transaction="7c1d"))
    said = unit.dialogue.message(topic, payload, unit.mono)
    assert said == [Publish(topics.up("north", "state"), b"online", retain=True)]
    (asked,) = unit.dialogue.news
    assert isinstance(asked, Requested)
    assert asked.disk is not None
    assert asked.disk.fsync_ms > 0
    assert asked.disk.free_mb > 0
    (again,) = unit.dialogue.message(topic, payload, unit.mono + 1)
    assert isinstance(again, Publish)
    assert decode(again.payload, Response).data == {"fault": "BUSY"}
    assert unit.dialogue.message(topic, payload, unit.mono + TEST_EVERY_S + 0.1) == said


def test_a_disk_that_fails_its_measurement_is_told(tmp_path: Path) -> None:
    def refuse(_: int) -> None:
        raise OSError(5, "Input/output error")

    found = measure_disk(tmp_path, Calls(fsync=refuse))
    assert (found.free_mb, "Input/output error" in found.error) == (0.0, True)


def test_whoever_wants_the_newest_now_has_everything_retained_sent_again(unit: Unit) -> None:
    said: list[Saying] = unit.dialogue.refresh(unit.mono)
    assert said[0] == Resubscribe()
    unit.dialogue.disconnected()
    assert unit.dialogue.refresh(unit.mono) == []


def test_a_unit_without_a_memory_of_commands_obeys_none(unit: Unit) -> None:
    unit.dialogue = Dialogue(
        Info(unit="north", boot_id=BOOT, software="0", hardware="simulated", started_at=stamp(NOON)),
        cache=unit.cache,
        outbox=unit.outbox,
        clock=unit.clock,
        random=Random(0),
        at=unit.mono,
    )
    assert unit.send(sign(command(OpenOrder()))) == (None, None)
