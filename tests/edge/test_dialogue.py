from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cache import Cache
from edge.clock import Clock, FloorFile, ResetLetter
from edge.dialogue import Dialogue
from edge.dispatch import MOST_OUTSTANDING
from edge.linkwords import ClockAnswered, ClockWasReset, ListChanged, Publish, Requested, Resubscribe, Saying, TrustChanged
from edge.outbox import UNNUMBERED, Outbox
from edge.syncwords import Timing
from edge.timekeeping import AnswerOutcome, told
from healthcode import signed, topics
from healthcode.cose import SoftwareKey
from healthcode.messages import (
    BootMark,
    ChunkAnswer,
    ChunkRequest,
    ClockReset,
    DeltaAnswer,
    Desired,
    EventBatch,
    Info,
    Request,
    TimeAnswer,
    TimeAnswerEnvelope,
    TimeRequest,
    UnitEvent,
    Watermark,
    decode,
    decode_sync_request,
    encode,
    stamp,
)
from healthcode.signed import pack
from healthcode.terms import ClockState, Status, Use
from healthcode.trust import entry_for
from tests.edge.province import (
    NOON,
    ROOT,
    ROOTS,
    STRANGER,
    TIME_KEY,
    URI,
    Province,
    chunk,
    list_entry,
    same,
    time_answer,
    trust_list,
    watermark,
)

BOOT = "0" * 31 + "1"
ACK = topics.down("north", "ack")
SYNC = topics.down("north", "sync")
CLOCK = topics.down("north", "clock")
HEAD = topics.list_topic("CN-HB", URI, "head")
DELTA = topics.list_topic("CN-HB", URI, "delta")


@dataclass
class Hands:
    mono: float = 0.0


