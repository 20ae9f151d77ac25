from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cache import Cache, CacheFault, TrustTaken
from edge.partfile import PartFile
from edge.sync import LONG_LOG, LONG_LOG_BYTES, RANGE, Sync
from edge.syncwords import TRUST, Adopt, Apply, Ask, Drop, Forget, Ignored, Keep, Output, Position, Swap, Timing, Why
from healthcode import signed
from healthcode.budget import most
from healthcode.messages import MAX_CHUNK, ChunkAnswer, ChunkRequest, Delta, Head, RangeRequest, SnapshotRef, TrustHead
from healthcode.signed import Signed
from healthcode.status import DeltaFault
from healthcode.terms import Status
from tests.edge.province import LIST_KEY, NOON, OTHER_LIST_KEY, ROOTS, URI, Province, list_entry, same, trust_list

PROMPT = Timing(jitter_s=0.0, answer_s=2.0, most_s=8.0)
LIMIT_S = 400.0

Wire = bytes | ChunkAnswer
"""A head, delta or trust head as bytes, or a chunk."""


@dataclass
class Town:
    """A server, one unit's cache and sync, and the wire between them, whose messages the test delivers as it likes."""

    cache: Cache
    seed: int = 0
    province: Province = field(default_factory=Province)
    wire: list[Wire] = field(default_factory=list)
    asked: list[RangeRequest | ChunkRequest] = field(default_factory=list)
    ignored: list[Why] = field(default_factory=list)
    versions: list[tuple[int, int]] = field(default_factory=list)
    now: float = 0.0
    served: int = 0
    chunk_bytes: int = MAX_CHUNK

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """The unit's process begins, with what its disk holds."""
        self.cache.load(NOON)
        self.sync = Sync(self.position, self.trust_version, Random(self.seed), PROMPT, self.cache.part)
        self.sync.want(self.cache.wanted(), self.now)
        self.do(self.sync.connected(self.now))

    def position(self, uri: str) -> Position | None:
        held = self.cache.lists.get(uri)
        return None if held is None else Position(held.epoch, held.version, held.digest, *self.cache.log_length(uri))

    def trust_version(self) -> int:
        return -1 if self.cache.trust is None else self.cache.trust.version

    def do(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            match output:
                case Apply(delta, raw):
                    fault = self.cache.accept_delta(delta, raw)
                    assert fault in (None, DeltaFault.GAP, DeltaFault.EPOCH, CacheFault.NOT_HELD)
                case Adopt(head, raw):
                    assert self.cache.adopt(head, raw) is None
                case Ask(request):
                    self.asked.append(request)
                    self.serve(request)
                case Keep(uri, epoch, ref, offset, piece):
                    self.cache.keep_part(uri, epoch, ref, offset, piece)
                case Forget(uri):
                    self.cache.forget_part(uri)
                case Swap(uri, data) if uri == TRUST:
                    assert isinstance(self.cache.accept_trust(data, NOON), TrustTaken)
                    self.do(self.sync.swapped(TRUST, self.now))
                    self.do(self.sync.want(self.cache.wanted(), self.now))
                case Swap(uri, data):
                    if self.cache.accept_snapshot(uri, data, NOON) is None:
                        self.do(self.sync.swapped(uri, self.now))
                    else:
                        self.sync.refused(uri, self.now)
                case Drop(uri):
                    self.cache.drop(uri)
                case Ignored(_, why):
                    self.ignored.append(why)
            for held in self.cache.lists.values():
                self.versions.append((held.epoch, held.version))

    def serve(self, request: RangeRequest | ChunkRequest) -> None:
        province = self.province
        if isinstance(request, RangeRequest):
            assert request.to_version - request.from_version <= RANGE
            if request.epoch == province.list.epoch:
                self.send(*province.deltas[request.from_version : request.to_version])
            return
        data = province.trust_bytes if request.uri == TRUST else province.snapshot
        version = province.trust.version if request.uri == TRUST else province.snapshot_version
        if request.uri != TRUST and request.version in province.before:
            data, version = province.before[request.version], request.version
        body = data[request.offset : request.offset + self.chunk_bytes]
        if request.version == version and request.epoch == (0 if request.uri == TRUST else province.list.epoch) and body:
            self.send(
                ChunkAnswer(
                    uri=request.uri, epoch=request.epoch, version=request.version, offset=request.offset, total=len(data), body=body
                )
            )

    def send(self, *messages: Wire) -> None:
        self.wire += messages
        self.served += sum(len(message.body if isinstance(message, ChunkAnswer) else message) for message in messages)

    def deliver(self, message: Wire) -> None:
        if isinstance(message, ChunkAnswer):
            self.do(self.sync.chunk(message, self.now))
            return
        rooted = signed.read_rooted(message, TrustHead, ROOTS)
        if isinstance(rooted, TrustHead):
            self.do(self.sync.trust_head(rooted, self.now))
            return
        keys = self.cache.keys(NOON)
        if keys is None:
            return
        delta = signed.read(message, Delta, keys, NOON)
        head = signed.read(message, Head, keys, NOON)
        if isinstance(delta, Signed):
            self.do(self.sync.delta(delta, message, self.now))
        elif isinstance(head, Signed):
            self.do(self.sync.head(head, message, self.now))

    def heads(self) -> None:
        self.send(self.province.trust_head, self.province.head)

    def settle(self) -> None:
        """Delivers everything in order and lets time pass until nothing is left to do."""
        for turn in range(int(LIMIT_S * 2)):
            while self.wire:
                self.deliver(self.wire.pop(0))
            if self.in_step():
                return
            self.now += 0.5
            if turn % 60 == 59:
                self.heads()
            self.do(self.sync.tick(self.now))

    def settle_trust(self) -> None:
        """Delivers until the trust list is held."""
        while self.cache.trust is None:
            self.deliver(self.wire.pop(0))
        self.wire.clear()
        self.deliver(self.province.head)

    def in_step(self) -> bool:
        held = self.cache.lists.get(self.province.list.uri)
        return held is not None and same(held, self.province.list) and held.as_of == self.province.at


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(Cache(tmp_path, ROOTS))


@pytest.fixture
def filled(tmp_path: Path) -> Town:
    town = Town(Cache(tmp_path, ROOTS))
    town.heads()
    town.settle()
    town.heads()
    town.settle()
    assert town.in_step()
    town.asked.clear()
    town.ignored.clear()
    return town


def test_an_empty_unit_fetches_trust_then_the_list(town: Town) -> None:
    town.heads()
    town.settle()
    town.heads()
    town.settle()
    assert town.in_step()
    assert [(request.uri, type(request)) for request in town.asked] == [(TRUST, ChunkRequest), (URI, ChunkRequest)]


def test_live_deltas_are_applied_without_asking(filled: Town) -> None:
    for index in range(5):
        filled.send(filled.province.change({index: Status.RED}), filled.province.head)
    filled.settle()
    assert filled.in_step()
    assert filled.asked == []


def test_a_gap_is_asked_for_once_and_what_came_early_is_used(filled: Town) -> None:
    deltas = [filled.province.change({index: Status.RED}) for index in range(4)]
    filled.send(deltas[0], deltas[3], filled.province.head)
    filled.settle()
    assert filled.in_step()
    assert filled.asked == [RangeRequest(uri=URI, epoch=0, from_version=1, to_version=3)]


def test_a_long_gap_is_asked_for_in_bounded_ranges(filled: Town) -> None:
    filled.province.snapshot += b"x" * 200_000
    for index in range(3 * RANGE + 5):
        filled.province.change({index: Status.RED})
    filled.heads()
    filled.settle()
    assert filled.in_step()
    assert [type(request) for request in filled.asked] == [RangeRequest] * 4


def test_far_behind_the_snapshot_is_the_shorter_way(filled: Town) -> None:
    for index in range(100):
        filled.province.change({index: Status.RED})
    filled.province.compact()
    for index in range(3):
        filled.province.change({index: Status.YELLOW})
    filled.heads()
    filled.settle()
    assert filled.in_step()
    assert [type(request) for request in filled.asked] == [ChunkRequest, RangeRequest]


@pytest.mark.parametrize(
    ("records", "log_bytes", "newest", "is_fetched"),
    [
        (LONG_LOG, LONG_LOG_BYTES, 90_000, False),
        (LONG_LOG + 1, 300 * LONG_LOG, 90_000, True),
        (100, LONG_LOG_BYTES + 1, 90_000, True),
        (LONG_LOG + 1, LONG_LOG_BYTES + 1, 90_000 - LONG_LOG - 1, False),
    ],
)
def test_a_newer_snapshot_is_fetched_once_the_log_behind_the_old_one_is_long_or_heavy(
    records: int, log_bytes: int, newest: int, *, is_fetched: bool
) -> None:
    """Version 90,000 is held and nothing is missing; only the next start would be slow. The same snapshot again would not help."""
    province = Province()
    digest = bytes(32)
    head = Head(
        uri=URI,
        epoch=0,
        version=90_000,
        digest=digest,
        oldest=85_000,
        snapshot=SnapshotRef(version=newest, size=850_000, sha256=bytes(32)),
        as_of=NOON,
    )
    raw = signed.write(head, LIST_KEY)
    sync = Sync(lambda _: Position(0, 90_000, digest, records, log_bytes), lambda: 1, Random(1), PROMPT)
    sync.want({URI: 0}, 0.0)
    sync.connected(0.0)
    said = [*sync.head(province.read_head(raw), raw, 0.0), *sync.tick(10.0)]
    asked = [each.request for each in said if isinstance(each, Ask)]
    assert asked == ([ChunkRequest(uri=URI, epoch=0, version=newest, offset=0)] if is_fetched else [])


def test_a_snapshot_comes_in_chunks(town: Town) -> None:
    town.chunk_bytes = 50
    town.heads()
    town.settle()
    town.heads()
    town.settle()
    assert town.in_step()
    offsets = [request.offset for request in town.asked if isinstance(request, ChunkRequest) and request.uri == URI]
    assert offsets == list(range(0, len(town.province.snapshot), 50))


def test_an_unanswered_request_is_repeated_ever_more_slowly(filled: Town) -> None:
    filled.province.change({1: Status.RED})
    filled.deliver(filled.province.head)
    times: list[float] = []
    while len(times) < 6:
        before = len(filled.asked)
        filled.now += 0.25
        filled.do(filled.sync.tick(filled.now))
        filled.wire.clear()
        times += [filled.now] * (len(filled.asked) - before)
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert min(waits) >= PROMPT.range_s
    assert max(waits) <= PROMPT.range_s + PROMPT.most_s + 0.25


@pytest.mark.parametrize(("missed", "least_s", "most_s"), [(1, 0.5, 1.3), (RANGE, 2.4, 5.1)])
def test_a_lost_answer_is_asked_for_again_the_sooner_the_shorter_it_is(filled: Town, missed: int, least_s: float, most_s: float) -> None:
    for turn in range(missed):
        filled.province.change({turn: Status.RED})
    filled.deliver(filled.province.head)
    filled.asked.clear()
    filled.do(filled.sync.tick(filled.now))
    asked_at = filled.now
    while len(filled.asked) < 2:
        filled.now += 0.05
        filled.do(filled.sync.tick(filled.now))
    assert least_s <= filled.now - asked_at <= most_s
    assert filled.asked[0] == filled.asked[1]


def test_nothing_is_asked_while_there_is_no_connection(filled: Town) -> None:
    filled.sync.disconnected()
    filled.province.change({1: Status.RED})
    filled.deliver(filled.province.head)
    filled.do(filled.sync.tick(filled.now + 100))
    assert filled.asked == []
    filled.do(filled.sync.connected(filled.now + 101))
    assert len(filled.asked) == 1


def test_a_raised_epoch_drops_the_list_and_fetches_it_anew(filled: Town) -> None:
    old = [filled.province.change({1: Status.RED}) for _ in range(3)]
    successor = Province(epoch=1, key=OTHER_LIST_KEY, trust=trust_list(2, list_entry(1, OTHER_LIST_KEY)))
    filled.province = successor
    filled.send(successor.trust_head)
    filled.settle()
    filled.heads()
    filled.send(*old)
    filled.settle()
    assert filled.in_step()
    assert filled.cache.lists[URI].epoch == 1


def test_a_head_that_contradicts_what_is_held_drops_it(filled: Town) -> None:
    filled.deliver(filled.province.change({1: Status.RED}))
    fork = Province()
    fork.change({2: Status.RED})
    filled.province = fork
    filled.heads()
    filled.settle()
    assert filled.in_step()


def test_chunks_of_something_else_are_ignored(filled: Town) -> None:
    stray = ChunkAnswer(uri=URI, epoch=0, version=0, offset=0, total=5, body=b"12345")
    filled.do(filled.sync.chunk(stray, filled.now))
    filled.do(filled.sync.chunk(ChunkAnswer(uri="https://x", epoch=0, version=0, offset=0, total=5, body=b"12345"), filled.now))
    assert filled.ignored == [Why.NOT_ASKED, Why.NOT_ASKED]


def test_a_false_snapshot_is_fetched_again_but_not_at_once(town: Town) -> None:
    true = town.province.snapshot
    town.heads()
    town.province.snapshot = true[:-1] + bytes([true[-1] ^ 1])
    bad_head = town.province.trust_head
    town.wire = [bad_head]
    for _ in range(6):
        while town.wire:
            town.deliver(town.wire.pop(0))
        town.now += 0.5
        town.do(town.sync.tick(town.now))
    town.deliver(town.province.head)
    for _ in range(120):
        while town.wire:
            town.deliver(town.wire.pop(0))
        town.now += 0.5
        town.do(town.sync.tick(town.now))
    assert town.cache.lists == {}
    assert 3 <= len(town.asked) <= 20
    town.province.snapshot = true
    town.province.at += 1
    town.heads()
    town.settle()
    assert town.in_step()


def list_chunks(town: Town) -> list[ChunkRequest]:
    return [request for request in town.asked if isinstance(request, ChunkRequest) and request.uri == URI]


@pytest.fixture
def halfway(town: Town) -> Town:
    """Ten of the snapshot's pieces have come, the eleventh is on the wire."""
    for index in range(0, 4000, 3):
        town.province.list.packed[index // 4] |= index % 251
    town.province.compact()
    town.chunk_bytes = len(town.province.snapshot) // 20
    town.heads()
    while len(list_chunks(town)) < 11:
        if town.wire:
            town.deliver(town.wire.pop(0))
        else:
            town.heads()
            town.do(town.sync.tick(town.now))
    return town


def restart(town: Town) -> None:
    """The process is killed and begins anew: what was under way is gone, what is on the disk is there."""
    town.cache = Cache(town.cache._folder, ROOTS)
    town.wire.clear()
    town.asked.clear()
    town.start()
    town.heads()


def test_after_a_new_connection_a_fetch_goes_on_where_it_was(halfway: Town) -> None:
    halfway.sync.disconnected()
    halfway.wire.clear()
    halfway.asked.clear()
    halfway.do(halfway.sync.connected(halfway.now))
    halfway.heads()
    halfway.settle()
    assert halfway.in_step()
    assert list_chunks(halfway)[0].offset == 10 * halfway.chunk_bytes


def test_after_a_restart_too(halfway: Town) -> None:
    restart(halfway)
    halfway.settle()
    assert halfway.in_step()
    assert list_chunks(halfway)[0].offset == 10 * halfway.chunk_bytes
    assert halfway.cache.part(URI) is None, "what was kept on the way is gone"


def test_a_fetch_of_the_snapshot_before_goes_on_where_less_of_it_is_left(halfway: Town) -> None:
    begun = halfway.province.snapshot_version
    halfway.province.change({1: Status.RED})
    halfway.province.compact()
    halfway.province.snapshot += bytes(3000)
    restart(halfway)
    halfway.settle()
    assert halfway.in_step()
    assert {request.version for request in list_chunks(halfway)} == {begun}


def test_a_snapshot_that_is_stored_no_more_gives_way_to_the_newest(halfway: Town) -> None:
    halfway.province.change({1: Status.RED})
    halfway.province.compact()
    halfway.province.before.clear()
    restart(halfway)
    halfway.settle()
    assert halfway.in_step()
    assert list_chunks(halfway)[-1].version == halfway.province.snapshot_version


def test_what_was_kept_and_is_false_costs_one_more_fetch_and_no_more(halfway: Town) -> None:
    [part] = halfway.cache._folder.rglob("part")
    kept = halfway.cache.part(URI)
    assert kept is not None
    false = PartFile(part)
    false.add(kept.epoch, kept.ref, 0, kept.data[:-1] + bytes([kept.data[-1] ^ 1]))
    false.close()
    restart(halfway)
    halfway.settle()
    assert halfway.in_step()
    offsets = [request.offset for request in list_chunks(halfway)]
    assert offsets[0] == 10 * halfway.chunk_bytes
    assert offsets.count(0) == 1


def test_on_a_slow_line_no_piece_comes_twice_but_the_first(town: Town) -> None:
    """A piece takes five seconds, and an answer is waited for two at first."""
    town.province.snapshot += bytes(640_000)
    town.heads()
    town.settle_trust()
    on_the_way: list[tuple[float, Wire]] = []
    until = town.now + 300
    while town.now < until and len({request.offset for request in list_chunks(town)}) < 10:
        town.now += 0.25
        free = max([town.now, *(arrives for arrives, _ in on_the_way)])
        on_the_way += [(free + 5.0 * (place + 1), message) for place, message in enumerate(town.wire)]
        town.wire.clear()
        for arrives, message in list(on_the_way):
            if arrives <= town.now:
                on_the_way.remove((arrives, message))
                town.deliver(message)
        town.do(town.sync.tick(town.now))
    asked = [request.offset for request in list_chunks(town)]
    assert len(set(asked)) == 10
    assert len(asked) <= 13


@pytest.mark.parametrize("fault", ["silence", "false pieces"])
def test_whatever_goes_wrong_no_hour_sees_more_asked_for_than_the_budget(filled: Town, fault: str) -> None:
    """A province's snapshot that never comes whole: the unit asks for its two in an hour, and goes on with the next."""
    province = filled.province
    filled.cache.drop(URI)
    province.snapshot += np.random.default_rng(1).bytes(850_000)
    filled.deliver(province.head)
    asked: list[tuple[float, int]] = []
    while filled.now < 3 * 3600:
        filled.now += 1.0
        filled.asked.clear()
        filled.wire.clear()
        filled.do(filled.sync.tick(filled.now))
        for message in filled.wire if fault == "false pieces" else []:
            assert isinstance(message, ChunkAnswer)
            filled.do(filled.sync.chunk(msgspec.structs.replace(message, body=bytes(len(message.body))), filled.now))
        asked += [(filled.now, min(MAX_CHUNK, len(province.snapshot) - request.offset)) for request in list_chunks(filled)]
    for end, _ in asked:
        assert sum(size for at, size in asked if end - 3600 < at <= end) <= most(len(province.snapshot))
    assert sum(size for _, size in asked) > 4 * 850_000
    if fault == "false pieces":
        assert Why.SPENT in filled.ignored


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), stops=st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=8))
def test_however_often_a_fetch_is_stopped_only_what_was_on_the_wire_is_sent_again(
    tmp_path_factory: pytest.TempPathFactory, seed: int, stops: list[tuple[int, bool]]
) -> None:
    town = Town(Cache(tmp_path_factory.mktemp("town"), ROOTS), seed)
    town.chunk_bytes = 7
    for count, is_restart in stops:
        town.heads()
        for _ in range(count):
            if town.wire:
                town.deliver(town.wire.pop(0))
        if is_restart:
            restart(town)
        else:
            town.wire.clear()
            town.do(town.sync.connected(town.now))
    town.served = 0
    kept = town.cache.part(URI)
    town.heads()
    town.settle()
    assert town.in_step()
    again = len(town.province.trust_bytes) + len(town.province.trust_head) + len(town.province.head)
    left = len(town.province.snapshot) - (len(kept.data) if kept else 0)
    assert town.served <= left + 2 * again


Step = tuple[str, int]


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**32),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["change", "drop", "duplicate", "deliver", "heads", "tick", "compact", "cut", "restart", "epoch"]),
            st.integers(0, 50),
        ),
        max_size=80,
    ),
)
def test_whatever_the_wire_does_it_converges_and_versions_never_go_back(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: list[Step]
) -> None:
    folder = tmp_path_factory.mktemp("town")
    town = Town(Cache(folder, ROOTS), seed)
    for what, number in steps:
        match what:
            case "change":
                raw = town.province.change({number: Status(1 + number % 3)})
                town.send(raw)
            case "drop" if town.wire:
                town.wire.pop(number % len(town.wire))
            case "duplicate" if town.wire:
                town.wire.append(town.wire[number % len(town.wire)])
            case "deliver" if town.wire:
                town.deliver(town.wire.pop(number % len(town.wire)))
            case "heads":
                town.heads()
            case "tick":
                town.now += number / 4
                town.do(town.sync.tick(town.now))
            case "compact":
                town.province.compact()
            case "cut":
                town.sync.disconnected()
                town.wire.clear()
                town.do(town.sync.connected(town.now))
            case "restart":
                town.cache = Cache(folder, ROOTS)
                town.wire.clear()
                town.start()
            case "epoch" if number < 10:
                epoch = town.province.list.epoch + 1
                town.province = Province(epoch=epoch, trust=trust_list(town.province.trust.version + 1, list_entry(epoch)))
    town.heads()
    town.settle()
    assert town.in_step()
    assert town.versions == sorted(town.versions)