class Unit:
    """One unit's keeps and its dialogue, with a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.hands = Hands()
        self.cache = Cache(folder / "cache", ROOTS)
        self.outbox = Outbox(folder / "outbox.db", BOOT)
        draws = Random(1)
        self.clock = Clock(
            FloorFile(folder / "floor"),
            monotonic=lambda: self.hands.mono,
            system=lambda: NOON + self.hands.mono,
            draw=lambda: f"{draws.getrandbits(128):032x}",
            synchronised=lambda: True,
        )
        self.letter = ResetLetter(folder)
        self.desired: Callable[[Desired], None] | None = None
        self.begin()

    def begin(self) -> None:
        """The dialogue begins, with what the keeps hold."""
        self.dialogue = Dialogue(
            Info(unit="north", boot_id=BOOT, software="0", hardware="simulated", started_at=stamp(NOON)),
            cache=self.cache,
            outbox=self.outbox,
            clock=self.clock,
            random=Random(0),
            at=self.hands.mono,
            timing=Timing(jitter_s=0.0),
            letter=self.letter,
            desired=self.desired,
        )

    def close(self) -> None:
        self.outbox.close()
        self.cache.close()

    def append(self, count: int = 1) -> None:
        self.outbox.append([UnitEvent(seq=UNNUMBERED, at=stamp(NOON), clock=ClockState.TRUSTED, what="x") for _ in range(count)])
        self.dialogue.wake()

    def tell(self, topic: str, payload: bytes, *, is_retained: bool = False) -> list[Saying]:
        said = self.dialogue.message(topic, payload, self.hands.mono, is_retained=is_retained)
        return [*said, *self.dialogue.tick(self.hands.mono)]

    def pass_time(self, seconds: float) -> list[Saying]:
        self.hands.mono += seconds
        return self.dialogue.tick(self.hands.mono)


def events(said: list[Saying]) -> list[list[int]]:
    topic = topics.up("north", "events")
    batches = [decode(each.payload, EventBatch) for each in said if isinstance(each, Publish) and each.topic == topic]
    return [[event.seq for event in batch.events] for batch in batches]


def requests(said: list[Saying]) -> list[object]:
    topic = topics.up("north", "sync")
    return [decode_sync_request(each.payload) for each in said if isinstance(each, Publish) and each.topic == topic]


def mark(up_to: int, *missing: int, at_ms: int = 1, unit: str = "north") -> bytes:
    return watermark(Watermark(unit=unit, at_ms=at_ms, boots=[BootMark(boot_id=BOOT, up_to=up_to, missing=list(missing))]))


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    with closing(Unit(tmp_path)) as unit:
        yield unit


@pytest.fixture
def province() -> Province:
    return Province()


@pytest.fixture
def filled(unit: Unit, province: Province) -> Unit:
    province.fill(unit.cache)
    unit.begin()
    unit.dialogue.connected(0.0)
    return unit


def test_it_says_hello_and_asks_the_time(unit: Unit) -> None:
    said = unit.dialogue.connected(0.0)
    assert [each.topic for each in said if isinstance(each, Publish)] == [topics.up("north", name) for name in ("state", "info", "sync")]
    assert isinstance(requests(said)[0], TimeRequest)


def test_at_most_ten_batches_of_a_hundred_are_outstanding(filled: Unit) -> None:
    filled.append(1234)
    sent = events(filled.pass_time(0))
    assert len(sent) == MOST_OUTSTANDING
    assert [seq for batch in sent for seq in batch] == list(range(1, 1001))
    assert events(filled.tell(ACK, mark(150))) == [list(range(1001, 1101))]
    assert filled.dialogue.outstanding == MOST_OUTSTANDING
    assert events(filled.tell(ACK, mark(1100, at_ms=2))) == [list(range(1101, 1201)), list(range(1201, 1235))]
    filled.tell(ACK, mark(1234, at_ms=3))
    assert (filled.dialogue.outstanding, filled.outbox.waiting) == (0, 0)


def test_a_batch_that_no_watermark_covers_goes_again_with_back_off(filled: Unit) -> None:
    filled.append(3)
    times: list[float] = []
    while filled.hands.mono < 400:
        times += [filled.hands.mono] * len(events(filled.pass_time(1)))
        filled.tell(ACK, mark(2, at_ms=int(filled.hands.mono)))
    assert times == [0.0, 30.0, 90.0, 210.0]


def test_everything_waiting_goes_again_after_a_reconnection(filled: Unit) -> None:
    filled.append(2)
    assert events(filled.pass_time(0)) == [[1, 2]]
    filled.dialogue.disconnected()
    filled.append()
    assert events(filled.pass_time(100)) == []
    assert events(filled.dialogue.connected(101.0)) == [[1, 2, 3]]


def test_a_lower_watermark_sends_again_what_was_done(filled: Unit) -> None:
    filled.append(3)
    filled.pass_time(0)
    filled.tell(ACK, mark(3))
    assert events(filled.tell(ACK, mark(3, 2, at_ms=2))) == [[2]]


@pytest.mark.parametrize("payload", [mark(3, unit="south"), signed.write(Watermark(unit="north", at_ms=1, boots=[]), STRANGER), b"\x00"])
def test_a_watermark_that_is_not_ours_takes_nothing(filled: Unit, payload: bytes) -> None:
    filled.append(3)
    filled.tell(ACK, payload)
    assert filled.outbox.waiting == 3


def test_from_nothing_to_a_list_and_a_change(unit: Unit, province: Province) -> None:
    unit.dialogue.connected(0.0)
    [ask] = requests(unit.tell(topics.TRUST_HEAD, province.trust_head))
    assert isinstance(ask, ChunkRequest)
    trust = province.trust_bytes
    answer = ChunkAnswer(uri="", epoch=0, version=1, offset=0, total=len(trust), body=chunk(trust, 0))
    assert Resubscribe() in unit.tell(SYNC, pack(answer))
    [ask] = requests(unit.tell(HEAD, province.head))
    assert isinstance(ask, ChunkRequest)
    snapshot = province.snapshot
    unit.tell(SYNC, pack(ChunkAnswer(uri=URI, epoch=0, version=0, offset=0, total=len(snapshot), body=chunk(snapshot, 0))))
    unit.tell(DELTA, province.change({7: Status.RED}))
    assert same(unit.cache.lists[URI], province.list)
    assert unit.dialogue.news == [TrustChanged(1, 0.0), ListChanged(URI, 0, 0.0), ListChanged(URI, 1, 0.0)]


def test_only_a_verified_answer_to_our_nonce_moves_the_clock(filled: Unit) -> None:
    [question] = requests(filled.pass_time(5))
    assert isinstance(question, TimeRequest)
    for unit_id, nonce, key in (("south", question.nonce, None), ("north", "b" * 32, None), ("north", question.nonce, STRANGER)):
        message = TimeAnswer(unit=unit_id, nonce=nonce, at_ms=NOON * 1000)
        filled.tell(SYNC, pack(TimeAnswerEnvelope(body=time_answer(message, key) if key else time_answer(message))))
    assert filled.clock.state() is ClockState.UNTRUSTED
    true = TimeAnswer(unit="north", nonce=question.nonce, at_ms=(NOON + 5) * 1000)
    filled.tell(SYNC, pack(TimeAnswerEnvelope(body=time_answer(true))))
    assert filled.clock.state() is ClockState.TRUSTED
    assert filled.dialogue.news[-1] == ClockAnswered(AnswerOutcome.TAKEN, 5.0)


def knows_time(unit: Unit, system_is_off_s: float = 0.0) -> list[Saying]:
    """A time key answers the question that is out; our own time is `system_is_off_s` ahead of the true one until then."""
    question = next(one for one in requests(unit.pass_time(5)) if isinstance(one, TimeRequest))
    answer = TimeAnswer(unit="north", nonce=question.nonce, at_ms=round((NOON + unit.hands.mono - system_is_off_s) * 1000))
    return unit.tell(SYNC, pack(TimeAnswerEnvelope(body=time_answer(answer))))


@pytest.mark.parametrize(("ahead_s", "taken"), [(60, True), (61, False), (400 * 86_400, False)])
def test_a_statement_about_the_future_is_refused(filled: Unit, province: Province, ahead_s: int, taken: bool) -> None:
    knows_time(filled)
    province.at = NOON + 5 + ahead_s
    filled.tell(HEAD, province.head)
    assert filled.cache.lists[URI].as_of == (province.at if taken else NOON)
    assert filled.dialogue.counts["head_FUTURE"] == (not taken)
    province.at -= 1
    filled.tell(DELTA, province.change({7: Status.RED}))
    assert filled.cache.lists[URI].version == taken
    filled.tell(SYNC, pack(DeltaAnswer(body=province.deltas[0])))
    assert filled.cache.lists[URI].version == taken
    assert filled.dialogue.counts["delta_FUTURE"] == (0 if taken else 2)
    assert filled.clock.state() is ClockState.TRUSTED


def test_what_was_taken_while_the_time_was_not_known_goes_when_it_is(filled: Unit, province: Province) -> None:
    assert filled.clock.state() is ClockState.UNTRUSTED
    province.at = NOON + 400 * 86_400
    filled.tell(HEAD, province.head)
    assert filled.cache.lists[URI].as_of == province.at
    assert Resubscribe() in knows_time(filled)
    assert URI not in filled.cache.lists
    assert filled.dialogue.counts["list_FUTURE"] == 1
    province.at = NOON + 5
    [ask] = requests(filled.tell(HEAD, province.head))
    assert isinstance(ask, ChunkRequest), "the head of the future is forgotten, too"
    snapshot = province.snapshot
    filled.tell(SYNC, pack(ChunkAnswer(uri=URI, epoch=0, version=0, offset=0, total=len(snapshot), body=chunk(snapshot, 0))))
    filled.tell(HEAD, province.head)
    assert filled.cache.lists[URI].as_of == NOON + 5


def test_what_was_refused_while_our_time_was_behind_is_asked_for_again(filled: Unit, province: Province, tmp_path: Path) -> None:
    knows_time(filled)
    filled.clock = Clock(
        FloorFile(tmp_path / "floor"),
        monotonic=lambda: filled.hands.mono,
        system=lambda: NOON + filled.hands.mono,
        draw=lambda: "a" * 32,
        synchronised=lambda: False,
    )
    filled.begin()
    filled.dialogue.connected(filled.hands.mono)
    assert filled.clock.state() is ClockState.HOLDOVER
    province.at = NOON + 86_400
    filled.tell(HEAD, province.head)
    assert filled.cache.lists[URI].as_of == NOON
    assert Resubscribe() in knows_time(filled, -86_400)
    filled.tell(HEAD, province.head)
    assert filled.cache.lists[URI].as_of == province.at


FAR = 400 * 86_400


def reset(to: float, serial: int = 1, unit: str = "north", key: SoftwareKey = ROOT) -> bytes:
    return signed.write(ClockReset(unit=unit, serial=serial, floor=int(to)), key)


def pushed_ahead(unit: Unit) -> None:
    """A time key lies by 400 days, and again ten minutes later; then its server tells the truth."""
    for lie in (FAR, FAR, 0):
        unit.hands.mono += 1000
        knows_time(unit, -lie)
    assert unit.clock.state() is ClockState.UNTRUSTED


def test_only_the_root_s_reset_of_this_very_unit_lets_the_clock_go_back_and_only_once(filled: Unit, province: Province) -> None:
    knows_time(filled)
    pushed_ahead(filled)
    floor = filled.clock.floor
    now = NOON + filled.hands.mono
    filled.dialogue.news.clear()
    unsigned = [reset(now, key=STRANGER), reset(now, key=TIME_KEY), reset(now)[:-1], province.head]
    for payload in [*unsigned, reset(now, unit="south"), reset(now + 2 * FAR)]:
        filled.tell(CLOCK, payload, is_retained=True)
    assert filled.clock.floor == floor
    assert filled.dialogue.news == []
    assert {"reset_unit", "reset_UNKNOWN_KEY", "reset_TYPE", "reset_NOT_LOWER"} <= set(filled.dialogue.counts)
    filled.tell(CLOCK, reset(now - 60, 3), is_retained=True)
    assert filled.clock.floor == now - 60
    assert filled.clock.state() is ClockState.HOLDOVER
    [news] = filled.dialogue.news
    assert isinstance(news, ClockWasReset)
    assert news.detail.startswith(f"the clock's floor is {told(now - 60)} by reset 3; it was 2021-04-08 ")
    knows_time(filled)
    assert filled.clock.state() is ClockState.TRUSTED
    for serial in (3, 2):
        filled.tell(CLOCK, reset(NOON - FAR, serial), is_retained=True)
    assert filled.clock.state() is ClockState.TRUSTED
    assert filled.dialogue.counts["reset_OLD"] == 1, "the one that was taken stays on its topic and is no complaint"


def test_a_reset_is_taken_from_a_letter_without_a_link(filled: Unit) -> None:
    knows_time(filled)
    pushed_ahead(filled)
    filled.dialogue.disconnected()
    filled.letter.leave(b"no reset")
    filled.pass_time(2)
    assert filled.dialogue.counts["reset_CBOR"] + filled.dialogue.counts["reset_COSE"] == 1
    filled.letter.leave(reset(NOON + filled.hands.mono))
    filled.pass_time(2)
    assert not filled.letter.waits
    assert filled.clock.state() is ClockState.HOLDOVER


def test_no_list_head_or_watermark_of_the_future_moves_the_clock(filled: Unit, province: Province) -> None:
    knows_time(filled)
    floor, now = filled.clock.floor, filled.clock.now()
    province.at = NOON + FAR
    for topic, payload in ((HEAD, province.head), (DELTA, province.change({7: Status.RED})), (ACK, mark(3, at_ms=(NOON + FAR) * 1000))):
        filled.tell(topic, payload)
    assert (filled.clock.floor, filled.clock.now(), filled.clock.state()) == (floor, now, ClockState.TRUSTED)


def test_an_answer_that_raises_a_doubt_says_which(filled: Unit) -> None:
    knows_time(filled)
    filled.dialogue.news.clear()
    filled.hands.mono += 1000
    knows_time(filled, FAR)
    [news] = [each for each in filled.dialogue.news if isinstance(each, ClockAnswered)]
    assert news.outcome is AnswerOutcome.BEHIND
    assert news.doubt == "the time server says 2019-01-29 12:16:50 UTC, and has said 2020-03-04 12:00:05 UTC before"


def test_open_commands_are_posted_and_never_taken_from_a_retained_message(filled: Unit) -> None:
    payload = encode(Request(transaction="t1"))
    filled.tell(topics.down("north", "request", "identify"), payload, is_retained=True)
    filled.tell(topics.down("north", "request", "open"), payload)
    filled.tell(topics.down("north", "request", "identify"), b"{}")
    assert filled.dialogue.news == []
    filled.tell(topics.down("north", "request", "identify"), payload)
    assert filled.dialogue.news == [Requested("identify", "t1", 0.0)]


REQUEST, DESIRED = topics.down("north", "request", "identify"), topics.down("north", "desired")
TOPICS = [ACK, SYNC, CLOCK, HEAD, DELTA, topics.TRUST_HEAD, REQUEST, DESIRED, "x/y"]


@settings(max_examples=200)
@given(messages=st.lists(st.tuples(st.sampled_from(TOPICS), st.binary(max_size=200), st.booleans(), st.integers(0, 10_000)), max_size=8))
def test_nothing_that_arrives_raises_or_changes_anything(
    tmp_path_factory: pytest.TempPathFactory, messages: list[tuple[str, bytes, bool, int]]
) -> None:
    with closing(Unit(tmp_path_factory.mktemp("unit"))) as unit:
        province = Province()
        province.fill(unit.cache)
        delta = province.change({7: Status.RED})
        unit.dialogue.connected(0.0)
        before = msgspec.structs.asdict(province.trust)
        for topic, noise, is_flipped, place in messages:
            payload = bytearray(delta)
            payload[place % len(delta)] ^= 1 + place % 255
            unit.tell(topic, bytes(payload) if is_flipped else noise)
        assert unit.cache.lists[URI].version == 0
        assert unit.cache.trust is not None
        assert msgspec.structs.asdict(unit.cache.trust) == before


def desired_by(key: SoftwareKey, unit: str = "north", version: int = 3) -> bytes:
    return signed.write(Desired(unit=unit, version=version, at_ms=NOON * 1000, settings="[sound]\nvolume = 0.5\n"), key)


def test_a_configuration_counts_when_its_key_may_sign_it_and_it_names_this_unit(unit: Unit) -> None:
    key = SoftwareKey.generate()
    entry = entry_for(key, issuer="CN-HB", use=Use.CONFIG, sign_from=0)
    province = Province(trust=trust_list(2, list_entry(), entry))
    heard: list[Desired] = []
    unit.desired = heard.append
    unit.begin()
    unit.dialogue.connected(0.0)
    topic = topics.down("north", "desired")
    unit.tell(topic, desired_by(key), is_retained=True)
    assert (heard, unit.dialogue.counts["desired_UNKNOWN_KEY"]) == ([], 1), "no trust list yet: it is asked for again with the first"
    province.fill(unit.cache)
    for payload in (desired_by(STRANGER), desired_by(TIME_KEY), desired_by(key, "south"), desired_by(key)[:-1], b"", b"{}"):
        unit.tell(topic, payload, is_retained=True)
    unit.tell(topics.down("south", "desired"), desired_by(key, "south"), is_retained=True)
    assert heard == []
    counts = unit.dialogue.counts
    assert (counts["desired_UNKNOWN_KEY"], counts["desired_unit"], counts["desired_CBOR"]) == (3, 1, 2)
    unit.tell(topic, desired_by(key), is_retained=True)
    assert [each.version for each in heard] == [3]
